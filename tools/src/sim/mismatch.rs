//! What the rate does to bytes: a receiver that samples at another one hears other bytes, and above the limit
//! of a wire (a long cable, a weak adapter) bits turn.

use link::sim::Random;

/// A UART bears this difference between its rate and the sender's (of 100).
const TOLERANCE_OF_100: u32 = 4;
/// At the limit a wire has this bit error rate, and ten times it for each twentieth above.
const BER_AT_LIMIT: f64 = 1e-4;
const BER_MOST: f64 = 0.25;

/// Rates of sender, receiver and wire.
#[derive(Debug)]
pub(super) struct Mismatch {
    /// Rate of the receiver; none where it is taken to be the sender's.
    pub(super) heard: Option<u32>,
    /// Above this the wire is bad; none without a limit.
    pub(super) limit: Option<u32>,
    /// Part of a byte that the receiver has sampled.
    part: f64,
    random: Random,
}

impl Mismatch {
    pub(super) fn new(limit: Option<u32>, seed: u64) -> Mismatch {
        Mismatch { heard: None, limit, part: 0.0, random: Random::new(seed ^ 0x0BAD) }
    }
    /// What becomes of a byte that was sent at this rate.
    pub(super) fn pass(&mut self, byte: u8, sent: u32, mut out: impl FnMut(u8)) {
        if let Some(heard) = self.heard.filter(|heard| heard.abs_diff(sent) > sent / 100 * TOLERANCE_OF_100) {
            // a slow receiver makes one byte of several, a fast one several of each
            self.part += f64::from(heard) / f64::from(sent);
            while self.part >= 1.0 {
                self.part -= 1.0;
                out(self.random.bits() as u8);
            }
            return;
        }
        let over = self.limit.map_or(0.0, |limit| f64::from(sent) / f64::from(limit) - 1.0);
        if over <= 0.0 {
            return out(byte);
        }
        let ber = (BER_AT_LIMIT * 10f64.powf(20.0 * over)).min(BER_MOST);
        out((0..8).fold(byte, |byte, bit| byte ^ u8::from(self.random.chance(ber)) << bit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn carried(mismatch: &mut Mismatch, sent: u32) -> (usize, usize) {
        let (mut came, mut right) = (0, 0);
        for i in 0..10_000u32 {
            mismatch.pass(i as u8, sent, |byte| (came, right) = (came + 1, right + usize::from(byte == i as u8)));
        }
        (came, right)
    }

    #[test]
    fn another_rate_makes_other_bytes() {
        let mut mismatch = Mismatch::new(None, 1);
        assert_eq!(carried(&mut mismatch, 115_200), (10_000, 10_000));
        mismatch.heard = Some(116_000);
        assert_eq!(carried(&mut mismatch, 115_200), (10_000, 10_000), "within what a UART bears");
        mismatch.heard = Some(230_400);
        let (came, right) = carried(&mut mismatch, 115_200);
        assert!(came == 20_000 && right < 200, "{came} {right}");
        mismatch.heard = Some(115_200);
        let (came, right) = carried(&mut mismatch, 460_800);
        assert!(came == 2_500 && right < 100, "{came} {right}");
    }

    #[test]
    fn above_its_limit_a_wire_is_bad() {
        let right = |sent| carried(&mut Mismatch::new(Some(2_000_000), 1), sent).1;
        assert_eq!(right(2_000_000), 10_000);
        assert!((9_000..10_000).contains(&right(2_100_000)));
        assert!(right(3_000_000) < 2_000);
    }
}
