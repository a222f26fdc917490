//! Connections to a listening port beside the one that is in use. While that one is heard they wait, as they would in the
//! listener's queue. When it is not, one that speaks as hardline does gets its turn: if it proves to be the peer, it stays.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use link::State;
use link::wire::Deframer;
use nix::poll::PollFlags;

use super::{Lane, Line, Wire};
use crate::error::kinds;
use crate::limit;
use crate::port::{Opener, Port};

/// So many wait here; others in the listener's queue.
const MOST: usize = 16;
/// Bytes of one that are kept until its turn; behind them it has to wait.
const HELD: usize = 1 << 16;
/// What is kept of one that has said nothing yet which could be a frame: a long one begins in it.
const UNHEARD: usize = 1 << 13;
/// Nobody has a shorter turn, or is silent for less, before another takes his place.
const TURN: Duration = Duration::from_secs(3);
/// A session that is silent may come back until half of its grace time is over, but no longer than this, before a call
/// ends it. Whoever goes on with it need not wait: it cannot be another peer.
const CALLED: Duration = Duration::from_secs(15);
/// Who opens no session in this time loses his turn, whatever he says: it may be a recording.
const LONG_TURN: Duration = Duration::from_secs(10);
/// How often it is looked whether somebody's turn has come.
const LOOK: Duration = Duration::from_millis(100);
/// How long a listener is left alone that could not accept.
const PAUSE: Duration = Duration::from_millis(250);

/// What somebody says who waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    /// He calls, or talks to whoever is there.
    Call,
    /// He is in a session, of whose frames no more can be told here.
    Session,
}

/// A connection that waits.
#[derive(Debug)]
struct Newcomer {
    port: Port,
    deframer: Box<Deframer>,
    held: Vec<u8>,
    /// None while nothing came that could be a frame.
    says: Option<Says>,
    /// It had its turn, and proved nothing.
    tried: bool,
    since: Instant,
}

