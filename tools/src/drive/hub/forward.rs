//! Local listeners whose connections go to a service of the peer's.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::str::FromStr;

use super::local::Local;
use super::service::name_of;
use crate::error::{Doing, Failure, kinds};
use crate::port::has_port;
use crate::port::socket::{bind_unix, keep_alive, listen_tcp, reset_on_close};

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Listen {
    Tcp(String),
    Unix(PathBuf),
}

/// A listener and the service its connections go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    listen: Listen,
    name: String,
}

impl FromStr for Forward {
    type Err = String;

    fn from_str(text: &str) -> Result<Forward, String> {
        let usage = "write it as tcp:ADDR:PORT=NAME (PORT a number up to 65535) or unix:PATH=NAME";
        let (listen, name) = text.rsplit_once('=').ok_or(usage)?;
        let listen = match listen.split_once(':') {
            Some(("tcp", address)) if has_port(address) => Listen::Tcp(address.into()),
            Some(("unix", path)) if !path.is_empty() => Listen::Unix(path.into()),
            _ => return Err(usage.into()),
        };
        Ok(Forward { listen, name: name_of(name)? })
    }
}

impl Forward {
    /// Whether both would listen at the same place.
    pub fn is_beside(&self, other: &Forward) -> bool {
        self.listen == other.listen
    }
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

/// A forward that listens; a Unix socket leaves no file behind.
#[derive(Debug)]
pub(super) struct Listener {
    socket: Socket,
    /// The service, and the whole forward as it was written.
    pub(super) name: String,
    pub(super) label: String,
}

impl Listener {
    pub(super) fn bind(forward: &Forward) -> Result<Listener, Failure> {
        let socket = match &forward.listen {
            // all that it accepts, from the first moment on
            Listen::Tcp(address) => listen_tcp(address, |socket| reset_on_close(socket, true)).map(Socket::Tcp),
            Listen::Unix(path) => bind_unix(path).and_then(|l| l.set_nonblocking(true).map(|()| Socket::Unix(l, path.clone()))),
        };
        let socket = socket.doing(kinds::FORWARD_LISTEN, || format!("listen for --forward {forward}"))?;
        Ok(Listener { socket, name: forward.name.clone(), label: format!("--forward {forward}") })
    }
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Socket::Tcp(l) => l.as_fd(),
            Socket::Unix(l, _) => l.as_fd(),
        }
    }
    /// The next connection; none when nobody waits.
    pub(super) fn accept(&self) -> io::Result<Option<Local>> {
        // a connection needs two descriptors: better it waits than that it is closed for want of the second
        let spare = self.fd().try_clone_to_owned()?;
        let accepted = self.connection();
        drop(spare);
        match accepted.and_then(Local::socket) {
            Ok(local) => Ok(Some(local)),
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionAborted) => Ok(None),
            Err(e) => Err(e),
        }
    }
    fn connection(&self) -> io::Result<OwnedFd> {
        match &self.socket {
            Socket::Tcp(l) => {
                let (stream, _) = l.accept()?;
                stream.set_nodelay(true)?;
                keep_alive(&stream);
                Ok(stream.into())
            }
            Socket::Unix(l, _) => Ok(l.accept()?.0.into()),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Socket::Unix(_, path) = &self.socket {
            let _ = std::fs::remove_file(path);
        }
    }
}

impl std::fmt::Display for Forward {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.listen {
            Listen::Tcp(address) => write!(f, "tcp:{address}={}", self.name),
            Listen::Unix(path) => write!(f, "unix:{}={}", path.display(), self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpStream;

    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use nix::sys::socket::{getsockopt, sockopt};

    use super::*;

    #[test]
    fn a_connection_nobody_has_taken_yet_is_reset() {
        let listener = Listener::bind(&"tcp:127.0.0.1:0=x".parse().unwrap()).unwrap();
        let Socket::Tcp(socket) = &listener.socket else { unreachable!() };
        let mut client = TcpStream::connect(socket.local_addr().unwrap()).unwrap();
        // as if this process had been ended here
        drop(socket.accept().unwrap());
        assert_eq!(client.read(&mut [0; 8]).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    }

    #[test]
    fn a_client_that_vanishes_is_found_out() {
        let listener = Listener::bind(&"tcp:127.0.0.1:0=x".parse().unwrap()).unwrap();
        let Socket::Tcp(socket) = &listener.socket else { unreachable!() };
        let _client = TcpStream::connect(socket.local_addr().unwrap()).unwrap();
        let mut fds = [PollFd::new(listener.fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::MAX).unwrap();
        assert!(getsockopt(&listener.connection().unwrap(), sockopt::KeepAlive).unwrap());
    }

    #[test]
    fn forwards_are_read_and_printed() {
        for text in ["tcp:127.0.0.1:2222=ssh", "unix:/run/a=b=nncp"] {
            assert_eq!(text.parse::<Forward>().unwrap().to_string(), text);
        }
        for bad in ["tcp:2222=ssh", "tcp:a:x=ssh", "udp:1:2=x", "unix:=x", "tcp:a:1"] {
            assert!(bad.parse::<Forward>().is_err(), "{bad}");
        }
    }
}
