//! Sealed sessions: what holds for plain ones holds for them, whoever sits in the middle of the wire
//! gets nothing wrong past them, and cannot end them but by cutting the wire.
#![allow(missing_docs)]

mod common;

use std::collections::VecDeque;

use common::{End, Fault, Line, Station, for_seeds, random_noise, run};
use link::hello::{Answer, Handshake, Keys, Message};
use link::sim::{NoiseConfig, Random};
use link::wire::frame::{body_at, frame_len};
use link::wire::record::Hello;
use link::wire::segment::Writer;
use link::wire::{Binding, Deframer, Head, Level, write_frame};
use link::{Config, Event, FRAME_MAX, Instant, Link, Loss, Noise, VERSION};

const SECRETS: ([u8; 32], [u8; 32]) = ([1; 32], [2; 32]);

fn public(secret: [u8; 32]) -> [u8; 32] {
    curve25519_dalek::MontgomeryPoint::mul_base_clamped(secret).to_bytes()
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum How {
    /// Both know each other.
    Known,
    /// Neither does, and both take what comes.
    First,
    /// Only one does.
    Forgotten,
    Psk,
}

impl How {
    const ALL: [How; 4] = [How::Known, How::First, How::Forgotten, How::Psk];

    fn ends(self, seed: u64) -> (Noise, Noise) {
        let (a, b) = (public(SECRETS.0), public(SECRETS.1));
        let (a, b) = match self {
            How::Known => (Noise::pair(SECRETS.0, Some(b), false), Noise::pair(SECRETS.1, Some(a), false)),
            How::First => (Noise::pair(SECRETS.0, None, true), Noise::pair(SECRETS.1, None, true)),
            How::Forgotten => (Noise::pair(SECRETS.0, Some(b), false), Noise::pair(SECRETS.1, None, true)),
            How::Psk => (Noise::psk([3; 32]), Noise::psk([3; 32])),
        };
        (a.seeded(2 * seed), b.seeded(2 * seed + 1))
    }
}

fn pair(how: How, baud: u32, window: usize, seed: u64, bytes: (u64, u64)) -> (End, End) {
    let (mut random, config, (a, b)) = (Random::new(!seed), Config::for_baud(baud), how.ends(seed));
    (
        End::sealed(Some(a), config, random.bits(), window, (seed, !seed), bytes),
        End::sealed(Some(b), config, random.bits(), window, (!seed, seed), (bytes.1, bytes.0)),
    )
}

/// Any wire delivers, with any way to prove who is there.
#[test]
fn any_wire_delivers() {
    for_seeds(1000, |seed| {
        let mut random = Random::new(seed);
        let baud = [9600, 115_200, 2_000_000][random.below(3) as usize];
        let noise = random_noise(&mut random);
        let (latency, timer) = (random.below(3_000), [0, 1_000, 16_000][random.below(3) as usize]);
        let mut ab = Line::new(baud, latency, timer, noise, seed * 2);
        let mut ba = Line::new(baud, latency, timer, noise, seed * 2 + 1);
        let bytes = (random.below(u64::from(baud) / 20), random.below(u64::from(baud) / 40));
        let how = How::ALL[random.below(4) as usize];
        let (mut a, mut b) = pair(how, baud, 4096 << random.below(5), seed, bytes);
        if random.chance(0.2) {
            let start = random.below(500_000);
            ab.outages.push((start, start + random.below(3_000_000)));
        }
        run(&mut a, &mut b, &mut ab, &mut ba, seed, 120_000_000);
        assert!(a.lost.is_none() && b.lost.is_none(), "{how:?} {:?} {:?}", a.lost, b.lost);
        let keys = (how != How::Psk).then(|| (public(SECRETS.1), public(SECRETS.0)));
        assert_eq!(a.link.peer_key().zip(b.link.peer_key()), keys);
    });
}

fn transfer(ends: (End, End), noise: NoiseConfig, fault: Option<(u64, Fault)>) -> u64 {
    let (mut a, mut b) = ends;
    let mut ab = Line::new(2_000_000, 300, 1_000, noise, 11);
    let mut ba = Line::new(2_000_000, 300, 1_000, noise, 12);
    ab.fault = fault;
    let took = run(&mut a, &mut b, &mut ab, &mut ba, 3, 200_000_000);
    assert!(a.lost.is_none() && b.lost.is_none());
    if fault.is_some() {
        assert!(b.link.stats().patched > 0, "{fault:?}: {:?}", b.link.stats());
    }
    took
}

/// Sealing costs little, also where frames are damaged and patched.
#[test]
fn costs_little() {
    let config = Config::for_baud(2_000_000);
    for ber in [0.0, 1e-5, 1e-3] {
        let noise = NoiseConfig { ber, ..NoiseConfig::default() };
        let bytes = (2_000_000, 0);
        let plain = |session, seeds, bytes| End::new(config, session, 262_144, seeds, bytes);
        let plain = transfer((plain(7, (1, 2), bytes), plain(9, (2, 1), (0, bytes.0))), noise, None);
        let sealed = transfer(pair(How::Known, 2_000_000, 262_144, 1, bytes), noise, None);
        let share = plain as f64 / sealed as f64;
        println!("BER {ber:e}: sealed has {share:.4} of plain");
        assert!(share >= if ber < 1e-4 { 0.98 } else { 0.85 }, "BER {ber:e}: {share}");
    }
    let ends = || pair(How::Known, 2_000_000, 65_536, 5, (300_000, 0));
    let clean = transfer(ends(), NoiseConfig::default(), None);
    for fault in [Fault::Flip, Fault::Burst(20), Fault::Lose(1), Fault::Lose(64), Fault::Insert(0x55)] {
        let took = transfer(ends(), NoiseConfig::default(), Some((150_000, fault)));
        println!("{fault:?} costs {} us", took - clean.min(took));
        assert!(took < clean + 6_000, "{fault:?} costs {} us", took - clean);
    }
}

/// Both messages of the handshake together, in their frames.
#[test]
fn a_handshake_is_short() {
    for how in [How::Known, How::First, How::Psk] {
        let ((a, b), config, now) = (how.ends(1), Config::for_baud(2_000_000), Instant::default());
        let mut a = End::sealed(Some(a), config, 9, 4096, (1, 2), (0, 0));
        let mut b = End::sealed(Some(b), config, 7, 4096, (2, 1), (0, 0));
        let mut wire = vec![0; FRAME_MAX];
        a.handle(&[], now);
        let call = a.transmit(&mut wire, now).expect("it calls");
        b.handle(&wire[..call], now);
        let answer = b.transmit(&mut wire, now).expect("it answers");
        a.handle(&wire[..answer], now);
        assert_eq!((a.link.state(), b.link.state()), (link::State::Greeting, link::State::Opening));
        // to a call that was repeated: nobody has tried anything
        a.handle(&wire[..answer], now);
        assert_eq!(a.link.stats().refused, 0);
        let now = Instant::from_micros(5_000);
        let ping = a.transmit(&mut wire, now).expect("it says that it has read the answer");
        b.handle(&wire[..ping], now);
        assert_eq!((a.link.state(), b.link.state()), (link::State::Greeting, link::State::Open));
        // acknowledgements take their time
        for now in (5_000..60_000).step_by(1_000).map(Instant::from_micros) {
            b.link.handle_timeout(now);
            while let Some(n) = b.transmit(&mut wire, now) {
                a.handle(&wire[..n], now);
            }
        }
        assert_eq!((a.link.state(), b.link.state()), (link::State::Open, link::State::Open));
        println!("{how:?}: {call} + {answer} bytes");
        assert!(call + answer <= 250, "{how:?}: {call} + {answer} bytes");
    }
}

/// Who has the wrong key, or talks plain, gets nowhere; a plain end is told.
#[test]
fn strangers_are_refused() {
    let config = Config { grace_us: 3_000_000, ..Config::for_baud(2_000_000) };
    let line = || Line::new(2_000_000, 300, 0, NoiseConfig::default(), 1);
    let open = |a: Option<Noise>, b: Option<Noise>| {
        let mut a = End::sealed(a, config, 7, 4096, (1, 2), (100, 100));
        let mut b = End::sealed(b, config, 9, 4096, (2, 1), (100, 100));
        let (mut ab, mut ba, mut random) = (line(), line(), Random::new(1));
        let (mut wire, mut bytes) = (vec![0; FRAME_MAX], Vec::new());
        for ms in 0..5_000 {
            let now = Instant::from_micros(ms * 1000);
            common::step(&mut a, &mut ab, &mut ba, now, &mut random, &mut wire, &mut bytes);
            common::step(&mut b, &mut ba, &mut ab, now, &mut random, &mut wire, &mut bytes);
        }
        (a, b)
    };
    let secret = |n: u8| Noise::pair([n; 32], Some(public([n ^ 3; 32])), false);
    for (a, b) in [
        (secret(1), Noise::pair([2; 32], Some(public([9; 32])), false)),
        (secret(1), Noise::pair([4; 32], Some(public([1; 32])), false)),
        (Noise::psk([1; 32]), Noise::psk([2; 32])),
        (Noise::psk([1; 32]), secret(2)),
        (Noise::pair([1; 32], None, false), Noise::pair([2; 32], None, false)),
    ] {
        let (mut a, b) = open(Some(a), Some(b));
        assert!(a.link.state() == link::State::Opening && b.link.state() == link::State::Opening);
        assert!(a.link.stats().refused + b.link.stats().refused > 0 && a.read + b.read == 0);
        let _ = a.link.handshake();
    }
    let (a, b) = open(None, Some(secret(2)));
    assert_eq!((a.lost, b.lost), (Some(Event::Lost(Loss::Sealed)), None));
    assert_eq!(b.link.state(), link::State::Opening);
}

/// A call of another version proves nothing, and so ends nothing; but its user is told which one it is.
#[test]
fn another_version_is_told_of() {
    for version in [VERSION - 1, VERSION + 1] {
        let mut end = End::sealed(Some(Noise::psk([1; 32])), Config::for_baud(115_200), 7, 4096, (1, 2), (0, 0)).link;
        let mut now = Instant::from_micros(1_000_000);
        let mut said = |end: &mut Link<Vec<u8>, 1024, 1, Option<Noise>>, us| {
            now = now.after(us);
            end.handle_timeout(now);
            end.poll_transmit(&mut [0; FRAME_MAX], now).is_some()
        };
        assert!(said(&mut end, 0), "it calls");
        let mut wire = vec![0; FRAME_MAX];
        let mut writer = Writer::new(&mut wire[body_at(Level::Plain)..], 0);
        writer.hello(&Hello { answer: false, version, pattern: 1, caller: 9, message: &[3; 40] });
        let head = Head::open(writer.len(), Level::Plain);
        let len = write_frame(&mut wire, head, Binding::NONE);
        end.handle_bytes(&wire[..len], Instant::from_micros(1_000_100));
        assert_eq!(end.poll_event(), Some(Event::Version(version)));
        assert_eq!((end.poll_event(), end.state(), end.stats().refused), (None, link::State::Opening, 1));
        assert!(said(&mut end, 2_000_000), "it calls on");
    }
}

/// The man in the middle: whole frames pass him, and he knows all checks but no key.
struct Attacked {
    end: End,
    /// What he may do, each with this chance.
    chance: [f64; 6],
    random: Random,
    seen: Vec<Vec<u8>>,
    queue: VecDeque<Vec<u8>>,
}

const FLIP: usize = 0;
const DROP: usize = 1;
const REPEAT: usize = 2;
const REORDER: usize = 3;
const INJECT: usize = 4;
const REFLECT: usize = 5;

impl Attacked {
    /// A frame with another body, and right checks.
    fn forge(&mut self, frame: &[u8]) -> Vec<u8> {
        let mut deframer = Deframer::default();
        deframer.push(frame);
        let Some(found) = deframer.next_frame() else { return frame.to_vec() };
        let (mut head, mut body) = (found.head, found.body.to_vec());
        match self.random.below(6) {
            0 => head.sealed = !head.sealed,
            1 => body.truncate(2 + self.random.below(body.len() as u64 - 1) as usize),
            2 => body[self.random.below(3) as usize % 2] ^= 1 << self.random.below(8),
            3 => head.level = Level::ALL[self.random.below(6) as usize],
            _ => {
                let at = self.random.below(body.len() as u64) as usize;
                body[at] ^= 1 << self.random.below(8);
            }
        }
        head.len = body.len();
        let mut out = vec![0; frame_len(body.len(), head.level)];
        out[body_at(head.level)..][..body.len()].copy_from_slice(&body);
        write_frame(&mut out, head, Binding::NONE);
        out
    }
    fn invent(&mut self) -> Vec<u8> {
        let len = 2 + self.random.below(300) as usize;
        let head = Head { len, level: Level::ALL[self.random.below(6) as usize], sealed: self.random.chance(0.5) };
        let mut out = vec![0; head.frame_len()];
        for byte in &mut out[body_at(head.level)..][..len] {
            *byte = self.random.bits() as u8;
        }
        if !head.sealed {
            // something that reads as a segment
            let tag = [0x10, 0x11, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0xF2, 0xF3][self.random.below(10) as usize];
            out[body_at(head.level)..][..3].copy_from_slice(&[0, 0, tag]);
        }
        write_frame(&mut out, head, Binding::NONE);
        out
    }
    fn attack(&mut self, frame: Vec<u8>) {
        if self.seen.len() < 400 {
            self.seen.push(frame.clone());
        }
        let old = self.random.below(self.seen.len() as u64) as usize;
        if self.random.chance(self.chance[REPEAT]) {
            self.queue.push_back(self.seen[old].clone());
        }
        if self.random.chance(self.chance[INJECT]) {
            let bytes = if self.random.chance(0.5) { self.invent() } else { self.forge(&self.seen[old].clone()) };
            self.queue.push_back(bytes);
        }
        if self.random.chance(self.chance[DROP]) {
            return;
        }
        let frame = if self.random.chance(self.chance[FLIP]) { self.forge(&frame) } else { frame };
        self.queue.push_back(frame);
        if self.random.chance(self.chance[REORDER]) && self.queue.len() > 1 {
            let last = self.queue.len() - 1;
            self.queue.swap(last, last - 1);
        }
    }
}

impl Station for Attacked {
    fn handle(&mut self, bytes: &[u8], now: Instant) {
        self.end.handle(bytes, now);
        if !bytes.is_empty() && self.random.chance(self.chance[REFLECT]) {
            // what this end hears is sent back
            self.queue.push_back(bytes.to_vec());
        }
    }
    fn user(&mut self, now: Instant, random: &mut Random) {
        self.end.user(now, random);
    }
    fn transmit(&mut self, out: &mut [u8], now: Instant) -> Option<usize> {
        if self.queue.is_empty() {
            let n = self.end.transmit(out, now)?;
            self.attack(out[..n].to_vec());
        }
        let frame = self.queue.pop_front()?;
        let n = frame.len().min(out.len());
        out[..n].copy_from_slice(&frame[..n]);
        Some(n)
    }
    fn wake(&self, now: Instant) -> Option<u64> {
        if self.queue.is_empty() { self.end.wake(now) } else { Some(now.as_micros()) }
    }
    fn is_over(&self) -> bool {
        self.end.is_over()
    }
    fn describe(&self) -> String {
        self.end.describe()
    }
}

fn attacked(end: End, chance: [f64; 6], before: &[Vec<u8>], seed: u64) -> Attacked {
    Attacked { end, chance, random: Random::new(seed), seen: before.to_vec(), queue: VecDeque::new() }
}

/// Frames of an earlier session between the same ends.
fn recorded(how: How, seed: u64) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let (a, b) = pair(how, 2_000_000, 8192, seed ^ 0xFFFF, (3_000, 2_000));
    let (mut a, mut b) = (attacked(a, [0.0; 6], &[], seed), attacked(b, [0.0; 6], &[], seed));
    let line = || Line::new(2_000_000, 300, 0, NoiseConfig::default(), seed);
    run(&mut a, &mut b, &mut line(), &mut line(), seed, 20_000_000);
    (a.seen, b.seen)
}

