//! TCP and Unix sockets, connecting and listening.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{self, AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, setsockopt, sockopt};

use super::{Kind, Port, Spec};
use crate::error::{Doing, Failure, kinds};

const CONNECT: Duration = Duration::from_secs(3);
/// All of them, and the look-up of their name.
const CONNECT_ALL: Duration = Duration::from_secs(10);

/// Another end that is gone without a word (power, a cable, a NAT that forgot) is given up after a minute: a connection that
/// was quiet for so long is asked, then asked again, so often (seconds, seconds, times).
const KEEP_IDLE: u32 = 30;
const KEEP_INTERVAL: u32 = 10;
const KEEP_COUNT: u32 = 3;
/// As long for what is sent and not acknowledged, where nothing of that is lost with the connection (milliseconds).
const UNACKNOWLEDGED: u32 = 60_000;

/// A listening socket; a Unix one leaves no file behind.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

impl Listener {
    /// The listener of this port, if it is one that listens.
    pub(super) fn bind(spec: &Spec) -> Result<Option<Listener>, Failure> {
        let bound = match spec.kind {
            Kind::TcpListen => listen_tcp(&spec.rest, |_| {}).map(Listener::Tcp),
            Kind::UnixListen => {
                let path = Path::new(&spec.rest);
                bind_unix(path).map(|l| Listener::Unix(l, path.to_owned()))
            }
            _ => return Ok(None),
        };
        let bound = bound.and_then(|l| super::set_nonblocking(l.fd()).map(|_| l));
        bound.map(Some).doing(kinds::PORT_LISTEN, || format!("listen on {spec}"))
    }
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Listener::Tcp(l) => l.as_fd(),
            Listener::Unix(l, _) => l.as_fd(),
        }
    }
    pub(super) fn accept(&self) -> Result<Option<Port>, Failure> {
        let accepted = match self {
            Listener::Tcp(l) => l.accept().and_then(|(s, _)| tcp(s)),
            Listener::Unix(l, _) => l.accept().and_then(|(s, _)| port(s.into())),
        };
        match accepted {
            Ok(port) => Ok(Some(port)),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(e) => Err(Failure::new(kinds::PORT_LISTEN, format!("cannot accept a connection: {e}"))),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Listener::Unix(_, path) = self {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// A socket left by a process that is gone is taken over; one that is listened on is not (and is not
/// connected to either: whoever listens would take that for its peer).
pub(crate) fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    let refuse = |why: &str| Err(io::Error::new(io::ErrorKind::AddrInUse, format!("{why}; choose another path")));
    match std::fs::symlink_metadata(path) {
        Ok(meta) if !meta.file_type().is_socket() => return refuse("there is a file that is not a socket"),
        Ok(_) if is_listened_on(path) => return refuse("another process listens there"),
        Ok(_) => std::fs::remove_file(path)?,
        Err(_) => {}
    }
    // in full, or nobody could tell it from one of the same name in another folder
    match UnixListener::bind(in_full(path)) {
        Err(e) if e.kind() == io::ErrorKind::InvalidInput => UnixListener::bind(path), // that is too long
        bound => bound,
    }
}

/// By the kernel's own list; paths are compared as they were given to bind, and in full.
pub(crate) fn is_listened_on(path: &Path) -> bool {
    let list = std::fs::read_to_string("/proc/net/unix").unwrap_or_default();
    let full = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    list.lines()
        .filter_map(|line| line.split_whitespace().nth(7))
        .map(Path::new)
        .any(|listed| listed == path || listed == full || (listed.is_relative() && listed.file_name() == path.file_name()))
}

/// A path from the root, without symbolic links but for the last name; that need not be there.
fn in_full(path: &Path) -> PathBuf {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match (std::fs::canonicalize(parent), path.file_name()) {
        (Ok(parent), Some(name)) => parent.join(name),
        _ => path.to_owned(),
    }
}

/// A connection that a thread of its own makes: neither a name that is looked up nor a host that says nothing holds up anybody.
#[derive(Debug)]
pub(super) struct Connecting {
    done: Receiver<Result<Port, Failure>>,
    /// Ends with the thread.
    woken: UnixStream,
}

impl Connecting {
    pub(super) fn start(spec: &Spec) -> Result<Connecting, Failure> {
        let begun = || -> io::Result<Connecting> {
            let ((sender, done), (wake, woken)) = (channel(), UnixStream::pair()?);
            let spec = spec.clone();
            std::thread::Builder::new().spawn(move || {
                // whoever asked may be gone
                let _ = sender.send(connect(&spec));
                drop(wake);
            })?;
            Ok(Connecting { done, woken })
        };
        begun().doing(kinds::PORT_UNREACHABLE, || format!("connect to {spec}"))
    }
    /// What to poll for the end of it.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.woken.as_fd()
    }
    /// What came of it, if it is over.
    pub(super) fn result(&self) -> Option<Result<Port, Failure>> {
        self.done.try_recv().ok()
    }
}

/// Waits until it is connected, or cannot be; neither the look-up of a name nor a Unix socket whose queue is full has an end of
/// its own.
pub(super) fn connect_now(spec: &Spec) -> Result<Port, Failure> {
    connect_within(spec, CONNECT_ALL)
}

fn connect_within(spec: &Spec, limit: Duration) -> Result<Port, Failure> {
    Connecting::start(spec)?.done.recv_timeout(limit).unwrap_or_else(|_| {
        let why = format!("cannot connect to {spec}: no answer for {} s", limit.as_secs());
        Err(Failure::new(kinds::PORT_UNREACHABLE, why))
    })
}

fn connect(spec: &Spec) -> Result<Port, Failure> {
    let opened = match spec.kind {
        Kind::Unix => UnixStream::connect(&spec.rest).and_then(|s| port(s.into())),
        _ => connect_tcp(&spec.rest, CONNECT).and_then(tcp),
    };
    opened.doing(kinds::PORT_UNREACHABLE, || format!("connect to {spec}"))
}

/// Connects to the first address of a name that answers in time.
fn connect_tcp(address: &str, limit: Duration) -> io::Result<TcpStream> {
    connect_first(address, |address| TcpStream::connect_timeout(address, limit))
}

/// The same, but closing the connection resets it, from its first moment on, whatever closes it: see [`reset_on_close`].
pub(crate) fn connect_tcp_to_reset(address: &str, limit: Duration) -> io::Result<TcpStream> {
    connect_first(address, |address| connect_to_reset(address, limit))
}

fn connect_first(name: &str, connect: impl Fn(&SocketAddr) -> io::Result<TcpStream>) -> io::Result<TcpStream> {
    let stream = first_of(name, connect)?;
    stream.set_nodelay(true)?;
    keep_alive(&stream);
    Ok(stream)
}

/// What comes of the first address of a name with which it succeeds; else the last error.
fn first_of<T>(name: &str, with: impl Fn(&SocketAddr) -> io::Result<T>) -> io::Result<T> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in name.to_socket_addrs()? {
        match with(&address) {
            Ok(done) => return Ok(done),
            Err(e) => last = e,
        }
    }
    Err(last)
}

