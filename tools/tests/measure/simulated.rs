//! Measuring a wire, in a simulation: two ends with a clock and a wire that are no real ones.

use std::collections::VecDeque;

use link::Instant;
use link::sim::{Noise, NoiseConfig, Random};
use link::wire::Level;
use tools::measure::lines::{self, Outputs, Wiring};
use tools::measure::message::{Ear, Heard, Introduction, Message, Reply, Request, frame};
use tools::measure::one_way::{Listener, Sender};
use tools::measure::pair::{Pair, Setup};
use tools::measure::report::{Report, Row};
use tools::measure::solo::Solo;
use tools::measure::trial::{Counted, Reading};
use tools::measure::values::{Fate, Hit};
use tools::measure::{Alone, Ending, Measuring, News, Order};

const MS: u32 = 100;
const BASE: u32 = 115_200;
/// One step of the simulation (µs).
const STEP_US: u64 = 1000;
/// What an adapter takes to change its rate once everything has left (µs).
const SET_US: u64 = 10_000;

/// One way of a wire.
#[derive(Clone, Copy, Default)]
struct Way {
    noise: NoiseConfig,
    /// Nothing passes.
    cut: bool,
    /// Above this rate half of all bits are wrong; 0: no limit.
    limit: u32,
    /// These never arrive, and these twice.
    eaten: &'static [u8],
    doubled: &'static [u8],
}

struct Side {
    end: Box<dyn Measuring>,
    rate: u32,
    queue: VecDeque<u8>,
    /// Bytes that may leave, in millionths.
    credit: u64,
    setting: Option<(u32, Instant)>,
    outputs: Outputs,
    way: Way,
    noise: Noise,
    random: Random,
    arrives: VecDeque<(Instant, u8)>,
    rows: Vec<Row>,
    said: Vec<News>,
    ending: Option<Ending>,
}

impl Side {
    fn new(end: impl Measuring + 'static, way: Way, seed: u64) -> Side {
        Side {
            end: Box::new(end),
            rate: BASE,
            queue: VecDeque::new(),
            credit: 0,
            setting: None,
            outputs: Outputs::ON,
            way,
            noise: Noise::new(way.noise, seed),
            random: Random::new(seed),
            arrives: VecDeque::new(),
            rows: Vec::new(),
            said: Vec::new(),
            ending: None,
        }
    }
    /// Puts what leaves in a step onto the wire; the other end listens at `their_rate`.
    fn send(&mut self, now: Instant, their_rate: u32, out: &mut VecDeque<(Instant, u8)>, latency_us: u64) {
        self.credit += u64::from(self.rate) * STEP_US / 10;
        let n = (self.credit / 1_000_000) as usize;
        self.credit %= 1_000_000;
        for _ in 0..n.min(self.queue.len()) {
            let Some(byte) = self.queue.pop_front() else { break };
            if self.way.cut {
                continue;
            }
            let at = now.after(latency_us);
            let garbled = self.rate != their_rate || (self.way.limit > 0 && self.rate > self.way.limit);
            let byte = if garbled { self.random.bits() as u8 } else { byte };
            let times = if self.way.eaten.contains(&byte) { 0 } else { 1 + usize::from(self.way.doubled.contains(&byte)) };
            (0..times).for_each(|_| self.noise.pass(byte, |b| out.push_back((at, b))));
        }
    }
    fn orders(&mut self, now: Instant, inputs: impl Fn(Outputs) -> u8) {
        if let Some((rate, at)) = self.setting {
            if !self.queue.is_empty() || now < at {
                return;
            }
            self.setting = None;
            self.rate = rate;
            self.end.handle_rate(Ok(()), Counted::default(), now);
        }
        while let Some(order) = self.end.poll_order() {
            match order {
                Order::Rate(rate) => {
                    self.queue.extend(self.end.poll_transmit(now, 4096));
                    self.setting = Some((rate, now.after(SET_US)));
                    return;
                }
                Order::Lines(outputs) => {
                    self.outputs = outputs;
                    let seen = inputs(outputs);
                    self.end.handle_lines(seen, now);
                }
                Order::Say(news) => {
                    if let News::Tried(row) = &news {
                        self.rows.push((**row).clone());
                    }
                    if news == News::Again {
                        self.rows.clear();
                    }
                    self.said.push(news);
                }
                Order::Done(ending) => self.ending = Some(ending),
            }
        }
    }
    fn step(&mut self, now: Instant) {
        let mut came = Vec::new();
        while self.arrives.front().is_some_and(|(at, _)| *at <= now) {
            came.extend(self.arrives.pop_front().map(|a| a.1));
        }
        if self.setting.is_none() {
            if !came.is_empty() {
                self.end.handle_bytes(&came, now);
            }
            self.end.handle_timeout(now);
            let out = self.end.poll_transmit(now, 4096usize.saturating_sub(self.queue.len()));
            self.queue.extend(out);
        }
    }
}