/// Whatever he does, what is delivered is right, and nothing is called delivered that is not: the
/// users of both ends compare every byte. Unless he cuts the wire, they never notice him.
#[test]
fn a_man_in_the_middle_gets_nothing_past() {
    let lost = std::sync::atomic::AtomicU32::new(0);
    for_seeds(10_000, |seed| {
        let mut random = Random::new(seed);
        let how = How::ALL[random.below(4) as usize];
        let bytes = (random.below(6_000), random.below(6_000));
        let (a, b) = pair(how, 2_000_000, 8192, seed, bytes);
        let cuts = random.chance(0.5);
        let mut chance = [0.0; 6];
        for (i, chance) in chance.iter_mut().enumerate() {
            if random.chance(0.5) && (cuts || matches!(i, REPEAT | INJECT | REFLECT)) {
                *chance = 0.02 + random.below(30) as f64 / 100.0;
            }
        }
        let before = recorded(how, seed % 16);
        let (mut a, mut b) = (attacked(a, chance, &before.0, seed), attacked(b, chance, &before.1, !seed));
        let line = |seed| Line::new(2_000_000, 300, 0, NoiseConfig::default(), seed);
        run(&mut a, &mut b, &mut line(seed), &mut line(!seed), seed, 400_000_000);
        for end in [&a.end, &b.end] {
            match end.lost {
                None => {}
                Some(Event::Lost(Loss::Silence)) if cuts => {
                    lost.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                }
                lost => panic!("{lost:?}, {how:?}, {chance:?}"),
            }
        }
    });
    println!("{} ends of 20000 gave up after silence", lost.into_inner());
}

