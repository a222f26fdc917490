//! How long the way is, and so how much may be under way (PROTOCOL 4.5).
//!
//! A long way is told from a queue of our own making by the shortest round trip ever: a queue comes and goes, the way stays. It is
//! filled step by step, and less of it where more waits than is meant to, or where a third of the frames is lost for bytes that vanish:
//! what is behind the port is slower than the port, and its buffer is full.

use super::adapt::Batch;
use crate::time::Instant;

/// What the wire carries in so long may be under way beside what fills the way (µs).
pub(crate) const MARGIN_US: u64 = 400_000;
/// No way is longer (µs).
const WAY_MAX_US: u64 = 60_000_000;
/// The whole of the way, in the parts it is reckoned in, and how many are filled at first.
const WHOLE: u64 = 16;
const FIRST: u64 = 4;
/// Fewer lost frames tell nothing.
const LOST_LEAST: u32 = 4;

#[derive(Clone, Debug)]
pub(crate) struct Reach {
    /// What is filled of the way, in 16ths; it doubles until once it was too much.
    filled: u64,
    doubles: bool,
    /// The shortest round trip since it was looked at, and when it is looked at again: once what was changed can be seen.
    least_us: u64,
    look_at: Option<Instant>,
    /// Frames since then, and what the peer has seen of damage to them.
    lost: u32,
    arrived: u32,
    slips: u32,
    wrong: u32,
}

impl Default for Reach {
    fn default() -> Self {
        Reach { filled: FIRST, doubles: true, least_us: u64::MAX, look_at: None, lost: 0, arrived: 0, slips: 0, wrong: 0 }
    }
}

impl Reach {
    /// An acknowledgement said this.
    pub(crate) fn heard(&mut self, batch: &Batch) {
        let [lost, arrived, slips, wrong] = batch.tally();
        self.lost = self.lost.saturating_add(lost);
        self.arrived = self.arrived.saturating_add(arrived);
        self.slips = self.slips.saturating_add(slips);
        self.wrong = self.wrong.saturating_add(wrong);
    }
    /// Whether so much is lost that something on the way runs over. Noise turns bits, and frames are made to bear it.
    fn spills(&self) -> bool {
        self.lost >= LOST_LEAST && 2 * u64::from(self.lost) >= u64::from(self.arrived) && self.slips > self.wrong
    }
    /// A round trip took `us`; the shortest ever took `floor_us`, and `held_us` may be what an answer waits for at the other end.
    pub(crate) fn sample(&mut self, us: u64, floor_us: u64, held_us: u64, now: Instant) {
        self.least_us = self.least_us.min(us);
        if *self.look_at.get_or_insert(now.after(us)) > now {
            return;
        }
        let is_queue = self.least_us.saturating_sub(floor_us) > MARGIN_US + held_us;
        let (filled, doubles) = match (self.spills(), is_queue) {
            (true, _) => (0, false),
            (false, true) => (self.filled / 2, false),
            (false, false) if self.doubles => (2 * self.filled, true),
            (false, false) => (self.filled + 1, false),
        };
        *self = Reach { filled: filled.min(WHOLE), doubles, ..Reach::default() };
    }
    /// What is filled of the way there and back (µs), where the shortest round trip ever took `floor_us`.
    pub(crate) fn way_us(&self, floor_us: u64) -> u64 {
        floor_us.min(WAY_MAX_US) * self.filled / WHOLE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Level;

    const FLOOR_US: u64 = 2_000_000;

    /// Round trips of so long, for so many of them.
    fn go(reach: &mut Reach, now: &mut Instant, us: u64, trips: u64) {
        for _ in 0..trips * 10 {
            *now = now.after(us / 10);
            reach.sample(us, FLOOR_US, 0, *now);
        }
    }

    #[test]
    fn a_way_is_no_queue_and_a_queue_no_way() {
        let (mut reach, mut now) = (Reach::default(), Instant::default());
        assert_eq!(reach.way_us(FLOOR_US), FLOOR_US / 4);
        go(&mut reach, &mut now, FLOOR_US + 300_000, 4);
        assert_eq!(reach.way_us(FLOOR_US), FLOOR_US, "what is allowed to be under way");
        go(&mut reach, &mut now, FLOOR_US + 600_000, 12);
        assert_eq!(reach.way_us(FLOOR_US), 0);
        go(&mut reach, &mut now, FLOOR_US, 20);
        assert_eq!(reach.way_us(FLOOR_US), FLOOR_US);
    }

    #[test]
    fn what_runs_over_is_filled_less_and_what_is_noisy_is_not() {
        for (damage, slips, way_us) in [(0, 3, 0), (9, 3, FLOOR_US)] {
            let (mut reach, mut now) = (Reach::default(), Instant::default());
            go(&mut reach, &mut now, FLOOR_US, 4);
            for _ in 0..4 {
                let mut batch = Batch::new(damage, slips);
                (0..9).for_each(|i| batch.add(Level::Plain, 500, true, i >= 4));
                reach.heard(&batch);
                go(&mut reach, &mut now, FLOOR_US, 1);
            }
            assert!(reach.way_us(FLOOR_US).abs_diff(way_us) <= FLOOR_US / 8, "{damage} {slips}: {reach:?}");
        }
    }

    #[test]
    fn one_answer_that_was_not_held_up_shows_that_there_is_no_queue() {
        let (mut reach, mut now) = (Reach::default(), Instant::default());
        for _ in 0..50 {
            go(&mut reach, &mut now, 5 * FLOOR_US, 1);
            reach.sample(FLOOR_US, FLOOR_US, 0, now);
        }
        assert!(reach.way_us(FLOOR_US) >= FLOOR_US / 2);
    }
}
