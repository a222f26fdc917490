//! Many runs at once.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::play::{Options, Outcome, play};
use super::report::Report;

/// Runs at once: they mostly wait.
pub const JOBS: usize = 12;
/// Who has not ended so long after the last fault hangs: many times the grace time, for machines that are busy.
const HANGS: Duration = Duration::from_secs(45);

/// Plays so many runs from a seed on, several at once; `say` hears of each.
pub fn run(hardline: &Path, runs: u64, seed: u64, jobs: usize, say: &(dyn Fn(&Outcome) + Sync)) -> io::Result<Report> {
    let dir = tempfile::Builder::new().prefix("hardline-campaign-").tempdir()?;
    let psk = ["first.psk", "second.psk"].map(|name| dir.path().join(name));
    for file in &psk {
        let made = Command::new(hardline).args(["-q", "keygen", "--psk"]).arg(file).stdout(Stdio::null()).status()?;
        if !made.success() {
            return Err(io::Error::other(format!("keygen ended with {made}")));
        }
    }
    let options = Options { hardline: hardline.to_owned(), psk, hangs: HANGS };
    let (next, report) = (AtomicU64::new(0), Mutex::new(Report::default()));
    std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, runs.max(1) as usize) {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= runs {
                        return;
                    }
                    let outcome = play(&options, seed.wrapping_add(n));
                    let Ok(mut report) = report.lock() else { return };
                    match outcome {
                        Ok(outcome) => {
                            say(&outcome);
                            report.take(outcome);
                        }
                        Err(e) => report.errors.push((seed.wrapping_add(n), e.to_string())),
                    }
                }
            });
        }
    });
    report.into_inner().map_err(|_| io::Error::other("a run panicked"))
}
