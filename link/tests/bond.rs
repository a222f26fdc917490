//! Several wires as one link, on virtual lines: byte-exact whatever happens to any of them, no wire drags
//! the others, and nobody who is not the peer gets in.
#![allow(missing_docs)]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{Idle, Line, for_seeds, stream_byte, write_known};
use link::sim::{NoiseConfig, Random};
use link::{Class, Config, Event, FRAME_MAX, Instant, Link, Loss, Noise, Note, Path, ResetCode, State};

type Bond = Link<Vec<u8>, 256, 24, Option<Noise>, Vec<Path<256, Option<Noise>>>>;

/// The keys of an end: none, a shared secret, or a pair.
#[derive(Clone, Copy)]
enum Keys {
    Plain,
    Psk,
    Pair { ours: u8, theirs: u8 },
}

fn bond(baud: u32, count: usize, id: u64, keys: Keys, sole: Option<usize>) -> Bond {
    let config = Config::for_baud(baud);
    let handshake = |seed: u64| match keys {
        Keys::Plain => None,
        Keys::Psk => Some(Noise::psk([7; 32]).seeded(seed)),
        Keys::Pair { ours, theirs } => Some(Noise::pair([ours; 32], Some(public(theirs)), false).seeded(seed)),
    };
    let path = |at: usize| Path::new(config, Instant::default(), sole.is_none()).sealed(handshake(id ^ at as u64));
    let buffers = sole.map(|window| (vec![0; window], vec![0; window]));
    Link::bonded(config.rate, id, Instant::default(), (0..count).map(path).collect(), buffers)
}

fn public(secret: u8) -> [u8; 32] {
    curve25519_dalek::MontgomeryPoint::mul_base_clamped([secret; 32]).to_bytes()
}

/// What happens to the wires.
#[derive(Clone, Copy, Debug)]
enum Blow {
    /// The adapter of a path is gone at one end, for so long (µs).
    Unplug { at_b: bool, path: usize, us: u64 },
    /// Two wires change places at the far end, without a word to anybody.
    Swap(usize, usize),
    /// A wire keeps all bytes for so long (µs), then hands them over.
    Hold { wire: usize, us: u64 },
}

/// Wire `w` leads from path `w` of one end to path `to[w]` of the other.
struct Wires {
    ab: Vec<Line>,
    ba: Vec<Line>,
    to: Vec<usize>,
    blows: Vec<(u64, Blow)>,
    back: Vec<(u64, bool, usize)>,
    /// Ends and paths without a port.
    gone: BTreeSet<(bool, usize)>,
    /// Wires that keep everything until then (µs), and hand it over afterwards.
    held: BTreeMap<usize, u64>,
}

impl Wires {
    fn new(lines: Vec<(Line, Line)>) -> Wires {
        let (ab, ba): (Vec<_>, Vec<_>) = lines.into_iter().unzip();
        let to = (0..ab.len()).collect();
        Wires { ab, ba, to, blows: Vec::new(), back: Vec::new(), gone: BTreeSet::new(), held: BTreeMap::new() }
    }
    fn clean(count: usize, baud: u32, latency_us: u64) -> Wires {
        let line = |seed| Line::new(baud, latency_us, 0, NoiseConfig::default(), seed);
        Wires::new((0..count as u64).map(|w| (line(2 * w), line(2 * w + 1))).collect())
    }
    fn next(&self) -> Option<u64> {
        let line = |(w, line): (usize, &Line)| line.next().map(|at| at.max(self.held.get(&w).copied().unwrap_or(0)));
        let lines = self.ab.iter().enumerate().filter_map(line).chain(self.ba.iter().enumerate().filter_map(line));
        let blows = self.blows.iter().map(|b| b.0).chain(self.back.iter().map(|b| b.0));
        lines.chain(blows).min()
    }
    fn strike(&mut self, a: &mut Bond, b: &mut Bond, now: Instant) {
        let us = now.as_micros();
        while let Some(at) = self.back.iter().position(|back| back.0 <= us) {
            let (_, at_b, path) = self.back.swap_remove(at);
            self.gone.remove(&(at_b, path));
            if at_b { &mut *b } else { &mut *a }.handle_reopen_of(path, now);
        }
        while let Some(at) = self.blows.iter().position(|blow| blow.0 <= us) {
            match self.blows.swap_remove(at).1 {
                Blow::Unplug { at_b, path, us: time } => {
                    if self.gone.insert((at_b, path)) {
                        if at_b { &mut *b } else { &mut *a }.handle_lost(path, now);
                        self.back.push((us + time, at_b, path));
                    }
                }
                Blow::Swap(x, y) => self.to.swap(x, y),
                Blow::Hold { wire, us: time } => drop(self.held.insert(wire, us + time)),
            }
        }
    }
    fn carry(&mut self, a: &mut Bond, b: &mut Bond, now: Instant) {
        let mut bytes = Vec::new();
        self.held.retain(|_, until| *until > now.as_micros());
        for (w, &to) in self.to.iter().enumerate().filter(|(w, _)| !self.held.contains_key(w)) {
            self.ab[w].take(now, &mut bytes);
            if !self.gone.contains(&(true, to)) {
                b.handle_bytes_of(to, &bytes, now);
            }
            self.ba[w].take(now, &mut bytes);
            if !self.gone.contains(&(false, w)) {
                a.handle_bytes_of(w, &bytes, now);
            }
        }
    }
    fn collect(&mut self, a: &mut Bond, b: &mut Bond, wire: &mut [u8], now: Instant) {
        for (w, &to) in self.to.iter().enumerate() {
            while !self.gone.contains(&(false, w))
                && let Some(n) = a.poll_transmit_of(w, wire, now)
            {
                self.ab[w].send(&wire[..n], now);
            }
            while !self.gone.contains(&(true, to))
                && let Some(n) = b.poll_transmit_of(to, wire, now)
            {
                self.ba[w].send(&wire[..n], now);
            }
        }
    }
}

