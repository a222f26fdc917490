//! Two links on a virtual line: a clock that is only a number, seeded noise, no waiting.
#![allow(dead_code, missing_docs, unreachable_pub)]

pub mod duo;
pub mod rated;

use std::collections::VecDeque;

use link::sim::{Noise, NoiseConfig, Random};
use link::{Config, Event, FRAME_MAX, Handshake as IsHandshake, Instant, Link, Noise as Handshake, Path};

/// One direction of the line: bytes leave at the rate, arrive later, in pieces, damaged.
pub struct Line {
    rate: u64,
    latency_us: u64,
    /// USB adapter: hands over full 62-byte packets at once, the rest when this timer ticks; 0 = off.
    timer_us: u64,
    noise: Noise,
    /// From, to (µs): nothing passes.
    pub outages: Vec<(u64, u64)>,
    free_ns: u64,
    flight: VecDeque<(u64, u8)>,
    pub carried: u64,
    /// One fault, at this byte.
    pub fault: Option<(u64, Fault)>,
    /// What always becomes of certain bytes.
    pub alters: Option<Alters>,
}

/// What a terminal server or a driver that is not transparent does to bytes.
#[derive(Clone, Copy, Debug)]
pub enum Alters {
    /// This one arrives twice.
    Doubles(u8),
    /// These never arrive.
    Eats(&'static [u8]),
}

/// What can happen once to the bytes of a line.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// One bit turns.
    Flip,
    /// So many bytes are random.
    Burst(u64),
    /// So many bytes are lost.
    Lose(u64),
    /// A byte comes in.
    Insert(u8),
    /// Bytes that look like the beginning of a frame come in.
    FalseHead,
}

impl Line {
    pub fn new(baud: u32, latency_us: u64, timer_us: u64, noise: NoiseConfig, seed: u64) -> Line {
        Line {
            rate: u64::from(baud / 10),
            latency_us,
            timer_us,
            noise: Noise::new(noise, seed),
            outages: Vec::new(),
            free_ns: 0,
            flight: VecDeque::new(),
            carried: 0,
            fault: None,
            alters: None,
        }
    }
    /// What the fault makes of the byte that is number `n` on the line.
    fn strike(&self, n: u64, byte: u8) -> Vec<u8> {
        let random = |i: u64| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8;
        match self.alters {
            Some(Alters::Doubles(it)) if it == byte => return vec![byte, byte],
            Some(Alters::Eats(those)) if those.contains(&byte) => return vec![],
            _ => {}
        }
        match self.fault {
            Some((at, Fault::Flip)) if n == at => vec![byte ^ 4],
            Some((at, Fault::Burst(len))) if at <= n && n < at + len => vec![random(n)],
            Some((at, Fault::Lose(len))) if at <= n && n < at + len => vec![],
            Some((at, Fault::Insert(extra))) if n == at => vec![extra, byte],
            // a plain head with its right check, that claims 4000 bytes
            Some((at, Fault::FalseHead)) if n == at => {
                let word = 4000u16.to_le_bytes();
                vec![0xB5, word[0], word[1], link::wire::check::head(4000), byte]
            }
            _ => vec![byte],
        }
    }
    pub fn send(&mut self, bytes: &[u8], now: Instant) {
        for &byte in bytes {
            self.free_ns = self.free_ns.max(now.as_micros() * 1000) + 1_000_000_000 / self.rate;
            let left = self.free_ns / 1000;
            self.carried += 1;
            if self.outages.iter().any(|o| o.0 <= left && left < o.1) {
                continue;
            }
            let arrival = left + self.latency_us;
            for byte in self.strike(self.carried, byte) {
                let flight = &mut self.flight;
                self.noise.pass(byte, |b| flight.push_back((arrival, b)));
            }
        }
    }
    /// How long what was given to the line and has not left takes (µs).
    pub fn queue_us(&self, now: Instant) -> u64 {
        (self.free_ns / 1000).saturating_sub(now.as_micros())
    }
    /// When the next bytes can be taken.
    pub fn next(&self) -> Option<u64> {
        let &(first, _) = self.flight.front()?;
        if self.timer_us == 0 {
            return Some(first);
        }
        let tick = first.div_ceil(self.timer_us) * self.timer_us;
        Some(self.flight.get(61).map_or(tick, |full| full.0.min(tick)))
    }
    pub fn take(&mut self, now: Instant, out: &mut Vec<u8>) {
        out.clear();
        if self.next().is_some_and(|at| at <= now.as_micros()) {
            while self.flight.front().is_some_and(|b| b.0 <= now.as_micros()) {
                out.extend(self.flight.pop_front().map(|b| b.1));
            }
        }
    }
}

