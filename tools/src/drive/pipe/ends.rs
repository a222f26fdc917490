//! A session ends when both inputs have: who waits for the other one's, or for a terminal's, is told so.

use std::time::{Duration, Instant};

use link::State;

use super::Session;
use crate::drive::user::User;
use crate::error::kinds;
use crate::limit;
use crate::log;

/// Nothing has moved for so long while the end of the other direction is all that lacks: worth a word.
const IDLE: Duration = Duration::from_secs(5);

/// What was said of it.
#[derive(Debug, Default)]
pub(super) struct Waits {
    /// Our input is a terminal.
    typed: bool,
    hinted: bool,
    told: bool,
    /// Bytes from the peer, and since when there are no more.
    idle: Option<(u64, Instant)>,
}

impl Waits {
    pub(super) fn of(user: &User) -> Waits {
        let typed = !user.is_command() && user.input().is_some_and(|input| nix::unistd::isatty(input) == Ok(true));
        Waits { typed, ..Waits::default() }
    }
    /// A session is open.
    pub(super) fn opened(&mut self) {
        if self.typed && !std::mem::replace(&mut self.hinted, true) {
            log::hint("what is typed goes to the other end; Ctrl-D at the start of a line ends it");
        }
    }
}

impl Session {
    /// Says once that the end of an input is all that lacks.
    pub(super) fn watch_ends(&mut self) {
        let link = &self.wire.link;
        if self.waits.told || link.state() != State::Open {
            return;
        }
        if self.waits.typed && !self.input_ended && link.at_end() && self.pending.is_empty() {
            self.waits.told = true;
            limit::warn(kinds::INPUT_AWAITED, "all that the peer has to say is here; this ends with your own input (Ctrl-D)");
            return;
        }
        let stats = link.stats();
        let waits = self.input_ended && stats.bytes_out > 0 && link.is_sent() && !link.at_end();
        if !waits || link.is_silent(self.wire.clock.now()) {
            self.waits.idle = None;
            return;
        }
        match self.waits.idle {
            Some((bytes, since)) if bytes == stats.bytes_in => {
                if since.elapsed() >= IDLE {
                    self.waits.told = true;
                    let words = "all of our input is at the other end; this ends with the input there (at a terminal: Ctrl-D)";
                    limit::warn(kinds::INPUT_AWAITED, words);
                }
            }
            _ => self.waits.idle = Some((stats.bytes_in, Instant::now())),
        }
    }
}
