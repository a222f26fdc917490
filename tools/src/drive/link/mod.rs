//! Joins a port, a [`Link`] and a user until the session is over.

mod port;
mod user;

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use link::{CloseCode, Config, Event, FRAME_MAX, Link, Loss, State};
use nix::poll::PollFlags;

use super::user::User;
use super::wait;
use crate::clock::{Clock, random_id};
use crate::error::{Doing, Exit, Failure};
use crate::port::{Opener, Port};
use crate::signal::{Signal, Signals};
use crate::stats;

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
/// Room there must be before the input is read, at most: many small reads cost more than they bring.
const READ_LEAST: usize = 16_384;
/// Bytes without any frame, and how long they may come, before a warning.
const STRANGE_BYTES: u64 = 64;
const STRANGE_AFTER: Duration = Duration::from_secs(3);
/// After SIGHUP (ssh sends it to its ProxyCommand when it is done) what was written before is still
/// delivered and the session ended in order, unless nothing moves for this long.
const HANGUP: Duration = Duration::from_secs(5);
const HANGUP_SIGNAL: i32 = libc::SIGHUP;
/// Time for whoever writes the input to end as well.
const WRITER_ENDS: Duration = Duration::from_millis(100);
/// Time for a reader to take what came before a session was lost.
const HAND_OVER: Duration = Duration::from_millis(100);
/// How often a command is looked at that has not read its last bytes.
const LAST_BYTES: Duration = Duration::from_millis(5);
/// Nobody has answered for so long: worth a word.
const NO_ANSWER: Duration = Duration::from_secs(5);
/// Time for a last message to leave a port that takes nothing.
const FAREWELL: Duration = Duration::from_millis(300);

/// What the loop needs beside the port and the user.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long a lost port or a silent peer is waited for.
    pub grace: Duration,
    /// Wait for a port that is not there yet.
    pub wait: bool,
    /// Where to write the statistics.
    pub stats: Option<PathBuf>,
}

/// One session between a port and a user.
pub struct Session {
    link: Box<Link<Box<[u8]>>>,
    clock: Clock,
    began: Instant,
    opener: Opener,
    port: Option<Port>,
    user: User,
    settings: Settings,
    signals: Signals,
    /// The frame on its way into the port: its bytes, how many there are, how many went.
    frame: Box<[u8; FRAME_MAX]>,
    frame_len: usize,
    frame_at: usize,
    /// Bytes on their way to the user.
    pending: Vec<u8>,
    /// Until then the port need not be read: no frame can be whole before.
    gather_until: Option<link::Instant>,
    read_least: usize,
    hung_up: Option<Instant>,
    hung_up_progress: (Instant, u64),
    lost_at: Option<Instant>,
    lost_frames: u64,
    looked: Option<Instant>,
    strange_since: Option<(Instant, u64)>,
    warned: bool,
    input_ended: bool,
    output_error: Option<io::Error>,
    left_unread: usize,
    outcome: Option<Result<(), Failure>>,
}

/// Stream buffers: half a second of the wire on the way out, so that little is hidden from the
/// writer; plenty on the way in.
fn buffers(baud: u32) -> (usize, usize) {
    let out = if baud == 0 { 1 << 20 } else { (baud as usize / 20).clamp(8192, 1 << 20) };
    (out, if baud == 0 { 1 << 20 } else { 1 << 18 })
}

impl Session {
    /// Opens the port (unless it is to be waited for) and begins to call.
    pub fn open(mut opener: Opener, settings: Settings, signals: Signals) -> Result<Session, Failure> {
        let port = match opener.open() {
            Ok(port) => port,
            Err(failure) if settings.wait && failure.exit == Exit::Port => {
                tracing::info!("{failure}; waiting for it");
                None
            }
            Err(failure) => return Err(failure),
        };
        let config = Config { grace_us: settings.grace.as_micros() as u64, ..Config::for_baud(opener.baud()) };
        let (out, into) = buffers(opener.baud());
        let id = random_id().doing(Exit::Failed, || "read /dev/urandom".into())?;
        let clock = Clock::new();
        let buffer = |len| vec![0u8; len].into_boxed_slice();
        Ok(Session {
            link: Box::new(Link::new(config, id, clock.now(), buffer(out), buffer(into))),
            clock,
            began: Instant::now(),
            opener,
            port,
            user: User::none(),
            settings,
            signals,
            frame: Box::new([0; FRAME_MAX]),
            frame_len: 0,
            frame_at: 0,
            pending: Vec::new(),
            gather_until: None,
            read_least: READ_LEAST.min(out / 4),
            hung_up: None,
            hung_up_progress: (Instant::now(), 0),
            lost_at: None,
            lost_frames: 0,
            looked: None,
            strange_since: None,
            warned: false,
            input_ended: false,
            output_error: None,
            left_unread: 0,
            outcome: None,
        })
    }

