//! The user's side of a stream: stdin and stdout, or a command.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::error::{Doing, Failure, kinds};
use crate::guard::{self, Reach};
use crate::port::exec::Running;
use crate::stdio;

/// What a blocking descriptor takes for sure once it polls writable.
const PIPE_PIECE: usize = 4096;
const TTY_PIECE: usize = 256;

/// Where the stream comes from and goes to. Both descriptors keep their blocking mode: others may
/// share them.
#[derive(Debug)]
pub struct User {
    input: Option<OwnedFd>,
    output: Option<OwnedFd>,
    piece: usize,
    command: Option<(String, Running)>,
}

impl User {
    /// Nobody.
    pub(crate) fn none() -> User {
        User { input: None, output: None, piece: PIPE_PIECE, command: None }
    }
    /// Our own stdin and stdout.
    pub fn stdio() -> Result<User, Failure> {
        let (input, output) = (stdio::input()?, stdio::output()?);
        let piece = piece_of(&output);
        Ok(User { input: Some(input), output: Some(output), piece, command: None })
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
                output: Some(child.stdin.take().ok_or_else(missing)?.into()),
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
        match nix::unistd::read(input, buffer) {
            Ok(0) | Err(Errno::EIO) => {
                self.input = None;
                Ok(Some(0))
            }
            Ok(n) => Ok(Some(n)),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(None),
            Err(e) => Err(e.into()),
        }
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
    /// Passes the end of the stream on. Our own stdout is only let go.
    pub fn close_output(&mut self) {
        self.output = None;
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
    /// The signal that killed the command, if one did; waits for its end for a moment.
    pub fn killed_by(&mut self) -> Option<i32> {
        let (_, running) = self.command.as_mut()?;
        for _ in 0..50 {
            match running.child.try_wait() {
                Ok(Some(status)) => return status.signal(),
                Ok(None) => std::thread::sleep(std::time::Duration::from_millis(1)),
                Err(_) => return None,
            }
        }
        None
    }

    /// Closes the pipes and waits for the command to end, at most about a second by itself.
    pub fn end(mut self) -> Option<(String, io::Result<ExitStatus>)> {
        (self.input, self.output) = (None, None);
        let (name, mut running) = self.command.take()?;
        let until = std::time::Instant::now() + std::time::Duration::from_secs(1);
        while std::time::Instant::now() < until {
            match running.child.try_wait() {
                Ok(None) => std::thread::sleep(std::time::Duration::from_millis(2)),
                Ok(Some(status)) => return Some((name, Ok(status))),
                Err(e) => return Some((name, Err(e))),
            }
        }
        None // still running: dropping it makes it end
    }
}

#[allow(missing_docs)]
mod ioctl {
    nix::ioctl_read_bad!(fionread, libc::FIONREAD, libc::c_int);
}

/// What a blocking descriptor takes for sure once it polls writable.
pub(super) fn piece_of(output: &OwnedFd) -> usize {
    if nix::unistd::isatty(output) == Ok(true) { TTY_PIECE } else { PIPE_PIECE }
}

/// Bytes in a pipe.
#[allow(unsafe_code)]
pub(super) fn unread(pipe: BorrowedFd<'_>) -> usize {
    let mut n = 0;
    // SAFETY: FIONREAD writes one int
    match unsafe { ioctl::fionread(pipe.as_raw_fd(), &raw mut n) } {
        Ok(_) => n.max(0) as usize,
        Err(_) => 0,
    }
}
