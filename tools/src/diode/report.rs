//! What the receiver says of what it got and what it did not: JSON lines, and a judgement.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use diode::receiver::Stats;
use serde_json::{Value, json};

use crate::error::kinds::Entry;
use crate::error::{Doing, Failure, kinds};
use crate::seldom::Seldom;

/// Lines a minute of each kind that a sender can cause; of what is missing, which the exit code says is named, more than a
/// receiver has objects under way.
const NOTICES: u32 = 10;
const MISSING: u32 = 2048;

/// Where reports go.
#[derive(Debug, Default)]
pub struct Report {
    file: Option<File>,
    seldom: Seldom,
    missing: u64,
    lost: u64,
}

impl Report {
    /// Appends to `path`, if there is one.
    pub fn open(path: Option<&Path>) -> Result<Report, Failure> {
        let open = |p: &Path| File::options().create(true).append(true).open(p);
        let file =
            path.map(|p| open(p).doing(kinds::REPORT_UNWRITABLE, || format!("open the report {}", p.display()))).transpose()?;
        Ok(Report { file, seldom: Seldom::default(), missing: 0, lost: 0 })
    }
    /// One line.
    pub fn say(&mut self, event: &str, mut fields: Value) {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |t| t.as_secs_f64());
        if let Value::Object(map) = &mut fields {
            map.insert("event".into(), event.into());
            map.insert("time".into(), time.into());
        }
        tracing::debug!("{}", crate::names::printable(fields.to_string().as_bytes()));
        if let Some(file) = &mut self.file
            // at once: whoever reads along sees whole lines
            && let Err(e) = file.write_all(format!("{fields}\n").as_bytes())
        {
            tracing::warn!(code = %kinds::REPORT_UNWRITTEN, "cannot write the report: {e}");
        }
    }
    /// One line about something that is missing for good.
    pub fn missing(&mut self, what: &str, fields: Value) {
        self.name("missing", MISSING, what, fields);
    }
    /// One line about something that is not accepted, and so missing for good.
    pub fn refuse(&mut self, what: &str, fields: Value) {
        self.name("not accepted", NOTICES, what, fields);
    }
    fn name(&mut self, kind: &'static str, most: u32, what: &str, fields: Value) {
        self.missing += 1;
        if self.seldom.may(kind, most, Instant::now()) {
            // also where only errors are wanted: the exit code says that it is named
            tracing::error!(code = %kinds::MISSING, "{what}");
            self.say("missing", fields);
        }
    }
    /// A warning that a sender can cause as often as it likes, here and on stderr.
    pub fn notice(&mut self, kind: &'static Entry, what: &str, event: &'static str, fields: Value) {
        if self.seldom.may(event, NOTICES, Instant::now()) {
            tracing::warn!(code = %kind, "{what}");
            self.say(event, fields);
        }
    }
    /// About once a second: what was left out, once a minute; `end`: now.
    pub fn tick(&mut self, end: bool) {
        for (of, count) in self.seldom.left_out(Instant::now(), end) {
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