/// Whoever uses a bond.
trait User {
    fn bond(&mut self) -> &mut Bond;
    fn act(&mut self, now: Instant, random: &mut Random);
    fn is_over(&self) -> bool;
    fn wake(&self) -> Option<u64> {
        None
    }
}

fn describe(bond: &Bond, now: Instant) -> String {
    let paths: Vec<_> = bond.paths().iter().map(|p| (p.state(), p.is_up(), p.is_foreign(), p.silence_us(now))).collect();
    let left: Vec<_> = bond.channels().map(|c| (c.id(), c.bytes_in(), c.bytes_out(), c.queued())).collect();
    format!("{:?} {:?} {paths:?} {left:?}", bond.state(), bond.stats())
}

/// Runs both ends until both are over; panics after `limit_us`.
fn run(a: &mut impl User, b: &mut impl User, wires: &mut Wires, seed: u64, limit_us: u64) -> u64 {
    let mut random = Random::new(seed ^ 0xB0BD);
    let (mut now, mut wire, mut rounds, mut idle) = (Instant::default(), vec![0u8; FRAME_MAX], 0u64, Idle::default());
    loop {
        wires.strike(a.bond(), b.bond(), now);
        wires.carry(a.bond(), b.bond(), now);
        a.bond().handle_timeout(now);
        b.bond().handle_timeout(now);
        a.act(now, &mut random);
        b.act(now, &mut random);
        wires.collect(a.bond(), b.bond(), &mut wire, now);
        if a.is_over() && b.is_over() {
            return now.as_micros();
        }
        let tell = |a: &mut Bond, b: &mut Bond| format!("a {}\nb {}", describe(a, now), describe(b, now));
        assert!(now.as_micros() < limit_us, "stalled: {}", tell(a.bond(), b.bond()));
        rounds += 1;
        assert!(rounds < 20_000_000, "spinning at {now:?}: {}", tell(a.bond(), b.bond()));
        let timers = [a.bond().poll_timeout(), b.bond().poll_timeout()].into_iter().flatten().map(Instant::as_micros);
        let next = timers.chain(wires.next()).chain(a.wake()).chain(b.wake()).min().expect("something must come");
        let carried = wires.ab.iter().chain(&wires.ba).map(|line| line.carried).sum();
        // what is due for a port that is gone waits for it
        if wires.gone.is_empty() {
            idle.look(next, now, carried, || tell(a.bond(), b.bond()));
        }
        now = Instant::from_micros(next.max(now.as_micros() + 1 + random.below(200)));
    }
}

// ---- channels -----------------------------------------------------------------------------------

/// What the client does on one channel.
#[derive(Clone)]
struct Job {
    class: Class,
    bytes: u64,
    window: usize,
    abort_at: u64,
    written: u64,
    read: u64,
    size: u32,
    outcome: Option<&'static str>,
}

fn job(class: Class, bytes: u64, window: usize) -> Job {
    Job { class, bytes, window, abort_at: u64::MAX, written: 0, read: 0, size: 0, outcome: None }
}

struct Client {
    bond: Bond,
    jobs: Vec<Job>,
    open: BTreeMap<u16, usize>,
    begun: usize,
    most: usize,
}

