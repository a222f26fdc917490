//! What the user sees of a transfer: a bar on a terminal, names of what went wrong, one line at the end.

use std::io::IsTerminal;
use std::time::Instant;

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

use super::Summary;
use crate::say;

/// The progress of one transfer.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    quiet: bool,
    began: Instant,
}

impl Progress {
    /// Shows a bar if stderr is a terminal, and nothing but errors with `quiet`.
    pub fn new(quiet: bool) -> Progress {
        let bar = if quiet || !std::io::stderr().is_terminal() { ProgressBar::hidden() } else { ProgressBar::new(0) };
        let template = "{bar:30} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta} left {wide_msg}";
        bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
        Progress { bar, quiet, began: Instant::now() }
    }
    /// The transfer begins, with so many bytes in all.
    pub fn begin(&mut self, bytes: u64) {
        self.began = Instant::now();
        self.bar.set_length(bytes);
        self.bar.reset_eta();
    }
    /// The file that travels now.
    pub fn name(&self, name: &str) {
        self.bar.set_message(name.to_owned());
    }
    /// Bytes have travelled.
    pub fn moved(&self, bytes: u64) {
        self.bar.inc(bytes);
    }
    /// Bytes need not travel.
    pub fn spared(&self, bytes: u64) {
        self.bar.dec_length(bytes);
    }
    /// Something is not delivered.
    pub fn failed(&self, name: &str, why: &str) {
        self.bar.suspend(|| tracing::error!("{name}: {why}"));
    }
    /// Something is left out.
    pub fn skipped(&self, name: &str, what: &str) {
        self.bar.suspend(|| tracing::warn!("skipped {name}: {what}"));
    }
    /// Something is delivered.
    pub fn done(&self, name: &str) {
        self.bar.suspend(|| tracing::info!("{name}"));
    }
    /// The line at the end; `verb` is what this end did.
    pub fn finish(&self, verb: &str, summary: &Summary) {
        self.bar.finish_and_clear();
        if self.quiet {
            return;
        }
        let seconds = self.began.elapsed().as_secs_f64();
        let rate = HumanBytes((summary.bytes as f64 / seconds.max(1e-3)) as u64);
        let files = if summary.files == 1 { "file" } else { "files" };
        let mut line = format!("{verb} {} {files}, {} bytes in {seconds:.1} s ({rate}/s)", summary.files, summary.bytes);
        if summary.there > 0 {
            line.push_str(&format!("; {} were there already", summary.there));
        }
        if summary.failed > 0 {
            line.push_str(&format!("; {} FAILED", summary.failed));
        }
        say::aside(line);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
