//! What the user sees of a transfer: a bar on a terminal, names of what went wrong, one line at the end; programs get a
//! JSON object for every file.

use std::time::Instant;

use indicatif::DecimalBytes;
use serde_json::{Value, json};

use super::Summary;
use crate::error::{Failure, kinds};
use crate::names::printable;
use crate::progress::Meter;
use crate::say;

/// How a transfer is shown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Show {
    /// Nothing but errors.
    pub quiet: bool,
    /// JSON on stdout.
    pub json: bool,
}

/// The progress of one transfer.
#[derive(Debug)]
pub struct Progress {
    meter: Meter,
    show: Show,
    began: Instant,
    /// What kept JSON from stdout.
    unsaid: Option<Failure>,
}

impl Progress {
    /// Of a transfer that has not begun.
    pub fn new(show: Show) -> Progress {
        Progress { meter: Meter::new(!show.quiet), show, began: Instant::now(), unsaid: None }
    }
    /// The transfer begins, with so many bytes in all.
    pub fn begin(&mut self, bytes: u64) {
        self.began = Instant::now();
        self.meter.total(Some(bytes));
    }
    /// The file that travels now.
    pub fn name(&self, name: &[u8]) {
        self.meter.name(&String::from_utf8_lossy(name));
    }
    /// Bytes have travelled.
    pub fn moved(&self, bytes: u64) {
        self.meter.add(bytes);
    }
    /// Bytes need not travel.
    pub fn spared(&self, bytes: u64) {
        self.meter.spare(bytes);
    }
    /// Something is not delivered.
    pub fn failed(&mut self, name: &[u8], why: &str) {
        tracing::error!(code = %kinds::FILE_FAILED, "{}: {why}", printable(name));
        self.tell_of(name, "failed", Some(why));
    }
    /// Something is left out.
    pub fn skipped(&mut self, name: &[u8], what: &str) {
        tracing::warn!(code = %kinds::FILE_SKIPPED, "skipped {}: {what}", printable(name));
        self.tell_of(name, "skipped", Some(what));
    }
    /// A file is delivered, or was there already.
    pub fn done(&mut self, name: &[u8], there: bool) {
        tracing::info!("{}", printable(name));
        self.tell_of(name, if there { "there" } else { "delivered" }, None);
    }
    /// The name as it is; one that is no UTF-8 also as bytes (`file_hex`), from which it can be had back.
    fn tell_of(&mut self, name: &[u8], result: &str, why: Option<&str>) {
        let mut told = json!({ "file": String::from_utf8_lossy(name), "result": result });
        if std::str::from_utf8(name).is_err() {
            told["file_hex"] = name.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into();
        }
        if let Some(why) = why {
            told["why"] = why.into();
        }
        self.tell(told);
    }
    /// The line at the end; `verb` is what this end did.
    ///
    /// # Errors
    /// What was to go to stdout could not (1).
    pub fn finish(&mut self, verb: &str, summary: &Summary) -> Result<(), Failure> {
        self.meter.clear();
        let seconds = self.began.elapsed().as_secs_f64();
        if !self.show.quiet {
            say::aside(line(verb, summary, seconds));
        }
        let Summary { files, bytes, there, failed } = summary;
        self.tell(json!({ "files": files, "bytes": bytes, "there": there, "failed": failed, "seconds": seconds }));
        self.unsaid.take().map_or(Ok(()), Err)
    }
    fn tell(&mut self, what: Value) {
        if self.show.json && self.unsaid.is_none() {
            self.unsaid = say::answer(what).err();
        }
    }
}

fn line(verb: &str, summary: &Summary, seconds: f64) -> String {
    let rate = DecimalBytes((summary.bytes as f64 / seconds.max(1e-3)) as u64);
    let files = if summary.files == 1 { "file" } else { "files" };
    let mut line = format!("{verb} {} {files}, {} bytes in {seconds:.1} s ({rate}/s)", summary.files, summary.bytes);
    if summary.there > 0 {
        line.push_str(&format!("; {} were there already", summary.there));
    }
    if summary.failed > 0 {
        line.push_str(&format!("; {} FAILED", summary.failed));
    }
    line
}
