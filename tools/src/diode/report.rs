//! What the receiver says of what it got and what it did not: JSON lines, and a judgement.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use diode::receiver::Stats;
use nix::poll::PollFlags;
use serde_json::{Value, json};

use crate::drive::wait;
use crate::error::kinds::Entry;
use crate::error::{Doing, Failure, kinds};
use crate::limit::{self, Limits};

/// Things missing of one session that are named in the report, each in a line; what more there is, is counted.
const NAMED_MAX: u64 = 1 << 16;
/// Lines on stderr that name what is missing, one after the other: more than a receiver has objects under way.
const SHOWN: u32 = 2048;

/// What waits for a reader of a report that goes to a pipe, in bytes; and how long at the end.
const PENDING_MAX: usize = 1 << 20;
const LAST: Duration = Duration::from_secs(1);

/// Where reports go.
#[derive(Debug, Default)]
pub struct Report {
    file: Option<Lines>,
    path: PathBuf,
    /// Why it is not whole, and whether half a line stands at its end.
    unwritten: Option<io::Error>,
    torn: bool,
    limits: Limits,
    missing: u64,
    /// Those of the present session that are named.
    named: u64,
    lost: u64,
}

impl Report {
    /// Appends to `path`, if there is one.
    pub fn open(path: Option<&Path>) -> Result<Report, Failure> {
        let Some(path) = path else { return Ok(Report::default()) };
        // wherever this process is when it is opened anew
        let opened =
            std::path::absolute(path).and_then(|path| Ok(Report { file: Some(open(&path)?), path, ..Report::default() }));
        opened.doing(kinds::REPORT_UNWRITABLE, || format!("open the report {}", path.display()))
    }
    /// Goes on in the file that has the name now: the other one was moved (logrotate).
    pub fn reopen(&mut self) {
        if self.file.is_none() {
            return;
        }
        match open(&self.path) {
            Ok(new) => {
                let old = self.file.replace(new);
                self.torn = false;
                // beside the line, which does not wait for a disk
                std::thread::spawn(move || {
                    if let Some(Err(e)) = old.map(Lines::close) {
                        tracing::warn!(code = %kinds::REPORT_UNWRITTEN, "cannot write the report: {e}");
                    }
                });
            }
            Err(e) => {
                let path = self.path.display();
                let words = format!("cannot open the report {path} anew: {e}; going on in the file that had its name");
                tracing::warn!(code = %kinds::REPORT_UNWRITTEN, "{words}");
            }
        }
    }
    /// One line.
    pub fn say(&mut self, event: &str, mut fields: Value) {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |t| t.as_secs_f64());
        if let Value::Object(map) = &mut fields {
            map.insert("event".into(), event.into());
            map.insert("time".into(), time.into());
        }
        tracing::debug!("{}", crate::names::printable(fields.to_string().as_bytes()));
        let Some(file) = &mut self.file else { return };
        // at once: whoever reads along sees whole lines
        let before = if self.torn { "\n" } else { "" };
        let written = file.add(format!("{before}{fields}\n").as_bytes());
        self.torn = written.is_err();
        if let Err(e) = written {
            limit::warn(kinds::REPORT_UNWRITTEN, format!("cannot write the report: {e}"));
            self.unwritten.get_or_insert(e);
        }
    }
    /// At the end: what was left out is counted, and all of it is on its disk.
    pub fn close(mut self) -> Result<(), Failure> {
        for (of, count) in self.limits.left_out() {
            self.left_out(of, count);
        }
        let synced = self.file.map_or(Ok(()), Lines::close);
        self.unwritten.map_or(synced, Err).doing(kinds::REPORT_UNWRITABLE, || "write the report".into())
    }
    /// Hands over what nobody took before: call it about once a second.
    pub fn flush(&mut self) {
        if let Some(Err(e)) = self.file.as_mut().map(Lines::flush) {
            self.unwritten.get_or_insert(e);
        }
    }
    /// Another session begins: what it lacks is named for itself.
    pub fn begin_session(&mut self) {
        self.named = 0;
    }
    /// One line about something that is missing for good.
    pub fn missing(&mut self, what: &str, fields: Value) {
        self.name("missing", SHOWN, what, fields);
    }
    /// One line about several things that are.
    pub fn missing_many(&mut self, count: u32, what: &str, fields: Value) {
        self.missing += u64::from(count).saturating_sub(1);
        self.missing(what, fields);
    }
    /// The same in the report alone: the last line on stderr says it.
    pub fn missing_at_last(&mut self, fields: Value) {
        (self.missing, self.named) = (self.missing + 1, self.named + 1);
        self.say("missing", fields);
    }
    /// One line about something that is not accepted, and so missing for good.
    pub fn refuse(&mut self, what: &str, fields: Value) {
        self.name("not accepted", limit::BURST, what, fields);
    }
    /// In the report all of it, whatever stderr has: that is not to be filled by a sender.
    fn name(&mut self, kind: &'static str, shown: u32, what: &str, fields: Value) {
        (self.missing, self.named) = (self.missing + 1, self.named + 1);
        if let Some(hidden) = self.limits.admit(kind, shown, Instant::now()) {
            self.left_out(kind, hidden);
            // also where only errors are wanted: the exit code says that it is named
            tracing::error!(code = %kinds::MISSING, "{what}");
        }
        if self.named <= NAMED_MAX {
            self.say("missing", fields);
        }
    }
    /// A warning that a sender can cause as often as it likes, here and on stderr.
    pub fn notice(&mut self, kind: &'static Entry, what: &str, event: &'static str, fields: Value) {
        if let Some(hidden) = self.limits.admit(event, limit::BURST, Instant::now()) {
            self.left_out(event, hidden);
            tracing::warn!(code = %kind, "{what}");
            self.say(event, fields);
        }
    }
    /// The same of what changes the exit code: said also where only errors are.
    pub fn failure(&mut self, kind: &'static Entry, what: &str, event: &'static str, fields: Value) {
        if let Some(hidden) = self.limits.admit(event, limit::BURST, Instant::now()) {
            self.left_out(event, hidden);
            tracing::error!(code = %kind, "{what}");
            self.say(event, fields);
        }
    }
    fn left_out(&mut self, of: &str, count: u64) {
        if count > 0 {
            tracing::warn!(code = %kinds::LEFT_OUT, "{count} more lines of this kind were left out: {of}");
            self.say("left-out", json!({"of": of, "count": count}));
        }
    }
    /// Things that are missing.
    pub fn count_missing(&self) -> u64 {
        self.missing
    }
    /// So many bytes of a stream are among what is missing.
    pub fn lose(&mut self, bytes: u64) {
        self.lost += bytes;
    }
    /// Bytes of streams that are missing.
    pub fn count_lost(&self) -> u64 {
        self.lost
    }
    /// The line as it was.
    pub fn line(&mut self, stats: &Stats) {
        self.say("line", line(stats));
    }
}

