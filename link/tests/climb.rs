//! The rate that two ends agree on (PROTOCOL 4.8), on a virtual line whose ends hear garbage when their
//! rates differ and noise above the line's limit: whatever happens, they meet again at one rate, and what is
//! delivered is byte-exact. `HARDLINE_SEED=n` runs one seed alone.
#![allow(missing_docs)]

mod common;

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use common::rated::{Line, Virtual};
use common::{for_seeds, read_known, write_known};
use link::sim::Random;
use link::wire::frame::body_at;
use link::wire::segment::{Open, Rate, RateStep, VERSION, Writer};
use link::wire::{Binding, Head, Level, write_frame};
use link::{Config, Event, FRAME_MAX, Instant, LADDER, Link, Loss, Noise as Handshake, RateNews, Rates, State};

const BASE: u32 = LADDER[0];

/// One end: a link, its port and its user.
struct End {
    link: Box<Link<Vec<u8>, 1024, 1, Option<Handshake>>>,
    baud: u32,
    /// Does not agree on anything: always at this rate.
    fixed: bool,
    rates: Rates,
    seeds: (u64, u64),
    to_write: u64,
    written: u64,
    read: u64,
    expected: u64,
    /// So many bytes at a time, and then nothing for this long (µs).
    burst: u64,
    pause_us: u64,
    next_write: u64,
    finished: bool,
    lost: Option<Loss>,
    opened_at: Option<u64>,
    news: Vec<(u64, RateNews)>,
}

struct Plan {
    auto: bool,
    baud: u32,
    rates: Rates,
    id: u64,
    seeds: (u64, u64),
    bytes: (u64, u64),
    psk: bool,
}

impl End {
    fn new(plan: &Plan, now: Instant) -> End {
        let config = Config::for_baud(plan.baud);
        let link = Link::new(config, plan.id, now, vec![0; 65_536], vec![0; 65_536]);
        let mut link = Box::new(link.sealed(plan.psk.then(|| Handshake::psk([7; 32]))));
        if plan.auto {
            link.set_rates(plan.rates, now);
        }
        End {
            link,
            baud: plan.baud,
            fixed: !plan.auto,
            rates: plan.rates,
            seeds: plan.seeds,
            to_write: plan.bytes.0,
            written: 0,
            read: 0,
            expected: plan.bytes.1,
            burst: u64::MAX,
            pause_us: 0,
            next_write: 0,
            finished: false,
            lost: None,
            opened_at: None,
            news: Vec::new(),
        }
    }
    fn act(&mut self, now: Instant) {
        let us = now.as_micros();
        if us >= self.next_write && self.link.state() == State::Open {
            let most = (self.to_write - self.written).min(self.burst);
            write_known(&mut self.link, self.seeds.0, &mut self.written, most);
            self.next_write = us + self.pause_us;
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
                    assert_eq!((self.read, self.link.stats().bytes_out), (self.expected, self.to_write));
                    self.finished = true;
                }
                Event::Lost(loss) => self.lost = Some(loss),
                Event::Opened { .. } => self.opened_at = Some(us),
                _ => {}
            }
        }
        while let Some(news) = self.link.poll_rate_news() {
            self.news.push((us, news));
        }
    }
    fn is_over(&self) -> bool {
        self.finished || self.lost.is_some()
    }
    fn last_kept(&self) -> Option<u32> {
        self.news.iter().rev().find_map(|(_, news)| if let RateNews::Kept(baud) = news { Some(*baud) } else { None })
    }
}

struct World {
    ends: [End; 2],
    lines: [Line; 2],
    now: u64,
    random: Random,
}

