//! Sealed sessions: who can read them, who joins when, what is remembered, and what they cost.
#![allow(missing_docs)]

use diode::emitter::{Config, Emitter, sealed_frame_max};
use diode::noise::Pair;
use diode::receiver::{Event, Receiver};
use diode::seal::{MESSAGE, SEAL, Sealing, write};
use diode::unseal::{Heard, Psk, Sender, Unlock};
use diode::wire::{Beacon, Body, OPEN_END, Record, Shape, VERSION};
use link::wire::seal::Key;
use link::wire::{Binding, Head, Level, write_frame};
use link::{FRAME_MAX, Instant};

const NOW: Instant = Instant::from_micros(0);

fn psk(n: u8) -> Key {
    Key::from([n; 32])
}
fn sender(n: u8, heard: Heard) -> Sender {
    Sender { unlock: vec![Box::new(Psk(psk(n)))], heard }
}

/// A sender of datagrams, one frame each, with a beacon where it is asked for.
struct Line {
    session: u64,
    counter: u64,
    sealing: Sealing,
}

impl Line {
    fn new(key: u8, session: u64) -> Line {
        Line { session, counter: 0, sealing: Sealing::psk(&psk(key), session) }
    }
    fn frame(&mut self, record: &Record<'_>) -> Vec<u8> {
        let mut out = vec![0; FRAME_MAX];
        let len = write(&mut out, self.counter, self.session, record, Level::Plain, Some(&self.sealing));
        self.counter += 1;
        out.truncate(len);
        out
    }
    fn beacon(&mut self) -> Vec<u8> {
        let beacon = beacon(self.session, self.counter);
        self.frame(&Record::Beacon(beacon))
    }
    fn datum(&mut self, number: u32) -> Vec<u8> {
        self.frame(&Record::Datum { number, payload: &number.to_le_bytes() })
    }
}

fn beacon(session: u64, counter: u64) -> Beacon {
    let shape = Shape::default();
    Beacon {
        version: VERSION,
        session,
        counter,
        period_ms: 1000,
        survive_ms: 0,
        shape,
        stream_len: OPEN_END,
        datagrams: 0,
        objects: 0,
        end: false,
        broken: false,
    }
}

/// What came: `S` a session begins, `R` a replay is told, numbers of datagrams.
fn came(receiver: &mut Receiver) -> Vec<String> {
    let mut all = Vec::new();
    while let Some(event) = receiver.poll_event() {
        match event {
            Event::Accepted { sender, session } => all.push(format!("S{session} of {sender}")),
            Event::Replay { sender, session } => all.push(format!("R{session} of {sender}")),
            Event::Body(bytes) => match Body::parse(&bytes).unwrap().record {
                Record::Datum { number, payload } => {
                    assert_eq!(payload, number.to_le_bytes());
                    all.push(number.to_string());
                }
                _ => unreachable!(),
            },
            _ => {}
        }
    }
    all
}

fn feed(receiver: &mut Receiver, frames: &[Vec<u8>]) -> Vec<String> {
    frames.iter().for_each(|f| receiver.handle_bytes(f, NOW));
    came(receiver)
}

#[test]
fn who_joins_late_hears_from_the_next_beacon_on() {
    let mut line = Line::new(1, 70);
    let mut frames = vec![line.beacon(), line.datum(0), line.datum(1), line.beacon(), line.datum(2)];
    let mut receiver = Receiver::sealed(vec![sender(1, Heard::default())], NOW);
    assert_eq!(feed(&mut receiver, &frames[1..]), ["S70 of 0", "2"]);
    assert_eq!(receiver.stats().foreign, 2);
    // after an outage of any length the full counter of a beacon helps
    line.counter = 1 << 40;
    frames = vec![line.beacon(), line.datum(3)];
    assert_eq!(feed(&mut receiver, &frames), ["3"]);
    assert_eq!(receiver.heard(), [Heard { session: 70, next: (1 << 40) + 2 }]);
}

#[test]
fn nothing_is_taken_twice_nor_after_something_newer() {
    let mut old = Line::new(1, 69);
    let recording = vec![old.beacon(), old.datum(0)];
    let mut line = Line::new(1, 70);
    let frames = vec![line.beacon(), line.datum(0), line.datum(1), line.beacon()];
    let mut receiver = Receiver::sealed(vec![sender(1, Heard::default())], NOW);
    assert_eq!(feed(&mut receiver, &frames), ["S70 of 0", "0", "1"]);
    assert_eq!(feed(&mut receiver, &frames), ["R70 of 0"]);
    assert_eq!(feed(&mut receiver, &recording), ["R69 of 0"]);
    assert_eq!(feed(&mut receiver, &[line.datum(2)]), ["2"]);
    assert_eq!((receiver.stats().replayed, receiver.stats().refused), (5, 0));
    // after a restart
    let heard = receiver.heard()[0];
    let mut receiver = Receiver::sealed(vec![sender(1, heard)], NOW);
    assert_eq!(feed(&mut receiver, &recording), ["R69 of 0"]);
    assert_eq!(feed(&mut receiver, &frames), ["R70 of 0"]);
    assert_eq!(feed(&mut receiver, &[line.beacon(), line.datum(3)]), ["S70 of 0", "3"]);
}