/// Which input follows which output, as bits for RTS and DTR.
type Matrix = [u8; 2];

fn inputs(matrix: Matrix, outputs: Outputs) -> u8 {
    (if outputs.rts { matrix[0] } else { 0 }) | (if outputs.dtr { matrix[1] } else { 0 })
}

struct World {
    sides: [Side; 2],
    now: Instant,
    latency_us: u64,
    /// From the outputs of each side to the other's inputs.
    lines: [Matrix; 2],
}

impl World {
    fn new(sides: [Side; 2]) -> World {
        World { sides, now: Instant::default(), latency_us: 1000, lines: [[0; 2]; 2] }
    }
    /// Runs until both ends are done, or time is up.
    fn run(&mut self, seconds: u64) {
        self.run_until(seconds, |w| w.sides.iter().all(|s| s.ending.is_some()));
    }
    fn run_until(&mut self, seconds: u64, mut done: impl FnMut(&World) -> bool) {
        let end = self.now.after(seconds * 1_000_000);
        while self.now < end && !done(self) {
            self.now = self.now.after(STEP_US);
            let [a, b] = &mut self.sides;
            let (now, rates, outputs) = (self.now, [a.rate, b.rate], [a.outputs, b.outputs]);
            a.send(now, rates[1], &mut b.arrives, self.latency_us);
            b.send(now, rates[0], &mut a.arrives, self.latency_us);
            a.orders(now, |_| inputs(self.lines[1], outputs[1]));
            b.orders(now, |_| inputs(self.lines[0], outputs[0]));
            a.step(now);
            b.step(now);
        }
    }
}

fn setup(me: u64, rates: &[u32], lines: bool) -> Setup {
    let what = Introduction { rates: rates.to_vec(), timer_ms: Some(1), lines };
    Setup { me, base: BASE, what, ms: MS, patience_us: 60_000_000 }
}

fn pair(me: u64, rates: &[u32], lines: bool) -> Pair {
    Pair::new(setup(me, rates, lines), Instant::default())
}

fn report(side: &Side, mode: &'static str) -> Report {
    Report { port: "x".into(), mode, rows: side.rows.clone(), wiring: None, timers_ms: [None; 2] }
}

fn is_whole(side: &Side) -> bool {
    matches!(side.ending, Some(Ending::Whole { .. }))
}

#[test]
fn two_ends_measure_what_the_wire_does() {
    let rates = [BASE, 230_400, 460_800];
    let (mut wrong, mut expected) = (0u64, 0.0);
    for seed in 0..120u64 {
        let ber = [0.0, 1e-5, 1e-4, 1e-3][seed as usize % 4];
        let way = |ber| Way { noise: NoiseConfig { ber, ..NoiseConfig::default() }, ..Way::default() };
        // the ids decide who leads: each side in turn
        let ids = if seed % 2 == 0 { [1, 2] } else { [2, 1] };
        let a = Side::new(pair(ids[0], &rates, false), way(ber), seed);
        let b = Side::new(pair(ids[1], &rates, false), way(0.0), seed + 1000);
        let mut world = World::new([a, b]);
        world.run(120);
        let [a, b] = &world.sides;
        assert!(is_whole(a) && is_whole(b), "seed {seed}: {:?} {:?}", a.ending, b.ending);
        assert_eq!(a.rows.len(), 3, "seed {seed}");
        for (ours, theirs) in a.rows.iter().zip(&b.rows) {
            let (there, back) = (ours.to_peer.as_ref().unwrap(), ours.from_peer.as_ref().unwrap());
            assert_eq!(theirs.from_peer.as_ref().unwrap(), there, "seed {seed}: both ends tell the same");
            assert_eq!((back.reading.wrong_bits, back.missing()), (0, 0), "seed {seed}");
            assert!(there.reading.bytes + 64 > u64::from(ours.baud) * u64::from(MS) / 10_000, "seed {seed}: {there:?}");
            // three pings may all be hit
            assert!(ours.echo_us().is_some() || ber >= 1e-3, "seed {seed}");
            wrong += there.reading.wrong_bits;
            expected += ber * 8.0 * there.reading.bytes as f64;
        }
    }
    assert!((wrong as f64 / expected - 1.0).abs() < 0.1, "{wrong} wrong bits of {expected}");
}