/// One end with its user: writes a known stream, checks what it reads.
pub struct End {
    pub link: Link<Vec<u8>, 1024, 1, Option<Handshake>>,
    to_write: u64,
    written: u64,
    pub read: u64,
    write_seed: u64,
    read_seed: u64,
    pub expected: u64,
    /// Largest write at a time.
    pub burst: u64,
    /// The reader takes nothing before this moment (µs).
    pub stalled_until: u64,
    pub finished_at: Option<u64>,
    pub lost: Option<link::Event>,
}

/// Byte `i` of the stream with this seed.
pub fn stream_byte(seed: u64, i: u64) -> u8 {
    ((i ^ seed).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8
}

impl End {
    pub fn new(config: Config, session: u64, window: usize, seeds: (u64, u64), bytes: (u64, u64)) -> End {
        End::sealed(None, config, session, window, seeds, bytes)
    }
    pub fn sealed(
        handshake: Option<Handshake>,
        config: Config,
        session: u64,
        window: usize,
        seeds: (u64, u64),
        bytes: (u64, u64),
    ) -> End {
        End {
            link: Link::new(config, session, Instant::default(), vec![0; window], vec![0; window]).sealed(handshake),
            to_write: bytes.0,
            written: 0,
            read: 0,
            write_seed: seeds.0,
            read_seed: seeds.1,
            expected: bytes.1,
            burst: u64::MAX,
            stalled_until: 0,
            finished_at: None,
            lost: None,
        }
    }
    fn act(&mut self, now: Instant, random: &mut Random) {
        let mut most = self.to_write - self.written;
        if self.burst != u64::MAX {
            most = most.min(random.below(self.burst + 1));
        }
        write_known(&mut self.link, self.write_seed, &mut self.written, most);
        if self.written == self.to_write {
            self.link.finish();
        }
        if now.as_micros() >= self.stalled_until {
            read_known(&mut self.link, self.read_seed, &mut self.read);
        }
        if self.link.at_end() {
            self.link.confirm(now);
        }
        while let Some(event) = self.link.poll_event() {
            match event {
                Event::Finished => {
                    assert_eq!(self.read, self.expected, "finished, so everything was read");
                    assert_eq!(self.link.stats().bytes_out, self.to_write, "and acknowledged");
                    self.finished_at = Some(now.as_micros());
                }
                Event::Lost(_) => self.lost = Some(event),
                _ => {}
            }
        }
    }
}

/// Writes of the stream of this seed what goes on behind `written`, at most so much and as far as there is room.
pub fn write_known<const N: usize, const C: usize, H: IsHandshake, S>(
    link: &mut Link<Vec<u8>, N, C, H, S>,
    seed: u64,
    written: &mut u64,
    most: u64,
) where
    S: AsRef<[Path<N, H>]> + AsMut<[Path<N, H>]>,
{
    let room = (link.writable() as u64).min(most);
    let piece: Vec<u8> = (*written..*written + room).map(|i| stream_byte(seed, i)).collect();
    *written += link.write(&piece) as u64;
}

/// Reads all there is, which must be what goes on behind `read` in the stream of this seed.
#[track_caller]
pub fn read_known<const N: usize, const C: usize, H: IsHandshake, S>(
    link: &mut Link<Vec<u8>, N, C, H, S>,
    seed: u64,
    read: &mut u64,
) where
    S: AsRef<[Path<N, H>]> + AsMut<[Path<N, H>]>,
{
    let mut buffer = [0u8; 4096];
    loop {
        let n = link.read(&mut buffer);
        for (i, &byte) in buffer[..n].iter().enumerate() {
            assert_eq!(byte, stream_byte(seed, *read + i as u64), "byte {}", *read + i as u64);
        }
        *read += n as u64;
        if n == 0 {
            return;
        }
    }
}

fn seeds(count: u64) -> Vec<u64> {
    match std::env::var("HARDLINE_SEED") {
        Ok(seed) => vec![seed.parse().expect("HARDLINE_SEED is a number")],
        Err(_) => (0..count).collect(),
    }
}

/// A link with hundreds of channels passes through the stack on its way into its box.
const BIG_STACK: usize = 16 << 20;

pub fn on_a_big_stack(test: impl FnOnce() + Send + 'static) {
    let ran = std::thread::Builder::new().stack_size(BIG_STACK).spawn(test).expect("a thread").join();
    if let Err(panic) = ran {
        std::panic::resume_unwind(panic);
    }
}

/// Runs `one` for every seed on all cores; a panic names its seed.
pub fn for_seeds(count: u64, one: impl Fn(u64) + Sync) {
    let seeds = seeds(count);
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            let big = std::thread::Builder::new().stack_size(BIG_STACK);
            let worker = big.spawn_scoped(scope, || {
                while let Some(&seed) = seeds.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                    let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| one(seed)));
                    assert!(ran.is_ok(), "seed {seed} failed: run again with HARDLINE_SEED={seed}");
                }
            });
            worker.expect("a thread");
        }
    });
}

