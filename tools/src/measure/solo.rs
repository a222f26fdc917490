//! One end with a loopback plug: what it sends comes back.

use std::collections::VecDeque;

use link::Instant;

use super::lines::{Outputs, Wiring};
use super::report::Row;
use super::trial::{Counted, Course, Echoes, Reading, Setup as TrialSetup, pattern_ms};
use super::{Alone, Ending, Measuring, News, Order};

/// So many rates without a readable byte: higher ones are left out.
const DEAD: usize = 2;

/// An end that hears itself.
#[derive(Debug)]
pub struct Solo {
    me: u64,
    base: u32,
    rates: VecDeque<u32>,
    ms: u32,
    /// Outputs yet to be tried.
    lines: VecDeque<usize>,
    wiring: Option<Wiring>,
    course: Course,
    dead: usize,
    heard: u64,
    is_read: bool,
    orders: VecDeque<Order>,
}

impl Solo {
    /// Will try these rates with so many milliseconds of pattern; `lines`: the port has modem lines. `me` is random.
    pub fn new(me: u64, base: u32, rates: &[u32], ms: u32, lines: bool) -> Solo {
        let mut solo = Solo {
            me,
            base,
            rates: rates.iter().copied().collect(),
            ms,
            lines: if lines { (0..Outputs::ALL.len()).collect() } else { VecDeque::new() },
            wiring: None,
            course: Course::Home,
            dead: 0,
            heard: 0,
            is_read: false,
            orders: VecDeque::new(),
        };
        solo.go_on();
        solo
    }
    fn go_on(&mut self) {
        if let Some(&i) = self.lines.front() {
            return self.orders.push_back(Order::Lines(Outputs::ALL[i]));
        }
        let Some(baud) = self.rates.pop_front().filter(|_| self.dead < DEAD) else {
            let ending = match self.is_read {
                true => Ending::Whole { wiring: self.wiring, peer_timer_ms: None },
                false if self.heard == 0 => Ending::Alone(Alone::Silence),
                false => Ending::Alone(Alone::Noise),
            };
            return self.orders.push_back(Order::Done(ending));
        };
        // nobody else's pattern: what comes must be our own
        let seed = self.me.wrapping_add(u64::from(baud));
        let echoes = Echoes::Loop;
        let (send, hear) = (Some(seed), Some(seed));
        let ms = pattern_ms(self.ms, baud);
        self.course = Course::Leaving(TrialSetup { me: self.me, peer: self.me, baud, ms, send, hear, echoes });
        self.orders.push_back(Order::Say(News::Trying(baud, ms)));
        self.orders.push_back(Order::Rate(baud));
    }
    fn tried(&mut self, reading: Reading) {
        self.dead = if reading.is_readable() { 0 } else { self.dead + 1 };
        self.is_read |= reading.is_readable();
        self.heard += reading.received;
        self.orders.push_back(Order::Say(News::Tried(Box::new(Row::of_one(reading, None)))));
        self.go_on();
    }
}

impl Measuring for Solo {
    fn handle_bytes(&mut self, bytes: &[u8], now: Instant) {
        self.course.handle_bytes(bytes, now);
    }
    fn handle_rate(&mut self, set: Result<(), String>, counted: Counted, now: Instant) {
        if let Some(reading) = self.course.handle_rate(set, counted, now) {
            self.tried(reading);
        }
    }
    fn handle_lines(&mut self, inputs: u8, _now: Instant) {
        let Some(i) = self.lines.pop_front() else { return };
        self.wiring.get_or_insert_default().own[i] = inputs;
        self.go_on();
    }
    fn handle_timeout(&mut self, now: Instant) {
        if self.course.is_due(now) {
            self.orders.push_back(Order::Rate(self.base));
        }
    }
    fn poll_timeout(&self, now: Instant) -> Instant {
        self.course.poll_timeout(now).unwrap_or(now.after(20_000))
    }
    fn poll_transmit(&mut self, now: Instant, room: usize) -> Vec<u8> {
        self.course.poll_transmit(now, room)
    }
    fn poll_order(&mut self) -> Option<Order> {
        self.orders.pop_front()
    }
}
