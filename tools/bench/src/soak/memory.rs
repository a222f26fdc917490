//! The memory of a process, as the run goes on: it must stay flat.

use std::time::Duration;

/// How much more than at a tenth of the run is still flat, in kB.
const SLACK_KB: u64 = 2_000;

/// Resident memory in kB (VmRSS) of a process.
pub fn rss_kb(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// What a process used.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// At 5 % of the run, in kB.
    pub early: Option<u64>,
    /// At 10 % of the run, in kB.
    pub base: Option<u64>,
    /// The most after that, in kB.
    pub later: u64,
    /// At any time, in kB.
    pub most: u64,
    /// The last sample, in kB.
    pub last: u64,
}

impl Memory {
    /// A sample at a moment of a run of `length`.
    pub fn sample(&mut self, kb: u64, at: Duration, length: Duration) {
        if at >= length / 20 {
            self.early.get_or_insert(kb);
        }
        if self.base.is_some() {
            self.later = self.later.max(kb);
        } else if at >= length / 10 {
            self.base = Some(kb);
        }
        self.most = self.most.max(kb);
        self.last = kb;
    }
    /// Whether it did not grow after a tenth of the run.
    pub fn is_flat(&self) -> bool {
        self.base.is_some_and(|base| self.later > 0 && self.later <= base + SLACK_KB)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(samples: impl Fn(u64) -> u64) -> Memory {
        let mut memory = Memory::default();
        (0..=100).for_each(|s| memory.sample(samples(s), Duration::from_secs(s), Duration::from_secs(100)));
        memory
    }

    #[test]
    fn growth_is_seen_and_a_start_is_not() {
        let steady = run(|s| if s < 10 { s * 1000 } else { 10_000 });
        assert!(steady.is_flat() && steady.early == Some(5000) && steady.base == Some(10_000), "{steady:?}");
        assert!(!run(|s| 5000 + s * 50).is_flat());
        assert!(!run(|s| if s == 60 { 9000 } else { 5000 }).is_flat());
        assert!(!Memory::default().is_flat());
    }

    #[test]
    fn our_own_memory_is_known() {
        assert!(rss_kb(std::process::id()).is_some_and(|kb| kb > 500));
    }
}
