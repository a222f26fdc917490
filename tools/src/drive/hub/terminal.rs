//! A command on a pseudo-terminal of its own.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use nix::pty::{Winsize, openpty};

#[allow(missing_docs)]
mod ioctl {
    nix::ioctl_write_ptr_bad!(tiocswinsz, libc::TIOCSWINSZ, libc::winsize);
    nix::ioctl_write_int_bad!(tiocsctty, libc::TIOCSCTTY);
}

/// Starts a command as the leader of a session on a new terminal; returns it and the master.
#[allow(unsafe_code)]
pub(super) fn spawn(mut command: Command) -> io::Result<(Child, OwnedFd)> {
    let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
    let pty = openpty(&size, None)?;
    for fd in [&pty.master, &pty.slave] {
        nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC))?;
    }
    command.stdin(Stdio::from(pty.slave.try_clone()?)).stdout(Stdio::from(pty.slave.try_clone()?)).stderr(Stdio::from(pty.slave));
    // SAFETY: setsid and an ioctl are safe between fork and exec
    unsafe {
        command.pre_exec(|| {
            nix::unistd::setsid()?;
            ioctl::tiocsctty(0, 0)?;
            Ok(())
        });
    }
    Ok((command.spawn()?, pty.master))
}

/// Sets the size of a terminal: rows x 65536 + columns.
#[allow(unsafe_code)]
pub(super) fn resize(master: BorrowedFd<'_>, value: u32) {
    let size = libc::winsize { ws_row: (value >> 16) as u16, ws_col: value as u16, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: reads one winsize
    let _ = unsafe { ioctl::tiocswinsz(master.as_raw_fd(), &raw const size) };
}
