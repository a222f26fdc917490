//! Stretches in which nothing is to be done, and who uses the CPU in them.

use std::time::{Duration, Instant};

use super::process::Share;
use super::stage::Actor;

/// A stretch in which hardly anything is carried, and nothing happens, is calm when it is so long.
pub const LENGTH: Duration = Duration::from_millis(1_500);
/// Bytes carried in a calm stretch.
const HARDLY: u64 = 3_000;

/// A stretch in which nothing is to be done.
#[derive(Debug)]
pub struct Calm {
    since: Instant,
    carried: u64,
    shares: Vec<Option<Share>>,
}

impl Calm {
    /// It may begin now, when so many bytes have been carried.
    pub fn begin(carried: u64) -> Calm {
        Calm { since: Instant::now(), carried, shares: Vec::new() }
    }
    /// Who uses the CPU while nothing is to be done.
    pub fn look(&mut self, carried: u64, actors: &mut [Actor]) {
        if self.shares.len() != actors.len() || carried > self.carried + HARDLY {
            let shares = actors.iter().map(|actor| actor.process.share()).collect();
            *self = Calm { since: Instant::now(), carried, shares };
        }
        let length = self.since.elapsed();
        if length < LENGTH {
            return;
        }
        for (actor, before) in actors.iter_mut().zip(&self.shares) {
            if let (Some(before), Some(now)) = (before, actor.process.share()) {
                actor.busy = actor.busy.max(busy(*before, now, length));
            }
        }
        self.shares.clear();
    }
}

/// The part of a stretch that a process ran, of what others left it: a machine that is busy slows a spin down, and hides
/// none.
fn busy(before: Share, now: Share, length: Duration) -> f64 {
    let seconds = |ns: u64| Duration::from_nanos(ns).as_secs_f64();
    let (ran, waited) = (seconds(now.ran.saturating_sub(before.ran)), seconds(now.waited.saturating_sub(before.waited)));
    // what ran for a moment says nothing: on a machine that is full a few wake-ups wait all the time that they do not run
    if ran < length.as_secs_f64() / 20.0 {
        return 0.0;
    }
    ran / (length.as_secs_f64() - waited).max(ran)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spin_is_one_on_a_busy_machine_too() {
        let of = |ran_ms: u64, waited_ms: u64| {
            let share = |ran, waited| Share { ran, waited };
            busy(share(5, 5), share(5 + ran_ms * 1_000_000, 5 + waited_ms * 1_000_000), LENGTH)
        };
        assert!(of(1_490, 10) > 0.95 && of(80, 1_400) > 0.75);
        assert_eq!(of(40, 1_460), 0.0, "a few wake-ups on a machine that is full");
        assert!(of(100, 0) < 0.1 && of(100, 700) < 0.2 && of(5, 1_490) < 0.01);
    }
}
