//! One wire for both directions, on which what two ends say at the same time is mingled: RS-485 on two wires, an opto
//! coupler, a wire that echoes. Two ends that begin in the same instant find each other all the same.
#![allow(missing_docs)]

mod common;

use common::for_seeds;
use link::sim::Random;
use link::{Config, Event, FRAME_MAX, Instant, Link, Noise};

/// So long that a call at 300 bits per second is repeated often.
const GRACE_US: u64 = 600_000_000;

/// What an end hears of itself.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Wire {
    /// Nothing: its receiver is off while it sends.
    HalfDuplex,
    /// Everything.
    Echo,
}

struct End {
    link: Link<Vec<u8>, 64, 1, Option<Noise>>,
    /// Bytes of the frame on its way.
    leaving: Vec<u8>,
    opened_at: Option<u64>,
}

impl End {
    fn new(baud: u32, id: u64, sealed: bool) -> End {
        let config = Config { grace_us: GRACE_US, ..Config::for_baud(baud) };
        let link = Link::new(config, id, Instant::default(), vec![0; 4096], vec![0; 4096]);
        let handshake = sealed.then(|| Noise::psk([7; 32]).seeded(id));
        End { link: link.sealed(handshake), leaving: Vec::new(), opened_at: None }
    }
    /// The byte it sends in this moment.
    fn speak(&mut self, frame: &mut [u8], now: Instant) -> Option<u8> {
        self.link.handle_timeout(now);
        if self.leaving.is_empty()
            && let Some(len) = self.link.poll_transmit(frame, now)
        {
            self.leaving.extend(frame[..len].iter().rev());
        }
        self.leaving.pop()
    }
    fn hear(&mut self, byte: u8, now: Instant) {
        self.link.handle_bytes(&[byte], now);
        while let Some(event) = self.link.poll_event() {
            match event {
                Event::Opened { .. } => self.opened_at = Some(now.as_micros()),
                Event::Lost(loss) => panic!("{loss:?}"),
                _ => {}
            }
        }
    }
}

/// When both know of the session (µs).
fn opened(wire: Wire, baud: u32, sealed: bool, ids: [u64; 2], limit_us: u64) -> u64 {
    let mut ends = ids.map(|id| End::new(baud, id, sealed));
    let (mut frame, mut now) = (vec![0; FRAME_MAX], Instant::default());
    loop {
        let said = [ends[0].speak(&mut frame, now), ends[1].speak(&mut frame, now)];
        // one byte later all have heard it
        now = now.after(10_000_000 / u64::from(baud));
        for (at, end) in ends.iter_mut().enumerate() {
            let heard = match (said[at], said[1 - at]) {
                (Some(_), _) if wire == Wire::HalfDuplex => None,
                (Some(own), Some(other)) => Some(own ^ other),
                (own, other) => own.or(other),
            };
            heard.into_iter().for_each(|byte| end.hear(byte, now));
        }
        if let [Some(one), Some(other)] = [ends[0].opened_at, ends[1].opened_at] {
            return one.max(other);
        }
        let states = [ends[0].link.state(), ends[1].link.state()];
        assert!(now.as_micros() < limit_us, "{wire:?} at {baud}, sealed {sealed}: {states:?}");
    }
}

#[test]
fn two_that_call_at_once_find_each_other() {
    for wire in [Wire::HalfDuplex, Wire::Echo] {
        for sealed in [false, true] {
            for baud in [9600, 115_200] {
                for_seeds(100, |seed| {
                    let mut random = Random::new(seed);
                    // ids that are all but alike, too
                    let id = random.below(u64::MAX - 2) + 1;
                    let other = if seed % 4 == 0 { id + 1 } else { random.below(u64::MAX - 1) + 1 };
                    opened(wire, baud, sealed, [id, other], 60_000_000);
                });
            }
        }
    }
}

#[test]
fn on_slow_wires_as_well() {
    for sealed in [false, true] {
        for_seeds(16, |seed| {
            let mut random = Random::new(seed);
            let ids = [random.below(u64::MAX - 1) + 1, random.below(u64::MAX - 1) + 1];
            // a call takes two seconds, or four
            opened(Wire::HalfDuplex, 300, sealed, ids, 1_000_000_000);
        });
    }
}