impl Client {
    fn new(bond: Bond, jobs: Vec<Job>, most: usize) -> Client {
        Client { bond, jobs, open: BTreeMap::new(), begun: 0, most }
    }
    fn serve(&mut self, id: u16, at: usize, random: &mut Random) {
        let (job, seed) = (&mut self.jobs[at], at as u64 * 77);
        let Some(channel) = self.bond.channel(id) else { return };
        let room = (channel.writable() as u64).min(job.bytes - job.written).min(1 + random.below(40_000));
        let piece: Vec<u8> = (job.written..job.written + room).map(|i| stream_byte(seed, i)).collect();
        job.written += channel.write(&piece) as u64;
        if random.chance(0.05) && job.size < 1000 && job.written < job.bytes {
            job.size += 1;
            channel.note(Note::Size, job.size);
        }
        if job.written == job.bytes {
            channel.finish();
        }
        let mut buffer = [0; 20_000];
        let n = channel.read(&mut buffer);
        for (i, &byte) in buffer[..n].iter().enumerate() {
            assert_eq!(byte, stream_byte(seed, job.read + i as u64), "channel {id} at {}", job.read + i as u64);
        }
        job.read += n as u64;
        if channel.at_end() {
            assert_eq!(job.read, job.bytes);
            channel.confirm();
        }
        if job.read >= job.abort_at {
            job.outcome = Some("aborted");
            self.bond.reset(id, ResetCode::Aborted);
            self.open.remove(&id);
        }
    }
}

impl User for Client {
    fn bond(&mut self) -> &mut Bond {
        &mut self.bond
    }
    fn act(&mut self, _: Instant, random: &mut Random) {
        while self.bond.state() == State::Open && self.begun < self.jobs.len() && self.open.len() < self.most {
            let job = &self.jobs[self.begun];
            match self.bond.open(b"echo", job.class, vec![0; job.window], vec![0; job.window]) {
                Ok(id) => drop(self.open.insert(id, self.begun)),
                Err(_) => break,
            }
            self.begun += 1;
        }
        for (id, at) in self.open.clone() {
            self.serve(id, at, random);
        }
        while let Some(event) = self.bond.poll_event() {
            match event {
                Event::Noted(id, Note::Status, value) => {
                    if let Some(&at) = self.open.get(&id) {
                        assert!(value <= self.jobs[at].size);
                    }
                }
                Event::Closed(id) => {
                    if let Some(at) = self.open.remove(&id) {
                        assert_eq!(self.jobs[at].read, self.jobs[at].bytes);
                        self.jobs[at].outcome = Some("closed");
                    }
                }
                Event::Reset(id, code) => assert!(!self.open.contains_key(&id), "{code:?}"),
                Event::Lost(loss) => panic!("{loss:?}"),
                _ => {}
            }
        }
    }
    fn is_over(&self) -> bool {
        self.jobs.iter().all(|j| j.outcome.is_some()) && self.bond.channels().count() == 0
    }
}

/// Sends back what comes, and how often the size was told at last.
struct Server {
    bond: Bond,
    pending: BTreeMap<u16, (Vec<u8>, u32, bool)>,
    window: usize,
    lost: Option<Loss>,
}

impl Server {
    fn new(bond: Bond, window: usize) -> Server {
        Server { bond, pending: BTreeMap::new(), window, lost: None }
    }
}

impl User for Server {
    fn bond(&mut self) -> &mut Bond {
        &mut self.bond
    }
    fn act(&mut self, _: Instant, _: &mut Random) {
        while let Some(event) = self.bond.poll_event() {
            match event {
                Event::Asked(id) => {
                    if self.bond.accept(id, Class::Learnt, vec![0; self.window], vec![0; self.window]).is_ok() {
                        self.pending.insert(id, (Vec::new(), 0, false));
                    } else {
                        self.bond.reset(id, ResetCode::Busy);
                    }
                }
                Event::Noted(id, Note::Size, value) => {
                    if let Some(pending) = self.pending.get_mut(&id) {
                        assert!(value >= pending.1, "a size that is over comes again: {value} after {}", pending.1);
                        pending.1 = value;
                    }
                }
                Event::Lost(loss) => self.lost = Some(loss),
                _ => {}
            }
        }
        self.pending.retain(|&id, (pending, size, told)| {
            let Some(channel) = self.bond.channel(id) else { return false };
            if pending.is_empty() {
                let mut buffer = [0; 65_536];
                let n = channel.read(&mut buffer);
                pending.extend(&buffer[..n]);
            }
            let n = channel.write(pending);
            pending.drain(..n);
            if pending.is_empty() && channel.at_end() && !*told {
                channel.finish();
                *told = true;
                channel.note(Note::Status, *size);
                channel.confirm();
            }
            true
        });
    }
    fn is_over(&self) -> bool {
        self.bond.channels().count() == 0
    }
}

