//! What the wire tells whoever watches: strangers on the line, silence, a port that is back, a
//! session that is lost.

use std::time::{Duration, Instant};

use link::{CloseCode, Loss, State};
use serde_json::{Value, json};

use super::{Lane, Wire};
use crate::error::{Kind, kinds};
use crate::limit;

/// Bytes without any frame, and how long they may come, before a warning.
const STRANGE_BYTES: u64 = 64;
const STRANGE_AFTER: Duration = Duration::from_secs(3);
/// A pause of so long ends them: a machine that boots, or the rest of a session that is over, is no reason to give up.
const STRANGE_PAUSE: Duration = Duration::from_secs(5);
/// What a peer may be that is heard, but with which no session opens.
const UNPROVED: &str = "the peer is heard, but answers no call: it does not know our key, has another secret, waits for somebody's consent, or gets our calls damaged";
/// The same where nothing is to be proved: it was ended, or does not hear us.
const UNOPENED: &str = "a peer was heard, but no session has opened; no answer since";
/// What it takes to open a session, and to call a few times in vain: at 300 baud that is long.
pub(in crate::drive) const OPENING_BYTES: u64 = 800;
/// Nothing has come through one of several ports for so long: worth a word.
const SILENT: Duration = Duration::from_secs(3);
/// Nobody has answered for so long: worth a word.
const NO_ANSWER: Duration = Duration::from_secs(5);

/// Bytes of which none are frames.
#[derive(Debug)]
pub(super) struct Strange {
    since: Instant,
    latest: Instant,
    /// All that came, since the port was opened.
    bytes: u64,
}

impl Strange {
    fn new(bytes: u64) -> Strange {
        let now = Instant::now();
        Strange { since: now, latest: now, bytes }
    }
}

impl<const C: usize> Wire<C> {
    /// Says what is worth a word by now.
    pub(crate) fn watch(&mut self) {
        self.call_anew();
        self.watch_text();
        self.watch_strangers();
        self.watch_garbled();
        self.watch_silence();
        self.watch_return();
        self.watch_paths();
    }

    /// Bytes come, but no frame among them: says so once, and gives up when they go on for the grace time.
    fn watch_strangers(&mut self) {
        let stats = self.link.stats();
        if self.link.state() == State::Opening && (1..=stats.echoes).contains(&stats.frames_in) {
            // nothing but our own was heard, which was said
            return;
        }
        if stats.frames_in > 0 || self.link.state() != State::Opening {
            self.strange = None;
            return self.watch_unproved();
        }
        let opens_within = self.opens_within();
        let quiet = self.strange.as_ref().map_or(self.calling_since, |strange| strange.latest).elapsed() >= opens_within;
        if quiet && !self.warned && self.callers.last.is_none() && self.has_port() {
            self.say(kinds::NO_ANSWER, &format!("{}: {}; calling on", self.spec(), self.no_answer()));
            (self.warned, self.told) = (true, true);
        }
        if stats.wire_in == 0 {
            return;
        }
        let text = self.text().map(str::to_owned);
        let most = self.settings.grace / 2;
        // who is called rarely answers rarely
        let pause = if text.is_some() { most } else { STRANGE_PAUSE.max(opens_within).min(most) };
        let strange = self.strange.get_or_insert_with(|| Strange::new(0));
        if strange.bytes != stats.wire_in {
            if strange.latest.elapsed() >= pause {
                *strange = Strange::new(stats.wire_in);
            }
            (strange.bytes, strange.latest) = (stats.wire_in, Instant::now());
        }
        let lasted = strange.latest - strange.since;
        // text was told when it stood for a while
        let warned = self.warned || text.is_some();
        let (kind, complaint) = if let Some(complaint) = text {
            (kinds::TEXT_HEARD, complaint)
        } else if stats.alien > 0 {
            let why = "frames arrive, but of another command ('hardline test', 'hardline diode'): start the same at both ends";
            (kinds::MODE_MISMATCH, format!("{}: {why}", self.spec()))
        } else if let Some(garbled) = self.garbled_call(&stats) {
            garbled
        } else {
            let why = "none were hardline frames: wrong baud rate or another program?";
            (kinds::NOT_HARDLINE, format!("{}: {} bytes arrived, {why}", self.spec(), stats.wire_in))
        };
        // a peer that has to prove itself is waited for: rubbish proves nothing
        let waits = self.settings.hold || !self.settings.identity.is_plain();
        // the first frame may still be coming
        let after = STRANGE_AFTER.max(self.time_of(OPENING_BYTES));
        if stats.wire_in >= STRANGE_BYTES && lasted >= after && !warned {
            limit::warn(&kind, format!("{complaint}; calling on"));
            (self.warned, self.told) = (true, true);
        }
        let patience = self.settings.grace.max(after);
        if stats.wire_in >= STRANGE_BYTES && lasted >= patience && !waits {
            self.fail(kind, format!("{complaint}; given up after {} s", patience.as_secs()));
        }
    }

