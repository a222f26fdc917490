//! What an end says that was not heard for so long that its numbers would run out: what it has heard, and a question. It
//! says that again with the same number until something new comes (PROTOCOL 4.2), so an outage may be as long as it likes.

use super::super::timer::Timer;
use super::{Endpoint, Outgoing, Sent};
use crate::mux::Load;
use crate::time::Instant;
use crate::wire::Level;
use crate::wire::segment::{Ack, Writer};

/// Most transmissions beyond the newest acknowledged. The peer can tell 2^15 from those it had before; if it is the one
/// that is heard, it is answered as many times as it has numbers itself.
const AHEAD_MAX: u64 = 1 << 13;
/// From so many on, what wants no acknowledgement gets one all the same.
const AHEAD_ASK: u64 = AHEAD_MAX / 2;
/// What waits behind an outage may be noise.
const LEVEL: Level = Level::Sixteen;

/// The segment that is said again, byte for byte, for no number may seal two texts.
#[derive(Clone, Debug)]
pub(super) struct Plea {
    tx: u64,
    ack: Option<Ack>,
}

impl<const N: usize> Endpoint<N> {
    /// Transmissions beyond the newest the peer is known to have, or not to take any more.
    fn ahead(&self) -> u64 {
        let known = self.newest_acked.max(self.member.as_ref().and_then(|member| member.skipped));
        known.map_or(self.next_tx, |known| self.next_tx.saturating_sub(known.saturating_add(1)))
    }
    /// Whether nothing but a plea may be said.
    pub(super) fn is_far_ahead(&self) -> bool {
        self.ahead() >= AHEAD_MAX
    }
    /// Whether the peer should acknowledge something, only to show that it is there.
    pub(super) fn needs_answer(&self) -> bool {
        self.sent.is_empty() && self.ahead() >= AHEAD_ASK
    }
    /// Whether the plea was not said yet, or something has come since.
    fn is_plea_new(&self) -> bool {
        let newest = |ack: &Option<Ack>| ack.as_ref().map(|ack| ack.newest);
        self.plea.as_ref().is_none_or(|plea| newest(&plea.ack) != newest(&self.heard.ack(self.damage)))
    }
    pub(super) fn is_plea_due(&self) -> bool {
        self.probe || (self.ack_now && self.is_plea_new())
    }
    pub(super) fn poll_plea(&mut self, out: &mut [u8]) -> Option<Outgoing> {
        if !self.is_plea_due() {
            return None;
        }
        if self.is_plea_new() {
            self.plea = Some(Plea { tx: self.next_tx, ack: self.heard.ack(self.damage) });
            let load = Load::default();
            let _ = self.sent.push_back(Sent { tx: self.next_tx, left: Instant::default(), wire: 0, level: LEVEL, load });
            self.next_tx += 1;
        }
        let Plea { tx, ack } = self.plea.clone()?;
        let mut writer = Writer::new(out, tx);
        self.write_member(&mut writer);
        if let Some(ack) = &ack {
            writer.ack(ack);
        }
        writer.ping();
        (self.unacked, self.unacked_bytes, self.ack_now, self.probe) = (0, 0, false, false);
        self.timers.clear(Timer::AckDelay);
        Some(Outgoing { tx, len: writer.len(), level: LEVEL, bound: true })
    }
}
