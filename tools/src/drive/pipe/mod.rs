//! One stream each way: joins a wire and a user until the session is over.

mod command;
mod ends;
mod user;

use std::io;
use std::time::{Duration, Instant};

use link::{CloseCode, Event, Link, State};
use nix::poll::PollFlags;

use super::buffers;
use super::user::User;
use super::wire::{Protocol, Settings, Start, Streams, Wire};
use super::{shorter, wait};
use crate::error::{Failure, kinds};
use crate::limit;
use crate::port::Opener;
use crate::progress::{self, Meter};
use crate::signal::{Signal, Signals};

/// Room there must be before the input is read, at most: many small reads cost more than they bring.
const READ_LEAST: usize = 16_384;
/// After SIGHUP (ssh sends it to its ProxyCommand when it is done) what was written before is still
/// delivered and the session ended in order, unless nothing moves for this long.
const HANGUP: Duration = Duration::from_secs(5);
const HANGUP_SIGNAL: i32 = libc::SIGHUP;
/// Time for whoever writes the input to end as well.
const WRITER_ENDS: Duration = Duration::from_millis(100);
/// Time for a reader to take what came before a session was lost.
const HAND_OVER: Duration = Duration::from_millis(100);
/// How often a command is looked at that has not read its last bytes, and a file that is being put on its disk.
const LAST_BYTES: Duration = Duration::from_millis(5);

/// One session between a port and a user.
pub struct Session {
    wire: Wire<1>,
    user: User,
    signals: Signals,
    /// Bytes on their way to the user.
    pending: Vec<u8>,
    read_least: usize,
    /// Bytes of the buffer on the way out, and by how many both may still grow.
    room: usize,
    growth_left: usize,
    hung_up: Option<Instant>,
    hung_up_progress: (Instant, u64),
    input_ended: bool,
    output_error: Option<io::Error>,
    left_unread: usize,
    /// Who waits for whose end.
    waits: ends::Waits,
}

/// Stream buffers at first: half a second of the wire on the way out, so that little is hidden from the
/// writer; plenty on the way in.
fn sizes(baud: u32, ports: usize) -> (usize, usize) {
    let out = if baud == 0 { 1 << 20 } else { (baud as usize / 20).clamp(8192, 1 << 20) };
    (out, if baud == 0 { 1 << 20 } else { ports << 18 })
}

fn new_link(start: Start) -> Protocol<1> {
    let (out, into) = sizes(start.baud, start.lanes.len());
    let buffer = |len| vec![0u8; len].into_boxed_slice();
    Link::bonded(start.rate, start.id, start.now, start.lanes, Some((buffer(out), buffer(into))))
}

impl Session {
    /// Opens the ports (unless they are to be waited for) and begins to call.
    pub fn open(openers: Vec<Opener>, settings: Settings, signals: Signals) -> Result<Session, Failure> {
        let wire = Wire::open(openers, settings, Streams { channels: false, make: new_link })?;
        let (out, _) = sizes(wire.buffer_baud(), wire.count());
        Ok(Session {
            wire,
            user: User::none(),
            signals,
            pending: Vec::new(),
            read_least: READ_LEAST.min(out / 4),
            room: out,
            growth_left: buffers::GROWTH_MAX,
            hung_up: None,
            hung_up_progress: (Instant::now(), 0),
            input_ended: false,
            output_error: None,
            left_unread: 0,
            waits: ends::Waits::default(),
        })
    }

    /// Runs the session to its end.
    pub fn run(mut self, user: User, meter: Meter) -> Result<(), Failure> {
        let total = progress::left_in(&io::stdin()).filter(|bytes| *bytes > 0 && !user.is_command());
        meter.total(total);
        self.user = user;
        self.waits = ends::Waits::of(&self.user);
        let mut buffer = vec![0u8; 65536];
        let result = loop {
            let ready = match self.poll() {
                Ok(ready) => ready,
                Err(e) => break Err(Wire::<1>::cannot_wait(&e)),
            };
            self.serve_signals();
            self.wire.serve(&ready.port, &mut buffer);
            self.wire.link.handle_timeout(self.wire.clock.now());
            self.serve_input(ready.input, &mut buffer);
            self.serve_hangup();
            self.serve_output(ready.output);
            self.grow();
            self.wire.transmit();
            self.serve_events();
            self.wire.watch();
            self.watch_ends();
            let stats = self.wire.link.stats();
            meter.set(if total.is_some() { stats.bytes_out } else { stats.bytes_in.max(stats.bytes_out) });
            if let Some(outcome) = self.wire.outcome.take() {
                break outcome;
            }
        };
        drop(meter);
        self.wire.farewell();
        let result = result.and(self.wire.write_stats());
        let Session { wire, mut user, mut signals, .. } = self;
        // others may have the port
        drop(wire);
        user.close(result.is_err());
        let result = result.and_then(|()| command::outlast(&user, &mut signals));
        command::judge(&user, result)
    }

