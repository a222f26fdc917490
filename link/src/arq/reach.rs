//! How long the way is, and so how much may be under way (PROTOCOL 4.5).
//!
//! A long way is told from a queue of our own making by the shortest round trip ever: a queue comes and goes, the way stays. Where
//! more waits on it than is meant to (a modem slower than the port, whose buffer would run over), the way counts as shorter.

use crate::time::Instant;

/// What the wire carries in so long may be under way beside what fills the way (µs).
pub(crate) const MARGIN_US: u64 = 400_000;
/// No way is longer (µs).
const WAY_MAX_US: u64 = 60_000_000;
/// The whole of the way, in the parts it is reckoned in; one is added where no queue is found.
const WHOLE: u64 = 16;

#[derive(Clone, Debug)]
pub(crate) struct Reach {
    /// What is filled of the way, in 16ths.
    filled: u64,
    /// The shortest round trip since it was looked at, and when it is looked at again: once what was changed can be seen.
    least_us: u64,
    look_at: Option<Instant>,
}

impl Default for Reach {
    fn default() -> Self {
        Reach { filled: WHOLE, least_us: u64::MAX, look_at: None }
    }
}

impl Reach {
    /// A round trip took `us`; the shortest ever took `floor_us`, and `held_us` may be what an answer waits for at the other end.
    pub(crate) fn sample(&mut self, us: u64, floor_us: u64, held_us: u64, now: Instant) {
        self.least_us = self.least_us.min(us);
        if *self.look_at.get_or_insert(now.after(us)) > now {
            return;
        }
        let is_queue = self.least_us.saturating_sub(floor_us) > MARGIN_US + held_us;
        self.filled = if is_queue { self.filled / 2 } else { (self.filled + 1).min(WHOLE) };
        (self.least_us, self.look_at) = (u64::MAX, None);
    }
    /// The way there and back (µs), where the shortest round trip ever took `floor_us`.
    pub(crate) fn way_us(&self, floor_us: u64) -> u64 {
        floor_us.min(WAY_MAX_US) * self.filled / WHOLE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(reach.way_us(FLOOR_US), FLOOR_US);
        go(&mut reach, &mut now, FLOOR_US + 300_000, 20);
        assert_eq!(reach.way_us(FLOOR_US), FLOOR_US, "what is allowed to be under way");
        go(&mut reach, &mut now, FLOOR_US + 600_000, 12);
        assert_eq!(reach.way_us(FLOOR_US), 0);
        go(&mut reach, &mut now, FLOOR_US, 20);
        assert_eq!(reach.way_us(FLOOR_US), FLOOR_US);
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
