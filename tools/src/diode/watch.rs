//! A watched folder: files are taken when nobody writes them any more, and sent anew when somebody did all the same.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use diode::object::{Description, ObjectSender};

use super::files::{Reading, Stamp, describe_in, name_of, stamp};
use super::objects::numbering;
use super::transfers::Transfers;
use crate::beneath::Dir;
use crate::error::{Doing, Failure, kinds};
use crate::limit;
use crate::names::{COMPONENT_MAX, shown};

/// Where files are while they travel, and after that.
const SENDING: &str = "sending";
const SENT: &str = "sent";
/// Beside them: the numbers of their transfers.
pub(super) const TRANSFERS: &str = ".transfers";

/// How long a file must have stayed as it is where nothing else tells that nobody writes it.
const QUIET: Duration = Duration::from_secs(2);

/// How long nothing is taken after nothing could be.
const AGAIN: Duration = Duration::from_secs(5);

/// What may be whole, or have another name, in a moment is told of when it is not after so long.
const LATE: Duration = Duration::from_secs(10);

/// Which signal tells of a lease that is to end (fcntl(2)); libc does not name it.
const F_SETSIG: libc::c_int = 10;

/// A folder to take files from. Each is moved to `sending/` first, and to `sent/` when it had its rounds; what lies in
/// `sending/` goes on.
#[derive(Debug)]
pub struct Watch {
    dir: PathBuf,
    /// As they were found last.
    folders: Option<Folders>,
    under_way: HashSet<PathBuf>,
    /// How those look that cannot be told to be whole, and since when.
    seen: HashMap<PathBuf, (Stamp, Instant)>,
    /// What cannot be sent, and was told.
    refused: HashSet<PathBuf>,
    /// What was sent and could not be moved away, and when that is tried again.
    unmoved: HashMap<PathBuf, Instant>,
    /// Nothing could be taken: until when that is not tried again, and what was told of it.
    stuck: Option<(Instant, String)>,
    /// What is left alone, or waits.
    left: HashMap<PathBuf, Left>,
    /// What an earlier run left in `sending/` was found: all else begins.
    looked: bool,
}

/// Something that is not sent.
#[derive(Debug)]
struct Left {
    since: Instant,
    told: bool,
    /// It was there at the last look.
    there: bool,
}

/// The folder and those in it, open. Who may write to it may rename and link as he likes: nothing of that is followed.
#[derive(Clone, Debug)]
struct Folders {
    dir: Rc<Dir>,
    sending: Rc<Dir>,
    sent: Rc<Dir>,
}

impl Folders {
    /// Opens those in `path`, and makes those that are not there.
    fn open(path: &Path) -> Result<Folders, Failure> {
        std::fs::create_dir_all(path).doing(kinds::WATCH_FOLDER, || format!("make {}", shown(path)))?;
        let dir = Dir::named(path).doing(kinds::WATCH_FOLDER, || format!("look into {}", shown(path)))?;
        let inside = |name| {
            let made = dir.make(Path::new(name), 0o777).map(Rc::new);
            made.doing(kinds::WATCH_FOLDER, || format!("make {}", shown(&path.join(name))))
        };
        let (sending, sent) = (inside(SENDING)?, inside(SENT)?);
        let folders = Folders { dir: Rc::new(dir), sending, sent };
        folders.check(path)?;
        Ok(folders)
    }
    fn is_same(&self, other: &Folders) -> bool {
        let same = |a: &Dir, b: &Dir| a.identity().is_ok_and(|a| b.identity().is_ok_and(|b| a == b));
        same(&self.dir, &other.dir) && same(&self.sending, &other.sending) && same(&self.sent, &other.sent)
    }
    /// Moves a file from `sending/` to `sent/`. One of its name that is there already stays.
    fn put_away(&self, name: &OsStr) -> io::Result<()> {
        let mut new = name.to_owned();
        let mut number = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs());
        loop {
            match self.sending.rename_new(name, &self.sent, &new) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                moved => return moved,
            }
            let end = format!(".{number}");
            let kept = name.as_bytes().len().min(COMPONENT_MAX - end.len());
            new = OsString::from_vec([&name.as_bytes()[..kept], end.as_bytes()].concat());
            number += 1;
        }
    }
    /// Files are moved from one to the next in one step, which is not to be had from one file system to another.
    fn check(&self, path: &Path) -> Result<(), Failure> {
        let device = |dir: &Dir| dir.identity().map(|identity| identity.0);
        for (name, dir) in [(SENDING, &self.sending), (SENT, &self.sent)] {
            if let (Ok(own), Ok(other)) = (device(&self.dir), device(dir))
                && own != other
            {
                let message = format!("cannot move files to {}: it is on another file system", shown(&path.join(name)));
                return Err(Failure::new(kinds::WATCH_FOLDER, message));
            }
        }
        Ok(())
    }
}