fn random_wires(random: &mut Random, count: usize, baud: u32, seed: u64) -> Wires {
    let lines = (0..count as u64).map(|w| {
        let clean = random.chance(0.4);
        let noise = if clean { NoiseConfig::default() } else { common::random_noise(random) };
        let (latency, timer) = ([50, 1_000, 20_000][random.below(3) as usize], [0, 0, 16_000][random.below(3) as usize]);
        let mut pair = (
            Line::new(baud, latency, timer, noise, seed * 100 + 2 * w),
            Line::new(baud, latency, timer, noise, seed * 100 + 2 * w + 1),
        );
        for _ in 0..random.below(3) {
            let start = random.below(3_000_000);
            let outage = (start, start + random.below(3_000_000));
            if random.chance(0.7) {
                pair.0.outages.push(outage);
            }
            if random.chance(0.7) {
                pair.1.outages.push(outage);
            }
        }
        pair
    });
    let mut wires = Wires::new(lines.collect());
    for _ in 0..random.below(6) {
        let (at_b, path) = (random.chance(0.5), random.below(count as u64) as usize);
        let blow = Blow::Unplug { at_b, path, us: 1 + random.below(4_000_000) };
        wires.blows.push((random.below(5_000_000), blow));
    }
    wires
}

/// The keys of two ends that fit.
fn random_keys(random: &mut Random) -> (Keys, Keys) {
    match random.below(3) {
        0 => (Keys::Plain, Keys::Plain),
        1 => (Keys::Psk, Keys::Psk),
        _ => (Keys::Pair { ours: 1, theirs: 2 }, Keys::Pair { ours: 2, theirs: 1 }),
    }
}

/// Any number of wires, each with its own noise, latency, outages, unplugged at any moment, and in any order:
/// every channel is byte-exact, notes keep their order, and nothing stalls.
#[test]
fn any_bond_delivers() {
    for_seeds(1000, |seed| deliver(seed, false));
}

/// The same while wires are also held, swapped, swapped back and unplugged at a rate nobody has hands for.
#[test]
fn a_rough_hand_harms_nothing() {
    for_seeds(300, |seed| deliver(seed, true));
}

fn rough_blows(wires: &mut Wires, count: usize, seed: u64) {
    let mut random = Random::new(seed ^ 0x5EED);
    for _ in 0..random.below(4) {
        let hold = Blow::Hold { wire: random.below(count as u64) as usize, us: random.below(8_000_000) };
        wires.blows.push((random.below(6_000_000), hold));
    }
    if random.chance(0.6) {
        let (x, y) = (random.below(count as u64) as usize, random.below(count as u64) as usize);
        let at = 200_000 + random.below(4_000_000);
        wires.blows.push((at, Blow::Swap(x, y)));
        if random.chance(0.7) {
            let most = [20_000, 300_000, 3_000_000][random.below(3) as usize];
            wires.blows.push((at + random.below(most), Blow::Swap(x, y)));
        }
    }
    for _ in 0..random.below(6) {
        let (at_b, path) = (random.chance(0.5), random.below(count as u64) as usize);
        let us = 1 + random.below(3_000_000);
        wires.blows.push((random.below(8_000_000), Blow::Unplug { at_b, path, us }));
    }
}

fn deliver(seed: u64, rough: bool) {
    let mut random = Random::new(seed);
    let count = 2 + random.below(3) as usize;
    let baud = [115_200, 921_600, 2_000_000][random.below(3) as usize];
    let mut wires = random_wires(&mut random, count, baud, seed);
    // in any order
    for w in (1..count).rev() {
        wires.to.swap(w, random.below(w as u64 + 1) as usize);
    }
    if random.chance(0.3) {
        let hold = Blow::Hold { wire: random.below(count as u64) as usize, us: random.below(5_000_000) };
        wires.blows.push((random.below(3_000_000), hold));
    }
    if random.chance(0.2) {
        let (x, y) = (random.below(count as u64) as usize, random.below(count as u64) as usize);
        wires.blows.push((500_000 + random.below(2_000_000), Blow::Swap(x, y)));
    }
    if rough {
        rough_blows(&mut wires, count, seed);
    }
    let jobs: Vec<Job> = (0..1 + random.below(8))
        .map(|_| {
            let class = [Class::Learnt, Class::Interactive, Class::Bulk][random.below(3) as usize];
            let mut job = job(class, random.below(u64::from(baud) / 100), 256 << random.below(9));
            if random.chance(0.1) {
                job.abort_at = random.below(job.bytes + 1);
            }
            job
        })
        .collect();
    let (ours, theirs) = random_keys(&mut random);
    let mut a = Client::new(bond(baud, count, random.bits(), ours, None), jobs, 1 + random.below(12) as usize);
    let mut b = Server::new(bond(baud, count, random.bits(), theirs, None), 1024 << random.below(7));
    run(&mut a, &mut b, &mut wires, seed, 400_000_000);
    assert_eq!(b.lost, None);
}

