//! Our own stdin and stdout, which may have been closed before the start (`<&-`, `>&-`): the standard library then opens
//! /dev/null in their place, and everything would go nowhere with exit code 0.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::PollFlags;

use crate::drive::user::piece_of;
use crate::drive::wait;
use crate::error::{Doing, Failure, kinds};
use crate::signal::asked_to_end;

/// How long a signal may be unnoticed while stdout takes nothing.
const PAUSE: Duration = Duration::from_millis(100);

/// Whether stdin, and stdout, were closed at the start.
static CLOSED: [AtomicBool; 2] = [AtomicBool::new(false), AtomicBool::new(false)];

/// Looks before the standard library does.
extern "C" fn look() {
    for (fd, closed) in (0..).zip(&CLOSED) {
        // SAFETY: takes no pointer, and answers with EBADF where there is no such descriptor
        #[allow(unsafe_code)]
        let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
        closed.store(flags == -1, Ordering::Relaxed);
    }
}

// what stands in this section runs before `main`
#[allow(unsafe_code)]
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

/// stdin, if there is one.
pub fn input() -> Result<OwnedFd, Failure> {
    open(0, "stdin").and_then(|()| io::stdin().as_fd().try_clone_to_owned().doing(kinds::STDIO_CLOSED, || "use stdin".into()))
}
/// stdout, if there is one.
pub fn output() -> Result<OwnedFd, Failure> {
    check_output()?;
    io::stdout().as_fd().try_clone_to_owned().doing(kinds::STDIO_CLOSED, || "use stdout".into())
}
/// Fails where there is no stdout.
pub fn check_output() -> Result<(), Failure> {
    open(1, "stdout")
}

/// Waits until stdout takes something; false if a signal asked for the end meanwhile.
pub fn await_reader() -> io::Result<bool> {
    let stdout = io::stdout();
    while wait(&[(stdout.as_fd(), PollFlags::POLLOUT)], Some(PAUSE))?[0].is_empty() {
        if asked_to_end().is_some() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Writes all of it to stdout, waiting while nobody takes it, whatever mode that is in (others may share it); false if a signal
/// asked for the end meanwhile.
pub fn write(mut bytes: &[u8]) -> io::Result<bool> {
    let stdout = io::stdout();
    let piece = piece_of(&stdout);
    while !bytes.is_empty() {
        if !await_reader()? {
            return Ok(false);
        }
        match nix::unistd::write(&stdout, &bytes[..bytes.len().min(piece)]) {
            Ok(n) => bytes = &bytes[n..],
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(true)
}

fn open(which: usize, name: &str) -> Result<(), Failure> {
    if CLOSED[which].load(Ordering::Relaxed) {
        return Err(Failure::new(kinds::STDIO_CLOSED, format!("cannot use {name}: it was closed before the start")));
    }
    Ok(())
}