/// A file of lines, or something else: a pipe or a terminal that may take none at present. The line does not wait for that.
#[derive(Debug)]
struct Lines {
    file: File,
    /// What was not taken yet, of what is no file.
    pending: Option<Vec<u8>>,
}

fn open(path: &Path) -> io::Result<Lines> {
    let kind = std::fs::metadata(path).map(|meta| meta.file_type());
    let waits = kind.as_ref().is_ok_and(|kind| !kind.is_file() && !kind.is_dir());
    let mut options = File::options();
    options.create(true).append(true);
    if waits {
        // a named pipe that nobody reads yet is opened all the same
        options.read(kind.is_ok_and(|kind| kind.is_fifo())).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    }
    Ok(Lines { file: options.open(path)?, pending: waits.then(Vec::new) })
}

impl Lines {
    fn add(&mut self, line: &[u8]) -> io::Result<()> {
        let Some(pending) = &mut self.pending else { return self.file.write_all(line) };
        if pending.len() + line.len() > PENDING_MAX {
            return self.flush().and(Err(io::Error::other("nobody reads it")));
        }
        pending.extend_from_slice(line);
        self.flush()
    }
    fn flush(&mut self) -> io::Result<()> {
        let Some(pending) = &mut self.pending else { return Ok(()) };
        while !pending.is_empty() {
            match self.file.write(pending) {
                Ok(n) => drop(pending.drain(..n)),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) => {
                    pending.clear();
                    return Err(e);
                }
            }
        }
        Ok(())
    }
    /// Has all of it on its disk, or taken within a moment.
    fn close(mut self) -> io::Result<()> {
        let until = Instant::now() + LAST;
        loop {
            self.flush()?;
            let left = until.saturating_duration_since(Instant::now());
            match self.pending.as_ref().is_none_or(Vec::is_empty) {
                true => return crate::disk::sync(&self.file),
                false if left.is_zero() => return Err(io::Error::other("nobody reads it")),
                false => drop(wait(&[(self.file.as_fd(), PollFlags::POLLOUT)], Some(left))?),
            }
        }
    }
}

/// The counters of the line.
pub fn line(stats: &Stats) -> Value {
    let bits = (stats.wire_in * 8).max(1) as f64;
    json!({
        "wire_in": stats.wire_in, "frames_in": stats.frames_in, "frames_bad": stats.frames_bad,
        "frames_missing": stats.frames_missing, "junk": stats.junk, "corrected": stats.corrected,
        "foreign": stats.foreign, "silences": stats.silences,
        "sealed": stats.sealed, "plain": stats.plain, "refused": stats.refused, "replayed": stats.replayed,
        "ber": (stats.frames_bad + stats.corrected) as f64 / bits,
    })
}

/// The likeliest cause of a loss, from what the line did since `base`: what went by before anybody heard, bytes that came but
/// were spoiled, bytes the driver had no room for, or nothing at all.
pub fn cause(stats: &Stats, base: &Stats, overruns: u64) -> &'static str {
    let missing = stats.frames_missing.saturating_sub(base.frames_missing);
    let bad = stats.frames_bad.saturating_sub(base.frames_bad);
    if overruns > 0 {
        "overrun"
    } else if stats.late > missing {
        "late"
    } else if missing == 0 && bad == 0 {
        "gap"
    } else if bad * 2 >= missing {
        "noise"
    } else {
        "silence"
    }
}