// ---- the one stream, speed ----------------------------------------------------------------------

/// Writes a known stream as fast as it can, or reads it.
struct Bulk {
    bond: Bond,
    to_write: u64,
    written: u64,
    expected: u64,
    read: u64,
    finished: bool,
    lost: Option<Loss>,
}

impl Bulk {
    fn new(bond: Bond, to_write: u64, expected: u64) -> Bulk {
        Bulk { bond, to_write, written: 0, expected, read: 0, finished: false, lost: None }
    }
}

impl User for Bulk {
    fn bond(&mut self) -> &mut Bond {
        &mut self.bond
    }
    fn act(&mut self, now: Instant, _: &mut Random) {
        let most = self.to_write - self.written;
        write_known(&mut self.bond, 1, &mut self.written, most);
        if self.written == self.to_write {
            self.bond.finish();
        }
        let mut buffer = [0; 65_536];
        let n = self.bond.read(&mut buffer);
        assert!((0..n).all(|i| buffer[i] == stream_byte(1, self.read + i as u64)), "wrong bytes from {}", self.read);
        self.read += n as u64;
        if self.bond.at_end() {
            self.bond.confirm(now);
        }
        while let Some(event) = self.bond.poll_event() {
            match event {
                Event::Finished => {
                    assert_eq!(self.read, self.expected);
                    self.finished = true;
                }
                Event::Lost(loss) => self.lost = Some(loss),
                _ => {}
            }
        }
    }
    fn is_over(&self) -> bool {
        self.finished || self.lost.is_some()
    }
}

const FAST: u32 = 2_000_000;

/// Seconds it takes to carry so many bytes over these wires.
fn carries(bytes: u64, mut wires: Wires, blows: &[(u64, Blow)]) -> f64 {
    let (count, window) = (wires.to.len(), 1 << 20);
    wires.blows.extend(blows);
    let mut a = Bulk::new(bond(FAST, count, 5, Keys::Plain, Some(window)), bytes, 0);
    let mut b = Bulk::new(bond(FAST, count, 9, Keys::Plain, Some(window)), 0, bytes);
    let took = run(&mut a, &mut b, &mut wires, 1, 60_000_000) as f64 / 1e6;
    assert!(a.finished && b.finished);
    if std::env::var("DBG").is_ok() {
        println!("{took} {}", describe(&a.bond, Instant::from_micros((took * 1e6) as u64)));
        for p in a.bond.paths() {
            println!("{:?}", p.stats());
        }
    }
    took
}

fn noisy(bers: &[f64]) -> Wires {
    let line = |ber: f64, seed| Line::new(FAST, 300, 0, NoiseConfig { ber, ..NoiseConfig::default() }, seed);
    Wires::new(bers.iter().enumerate().map(|(w, &ber)| (line(ber, 2 * w as u64), line(ber, 2 * w as u64 + 1))).collect())
}

/// Four wires carry 3.8 times as much as one; noise on one of them, or its end, costs no more than its share.
#[test]
fn the_sum_of_four_is_that_of_four() {
    let bytes = 4_000_000;
    let one = carries(bytes, noisy(&[0.0]), &[]);
    let ratio = |name: &str, wires: Wires, blows: &[(u64, Blow)], least: f64| {
        let ratio = one / carries(bytes, wires, blows);
        println!("{name}: {ratio:.3} times one");
        assert!(ratio >= least, "{name}: {ratio:.3}, not {least}");
    };
    ratio("two", noisy(&[0.0; 2]), &[], 1.9);
    ratio("four", noisy(&[0.0; 4]), &[], 3.8);
    ratio("four, one at 1e-5", noisy(&[1e-5, 0.0, 0.0, 0.0]), &[], 3.7);
    ratio("four, one at 1e-4", noisy(&[1e-4, 0.0, 0.0, 0.0]), &[], 3.6);
    ratio("four, one at 1e-3", noisy(&[1e-3, 0.0, 0.0, 0.0]), &[], 3.3);
    ratio("four, all at 1e-5", noisy(&[1e-5; 4]), &[], 3.5);
    let gone = Blow::Unplug { at_b: false, path: 2, us: 60_000_000 };
    ratio("four, one unplugged after 0.5 s", noisy(&[0.0; 4]), &[(500_000, gone)], 2.8);
    let gone = Blow::Unplug { at_b: true, path: 1, us: 1_000_000 };
    ratio("four, one unplugged at the far end for 1 s", noisy(&[0.0; 4]), &[(500_000, gone)], 3.0);
}

