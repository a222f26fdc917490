//! A port and the protocol on it: reading, writing, losing the port and finding it again.

mod absence;
mod identity;
mod rate;
mod watch;

use std::io;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use link::{Config, FRAME_MAX, Link, Loss, Noise, State};
use nix::poll::PollFlags;

use crate::clock::{Clock, random_id};
use crate::error::{Doing, Exit, Failure, Kind, kinds};
use crate::port::{Opener, Port, Spec};
use absence::Absence;
pub use identity::Identity;
pub(in crate::drive) use rate::buffer_baud;

/// How often a lost port is looked for.
const LOOK: Duration = Duration::from_millis(50);
/// How long timers may be late while the port takes nothing.
const BLOCKED: Duration = Duration::from_millis(10);
/// Longest sleep through the bytes of a frame that is not whole yet, in time and in bytes: well
/// below what a tty holds (4 KiB).
const GATHER_US: u64 = 15_000;
/// A little more, or the last byte is missed by a hair.
const GATHER_MORE_US: u64 = 100;
const GATHER_BYTES: usize = 3_000;
/// Time for a last message to leave a port that takes nothing.
const FAREWELL: Duration = Duration::from_millis(300);

/// What a wire needs beside its port.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long a lost port or a silent peer is waited for.
    pub grace: Duration,
    /// Wait for a port that is not there yet.
    pub wait: bool,
    /// Look for a lost port for ever: sessions end, the wire does not.
    pub hold: bool,
    /// Where to write the statistics.
    pub stats: Option<PathBuf>,
    /// How the ends prove who they are.
    pub identity: Arc<Identity>,
    /// Whether the terminal may be asked about a peer that is not known.
    pub ask: bool,
}

/// The link of a wire with up to `C` channels, its buffers on the heap.
pub(super) type Protocol<const C: usize> = Box<Link<Box<[u8]>, 1024, C, Option<Noise>>>;

/// Makes the link of a new session, before it is sealed.
type NewLink<const C: usize> = fn(Config, u64, link::Instant, u32) -> Link<Box<[u8]>, 1024, C>;

/// A port, and the session on it.
pub struct Wire<const C: usize> {
    pub(super) link: Protocol<C>,
    new_link: NewLink<C>,
    pub(super) clock: Clock,
    pub(super) began: Instant,
    opener: Opener,
    port: Option<Port>,
    pub(super) settings: Settings,
    /// The frame on its way into the port: its bytes, how many there are, how many went.
    frame: Box<[u8; FRAME_MAX]>,
    frame_len: usize,
    frame_at: usize,
    /// Until then the port need not be read: no frame can be whole before.
    gather_until: Option<link::Instant>,
    /// Why the port could not be opened the last time.
    absence: Option<Absence>,
    lost_at: Option<Instant>,
    lost_frames: u64,
    looked: Option<Instant>,
    strange_since: Option<(Instant, u64)>,
    warned: bool,
    callers: identity::Callers,
    said_plain: bool,
    /// Since when a peer is heard that does not prove itself.
    heard_since: Option<Instant>,
    /// What the port can do, where its rate can change; and a change that waits for it.
    rates: link::Rates,
    draining: Option<rate::Draining>,
    /// Set once nothing more is to be done.
    pub(super) outcome: Option<Result<(), Failure>>,
}

fn config(settings: &Settings, baud: u32) -> Config {
    Config { grace_us: settings.grace.as_micros() as u64, ..Config::for_baud(baud) }
}

/// A link that begins to call.
fn begin<const C: usize>(
    new: NewLink<C>,
    settings: &Settings,
    opener: &Opener,
    rates: link::Rates,
    now: link::Instant,
) -> Result<Protocol<C>, Failure> {
    let handshake = settings.identity.handshake(opener.spec())?;
    let link = new(config(settings, opener.baud()), new_id()?, now, buffer_baud(opener));
    let mut link = Box::new(link.sealed(handshake));
    if opener.is_auto() {
        link.set_rates(rates, now);
    }
    Ok(link)
}

fn new_id() -> Result<u64, Failure> {
    random_id().doing(kinds::SYSTEM, || "draw a random session id".into())
}

