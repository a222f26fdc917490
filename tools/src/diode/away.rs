//! A serial port that went away and is looked for until it is back.

use std::time::{Duration, Instant};

use crate::error::{Failure, kinds};
use crate::port::Spec;
use crate::port::serial::{LATER, look_again};

/// A time without the port.
#[derive(Debug)]
pub(super) struct Away {
    since: Instant,
    looked: Instant,
    why: String,
    /// What was told of the tries.
    told: Option<String>,
}

impl Away {
    /// From now on; `told`: said now, for one that comes and goes without a byte in between never came back.
    pub(super) fn new(spec: &Spec, why: &str, told: bool) -> Away {
        if told {
            tracing::warn!(code = %kinds::PORT_LOST, "{spec} is gone ({why}); waiting for it");
        }
        let now = Instant::now();
        Away { since: now, looked: now, why: why.to_owned(), told: None }
    }
    /// Why it is not there.
    pub(super) fn why(&self) -> &str {
        &self.why
    }
    /// How long until it is to be looked for again.
    pub(super) fn look_in(&self) -> Duration {
        look_again(self.since.elapsed()).saturating_sub(self.looked.elapsed())
    }
    /// Looks for it, and says what it saw; what `open` made and how long it was away, once it is back.
    pub(super) fn look<T>(&mut self, spec: &Spec, open: impl FnOnce() -> Result<T, Failure>) -> Option<(T, Duration)> {
        self.looked = Instant::now();
        match open() {
            Ok(port) => {
                let lasted = self.since.elapsed();
                tracing::warn!(code = %kinds::PORT_BACK, "{spec} is open now, after {:.1} s", lasted.as_secs_f64());
                Some((port, lasted))
            }
            Err(failure) => {
                // its absence was told, and rights may take a moment
                let news = failure.kind != kinds::PORT_ABSENT && self.told.as_deref() != Some(&failure.message);
                if news && self.since.elapsed() >= LATER {
                    tracing::warn!(code = %failure.kind, "{failure}; waiting for it, and trying again");
                    self.told = Some(failure.message);
                }
                None
            }
        }
    }
}
