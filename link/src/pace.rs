//! Pacing: the sender's clock of when the wire will be free.

use crate::time::Instant;

/// Keeps the moment at which everything handed out so far will have left the wire.
///
/// The clock counts nanoseconds internally, so rounding never makes a long transfer drift.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    rate: u32,
    slack_us: u32,
    free_ns: u64,
}

impl Pace {
    /// A wire of `rate` bytes per second (0 = unpaced) that may be fed `slack_us` ahead.
    pub const fn new(rate: u32, slack_us: u32) -> Pace {
        Pace { rate, slack_us, free_ns: 0 }
    }
    /// From now on it may be fed this far ahead.
    pub fn set_slack(&mut self, us: u32) {
        self.slack_us = us;
    }
    /// The wire is later than was thought.
    pub fn delay(&mut self, us: u64) {
        self.free_ns += us * 1000;
    }
    /// Whether another frame may be handed out at `now`.
    pub fn ready(&self, now: Instant) -> bool {
        self.rate == 0 || self.backlog_us(now) <= u64::from(self.slack_us)
    }
    /// When [`Pace::ready`] will be true.
    pub fn ready_at(&self) -> Instant {
        self.free_at(u64::from(self.slack_us))
    }
    /// When no more than `us` microseconds of sending time will be left.
    pub fn free_at(&self, us: u64) -> Instant {
        Instant::from_micros((self.free_ns / 1000).saturating_sub(us))
    }
    /// Microseconds of sending time handed out and not yet gone at `now`.
    pub fn backlog_us(&self, now: Instant) -> u64 {
        (self.free_ns / 1000).saturating_sub(now.as_micros())
    }
    /// Notes that `bytes` were handed out at `now`; returns when the last of them leaves the wire.
    pub fn take(&mut self, bytes: usize, now: Instant) -> Instant {
        if self.rate == 0 {
            return now;
        }
        let start = self.free_ns.max(now.as_micros() * 1000);
        self.free_ns = start + bytes as u64 * 1_000_000_000 / u64::from(self.rate);
        Instant::from_micros(self.free_ns / 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_rate_and_the_slack() {
        let mut pace = Pace::new(200_000, 8_000);
        let (mut now, mut sent) = (Instant::from_micros(0), 0u64);
        while now.as_micros() < 10_000_000 {
            while pace.ready(now) {
                pace.take(333, now);
                sent += 333;
                assert!(pace.backlog_us(now) <= 8_000 + 1_665 + 1);
            }
            now = now.after(700);
        }
        assert!(sent.abs_diff(2_000_000) < 2_500, "{sent}");
    }
}
