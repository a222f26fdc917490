//! Our own terminal: raw while a console is on it, and restored whatever happens.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use nix::unistd::{isatty, ttyname};

use super::super::user::piece_of;
use crate::error::Failure;
use crate::stdio;

#[allow(missing_docs)]
mod ioctl {
    nix::ioctl_read_bad!(tiocgwinsz, libc::TIOCGWINSZ, libc::winsize);
}

/// stdin and stdout, of which either may be something else than a terminal. Their blocking modes are
/// left alone: others share them.
#[derive(Debug)]
pub(super) struct Terminal {
    pub(super) input: OwnedFd,
    pub(super) output: OwnedFd,
    /// Somebody types; somebody looks.
    pub(super) types: bool,
    pub(super) looks: bool,
    /// Most bytes to write at once.
    pub(super) piece: usize,
    /// The settings to restore.
    before: Option<Termios>,
}

impl Terminal {
    pub(super) fn own() -> Result<Terminal, Failure> {
        Ok(Terminal::of(stdio::input()?, stdio::output()?))
    }
    fn of(input: OwnedFd, output: OwnedFd) -> Terminal {
        let (types, looks) = (isatty(&input) == Ok(true), isatty(&output) == Ok(true));
        let piece = piece_of(&output);
        Terminal { input, output, types, looks, piece, before: None }
    }
    /// Keys go to the far end as they are. Never waits for output to drain: that may be stopped.
    pub(super) fn make_raw(&mut self) -> io::Result<()> {
        if self.types && self.before.is_none() {
            self.before = Some(tcgetattr(&self.input)?);
        }
        self.make_raw_again()
    }
    /// After a stop somebody else may have set it.
    pub(super) fn make_raw_again(&self) -> io::Result<()> {
        if let Some(before) = &self.before {
            let mut raw = before.clone();
            cfmakeraw(&mut raw);
            tcsetattr(&self.input, SetArg::TCSANOW, &raw)?;
        }
        Ok(())
    }
    pub(super) fn restore(&mut self) {
        if let Some(before) = self.before.take() {
            let _ = tcsetattr(&self.input, SetArg::TCSANOW, &before);
        }
    }
    /// Rows x 65536 + columns; none where there is no terminal, or it does not know.
    #[allow(unsafe_code)]
    pub(super) fn size(&self) -> Option<u32> {
        let fd = if self.looks { &self.output } else { &self.input };
        let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: writes one winsize
        unsafe { ioctl::tiocgwinsz(fd.as_raw_fd(), &raw mut size) }.ok()?;
        let value = u32::from(size.ws_row) << 16 | u32::from(size.ws_col);
        (value != 0).then_some(value)
    }
    /// Who is at it, for others to read.
    pub(super) fn who(&self) -> String {
        let user = std::env::var("USER").unwrap_or_else(|_| format!("uid {}", nix::unistd::getuid()));
        let tty = ttyname(&self.input).ok().filter(|_| self.types);
        let place = tty.map(|t| format!(" on {}", t.strip_prefix("/dev").unwrap_or(&t).display()));
        format!("{user}{} (process {})", place.unwrap_or_default(), std::process::id())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.restore();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::termios::LocalFlags;

    #[test]
    fn a_panic_leaves_the_terminal_as_it_was() {
        let pty = nix::pty::openpty(None, None).unwrap();
        let canonical = || tcgetattr(&pty.slave).unwrap().local_flags.contains(LocalFlags::ICANON);
        let used = std::panic::catch_unwind(|| {
            let mut terminal = Terminal::of(pty.slave.try_clone().unwrap(), pty.slave.try_clone().unwrap());
            terminal.make_raw().unwrap();
            assert!(canonical(), "it is raw");
        });
        assert!(used.is_err() && canonical());
    }
}
