//! Ports: opened byte pipes. One file per kind; the table `KINDS` is the one list of them.

mod baud;
pub(crate) mod exec;
pub(crate) mod lock_file;
pub(crate) mod serial;
pub(crate) mod socket;
pub(crate) mod termios;

use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::str::FromStr;

use crate::error::{Failure, kinds};
pub use baud::{Baud, one_way};

/// Flow control of a serial port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Flow {
    /// Three wires.
    #[default]
    None,
    /// Two more, RTS and CTS.
    Rtscts,
}

/// How to open a port.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Bits per second on a serial line; other kinds ignore it.
    pub baud: u32,
    /// The rate can change: what the port can do is found out, and it may be opened at the lowest.
    pub auto: bool,
    /// Flow control on a serial line.
    pub flow: Flow,
}

/// Which port, as the user wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    kind: Kind,
    rest: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Serial,
    Usb,
    Tcp,
    TcpListen,
    Unix,
    UnixListen,
    Exec,
    Stdio,
    Udp,
    UdpListen,
}

/// Every scheme and what follows it.
const KINDS: [(&str, Kind, &str); 10] = [
    ("serial", Kind::Serial, "PATH"),
    ("usb", Kind::Usb, "SERIAL-NUMBER"),
    ("tcp", Kind::Tcp, "HOST:PORT"),
    ("tcp-listen", Kind::TcpListen, "ADDR:PORT"),
    ("unix", Kind::Unix, "PATH"),
    ("unix-listen", Kind::UnixListen, "PATH"),
    ("exec", Kind::Exec, "COMMAND LINE"),
    ("stdio", Kind::Stdio, ""),
    ("udp", Kind::Udp, "HOST:PORT"),
    ("udp-listen", Kind::UdpListen, "ADDR:PORT"),
];

impl FromStr for Spec {
    type Err = String;

    fn from_str(text: &str) -> Result<Spec, String> {
        if is_path(text) || (known_scheme(text).is_none() && (is_device(text) || is_absent_path(text))) {
            return Ok(Spec::serial(text));
        }
        let known = || KINDS.map(|(scheme, _, rest)| format!("{scheme}:{rest}")).join(", ");
        let Some((scheme, rest)) = text.split_once(':') else {
            return Err(format!("'{text}' is neither a path (/dev/ttyUSB0, ./wire) nor one of {}", known()));
        };
        let Some((_, kind, usage)) = known_scheme(text) else {
            return Err(format!("unknown scheme '{scheme}:'; known are a path and {}", known()));
        };
        if rest.is_empty() != usage.is_empty() {
            return Err(format!("write it as {scheme}:{usage}"));
        }
        if usage.ends_with(":PORT") && !has_port(rest) {
            return Err(format!("write it as {scheme}:{usage}, PORT a number up to 65535"));
        }
        if *kind == Kind::Serial {
            return Ok(Spec::serial(rest));
        }
        Ok(Spec { kind: *kind, rest: rest.to_owned() })
    }
}

fn is_path(text: &str) -> bool {
    text.starts_with('/') || text.starts_with("./") || text.starts_with("../")
}

fn known_scheme(text: &str) -> Option<&'static (&'static str, Kind, &'static str)> {
    let (scheme, _) = text.split_once(':')?;
    KINDS.iter().find(|k| k.0 == scheme)
}

/// Whether this is a host or an address, and a number of a port.
pub(crate) fn has_port(address: &str) -> bool {
    address.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

/// Whether a port or a control socket is there. Other files are not taken for a port that was forgotten.
fn is_device(text: &str) -> bool {
    std::fs::metadata(text).is_ok_and(|m| m.file_type().is_char_device() || m.file_type().is_socket())
}

/// A path where nothing is yet, or a link to where nothing is: what is to be there is a port, or the socket of a `link` that
/// does not run.
fn is_absent_path(text: &str) -> bool {
    let is_absent = |found: io::Result<_>| found.is_err_and(|e: io::Error| e.kind() == io::ErrorKind::NotFound);
    match std::fs::symlink_metadata(text) {
        Ok(meta) => meta.is_symlink() && is_absent(std::fs::metadata(text)),
        Err(e) => text.contains('/') && !text.contains(':') && is_absent(Err(e)),
    }
}

impl Spec {
    /// A path is written so that it can be read as one again.
    fn serial(path: &str) -> Spec {
        let rest = if is_path(path) { path.to_owned() } else { format!("./{path}") };
        Spec { kind: Kind::Serial, rest }
    }
    /// The path, where it is one: of a serial port, or of a control socket in its place.
    pub(crate) fn path(&self) -> Option<&Path> {
        (self.kind == Kind::Serial).then(|| Path::new(&self.rest))
    }
    /// Whether both are the same device, by whatever names.
    pub(crate) fn is_same(&self, other: &Spec) -> bool {
        let device = |spec: &Spec| match spec.kind {
            Kind::Serial => std::fs::canonicalize(&spec.rest).ok(),
            Kind::Usb => usb_path(spec).ok().and_then(|path| std::fs::canonicalize(path).ok()),
            _ => None,
        };
        self == other || device(self).is_some_and(|device_of_self| Some(device_of_self) == device(other))
    }
    /// Whether there can be others beside it: stdin and stdout are there once, and end with their peer.
    pub(crate) fn can_be_several(&self) -> bool {
        self.kind != Kind::Stdio
    }
    /// Whether it is our own stdin and stdout, and a terminal.
    pub(crate) fn is_lent(&self) -> bool {
        self.is_lent_in() && self.is_lent_out()
    }
    /// The same of what is only read.
    pub(crate) fn is_lent_in(&self) -> bool {
        self.kind == Kind::Stdio && io::stdin().is_terminal()
    }
    /// The same of what is only written to.
    pub(crate) fn is_lent_out(&self) -> bool {
        self.kind == Kind::Stdio && io::stdout().is_terminal()
    }
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }
    pub(crate) fn rest(&self) -> &str {
        &self.rest
    }
}

