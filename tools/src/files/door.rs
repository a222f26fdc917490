//! Where a receiver waits for senders: the wire hands it a socket for each channel to it. Nothing of that is in a folder, where
//! it could be in somebody's way, or stay.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use super::folder::Folder;
use super::progress::{Progress, Show};
use super::receiver::receive;
use crate::error::Failure;
use crate::limit;

/// A receiver that waits for senders, in a thread of its own.
#[derive(Debug)]
pub struct Door {
    /// Closed by the thread when it ends.
    thread: UnixStream,
    result: Receiver<Result<(), Failure>>,
}

/// What the thread needs.
struct Porter {
    senders: Receiver<UnixStream>,
    folder: Folder,
    show: Show,
}

impl Door {
    /// Takes what one sender has into the folder, or what all have with `forever`. Their sockets are to be sent to what is
    /// returned; when that is dropped nobody is waited for any more.
    pub fn open(folder: Folder, forever: bool, show: Show) -> io::Result<(Sender<UnixStream>, Door)> {
        let (knock, senders) = channel();
        let (thread, over) = UnixStream::pair()?;
        let (done, result) = channel();
        let porter = Porter { senders, folder, show };
        std::thread::Builder::new().spawn(move || {
            if forever {
                porter.serve_all();
            } else if let Some(result) = porter.serve_one() {
                let _ = done.send(result);
            }
            drop(over);
        })?;
        Ok((knock, Door { thread, result }))
    }
    /// What to poll: readable when it is over.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.thread.as_fd()
    }
    /// How the transfer went, if there was one: nobody may be waited for any more.
    pub fn end(self, patience: Duration) -> Option<Result<(), Failure>> {
        self.result.recv_timeout(patience).ok()
    }
}

impl Porter {
    /// One sender; another one that comes meanwhile is not heard.
    fn serve_one(self) -> Option<Result<(), Failure>> {
        let stream = self.senders.recv().ok()?;
        let Porter { senders, folder, show } = self;
        drop(senders);
        let result = take(&stream, &folder, show);
        // after the folder is free
        drop(folder);
        Some(result)
    }
    /// One sender after the other.
    fn serve_all(self) {
        for stream in &self.senders {
            if let Err(failure) = take(&stream, &self.folder, self.show) {
                limit::warn(&failure.kind, &failure);
            }
        }
    }
}

fn take(stream: &UnixStream, folder: &Folder, show: Show) -> Result<(), Failure> {
    let mut progress = Progress::new(show);
    let summary = receive(stream, stream, folder, &mut progress)?;
    progress.finish("received", &summary)?;
    summary.verdict()
}
