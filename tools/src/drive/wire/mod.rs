//! The ports of a link and the protocol on them: reading, writing, losing a port and finding it again.

mod absence;
mod garbled;
mod identity;
mod line;
mod newcomers;
mod rate;
mod silence;
mod text;
mod watch;

use std::io;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use link::{Config, Link, Loss, Noise, Path, State};
use nix::poll::PollFlags;

use super::shorter;
use crate::clock::{Clock, random_id};
use crate::error::{Doing, Exit, Failure, Kind, kinds};
use crate::limit;
use crate::port::serial::unhinted;
use crate::port::{Opener, Spec};
use absence::Absence;
pub use identity::Identity;
use line::{Line, LineReady, Place};
use rate::buffer_baud;
pub(super) use watch::OPENING_BYTES;

/// Time for a last message to leave a port that takes nothing; and the most there is where much goes before it.
const FAREWELL: Duration = Duration::from_millis(300);
const FAREWELL_MAX: Duration = Duration::from_secs(20);
/// Bytes of the last messages, about.
const LAST_MESSAGES: usize = 96;
/// Before a terminal goes back to its shell, the peer's last questions are answered until it is quiet for so long; at most.
const QUIET: Duration = Duration::from_millis(500);
const QUIET_MAX: Duration = Duration::from_secs(10);

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

/// One of the wires of a link.
pub(super) type Lane = Path<1024, Option<Noise>>;

/// The link of a wire with up to `C` channels, its buffers on the heap.
pub(super) type Protocol<const C: usize> = Link<Box<[u8]>, 1024, C, Option<Noise>, Vec<Lane>>;

/// A stream of it.
pub(super) type Stream = link::Channel<Box<[u8]>>;

/// How the streams of a link are made.
#[derive(Clone, Copy)]
pub(super) struct Streams<const C: usize> {
    /// Many of them, or one.
    pub(super) channels: bool,
    /// Makes the link of a new session.
    pub(super) make: fn(Start) -> Protocol<C>,
}

/// What a new session begins with.
pub(super) struct Start {
    /// Bytes per second of one path, 0 when not known.
    pub(super) rate: u32,
    /// Bits per second of all of them.
    pub(super) baud: u32,
    pub(super) id: u64,
    pub(super) now: link::Instant,
    pub(super) lanes: Vec<Lane>,
}

/// A port, or several that are bonded, and the session on them.
pub struct Wire<const C: usize> {
    pub(super) link: Box<Protocol<C>>,
    streams: Streams<C>,
    pub(super) clock: Clock,
    pub(super) began: Instant,
    /// In the order in which the user named them; the link's paths have the same.
    lines: Vec<Line>,
    pub(super) settings: Settings,
    strange: Option<watch::Strange>,
    garbled: garbled::Garbled,
    warned: bool,
    /// Something was said that is over once a session is open.
    told: bool,
    /// Since when the peer of an open session is silent, where that was told.
    quiet_since: Option<Instant>,
    callers: identity::Callers,
    said_plain: bool,
    calling_since: Instant,
    /// Why the session before ended.
    parted: Option<String>,
    /// Since when a peer is heard that does not prove itself.
    heard_since: Option<Instant>,
    /// Set once nothing more is to be done.
    pub(super) outcome: Option<Result<(), Failure>>,
}

/// What the ports are ready for, in their order.
pub(super) type Ready = Vec<LineReady>;

fn config(settings: &Settings, baud: u32) -> Config {
    Config { grace_us: settings.grace.as_micros() as u64, ..Config::for_baud(baud) }
}

/// A link that begins to call.
fn begin<const C: usize>(
    streams: Streams<C>,
    settings: &Settings,
    lines: &[Line],
    now: link::Instant,
) -> Result<Box<Protocol<C>>, Failure> {
    // the peer is known by the first port, whichever it answers on
    let lane = |line: &Line| -> Result<Lane, Failure> {
        let handshake = settings.identity.handshake(lines[0].opener.spec())?;
        Ok(Path::new(config(settings, line.opener.baud()), now, streams.channels).sealed(handshake))
    };
    let lanes = lines.iter().map(lane).collect::<Result<Vec<_>, _>>()?;
    let rate = config(settings, lines[0].opener.baud()).rate;
    let baud = total(lines, buffer_baud);
    let mut link = Box::new((streams.make)(Start { rate, baud, id: new_id()?, now, lanes }));
    for (at, line) in lines.iter().enumerate().filter(|(_, line)| line.opener.is_auto()) {
        link.set_rates_of(at, line.rates, now);
    }
    Ok(link)
}

