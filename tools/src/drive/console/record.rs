//! A log of what was shown: each line with the time (UTC) its first byte came.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::disk::settle;
use crate::error::{Doing, Failure, kinds};

/// A file that is appended to.
#[derive(Debug)]
pub struct Record {
    path: PathBuf,
    file: File,
    mid_line: bool,
}

impl Record {
    /// Opens the file; one that is made now is its owner's alone.
    pub fn open(path: &Path) -> Result<Record, Failure> {
        // wherever this process is when it is opened anew
        let opened = std::path::absolute(path).and_then(|path| Ok(Record { file: open(&path)?, path, mid_line: false }));
        opened.doing(kinds::LOG_UNWRITABLE, || format!("write the log {}", path.display()))
    }
    /// Goes on in the file that has the name now: the other one was moved (logrotate). The line that was begun ends there.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        let new = open(&self.path)?;
        let _ = self.end_line();
        self.file = new;
        Ok(())
    }

    /// Adds what is shown now.
    pub(super) fn add(&mut self, bytes: &[u8]) -> io::Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut text = Vec::with_capacity(bytes.len() + 64);
        for line in bytes.split_inclusive(|&b| b == b'\n') {
            if !self.mid_line {
                text.extend_from_slice(stamp(now).as_bytes());
                text.push(b' ');
            }
            text.extend_from_slice(line);
            self.mid_line = !line.ends_with(b"\n");
        }
        self.file.write_all(&text)
    }
}

impl Record {
    /// Ends the last line, and puts everything on the disk.
    pub(super) fn close(mut self) -> io::Result<()> {
        self.end_line()?;
        settle(self.file.try_clone()?)
    }
    fn end_line(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.mid_line) { self.file.write_all(b"\n") } else { Ok(()) }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let _ = self.end_line();
    }
}

/// Opens it to append lines; one that was cut off stays a line of its own.
fn open(path: &Path) -> io::Result<File> {
    let mut file = File::options().create(true).append(true).read(true).mode(0o600).open(path)?;
    let mut last = [b'\n'];
    if file.metadata()?.is_file() && file.seek(SeekFrom::End(0))? > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    if last != *b"\n" {
        file.write_all(b"\n")?;
    }
    Ok(file)
}

/// ISO 8601 in UTC with milliseconds.
fn stamp(since_1970: Duration) -> String {
    let (seconds, millis) = (since_1970.as_secs(), since_1970.subsec_millis());
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // years that begin in March end with the leap day: http://howardhinnant.github.io/date_algorithms.html
    let shifted = days + 719_468;
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn stamps_are_right() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_709_251_200_001, "2024-03-01T00:00:00.001Z"),
            (4_102_444_799_000, "2099-12-31T23:59:59.000Z"),
        ] {
            assert_eq!(stamp(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn lines_are_stamped_once_and_appended() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        for _ in 0..2 {
            let mut record = Record::open(&path).unwrap();
            [&b"one\r"[..], b"\ntw", b"o"].into_iter().for_each(|piece| record.add(piece).unwrap());
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.split_inclusive('\n').map(|l| l.split_once("Z ").unwrap().1).collect();
        assert_eq!(lines, ["one\r\n", "two\n", "one\r\n", "two\n"]);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
