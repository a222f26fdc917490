//! The loop: an end of a measurement on a port, with the time of day.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::termios::{FlushArg, tcflush};

use super::lines::{INPUTS, Outputs};
use super::trial::Counted;
use super::{Ending, Measuring, News, Order};
use crate::clock::Clock;
use crate::diode::port::{Input, Output};
use crate::drive::wait;
use crate::error::{Doing, Failure, kinds};
use crate::port::{Opener, Port, serial, termios};
use crate::signal::{Signal, Signals};

/// Most that is made ready for the line at once, in bytes.
const READY: usize = 4096;
/// What adapter and UART may still hold when the driver has nothing more, in bytes.
const INSIDE: u64 = 512;
/// A line that does not send what it has for so long is emptied.
const STUCK: Duration = Duration::from_secs(1);
/// Modem lines follow within this.
const SETTLE: Duration = Duration::from_millis(30);
const LOOK: Duration = Duration::from_millis(2);
/// A connection that says nothing for so long before the peer was met makes room for another.
const QUIET: Duration = Duration::from_secs(2);

/// Rates worth trying, lowest first: those of UARTs, and those of USB adapters.
pub const RATES: [u32; 13] = [
    115_200, 230_400, 460_800, 500_000, 921_600, 1_000_000, 1_500_000, 2_000_000, 3_000_000, 4_000_000, 6_000_000, 8_000_000,
    12_000_000,
];

/// A port in the directions it was opened for.
#[derive(Debug)]
pub enum Line {
    /// Both.
    Both(Both),
    /// To write.
    Out(Output),
    /// To read.
    In(Input),
}

/// A port for both directions. One that listens may have got a stranger's connection first.
#[derive(Debug)]
pub struct Both {
    /// None while whoever was connected is gone.
    port: Option<Port>,
    opener: Opener,
    /// When something came last, or when it was opened.
    heard: Instant,
    /// The peer was met: it is no other connection from now on.
    met: bool,
}

impl Both {
    /// Of an open port.
    pub fn new(port: Port, opener: Opener) -> Both {
        Both { port: Some(port), opener, heard: Instant::now(), met: false }
    }
    /// What to poll for another connection, while one may be taken.
    fn listener(&self) -> Option<BorrowedFd<'_>> {
        let waits = self.port.is_none() || self.heard.elapsed() >= QUIET;
        self.opener.listener().filter(|_| !self.met && waits)
    }
    /// Takes another connection, if there is one, in the place of that which was silent; whether it did.
    fn take_next(&mut self) -> bool {
        let Ok(Some(port)) = self.opener.open() else { return false };
        (self.port, self.heard) = (Some(port), Instant::now());
        true
    }
    /// Lets the port go if another may connect; whether that is so.
    fn is_let_go(&mut self) -> bool {
        let waits = !self.met && self.opener.listener().is_some();
        self.port.take_if(|_| waits).is_some()
    }
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let Some(port) = &self.port else { return Ok(None) };
        let read = port.read(buffer);
        if let Ok(Some(_)) = read {
            self.heard = Instant::now();
        }
        read
    }
}

