//! A watched folder: files are taken when nobody writes them any more, and sent anew when somebody did all the same.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use diode::object::ObjectSender;

use super::files::{Reading, Stamp, describe, name_of, open, stamp};
use super::objects::numbering;
use super::transfers::Transfers;
use crate::error::{Doing, Failure, kinds};
use crate::names::shown;

/// How long a file must have stayed as it is where nothing else tells that nobody writes it.
const QUIET: Duration = Duration::from_secs(2);

/// Which signal tells of a lease that is to end (fcntl(2)); libc does not name it.
const F_SETSIG: libc::c_int = 10;

/// A folder to take files from. Each is moved to `sending/` first, and to `sent/` when it had its rounds; what lies in
/// `sending/` goes on.
#[derive(Debug)]
pub struct Watch {
    dir: PathBuf,
    sending: PathBuf,
    sent: PathBuf,
    under_way: HashSet<PathBuf>,
    /// How those look that cannot be told to be whole, and since when.
    seen: HashMap<PathBuf, (Stamp, Instant)>,
    /// What cannot be sent, and was told.
    refused: HashSet<PathBuf>,
    told_of_folders: bool,
}

impl Watch {
    /// Of this folder.
    pub fn new(dir: &Path) -> Watch {
        if !dir.exists() {
            tracing::warn!(code = %kinds::FOLDER_MADE, "{} is not there: it is made, and watched", shown(dir));
        }
        Watch {
            dir: dir.to_owned(),
            sending: dir.join("sending"),
            sent: dir.join("sent"),
            under_way: HashSet::new(),
            seen: HashMap::new(),
            refused: HashSet::new(),
            told_of_folders: false,
        }
    }

    /// Takes what is whole.
    pub fn look(&mut self, sender: &mut ObjectSender<Reading>, transfers: &mut Transfers) -> Result<(), Failure> {
        for folder in [&self.sending, &self.sent] {
            std::fs::create_dir_all(folder).doing(kinds::WATCH_FOLDER, || format!("make {}", shown(folder)))?;
        }
        let mut there = HashSet::new();
        for path in self.files_in(&self.sending.clone())? {
            if !self.under_way.contains(&path) && self.is_ready(&path) {
                self.add(path.clone(), sender, transfers)?;
            }
            there.insert(path);
        }
        for path in self.files_in(&self.dir.clone())? {
            let taken = self.sending.join(path.file_name().unwrap_or_default());
            // one of the same name goes first
            if !there.contains(&taken) && self.is_ready(&path) {
                std::fs::rename(&path, &taken).doing(kinds::WATCH_FOLDER, || format!("take {}", shown(&path)))?;
                self.add(taken, sender, transfers)?;
            }
            there.insert(path);
        }
        self.seen.retain(|path, _| there.contains(path));
        self.refused.retain(|path| there.contains(path));
        Ok(())
    }