    /// Nothing came since the start, or since the session before.
    pub(super) fn no_answer(&self) -> String {
        match &self.parted {
            Some(why) => format!("{why}; no answer since"),
            None => "no answer from the peer yet".into(),
        }
    }

    /// The peer was heard, but no session opens: of a sealed one only the peer can know why.
    fn watch_unproved(&mut self) {
        if !matches!(self.link.state(), State::Opening | State::Greeting) {
            self.heard_since = None;
            return;
        }
        if self.heard_since.is_none() {
            // that nobody was heard before is no news any more
            (self.heard_since, self.warned) = (Some(Instant::now()), false);
        }
        let since = self.heard_since.unwrap_or_else(Instant::now);
        if since.elapsed() >= self.opens_within() && !self.warned && self.callers.last.is_none() {
            let altered = kinds::BYTES_ALTERED;
            let kind = match self.garbled_peer() {
                Some(_) => &*altered,
                None if self.settings.identity.is_plain() => kinds::NO_ANSWER,
                None => kinds::PEER_UNPROVED,
            };
            self.say(kind, &format!("{}: {}; calling on", self.spec(), self.unopened()));
            (self.warned, self.told) = (true, true);
        }
    }
    /// Why a peer that was heard is none to talk to.
    pub(super) fn unopened(&self) -> String {
        let usual = if self.settings.identity.is_plain() { UNOPENED } else { UNPROVED };
        self.garbled_peer().unwrap_or_else(|| usual.into())
    }
    /// A session opens sooner than that, whatever the rate.
    pub(in crate::drive) fn opens_within(&self) -> Duration {
        NO_ANSWER.max(self.time_of(OPENING_BYTES))
    }
    /// What so many bytes take by the slowest port; nothing where no rate is known.
    pub(in crate::drive) fn time_of(&self, bytes: u64) -> Duration {
        let slowest = (0..self.count()).map(|at| self.baud_of(at)).filter(|baud| *baud > 0).min();
        Duration::from_micros(slowest.map_or(0, |baud| 10_000_000 * bytes / u64::from(baud)))
    }

    /// A lost port is back once a frame of the session has come through it, or a call; one of several once it carries again.
    fn watch_return(&mut self) {
        let bond = self.is_bond();
        for (line, path) in self.lines.iter_mut().zip(self.link.paths()) {
            let back = if bond { path.is_up() } else { path.stats().frames_taken > line.lost_frames };
            if line.port.is_some()
                && back
                && let Some(at) = line.lost_at.take()
            {
                let spec = line.opener.spec();
                limit::warn_at(kinds::PORT_BACK, spec, format!("{spec} is back after {:.1} s", at.elapsed().as_secs_f64()));
                line.path.down_since = None;
            }
        }
    }

    /// One of several ports through which nothing comes while others carry.
    fn watch_paths(&mut self) {
        if !self.is_bond() {
            return;
        }
        let open = self.link.state() == State::Open;
        let up = self.link.paths().iter().position(Lane::is_up);
        let other = up.map(|at| self.lines[at].opener.spec().to_string());
        let (silent, opens_within) = (SILENT.max(self.time_of(OPENING_BYTES / 2)), self.opens_within());
        let going_on = if other.is_some() { "; going on without it" } else { "" };
        for (line, path) in self.lines.iter_mut().zip(self.link.paths()) {
            line.path.measure(&path.stats());
            let spec = line.opener.spec();
            let watched = &mut line.path;
            if !open || line.port.is_none() || path.is_up() {
                if path.is_up()
                    && watched.told
                    && let Some(since) = watched.down_since
                {
                    limit::warn_at(
                        kinds::PORT_BACK,
                        spec,
                        format!("{spec} is back after {:.1} s", since.elapsed().as_secs_f64()),
                    );
                }
                if path.is_up() {
                    watched.was_up = true;
                }
                (watched.down_since, watched.told) = (None, false);
                continue;
            }
            let since = *watched.down_since.get_or_insert_with(Instant::now);
            let patience = if watched.was_up { silent } else { opens_within };
            if since.elapsed() < patience || watched.told || line.lost_at.is_some() {
                continue;
            }
            watched.told = true;
            if path.is_foreign() {
                let peer = other.as_ref().map_or("the peer".into(), |other| format!("the peer of {other}"));
                limit::warn_at(
                    kinds::PATH_FOREIGN,
                    spec,
                    format!("{spec}: somebody else answers there than {peer}; is it wired to another machine?"),
                );
            } else if watched.was_up {
                limit::warn_at(kinds::PATH_DOWN, spec, format!("{spec}: nothing comes through any more{going_on}"));
            } else {
                limit::warn_at(kinds::PATH_DOWN, spec, format!("{spec}: no answer from the peer yet{going_on}"));
            }
        }
    }

