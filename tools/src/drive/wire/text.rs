//! Text in the place of frames: a login, a shell, a boot log. It is named, and called rarely from then on: a shell runs
//! what it is sent.

use std::time::{Duration, Instant};

use link::{CloseCode, State, Stats};

use super::Wire;
use crate::chatter::{ANOTHER, Chatter, ENDED};
use crate::error::{Failure, kinds};
use crate::port::Spec;

/// How long no frame came, before text counts: while a session opens, and in one that is open.
const OPENING: Duration = Duration::from_secs(2);
const SILENT_US: u64 = 1_500_000;
/// A pause ends what is being said; who makes none is told of a little later.
const PAUSE: Duration = Duration::from_millis(200);
const BREATH: Duration = Duration::from_secs(1);
/// How often whoever talks there is called: at first, and after a while.
const RARELY: Duration = Duration::from_secs(10);
const RAREST: Duration = Duration::from_secs(60);
/// For how long then: a call and its answer.
const TURN: Duration = Duration::from_millis(200);

/// What a port said since its last frame.
#[derive(Debug, Default)]
pub(super) struct Hearsay {
    chatter: Chatter,
    frames: u64,
    since: Option<Instant>,
    latest: Option<Instant>,
    /// Who talks, and what was said of it.
    told: Option<(&'static str, String)>,
    /// Until when nothing is sent, and for how long the last time.
    hush: Option<(Instant, Duration)>,
}

impl Hearsay {
    /// Bytes came; frames of whatever kind are counted there.
    pub(super) fn take(&mut self, bytes: &[u8], stats: &Stats) {
        if frames(stats) != self.frames {
            return self.restart(stats);
        }
        self.latest = Some(Instant::now());
        self.since = self.since.or(self.latest);
        self.chatter.take(bytes);
    }
    /// A frame came, or somebody else is there from now on.
    pub(super) fn restart(&mut self, stats: &Stats) {
        *self = Hearsay { frames: frames(stats), ..Hearsay::default() };
    }
    /// How long nothing is to be sent; none while something may.
    pub(super) fn hushed_for(&self) -> Option<Duration> {
        let ((until, _), now) = (self.hush?, Instant::now());
        match until.checked_duration_since(now) {
            Some(left) if !left.is_zero() => Some(left),
            // until its turn is noticed to be over
            _ => (now >= until + TURN).then_some(TURN),
        }
    }
    /// Text stands there: from now on calls are rare, and ever rarer.
    fn hush(&mut self, first: Duration, most: Duration) {
        let now = Instant::now();
        self.hush = match self.hush {
            None => Some((now + first, first)),
            Some((until, pause)) if now >= until + TURN => {
                let pause = (pause * 2).min(most);
                Some((now + pause, pause))
            }
            hush => hush,
        };
    }
}

fn frames(stats: &Stats) -> u64 {
    stats.frames_in + stats.alien + stats.forged + stats.echoes
}

impl<const C: usize> Wire<C> {
    /// Says once who talks there, and holds our calls back.
    pub(super) fn watch_text(&mut self) {
        let (open, now, grace) = (self.link.state() == State::Open, self.clock.now(), self.settings.grace);
        self.watch_keys(open);
        let mut told = Vec::new();
        for (line, path) in self.lines.iter_mut().zip(self.link.paths()) {
            let (Some(since), Some(latest)) = (line.hearsay.since, line.hearsay.latest) else { continue };
            let stands = if open { path.silence_us(now) >= Some(SILENT_US) } else { since.elapsed() >= OPENING };
            if !stands || (latest.elapsed() < PAUSE && since.elapsed() < OPENING + BREATH) {
                continue;
            }
            let Some((who, last)) = line.hearsay.chatter.speaker() else { continue };
            let (first, most) = match who {
                // what is left of frames may be text of the user's
                ANOTHER if open => continue,
                // it will not come back to this session
                ENDED if open => (grace, grace),
                // whoever does not wait for ever has to hear it often enough to give up
                _ => (RARELY.min(grace / 4), if self.settings.hold && !open { RAREST } else { RARELY.min(grace / 4) }),
            };
            // once more where it only shows now who it is
            if line.hearsay.told.as_ref().is_none_or(|(told, _)| *told == ANOTHER && who != ANOTHER) {
                let complaint = complaint(line.opener.spec(), who, &last);
                told.push(format!("{complaint}; calling on, rarely"));
                line.hearsay.told = Some((who, complaint));
            }
            line.hearsay.hush(first, most);
        }
        self.told |= !told.is_empty();
        told.iter().for_each(|words| self.say(&kinds::TEXT_HEARD, words));
    }
    /// On a terminal that is the wire nobody else hears Ctrl-C. Frames may have it in them, but where some come nothing is
    /// looked for.
    fn watch_keys(&mut self, open: bool) {
        let line = &self.lines[0];
        let silent = || !open || self.link.paths()[0].silence_us(self.clock.now()) >= Some(SILENT_US);
        if line.hearsay.chatter.wants_end() && silent() && line.opener.is_lent() {
            self.link.close(CloseCode::Interrupted);
            self.end(Failure::signal(libc::SIGINT, format!("ended by signal {}", libc::SIGINT)));
        }
    }
    /// What was told of the text that stands in the place of frames.
    pub(super) fn text(&self) -> Option<&str> {
        self.lines.iter().find_map(|line| line.hearsay.told.as_ref().map(|(_, words)| words.as_str()))
    }
}

fn complaint(spec: &Spec, who: &str, last: &str) -> String {
    format!("{spec}: text comes in the place of frames, from {who}: '{last}'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_ends_it() {
        let mut hearsay = Hearsay::default();
        hearsay.take(b"a line that ends before a frame comes\r\n", &Stats::default());
        hearsay.hush(Duration::from_secs(9), RAREST);
        assert!(hearsay.chatter.speaker().is_some() && hearsay.hushed_for().is_some());
        hearsay.take(b"\x00frame", &Stats { alien: 1, ..Stats::default() });
        assert!(hearsay.chatter.speaker().is_none() && hearsay.hushed_for().is_none() && hearsay.since.is_none());
    }

    #[test]
    fn there_is_a_turn_between_two_pauses() {
        let mut hearsay = Hearsay::default();
        hearsay.hush(Duration::ZERO, RAREST);
        assert_eq!(hearsay.hushed_for(), None, "its turn");
        let over = Instant::now() - TURN;
        hearsay.hush = Some((over, Duration::from_secs(5)));
        assert_eq!(hearsay.hushed_for(), Some(TURN), "over, and not noticed");
        hearsay.hush(Duration::ZERO, Duration::from_secs(8));
        assert_eq!(hearsay.hush.map(|(_, pause)| pause), Some(Duration::from_secs(8)), "longer each time");
        assert!(hearsay.hushed_for() > Some(Duration::from_secs(7)));
    }
}
