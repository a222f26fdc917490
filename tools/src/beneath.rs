//! Folders held by a descriptor. Below one, names are walked component by component: no symbolic link is followed, and nobody
//! who renames things meanwhile leads anywhere else. (As `RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS` of openat2(2) has it, on
//! every kernel.) What a user names himself is followed, as everywhere: [`Dir::named`], [`named`].

use std::ffi::{CString, OsStr, OsString};
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat, renameat};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use crate::names::shown;

/// Of a folder; of a file nobody is waited for, as opening a pipe would, and nothing is done to a device.
const FOLDER: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);
const FILE: OFlag = OFlag::O_NONBLOCK.union(OFlag::O_NOCTTY).union(OFlag::O_CLOEXEC);

/// An open folder.
#[derive(Debug)]
pub struct Dir(File);

/// What a thing on a file system is, whatever name it has: device and inode.
pub type Identity = (u64, u64);

/// See [`Identity`].
pub fn identity(meta: &Metadata) -> Identity {
    (meta.dev(), meta.ino())
}

/// Opens a file the user named to read it.
pub fn named(path: &Path) -> io::Result<(File, Metadata)> {
    // opening a device may already do something to it
    if !std::fs::metadata(path)?.is_file() {
        return Err(no_file());
    }
    checked(openat(AT_FDCWD, path, OFlag::O_RDONLY | FILE, Mode::empty())?.into())
}

fn no_file() -> io::Error {
    io::Error::other("it is not a file")
}

/// What is known of the open file, if it is one.
fn checked(file: File) -> io::Result<(File, Metadata)> {
    let meta = file.metadata()?;
    if meta.is_file() { Ok((file, meta)) } else { Err(no_file()) }
}

impl Dir {
    /// Opens a folder the user named.
    pub fn named(path: &Path) -> io::Result<Dir> {
        Ok(Dir(openat(AT_FDCWD, path, FOLDER, Mode::empty())?.into()))
    }
    /// Another descriptor of the same.
    pub fn try_clone(&self) -> io::Result<Dir> {
        self.0.try_clone().map(Dir)
    }
    /// Itself, to lock, stamp or sync it.
    pub fn file(&self) -> &File {
        &self.0
    }
    /// What it is.
    pub fn identity(&self) -> io::Result<Identity> {
        self.0.metadata().map(|meta| identity(&meta))
    }

    /// Opens a folder in it.
    pub fn enter(&self, name: &OsStr) -> io::Result<Dir> {
        let opened = openat(&self.0, one(name)?, FOLDER | OFlag::O_NOFOLLOW, Mode::empty());
        opened.map(|fd| Dir(fd.into())).map_err(|e| match e {
            Errno::ELOOP | Errno::ENOTDIR => {
                let why = format!("'{}' is no folder, or a symbolic link", shown(Path::new(name)));
                io::Error::new(io::ErrorKind::NotADirectory, why)
            }
            e => e.into(),
        })
    }
    /// Opens the folder at a path below it.
    pub fn walk(&self, path: &Path) -> io::Result<Dir> {
        path.components().try_fold(self.try_clone()?, |dir, component| dir.enter(component.as_os_str()))
    }
    /// The same; what is not there is made, with this mode.
    pub fn make(&self, path: &Path, mode: u32) -> io::Result<Dir> {
        path.components().try_fold(self.try_clone()?, |dir, component| {
            let name = component.as_os_str();
            match mkdirat(&dir.0, one(name)?, Mode::from_bits_truncate(mode)) {
                Ok(()) | Err(Errno::EEXIST) => dir.enter(name),
                Err(e) => Err(e.into()),
            }
        })
    }
    /// Makes a folder in it; an error where there is something.
    pub fn make_one(&self, name: &OsStr, mode: u32) -> io::Result<()> {
        Ok(mkdirat(&self.0, one(name)?, Mode::from_bits_truncate(mode))?)
    }

    /// What a name in it stands for; of a link, the link.
    pub fn look(&self, name: &OsStr) -> io::Result<Metadata> {
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        File::from(openat(&self.0, one(name)?, flags, Mode::empty())?).metadata()
    }
    /// Opens a file in it to read it.
    pub fn read(&self, name: &OsStr) -> io::Result<(File, Metadata)> {
        // opening a device may already do something to it
        if !self.look(name)?.is_file() {
            return Err(no_file());
        }
        self.open(name, OFlag::O_RDONLY, 0)
    }
    /// Opens a file in it with these flags, and this mode if it is made.
    pub fn open(&self, name: &OsStr, flags: OFlag, mode: u32) -> io::Result<(File, Metadata)> {
        let flags = flags | OFlag::O_NOFOLLOW | FILE;
        checked(openat(&self.0, one(name)?, flags, Mode::from_bits_truncate(mode))?.into())
    }
    /// Makes a file in it that was not there, to be renamed when it is whole; its name.
    pub fn create(&self) -> io::Result<(OsString, File)> {
        let number = getrandom::u64().map_err(io::Error::other)?;
        let name = OsString::from(format!(".hardline-{number:016x}"));
        let (file, _) = self.open(&name, OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL, 0o666)?;
        Ok((name, file))
    }