impl Virtual for World {
    fn now(&self) -> u64 {
        self.now
    }
    fn step(&mut self) {
        let (mut bytes, mut wire) = (Vec::new(), vec![0u8; FRAME_MAX]);
        let mut wake = None;
        for i in 0..2 {
            let [a, b] = &mut self.lines;
            let (out, into) = if i == 0 { (a, b) } else { (b, a) };
            let end = &mut self.ends[i];
            let now = Instant::from_micros(self.now);
            into.take(end.baud, self.now, &mut bytes);
            end.link.handle_bytes(&bytes, now);
            end.link.handle_timeout(now);
            end.act(now);
            let mut draining = None;
            loop {
                if let Some(baud) = end.link.port_rate(now) {
                    assert!(!end.fixed);
                    if out.is_free(self.now) {
                        end.baud = baud;
                        end.link.handle_rate(now);
                    } else {
                        draining = Some(out.free_us() + 1);
                        break;
                    }
                }
                match end.link.poll_transmit(&mut wire, now) {
                    Some(n) => out.send(&wire[..n], end.baud, self.now),
                    None if end.link.port_rate(now).is_none() => break,
                    None => {}
                }
            }
            let write = Some(end.next_write).filter(|&at| at > self.now && at < u64::MAX);
            let next = [end.link.poll_timeout().map(Instant::as_micros), draining, write].into_iter().flatten().min();
            wake = [wake, next].into_iter().flatten().min();
        }
        let next = [wake, self.lines[0].next(), self.lines[1].next()].into_iter().flatten().min().expect("something must come");
        self.now = next.max(self.now + 1 + self.random.below(300));
    }
    fn describe(&self) -> String {
        let one = |e: &End| {
            let tail: Vec<_> = e.news.iter().rev().take(12).collect();
            let all = format!("{:?}", e.link);
            let climb =
                all.find("climb: ").map_or("", |at| &all[at..all[at..].find(", slack_us").map_or(all.len(), |end| at + end)]);
            format!(
                "{:?} at {} ({} read of {}) news {tail:?} {:?} {climb}",
                e.link.state(),
                e.baud,
                e.read,
                e.expected,
                e.link.stats()
            )
        };
        format!("\n a: {}\n b: {}", one(&self.ends[0]), one(&self.ends[1]))
    }
}

impl World {
    fn new(a: End, b: End, ab: Line, ba: Line, seed: u64) -> World {
        World { ends: [a, b], lines: [ab, ba], now: 0, random: Random::new(seed ^ 0xABCD) }
    }
    fn run_to(&mut self, us: u64) {
        while self.now < us {
            self.step();
        }
    }
    /// A new process in the place of an end, at the base rate, with nothing to say.
    fn restart(&mut self, i: usize, id: u64, bytes: (u64, u64)) {
        let old = &self.ends[i];
        let plan =
            Plan { auto: true, baud: BASE, rates: old.rates, id, seeds: old.seeds, bytes, psk: old.link.peer_key().is_some() };
        self.ends[i] = End::new(&plan, Instant::from_micros(self.now));
    }
    fn agree(&self) -> bool {
        let [a, b] = &self.ends;
        a.baud == b.baud && a.link.baud() == b.link.baud()
    }
}

const ALL: fn(u32) -> bool = |_| true;

fn pair(bytes: (u64, u64), limit: u32, seed: u64) -> World {
    let plan = |id, seeds, bytes| Plan { auto: true, baud: BASE, rates: Rates::of(ALL), id, seeds, bytes, psk: false };
    let now = Instant::default();
    let a = End::new(&plan(5 + seed * 2, (1, 2), bytes), now);
    let b = End::new(&plan(6 + seed * 2, (2, 1), (bytes.1, bytes.0)), now);
    World::new(a, b, Line::new(300, 0.0, limit, seed * 2), Line::new(300, 0.0, limit, seed * 2 + 1), seed)
}

#[test]
fn two_ends_climb_to_the_limit_of_the_line() {
    for limit in [150_000, 460_800, 1_000_000, 2_000_000, 3_500_000, 12_000_000] {
        let mut world = pair((30_000_000, 3_000), limit, 1);
        let best = LADDER.into_iter().filter(|&baud| baud <= limit).max().unwrap();
        world.until("at the limit", 4_000_000, |w| w.agree() && w.ends[0].baud == best);
        println!("limit {limit}: {best} after {} ms", world.now / 1000);
        world.run_to(world.now + 3_000_000);
        assert!(world.ends[0].last_kept().is_none_or(|baud| baud == best), "{}", world.describe());
    }
}

/// Each way a different limit, ends that have different rates: the slower counts.
#[test]
fn different_ports_and_directions() {
    for_seeds(200, |seed| {
        let mut random = Random::new(seed);
        let mut some = || Rates::of(|_| random.chance(0.6));
        let (a, b) = (some(), some());
        let both: Vec<u32> = LADDER.into_iter().filter(|&r| a.contains(r) && b.contains(r)).collect();
        let limits = [0, 1].map(|_| LADDER[random.below(12) as usize]);
        let plan = |id, rates, seeds, bytes| Plan { auto: true, baud: BASE, rates, id, seeds, bytes, psk: seed % 3 == 0 };
        let now = Instant::default();
        let (id_a, id_b) = (random.bits(), random.bits());
        let ends =
            (End::new(&plan(id_a, a, (1, 2), (40_000_000, 10)), now), End::new(&plan(id_b, b, (2, 1), (10, 40_000_000)), now));
        let lines = (Line::new(300, 0.0, limits[0], seed), Line::new(300, 0.0, limits[1], !seed));
        let mut world = World::new(ends.0, ends.1, lines.0, lines.1, seed);
        let best = both.into_iter().filter(|&r| r <= limits[0].min(limits[1])).max().unwrap();
        world.until("the best rate both have", 9_000_000, |w| w.agree() && w.ends[0].baud == best && !busy(w));
    });
}

