//! A text file that several processes change: one at a time, and in one step.

use std::fs::{DirBuilder, File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::file;
use crate::disk;

/// How long another process may hold the file: it writes a few lines.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a file that is held is tried again.
const LOOK: Duration = Duration::from_millis(5);
/// Permission bits that would let others decide what is in the file.
const NOT_OURS: u32 = 0o022;

/// What is in the file, of at most `limit` bytes; none when it is not there.
pub(super) fn read(path: &Path, limit: usize) -> io::Result<Option<String>> {
    match file::open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        opened => contents(opened?, path, limit).map(Some),
    }
}

fn contents(file: File, path: &Path, limit: usize) -> io::Result<String> {
    file::guard(&file.metadata()?, NOT_OURS, "go-w", path).map_err(io::Error::other)?;
    let bytes = file::slurp(file, limit)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| io::Error::other("it is no text"))?;
    Ok(text.to_owned())
}

/// The file while nobody else changes it: until this is dropped.
#[derive(Debug)]
pub(super) struct Held {
    file: File,
    /// Where it really is: a link to it stays one.
    path: PathBuf,
}

impl Held {
    /// Waits until it is ours; makes it (0600) and its folder (0700) if they are not there.
    pub(super) fn take(path: &Path) -> io::Result<Held> {
        if let Some(folder) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let limit = Instant::now() + PATIENCE;
        loop {
            let mut options = File::options();
            options.read(true).write(true).create(true).truncate(false);
            let file = options.mode(0o600).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
            if !file.metadata()?.is_file() {
                return Err(io::Error::other("it is no regular file"));
            }
            match file.try_lock() {
                Ok(()) => {
                    let path = path.canonicalize()?;
                    // whoever held it before us put another file in its place
                    if same(&file, &path)? {
                        return Ok(Held { file, path });
                    }
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOOK),
                Err(TryLockError::Error(e)) => return Err(e),
            }
            if Instant::now() > limit {
                return Err(io::Error::other(format!("another process has held it for {} s", PATIENCE.as_secs())));
            }
        }
    }
    /// What is in it.
    pub(super) fn read(&self, limit: usize) -> io::Result<String> {
        contents(self.file.try_clone()?, &self.path, limit)
    }
    /// Puts this in its place, on disk, with the owner and the mode it had.
    pub(super) fn replace(self, text: &str) -> io::Result<()> {
        let meta = self.file.metadata()?;
        disk::replace(&self.path, text, |new| {
            let made = new.metadata()?;
            if (made.uid(), made.gid()) != (meta.uid(), meta.gid()) {
                fchown(new, Some(meta.uid()), Some(meta.gid()))?;
            }
            new.set_permissions(Permissions::from_mode(meta.mode() & 0o777))
        })
    }
}

fn same(file: &File, path: &Path) -> io::Result<bool> {
    let (ours, there) = (file.metadata()?, std::fs::metadata(path)?);
    Ok((ours.dev(), ours.ino()) == (there.dev(), there.ino()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const LIMIT: usize = 1 << 16;

    #[test]
    fn nothing_of_many_writers_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/er/file");
        let add = |n: usize| {
            let held = Held::take(&path).unwrap();
            let text = format!("{}{n}\n", held.read(LIMIT).unwrap());
            held.replace(&text).unwrap();
        };
        std::thread::scope(|s| (0..8).for_each(|t| drop(s.spawn(move || (0..10).for_each(|i| add(t * 10 + i))))));
        let text = read(&path, LIMIT).unwrap().unwrap();
        let mut numbers: Vec<usize> = text.lines().map(|l| l.parse().unwrap()).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..80).collect::<Vec<_>>());
        let mode = |p: &Path| fs::metadata(p).unwrap().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing else is left in the folder");
    }

    #[test]
    fn a_link_stays_one_and_the_mode_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        Held::take(&link).unwrap().replace("new").unwrap();
        assert!(link.symlink_metadata().unwrap().is_symlink());
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o644);
    }

    #[test]
    fn what_others_can_write_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        assert_eq!(read(&path, LIMIT).unwrap(), None);
        fs::write(&path, "text").unwrap();
        for mode in [0o620, 0o602, 0o666] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let said = read(&path, LIMIT).unwrap_err().to_string();
            assert!(said.contains(&format!("chmod go-w {}", path.display())), "{said}");
            assert!(Held::take(&path).unwrap().read(LIMIT).is_err());
        }
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert_eq!(read(&path, LIMIT).unwrap().unwrap(), "text");
        assert!(read(&path, 3).is_err());
        nix::unistd::mkfifo(&folder.path().join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(read(&folder.path().join("fifo"), LIMIT).is_err() && Held::take(&folder.path().join("fifo")).is_err());
    }
}