/// The device of a `usb:` port.
pub(crate) fn usb_path(spec: &Spec) -> Result<String, Failure> {
    serial::by_usb_serial(&spec.rest)
}

impl std::fmt::Display for Spec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.kind {
            Kind::Serial => f.write_str(&self.rest),
            kind => {
                let scheme = KINDS.iter().find(|k| k.1 == kind).map_or("", |k| k.0);
                write!(f, "{scheme}:{}", self.rest)
            }
        }
    }
}

/// An open port: one descriptor to read, one to write, both non-blocking.
#[derive(Debug)]
pub struct Port {
    reader: Option<OwnedFd>,
    writer: Option<OwnedFd>,
    /// A serial line: paced, and with an output queue that may have to be discarded.
    tty: bool,
    /// The rates it has and the one it is at, where that can change.
    pub(crate) rates: Option<(link::Rates, u32)>,
    /// Flags of inherited descriptors, put back at the end.
    restore: Vec<(OwnedFd, nix::fcntl::OFlag)>,
    /// Ended once its pipes above are closed: fields are dropped in order.
    child: Option<exec::Running>,
    /// Goes when the port is closed.
    lock_file: Option<lock_file::LockFile>,
}

impl Port {
    /// From descriptors; makes them non-blocking.
    fn new(reader: OwnedFd, writer: OwnedFd) -> io::Result<Port> {
        set_nonblocking(reader.as_fd())?;
        set_nonblocking(writer.as_fd())?;
        Ok(Port {
            reader: Some(reader),
            writer: Some(writer),
            tty: false,
            rates: None,
            restore: Vec::new(),
            child: None,
            lock_file: None,
        })
    }
    /// What to poll and read.
    pub fn reader(&self) -> BorrowedFd<'_> {
        self.reader.as_ref().expect("open until dropped").as_fd()
    }
    /// What to poll and write.
    pub fn writer(&self) -> BorrowedFd<'_> {
        self.writer.as_ref().expect("open until dropped").as_fd()
    }
    /// Reads what is there. `Ok(None)`: nothing now. A hung-up tty reads 0 or EIO, a closed socket
    /// reads 0: all of them are errors here.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match nix::unistd::read(self.reader(), buffer) {
            Ok(0) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "hung up")),
            Ok(n) => Ok(Some(n)),
            Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EINTR) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }
    /// Writes what fits; 0 when nothing does now.
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match nix::unistd::write(self.writer(), bytes) {
            Ok(n) => Ok(n),
            Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EINTR) => Ok(0),
            Err(e) => Err(e.into()),
        }
    }
    /// Changes the rate; what is still on its way out is spoiled.
    pub fn set_baud(&mut self, baud: u32) -> io::Result<()> {
        let Some((rates, at)) = self.rates else { return Ok(()) };
        if at != baud {
            serial::set_baud(self.writer(), baud, at)?;
            self.rates = Some((rates, baud));
        }
        Ok(())
    }
    /// Bytes of output the kernel still holds; 0 where it cannot say.
    pub fn queued(&self) -> usize {
        if self.tty { serial::queued(self.writer()) } else { 0 }
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        if self.tty {
            serial::let_go(self.reader.take().into_iter().chain(self.writer.take()).collect());
        }
        for (fd, flags) in &self.restore {
            let _ = nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_SETFL(*flags));
        }
    }
}

pub(crate) fn set_nonblocking(fd: BorrowedFd<'_>) -> io::Result<nix::fcntl::OFlag> {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    let before = OFlag::from_bits_truncate(fcntl(fd, FcntlArg::F_GETFL)?);
    fcntl(fd, FcntlArg::F_SETFL(before | OFlag::O_NONBLOCK))?;
    Ok(before)
}

/// Whether a port can be a two-way wire at all, with these options.
///
/// # Errors
/// One that never can (2).
pub fn fits(spec: &Spec, options: Options) -> Result<(), Failure> {
    if options.baud == 0 && matches!(spec.kind, Kind::Serial | Kind::Usb) {
        return Err(Failure::new(kinds::RATE_IMPOSSIBLE, format!("cannot open {spec}: a baud rate of 0 does not exist")));
    }
    if matches!(spec.kind, Kind::Udp | Kind::UdpListen) {
        return Err(Failure::new(kinds::PORT_MISUSED, format!("{spec} is for hardline diode only: it has no way back")));
    }
    Ok(())
}

