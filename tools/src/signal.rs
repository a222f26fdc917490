//! Signals, as bytes on a socket the loops poll.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};

/// A signal that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Asked to end: SIGINT, SIGTERM or SIGHUP, by number.
    End(i32),
    /// SIGUSR1: write the statistics.
    Stats,
}

/// The signals a command listens to, from the moment this is made.
#[derive(Debug)]
pub struct Signals {
    sockets: [(Signal, UnixStream); 4],
}

impl Signals {
    /// Begins to listen.
    pub fn new() -> io::Result<Signals> {
        let one = |signal, number| -> io::Result<(Signal, UnixStream)> {
            let (reader, writer) = UnixStream::pair()?;
            reader.set_nonblocking(true)?;
            signal_hook::low_level::pipe::register(number, writer)?;
            Ok((signal, reader))
        };
        Ok(Signals {
            sockets: [
                one(Signal::End(SIGINT), SIGINT)?,
                one(Signal::End(SIGTERM), SIGTERM)?,
                one(Signal::End(SIGHUP), SIGHUP)?,
                one(Signal::Stats, SIGUSR1)?,
            ],
        })
    }

    /// What to poll for reading.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.sockets.iter().map(|s| s.1.as_fd())
    }

    /// A signal that came in since the last call.
    pub fn take(&self) -> Option<Signal> {
        self.sockets.iter().find_map(|(signal, socket)| {
            let mut buffer = [0u8; 16];
            let mut socket = socket;
            matches!(socket.read(&mut buffer), Ok(n) if n > 0).then_some(*signal)
        })
    }
}