/// One that does not block.
fn tcp_socket(address: &SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    Ok(socket::socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, None)?)
}

/// Listens at a TCP address without blocking. What `prepare` does to the socket is done before anybody can connect:
/// connections take its options over.
pub(crate) fn listen_tcp(address: &str, prepare: impl Fn(&OwnedFd)) -> io::Result<TcpListener> {
    first_of(address, |address| {
        let socket = tcp_socket(address)?;
        // as the library does: an address whose last connections are not forgotten yet can be had
        setsockopt(&socket, sockopt::ReuseAddr, &true)?;
        prepare(&socket);
        socket::bind(socket.as_raw_fd(), &SockaddrStorage::from(*address))?;
        socket::listen(&socket, Backlog::MAXCONN)?;
        Ok(TcpListener::from(socket))
    })
}

/// The library connects first and sets options then: a process that ends in between would close in order.
fn connect_to_reset(address: &SocketAddr, limit: Duration) -> io::Result<TcpStream> {
    let socket = tcp_socket(address)?;
    reset_on_close(&socket, true);
    match socket::connect(socket.as_raw_fd(), &SockaddrStorage::from(*address)) {
        Ok(()) => {}
        Err(Errno::EINPROGRESS | Errno::EINTR) => await_connection(socket.as_fd(), limit)?,
        Err(e) => return Err(e.into()),
    }
    let stream = TcpStream::from(socket);
    stream.set_nonblocking(false)?;
    Ok(stream)
}

