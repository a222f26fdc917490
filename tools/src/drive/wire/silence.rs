//! A peer that falls silent: its user is told after seconds, not after the grace time, and again once that is over.

use std::time::{Duration, Instant};

use link::State;

use super::Wire;
use crate::error::kinds::{self, Entry};
use crate::limit;

/// Nothing was heard for so long: worth a word. A peer that lives is heard once a second.
const QUIET: Duration = Duration::from_secs(5);

impl<const C: usize> Wire<C> {
    /// Says that nothing is heard, and that it is again. Of several ports each is told of by itself.
    pub(super) fn watch_silence(&mut self) {
        // a port that went away was told, and that it is back will be
        let away = self.is_bond() || !self.has_port() || self.lines[0].lost_at.is_some();
        if away || self.link.state() != State::Open {
            self.quiet_since = None;
            return;
        }
        let now = self.clock.now();
        let silence = Duration::from_micros(self.link.silence_us(now).unwrap_or(0));
        let spec = self.spec().to_string();
        match self.quiet_since {
            None if self.link.is_silent(now) && silence >= QUIET => {
                self.quiet_since = Instant::now().checked_sub(silence);
                let (seconds, grace) = (silence.as_secs(), self.settings.grace.as_secs());
                let words = format!("{spec}: nothing heard from the peer for {seconds} s; waiting up to {grace} s");
                self.say(kinds::PEER_QUIET, &words);
            }
            Some(since) if !self.link.is_silent(now) => {
                self.quiet_since = None;
                let words = format!("{spec}: the peer is heard again, after {:.1} s", since.elapsed().as_secs_f64());
                self.say(kinds::PEER_BACK, &words);
            }
            _ => {}
        }
    }
    /// What a console shows to its users as the reason why they wait is not written across their screen as well.
    pub(super) fn say(&self, kind: &Entry, words: &str) {
        match self.settings.ask {
            true => limit::warn_at(kind, self.spec(), words),
            false => tracing::debug!(code = %kind, "{words}"),
        }
    }

    /// Something was said that is over once a session is open.
    pub(in crate::drive) fn was_told(&mut self) {
        self.told = true;
    }
    /// A session is open: said where it was said that none was.
    pub(super) fn tell_open(&mut self) {
        if std::mem::take(&mut self.told) {
            let (spec, seconds) = (self.spec(), self.calling_since.elapsed().as_secs_f64());
            limit::warn_at(kinds::SESSION_OPEN, spec, format!("{spec}: the session is open now, after {seconds:.1} s"));
        }
    }
}