/// What is late, and what is enough to judge by, knows the rate.
#[test]
fn a_good_wire_of_300_baud_is_one() {
    let side = |me: u64| {
        let end = Pair::new(Setup { base: 300, ..setup(me, &[300], false) }, Instant::default());
        Side { rate: 300, ..Side::new(end, Way::default(), me) }
    };
    let mut world = World::new([side(1), side(2)]);
    world.run(600);
    for side in &world.sides {
        assert!(is_whole(side), "{:?}", side.ending);
        assert!(!side.said.iter().any(|news| matches!(news, News::Alone(_))), "{:?}", side.said);
        let text = report(side, "two ends").to_text();
        assert!(text.contains("clean") && !text.contains("use: nothing"), "{text}");
    }
}

#[test]
fn bytes_that_go_and_come_are_told_apart_from_wrong_ones() {
    let (mut slips, mut lost) = (0, 0);
    for seed in 0..60u64 {
        let noise = NoiseConfig { drop: 2e-4, drop_len: 20, insert: 1e-4, ..NoiseConfig::default() };
        let way = Way { noise, ..Way::default() };
        let sides =
            [Side::new(pair(1, &[BASE, 921_600], false), way, seed), Side::new(pair(2, &[BASE, 921_600], false), way, !seed)];
        let mut world = World::new(sides);
        world.run(120);
        for side in &world.sides {
            assert!(is_whole(side), "seed {seed}: {:?}", side.ending);
            for read in side.rows.iter().flat_map(|r| [&r.to_peer, &r.from_peer]).flatten().map(|w| &w.reading) {
                slips += read.slips;
                lost += read.lost;
                assert!(read.ber().is_some_and(|b| b < 5e-3), "seed {seed}: {read:?}");
            }
        }
    }
    assert!(slips > 200 && lost > 2_000, "{slips} slips, {lost} lost");
}

#[test]
fn a_rate_above_what_the_wire_carries_is_found() {
    let rates = [BASE, 230_400, 460_800, 921_600, 1_000_000];
    for seed in 0..30u64 {
        let limit = [BASE, 230_400, 460_800][seed as usize % 3];
        let way = Way { limit, ..Way::default() };
        let mut world = World::new([Side::new(pair(1, &rates, false), way, seed), Side::new(pair(2, &rates, false), way, !seed)]);
        world.run(120);
        for side in &world.sides {
            assert!(is_whole(side), "seed {seed}: {:?}", side.ending);
            assert_eq!(report(side, "two-way").advice().unwrap().baud, limit, "seed {seed}");
            assert!(side.rows.len() <= 5 && side.rows.last().unwrap().baud > limit, "seed {seed}: not all are tried");
        }
    }
}

#[test]
fn what_is_asked_gets_through_a_wire_that_is_hardly_one() {
    for seed in 0..60u64 {
        let noise = NoiseConfig { ber: 1e-3, drop: 1e-3, insert: 5e-4, ..NoiseConfig::default() };
        let way = Way { noise, ..Way::default() };
        let rates = [BASE, 921_600];
        let mut world = World::new([Side::new(pair(1, &rates, false), way, seed), Side::new(pair(2, &rates, false), way, !seed)]);
        world.run(300);
        assert!(world.sides.iter().all(is_whole), "seed {seed}: {:?}", world.sides.each_ref().map(|s| &s.ending));
        assert!(world.sides.iter().all(|s| s.rows.len() == 2), "seed {seed}");
    }
}

