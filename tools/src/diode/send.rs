//! The sending loop: a paced line, beacons, and one of the three kinds of traffic.

use std::time::{Duration, Instant};

use diode::emitter::OPENINGS;
use diode::profile::Profile;
use diode::seal::{Sealing, write};
use diode::wire::{Beacon, OPEN_END, Record, Shape, VERSION};
use link::wire::Level;
use link::{FRAME_MAX, Pace};

use super::port::Output;
use super::sealing::Session;
use crate::clock::Clock;
use crate::error::Failure;
use crate::signal::{Signal, Signals};

/// Time between beacons.
const BEACON: Duration = Duration::from_millis(1000);
/// Closing beacons, the last of them after the outage that is to be survived.
const FAREWELLS: u32 = 4;

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
    output: Output,
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
    user_bytes: u64,
}

impl<'a> Line<'a> {
    /// A new session on an open port.
    pub fn new(output: Output, settings: &Settings, session: Session, signals: &'a Signals) -> Line<'a> {
        let rate = if settings.rate > 0 { settings.rate } else { output.rate };
        let clock = Clock::new();
        // a plain beacon takes about 60 bytes: at most a fiftieth of the wire
        let beacon = 60 + session.sealing.as_ref().map_or(0, Sealing::beacon_len) as u64;
        let floor = if rate == 0 { 0 } else { beacon * 50 * 1_000_000 / u64::from(rate) };
        Line {
            output,
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
            user_bytes: 0,
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
        let len = write(&mut self.frame[..], self.counter, self.session, record, self.level, self.sealing.as_ref());
        self.counter += 1;
        self.bytes += len as u64;
        self.user_bytes += match record {
            Record::Datum { payload, .. } | Record::Shard { payload, .. } | Record::Symbol { payload, .. } => {
                payload.len() as u64
            }
            Record::Beacon(_) | Record::Manifest(_) => 0,
        };
        self.pace.take(len, self.clock.now());
        self.output.write(&self.frame[..len], self.signals)
    }
    /// Sends a beacon when it is time for one.
    pub fn beacon(&mut self, told: &Told) -> Result<(), Failure> {
        if self.clock.now() < self.beacon_at || !self.is_ready() {
            return Ok(());
        }
        self.beacon_at = self.clock.now().after(self.beacon_gap_us);
        let times = if self.counter == 0 && self.sealing.is_some() { OPENINGS } else { 1 };
        (0..times).try_for_each(|_| self.send(&self.beacon_record(told, false)))
    }
    /// When the next beacon is due.
    pub fn beacon_in(&self) -> Duration {
        Duration::from_micros(self.beacon_at.since(self.clock.now()))
    }
    fn beacon_record(&self, told: &Told, end: bool) -> Record<'static> {
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
        })
    }
    /// Says that the session ends, apart in time so that an outage cannot swallow all of it.
    pub fn finish(&mut self, told: &Told) -> Result<(), Failure> {
        for i in 0..FAREWELLS {
            self.send(&self.beacon_record(told, true))?;
            if i + 1 < FAREWELLS {
                let gap = self.survive.mul_f64(1.1) / (FAREWELLS - 1);
                check(self.signals)?;
                std::thread::sleep(gap.max(self.wait()));
            }
        }
        // what the kernel still holds must leave before the port is closed
        std::thread::sleep(Duration::from_micros(self.pace.backlog_us(self.clock.now())));
        self.output.drain(self.signals)
    }
    /// The counters, as the contract names them; what only a receiver can know is 0.
    pub fn stats(&self) -> serde_json::Value {
        let stats =
            link::Stats { bytes_out: self.user_bytes, wire_out: self.bytes, frames_out: self.counter, ..link::Stats::default() };
        crate::stats::as_json(&stats, self.began)
    }
}

/// Ends the command when a signal asks for it.
pub fn check(signals: &Signals) -> Result<(), Failure> {
    match signals.take() {
        Some(Signal::End(number)) => Err(Failure::signal(number, "interrupted; the receiver does not know")),
        _ => Ok(()),
    }
}
