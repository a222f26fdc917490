//! Files to send: what they are called, and whether they stayed as they were while they travelled.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::UNIX_EPOCH;

use diode::object::{Description, Source};
use diode::wire::NAME_MAX;
use nix::poll::PollFlags;
use sha2::{Digest, Sha256};

use super::send::check;
use crate::beneath::{Dir, named};
use crate::drive::wait;
use crate::error::{Doing, Failure, kinds};
use crate::names::{safe, shown};
use crate::signal::Signals;
use crate::whole::{Whole, whole};

/// What tells that a file was not touched: its place, bytes and time.
pub type Stamp = (u64, u64, u64, i64, i64);

/// See [`Stamp`].
pub fn stamp(meta: &Metadata) -> Stamp {
    (meta.dev(), meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec())
}

/// How a file is reached.
#[derive(Clone, Debug)]
enum Way {
    /// By the path the user named.
    Named,
    /// By its name in a folder that is open.
    In(Rc<Dir>),
    /// It is stdin: only its copy is there.
    Stdin,
}

/// A file that is being sent. It is open only while it is read: there may be more of them than descriptors.
#[derive(Debug)]
pub struct Reading {
    /// Where it is; of stdin, a name to speak of it.
    pub path: PathBuf,
    way: Way,
    /// Of stdin and of what does not know its size: what is sent.
    copy: Option<Rc<File>>,
    stamp: Stamp,
    /// SHA-256 of what was announced.
    announced: [u8; 32],
    size: u64,
    /// Of what was read, in order up to here.
    read: (Sha256, u64),
    /// SHA-256 of each block as it was read first, by its place: a file can change without a trace in its time.
    blocks: BTreeMap<u64, [u8; 32]>,
}

