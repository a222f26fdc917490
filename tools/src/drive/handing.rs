//! Descriptors that are handed over a Unix socket, beside lines of text.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};

/// Most descriptors that come at once.
pub(super) const HANDED_MAX: usize = 4;

/// Sends a line and descriptors in one piece.
pub(super) fn hand_over(stream: &UnixStream, line: &str, fds: &[&dyn AsFd]) -> io::Result<()> {
    let raw: Vec<RawFd> = fds.iter().map(|fd| fd.as_fd().as_raw_fd()).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let sent = sendmsg::<()>(stream.as_raw_fd(), &[IoSlice::new(line.as_bytes())], &rights, MsgFlags::MSG_NOSIGNAL, None)?;
    if sent == line.len() { Ok(()) } else { Err(Errno::EAGAIN.into()) }
}

/// Takes what is there: bytes behind those of `line`, descriptors behind those of `handed`; how many bytes, 0 at the end.
pub(super) fn take(stream: &UnixStream, line: &mut Vec<u8>, handed: &mut Vec<OwnedFd>) -> io::Result<usize> {
    let mut bytes = [0u8; 4096];
    let mut space = nix::cmsg_space!([RawFd; HANDED_MAX]);
    let mut io = [IoSliceMut::new(&mut bytes)];
    let message = recvmsg::<()>(stream.as_raw_fd(), &mut io, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC)?;
    for control in message.cmsgs().into_iter().flatten() {
        let ControlMessageOwned::ScmRights(fds) = control else { continue };
        for fd in fds {
            #[allow(unsafe_code)]
            // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it
            handed.push(unsafe { OwnedFd::from_raw_fd(fd) });
        }
    }
    let count = message.bytes;
    line.extend_from_slice(&bytes[..count]);
    Ok(count)
}