fn await_connection(socket: BorrowedFd<'_>, limit: Duration) -> io::Result<()> {
    let until = Instant::now() + limit;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(socket, PollFlags::POLLOUT)], timeout) {
            Ok(0) if left.is_zero() => return Err(io::Error::new(io::ErrorKind::TimedOut, "connection timed out")),
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => break,
            Err(e) => return Err(e.into()),
        }
    }
    match socket::getsockopt(&socket, sockopt::SocketError)? {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// Whether a TCP connection is reset when it is closed, be it by SIGKILL, so that nobody takes a loss for the end of the
/// stream. What a listener accepts takes this over from it. (Others have no such end.)
pub(crate) fn reset_on_close(socket: &impl AsFd, resets: bool) {
    let _ = setsockopt(socket, sockopt::Linger, &libc::linger { l_onoff: i32::from(resets), l_linger: 0 });
}

/// Has the kernel find out whether the other end of a TCP connection is still there: a minute after it went, reading fails.
/// What others wait for is not disturbed: an end that lives may be slow for as long as it likes. (Others have no such thing.)
pub(crate) fn keep_alive(socket: &impl AsFd) {
    let _ = setsockopt(socket, sockopt::TcpKeepIdle, &KEEP_IDLE);
    let _ = setsockopt(socket, sockopt::TcpKeepInterval, &KEEP_INTERVAL);
    let _ = setsockopt(socket, sockopt::TcpKeepCount, &KEEP_COUNT);
    let _ = setsockopt(socket, sockopt::KeepAlive, &true);
}

/// A TCP connection as a port. What is lost with it is sent again by the next, so that it need not be kept through all
/// that TCP would wait for (a quarter of an hour).
fn tcp(stream: TcpStream) -> io::Result<Port> {
    stream.set_nodelay(true)?;
    keep_alive(&stream);
    // of others this would end those whose reader pauses, too
    let _ = setsockopt(&stream, sockopt::TcpUserTimeout, &UNACKNOWLEDGED);
    port(stream.into())
}

fn port(socket: OwnedFd) -> io::Result<Port> {
    let writer = socket.try_clone()?;
    Port::new(socket, writer)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_connection_nobody_has_taken_yet_is_reset() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connected = connect_tcp_to_reset(&listener.local_addr().unwrap().to_string(), CONNECT).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        drop(connected);
        assert_eq!(server.read(&mut [0; 8]).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    }

    /// Whether the kernel looks after it, and after how many milliseconds it gives up what is not acknowledged (0: its own).
    #[track_caller]
    fn assert_kept_alive(socket: impl AsFd, unacknowledged: u32) {
        use socket::getsockopt;
        assert!(getsockopt(&socket, sockopt::KeepAlive).unwrap());
        assert_eq!(getsockopt(&socket, sockopt::TcpKeepIdle).unwrap(), KEEP_IDLE);
        assert_eq!(getsockopt(&socket, sockopt::TcpKeepInterval).unwrap(), KEEP_INTERVAL);
        assert_eq!(getsockopt(&socket, sockopt::TcpKeepCount).unwrap(), KEEP_COUNT);
        assert_eq!(getsockopt(&socket, sockopt::TcpUserTimeout).unwrap(), unacknowledged);
    }

    #[test]
    fn both_ends_of_a_port_are_kept_alive() {
        let listener = Listener::bind(&"tcp-listen:127.0.0.1:0".parse().unwrap()).unwrap().unwrap();
        let Listener::Tcp(socket) = &listener else { unreachable!() };
        let client = connect(&format!("tcp:{}", socket.local_addr().unwrap()).parse().unwrap()).unwrap();
        assert_kept_alive(client.reader(), UNACKNOWLEDGED);
        poll(&mut [PollFd::new(listener.fd(), PollFlags::POLLIN)], PollTimeout::MAX).unwrap();
        assert_kept_alive(listener.accept().unwrap().unwrap().reader(), UNACKNOWLEDGED);
    }

    #[test]
    fn a_queue_that_is_full_is_no_answer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let flags = SockFlag::SOCK_CLOEXEC;
        let listener = socket::socket(AddressFamily::Unix, SockType::Stream, flags, None).unwrap();
        socket::bind(listener.as_raw_fd(), &socket::UnixAddr::new(&path).unwrap()).unwrap();
        socket::listen(&listener, Backlog::new(0).unwrap()).unwrap();
        let spec: Spec = format!("unix:{}", path.display()).parse().unwrap();
        let limit = Duration::from_millis(300);
        let first = connect_within(&spec, limit).unwrap();
        let failure = connect_within(&spec, limit).unwrap_err();
        assert!(failure.message.contains("no answer"), "{failure}");
        drop(first);
    }

    #[test]
    fn a_service_is_kept_alive_and_may_be_slow() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connected = connect_tcp_to_reset(&listener.local_addr().unwrap().to_string(), CONNECT).unwrap();
        assert_kept_alive(&connected, 0);
    }

    #[test]
    fn who_refuses_is_told_from_who_is_slow() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let refused = connect_tcp_to_reset(&address, CONNECT).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }
}
