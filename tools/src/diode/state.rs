//! What must outlive a process, so that no session of a key is used or taken twice.
//!
//! ```text
//! STATE/diode-session   of a sender: the number of its last sealed session
//! STATE/diode-heard     of a receiver, per key: FINGERPRINT SESSION NEXT-FRAME
//! STATE/diode-lock      held while one of them changes
//! ```

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::time::{SystemTime, UNIX_EPOCH};

use diode::unseal::Heard;
use nix::unistd::geteuid;

use crate::disk;
use crate::error::{Doing, Failure, kinds};

/// The folder where state goes when none is named.
pub fn default_folder() -> Result<PathBuf, Failure> {
    match disk::of_user(disk::named("XDG_STATE_HOME"), disk::named("HOME"), ".local/state") {
        Some(state) => Ok(state.join("hardline")),
        None if geteuid().is_root() => Ok("/var/lib/hardline".into()),
        None => Err(Failure::new(kinds::NO_STATE_FOLDER, "neither XDG_STATE_HOME nor HOME is set: give --state DIR")),
    }
}

/// A number for a new session, higher than every one before, and on disk. A clock that goes back does no harm.
pub fn next_session(folder: &Path) -> Result<u64, Failure> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |t| t.as_micros() as u64);
    numbered(folder, now).doing(kinds::STATE_FAILED, || format!("number a session in {}", folder.join("diode-session").display()))
}

fn numbered(folder: &Path, now: u64) -> io::Result<u64> {
    let state = Locked::take(folder)?;
    let last = match state.read("diode-session")? {
        None => 0,
        Some(text) => text.trim().parse().map_err(|_| io::Error::other("it holds no number"))?,
    };
    let next = u64::max(now, last + 1);
    state.replace("diode-session", &format!("{next}\n"))?;
    Ok(next)
}

/// What a receiver remembers of the senders it knows.
#[derive(Debug)]
pub struct Memory {
    folder: PathBuf,
    /// Fingerprints, in the order of the senders.
    ids: Vec<String>,
    worker: Sender<Vec<Heard>>,
    noted: Vec<Heard>,
}

impl Memory {
    /// Reads what is remembered of senders with these fingerprints.
    pub fn open(folder: &Path, ids: Vec<String>) -> Result<Memory, Failure> {
        let read = || parse(&Locked::take(folder)?.read("diode-heard")?.unwrap_or_default());
        let all = read().doing(kinds::STATE_FAILED, || doing(folder))?;
        let noted = ids.iter().map(|id| all.get(id).copied().unwrap_or_default()).collect();
        let worker = write_behind(folder.to_owned(), ids.clone());
        Ok(Memory { folder: folder.to_owned(), ids, worker, noted })
    }
    /// What is remembered, in the order of the senders.
    pub fn heard(&self) -> &[Heard] {
        &self.noted
    }
    /// The fingerprint of a sender.
    pub fn id(&self, sender: usize) -> &str {
        self.ids.get(sender).map_or("", String::as_str)
    }
    /// Has it on disk when it returns.
    pub fn store(&mut self, heard: Vec<Heard>) -> Result<(), Failure> {
        store(&self.folder, &self.ids, &heard).doing(kinds::STATE_FAILED, || doing(&self.folder))?;
        self.noted = heard;
        Ok(())
    }
    /// Has it on disk soon: a disk may be slow, and a line does not wait.
    pub fn note(&mut self, heard: Vec<Heard>) {
        if heard != self.noted {
            let _ = self.worker.send(heard.clone());
            self.noted = heard;
        }
    }
}

fn doing(folder: &Path) -> String {
    format!("remember what was received in {}", folder.join("diode-heard").display())
}

fn write_behind(folder: PathBuf, ids: Vec<String>) -> Sender<Vec<Heard>> {
    let (sender, todo) = channel::<Vec<Heard>>();
    std::thread::spawn(move || {
        while let Ok(heard) = todo.recv() {
            let heard = todo.try_iter().last().unwrap_or(heard);
            if let Err(e) = store(&folder, &ids, &heard) {
                tracing::warn!(code = %kinds::STATE_UNWRITTEN, "cannot {}: {e}", doing(&folder));
            }
        }
    });
    sender
}

