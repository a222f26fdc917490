//! What an end hears of itself, and of other sessions, on virtual lines: nothing of it is ever taken, whatever the wires do.
#![allow(missing_docs)]

mod common;

use common::{Line, for_seeds, read_known, stream_byte, write_known};
use link::sim::{NoiseConfig, Random};
use link::{Class, Config, Event, FRAME_MAX, Instant, Link, Loss, Path, Plain, Rates, State};

const BAUD: u32 = 1_000_000;
const GRACE_US: u64 = 8_000_000;

type End = Link<Vec<u8>, 256, 8, Plain, Vec<Path<256>>>;

/// An end and its user, who writes a stream of its own and knows the peer's.
struct Station {
    link: End,
    seeds: (u64, u64),
    bytes: (u64, u64),
    written: u64,
    read: u64,
    channel: Option<u16>,
    finished: bool,
    lost: Option<Loss>,
    events: Vec<Event>,
    /// Bits per second of its port.
    baud: u32,
}

/// How the two ends use their session.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Use {
    Stream,
    Channel,
    /// One stream, by two wires.
    Bond,
    /// One stream, at a rate that climbs.
    Climb,
}

const USES: [Use; 4] = [Use::Stream, Use::Channel, Use::Bond, Use::Climb];

impl Station {
    fn new(use_: Use, id: u64, seeds: (u64, u64), bytes: (u64, u64)) -> Station {
        let paths = if use_ == Use::Bond { 2 } else { 1 };
        let baud = if use_ == Use::Climb { 115_200 } else { BAUD };
        let config = Config { grace_us: GRACE_US, ..Config::for_baud(baud) };
        let sole = (use_ != Use::Channel).then(|| (vec![0; 32_768], vec![0; 32_768]));
        let path = |_| Path::new(config, Instant::default(), use_ == Use::Channel);
        let mut link = End::bonded(baud / 10, id, Instant::default(), (0..paths).map(path).collect(), sole);
        if use_ == Use::Climb {
            link.set_rates_of(0, Rates::of(|rate| rate <= BAUD), Instant::default());
        }
        Station { link, seeds, bytes, written: 0, read: 0, channel: None, finished: false, lost: None, events: Vec::new(), baud }
    }
    fn act(&mut self, now: Instant) {
        while let Some(event) = self.link.poll_event() {
            match event {
                Event::Finished => self.finished = true,
                Event::Lost(loss) => self.lost = Some(loss),
                Event::Asked(id) => {
                    self.link.accept(id, Class::Bulk, vec![0; 32_768], vec![0; 32_768]).expect("there is room");
                    self.channel = Some(id);
                }
                Event::Closed(_) => self.finished = true,
                _ => {}
            }
            self.events.push(event);
        }
        if self.link.channels().next().is_none() && self.channel.is_none() {
            if self.link.state() == State::Open && self.seeds.0 < self.seeds.1 {
                self.channel = self.link.open(b"x", Class::Bulk, vec![0; 32_768], vec![0; 32_768]).ok();
            }
            return;
        }
        match self.channel {
            None => self.use_stream(now),
            Some(id) => self.use_channel(id),
        }
    }
    fn use_stream(&mut self, now: Instant) {
        let most = self.bytes.0 - self.written;
        write_known(&mut self.link, self.seeds.0, &mut self.written, most);
        if self.written == self.bytes.0 {
            self.link.finish();
        }
        read_known(&mut self.link, self.seeds.1, &mut self.read);
        if self.link.at_end() {
            assert_eq!(self.read, self.bytes.1, "the end of the peer's stream");
            self.link.confirm(now);
        }
    }
    fn use_channel(&mut self, id: u16) {
        let Some(channel) = self.link.channel(id) else { return };
        let room = (channel.writable() as u64).min(self.bytes.0 - self.written);
        let piece: Vec<u8> = (self.written..self.written + room).map(|i| stream_byte(self.seeds.0, i)).collect();
        self.written += channel.write(&piece) as u64;
        if self.written == self.bytes.0 {
            channel.finish();
        }
        let mut buffer = [0; 4096];
        loop {
            let n = channel.read(&mut buffer);
            for &byte in &buffer[..n] {
                assert_eq!(byte, stream_byte(self.seeds.1, self.read), "byte {}", self.read);
                self.read += 1;
            }
            if n == 0 {
                break;
            }
        }
        if channel.at_end() {
            assert_eq!(self.read, self.bytes.1, "the end of the peer's stream");
            channel.confirm();
        }
    }
    fn is_over(&self) -> bool {
        self.finished || self.lost.is_some()
    }
    fn sent_all(&self) -> bool {
        match self.channel {
            None => self.link.is_sent() || self.link.is_delivered(),
            Some(_) => self.finished,
        }
    }
    fn stats(&self) -> link::Stats {
        self.link.stats()
    }
}

