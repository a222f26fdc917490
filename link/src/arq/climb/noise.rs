//! What the noise leaves of the rate in use, and how long the rate below has been the better one.

use super::super::endpoint::Damage;
use super::super::plan::Noise;
use super::View;
use crate::time::Instant;

/// How often the rate in use is compared with the next below (µs), how often in a row that must be better,
/// and how long after one that was not (µs).
const TICK_US: u64 = 500_000;
const WORSE: u8 = 2;
const DOWN_US: u64 = 10_000_000;
/// How much of what is known of the noise on the way in is kept from tick to tick, and what is believed before.
const KEEP_OF: f64 = 0.7;
const PRIOR_BYTES: f64 = 8_000.0;
const PRIOR_ERRORS: f64 = 0.1;

/// The noise at the rate in use.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    /// When the rates are compared next.
    pub(super) tick: Instant,
    /// How often in a row the rate below was better, and from when on that counts.
    worse: u8,
    down_at: Instant,
    /// Bytes, wrong bytes and slips on the way in, of late; and the counters as they were.
    inbound: [f64; 3],
    seen: (u64, Damage),
}

impl Watch {
    pub(super) fn new(now: Instant) -> Watch {
        Watch { tick: now, worse: 0, down_at: now, inbound: [0.0; 3], seen: (0, Damage::default()) }
    }
    /// The port has another rate.
    pub(super) fn forget(&mut self, view: &View, now: Instant) {
        (self.inbound, self.seen) = ([0.0; 3], (view.came, view.damage));
        (self.tick, self.worse) = (now.after(TICK_US), 0);
    }
    /// Counts what came since the last tick.
    pub(super) fn count(&mut self, view: &View, now: Instant) {
        self.tick = now.after(TICK_US);
        let (came, damage) = core::mem::replace(&mut self.seen, (view.came, view.damage));
        let new = [view.came - came, view.damage.wrong - damage.wrong, view.damage.slips - damage.slips];
        self.inbound = core::array::from_fn(|i| self.inbound[i] * KEEP_OF + new[i] as f64);
    }
    /// The shares of both directions together, as they are now: 0..=2.
    pub(super) fn worth(&self, view: &View) -> f64 {
        let [bytes, wrong, slips] = self.inbound;
        let per_byte = |errors: f64| ((errors + PRIOR_ERRORS) / (bytes + PRIOR_BYTES)).min(0.5);
        (view.share)(view.out) + (view.share)(Noise { wrong: per_byte(wrong), slips: per_byte(slips) })
    }

    /// Whether the rate below was better this time.
    pub(super) fn judge(&mut self, better: bool, now: Instant) {
        self.worse = if better && self.down_at <= now { self.worse.saturating_add(1) } else { 0 };
    }
    /// Whether it has been for long enough to try it.
    pub(super) fn is_worse(&self) -> bool {
        self.worse >= WORSE
    }
    /// Another rate was tried and not kept: this one stands for a while.
    pub(super) fn rest(&mut self, now: Instant) {
        (self.worse, self.down_at) = (0, now.after(DOWN_US));
    }
}