impl Reading {
    /// What it is called where it is.
    pub fn name(&self) -> &OsStr {
        self.path.file_name().unwrap_or_default()
    }
    /// Reads a part of it, if it is still the file that was announced.
    fn read_exact(&self, offset: u64, out: &mut [u8]) -> Result<(), Unread> {
        let unread = |e: io::Error| match e.kind() {
            io::ErrorKind::UnexpectedEof => Unread::Changed,
            _ => Unread::Failed(e),
        };
        if let Some(copy) = &self.copy {
            return copy.read_exact_at(out, offset).map_err(unread);
        }
        let opened = match &self.way {
            Way::In(dir) => dir.read(self.name()),
            Way::Named | Way::Stdin => named(&self.path),
        };
        let (file, meta) = opened.map_err(Unread::Failed)?;
        if stamp(&meta) != self.stamp {
            return Err(Unread::Changed);
        }
        file.read_exact_at(out, offset).map_err(unread)?;
        if file.metadata().is_ok_and(|meta| stamp(&meta) == self.stamp) { Ok(()) } else { Err(Unread::Changed) }
    }
    /// Whether what was read to be sent is what was announced.
    pub fn is_as_announced(&self) -> bool {
        self.read.1 == self.size && <[u8; 32]>::from(self.read.0.clone().finalize()) == self.announced
    }
    fn meta(&self) -> io::Result<Metadata> {
        match &self.way {
            Way::In(dir) => dir.look(self.name()),
            Way::Named | Way::Stdin => std::fs::metadata(&self.path),
        }
    }
    /// Whether something has its name where it was.
    pub fn is_there(&self) -> bool {
        self.meta().is_ok()
    }
    /// Whether the file is as it was when it was announced.
    pub fn is_untouched(&self) -> bool {
        matches!(self.way, Way::Stdin) || self.meta().is_ok_and(|meta| stamp(&meta) == self.stamp)
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
        self.read_exact(offset, out)?;
        let sha256 = Sha256::digest(&*out).into();
        if *self.blocks.entry(offset).or_insert(sha256) != sha256 {
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

/// What a file is called at the other end, or why it cannot be called so.
pub fn name_of(path: &Path) -> Result<&str, String> {
    let name = path.file_name().unwrap_or_default();
    let name = name.to_str().ok_or("its name is not UTF-8, and would arrive as another one")?;
    if name.len() > NAME_MAX || safe(name.as_bytes()).is_none() {
        return Err(format!("its name is empty, has control characters or more than {NAME_MAX} bytes"));
    }
    Ok(name)
}

/// What there is to say of a file the user named, and where its bytes are.
pub fn describe(path: &Path) -> Result<(Description, Reading), Failure> {
    if std::fs::metadata(path).is_ok_and(|meta| !meta.is_file()) {
        return Err(Failure::new(kinds::SOURCE_UNREADABLE, format!("cannot send {}: it is not a file", shown(path))));
    }
    let opened = named(path).doing(kinds::SOURCE_UNREADABLE, || format!("read {}", shown(path)))?;
    announce_file(path, opened, Way::Named)
}

/// The same of a file in a folder; `path` is to speak of it, and ends in its name.
pub fn describe_in(dir: &Rc<Dir>, path: &Path) -> Result<(Description, Reading), Failure> {
    let opened = dir.read(path.file_name().unwrap_or_default());
    let opened = opened.doing(kinds::SOURCE_UNREADABLE, || format!("read {}", shown(path)))?;
    announce_file(path, opened, Way::In(dir.clone()))
}

fn announce_file(path: &Path, (file, meta): (File, Metadata), way: Way) -> Result<(Description, Reading), Failure> {
    let name =
        name_of(path).map_err(|why| Failure::new(kinds::SOURCE_UNREADABLE, format!("cannot send {}: {why}", shown(path))))?;
    let Whole { file, size, copied } = whole(file).doing(kinds::SOURCE_UNREADABLE, || format!("read {}", shown(path)))?;
    let (description, mut reading) = announce(path, name, (&file, &meta, size), way)?;
    reading.copy = copied.then(|| Rc::new(file));
    Ok((description, reading))
}

/// The same of stdin, which is copied to a temporary file first.
pub fn message(signals: &Signals) -> Result<(Description, Reading), Failure> {
    let copying = || format!("copy stdin to {}", shown(&std::env::temp_dir()));
    let mut copy = tempfile::tempfile().doing(kinds::COPY_FAILED, copying)?;
    let (mut stdin, mut buffer) = (File::from(crate::stdio::input()?), vec![0; 1 << 16]);
    loop {
        let fds = [(stdin.as_fd(), PollFlags::POLLIN), (signals.fd(), PollFlags::POLLIN)];
        let ready = wait(&fds, None).doing(kinds::SYSTEM, || "wait for input".into())?;
        check(signals)?;
        if ready[0].is_empty() {
            continue;
        }
        match stdin.read(&mut buffer).doing(kinds::SOURCE_UNREADABLE, || "read -".into())? {
            0 => {
                let meta = copy.metadata().doing(kinds::SOURCE_UNREADABLE, || "read -".into())?;
                let (description, mut reading) = announce(Path::new("-"), "", (&copy, &meta, meta.len()), Way::Stdin)?;
                reading.copy = Some(Rc::new(copy));
                return Ok((description, reading));
            }
            n => copy.write_all(&buffer[..n]).doing(kinds::COPY_FAILED, copying)?,
        }
    }
}

/// An open file, what is known of it, and its bytes.
type Known<'a> = (&'a File, &'a Metadata, u64);

/// Hashes what is to be sent.
fn announce(path: &Path, name: &str, (file, meta, size): Known<'_>, way: Way) -> Result<(Description, Reading), Failure> {
    let modified = meta.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok()).map_or(0, |t| t.as_secs());
    let mut hasher = Sha256::new();
    let read = crate::digest::add(&mut hasher, file, size);
    if read.doing(kinds::SOURCE_UNREADABLE, || format!("read {}", shown(path)))? != size {
        let why = "it became shorter while it was read";
        return Err(Failure::new(kinds::SOURCE_UNREADABLE, format!("cannot read {}: {why}", shown(path))));
    }
    let sha256 = hasher.finalize().into();
    let description = Description { name: name.to_owned(), size, modified, sha256, priority: 0 };
    let reading = Reading {
        path: path.to_owned(),
        way,
        copy: None,
        stamp: stamp(meta),
        announced: sha256,
        size,
        read: (Sha256::new(), 0),
        blocks: BTreeMap::new(),
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
