//! Numbers of transfers. Those of one sender follow each other, and what was broken off goes on under its own.
//!
//! ```text
//! STATE/diode-transfers, or DIR/.transfers of a watched folder
//!   + NUMBER SHA256 NAME   begun
//!   - NUMBER               it had its rounds
//! ```

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::{File, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use diode::object::Description;
use nix::fcntl::OFlag;
use nix::unistd::geteuid;

use crate::beneath::Dir;

/// Bytes of lines after which the file is written anew, with what is open.
const GROWTH: u64 = 1 << 20;
/// Most bytes of the file that are read: more has somebody else written.
const BYTES_MAX: u64 = 64 << 20;

type What = ([u8; 32], String);

/// The sequence of a sender: kept in a folder, or from a random number on where there is none to keep it in.
#[derive(Debug)]
pub struct Transfers {
    log: Option<File>,
    /// Bytes written since the file was written anew.
    grown: u64,
    next: u64,
    /// Those that began and did not end.
    open: BTreeMap<u64, What>,
    /// Of those, by name, what an earlier run began last.
    broken_off: HashMap<String, u64>,
}

impl Transfers {
    /// Numbers that nobody else has, and that nobody remembers.
    pub fn unkept() -> io::Result<Transfers> {
        let next = getrandom::u64().map_err(io::Error::other)?;
        Ok(Transfers { log: None, grown: 0, next, open: BTreeMap::new(), broken_off: HashMap::new() })
    }
    /// Goes on with the sequence in a file of `folder`. Where another process does already, it is left to that.
    pub fn open(folder: &Path, name: &str) -> io::Result<Transfers> {
        let mut transfers = Transfers::unkept()?;
        let mut file = own_file(&Dir::named(folder)?, name)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Ok(transfers),
            Err(std::fs::TryLockError::Error(e)) => return Err(e),
        }
        let mut text = Vec::new();
        (&mut file).take(BYTES_MAX).read_to_end(&mut text)?;
        let text = String::from_utf8_lossy(&text);
        // half a line at the end is of a crash
        text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).for_each(|line| transfers.recall(line));
        transfers.log = Some(file);
        transfers.grown = text.len() as u64;
        if transfers.grown > GROWTH || !text.is_empty() && !text.ends_with('\n') {
            transfers.write_anew()?;
        }
        Ok(transfers)
    }
    /// What a line of an earlier run says.
    fn recall(&mut self, line: &str) {
        match read(line) {
            Some((number, Some(what))) => {
                self.next = number.wrapping_add(1);
                // a message has no name by which it could be told from an equal one
                if !what.1.is_empty() {
                    // what began under a name ends what was sent under it before
                    let before = self.broken_off.insert(what.1.clone(), number);
                    before.into_iter().for_each(|before| _ = self.open.remove(&before));
                    self.open.insert(number, what);
                }
            }
            Some((number, None)) => {
                if let Some((_, name)) = self.open.remove(&number) {
                    self.broken_off.remove(&name);
                }
            }
            None => {}
        }
    }

    /// The number of a transfer that begins, or goes on: where it is what was begun last under its name, and broken off.
    pub fn begin(&mut self, what: &Description) -> io::Result<u64> {
        let last = self.broken_off.get(&what.name);
        let same = last.is_some_and(|last| self.open.get(last).is_some_and(|(sha256, _)| *sha256 == what.sha256));
        match self.broken_off.remove(&what.name) {
            Some(number) if same => return Ok(number),
            Some(number) => _ = self.open.remove(&number),
            None => {}
        }
        let (number, what) = (self.next, (what.sha256, what.name.clone()));
        self.next = number.wrapping_add(1);
        self.note(&begun(number, &what))?;
        self.open.insert(number, what);
        Ok(number)
    }
    /// The number of one that begins, whatever was broken off.
    pub fn begin_new(&mut self, what: &Description) -> io::Result<u64> {
        if let Some(number) = self.broken_off.remove(&what.name) {
            self.end(number)?;
        }
        self.begin(what)
    }
    /// Of what was broken off, that under other names does not go on.
    pub fn goes_on_only(&mut self, names: &HashSet<String>) -> io::Result<()> {
        let over: Vec<u64> = self.broken_off.extract_if(|name, _| !names.contains(name)).map(|(_, number)| number).collect();
        over.into_iter().try_for_each(|number| self.end(number))
    }
    /// It had its rounds, or cannot go on: the next sending of the same is another.
    pub fn end(&mut self, number: u64) -> io::Result<()> {
        self.open.remove(&number);
        self.note(&format!("- {number:016x}\n"))
    }

    fn note(&mut self, line: &str) -> io::Result<()> {
        let Some(log) = &mut self.log else { return Ok(()) };
        log.write_all(line.as_bytes())?;
        self.grown += line.len() as u64;
        if self.grown > GROWTH { self.write_anew() } else { Ok(()) }
    }
    fn write_anew(&mut self) -> io::Result<()> {
        let Some(log) = &mut self.log else { return Ok(()) };
        let mut lines: String = self.open.iter().map(|(number, what)| begun(*number, what)).collect();
        // the last number stays, whatever became of it
        let last = self.next.wrapping_sub(1);
        lines.push_str(&format!("+ {last:016x} - \n"));
        log.set_len(0)?;
        log.seek(SeekFrom::Start(0))?;
        log.write_all(lines.as_bytes())?;
        self.grown = 0;
        Ok(())
    }
}