/// Whatever is asked has the bytes that are hit in its check or armour now and then, and gets through all the same.
#[test]
fn a_wire_that_takes_bytes_for_itself_is_measured_to_the_end() {
    let ids = [u64::from_le_bytes(*b"end of a"), u64::from_le_bytes(*b"end of b")];
    let cases: [(&[u8], &[u8], &str); 4] = [
        (&[0x11, 0x13], &[], "eats 11 13"),
        (&[0x00], &[], "eats 00"),
        (&[], &[0xFF], "doubles ff"),
        (&[0x0D], &[0xFF], "eats 0d, doubles ff"),
    ];
    for seed in 0..24u64 {
        let (eaten, doubled, words) = cases[seed as usize % cases.len()];
        let way = Way { eaten, doubled, ..Way::default() };
        let end = |id: u64| Pair::new(Setup { ms: 400, ..setup(id, &[BASE, 230_400], false) }, Instant::default());
        let mut world = World::new([Side::new(end(ids[0] + seed), way, seed), Side::new(end(ids[1] + seed), way, !seed)]);
        world.run(300);
        for side in &world.sides {
            assert!(is_whole(side), "seed {seed}: {:?}", side.ending);
            let report = report(side, "two-way");
            assert_eq!((side.rows.len(), report.advice()), (2, None), "seed {seed}");
            let altered = report.altered().unwrap_or_default();
            assert!(altered.starts_with(&format!("the wire {words}")), "seed {seed}: {altered}");
        }
    }
}

#[test]
fn one_broken_wire_is_named_at_both_ends() {
    let cut = Way { cut: true, ..Way::default() };
    let mut world =
        World::new([Side::new(pair(1, &[BASE], false), cut, 1), Side::new(pair(2, &[BASE], false), Way::default(), 2)]);
    world.run(120);
    assert_eq!(world.sides[0].ending, Some(Ending::Alone(Alone::Unheard)));
    assert_eq!(world.sides[1].ending, Some(Ending::Alone(Alone::Silence)));
    assert!(world.sides[0].said.contains(&News::Alone(Alone::Unheard)));
}

#[test]
fn an_end_at_another_rate_is_noise_and_its_own_echo_is_told() {
    let mut other = setup(2, &[9600], false);
    other.base = 9600;
    let mut b = Side::new(Pair::new(other, Instant::default()), Way::default(), 2);
    b.rate = 9600;
    let mut world = World::new([Side::new(pair(1, &[BASE], false), Way::default(), 1), b]);
    world.run(120);
    assert_eq!(world.sides[0].ending, Some(Ending::Alone(Alone::Noise)));

    let mut end = pair(1, &[BASE], false);
    let mut now = Instant::default();
    while now.as_micros() < 4_000_000 {
        let out = end.poll_transmit(now, 4096);
        end.handle_bytes(&out, now);
        now = now.after(STEP_US);
        end.handle_timeout(now);
    }
    let said: Vec<Order> = std::iter::from_fn(|| end.poll_order()).collect();
    assert!(said.contains(&Order::Say(News::Alone(Alone::Ourselves))), "{said:?}");
}

#[test]
fn modem_lines_are_found_as_they_are_joined() {
    // CTS 1, DSR 2, DCD 4: a null modem, three wires, one line less, two swapped, a jumper; what follows, and what is said
    let cases: [(Matrix, Matrix, bool, &str); 4] = [
        ([1, 6], [1, 6], true, ""),
        ([0, 0], [0, 0], false, ""),
        ([1, 6], [0, 6], false, "missing: RTS of"),
        ([2, 1], [1, 6], false, "swapped: RTS of"),
    ];
    for (seed, (to_b, to_a, flows, fault)) in cases.into_iter().enumerate() {
        let mut world = World::new([
            Side::new(pair(1, &[BASE], true), Way::default(), seed as u64),
            Side::new(pair(2, &[BASE], true), Way::default(), 99),
        ]);
        world.lines = [to_b, to_a];
        world.run(60);
        for side in &world.sides {
            let Some(Ending::Whole { wiring: Some(wiring), peer_timer_ms: Some(1) }) = side.ending else {
                panic!("{:?}", side.ending)
            };
            assert_eq!(lines::can_flow(&wiring), flows);
            let faults = lines::faults(&wiring);
            assert_eq!(faults.is_empty(), fault.is_empty(), "{faults:?}");
            assert!(faults.iter().all(|f| fault.is_empty() || f.starts_with(&fault[..7])), "{faults:?}");
        }
    }
}

