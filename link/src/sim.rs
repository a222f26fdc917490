//! (feature `sim`) Seeded line noise, the same for the simulations and for the wire simulator.

/// A small, fast, seeded generator (xorshift64*; Vigna 2016). Not for secrets.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The sequence of `seed`.
    pub fn new(seed: u64) -> Random {
        // spread small seeds (splitmix64)
        let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        Random((z ^ (z >> 31)).max(1))
    }
    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }
    /// A number below `n`; 0 when `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(n)) >> 64) as u64
    }
    /// True with probability `p`.
    pub fn chance(&mut self, p: f64) -> bool {
        p > 0.0 && ((self.bits() >> 11) as f64) < p * (1u64 << 53) as f64
    }
}

/// What a noisy wire does to bytes. All probabilities are 0..=1 and 0 by default.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct NoiseConfig {
    /// Chance of each bit to be flipped.
    pub ber: f64,
    /// Chance per byte that a burst begins (Gilbert-Elliott: good to bad).
    pub burst: f64,
    /// Mean bytes a burst lasts (bad to good: one over this).
    pub burst_len: f64,
    /// Chance of each bit to be flipped inside a burst.
    pub burst_ber: f64,
    /// Chance per byte that `drop_len` bytes are lost.
    pub drop: f64,
    /// Bytes lost at a time; 0 counts as 1.
    pub drop_len: u32,
    /// Chance per byte that a random byte is put before it.
    pub insert: f64,
}

/// What the noise has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoiseStats {
    /// Bits flipped.
    pub flipped: u64,
    /// Bytes lost.
    pub dropped: u64,
    /// Bytes put in.
    pub inserted: u64,
}

/// Line noise with a seed: the same bytes in the same cuts get the same faults.
#[derive(Clone, Debug)]
pub struct Noise {
    config: NoiseConfig,
    random: Random,
    bad: bool,
    dropping: u32,
    /// What was done so far.
    pub stats: NoiseStats,
}

impl Noise {
    /// Noise as configured, repeatable by its seed.
    pub fn new(config: NoiseConfig, seed: u64) -> Noise {
        Noise { config, random: Random::new(seed), bad: false, dropping: 0, stats: NoiseStats::default() }
    }

    /// Other noise from the next byte on; a burst or a loss under way ends.
    pub fn set(&mut self, config: NoiseConfig) {
        (self.config, self.bad, self.dropping) = (config, false, 0);
    }

    /// One byte crosses the wire; what comes out goes to `out` (nothing, it, or two bytes).
    pub fn pass(&mut self, byte: u8, mut out: impl FnMut(u8)) {
        self.strike(byte, 8, |byte, mask| out(byte ^ mask as u8));
    }

    /// One byte crosses the wire in so many bits, 1..=16; each byte that comes out goes to `out` as it was sent, with
    /// the bits that were flipped.
    pub fn strike(&mut self, byte: u8, bits: u32, mut out: impl FnMut(u8, u16)) {
        let c = self.config;
        if self.random.chance(c.insert) {
            self.stats.inserted += 1;
            out(self.random.bits() as u8, 0);
        }
        if self.dropping == 0 && self.random.chance(c.drop) {
            self.dropping = c.drop_len.max(1);
        }
        if self.dropping > 0 {
            self.dropping -= 1;
            self.stats.dropped += 1;
            return;
        }
        self.bad = if self.bad { !self.random.chance(1.0 / c.burst_len.max(1.0)) } else { self.random.chance(c.burst) };
        let ber = if self.bad { c.burst_ber } else { c.ber };
        let mask = self.mask(ber, bits);
        self.stats.flipped += u64::from(mask.count_ones());
        out(byte, mask);
    }

    /// The bits to flip of so many. At low rates one draw decides for the whole byte (the chance
    /// of two hits in it is then beyond notice), so that a clean byte costs little.
    fn mask(&mut self, ber: f64, bits: u32) -> u16 {
        if ber > 1e-3 {
            (0..bits).fold(0, |mask, bit| mask | u16::from(self.random.chance(ber)) << bit)
        } else if self.random.chance(f64::from(bits) * ber) {
            1 << self.random.below(u64::from(bits))
        } else {
            0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_what_was_asked() {
        for ber in [1e-5, 1e-3, 0.05] {
            let mut noise = Noise::new(NoiseConfig { ber, ..NoiseConfig::default() }, 5);
            let bytes = if ber < 1e-4 { 20_000_000 } else { 1_000_000 };
            for _ in 0..bytes {
                noise.pass(0, |_| {});
            }
            let expected = f64::from(bytes) * 8.0 * ber;
            let got = noise.stats.flipped as f64;
            assert!((got - expected).abs() < 5.0 * expected.sqrt() + 0.01 * expected, "{ber}: {got} for {expected}");
        }
    }

    #[test]
    fn drops_and_inserts() {
        let config = NoiseConfig { drop: 1e-3, drop_len: 64, insert: 1e-2, ..NoiseConfig::default() };
        let (mut noise, mut out) = (Noise::new(config, 1), 0u64);
        for _ in 0..1_000_000 {
            noise.pass(0, |_| out += 1);
        }
        assert!((9_000..11_000).contains(&noise.stats.inserted), "{:?}", noise.stats);
        assert!((45_000..75_000).contains(&noise.stats.dropped), "{:?}", noise.stats);
        assert_eq!(out, 1_000_000 + noise.stats.inserted - noise.stats.dropped);
    }
}