/// Bits per second of all together; 0 when one is not known.
fn total(lines: &[Line], baud: fn(&Opener) -> u32) -> u32 {
    let known = lines.iter().all(|line| baud(&line.opener) > 0);
    if known { lines.iter().fold(0u32, |sum, line| sum.saturating_add(baud(&line.opener))) } else { 0 }
}

fn new_id() -> Result<u64, Failure> {
    random_id().doing(kinds::SYSTEM, || "draw a random session id".into())
}

impl<const C: usize> Wire<C> {
    /// Opens the ports (unless they are to be waited for) and begins to call. Of several, one is enough.
    pub(super) fn open(openers: Vec<Opener>, settings: Settings, streams: Streams<C>) -> Result<Wire<C>, Failure> {
        let mut lines: Vec<Line> = openers.into_iter().map(Line::new).collect();
        let mut failures = Vec::new();
        for (at, line) in lines.iter_mut().enumerate() {
            // who does not wait is told at once
            let opened = if settings.wait { line.opener.open() } else { line.opener.open_now() };
            match opened {
                Ok(port) => line.port = port,
                Err(failure) if failure.exit == Exit::Port => failures.push((at, failure)),
                Err(failure) => return Err(failure),
            }
        }
        if failures.len() == lines.len() && !settings.wait {
            return Err(failures.swap_remove(0).1);
        }
        lines.iter_mut().for_each(Line::learn_rates);
        failures.iter().for_each(|(at, failure)| lines[*at].absence = Some(Absence::new(failure)));
        let clock = Clock::new();
        Ok(Wire {
            link: begin(streams, &settings, &lines, clock.now())?,
            streams,
            clock,
            began: Instant::now(),
            lines,
            settings,
            strange: None,
            garbled: garbled::Garbled::new(),
            warned: false,
            told: false,
            quiet_since: None,
            callers: identity::Callers::default(),
            said_plain: false,
            calling_since: Instant::now(),
            parted: None,
            heard_since: None,
            outcome: None,
        })
    }

    /// Begins a new session on the same ports; the one before ended for this reason.
    pub(super) fn renew(&mut self, why: String) -> Result<(), Failure> {
        (self.parted, self.calling_since) = (Some(why), Instant::now());
        self.link = begin(self.streams, &self.settings, &self.lines, self.clock.now())?;
        (self.strange, self.garbled, self.warned) = (None, garbled::Garbled::new(), false);
        self.lines.iter_mut().for_each(Line::renew);
        Ok(())
    }
    /// The session was lost in silence: connections that were made from here are made anew, for the peer may be there again
    /// and this one lead nowhere.
    pub(super) fn reconnect(&mut self) {
        let made = |line: &&mut Line| line.opener.connects() && line.port.is_some();
        self.lines.iter_mut().filter(made).for_each(Line::close);
    }
    /// Which port it is; of several the first.
    pub(super) fn spec(&self) -> &Spec {
        self.lines[0].opener.spec()
    }
    /// Whether a port is there.
    pub(super) fn has_port(&self) -> bool {
        self.lines.iter().any(|line| line.port.is_some())
    }
    /// How many ports there are.
    pub(super) fn count(&self) -> usize {
        self.lines.len()
    }
    fn is_bond(&self) -> bool {
        self.lines.len() > 1
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
        if loss == Loss::Silence && !self.has_port() {
            let grace = self.settings.grace.as_secs();
            return (kinds::PORT_LOST, format!("the port went away, and did not come back for {grace} s"));
        }
        watch::explain(loss, self.settings.grace)
    }

    // ---- waiting ------------------------------------------------------------------------------