#[test]
fn an_end_that_is_started_anew_is_met_again() {
    let rates = [BASE, 230_400, 460_800];
    for seed in 0..60u64 {
        let mut random = Random::new(seed);
        let after_ms = 100 + random.below(3500);
        let which = (seed % 2) as usize;
        let ids = [[5, 9], [9, 5]][(seed / 2 % 2) as usize];
        let mut world = World::new([
            Side::new(pair(ids[0], &rates, false), Way::default(), seed),
            Side::new(pair(ids[1], &rates, false), Way::default(), !seed),
        ]);
        world.run_until(after_ms / 1000 + 1, |w| w.now.as_micros() >= after_ms * 1000);
        let now = world.now;
        let fresh = Pair::new(setup(if seed % 3 == 0 { 7 } else { 11 + seed }, &rates, false), now);
        world.sides[which] = Side::new(fresh, Way::default(), seed + 500);
        world.run(120);
        assert!(world.sides.iter().all(is_whole), "seed {seed}: {:?}", world.sides.each_ref().map(|s| &s.ending));
        assert!(world.sides.iter().all(|s| s.rows.len() == 3), "seed {seed}");
    }
}

#[test]
fn a_peer_that_falls_silent_is_lost() {
    let mut world = World::new([
        Side::new(pair(1, &[BASE, 230_400], false), Way::default(), 1),
        Side::new(pair(2, &[BASE, 230_400], false), Way::default(), 2),
    ]);
    world.run_until(20, |w| !w.sides[0].rows.is_empty());
    world.sides.iter_mut().for_each(|s| s.way.cut = true);
    world.run(60);
    assert!(world.sides.iter().all(|s| s.ending == Some(Ending::Lost)), "{:?}", world.sides.each_ref().map(|s| &s.ending));
}

#[test]
fn one_way_the_hearing_end_may_come_at_any_time() {
    let rates = vec![BASE, 230_400, 460_800];
    for seed in 0..60u64 {
        let late_ms = Random::new(seed).below(9000);
        let noise = NoiseConfig { ber: 1e-4, ..NoiseConfig::default() };
        let cut = Way { cut: true, ..Way::default() };
        let sender = Sender::new(1, BASE, rates.clone(), MS, Some(3), Instant::default());
        let mut world = World::new([
            Side::new(sender, Way { noise, limit: 230_400, ..Way::default() }, seed),
            Side::new(Listener::new(BASE, 60_000_000, Instant::default()), cut, 0),
        ]);
        world.run_until(10, |w| w.now.as_micros() >= late_ms * 1000);
        let now = world.now;
        world.sides[1] = Side::new(Listener::new(BASE, 60_000_000, now), cut, 0);
        world.run(120);
        let hearing = &world.sides[1];
        assert!(is_whole(hearing), "seed {seed}: {:?}", hearing.ending);
        let mut seen: Vec<u32> = hearing.rows.iter().map(|r| r.baud).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, rates, "seed {seed}");
        let advice = report(hearing, "one-way").advice();
        assert!(advice.as_ref().is_none_or(|a| a.baud <= 230_400), "seed {seed}: {advice:?}");
        assert!(world.sides[1].queue.is_empty(), "the hearing end says nothing");
    }
}

#[test]
fn a_loopback_plug_needs_one_end() {
    let mut side = Side::new(Solo::new(3, BASE, &[BASE, 230_400], MS, true), Way::default(), 1);
    let mut now = Instant::default();
    while side.ending.is_none() && now.as_micros() < 60_000_000 {
        now = now.after(STEP_US);
        let (rate, mut out) = (side.rate, VecDeque::new());
        side.send(now, rate, &mut out, 500);
        side.arrives.extend(out);
        // RTS joined to CTS
        side.orders(now, |outputs| u8::from(outputs.rts));
        side.step(now);
    }
    let Some(Ending::Whole { wiring: Some(wiring), .. }) = side.ending else { panic!("{:?}", side.ending) };
    assert_eq!(wiring.own, [0, 1, 0, 1]);
    assert_eq!(side.rows.len(), 2);
    assert!(side.rows.iter().all(|r| r.from_peer.as_ref().unwrap().reading.wrong_bits == 0 && r.echo_us().is_some()));
}

