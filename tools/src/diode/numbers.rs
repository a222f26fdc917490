//! Which lines came, and which never will.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use diode::datagrams::Datagrams;
use diode::wire::Beacon;

/// How often it is remembered how many were made, within the time a line is waited for.
const STEPS: u32 = 16;

/// The lines of one session.
#[derive(Debug)]
pub struct Numbers {
    came: Datagrams,
    /// How many had been made at which moment.
    made: VecDeque<(Instant, u32)>,
    /// When every copy of a line that was made has gone, and is here or lost.
    patience: Duration,
    /// Those below were made before anything was heard.
    floor: u32,
}

impl Numbers {
    /// Of the session this beacon tells of.
    pub fn new(beacon: &Beacon) -> Numbers {
        // copies go out within 1.3 times the outage to be survived, later when the wire is full
        let patience = Duration::from_millis(u64::from(beacon.survive_ms)) * 4 + Duration::from_secs(2);
        Numbers { came: Datagrams::counting_all(beacon.datagrams), made: VecDeque::new(), patience, floor: beacon.datagrams }
    }
    /// So many had been made by now.
    pub fn note(&mut self, beacon: &Beacon, now: Instant) {
        let last = self.made.back();
        if last.is_none_or(|&(then, made)| made != beacon.datagrams && now.duration_since(then) >= self.patience / STEPS) {
            self.made.push_back((now, beacon.datagrams));
        }
    }
    /// How many were made before anything was heard.
    pub fn floor(&self) -> u32 {
        self.floor
    }
    /// Whether this one is new.
    pub fn is_new(&mut self, number: u32) -> bool {
        self.came.is_new(number)
    }
    /// Those that should have come by now and did not (first, last).
    pub fn overdue(&mut self, now: Instant) -> Vec<(u32, u32)> {
        let mut end = None;
        while let Some((_, made)) = self.made.pop_front_if(|(then, _)| now.duration_since(*then) > self.patience) {
            end = Some(made);
        }
        end.map_or_else(Vec::new, |end| self.came.give_up(end))
    }
    /// Those that did not come (first, last), when so many were made and no more will come.
    pub fn end(&mut self, made: u32) -> Vec<(u32, u32)> {
        self.came.give_up(made)
    }
    /// How many are known to have been made, when `told` is what the last beacon said.
    pub fn known(&self, told: u32) -> u32 {
        self.came.next().max(told)
    }
}