#[test]
fn a_path_that_reorders_has_a_window() {
    let mut line = Line::new(1, 70);
    let frames: Vec<_> = [line.beacon()].into_iter().chain((0..1500).map(|n| line.datum(n))).collect();
    let mut receiver = Receiver::sealed(vec![sender(1, Heard::default())], NOW);
    let mut datagram = |i: usize| {
        receiver.handle_datagram(&frames[i], NOW);
        came(&mut receiver).len()
    };
    assert_eq!(datagram(0), 1);
    assert_eq!([2, 1, 2, 1, 1300, 277, 277].map(&mut datagram), [1, 1, 0, 0, 1, 1, 0]);
    let stats = receiver.stats();
    assert_eq!((stats.replayed, stats.refused, stats.frames_in), (3, 0, 5));
    receiver.handle_datagram(&frames[276], NOW);
    assert_eq!(came(&mut receiver), ["R70 of 0"], "too old for a network to explain");
}

#[test]
fn keys_change_without_a_way_back() {
    let (mut before, mut after) = (Line::new(1, 70), Line::new(2, 71));
    let mut receiver = Receiver::sealed(vec![sender(1, Heard::default()), sender(2, Heard::default())], NOW);
    assert_eq!(feed(&mut receiver, &[before.beacon(), before.datum(0)]), ["S70 of 0", "0"]);
    assert_eq!(feed(&mut receiver, &[after.beacon(), after.datum(0)]), ["S71 of 1", "0"]);
    // the old session is over, whatever was held back of it
    assert_eq!(feed(&mut receiver, &[before.datum(1), before.beacon()]), ["R70 of 0"]);
    let heard = receiver.heard();
    let mut receiver = Receiver::sealed(vec![sender(2, heard[1])], NOW);
    assert!(feed(&mut receiver, &[before.beacon(), before.datum(2)]).is_empty());
    assert_eq!((receiver.stats().refused, receiver.stats().foreign), (1, 1));
    assert_eq!(feed(&mut receiver, &[after.beacon(), after.datum(1)]), ["S71 of 0", "1"]);
}

#[test]
fn plain_and_sealed_do_not_mix() {
    let mut line = Line::new(1, 70);
    let mut out = vec![0; FRAME_MAX];
    let mut plain = |counter, record| {
        let len = diode::wire::write(&mut out, counter, 70, &record, Level::Plain);
        out[..len].to_vec()
    };
    let plain = [plain(0, Record::Beacon(beacon(70, 0))), plain(1, Record::Datum { number: 1, payload: &[1, 0, 0, 0] })];
    let mut receiver = Receiver::sealed(vec![sender(1, Heard::default())], NOW);
    assert!(feed(&mut receiver, &plain).is_empty());
    assert_eq!(feed(&mut receiver, &[line.beacon(), line.datum(0), plain[1].clone()]), ["S70 of 0", "0"]);
    assert_eq!(receiver.stats().plain, 3);
    let mut receiver = Receiver::new(NOW);
    assert_eq!(feed(&mut receiver, &[line.beacon(), plain[0].clone(), line.datum(7), plain[1].clone()]), ["1"]);
    assert_eq!(receiver.stats().sealed, 2);
}

fn pairs(with: Option<[u8; 32]>) -> (Pair, Pair) {
    let public = |secret: [u8; 32]| curve25519_dalek::MontgomeryPoint::mul_base_clamped(secret).to_bytes();
    let (a, b) = ([3; 32], [4; 32]);
    (Pair::new(a, public(b), with), Pair::new(b, public(a), with))
}

