//! What the wire tells whoever watches: strangers on the line, silence, a port that is back, a
//! session that is lost.

use std::time::{Duration, Instant};

use link::{CloseCode, Loss, State};

use super::Wire;
use crate::error::{Kind, kinds};

/// Bytes without any frame, and how long they may come, before a warning.
const STRANGE_BYTES: u64 = 64;
const STRANGE_AFTER: Duration = Duration::from_secs(3);
/// What a peer may be that is heard, but with which no session opens.
pub(super) const UNPROVED: &str =
    "the peer is heard, but answers no call: it does not know our key, has another secret, or waits for somebody's consent";
/// Nobody has answered for so long: worth a word.
const NO_ANSWER: Duration = Duration::from_secs(5);

impl<const C: usize> Wire<C> {
    /// Says what is worth a word by now.
    pub(crate) fn watch(&mut self) {
        self.watch_strangers();
        self.watch_return();
    }

    /// Bytes come, but no frame among them: says so once, and gives up after the grace time.
    fn watch_strangers(&mut self) {
        let stats = self.link.stats();
        if stats.frames_in > 0 || self.link.state() != State::Opening {
            self.strange_since = None;
            return self.watch_unproved();
        }
        if stats.wire_in == 0 {
            if !self.warned && self.callers.last.is_none() && self.port.is_some() && self.began.elapsed() >= NO_ANSWER {
                tracing::warn!(code = %kinds::NO_ANSWER, "{}: no answer from the peer yet; calling on", self.spec());
                self.warned = true;
            }
            return;
        }
        let (since, seen) = *self.strange_since.get_or_insert((Instant::now(), 0));
        let complaint = format!(
            "{}: {} bytes arrived, none were hardline frames: wrong baud rate or another program?",
            self.spec(),
            stats.wire_in
        );
        if stats.wire_in >= STRANGE_BYTES && since.elapsed() >= STRANGE_AFTER && !self.warned {
            tracing::warn!(code = %kinds::NOT_HARDLINE, "{complaint}");
            self.warned = true;
        }
        if since.elapsed() >= self.settings.grace {
            if stats.wire_in > seen + STRANGE_BYTES && !self.settings.hold {
                self.fail(kinds::NOT_HARDLINE, complaint);
            }
            self.strange_since = Some((Instant::now(), stats.wire_in));
        }
    }

    /// The peer calls, but does not answer our calls: only it can know why.
    fn watch_unproved(&mut self) {
        if self.link.state() != State::Opening || self.settings.identity.is_plain() {
            self.heard_since = None;
            return;
        }
        let since = *self.heard_since.get_or_insert_with(Instant::now);
        if since.elapsed() >= NO_ANSWER && !self.warned && self.callers.last.is_none() {
            tracing::warn!(code = %kinds::PEER_UNPROVED, "{}: {UNPROVED}; calling on", self.spec());
            self.warned = true;
        }
    }

    /// A lost port is back once a frame has come through it.
    fn watch_return(&mut self) {
        if let Some(at) = self.lost_at
            && self.port.is_some()
            && self.link.stats().frames_in > self.lost_frames
        {
            tracing::warn!(code = %kinds::PORT_BACK, "{} is back after {:.1} s", self.spec(), at.elapsed().as_secs_f64());
            self.lost_at = None;
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
        Loss::PeerClosed(code) => (kinds::PEER_FAILED, format!("the peer failed ({code:?})")),
        Loss::Version(v) => (
            kinds::VERSION_MISMATCH,
            format!("the peer speaks version {v} of the protocol, this is version {}; update the older", link::VERSION),
        ),
        Loss::Mode => (
            kinds::MODE_MISMATCH,
            "one end runs 'hardline pipe', the other one with channels ('link', 'open', ..): start what fits at both ends".into(),
        ),
        Loss::Sealed => (
            kinds::KEY_NEEDED,
            "the peer talks to known keys only: give this end --key FILE or --psk FILE too, see 'hardline keygen --help'".into(),
        ),
        Loss::Local => (kinds::CLOSED_HERE, "closed".into()),
    }
}
