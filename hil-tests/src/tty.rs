//! Ports as a test has them that is no hardline: raw bytes, modem lines, breaks, the driver's counters.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

use libc::c_int;

/// `struct serial_icounter_struct` of the kernel.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    lines: [c_int; 4],
    pub(crate) rx: c_int,
    pub(crate) tx: c_int,
    pub(crate) frame: c_int,
    pub(crate) overrun: c_int,
    pub(crate) parity: c_int,
    pub(crate) breaks: c_int,
    buf_overrun: c_int,
    reserved: [c_int; 9],
}

nix::ioctl_read_bad!(tcgets2, libc::TCGETS2, libc::termios2);
nix::ioctl_write_ptr_bad!(tcsets2, libc::TCSETS2, libc::termios2);
nix::ioctl_read_bad!(tiocgicount, libc::TIOCGICOUNT, Counters);
nix::ioctl_read_bad!(tiocmget, libc::TIOCMGET, c_int);
nix::ioctl_write_ptr_bad!(tiocmbis, libc::TIOCMBIS, c_int);
nix::ioctl_write_ptr_bad!(tiocmbic, libc::TIOCMBIC, c_int);
nix::ioctl_none_bad!(tiocsbrk, libc::TIOCSBRK);
nix::ioctl_none_bad!(tioccbrk, libc::TIOCCBRK);

/// A port opened raw, 8N1, without a lock.
#[derive(Debug)]
pub(crate) struct Tty(File);

fn named<T>(what: &str, result: nix::Result<T>) -> Result<T, String> {
    result.map_err(|e| format!("{what}: {}", e.desc()))
}

#[allow(unsafe_code)]
impl Tty {
    pub(crate) fn open(path: &str, baud: u32) -> Result<Tty, String> {
        let flags = libc::O_NOCTTY | libc::O_NONBLOCK;
        let file = File::options().read(true).write(true).custom_flags(flags).open(path);
        let mut tty = Tty(file.map_err(|e| format!("cannot open {path}: {e}"))?);
        let fd = tty.0.as_raw_fd();
        // SAFETY: all-zero is a valid termios2
        let mut settings: libc::termios2 = unsafe { std::mem::zeroed() };
        // SAFETY: the call gets a valid pointer to a termios2
        named("TCGETS2", unsafe { tcgets2(fd, &raw mut settings) })?;
        (settings.c_iflag, settings.c_oflag, settings.c_lflag) = (0, 0, 0);
        settings.c_cflag = libc::CS8 | libc::CREAD | libc::CLOCAL | libc::BOTHER;
        (settings.c_ispeed, settings.c_ospeed) = (baud, baud);
        (settings.c_cc[libc::VMIN], settings.c_cc[libc::VTIME]) = (0, 0);
        // SAFETY: as above
        named("TCSETS2", unsafe { tcsets2(fd, &raw const settings) })?;
        tty.settle();
        Ok(tty)
    }
    /// Throws away what comes until the wire is quiet: an emulated port keeps what came while it was closed.
    fn settle(&mut self) {
        self.discard();
        while !self.read(1, Duration::from_millis(200)).is_empty() {}
        self.discard();
    }
    /// Throws away what waits in either direction.
    pub(crate) fn discard(&self) {
        let _ = nix::sys::termios::tcflush(&self.0, nix::sys::termios::FlushArg::TCIOFLUSH);
    }
    /// Writes what is taken until nothing has been for half a second; returns how much that was.
    pub(crate) fn write_until_stuck(&mut self, limit: usize) -> usize {
        let (mut written, mut last) = (0, Instant::now());
        while written < limit && last.elapsed() < Duration::from_millis(500) {
            match self.0.write(&[0x55; 256]) {
                Ok(n) if n > 0 => (written, last) = (written + n, Instant::now()),
                _ => std::thread::sleep(Duration::from_millis(5)),
            }
        }
        written
    }
    pub(crate) fn write(&mut self, mut bytes: &[u8]) -> Result<(), String> {
        let end = Instant::now() + Duration::from_secs(30);
        while !bytes.is_empty() {
            match self.0.write(bytes) {
                Ok(n) => bytes = &bytes[n..],
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => std::thread::sleep(Duration::from_millis(1)),
                Err(e) => return Err(format!("cannot write: {e}")),
            }
            if Instant::now() > end {
                return Err(format!("{} bytes are not taken", bytes.len()));
            }
        }
        Ok(())
    }
    /// What comes until there are `n` bytes or `limit` has passed.
    pub(crate) fn read(&mut self, n: usize, limit: Duration) -> Vec<u8> {
        let (mut got, mut buffer, end) = (Vec::new(), [0; 4096], Instant::now() + limit);
        while got.len() < n && Instant::now() < end {
            match self.0.read(&mut buffer) {
                Ok(n) if n > 0 => got.extend(&buffer[..n]),
                _ => std::thread::sleep(Duration::from_millis(1)),
            }
        }
        got
    }
    pub(crate) fn counters(&self) -> Result<Counters, String> {
        let mut counters = Counters::default();
        // SAFETY: TIOCGICOUNT writes one struct of this layout
        named("TIOCGICOUNT", unsafe { tiocgicount(self.0.as_raw_fd(), &raw mut counters) })?;
        Ok(counters)
    }
    pub(crate) fn cts(&self) -> Result<bool, String> {
        let mut lines = 0;
        // SAFETY: TIOCMGET writes one int
        named("TIOCMGET", unsafe { tiocmget(self.0.as_raw_fd(), &raw mut lines) })?;
        Ok(lines & libc::TIOCM_CTS != 0)
    }
    pub(crate) fn set_rts(&self, on: bool) -> Result<(), String> {
        let (fd, lines) = (self.0.as_raw_fd(), libc::TIOCM_RTS);
        // SAFETY: both calls read one int
        let done = unsafe { if on { tiocmbis(fd, &raw const lines) } else { tiocmbic(fd, &raw const lines) } };
        named("set RTS", done).map(drop)
    }
    pub(crate) fn send_break(&self, length: Duration) -> Result<(), String> {
        let fd = self.0.as_raw_fd();
        // SAFETY: no argument
        named("TIOCSBRK", unsafe { tiocsbrk(fd) })?;
        std::thread::sleep(length);
        // SAFETY: no argument
        named("TIOCCBRK", unsafe { tioccbrk(fd) }).map(drop)
    }
}
