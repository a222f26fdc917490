//! Where a whole object goes: below the folder of `--out`, through no symbolic link.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::Path;

use nix::errno::Errno;

use crate::beneath::Dir;
use crate::disk;

/// Moves a whole file to its place below `out` in one step, also from another file system, and has it on the disk there, with
/// its name and the folders it lies in. What is there of the same name goes, unless it is a folder.
pub(super) fn place(from: &Path, out: &Path, name: &Path) -> io::Result<()> {
    std::fs::create_dir_all(out)?;
    let (top, within) = (Dir::named(out)?, name.parent().unwrap_or(Path::new("")));
    let folder = top.make(within, 0o777)?;
    let name = name.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    disk::sync(&File::open(from)?)?;
    match folder.take(from, name) {
        Err(e) if e.kind() == io::ErrorKind::CrossesDevices => copy(from, &folder, name)?,
        moved => moved?,
    }
    disk::sync(folder.file())?;
    // a folder that was made for it is a name in the one above
    within.ancestors().skip(1).try_for_each(|above| disk::sync(top.walk(above)?.file()))
}

/// Under a short name that was nobody's until it is whole and on disk.
fn copy(from: &Path, folder: &Dir, name: &OsStr) -> io::Result<()> {
    let mut old = File::open(from)?;
    let (beside, mut new) = folder.create()?;
    let mut fill = || {
        io::copy(&mut old, &mut new)?;
        new.set_modified(old.metadata()?.modified()?)?;
        new.sync_all()?;
        folder.rename(&beside, folder, name)
    };
    if let Err(e) = fill() {
        let _ = folder.remove(&beside);
        return Err(e);
    }
    std::fs::remove_file(from)
}

/// Whether it is the name that cannot be had, and not the disk or the folder of `--out`.
pub(super) fn is_of_name(e: &io::Error, name: &Path) -> bool {
    use io::ErrorKind::{
        AlreadyExists, DirectoryNotEmpty, InvalidFilename, InvalidInput, IsADirectory, NotADirectory, PermissionDenied,
    };
    match e.kind() {
        IsADirectory | NotADirectory | AlreadyExists | DirectoryNotEmpty | InvalidFilename | InvalidInput => true,
        // a folder in it that is somebody else's
        PermissionDenied => name.components().count() > 1,
        _ => [Errno::ELOOP as i32, Errno::EILSEQ as i32].iter().any(|errno| e.raw_os_error() == Some(*errno)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_are_refused() {
        let is_of = |errno: Errno, name: &str| is_of_name(&errno.into(), Path::new(name));
        for errno in [Errno::EISDIR, Errno::ENOTDIR, Errno::EEXIST, Errno::ENAMETOOLONG, Errno::ELOOP, Errno::EINVAL] {
            assert!(is_of(errno, "name"), "{errno}");
        }
        for errno in [Errno::ENOSPC, Errno::EIO, Errno::EROFS, Errno::EACCES, Errno::ENOENT] {
            assert!(!is_of(errno, "name"), "{errno}");
        }
        assert!(is_of(Errno::EACCES, "folder/name"));
    }
}
