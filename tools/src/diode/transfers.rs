//! Numbers of transfers. Those of one sender follow each other, and what was broken off goes on under its own.
//!
//! ```text
//! STATE/diode-transfers, or DIR/.transfers of a watched folder
//!   + NUMBER SHA256 NAME   begun
//!   - NUMBER               it had its rounds
//! ```

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use diode::object::Description;

/// Ended transfers in the file that are worth writing it anew.
const ENDED_MAX: usize = 1000;

type What = ([u8; 32], String);

/// The sequence of a sender: kept in a folder, or from a random number on where there is none to keep it in.
#[derive(Debug)]
pub struct Transfers {
    log: Option<File>,
    next: u64,
    /// Those that an earlier run began and did not end.
    broken_off: HashMap<What, u64>,
}

impl Transfers {
    /// Numbers that nobody else has, and that nobody remembers.
    pub fn unkept() -> io::Result<Transfers> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        Ok(Transfers { log: None, next: u64::from_le_bytes(random), broken_off: HashMap::new() })
    }
    /// Goes on with the sequence in `path`. Where another process does already, it is left to that.
    pub fn open(path: &Path) -> io::Result<Transfers> {
        let mut transfers = Transfers::unkept()?;
        let mut file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Ok(transfers),
            Err(std::fs::TryLockError::Error(e)) => return Err(e),
        }
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        let text = String::from_utf8_lossy(&text);
        let (mut open, mut last, mut ended) = (HashMap::new(), None, 0);
        // half a line at the end is of a crash
        for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            match read(line) {
                Some((number, Some(what))) => {
                    last = Some(number);
                    open.insert(number, what);
                }
                Some((number, None)) => {
                    ended += usize::from(open.remove(&number).is_some());
                }
                None => {}
            }
        }
        if let Some(last) = last {
            transfers.next = u64::wrapping_add(last, 1);
        }
        if ended > ENDED_MAX || !text.is_empty() && !text.ends_with('\n') {
            // the last number stays, whatever became of it
            let mut lines: Vec<String> = open.iter().map(|(number, what)| begun(*number, what)).collect();
            lines.extend(
                last.map(|last| format!("+ {last:016x} - \n- {last:016x}\n"))
                    .filter(|_| !last.is_some_and(|l| open.contains_key(&l))),
            );
            file.set_len(0)?;
            file.seek(SeekFrom::Start(0))?;
            file.write_all(lines.concat().as_bytes())?;
        }
        transfers.broken_off =
            open.into_iter().filter(|(_, what)| what.0 != [0; 32]).map(|(number, what)| (what, number)).collect();
        transfers.log = Some(file);
        Ok(transfers)
    }

    /// The number of a transfer that begins, or goes on.
    pub fn begin(&mut self, what: &Description) -> io::Result<u64> {
        let what = (what.sha256, what.name.clone());
        if let Some(number) = self.broken_off.remove(&what) {
            return Ok(number);
        }
        let number = self.next;
        self.next = number.wrapping_add(1);
        self.note(&begun(number, &what))?;
        Ok(number)
    }
    /// It had its rounds, or cannot go on: the next sending of the same is another.
    pub fn end(&mut self, number: u64) -> io::Result<()> {
        self.note(&format!("- {number:016x}\n"))
    }
    fn note(&mut self, line: &str) -> io::Result<()> {
        self.log.as_mut().map_or(Ok(()), |log| log.write_all(line.as_bytes()))
    }
}

fn begun(number: u64, (sha256, name): &What) -> String {
    let hash: String = sha256.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("+ {number:016x} {hash} {name}\n")
}

fn read(line: &str) -> Option<(u64, Option<What>)> {
    let (what, rest) = line.split_once(' ')?;
    if what == "-" {
        return Some((u64::from_str_radix(rest, 16).ok()?, None));
    }
    let (number, rest) = rest.split_once(' ')?;
    let (hash, name) = rest.split_once(' ')?;
    let mut sha256 = [0; 32];
    for (byte, digits) in sha256.iter_mut().zip(hash.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).unwrap_or(0);
    }
    Some((u64::from_str_radix(number, 16).ok()?, Some((sha256, name.to_owned()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn what(name: &str, byte: u8) -> Description {
        Description { name: name.into(), size: 1, modified: 0, sha256: [byte; 32], priority: 0 }
    }

    #[test]
    fn what_was_broken_off_goes_on_and_what_ended_is_another_transfer() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("transfers");
        let mut first = Transfers::open(&path).unwrap();
        let (a, b) = (first.begin(&what("a", 1)).unwrap(), first.begin(&what("with a blank", 2)).unwrap());
        assert_eq!(b, a.wrapping_add(1));
        first.end(a).unwrap();
        assert_ne!(
            Transfers::open(&path).unwrap().begin(&what("a", 1)).unwrap(),
            b.wrapping_add(1),
            "it has its sequence for itself"
        );
        drop(first);
        // a crash in the middle of a line
        File::options().append(true).open(&path).unwrap().write_all(b"+ 000").unwrap();
        let mut again = Transfers::open(&path).unwrap();
        assert_eq!(again.begin(&what("with a blank", 2)).unwrap(), b);
        assert_eq!(again.begin(&what("with a blank", 2)).unwrap(), b.wrapping_add(1), "a second time it is another");
        assert_eq!(again.begin(&what("a", 1)).unwrap(), b.wrapping_add(2));
        again.end(b).unwrap();
        for _ in 0..=ENDED_MAX {
            let number = again.begin(&what("many", 3)).unwrap();
            again.end(number).unwrap();
        }
        drop(again);
        for _ in 0..2 {
            let mut last = Transfers::open(&path).unwrap();
            assert!(last.begin(&what("new", 9)).unwrap().wrapping_sub(b) > ENDED_MAX as u64);
        }
        assert!(std::fs::metadata(&path).unwrap().len() < 1000);
    }

    #[test]
    fn without_a_folder_no_two_runs_have_a_number_in_common() {
        let mut all: Vec<u64> = (0..100).map(|_| Transfers::unkept().unwrap().begin(&what("a", 1)).unwrap()).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 100);
    }
}
