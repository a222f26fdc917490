//! The pseudo-terminal that stands for an adapter.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::openpty;
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};

/// A pseudo-terminal with a link to it at a path; both go when it is dropped.
#[derive(Debug)]
pub struct Pty {
    master: OwnedFd,
    path: PathBuf,
}

impl Pty {
    /// Makes one; an older link at `path` is replaced, anything else there is left alone.
    pub fn new(path: &Path) -> io::Result<Pty> {
        match std::fs::symlink_metadata(path) {
            Ok(meta) if !meta.file_type().is_symlink() => {
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is something else already"));
            }
            _ => {}
        }
        let pty = openpty(None, None)?;
        let mut settings = tcgetattr(&pty.slave)?;
        cfmakeraw(&mut settings);
        tcsetattr(&pty.slave, SetArg::TCSANOW, &settings)?;
        crate::port::set_nonblocking(pty.master.as_fd())?;
        // a program started from here must not hold the adapter: it could not be unplugged
        fcntl(&pty.master, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        let name = nix::unistd::ttyname(&pty.slave)?;
        // the slave is let go: once nobody has it open, the master says so
        drop(pty.slave);
        let mut beside = path.as_os_str().to_owned();
        beside.push(".new");
        let _ = std::fs::remove_file(&beside);
        std::os::unix::fs::symlink(name, &beside)?;
        std::fs::rename(&beside, path)?;
        Ok(Pty { master: pty.master, path: path.to_owned() })
    }
    /// What to poll.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.master.as_fd()
    }
    /// Whether some program has the other side open.
    pub fn is_open(&self) -> bool {
        let mut fds = [PollFd::new(self.fd(), PollFlags::empty())];
        let _ = poll(&mut fds, PollTimeout::ZERO);
        !fds[0].revents().is_some_and(|r| r.contains(PollFlags::POLLHUP))
    }
    /// Reads what was written to the other side; 0 when nothing is there.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match nix::unistd::read(&self.master, buffer) {
            Ok(n) => Ok(n),
            Err(Errno::EIO | Errno::EAGAIN | Errno::EINTR) => Ok(0),
            Err(e) => Err(e.into()),
        }
    }
    /// Gives bytes to the other side; returns how many fitted.
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match nix::unistd::write(&self.master, bytes) {
            Ok(n) => Ok(n),
            Err(Errno::EIO | Errno::EAGAIN | Errno::EINTR) => Ok(0),
            Err(e) => Err(e.into()),
        }
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Opens the far side of a simulated wire raw, without a lock: for tests that are no hardline.
pub fn open_raw(path: &Path) -> io::Result<File> {
    // never as the controlling terminal of a process that has none
    let file = File::options().read(true).write(true).custom_flags(libc::O_NOCTTY).open(path)?;
    let mut settings = tcgetattr(&file)?;
    cfmakeraw(&mut settings);
    tcsetattr(&file, SetArg::TCSANOW, &settings)?;
    Ok(file)
}