impl Line {
    fn reader(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Line::Both(both) => both.port.as_ref().map(Port::reader),
            Line::Out(_) => None,
            Line::In(input) => Some(input.fd()),
        }
    }
    fn writer(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Line::Both(both) => both.port.as_ref().map(Port::writer),
            Line::Out(output) => output.bytes_fd(),
            Line::In(_) => None,
        }
    }
    /// The terminal it is, if it is one: only that has a rate.
    fn tty(&self) -> Option<BorrowedFd<'_>> {
        let fd = self.reader().or(self.writer())?;
        nix::unistd::isatty(fd).unwrap_or(false).then_some(fd)
    }
    /// Which of these rates it can do; leaves it at `base`.
    ///
    /// # Errors
    /// When `base` cannot be set again (1).
    pub fn rates(&self, wanted: &[u32], base: u32) -> Result<Vec<u32>, Failure> {
        let Some(tty) = self.tty() else { return Ok(vec![base]) };
        let can = wanted.iter().copied().filter(|&baud| termios::set_rate(tty, baud).is_ok()).collect();
        termios::set_rate(tty, base).doing(kinds::LINE_FAILED, || format!("set {base} baud"))?;
        Ok(can)
    }
    /// Whether it has modem lines.
    pub fn has_lines(&self) -> bool {
        self.tty().is_some_and(|tty| termios::modem_lines(tty).is_some())
    }
    fn inputs(&self) -> u8 {
        let lines = self.tty().and_then(termios::modem_lines).unwrap_or(0);
        let of = [libc::TIOCM_CTS, libc::TIOCM_DSR, libc::TIOCM_CD, libc::TIOCM_RI];
        INPUTS.iter().zip(of).filter(|(_, line)| lines & line != 0).map(|((_, bit), _)| bit).sum()
    }
    fn set_outputs(&self, outputs: Outputs) {
        let lines = [(outputs.rts, libc::TIOCM_RTS), (outputs.dtr, libc::TIOCM_DTR)];
        let sum = |on: bool| lines.iter().filter(|l| l.0 == on).map(|l| l.1).sum();
        if let Some(tty) = self.tty() {
            // a port without such lines does not get here
            let _ = termios::set_modem_lines(tty, sum(true), sum(false));
        }
    }
    fn counted(&self) -> Counted {
        let (overruns, framing) = self.tty().map_or((0, 0), termios::errors);
        Counted { overruns, framing }
    }
    fn both(&mut self) -> Option<&mut Both> {
        match self {
            Line::Both(both) => Some(both),
            _ => None,
        }
    }
    fn listener(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Line::Both(both) => both.listener(),
            _ => None,
        }
    }
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match self {
            Line::Both(both) => both.read(buffer),
            Line::In(input) => match input.read(buffer)? {
                Some(0) => Err(io::ErrorKind::UnexpectedEof.into()),
                read => Ok(read),
            },
            Line::Out(_) => Ok(None),
        }
    }
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let Some(fd) = self.writer() else { return Ok(bytes.len()) };
        match nix::unistd::write(fd, bytes) {
            Ok(n) => Ok(n),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(0),
            Err(e) => Err(e.into()),
        }
    }
    fn queued(&self) -> usize {
        self.writer().filter(|_| self.tty().is_some()).map_or(0, serial::queued)
    }
}

/// A measurement under way.
#[derive(Debug)]
struct Run<'a> {
    line: &'a mut Line,
    baud: u32,
    clock: Clock,
    pending: Vec<u8>,
    written_at: Instant,
    counted: Counted,
    /// The line has ended, when it was to.
    closed: bool,
}

/// Runs a measurement on a line that is at `base` baud; `tell` is given the news.
///
/// # Errors
/// A line that fails (3), a signal (128 + N).
pub fn run<M: Measuring>(
    line: &mut Line,
    base: u32,
    make: impl FnOnce(link::Instant) -> M,
    signals: &Signals,
    tell: &mut dyn FnMut(&News),
) -> Result<Ending, Failure> {
    let clock = Clock::new();
    let mut end = make(clock.now());
    let counted = line.counted();
    let mut run = Run { line, baud: base, clock, pending: Vec::new(), written_at: Instant::now(), counted, closed: false };
    let mut buffer = vec![0u8; 65_536];
    loop {
        while let Some(order) = end.poll_order() {
            match order {
                Order::Rate(baud) => run.set_rate(&mut end, baud)?,
                Order::Lines(outputs) => {
                    run.line.set_outputs(outputs);
                    std::thread::sleep(SETTLE);
                    end.handle_lines(run.line.inputs(), run.clock.now());
                }
                Order::Say(news) => {
                    if let (Some(both), false) = (run.line.both(), matches!(news, News::Alone(_))) {
                        both.met = true;
                    }
                    tell(&news);
                }
                Order::Done(ending) => {
                    // the last answer may still be on its way
                    run.drain(&mut end)?;
                    return Ok(ending);
                }
            }
        }
        run.transmit(&mut end)?;
        run.receive(&mut end, signals, &mut buffer)?;
        if let Some(Signal::End(number)) = signals.take() {
            return Err(Failure::signal(number, "interrupted"));
        }
        end.handle_timeout(run.clock.now());
    }
}

fn gone(e: &io::Error) -> Failure {
    Failure::new(kinds::PORT_LOST, format!("the port was lost while it was measured: {e}; is the adapter plugged in?"))
}

