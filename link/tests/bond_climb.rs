//! Several wires as one link whose ports find their rates by themselves (PROTOCOL 4.8 and 4.9), on virtual lines whose ends hear
//! garbage when their rates differ: whatever happens to any of them, each wire comes to a rate it can do, and what is
//! delivered is byte-exact. `HARDLINE_SEED=n` runs one seed alone.
#![allow(missing_docs)]

mod common;

use common::rated::{Line, Virtual};
use common::{for_seeds, read_known, write_known};
use link::sim::Random;
use link::{Config, Event, FRAME_MAX, Instant, LADDER, Link, Loss, Noise, Path, RateNews, Rates, State};

type Bond = Link<Vec<u8>, 256, 1, Option<Noise>, Vec<Path<256, Option<Noise>>>>;

const BASE: u32 = LADDER[0];

/// One end: its ports, and a user who writes and reads a known stream.
struct End {
    link: Bond,
    bauds: Vec<u32>,
    there: Vec<bool>,
    /// Do not agree on anything: always at this rate.
    fixed: Option<u32>,
    rates: Rates,
    seeds: (u64, u64),
    to_write: u64,
    written: u64,
    /// So many bytes at a time, and then nothing for this long (µs).
    burst: u64,
    pause_us: u64,
    next_write: u64,
    expected: u64,
    read: u64,
    finished: bool,
    lost: Option<Loss>,
    news: Vec<(u64, usize, RateNews)>,
}

struct Plan {
    count: usize,
    id: u64,
    fixed: Option<u32>,
    rates: Rates,
    psk: bool,
    seeds: (u64, u64),
    bytes: (u64, u64),
    window: usize,
}

impl End {
    fn new(plan: &Plan) -> End {
        let (now, baud) = (Instant::default(), plan.fixed.unwrap_or(BASE));
        let config = Config::for_baud(baud);
        let path = |at: usize| {
            let handshake = plan.psk.then(|| Noise::psk([7; 32]).seeded(plan.id ^ at as u64));
            Path::new(config, now, false).sealed(handshake)
        };
        let buffers = (vec![0; plan.window], vec![0; plan.window]);
        let mut link: Bond = Link::bonded(config.rate, plan.id, now, (0..plan.count).map(path).collect(), Some(buffers));
        if plan.fixed.is_none() {
            (0..plan.count).for_each(|at| link.set_rates_of(at, plan.rates, now));
        }
        End {
            link,
            bauds: vec![baud; plan.count],
            there: vec![true; plan.count],
            fixed: plan.fixed,
            rates: plan.rates,
            seeds: plan.seeds,
            to_write: plan.bytes.0,
            written: 0,
            burst: u64::MAX,
            pause_us: 0,
            next_write: 0,
            expected: plan.bytes.1,
            read: 0,
            finished: false,
            lost: None,
            news: Vec::new(),
        }
    }
    fn act(&mut self, now: Instant) {
        if self.link.state() == State::Open && now.as_micros() >= self.next_write {
            let most = (self.to_write - self.written).min(self.burst);
            write_known(&mut self.link, self.seeds.0, &mut self.written, most);
            self.next_write = now.as_micros() + self.pause_us;
            if self.written == self.to_write {
                self.link.finish();
                self.next_write = u64::MAX;
            }
        }
        read_known(&mut self.link, self.seeds.1, &mut self.read);
        if self.link.at_end() {
            self.link.confirm(now);
        }
        while let Some(event) = self.link.poll_event() {
            match event {
                Event::Finished => {
                    assert_eq!(self.read, self.expected);
                    self.finished = true;
                }
                Event::Lost(loss) => self.lost = Some(loss),
                _ => {}
            }
        }
        for at in 0..self.bauds.len() {
            while let Some(news) = self.link.poll_rate_news_of(at) {
                self.news.push((now.as_micros(), at, news));
            }
        }
    }
    fn is_over(&self) -> bool {
        self.finished || self.lost.is_some()
    }
    /// All its ports are there and have the rate the link takes them to have.
    fn is_settled(&self) -> bool {
        (0..self.bauds.len()).all(|at| self.there[at] && (self.fixed.is_some() || self.link.baud_of(at) == Some(self.bauds[at])))
    }
}

