//! One port of a wire: opened, read and written; what is known of it while it is away.

use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use link::FRAME_MAX;
use nix::poll::PollFlags;

use super::absence::Absence;
use super::newcomers::Newcomers;
use super::rate::Draining;
use crate::drive::shorter;
use crate::port::{Opener, Port};

/// How long timers may be late while the port takes nothing.
const BLOCKED: Duration = Duration::from_millis(10);
/// Longest sleep through the bytes of a frame that is not whole yet, in time and in bytes: well
/// below what a tty holds (4 KiB).
const GATHER_US: u64 = 15_000;
/// A little more, or the last byte is missed by a hair.
const GATHER_MORE_US: u64 = 100;
const GATHER_BYTES: usize = 3_000;

/// A port, and what stands between it and a path of the link.
pub(super) struct Line {
    pub(super) opener: Opener,
    pub(super) port: Option<Port>,
    /// The frame on its way into the port: its bytes, how many there are, how many went.
    pub(super) frame: Box<[u8; FRAME_MAX]>,
    pub(super) frame_len: usize,
    pub(super) frame_at: usize,
    /// Until then the port need not be read: no frame can be whole before.
    pub(super) gather_until: Option<link::Instant>,
    /// Why the port could not be opened the last time.
    pub(super) absence: Option<Absence>,
    pub(super) lost_at: Option<Instant>,
    pub(super) lost_frames: u64,
    pub(super) looked: Option<Instant>,
    /// What the port can do, where its rate can change; and a change that waits for it.
    pub(super) rates: link::Rates,
    pub(super) draining: Option<Draining>,
    /// What is known of its path.
    pub(super) path: super::watch::Watched,
    /// Who else has connected to a port that listens.
    pub(super) newcomers: Newcomers,
    /// What was heard that was no frame.
    pub(super) hearsay: super::text::Hearsay,
}

/// Where among the descriptors those of a line are.
pub(in crate::drive) struct Place {
    /// The first of the two of the port.
    port: Option<usize>,
    /// A listener, and who waits for the port.
    newcomers: Range<usize>,
}

/// What of a line is ready.
pub(in crate::drive) struct LineReady {
    /// The port.
    pub(super) port: PollFlags,
    /// Somebody connects, or has something to say.
    pub(super) newcomers: bool,
}

impl Line {
    pub(super) fn new(opener: Opener) -> Line {
        Line {
            opener,
            port: None,
            frame: Box::new([0; FRAME_MAX]),
            frame_len: 0,
            frame_at: 0,
            gather_until: None,
            absence: None,
            lost_at: None,
            lost_frames: 0,
            looked: None,
            rates: super::rate::unknown(),
            draining: None,
            path: super::watch::Watched::default(),
            newcomers: Newcomers::new(),
            hearsay: super::text::Hearsay::default(),
        }
    }
    /// Another session begins.
    pub(super) fn renew(&mut self) {
        self.lost_frames = 0;
        self.path = super::watch::Watched::default();
        self.hearsay = super::text::Hearsay::default();
    }

    /// Adds what it waits for; returns how long it may wait if its path may wait so long, and its place.
    pub(super) fn wait_for<'a>(
        &'a self,
        mut timeout: Option<Duration>,
        fds: &mut Vec<(BorrowedFd<'a>, PollFlags)>,
        now: link::Instant,
    ) -> (Option<Duration>, Place) {
        let first = fds.len();
        let Some(port) = &self.port else {
            // one that could not accept would say at once that it could
            let listener = self.opener.listener().filter(|_| self.absence.is_none()).or(self.opener.connecting());
            let look = if listener.is_some() { Duration::from_secs(1) } else { self.look() };
            let look = if self.newcomers.is_empty() { look } else { Duration::ZERO };
            fds.extend(listener.map(|fd| (fd, PollFlags::POLLIN)));
            return (Some(look), Place { port: None, newcomers: first..first });
        };
        if let Some(look) = self.opener.listener().and_then(|listener| self.newcomers.wait_for(listener, fds)) {
            timeout = shorter(timeout, look);
        }
        let newcomers = first..fds.len();
        let writing = !self.is_sent();
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
        (timeout, Place { port: Some(fds.len() - 2), newcomers })
    }
    /// What it is ready for.
    pub(super) fn ready(&self, flags: &[PollFlags], place: &Place, now: link::Instant) -> LineReady {
        let mut port = place.port.map_or(PollFlags::empty(), |at| flags[at] | flags[at + 1]);
        if self.gather_until.is_some_and(|until| until <= now) {
            port |= PollFlags::POLLIN;
        }
        LineReady { port, newcomers: flags[place.newcomers.clone()].iter().any(|flags| !flags.is_empty()) }
    }
    /// So many bytes are missing of a frame: the port need not be read before.
    pub(super) fn gather(&mut self, missing: usize, now: link::Instant) {
        self.gather_until = None;
        if self.opener.baud() > 0 {
            let bytes = missing.min(GATHER_BYTES) as u64;
            let wait = bytes * 10_000_000 / u64::from(self.opener.baud());
            self.gather_until = (bytes > 0).then(|| now.after(wait.min(GATHER_US) + GATHER_MORE_US));
        }
    }
    /// Lets the port go: every descriptor must, or the adapter comes back under another name.
    pub(super) fn close(&mut self) {
        (self.port, self.draining) = (None, None);
        (self.frame_at, self.frame_len, self.gather_until) = (0, 0, None);
    }
    /// Whether the port took all of the last frame.
    pub(super) fn is_sent(&self) -> bool {
        self.frame_at == self.frame_len
    }
    /// Whether something that was handed out has not left.
    pub(super) fn is_busy(&self) -> bool {
        self.port.as_ref().is_some_and(|port| !self.is_sent() || port.queued() > 0)
    }
}
