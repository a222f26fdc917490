//! What was written to a file is on its disk before the peer is told that it arrived: a disk that is full, or one of a
//! server, may say so no earlier.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, TryRecvError, channel};

use crate::disk;

/// A file that is put on its disk and closed, beside the loop: that may take as long as the disk likes.
#[derive(Debug)]
pub(super) struct Settling(Receiver<io::Result<()>>);

impl Settling {
    /// Begins; none where nothing is kept back: only files and disks do.
    pub(super) fn begin(output: OwnedFd) -> io::Result<Option<Settling>> {
        let file = File::from(output);
        if !disk::keeps_back(&file)? {
            return Ok(None);
        }
        let (done, result) = channel();
        std::thread::Builder::new().name("settle".into()).spawn(move || drop(done.send(disk::settle(file))))?;
        Ok(Some(Settling(result)))
    }
    /// How it went; none while it goes on.
    pub(super) fn result(&self) -> Option<io::Result<()>> {
        match self.0.try_recv() {
            Ok(result) => Some(result),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Err(io::Error::other("it could not be put on its disk"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_on_a_disk_is_waited_for() {
        let (_, writer) = std::io::pipe().unwrap();
        assert!(Settling::begin(writer.into()).unwrap().is_none());
        let settling = Settling::begin(tempfile::tempfile().unwrap().into()).unwrap().unwrap();
        settling.0.recv().unwrap().unwrap();
    }
}
