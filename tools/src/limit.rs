//! What the other side, or whoever has the wire, can bring about as often as it likes is not said as often: it could fill a
//! disk.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::kinds::Entry;

/// Lines of a kind that are written one after the other; then one in each pause.
pub(crate) const BURST: u32 = 4;
const PAUSE: Duration = Duration::from_secs(60);

/// By the code of their kind and where: there are no more than there are kinds and ports.
static LIMITS: Mutex<BTreeMap<(&'static str, String), Limit>> = Mutex::new(BTreeMap::new());

/// A warning, unless there were too many of its kind; those left out are counted in the next.
pub(crate) fn warn(about: &Entry, words: impl Display) {
    warn_at(about, "", words);
}

/// The same of a port of ours, each of which is counted for itself.
pub(crate) fn warn_at(about: &Entry, port: impl Display, words: impl Display) {
    let mut limits = LIMITS.lock().unwrap_or_else(PoisonError::into_inner);
    let admitted = limits.entry((about.code, port.to_string())).or_default().admit(BURST, Instant::now());
    drop(limits);
    match admitted {
        None => tracing::debug!(code = %about, "{words}"),
        Some(0) => tracing::warn!(code = %about, "{words}"),
        Some(hidden) => tracing::warn!(code = %about, "{words} (and {hidden} warnings like it that were left out)"),
    }
}

/// Kinds of lines that are counted for themselves, and whose counts are told at the end.
#[derive(Debug, Default)]
pub(crate) struct Limits(BTreeMap<&'static str, Limit>);

impl Limits {
    /// Whether one more line of a kind may be written, and how many were not since the last; `burst`: so many one after the
    /// other, [`BURST`] but for what is named.
    pub(crate) fn admit(&mut self, kind: &'static str, burst: u32, now: Instant) -> Option<u64> {
        self.0.entry(kind).or_default().admit(burst, now)
    }
    /// Kinds of which lines were left out since the last that was written, and how many.
    pub(crate) fn left_out(&mut self) -> Vec<(&'static str, u64)> {
        let hidden = self.0.iter_mut().map(|(kind, limit)| (*kind, std::mem::take(&mut limit.hidden)));
        hidden.filter(|(_, count)| *count > 0).collect()
    }
}

/// How much was said of a kind.
#[derive(Debug, Default)]
struct Limit {
    /// Lines of the burst, and when the last of it was written.
    written: u32,
    last: Option<Instant>,
    hidden: u64,
}

impl Limit {
    /// Whether one more is written, and how many were not since the last.
    fn admit(&mut self, burst: u32, now: Instant) -> Option<u64> {
        if let Some(last) = self.last {
            let pauses = now.saturating_duration_since(last).as_nanos() / PAUSE.as_nanos();
            self.written = self.written.saturating_sub(u32::try_from(pauses).unwrap_or(u32::MAX));
        }
        if self.written >= burst {
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
        let mut limit = Limit::default();
        let mut now = Instant::now();
        let mut told = (0, 0);
        let began = now;
        while now < began + 100 * PAUSE {
            if let Some(hidden) = limit.admit(BURST, now) {
                told = (told.0 + 1, told.1 + hidden);
            }
            now += Duration::from_millis(600);
        }
        assert!((BURST + 99..=BURST + 101).contains(&told.0), "{told:?}");
        assert_eq!(u64::from(told.0) + told.1 + limit.hidden, 10_000, "none is forgotten");
        now += BURST * PAUSE;
        assert!((0..BURST).all(|_| limit.admit(BURST, now).is_some()), "after some quiet there is a burst again");
        assert!(limit.admit(BURST, now).is_none());
    }

    #[test]
    fn kinds_are_counted_for_themselves_and_to_the_end() {
        let (mut limits, now) = (Limits::default(), Instant::now());
        let said = (0..10).filter(|_| limits.admit("flood", BURST, now).is_some()).count();
        assert_eq!((said, limits.admit("other", BURST, now)), (4, Some(0)));
        assert!((0..100).all(|_| limits.admit("named", 2048, now) == Some(0)));
        assert_eq!((limits.left_out(), limits.left_out()), (vec![("flood", 6)], vec![]));
        assert_eq!(limits.admit("flood", BURST, now + PAUSE), Some(0), "what was told is told once");
    }
}