/// Keys change with time and with the count of frames, also around a long silence of the wire, and a
/// session lives on.
#[test]
fn keys_change() {
    let config = Config { grace_us: 3_600_000_000, ..Config::for_baud(2_000_000) };
    let (a, b) = How::Known.ends(3);
    let mut a = End::sealed(Some(a), config, 7, 65_536, (1, 2), (200_000, 10));
    let mut b = End::sealed(Some(b), config, 9, 65_536, (2, 1), (10, 200_000));
    b.stalled_until = 2_000_000_000;
    let line = |seed| Line::new(2_000_000, 300, 0, NoiseConfig { ber: 1e-5, ..NoiseConfig::default() }, seed);
    let (mut ab, mut ba) = (line(1), line(2));
    for cut in [(500_000_000, 1_200_000_000), (1_400_000_000, 1_400_900_000)] {
        ab.outages.push(cut);
        ba.outages.push(cut);
    }
    run(&mut a, &mut b, &mut ab, &mut ba, 3, 2_100_000_000);
    assert!(a.lost.is_none() && b.lost.is_none());
    assert_eq!(a.link.stats().forged + b.link.stats().forged, 0);

    // by count: 70,000 frames of some bytes each
    let (mut a, mut b) = pair(How::Psk, 0, 4096, 4, (220_000, 0));
    a.burst = 5;
    let line = || Line::new(100_000_000, 1, 0, NoiseConfig::default(), 1);
    run(&mut a, &mut b, &mut line(), &mut line(), 3, 3_000_000_000);
    assert!(a.lost.is_none() && b.lost.is_none() && a.link.stats().frames_out > 1 << 16, "{:?}", a.link.stats());
    assert_eq!(a.link.stats().forged + b.link.stats().forged, 0);
}

