//! What a frame under way says, apart from the numbers in it, which count from those of now.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

use link::explore::Digest;
use link::wire::seal::Sealed;
use link::wire::segment::Record;
use link::wire::{Head, Level, Segment};

use crate::mock::Mock;
use crate::world::Harm;

/// Runs of an ACK longer than this are alike.
const LONG: u16 = 24;

/// One frame on a wire.
#[derive(Clone)]
pub struct Frame {
    pub bytes: Rc<[u8]>,
    /// Number of the transmission; none of a call, an answer and a farewell.
    tx: Option<u64>,
    /// The newest it acknowledges.
    newest: Option<u64>,
    /// All else.
    says: u64,
    /// For people.
    pub text: Rc<str>,
}

impl Frame {
    /// What an end with this handshake sends.
    pub fn new(bytes: &[u8], handshake: Option<&Mock>) -> Frame {
        let mut frame = Frame { bytes: bytes.into(), tx: None, newest: None, says: 0, text: "".into() };
        let mut hasher = DefaultHasher::new();
        match Body::open(bytes, handshake) {
            Some(body) => {
                let segment = if body.sealed { Segment::parse_sealed(&body.text) } else { Segment::parse(&body.text) };
                frame.read(&segment.expect("an end sends segments"), body.sealed, &mut hasher);
            }
            None => bytes.hash(&mut hasher),
        }
        frame.says = hasher.finish();
        frame
    }

    /// The same as it comes through noise, which struck it in the middle.
    pub fn harmed(&self, harm: Harm) -> Frame {
        let (mut bytes, middle) = (self.bytes.to_vec(), self.bytes.len() / 2);
        match harm {
            Harm::Turn => bytes[middle] ^= 4,
            Harm::Miss => drop(bytes.drain(middle..middle + 3)),
            Harm::Extra => bytes.insert(middle, 0x55),
        }
        Frame { bytes: bytes.into(), ..self.clone() }
    }

    fn read(&mut self, segment: &Segment<'_>, sealed: bool, hasher: &mut DefaultHasher) {
        let (mut text, mut counted) = (String::new(), true);
        for record in segment.records() {
            match record {
                Record::Ack(ack) => {
                    self.newest = Some(u64::from(ack.newest));
                    (ack.damage, ack.slips, ack.run.min(LONG), ack.pairs.as_slice()).hash(hasher);
                    text += &format!("ACK{}/{}{} ", ack.newest, ack.run, if ack.pairs.is_empty() { "" } else { "+gaps" });
                }
                other => {
                    counted &= sealed && matches!(other, Record::Close(_)) || !is_uncounted(&other);
                    format!("{other:?}").hash(hasher);
                    text += &describe(&other);
                }
            }
        }
        self.tx = counted.then_some(u64::from(segment.tx));
        self.text = match self.tx {
            Some(tx) => format!("t{tx} {}", text.trim_end()).into(),
            None => text.trim_end().into(),
        };
    }

    /// Takes it in; the digest counts from the sender's next transmission and the receiver's.
    pub fn digest(&self, to: &mut Digest) {
        to.add((self.says, self.tx.is_some(), self.newest.is_some()));
        self.tx.into_iter().for_each(|tx| to.ours(tx));
        self.newest.into_iter().for_each(|tx| to.theirs(tx));
    }
}

fn is_uncounted(record: &Record<'_>) -> bool {
    matches!(record, Record::Open(_) | Record::Close(_) | Record::Hello(_))
}

fn describe(record: &Record<'_>) -> String {
    match record {
        Record::Open(open) => format!("OPEN {}>{}{} ", open.me, open.you, if open.answer { "?" } else { "" }),
        Record::Hello(hello) => format!("{} {} ", if hello.answer { "ANSWER" } else { "CALL" }, hello.caller),
        Record::Data { offset, fin, payload, .. } => format!("DATA{offset}+{}{} ", payload.len(), if *fin { "fin" } else { "" }),
        Record::Done { .. } => "DONE ".into(),
        other => format!("{other:?} "),
    }
}

/// A segment as its sender wrote it.
struct Body {
    text: Vec<u8>,
    sealed: bool,
}

impl Body {
    fn open(bytes: &[u8], handshake: Option<&Mock>) -> Option<Body> {
        let level = if bytes[0] == link::wire::frame::PLAIN_SYNC { Level::Plain } else { Level::One };
        let word = if level == Level::Plain { &bytes[1..3] } else { &bytes[4..6] };
        let head = Head::parse(u16::from_le_bytes([word[0], word[1]]))?;
        let at = link::wire::frame::body_at(level);
        let body = bytes.get(at..at + head.len)?;
        if !head.sealed {
            return Some(Body { text: body.to_vec(), sealed: false });
        }
        let sealed = Sealed::parse(body)?;
        let mut text = vec![0; body.len()];
        let keys = handshake?.made.iter().rev();
        let len = keys.into_iter().find_map(|key| sealed.open(key, head, u64::from(sealed.tx), &mut text))?;
        text.truncate(len);
        Some(Body { text, sealed: true })
    }
}