/// Puts the senders' lines beside those of others; no line ever goes back.
fn store(folder: &Path, ids: &[String], heard: &[Heard]) -> io::Result<()> {
    let state = Locked::take(folder)?;
    let mut all = parse(&state.read("diode-heard")?.unwrap_or_default())?;
    for (id, new) in ids.iter().zip(heard).filter(|(_, new)| **new != Heard::default()) {
        let old = all.entry(id.clone()).or_default();
        if (new.session, new.next) > (old.session, old.next) {
            *old = *new;
        }
    }
    let lines: String = all.iter().map(|(id, h)| format!("{id} {} {}\n", h.session, h.next)).collect();
    state.replace("diode-heard", &lines)
}

fn parse(text: &str) -> io::Result<BTreeMap<String, Heard>> {
    let line = |line: &str| {
        let (id, numbers) = line.split_once(' ')?;
        let (session, next) = numbers.split_once(' ')?;
        Some((id.to_owned(), Heard { session: session.parse().ok()?, next: next.parse().ok()? }))
    };
    text.lines().map(|l| line(l).ok_or_else(|| io::Error::other(format!("it is damaged at '{l}'")))).collect()
}

/// A folder while no other process changes it.
struct Locked<'a> {
    folder: &'a Path,
    _lock: File,
}

impl Locked<'_> {
    fn take(folder: &Path) -> io::Result<Locked<'_>> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let lock = File::options().write(true).create(true).truncate(false).open(folder.join("diode-lock"))?;
        lock.lock()?;
        Ok(Locked { folder, _lock: lock })
    }
    fn read(&self, name: &str) -> io::Result<Option<String>> {
        match std::fs::read_to_string(self.folder.join(name)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            read => read.map(Some),
        }
    }
    /// In one step, and on disk.
    fn replace(&self, name: &str, text: &str) -> io::Result<()> {
        disk::replace(&self.folder.join(name), text, |_| Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_rise_whatever_the_clock_says() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("deep/er");
        let numbers: Vec<u64> = [1000, 1000, 5, 0, 2000, 1999].map(|now| numbered(&folder, now).unwrap()).into();
        assert_eq!(numbers, [1000, 1001, 1002, 1003, 2000, 2001]);
        let many: Vec<u64> = std::thread::scope(|s| {
            let make = || (0..20).map(|_| numbered(&folder, 0).unwrap()).collect::<Vec<_>>();
            let threads: Vec<_> = (0..4).map(|_| s.spawn(make)).collect();
            threads.into_iter().flat_map(|t| t.join().unwrap()).collect()
        });
        assert_eq!(many.iter().collect::<std::collections::BTreeSet<_>>().len(), 80, "no number twice");
        std::fs::write(folder.join("diode-session"), "12x").unwrap();
        assert!(numbered(&folder, 1).is_err() && next_session(&folder).unwrap_err().message.contains("holds no number"));
    }

    #[test]
    fn what_was_heard_never_goes_back() {
        let dir = tempfile::tempdir().unwrap();
        let open = |ids: &[&str]| Memory::open(dir.path(), ids.iter().map(|s| (*s).to_owned()).collect()).unwrap();
        let heard = |session, next| Heard { session, next };
        open(&["a", "b"]).store(vec![heard(5, 10), Heard::default()]).unwrap();
        open(&["b"]).store(vec![heard(9, 1)]).unwrap();
        open(&["b", "a"]).store(vec![heard(8, 99), heard(5, 11)]).unwrap();
        assert_eq!(open(&["a", "b", "c"]).heard(), [heard(5, 11), heard(9, 1), Heard::default()]);
        let mut memory = open(&["a"]);
        memory.note(vec![heard(5, 12)]);
        let limit = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while open(&["a"]).heard() != [heard(5, 12)] {
            assert!(std::time::Instant::now() < limit);
        }
        std::fs::write(dir.path().join("diode-heard"), "a 1\n").unwrap();
        assert!(Memory::open(dir.path(), vec![]).unwrap_err().message.contains("damaged at 'a 1'"));
    }
}