/// A peer that was restarted is believed once it has proved itself; a recording of it is not.
#[test]
fn only_the_peer_itself_ends_a_session() {
    for (mine, theirs) in [(7, 9), (9, 7)] {
        let config = Config::for_baud(2_000_000);
        let end = |noise, session, seeds| End::sealed(Some(noise), config, session, 65_536, seeds, (1 << 40, 1 << 40));
        let key = |me: u8, peer: u8, seed| Noise::pair([me; 32], Some(public([peer; 32])), false).seeded(seed);
        let mut a = end(key(1, 2, 1), mine, (1, 2));
        let line = || Line::new(2_000_000, 300, 0, NoiseConfig::default(), 1);
        let (mut ab, mut ba) = (line(), line());
        let (mut random, mut wire, mut bytes) = (Random::new(1), vec![0; FRAME_MAX], Vec::new());
        let mut b = attacked(end(key(2, 1, 2), theirs, (2, 1)), [0.0; 6], &[], 1);
        let mut time = 0;
        let mut go = |a: &mut End, b: &mut Attacked, ms: u64| {
            for _ in 0..ms {
                time += 1000;
                let now = Instant::from_micros(time);
                common::step(a, &mut ab, &mut ba, now, &mut random, &mut wire, &mut bytes);
                common::step(b, &mut ba, &mut ab, now, &mut random, &mut wire, &mut bytes);
            }
        };
        go(&mut a, &mut b, 300);
        assert_eq!(a.link.state(), link::State::Open);
        // an echo of all that was said, several times over
        for _ in 0..20 {
            b.queue.extend(b.seen.clone());
        }
        go(&mut a, &mut b, 10_000);
        let before = a.read;
        go(&mut a, &mut b, 300);
        assert!(a.lost.is_none() && a.read > before, "{:?}", a.link.stats());
        let mut b = attacked(end(key(2, 1, 3), theirs + 100, (2, 1)), [0.0; 6], &[], 1);
        go(&mut a, &mut b, 2_000);
        assert_eq!(a.lost, Some(Event::Lost(Loss::PeerRestarted)));
        let mut b = attacked(end(key(2, 1, 4), theirs, (2, 1)), [0.0; 6], &[], 1);
        a = end(key(1, 2, 5), mine + 50, (1, 2));
        go(&mut a, &mut b, 2_000);
        assert!(a.lost.is_none() && a.read > 100_000);
    }
}

