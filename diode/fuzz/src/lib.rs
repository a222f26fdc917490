//! What the fuzz targets do, and the plain tests that run their corpus: anything may come from the
//! wire, nothing may panic, and a sealed receiver takes nothing that was not sealed for it.
#![allow(missing_docs)]

use diode::datagrams::Datagrams;
use diode::receiver::{Event, Receiver};
use diode::seal::{Sealing, write};
use diode::stream::StreamReceiver;
use diode::unseal::{Heard, Psk, Sender};
use diode::wire::{Beacon, Body, OPEN_END, Record, Shape, VERSION};
use link::wire::frame::body_at;
use link::wire::seal::Key;
use link::wire::{Binding, Head, Level, write_frame};
use link::{FRAME_MAX, Instant};

const SESSION: u64 = 0x0102_0304_0506_0708;

/// A plain receiver: whatever it says is handed to those who use it.
pub fn plain(data: &[u8]) {
    run(data, Receiver::new(Instant::from_micros(0)), None);
}

/// A sealed one, and a sender whose frames come between.
pub fn sealed(data: &[u8]) {
    let key = Key::from([7; 32]);
    let sealing = Sealing::psk(&key, SESSION);
    let senders = vec![Sender { unlock: vec![Box::new(Psk(key))], heard: Heard::default() }];
    run(data, Receiver::sealed(senders, Instant::from_micros(0)), Some(sealing));
}

/// Operations on the wire: a byte what, a byte how much, then the bytes.
fn run(data: &[u8], mut receiver: Receiver, sealing: Option<Sealing>) {
    let (mut now, mut wire, mut counter) = (Instant::from_micros(0), vec![0u8; FRAME_MAX], 0);
    let mut users = Users::default();
    let mut rest = data;
    while let Some((&[op, len], tail)) = rest.split_first_chunk::<2>() {
        let (piece, tail) = tail.split_at(usize::from(len).min(tail.len()));
        rest = tail;
        let level = Level::ALL[usize::from(op / 8) % 6];
        match op % 8 {
            // bytes as they are
            0 => receiver.handle_bytes(piece, now),
            1 => receiver.handle_datagram(piece, now),
            // with right checks
            2 | 3 if piece.len() >= 2 => {
                wire[body_at(level)..][..piece.len()].copy_from_slice(piece);
                let head = Head { len: piece.len(), level, sealed: op % 8 == 3 };
                let n = write_frame(&mut wire, head, Binding::NONE);
                receiver.handle_bytes(&wire[..n], now);
            }
            4 => now = now.after(u64::from(len) * 1000 * (1 + u64::from(op / 8))),
            // what the sender says: a beacon, or fields that a key holder made up
            5 => {
                let n = write(&mut wire, counter, SESSION, &Record::Beacon(beacon(counter, op & 8 > 0)), level, sealing.as_ref());
                counter += 1;
                receiver.handle_bytes(&wire[..n], now);
            }
            _ => {
                let record = Record::Datum { number: u32::from(len), payload: piece };
                let n = write(&mut wire, counter, SESSION, &record, level, sealing.as_ref());
                counter += 1;
                if op % 8 == 7 {
                    // changed, and its check is not right any more
                    wire[usize::from(len) % n] ^= 1 | op;
                }
                receiver.handle_datagram(&wire[..n], now);
            }
        }
        receiver.handle_timeout(now);
        users.serve(&mut receiver, sealing.is_some(), counter);
        assert!(receiver.poll_timeout().is_none_or(|at| at.as_micros() > 0));
    }
}

fn beacon(counter: u64, end: bool) -> Beacon {
    Beacon {
        version: VERSION,
        session: SESSION,
        counter,
        period_ms: 1000,
        survive_ms: 0,
        shape: Shape { data: 3, parity: 2, depth: 2, len: 20 },
        stream_len: OPEN_END,
        datagrams: 0,
        objects: 0,
        end,
        broken: false,
    }
}

#[derive(Default)]
struct Users {
    numbers: Datagrams,
    stream: Option<StreamReceiver>,
    accepted: bool,
}

impl Users {
    fn serve(&mut self, receiver: &mut Receiver, sealed: bool, sent: u64) {
        let mut news = 0;
        while let Some(event) = receiver.poll_event() {
            news += 1;
            assert!(news < 10_000, "news without end");
            match event {
                Event::Accepted { session, .. } => {
                    assert!(sealed && session == SESSION);
                    self.accepted = true;
                }
                Event::Session(beacon) => {
                    assert!(!sealed || (self.accepted && beacon.session == SESSION && beacon.counter < sent));
                    // a group of a shape from the wire may be large: here only small ones
                    self.stream = (beacon.shape.data > 0 && beacon.shape.len < 100).then(|| StreamReceiver::new(beacon.shape));
                }
                Event::Body(bytes) => {
                    assert!(!sealed || self.accepted, "a record before its session");
                    self.take(Body::parse(&bytes).expect("a body that can be read").record, sealed);
                }
                _ => {}
            }
        }
        if sealed {
            assert!(receiver.heard()[0].next <= sent, "a frame that was not sent");
        }
    }

    fn take(&mut self, record: Record<'_>, sealed: bool) {
        match record {
            Record::Datum { number, .. } => drop(self.numbers.is_new(number)),
            Record::Shard { group, place, pieces, offset, payload } => {
                assert!(!sealed, "no shard was sealed");
                if let Some(stream) = &mut self.stream {
                    stream.handle_shard(group, place, pieces, offset, payload);
                    while stream.poll_out().is_some() {}
                }
            }
            Record::Symbol { .. } | Record::Manifest(_) => assert!(!sealed, "no object was sealed"),
            Record::Beacon(_) => unreachable!("beacons are told as sessions"),
        }
    }
}
