//! The rates of the ports, where the link decides on them (`--baud auto`).

use std::time::{Duration, Instant};

use link::{LADDER, RateNews, Rates};

use super::{Line, Wire, total};
use crate::port::{Opener, Port};

/// What is still queued after this time is not waited for: a stuck port changes its rate, too.
const STUCK: Duration = Duration::from_millis(300);
/// What an adapter holds beside the driver's queue has left after this time, where that was late.
const CHIP: Duration = Duration::from_millis(10);
/// How often a queue is looked at that has to become empty.
const LOOK: Duration = Duration::from_millis(1);
/// Buffers are made for this rate at most, where it can change.
const BUFFER_BAUD: u32 = 4_000_000;

/// A change of the rate that waits for the port.
#[derive(Clone, Copy, Debug)]
pub(super) struct Draining {
    since: Instant,
    /// When something was queued last.
    busy: Option<Instant>,
}

impl Draining {
    fn is_over(&mut self, port: &Port) -> bool {
        let now = Instant::now();
        if port.queued() > 0 {
            self.busy = Some(now);
        }
        self.busy.is_none_or(|busy| now - busy >= CHIP) || now - self.since >= STUCK
    }
}

impl Line {
    /// What the port that is open now can do.
    pub(super) fn learn_rates(&mut self) {
        if let Some((rates, _)) = self.port.as_ref().and_then(|port| port.rates) {
            self.rates = rates;
        }
    }
}

impl<const C: usize> Wire<C> {
    /// Bits per second of a port now, 0 when not known.
    pub(in crate::drive) fn baud_of(&self, at: usize) -> u32 {
        self.link.baud_of(at).unwrap_or(self.lines[at].opener.baud())
    }
    /// Bits per second of all ports together now, 0 when not known.
    pub(in crate::drive) fn total_baud(&self) -> u32 {
        total(&self.lines, Opener::baud)
    }
    /// Bits per second of all ports together that stream buffers are made for.
    pub(in crate::drive) fn buffer_baud(&self) -> u32 {
        total(&self.lines, buffer_baud)
    }
    /// The port that is open now can do this, and is at the link's rate or at the lowest.
    pub(super) fn tell_port(&mut self, at: usize) {
        if let Some((rates, baud)) = self.lines[at].port.as_ref().and_then(|port| port.rates) {
            self.lines[at].rates = rates;
            self.link.handle_port_of(at, rates, baud, self.clock.now());
            let baud = self.baud_of(at);
            self.lines[at].opener.set_baud(baud);
        }
    }
    /// Sets the port to the rate that the link wants, if it can be done now; says whether the link may send by it.
    pub(super) fn follow_rate(&mut self, at: usize) -> bool {
        if !self.lines[at].opener.is_auto() {
            return true;
        }
        self.tell_rate(at);
        let now = self.clock.now();
        let Some(baud) = self.link.port_rate_of(at, now) else { return true };
        let line = &mut self.lines[at];
        if let Some(port) = &mut line.port {
            let draining = line.draining.get_or_insert(Draining { since: Instant::now(), busy: None });
            if !draining.is_over(port) {
                return false;
            }
            line.draining = None;
            if let Err(why) = port.set_baud(baud) {
                tracing::debug!("{}: cannot be set to {baud} baud: {why}", line.opener.spec());
                self.link.handle_rate_refused_of(at, now);
                return true;
            }
        }
        line.opener.set_baud(baud);
        self.link.handle_rate_of(at, self.clock.now());
        line.gather_until = None;
        true
    }
    /// How soon to look whether everything has left a port whose rate is to change.
    pub(super) fn drain_look(&self, at: usize) -> Option<Duration> {
        let line = &self.lines[at];
        line.port.as_ref().filter(|_| line.opener.is_auto())?;
        self.link.port_rate_of(at, self.clock.now()).map(|_| LOOK)
    }
    fn tell_rate(&mut self, at: usize) {
        let spec = self.lines[at].opener.spec();
        while let Some(news) = self.link.poll_rate_news_of(at) {
            match news {
                RateNews::Kept(baud) => tracing::info!("{spec}: now at {baud} baud: both ends have proved it"),
                RateNews::Silent(baud) => {
                    tracing::info!("{spec}: nothing was heard at {baud} baud any more: back to {} baud", LADDER[0]);
                }
                RateNews::Failed(baud) => tracing::debug!("{spec}: {baud} baud was tried, and is no gain on this wire"),
                RateNews::Refused(baud) => tracing::debug!("{spec}: the peer does not agree to {baud} baud"),
                RateNews::Seeking(baud) => tracing::debug!("{spec}: looking for the peer at {baud} baud"),
            }
        }
    }
}

/// Bits per second that stream buffers are made for.
pub(super) fn buffer_baud(opener: &Opener) -> u32 {
    if opener.is_auto() { BUFFER_BAUD } else { opener.baud() }
}

/// What is believed of a port that was not opened yet.
pub(super) fn unknown() -> Rates {
    Rates::of(|_| true)
}