    /// Runs the session to its end.
    pub fn run(mut self, user: User) -> Result<(), Failure> {
        self.user = user;
        let mut buffer = vec![0u8; 65536];
        let result = loop {
            let ready = match self.poll() {
                Ok(ready) => ready,
                Err(e) => break Err(Failure::new(Exit::Failed, format!("cannot wait for input: {e}"))),
            };
            self.serve_signals();
            self.serve_port(ready.port, &mut buffer);
            self.link.handle_timeout(self.clock.now());
            self.serve_input(ready.input, &mut buffer);
            self.serve_hangup();
            self.serve_output(ready.output);
            self.transmit();
            self.serve_events();
            self.watch_strangers();
            self.watch_return();
            if let Some(outcome) = self.outcome.take() {
                break outcome;
            }
        };
        self.farewell();
        drop(self.port.take());
        let mut result = result;
        if let Some(path) = &self.settings.stats {
            let written = stats::write(path, &self.link.stats(), self.began);
            result = result.and(written);
        }
        match (result, self.user.end()) {
            (Ok(()), Some((name, Ok(status)))) if !status.success() => {
                Err(Failure::new(Exit::Failed, format!("'{name}' ended with {status}; everything it sent was delivered")))
            }
            (Ok(()), Some((name, Err(e)))) => Err(Failure::new(Exit::Failed, format!("cannot wait for '{name}': {e}"))),
            (Err(failure), Some((name, Ok(status)))) if !status.success() => {
                Err(Failure::new(failure.exit, format!("{failure}; '{name}' ended with {status}")))
            }
            (result, _) => result,
        }
    }

    fn fail(&mut self, exit: Exit, message: impl Into<String>) {
        self.outcome.get_or_insert(Err(Failure::new(exit, message)));
    }

    fn poll(&mut self) -> io::Result<Ready> {
        let now = self.clock.now();
        let mut timeout = self.link.poll_timeout().map(|at| Duration::from_micros(at.since(now)));
        if self.frame_at < self.frame_len {
            // what is due waits for the port to take this frame; timers still count
            timeout = timeout.map(|t| t.max(BLOCKED));
        }
        let mut fds = Vec::with_capacity(8);
        let mut port_slots = None;
        if let Some(port) = &self.port {
            let writing = self.frame_at < self.frame_len;
            self.gather_until = self.gather_until.filter(|&until| until > now);
            let reading = match self.gather_until {
                Some(until) => {
                    let wait = Duration::from_micros(until.since(now));
                    timeout = Some(timeout.map_or(wait, |t| t.min(wait)));
                    PollFlags::empty()
                }
                None => PollFlags::POLLIN,
            };
            fds.push((port.reader(), reading));
            fds.push((port.writer(), if writing { PollFlags::POLLOUT } else { PollFlags::empty() }));
            port_slots = Some(0);
        } else {
            timeout = Some(if self.opener.listener().is_some() { Duration::from_secs(1) } else { LOOK });
            fds.extend(self.opener.listener().map(|fd| (fd, PollFlags::POLLIN)));
        }
        // nothing is read before somebody can take it: a command that fails then can still be told
        let reading = self.link.state() == State::Open && self.link.writable() >= self.read_least;
        let input = self.user.input().filter(|_| reading).map(|fd| {
            fds.push((fd, PollFlags::POLLIN));
            fds.len() - 1
        });
        let to_write = !self.pending.is_empty() || self.link.readable() > 0;
        let output = self.user.output().map(|fd| {
            fds.push((fd, if to_write { PollFlags::POLLOUT } else { PollFlags::empty() }));
            fds.len() - 1
        });
        fds.push((self.signals.fd(), PollFlags::POLLIN));
        let look_again = self.hung_up.is_some() || (self.link.at_end() && self.user.unread() > 0);
        if look_again {
            timeout = Some(timeout.map_or(LAST_BYTES, |t| t.min(LAST_BYTES)));
        }
        let flags = wait(&fds, timeout)?;
        let at = |slot: Option<usize>| slot.map_or(PollFlags::empty(), |i| flags[i]);
        let mut port = at(port_slots) | at(port_slots.map(|i| i + 1));
        if self.gather_until.is_some_and(|until| until <= self.clock.now()) {
            port |= PollFlags::POLLIN;
        }
        Ok(Ready { port, input: at(input), output: at(output) })
    }

    // ---- news ---------------------------------------------------------------------------------

    fn serve_signals(&mut self) {
        while let Some(signal) = self.signals.take() {
            match signal {
                Signal::Stats => {
                    let value = stats::as_json(&self.link.stats(), self.began);
                    match &self.settings.stats {
                        Some(path) => {
                            if let Err(e) = stats::write_json(path, &value) {
                                tracing::warn!("{e}");
                            }
                        }
                        None => eprintln!("{value}"),
                    }
                }
                Signal::End(HANGUP_SIGNAL) if self.hung_up.is_none() && self.link.state() == State::Open => {
                    self.hung_up = Some(Instant::now());
                }
                Signal::End(number) => self.interrupted(number),
            }
        }
    }

