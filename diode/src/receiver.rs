//! The receiving end: bytes in, records and a judgement of the line out. It has no way to send.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use link::Instant;
use link::wire::{Deframer, Head, seq};

use crate::unseal::{Heard, Sender, Unseal, Verdict};
use crate::wire::{Beacon, Body, Record, VERSION};

/// Frames kept until a beacon says which session they belong to.
const EARLY_MAX: usize = 4096;
const EARLY_BYTES_MAX: usize = 4 << 20;
/// Silence inside a frame after which its head is doubted (µs).
const PAUSE_US: u64 = 60_000;

/// What the line brought.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// A beacon, the first of its session or one that says something new.
    Session(Beacon),
    /// The sender speaks another version. On a sealed line nothing proves that it is the sender who said so;
    /// there it is told once.
    Version(u8),
    /// A sealed session begins, of the sender with this place in the list. What is now to be remembered
    /// ([`Receiver::heard`]) must be on disk before anything of the session is used.
    Accepted {
        /// Place of the sender in the list.
        sender: usize,
        /// Session id.
        session: u64,
    },
    /// Authentic frames of this session came that have been here before, or are older than what was here:
    /// somebody plays back a recording. Told once until another session is concerned.
    Replay {
        /// Place of the sender in the list.
        sender: usize,
        /// Session id.
        session: u64,
    },
    /// A record of the session, as its body: read it with [`Body::parse`].
    Body(Vec<u8>),
    /// The session's last beacon has come.
    End,
    /// Nothing was heard for three beacon periods.
    Silence,
    /// Something was heard again after silence, for so many microseconds.
    Back(u64),
}

/// Counters of the line, each named for what was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Bytes that came in.
    pub wire_in: u64,
    /// Good frames.
    pub frames_in: u64,
    /// Frames spoiled by noise, and frames that make no sense.
    pub frames_bad: u64,
    /// Frames that never came, by the gaps in the counter.
    pub frames_missing: u64,
    /// Bytes passed over.
    pub junk: u64,
    /// Wrong bytes repaired by armour.
    pub corrected: u64,
    /// Frames of another session.
    pub foreign: u64,
    /// Times the line fell silent.
    pub silences: u64,
    /// Sealed frames that a plain receiver cannot read.
    pub sealed: u64,
    /// Plain frames that a sealed receiver does not take.
    pub plain: u64,
    /// Sealed frames that no key opens.
    pub refused: u64,
    /// Authentic frames that came before.
    pub replayed: u64,
    /// Frames of the present session that were sent before the first one that was heard.
    pub late: u64,
}

/// Finds frames, follows the session, keeps the counters.
#[derive(Debug)]
pub struct Receiver {
    deframer: Deframer,
    beacon: Option<Beacon>,
    next_counter: Option<u64>,
    early: VecDeque<Vec<u8>>,
    early_bytes: usize,
    events: VecDeque<Event>,
    stats: Stats,
    heard: Instant,
    silent: bool,
    pause: Option<Instant>,
    /// Of a sealed receiver.
    unseal: Option<Unseal>,
    /// What was told of it.
    told: (Option<u64>, Option<u8>),
    reorders: bool,
}

impl Receiver {
    /// A receiver that may join at any moment.
    pub fn new(now: Instant) -> Receiver {
        Receiver {
            deframer: Deframer::default(),
            beacon: None,
            next_counter: None,
            early: VecDeque::new(),
            early_bytes: 0,
            events: VecDeque::new(),
            stats: Stats::default(),
            heard: now,
            silent: false,
            pause: None,
            unseal: None,
            told: (None, None),
            reorders: false,
        }
    }
    /// A receiver that takes nothing but sealed frames of these senders. It keeps nothing of a frame that
    /// is not authentic: who joins late hears from the next beacon on.
    pub fn sealed(senders: Vec<Sender>, now: Instant) -> Receiver {
        Receiver { unseal: Some(Unseal::new(senders, now)), ..Receiver::new(now) }
    }
    /// What is to be remembered of the senders over a restart, in their order.
    pub fn heard(&self) -> Vec<Heard> {
        self.unseal.as_ref().map_or_else(Vec::new, |unseal| unseal.heard().collect())
    }

    /// The latest beacon.
    pub fn beacon(&self) -> Option<&Beacon> {
        self.beacon.as_ref()
    }

    /// How long nothing of the present session has been heard, in microseconds; none before the first.
    pub fn silence_us(&self, now: Instant) -> Option<u64> {
        self.beacon.map(|_| now.since(self.heard))
    }