/// One stream that is sealed, over wires of any kind.
#[test]
fn a_sealed_stream_is_delivered() {
    for_seeds(200, |seed| {
        let mut random = Random::new(seed);
        let count = 2 + random.below(7) as usize;
        let mut wires = random_wires(&mut random, count, 921_600, seed);
        let bytes = random.below(300_000);
        let (ours, theirs) = random_keys(&mut random);
        let window = 4096 << random.below(8);
        let mut a = Bulk::new(bond(921_600, count, random.bits(), ours, Some(window)), bytes, 0);
        let mut b = Bulk::new(bond(921_600, count, random.bits(), theirs, Some(window)), 0, bytes);
        run(&mut a, &mut b, &mut wires, seed, 200_000_000);
        assert!(a.finished && b.finished, "{:?} {:?}", a.lost, b.lost);
    });
}

/// What a wire kept for seconds is not taken for something newer, though offsets have come round since.
#[test]
fn what_is_late_is_too_late() {
    let baud = 40_000_000;
    let line = |seed| Line::new(baud, 100, 0, NoiseConfig::default(), seed);
    let mut wires = Wires::new((0..3).map(|w| (line(2 * w), line(2 * w + 1))).collect());
    for (at, wire) in [(300_000, 0), (300_000, 1), (3_000_000, 2)] {
        wires.blows.push((at, Blow::Hold { wire, us: 2_600_000 }));
    }
    let bytes = 26_000_000;
    let mut a = Bulk::new(bond(baud, 3, 5, Keys::Plain, Some(1 << 20)), bytes, 0);
    let mut b = Bulk::new(bond(baud, 3, 9, Keys::Plain, Some(1 << 20)), 0, bytes);
    run(&mut a, &mut b, &mut wires, 1, 60_000_000);
    assert!(a.finished && b.finished);
}

/// Writes a little, waits, and goes on.
struct Idler {
    bulk: Bulk,
    until: u64,
}

impl User for Idler {
    fn bond(&mut self) -> &mut Bond {
        &mut self.bulk.bond
    }
    fn act(&mut self, now: Instant, random: &mut Random) {
        if self.bulk.written == 0 || now.as_micros() >= self.until {
            self.bulk.act(now, random);
        }
    }
    fn is_over(&self) -> bool {
        self.bulk.is_over()
    }
    fn wake(&self) -> Option<u64> {
        (self.bulk.written > 0 && !self.is_over()).then_some(self.until)
    }
}

/// A wire that is gone for good holds up nothing, however long ago and however much has passed since.
#[test]
fn what_is_gone_holds_up_nothing() {
    for keys in [Keys::Plain, Keys::Psk] {
        let mut wires = Wires::clean(3, FAST, 300);
        for at_b in [false, true] {
            wires.blows.push((2_000_000, Blow::Unplug { at_b, path: 1, us: 1_000_000_000 }));
        }
        // all of the first window is acknowledged when the wire goes
        let (bytes, window, until) = (12_000_000, 1 << 18, 90_000_000);
        let mut a = Idler { bulk: Bulk::new(bond(FAST, 3, 5, keys, Some(window)), bytes, 0), until };
        let mut b = Bulk::new(bond(FAST, 3, 9, keys, Some(window)), 0, bytes);
        run(&mut a, &mut b, &mut wires, 1, 200_000_000);
        assert!(a.bulk.finished && b.finished, "{:?} {:?}", a.bulk.lost, b.lost);
    }
}

// ---- who is at the other end --------------------------------------------------------------------

/// A peer that was restarted ends the bond, and soon; the next one begins by itself.
#[test]
fn a_restarted_peer_is_told() {
    for keys in [Keys::Plain, Keys::Psk] {
        let mut wires = Wires::clean(3, FAST, 300);
        let mut a = Bulk::new(bond(FAST, 3, 5, keys, Some(65_536)), 10_000_000, 0);
        let mut b = Bulk::new(bond(FAST, 3, 9, keys, Some(65_536)), 0, 10_000_000);
        let (mut now, mut wire, mut random, mut restarted) = (0u64, vec![0; FRAME_MAX], Random::new(1), None);
        while a.lost.is_none() {
            let time = Instant::from_micros(now);
            wires.carry(a.bond(), b.bond(), time);
            a.bond().handle_timeout(time);
            b.bond().handle_timeout(time);
            a.act(time, &mut random);
            b.act(time, &mut random);
            wires.collect(a.bond(), b.bond(), &mut wire, time);
            if restarted.is_none() && b.read > 100_000 {
                (b, restarted) = (Bulk::new(bond(FAST, 3, 77, keys, Some(65_536)), 0, 10_000_000), Some(now));
                // its clock has the same zero
                b.bond().handle_timeout(time);
            }
            now += 200;
            assert!(now < 20_000_000);
        }
        assert_eq!(a.lost, Some(Loss::PeerRestarted));
        let took = now - restarted.unwrap();
        println!("told after {took} us");
        assert!(took < 1_000_000, "{took}");
    }
}

