//! A port that cannot be opened: its user is told why, and when it is there again, but not at every try.

use std::time::{Duration, Instant};

use link::State;

use super::{Line, Wire};
use crate::error::{Failure, kinds};
use crate::limit;
use crate::port::Port;
use crate::port::serial::{look_again, unhinted};

/// Reasons that change are told no more often than that.
const NEXT_REASON: Duration = Duration::from_secs(5);

/// A time without a port.
#[derive(Debug)]
pub(super) struct Absence {
    since: Instant,
    /// The reason as of the last try.
    why: String,
    /// The reason that was told, and when; empty while the loss of the port says enough.
    told: String,
    told_at: Instant,
}

impl Absence {
    /// It was not there at the start.
    pub(super) fn new(failure: &Failure) -> Absence {
        let mut absence = Absence::unexplained(failure);
        absence.tell(failure);
        absence
    }
    fn unexplained(failure: &Failure) -> Absence {
        let now = Instant::now();
        Absence { since: now, why: unhinted(&failure.message), told: String::new(), told_at: now }
    }
    fn tell(&mut self, failure: &Failure) {
        tracing::warn!(code = %failure.kind, "{}; waiting for it, and trying again", unhinted(&failure.message));
        (self.told, self.told_at) = (failure.message.clone(), Instant::now());
    }
}

impl Line {
    /// Whether somebody may have connected, who must not wait.
    pub(super) fn is_due(&self) -> bool {
        self.opener.listener().or(self.opener.connecting()).is_some()
    }
    /// How long to wait before the port is looked for again.
    pub(super) fn look(&self) -> Duration {
        look_again(self.absence.as_ref().map_or(Duration::ZERO, |absence| absence.since.elapsed()))
    }
    /// It could not be opened.
    pub(super) fn cannot_open(&mut self, failure: &Failure) {
        let absence = match &mut self.absence {
            Some(absence) => absence,
            // it was lost a moment ago, which was told
            empty if self.lost_at.is_some() => empty.insert(Absence::unexplained(failure)),
            empty => {
                *empty = Some(Absence::new(failure));
                return;
            }
        };
        absence.why = unhinted(&failure.message);
        if absence.told != failure.message && absence.told_at.elapsed() >= NEXT_REASON {
            absence.tell(failure);
        }
    }
    /// It is open. A port that was lost counts as back only once something came through it.
    pub(super) fn opened(&mut self, port: Port) {
        self.port = Some(port);
        let away = self.absence.take().map(|absence| absence.since.elapsed().as_secs_f64());
        let spec = self.opener.spec();
        match away.filter(|_| self.lost_at.is_none()) {
            Some(seconds) => limit::warn_at(kinds::PORT_BACK, spec, format!("{spec} is open now, after {seconds:.1} s")),
            None => tracing::info!("{spec} is open"),
        }
    }
    /// Why it is not there; none when it is.
    fn why_away(&self) -> Option<String> {
        match (&self.port, &self.absence) {
            (Some(_), _) => None,
            (None, Some(absence)) => Some(absence.why.clone()),
            (None, None) if self.opener.connects() => Some(format!("{} does not answer yet", self.opener.spec())),
            (None, None) => Some(format!("nobody is connected to {}", self.opener.spec())),
        }
    }
}

impl<const C: usize> Wire<C> {
    /// Why nothing comes from the peer at present; none when something does.
    pub(in crate::drive) fn trouble(&self) -> Option<String> {
        let now = self.clock.now();
        if let Some(why) = self.lines[0].why_away().filter(|_| !self.has_port()) {
            Some(why)
        } else if self.link.state() != State::Open {
            Some(match &self.callers.last {
                Some(complaint) => complaint.clone(),
                None if self.heard_since.is_some() => self.unopened(),
                None => self.text().map_or_else(|| self.no_answer(), str::to_owned),
            })
        } else if self.link.is_silent(now) {
            let seconds = self.link.silence_us(now).unwrap_or(0) / 1_000_000;
            Some(format!("the peer has not been heard for {seconds} s"))
        } else {
            None
        }
    }
}