fn busy(world: &World) -> bool {
    world.ends.iter().any(|e| e.link.baud() != Some(e.baud))
}

/// Thousands of lines with noise, limits, outages, restarts and unplugged ends at any moment, many of them in
/// the middle of a change: both ends meet again at one rate the line can do, and every byte arrives.
#[test]
fn any_line_is_climbed() {
    for_seeds(500, |seed| {
        let mut random = Random::new(seed);
        let limit = [120_000, 250_000, 921_600, 1_200_000, 2_000_000, 4_000_000, 12_000_000][random.below(7) as usize];
        let ber = [0.0, 0.0, 1e-6, 1e-5, 1e-4][random.below(5) as usize];
        let latency = random.below(20_000);
        let rates = [0, 1].map(|_| {
            let top = LADDER[random.below(12) as usize];
            Rates::of(|r| r <= top)
        });
        let psk = random.chance(0.3);
        let bytes = (random.below(400_000), random.below(100_000));
        let plan = |id, rates, seeds, bytes| Plan { auto: true, baud: BASE, rates, id, seeds, bytes, psk };
        let now = Instant::default();
        let a = End::new(&plan(random.bits(), rates[0], (1, 2), bytes), now);
        let b = End::new(&plan(random.bits(), rates[1], (2, 1), (bytes.1, bytes.0)), now);
        let lines = [0, 1].map(|i| Line::new(latency, ber, limit, seed * 2 + i));
        let [ab, ba] = lines;
        let mut world = World::new(a, b, ab, ba, seed);
        for end in &mut world.ends {
            (end.burst, end.pause_us) = (500 + random.below(20_000), random.below(50_000));
        }
        let mut last = 0;
        for _ in 0..random.below(4) {
            let at = random.below(3_000_000);
            let length = [random.below(3_000), random.below(300_000), random.below(4_000_000)][random.below(3) as usize];
            for line in &mut world.lines {
                if random.chance(0.7) {
                    line.outages.push((at, at + length));
                    last = last.max(at + length);
                }
            }
        }
        // the cable is pulled in the middle of a change
        let cut = random.chance(0.5).then(|| (random.below(8), random.below(60_000)));
        if let Some((changes, after)) = cut {
            let mut seen = (BASE, 0);
            world.until("some changes", 400_000_000, |w| {
                let now_at = w.ends[0].link.port_rate(Instant::from_micros(w.now)).unwrap_or(w.ends[0].baud);
                if now_at != seen.0 {
                    seen = (now_at, seen.1 + 1);
                }
                seen.1 >= changes || w.ends.iter().all(End::is_over)
            });
            let (from, length) = (world.now + after, random.below(5_000_000));
            world.lines.iter_mut().for_each(|line| line.outages.push((from, from + length)));
            last = last.max(from + length);
        }
        let limit_us = last + 60_000_000 + (bytes.0 + bytes.1) * 1000;
        world.until("everything is delivered", limit_us, |w| w.ends.iter().all(End::is_over));
        assert!(world.ends.iter().all(|e| e.lost.is_none()), "{}", world.describe());
    });
}

/// One end is restarted at any moment: the other is told within seconds, and a new one in its place meets the
/// new one at once, wherever that is.
#[test]
fn a_restarted_end_is_met() {
    let told = AtomicU64::new(0);
    for_seeds(200, |seed| {
        let mut random = Random::new(seed);
        let mut world = pair((40_000_000, 40_000), [500_000, 2_000_000, 12_000_000][random.below(3) as usize], seed);
        world.ends[1].link.poll_event();
        let at = 100_000 + random.below(3_000_000);
        world.run_to(at);
        if world.ends.iter().any(|e| e.opened_at.is_none()) {
            return;
        }
        let which = random.below(2) as usize;
        let began = world.now;
        world.restart(which, random.bits(), (10, 10));
        world.until("the other is told", began + 5_000_000, |w| w.ends[1 - which].lost.is_some());
        told.fetch_max(world.now - began, Relaxed);
        assert_eq!(world.ends[1 - which].lost, Some(Loss::PeerRestarted));
        world.restart(1 - which, random.bits(), (10, 10));
        world.until("the new ones are done", began + 20_000_000, |w| w.ends.iter().all(|e| e.finished));
    });
    println!("told after at most {} ms", told.into_inner() / 1000);
}

