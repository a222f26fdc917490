//! What came of all runs.

use std::collections::BTreeMap;
use std::fmt;

use super::plan::Way;
use super::play::Outcome;
use super::verdict::Kind;

/// Counts of a way of carrying bytes.
#[derive(Clone, Debug, Default)]
pub struct Count {
    /// Runs.
    pub runs: u64,
    /// Runs in which everything arrived and everybody ended with 0.
    pub whole: u64,
    /// Runs in which something did not hold, by kind.
    pub failed: BTreeMap<Kind, u64>,
}

/// All of it.
#[derive(Debug, Default)]
pub struct Report {
    /// By way, and whether it was sealed.
    pub ways: BTreeMap<(Way, bool), Count>,
    /// Runs in which something did not hold.
    pub failures: Vec<Outcome>,
    /// Runs the harness could not play: seed and why.
    pub errors: Vec<(u64, String)>,
}

impl Report {
    /// Takes a run.
    pub fn take(&mut self, outcome: Outcome) {
        let count = self.ways.entry((outcome.plan.way, outcome.plan.sealed)).or_default();
        count.runs += 1;
        count.whole += u64::from(outcome.whole);
        let mut kinds: Vec<Kind> = outcome.violations.iter().map(|violation| violation.kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds.into_iter().for_each(|kind| *count.failed.entry(kind).or_default() += 1);
        if !outcome.violations.is_empty() {
            self.failures.push(outcome);
        }
    }
    /// Runs, and those of them in which everything arrived.
    pub fn runs(&self) -> (u64, u64) {
        self.ways.values().fold((0, 0), |(runs, whole), count| (runs + count.runs, whole + count.whole))
    }
    /// Whether everything held.
    pub fn held(&self) -> bool {
        self.failures.is_empty() && self.errors.is_empty()
    }
}

/// What did not hold in a run, and how to run it again.
pub fn describe(outcome: &Outcome) -> String {
    let mut text = format!("FAILED {}: {}\n", outcome.plan.seed, outcome.plan);
    outcome.violations.iter().for_each(|violation| text += &format!("  {violation}\n"));
    text += &format!("  ends: {}\n", outcome.ends.join(", "));
    if let Some(kept) = &outcome.kept {
        text += &format!("  logs and files: {}\n", kept.display());
    }
    text + &format!("  again: hardline-campaign 1 {}", outcome.plan.seed)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ((way, sealed), count) in &self.ways {
            let name = format!("{way:?} {}", if *sealed { "sealed" } else { "plain" });
            write!(f, "{name:22} {:6} runs, {:6} whole", count.runs, count.whole)?;
            count.failed.iter().try_for_each(|(kind, runs)| write!(f, ", {runs} {kind:?}"))?;
            writeln!(f)?;
        }
        for (seed, error) in &self.errors {
            writeln!(f, "seed {seed} could not be played: {error}")?;
        }
        let (runs, whole) = self.runs();
        let verdict = if self.held() { "HELD" } else { "FAILED" };
        write!(f, "{verdict}: {runs} runs, {whole} whole, {} failed, {} not played", self.failures.len(), self.errors.len())
    }
}
