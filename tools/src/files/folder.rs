//! The folder files are put into. Every name is walked component by component from its descriptor,
//! and no symbolic link is followed below it: nothing a peer says leads outside.
//!
//! ```text
//! NAME                    whole and verified
//! .NAME.hardline-part     what has come of it by now, for its owner alone
//! ```

use std::ffi::OsString;
use std::fs::{File, Permissions, TryLockError};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::fcntl::OFlag;
use sha2::{Digest, Sha256};

use super::wire::Stamp;
use crate::beneath::Dir;
use crate::names::{COMPONENT_MAX, safe};

/// What the name of a file that is not whole ends with.
const SUFFIX: &[u8] = b".hardline-part";

/// Whether this is the name of a file that is not whole.
pub fn is_part(name: &[u8]) -> bool {
    name.ends_with(SUFFIX)
}

/// The folder everything is put into; nobody else puts files into it meanwhile.
#[derive(Debug)]
pub struct Folder {
    dir: Dir,
}

/// A place in the folder: an open parent and a name in it.
#[derive(Debug)]
pub struct Place {
    parent: Dir,
    name: OsString,
}

impl Folder {
    /// Opens or makes it.
    pub fn open(path: &Path) -> io::Result<Folder> {
        make(path)?;
        let dir = Dir::named(path)?;
        match dir.file().try_lock() {
            Ok(()) => Ok(Folder { dir }),
            Err(TryLockError::WouldBlock) => Err(io::Error::other("another 'hardline recv' is using it")),
            Err(TryLockError::Error(e)) => Err(e),
        }
    }
    /// Where a name of the peer's belongs.
    pub fn place(&self, name: &[u8]) -> io::Result<Place> {
        let path = safe(name).ok_or_else(|| io::Error::other("this name would leave the folder or has control characters"))?;
        if is_part(name) {
            return Err(io::Error::other("this name is kept for files that are not whole"));
        }
        let parent = self.dir.walk(path.parent().unwrap_or(Path::new("")))?;
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
        Ok(Place { parent, name })
    }
}

/// Makes a folder and those it is in, unless it is there.
pub(crate) fn make(path: &Path) -> io::Result<()> {
    if path.exists() && !path.is_dir() {
        return Err(io::Error::other(format!("{} is not a folder", path.display())));
    }
    std::fs::create_dir_all(path)
}

impl Place {
    /// The name of the file while it is not whole; one that would be too long is replaced by its hash.
    fn part(&self) -> OsString {
        let name = self.name.as_bytes();
        let mut part = vec![b'.'];
        if name.len() + 1 + SUFFIX.len() <= COMPONENT_MAX {
            part.extend(name);
        } else {
            let hash: [u8; 32] = Sha256::digest(name).into();
            part.extend(hash.iter().flat_map(|b| format!("{b:02x}").into_bytes()));
        }
        part.extend(SUFFIX);
        OsString::from_vec(part)
    }
    /// The whole file of this name, if there is one.
    pub fn whole(&self) -> Option<File> {
        self.parent.read(&self.name).ok().map(|(file, _)| file)
    }
    /// What has come of it by now, if anything.
    pub fn partial(&self) -> Option<File> {
        self.parent.read(&self.part()).ok().map(|(file, _)| file)
    }
    /// What has come of it by now, or an empty file, to write to.
    pub fn begin(&self) -> io::Result<File> {
        self.parent.open(&self.part(), OFlag::O_RDWR | OFlag::O_CREAT, 0o600).map(|(file, _)| file)
    }
    /// The file is whole: puts it on disk, then under its name in one step.
    pub fn finish(&self, file: &File, stamp: &Stamp) -> io::Result<()> {
        apply(file, stamp)?;
        file.sync_all()?;
        self.parent.rename(&self.part(), &self.parent, &self.name)?;
        self.parent.file().sync_all()
    }
    /// What has come is of no use.
    pub fn discard(&self) {
        let _ = self.parent.remove(&self.part());
    }

    /// Makes the folder of this name; one that is there is made writable for its owner.
    pub fn make_dir(&self) -> io::Result<()> {
        match self.parent.make_one(&self.name, 0o700) {
            Ok(()) => self.parent.file().sync_all(),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                let dir = self.parent.enter(&self.name)?;
                let mode = dir.file().metadata()?.permissions().mode();
                if mode & 0o700 != 0o700 {
                    dir.file().set_permissions(Permissions::from_mode(mode & 0o777 | 0o700))?;
                }
                Ok(())
            }
            Err(e) => Err(e),
        }
    }
    /// Everything in the folder of this name has come.
    pub fn finish_dir(&self, stamp: &Stamp) -> io::Result<()> {
        let dir = self.parent.enter(&self.name)?;
        apply(dir.file(), stamp)?;
        dir.file().sync_all()
    }
}

/// Gives a file or folder its mode and time. Bits that lend somebody's rights are never taken over.
pub fn apply(file: &File, stamp: &Stamp) -> io::Result<()> {
    let (seconds, nanos) = stamp.modified;
    let (since, nanos) = (Duration::from_secs(seconds.unsigned_abs()), Duration::from_nanos(u64::from(nanos).min(999_999_999)));
    let whole = if seconds < 0 { UNIX_EPOCH.checked_sub(since) } else { UNIX_EPOCH.checked_add(since) };
    if let Some(time) = whole.and_then(|t: SystemTime| t.checked_add(nanos)) {
        file.set_modified(time)?;
    }
    file.set_permissions(Permissions::from_mode(u32::from(stamp.mode) & 0o777))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_not_followed() {
        let (outside, inside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::os::unix::fs::symlink(outside.path(), inside.path().join("way")).unwrap();
        let folder = Folder::open(inside.path()).unwrap();
        assert!(folder.place(b"way/out").is_err());
        assert!(folder.place(b"way").unwrap().make_dir().is_err());
        // a planted link in the place of a file that is not whole, and of one that is
        let victim = outside.path().join("victim");
        std::fs::write(&victim, b"mine").unwrap();
        std::os::unix::fs::symlink(&victim, inside.path().join(".a.hardline-part")).unwrap();
        std::os::unix::fs::symlink(&victim, inside.path().join("b")).unwrap();
        assert!(folder.place(b"a").unwrap().begin().is_err());
        let place = folder.place(b"b").unwrap();
        assert!(place.whole().is_none());
        place.finish(&place.begin().unwrap(), &Stamp::default()).unwrap();
        assert_eq!(std::fs::read(&victim).unwrap(), b"mine");
        assert!(inside.path().join("b").symlink_metadata().unwrap().is_file());
    }

    #[test]
    fn only_one_receiver_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let first = Folder::open(dir.path()).unwrap();
        assert!(Folder::open(dir.path()).unwrap_err().to_string().contains("another"));
        drop(first);
        Folder::open(dir.path()).unwrap();
    }

    #[test]
    fn long_names_have_a_part_too() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        let name = "x".repeat(255);
        let place = folder.place(name.as_bytes()).unwrap();
        place.finish(&place.begin().unwrap(), &Stamp { mode: 0o644, modified: (-5, 7) }).unwrap();
        assert!(dir.path().join(&name).is_file());
        assert!(folder.place(b"x.hardline-part").is_err());
    }
}