/// What happens to the wires.
#[derive(Clone, Copy, Debug)]
enum Blow {
    Unplug {
        end: usize,
        path: usize,
    },
    /// With a driver that keeps the rate it had, or not.
    PlugIn {
        end: usize,
        path: usize,
        keeps: bool,
    },
    /// Two wires change places at the far end.
    Swap(usize, usize),
}

struct World {
    ends: [End; 2],
    /// Wire `w` leads from path `w` of the first end to path `to[w]` of the second.
    lines: Vec<[Line; 2]>,
    to: Vec<usize>,
    blows: Vec<(u64, Blow)>,
    now: u64,
    random: Random,
}

impl Virtual for World {
    fn now(&self) -> u64 {
        self.now
    }
    fn step(&mut self) {
        self.strike();
        let (mut bytes, mut wire) = (Vec::new(), vec![0u8; FRAME_MAX]);
        let mut wake = None;
        let now = Instant::from_micros(self.now);
        for (i, end) in self.ends.iter_mut().enumerate() {
            for (w, pair) in self.lines.iter_mut().enumerate() {
                let path = if i == 0 { w } else { self.to[w] };
                pair[1 - i].take(end.bauds[path], self.now, &mut bytes);
                if end.there[path] {
                    end.link.handle_bytes_of(path, &bytes, now);
                }
            }
            end.link.handle_timeout(now);
            end.act(now);
            for (w, pair) in self.lines.iter_mut().enumerate() {
                let (path, out) = (if i == 0 { w } else { self.to[w] }, &mut pair[i]);
                loop {
                    if let Some(baud) = end.link.port_rate_of(path, now) {
                        assert!(end.fixed.is_none());
                        if end.there[path] && !out.is_free(self.now) {
                            wake = [wake, Some(out.free_us() + 1)].into_iter().flatten().min();
                            break;
                        }
                        end.bauds[path] = baud;
                        end.link.handle_rate_of(path, now);
                    }
                    if !end.there[path] {
                        break;
                    }
                    match end.link.poll_transmit_of(path, &mut wire, now) {
                        Some(n) => out.send(&wire[..n], end.bauds[path], self.now),
                        None if end.link.port_rate_of(path, now).is_none() => break,
                        None => {}
                    }
                }
            }
            let write = Some(end.next_write).filter(|&at| at > self.now && at < u64::MAX);
            wake = [wake, end.link.poll_timeout().map(Instant::as_micros), write].into_iter().flatten().min();
        }
        let lines = self.lines.iter().flatten().filter_map(Line::next);
        let next = lines.chain(wake).chain(self.blows.iter().map(|blow| blow.0)).min().expect("something must come");
        self.now = next.max(self.now + 1 + self.random.below(300));
    }
    fn describe(&self) -> String {
        let now = Instant::from_micros(self.now);
        let one = |e: &End| {
            let tail: Vec<_> = e.news.iter().rev().take(12).collect();
            let paths: Vec<_> = e.link.paths().iter().map(|p| (p.state(), p.is_up(), p.silence_us(now))).collect();
            format!(
                "{:?} {paths:?} at {:?} ({} read of {}) news {tail:?} {:?}",
                e.link.state(),
                e.bauds,
                e.read,
                e.expected,
                e.link.stats()
            )
        };
        format!("\n a: {}\n b: {}", one(&self.ends[0]), one(&self.ends[1]))
    }
}

impl World {
    fn new(a: End, b: End, lines: Vec<[Line; 2]>, seed: u64) -> World {
        let to = (0..lines.len()).collect();
        World { ends: [a, b], lines, to, blows: Vec::new(), now: 0, random: Random::new(seed ^ 0xABCD) }
    }
    fn strike(&mut self) {
        let now = Instant::from_micros(self.now);
        while let Some(at) = self.blows.iter().position(|blow| blow.0 <= self.now) {
            match self.blows.swap_remove(at).1 {
                Blow::Unplug { end, path } => {
                    if std::mem::replace(&mut self.ends[end].there[path], false) {
                        self.ends[end].link.handle_lost(path, now);
                    }
                }
                Blow::PlugIn { end, path, keeps } => {
                    let end = &mut self.ends[end];
                    end.there[path] = true;
                    if end.fixed.is_none() {
                        if !keeps {
                            end.bauds[path] = BASE;
                        }
                        end.link.handle_port_of(path, end.rates, end.bauds[path], now);
                        end.bauds[path] = end.link.baud_of(path).unwrap();
                    }
                    end.link.handle_reopen_of(path, now);
                }
                Blow::Swap(x, y) => self.to.swap(x, y),
            }
        }
    }
    /// Whether every wire has this rate at both ends.
    fn are_at(&self, bauds: &[u32]) -> bool {
        let [a, b] = &self.ends;
        a.is_settled()
            && b.is_settled()
            && bauds.iter().enumerate().all(|(w, baud)| a.bauds[w] == *baud && b.bauds[self.to[w]] == *baud)
    }
}