    /// Bytes came from the wire.
    pub fn handle_bytes(&mut self, bytes: &[u8], now: Instant) {
        if bytes.is_empty() {
            return;
        }
        self.stats.wire_in += bytes.len() as u64;
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = &rest[self.deframer.push(rest)..];
            self.drain(now);
        }
        self.pause = self.deframer.is_partial().then(|| now.after(PAUSE_US));
    }

    /// One whole datagram that is a frame, or several (UDP).
    pub fn handle_datagram(&mut self, bytes: &[u8], now: Instant) {
        self.deframer.reset();
        self.reorders = true;
        self.handle_bytes(bytes, now);
        self.reorders = false;
        self.deframer.reset();
        self.pause = None;
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.pause.take_if(|at| *at <= now).is_some() {
            self.deframer.doubt();
            self.drain(now);
        }
        if !self.silent && self.alarm().is_some_and(|at| at <= now) {
            self.silent = true;
            self.stats.silences += 1;
            self.events.push_back(Event::Silence);
        }
    }

    /// When to call [`Receiver::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.pause, self.alarm().filter(|_| !self.silent)].into_iter().flatten().min()
    }

    fn alarm(&self) -> Option<Instant> {
        let beacon = self.beacon.as_ref().filter(|b| !b.end)?;
        Some(self.heard.after(3_000 * u64::from(beacon.period_ms.max(1))))
    }

    /// What came, in order.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The counters.
    pub fn stats(&self) -> Stats {
        Stats {
            junk: self.deframer.junk,
            corrected: self.deframer.corrected,
            frames_bad: self.stats.frames_bad + self.deframer.bad,
            ..self.stats
        }
    }

    fn drain(&mut self, now: Instant) {
        while let Some(frame) = self.deframer.next_frame() {
            let (head, body) = (frame.head, frame.body.to_vec());
            match (self.unseal.is_some(), head.sealed) {
                (true, true) => self.take_sealed(head, &body, now),
                (true, false) => self.stats.plain += 1,
                (false, true) => self.stats.sealed += 1,
                (false, false) => self.take(body, now),
            }
        }
    }

    fn take_sealed(&mut self, head: Head, body: &[u8], now: Instant) {
        let Some(unseal) = &mut self.unseal else { return };
        let mut bytes = Vec::new();
        let counter = match unseal.look(head, body, self.reorders, now, &mut bytes) {
            Verdict::Authentic(counter) => counter,
            Verdict::Begins { sender, session, counter } => {
                self.events.push_back(Event::Accepted { sender, session });
                counter
            }
            verdict => return self.note(verdict),
        };
        match Body::parse(&bytes).map(|body| body.record) {
            Some(Record::Beacon(beacon)) => self.take_beacon(beacon, now),
            Some(_) => {
                self.count(counter);
                self.hear(now);
                self.events.push_back(Event::Body(bytes));
            }
            None => self.stats.frames_bad += 1,
        }
    }

    /// A sealed frame that is not taken.
    fn note(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Authentic(_) | Verdict::Begins { .. } => {}
            Verdict::Replayed { sender, session, recent } => {
                self.stats.replayed += 1;
                if !recent && self.told.0.replace(session) != Some(session) {
                    self.events.push_back(Event::Replay { sender, session });
                }
            }
            Verdict::Refused => self.stats.refused += 1,
            Verdict::Foreign => self.stats.foreign += 1,
            Verdict::Version(version) => {
                self.stats.refused += 1;
                if self.told.1.is_none() {
                    self.told.1 = Some(version);
                    self.events.push_back(Event::Version(version));
                }
            }
        }
    }

    fn take(&mut self, bytes: Vec<u8>, now: Instant) {
        let Some(body) = Body::parse(&bytes) else {
            self.stats.frames_bad += 1;
            return;
        };
        if let Record::Beacon(beacon) = body.record {
            self.take_beacon(beacon, now);
            return;
        }
        let Some(current) = self.beacon else {
            // joined late: what belongs to it is known with the next beacon
            self.early_bytes += bytes.len();
            self.early.push_back(bytes);
            while self.early.len() > EARLY_MAX || self.early_bytes > EARLY_BYTES_MAX {
                self.early_bytes -= self.early.pop_front().map_or(0, |b| b.len());
            }
            return;
        };
        if body.session_tag != current.session as u32 {
            self.stats.foreign += 1;
            return;
        }
        self.count(self.expand(body.counter));
        self.hear(now);
        self.events.push_back(Event::Body(bytes));
    }

    fn take_beacon(&mut self, beacon: Beacon, now: Instant) {
        if beacon.version != VERSION {
            self.events.push_back(Event::Version(beacon.version));
            return;
        }
        let new = self.beacon.is_none_or(|b| b.session != beacon.session);
        if new {
            self.next_counter = Some(beacon.counter);
            self.stats.late = beacon.counter;
        }
        self.count(beacon.counter);
        let ended = self.beacon.is_some_and(|b| b.end && !new);
        self.beacon = Some(beacon);
        self.hear(now);
        self.events.push_back(Event::Session(beacon));
        if new {
            self.early_bytes = 0;
            for bytes in core::mem::take(&mut self.early) {
                if Body::parse(&bytes).is_some_and(|b| b.session_tag == beacon.session as u32) {
                    self.stats.frames_in += 1;
                    self.stats.late = self.stats.late.saturating_sub(1);
                    self.events.push_back(Event::Body(bytes));
                }
            }
        }
        if beacon.end && !ended {
            self.events.push_back(Event::End);
        }
    }

    fn hear(&mut self, now: Instant) {
        if core::mem::take(&mut self.silent) {
            self.events.push_back(Event::Back(now.since(self.heard)));
        }
        self.heard = now;
    }

    fn expand(&self, low: u16) -> u64 {
        seq::expand(u32::from(low), 16, self.next_counter.unwrap_or(0))
    }

    fn count(&mut self, counter: u64) {
        self.stats.frames_in += 1;
        let next = self.next_counter.unwrap_or(0);
        if counter >= next {
            self.stats.frames_missing = self.stats.frames_missing.saturating_add(counter - next);
            self.next_counter = Some(counter + 1);
        } else {
            // late (UDP): it was counted as missing
            self.stats.frames_missing = self.stats.frames_missing.saturating_sub(1);
        }
    }
}