impl Newcomer {
    fn new(port: Port, tried: bool) -> Newcomer {
        Newcomer { port, deframer: Box::default(), held: Vec::new(), says: None, tried, since: Instant::now() }
    }
    /// Whether it makes room for another: it had its turn, or has said nothing in the time of one.
    fn makes_room(&self) -> bool {
        self.tried || (self.says.is_none() && self.since.elapsed() >= TURN)
    }
    /// Takes what came; false once it is gone.
    fn read(&mut self, buffer: &mut [u8]) -> bool {
        while self.held.len() < HELD {
            let room = buffer.len().min(HELD - self.held.len());
            match self.port.read(&mut buffer[..room]) {
                Ok(Some(n)) => self.take(&buffer[..n]),
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
        true
    }
    fn take(&mut self, mut bytes: &[u8]) {
        self.held.extend(bytes);
        while self.says.is_none() && !bytes.is_empty() {
            let taken = self.deframer.push(bytes);
            bytes = &bytes[taken..];
            let found = self.deframer.next_frame().map(|found| if found.head.sealed { Says::Session } else { Says::Call });
            // the check of a plain session's frames is right for its ends alone
            self.says = found.or((self.deframer.bad > 0).then_some(Says::Session));
        }
        if self.says.is_none() && self.held.len() > 2 * UNHEARD {
            self.held.drain(..self.held.len() - UNHEARD);
        }
    }
}

/// Those who wait, and since when the one in use is.
#[derive(Debug)]
pub(super) struct Newcomers {
    waiting: Vec<Newcomer>,
    /// Since when the connection in use is, and frames that had been taken by then.
    turn: (Instant, u64),
    /// When a frame was taken last, and how many had been by then.
    heard: (Instant, u64),
    paused: Option<Instant>,
}

impl Newcomers {
    pub(super) fn new() -> Newcomers {
        let now = Instant::now();
        Newcomers { waiting: Vec::new(), turn: (now, 0), heard: (now, 0), paused: None }
    }
    /// Whether somebody waits who could be the peer.
    fn speaks(&self) -> bool {
        self.waiting.iter().any(|newcomer| newcomer.says.is_some())
    }
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
    /// Whether another may come in.
    fn has_room(&self) -> bool {
        let paused = self.paused.is_some_and(|at| at.elapsed() < PAUSE);
        !paused && (self.waiting.len() < MOST || self.waiting.iter().any(Newcomer::makes_room))
    }
    /// What to wait for, and how long at most.
    pub(super) fn wait_for<'a>(
        &'a self,
        listener: BorrowedFd<'a>,
        fds: &mut Vec<(BorrowedFd<'a>, PollFlags)>,
    ) -> Option<Duration> {
        fds.push((listener, if self.has_room() { PollFlags::POLLIN } else { PollFlags::empty() }));
        let events = |newcomer: &Newcomer| if newcomer.held.len() < HELD { PollFlags::POLLIN } else { PollFlags::empty() };
        fds.extend(self.waiting.iter().map(|newcomer| (newcomer.port.reader(), events(newcomer))));
        (self.speaks() || !self.has_room()).then_some(LOOK)
    }
    /// Lets in who connects, and takes what those say who wait.
    fn serve(&mut self, opener: &mut Opener, buffer: &mut [u8]) {
        self.waiting.retain_mut(|newcomer| newcomer.read(buffer));
        // more in the next round: the port must not wait for a flood of them
        for _ in 0..MOST {
            if !self.has_room() {
                return;
            }
            self.paused = None;
            match opener.open() {
                Ok(Some(port)) => self.admit(Newcomer::new(port, false), buffer),
                Ok(None) => return,
                Err(failure) => {
                    limit::warn_at(&failure.kind, opener.spec(), &failure);
                    self.paused = Some(Instant::now());
                }
            }
        }
    }
    fn admit(&mut self, mut newcomer: Newcomer, buffer: &mut [u8]) {
        if self.waiting.len() >= MOST
            && let Some(at) = self.waiting.iter().position(Newcomer::makes_room)
        {
            self.waiting.remove(at);
        }
        if newcomer.read(buffer) {
            self.waiting.push(newcomer);
        }
    }
    /// The first who says this.
    fn take(&mut self, says: impl Fn(Option<Says>) -> bool) -> Option<(Port, Vec<u8>)> {
        let at = self.waiting.iter().position(|newcomer| says(newcomer.says))?;
        let newcomer = self.waiting.remove(at);
        Some((newcomer.port, newcomer.held))
    }
    /// Who is to have a port that nobody has.
    pub(super) fn take_any(&mut self) -> Option<(Port, Vec<u8>)> {
        self.take(|says| says.is_some()).or_else(|| self.take(|_| true))
    }
    /// Who is to have the port in the place of the connection that is in use, if that has to make room.
    fn take_over(&mut self, lane: &Lane, grace: Duration, now: link::Instant) -> Option<(Port, Vec<u8>)> {
        let turn = self.turn.0.elapsed();
        if turn < TURN {
            return None;
        }
        if lane.state() != State::Open {
            let silent = self.heard.0.elapsed() >= TURN || turn >= LONG_TURN;
            return if silent { self.take(|says| says.is_some()) } else { None };
        }
        if !lane.is_silent(now) {
            return None;
        }
        let silent = Duration::from_micros(lane.silence_us(now).unwrap_or(0));
        let called = silent >= CALLED.min(grace / 2);
        self.take(|says| says == Some(Says::Session)).or_else(|| if called { self.take(|says| says.is_some()) } else { None })
    }
    /// Another connection is in use from now on.
    pub(super) fn begin_turn(&mut self, taken: u64) {
        let now = Instant::now();
        (self.turn, self.heard) = ((now, taken), (now, taken));
    }
    /// So many frames were taken by now; those who had their turn before the one that was proved are let go.
    fn follow(&mut self, lane: &Lane, now: link::Instant) {
        let taken = lane.stats().frames_taken;
        if taken != self.heard.1 {
            self.heard = (Instant::now(), taken);
        }
        if taken != self.turn.1 && lane.state() == State::Open && !lane.is_silent(now) {
            self.waiting.retain(|newcomer| !newcomer.tried);
        }
    }
}

impl<const C: usize> Wire<C> {
    /// Takes who connects to a listening port that is in use; `ready`: somebody has something to say. Says whether another
    /// connection is in use now.
    pub(super) fn serve_newcomers(&mut self, at: usize, ready: bool, buffer: &mut [u8]) -> bool {
        let line = &mut self.lines[at];
        if ready {
            line.newcomers.serve(&mut line.opener, buffer);
        }
        if line.newcomers.is_empty() || line.port.is_none() {
            return false;
        }
        let (lane, now) = (&self.link.paths()[at], self.clock.now());
        line.newcomers.follow(lane, now);
        let silent = Duration::from_micros(lane.silence_us(now).unwrap_or(0)).max(line.newcomers.heard.0.elapsed());
        let turn = line.newcomers.turn.0.elapsed().as_secs();
        let Some((port, said)) = line.newcomers.take_over(lane, self.settings.grace, now) else { return false };
        let why = match silent {
            silent if silent < TURN => format!("opened no session in {turn} s"),
            silent => format!("was silent for {} s", silent.as_secs()),
        };
        let spec = line.opener.spec();
        let why = format!("{spec}: another connection has its turn, for the one before {why}");
        limit::warn_at(kinds::CONNECTION_REPLACED, spec, why);
        let before = line.port.take();
        line.close();
        if let Some(before) = before {
            line.newcomers.admit(Newcomer::new(before, true), buffer);
        }
        self.link.handle_lost(at, now);
        self.connected(at, port, &said);
        true
    }
    /// A connection is in use from now on; it has said this already.
    pub(super) fn connected(&mut self, at: usize, port: Port, said: &[u8]) {
        let line: &mut Line = &mut self.lines[at];
        let stats = self.link.paths()[at].stats();
        line.newcomers.begin_turn(stats.frames_taken);
        if line.opener.listener().is_some() {
            line.hearsay.restart(&stats);
        }
        line.opened(port);
        self.tell_port(at);
        let now = self.clock.now();
        self.link.handle_reopen_of(at, now);
        if !said.is_empty() {
            self.link.handle_bytes_of(at, said, now);
            self.lines[at].hearsay.take(said, &self.link.paths()[at].stats());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use link::wire::{Binding, Head, Level, write_frame};

    use super::*;
    use crate::port::{Flow, Options};

    fn listening() -> (tempfile::TempDir, Opener) {
        let folder = tempfile::tempdir().unwrap();
        let spec = format!("unix-listen:{}", folder.path().join("s").display()).parse().unwrap();
        (folder, Opener::new(spec, Options { baud: 0, auto: false, flow: Flow::None }).unwrap())
    }

    /// Or those who come again at once would send each other away, and the peer too, before it has said a word.
    #[test]
    fn who_has_just_connected_is_not_sent_away() {
        let (folder, mut opener) = listening();
        let mut streams: Vec<_> = (0..MOST + 1).map(|_| UnixStream::connect(folder.path().join("s")).unwrap()).collect();
        let (mut newcomers, mut buffer) = (Newcomers::new(), vec![0; 1024]);
        for _ in 0..3 {
            newcomers.serve(&mut opener, &mut buffer);
            assert_eq!((newcomers.waiting.len(), newcomers.has_room()), (MOST, false));
        }
        newcomers.waiting[0].since -= TURN;
        newcomers.serve(&mut opener, &mut buffer);
        assert_eq!((newcomers.waiting.len(), newcomers.has_room()), (MOST, false));
        assert_eq!(streams[0].read(&mut buffer).unwrap(), 0, "it had said nothing for long");
        drop(streams.pop());
        newcomers.serve(&mut opener, &mut buffer);
        assert_eq!((newcomers.waiting.len(), newcomers.has_room()), (MOST - 1, true), "one is gone");
    }

    #[test]
    fn who_speaks_is_told_from_who_babbles() {
        let (folder, mut opener) = listening();
        let mut stream = UnixStream::connect(folder.path().join("s")).unwrap();
        let (mut newcomers, mut buffer) = (Newcomers::new(), vec![0; 4096]);
        for _ in 0..20 {
            stream.write_all(b"GET / HTTP/1.0\r\nHost: x\r\n\r\n".repeat(60).as_slice()).unwrap();
            newcomers.serve(&mut opener, &mut buffer);
        }
        assert!(!newcomers.speaks() && newcomers.waiting[0].held.len() <= 2 * UNHEARD);
        let mut frame = [0; 100];
        let n = write_frame(&mut frame, Head::open(20, Level::Plain), Binding::NONE);
        stream.write_all(&frame[..n]).unwrap();
        newcomers.serve(&mut opener, &mut buffer);
        assert_eq!(newcomers.waiting[0].says, Some(Says::Call));
        let (_, said) = newcomers.take_any().unwrap();
        assert!(said.ends_with(&frame[..n]), "what it said is kept");
    }
}