/// A new end in the place of one that went without a word meets the next session of its peer, and never the end of the
/// one before; with one wire or several, whoever calls.
#[test]
fn a_new_end_is_met_by_the_next_session() {
    for_seeds(200, |seed| {
        let mut random = Random::new(seed);
        let (count, latency) = (1 + random.below(3) as usize, random.below(5_000));
        let (ours, theirs) = random_keys(&mut random);
        let mut wires = Wires::clean(count, FAST, latency);
        let mut a = bond(FAST, count, random.bits(), ours, None);
        let mut b = bond(FAST, count, random.bits(), theirs, None);
        let (mut now, mut wire) = (0u64, vec![0; FRAME_MAX]);
        let (mut replaced, mut accepted, mut asked) = (None, false, None);
        let replace_at = 100_000 + random.below(400_000);
        while !accepted {
            let time = Instant::from_micros(now);
            wires.carry(&mut a, &mut b, time);
            a.handle_timeout(time);
            b.handle_timeout(time);
            while let Some(event) = b.poll_event() {
                match event {
                    Event::Asked(id) => b.accept(id, Class::Learnt, vec![0; 512], vec![0; 512]).unwrap(),
                    Event::Lost(_) => b = bond(FAST, count, random.bits(), theirs, None),
                    _ => {}
                }
            }
            while let Some(event) = a.poll_event() {
                match event {
                    Event::Opened { .. } => asked = Some(a.open(b"x", Class::Learnt, vec![0; 512], vec![0; 512]).unwrap()),
                    Event::Accepted(id) => accepted = replaced.is_some() && asked == Some(id),
                    Event::Lost(loss) => panic!("told of {loss:?}, {} us after it began", now - replaced.unwrap_or(0)),
                    _ => {}
                }
            }
            wires.collect(&mut a, &mut b, &mut wire, time);
            if replaced.is_none() && now >= replace_at && asked.is_some() {
                (a, replaced, asked) = (bond(FAST, count, random.bits(), ours, None), Some(now), None);
                a.handle_timeout(time);
            }
            now += 200;
            assert!(now < 20_000_000, "a {}\nb {}", describe(&a, time), describe(&b, time));
        }
    });
}

/// A wire that leads to somebody else carries nothing, whoever that is, and harms nothing.
#[test]
fn strangers_are_not_joined() {
    for keys in [Keys::Plain, Keys::Psk] {
        let (mut ab, mut ac) = (Wires::clean(2, FAST, 300), Wires::clean(2, FAST, 300));
        let mut a = Bulk::new(bond(FAST, 2, 5, keys, Some(65_536)), 500_000, 0);
        let mut b = Bulk::new(bond(FAST, 2, 9, keys, Some(65_536)), 0, 500_000);
        let mut c = Bulk::new(bond(FAST, 2, 77, keys, Some(65_536)), 30_000, 0);
        // a's second wire goes to c, and nothing to b's
        ab.gone.extend([(false, 1), (true, 1)]);
        ac.gone.extend([(false, 0), (true, 0)]);
        let (mut now, mut wire, mut random, mut seen) = (0u64, vec![0; FRAME_MAX], Random::new(1), false);
        while !a.finished || !b.finished {
            let time = Instant::from_micros(now);
            ab.carry(a.bond(), b.bond(), time);
            if now > 200_000 {
                ac.carry(a.bond(), c.bond(), time);
            }
            for end in [&mut a, &mut b, &mut c] {
                end.bond().handle_timeout(time);
                end.act(time, &mut random);
            }
            ab.collect(a.bond(), b.bond(), &mut wire, time);
            ac.collect(a.bond(), c.bond(), &mut wire, time);
            seen |= a.bond().paths()[1].is_foreign();
            assert!(!a.bond().paths()[1].is_up());
            now += 100;
            assert!(now < 20_000_000, "{} {}", describe(&a.bond, time), describe(&b.bond, time));
        }
        assert!(seen && c.bond().stats().bytes_out == 0);
    }
}