    /// One had its rounds: it moves on if what was sent is what it is.
    pub fn sent(&mut self, reading: &Reading) -> Result<(), Failure> {
        self.under_way.remove(&reading.path);
        if !reading.is_as_announced() || !reading.is_untouched() {
            self.changed(reading);
            return Ok(());
        }
        let to = self.sent.join(reading.path.file_name().unwrap_or_default());
        match std::fs::rename(&reading.path, &to) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            moved => moved.doing(kinds::WATCH_FOLDER, || format!("move {} to {}", shown(&reading.path), shown(&to))),
        }
    }
    /// One was changed while it was sent, and is sent anew.
    pub fn changed(&mut self, reading: &Reading) {
        self.under_way.remove(&reading.path);
        if reading.path.exists() {
            tracing::warn!(code = %kinds::FILE_CHANGED, "{} changed while it was sent; it is sent anew", shown(&reading.path));
        }
    }
    /// One cannot be read any more.
    pub fn failed(&mut self, reading: &Reading, why: &str) {
        self.under_way.remove(&reading.path);
        self.refuse(reading.path.clone(), why);
    }

    fn add(&mut self, path: PathBuf, sender: &mut ObjectSender<Reading>, transfers: &mut Transfers) -> Result<(), Failure> {
        match describe(&path) {
            Ok((description, reading)) => {
                let number = transfers.begin(&description).doing(kinds::STATE_FAILED, numbering)?;
                sender.add(description, number, reading);
                self.under_way.insert(path);
            }
            Err(failure) => self.refuse(path, &failure.message),
        }
        Ok(())
    }
    fn refuse(&mut self, path: PathBuf, why: &str) {
        tracing::warn!(code = %kinds::FILE_UNSENT, "{} is not sent: {why}", shown(&path));
        self.refused.insert(path);
    }

    /// Whether nobody writes a file, as far as can be known.
    fn is_ready(&mut self, path: &Path) -> bool {
        if self.refused.contains(path) {
            return false;
        }
        if let Err(why) = name_of(path) {
            self.refuse(path.to_owned(), &why);
            return false;
        }
        let file = match open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return false,
            Err(e) => {
                self.refuse(path.to_owned(), &e.to_string());
                return false;
            }
        };
        match is_written(&file) {
            Some(written) => !written,
            None => self.is_quiet(path, &file),
        }
    }
    fn is_quiet(&mut self, path: &Path, file: &File) -> bool {
        let Ok(now) = file.metadata().map(|m| stamp(&m)) else { return false };
        match self.seen.get(path) {
            Some((then, since)) if *then == now => since.elapsed() >= QUIET,
            _ => {
                self.seen.insert(path.to_owned(), (now, Instant::now()));
                false
            }
        }
    }

    /// Plain files that are not hidden (a writer makes `.name` and renames it when it is whole).
    fn files_in(&mut self, dir: &Path) -> Result<Vec<PathBuf>, Failure> {
        let entries = std::fs::read_dir(dir).doing(kinds::WATCH_FOLDER, || format!("look into {}", shown(dir)))?;
        let mut files = Vec::new();
        for entry in entries.flatten().filter(|e| !e.file_name().to_string_lossy().starts_with('.')) {
            let path = entry.path();
            match entry.file_type() {
                Ok(kind) if kind.is_file() => files.push(path),
                Ok(kind) if kind.is_dir() && path != self.sending && path != self.sent && !self.told_of_folders => {
                    self.told_of_folders = true;
                    tracing::info!("folders in {} are left alone, {} among them", shown(&self.dir), shown(&path));
                }
                _ => {}
            }
        }
        files.sort();
        Ok(files)
    }
}

/// Whether somebody has the file open for writing; none where that cannot be known: the kernel tells the owner of the
/// file (and CAP_LEASE), and not on every file system.
#[allow(unsafe_code)]
fn is_written(file: &File) -> Option<bool> {
    let fd = file.as_raw_fd();
    // SAFETY: these calls take integers and no memory. Whoever opens the file while the lease lasts makes the kernel
    // send a signal: SIGURG, which does nothing, in the place of SIGIO, which would end us.
    let leased =
        unsafe { libc::fcntl(fd, F_SETSIG, libc::SIGURG) != -1 && libc::fcntl(fd, libc::F_SETLEASE, libc::F_RDLCK) != -1 };
    let error = io::Error::last_os_error().raw_os_error();
    if leased {
        // SAFETY: as above
        unsafe { libc::fcntl(fd, libc::F_SETLEASE, libc::F_UNLCK) };
        return Some(false);
    }
    (error == Some(libc::EAGAIN)).then_some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_quiet_for_a_while_counts_as_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, "a").unwrap();
        let (mut watch, file) = (Watch::new(dir.path()), File::open(&path).unwrap());
        assert!(!watch.is_quiet(&path, &file));
        watch.seen.get_mut(&path).unwrap().1 -= QUIET;
        assert!(watch.is_quiet(&path, &file));
        std::fs::write(&path, "more").unwrap();
        assert!(!watch.is_quiet(&path, &file), "it has changed");
    }

    #[test]
    fn who_writes_is_known() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let writer = File::create(&path).unwrap();
        let file = File::open(&path).unwrap();
        // none: a file system without leases
        assert_ne!(is_written(&file), Some(false));
        drop(writer);
        assert_ne!(is_written(&file), Some(true));
    }
}
