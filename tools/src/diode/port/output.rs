//! A port that can only be written.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::poll::PollFlags;

use super::datagrams::Datagrams;
use super::{Fd, Opened, Way, open, udp_out};
use crate::diode::send::check;
use crate::error::{Doing, Failure, kinds};
use crate::port::exec::Running;
use crate::port::lock_file::LockFile;
use crate::port::{Options, Spec};
use crate::signal::Signals;

/// What a descriptor that blocks takes for sure once it polls writable.
const PIECE: usize = 4096;
/// A transmitter that has sent nothing for so long will not.
const STUCK: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(5);

/// A port that can only be written.
#[derive(Debug)]
pub struct Output {
    /// None once it is let go.
    fd: Option<Fd<Datagrams>>,
    /// Bytes per second, 0 when the port sets no rate.
    pub rate: u32,
    tty: bool,
    _child: Option<Running>,
    _lock_file: Option<LockFile>,
}

impl Output {
    /// Opens `spec` for writing only.
    pub fn open(spec: &Spec, options: Options) -> Result<Output, Failure> {
        let Opened { fd, child, tty, lock_file } = open(spec, options, Way::Out, udp_out)?;
        let rate = if tty { options.baud / 10 } else { 0 };
        Ok(Output { fd: Some(fd), rate, tty, _child: child, _lock_file: lock_file })
    }
    fn fd(&self) -> &Fd<Datagrams> {
        self.fd.as_ref().expect("open until dropped")
    }
    fn datagrams(&mut self) -> Option<&mut Datagrams> {
        match &mut self.fd {
            Some(Fd::Datagrams(datagrams)) => Some(datagrams),
            _ => None,
        }
    }
    /// Where datagrams go is waited for as long as it takes when it goes away; otherwise for a minute.
    pub fn wait_for_network(&mut self) {
        if let Some(datagrams) = self.datagrams() {
            datagrams.waits = true;
        }
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
    pub fn write(&mut self, mut frame: &[u8], signals: &Signals) -> Result<(), Failure> {
        if let Some(datagrams) = self.datagrams() {
            return datagrams.send(frame, signals);
        }
        let Some(fd) = self.bytes_fd() else { return Ok(()) };
        while !frame.is_empty() {
            // a pipe may be one that blocks, and nothing would end that
            let fds = [(fd, PollFlags::POLLOUT), (signals.fd(), PollFlags::POLLIN)];
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
                Err(e) => {
                    let hung_up = self.tty && e == nix::errno::Errno::EIO;
                    let away = || io::Error::other("the port hung up (--wait waits until it is back)");
                    let why = if hung_up { away() } else { e.into() };
                    return Err(why).doing(kinds::LINE_FAILED, || "write to the line".into());
                }
            }
        }
        Ok(())
    }
    /// Writes a whole frame if that is possible until then; whether it was.
    pub fn write_until(&mut self, mut frame: &[u8], until: Instant) -> bool {
        if let Some(datagrams) = self.datagrams() {
            return datagrams.send_until(frame, until);
        }
        let Some(fd) = self.bytes_fd() else { return false };
        while !frame.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(ready) = crate::drive::wait(&[(fd, PollFlags::POLLOUT)], Some(left)) else { return false };
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
