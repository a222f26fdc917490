//! One-way ports. A sender's is opened for writing only and a receiver's for reading only, so the
//! kernel itself refuses the other direction.

use std::fs::File;
use std::io::{self, Read};
use std::net::{ToSocketAddrs, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use link::wire::Deframer;
use nix::fcntl::OFlag;
use nix::poll::PollFlags;

use super::send::check;
use crate::error::{Doing, Failure, kinds};
use crate::guard::{self, Reach};
use crate::port::Kind;
use crate::port::exec::Running;
use crate::port::serial;
use crate::port::{Flow, Options, Spec};
use crate::signal::Signals;
use crate::stdio;

/// Largest datagram taken from UDP.
const DATAGRAM_MAX: usize = 65_536;

/// What a descriptor that blocks takes for sure once it polls writable.
const PIECE: usize = 4096;
/// A transmitter that has sent nothing for so long will not.
const STUCK: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(5);

/// The direction a port is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Out,
    In,
}

#[derive(Debug)]
enum Fd {
    Bytes(OwnedFd),
    Datagrams(UdpSocket),
}

/// A port that can only be written.
#[derive(Debug)]
pub struct Output {
    /// None once it is let go.
    fd: Option<Fd>,
    /// Bytes per second, 0 when the port sets no rate.
    pub rate: u32,
    tty: bool,
    _child: Option<Running>,
}

/// A port that can only be read.
#[derive(Debug)]
pub struct Input {
    fd: Fd,
    tty: bool,
    overruns_before: u64,
    _child: Option<Running>,
}

impl Output {
    /// Opens `spec` for writing only.
    pub fn open(spec: &Spec, options: Options) -> Result<Output, Failure> {
        refuse_flow(options)?;
        let (fd, child, tty) = match spec.kind() {
            Kind::Udp => (Fd::Datagrams(udp_out(spec)?), None, false),
            Kind::Exec => {
                let (fd, child) = exec(spec, Way::Out)?;
                (Fd::Bytes(fd), Some(child), false)
            }
            Kind::Stdio => (Fd::Bytes(own(Way::Out)?), None, false),
            _ => {
                let (fd, tty) = path(spec, options, Way::Out)?;
                (Fd::Bytes(fd), None, tty)
            }
        };
        Ok(Output { fd: Some(fd), rate: if tty { options.baud / 10 } else { 0 }, tty, _child: child })
    }
    fn fd(&self) -> &Fd {
        self.fd.as_ref().expect("open until dropped")
    }
    /// What to poll, and to set the rate of; none where frames travel as datagrams.
    pub(crate) fn bytes_fd(&self) -> Option<BorrowedFd<'_>> {
        match self.fd() {
            Fd::Bytes(fd) => Some(fd.as_fd()),
            Fd::Datagrams(_) => None,
        }
    }
    /// Whether it is a serial port, which can go away and come back.
    pub fn is_tty(&self) -> bool {
        self.tty
    }
    /// Whether every frame travels by itself, in a datagram.
    pub fn is_datagrams(&self) -> bool {
        matches!(self.fd(), Fd::Datagrams(_))
    }
    /// Writes a whole frame, waiting while the port takes nothing, unless a signal asks for the end.
    pub fn write(&self, mut frame: &[u8], signals: &Signals) -> Result<(), Failure> {
        let failed = |e: io::Error| match e.raw_os_error() {
            Some(libc::EIO) if self.tty => Err(io::Error::other("the port hung up (--wait waits until it is back)")),
            _ => Err(e),
        };
        let failed = |e: io::Error| failed(e).doing(kinds::LINE_FAILED, || "write to the line".into());
        match self.fd() {
            // nobody listening yet is no error on a diode
            Fd::Datagrams(socket) => match socket.send(frame) {
                Err(e) if e.kind() != io::ErrorKind::ConnectionRefused => failed(e),
                _ => Ok(()),
            },
            Fd::Bytes(fd) => {
                while !frame.is_empty() {
                    // a pipe may be one that blocks, and nothing would end that
                    let fds = [(fd.as_fd(), PollFlags::POLLOUT), (signals.fd(), PollFlags::POLLIN)];
                    let ready = crate::drive::wait(&fds, None).doing(kinds::LINE_FAILED, || "wait for the line".into())?;
                    if !ready[1].is_empty() {
                        check(signals)?;
                    }
                    if ready[0].is_empty() {
                        continue;
                    }
                    match nix::unistd::write(fd, &frame[..frame.len().min(PIECE)]) {
                        Ok(n) => frame = &frame[n..],
                        Err(nix::errno::Errno::EINTR | nix::errno::Errno::EAGAIN) => {}
                        Err(e) => return failed(e.into()),
                    }
                }
                Ok(())
            }
        }
    }
    /// Writes a whole frame if that is possible until then; whether it was.
    pub fn write_until(&self, mut frame: &[u8], until: Instant) -> bool {
        let Fd::Bytes(fd) = self.fd() else {
            return match self.fd() {
                Fd::Datagrams(socket) => socket.send(frame).is_ok(),
                Fd::Bytes(_) => false,
            };
        };
        while !frame.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(ready) = crate::drive::wait(&[(fd.as_fd(), PollFlags::POLLOUT)], Some(left)) else { return false };
            if ready[0].is_empty() && left.is_zero() {
                return false;
            }
            if ready[0].is_empty() {
                continue;
            }
            match nix::unistd::write(fd, &frame[..frame.len().min(PIECE)]) {
                Ok(n) => frame = &frame[n..],
                Err(nix::errno::Errno::EINTR | nix::errno::Errno::EAGAIN) => {}
                Err(_) => return false,
            }
        }
        true
    }
    /// Waits until everything has left, but no longer than that; whether it has.
    pub fn drain_until(&self, until: Instant) -> bool {
        while self.queued() > 0 {
            if Instant::now() >= until {
                return false;
            }
            std::thread::sleep(LOOK);
        }
        true
    }
    /// Whether it is a pipe or socket whose reader is gone for good.
    pub fn is_closed(&self) -> bool {
        let Some(fd) = self.bytes_fd().filter(|_| !self.tty) else { return false };
        let ready = crate::drive::wait(&[(fd, PollFlags::POLLOUT)], Some(Duration::ZERO));
        ready.is_ok_and(|ready| ready[0].contains(PollFlags::POLLERR))
    }
    /// Waits until everything has left, as long as something still does.
    pub fn drain(&self, signals: &Signals) -> Result<(), Failure> {
        let (mut left, mut moved) = (self.queued(), Instant::now());
        while left > 0 {
            if moved.elapsed() > STUCK {
                return Err(Failure::new(
                    kinds::LINE_FAILED,
                    format!("cannot write to the line: the port holds back {left} bytes"),
                ));
            }
            std::thread::sleep(LOOK);
            check(signals)?;
            let now = self.queued();
            if now != left {
                (left, moved) = (now, Instant::now());
            }
        }
        Ok(())
    }
    /// Bytes of output the kernel still holds.
    fn queued(&self) -> usize {
        match self.fd() {
            Fd::Bytes(fd) if self.tty => crate::port::serial::queued(fd.as_fd()),
            _ => 0,
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // what is still to be sent after a drain is given up
        if let (Some(Fd::Bytes(fd)), true) = (self.fd.take(), self.tty) {
            crate::port::serial::let_go(vec![fd]);
        }
    }
}

