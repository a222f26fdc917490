//! The output of a stream or of lines. It keeps its blocking mode, since others may share it: nothing is written before it
//! polls writable, and a signal ends the wait.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::PollFlags;

use super::send::check;
use crate::disk;
use crate::drive::user::piece_of;
use crate::drive::wait;
use crate::error::{Doing, Failure, kinds};
use crate::signal::Signals;
use crate::stdio;

/// Our own stdout.
#[derive(Debug)]
pub struct Stdout {
    fd: OwnedFd,
    /// Bytes it takes for sure once it polls writable.
    piece: usize,
}

impl Stdout {
    /// Fails where there is none.
    pub fn open() -> Result<Stdout, Failure> {
        let fd = stdio::output()?;
        Ok(Stdout { piece: piece_of(&fd), fd })
    }
    /// Writes all of it, waiting while nobody takes it, unless a signal asks for the end.
    pub(super) fn write(&self, mut bytes: &[u8], signals: &Signals) -> Result<(), Failure> {
        while !bytes.is_empty() {
            let fds = [(self.fd.as_fd(), PollFlags::POLLOUT), (signals.fd(), PollFlags::POLLIN)];
            let ready = wait(&fds, None).doing(kinds::SYSTEM, || "wait for the output".into())?;
            if !ready[1].is_empty() {
                check(signals).map_err(|failure| failure.with("interrupted".into()))?;
            }
            if ready[0].is_empty() {
                continue;
            }
            match nix::unistd::write(&self.fd, &bytes[..bytes.len().min(self.piece)]) {
                Ok(n) => bytes = &bytes[n..],
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                Err(e) => return Err(failed(e.into())),
            }
        }
        Ok(())
    }
    /// What was written is on its disk, where it is a file: a disk that is full, or one of a server, may say so no earlier.
    pub(super) fn settle(self) -> Result<(), Failure> {
        let file = File::from(self.fd);
        let settled = disk::keeps_back(&file).and_then(|keeps| if keeps { disk::settle(file) } else { Ok(()) });
        settled.map_err(failed)
    }
}

fn failed(why: io::Error) -> Failure {
    Failure::new(kinds::OUTPUT_FAILED, format!("cannot write the output: {why}"))
}
