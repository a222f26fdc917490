//! One-way ports. A sender's is opened for writing only and a receiver's for reading only, so the
//! kernel itself refuses the other direction.

mod datagrams;
mod input;
mod output;

pub use input::Input;
pub use output::Output;

use std::fs::File;
use std::io::{self, Read};
use std::net::{ToSocketAddrs, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::process::{Command, Stdio};

use link::wire::Deframer;
use nix::fcntl::OFlag;

use datagrams::Datagrams;

use crate::error::{Doing, Failure, kinds};
use crate::guard::{self, Reach};
use crate::port::Kind;
use crate::port::exec::Running;
use crate::port::lock_file::LockFile;
use crate::port::serial;
use crate::port::{Flow, Options, Spec};
use crate::stdio;

/// The direction a port is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Out,
    In,
}

#[derive(Debug)]
enum Fd<D> {
    Bytes(OwnedFd),
    Datagrams(D),
}

/// What was opened.
#[derive(Debug)]
struct Opened<D> {
    /// What to read or write.
    fd: Fd<D>,
    /// The command behind it.
    child: Option<Running>,
    /// Whether it is a terminal.
    tty: bool,
    lock_file: Option<LockFile>,
}

impl<D> Opened<D> {
    fn of(fd: Fd<D>) -> Opened<D> {
        Opened { fd, child: None, tty: false, lock_file: None }
    }
}

/// Opens a port for one direction; `datagrams` makes the socket of one that has them.
fn open<D>(spec: &Spec, options: Options, way: Way, datagrams: fn(&Spec) -> Result<D, Failure>) -> Result<Opened<D>, Failure> {
    refuse_flow(options)?;
    Ok(match (spec.kind(), way) {
        (Kind::Udp, Way::Out) | (Kind::UdpListen, Way::In) => Opened::of(Fd::Datagrams(datagrams(spec)?)),
        (Kind::Exec, _) => {
            let (fd, child) = exec(spec, way)?;
            Opened { child: Some(child), ..Opened::of(Fd::Bytes(fd)) }
        }
        (Kind::Stdio, _) => Opened::of(Fd::Bytes(own(way)?)),
        _ => path(spec, options, way)?,
    })
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

/// A terminal, a pipe or a file by its path.
fn path<D>(spec: &Spec, options: Options, way: Way) -> Result<Opened<D>, Failure> {
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
    if tty {
        serial::refuse_locked(spec, &path)?;
    }
    let mut open = File::options();
    open.read(way == Way::In).write(way == Way::Out);
    // a capture that is played back, or made, is a plain file
    open.append(way == Way::Out && !tty);
    open.custom_flags((OFlag::O_NOCTTY | OFlag::O_NONBLOCK).bits());
    let busy = || Failure::new(kinds::PORT_BUSY, format!("cannot open {spec}: busy, in use by {}", serial::holders(&path)));
    let file = open.open(&path).map_err(|e| if e.kind() == io::ErrorKind::ResourceBusy { busy() } else { unopened(spec, &e) })?;
    let is_tty = nix::unistd::isatty(&file).unwrap_or(false);
    let mut lock_file = None;
    if is_tty {
        crate::port::termios::set_up(&file, options.baud).doing(kinds::PORT_FAILED, || format!("set up {spec}"))?;
        if let Err(real) = crate::port::termios::keep_rate(file.as_fd(), options.baud) {
            let why = format!("the port cannot do {} baud (it chose {real})", options.baud);
            return Err(Failure::new(kinds::RATE_IMPOSSIBLE, format!("cannot open {spec}: {why}")));
        }
        crate::port::termios::lock(&file).map_err(|_| busy())?;
        if way == Way::In {
            crate::port::termios::drop_modem_lines(&file);
        }
        lock_file = serial::take_lock_file(spec, &path)?;
        serial::name_others(spec, &path);
    }
    Ok(Opened { tty: is_tty, lock_file, ..Opened::of(Fd::Bytes(file.into())) })
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

fn udp_out(spec: &Spec) -> Result<Datagrams, Failure> {
    let address = spec.rest().to_socket_addrs().and_then(|mut all| all.next().ok_or(io::ErrorKind::NotFound.into()));
    address.and_then(|to| Datagrams::new(spec, to)).map_err(|e| unopened(spec, &e))
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