fn pair(count: usize, fixed: Option<u32>, bytes: (u64, u64), seed: u64) -> [End; 2] {
    let plan = |id, fixed, seeds, bytes| Plan {
        count,
        id,
        fixed,
        rates: Rates::of(|_| true),
        psk: false,
        seeds,
        bytes,
        window: 1 << 20,
    };
    [End::new(&plan(5 + 2 * seed, fixed, (1, 2), bytes)), End::new(&plan(6 + 2 * seed, fixed, (2, 1), (bytes.1, bytes.0)))]
}

fn lines(limits: &[u32], seed: u64) -> Vec<[Line; 2]> {
    let line = |limit, n| Line::new(300, 0.0, limit, seed * 100 + n);
    limits.iter().zip(0..).map(|(limit, n)| [line(*limit, 2 * n), line(*limit, 2 * n + 1)]).collect()
}

/// Each wire to its own limit, under bulk.
#[test]
fn each_wire_climbs_to_its_own_limit() {
    let limits = [2_000_000, 500_000, 12_000_000, 150_000];
    let best = limits.map(|limit| LADDER.into_iter().filter(|&baud| baud <= limit).max().unwrap());
    for_seeds(10, |seed| {
        let [a, b] = pair(4, None, (200_000_000, 1000), seed);
        let mut world = World::new(a, b, lines(&limits, seed), seed);
        world.until("every wire at its limit", 12_000_000, |w| w.are_at(&best));
    });
}

/// Bytes per second from here to there in time (µs).
fn rate(world: &mut World, from: u64, to: u64) -> f64 {
    world.until("time passes", from + 1_000_000, |w| w.now >= from);
    let (read, began) = (world.ends[1].read, world.now);
    world.until("time passes", to + 1_000_000, |w| w.now >= to);
    (world.ends[1].read - read) as f64 / ((world.now - began) as f64 / 1e6)
}

/// What four wires carry that find their rate, beside four that were told it: in the first seconds, and later.
#[test]
fn finding_the_rate_costs_little() {
    let limits = [2_000_000; 4];
    let carries = |fixed: Option<u32>, from, to| {
        let [a, b] = pair(4, fixed, (400_000_000, 10), 3);
        rate(&mut World::new(a, b, lines(&limits, 3), 3), from, to)
    };
    for (from, to, least) in [(0, 10_000_000, 0.8), (10_000_000, 40_000_000, 0.95)] {
        let share = carries(None, from, to) / carries(Some(2_000_000), from, to);
        println!("from {} to {} s: {share:.3} of the fixed rate", from / 1_000_000, to / 1_000_000);
        assert!(share > least, "{share}");
    }
}

/// A wire that turns bad, or silent, is not what the others wait for; it comes down, and climbs again.
#[test]
fn one_that_turns_bad_is_left_alone() {
    let mut limits = [2_000_000; 4];
    let [a, b] = pair(4, None, (400_000_000, 10), 1);
    let mut world = World::new(a, b, lines(&limits, 1), 1);
    world.until("all at the limit", 10_000_000, |w| w.are_at(&limits));
    let began = world.now;
    limits[2] = 460_800;
    world.lines[2].iter_mut().for_each(|line| line.limit = limits[2]);
    world.until("the bad one is at its limit", began + 10_000_000, |w| w.are_at(&limits));
    let now = world.now;
    world.lines[1].iter_mut().for_each(|line| line.outages.push((now, now + 5_000_000)));
    let share = rate(&mut world, now, now + 5_000_000) / 400_000.0;
    assert!(share > 0.85, "two of 2 Mbps have {share}");
    world.until("the silent one is back", now + 20_000_000, |w| w.are_at(&limits));
}

