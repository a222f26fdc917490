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
        // a file system that takes no times is no reason to take no files
        let _ = old.metadata().and_then(|meta| meta.modified()).and_then(|time| new.set_modified(time));
        disk::sync(&new)?;
        folder.rename(&beside, folder, name)
    };
    if let Err(e) = fill() {
        let _ = folder.remove(&beside);
        return Err(e);
    }
    // it is in its place: what is left here goes with the rest that was kept of it
    let _ = std::fs::remove_file(from);
    Ok(())
}

/// Whether it is this name, or so large a file, that cannot be had here, and not the disk or the folder of `--out` that fails.
pub(super) fn is_of_name(e: &io::Error, name: &Path) -> bool {
    use io::ErrorKind::{AlreadyExists, DirectoryNotEmpty, InvalidFilename, InvalidInput, IsADirectory, NotADirectory};
    // a file there is somebody else's (where each may remove his own), or may not be changed; it is where something is mounted;
    // larger than the file system can; a loop, or bytes that are no name there
    let of_file = [Errno::EPERM, Errno::EBUSY, Errno::EFBIG, Errno::ELOOP, Errno::EILSEQ];
    let is = |errno: Errno| e.raw_os_error() == Some(errno as i32);
    matches!(e.kind(), IsADirectory | NotADirectory | AlreadyExists | DirectoryNotEmpty | InvalidFilename | InvalidInput)
        || of_file.into_iter().any(is)
        // a folder in it that is somebody else's
        || is(Errno::EACCES) && name.components().count() > 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_are_refused() {
        let is_of = |errno: Errno, name: &str| is_of_name(&errno.into(), Path::new(name));
        let of_name = [Errno::EISDIR, Errno::ENOTDIR, Errno::EEXIST, Errno::ENAMETOOLONG, Errno::ELOOP, Errno::EINVAL];
        for errno in of_name.into_iter().chain([Errno::EPERM, Errno::EBUSY, Errno::EFBIG, Errno::ENOTEMPTY]) {
            assert!(is_of(errno, "name"), "{errno}");
        }
        for errno in [Errno::ENOSPC, Errno::EIO, Errno::EROFS, Errno::EACCES, Errno::ENOENT] {
            assert!(!is_of(errno, "name"), "{errno}");
        }
        assert!(is_of(Errno::EACCES, "folder/name"));
    }
}
