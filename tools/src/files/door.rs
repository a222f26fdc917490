//! Where a receiver waits for senders: a Unix socket of its own, that the wire connects a channel to.

use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use nix::poll::PollFlags;
use tempfile::TempDir;

use super::folder::Folder;
use super::progress::{Progress, Show};
use super::receiver::receive;
use crate::drive::wait;
use crate::error::{Doing, Failure, kinds};
use crate::limit;

/// A socket in a folder for its owner alone, which goes with it.
#[derive(Debug)]
pub struct Door {
    _dir: TempDir,
    path: PathBuf,
}

/// A receiver that waits at a door, in a thread of its own.
#[derive(Debug)]
pub struct Opened {
    /// Closed by the thread when it ends; it ends when this is.
    thread: UnixStream,
    result: Receiver<Result<(), Failure>>,
}

/// What the thread needs.
struct Porter {
    listener: UnixListener,
    told: UnixStream,
    folder: Folder,
    show: Show,
}

impl Door {
    /// Makes the folder; nobody listens yet.
    pub fn new() -> io::Result<Door> {
        let permissions = std::fs::Permissions::from_mode(0o700);
        let dir = tempfile::Builder::new().prefix("hardline-recv-").permissions(permissions).tempdir()?;
        Ok(Door { path: dir.path().join("files"), _dir: dir })
    }
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
    /// Takes what one sender has into the folder, or what all have with `forever`.
    pub fn open(&self, folder: Folder, forever: bool, show: Show) -> io::Result<Opened> {
        let listener = UnixListener::bind(&self.path)?;
        listener.set_nonblocking(true)?;
        let (thread, told) = UnixStream::pair()?;
        let (done, result) = channel();
        let porter = Porter { listener, told, folder, show };
        std::thread::Builder::new().spawn(move || {
            if forever {
                porter.serve_all();
            } else if let Some(result) = porter.serve_one() {
                let _ = done.send(result);
            }
        })?;
        Ok(Opened { thread, result })
    }
}

impl Opened {
    /// What to poll: readable when it is over.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.thread.as_fd()
    }
    /// Waits no longer for a sender; how the transfer went, if there was one.
    pub fn end(self, patience: Duration) -> Option<Result<(), Failure>> {
        let _ = self.thread.shutdown(Shutdown::Write);
        self.result.recv_timeout(patience).ok()
    }
}

impl Porter {
    fn accept(&self) -> io::Result<Option<UnixStream>> {
        loop {
            let ready = wait(&[(self.listener.as_fd(), PollFlags::POLLIN), (self.told.as_fd(), PollFlags::POLLIN)], None)?;
            if !ready[1].is_empty() {
                return Ok(None);
            }
            match self.listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false)?;
                    return Ok(Some(stream));
                }
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionAborted) => {}
                Err(e) => return Err(e),
            }
        }
    }
    /// One sender; another one that comes meanwhile is not heard.
    fn serve_one(self) -> Option<Result<(), Failure>> {
        let stream = match self.accept().doing(kinds::SYSTEM, || "wait for a sender".into()) {
            Ok(stream) => stream?,
            Err(failure) => return Some(Err(failure)),
        };
        let Porter { listener, told, folder, show } = self;
        drop(listener);
        let result = take(stream, &folder, show);
        // after the folder is free
        drop(folder);
        drop(told);
        Some(result)
    }
    /// One sender after the other.
    fn serve_all(self) {
        loop {
            let result = match self.accept().doing(kinds::SYSTEM, || "wait for a sender".into()) {
                Ok(Some(stream)) => take(stream, &self.folder, self.show),
                Ok(None) => return,
                Err(failure) => return tracing::error!(code = %failure.kind, "{failure}"),
            };
            if let Err(failure) = result {
                limit::warn(&failure.kind, &failure);
            }
        }
    }
}

fn take(stream: UnixStream, folder: &Folder, show: Show) -> Result<(), Failure> {
    let mut progress = Progress::new(show);
    let summary = receive(&stream, &stream, folder, &mut progress)?;
    progress.finish("received", &summary)?;
    summary.verdict()
}