/// From which port to which, and when (µs) that is so.
#[derive(Clone, Copy, Debug)]
struct Wire {
    from: (usize, usize),
    to: (usize, usize),
    during: (u64, u64),
}

const ALWAYS: (u64, u64) = (0, u64::MAX);

/// Ends, and the wires between their ports.
struct World {
    ends: Vec<Station>,
    wires: Vec<(Wire, Line)>,
    random: Random,
    now: u64,
    noise: NoiseConfig,
}

impl World {
    fn new(ends: Vec<Station>, noise: NoiseConfig, seed: u64) -> World {
        World { ends, wires: Vec::new(), random: Random::new(seed ^ 0xF0E1), now: 0, noise }
    }
    /// A pair of streams between two ends of `use_`.
    fn pair(use_: Use, noise: NoiseConfig, seed: u64, bytes: (u64, u64)) -> World {
        World::new(pair(use_, seed, bytes).into(), noise, seed)
    }
    fn wire(&mut self, from: (usize, usize), to: (usize, usize), during: (u64, u64)) {
        let seed = self.random.bits();
        self.wires.push((Wire { from, to, during }, Line::new(BAUD, 300, 0, self.noise, seed)));
    }
    fn both_ways(&mut self, a: (usize, usize), b: (usize, usize), during: (u64, u64)) {
        self.wire(a, b, during);
        self.wire(b, a, during);
    }
    fn echo(&mut self, end: (usize, usize), during: (u64, u64)) {
        self.wire(end, end, during);
    }

    fn step(&mut self) {
        let now = Instant::from_micros(self.now);
        let mut bytes = Vec::new();
        for (wire, line) in &mut self.wires {
            line.take(now, &mut bytes);
            self.ends[wire.to.0].link.handle_bytes_of(wire.to.1, &bytes, now);
        }
        let mut out = vec![0; FRAME_MAX];
        for at in 0..self.ends.len() {
            let end = &mut self.ends[at];
            end.link.handle_timeout(now);
            if let Some(baud) = end.link.port_rate_of(0, now) {
                end.baud = baud;
                end.link.handle_rate_of(0, now);
            }
            end.act(now);
            for path in 0..end.link.paths().len() {
                while let Some(n) = self.ends[at].link.poll_transmit_of(path, &mut out, now) {
                    self.send((at, path), &out[..n]);
                }
            }
        }
        self.check();
    }
    fn send(&mut self, from: (usize, usize), bytes: &[u8]) {
        let (now, baud) = (self.now, self.ends[from.0].baud);
        for at in 0..self.wires.len() {
            let Wire { from: begin, to, during } = self.wires[at].0;
            if begin == from && during.0 <= now && now < during.1 {
                // at another rate it is something else
                let garbled = baud != self.ends[to.0].baud;
                let piece: Vec<u8> = bytes.iter().map(|&b| if garbled { b.rotate_left(3) ^ 0x5A } else { b }).collect();
                // what comes to a port comes frame by frame, from wherever
                let first = self.wires.iter().position(|(wire, _)| wire.to == to);
                self.wires[first.unwrap_or(at)].1.send(&piece, Instant::from_micros(now));
            }
        }
    }
    /// Whoever says that all of its stream was delivered says the truth.
    fn check(&self) {
        for (at, end) in self.ends.iter().enumerate() {
            let peer = self.ends.iter().find(|peer| peer.seeds.0 == end.seeds.1);
            let got = peer.map_or(0, |peer| peer.read);
            // what has come to the peer may not be read yet
            let waits = peer.map_or(0, |peer| peer.link.readable() as u64);
            assert!(!end.sent_all() || got + waits >= end.bytes.0, "end {at} says so of {} bytes, {got} came", end.bytes.0);
            assert!(!end.finished || (got == end.bytes.0 && end.read == end.bytes.1), "end {at} has finished");
        }
    }
    /// Until all are over.
    fn run(&mut self, limit_us: u64) {
        self.run_until(limit_us, |world| world.ends.iter().all(Station::is_over));
    }
    fn run_until(&mut self, limit_us: u64, over: impl Fn(&World) -> bool) {
        let mut rounds = 0;
        while !over(self) {
            self.step();
            let tell = || self.ends.iter().map(|end| format!("\n{:?} {} {:?}", end.link.state(), end.read, end.stats()));
            assert!(self.now < limit_us, "stalled:{}", tell().collect::<String>());
            rounds += 1;
            assert!(rounds < 10_000_000, "spinning:{}", tell().collect::<String>());
            let timers = self.ends.iter().filter_map(|end| end.link.poll_timeout()).map(Instant::as_micros);
            let lines = self.wires.iter().filter_map(|(_, line)| line.next());
            // where all are silent for good, time passes all the same
            let next = timers.chain(lines).min().unwrap_or(self.now + 1_000_000);
            self.now = next.max(self.now + 1 + self.random.below(300));
        }
    }
}

