//! A wire without a way back: one end says what comes and sends it, again and again, the other one follows.

use std::collections::{BTreeMap, VecDeque};

use link::Instant;
use link::wire::Level;

use super::message::{Ear, Heard, Message, frame_again};
use super::report::Row;
use super::trial::{Counted, Course, Echoes, MS_MAX, Setup as TrialSetup, pattern_ms};
use super::{Alone, Ending, Measuring, News, Order};

/// What comes is said so many times, with so much time between (µs).
const NOTICES: u32 = 8;
const NOTICE_US: u64 = 120_000;
/// At home before the next notice (µs): the hearing end may come later.
const REST_US: u64 = 500_000;
/// When it is said that nothing is heard (µs).
const ALONE_US: u64 = 3_000_000;
/// A sender that was not heard for so long may have another in its place (µs).
const GONE_US: u64 = 10_000_000;
/// So many rounds are heard at most, if some rate is never announced.
const ROUNDS: u32 = 2;

/// The end that sends.
#[derive(Debug)]
pub struct Sender {
    me: u64,
    base: u32,
    rates: Vec<u32>,
    ms: u32,
    /// Rounds left; none: for ever.
    rounds: Option<u32>,
    /// The next trial of the round; behind the last one its end is said.
    n: usize,
    round: u64,
    notices: u32,
    notice_at: Instant,
    course: Course,
    orders: VecDeque<Order>,
    over: bool,
}

impl Sender {
    /// Will go through these rates, `rounds` times or (none) until stopped. `me` is random.
    pub fn new(me: u64, base: u32, rates: Vec<u32>, ms: u32, rounds: Option<u32>, now: Instant) -> Sender {
        Sender {
            me,
            base,
            rates,
            ms,
            rounds,
            n: 0,
            round: 0,
            notices: NOTICES,
            notice_at: now,
            course: Course::Home,
            orders: VecDeque::new(),
            over: false,
        }
    }
    fn notice_us(&self) -> u64 {
        NOTICE_US + 300 * 10_000_000 / u64::from(self.base.max(1))
    }
    fn notice(&self) -> Message {
        let Some(&baud) = self.rates.get(self.n) else { return Message::Over(self.rounds != Some(1)) };
        Message::Next {
            n: self.n as u32,
            of: self.rates.len() as u32,
            baud,
            ms: pattern_ms(self.ms, baud),
            seed: self.seed(),
            starts_ms: (u64::from(self.notices) * self.notice_us() / 1000) as u32,
        }
    }
    /// Another one each time: what is left of a trial must not be taken for the next one.
    fn seed(&self) -> u64 {
        self.me.wrapping_add((self.round << 8) + self.n as u64)
    }
    /// All notices are out.
    fn leave(&mut self, now: Instant) {
        (self.notices, self.notice_at) = (NOTICES, now.after(REST_US));
        let Some(&baud) = self.rates.get(self.n) else {
            (self.n, self.round) = (0, self.round + 1);
            self.rounds = self.rounds.map(|n| n.saturating_sub(1));
            if self.rounds == Some(0) {
                self.over = true;
                self.orders.push_back(Order::Done(Ending::Whole { wiring: None, peer_timer_ms: None }));
            }
            return;
        };
        let ms = pattern_ms(self.ms, baud);
        let setup = TrialSetup { me: self.me, peer: 0, baud, ms, send: Some(self.seed()), hear: None, echoes: Echoes::None };
        self.n += 1;
        self.orders.push_back(Order::Say(News::Trying(baud, ms)));
        self.orders.push_back(Order::Rate(baud));
        self.course = Course::Leaving(setup);
    }
}

impl Measuring for Sender {
    fn handle_bytes(&mut self, _bytes: &[u8], _now: Instant) {}
    fn handle_rate(&mut self, set: Result<(), String>, counted: Counted, now: Instant) {
        let _ = self.course.handle_rate(set, counted, now);
        self.notice_at = now.after(REST_US);
    }
    fn handle_lines(&mut self, _inputs: u8, _now: Instant) {}
    fn handle_timeout(&mut self, now: Instant) {
        if self.course.is_due(now) {
            self.orders.push_back(Order::Rate(self.base));
        } else if self.course.is_home() && self.notices == 0 && now >= self.notice_at && !self.over {
            self.leave(now);
        }
    }
    fn poll_timeout(&self, now: Instant) -> Instant {
        self.course.poll_timeout(now).unwrap_or(now.after(20_000).min(self.notice_at.max(now.after(1000))))
    }
    fn poll_transmit(&mut self, now: Instant, room: usize) -> Vec<u8> {
        if !self.course.is_home() {
            return self.course.poll_transmit(now, room);
        }
        if self.over || self.notices == 0 || now < self.notice_at {
            return Vec::new();
        }
        self.notices -= 1;
        self.notice_at = now.after(self.notice_us());
        frame_again(self.me, &self.notice(), Level::Sixteen, self.notices)
    }
    fn poll_order(&mut self) -> Option<Order> {
        self.orders.pop_front()
    }
}