/// Counts what is computed.
struct Counting(Noise, u32);

impl Handshake for Counting {
    fn is_sealed(&self) -> bool {
        true
    }
    fn call(&mut self, caller: u64, text: &[u8; 7]) -> Option<(u8, Message)> {
        self.0.call(caller, text)
    }
    fn answered(&mut self, pattern: u8, message: &[u8]) -> Option<(Keys, [u8; 15])> {
        self.1 += 1;
        self.0.answered(pattern, message)
    }
    fn answer(&mut self, pattern: u8, caller: u64, call: &[u8], text: &[u8; 15]) -> Option<Answer> {
        self.1 += 1;
        self.0.answer(pattern, caller, call, text)
    }
}

/// However many calls and answers come, few are computed, little is kept, and the right one is let in.
#[test]
fn a_flood_of_calls_costs_little() {
    let handshake = Counting(Noise::pair(SECRETS.0, Some(public(SECRETS.1)), false).seeded(1), 0);
    let link: Link<Vec<u8>> = Link::new(Config::for_baud(0), 5, Instant::default(), vec![0; 4096], vec![0; 4096]);
    let mut link = link.sealed(handshake);
    let (mut random, mut frame) = (Random::new(1), vec![0; FRAME_MAX]);
    for ms in 0..10_000 {
        let now = Instant::from_micros(ms * 1000);
        for answer in [false, true] {
            let message: Vec<u8> = (0..96).map(|_| random.bits() as u8).collect();
            let caller = if answer { 5 } else { 6 + random.below(1000) };
            let pattern = 1 + random.below(3) as u8;
            let mut writer = Writer::new(&mut frame[body_at(Level::Plain)..], 0);
            writer.hello(&Hello { answer, version: link::VERSION, pattern, caller, message: &message });
            let head = Head::open(writer.len(), Level::Plain);
            let n = write_frame(&mut frame, head, Binding::NONE);
            link.handle_bytes(&frame[..n], now);
        }
        link.handle_timeout(now);
        while link.poll_transmit(&mut frame, now).is_some() {}
        while link.poll_event().is_some() {}
    }
    let computed = link.handshake().1;
    assert!((40..=56).contains(&computed), "{computed} in 10 s");
    assert_eq!(link.state(), link::State::Opening);
    println!("a link: {} bytes beside its streams", std::mem::size_of_val(&link));
}