/// What is typed does not wait for a wire that is silent for its rate while another one is there.
#[test]
fn typing_goes_by_another_wire() {
    let [mut a, b] = pair(4, None, (1_000_000, 10), 2);
    (a.burst, a.pause_us) = (1, 20_000);
    let mut world = World::new(a, b, lines(&[2_000_000; 4], 2), 2);
    let (mut typed, mut waits) = (Vec::new(), Vec::new());
    while world.now < 30_000_000 {
        let now = world.now;
        world.step();
        typed.resize(world.ends[0].written as usize, now);
        waits.extend(typed[waits.len()..world.ends[1].read as usize].iter().map(|at| now - at));
    }
    let late = typed.partition_point(|at| *at < 3_000_000);
    let longest = *waits[late..].iter().max().unwrap();
    let failed = world.ends[0].news.iter().filter(|(at, _, news)| *at > 3_000_000 && matches!(news, RateNews::Failed(_))).count();
    println!("longest wait {longest} us beside {failed} tries in vain");
    assert!(longest < 15_000 && failed > 4, "{longest} us, {failed} tries");
}

/// Who has no rate to find is found.
#[test]
fn a_fixed_bond_is_found() {
    for_seeds(9, |seed| {
        let baud = [115_200, 921_600, 2_000_000][seed as usize % 3];
        let [a, _] = pair(3, None, (100_000, 100_000), seed);
        let [_, b] = pair(3, Some(baud), (100_000, 100_000), seed);
        let mut world = World::new(a, b, lines(&[3_000_000; 3], seed), seed);
        world.until("everything is delivered", 60_000_000, |w| w.ends.iter().all(End::is_over));
        assert!(world.ends.iter().all(|end| end.finished), "{}", world.describe());
    });
}

/// Any number of wires with noise, limits, outages, unplugged, swapped and plugged in at any moment: each comes to a
/// rate it can do, and every byte arrives.
#[test]
fn any_bond_is_climbed() {
    for_seeds(120, |seed| {
        let mut random = Random::new(seed);
        let count = 2 + random.below(3) as usize;
        let psk = random.chance(0.5);
        let bytes = (random.below(600_000), random.below(100_000));
        let window = 4096 << random.below(9);
        let mut plan = |seeds, bytes| {
            let top = LADDER[random.below(12) as usize];
            End::new(&Plan { count, id: random.bits(), fixed: None, rates: Rates::of(|r| r <= top), psk, seeds, bytes, window })
        };
        let (a, b) = (plan((1, 2), bytes), plan((2, 1), (bytes.1, bytes.0)));
        let line = |random: &mut Random, n| {
            let limit = [120_000, 250_000, 921_600, 2_000_000, 12_000_000][random.below(5) as usize];
            let ber = [0.0, 0.0, 1e-6, 1e-5, 1e-4][random.below(5) as usize];
            let latency = random.below(20_000);
            [Line::new(latency, ber, limit, seed * 100 + n), Line::new(latency, ber, limit, seed * 100 + n + 1)]
        };
        let lines = (0..count as u64).map(|w| line(&mut random, 2 * w)).collect();
        let mut world = World::new(a, b, lines, seed);
        for w in (1..count).rev() {
            world.to.swap(w, random.below(w as u64 + 1) as usize);
        }
        let mut last = 0;
        for _ in 0..random.below(5) {
            let (at, path) = (random.below(4_000_000), random.below(count as u64) as usize);
            let length = [random.below(3_000), random.below(300_000), random.below(4_000_000)][random.below(3) as usize];
            if random.chance(0.5) {
                let end = random.below(2) as usize;
                world.blows.push((at, Blow::Unplug { end, path }));
                world.blows.push((at + length, Blow::PlugIn { end, path, keeps: random.chance(0.5) }));
            } else {
                world.lines[path].iter_mut().for_each(|line| line.outages.push((at, at + length)));
            }
            last = last.max(at + length);
        }
        if random.chance(0.2) {
            let (x, y) = (random.below(count as u64) as usize, random.below(count as u64) as usize);
            world.blows.push((random.below(4_000_000), Blow::Swap(x, y)));
        }
        let limit_us = last + 60_000_000 + (bytes.0 + bytes.1) * 1000;
        world.until("everything is delivered", limit_us, |w| w.ends.iter().all(End::is_over));
        assert!(world.ends.iter().all(|e| e.lost.is_none()), "{}", world.describe());
    });
}
