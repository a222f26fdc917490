//! The run: starts wire, processes and users, follows the day, ends it and judges.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::path::PathBuf;
use std::process::{ChildStdin, ChildStdout};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::chance::Chance;
use super::ends::End;
use super::report::{ENDS, EndReport, Report, WAYS, WayReport, mega};
use super::schedule::{self, Change, HOURS};
use super::stream::Stream;
use super::users::{Evening, User};
use tools::sim::live::{Wire, clean};

/// Rate of the wire.
const BAUD: u32 = 2_000_000;
/// A direction in which nothing arrives for so long hangs: stalls, pauses, outages and unplugs
/// together are shorter, and so is the time after which a process gives up by itself.
const HANGS: Duration = Duration::from_secs(90);
/// Memory is looked at this often, or more often in a short run.
const SAMPLE: Duration = Duration::from_secs(2);
const SAMPLES: u32 = 50;

/// What to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The binary.
    pub hardline: PathBuf,
    /// What everything drawn follows from.
    pub seed: u64,
    /// How long the users are busy: a day for the schedule.
    pub length: Duration,
}

/// What threads have to say.
#[derive(Debug)]
enum News {
    /// The writer of a direction is done.
    Written(usize, io::Result<()>),
    /// The reader of a direction is done.
    Read(usize, io::Result<()>),
    /// The wire stopped.
    Wire(String),
}

/// A direction and its users.
#[derive(Debug)]
struct Way {
    written: Arc<AtomicU64>,
    read: Arc<AtomicU64>,
    threads: [JoinHandle<()>; 2],
    /// Bytes read when that was last looked at, and since when there are no more.
    seen: (u64, Instant),
    read_ended: bool,
}

/// One more draw per thing that is seeded.
fn seed_of(seed: u64, thing: u64) -> u64 {
    link::sim::Random::new(seed.wrapping_mul(0x0100_0000_01B3).wrapping_add(thing)).bits()
}

impl Way {
    fn start(at: usize, options: &Options, input: ChildStdin, output: ChildStdout, news: &Sender<News>) -> (Way, Days) {
        let user = |thing: u64| {
            let (day, evening) = Evening::new();
            let stream = Stream::new(seed_of(options.seed, at as u64));
            (day, User { stream, chance: Chance::new(seed_of(options.seed, thing + at as u64), options.length), evening })
        };
        let ((writers_day, writer), (readers_day, reader)) = (user(10), user(20));
        let (written, read) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let writing = {
            let (written, news) = (Arc::clone(&written), news.clone());
            std::thread::spawn(move || drop(news.send(News::Written(at, writer.write(input, &written)))))
        };
        let reading = {
            let (read, news) = (Arc::clone(&read), news.clone());
            std::thread::spawn(move || drop(news.send(News::Read(at, reader.read(output, &read)))))
        };
        let way = Way { written, read, threads: [writing, reading], seen: (0, Instant::now()), read_ended: false };
        (way, [writers_day, readers_day])
    }
    fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }
}

type Days = [Sender<Infallible>; 2];

struct Soak<'a> {
    options: &'a Options,
    say: &'a mut dyn FnMut(&str),
    began: Instant,
    wire: Wire,
    ends: [End; 2],
    ways: [Way; 2],
    news: Receiver<News>,
    /// Dropped in the evening.
    days: Vec<Days>,
    to_come: VecDeque<(Duration, Change)>,
    weather: &'static str,
    timer: Duration,
    sample_at: Duration,
    hour: u32,
    report: Report,
}

/// Runs a soak; `say` hears a line per hour. An error is one of the harness; what hardline did
/// wrong is in the report.
pub fn run(options: &Options, say: &mut dyn FnMut(&str)) -> io::Result<Report> {
    let dir = tempfile::Builder::new().prefix("hardline-soak-").tempdir()?;
    let (news_to, news) = channel();
    let to_us = news_to.clone();
    let failed = move |why| drop(to_us.send(News::Wire(why)));
    let (a, b) = (dir.path().join(ENDS[0]), dir.path().join(ENDS[1]));
    let wire = Wire::start(&clean(&a, &b, BAUD, seed_of(options.seed, 30)), failed)?;
    let (end_a, a_in, a_out) = End::start(&options.hardline, dir.path(), ENDS[0], BAUD)?;
    let (end_b, b_in, b_out) = End::start(&options.hardline, dir.path(), ENDS[1], BAUD)?;
    let (there, days_there) = Way::start(0, options, a_in, b_out, &news_to);
    let (back, days_back) = Way::start(1, options, b_in, a_out, &news_to);
    let mut soak = Soak {
        options,
        say,
        began: Instant::now(),
        wire,
        ends: [end_a, end_b],
        ways: [there, back],
        news,
        days: vec![days_there, days_back],
        to_come: schedule::day(seed_of(options.seed, 40), options.length).into(),
        weather: "",
        timer: Duration::ZERO,
        sample_at: Duration::ZERO,
        hour: 0,
        report: Report { seed: options.seed, length: options.length, ..Report::default() },
    };
    soak.live();
    let mut report = soak.end()?;
    if !report.held() {
        report.kept = Some(dir.keep());
    }
    Ok(report)
}

