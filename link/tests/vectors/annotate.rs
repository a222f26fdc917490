//! A frame field by field, in the words of PROTOCOL.md.

use link::wire::segment::{DATA_HEAD, Record, SEGMENT_HEAD, Segment};
use link::wire::{Deframer, Level};

use super::{frame, hex};

/// Takes the bytes of a frame one field after the other.
struct Fields<'a> {
    rest: &'a [u8],
    out: Vec<(String, String)>,
}

impl Fields<'_> {
    fn take(&mut self, n: usize, what: impl Into<String>) {
        let (field, rest) = self.rest.split_at(n);
        self.rest = rest;
        self.out.push((hex(field), what.into()));
    }

    fn record(&mut self, record: &Record<'_>) {
        match record {
            Record::Open(open) => {
                self.take(1, if open.answer { "OPEN, an answer is wanted" } else { "OPEN, no answer is wanted" });
                self.take(1, format!("version {}", open.version));
                self.take(8, "session id of the sender");
                self.take(8, if open.you == 0 { "session id of the peer: not known yet" } else { "session id of the peer" });
                self.take(3, format!("receive limit {}", open.limit));
                self.take(2, format!("most payload {}", open.payload_max));
                self.take(2, "features: none");
            }
            Record::Ack(ack) => {
                assert!(ack.pairs.is_empty() && ack.run < 128, "a session without losses");
                self.take(1, "ACK without pairs");
                self.take(2, format!("newest number {}", ack.newest));
                self.take(2, format!("damage {}", ack.damage));
                self.take(1, format!("slips {}", ack.slips));
                self.take(1, format!("run of {}", ack.run));
            }
            Record::Done { .. } => self.take(1, "DONE"),
            Record::Ping => self.take(1, "PING"),
            Record::Data { fin, payload, offset, .. } => {
                self.take(1, if *fin { "DATA, the stream ends behind it" } else { "DATA" });
                self.take(DATA_HEAD - 1, format!("offset {offset}"));
                if !payload.is_empty() {
                    self.take(payload.len(), format!("payload {:?}", String::from_utf8_lossy(payload)));
                }
            }
            other => panic!("no such record is expected here: {other:?}"),
        }
    }
}

/// The fields of one frame between these ends, and what each is.
pub(super) fn annotate(wire: &[u8], from: u64, to: u64) -> Vec<(String, String)> {
    let mut deframer = Deframer::default();
    deframer.bind(to, from);
    deframer.push(wire);
    let found = deframer.next_frame().expect("a frame");
    let (head, body) = (found.head, found.body);
    let mut fields = Fields { rest: wire, out: Vec::new() };
    let level = head.level as u8;
    if head.level == Level::Plain {
        fields.take(1, "sync byte");
        fields.take(2, format!("head word: level {level}, body of {} bytes", head.len));
        fields.take(1, "CRC-8 of the head word");
    } else {
        fields.take(4, "sync word");
        fields.take(2, format!("head word: level {level}, body of {} bytes", head.len));
        fields.take(4, "parity of the head word");
    }
    let segment = Segment::parse(body).expect("a segment");
    fields.take(SEGMENT_HEAD, format!("transmission number {}", segment.tx));
    segment.records().for_each(|record| fields.record(&record));
    let bound = frame(body, head.level) != wire;
    fields.take(4, if bound { "frame check, bound to the session" } else { "frame check, of no session" });
    if !fields.rest.is_empty() {
        fields.take(fields.rest.len(), "parity of body and frame check");
    }
    fields.out
}