#[test]
fn key_pairs_carry_a_seed() {
    for with in [None, Some([9; 32])] {
        let (a, b) = pairs(with);
        let mut line = Line { session: 70, counter: 5, sealing: a.sealing(70, &[8; 32], None).unwrap() };
        let senders = vec![Sender { unlock: vec![Box::new(b)], heard: Heard::default() }, sender(1, Heard::default())];
        let mut receiver = Receiver::sealed(senders, NOW);
        let beacon = line.beacon();
        assert_eq!(feed(&mut receiver, &[beacon.clone(), line.datum(0), line.beacon(), line.datum(1)]), ["S70 of 0", "0", "1"]);
        // the message is good for this session alone, and for nobody else
        let message = &beacon[4 + 8 + 16..][..MESSAGE];
        let form = beacon[4 + 8 + 15];
        let open = |pair: &Pair, session| pair.seed(diode::seal::Form::from_wire(form).unwrap(), session, message).is_some();
        let (_, b) = pairs(with);
        assert!(open(&b, 70) && !open(&b, 71));
        assert!(!open(&pairs(Some([7; 32])).1, 70) && !open(&pairs(with).0, 70));
        assert_eq!(open(&pairs(None).1, 70), with.is_none());
    }
}

#[test]
fn handshakes_are_computed_in_moderation() {
    let (a, b) = pairs(None);
    let mut receiver = Receiver::sealed(vec![Sender { unlock: vec![Box::new(b)], heard: Heard::default() }], NOW);
    let mut good = Line { session: 70, counter: 0, sealing: a.sealing(70, &[8; 32], None).unwrap() };
    let forged = Sealing::seed(&psk(1), 71, diode::seal::Form::K, &[1; MESSAGE]).unwrap();
    let mut bad = Line { session: 71, counter: 0, sealing: forged };
    for _ in 0..1000 {
        assert!(feed(&mut receiver, &[bad.beacon()]).is_empty());
    }
    assert!(feed(&mut receiver, &[good.beacon()]).is_empty(), "no more in this second");
    receiver.handle_bytes(&good.beacon(), Instant::from_micros(1_000_000));
    assert_eq!(came(&mut receiver), ["S70 of 0"]);
    // who is known is heard however many there are
    (0..1000).for_each(|_| receiver.handle_bytes(&bad.beacon(), Instant::from_micros(1_000_001)));
    assert_eq!(feed(&mut receiver, &[good.beacon(), good.datum(0)]), ["0"]);
}

#[test]
fn a_board_seals_in_8_kib() {
    type Telemetry = Emitter<64, 48>;
    const FRAME: usize = sealed_frame_max(48, Level::Plain);
    assert!(size_of::<Telemetry>() + FRAME <= 8192, "{}", size_of::<Telemetry>() + FRAME);
    for (sealing, beacon) in [(Sealing::psk(&psk(1), 9), 76), (pairs(None).0.sealing(9, &[1; 32], None).unwrap(), 156)] {
        let mut emitter = Telemetry::sealed(Config::for_baud(2_000_000, 9), sealing, NOW);
        emitter.write(&[5; 48], NOW).unwrap();
        let (mut frame, mut now, mut lens) = ([0; FRAME], NOW, Vec::new());
        while lens.len() < 4 {
            lens.extend(emitter.poll_transmit(&mut frame, now));
            now = now.after(1000);
        }
        assert_eq!(lens, [beacon, beacon, beacon, 8 + 11 + 48 + SEAL], "three beacons to begin with");
    }
}

/// A sender without the key can fill counters, and nothing else.
#[test]
fn nothing_is_kept_of_what_is_not_authentic() {
    let mut random = link::sim::Random::new(5);
    let mut receiver = Receiver::sealed(vec![sender(1, Heard::default())], NOW);
    let mut line = Line::new(1, 70);
    feed(&mut receiver, &[line.beacon()]);
    let mut wire = vec![0; FRAME_MAX];
    let mut events = 0;
    for i in 0..20_000u32 {
        let len = 24 + random.below(400) as usize;
        wire[4..4 + len].fill_with(|| random.bits() as u8);
        wire[7] = [0x80, 0x90, 0xA0, 0xB0, 0xC0][random.below(5) as usize];
        if i % 2 == 0 {
            wire[8..12].copy_from_slice(&70u32.to_le_bytes());
        }
        let n = write_frame(&mut wire, Head { len, level: Level::Plain, sealed: i % 3 > 0 }, Binding::NONE);
        receiver.handle_bytes(&wire[..n], NOW);
        // another version may be claimed by anybody, and is told once
        while let Some(event) = receiver.poll_event() {
            assert!(matches!(event, Event::Version(_)), "{event:?}");
            events += 1;
        }
    }
    assert!(events <= 1);
    let stats = receiver.stats();
    assert_eq!(stats.plain + stats.refused + stats.foreign, 20_000, "{stats:?}");
    // the receiver and the body of one frame, twice, is all there is
    assert!(size_of::<Receiver>() <= 16 << 10, "{}", size_of::<Receiver>());
    assert_eq!(feed(&mut receiver, &[line.datum(0)]), ["0"]);
}
