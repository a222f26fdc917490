//! A command on a pseudo-terminal of its own.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use crate::guard::{self, Reach};
use nix::pty::{Winsize, openpty};
use nix::sys::termios::{InputFlags, LocalFlags, SpecialCharacterIndices, tcgetattr};

#[allow(missing_docs)]
mod ioctl {
    nix::ioctl_write_ptr_bad!(tiocswinsz, libc::TIOCSWINSZ, libc::winsize);
    nix::ioctl_write_int_bad!(tiocsctty, libc::TIOCSCTTY);
    // of the kernel, asm-generic/ioctls.h
    nix::ioctl_write_int_bad!(tiocsig, nix::request_code_write!(b'T', 0x36, size_of::<libc::c_int>()));
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
    Ok((guard::spawn(&mut command, Reach::Group)?, pty.master))
}

/// Sets the size of a terminal: rows x 65536 + columns.
#[allow(unsafe_code)]
pub(super) fn resize(master: BorrowedFd<'_>, value: u32) {
    let size = libc::winsize { ws_row: (value >> 16) as u16, ws_col: value as u16, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: reads one winsize
    let _ = unsafe { ioctl::tiocswinsz(master.as_raw_fd(), &raw const size) };
}

/// What a break does on a terminal that has none: it types the character that interrupts. Where the
/// terminal's settings ignore breaks, nothing.
#[allow(unsafe_code)]
pub(super) fn interrupt(master: BorrowedFd<'_>) {
    let Ok(settings) = tcgetattr(master) else { return };
    let character = settings.control_chars[SpecialCharacterIndices::VINTR as usize];
    if settings.input_flags.contains(InputFlags::IGNBRK) || character == 0 {
        return;
    }
    let typed = nix::unistd::write(master, &[character]);
    if typed.is_err() && settings.local_flags.contains(LocalFlags::ISIG) {
        // nobody reads what was typed before: past it
        // SAFETY: takes an int
        let _ = unsafe { ioctl::tiocsig(master.as_raw_fd(), libc::SIGINT) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::os::unix::process::ExitStatusExt;

    #[test]
    fn a_break_gets_past_what_nobody_reads() {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "stty -icanon -echo; echo; exec sleep 1000"]);
        let (mut child, master) = spawn(command).unwrap();
        nix::unistd::read(&master, &mut [0u8; 64]).unwrap();
        crate::port::set_nonblocking(master.as_fd()).unwrap();
        while nix::unistd::write(&master, &[b'x'; 4096]).is_ok() {}
        interrupt(master.as_fd());
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGINT));
    }
}
