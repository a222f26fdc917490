//! Signals, as a socket the loops poll.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGWINCH, SIGXFSZ};

/// A signal that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Asked to end: SIGINT, SIGTERM or SIGHUP, by number.
    End(i32),
    /// SIGUSR1: write the statistics.
    Stats,
    /// SIGCHLD: a command has ended.
    Child,
    /// SIGWINCH or SIGCONT: our terminal has another size, or other settings.
    Terminal,
}

/// From now on a write beyond the limit of a file's size (`ulimit -f`) fails with EFBIG, as on a full disk, and does not
/// end the process: the peer is told. Commands that are started have it as it was.
///
/// # Errors
/// The kernel refuses a handler.
pub fn outlive_file_limit() -> io::Result<()> {
    signal_hook::flag::register(SIGXFSZ, Arc::default()).map(drop)
}

/// The signals a command listens to, from the moment this is made.
#[derive(Debug)]
pub struct Signals {
    wake: UnixStream,
    seen: Vec<(Signal, Arc<AtomicBool>)>,
}

impl Signals {
    /// Begins to listen to those that end a command, and SIGUSR1.
    pub fn new() -> io::Result<Signals> {
        Signals::of(&[SIGINT, SIGTERM, SIGHUP, SIGUSR1])
    }
    /// And to the ends of commands.
    pub fn with_children() -> io::Result<Signals> {
        Signals::of(&[SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGCHLD])
    }
    /// Begins to listen to those that end a command, and to news of our terminal.
    pub fn with_terminal() -> io::Result<Signals> {
        Signals::of(&[SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGWINCH, SIGCONT])
    }
    fn of(numbers: &[i32]) -> io::Result<Signals> {
        let (wake, writer) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        let mut seen = Vec::new();
        for &number in numbers {
            let flag = Arc::new(AtomicBool::new(false));
            signal_hook::flag::register(number, Arc::clone(&flag))?;
            signal_hook::low_level::pipe::register(number, writer.try_clone()?)?;
            let signal = match number {
                SIGUSR1 => Signal::Stats,
                SIGCHLD => Signal::Child,
                SIGWINCH | SIGCONT => Signal::Terminal,
                number => Signal::End(number),
            };
            seen.push((signal, flag));
        }
        Ok(Signals { wake, seen })
    }

    /// What to poll for reading.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// A signal that came in since the last call.
    pub fn take(&self) -> Option<Signal> {
        let signal = self.seen.iter().find(|s| s.1.swap(false, Ordering::Relaxed)).map(|s| s.0)?;
        let _ = (&self.wake).read(&mut [0u8; 16]);
        Some(signal)
    }
}