/// Whatever comes in, nothing panics and nothing lasts for ever.
#[test]
fn hostile_messages_do_no_harm() {
    let huge = Reading {
        baud: u32::MAX,
        sent: u64::MAX,
        received: u64::MAX,
        place: u64::MAX,
        bytes: u64::MAX,
        wrong_bytes: u64::MAX,
        wrong_bits: u64::MAX,
        slips: u64::MAX,
        lost: u64::MAX,
        inserted: u64::MAX,
        per_second: f64::INFINITY,
        series: vec![[u64::MAX; 2]; 40],
        echoes_us: vec![u32::MAX; 90],
        asked: u32::MAX,
        ..Reading::default()
    };
    for seed in 0..1000u64 {
        let mut random = Random::new(seed);
        let mut ends: [Box<dyn Measuring>; 2] =
            [Box::new(pair(5, &[BASE, 230_400], true)), Box::new(Listener::new(BASE, 60_000_000, Instant::default()))];
        let mut now = Instant::default();
        let mut rows = Vec::new();
        for _ in 0..60 {
            let n = random.bits() as u32;
            let message = match random.below(12) {
                0 => Message::Hello { heard: 5, what: Introduction { rates: vec![n, BASE, 0], timer_ms: Some(n), lines: true } },
                1 => Message::Ask { to: 5, n: random.below(4) as u32, request: Request::Try { baud: n, ms: n, seed: n.into() } },
                2 => Message::Ask { to: 5, n: random.below(4) as u32, request: Request::Read(Box::new(huge.clone())) },
                3 => Message::Ask { to: 5, n: random.below(4) as u32, request: Request::Lines(Outputs::ON) },
                4 => Message::Ask { to: 5, n: random.below(4) as u32, request: Request::Bye(None) },
                5 => Message::Answer { to: 5, n: random.below(4) as u32, reply: Reply::Yes },
                6 => Message::Answer { to: 5, n: random.below(4) as u32, reply: Reply::Read(Box::new(huge.clone())) },
                7 => Message::Answer { to: 5, n: random.below(4) as u32, reply: Reply::Lines(255) },
                8 => Message::Ping(n),
                9 => Message::Next { n, of: n, baud: n, ms: n, seed: 0, starts_ms: n },
                10 => Message::Over(random.chance(0.5)),
                _ => Message::Pong(n),
            };
            let mut bytes = frame(random.below(3) * 7, &message, Level::Two);
            if random.chance(0.3) {
                let at = random.below(bytes.len() as u64) as usize;
                bytes[at] ^= 1 << random.below(8);
            }
            for end in &mut ends {
                end.handle_bytes(&bytes, now);
                now = now.after(random.below(400_000));
                end.handle_timeout(now);
                let _ = end.poll_transmit(now, 4096);
                assert!(end.poll_timeout(now) <= now.after(700_000_000), "nothing takes longer than ten minutes and some");
                while let Some(order) = end.poll_order() {
                    match order {
                        Order::Rate(_) => {
                            end.handle_rate(if random.chance(0.2) { Err("no".into()) } else { Ok(()) }, Counted::default(), now);
                        }
                        Order::Lines(_) => end.handle_lines(random.bits() as u8, now),
                        Order::Say(News::Tried(row)) => rows.push(*row),
                        _ => {}
                    }
                }
            }
        }
        let report = Report { port: "x".into(), mode: "two-way", rows, wiring: None, timers_ms: [None; 2] };
        assert!(!report.to_text().is_empty() && report.to_json().is_object());
    }
}