impl Soak<'_> {
    /// Goes on until both streams have ended, or something did not hold.
    fn live(&mut self) {
        while self.report.held() && !self.ways.iter().all(|w| w.read_ended) {
            let now = self.began.elapsed();
            self.follow_schedule(now);
            self.sample(now);
            self.tell_hour(now);
            self.look_for_hang();
            if now >= self.options.length {
                self.days.clear();
            }
            if let Ok(news) = self.news.recv_timeout(self.next().saturating_sub(now)) {
                self.handle(news);
            }
        }
    }

    /// When there is something to do.
    fn next(&self) -> Duration {
        let evening = if self.days.is_empty() { Duration::MAX } else { self.options.length };
        let change = self.to_come.front().map_or(Duration::MAX, |c| c.0);
        self.sample_at.min(change).min(evening)
    }

    fn follow_schedule(&mut self, now: Duration) {
        while let Some((_, change)) = self.to_come.pop_front_if(|c| c.0 <= now) {
            match change {
                Change::Noise(weather) => self.weather = weather.name,
                Change::Outage(_) => self.report.outages += 1,
                Change::Unplug(_) => self.report.unplugs += 1,
                Change::Timer(timer) => self.timer = timer,
            }
            self.wire.change(move |simulation| match change {
                Change::Noise(weather) => simulation.set_noise(0, weather.noise),
                Change::Outage(length) => simulation.begin_outage(0, length),
                Change::Unplug(length) => simulation.begin_unplug(0, length),
                Change::Timer(timer) => simulation.set_timer(0, timer),
            });
        }
    }

    fn sample(&mut self, now: Duration) {
        if now < self.sample_at {
            return;
        }
        self.sample_at = now + SAMPLE.min(self.options.length / SAMPLES);
        for (end, way) in self.ends.iter_mut().zip([&self.ways[1], &self.ways[0]]) {
            end.sample(now, self.options.length);
            // who has said something is past its start and listens to signals
            if way.read() > 0 {
                end.ask();
            }
        }
    }

    fn tell_hour(&mut self, now: Duration) {
        let hour = (now.as_secs_f64() / self.options.length.as_secs_f64() * f64::from(HOURS)) as u32;
        if hour <= self.hour || self.hour >= HOURS {
            return;
        }
        self.hour = hour.min(HOURS);
        let [there, back] = self.ways.each_ref().map(|w| mega(w.read(), 1e6));
        let [resends, bad] = ["resends", "frames_bad"].map(|name| self.ends.each_ref().map(|e| e.count(name)));
        let rss = self.ends.each_ref().map(|e| mega(e.memory.last, 1e3));
        let timer = if self.timer.is_zero() { String::new() } else { format!(", timer {:?}", self.timer) };
        let (outages, unplugs) = (self.report.outages, self.report.unplugs);
        (self.say)(&format!(
            "{:02}:00  {there:.2} and {back:.2} MB  resends {} and {}  bad frames {} and {}  outages {outages}  \
             unplugs {unplugs}  RSS {:.2} and {:.2} MB  {}{timer}",
            self.hour, resends[0], resends[1], bad[0], bad[1], rss[0], rss[1], self.weather
        ));
    }

    fn look_for_hang(&mut self) {
        for (way, name) in self.ways.iter_mut().zip(WAYS) {
            let read = way.read();
            if read > way.seen.0 || way.read_ended {
                way.seen = (read, Instant::now());
            } else if way.seen.1.elapsed() > HANGS {
                self.report.faults.push(format!("{name}: hangs, nothing arrived for {} s after {read} bytes", HANGS.as_secs()));
            }
        }
    }

    fn handle(&mut self, news: News) {
        let fault = match news {
            News::Wire(why) => Some(format!("the simulated wire stopped: {why}")),
            News::Written(way, Err(e)) => Some(format!("{}: cannot write: {e}", WAYS[way])),
            News::Written(_, Ok(())) => None,
            News::Read(way, Err(e)) => Some(format!("{}: {e}", WAYS[way])),
            News::Read(way, Ok(())) => {
                self.ways[way].read_ended = true;
                (!self.days.is_empty()).then(|| format!("{}: the stream ended at {} bytes", WAYS[way], self.ways[way].read()))
            }
        };
        self.report.faults.extend(fault);
    }

    /// Waits for the processes and puts the report together.
    fn end(mut self) -> io::Result<Report> {
        self.days.clear();
        // after a fault the other end shall say how it takes it, but not for long
        let most = if self.report.held() { HANGS } else { HANGS / 10 };
        for (end, report) in self.ends.iter_mut().zip(&mut self.report.ends) {
            let exit = end.wait(most)?;
            let (resends, frames_bad, corrected) = (end.count("resends"), end.count("frames_bad"), end.count("corrected"));
            *report = EndReport { exit, memory: end.memory, resends, frames_bad, corrected, log: end.log() };
        }
        self.report.took = self.began.elapsed();
        let wire = self.wire.stop().unwrap_or_default();
        for ((way, counters), report) in self.ways.into_iter().zip(wire).zip(&mut self.report.ways) {
            let Way { written, read, threads, .. } = way;
            let panicked = threads.into_iter().map(JoinHandle::join).any(|r| r.is_err());
            if panicked {
                self.report.faults.push("a user panicked".into());
            }
            *report = WayReport { written: written.load(Ordering::Relaxed), read: read.load(Ordering::Relaxed), wire: counters };
        }
        self.report.judge();
        Ok(self.report)
    }
}