    /// Adds what the wire waits for; returns how long it may wait, and the places to give to
    /// [`Wire::ready`].
    pub(super) fn wait_for<'a>(&'a self, fds: &mut Vec<(BorrowedFd<'a>, PollFlags)>) -> (Option<Duration>, Vec<Place>) {
        let now = self.clock.now();
        let mut least = None;
        let places = self.lines.iter().enumerate().map(|(at, line)| {
            let timeout = self.link.poll_timeout_of(at).map(|at| Duration::from_micros(at.since(now)));
            let timeout = self.drain_look(at).map_or(timeout, |look| shorter(timeout, look));
            // what is due waits, too
            let timeout = line.hearsay.hushed_for().map_or(timeout, |left| Some(timeout.map_or(left, |t| t.max(left))));
            let (timeout, place) = line.wait_for(timeout, fds, now);
            least = timeout.map_or(least, |timeout| shorter(least, timeout));
            place
        });
        let places = places.collect();
        (least, places)
    }
    /// What the ports are ready for.
    pub(super) fn ready(&self, flags: &[PollFlags], places: &[Place]) -> Ready {
        let now = self.clock.now();
        self.lines.iter().zip(places).map(|(line, place)| line.ready(flags, place, now)).collect()
    }

    // ---- the ports ----------------------------------------------------------------------------

    /// Takes what came, or looks for the ports.
    pub(super) fn serve(&mut self, ready: &[LineReady], buffer: &mut [u8]) {
        for (at, LineReady { port: ready, newcomers }) in ready.iter().enumerate() {
            let waited = *newcomers || !self.lines[at].newcomers.is_empty();
            if waited && self.serve_newcomers(at, *newcomers, buffer) {
                continue;
            }
            let line = &mut self.lines[at];
            let Some(port) = &line.port else {
                self.look_for_port(at);
                continue;
            };
            if !ready.intersects(PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL) {
                continue;
            }
            match port.read(buffer) {
                Ok(Some(n)) => {
                    let now = self.clock.now();
                    if self.link.state() == State::Opening {
                        self.garbled.see(&buffer[..n]);
                    }
                    self.link.handle_bytes_of(at, &buffer[..n], now);
                    line.hearsay.take(&buffer[..n], &self.link.paths()[at].stats());
                    line.gather(self.link.paths()[at].missing(), now);
                }
                Ok(None) if ready.intersects(PollFlags::POLLHUP | PollFlags::POLLNVAL) => self.port_lost(at, "hung up"),
                Ok(None) => line.gather_until = None,
                Err(e) => self.port_lost(at, &e.to_string()),
            }
        }
    }

    fn port_lost(&mut self, at: usize, why: &str) {
        self.lines[at].close();
        self.link.handle_lost(at, self.clock.now());
        let line = &self.lines[at];
        let spec = line.opener.spec().clone();
        if self.link.is_delivered() && line.opener.closes_with_peer() {
            self.outcome.get_or_insert(Ok(()));
        } else if !line.opener.can_reopen() {
            self.fail(
                kinds::PORT_CLOSED,
                format!("{spec} was closed ({why}) before everything was delivered; {}", self.undelivered()),
            );
        } else {
            // a port that comes and goes without a frame in between never came back
            let frames = self.link.paths()[at].stats().frames_taken;
            if line.lost_at.is_none() || frames > line.lost_frames {
                limit::warn_at(&kinds::PORT_LOST, &spec, format!("{spec} is gone ({why}); looking for it{}", self.how_long()));
                let line = &mut self.lines[at];
                (line.lost_at, line.lost_frames) = (Some(Instant::now()), frames);
            }
            self.check_grace(&format!("{spec} went away ({why})"));
        }
    }
    fn how_long(&self) -> String {
        match self.link.paths().iter().filter(|path| path.is_up()).count() {
            0 if self.settings.hold => String::new(),
            0 => format!(" for {} s", self.settings.grace.as_secs()),
            _ if !self.is_bond() && self.settings.hold => String::new(),
            _ if !self.is_bond() => format!(" for {} s", self.settings.grace.as_secs()),
            1 => "; going on with one port".into(),
            n => format!("; going on with {n} ports"),
        }
    }

    fn check_grace(&mut self, why: &str) {
        let away = |line: &Line| line.lost_at.is_some_and(|at| at.elapsed() >= self.settings.grace) && line.port.is_none();
        if !self.settings.hold && self.lines.iter().all(away) {
            if self.link.is_delivered() {
                // only the peer does not know that this end knows
                self.outcome.get_or_insert(Ok(()));
                return;
            }
            let kind = if self.link.state() == State::Open { kinds::PORT_LOST } else { kinds::PORT_GONE };
            let undelivered = self.undelivered();
            let (why, grace) = (unhinted(why), self.settings.grace.as_secs());
            self.fail(kind, format!("{why}, and did not come back for {grace} s; {undelivered}"));
        }
    }