/// An end that agrees on nothing is found at whatever rate it has.
#[test]
fn a_fixed_end_is_found() {
    let mut worst = [0; LADDER.len()];
    for (rung, baud) in LADDER.into_iter().enumerate() {
        for seed in 0..20 {
            let mut random = Random::new(seed);
            let id = |random: &mut Random| random.bits();
            let plan =
                |auto, baud, id, seeds, bytes| Plan { auto, baud, rates: Rates::of(ALL), id, seeds, bytes, psk: seed % 2 == 0 };
            let a = End::new(&plan(true, BASE, id(&mut random), (1, 2), (200_000, 10)), Instant::default());
            let b = End::new(&plan(false, baud, id(&mut random), (2, 1), (10, 200_000)), Instant::default());
            let mut world = World::new(a, b, Line::new(300, 1e-6, baud, seed), Line::new(300, 1e-6, baud, !seed), seed);
            world.until("found", 14_000_000, |w| w.ends[0].link.state() == State::Open && w.ends[0].baud == baud);
            worst[rung] = worst[rung].max(world.now);
            world.until("done there", 60_000_000, |w| w.ends.iter().all(|e| e.finished));
            assert_eq!(world.ends[0].baud, baud);
        }
    }
    println!("found after at most (ms): {:?}", LADDER.iter().zip(worst.map(|us| us / 1000)).collect::<Vec<_>>());
    assert!(worst[0] < 500_000 && worst.iter().all(|&us| us < 14_000_000));
}

/// The line turns bad at the rate in use: both come down by themselves, and climb again when it is better.
#[test]
fn what_turned_bad_is_left() {
    let slowest = [const { AtomicU64::new(0) }; 3];
    for_seeds(40, |seed| {
        let mut world = pair((200_000_000, 2_000_000), 2_000_000, seed);
        world.until("2 Mbps", 5_000_000, |w| w.agree() && w.ends[0].baud == 2_000_000);
        world.run_to(world.now + 500_000 + seed * 3_000);
        for (limit, slowest) in [460_800, 115_200, 2_000_000].into_iter().zip(&slowest) {
            world.lines.iter_mut().for_each(|line| line.limit = limit);
            let (began, read) = (world.now, world.ends[1].read);
            world.until("a rate the line can do", began + 40_000_000, |w| {
                w.agree() && !busy(w) && w.ends[0].baud == limit && w.ends[1].read > read + 10_000
            });
            slowest.fetch_max(world.now - began, Relaxed);
            world.run_to(world.now + 2_000_000);
        }
    });
    println!("to 460800, 115200, back to 2000000 within (ms): {:?}", slowest.map(|us| us.into_inner() / 1000));
}

/// A minute of bulk, beside the same at the fixed rate that is the line's limit.
#[test]
fn climbing_costs_little() {
    let minute = |auto: bool| {
        let mut world = pair((100_000_000, 10), 2_000_000, 7);
        if !auto {
            for (i, (id, seeds, bytes)) in
                [(5, (1, 2), (100_000_000, 10)), (6, (2, 1), (10, 100_000_000))].into_iter().enumerate()
            {
                let plan = Plan { auto, baud: 2_000_000, rates: Rates::of(ALL), id, seeds, bytes, psk: false };
                world.ends[i] = End::new(&plan, Instant::default());
            }
        }
        world.run_to(60_000_000);
        world.ends[1].read as f64
    };
    let share = minute(true) / minute(false);
    println!("{share:.4} of what a fixed 2 Mbps delivers in its first minute");
    assert!(share > 0.95, "{share}");
}