/// Two ends of one session; no two calls give the same streams for the same seed but another use of it.
fn pair(use_: Use, seed: u64, bytes: (u64, u64)) -> [Station; 2] {
    let mut random = Random::new(seed);
    let (a, b) = (random.bits(), random.bits());
    let seeds = (2 * seed + 2, 2 * seed + 3);
    [Station::new(use_, a, seeds, bytes), Station::new(use_, b, (seeds.1, seeds.0), (bytes.1, bytes.0))]
}

fn clean() -> NoiseConfig {
    NoiseConfig::default()
}
fn noisy(random: &mut Random) -> NoiseConfig {
    if random.chance(0.5) { clean() } else { NoiseConfig { ber: 1e-5, drop: 1e-5, drop_len: 8, ..clean() } }
}
fn some_bytes(random: &mut Random) -> (u64, u64) {
    let mut some = || if random.chance(0.2) { random.below(3) } else { random.below(60_000) };
    (some(), some())
}

/// One end, or both, also hear what they say (two wires with the receiver on, crosstalk): all is delivered.
#[test]
fn an_echo_beside_delivery_does_no_harm() {
    for_seeds(24, |seed| {
        let mut random = Random::new(seed);
        let (use_, bytes) = (USES[seed as usize % 4], some_bytes(&mut random));
        let mut world = World::pair(use_, noisy(&mut random), seed, bytes);
        let both = random.chance(0.7);
        for path in 0..world.ends[0].link.paths().len() {
            world.both_ways((0, path), (1, path), ALWAYS);
            world.echo((0, path), ALWAYS);
            if both {
                world.echo((1, path), ALWAYS);
            }
        }
        world.run(600_000_000);
        for (at, end) in world.ends.iter().enumerate() {
            assert!(end.finished, "{use_:?}: {:?}", end.lost);
            let told = end.events.iter().filter(|event| **event == Event::Echo).count();
            assert_eq!(told, usize::from(at == 0 || both) * end.link.paths().len(), "{use_:?} {at}: {:?}", end.events);
            assert_eq!(end.stats().echoes > 0, at == 0 || both);
            assert!(!end.events.contains(&Event::Foreign), "{use_:?} {at}");
        }
    });
}

/// An echo of frames alone costs no frame, and is no damage.
#[test]
fn an_echo_is_no_damage() {
    let mut world = World::pair(Use::Stream, clean(), 1, (100_000, 0));
    world.both_ways((0, 0), (1, 0), ALWAYS);
    world.echo((0, 0), ALWAYS);
    world.run(60_000_000);
    let stats = world.ends[0].stats();
    assert_eq!((stats.frames_bad, stats.junk, stats.resends), (0, 0, 0), "{stats:?}");
    assert!(stats.echoes + 3 > stats.frames_out, "all but the last come back: {stats:?}");
    assert!(world.now < 2_600_000, "{}", world.now);
}

/// From a moment on both ends hear themselves alone, or one does: the grace time ends it, and the truth is told.
#[test]
fn a_loop_is_silence() {
    for_seeds(24, |seed| {
        let mut random = Random::new(seed);
        let (use_, bytes) = (USES[seed as usize % 4], (1 + random.below(200_000), random.below(200_000)));
        let mut world = World::pair(use_, noisy(&mut random), seed, bytes);
        let at = random.below(1_500_000);
        for path in 0..world.ends[0].link.paths().len() {
            world.both_ways((0, path), (1, path), (0, at));
            world.echo((0, path), (at, u64::MAX));
            // the other end may hear nothing at all, or itself
            if random.chance(0.7) {
                world.echo((1, path), (at, u64::MAX));
            }
        }
        let limit = at + 3_000_000 + GRACE_US;
        world.run_until(limit + 5_000_000, |world| world.now >= limit || world.ends.iter().all(Station::is_over));
        for end in &world.ends {
            let waits = matches!(end.link.state(), State::Opening | State::Greeting);
            assert!(end.finished || waits || end.lost == Some(Loss::Silence), "{use_:?} {at}: {:?} {:?}", end.lost, end.stats());
        }
    });
}