/// One end with several ports and one with a single port tell each other so.
#[test]
fn one_port_does_not_fit_several() {
    let mut a = Bulk::new(bond(FAST, 2, 5, Keys::Plain, Some(4096)), 10, 0);
    let mut b = Bulk::new(bond(FAST, 1, 9, Keys::Plain, Some(4096)), 0, 10);
    let mut wires = Wires::clean(1, FAST, 300);
    run(&mut a, &mut b, &mut wires, 1, 10_000_000);
    assert_eq!((a.lost, b.lost), (Some(Loss::Bond), Some(Loss::Bond)));
}

// ---- somebody types -----------------------------------------------------------------------------

/// Types a byte now and then and waits for its echo, while another channel has all wires busy both ways.
struct Typist {
    client: Client,
    id: Option<u16>,
    next: u64,
    sent_at: Option<u64>,
    echoes: Vec<u64>,
    wanted: usize,
}

impl User for Typist {
    fn bond(&mut self) -> &mut Bond {
        &mut self.client.bond
    }
    fn act(&mut self, now: Instant, random: &mut Random) {
        self.client.act(now, random);
        if self.id.is_none() && self.client.bond.state() == State::Open {
            self.id = self.client.bond.open(b"echo", Class::Learnt, vec![0; 512], vec![0; 512]).ok();
        }
        let Some(channel) = self.id.and_then(|id| self.client.bond.channel(id)) else { return };
        let mut byte = [0];
        if channel.read(&mut byte) == 1 {
            self.echoes.push(now.as_micros() - self.sent_at.take().unwrap());
            self.next = now.as_micros() + 20_000 + random.below(100_000);
        }
        if self.sent_at.is_none() && now.as_micros() >= self.next {
            channel.write(b"x");
            self.sent_at = Some(now.as_micros());
        }
    }
    fn is_over(&self) -> bool {
        self.echoes.len() >= self.wanted
    }
    fn wake(&self) -> Option<u64> {
        self.sent_at.is_none().then_some(self.next)
    }
}

/// Echoes in microseconds, sorted, but for the first three; and the share of all wires that the bulk had.
fn types(wires: &mut Wires, wanted: usize) -> (Vec<u64>, f64) {
    let count = wires.to.len();
    let bulk = job(Class::Learnt, 1 << 40, 1 << 19);
    let client = Client::new(bond(FAST, count, 5, Keys::Plain, None), vec![bulk], 1);
    let mut a = Typist { client, id: None, next: 500_000, sent_at: None, echoes: Vec::new(), wanted };
    struct Never(Server);
    impl User for Never {
        fn bond(&mut self) -> &mut Bond {
            &mut self.0.bond
        }
        fn act(&mut self, now: Instant, random: &mut Random) {
            self.0.act(now, random);
        }
        fn is_over(&self) -> bool {
            true
        }
    }
    let mut b = Never(Server::new(bond(FAST, count, 9, Keys::Plain, None), 1 << 19));
    let took = run(&mut a, &mut b, wires, 1, 60_000_000);
    let share = a.client.bond.stats().bytes_out as f64 / (took as f64 / 1e6) / f64::from(FAST / 10) / count as f64;
    let mut late = a.echoes.split_off(3);
    late.sort_unstable();
    (late, share)
}

/// A keystroke overtakes bulk, is not sent by a slow wire while there is a quick one, and is late but once
/// when its wire goes silent.
#[test]
fn a_keystroke_takes_the_quickest_wire() {
    let line = |latency: u64, timer: u64, seed| Line::new(FAST, latency, timer, NoiseConfig::default(), seed);
    for (name, slow) in [("alike", (300, 0)), ("three with 20 ms", (20_000, 0)), ("three with a timer of 16 ms", (300, 16_000))] {
        let pair = |w: u64| {
            let (latency, timer) = if w == 2 { (300, 0) } else { slow };
            (line(latency, timer, 2 * w), line(latency, timer, 2 * w + 1))
        };
        let mut wires = Wires::new((0..4).map(pair).collect());
        let (late, share) = types(&mut wires, 100);
        let (median, p99) = (late[late.len() / 2], late[late.len() * 99 / 100]);
        println!("{name}: median {median} p99 {p99} us; bulk has {share:.3} of four wires");
        assert!(median <= 4_000 && p99 <= 8_000, "{name}: {median} {p99}");
        assert!(share > 0.6, "{name}: {share}");
    }
    // the quickest goes silent, without a word
    let mut wires = Wires::clean(4, FAST, 300);
    for line in [&mut wires.ab[0], &mut wires.ba[0]] {
        line.outages.push((2_000_000, 60_000_000));
    }
    let (late, _) = types(&mut wires, 100);
    let (median, most) = (late[late.len() / 2], late[late.len() - 1]);
    println!("one goes silent: median {median}, most {most} us");
    assert!(median <= 4_000 && most <= 300_000, "{median} {most}");
}
