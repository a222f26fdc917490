//! Datagrams by their numbers: each is taken once, and those that never came are named.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// How far a number may run ahead of the oldest that is not settled.
const DATAGRAM_WINDOW: u32 = 65_536;
/// Numbers from before that are still taken.
const DATAGRAMS_BEFORE: u32 = 8_192;
/// Gaps that are told apart (8 MB); behind so many all that follows counts as one.
const GAPS_MAX: usize = 1 << 20;

/// Puts datagrams that come several times into numbers: new or seen, and which are missing.
#[derive(Debug, Default)]
pub struct Datagrams {
    /// Lowest number not settled.
    base: u32,
    /// Numbers below were made before anybody listened: taken, but not missed.
    floor: u32,
    seen: VecDeque<bool>,
    delivered: u64,
    gaps: Vec<(u32, u32)>,
}

impl Datagrams {
    /// For a sender that had made `made` datagrams when it was first heard.
    pub fn new(made: u32) -> Datagrams {
        Datagrams { base: made.saturating_sub(DATAGRAMS_BEFORE), floor: made, ..Datagrams::default() }
    }

    /// The same where those made before count as missing, too, unless they still come.
    pub fn counting_all(made: u32) -> Datagrams {
        let base = made.saturating_sub(DATAGRAMS_BEFORE);
        let gaps = if base > 0 { alloc::vec![(0, base - 1)] } else { Vec::new() };
        Datagrams { base, gaps, ..Datagrams::default() }
    }

    /// Whether datagram `number` is new.
    pub fn is_new(&mut self, number: u32) -> bool {
        let ahead = number.wrapping_sub(self.base);
        if ahead >= 1 << 31 {
            return false;
        }
        if ahead >= DATAGRAM_WINDOW {
            // far ahead: what lies before is lost
            self.settle_up_to(number.wrapping_sub(DATAGRAM_WINDOW - 1));
        }
        let at = number.wrapping_sub(self.base) as usize;
        if self.seen.len() <= at {
            self.seen.resize(at + 1, false);
        }
        let new = !core::mem::replace(&mut self.seen[at], true);
        self.delivered += u64::from(new);
        while self.seen.front() == Some(&true) {
            self.seen.pop_front();
            self.base = self.base.wrapping_add(1);
        }
        new
    }

    /// Everything below `end` that has not come is lost.
    fn settle_up_to(&mut self, end: u32) {
        while self.base != end && !self.seen.is_empty() {
            let came = self.seen.pop_front() == Some(true);
            if !came {
                self.note_gap(self.base, self.base);
            }
            self.base = self.base.wrapping_add(1);
        }
        if self.base != end {
            self.note_gap(self.base, end.wrapping_sub(1));
            self.base = end;
        }
    }

    fn note_gap(&mut self, first: u32, last: u32) {
        if last < self.floor {
            return;
        }
        let first = first.max(self.floor);
        let full = self.gaps.len() >= GAPS_MAX;
        match self.gaps.last_mut() {
            Some(gap) if full || gap.1.wrapping_add(1) == first => gap.1 = last,
            _ => self.gaps.push((first, last)),
        }
    }

    /// Gives up what has not come of all numbers below `end`; returns all gaps so far (first, last).
    pub fn give_up(&mut self, end: u32) -> Vec<(u32, u32)> {
        if end.wrapping_sub(self.base) < 1 << 31 {
            self.settle_up_to(end);
        }
        core::mem::take(&mut self.gaps)
    }
    /// One above the highest number that was heard of.
    pub fn next(&self) -> u32 {
        self.floor.max(self.base.wrapping_add(self.seen.len() as u32))
    }
    /// Datagrams delivered.
    pub fn delivered(&self) -> u64 {
        self.delivered
    }
}