impl Watch {
    /// Of this folder.
    pub fn new(dir: &Path) -> Watch {
        if !dir.exists() {
            tracing::warn!(code = %kinds::FOLDER_MADE, "{} is not there: it is made, and watched", shown(dir));
        }
        Watch {
            dir: dir.to_owned(),
            folders: None,
            under_way: HashSet::new(),
            seen: HashMap::new(),
            refused: HashSet::new(),
            unmoved: HashMap::new(),
            stuck: None,
            left: HashMap::new(),
            looked: false,
        }
    }

    /// The folders, anew if somebody put others in their place. Those that were open stay: files in them are under way, and
    /// each has a descriptor of its folder.
    fn folders(&mut self) -> Result<Folders, Failure> {
        let now = Folders::open(&self.dir)?;
        let kept = self.folders.take().filter(|before| before.is_same(&now)).unwrap_or(now);
        self.folders = Some(kept.clone());
        Ok(kept)
    }

    /// Takes what is whole. A folder that could be used once and cannot be at present ends nobody.
    pub fn look(&mut self, sender: &mut ObjectSender<Reading>, transfers: &mut Transfers) -> Result<(), Failure> {
        if self.is_stuck() {
            return Ok(());
        }
        let looked = self.looked;
        match self.look_into(sender, transfers) {
            Err(failure) if looked && failure.kind == kinds::WATCH_FOLDER => {
                self.get_stuck(failure.message);
                Ok(())
            }
            looked => {
                // what comes after a good look is told anew
                self.stuck.take_if(|(until, _)| *until <= Instant::now());
                looked
            }
        }
    }
    fn look_into(&mut self, sender: &mut ObjectSender<Reading>, transfers: &mut Transfers) -> Result<(), Failure> {
        let folders = self.folders()?;
        self.move_rest(&folders);
        let Folders { dir, sending, .. } = folders;
        let in_sending = self.dir.join(SENDING);
        let mut there = HashSet::new();
        self.left.values_mut().for_each(|left| left.there = false);
        let names = self.files_in(&sending, &in_sending)?;
        if !std::mem::replace(&mut self.looked, true) {
            let left = names.iter().filter_map(|name| name.to_str().map(str::to_owned)).collect();
            transfers.goes_on_only(&left).doing(kinds::STATE_FAILED, numbering)?;
        }
        for name in names {
            let path = in_sending.join(&name);
            let is_done = self.under_way.contains(&path) || self.unmoved.contains_key(&path);
            if !is_done && self.is_ready(&sending, &path) {
                self.goes_on(&path);
                self.add(&sending, path.clone(), sender, |what| transfers.begin(what))?;
            }
            there.insert(path);
        }
        let mut blocked = false;
        for name in self.files_in(&dir, &self.dir.clone())? {
            let (path, taken) = (self.dir.join(&name), in_sending.join(&name));
            // one of the same name goes first
            if !blocked && !there.contains(&taken) && self.is_ready(&dir, &path) {
                match dir.rename_new(&name, &sending, &name) {
                    Ok(()) => {
                        self.goes_on(&path);
                        self.add(&sending, taken, sender, |what| transfers.begin_new(what))?;
                    }
                    Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                    Err(e) if is_of_one(&e) => self.refuse(path.clone(), &e.to_string()),
                    // it is not this file alone: the folder may not be written at present, or the disk is full
                    Err(e) => {
                        self.get_stuck(format!("cannot take {}: {e}", shown(&path)));
                        blocked = true;
                    }
                }
            }
            there.insert(path);
        }
        self.seen.retain(|path, _| there.contains(path));
        self.refused.retain(|path| there.contains(path));
        self.left.retain(|_, left| left.there);
        Ok(())
    }

    /// Something is not sent, or not yet: that is told once, when it has been so for `after`.
    fn leave(&mut self, path: &Path, why: &str, after: Duration) {
        let new = || Left { since: Instant::now(), told: false, there: true };
        let left = self.left.entry(path.to_owned()).or_insert_with(new);
        left.there = true;
        if left.since.elapsed() >= after && !std::mem::replace(&mut left.told, true) {
            limit::warn(kinds::LEFT_ALONE, format!("{} is left alone: {why}", shown(path)));
        }
    }
    /// What was left alone is sent all the same.
    fn goes_on(&mut self, path: &Path) {
        if self.left.remove(path).is_some_and(|left| left.told) {
            limit::warn(kinds::LEFT_ALONE, format!("{} is whole now, and sent", shown(path)));
        }
    }