/// The end that hears, and never sends.
#[derive(Debug)]
pub struct Listener {
    base: u32,
    patience_us: u64,
    ear: Ear,
    /// When something was understood last.
    heard_at: Instant,
    began: Instant,
    /// The sender that is listened to; 0: none yet.
    sender: u64,
    heard_foreign: bool,
    told: Option<Alone>,
    next: Option<(Instant, TrialSetup)>,
    /// The trial under way, by its number; how many there are.
    n: u32,
    of: u32,
    /// Bytes its pattern has.
    planned: u64,
    tried: BTreeMap<u32, bool>,
    overs: u32,
    over_at: Option<Instant>,
    course: Course,
    orders: VecDeque<Order>,
}

impl Listener {
    /// Listens at the base rate; gives up after `patience_us` (µs) without a word.
    pub fn new(base: u32, patience_us: u64, now: Instant) -> Listener {
        Listener {
            base,
            patience_us,
            ear: Ear::default(),
            heard_at: now,
            began: now,
            sender: 0,
            heard_foreign: false,
            told: None,
            next: None,
            n: 0,
            of: 0,
            planned: 0,
            tried: BTreeMap::new(),
            overs: 0,
            over_at: None,
            course: Course::Home,
            orders: VecDeque::new(),
        }
    }
    fn alone(&self) -> Alone {
        match () {
            () if self.heard_foreign => Alone::Foreign,
            () => self.ear.alone(),
        }
    }
    fn done(&mut self) {
        self.orders.push_back(Order::Done(Ending::Whole { wiring: None, peer_timer_ms: None }));
    }
    fn handle_message(&mut self, from: u64, message: &Message, now: Instant) {
        if from == 0 || (from != self.sender && self.sender != 0 && now.since(self.heard_at) < GONE_US) {
            return;
        }
        self.heard_at = now;
        if std::mem::replace(&mut self.sender, from) == 0 {
            self.orders.push_back(Order::Say(News::Met));
        }
        match *message {
            Message::Next { n, of, baud, ms, seed, starts_ms } if baud > 0 && ms <= MS_MAX => {
                (self.n, self.of, self.planned) = (n, of, u64::from(baud) * u64::from(ms) / 10_000);
                let setup = TrialSetup { me: 0, peer: 0, baud, ms, send: None, hear: Some(seed), echoes: Echoes::None };
                self.next = Some((now.after(u64::from(starts_ms.min(60_000)) * 1000), setup));
                self.over_at = None;
            }
            // it is said several times
            Message::Over(more) if self.over_at.is_none_or(|at| now.since(at) > 10 * NOTICE_US) => {
                self.over_at = Some(now);
                self.overs += 1;
                if !self.tried.is_empty() && (!more || self.overs >= ROUNDS || self.is_whole()) {
                    self.done();
                }
            }
            _ => {}
        }
    }
    fn is_whole(&self) -> bool {
        self.of > 0 && (0..self.of).all(|n| self.tried.contains_key(&n))
    }
}

impl Measuring for Listener {
    fn handle_bytes(&mut self, bytes: &[u8], now: Instant) {
        if self.course.handle_bytes(bytes, now) {
            return;
        }
        for heard in self.ear.listen(bytes) {
            match heard {
                Heard::Message(from, message) => self.handle_message(from, &message, now),
                Heard::Foreign => self.heard_foreign = true,
            }
        }
    }
    fn handle_rate(&mut self, set: Result<(), String>, counted: Counted, now: Instant) {
        self.ear.reset();
        self.heard_at = now;
        let Some(reading) = self.course.handle_rate(set, counted, now) else { return };
        let is_new = self.tried.insert(self.n, reading.is_readable()).is_none_or(|before| !before && reading.is_readable());
        if is_new {
            self.orders.push_back(Order::Say(News::Tried(Box::new(Row::of_one(reading, Some(self.planned))))));
        }
        if self.is_whole() {
            self.done();
        }
    }
    fn handle_lines(&mut self, _inputs: u8, _now: Instant) {}
    fn handle_timeout(&mut self, now: Instant) {
        if self.course.is_due(now) {
            return self.orders.push_back(Order::Rate(self.base));
        }
        if !self.course.is_home() {
            return;
        }
        if let Some((_, setup)) = self.next.take_if(|(at, _)| now >= *at) {
            self.orders.push_back(Order::Say(News::Trying(setup.baud, setup.ms)));
            self.orders.push_back(Order::Rate(setup.baud));
            self.course = Course::Leaving(setup);
        } else if now.since(self.heard_at) >= self.patience_us {
            let ending = if self.sender != 0 { Ending::Lost } else { Ending::Alone(self.alone()) };
            self.orders.push_back(Order::Done(ending));
        } else if self.sender == 0 && now.since(self.began) >= ALONE_US && self.told != Some(self.alone()) {
            self.told = Some(self.alone());
            self.orders.push_back(Order::Say(News::Alone(self.alone())));
        }
    }
    fn poll_timeout(&self, now: Instant) -> Instant {
        let next = self.next.as_ref().map_or(now.after(20_000), |n| n.0.min(now.after(20_000)));
        self.course.poll_timeout(now).unwrap_or(next)
    }
    fn poll_transmit(&mut self, _now: Instant, _room: usize) -> Vec<u8> {
        Vec::new()
    }
    fn poll_order(&mut self) -> Option<Order> {
        self.orders.pop_front()
    }
}
