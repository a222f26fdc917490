//! Our own terminal: raw while a console is on it, and restored whatever happens.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use nix::unistd::{isatty, ttyname};

use super::super::user::{is_hung_up_terminal, piece_of};
use crate::error::Failure;
use crate::stdio;

#[allow(missing_docs)]
mod ioctl {
    nix::ioctl_read_bad!(tiocgwinsz, libc::TIOCGWINSZ, libc::winsize);
}

/// stdin and stdout, of which either may be something else than a terminal. Their blocking modes are
/// left alone: others share them.
#[derive(Debug)]
pub(crate) struct Terminal {
    pub(crate) input: OwnedFd,
    pub(crate) output: OwnedFd,
    /// Somebody types; somebody looks.
    pub(crate) types: bool,
    pub(crate) looks: bool,
    /// Most bytes to write at once.
    pub(crate) piece: usize,
    /// The settings to restore.
    before: Option<Termios>,
}

impl Terminal {
    pub(crate) fn own() -> Result<Terminal, Failure> {
        Ok(Terminal::with_input(stdio::input()?, stdio::output()?))
    }
    pub(crate) fn with_input(input: OwnedFd, output: OwnedFd) -> Terminal {
        let (types, looks) = (isatty(&input) == Ok(true), isatty(&output) == Ok(true));
        let piece = piece_of(&output);
        Terminal { input, output, types, looks, piece, before: None }
    }
    /// Keys go to the far end as they are. Never waits for output to drain: that may be stopped.
    pub(crate) fn make_raw(&mut self) -> io::Result<()> {
        if self.types && self.before.is_none() {
            self.before = Some(tcgetattr(&self.input)?);
        }
        self.make_raw_again()
    }
    /// After a stop somebody else may have set it.
    pub(crate) fn make_raw_again(&self) -> io::Result<()> {
        if let Some(before) = &self.before {
            let mut raw = before.clone();
            cfmakeraw(&mut raw);
            tcsetattr(&self.input, SetArg::TCSANOW, &raw)?;
        }
        Ok(())
    }
    pub(crate) fn restore(&mut self) {
        if let Some(before) = self.before.take() {
            let _ = tcsetattr(&self.input, SetArg::TCSANOW, &before);
        }
    }
    /// Rows x 65536 + columns; none where there is no terminal, or it does not know.
    pub(crate) fn size(&self) -> Option<u32> {
        let (rows, columns) = window_size(if self.looks { &self.output } else { &self.input })?;
        Some(u32::from(rows) << 16 | u32::from(columns))
    }
    /// Whether there is a terminal, and one that is not hung up.
    pub(crate) fn lives(&self) -> bool {
        (self.types || self.looks) && !self.is_gone()
    }
    /// Whether it was hung up: nobody will type any more, or look.
    pub(crate) fn is_gone(&self) -> bool {
        self.types && is_hung_up_terminal(&self.input) || self.looks && is_hung_up_terminal(&self.output)
    }
    /// Who is at it, for others to read.
    pub(crate) fn who(&self) -> String {
        let user = std::env::var("USER").unwrap_or_else(|_| format!("uid {}", nix::unistd::getuid()));
        let tty = ttyname(&self.input).ok().filter(|_| self.types);
        let place = tty.map(|t| format!(" on {}", t.strip_prefix("/dev").unwrap_or(&t).display()));
        format!("{user}{} (process {})", place.unwrap_or_default(), std::process::id())
    }
}

/// Rows and columns of a terminal; none where this is no terminal, or one that does not know.
#[allow(unsafe_code)]
pub(crate) fn window_size(of: impl AsFd) -> Option<(u16, u16)> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: writes one winsize
    unsafe { ioctl::tiocgwinsz(of.as_fd().as_raw_fd(), &raw mut size) }.ok()?;
    (size.ws_row > 0 && size.ws_col > 0).then_some((size.ws_row, size.ws_col))
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
            let mut terminal = Terminal::with_input(pty.slave.try_clone().unwrap(), pty.slave.try_clone().unwrap());
            terminal.make_raw().unwrap();
            assert!(canonical(), "it is raw");
        });
        assert!(used.is_err() && canonical());
    }
}