    fn look_for_port(&mut self, at: usize) {
        let line = &mut self.lines[at];
        // of several ports the others wake the loop all the time
        let pause = line.opener.pause().max(if line.is_due() { Duration::ZERO } else { line.look() * 9 / 10 });
        if line.looked.is_some_and(|looked| looked.elapsed() < pause) {
            return;
        }
        line.looked = Some(Instant::now());
        // who waits has connected before those in the listener's queue
        let opened = match line.newcomers.take_any() {
            Some(waited) => Ok(Some(waited)),
            None => line.opener.open().map(|port| port.map(|port| (port, Vec::new()))),
        };
        match opened {
            Ok(Some((port, said))) => self.connected(at, port, &said),
            Ok(None) if line.opener.connecting().is_some() => {
                let why = format!("{} does not answer", line.opener.spec());
                self.check_grace(&why);
            }
            Ok(None) => line.absence = None,
            Err(failure) if line.lost_at.is_none() && failure.exit != Exit::Port => self.end(failure),
            Err(failure) => {
                line.cannot_open(&failure);
                self.check_grace(&failure.message);
            }
        }
    }

    /// Sends what is due, as far as the ports take it.
    pub(super) fn transmit(&mut self) {
        for at in 0..self.lines.len() {
            self.transmit_by(at);
        }
    }
    fn transmit_by(&mut self, at: usize) {
        if self.lines[at].port.is_none() {
            self.follow_rate(at);
        }
        while self.lines[at].port.is_some() {
            if self.lines[at].is_sent() && !self.follow_rate(at) {
                return;
            }
            let line = &mut self.lines[at];
            if line.is_sent() && line.hearsay.hushed_for().is_some() {
                return;
            }
            let Some(port) = &line.port else { return };
            if line.is_sent() {
                let Some(len) = self.link.poll_transmit_of(at, &mut line.frame[..], self.clock.now()) else { return };
                (line.frame_at, line.frame_len) = (0, len);
            }
            match port.write(&line.frame[line.frame_at..line.frame_len]) {
                Ok(0) => return,
                Ok(n) => line.frame_at += n,
                Err(e) => return self.port_lost(at, &e.to_string()),
            }
        }
    }

    /// Lets a last message leave, and what was written before it; then the ports are let go.
    pub(super) fn farewell(&mut self) {
        let until = Instant::now() + self.farewell_time();
        while self.has_port() && Instant::now() < until {
            self.transmit();
            let busy = |(at, line): (usize, &Line)| line.is_busy() || (line.port.is_some() && self.link.is_transmit_due_of(at));
            if !self.lines.iter().enumerate().any(busy) {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        if self.lines[0].opener.is_lent() && self.link.stats().frames_taken > 0 {
            self.outwait();
        }
        self.lines.iter_mut().for_each(|line| drop(line.port.take()));
    }

    /// Answers what the peer asks of a session that is over: what it asks later, a shell would get.
    fn outwait(&mut self) {
        let (mut buffer, began, mut latest) = ([0; 4096], Instant::now(), Instant::now());
        let mut heard = self.link.stats().wire_in;
        while self.has_port() && latest.elapsed() < QUIET && began.elapsed() < QUIET_MAX {
            self.serve(&[LineReady { port: PollFlags::POLLIN, newcomers: false }], &mut buffer);
            self.link.handle_timeout(self.clock.now());
            self.transmit();
            if std::mem::replace(&mut heard, self.link.stats().wire_in) != heard {
                latest = Instant::now();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// A moment, and twice the time of what goes before the last messages at the rate of its port.
    fn farewell_time(&self) -> Duration {
        let time = |(at, line): (usize, &Line)| {
            let before = line.port.as_ref().map_or(0, |port| port.queued().max(line.frame_len));
            let bits = 10 * (before + LAST_MESSAGES) as u64;
            // a rate that is not known is no slow one
            (2_000_000 * bits).checked_div(u64::from(self.baud_of(at))).unwrap_or(0)
        };
        let longest = self.lines.iter().enumerate().map(time).max().unwrap_or(0);
        (FAREWELL + Duration::from_micros(longest)).min(FAREWELL_MAX)
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
