//! What came of a soak, on one screen.

use std::fmt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use super::memory::Memory;
use tools::sim::model::Counters;

/// Names of both ends.
pub const ENDS: [&str; 2] = ["a", "b"];
/// Names of both directions.
pub const WAYS: [&str; 2] = ["a to b", "b to a"];

/// One direction.
#[derive(Clone, Copy, Debug, Default)]
pub struct WayReport {
    /// Bytes the user wrote.
    pub written: u64,
    /// Bytes that arrived and were right.
    pub read: u64,
    /// What the wire did.
    pub wire: Counters,
}

/// One process.
#[derive(Clone, Debug, Default)]
pub struct EndReport {
    /// How it ended; none if it had to be killed.
    pub exit: Option<ExitStatus>,
    /// What it used.
    pub memory: Memory,
    /// Pieces of the stream it sent again.
    pub resends: u64,
    /// Frames it could not repair.
    pub frames_bad: u64,
    /// Bytes it repaired.
    pub corrected: u64,
    /// The last lines it wrote to stderr.
    pub log: Vec<String>,
}

/// A whole run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// How long the users were busy.
    pub length: Duration,
    /// How long it took in all.
    pub took: Duration,
    /// Both directions: a to b, b to a.
    pub ways: [WayReport; 2],
    /// Both ends: a, b.
    pub ends: [EndReport; 2],
    /// Outages begun.
    pub outages: u32,
    /// Times the adapters were unplugged.
    pub unplugs: u32,
    /// What did not hold.
    pub faults: Vec<String>,
    /// Where logs and statistics were left, if something did not hold.
    pub kept: Option<PathBuf>,
}

impl Report {
    /// Whether everything held.
    pub fn held(&self) -> bool {
        self.faults.is_empty()
    }
    /// Adds the faults that can be read from the figures. In a run that was broken off, bytes are
    /// missing and the memory was not seen to the end: that says nothing.
    pub fn judge(&mut self) {
        let whole = self.held();
        for (name, way) in WAYS.iter().zip(&self.ways).filter(|_| whole) {
            if way.written != way.read {
                self.faults.push(format!("{name}: {} bytes written, {} read", way.written, way.read));
            } else if way.read == 0 {
                self.faults.push(format!("{name}: nothing was carried"));
            }
        }
        for (name, end) in ENDS.iter().zip(&self.ends) {
            match end.exit {
                Some(status) if status.success() => {}
                Some(status) => self.faults.push(format!("{name} ended with {status}")),
                None if !whole => {}
                None => self.faults.push(format!("{name} did not end and was killed")),
            }
            if whole && !end.memory.is_flat() {
                self.faults.push(format!("{name}: the memory is not flat"));
            }
        }
    }
}

/// Bytes as MB, or kB as MB.
pub(super) fn mega(n: u64, scale: f64) -> f64 {
    n as f64 / scale
}

impl fmt::Display for WayReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (w, n) = (&self.wire, &self.wire.noise);
        write!(f, "{:.2} MB written, {:.2} MB read and right; ", mega(self.written, 1e6), mega(self.read, 1e6))?;
        write!(f, "wire: {:.2} MB, {} bits flipped, {} bytes lost, ", mega(w.carried, 1e6), n.flipped, n.dropped)?;
        write!(f, "{} inserted, {} in outages, {} unread", n.inserted, w.outage, w.unread)
    }
}

impl fmt::Display for EndReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.exit {
            Some(status) => write!(f, "{status}; ")?,
            None => write!(f, "killed; ")?,
        }
        let m = &self.memory;
        write!(f, "{} resends, {} bad frames, {} bytes repaired; ", self.resends, self.frames_bad, self.corrected)?;
        let at = |kb: Option<u64>| kb.map_or("-".to_owned(), |kb| format!("{:.2}", mega(kb, 1e3)));
        write!(f, "RSS in MB: {} at 5 %, {} at 10 %, {:.2} at the end, ", at(m.early), at(m.base), mega(m.last, 1e3))?;
        write!(f, "{:.2} at most after 10 %, {:.2} at most", mega(m.later, 1e3), mega(m.most, 1e3))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (length, took) = (self.length.as_secs_f64(), self.took.as_secs_f64());
        write!(f, "soak with seed {}: a day in {length:.0} s ({took:.1} s with its end), ", self.seed)?;
        writeln!(f, "{} outages, {} unplugs", self.outages, self.unplugs)?;
        for (name, way) in WAYS.iter().zip(&self.ways) {
            writeln!(f, "  {name}: {way}")?;
        }
        for (name, end) in ENDS.iter().zip(&self.ends) {
            writeln!(f, "  {name}: {end}")?;
        }
        if self.held() {
            return write!(f, "HELD: every byte arrived, both ends exited 0, the memory stayed flat");
        }
        for (name, end) in ENDS.iter().zip(&self.ends) {
            end.log.iter().try_for_each(|line| writeln!(f, "  {name} said: {line}"))?;
        }
        self.faults.iter().try_for_each(|fault| writeln!(f, "  FAULT: {fault}"))?;
        write!(f, "FAILED with seed {}", self.seed)?;
        self.kept.iter().try_for_each(|dir| write!(f, "; logs and statistics are in {}", dir.display()))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    fn good() -> Report {
        let memory = Memory { base: Some(5000), later: 5100, ..Memory::default() };
        let end = EndReport { exit: Some(ExitStatus::from_raw(0)), memory, ..EndReport::default() };
        let way = WayReport { written: 10, read: 10, ..WayReport::default() };
        Report { ways: [way; 2], ends: [end.clone(), end], ..Report::default() }
    }

    #[test]
    fn a_broken_run_is_not_blamed_for_what_it_did_not_reach() {
        let mut report = Report { faults: vec!["a to b: a wrong byte".into()], ..good() };
        report.ways[0].read = 9;
        report.ends[0].memory.base = None;
        report.ends[1].exit = Some(ExitStatus::from_raw(3 << 8));
        report.judge();
        assert_eq!(report.faults.len(), 2, "{report}");
    }

    #[test]
    fn each_thing_that_does_not_hold_is_a_fault() {
        let breaks: [fn(&mut Report); 7] = [
            |_| {},
            |r| r.ways[0].read = 9,
            |r| r.ways[1] = WayReport::default(),
            |r| r.ends[0].exit = Some(ExitStatus::from_raw(3 << 8)),
            |r| r.ends[1].exit = None,
            |r| r.ends[1].memory.later = 7100,
            |r| r.ends[0].memory.base = None,
        ];
        for (i, change) in breaks.iter().enumerate() {
            let mut report = good();
            change(&mut report);
            report.judge();
            assert_eq!(report.faults.len(), usize::from(i > 0), "{i}: {report}");
            assert_eq!(report.held(), i == 0);
        }
    }
}