/// 10 MB of junk in the midst of a session: random bytes, and heads that claim much.
#[test]
fn junk_ends_nothing() {
    let (mut a, mut b) = pair(How::Known, 10_000_000, 65_536, 9, (3_000_000, 3_000_000));
    let line = || Line::new(10_000_000, 300, 0, NoiseConfig::default(), 1);
    let (mut ab, mut ba, mut random) = (line(), line(), Random::new(1));
    let (mut wire, mut bytes, mut junk) = (vec![0; FRAME_MAX], Vec::new(), 0);
    for ms in 0..60_000 {
        let now = Instant::from_micros(ms * 1000);
        if junk < 10_000_000 && a.link.state() == link::State::Open {
            let mut piece: Vec<u8> = (0..random.below(2_000)).map(|_| random.bits() as u8).collect();
            piece.extend([0xB5, 0xFF, 0x0F, link::wire::check::head(0x0FFF)]);
            junk += piece.len();
            ab.send(&piece, now);
        }
        common::step(&mut a, &mut ab, &mut ba, now, &mut random, &mut wire, &mut bytes);
        common::step(&mut b, &mut ba, &mut ab, now, &mut random, &mut wire, &mut bytes);
        if a.is_over() && b.is_over() {
            break;
        }
    }
    assert!(a.finished_at.is_some() && b.finished_at.is_some(), "{} {}", a.describe(), b.describe());
    println!("{junk} bytes of junk; {:?}", b.link.stats());
}