pub fn random_noise(random: &mut Random) -> NoiseConfig {
    let ber = [0.0, 1e-6, 1e-5, 1e-4, 1e-3, 2e-3][random.below(6) as usize];
    let mut noise = NoiseConfig { ber, ..NoiseConfig::default() };
    if random.chance(0.3) {
        (noise.burst, noise.burst_len, noise.burst_ber) = (1e-4, 30.0, 0.3);
    }
    if random.chance(0.3) {
        (noise.drop, noise.drop_len) = (1e-4, 1 + random.below(64) as u32);
    }
    if random.chance(0.3) {
        noise.insert = 1e-4;
    }
    noise
}

/// An end of the line with whoever uses it.
pub trait Station {
    fn handle(&mut self, bytes: &[u8], now: Instant);
    /// The user acts.
    fn user(&mut self, now: Instant, random: &mut Random);
    fn transmit(&mut self, out: &mut [u8], now: Instant) -> Option<usize>;
    /// When to come back, if nothing happens before.
    fn wake(&self, now: Instant) -> Option<u64>;
    fn is_over(&self) -> bool;
    fn describe(&self) -> String;
}

impl Station for End {
    fn handle(&mut self, bytes: &[u8], now: Instant) {
        self.link.handle_bytes(bytes, now);
        self.link.handle_timeout(now);
    }
    fn user(&mut self, now: Instant, random: &mut Random) {
        self.act(now, random);
    }
    fn transmit(&mut self, out: &mut [u8], now: Instant) -> Option<usize> {
        self.link.poll_transmit(out, now)
    }
    fn wake(&self, now: Instant) -> Option<u64> {
        let stalled = Some(self.stalled_until).filter(|&until| until > now.as_micros());
        self.link.poll_timeout().map(Instant::as_micros).into_iter().chain(stalled).min()
    }
    fn is_over(&self) -> bool {
        self.finished_at.is_some() || self.lost.is_some()
    }
    fn describe(&self) -> String {
        format!("{:?} {:?}", self.link.state(), self.link.stats())
    }
}

/// Sees that nobody says that something is due, again and again, and sends nothing.
#[derive(Default)]
pub struct Idle {
    carried: u64,
    rounds: u32,
}

impl Idle {
    /// `next`: when there is something to do; `carried`: bytes sent so far, by both.
    pub fn look(&mut self, next: u64, now: Instant, carried: u64, tell: impl FnOnce() -> String) {
        let idle = next <= now.as_micros() && carried == self.carried;
        (self.carried, self.rounds) = (carried, if idle { self.rounds + 1 } else { 0 });
        assert!(self.rounds < 100, "due, and sends nothing at {now:?}: {}", tell());
    }
}

/// Runs both ends until both are over; panics after `limit_us`.
pub fn run<A: Station, B: Station>(a: &mut A, b: &mut B, ab: &mut Line, ba: &mut Line, seed: u64, limit_us: u64) -> u64 {
    let mut random = Random::new(seed ^ 0xABCD);
    let (mut now, mut wire, mut bytes) = (Instant::default(), vec![0u8; FRAME_MAX], Vec::new());
    let (mut rounds, mut idle) = (0u64, Idle::default());
    loop {
        step(a, ab, ba, now, &mut random, &mut wire, &mut bytes);
        step(b, ba, ab, now, &mut random, &mut wire, &mut bytes);
        if a.is_over() && b.is_over() {
            return now.as_micros();
        }
        assert!(now.as_micros() < limit_us, "stalled: a {} b {}", a.describe(), b.describe());
        rounds += 1;
        assert!(rounds < 20_000_000, "spinning at {now:?}");
        let next = [a.wake(now), b.wake(now), ab.next(), ba.next()].into_iter().flatten().min().expect("something must come");
        idle.look(next, now, ab.carried + ba.carried, || format!("a {} b {}", a.describe(), b.describe()));
        // a host is not instant either; this also keeps time moving
        now = Instant::from_micros(next.max(now.as_micros() + 1 + random.below(300)));
    }
}

/// One end takes what came, lets its user act, and sends what is due.
pub fn step<S: Station>(
    end: &mut S,
    out: &mut Line,
    into: &mut Line,
    now: Instant,
    random: &mut Random,
    wire: &mut [u8],
    bytes: &mut Vec<u8>,
) {
    into.take(now, bytes);
    end.handle(bytes, now);
    end.user(now, random);
    while let Some(n) = end.transmit(wire, now) {
        out.send(&wire[..n], now);
    }
}
