//! The user's side of a stream: stdin and stdout, or a command.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;

use super::settling::Settling;
use crate::error::{Doing, Failure, kinds};
use crate::guard::{self, Reach};
use crate::port::exec::Running;
use crate::stdio;

/// What a blocking descriptor takes for sure once it polls writable.
const PIPE_PIECE: usize = 4096;
const TTY_PIECE: usize = 256;
/// A command that has closed its output goes on, if it has not ended after so long; or is ending, but not after so long.
const ENDS: Duration = Duration::from_millis(50);
const ENDS_LATE: Duration = Duration::from_secs(5);

/// Where the stream comes from and goes to. Both descriptors keep their blocking mode: others may
/// share them.
#[derive(Debug)]
pub struct User {
    input: Option<OwnedFd>,
    /// The input is the terminal of our session.
    seated: bool,
    /// The input was a terminal, and ended because that hung up.
    hung_up: bool,
    output: Option<OwnedFd>,
    /// The output was a file: it is being put on its disk.
    settling: Option<Settling>,
    piece: usize,
    command: Option<(String, Running)>,
}

impl User {
    /// Nobody.
    pub(crate) fn none() -> User {
        User { input: None, seated: false, hung_up: false, output: None, settling: None, piece: PIPE_PIECE, command: None }
    }
    /// Our own stdin and stdout.
    pub fn stdio() -> Result<User, Failure> {
        let (input, output) = (stdio::input()?, stdio::output()?);
        let (seated, piece) = (is_own_terminal(&input), piece_of(&output));
        Ok(User { input: Some(input), seated, hung_up: false, output: Some(output), settling: None, piece, command: None })
    }

    /// The stdin and stdout of a command started now.
    pub fn command(words: &[String]) -> Result<User, Failure> {
        let name = words.join(" ");
        let started = || -> io::Result<User> {
            let mut command = Command::new(&words[0]);
            command.args(&words[1..]).stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut child = guard::spawn(&mut command, Reach::Tree)?;
            let missing = || io::Error::other("no pipe to the command");
            Ok(User {
                input: Some(child.stdout.take().ok_or_else(missing)?.into()),
                seated: false,
                hung_up: false,
                output: Some(child.stdin.take().ok_or_else(missing)?.into()),
                settling: None,
                piece: PIPE_PIECE,
                command: Some((name.clone(), Running { child, reach: Reach::Tree })),
            })
        };
        started().doing(kinds::COMMAND_UNSTARTED, || format!("run '{name}'"))
    }