    fn poll(&mut self) -> io::Result<Ready> {
        let mut fds = Vec::with_capacity(8);
        let (mut timeout, port) = self.wire.wait_for(&mut fds);
        let link = &self.wire.link;
        // nothing is read before somebody can take it: a command that fails then can still be told
        let reading = link.state() == State::Open && self.takes() >= self.read_least.min(self.wait_most() / 4);
        let input = self.user.input().filter(|_| reading).map(|fd| {
            fds.push((fd, PollFlags::POLLIN));
            fds.len() - 1
        });
        let to_write = !self.pending.is_empty() || link.readable() > 0;
        let output = self.user.output().map(|fd| {
            fds.push((fd, if to_write { PollFlags::POLLOUT } else { PollFlags::empty() }));
            fds.len() - 1
        });
        fds.push((self.signals.fd(), PollFlags::POLLIN));
        if self.hung_up.is_some() || (link.at_end() && (self.user.unread() > 0 || self.user.is_settling())) {
            timeout = shorter(timeout, LAST_BYTES);
        }
        let flags = wait(&fds, timeout)?;
        let at = |slot: Option<usize>| slot.map_or(PollFlags::empty(), |i| flags[i]);
        Ok(Ready { port: self.wire.ready(&flags, &port), input: at(input), output: at(output) })
    }

    /// Bytes that are to wait on the way out, at most: half a second of the wire, and what a long way takes.
    fn wait_most(&self) -> usize {
        let (baud, way_us) = (self.wire.total_baud(), self.wire.link.way_us());
        let (out, _) = sizes(baud, self.wire.count());
        if way_us < buffers::LONG_US { out } else { out.max(buffers::needed(baud / 10, way_us).out) }
    }
    /// Bytes that may be read: the buffer may hold more than what is to wait.
    fn takes(&self) -> usize {
        let writable = self.wire.link.writable();
        let waiting = self.room - writable.min(self.room);
        writable.min(self.wait_most().saturating_sub(waiting))
    }
    /// Buffers follow the round trip.
    fn grow(&mut self) {
        let way_us = self.wire.link.way_us();
        if way_us < buffers::LONG_US {
            return;
        }
        let needed = buffers::needed(self.wire.total_baud() / 10, way_us);
        if let Some(stream) = self.wire.link.channel(0) {
            buffers::grow(stream, needed, &mut self.growth_left);
            self.room = stream.capacity();
        }
    }

    // ---- news ---------------------------------------------------------------------------------

    fn serve_signals(&mut self) {
        while let Some(signal) = self.signals.take() {
            match signal {
                Signal::Stats => self.wire.show_stats(),
                Signal::Child => crate::guard::tend(),
                Signal::Terminal | Signal::Reopen => {}
                Signal::End(HANGUP_SIGNAL) if self.hung_up.is_none() && self.wire.link.state() == State::Open => {
                    self.hung_up = Some(Instant::now());
                }
                Signal::End(number) => self.interrupted(number),
            }
        }
    }

    fn interrupted(&mut self, number: i32) {
        self.wire.link.close(CloseCode::Interrupted);
        let undelivered = self.wire.undelivered();
        self.wire.end(Failure::signal(number, format!("interrupted by signal {number}; {undelivered}")));
    }

    /// The user hung up. What a writer that has ended left behind is still delivered; input that
    /// could have gone on was cut off, and that is no end in order.
    fn serve_hangup(&mut self) {
        let Some(since) = self.hung_up else { return };
        if !self.input_ended && !self.user.writer_is_gone() && since.elapsed() > WRITER_ENDS {
            return self.interrupted(HANGUP_SIGNAL);
        }
        let acknowledged = self.wire.link.stats().bytes_out;
        if acknowledged > self.hung_up_progress.1 {
            self.hung_up_progress = (Instant::now(), acknowledged);
        } else if since.elapsed().min(self.hung_up_progress.0.elapsed()) > self.hangup_patience() {
            self.interrupted(HANGUP_SIGNAL);
        }
    }

    /// On a slow wire nothing moves before two frames have passed.
    fn hangup_patience(&self) -> Duration {
        HANGUP.max(self.wire.time_of(2 * link::FRAME_MAX as u64).min(self.wire.settings.grace / 2))
    }

    fn serve_events(&mut self) {
        while let Some(event) = self.wire.link.poll_event() {
            self.wire.handle_proof(&event);
            let spec = self.wire.spec();
            match event {
                Event::Opened { me, peer } => {
                    tracing::info!("{spec}: session {me:016x} with {peer:016x} is open");
                    self.waits.opened();
                }
                Event::Asked(_)
                | Event::Accepted(_)
                | Event::Noted(..)
                | Event::Closed(_)
                | Event::Reset(..)
                | Event::Refused
                | Event::Version(_)
                | Event::Plain => {}
                Event::Echo => {
                    let words = format!("{spec}: our own frames come back; a loopback plug, or a terminal that echoes?");
                    limit::warn(kinds::OWN_ECHO, words);
                }
                Event::Foreign => {
                    tracing::warn!(code = %kinds::FOREIGN_FRAMES, "{spec}: frames of another session come in; have cables or adapters changed places?");
                }
                Event::Finished => match self.hung_up {
                    // usual for a ProxyCommand: no word of it, but the exit code
                    Some(_) => self.wire.end(Failure::signal(HANGUP_SIGNAL, "")),
                    None => drop(self.wire.outcome.get_or_insert(Ok(()))),
                },
                Event::Lost(loss) => {
                    self.hand_over();
                    let spec = self.wire.spec();
                    let (kind, why) = self.wire.explain(loss);
                    let message = format!("{spec}: {why}; {}", self.wire.undelivered());
                    self.wire.fail(kind, message);
                }
            }
        }
    }
}

/// What is ready.
struct Ready {
    port: super::wire::Ready,
    input: PollFlags,
    output: PollFlags,
}