impl Input {
    /// Opens `spec` for reading only.
    pub fn open(spec: &Spec, options: Options) -> Result<Input, Failure> {
        refuse_flow(options)?;
        let (fd, child, tty) = match spec.kind() {
            Kind::UdpListen => (Fd::Datagrams(udp_in(spec)?), None, false),
            Kind::Exec => {
                let (fd, child) = exec(spec, Way::In)?;
                (Fd::Bytes(fd), Some(child), false)
            }
            Kind::Stdio => (Fd::Bytes(own(Way::In)?), None, false),
            _ => {
                let (fd, tty) = path(spec, options, Way::In)?;
                (Fd::Bytes(fd), None, tty)
            }
        };
        let mut input = Input { fd, tty, overruns_before: 0, _child: child };
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

fn refuse_flow(options: Options) -> Result<(), Failure> {
    if options.flow == Flow::None {
        return Ok(());
    }
    Err(Failure::new(kinds::PORT_MISUSED, "a diode has no flow control: --flow rtscts would be a way back"))
}

fn unopened(spec: &Spec, e: &io::Error) -> Failure {
    Failure::new(kinds::unopened(e), format!("cannot open {spec}: {e}"))
}

/// A terminal, a pipe or a file by its path. Says whether it is a terminal.
fn path(spec: &Spec, options: Options, way: Way) -> Result<(OwnedFd, bool), Failure> {
    let path = match spec.kind() {
        Kind::Serial => spec.rest().to_owned(),
        Kind::Usb => crate::port::usb_path(spec)?,
        _ => return Err(Failure::new(kinds::PORT_MISUSED, format!("{spec} cannot be used one way"))),
    };
    let meta = std::fs::metadata(&path).map_err(|e| unopened(spec, &e))?;
    if meta.is_dir() {
        return Err(Failure::new(kinds::PORT_UNFIT, format!("cannot open {spec}: this is a folder, not a port")));
    }
    if meta.file_type().is_socket() {
        let message =
            format!("cannot open {spec}: this is a socket, not a serial port; one way goes over ports, files, udp: and exec:");
        return Err(Failure::new(kinds::PORT_UNFIT, message));
    }
    if way == Way::Out && meta.is_file() && meta.len() > 0 && !is_recording(&path) {
        let message = format!(
            "cannot open {spec}: this is a file with something else in it than a recording; a new one goes into an empty file"
        );
        return Err(Failure::new(kinds::PORT_UNFIT, message));
    }
    let tty = meta.file_type().is_char_device();
    let mut open = File::options();
    open.read(way == Way::In).write(way == Way::Out);
    // a capture that is played back, or made, is a plain file
    open.append(way == Way::Out && !tty);
    open.custom_flags((OFlag::O_NOCTTY | OFlag::O_NONBLOCK).bits());
    let busy = || Failure::new(kinds::PORT_BUSY, format!("cannot open {spec}: busy, in use by {}", serial::holders(&path)));
    let file = open.open(&path).map_err(|e| if e.kind() == io::ErrorKind::ResourceBusy { busy() } else { unopened(spec, &e) })?;
    let is_tty = nix::unistd::isatty(&file).unwrap_or(false);
    if is_tty {
        crate::port::termios::set_up(&file, options.baud).doing(kinds::PORT_FAILED, || format!("set up {spec}"))?;
        if let Err(real) = crate::port::termios::check_rate(file.as_fd(), options.baud) {
            let why = format!("the port cannot do {} baud (it chose {real})", options.baud);
            return Err(Failure::new(kinds::RATE_IMPOSSIBLE, format!("cannot open {spec}: {why}")));
        }
        crate::port::termios::lock(&file).map_err(|_| busy())?;
        if way == Way::In {
            crate::port::termios::drop_modem_lines(&file);
        }
    }
    Ok((file.into(), is_tty))
}

/// Whether a file begins with frames: what is appended to another one would spoil it.
fn is_recording(path: &str) -> bool {
    let mut begin = vec![0; 8192];
    let read = File::open(path).and_then(|mut file| file.read(&mut begin)).unwrap_or(0);
    let (mut deframer, mut rest) = (Deframer::default(), &begin[..read]);
    while !rest.is_empty() {
        let taken = deframer.push(rest);
        if deframer.next_frame().is_some() {
            return true;
        }
        rest = &rest[taken.max(1)..];
    }
    false
}

fn udp_out(spec: &Spec) -> Result<UdpSocket, Failure> {
    let made = || -> io::Result<UdpSocket> {
        let to = spec.rest().to_socket_addrs()?.next().ok_or(io::ErrorKind::NotFound)?;
        let from = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(from)?;
        socket.connect(to)?;
        // the socket could be read; nothing does, and its receive side is closed
        let _ = nix::sys::socket::shutdown(socket.as_raw_fd(), nix::sys::socket::Shutdown::Read);
        Ok(socket)
    };
    made().map_err(|e| unopened(spec, &e))
}

fn udp_in(spec: &Spec) -> Result<UdpSocket, Failure> {
    let made = || -> io::Result<UdpSocket> {
        let socket = UdpSocket::bind(spec.rest())?;
        // a large buffer: the queue drops what the receiver is too slow for
        if nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::RcvBufForce, &(16 << 20)).is_err() {
            let _ = nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::RcvBuf, &(16 << 20));
        }
        socket.set_nonblocking(true)?;
        Ok(socket)
    };
    made().map_err(|e| unopened(spec, &e))
}

fn exec(spec: &Spec, way: Way) -> Result<(OwnedFd, Running), Failure> {
    let started = || -> io::Result<(OwnedFd, Running)> {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(spec.rest());
        match way {
            Way::Out => command.stdin(Stdio::piped()).stdout(Stdio::null()),
            Way::In => command.stdin(Stdio::null()).stdout(Stdio::piped()),
        };
        let mut child = guard::spawn(&mut command, Reach::Session)?;
        let fd = match way {
            Way::Out => child.stdin.take().map(OwnedFd::from),
            Way::In => child.stdout.take().map(OwnedFd::from),
        };
        let fd = fd.ok_or_else(|| io::Error::other("no pipe to the command"))?;
        Ok((fd, Running { child, reach: Reach::Session }))
    };
    started().doing(kinds::PORT_COMMAND, || format!("run {spec}"))
}

fn own(way: Way) -> Result<OwnedFd, Failure> {
    match way {
        Way::Out => stdio::output(),
        Way::In => stdio::input(),
    }
}
