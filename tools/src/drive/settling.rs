//! What was written to a file is on its disk before the peer is told that it arrived: a disk that is full, or one of a
//! server, may say so no earlier.

use std::fs::File;
use std::io;
use std::os::fd::{IntoRawFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::sync::mpsc::{Receiver, TryRecvError, channel};

use nix::errno::Errno;

/// A file that is put on its disk and closed, beside the loop: that may take as long as the disk likes.
#[derive(Debug)]
pub(super) struct Settling(Receiver<io::Result<()>>);

impl Settling {
    /// Begins; none where nothing is kept back: only files and disks do.
    pub(super) fn begin(output: OwnedFd) -> io::Result<Option<Settling>> {
        let file = File::from(output);
        let kind = file.metadata()?.file_type();
        if !kind.is_file() && !kind.is_block_device() {
            return Ok(None);
        }
        let (done, result) = channel();
        std::thread::Builder::new().name("settle".into()).spawn(move || drop(done.send(settle(file))))?;
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

/// A server's disk may say only at the close that it is full.
pub(super) fn settle(file: File) -> io::Result<()> {
    match file.sync_all() {
        // files that are on no disk: of /proc, or of a file system in a program
        Err(e) if matches!(e.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS | libc::EOPNOTSUPP | libc::EROFS)) => {}
        synced => synced?,
    }
    match nix::unistd::close(file.into_raw_fd()) {
        Err(Errno::EINTR) => Ok(()),
        closed => Ok(closed?),
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
