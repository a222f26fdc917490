//! Serial ports: a path, or an adapter by its USB serial number.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use link::{LADDER, Rates};
use nix::sys::termios::FlushArg;

use super::lock_file::{self, LockFile};
use super::termios;
use super::{Flow, Options, Port, Spec};
use crate::adapters::{self, Mark, holders};
use crate::error::{Failure, Kind, kinds};
use crate::limit;
use crate::names::printable;

/// How long a port that cannot discard its output holds us up.
const CLOSE: Duration = Duration::from_millis(200);

/// Who has a port open must have had it for so long to be named.
const SECOND_LOOK: Duration = Duration::from_millis(100);

/// Said only where the port is not waited for.
const WAIT_HINT: &str = " (--wait waits for it)";

/// The message of a port that is waited for.
pub(crate) fn unhinted(message: &str) -> String {
    message.replace(WAIT_HINT, "")
}

/// How often a port that went away is looked for, and once it has been away for a while: a look at a busy port
/// costs a search for whoever has it.
const LOOK: Duration = Duration::from_millis(50);
const LOOK_LATER: Duration = Duration::from_millis(250);
/// A port that is away for so long is away for a while.
pub(crate) const LATER: Duration = Duration::from_secs(5);

/// How long to wait before a port is looked for again that has been away for so long.
pub(crate) fn look_again(away: Duration) -> Duration {
    if away < LATER { LOOK } else { LOOK_LATER }
}

/// Opens, locks (flock, and TIOCEXCL unless it is a pseudo-terminal) and sets up a serial port: raw, 8N1.
pub(super) fn open(spec: &Spec, path: &str, options: Options) -> Result<Port, Failure> {
    let fail = |kind, why: String| Failure::new(kind, format!("cannot open {spec}: {why}"));
    // opening a file that is no terminal must not touch it
    match std::fs::metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return Err(fail(kinds::PORT_ABSENT, format!("there is no such device; is the adapter plugged in?{WAIT_HINT}")));
        }
        Err(e) => return Err(fail(kinds::unopened(&e), e.to_string())),
        Ok(meta) if meta.file_type().is_socket() => {
            return Err(fail(
                kinds::PORT_UNFIT,
                format!("this is a socket, not a serial port; as a wire it is written unix:{path}"),
            ));
        }
        Ok(meta) if !meta.file_type().is_char_device() => {
            return Err(fail(kinds::PORT_UNFIT, "this is not a serial port".into()));
        }
        Ok(_) => {}
    }
    if let Err(e) = nix::unistd::access(path, nix::unistd::AccessFlags::R_OK | nix::unistd::AccessFlags::W_OK) {
        return Err(fail(kinds::PORT_DENIED, format!("{}; are you in the group 'dialout'?", e.desc().to_lowercase())));
    }
    refuse_locked(spec, path)?;
    let tty = std::fs::File::options().read(true).custom_flags(libc::O_NOCTTY | libc::O_NONBLOCK).open(path);
    if tty.is_ok_and(|f| !nix::unistd::isatty(&f).unwrap_or(false)) {
        return Err(fail(kinds::PORT_UNFIT, "this is not a serial port".into()));
    }
    let flow = match options.flow {
        Flow::None => serialport::FlowControl::None,
        Flow::Rtscts => serialport::FlowControl::Hardware,
    };
    let first = if options.auto { LADDER[0] } else { options.baud };
    let tty = serialport::new(path, first).flow_control(flow).open_native().map_err(|e| explain(&fail, path, &e, first))?;
    let mut port = port(tty).map_err(|e| fail(kinds::PORT_FAILED, e.to_string()))?;
    port.lock_file = take_lock_file(spec, path)?;
    if let Err(real) = termios::keep_rate(port.reader(), first) {
        return Err(fail(kinds::RATE_IMPOSSIBLE, format!("the port cannot do {first} baud (it chose {real})")));
    }
    if options.auto {
        let rates = rates(port.reader());
        let baud = if rates.contains(options.baud) { options.baud } else { first };
        termios::set_rate(port.reader(), baud).map_err(|e| fail(kinds::PORT_FAILED, e.to_string()))?;
        port.rates = Some((rates, baud));
    }
    low_latency(path, port.reader());
    name_others(spec, path);
    Ok(port)
}

