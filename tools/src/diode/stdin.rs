//! The input of a stream or of lines. A read error is never taken for its end.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::PollFlags;

use crate::drive::user::{is_hung_up_terminal, waiting};
use crate::drive::wait;
use crate::error::Failure;
use crate::progress::is_file;
use crate::stdio;

/// Our own stdin; it keeps its blocking mode, since others may share it.
#[derive(Debug)]
pub(super) struct Stdin(Option<OwnedFd>);

impl Stdin {
    pub(super) fn open() -> Result<Stdin, Failure> {
        Ok(Stdin(Some(stdio::input()?)))
    }
    /// What to poll; none after its end.
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.0.as_ref().map(AsFd::as_fd)
    }
    /// Whether something is left in it: bytes that wait, or a file that was not read to its end.
    pub(super) fn has_more(&self) -> bool {
        let Some(fd) = &self.0 else { return false };
        let ready = wait(&[(fd.as_fd(), PollFlags::POLLIN)], Some(Duration::ZERO));
        let is_readable = ready.is_ok_and(|ready| ready[0].contains(PollFlags::POLLIN));
        is_file(fd) || is_readable && waiting(fd.as_fd()) != Some(0)
    }
    /// Reads once; `Ok(Some(0))` is the end, after which nothing is read any more.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let Some(fd) = &self.0 else { return Ok(None) };
        match nix::unistd::read(fd, buffer) {
            // what was typed may not have been all
            Ok(0) if is_hung_up_terminal(fd) => Err(Errno::EIO.into()),
            Ok(0) => {
                self.0 = None;
                Ok(Some(0))
            }
            Ok(n) => Ok(Some(n)),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }
}
