//! A line whose ends have rates: they hear garbage when these differ, and noise above the line's limit.

use std::collections::VecDeque;

use link::sim::{Noise, NoiseConfig, Random};

/// One direction: what each byte was sent at is known when it arrives.
pub struct Line {
    latency_us: u64,
    noise: Noise,
    random: Random,
    /// Above this rate the line is bad (bits per second).
    pub limit: u32,
    free_ns: u64,
    flight: VecDeque<(u64, u32, u8)>,
    /// Part of a byte that is heard at another rate.
    part: f64,
    pub outages: Vec<(u64, u64)>,
}

impl Line {
    pub fn new(latency_us: u64, ber: f64, limit: u32, seed: u64) -> Line {
        let noise = NoiseConfig { ber, ..NoiseConfig::default() };
        Line {
            latency_us,
            noise: Noise::new(noise, seed),
            random: Random::new(seed ^ 0x55),
            limit,
            free_ns: 0,
            flight: VecDeque::new(),
            part: 0.0,
            outages: Vec::new(),
        }
    }
    pub fn send(&mut self, bytes: &[u8], baud: u32, now: u64) {
        for &byte in bytes {
            self.free_ns = self.free_ns.max(now * 1000) + 10_000_000_000 / u64::from(baud);
            let left = self.free_ns / 1000;
            if !self.outages.iter().any(|o| o.0 <= left && left < o.1) {
                self.flight.push_back((left + self.latency_us, baud, byte));
            }
        }
    }
    /// When all that was given to it has left (µs).
    pub fn free_us(&self) -> u64 {
        self.free_ns / 1000
    }
    pub fn is_free(&self, now: u64) -> bool {
        self.free_us() <= now
    }
    /// What a port at `baud` makes of what has arrived.
    pub fn take(&mut self, baud: u32, now: u64, out: &mut Vec<u8>) {
        out.clear();
        while let Some(&(_, sent, byte)) = self.flight.front().filter(|b| b.0 <= now) {
            self.flight.pop_front();
            if sent.abs_diff(baud) > sent / 30 {
                self.part += f64::from(baud) / f64::from(sent);
                while self.part >= 1.0 {
                    self.part -= 1.0;
                    out.push(self.random.bits() as u8);
                }
            } else if sent > self.limit {
                let over = f64::from(sent) / f64::from(self.limit) - 1.0;
                let ber = (1e-4 * 10f64.powf(20.0 * over)).min(0.25);
                let mask = (0..8).fold(0, |mask, bit| mask | u8::from(self.random.chance(ber)) << bit);
                out.push(byte ^ mask);
            } else {
                self.noise.pass(byte, |b| out.push(b));
            }
        }
    }
    pub fn next(&self) -> Option<u64> {
        self.flight.front().map(|b| b.0)
    }
}

/// Ends and lines that go on step by step, on a clock that is only a number (µs).
pub trait Virtual {
    fn now(&self) -> u64;
    fn step(&mut self);
    fn describe(&self) -> String;
    /// Until `done`; panics after `limit_us`.
    #[track_caller]
    fn until(&mut self, what: &str, limit_us: u64, mut done: impl FnMut(&Self) -> bool)
    where
        Self: Sized,
    {
        let mut rounds = 0u64;
        while !done(self) {
            self.step();
            rounds += 1;
            assert!(
                self.now() < limit_us && rounds < 30_000_000,
                "{what}: not by {} after {rounds}: {}",
                self.now(),
                self.describe()
            );
        }
    }
}
