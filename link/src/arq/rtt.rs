//! Round-trip time, measured from the moment the last byte left (RFC 6298 section 2 for the filter).

/// Shortest wait (µs): hosts are not instant, and only the tail of a transfer waits at all.
const PROBE_MIN_US: u64 = 20_000;
/// Backed-off waits stop growing here, so that a wire that comes back is noticed soon (µs).
const PROBE_MAX_US: u64 = 250_000;

/// Round trips that are looked at together for a standing queue, and how much they must be above the
/// shortest ever (µs), beside what an ACK may wait for on the way back.
const LAG_SAMPLES: u8 = 8;
const LAG_MIN_US: u64 = 500;

#[derive(Clone, Debug)]
pub(crate) struct Rtt {
    floor_us: u64,
    recent_us: u64,
    recent: u8,
    initial_us: u64,
    smoothed_us: Option<u64>,
    variation_us: u64,
    backoff: u32,
}

impl Rtt {
    /// `initial_us`: what to assume of a round trip before the first sample.
    pub(crate) fn new(initial_us: u64) -> Rtt {
        Rtt { floor_us: u64::MAX, recent_us: u64::MAX, recent: 0, initial_us, smoothed_us: None, variation_us: 0, backoff: 0 }
    }
    pub(crate) fn sample(&mut self, us: u64) {
        self.floor_us = self.floor_us.min(us);
        (self.recent_us, self.recent) = (self.recent_us.min(us), self.recent.saturating_add(1));
        match self.smoothed_us {
            None => {
                self.smoothed_us = Some(us);
                self.variation_us = us / 2;
            }
            Some(s) => {
                self.variation_us = (3 * self.variation_us + s.abs_diff(us)) / 4;
                self.smoothed_us = Some((7 * s + us) / 8);
            }
        }
    }
    /// What stands before the wire that the pacer does not know of: the wire is a little slower than
    /// its name, or a host was late once. Looks at some samples at a time; `back_us` is what an ACK may
    /// wait for on the way back.
    pub(crate) fn lag_us(&mut self, back_us: u64) -> Option<u64> {
        if self.recent < LAG_SAMPLES {
            return None;
        }
        let lag = self.recent_us.saturating_sub(self.floor_us);
        (self.recent_us, self.recent) = (u64::MAX, 0);
        Some(lag).filter(|lag| *lag >= LAG_MIN_US + back_us)
    }
    /// The shortest ever; none before the first sample.
    pub(crate) fn floor_us(&self) -> Option<u64> {
        Some(self.floor_us).filter(|us| *us < u64::MAX)
    }
    pub(crate) fn smoothed_us(&self) -> u64 {
        self.smoothed_us.unwrap_or(0)
    }
    /// How long to wait for an answer: max(2 R, R + 4 var, 20 ms), doubled per probe in a row, at most
    /// the larger of 250 ms and 4 R.
    pub(crate) fn wait_us(&self) -> u64 {
        let r = self.smoothed_us.unwrap_or(self.initial_us);
        let wait = (2 * r).max(r + 4 * self.variation_us).max(PROBE_MIN_US);
        (wait << self.backoff.min(16)).min(PROBE_MAX_US.max(4 * r))
    }
    pub(crate) fn back_off(&mut self) {
        self.backoff = self.backoff.saturating_add(1);
    }
    pub(crate) fn backoff(&self) -> u32 {
        self.backoff
    }
    pub(crate) fn answered(&mut self) {
        self.backoff = 0;
    }
}

#[cfg(feature = "explore")]
impl crate::explore::Digested for Rtt {
    fn digest(&self, to: &mut crate::explore::Digest) {
        // of the estimate what follows from it now
        let Rtt { floor_us: _, recent_us: _, recent: _, initial_us: _, smoothed_us: _, variation_us: _, backoff } = self;
        to.add(((*backoff).min(16), self.wait_us()));
    }
}