impl<const C: usize> Wire<C> {
    /// Opens the port (unless it is to be waited for) and begins to call.
    pub(super) fn open(mut opener: Opener, settings: Settings, new_link: NewLink<C>) -> Result<Wire<C>, Failure> {
        let mut absence = None;
        let port = match opener.open() {
            Ok(port) => port,
            Err(failure) if settings.wait && failure.exit == Exit::Port => {
                absence = Some(Absence::new(&failure));
                None
            }
            Err(failure) => return Err(failure),
        };
        let clock = Clock::new();
        let rates = port.as_ref().and_then(|port| port.rates).map_or_else(rate::unknown, |(rates, _)| rates);
        Ok(Wire {
            link: begin(new_link, &settings, &opener, rates, clock.now())?,
            new_link,
            clock,
            began: Instant::now(),
            opener,
            port,
            settings,
            frame: Box::new([0; FRAME_MAX]),
            frame_len: 0,
            frame_at: 0,
            gather_until: None,
            absence,
            lost_at: None,
            lost_frames: 0,
            looked: None,
            strange_since: None,
            warned: false,
            callers: identity::Callers::default(),
            said_plain: false,
            heard_since: None,
            rates,
            draining: None,
            outcome: None,
        })
    }

    /// Begins a new session on the same port.
    pub(super) fn renew(&mut self) -> Result<(), Failure> {
        self.link = begin(self.new_link, &self.settings, &self.opener, self.rates, self.clock.now())?;
        self.callers.renew();
        (self.strange_since, self.warned, self.lost_frames) = (None, false, 0);
        Ok(())
    }
    /// Which port it is.
    pub(super) fn spec(&self) -> &Spec {
        self.opener.spec()
    }
    /// Whether the port is there.
    pub(super) fn has_port(&self) -> bool {
        self.port.is_some()
    }
    pub(super) fn fail(&mut self, kind: Kind, message: impl Into<String>) {
        self.end(Failure::new(kind, message));
    }
    pub(super) fn end(&mut self, failure: Failure) {
        self.outcome.get_or_insert(Err(failure));
    }
    pub(super) fn undelivered(&self) -> String {
        let stats = self.link.stats();
        format!("{} bytes sent and acknowledged, {} received", stats.bytes_out, stats.bytes_in)
    }
    /// The kind and the reason of a loss.
    pub(super) fn explain(&self, loss: Loss) -> (Kind, String) {
        watch::explain(loss, self.settings.grace)
    }

    // ---- waiting ------------------------------------------------------------------------------

    /// Adds what the wire waits for; returns how long it may wait, and the place to give to
    /// [`Wire::ready`].
    pub(super) fn wait_for<'a>(&'a self, fds: &mut Vec<(BorrowedFd<'a>, PollFlags)>) -> (Option<Duration>, Option<usize>) {
        let now = self.clock.now();
        let mut timeout = self.link.poll_timeout().map(|at| Duration::from_micros(at.since(now)));
        let Some(port) = &self.port else {
            // one that could not accept would say at once that it could
            let listener = self.opener.listener().filter(|_| self.absence.is_none());
            let look = if listener.is_some() { Duration::from_secs(1) } else { self.look() };
            fds.extend(listener.map(|fd| (fd, PollFlags::POLLIN)));
            return (Some(look), None);
        };
        if let Some(look) = self.drain_look() {
            timeout = Some(timeout.map_or(look, |t| t.min(look)));
        }
        let writing = self.frame_at < self.frame_len;
        if writing {
            // what is due waits for the port to take this frame; timers still count
            timeout = timeout.map(|t| t.max(BLOCKED));
        }
        let reading = match self.gather_until.filter(|&until| until > now) {
            Some(until) => {
                let wait = Duration::from_micros(until.since(now));
                timeout = Some(timeout.map_or(wait, |t| t.min(wait)));
                PollFlags::empty()
            }
            None => PollFlags::POLLIN,
        };
        fds.push((port.reader(), reading));
        fds.push((port.writer(), if writing { PollFlags::POLLOUT } else { PollFlags::empty() }));
        (timeout, Some(fds.len() - 2))
    }
    /// What the port is ready for.
    pub(super) fn ready(&self, flags: &[PollFlags], at: Option<usize>) -> PollFlags {
        let mut port = at.map_or(PollFlags::empty(), |at| flags[at] | flags[at + 1]);
        if self.gather_until.is_some_and(|until| until <= self.clock.now()) {
            port |= PollFlags::POLLIN;
        }
        port
    }

    // ---- the port -----------------------------------------------------------------------------

    /// Takes what came, or looks for the port.
    pub(super) fn serve(&mut self, ready: PollFlags, buffer: &mut [u8]) {
        let Some(port) = &self.port else { return self.look_for_port() };
        if ready.intersects(PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL) {
            match port.read(buffer) {
                Ok(Some(n)) => {
                    let now = self.clock.now();
                    self.link.handle_bytes(&buffer[..n], now);
                    self.gather_until = None;
                    let baud = self.baud();
                    if baud > 0 {
                        let bytes = self.link.missing().min(GATHER_BYTES) as u64;
                        let wait = bytes * 10_000_000 / u64::from(baud);
                        self.gather_until = (bytes > 0).then(|| now.after(wait.min(GATHER_US) + GATHER_MORE_US));
                    }
                }
                Ok(None) if ready.intersects(PollFlags::POLLHUP | PollFlags::POLLNVAL) => self.port_lost("hung up"),
                Ok(None) => self.gather_until = None,
                Err(e) => self.port_lost(&e.to_string()),
            }
        }
    }