    /// One had its rounds: it moves on if what was sent is what it is.
    pub fn sent(&mut self, reading: &Reading) -> Result<(), Failure> {
        self.under_way.remove(&reading.path);
        if !reading.is_as_announced() || !reading.is_untouched() {
            self.changed(reading);
            return Ok(());
        }
        let to = self.dir.join(SENT);
        let folders = match self.folders() {
            Ok(folders) => folders,
            // those that were open
            Err(failure) => self.folders.clone().ok_or(failure)?,
        };
        match folders.put_away(reading.name()) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                let (path, to) = (shown(&reading.path), shown(&to));
                let words =
                    format!("{path} was sent, and cannot be moved to {to}: {e}; trying again, and the next start sends it again");
                tracing::warn!(code = %kinds::FILE_UNMOVED, "{words}");
                self.unmoved.insert(reading.path.clone(), Instant::now() + AGAIN);
            }
            _ => {}
        }
        Ok(())
    }
    /// Tries once more to move away what was sent and could not be.
    fn move_rest(&mut self, folders: &Folders) {
        self.unmoved.retain(|path, due| {
            if *due > Instant::now() {
                return true;
            }
            *due = Instant::now() + AGAIN;
            let moved = folders.put_away(path.file_name().unwrap_or_default());
            moved.is_err_and(|e| e.kind() != io::ErrorKind::NotFound)
        });
    }
    /// Whether nothing could be taken, and that was a moment ago.
    fn is_stuck(&self) -> bool {
        self.stuck.as_ref().is_some_and(|(until, _)| *until > Instant::now())
    }
    /// Says once why nothing is taken for a while.
    fn get_stuck(&mut self, why: String) {
        if self.stuck.as_ref().is_none_or(|(_, told)| *told != why) {
            tracing::warn!(code = %kinds::FILE_UNMOVED, "{why}; trying again");
        }
        self.stuck = Some((Instant::now() + AGAIN, why));
    }
    /// One was changed while it was sent, and is sent anew.
    pub fn changed(&mut self, reading: &Reading) {
        self.under_way.remove(&reading.path);
        if reading.is_there() {
            tracing::warn!(code = %kinds::FILE_CHANGED, "{} changed while it was sent; it is sent anew", shown(&reading.path));
        }
    }
    /// One cannot be read any more.
    pub fn failed(&mut self, reading: &Reading, why: &str) {
        self.under_way.remove(&reading.path);
        self.refuse(reading.path.clone(), why);
    }

    fn add(
        &mut self,
        dir: &Rc<Dir>,
        path: PathBuf,
        sender: &mut ObjectSender<Reading>,
        begin: impl FnOnce(&Description) -> io::Result<u64>,
    ) -> Result<(), Failure> {
        match describe_in(dir, &path) {
            Ok((description, reading)) => {
                let number = begin(&description).doing(kinds::STATE_FAILED, numbering)?;
                sender.add(description, number, reading);
                self.under_way.insert(path);
            }
            Err(failure) => self.refuse(path, &failure.message),
        }
        Ok(())
    }
    fn refuse(&mut self, path: PathBuf, why: &str) {
        limit::warn(kinds::FILE_UNSENT, format!("{} is not sent: {why}", shown(&path)));
        self.refused.insert(path);
    }

    /// Whether nobody writes a file, as far as can be known.
    fn is_ready(&mut self, dir: &Dir, path: &Path) -> bool {
        if self.refused.contains(path) {
            return false;
        }
        if let Err(why) = name_of(path) {
            self.refuse(path.to_owned(), &why);
            return false;
        }
        let file = match dir.read(path.file_name().unwrap_or_default()) {
            Ok((file, _)) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return false,
            Err(e) => {
                self.refuse(path.to_owned(), &e.to_string());
                return false;
            }
        };
        let ready = match is_written(&file) {
            Some(written) => !written,
            None => self.is_quiet(path, &file),
        };
        if !ready {
            self.leave(path, "somebody writes it; it is sent once nobody does", LATE);
        }
        ready
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

    /// Names of plain files that are not hidden (a writer makes `.name` and renames it when it is whole).
    fn files_in(&mut self, dir: &Dir, path: &Path) -> Result<Vec<OsString>, Failure> {
        let mut names = dir.names().doing(kinds::WATCH_FOLDER, || format!("look into {}", shown(path)))?;
        names.retain(|name| {
            let is_own = path == self.dir && (name == SENDING || name == SENT || name == TRANSFERS);
            let Some(found) = dir.look(name).ok().filter(|_| !is_own) else { return false };
            let (why, after) = if name.as_bytes().starts_with(b".") {
                ("its name begins with a dot, as of what is not whole yet; rename it once it is", LATE)
            } else if found.is_file() {
                return true;
            } else if found.is_dir() {
                ("it is a folder; an archive of it can be sent", Duration::ZERO)
            } else if found.is_symlink() {
                ("it is a symbolic link; put the file itself there", Duration::ZERO)
            } else {
                ("it is no file, but a pipe, a socket or a device", Duration::ZERO)
            };
            self.leave(&path.join(name), why, after);
            false
        });
        Ok(names)
    }
}

/// Whether one file alone cannot be moved: it is somebody else's, in a folder where each moves his own, or something else than a
/// file has its place or took it. (A folder that cannot be written at all is EACCES.)
fn is_of_one(e: &io::Error) -> bool {
    use io::ErrorKind::{AlreadyExists, DirectoryNotEmpty, IsADirectory, NotADirectory};
    let of_place = matches!(e.kind(), AlreadyExists | DirectoryNotEmpty | IsADirectory | NotADirectory);
    of_place || e.raw_os_error() == Some(libc::EPERM)
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
