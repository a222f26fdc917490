//! Draws of the soak: lengths of time, scaled down where the whole run is short.

use std::time::Duration;

use link::sim::Random;

/// Seeded draws for a run of a certain length.
#[derive(Clone, Debug)]
pub struct Chance {
    random: Random,
    cap: Duration,
}

impl Chance {
    /// Draws of `seed`; no time drawn is longer than a twentieth of the run.
    pub fn new(seed: u64, run: Duration) -> Chance {
        Chance { random: Random::new(seed), cap: run / 20 }
    }
    /// A number below `n`; 0 when `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        self.random.below(n)
    }
    /// True once in `n`.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.random.below(n) == 0
    }
    /// A time between two: every order of magnitude is as likely as another.
    pub fn time(&mut self, low: Duration, high: Duration) -> Duration {
        let (low, high) = (low.min(self.cap).as_secs_f64().max(1e-6), high.min(self.cap).as_secs_f64().max(1e-6));
        let part = self.random.below(1 << 32) as f64 / f64::from(u32::MAX);
        Duration::from_secs_f64(low * (high / low).powf(part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_within_their_bounds_and_the_run() {
        let (low, high) = (Duration::from_millis(100), Duration::from_secs(10));
        for (run, longest) in [(Duration::from_secs(3600), 10.0), (Duration::from_secs(20), 1.0), (Duration::from_secs(1), 0.05)]
        {
            let mut chance = Chance::new(1, run);
            let times: Vec<f64> = (0..1000).map(|_| chance.time(low, high).as_secs_f64()).collect();
            let most = times.iter().copied().fold(0.0, f64::max);
            assert!(most <= longest * 1.001 && most > longest * 0.9, "{most} of {longest}");
            assert!(times.iter().all(|&t| t >= 0.1f64.min(longest) * 0.999));
        }
    }
}