/// Opens a port, again and again if it is lost.
#[derive(Debug)]
pub struct Opener {
    spec: Spec,
    options: Options,
    listener: Option<socket::Listener>,
    connecting: Option<socket::Connecting>,
    opened_before: bool,
}

impl Opener {
    /// Nothing is opened yet, but a listening port listens from now on.
    pub fn new(spec: Spec, options: Options) -> Result<Opener, Failure> {
        fits(&spec, options)?;
        let listener = socket::Listener::bind(&spec)?;
        Ok(Opener { spec, options, listener, connecting: None, opened_before: false })
    }
    /// Which port it opens.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }
    /// Bytes per second the wire carries, 0 when not known.
    pub fn baud(&self) -> u32 {
        if matches!(self.spec.kind, Kind::Serial | Kind::Usb) { self.options.baud } else { 0 }
    }
    /// Whether the rate can change.
    pub fn is_auto(&self) -> bool {
        self.options.auto && self.baud() > 0
    }
    /// The next time it is opened at this rate.
    pub fn set_baud(&mut self, baud: u32) {
        self.options.baud = baud;
    }
    /// Whether a lost port can come back at all.
    pub fn can_reopen(&self) -> bool {
        self.spec.kind != Kind::Stdio
    }
    /// Whether it is the terminal of a shell, which waits for it.
    pub fn is_lent(&self) -> bool {
        self.spec.is_lent()
    }
    /// Whether its other end going away means that the peer has closed (a socket), and not that a
    /// cable was pulled.
    pub fn closes_with_peer(&self) -> bool {
        !matches!(self.spec.kind, Kind::Serial | Kind::Usb)
    }
    /// Whether it connects to somebody who listens.
    pub fn connects(&self) -> bool {
        matches!(self.spec.kind, Kind::Tcp | Kind::Unix)
    }
    /// How long to wait between two tries.
    pub fn pause(&self) -> std::time::Duration {
        std::time::Duration::from_millis(if self.spec.kind == Kind::Exec { 1000 } else { 0 })
    }
    /// What to poll while waiting for somebody to connect.
    pub fn listener(&self) -> Option<BorrowedFd<'_>> {
        self.listener.as_ref().map(socket::Listener::fd)
    }
    /// What to poll while a connection is being made.
    pub fn connecting(&self) -> Option<BorrowedFd<'_>> {
        self.connecting.as_ref().map(socket::Connecting::fd)
    }
    /// Tries once, and waits for what comes of it.
    pub fn open_now(&mut self) -> Result<Option<Port>, Failure> {
        if !self.connects() {
            return self.open();
        }
        let opened = socket::connect_now(&self.spec).map(Some);
        self.opened_before |= opened.is_ok();
        opened
    }
    /// Tries once, or goes on with it; `Ok(None)`: nobody has connected yet, or it is not connected yet.
    pub fn open(&mut self) -> Result<Option<Port>, Failure> {
        if self.opened_before && !self.can_reopen() {
            return Err(Failure::new(kinds::PORT_CLOSED, format!("{} was closed", self.spec)));
        }
        let opened = match self.spec.kind {
            Kind::Serial => serial::open(&self.spec, &self.spec.rest, self.options).map(Some),
            Kind::Usb => {
                serial::by_usb_serial(&self.spec.rest).and_then(|path| serial::open(&self.spec, &path, self.options)).map(Some)
            }
            Kind::Tcp | Kind::Unix => self.connect(),
            Kind::TcpListen | Kind::UnixListen => self.listener.as_ref().map_or(Ok(None), socket::Listener::accept),
            Kind::Exec => exec::open(&self.spec).map(Some),
            Kind::Stdio => exec::stdio().map(Some),
            Kind::Udp | Kind::UdpListen => Ok(None),
        };
        self.opened_before |= matches!(opened, Ok(Some(_)));
        opened
    }
    fn connect(&mut self) -> Result<Option<Port>, Failure> {
        let connecting = match self.connecting.take() {
            Some(connecting) => connecting,
            None => socket::Connecting::start(&self.spec)?,
        };
        match connecting.result() {
            Some(result) => result.map(Some),
            None => {
                self.connecting = Some(connecting);
                Ok(None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specs_are_read_and_printed() {
        for text in [
            "/dev/ttyUSB0",
            "./wire",
            "tcp:localhost:99",
            "tcp:[::1]:99",
            "unix-listen:/a b",
            "exec:ssh a b",
            "stdio:",
            "usb:FT123",
        ] {
            assert_eq!(text.parse::<Spec>().unwrap().to_string(), text);
        }
        assert_eq!("serial:/dev/x".parse::<Spec>().unwrap().to_string(), "/dev/x");
        for text in ["ttyUSB0", "http:x", "tcp:host", "tcp:host:99999", "stdio:x", "unix:", ""] {
            assert!(text.parse::<Spec>().is_err(), "{text}");
        }
    }
}