    fn interrupted(&mut self, number: i32) {
        self.link.close(CloseCode::Interrupted);
        let undelivered = self.undelivered();
        self.fail(Exit::Signal(number), format!("interrupted by signal {number}; {undelivered}"));
    }

    /// The user hung up. What a writer that has ended left behind is still delivered; input that
    /// could have gone on was cut off, and that is no end in order.
    fn serve_hangup(&mut self) {
        let Some(since) = self.hung_up else { return };
        if !self.input_ended && !self.user.writer_is_gone() && since.elapsed() > WRITER_ENDS {
            return self.interrupted(HANGUP_SIGNAL);
        }
        let acknowledged = self.link.stats().bytes_out;
        if acknowledged > self.hung_up_progress.1 {
            self.hung_up_progress = (Instant::now(), acknowledged);
        } else if since.elapsed().min(self.hung_up_progress.0.elapsed()) > HANGUP {
            self.interrupted(HANGUP_SIGNAL);
        }
    }

    fn serve_events(&mut self) {
        while let Some(event) = self.link.poll_event() {
            let spec = self.opener.spec();
            match event {
                Event::Opened { me, peer } => tracing::info!("{spec}: session {me:016x} with {peer:016x} is open"),
                Event::Asked(_) | Event::Accepted(_) | Event::Closed(_) | Event::Reset(..) => {}
                Event::Echo => tracing::warn!("{spec}: our own frames come back; a loopback plug, or a terminal that echoes?"),
                Event::Finished => match self.hung_up {
                    // usual for a ProxyCommand: no word of it, but the exit code
                    Some(_) => self.fail(Exit::Signal(HANGUP_SIGNAL), ""),
                    None => drop(self.outcome.get_or_insert(Ok(()))),
                },
                Event::Lost(loss) => {
                    self.hand_over();
                    let spec = self.opener.spec();
                    let (exit, why) = explain(loss, self.settings.grace);
                    let message = format!("{spec}: {why}; {}", self.undelivered());
                    self.fail(exit, message);
                }
            }
        }
    }

    fn undelivered(&self) -> String {
        let stats = self.link.stats();
        format!("{} bytes sent and acknowledged, {} received", stats.bytes_out, stats.bytes_in)
    }

    /// Bytes come, but no frame among them: says so once, and gives up after the grace time.
    fn watch_strangers(&mut self) {
        let stats = self.link.stats();
        if stats.frames_in > 0 || self.link.state() != State::Opening {
            self.strange_since = None;
            return;
        }
        if stats.wire_in == 0 {
            if !self.warned && self.port.is_some() && self.began.elapsed() >= NO_ANSWER {
                tracing::warn!("{}: no answer from the peer yet; calling on", self.opener.spec());
                self.warned = true;
            }
            return;
        }
        let (since, seen) = *self.strange_since.get_or_insert((Instant::now(), 0));
        let complaint = || {
            format!(
                "{}: {} bytes arrived, none were hardline frames: wrong baud rate or another program?",
                self.opener.spec(),
                stats.wire_in
            )
        };
        if stats.wire_in >= STRANGE_BYTES && since.elapsed() >= STRANGE_AFTER && !self.warned {
            tracing::warn!("{}", complaint());
            self.warned = true;
        }
        if since.elapsed() >= self.settings.grace {
            if stats.wire_in > seen + STRANGE_BYTES {
                let message = complaint();
                self.fail(Exit::Refused, message);
            }
            self.strange_since = Some((Instant::now(), stats.wire_in));
        }
    }
}

/// What is ready.
struct Ready {
    port: PollFlags,
    input: PollFlags,
    output: PollFlags,
}

fn explain(loss: Loss, grace: Duration) -> (Exit, String) {
    match loss {
        Loss::Silence => (Exit::Lost, format!("nothing came from the peer for {} s", grace.as_secs())),
        Loss::PeerRestarted => (Exit::Lost, "the peer was restarted, this session is lost".into()),
        Loss::PeerClosed(CloseCode::OutputClosed) => (Exit::Lost, "the peer's output was closed before it had everything".into()),
        Loss::PeerClosed(CloseCode::Interrupted) => (Exit::Lost, "the peer was interrupted".into()),
        Loss::PeerClosed(code) => (Exit::Lost, format!("the peer failed ({code:?})")),
        Loss::Version(v) => (
            Exit::Refused,
            format!("the peer speaks version {v} of the protocol, this is version {}; update the older", link::VERSION),
        ),
        Loss::Mode => (Exit::Refused, "the peer has channels ('hardline link') and this end one stream, or the other way round: start the same at both ends".into()),
        Loss::Local => (Exit::Failed, "closed".into()),
    }
}