    /// How the paths are, for whoever asks.
    pub(in crate::drive) fn paths(&self) -> Vec<Value> {
        let now = self.clock.now();
        let path = |(at, (line, path)): (usize, (&super::Line, &super::Lane))| {
            let stats = path.stats();
            json!({
                "port": line.opener.spec().to_string(),
                "baud": self.baud_of(at),
                "up": line.port.is_some() && path.is_up() && !path.is_silent(now),
                "port_open": line.port.is_some(),
                "foreign": path.is_foreign(),
                "silent_seconds": path.silence_us(now).map(|us| us as f64 / 1e6),
                "rate_in": line.path.rate.0,
                "rate_out": line.path.rate.1,
                "rtt_us": stats.rtt_us,
                "ber": stats.ber_ppb as f64 / 1e9,
                "wire_in": stats.wire_in,
                "wire_out": stats.wire_out,
                "frames_bad": stats.frames_bad,
                "resends": stats.resends,
            })
        };
        self.lines.iter().zip(self.link.paths()).enumerate().map(path).collect()
    }
}

/// What is known of a path from looking at it.
#[derive(Debug, Default)]
pub(super) struct Watched {
    was_up: bool,
    down_since: Option<Instant>,
    told: bool,
    /// Bytes on the wire when the rate was measured, in and out.
    measured: Option<(Instant, u64, u64)>,
    /// Bytes per second, in and out.
    rate: (f64, f64),
}

impl Watched {
    fn measure(&mut self, stats: &link::Stats) {
        let now = Instant::now();
        let (at, into, out) = *self.measured.get_or_insert((now, stats.wire_in, stats.wire_out));
        let seconds = now.duration_since(at).as_secs_f64();
        if seconds >= 1.0 {
            let rate = |now: u64, then: u64| now.saturating_sub(then) as f64 / seconds;
            self.rate = (rate(stats.wire_in, into), rate(stats.wire_out, out));
            self.measured = Some((now, stats.wire_in, stats.wire_out));
        }
    }
}

pub(super) fn explain(loss: Loss, grace: Duration) -> (Kind, String) {
    match loss {
        Loss::Silence => (kinds::PEER_SILENT, format!("nothing came from the peer for {} s", grace.as_secs())),
        Loss::PeerRestarted => (kinds::PEER_RESTARTED, "the peer was restarted, this session is lost".into()),
        Loss::PeerClosed(CloseCode::OutputClosed) => {
            (kinds::PEER_OUTPUT_CLOSED, "the peer's output was closed before it had everything".into())
        }
        Loss::PeerClosed(CloseCode::Left) => (kinds::PEER_LEFT, "the peer has left".into()),
        Loss::PeerClosed(CloseCode::Interrupted) => (kinds::PEER_INTERRUPTED, "the peer was interrupted".into()),
        Loss::PeerClosed(CloseCode::Failed) => (kinds::PEER_FAILED, "the peer failed; what of, it says at its own end".into()),
        Loss::PeerClosed(code) => (kinds::PEER_FAILED, format!("the peer ended the session ({code:?})")),
        Loss::Version(v) => (
            kinds::VERSION_MISMATCH,
            format!("the peer speaks version {v} of the protocol, this is version {}; update the older", link::VERSION),
        ),
        Loss::Mode => (
            kinds::MODE_MISMATCH,
            "one end runs 'hardline pipe', the other one with channels ('link', 'open', ..): start what fits at both ends".into(),
        ),
        Loss::Bond => (
            kinds::BOND_MISMATCH,
            "one end has several ports (--also), the other has one: give both ends the same number of them".into(),
        ),
        Loss::Sealed => (
            kinds::KEY_NEEDED,
            "the peer talks to known keys only: give this end --key FILE or --psk FILE too, see 'hardline keygen --help'".into(),
        ),
        Loss::Local => (kinds::CLOSED_HERE, "closed".into()),
    }
}
