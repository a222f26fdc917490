//! A pattern both ends know, and what a wire made of it: wrong bits, and bytes that went or came.

use std::collections::VecDeque;

use super::values::Values;

/// Bytes whose agreement decides whether two places are the same.
const WINDOW: usize = 16;
/// So many wrong bits in a window (of 128; chance alone makes 64, a bit error rate of 0.1 makes 13): the place is in doubt.
const DOUBT: u32 = 34;
/// A window with no more wrong bits than this is found (chance alone: 4e-12 at each place).
const FOUND: u32 = 25;
/// Bytes that are held back, so that the place of a slip can be told to the byte.
const HELD: usize = 64;
/// Places looked at each way for a slip, at first and at most; each search in vain looks further.
const NEAR: u64 = 1024;
const FAR: u64 = 1 << 20;

/// Bytes without end, any of them at once (splitmix64 of their place).
#[derive(Clone, Copy, Debug)]
pub struct Pattern(u64);

impl Pattern {
    /// The pattern of this seed.
    pub fn new(seed: u64) -> Pattern {
        Pattern(seed)
    }
    fn word(self, n: u64) -> u64 {
        let mut z = self.0.wrapping_add(n.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
    /// The byte at a place.
    pub fn byte(self, at: u64) -> u8 {
        self.word(at / 8).to_le_bytes()[(at % 8) as usize]
    }
    /// The bytes from a place on.
    pub fn fill(self, at: u64, out: &mut [u8]) {
        let mut place = at;
        let mut rest = out;
        while !rest.is_empty() {
            let word = self.word(place / 8).to_le_bytes();
            let part = &word[(place % 8) as usize..];
            let n = part.len().min(rest.len());
            rest[..n].copy_from_slice(&part[..n]);
            rest = &mut rest[n..];
            place += n as u64;
        }
    }
}

/// What became of the pattern.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Bytes that were compared.
    pub bytes: u64,
    /// Those of them that were wrong.
    pub wrong_bytes: u64,
    /// Wrong bits in them.
    pub wrong_bits: u64,
    /// Times that bytes went or came.
    pub slips: u64,
    /// Bytes that went, at slips.
    pub lost: u64,
    /// Bytes that came, at slips.
    pub inserted: u64,
    /// Bytes before the pattern was found for the first time.
    pub junk: u64,
}

/// A byte that came, and in how many bits it is another than the one awaited.
type Came = (u8, u8);

/// Follows a pattern through what came of it.
#[derive(Clone, Debug)]
pub struct Checker {
    pattern: Pattern,
    /// The place of the first byte held, as far as is known.
    at: u64,
    held: VecDeque<Came>,
    /// Wrong bits among the last `WINDOW` held.
    recent: u32,
    /// Whether the pattern was found at all.
    found: bool,
    heard: u64,
    /// When to search next, how long to wait then, how far to look.
    search_at: u64,
    pause: u64,
    reach: u64,
    tally: Tally,
    values: Values,
}

impl Checker {
    /// Awaits the pattern from its begin.
    pub fn new(pattern: Pattern) -> Checker {
        Checker {
            pattern,
            at: 0,
            held: VecDeque::with_capacity(HELD + 1),
            recent: 0,
            found: false,
            heard: 0,
            search_at: 0,
            pause: 1,
            reach: NEAR,
            tally: Tally::default(),
            values: Values::default(),
        }
    }
    /// What became of it so far; some bytes are still held back.
    pub fn tally(&self) -> Tally {
        self.tally
    }
    /// What became of each value so far.
    pub fn values(&self) -> &Values {
        &self.values
    }
    /// The place behind the last byte that came.
    pub fn place(&self) -> u64 {
        self.at + self.held.len() as u64
    }
    /// Takes what came.
    pub fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.take(byte);
        }
    }
    /// Nothing more will come: what was held back counts too.
    pub fn finish(&mut self) -> Tally {
        while !self.held.is_empty() {
            self.judge_first();
        }
        self.tally
    }

    fn wrong(&self, at: u64, byte: u8) -> u8 {
        (self.pattern.byte(at) ^ byte).count_ones() as u8
    }

    fn take(&mut self, byte: u8) {
        self.heard += 1;
        let wrong = self.wrong(self.place(), byte);
        self.held.push_back((byte, wrong));
        self.recent += u32::from(wrong);
        if self.held.len() > WINDOW {
            self.recent -= u32::from(self.held[self.held.len() - 1 - WINDOW].1);
        }
        if self.held.len() >= WINDOW {
            if self.recent < DOUBT {
                self.found |= self.recent <= FOUND;
                (self.pause, self.reach, self.search_at) = (1, NEAR, 0);
            } else if self.heard >= self.search_at {
                self.search();
            }
        }
        if self.held.len() > HELD {
            self.judge_first();
        }
    }

    fn judge_first(&mut self) {
        let Some((came, wrong)) = self.held.pop_front() else { return };
        let at = self.at;
        self.at += 1;
        if !self.found {
            self.tally.junk += 1;
            return;
        }
        self.values.compare(self.pattern.byte(at), came);
        self.tally.bytes += 1;
        self.tally.wrong_bytes += u64::from(wrong > 0);
        self.tally.wrong_bits += u64::from(wrong);
    }

    /// Looks for the place where the last bytes belong.
    fn search(&mut self) {
        let awaited = self.place() - WINDOW as u64;
        let low = awaited.saturating_sub(self.reach);
        let mut region = vec![0u8; (awaited - low + self.reach) as usize + WINDOW];
        self.pattern.fill(low, &mut region);
        let tail: Vec<u8> = self.held.iter().skip(self.held.len() - WINDOW).map(|c| c.0).collect();
        let tail = u128_of(&tail);
        let best = region
            .windows(WINDOW)
            .enumerate()
            .map(|(i, w)| ((u128_of(w) ^ tail).count_ones(), (low + i as u64).abs_diff(awaited), low + i as u64))
            .min();
        match best {
            Some((wrong, _, place)) if wrong <= FOUND => self.move_to(place, awaited),
            _ => {
                self.search_at = self.heard + self.pause;
                self.pause = (self.pause * 2).min(FAR / 64);
                self.reach = (self.reach * 2).min(FAR);
            }
        }
    }

    /// The last window belongs to `place`, not to where it was awaited.
    fn move_to(&mut self, place: u64, awaited: u64) {
        let (lost, inserted) = (place.saturating_sub(awaited), awaited.saturating_sub(place));
        let (first, gone) = self.split(lost, inserted);
        if self.found {
            self.tally.slips += 1;
            self.tally.lost += lost;
            self.tally.inserted += inserted;
            self.note_slip(first, gone, lost);
        }
        self.found = true;
        for _ in 0..first {
            self.judge_first();
        }
        self.held.drain(..gone);
        self.at = place + WINDOW as u64 - self.held.len() as u64;
        let again: Vec<Came> = self.held.iter().enumerate().map(|(i, c)| (c.0, self.wrong(self.at + i as u64, c.0))).collect();
        self.held = again.into();
        self.recent = self.held.iter().rev().take(WINDOW).map(|c| u32::from(c.1)).sum();
        (self.pause, self.reach) = (1, NEAR);
    }

    /// Which values went or came at a slip.
    fn note_slip(&mut self, first: usize, gone: usize, lost: u64) {
        let (pattern, from) = (self.pattern, self.at + first as u64);
        self.values.lose((0..usize::try_from(lost).unwrap_or(usize::MAX)).map(|i| pattern.byte(from + i as u64)));
        let held = |at: usize| self.held.get(at).map(|came| came.0);
        let came: Vec<u8> = (first..first + gone).filter_map(held).collect();
        self.values.join(first.checked_sub(1).and_then(held), &came, held(first + gone));
    }

    /// Where among the bytes held the slip was: how many of them come before it, and how many are to be thrown away
    /// behind those. What makes the fewest wrong bits.
    fn split(&self, lost: u64, inserted: u64) -> (usize, usize) {
        if !self.found {
            return (0, self.held.len() - WINDOW);
        }
        let (n, gone) = (self.held.len(), usize::try_from(inserted).unwrap_or(usize::MAX));
        if gone > n - WINDOW {
            return (0, n - WINDOW);
        }
        let after: Vec<u32> = self
            .held
            .iter()
            .enumerate()
            .map(|(i, c)| u32::from(self.wrong((self.at + lost + i as u64).saturating_sub(inserted), c.0)))
            .collect();
        let cost = |first: usize| {
            let before: u32 = self.held.iter().take(first).map(|c| u32::from(c.1)).sum();
            before + after[first + gone..].iter().sum::<u32>()
        };
        // the window may begin before the slip: some wrong bits are forgiven in it
        let first = (0..n - gone).min_by_key(|&first| cost(first)).unwrap_or(0);
        (first, gone)
    }
}

