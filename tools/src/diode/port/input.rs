//! A port that can only be read.

use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsFd, BorrowedFd};

use super::{Fd, Opened, Way, open, udp_in};
use crate::error::Failure;
use crate::port::exec::Running;
use crate::port::lock_file::LockFile;
use crate::port::{Options, Spec};

/// Largest datagram taken from UDP.
const DATAGRAM_MAX: usize = 65_536;

/// A port that can only be read.
#[derive(Debug)]
pub struct Input {
    fd: Fd<UdpSocket>,
    tty: bool,
    overruns_before: u64,
    _child: Option<Running>,
    _lock_file: Option<LockFile>,
}

impl Input {
    /// Opens `spec` for reading only.
    pub fn open(spec: &Spec, options: Options) -> Result<Input, Failure> {
        let Opened { fd, child, tty, lock_file } = open(spec, options, Way::In, udp_in)?;
        let mut input = Input { fd, tty, overruns_before: 0, _child: child, _lock_file: lock_file };
        input.overruns_before = input.overruns();
        Ok(input)
    }
    /// What to poll.
    pub fn fd(&self) -> BorrowedFd<'_> {
        match &self.fd {
            Fd::Bytes(fd) => fd.as_fd(),
            Fd::Datagrams(socket) => socket.as_fd(),
        }
    }
    /// Whether every read is a datagram of its own.
    pub fn is_datagrams(&self) -> bool {
        matches!(self.fd, Fd::Datagrams(_))
    }
    /// Whether it is a serial port, which can go away and come back.
    pub fn is_tty(&self) -> bool {
        self.tty
    }
    /// What it means that nothing more can be read.
    pub fn at_end(&self) -> &'static str {
        match (self.tty, &self._child) {
            (true, _) => "hung up",
            (_, Some(_)) => "its command has ended",
            _ => "end of file",
        }
    }
    /// Reads what is there; none when nothing is; 0 at the end (a file, a command that ended).
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let read = match &self.fd {
            Fd::Bytes(fd) => nix::unistd::read(fd, buffer).map_err(io::Error::from),
            Fd::Datagrams(socket) => socket.recv(buffer),
        };
        match read {
            Ok(n) => Ok(Some(n)),
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(None),
            Err(e) => Err(e),
        }
    }
    /// Bytes the driver or the UART had no room for since the port was opened; 0 where it cannot say.
    pub fn overruns(&self) -> u64 {
        match &self.fd {
            Fd::Bytes(fd) => crate::port::termios::overruns(fd.as_fd()).saturating_sub(self.overruns_before),
            Fd::Datagrams(_) => 0,
        }
    }
    /// Room a read needs.
    pub const BUFFER: usize = DATAGRAM_MAX;
}
