//! Frame size and armour from the measured noise (PROTOCOL 4.5; not part of the wire format).
//!
//! With λ errors per byte and h bytes of overhead, the size that wastes least is √(h/λ). Armour pays
//! once repeats of plain frames cost more than its parity.

use crate::wire::Level;
use crate::wire::segment::{DATA_HEAD, SEGMENT_HEAD};

/// Bytes over which the estimates forget one half.
const MEMORY: u64 = 192 * 1024;
/// What is believed before anything was seen: one fifth of an error in 25 kB.
const PRIOR_BYTES: u64 = 25_000;
const PRIOR_FIFTHS: u64 = 1;
/// Smallest payload the noise alone can bring about.
const PAYLOAD_MIN: u64 = 24;
const PLAIN_OVERHEAD: u64 = 8 + (SEGMENT_HEAD + DATA_HEAD) as u64;
const ARMOURED_OVERHEAD: u64 = 14 + (SEGMENT_HEAD + DATA_HEAD) as u64;

/// From how many wrong bytes per 1e9 on the armour above is better: where the chance that a
/// codeword of 255 has more errors than the lower level repairs outweighs the added parity.
const THRESHOLDS_PPB: [u64; 4] = [250_000, 1_000_000, 4_000_000, 12_000_000];

/// From how many wrong bytes per 1e9 on any armour is better than none, when a frame can carry
/// `max` bytes: where repeating frames of the best plain size costs as much as parity does.
fn armour_pays_ppb(max: u64) -> u64 {
    // shares in 1e-9
    let armour = ARMOURED_OVERHEAD * 1_000_000_000 / max + 2 * 1_000_000_000 / 253;
    let plain = PLAIN_OVERHEAD * 1_000_000_000 / max;
    // best plain size √(h/λ): cost 2 √(h λ)
    let free = armour * armour / 4 / PLAIN_OVERHEAD / 1_000_000_000;
    let size = (PLAIN_OVERHEAD * 1_000_000_000 / free.max(1)).isqrt();
    if size <= max { free } else { armour.saturating_sub(plain) / max }
}

#[derive(Clone, Debug, Default)]
struct Rate {
    bytes: u64,
    fifths: u64,
}

impl Rate {
    fn add(&mut self, bytes: u64, errors: u64) {
        self.bytes += bytes;
        self.fifths += errors * 5;
        while self.bytes > 2 * MEMORY {
            self.bytes /= 2;
            self.fifths /= 2;
        }
    }
    fn ppb(&self) -> u64 {
        self.fifths.saturating_add(PRIOR_FIFTHS).saturating_mul(200_000_000) / (self.bytes + PRIOR_BYTES)
    }
}

/// How to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) level: Level,
    pub(crate) payload: usize,
}

/// What one ACK says of transmissions that were still open.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Batch {
    /// Damage the peer saw since its last ACK.
    damage: u8,
    arrived: u64,
    lost: u64,
    armoured: u64,
    armoured_lost: u64,
    frames_arrived: u32,
    frames_lost: u32,
}