/// Its own words, and those of a third end, are never taken for the peer's.
#[test]
fn only_the_peer_is_answered() {
    let mut end = pair(5, &[BASE], false);
    let mut now = Instant::default();
    let mut says = |end: &mut Pair, from, message: &Message| {
        end.handle_bytes(&frame(from, message, Level::Two), now);
        now = now.after(1_000);
        let (mut ear, said) = (Ear::default(), end.poll_transmit(now, 4096));
        let answers = ear.listen(&said).iter().filter(|heard| matches!(heard, Heard::Message(5, Message::Answer { .. }))).count();
        (answers, std::iter::from_fn(|| end.poll_order()).count())
    };
    let ask = |to| Message::Ask { to, n: 1, request: Request::Try { baud: BASE, ms: MS, seed: 1 } };
    let hello = |heard| Message::Hello { heard, what: Introduction { rates: vec![BASE], timer_ms: None, lines: false } };
    let all = |to| [hello(to), ask(to), Message::Answer { to, n: 1, reply: Reply::Yes }, Message::Ping(1), Message::Pong(1)];
    says(&mut end, 9, &Message::Ping(0));
    for message in all(5).iter().chain(&all(9)) {
        assert_eq!(says(&mut end, 5, message), (0, 0), "its own: {message:?}");
    }
    assert_eq!(says(&mut end, 9, &ask(7)), (0, 0), "of somebody else");
    // the peer asks for something small, and a third end for more
    let lines = Message::Ask { to: 5, n: 1, request: Request::Bye(None) };
    assert_eq!(says(&mut end, 9, &lines).0, 1);
    assert_eq!(says(&mut end, 7, &ask(5)), (0, 0), "a third end has nothing to ask for");
    assert_eq!(says(&mut end, 9, &lines).0, 1);
}

/// One way, another sender is not listened to while the first one goes on.
#[test]
fn one_sender_at_a_time_is_listened_to() {
    let mut end = Listener::new(BASE, 60_000_000, Instant::default());
    let next = |baud| Message::Next { n: 0, of: 2, baud, ms: MS, seed: 1, starts_ms: 100 };
    let mut rates = Vec::new();
    for (from, baud, at) in [(0, 50, 0), (3, BASE, 0), (4, 230_400, 50_000)] {
        end.handle_bytes(&frame(from, &next(baud), Level::Two), Instant::from_micros(at));
    }
    end.handle_timeout(Instant::from_micros(200_000));
    while let Some(order) = end.poll_order() {
        if let Order::Rate(baud) = order {
            rates.push(baud);
        }
    }
    assert_eq!(rates, [BASE]);
}

/// A frame whose body is this behind the mark: of any version, and of any text.
fn raw(version: u8, text: &str) -> Vec<u8> {
    let mut body = b"HLtest".to_vec();
    body.push(version);
    body.extend(5u64.to_le_bytes());
    body.extend(text.as_bytes());
    let (mut out, level) = (vec![0; link::FRAME_MAX], Level::Sixteen);
    let at = link::wire::frame::body_at(level);
    out[at..at + body.len()].copy_from_slice(&body);
    let n = link::wire::write_frame(&mut out, link::wire::Head::open(body.len(), level), link::wire::Binding::NONE);
    out.truncate(n);
    out
}

/// What was read of a trial in which each count is another.
fn reading() -> Reading {
    Reading {
        baud: 115_200,
        sent: 23_040,
        received: 23_030,
        place: 23_040,
        bytes: 23_028,
        wrong_bytes: 3,
        wrong_bits: 4,
        slips: 2,
        lost: 12,
        inserted: 2,
        per_second: 11_514.0,
        series: (0..20).map(|part| [9_208, u64::from(part < 4)]).collect(),
        echoes_us: vec![310, 325, 4_000],
        asked: 4,
        counted: Counted { overruns: 1, framing: 5 },
        ..Reading::default()
    }
}

