//! Where a user's files are, and how one is put in the place of another so that a crash leaves either.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::IntoRawFd;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

/// What a variable names.
pub(crate) fn named(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).map(PathBuf::from)
}

/// The folder that is set, else the one `below` the home. What is not absolute is ignored (XDG Base Directory
/// Specification).
pub(crate) fn of_user(set: Option<PathBuf>, home: Option<PathBuf>, below: &str) -> Option<PathBuf> {
    let absolute = |path: Option<PathBuf>| path.filter(|p| p.is_absolute());
    absolute(set).or_else(|| absolute(home).map(|home| home.join(below)))
}

/// Puts a file with this text at `path`, in one step and on disk. `prepare` gives the new file (mode 0600) what else
/// it needs before that.
pub(crate) fn replace(path: &Path, text: &str, prepare: impl FnOnce(&File) -> io::Result<()>) -> io::Result<()> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::other("it has no name"));
    };
    let mut prefix = OsString::from(".");
    prefix.push(name);
    let mut new = tempfile::Builder::new().prefix(&prefix).tempfile_in(folder)?;
    new.write_all(text.as_bytes())?;
    prepare(new.as_file())?;
    new.as_file().sync_all()?;
    new.persist(path).map_err(|e| e.error)?;
    sync_folder(path)
}

/// Puts the folder of a file on disk: the names in it.
pub(crate) fn sync_folder(of: &Path) -> io::Result<()> {
    match of.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

/// Puts a file or a folder on its disk, if it is on one: those of /proc, or of a file system in a program, are not.
pub(crate) fn sync(file: &File) -> io::Result<()> {
    match file.sync_all() {
        Err(e) if matches!(e.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS | libc::EOPNOTSUPP | libc::EROFS)) => Ok(()),
        synced => synced,
    }
}

/// Whether something of what was written to it may still fail: so it is with files and disks.
pub(crate) fn keeps_back(file: &File) -> io::Result<bool> {
    let kind = file.metadata()?.file_type();
    Ok(kind.is_file() || kind.is_block_device())
}

/// Puts what was written to a file on its disk and closes it: a server's disk may say only at the close that it is full.
pub(crate) fn settle(file: File) -> io::Result<()> {
    sync(&file)?;
    match nix::unistd::close(file.into_raw_fd()) {
        Err(Errno::EINTR) => Ok(()),
        closed => Ok(closed?),
    }
}