/// The device itself: lock files and `/proc` have its own name.
fn device(path: &str) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| PathBuf::from(path))
}

/// The process that has a lock file for the port; that it is a file is said where nothing else shows it.
fn locked(spec: &Spec, device: &Path, pid: u32) -> Failure {
    let shows = holders::of(Path::new("/"), device).iter().any(|holder| holder.pid == pid && holder.by != Mark::LockFile);
    let name = printable(holders::name(Path::new("/"), pid).as_bytes());
    let how = if shows { "" } else { ", as its lock file says" };
    Failure::new(kinds::PORT_BUSY, format!("cannot open {spec}: busy, in use by {name} (process {pid}){how}"))
}

/// Whether a program that runs has a lock file for the port; to be asked before it is opened, which moves its modem lines.
pub(crate) fn refuse_locked(spec: &Spec, path: &str) -> Result<(), Failure> {
    let device = device(path);
    lock_file::holder(Path::new("/"), &device).map_or(Ok(()), |pid| Err(locked(spec, &device, pid)))
}

/// A lock file for a port that is open and locked, where that is the custom.
pub(crate) fn take_lock_file(spec: &Spec, path: &str) -> Result<Option<LockFile>, Failure> {
    let device = device(path);
    lock_file::take(Path::new("/"), &device).map_err(|pid| locked(spec, &device, pid))
}

/// Says who else has an open port and takes bytes of it: programs that do not lock what they open. It takes a look at every
/// process, which nobody waits for.
pub(crate) fn name_others(spec: &Spec, path: &str) {
    let (spec, device) = (spec.clone(), device(path));
    let look = move || {
        let beside = || holders::beside(Path::new("/"), &device);
        let first = beside();
        if first.is_empty() {
            return;
        }
        // a process that is being started, or one that only had a look, is gone by then
        std::thread::sleep(SECOND_LOOK);
        let names = beside().into_iter().filter(|holder| first.contains(holder));
        let names: Vec<String> = names.map(|h| format!("{} (process {})", printable(h.name.as_bytes()), h.pid)).collect();
        if !names.is_empty() {
            let words = format!("{spec}: {} has it open, too: what one reads the other does not get", names.join(", "));
            limit::warn_at(kinds::PORT_SHARED, &spec, words);
        }
    };
    if let Err(e) = std::thread::Builder::new().spawn(look) {
        tracing::debug!("cannot look who else has {path} open: {e}");
    }
}

#[allow(unsafe_code)]
fn port(tty: serialport::TTYPort) -> io::Result<Port> {
    // SAFETY: into_raw_fd hands over the only owner of the descriptor
    let reader = unsafe { OwnedFd::from_raw_fd(tty.into_raw_fd()) };
    // a command started from here must not keep the port: it could not be opened again
    nix::fcntl::fcntl(&reader, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC))?;
    if termios::is_pseudo(reader.as_fd()) {
        // a process that is killed could not do it; flock is left, and ends with it
        termios::share(reader.as_fd());
    }
    let writer = reader.try_clone()?;
    let mut port = Port::new(reader, writer)?;
    port.tty = true;
    Ok(port)
}

/// Which rates the driver takes and reports to have.
fn rates(tty: BorrowedFd<'_>) -> Rates {
    let rates = Rates::of(|baud| termios::set_rate(tty, baud).is_ok());
    tracing::debug!("the port can do {} baud at most, by what its driver says", rates.highest());
    rates
}

/// Another rate for an open port; the one before, where the driver does not take it.
pub(super) fn set_baud(tty: BorrowedFd<'_>, baud: u32, before: u32) -> io::Result<()> {
    termios::set_rate(tty, baud).inspect_err(|_| {
        let _ = termios::set_rate(tty, before);
    })
}

