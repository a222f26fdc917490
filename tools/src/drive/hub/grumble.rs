//! What the peer can bring about as often as it likes is not logged as often: it could fill a disk.

use std::time::{Duration, Instant};

use crate::error::kinds::Entry;

/// Lines that are written one after the other; then one in each pause.
const BURST: u32 = 8;
const PAUSE: Duration = Duration::from_secs(10);

/// The warnings a peer causes.
#[derive(Debug, Default)]
pub(super) struct Grumble {
    /// Lines of the burst, and when the last of it was written.
    written: u32,
    last: Option<Instant>,
    hidden: u64,
}

impl Grumble {
    /// A warning, unless there were too many; those left out are counted in the next.
    pub(super) fn warn(&mut self, about: &Entry, words: &str) {
        match self.admit(Instant::now()) {
            None => tracing::debug!(code = %about, "{words}"),
            Some(0) => tracing::warn!(code = %about, "{words}"),
            Some(hidden) => tracing::warn!(code = %about, "{words} (and {hidden} warnings like it that were left out)"),
        }
    }
    /// Whether one more is written, and how many were not since the last.
    fn admit(&mut self, now: Instant) -> Option<u64> {
        if let Some(last) = self.last {
            let pauses = now.saturating_duration_since(last).as_nanos() / PAUSE.as_nanos();
            self.written = self.written.saturating_sub(u32::try_from(pauses).unwrap_or(u32::MAX));
        }
        if self.written >= BURST {
            self.hidden += 1;
            return None;
        }
        self.written += 1;
        self.last = Some(now);
        Some(std::mem::take(&mut self.hidden))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_a_burst_and_then_a_trickle_that_counts() {
        let mut grumble = Grumble::default();
        let mut now = Instant::now();
        let mut told = (0, 0);
        let began = now;
        while now < began + 100 * PAUSE {
            if let Some(hidden) = grumble.admit(now) {
                told = (told.0 + 1, told.1 + hidden);
            }
            now += Duration::from_millis(100);
        }
        assert!((BURST + 99..=BURST + 101).contains(&told.0), "{told:?}");
        assert_eq!(u64::from(told.0) + told.1 + grumble.hidden, 10_000, "none is forgotten");
        now += 8 * PAUSE;
        assert!((0..BURST).all(|_| grumble.admit(now).is_some()), "after some quiet there is a burst again");
        assert!(grumble.admit(now).is_none());
    }
}