impl Batch {
    /// An ACK that reports this much new damage.
    pub(crate) fn new(damage: u8) -> Batch {
        Batch { damage, ..Batch::default() }
    }
    /// A transmission of `wire` bytes arrived, or did not.
    pub(crate) fn add(&mut self, level: Level, wire: u16, arrived: bool) {
        *(if arrived { &mut self.arrived } else { &mut self.lost }) += u64::from(wire);
        *(if arrived { &mut self.frames_arrived } else { &mut self.frames_lost }) += 1;
        if level != Level::Plain {
            self.armoured += u64::from(wire);
            self.armoured_lost += u64::from(!arrived);
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Adapt {
    thresholds_ppb: [u64; 5],
    /// Wrong bytes, as the peer reports them.
    noise: Rate,
    /// Armoured frames lost all the same: lost or added bytes, bursts.
    slips: Rate,
    level: usize,
}

impl Adapt {
    /// For frames with at most `max` bytes of payload.
    pub(crate) fn new(max: u16) -> Adapt {
        let [two, four, eight, sixteen] = THRESHOLDS_PPB;
        let one = armour_pays_ppb(u64::from(max.max(1))).min(two / 2);
        let mut adapt =
            Adapt { thresholds_ppb: [one, two, four, eight, sixteen], noise: Rate::default(), slips: Rate::default(), level: 0 };
        adapt.choose();
        adapt
    }
    /// Takes in what an ACK says. What vanished without any damage at the other end fell into an
    /// outage and says nothing about noise.
    pub(crate) fn learn(&mut self, batch: Batch) {
        let damage = u64::from(batch.damage);
        let bytes = batch.arrived + if damage > 0 { batch.lost } else { 0 };
        self.noise.add(bytes, damage);
        self.slips.add(batch.armoured.min(bytes), batch.armoured_lost.min(damage));
        if damage > 0 && batch.frames_lost >= 2 && batch.frames_lost > batch.frames_arrived {
            self.step_up();
        }
        self.choose();
    }

    /// Most of what was sent was destroyed: the estimate is far too low, and would take long to rise.
    fn step_up(&mut self) {
        if let Some(threshold) = self.thresholds_ppb.get(self.level) {
            let fifths = threshold * 2 * 5 * 2 * PRIOR_BYTES / 1_000_000_000;
            self.noise = Rate { bytes: PRIOR_BYTES, fifths };
            self.slips = Rate::default();
        }
    }

    fn choose(&mut self) {
        let ppb = self.noise.ppb();
        while self.level < self.thresholds_ppb.len() && ppb > self.thresholds_ppb[self.level] {
            self.level += 1;
        }
        while self.level > 0 && ppb * 2 < self.thresholds_ppb[self.level - 1] {
            self.level -= 1;
        }
    }

    /// How to send data, with at most `max` bytes of payload.
    pub(crate) fn plan(&self, max: u16) -> Plan {
        let level = Level::ALL[self.level];
        let (overhead, rate) =
            if level == Level::Plain { (PLAIN_OVERHEAD, &self.noise) } else { (ARMOURED_OVERHEAD, &self.slips) };
        let best = (overhead * 1_000_000_000 / rate.ppb().max(1)).isqrt();
        Plan { level, payload: best.max(PAYLOAD_MIN).min(u64::from(max)) as usize }
    }
    /// How to send something short: armour costs most there and helps least.
    pub(crate) fn short(&self) -> Level {
        if self.level < Level::Eight as usize { Level::Plain } else { Level::ALL[self.level] }
    }
    /// Estimated bit error rate in 1e-9.
    pub(crate) fn ber_ppb(&self) -> u64 {
        if self.noise.fifths == 0 { 0 } else { self.noise.ppb() / 8 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learn(adapt: &mut Adapt, frames: u64, lost: u64, damage: u8) {
        let mut batch = Batch::new(damage);
        for i in 0..frames {
            batch.add(adapt.plan(4000).level, 1000, i >= lost);
        }
        adapt.learn(batch);
    }

    #[test]
    fn follows_the_noise_and_comes_back() {
        let mut adapt = Adapt::new(4000);
        learn(&mut adapt, 500, 0, 0);
        assert_eq!(adapt.plan(4000), Plan { level: Level::Plain, payload: 4000 });
        for _ in 0..50 {
            learn(&mut adapt, 10, 1, 1);
        }
        assert!(adapt.plan(4000).level > Level::Plain);
        for _ in 0..50 {
            learn(&mut adapt, 10, 10, 20);
        }
        assert!(adapt.plan(4000).level > Level::One);
        for _ in 0..6000 {
            learn(&mut adapt, 1, 0, 0);
        }
        assert_eq!(adapt.plan(4000).level, Level::Plain);
    }

    #[test]
    fn an_outage_is_not_noise() {
        let mut adapt = Adapt::new(4000);
        let before = adapt.plan(4000);
        learn(&mut adapt, 200, 200, 0);
        assert_eq!(adapt.plan(4000), before);
    }
}
