//! Several wires as one link, on virtual lines: byte-exact whatever happens to any of them, no wire drags
//! the others, and nobody who is not the peer gets in.
#![allow(missing_docs)]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{Line, for_seeds, stream_byte};
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
}

impl Wires {
    fn new(lines: Vec<(Line, Line)>) -> Wires {
        let (ab, ba): (Vec<_>, Vec<_>) = lines.into_iter().unzip();
        let to = (0..ab.len()).collect();
        Wires { ab, ba, to, blows: Vec::new(), back: Vec::new(), gone: BTreeSet::new() }
    }
    fn clean(count: usize, baud: u32, latency_us: u64) -> Wires {
        let line = |seed| Line::new(baud, latency_us, 0, NoiseConfig::default(), seed);
        Wires::new((0..count as u64).map(|w| (line(2 * w), line(2 * w + 1))).collect())
    }
    fn next(&self) -> Option<u64> {
        let lines = self.ab.iter().chain(&self.ba).filter_map(Line::next);
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
            }
        }
    }
    fn carry(&mut self, a: &mut Bond, b: &mut Bond, now: Instant) {
        let mut bytes = Vec::new();
        for (w, &to) in self.to.iter().enumerate() {
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
    let (mut now, mut wire, mut rounds) = (Instant::default(), vec![0u8; FRAME_MAX], 0u64);
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
        now = Instant::from_micros(next.max(now.as_micros() + 1 + random.below(100)));
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
    for_seeds(2000, |seed| {
        let mut random = Random::new(seed);
        let count = 2 + random.below(3) as usize;
        let baud = [115_200, 921_600, 2_000_000][random.below(3) as usize];
        let mut wires = random_wires(&mut random, count, baud, seed);
        // in any order
        for w in (1..count).rev() {
            wires.to.swap(w, random.below(w as u64 + 1) as usize);
        }
        if random.chance(0.2) {
            let (x, y) = (random.below(count as u64) as usize, random.below(count as u64) as usize);
            wires.blows.push((500_000 + random.below(2_000_000), Blow::Swap(x, y)));
        }
        let jobs: Vec<Job> = (0..1 + random.below(12))
            .map(|_| {
                let class = [Class::Learnt, Class::Interactive, Class::Bulk][random.below(3) as usize];
                let mut job = job(class, random.below(u64::from(baud) / 40), 256 << random.below(9));
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
    });
}
