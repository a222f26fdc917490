//! What is to be sent: the files and folders named, and everything in them.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::folder::is_part;
use super::wire::{NAME_MAX, Stamp};
use crate::error::{Failure, kinds};
use crate::names::{safe, shown};

/// A file or folder to send.
#[derive(Clone, Debug)]
pub struct Item {
    /// Where it is.
    pub path: PathBuf,
    /// What it is called at the other end: a relative path.
    pub name: Vec<u8>,
    /// Its bytes when it was looked at; none for a folder.
    pub size: Option<u64>,
    /// Its mode and time when it was looked at.
    pub stamp: Stamp,
}

/// Everything to send, folders before what is in them.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// What can be sent.
    pub items: Vec<Item>,
    /// What cannot, and why.
    pub missing: Vec<Missing>,
    /// What is neither a file nor a folder, and what it is.
    pub skipped: Vec<(PathBuf, &'static str)>,
}

/// The mode and time of what this is about.
pub fn stamp_of(meta: &Metadata) -> Stamp {
    Stamp { mode: (meta.mode() & 0o777) as u16, modified: (meta.mtime(), meta.mtime_nsec() as u32) }
}

/// What cannot be read.
#[derive(Clone, Debug)]
pub struct Missing {
    /// Where it is here.
    pub path: PathBuf,
    /// What it would be called at the other end.
    pub name: Vec<u8>,
    /// The reason.
    pub why: String,
}

impl Sources {
    /// Looks at everything named, and into folders.
    pub fn gather(paths: &[PathBuf]) -> Result<Sources, Failure> {
        let mut sources = Sources::default();
        let mut names = std::collections::HashSet::new();
        for path in paths {
            let name = base_name(path)?;
            if !names.insert(name.clone()) {
                let message = format!("two of the files would be called '{}' at the other end", crate::names::printable(&name));
                return Err(Failure::new(kinds::NAME_TWICE, message));
            }
            sources.add(path.clone(), name);
        }
        if sources.items.is_empty() {
            let missing = sources.missing.iter().map(|m| format!("; {}: {}", shown(&m.path), m.why));
            let skipped = sources.skipped.iter().map(|(path, what)| format!("; {} is {what}, and left out", shown(path)));
            let why: String = missing.chain(skipped).collect();
            return Err(Failure::new(kinds::NOTHING_TO_SEND, format!("there is nothing to send{why}")));
        }
        if u32::try_from(sources.items.len()).is_err() {
            return Err(Failure::new(kinds::TOO_MANY_FILES, "these are more than 4 billion files"));
        }
        Ok(sources)
    }
    /// Files, and the bytes in them.
    pub fn totals(&self) -> (u64, u64) {
        self.items.iter().filter_map(|i| i.size).fold((0, 0), |sum, size| (sum.0 + 1, sum.1.saturating_add(size)))
    }

    fn add(&mut self, path: PathBuf, name: Vec<u8>) {
        let mut todo = vec![(path, name)];
        while let Some((path, name)) = todo.pop() {
            if let Err(e) = self.add_one(&path, &name, &mut todo) {
                self.missing.push(Missing { path, name, why: e.to_string() });
            }
        }
    }
    /// Takes one; what is in it is to be looked at next, in the order of names.
    fn add_one(&mut self, path: &Path, name: &[u8], todo: &mut Vec<(PathBuf, Vec<u8>)>) -> io::Result<()> {
        let meta = std::fs::symlink_metadata(path)?;
        if !meta.is_file() && !meta.is_dir() {
            self.skipped.push((path.to_owned(), kind_of(&meta)));
            return Ok(());
        }
        check(name)?;
        let mut inside = Vec::new();
        if meta.is_dir() {
            for entry in std::fs::read_dir(path)? {
                let entry = entry?.file_name();
                inside.push((path.join(&entry), [name, b"/", entry.as_bytes()].concat()));
            }
            inside.sort_by(|a, b| b.1.cmp(&a.1));
        }
        let size = meta.is_file().then_some(meta.len());
        self.items.push(Item { path: path.to_owned(), name: name.to_owned(), size, stamp: stamp_of(&meta) });
        todo.extend(inside);
        Ok(())
    }
}

/// What is neither a file nor a folder.
fn kind_of(meta: &Metadata) -> &'static str {
    let kind = meta.file_type();
    if kind.is_symlink() {
        "a symbolic link"
    } else if kind.is_fifo() {
        "a named pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

/// Says early what the other end would refuse.
fn check(name: &[u8]) -> io::Result<()> {
    if name.len() > NAME_MAX || safe(name).is_none() {
        return Err(io::Error::other(format!("its name has control characters or more than {NAME_MAX} bytes")));
    }
    if is_part(name) {
        return Err(io::Error::other("it is a file that is not whole, left by another transfer"));
    }
    Ok(())
}

/// What a file or folder is called at the other end.
fn base_name(path: &Path) -> Result<Vec<u8>, Failure> {
    let own = |p: &Path| p.file_name().map(|n| n.as_bytes().to_vec());
    let name = own(path).or_else(|| own(&std::fs::canonicalize(path).ok()?));
    name.ok_or_else(|| Failure::new(kinds::NAMELESS, format!("{} has no name to send it by", shown(path))))
}

/// Opens a file to send, never anything else that took its place meanwhile.
pub fn open(path: &Path) -> io::Result<(File, Metadata)> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
    let meta = file.metadata()?;
    if meta.is_file() { Ok((file, meta)) } else { Err(io::Error::other("it is no file any more")) }
}