fn u128_of(window: &[u8]) -> u128 {
    window.try_into().map_or(0, u128::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use link::sim::{Noise, NoiseConfig, Random};

    use super::*;

    fn through(config: NoiseConfig, seed: u64, bytes: usize) -> (Tally, link::sim::NoiseStats) {
        let pattern = Pattern::new(seed);
        let mut sent = vec![0; bytes];
        pattern.fill(0, &mut sent);
        let (mut noise, mut came) = (Noise::new(config, seed), Vec::new());
        sent.iter().for_each(|&b| noise.pass(b, |b| came.push(b)));
        let mut checker = Checker::new(pattern);
        checker.push(&came);
        (checker.finish(), noise.stats)
    }

    #[test]
    fn a_clean_wire_is_clean() {
        let (tally, _) = through(NoiseConfig::default(), 1, 100_000);
        assert_eq!(tally, Tally { bytes: 100_000, ..Tally::default() });
    }

    #[test]
    fn flipped_bits_are_counted_to_the_bit() {
        for seed in 0..200 {
            let ber = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 5e-2][seed as usize % 6];
            let (tally, real) = through(NoiseConfig { ber, ..NoiseConfig::default() }, seed, 20_000);
            assert_eq!((tally.wrong_bits, tally.slips, tally.bytes), (real.flipped, 0, 20_000), "seed {seed}");
        }
    }

    #[test]
    fn lost_bytes_are_slips_and_not_errors() {
        let (mut slips, mut lost, mut real_lost) = (0, 0, 0);
        for seed in 0..300 {
            let drop_len = 1 + (seed as u32 % 7) * 30;
            let config = NoiseConfig { drop: 1e-4, drop_len, ber: 1e-4, ..NoiseConfig::default() };
            let (tally, real) = through(config, seed, 50_000);
            slips += tally.slips;
            lost += tally.lost;
            real_lost += real.dropped;
            // two slips inside one window may cost some bits; one never does
            assert!(tally.wrong_bits <= real.flipped + 30 + 2 * tally.slips, "seed {seed}: {tally:?} {real:?}");
        }
        assert!(slips > 1000);
        assert!(lost.abs_diff(real_lost) * 50 <= real_lost, "{lost} of {real_lost}");
    }

    #[test]
    fn bytes_that_came_in_are_slips_and_not_errors() {
        let (mut inserted, mut real_inserted, mut wrong) = (0, 0, 0);
        for seed in 0..300 {
            let (tally, real) = through(NoiseConfig { insert: 1e-4, ..NoiseConfig::default() }, seed, 50_000);
            inserted += tally.inserted;
            real_inserted += real.inserted;
            wrong += tally.wrong_bits;
        }
        assert!(inserted.abs_diff(real_inserted) * 50 <= real_inserted, "{inserted} of {real_inserted}");
        assert!(wrong <= real_inserted, "{wrong} wrong bits for {real_inserted} bytes that came in");
    }

    #[test]
    fn a_long_outage_is_one_slip() {
        for (gap, seed) in [(5_000, 1), (100_000, 2), (900_000, 3)] {
            let pattern = Pattern::new(seed);
            let (mut before, mut after) = (vec![0; 20_000], vec![0; 60_000]);
            pattern.fill(0, &mut before);
            pattern.fill(20_000 + gap, &mut after);
            let mut checker = Checker::new(pattern);
            checker.push(&before);
            checker.push(&after);
            let tally = checker.finish();
            assert_eq!((tally.slips, tally.lost), (1, gap), "{tally:?}");
        }
    }

    #[test]
    fn noise_alone_is_no_pattern() {
        let mut random = Random::new(7);
        let bytes: Vec<u8> = (0..200_000).map(|_| random.bits() as u8).collect();
        let mut checker = Checker::new(Pattern::new(9));
        checker.push(&bytes);
        assert_eq!(checker.finish(), Tally { junk: 200_000, ..Tally::default() });
    }

    #[test]
    fn junk_before_the_pattern_and_a_late_start_are_no_slips() {
        let pattern = Pattern::new(3);
        let mut bytes = vec![0x55; 37];
        let mut part = vec![0; 5000];
        pattern.fill(123, &mut part);
        bytes.extend(&part);
        let mut checker = Checker::new(pattern);
        checker.push(&bytes);
        let tally = checker.finish();
        assert_eq!((tally.slips, tally.wrong_bits), (0, 0), "{tally:?}");
        assert!(tally.bytes >= 4950);
    }
}