    /// What to read from; none after its end.
    pub fn input(&self) -> Option<BorrowedFd<'_>> {
        self.input.as_ref().map(AsFd::as_fd)
    }
    /// What to write to; none once closed.
    pub fn output(&self) -> Option<BorrowedFd<'_>> {
        self.output.as_ref().map(AsFd::as_fd)
    }
    /// Most bytes to give to [`User::write`] at once.
    pub fn piece(&self) -> usize {
        self.piece
    }

    /// Reads once; `Ok(Some(0))` is the end, after which the input is closed.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let Some(input) = &self.input else { return Ok(None) };
        let read = read_once(input, buffer)?;
        if read == Some(0) {
            self.hung_up = is_hung_up_terminal(input);
            self.input = None;
        }
        Ok(read)
    }
    /// Whether the input ended because the user hung up: what was typed may not have been all. SIGHUP, if it is not ignored, may
    /// come before or after; `signalled`: it came.
    pub fn is_cut_off(&self, signalled: bool) -> bool {
        self.hung_up && (self.seated || signalled)
    }
    /// Writes once, at most [`User::piece`] bytes.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(output) = &self.output else { return Err(Errno::EPIPE.into()) };
        match nix::unistd::write(output, bytes) {
            Ok(n) => Ok(n),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(0),
            Err(e) => Err(e.into()),
        }
    }
    /// Lets the output go, whatever becomes of it.
    pub fn close_output(&mut self) {
        self.output = None;
    }
    /// Passes the end of the stream on; none while a file is still being put on its disk.
    pub(super) fn end_output(&mut self) -> Option<io::Result<()>> {
        if let Some(output) = self.output.take() {
            match Settling::begin(output) {
                Ok(settling) => self.settling = settling,
                Err(e) => return Some(Err(e)),
            }
        }
        let result = self.settling.as_ref().map_or(Some(Ok(())), Settling::result);
        if result.is_some() {
            self.settling = None;
        }
        result
    }
    /// Whether nothing will say that [`User::end_output`] has come to an end.
    pub(super) fn is_settling(&self) -> bool {
        self.settling.is_some()
    }

    /// Bytes written that the command has not read; 0 for our own stdout.
    pub fn unread(&self) -> usize {
        match (&self.command, &self.output) {
            (Some(_), Some(output)) => unread(output.as_fd()),
            _ => 0,
        }
    }
    /// Whether there is a command in the place of stdin and stdout.
    pub fn is_command(&self) -> bool {
        self.command.is_some()
    }
    /// Whether whoever writes the input is gone for good: a pipe or socket without a writer. What is
    /// in it can still be read to its end.
    pub fn writer_is_gone(&self) -> bool {
        let Some(input) = &self.input else { return true };
        let kind = std::fs::File::from(match input.try_clone() {
            Ok(fd) => fd,
            Err(_) => return false,
        })
        .metadata()
        .map(|m| m.file_type());
        let mut fds = [PollFd::new(input.as_fd(), PollFlags::empty())];
        let _ = poll(&mut fds, PollTimeout::ZERO);
        let hung_up = fds[0].revents().is_some_and(|r| r.contains(PollFlags::POLLHUP));
        hung_up && kind.is_ok_and(|k| k.is_fifo() || k.is_socket())
    }
    /// The signal that killed the command, if one did; waits for its end for a moment, and while it is ending.
    ///
    /// # Errors
    /// Nobody can know.
    pub fn killed_by(&self) -> io::Result<Option<i32>> {
        let Some((_, running)) = &self.command else { return Ok(None) };
        let began = Instant::now();
        loop {
            if let Some(status) = guard::ended(&running.child)? {
                return Ok(status.signal());
            }
            if began.elapsed() > if guard::is_ending(&running.child) { ENDS_LATE } else { ENDS } {
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Closes the pipes. Where the command's input was `lost` it hears a signal before that ends: half of it is not the whole.
    pub fn close(&mut self, lost: bool) {
        if let (Some((_, running)), Some(_), true) = (&self.command, &self.output, lost) {
            guard::signal(&running.child, running.reach, Some(Signal::SIGTERM));
        }
        (self.input, self.output) = (None, None);
    }
    /// How the command ended; none while it runs, or where there is none. Dropping it makes it end.
    pub fn ended(&self) -> Option<(&str, io::Result<ExitStatus>)> {
        let (name, running) = self.command.as_ref()?;
        guard::ended(&running.child).transpose().map(|ended| (name.as_str(), ended))
    }
    /// The command, if it has not ended.
    pub fn running(&self) -> Option<&str> {
        self.command.as_ref().map(|(name, _)| name.as_str()).filter(|_| self.ended().is_none())
    }
}

#[allow(missing_docs)]
mod ioctl {
    nix::ioctl_read_bad!(fionread, libc::FIONREAD, libc::c_int);
}

/// Why output is not whole: whoever reads it is gone, or it cannot be written. `left`: bytes that are known to be missing.
pub(super) fn unwritten(why: &io::Error, left: usize) -> Failure {
    let kind = match why.kind() {
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => kinds::OUTPUT_CLOSED,
        _ => kinds::OUTPUT_UNWRITABLE,
    };
    let what = match left {
        0 => "what came from the peer may be missing there".into(),
        n => format!("{n} bytes or more from the peer were not delivered"),
    };
    Failure::new(kind, format!("cannot write the output: {why}; {what}"))
}

/// Reads once; `Some(0)` is the end, none that nothing is there now. A terminal whose other side is gone says EIO at its
/// end; everywhere else that is a disk that fails, and no end.
pub(super) fn read_once(input: &OwnedFd, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    match nix::unistd::read(input, buffer) {
        Ok(n) => Ok(Some(n)),
        Err(Errno::EAGAIN | Errno::EINTR) => Ok(None),
        Err(Errno::EIO) if is_hung_up_terminal(input) => Ok(Some(0)),
        Err(e) => Err(e.into()),
    }
}

/// Not so one that must not be read from the background.
pub(crate) fn is_hung_up_terminal(input: impl AsFd) -> bool {
    let mut fds = [PollFd::new(input.as_fd(), PollFlags::empty())];
    let _ = poll(&mut fds, PollTimeout::ZERO);
    let hung_up = fds[0].revents().is_some_and(|r| r.contains(PollFlags::POLLHUP));
    // of one that is hung up the kernel says no more than EIO
    hung_up && matches!(nix::unistd::isatty(input.as_fd()), Ok(true) | Err(Errno::EIO))
}

/// Whether it is the terminal of our session, and so the one whose end is our user's.
fn is_own_terminal(input: impl AsFd) -> bool {
    let session = nix::unistd::getsid(None);
    session.is_ok() && nix::sys::termios::tcgetsid(input) == session
}

/// What a blocking descriptor takes for sure once it polls writable.
pub(crate) fn piece_of(output: &impl AsFd) -> usize {
    if nix::unistd::isatty(output) == Ok(true) { TTY_PIECE } else { PIPE_PIECE }
}

/// Bytes in a pipe.
pub(super) fn unread(pipe: BorrowedFd<'_>) -> usize {
    waiting(pipe).unwrap_or(0)
}

/// Bytes that can be read of a pipe, a socket or a terminal; none where nobody knows.
#[allow(unsafe_code)]
pub(crate) fn waiting(fd: BorrowedFd<'_>) -> Option<usize> {
    let mut n = 0;
    // SAFETY: FIONREAD writes one int
    unsafe { ioctl::fionread(fd.as_raw_fd(), &raw mut n) }.ok()?;
    usize::try_from(n).ok()
}
