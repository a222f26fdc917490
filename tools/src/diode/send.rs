//! The sending loop: a paced line, beacons, and one of the three kinds of traffic.

use std::time::{Duration, Instant};

use diode::emitter::OPENINGS;
use diode::profile::Profile;
use diode::seal::{Sealing, write};
use diode::wire::{Beacon, OPEN_END, Record, Shape, VERSION};
use link::wire::Level;
use link::{FRAME_MAX, Pace};
use nix::poll::PollFlags;

use super::sealing::Session;
use super::target::Target;
use crate::clock::Clock;
use crate::error::{Doing, Exit, Failure, kinds};
use crate::signal::Signals;

/// Time between beacons.
const BEACON: Duration = Duration::from_millis(1000);
/// Closing beacons: as many as a datagram has copies, and as far apart, so that an outage leaves two of them.
pub const FAREWELLS: u32 = 6;
/// Closing beacons of a sender that is told to end, and the time they may take together.
pub const BROKEN_OFF: u32 = 3;
const BREAK_OFF: Duration = Duration::from_millis(400);

/// What all kinds of traffic share.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The profile chosen.
    pub profile: Profile,
    /// Longest outage to survive.
    pub survive: Duration,
    /// Bytes per second, 0 = as fast as the port takes them.
    pub rate: u32,
    /// Whether a terminal is shown how far it is.
    pub shown: bool,
}

impl Settings {
    /// Frames of this payload that an outage destroys.
    pub fn outage_frames(&self, payload: usize, rate: u32) -> u32 {
        let frame = link::wire::frame::frame_len(payload + diode::wire::SYMBOL_HEAD, self.profile.level) as u64;
        (u64::from(rate) * self.survive.as_millis() as u64 / 1000).div_ceil(frame) as u32
    }
}

/// What became of a session.
#[derive(Debug)]
pub struct Sent {
    /// The counters.
    pub stats: serde_json::Value,
    /// How it ended.
    pub verdict: Result<(), Failure>,
}

/// What the beacon says beside the session.
#[derive(Clone, Copy, Debug)]
pub struct Told {
    /// Shape of the stream.
    pub shape: Shape,
    /// Its length, once known.
    pub stream_len: u64,
    /// Datagrams made.
    pub datagrams: u32,
    /// Objects begun.
    pub objects: u32,
}

impl Default for Told {
    fn default() -> Told {
        Told { shape: Shape::default(), stream_len: OPEN_END, datagrams: 0, objects: 0 }
    }
}

/// A line that takes frames.
#[derive(Debug)]
pub struct Line<'a> {
    target: Target,
    signals: &'a Signals,
    pace: Pace,
    /// Time.
    pub clock: Clock,
    began: Instant,
    session: u64,
    sealing: Option<Sealing>,
    counter: u64,
    level: Level,
    survive: Duration,
    beacon_at: link::Instant,
    beacon_gap_us: u64,
    frame: Box<[u8; FRAME_MAX]>,
    bytes: u64,
}

