//! The pseudo-terminal that stands for an adapter.

use std::fs::{File, Metadata};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{OpenptyResult, openpty};
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};

/// A pseudo-terminal with a link to it at a path; both go when it is dropped.
#[derive(Debug)]
pub struct Pty {
    /// Bound while this is there, however it ends: tells others that the link is not stale. Let go before the
    /// terminal, whose number is given to the next one at once.
    _claim: UnixDatagram,
    master: OwnedFd,
    /// What the link leads to.
    name: PathBuf,
    path: PathBuf,
    /// The rate before any program has set one.
    unset: Option<u32>,
}

/// How many numbers are passed over whose claims are still held.
const PASSED: usize = 64;

impl Pty {
    /// Makes one; a link at `path` that a simulation left behind is replaced, anything else there is
    /// left alone.
    pub fn new(path: &Path) -> io::Result<Pty> {
        if is_stale(path)? {
            std::fs::remove_file(path)?;
        }
        let (pty, name, claim) = take()?;
        let mut settings = tcgetattr(&pty.slave)?;
        cfmakeraw(&mut settings);
        tcsetattr(&pty.slave, SetArg::TCSANOW, &settings)?;
        crate::port::set_nonblocking(pty.master.as_fd())?;
        // a program started from here must not hold the adapter: it could not be unplugged
        fcntl(&pty.master, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        // the slave is let go: once nobody has it open, the master says so
        drop(pty.slave);
        std::os::unix::fs::symlink(&name, path)?;
        let mut pty = Pty { _claim: claim, master: pty.master, name, path: path.to_owned(), unset: None };
        pty.unset = pty.baud();
        Ok(pty)
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
    /// Bits per second that the program on the other side has set; none when it has set none (B0).
    pub fn baud(&self) -> Option<u32> {
        // the master shares the settings of its slave
        crate::port::termios::baud(self.fd()).ok().filter(|&b| b > 0)
    }
    /// The same, if any program has set one.
    pub fn set_baud(&self) -> Option<u32> {
        self.baud().filter(|_| self.baud() != self.unset)
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
        // by now the path may be somebody else's
        if std::fs::read_link(&self.path).is_ok_and(|to| to == self.name) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Takes a new terminal, its name and the claim on it.
fn take() -> io::Result<(OpenptyResult, PathBuf, UnixDatagram)> {
    // a simulation that is killed may lose its number a moment before its claim: another number will do
    let mut passed = Vec::new();
    loop {
        let pty = openpty(None, None)?;
        let name = nix::unistd::ttyname(&pty.slave)?;
        match UnixDatagram::bind_addr(&claim_on(&std::fs::metadata(&name)?)?) {
            Err(e) if e.kind() == io::ErrorKind::AddrInUse && passed.len() < PASSED => passed.push(pty),
            claim => return Ok((pty, name, claim?)),
        }
    }
}

/// Whether a simulation left a link at this path and is gone; an error when something else is there.
fn is_stale(path: &Path) -> io::Result<bool> {
    let refuse = |why: String| Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
    match std::fs::symlink_metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(e),
        Ok(meta) if !meta.is_symlink() => {
            return refuse("what is there is not a link of an earlier 'hardline sim'; remove it or choose another path".into());
        }
        Ok(_) => {}
    }
    let to = std::fs::read_link(path)?;
    let terminal = match std::fs::metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(true),
        meta => meta?,
    };
    if !to.starts_with("/dev/pts") {
        return refuse(format!("there is a link to {} already; remove it or choose another path", to.display()));
    }
    // a number outlives its terminal and is given to the next one: only the claim tells whose that is
    if UnixDatagram::unbound()?.connect_addr(&claim_on(&terminal)?).is_ok() {
        return refuse("another 'hardline sim' has an end there; end that one or choose another path".into());
    }
    Ok(true)
}

/// The address a simulation holds as long as this terminal is its own: abstract, so that it goes with the
/// process.
fn claim_on(terminal: &Metadata) -> io::Result<SocketAddr> {
    // containers may share abstract addresses and have terminals of their own
    SocketAddr::from_abstract_name(format!("hardline-sim-{}-{}", terminal.dev(), terminal.ino()))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The kernel gives the number of a closed terminal to the next one, at once.
    #[test]
    fn others_that_end_are_in_nobodys_way() {
        let dir = tempfile::tempdir().unwrap();
        let churn = &|name: &str| {
            for _ in 0..300 {
                Pty::new(&dir.path().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
            }
        };
        std::thread::scope(|scope| {
            for name in ["a", "b", "c", "d"] {
                scope.spawn(move || churn(name));
            }
        });
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "their links go with them");
    }
    #[test]
    fn a_claim_may_outlive_its_terminal() {
        let (pty, name, claim) = take().unwrap();
        drop(pty);
        let (_pty, other, _claim) = take().unwrap();
        assert_ne!(name, other, "whose claim is still held");
        drop(claim);
    }
}
