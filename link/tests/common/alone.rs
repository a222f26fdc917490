//! One end whose peer is played by a test: what it hears and what it says are single frames.
#![allow(dead_code)]

use link::wire::segment::{Close, Open, VERSION, Writer};
use link::wire::{Binding, Deframer, Head, Level, Segment, segment::Record, write_frame};
use link::{CloseCode, Config, Event, FRAME_MAX, Instant, Link};

pub(crate) const ME: u64 = 5;
pub(crate) const PEER: u64 = 6;
pub(crate) const OTHER: u64 = 9;

pub(crate) struct End {
    pub(crate) link: Link<Vec<u8>, 64>,
    pub(crate) now: Instant,
}

pub(crate) fn segment(binding: Binding, tx: u64, fill: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut wire = vec![0; FRAME_MAX];
    let mut writer = Writer::new(&mut wire[4..], tx);
    fill(&mut writer);
    let len = writer.len();
    let n = write_frame(&mut wire, Head::open(len, Level::Plain), binding);
    wire.truncate(n);
    wire
}

pub(crate) fn open(me: u64, you: u64, version: u8) -> Vec<u8> {
    segment(Binding::NONE, 0, |w| w.open(&Open { version, answer: true, me, you, limit: 4096, payload_max: 1000, features: 0 }))
}

pub(crate) fn close(me: u64, you: u64) -> Vec<u8> {
    segment(Binding::NONE, 0, |w| w.close(&Close { version: VERSION, me, you, code: CloseCode::Failed }))
}

pub(crate) fn data(tx: u64) -> Vec<u8> {
    data_of(Binding::of(PEER, ME), tx)
}

pub(crate) fn data_of(binding: Binding, tx: u64) -> Vec<u8> {
    segment(binding, tx, |w| w.data(0, 0, false, 3, |out| out.copy_from_slice(b"abc")))
}

impl End {
    pub(crate) fn opening() -> End {
        let now = Instant::from_micros(1_000_000);
        End { link: Link::new(Config::for_baud(0), ME, now, vec![0; 4096], vec![0; 4096]), now }
    }
    pub(crate) fn greeting() -> End {
        let mut end = End::opening();
        end.hear(&open(PEER, 0, VERSION));
        end
    }
    pub(crate) fn open() -> End {
        let mut end = End::opening();
        end.hear(&open(PEER, ME, VERSION));
        end.said();
        end.events();
        end
    }
    pub(crate) fn hear(&mut self, wire: &[u8]) {
        self.link.handle_bytes(wire, self.now);
    }
    pub(crate) fn wait(&mut self, us: u64) {
        self.now = self.now.after(us);
        self.link.handle_timeout(self.now);
    }
    /// What it sends now, as text.
    pub(crate) fn said(&mut self) -> Vec<String> {
        let (mut wire, mut said) = (vec![0; FRAME_MAX], Vec::new());
        while let Some(n) = self.link.poll_transmit(&mut wire, self.now) {
            let body = [PEER, OTHER].iter().find_map(|&peer| {
                let mut deframer = Deframer::default();
                deframer.bind(peer, ME);
                deframer.push(&wire[..n]);
                deframer.next_frame().map(|frame| frame.body.to_vec())
            });
            for record in Segment::parse(&body.expect("a frame")).expect("a segment").records() {
                said.push(match record {
                    Record::Open(o) => format!("OPEN {} {}{}", o.me, o.you, if o.answer { " answer" } else { "" }),
                    Record::Close(c) => format!("CLOSE {}", c.code.to_wire()),
                    Record::Ack(a) => format!("ACK {}", a.newest),
                    Record::Data { payload, .. } => format!("DATA {}", payload.len()),
                    other => format!("{other:?}"),
                });
            }
        }
        said
    }
    pub(crate) fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.link.poll_event()).collect()
    }
}