/// `fixtures/measure.txt`, as PROTOCOL 11 names its vectors. `HARDLINE_BLESS=1` writes it.
#[test]
fn vectors_are_what_is_sent() {
    let introduction = Introduction { rates: vec![115_200, 2_000_000], timer_ms: Some(1), lines: true };
    let bare = Introduction { rates: vec![115_200], timer_ms: None, lines: false };
    let mut pattern = [0; 20];
    tools::measure::pattern::Pattern::new(7).fill(3, &mut pattern);
    let ask = |request| Message::Ask { to: 9, n: 3, request };
    let answer = |reply| Message::Answer { to: 9, n: 3, reply };
    let refused = Box::new(Reading::refused(921_600, "the port cannot"));
    let wiring = Wiring { to_peer: [0, 1, 6, 7], from_peer: [0, 1, 6, 7], own: [0; 4], peer_own: [8; 4] };
    let messages = [
        ("hello", Message::Hello { heard: 9, what: introduction }, Level::Sixteen),
        ("hello-bare", Message::Hello { heard: 0, what: bare }, Level::Sixteen),
        ("ask", ask(Request::Try { baud: 2_000_000, ms: 2000, seed: 7 }), Level::Sixteen),
        ("ask-read", ask(Request::Read(Box::new(reading()))), Level::Sixteen),
        ("ask-lines", ask(Request::Lines(Outputs { rts: true, dtr: false })), Level::Sixteen),
        ("ask-bye", ask(Request::Bye(Some(wiring))), Level::Sixteen),
        ("ask-bye-without-lines", ask(Request::Bye(None)), Level::Sixteen),
        ("answer", answer(Reply::Lines(3)), Level::Sixteen),
        ("answer-yes", answer(Reply::Yes), Level::Sixteen),
        ("answer-read-refused", answer(Reply::Read(refused)), Level::Sixteen),
        ("ping", Message::Ping(5), Level::Plain),
        ("pong", Message::Pong(5), Level::Plain),
        ("next", Message::Next { n: 0, of: 2, baud: 115_200, ms: 2000, seed: 7, starts_ms: 900 }, Level::Sixteen),
        ("over", Message::Over(true), Level::Sixteen),
    ];
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let mut made = "# What hardline test says and sends (PROTOCOL 11).\n".to_owned();
    made += &format!("pattern = {}\npattern.says = seed=7 from=3\n", hex(&pattern));
    for (name, message, level) in messages {
        let says = serde_json::to_string(&message).unwrap();
        made += &format!("{name} = {}\n{name}.says = id=5 {says}\n", hex(&frame(5, &message, level)));
    }
    let read = serde_json::to_string(&ask(Request::Read(Box::new(reading())))).unwrap();
    let counted = r#""counted":{"overruns":1,"framing":5}"#;
    let hit = |byte, fate| Hit { byte, fate };
    let hits = vec![hit(0x0D, Fate::Changed(0x0A)), hit(0x11, Fate::Lost), hit(0x80, Fate::Joined(0)), hit(0xFF, Fate::Doubled)];
    let altered = Reading { hits, spoiled: 0x80, ..reading() };
    let altered = serde_json::to_string(&ask(Request::Read(Box::new(altered)))).unwrap();
    // what is left out, or comes beside what is known
    for (name, version, text) in [
        ("read-hits", 1, altered.clone()),
        ("read-blanks", 1, read.clone() + "   "),
        ("bad-hit-fate", 1, altered.replace("Doubled", "Tripled")),
        ("bad-spoiled-too-wide", 1, altered.replace("\"spoiled\":128", "\"spoiled\":256")),
        ("read-field-unknown", 1, read.replace(counted, &format!("{counted},\"later\":[1]"))),
        ("read-refused-left-out", 1, read.replace(r#","refused":null"#, "")),
        ("bad-version", 2, read.clone()),
        ("bad-counted-null", 1, read.replace(counted, r#""counted":null"#)),
        ("bad-field-left-out", 1, read.replace(r#""asked":4,"#, "")),
        ("bad-field-negative", 1, read.replace(r#""slips":2"#, r#""slips":-2"#)),
        ("bad-field-fraction", 1, read.replace(r#""slips":2"#, r#""slips":2.0"#)),
        ("bad-field-too-wide", 1, read.replace(r#""asked":4,"#, r#""asked":4294967296,"#)),
        ("bad-kind", 1, r#"{"Other":1}"#.into()),
        ("bad-two-kinds", 1, r#"{"Ping":1,"Pong":1}"#.into()),
        ("bad-text", 1, "{\"Ping\":1".into()),
    ] {
        let wire = raw(version, &text);
        let said = match &Ear::default().listen(&wire)[..] {
            [Heard::Message(id, message)] => format!("id={id} {}", serde_json::to_string(message).unwrap()),
            [Heard::Foreign] => "dropped".into(),
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(said == "dropped", name.starts_with("bad-"), "{name}: {said}");
        made += &format!("{name} = {}\n{name}.says = {said}\n", hex(&wire));
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/measure.txt");
    if std::env::var_os("HARDLINE_BLESS").is_some() {
        std::fs::write(path, &made).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), made);
}
