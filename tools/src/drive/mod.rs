//! The loops that move bytes between ports, protocol and user. All waiting happens here, in one
//! `ppoll` on one thread: it takes every kind of descriptor (epoll refuses regular files and the
//! null device), and nothing is ever flushed or drained (that can block for ever).

mod buffers;
pub mod client;
pub mod console;
mod handing;
pub mod hub;
pub mod pipe;
mod settling;
pub mod user;
pub mod wire;

use std::os::fd::BorrowedFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

/// The longest wait: 68 years. The seconds of a 32-bit system hold no more.
const LONGEST: Duration = Duration::from_secs(i32::MAX as u64);

/// Waits until a descriptor is ready or the time has passed; returns what each is ready for.
pub(crate) fn wait(fds: &[(BorrowedFd<'_>, PollFlags)], timeout: Option<Duration>) -> std::io::Result<Vec<PollFlags>> {
    let mut polled: Vec<PollFd<'_>> = fds.iter().map(|&(fd, flags)| PollFd::new(fd, flags)).collect();
    let timeout = timeout.map(|t| TimeSpec::from_duration(t.min(LONGEST)));
    match ppoll(&mut polled, timeout, None) {
        Ok(_) | Err(Errno::EINTR) => Ok(polled.iter().map(|p| p.revents().unwrap_or(PollFlags::empty())).collect()),
        Err(e) => Err(e.into()),
    }
}

/// The shorter of two waits.
pub(crate) fn shorter(timeout: Option<Duration>, other: Duration) -> Option<Duration> {
    Some(timeout.map_or(other, |t| t.min(other)))
}