/// The far end is gone, and a boot loader in its place sends back what comes: nothing was delivered.
#[test]
fn a_loader_that_echoes_takes_nothing() {
    for use_ in USES {
        for at in [100_000, 300_000, 700_000] {
            let mut world = World::pair(use_, clean(), at, (90_000, 20));
            for path in 0..world.ends[0].link.paths().len() {
                world.both_ways((0, path), (1, path), (0, at));
                world.echo((0, path), (at, u64::MAX));
            }
            world.run(at + GRACE_US + 3_000_000);
            assert!(world.ends[0].finished || world.ends[0].lost == Some(Loss::Silence), "{use_:?}");
        }
    }
}

/// Two wires between four ends change places, for a moment or for good.
#[test]
fn exchanged_wires_mix_nothing() {
    for_seeds(24, |seed| {
        let mut random = Random::new(seed);
        let uses = [USES[seed as usize % 4], USES[(seed / 4) as usize % 4]];
        let noise = noisy(&mut random);
        let (from, back) = (random.below(1_500_000), random.chance(0.5));
        let until = if back { from + random.below(GRACE_US / 2) } else { u64::MAX };
        let ends = uses.iter().zip([2 * seed, 2 * seed + 1]);
        let ends = ends.flat_map(|(&use_, seed)| pair(use_, seed, (40_000 + random.below(60_000), random.below(90_000))));
        let mut world = World::new(ends.collect(), noise, seed);
        for during in [(0, from), (until, u64::MAX)] {
            for path in 0..2 {
                world.both_ways((0, path), (1, path), during);
                world.both_ways((2, path), (3, path), during);
            }
        }
        for path in 0..2 {
            world.both_ways((0, path), (3, path), (from, until));
            world.both_ways((2, path), (1, path), (from, until));
        }
        world.wires.retain(|(wire, _)| [wire.from, wire.to].iter().all(|port| port.1 < world.ends[port.0].link.paths().len()));
        let limit = from + 60_000_000;
        world.run_until(limit + 1_000_000, |world| world.now > limit || world.ends.iter().all(Station::is_over));
        for end in &world.ends {
            let told = end.finished || end.lost.is_some() || matches!(end.link.state(), State::Opening | State::Greeting);
            assert!(told, "{uses:?} {from} {until}: {:?} {:?}", end.link.state(), end.stats());
            assert!(!back || end.finished, "{uses:?} {from} {until}: {:?} {:?}", end.lost, end.stats());
        }
    });
}

/// Those whose wires were changed for good are told so before the session is lost.
#[test]
fn whoever_hears_others_is_told() {
    let ends: Vec<_> = [1, 2].iter().flat_map(|&seed| pair(Use::Stream, seed, (3_000_000, 3_000_000))).collect();
    let mut world = World::new(ends, clean(), 1);
    for (a, b) in [(0, 1), (2, 3)] {
        world.both_ways((a, 0), (b, 0), (0, 400_000));
    }
    for (a, b) in [(0, 3), (2, 1)] {
        world.both_ways((a, 0), (b, 0), (400_000, u64::MAX));
    }
    world.run(400_000 + GRACE_US + 500_000);
    for end in &world.ends {
        assert_eq!(end.events.iter().filter(|event| **event == Event::Foreign).count(), 1, "{:?}", end.events);
        assert_eq!(end.lost, Some(Loss::Silence));
    }
}

/// The wires of one bond change places, or one of them with that of another bond: what was not torn goes on.
#[test]
fn exchanged_wires_of_bonds_are_found() {
    for_seeds(12, |seed| {
        let mut random = Random::new(seed);
        let at = 200_000 + random.below(1_000_000);
        let bytes = (300_000 + random.below(100_000), random.below(300_000));
        let ends = [2 * seed, 2 * seed + 1].iter().flat_map(|&seed| pair(Use::Bond, seed, bytes)).collect();
        let mut world = World::new(ends, noisy(&mut random), seed);
        for path in 0..2 {
            world.both_ways((0, path), (1, path), (0, at));
            world.both_ways((2, path), (3, path), (0, at));
        }
        let after = (at, u64::MAX);
        if random.chance(0.5) {
            for path in 0..2 {
                world.both_ways((0, path), (1, 1 - path), after);
                world.both_ways((2, path), (3, path), after);
            }
        } else {
            world.both_ways((0, 0), (1, 0), after);
            world.both_ways((2, 0), (3, 0), after);
            world.both_ways((0, 1), (3, 1), after);
            world.both_ways((2, 1), (1, 1), after);
        }
        world.run(at + 60_000_000);
        for end in &world.ends {
            assert!(end.finished, "{:?} {:?}", end.lost, end.stats());
        }
    });
}
