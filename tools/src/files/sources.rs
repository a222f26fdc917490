//! What is to be sent: the files and folders named, and everything in them. A link that was named is what it leads to; below a
//! folder none is followed, neither when it is looked at nor when it is opened.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::folder::is_part;
use super::wire::{NAME_MAX, Stamp};
use crate::beneath::{self, Dir, Identity};
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
    /// The folder it is in, of those named; none of what was named itself.
    root: Option<usize>,
}

/// A folder that was named.
#[derive(Clone, Debug)]
struct Root {
    path: PathBuf,
    identity: Identity,
    /// Bytes of what it is called at the other end.
    name_len: usize,
}

/// What is to be looked at: a path here, what it is called there, and what it was.
type Found = (PathBuf, Vec<u8>, io::Result<Metadata>);

/// Everything to send, folders before what is in them.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// What can be sent.
    pub items: Vec<Item>,
    /// What cannot, and why.
    pub missing: Vec<Missing>,
    /// What is neither a file nor a folder inside of one, and what it is.
    pub skipped: Vec<(PathBuf, &'static str)>,
    roots: Vec<Root>,
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
            if let Err(e) = sources.add(path, &name) {
                sources.missing.push(Missing { path: path.clone(), name, why: e.to_string() });
            }
        }
        if sources.items.is_empty() {
            let why: String = sources.missing.iter().map(|m| format!("; {}: {}", shown(&m.path), m.why)).collect();
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

    /// Opens a file to send, never anything else that took its place or that of a folder on the way.
    pub fn open(&self, item: &Item) -> io::Result<(File, Metadata)> {
        let Some(root) = item.root.and_then(|root| self.roots.get(root)) else { return beneath::named(&item.path) };
        let below = root.below(&item.name);
        let dir = root.open()?.walk(below.parent().unwrap_or(Path::new("")))?;
        dir.read(below.file_name().unwrap_or_default())
    }

    /// Takes what was named. That it was is a promise: what cannot travel is an error here.
    fn add(&mut self, path: &Path, name: &[u8]) -> io::Result<()> {
        let meta = std::fs::metadata(path)?;
        check(name)?;
        if meta.is_file() {
            self.push(path, name, &meta, None);
            return Ok(());
        }
        if !meta.is_dir() {
            return Err(io::Error::other(format!("it is {}", kind_of(&meta))));
        }
        let dir = Dir::named(path)?;
        let root = Root { path: path.to_owned(), identity: dir.identity()?, name_len: name.len() };
        let mut todo = inside(&dir, path, name)?;
        self.push(path, name, &dir.file().metadata()?, Some(self.roots.len()));
        self.roots.push(root);
        while let Some((path, name, meta)) = todo.pop() {
            match meta.and_then(|meta| self.add_below(&dir, &path, &name, &meta)) {
                Ok(more) => todo.extend(more),
                Err(e) => self.missing.push(Missing { path, name, why: e.to_string() }),
            }
        }
        Ok(())
    }
    /// Takes one inside of the folder that was named last; what is in it is to be looked at next, in the order of names.
    fn add_below(&mut self, dir: &Dir, path: &Path, name: &[u8], meta: &Metadata) -> io::Result<Vec<Found>> {
        if !meta.is_file() && !meta.is_dir() {
            self.skipped.push((path.to_owned(), kind_of(meta)));
            return Ok(Vec::new());
        }
        check(name)?;
        let root = self.roots.len() - 1;
        let more = if meta.is_dir() { inside(&dir.walk(self.roots[root].below(name))?, path, name)? } else { Vec::new() };
        self.push(path, name, meta, Some(root));
        Ok(more)
    }
    fn push(&mut self, path: &Path, name: &[u8], meta: &Metadata, root: Option<usize>) {
        let size = meta.is_file().then_some(meta.len());
        self.items.push(Item { path: path.to_owned(), name: name.to_owned(), size, stamp: stamp_of(meta), root });
    }
}

impl Root {
    /// The path below it of what is called so at the other end.
    fn below<'a>(&self, name: &'a [u8]) -> &'a Path {
        Path::new(OsStr::from_bytes(name.get(self.name_len + 1..).unwrap_or_default()))
    }
    /// Opens it again: there may be more of them than descriptors.
    fn open(&self) -> io::Result<Dir> {
        let dir = Dir::named(&self.path)?;
        if dir.identity()? == self.identity { Ok(dir) } else { Err(io::Error::other("another folder took the place of its own")) }
    }
}

/// What is in a folder, the last name first.
fn inside(dir: &Dir, path: &Path, name: &[u8]) -> io::Result<Vec<Found>> {
    let found = |entry: &OsString| -> Found { (path.join(entry), [name, b"/", entry.as_bytes()].concat(), dir.look(entry)) };
    Ok(dir.names()?.iter().rev().map(found).collect())
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
