//! A rate on trial: what is sent to prove it, and what was heard of it.

use super::ladder;
use crate::arq::endpoint::Damage;
use crate::arq::plan::Noise;
use crate::time::Instant;
use crate::wire::record::Rate;

/// Sending time of one test frame (µs); at least, and at most so many bytes of padding.
const FRAME_US: u64 = 2_500;
const PAD: core::ops::RangeInclusive<u64> = 16..=3_000;
/// A test frame beside its padding, about.
const AROUND: u64 = 45;
/// From the first to the last that was heard there are so many frames: then 20 ms of the line were seen.
const ENOUGH: u8 = 9;
/// The first must be heard within this time and two round trips, enough within the second (µs).
const FIRST_US: u64 = 100_000;
const ALL_US: u64 = 200_000;
/// How long the leading end waits to hear that its word arrived, beside two round trips (µs). The other
/// end gives up later than all of these.
pub(super) const KEEP_US: u64 = 100_000;
/// A report that is all there is to say is repeated after this time (µs).
pub(super) const REPORT_US: u64 = 5_000;
/// What is believed of a rate before its first test frame.
const PRIOR_BYTES: f64 = 500.0;
const PRIOR_ERRORS: f64 = 0.02;

/// Padding of a test frame at this rung, in bytes.
pub(super) fn padding(rung: u8) -> usize {
    (u64::from(ladder::baud(rung)) / 10 * FRAME_US / 1_000_000).saturating_sub(AROUND).clamp(*PAD.start(), *PAD.end()) as usize
}

/// What came of the peer's test frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Report {
    /// From the first to the last that was heard.
    pub(super) span: u8,
    /// How many of these were heard.
    pub(super) good: u8,
    /// Damage in between.
    pub(super) wrong: u16,
    pub(super) slips: u8,
}

impl Report {
    pub(super) fn of(rate: &Rate<'_>) -> Report {
        Report { span: rate.span, good: rate.good, wrong: rate.wrong, slips: rate.slips }
    }
    pub(super) fn is_enough(self) -> bool {
        self.span >= ENOUGH
    }
    /// Whether most of what was sent was heard.
    pub(super) fn is_fair(self) -> bool {
        self.good >= 3 && u16::from(self.good) * 2 > u16::from(self.span)
    }
    /// The noise that this shows.
    pub(super) fn noise(self, rung: u8) -> Noise {
        let bytes = f64::from(self.span.saturating_sub(1)) * (padding(rung) as u64 + AROUND) as f64;
        let per_byte = |errors: f64| ((errors + PRIOR_ERRORS) / (bytes + PRIOR_BYTES)).min(0.5);
        let missing = self.span.saturating_sub(self.good);
        Noise { wrong: per_byte(f64::from(self.wrong)), slips: per_byte(f64::from(self.slips.max(missing))) }
    }
}

/// A trial under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trial {
    /// Whether this end decides.
    pub(super) leads: bool,
    /// The rung before.
    pub(super) from: u8,
    first_by: Instant,
    all_by: Instant,
    /// When the next may be sent.
    pub(super) say_at: Instant,
    /// Number of the next test frame.
    index: u8,
    /// First and last number that was heard.
    heard: Option<(u8, u8)>,
    good: u8,
    began: Damage,
    until: Damage,
    /// What the peer has heard.
    pub(super) peer: Report,
}

impl Trial {
    pub(super) fn new(leads: bool, from: u8, rtt_us: u64, now: Instant) -> Trial {
        let all_us = if leads { ALL_US } else { ALL_US + KEEP_US + 2 * rtt_us };
        Trial {
            leads,
            from,
            first_by: now.after(FIRST_US + 2 * rtt_us),
            all_by: now.after(all_us + 2 * rtt_us),
            say_at: now,
            index: 0,
            heard: None,
            good: 0,
            began: Damage::default(),
            until: Damage::default(),
            peer: Report::default(),
        }
    }
    /// A test frame came, and with its end the deframer has counted so much damage.
    pub(super) fn note(&mut self, rate: &Rate<'_>, damage: Damage) {
        self.peer = Report::of(rate);
        if rate.padding.is_empty() {
            return;
        }
        let first = match self.heard {
            Some((first, _)) => first,
            None => {
                self.began = damage;
                rate.index
            }
        };
        (self.heard, self.until) = (Some((first, rate.index)), damage);
        self.good = self.good.saturating_add(1);
    }
    pub(super) fn report(&self) -> Report {
        Report {
            span: self.heard.map_or(0, |(first, last)| last.saturating_sub(first).saturating_add(1)),
            good: self.good,
            wrong: (self.until.wrong - self.began.wrong).min(u64::from(u16::MAX)) as u16,
            slips: (self.until.slips - self.began.slips).min(u64::from(u8::MAX)) as u8,
        }
    }
    /// Whether both ends have heard enough.
    pub(super) fn is_complete(&self) -> bool {
        self.report().is_enough() && self.peer.is_enough()
    }
    /// Whether its time is over: nothing at all was heard, or not enough.
    pub(super) fn is_late(&self, now: Instant) -> bool {
        now >= self.deadline()
    }
    pub(super) fn deadline(&self) -> Instant {
        if self.heard.is_none() { self.first_by } else { self.all_by }
    }
    /// The next test frame, or a report: its number and its padding.
    pub(super) fn next(&mut self, rung: u8, now: Instant) -> (u8, usize) {
        let index = self.index;
        if self.peer.is_enough() || index == u8::MAX {
            self.say_at = now.after(REPORT_US);
            return (index, 0);
        }
        self.index += 1;
        (index, padding(rung))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::record::RateStep;

    fn heard(indexes: &[u8], wrong: u64) -> Report {
        let mut trial = Trial::new(true, 0, 0, Instant::default());
        for (i, &index) in indexes.iter().enumerate() {
            let rate = Rate { step: RateStep::Test, index, padding: b"x", ..Rate::default() };
            trial.note(&rate, Damage { wrong: 7 + wrong * u64::from(i > 0), slips: 0 });
        }
        trial.report()
    }

    #[test]
    fn a_test_sees_20_ms_of_the_line() {
        for rung in 0..ladder::LADDER.len() as u8 {
            let bytes = (padding(rung) as u64 + AROUND) * u64::from(ENOUGH - 1);
            assert!(bytes * 10_000_000 >= 19_900 * u64::from(ladder::baud(rung)), "{rung}: {bytes}");
        }
    }

    #[test]
    fn what_was_heard_shows_the_noise() {
        let clean = heard(&[3, 4, 5, 6, 7, 8, 9, 10, 11], 0);
        assert!(clean.is_enough() && clean.is_fair() && clean.noise(6).wrong < 1e-5, "{clean:?} {:?}", clean.noise(6));
        let noisy = heard(&[3, 4, 5, 6, 7, 8, 9, 10, 11], 40);
        assert!((5e-3..2e-2).contains(&noisy.noise(6).wrong), "{:?}", noisy.noise(6));
        let holes = heard(&[0, 4, 9], 0);
        assert!(holes.is_enough() && !holes.is_fair() && holes.noise(6).slips > 1e-3);
    }
}
