//! What frames of some size and armour are worth on a wire with so much noise (PROTOCOL 4.5; not
//! part of the wire format).

use crate::wire::armour::{coded_len, codewords};
use crate::wire::check::PART;
use crate::wire::frame::{CHECK, frame_len};
use crate::wire::segment::{DATA_HEAD, SEGMENT_HEAD};
use crate::wire::{Level, PAYLOAD_MAX};

/// Smallest payload worth a frame, whatever the noise.
const PAYLOAD_MIN: usize = 24;
/// What a patch takes: a part and a half, some bytes that were lost, a head. Shorter bodies are not
/// patched.
const PATCH: f64 = 1.5 * PART as f64 + 50.0;
const PATCHED_MIN: usize = 3 * PART;
/// A short frame shall arrive with this chance: it carries little, but much may wait for it.
const SHORT_ARRIVES: f64 = 0.99;

/// How noisy a wire is, per byte.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Noise {
    /// Chance that a byte arrives wrong: armour helps.
    pub(crate) wrong: f64,
    /// Chance that bytes vanish or come in at a byte: armour does not help.
    pub(crate) slips: f64,
}

/// How to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) level: Level,
    pub(crate) payload: usize,
}

impl Plan {
    /// What delivers most user bytes per byte of wire, with at most `max` in a frame that has
    /// `extra` bytes of its own.
    pub(crate) fn best(noise: Noise, max: usize, extra: usize) -> Plan {
        let max = max.clamp(1, PAYLOAD_MAX);
        let (mut best, mut most) = (Plan { level: Level::Plain, payload: max }, 0.0);
        for level in Level::ALL {
            let mut payload = max;
            loop {
                let body = SEGMENT_HEAD + DATA_HEAD + payload + extra;
                let share = payload as f64 / noise.cost(level, body);
                if share > most {
                    (best, most) = (Plan { level, payload }, share);
                }
                if payload <= PAYLOAD_MIN {
                    break;
                }
                payload = (payload * 5 / 6).max(PAYLOAD_MIN);
            }
        }
        best
    }
}

/// The share of a line that user bytes take when frames have the best size and armour (0 to 1), where each byte arrives
/// wrong with chance `wrong`, and bytes vanish or come in beside it with chance `slips`. An estimate: acknowledgements
/// and whatever else shares the line are not in it.
pub fn goodput(wrong: f64, slips: f64) -> f64 {
    let noise = Noise { wrong: wrong.clamp(0.0, 0.5), slips: slips.clamp(0.0, 0.5) };
    let best = Plan::best(noise, PAYLOAD_MAX, 0);
    let share = best.payload as f64 / noise.cost(best.level, SEGMENT_HEAD + DATA_HEAD + best.payload);
    if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 }
}

impl Noise {
    /// Bytes of wire it takes to get this body across.
    fn cost(self, level: Level, body: usize) -> f64 {
        let len = frame_len(body, level);
        if level != Level::Plain || body < PATCHED_MIN {
            return len as f64 / self.arrives(level, body).max(1e-9);
        }
        // hit once, a plain frame is patched; hit more often, most of it is sent again
        let hit = (self.wrong + self.slips).min(0.5);
        let never = power(1.0 - hit, len);
        let once = len as f64 * hit * power(1.0 - hit, len - 1);
        len as f64 + once * PATCH + (1.0 - never - once).max(0.0) * len as f64 / never.max(1e-9)
    }
    /// The chance that a frame with this body arrives whole.
    pub(crate) fn arrives(self, level: Level, body: usize) -> f64 {
        let len = frame_len(body, level);
        let in_place = power(1.0 - self.slips, len);
        let Some(code) = level.parity() else { return in_place * power(1.0 - self.wrong, len) };
        let coded = body + CHECK;
        let n = codewords(coded, code);
        let each = at_most(code.repairs(), coded_len(coded, code).div_ceil(n), self.wrong);
        in_place * power(each, n) * at_most(2, 6, self.wrong)
    }

    /// The weakest armour in which a short frame arrives all but surely.
    pub(crate) fn short(self, body: usize) -> Level {
        let wrong = Noise { slips: 0.0, ..self };
        Level::ALL.into_iter().find(|&level| wrong.arrives(level, body) >= SHORT_ARRIVES).unwrap_or(Level::Sixteen)
    }
}

/// The [`goodput`] at this noise.
pub(crate) fn share(noise: Noise) -> f64 {
    goodput(noise.wrong, noise.slips)
}

/// `x` to the `n`th.
fn power(x: f64, n: usize) -> f64 {
    let (mut result, mut square, mut n) = (1.0, x, n);
    while n > 0 {
        if n & 1 == 1 {
            result *= square;
        }
        square *= square;
        n >>= 1;
    }
    result
}

/// The chance of at most `t` wrong bytes among `n` when each is wrong with chance `p` below 1.
fn at_most(t: usize, n: usize, p: f64) -> f64 {
    let mut term = power(1.0 - p, n);
    let mut sum = term;
    for k in 0..t.min(n) {
        term *= (n - k) as f64 / (k + 1) as f64 * p / (1.0 - p);
        sum += term;
    }
    sum.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chances_are_those_of_the_binomial() {
        assert!((at_most(2, 6, 0.5) - 22.0 / 64.0).abs() < 1e-12);
        assert!((at_most(0, 100, 0.01) - 0.99f64.powi(100)).abs() < 1e-12);
        assert!((at_most(4, 3, 0.3) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn size_and_armour_follow_the_noise() {
        let wire = |ber: f64| Plan::best(Noise { wrong: ber * 8.0, slips: 0.0 }, PAYLOAD_MAX, 0);
        assert_eq!(wire(1e-9), Plan { level: Level::Plain, payload: PAYLOAD_MAX });
        assert!(wire(1e-5).level > Level::Plain && wire(1e-5).payload > 2000);
        assert!(wire(1e-4).level > wire(1e-6).level);
        assert!(wire(2e-2).level == Level::Sixteen && wire(2e-2).payload < 100);
        // lost bytes: armour is no use, a patch is
        let slips = Plan::best(Noise { wrong: 1e-7, slips: 2e-5 }, PAYLOAD_MAX, 0);
        assert!(slips.level == Level::Plain && slips.payload > 1000, "{slips:?}");
    }

    #[test]
    fn short_frames_get_what_they_need() {
        let level = |ber: f64| Noise { wrong: ber * 8.0, slips: 1e-3 }.short(16);
        assert_eq!(level(1e-5), Level::Plain);
        assert!(level(1e-3) > Level::Plain);
        assert_eq!(level(0.1), Level::Sixteen);
    }
}
