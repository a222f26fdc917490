//! The rates there are, which of them a port has, and when one that failed is tried again.

use crate::time::Instant;

/// The rates two ends can agree on, in bits per second, lowest first; PROTOCOL 4.8 numbers them from 0.
pub const LADDER: [u32; 12] =
    [115_200, 230_400, 460_800, 921_600, 1_000_000, 1_500_000, 2_000_000, 3_000_000, 4_000_000, 6_000_000, 8_000_000, 12_000_000];
/// Where every end begins, and where ends that lost each other meet.
pub(crate) const BASE: u8 = 0;

/// A step up is at most this much (of 10), where there is a rung for it.
const STRIDE_OF_10: u64 = 22;
/// A rung that failed is left alone for so long, then for twice as long, up to the latter (µs).
const PAUSE_US: u64 = 1_000_000;
const PAUSE_MAX_US: u64 = 300_000_000;
/// A rung that held for so long is as good as new (µs).
const HELD_US: u64 = 60_000_000;
/// What is expected of a rung that was not used yet: the shares of both directions together.
const UNKNOWN: f32 = 1.97;

/// Bits per second of a rung.
pub(crate) fn baud(rung: u8) -> u32 {
    LADDER[usize::from(rung).min(LADDER.len() - 1)]
}

/// Which rates of the [`LADDER`] a port has; the lowest always.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates(u16);

impl Rates {
    /// Those for which `can` says yes.
    pub fn of(mut can: impl FnMut(u32) -> bool) -> Rates {
        let bits = LADDER.iter().enumerate().filter(|(_, baud)| can(**baud)).fold(0, |bits, (rung, _)| bits | 1 << rung);
        Rates::from_wire(bits)
    }
    pub(crate) const fn from_wire(bits: u16) -> Rates {
        Rates((bits & ((1 << LADDER.len()) - 1)) | 1)
    }
    pub(crate) const fn to_wire(self) -> u16 {
        self.0
    }
    pub(crate) fn has(self, rung: u8) -> bool {
        usize::from(rung) < LADDER.len() && self.0 >> rung & 1 == 1
    }
    pub(crate) fn and(self, other: Rates) -> Rates {
        Rates(self.0 & other.0)
    }
    pub(crate) fn rungs(self) -> impl DoubleEndedIterator<Item = u8> {
        (0..LADDER.len() as u8).filter(move |&rung| self.has(rung))
    }
    /// Whether this rate is one of them.
    pub fn contains(self, baud: u32) -> bool {
        self.rungs().any(|rung| LADDER[usize::from(rung)] == baud)
    }
    /// Bits per second of the highest.
    pub fn highest(self) -> u32 {
        self.rungs().next_back().map_or(LADDER[0], baud)
    }
}

/// What is known of each rung.
#[derive(Clone, Debug)]
pub(super) struct Ladder {
    fails: [u8; LADDER.len()],
    retry: [Instant; LADDER.len()],
    worth: [f32; LADDER.len()],
}

impl Ladder {
    pub(super) fn new() -> Ladder {
        Ladder { fails: [0; LADDER.len()], retry: [Instant::default(); LADDER.len()], worth: [UNKNOWN; LADDER.len()] }
    }
    /// The rung to try next from `at`.
    pub(super) fn above(&self, at: u8, rates: Rates, now: Instant) -> Option<u8> {
        let mut open = rates.rungs().filter(|&rung| rung > at && self.retry[usize::from(rung)] <= now);
        let lowest = open.next()?;
        let near = |&rung: &u8| u64::from(baud(rung)) * 10 <= u64::from(baud(at)) * STRIDE_OF_10;
        if rates.rungs().filter(near).any(|rung| rung > at && self.fails[usize::from(rung)] > 0) {
            // the limit is near: it costs one try to see whether it still is
            return Some(lowest);
        }
        Some(open.rfind(near).unwrap_or(lowest))
    }
    /// When there will be one, if there is none now.
    pub(super) fn above_at(&self, at: u8, rates: Rates) -> Option<Instant> {
        rates.rungs().filter(|&rung| rung > at).map(|rung| self.retry[usize::from(rung)]).min()
    }
    /// The next below that both have.
    pub(super) fn below(at: u8, rates: Rates) -> Option<u8> {
        rates.rungs().rfind(|&rung| rung < at)
    }
    /// A rung failed; what is above is no better.
    pub(super) fn failed(&mut self, rung: u8, now: Instant) {
        let at = usize::from(rung);
        let until = now.after((PAUSE_US << self.fails[at].min(16)).min(PAUSE_MAX_US));
        self.fails[at] = self.fails[at].saturating_add(1);
        self.retry[at..].iter_mut().for_each(|retry| *retry = (*retry).max(until));
    }
    /// A rung has been in use for so long (µs).
    pub(super) fn held(&mut self, rung: u8, us: u64) {
        if us >= HELD_US {
            self.fails[usize::from(rung)] = 0;
        }
    }
    /// What a rung delivers: the shares of both directions together.
    pub(super) fn measured(&mut self, rung: u8, worth: f32) {
        self.worth[usize::from(rung)] = worth;
    }
    /// Bits per second of user data, both directions together, as far as is known.
    pub(super) fn value(&self, rung: u8) -> f32 {
        value(rung, self.worth[usize::from(rung)])
    }
}

/// Bits per second of a rung with these shares.
pub(super) fn value(rung: u8, worth: f32) -> f32 {
    baud(rung) as f32 * worth
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_wide_where_nothing_failed() {
        let (mut ladder, all, now) = (Ladder::new(), Rates::of(|_| true), Instant::from_micros(0));
        let mut path = heapless::Vec::<u32, 12>::new();
        let mut at = BASE;
        while let Some(next) = ladder.above(at, all, now) {
            let _ = path.push(baud(next));
            at = next;
        }
        assert_eq!(path, [230_400, 460_800, 1_000_000, 2_000_000, 4_000_000, 8_000_000, 12_000_000]);
        ladder.failed(6, now);
        assert_eq!(ladder.above(4, all, now), Some(5));
        assert_eq!(ladder.above(3, all, now), Some(4));
        assert_eq!(ladder.above(5, all, now), None, "what is above a rung that failed fails, too");
        assert_eq!(ladder.above_at(5, all), Some(now.after(PAUSE_US)));
        ladder.failed(6, now);
        assert_eq!(ladder.above_at(5, all), Some(now.after(2 * PAUSE_US)));
        for _ in 0..100 {
            ladder.failed(6, now);
        }
        assert_eq!(ladder.above_at(5, all), Some(now.after(PAUSE_MAX_US)));
        assert_eq!(ladder.above(3, all, now.after(PAUSE_MAX_US)), Some(4), "with care where some failed");
        let few = Rates::of(|baud| baud >= 3_000_000);
        assert_eq!(few.rungs().next(), Some(BASE), "the base is always there");
        assert_eq!(Ladder::new().above(BASE, few, now), Some(7));
    }
}