impl Run<'_> {
    fn transmit(&mut self, end: &mut impl Measuring) -> Result<(), Failure> {
        if self.closed {
            return Ok(());
        }
        let room = READY.saturating_sub(self.pending.len());
        self.pending.extend(end.poll_transmit(self.clock.now(), room));
        if self.pending.is_empty() {
            return Ok(());
        }
        let n = match self.line.write(&self.pending) {
            Err(_) if end.handle_closed() => {
                self.closed = true;
                return Ok(());
            }
            written => written.or_else(|e| self.lost(&e))?,
        };
        if n > 0 {
            self.pending.drain(..n);
            self.written_at = Instant::now();
        }
        Ok(())
    }

    /// The port is gone: the end of it all, unless somebody else may connect. Nothing of what waits was written then.
    fn lost(&mut self, e: &io::Error) -> Result<usize, Failure> {
        if self.line.both().is_some_and(Both::is_let_go) {
            self.pending.clear();
            return Ok(0);
        }
        Err(gone(e))
    }

    fn receive(&mut self, end: &mut impl Measuring, signals: &Signals, buffer: &mut [u8]) -> Result<(), Failure> {
        let now = self.clock.now();
        let timeout = Duration::from_micros(end.poll_timeout(now).since(now));
        let mut fds = vec![(signals.fd(), PollFlags::POLLIN)];
        let reader = self.line.reader();
        fds.extend(reader.map(|fd| (fd, PollFlags::POLLIN)));
        fds.extend(self.line.writer().filter(|_| !self.pending.is_empty()).map(|fd| (fd, PollFlags::POLLOUT)));
        let listens = self.line.listener().map(|fd| {
            fds.push((fd, PollFlags::POLLIN));
            fds.len() - 1
        });
        let ready = wait(&fds, Some(timeout)).doing(kinds::LINE_FAILED, || "wait for the line".into())?;
        let (came, connected) = (reader.is_some() && !ready[1].is_empty(), listens.is_some_and(|at| !ready[at].is_empty()));
        if connected && self.line.both().is_some_and(Both::take_next) {
            self.pending.clear();
        } else if came {
            match self.line.read(buffer) {
                Ok(Some(n)) => end.handle_bytes(&buffer[..n], self.clock.now()),
                Ok(None) => {}
                Err(_) if end.handle_closed() => self.closed = true,
                Err(e) => drop(self.lost(&e)?),
            }
        }
        Ok(())
    }

    /// Waits until everything has left, as long as something still does.
    fn drain(&mut self, end: &mut impl Measuring) -> Result<(), Failure> {
        let began = Instant::now();
        self.transmit(end)?;
        let slow = Duration::from_micros(1000 * 10_000_000 / u64::from(self.baud.max(1)));
        while !self.closed && (!self.pending.is_empty() || self.line.queued() > 0) {
            if began.elapsed() > STUCK + slow {
                self.pending.clear();
                if let Some(tty) = self.line.tty() {
                    let _ = tcflush(tty, FlushArg::TCOFLUSH);
                }
                break;
            }
            std::thread::sleep(LOOK);
            let n = self.line.write(&self.pending).or_else(|e| self.lost(&e))?;
            if n > 0 {
                self.pending.drain(..n);
                self.written_at = Instant::now();
            }
        }
        let inside = Duration::from_millis(10) + Duration::from_micros(INSIDE * 10_000_000 / u64::from(self.baud.max(1)));
        if self.line.tty().is_some() {
            std::thread::sleep(inside.saturating_sub(self.written_at.elapsed()));
        }
        Ok(())
    }

    fn set_rate(&mut self, end: &mut impl Measuring, baud: u32) -> Result<(), Failure> {
        if self.line.writer().is_some() {
            self.drain(end)?;
        }
        let set = match self.line.tty() {
            Some(tty) => termios::set_rate(tty, baud).map_err(|e| e.to_string()),
            None => Ok(()),
        };
        if set.is_ok() {
            self.baud = baud;
        }
        let (before, now) = (self.counted, self.line.counted());
        self.counted = now;
        let counted = Counted {
            overruns: now.overruns.saturating_sub(before.overruns),
            framing: now.framing.saturating_sub(before.framing),
        };
        end.handle_rate(set, counted, self.clock.now());
        Ok(())
    }
}