/// Opens a file of our own in a folder where others may put things: no link is followed, no pipe waited for.
fn own_file(dir: &Dir, name: &str) -> io::Result<File> {
    let not = |why: &str| io::Error::other(format!("'{name}' {why}"));
    // opening a device may already do something to it
    if dir.look(OsStr::new(name)).is_ok_and(|meta| !meta.is_file()) {
        return Err(not("is no file"));
    }
    let (file, meta) = dir.open(OsStr::new(name), OFlag::O_RDWR | OFlag::O_CREAT, 0o600)?;
    if meta.uid() != geteuid().as_raw() || meta.nlink() != 1 {
        return Err(not("is somebody else's, or has another name too"));
    }
    if meta.len() > BYTES_MAX {
        return Err(not("is longer than 64 MiB"));
    }
    if meta.mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(file)
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

    const MANY: u64 = 15_000;

    #[test]
    fn what_was_broken_off_goes_on_and_what_ended_is_another_transfer() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("transfers");
        let open = || Transfers::open(dir.path(), "transfers").unwrap();
        let mut first = open();
        let (a, b) = (first.begin(&what("a", 1)).unwrap(), first.begin(&what("with a blank", 2)).unwrap());
        assert_eq!(b, a.wrapping_add(1));
        first.end(a).unwrap();
        assert_ne!(open().begin(&what("a", 1)).unwrap(), b.wrapping_add(1), "it has its sequence for itself");
        drop(first);
        // a crash in the middle of a line
        File::options().append(true).open(&path).unwrap().write_all(b"+ 000").unwrap();
        let mut again = open();
        assert_eq!(again.begin(&what("with a blank", 2)).unwrap(), b);
        assert_eq!(again.begin(&what("with a blank", 2)).unwrap(), b.wrapping_add(1), "a second time it is another");
        assert_eq!(again.begin(&what("a", 1)).unwrap(), b.wrapping_add(2));
        again.end(b).unwrap();
        for _ in 0..MANY {
            let number = again.begin(&what("many", 3)).unwrap();
            again.end(number).unwrap();
        }
        drop(again);
        assert!(std::fs::metadata(&path).unwrap().len() <= GROWTH + 200);
        for _ in 0..2 {
            let mut last = open();
            assert!(last.begin(&what("new", 9)).unwrap().wrapping_sub(b) > MANY);
        }
    }

    #[test]
    fn what_was_sent_under_its_name_since_ends_what_was_broken_off() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Transfers::open(dir.path(), "transfers").unwrap();
        let first = open().begin(&what("a", 1)).unwrap();
        assert_eq!(open().begin(&what("a", 1)).unwrap(), first);
        assert_eq!(open().begin(&what("a", 2)).unwrap(), first.wrapping_add(1));
        assert_eq!(open().begin(&what("a", 1)).unwrap(), first.wrapping_add(2));
        assert_eq!(open().begin_new(&what("a", 1)).unwrap(), first.wrapping_add(3));
        open().goes_on_only(&HashSet::new()).unwrap();
        assert_eq!(open().begin(&what("a", 1)).unwrap(), first.wrapping_add(4));
        open().goes_on_only(&HashSet::from(["a".to_owned()])).unwrap();
        assert_eq!(open().begin(&what("a", 1)).unwrap(), first.wrapping_add(4));
        let messages = [open().begin(&what("", 1)).unwrap(), open().begin(&what("", 1)).unwrap()];
        assert_ne!(messages[0], messages[1], "equal messages are two");
    }

    #[test]
    fn without_a_folder_no_two_runs_have_a_number_in_common() {
        let mut all: Vec<u64> = (0..100).map(|_| Transfers::unkept().unwrap().begin(&what("a", 1)).unwrap()).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 100);
    }
}
