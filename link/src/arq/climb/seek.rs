//! Where to look for a peer that is not heard: at home, and in between for a moment at each other rate
//! there is. Two ends that do this are at home together for some time in each round, whatever their phase.

use super::ladder::{BASE, Rates};
use super::{SILENCE_US, View};
use crate::arq::State;
use crate::time::Instant;

/// How long an end stays at home before it looks elsewhere for the first time (µs).
const FIRST_US: u64 = 1_000_000;
/// Without a session: how long at home, how long at each of two others (µs). A call takes 3 ms there, and the
/// answer as long as two adapters with their default timers need.
const CALLING: Round = Round { home_us: 600_000, away_us: 150_000, away: 2 };
/// With a session whose peer fell silent so long ago (µs), which may be a new one that calls once a second.
const MISSED_US: u64 = 10_000_000;
const MISSED: Round = Round { home_us: 2_400_000, away_us: 1_100_000, away: 1 };
/// Who heard a frame stays for so long (µs).
const HEARD_US: u64 = 2_000_000;

struct Round {
    home_us: u64,
    away_us: u64,
    away: u8,
}

/// The search.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seek {
    /// Since when the port is at its rung.
    pub(super) arrived: Instant,
    /// A frame was heard there.
    heard: Option<Instant>,
    /// How many rungs were visited since home, and the last of them.
    away: u8,
    last: u8,
    first: bool,
}

impl Seek {
    pub(super) fn new(now: Instant) -> Seek {
        Seek { arrived: now, heard: None, away: 0, last: BASE, first: true }
    }
    pub(super) fn arrive(&mut self, now: Instant) {
        (self.arrived, self.heard) = (now, None);
    }
    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = Some(now);
    }
    /// Nobody is missed: the next search begins anew.
    pub(super) fn rest(&mut self) {
        (self.away, self.first) = (0, true);
    }

    /// Until when the port stays where it is; none where nobody is missed.
    pub(super) fn until(&self, at: u8, home: u8, view: &View, now: Instant) -> Option<Instant> {
        let round = match view.state {
            State::Opening | State::Greeting => CALLING,
            State::Open if at == home && view.silence_us < MISSED_US => {
                return Some(now.after(MISSED_US - view.silence_us));
            }
            State::Open if view.silence_us < SILENCE_US => return None,
            State::Open => MISSED,
            State::Finished | State::Ended => return None,
        };
        let dwell = match at == home {
            true if self.first => FIRST_US.max(round.home_us),
            true => round.home_us,
            false => round.away_us,
        };
        let heard = self.heard.map_or(Instant::default(), |at| at.after(HEARD_US));
        Some(self.arrived.after(dwell).max(heard))
    }
    /// Where to go next; none when there is but one rate.
    pub(super) fn next(&mut self, at: u8, home: u8, rates: Rates, view: &View) -> Option<u8> {
        let round = if view.state == State::Open { MISSED } else { CALLING };
        self.first = false;
        if at != home && self.away >= round.away {
            self.away = 0;
            return Some(home);
        }
        let others = || rates.rungs().filter(|&rung| rung != home && rung != at);
        let Some(next) = others().find(|&rung| rung > self.last).or_else(|| others().next()) else {
            self.away = 0;
            return Some(home).filter(|_| at != home);
        };
        (self.last, self.away) = (next, self.away + 1);
        Some(next)
    }
}