fn explain(fail: &dyn Fn(Kind, String) -> Failure, path: &str, error: &serialport::Error, baud: u32) -> Failure {
    let text = error.to_string();
    let low = text.to_lowercase();
    if low.contains("busy") || low.contains("temporarily unavailable") || low.contains("would block") || low.contains("lock") {
        return fail(kinds::PORT_BUSY, format!("busy, in use by {}", holders(path)));
    }
    if matches!(error.kind(), serialport::ErrorKind::InvalidInput | serialport::ErrorKind::Io(io::ErrorKind::InvalidInput)) {
        return fail(kinds::RATE_IMPOSSIBLE, format!("the port cannot do {baud} baud ({text})"));
    }
    fail(kinds::PORT_FAILED, text)
}

/// Who holds the device, as far as it may be known.
pub(crate) fn holders(path: &str) -> String {
    let others = holders::of(Path::new("/"), &device(path)).into_iter().filter(|h| h.pid != std::process::id());
    let found: Vec<String> = others.map(|h| format!("{} (process {})", printable(h.name.as_bytes()), h.pid)).collect();
    if found.is_empty() { "another program".into() } else { found.join(", ") }
}

/// Closes a terminal without what it has not sent: a stuck transmitter would hold the close for up to 30 s.
/// Where the driver cannot discard (`cdc_acm`), a thread waits for that, and is ended with the process.
pub(crate) fn let_go(fds: Vec<OwnedFd>) {
    let Some(tty) = fds.first() else { return };
    termios::share(tty.as_fd());
    if queued(tty.as_fd()) > 0 {
        let _ = nix::sys::termios::tcflush(tty, FlushArg::TCOFLUSH);
    }
    if queued(tty.as_fd()) == 0 {
        return;
    }
    let (closed, is_closed) = mpsc::channel();
    let close = move || {
        drop(fds);
        let _ = closed.send(());
    };
    if std::thread::Builder::new().spawn(close).is_ok() {
        // once it is inside close, only there does the end of the process reach it
        let _ = is_closed.recv_timeout(CLOSE);
    }
}

/// An FTDI adapter holds what it receives for 16 ms unless told otherwise: 1 ms, where permitted.
fn low_latency(path: &str, tty: BorrowedFd<'_>) {
    let device = device(path);
    let Some(name) = device.file_name() else { return };
    let timer = Path::new("/sys/class/tty").join(name).join("device/latency_timer");
    if timer.exists() {
        match std::fs::write(&timer, "1").or_else(|_| termios::low_latency(tty)) {
            Ok(()) => tracing::debug!("latency timer of {path} set to 1 ms"),
            Err(e) => tracing::info!(code = %kinds::LATENCY_LEFT, "latency timer of {path} left as it is: {e}"),
        }
    }
}

/// The device of the USB adapter with this serial number, which no other may have: the wrong wire would be taken.
pub(super) fn by_usb_serial(serial: &str) -> Result<String, Failure> {
    let fail = |kind, why: String| Err(Failure::new(kind, format!("cannot open usb:{serial}: {why}")));
    let (paths, seen) = adapters::with_serial(Path::new("/"), serial);
    match &paths[..] {
        [path] => Ok(path.display().to_string()),
        [] if seen.is_empty() => {
            fail(kinds::PORT_ABSENT, "no adapter has this serial number; no USB adapter is plugged in".into())
        }
        [] => fail(
            kinds::PORT_ABSENT,
            format!("no adapter has this serial number; plugged in are {}", printable(seen.join(", ").as_bytes())),
        ),
        _ => {
            let all: Vec<String> = paths.iter().map(|p| p.display().to_string()).collect();
            fail(
                kinds::PORT_AMBIGUOUS,
                format!("{} all have this serial number; 'hardline ports' shows names that tell them apart", all.join(", ")),
            )
        }
    }
}

nix::ioctl_read_bad!(tiocoutq, libc::TIOCOUTQ, libc::c_int);

/// Bytes in the driver's output queue; 0 where it cannot say.
#[allow(unsafe_code)]
pub(crate) fn queued(fd: BorrowedFd<'_>) -> usize {
    let mut n = 0;
    // SAFETY: TIOCOUTQ writes one int
    match unsafe { tiocoutq(fd.as_raw_fd(), &raw mut n) } {
        Ok(_) => n.max(0) as usize,
        Err(_) => 0,
    }
}
