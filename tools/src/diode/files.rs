//! Files to send: what they are called, and whether they stayed as they were while they travelled.

use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use diode::object::{Description, Source};
use diode::wire::NAME_MAX;
use nix::poll::PollFlags;
use sha2::{Digest, Sha256};

use super::send::check;
use crate::drive::wait;
use crate::error::{Doing, Failure, kinds};
use crate::names::{safe, shown};
use crate::signal::Signals;

/// What tells that a file was not touched: its place, bytes and time.
pub type Stamp = (u64, u64, u64, i64, i64);

/// See [`Stamp`].
pub fn stamp(meta: &Metadata) -> Stamp {
    (meta.dev(), meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec())
}

/// A file that is being sent. It is open only while it is read: there may be more of them than descriptors.
#[derive(Debug)]
pub struct Reading {
    /// Where it is; of stdin, a name to speak of it.
    pub path: PathBuf,
    /// Stdin, copied.
    message: Option<File>,
    stamp: Option<Stamp>,
    /// SHA-256 of what was announced.
    announced: [u8; 32],
    size: u64,
    /// Of what was read, in order up to here.
    read: (Sha256, u64),
}

impl Reading {
    fn file(&self) -> io::Result<File> {
        match &self.message {
            Some(file) => file.try_clone(),
            None => open(&self.path),
        }
    }
    /// Whether what was read to be sent is what was announced.
    pub fn is_as_announced(&self) -> bool {
        self.read.1 == self.size && <[u8; 32]>::from(self.read.0.clone().finalize()) == self.announced
    }
    /// Whether the file is as it was when it was announced.
    pub fn is_untouched(&self) -> bool {
        self.stamp.is_none_or(|s| std::fs::metadata(&self.path).is_ok_and(|m| stamp(&m) == s))
    }
}

/// Why a file cannot go on.
#[derive(Debug)]
pub enum Unread {
    /// It is not what was announced any more.
    Changed,
    /// It cannot be read.
    Failed(io::Error),
}

impl Source for Reading {
    type Error = Unread;
    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> Result<(), Unread> {
        let file = self.file().map_err(Unread::Failed)?;
        let is_same = |file: &File| file.metadata().is_ok_and(|m| self.stamp.is_none_or(|s| stamp(&m) == s));
        if !is_same(&file) {
            return Err(Unread::Changed);
        }
        file.read_exact_at(out, offset).map_err(|e| match e.kind() {
            io::ErrorKind::UnexpectedEof => Unread::Changed,
            _ => Unread::Failed(e),
        })?;
        if !is_same(&file) {
            return Err(Unread::Changed);
        }
        // the first time it is read in order
        if self.read.1 == offset {
            self.read.0.update(&*out);
            self.read.1 += out.len() as u64;
        }
        Ok(())
    }
}

/// Opens a file; waits for nobody, as opening a pipe would, and does nothing to a device.
pub fn open(path: &Path) -> io::Result<File> {
    let not = || io::Error::other("it is not a file");
    if !std::fs::metadata(path)?.is_file() {
        return Err(not());
    }
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(not()) }
}

/// What a file is called at the other end, or why it cannot be called so.
pub fn name_of(path: &Path) -> Result<&str, String> {
    let name = path.file_name().unwrap_or_default();
    let name = name.to_str().ok_or("its name is not UTF-8, and would arrive as another one")?;
    if name.len() > NAME_MAX || safe(name.as_bytes()).is_none() {
        return Err(format!("its name is empty, has control characters or more than {NAME_MAX} bytes"));
    }
    Ok(name)
}

/// What there is to say of a file, and where its bytes are.
pub fn describe(path: &Path) -> Result<(Description, Reading), Failure> {
    let file = match std::fs::metadata(path) {
        Ok(meta) if !meta.is_file() => {
            return Err(Failure::new(kinds::SOURCE_UNREADABLE, format!("cannot send {}: it is not a file", shown(path))));
        }
        _ => open(path).doing(kinds::SOURCE_UNREADABLE, || format!("read {}", shown(path)))?,
    };
    let name =
        name_of(path).map_err(|why| Failure::new(kinds::SOURCE_UNREADABLE, format!("cannot send {}: {why}", shown(path))))?;
    announce(path, name, file, false)
}

/// The same of stdin, which is copied to a temporary file first.
pub fn message(signals: &Signals) -> Result<(Description, Reading), Failure> {
    let mut copy = tempfile::tempfile().doing(kinds::SOURCE_UNREADABLE, || "read -".into())?;
    let (mut stdin, mut buffer) = (File::from(crate::stdio::input()?), vec![0; 1 << 16]);
    loop {
        let fds = [(stdin.as_fd(), PollFlags::POLLIN), (signals.fd(), PollFlags::POLLIN)];
        let ready = wait(&fds, None).doing(kinds::SYSTEM, || "wait for input".into())?;
        check(signals)?;
        if ready[0].is_empty() {
            continue;
        }
        match stdin.read(&mut buffer).doing(kinds::SOURCE_UNREADABLE, || "read -".into())? {
            0 => return announce(Path::new("-"), "", copy, true),
            n => copy.write_all(&buffer[..n]).doing(kinds::SOURCE_UNREADABLE, || "read -".into())?,
        }
    }
}

fn announce(path: &Path, name: &str, file: File, message: bool) -> Result<(Description, Reading), Failure> {
    let fail = || format!("read {}", shown(path));
    let meta = file.metadata().doing(kinds::SOURCE_UNREADABLE, fail)?;
    let modified = meta.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok()).map_or(0, |t| t.as_secs());
    let sha256 = crate::digest::of(&file).doing(kinds::SOURCE_UNREADABLE, fail)?;
    let description = Description { name: name.to_owned(), size: meta.len(), modified, sha256, priority: 0 };
    let reading = Reading {
        path: path.to_owned(),
        message: message.then_some(file),
        stamp: (!message).then(|| stamp(&meta)),
        announced: sha256,
        size: meta.len(),
        read: (Sha256::new(), 0),
    };
    Ok((description, reading))
}

/// Refuses two files of one name before anything is sent: the later one would take the place of the other.
pub fn check_names(files: &[PathBuf]) -> Result<(), Failure> {
    let mut names = std::collections::HashSet::new();
    for path in files {
        let name = if path.as_os_str() == "-" { path.as_os_str() } else { path.file_name().unwrap_or_default() };
        if !names.insert(name) {
            let name = crate::names::printable(name.as_bytes());
            let message = format!("two of the files would be called '{name}' at the other end");
            return Err(Failure::new(kinds::NAME_TWICE, message));
        }
    }
    Ok(())
}
