//! The input of a stream or of lines. A read error is never taken for its end.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;

use crate::error::Failure;
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
    /// Reads once; `Ok(Some(0))` is the end, after which nothing is read any more.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let Some(fd) = &self.0 else { return Ok(None) };
        match nix::unistd::read(fd, buffer) {
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