impl<'a> Line<'a> {
    /// A new session on an open port.
    pub fn new(target: Target, settings: &Settings, session: Session, signals: &'a Signals) -> Line<'a> {
        let rate = if settings.rate > 0 { settings.rate } else { target.rate() };
        let clock = Clock::new();
        // a plain beacon takes about 60 bytes: at most a fiftieth of the wire
        let beacon = 60 + session.sealing.as_ref().map_or(0, Sealing::beacon_len) as u64;
        let floor = if rate == 0 { 0 } else { beacon * 50 * 1_000_000 / u64::from(rate) };
        Line {
            target,
            signals,
            pace: Pace::new(rate, 8_000),
            beacon_at: clock.now(),
            clock,
            began: Instant::now(),
            session: session.number,
            sealing: session.sealing,
            counter: 0,
            level: settings.profile.level,
            survive: settings.survive,
            beacon_gap_us: floor.max(BEACON.as_micros() as u64),
            frame: Box::new([0; FRAME_MAX]),
            bytes: 0,
        }
    }

    /// Whether a frame may be sent now.
    pub fn is_ready(&self) -> bool {
        self.pace.ready(self.clock.now())
    }
    /// How long until then.
    pub fn wait(&self) -> Duration {
        Duration::from_micros(self.pace.ready_at().since(self.clock.now()))
    }
    /// Sends one frame.
    pub fn send(&mut self, record: &Record<'_>) -> Result<(), Failure> {
        let len = self.encode(record);
        self.target.write(&self.frame[..len], self.signals)
    }
    fn encode(&mut self, record: &Record<'_>) -> usize {
        let len = write(&mut self.frame[..], self.counter, self.session, record, self.level, self.sealing.as_ref());
        self.counter += 1;
        self.bytes += len as u64;
        self.pace.take(len, self.clock.now());
        len
    }
    /// Sends a beacon when it is time for one.
    pub fn beacon(&mut self, told: &Told) -> Result<(), Failure> {
        if self.clock.now() < self.beacon_at || !self.is_ready() {
            return Ok(());
        }
        self.beacon_at = self.clock.now().after(self.beacon_gap_us);
        let times = if self.counter == 0 && self.sealing.is_some() { OPENINGS } else { 1 };
        (0..times).try_for_each(|_| self.send(&self.beacon_record(told, false, false)))
    }
    /// When the next beacon is due.
    pub fn beacon_in(&self) -> Duration {
        Duration::from_micros(self.beacon_at.since(self.clock.now()))
    }
    fn beacon_record(&self, told: &Told, end: bool, broken: bool) -> Record<'static> {
        Record::Beacon(Beacon {
            version: VERSION,
            session: self.session,
            counter: self.counter,
            period_ms: (self.beacon_gap_us / 1000).min(65_535) as u16,
            survive_ms: self.survive.as_millis().min(u128::from(u32::MAX)) as u32,
            shape: told.shape,
            stream_len: told.stream_len,
            datagrams: told.datagrams,
            objects: told.objects,
            end,
            broken,
        })
    }
    /// Says that the session ends, apart in time so that an outage cannot swallow all of it.
    pub fn finish(&mut self, told: &Told) -> Result<(), Failure> {
        for i in 0..FAREWELLS {
            pause(self.signals, farewell_gap(i, self.survive).max(self.wait()))?;
            match self.send(&self.beacon_record(told, true, false)) {
                // a receiver behind a pipe leaves when it has heard the first of them
                Err(_) if i > 0 && self.target.is_closed() => return Ok(()),
                sent => sent?,
            }
        }
        // what the kernel still holds must leave before the port is closed
        pause(self.signals, Duration::from_micros(self.pace.backlog_us(self.clock.now())))?;
        self.target.drain(self.signals)
    }
    /// Told to end, or without its input, it says so and what was promised: the receiver names what is missing instead of
    /// waiting. `broken`: that there should have been more.
    pub fn break_off(&mut self, failure: Failure, told: &Told, broken: bool) -> Failure {
        if !is_told(&failure) {
            return failure;
        }
        let frames: Vec<_> = (0..BROKEN_OFF)
            .map(|_| {
                let len = self.encode(&self.beacon_record(told, true, broken));
                self.frame[..len].to_vec()
            })
            .collect();
        farewell_in_haste(&mut self.target, &frames, failure, broken)
    }
    /// The counters, as the contract names them; what only a receiver can know is 0.
    pub fn stats(&self, bytes_out: u64) -> serde_json::Value {
        let stats = link::Stats { bytes_out, wire_out: self.bytes, frames_out: self.counter, ..link::Stats::default() };
        crate::stats::as_json(&stats, self.began)
    }
}

/// Time before closing beacon `i`.
pub fn farewell_gap(i: u32, survive: Duration) -> Duration {
    match i {
        0 => Duration::ZERO,
        i if i < FAREWELLS - 1 => survive.mul_f64(1.25) / (FAREWELLS - 2),
        _ => survive / 20,
    }
}

/// Whether the receiver is told of this: who was asked to end still can, and who has no input.
pub fn is_told(failure: &Failure) -> bool {
    failure.kind == kinds::INPUT_FAILED || matches!(failure.exit, Exit::Signal(_))
}

/// Writes closing beacons within the time a sender that is told to end still has; says in `failure` what the receiver knows.
pub fn farewell_in_haste(target: &mut Target, frames: &[Vec<u8>], failure: Failure, broken: bool) -> Failure {
    let until = Instant::now() + BREAK_OFF;
    for (i, frame) in frames.iter().enumerate() {
        if i > 0 {
            std::thread::sleep(BREAK_OFF / 2 / BROKEN_OFF);
        }
        if !target.write_until(frame, until) {
            return failure;
        }
    }
    if target.drain_until(until) && matches!(failure.exit, Exit::Signal(_)) {
        let what = if broken { "not all was sent" } else { "the session is over" };
        return failure.with(format!("interrupted; the receiver was told that {what}"));
    }
    failure
}

/// Waits, but ends the command when a signal asks for it.
pub fn pause(signals: &Signals, time: Duration) -> Result<(), Failure> {
    let until = Instant::now() + time;
    loop {
        check(signals)?;
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        crate::drive::wait(&[(signals.fd(), PollFlags::POLLIN)], Some(left)).doing(kinds::SYSTEM, || "wait".into())?;
    }
}

/// Ends the command when a signal asks for it.
pub fn check(signals: &Signals) -> Result<(), Failure> {
    match signals.take_end() {
        Some(number) => Err(Failure::signal(number, "interrupted; the receiver does not know")),
        None => Ok(()),
    }
}