/// A key is typed every 20 ms from the start on: the longest wait is that for one change of the rate.
#[test]
fn typing_goes_on_while_it_climbs() {
    let mut world = pair((2_000, 2_000), 2_000_000, 9);
    for end in &mut world.ends {
        (end.burst, end.pause_us) = (1, 20_000);
    }
    world.until("open", 1_000_000, |w| w.ends.iter().all(|e| e.opened_at.is_some()));
    let (mut waited, mut worst, mut stalled) = (world.now, 0, 0);
    while world.now < 20_000_000 {
        world.step();
        let [a, b] = &world.ends;
        if b.read == a.written || a.link.state() != State::Open {
            waited = world.now;
        }
        let wait = world.now - waited;
        worst = worst.max(wait);
        stalled += u64::from(wait > 200_000);
    }
    println!("longest wait of what was typed: {} ms", worst / 1000);
    assert!(stalled == 0, "{worst}");
    assert_eq!(world.ends[0].baud, 2_000_000);
}

/// A line that is a little too fast for comfort is kept if it still delivers more, and left if it does not.
#[test]
fn some_noise_is_worth_its_rate() {
    let at_4 = |ber: f64| {
        let mut world = pair((400_000_000, 1_000), 12_000_000, 3);
        // the noise is that of the line at 4 Mbps: twice 2 Mbps and at least
        for line in &mut world.lines {
            line.limit = (4e6 / (1.0 + (ber / 1e-4).log10() / 20.0)) as u32;
        }
        world.run_to(12_000_000);
        world.ends[0].last_kept().unwrap()
    };
    assert_eq!(at_4(5e-4), 4_000_000, "0.92 of 4 Mbps is more than 3 Mbps");
    assert_eq!(at_4(3e-2), 3_000_000);
}

/// Whatever a peer says of the rate, in whatever order: the port is never asked for a rate it does not have, and
/// with silence it is back at the base.
#[test]
fn any_word_at_any_time_is_harmless() {
    for_seeds(300, |seed| {
        let mut random = Random::new(seed);
        let (mut now, mut wire) = (Instant::from_micros(1), vec![0u8; FRAME_MAX]);
        let top = LADDER[random.below(12) as usize];
        let rates = Rates::of(|baud| baud <= top);
        let id = [1, 6][random.below(2) as usize];
        let mut link: Link<Vec<u8>, 64> = Link::new(Config::for_baud(BASE), id, now, vec![0; 4096], vec![0; 4096]);
        link.set_rates(rates, now);
        let me = if seed % 2 == 0 { 3 } else { 4 };
        let mut tx = 0;
        let mut opened = false;
        for _ in 0..400 {
            if let Some(baud) = link.port_rate(now) {
                assert!(rates.contains(baud));
                if random.chance(0.1) { link.handle_rate_refused(now) } else { link.handle_rate(now) }
            }
            link.write(&[7; 10]);
            let mut said = 0;
            while let Some(n) = link.poll_transmit(&mut wire, now) {
                said += n;
                assert!(said < 100_000, "talks without end");
            }
            while let Some(event) = link.poll_event() {
                opened |= matches!(event, Event::Opened { .. });
            }
            let len = {
                let mut writer = Writer::new(&mut wire[body_at(Level::Plain)..], tx);
                if !opened {
                    writer.open(&Open {
                        version: VERSION,
                        answer: true,
                        me,
                        you: id,
                        limit: 4096,
                        payload_max: 1000,
                        features: 2,
                    });
                } else {
                    tx += 1;
                    let rate = Rate {
                        step: RateStep::from_wire(1 + random.below(7) as u8).unwrap(),
                        attempt: random.below(3) as u8,
                        rung: random.below(14) as u8,
                        rates: random.bits() as u16,
                        index: random.below(40) as u8,
                        span: random.below(40) as u8,
                        good: random.below(40) as u8,
                        wrong: random.below(300) as u16,
                        slips: random.below(3) as u8,
                        padding: &[],
                    };
                    writer.rate(&rate, random.below(2) as usize * 20);
                }
                writer.len()
            };
            let binding = if tx == 0 { Binding::NONE } else { Binding::of(me, id) };
            let n = write_frame(&mut wire, Head::open(len, Level::Plain), binding);
            link.handle_bytes(&wire[..n], now);
            now = now.after(random.below(60_000));
            link.handle_timeout(now);
        }
        for _ in 0..4000 {
            if link.port_rate(now).is_some() {
                link.handle_rate(now);
            }
            while link.poll_transmit(&mut wire, now).is_some() {}
            if link.baud() == Some(BASE) {
                return;
            }
            now = link.poll_timeout().unwrap_or(now).max(now.after(1));
            link.handle_timeout(now);
        }
        panic!("never back at the base: {link:?}");
    });
}