    fn port_lost(&mut self, why: &str) {
        // every descriptor must go, or the adapter comes back under another name
        self.port = None;
        (self.frame_at, self.frame_len) = (0, 0);
        let spec = self.opener.spec().clone();
        if self.link.is_delivered() && self.opener.closes_with_peer() {
            self.outcome.get_or_insert(Ok(()));
        } else if !self.opener.can_reopen() {
            self.fail(
                kinds::PORT_CLOSED,
                format!("{spec} was closed ({why}) before everything was delivered; {}", self.undelivered()),
            );
        } else {
            // a port that comes and goes without a frame in between never came back
            if self.lost_at.is_none() || self.link.stats().frames_in > self.lost_frames {
                tracing::warn!(code = %kinds::PORT_LOST, "{spec} is gone ({why}); looking for it{}", self.how_long());
                self.lost_at = Some(Instant::now());
                self.lost_frames = self.link.stats().frames_in;
            }
            self.check_grace(&format!("{spec} went away ({why})"));
        }
    }
    fn how_long(&self) -> String {
        if self.settings.hold { String::new() } else { format!(" for {} s", self.settings.grace.as_secs()) }
    }

    fn check_grace(&mut self, why: &str) {
        if !self.settings.hold && self.lost_at.is_some_and(|at| at.elapsed() >= self.settings.grace) {
            let kind = if self.link.state() == State::Open { kinds::PORT_LOST } else { kinds::PORT_GONE };
            let undelivered = self.undelivered();
            self.fail(kind, format!("{why} and did not come back for {} s; {undelivered}", self.settings.grace.as_secs()));
        }
    }

    fn look_for_port(&mut self) {
        if self.looked.is_some_and(|at| at.elapsed() < self.opener.pause()) {
            return;
        }
        self.looked = Some(Instant::now());
        match self.opener.open() {
            Ok(Some(port)) => {
                self.opened();
                self.tell_port(&port);
                self.port = Some(port);
                self.link.handle_reopen(self.clock.now());
            }
            Ok(None) => self.absence = None,
            Err(failure) if self.lost_at.is_none() && failure.exit != Exit::Port => self.end(failure),
            Err(failure) => {
                self.cannot_open(&failure);
                self.check_grace(&failure.message);
            }
        }
    }

    /// Sends what is due, as far as the port takes it.
    pub(super) fn transmit(&mut self) {
        if self.port.is_none() {
            self.follow_rate();
        }
        while self.port.is_some() {
            if self.frame_at == self.frame_len {
                if !self.follow_rate() {
                    return;
                }
                let Some(len) = self.link.poll_transmit(&mut self.frame[..], self.clock.now()) else { return };
                (self.frame_at, self.frame_len) = (0, len);
            }
            let Some(port) = &self.port else { return };
            match port.write(&self.frame[self.frame_at..self.frame_len]) {
                Ok(0) => return,
                Ok(n) => self.frame_at += n,
                Err(e) => return self.port_lost(&e.to_string()),
            }
        }
    }

    /// Lets a last message leave, and what was written before it; then the port is let go.
    pub(super) fn farewell(&mut self) {
        let until = Instant::now() + FAREWELL;
        while self.port.is_some() && Instant::now() < until {
            self.transmit();
            let busy = self.frame_at < self.frame_len || self.link.is_transmit_due();
            let queued = self.port.as_ref().map_or(0, Port::queued);
            if !busy && queued == 0 {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(self.port.take());
    }

    /// Writes the statistics, if they were asked for.
    pub(super) fn write_stats(&self) -> Result<(), Failure> {
        match &self.settings.stats {
            Some(path) => crate::stats::write(path, &self.link.stats(), self.began),
            None => Ok(()),
        }
    }
    /// The statistics now, to their file or to stderr.
    pub(super) fn show_stats(&self) {
        let value = crate::stats::as_json(&self.link.stats(), self.began);
        match &self.settings.stats {
            Some(path) => {
                if let Err(e) = crate::stats::write_json(path, &value) {
                    tracing::warn!(code = %e.kind, "{e}");
                }
            }
            None => crate::say::aside(value),
        }
    }

    /// Cannot wait: nothing can go on.
    pub(super) fn cannot_wait(e: &io::Error) -> Failure {
        Failure::new(kinds::SYSTEM, format!("cannot wait for input: {e}"))
    }
}
