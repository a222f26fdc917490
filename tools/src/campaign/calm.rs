//! Stretches in which nothing is to be done, and who uses the CPU in them.

use std::time::{Duration, Instant};

use super::stage::Actor;

/// A stretch in which hardly anything is carried, and nothing happens, is calm when it is so long.
pub const LENGTH: Duration = Duration::from_millis(1_500);
/// Bytes carried in a calm stretch.
const HARDLY: u64 = 3_000;
/// Clock ticks a second.
const TICKS: f64 = 100.0;

/// A stretch in which nothing is to be done.
#[derive(Debug)]
pub struct Calm {
    since: Instant,
    carried: u64,
    ticks: Vec<Option<u64>>,
}

impl Calm {
    /// It may begin now, when so many bytes have been carried.
    pub fn begin(carried: u64) -> Calm {
        Calm { since: Instant::now(), carried, ticks: Vec::new() }
    }
    /// Who uses the CPU while nothing is to be done.
    pub fn look(&mut self, carried: u64, actors: &mut [Actor]) {
        if self.ticks.len() != actors.len() || carried > self.carried + HARDLY {
            let ticks = actors.iter().map(|actor| actor.process.ticks()).collect();
            *self = Calm { since: Instant::now(), carried, ticks };
        }
        let length = self.since.elapsed();
        if length < LENGTH {
            return;
        }
        for (actor, before) in actors.iter_mut().zip(&self.ticks) {
            if let (Some(before), Some(now)) = (before, actor.process.ticks()) {
                let used = now.saturating_sub(*before) as f64 / TICKS / length.as_secs_f64();
                actor.busy = actor.busy.max(used);
            }
        }
        self.ticks.clear();
    }
}
