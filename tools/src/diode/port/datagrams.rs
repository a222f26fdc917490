//! Datagrams to one address. What hinders them for a while (a route that is gone, an interface that is down or has got another
//! address, a full queue, a firewall) is waited for: no datagram counts as sent that never left.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use nix::poll::PollFlags;
use nix::sys::socket::{Shutdown, shutdown};

use crate::diode::send::{check, pause};
use crate::error::{Doing, Failure, kinds};
use crate::limit;
use crate::port::Spec;
use crate::signal::Signals;

/// How long to wait between two tries: of a queue, and of the network at first and later.
const FULL: Duration = Duration::from_millis(1);
const LOOK: Duration = Duration::from_millis(20);
const LOOK_LATER: Duration = Duration::from_millis(250);
/// What lasts so long is worth a word.
const TOLD: Duration = Duration::from_millis(100);
/// So long it is waited for where nobody asked for waiting.
const PATIENCE: Duration = Duration::from_secs(60);
/// An answer that nobody listens is about a datagram before: this one has not left yet, and is tried so often.
const REFUSALS: u32 = 3;

/// A socket that only sends.
#[derive(Debug)]
pub(super) struct Datagrams {
    spec: Spec,
    to: SocketAddr,
    socket: UdpSocket,
    /// It is waited for as long as it takes.
    pub(super) waits: bool,
    hindered: Option<Hindered>,
}

/// A time in which none can leave.
#[derive(Debug)]
struct Hindered {
    since: Instant,
    tries: u64,
    told: bool,
}

/// What an error means.
enum Error {
    /// Nothing: this one is to be tried again at once.
    Refused,
    /// There is no room at present.
    Full,
    /// The network is not there, or does not take it.
    Away,
    /// It will not get better.
    Final,
}

impl Error {
    fn of(e: &io::Error) -> Error {
        match e.raw_os_error() {
            Some(libc::ECONNREFUSED | libc::EINTR) => Error::Refused,
            Some(libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM) => Error::Full,
            Some(
                libc::ENETUNREACH
                | libc::ENETDOWN
                | libc::EHOSTUNREACH
                | libc::EHOSTDOWN
                | libc::ENODEV
                | libc::ENXIO
                // a firewall of this machine's
                | libc::EPERM
                | libc::EACCES
                // the address it was sent from is no more of this machine
                | libc::EADDRNOTAVAIL
                | libc::EINVAL,
            ) => Error::Away,
            _ => Error::Final,
        }
    }
}

fn connected(to: SocketAddr) -> io::Result<UdpSocket> {
    let from = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(from)?;
    socket.connect(to)?;
    socket.set_nonblocking(true)?;
    // the socket could be read; nothing does, and its receive side is closed
    let _ = shutdown(socket.as_raw_fd(), Shutdown::Read);
    Ok(socket)
}

impl Datagrams {
    pub(super) fn new(spec: &Spec, to: SocketAddr) -> io::Result<Datagrams> {
        Ok(Datagrams { spec: spec.clone(), to, socket: connected(to)?, waits: false, hindered: None })
    }
    /// Sends one, waiting while it cannot leave, unless a signal asks for the end.
    pub(super) fn send(&mut self, datagram: &[u8], signals: &Signals) -> Result<(), Failure> {
        let mut refusals = 0;
        loop {
            let Err(e) = self.socket.send(datagram) else {
                self.went();
                return Ok(());
            };
            match Error::of(&e) {
                Error::Refused if refusals < REFUSALS => refusals += 1,
                // nobody listens yet, which is no error on a diode
                Error::Refused => return Ok(()),
                Error::Full if e.kind() == io::ErrorKind::WouldBlock => {
                    let fds = [(self.socket.as_fd(), PollFlags::POLLOUT), (signals.fd(), PollFlags::POLLIN)];
                    crate::drive::wait(&fds, None).doing(kinds::LINE_FAILED, || "wait for the line".into())?;
                    check(signals)?;
                }
                Error::Full => {
                    self.hinder(&e)?;
                    pause(signals, FULL)?;
                }
                Error::Away => {
                    let lasted = self.hinder(&e)?;
                    pause(signals, if lasted < TOLD { LOOK } else { LOOK_LATER })?;
                    self.renew();
                }
                Error::Final => return Err(e).doing(kinds::LINE_FAILED, || "write to the line".into()),
            }
        }
    }
    /// Sends one if that is possible until then; whether it was.
    pub(super) fn send_until(&mut self, datagram: &[u8], until: Instant) -> bool {
        loop {
            match self.socket.send(datagram).map_err(|e| Error::of(&e)) {
                Ok(_) => return true,
                Err(Error::Final) => return false,
                Err(_) if Instant::now() >= until => return false,
                Err(Error::Refused) => {}
                Err(Error::Full) => std::thread::sleep(FULL),
                Err(Error::Away) => {
                    std::thread::sleep(LOOK);
                    self.renew();
                }
            }
        }
    }
    /// An interface that comes back may have another address, and there may be another way: the kernel chose both for the
    /// socket before.
    fn renew(&mut self) {
        if let Ok(socket) = connected(self.to) {
            self.socket = socket;
        }
    }
    /// None can leave; for how long that is so.
    fn hinder(&mut self, e: &io::Error) -> Result<Duration, Failure> {
        let hindered = self.hindered.get_or_insert_with(|| Hindered { since: Instant::now(), tries: 0, told: false });
        hindered.tries += 1;
        let lasted = hindered.since.elapsed();
        if !self.waits && lasted >= PATIENCE {
            let why = format!("cannot write to the line: {e}, for {} s by now (--wait waits longer)", lasted.as_secs());
            return Err(Failure::new(kinds::LINE_FAILED, why));
        }
        if lasted >= TOLD && !std::mem::replace(&mut hindered.told, true) {
            limit::warn_at(kinds::NETWORK_AWAY, &self.spec, format!("{}: nothing can be sent: {e}; trying again", self.spec));
        }
        Ok(lasted)
    }
    fn went(&mut self) {
        let Some(Hindered { since, tries, told: true }) = self.hindered.take() else { return };
        let (spec, seconds) = (&self.spec, since.elapsed().as_secs_f64());
        limit::warn_at(
            kinds::NETWORK_BACK,
            spec,
            format!("{spec}: sends again after {seconds:.1} s, in which {tries} tries failed"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_that_stays_away_is_an_error_unless_it_is_waited_for() {
        let mut datagrams = Datagrams::new(&"udp:127.0.0.1:9".parse().unwrap(), "127.0.0.1:9".parse().unwrap()).unwrap();
        let away = io::Error::from_raw_os_error(libc::ENETUNREACH);
        assert!(datagrams.hinder(&away).unwrap() < PATIENCE);
        datagrams.hindered.as_mut().unwrap().since -= PATIENCE;
        let failure = datagrams.hinder(&away).unwrap_err();
        assert!(failure.message.contains("Network is unreachable") && failure.message.contains("--wait"), "{failure}");
        datagrams.waits = true;
        assert!(datagrams.hinder(&away).unwrap() >= PATIENCE);
    }
}