    /// The names in it, sorted.
    pub fn names(&self) -> io::Result<Vec<OsString>> {
        let mut dir = nix::dir::Dir::openat(&self.0, ".", FOLDER, Mode::empty())?;
        let mut names = Vec::new();
        for entry in dir.iter() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(OsStr::from_bytes(name).to_owned());
            }
        }
        names.sort();
        Ok(names)
    }
    /// Moves something into a folder, in one step.
    pub fn rename(&self, name: &OsStr, to: &Dir, new: &OsStr) -> io::Result<()> {
        Ok(renameat(&self.0, one(name)?, &to.0, one(new)?)?)
    }
    /// The same, but an error (of `AlreadyExists`) where there is something of the new name.
    pub fn rename_new(&self, name: &OsStr, to: &Dir, new: &OsStr) -> io::Result<()> {
        match rename_new(&self.0, one(name)?, &to.0, one(new)?) {
            // a kernel, or a file system, that cannot
            Err(e) if matches!(e.raw_os_error(), Some(libc::ENOSYS | libc::EINVAL)) => match to.look(new) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => self.rename(name, to, new),
                Err(e) => Err(e),
                Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
            },
            moved => moved,
        }
    }
    /// Moves a file of our own into it, in one step.
    pub fn take(&self, from: &Path, name: &OsStr) -> io::Result<()> {
        Ok(renameat(AT_FDCWD, from, &self.0, one(name)?)?)
    }
    /// Removes a file.
    pub fn remove(&self, name: &OsStr) -> io::Result<()> {
        Ok(unlinkat(&self.0, one(name)?, UnlinkatFlags::NoRemoveDir)?)
    }
}

/// renameat2(2) with RENAME_NOREPLACE, which not every C library has.
#[allow(unsafe_code)]
fn rename_new(from: &File, name: &OsStr, to: &File, new: &OsStr) -> io::Result<()> {
    let (name, new) = (CString::new(name.as_bytes())?, CString::new(new.as_bytes())?);
    // SAFETY: two open descriptors and two strings with a 0 at their ends, all of which outlive the call
    let moved = unsafe {
        libc::syscall(libc::SYS_renameat2, from.as_raw_fd(), name.as_ptr(), to.as_raw_fd(), new.as_ptr(), libc::RENAME_NOREPLACE)
    };
    if moved == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A name that is one component, and does not lead up.
fn one(name: &OsStr) -> io::Result<&OsStr> {
    let mut components = Path::new(name).components();
    match (components.next(), components.next()) {
        (Some(Component::Normal(one)), None) if one == name => Ok(name),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn nothing_leads_out() {
        let (inside, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(outside.path().join("secret"), b"secret").unwrap();
        std::fs::create_dir(inside.path().join("sub")).unwrap();
        symlink(outside.path(), inside.path().join("way")).unwrap();
        symlink(outside.path().join("secret"), inside.path().join("sub/link")).unwrap();
        symlink("missing", inside.path().join("dangling")).unwrap();
        let dir = Dir::named(inside.path()).unwrap();
        for path in ["..", "/", ".", "way", "sub/..", "sub/link", "dangling", "sub/../way"] {
            assert!(dir.walk(Path::new(path)).is_err() || path == ".", "{path}");
            assert!(dir.make(Path::new(path), 0o777).is_err() || path == ".", "{path}");
        }
        let sub = dir.walk(Path::new("sub")).unwrap();
        for name in ["link", "..", ".", "../secret", "way/secret", "", "a/", "/"] {
            assert!(sub.read(OsStr::new(name)).is_err(), "{name}");
            assert!(sub.open(OsStr::new(name), OFlag::O_RDWR | OFlag::O_CREAT, 0o600).is_err(), "{name}");
        }
        assert!(dir.open(OsStr::new("dangling"), OFlag::O_RDWR | OFlag::O_CREAT, 0o600).is_err());
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 1);
        assert!(named(&inside.path().join("sub/link")).is_ok(), "what the user names is followed");
        assert!(Dir::named(&inside.path().join("way")).is_ok());
    }

    #[test]
    fn what_was_opened_stays_what_it_is() {
        let top = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(top.path().join("a/b")).unwrap();
        let b = Dir::named(top.path()).unwrap().walk(Path::new("a/b")).unwrap();
        std::fs::rename(top.path().join("a"), top.path().join("moved")).unwrap();
        symlink("/", top.path().join("a")).unwrap();
        let (name, file) = b.create().unwrap();
        b.rename(&name, &b, OsStr::new("whole")).unwrap();
        assert!(top.path().join("moved/b/whole").is_file() && file.metadata().unwrap().is_file());
        assert_eq!(b.names().unwrap(), ["whole"]);
    }

    #[test]
    fn what_is_there_is_not_replaced() {
        let top = tempfile::tempdir().unwrap();
        let dir = Dir::named(top.path()).unwrap();
        for name in ["one", "two"] {
            std::fs::write(top.path().join(name), name).unwrap();
        }
        let moved = dir.rename_new(OsStr::new("one"), &dir, OsStr::new("two"));
        assert_eq!(moved.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        dir.rename_new(OsStr::new("one"), &dir, OsStr::new("three")).unwrap();
        assert_eq!(std::fs::read(top.path().join("two")).unwrap(), b"two");
        assert_eq!(dir.names().unwrap(), ["three", "two"]);
    }

    #[test]
    fn only_files_are_opened() {
        let top = tempfile::tempdir().unwrap();
        nix::unistd::mkfifo(&top.path().join("pipe"), Mode::S_IRWXU).unwrap();
        std::fs::create_dir(top.path().join("folder")).unwrap();
        let dir = Dir::named(top.path()).unwrap();
        for name in ["pipe", "folder"] {
            assert!(dir.read(OsStr::new(name)).is_err() && named(&top.path().join(name)).is_err(), "{name}");
        }
        assert!(dir.open(OsStr::new("pipe"), OFlag::O_RDONLY, 0).is_err());
        assert!(named(Path::new("/dev/null")).is_err());
    }
}
