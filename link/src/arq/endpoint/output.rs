//! Segments out: what is due, in which order, and how it is cut.

use super::super::State;
use super::super::adapt::Plan;
use super::super::send::Piece;
use super::super::timer::Timer;
use super::{Endpoint, Outgoing, RESERVE, Sent};
use crate::time::Instant;
use crate::wire::Level;
use crate::wire::segment::{self, Close, Open, SEGMENT_HEAD, VERSION, Writer};

/// Longest distance between calls (µs).
const CALL_MAX_US: u64 = 1_000_000;
/// A short piece waits while more than this stands before it (µs of sending time).
pub(crate) const HOLD_US: u64 = 300;

impl<B: AsRef<[u8]> + AsMut<[u8]>, const N: usize> Endpoint<B, N> {
    /// The next segment, written to `out`. `backlog_us`: sending time already handed out and not
    /// gone yet. `damage`: what the deframer counts. After sending it, call
    /// [`Endpoint::handle_sent`].
    pub(crate) fn poll_segment(&mut self, out: &mut [u8], backlog_us: u64, damage: u8, now: Instant) -> Option<Outgoing> {
        match self.state {
            State::Opening | State::Greeting => self.owe_open.then(|| self.poll_open(out, now)),
            State::Open if self.owe_open => Some(self.poll_open(out, now)),
            State::Open => self.poll_data(out, backlog_us, damage),
            State::Finished | State::Ended => self.poll_farewell(out, damage),
        }
    }

    fn poll_open(&mut self, out: &mut [u8], now: Instant) -> Outgoing {
        self.owe_open = false;
        if self.state != State::Open {
            let wait = if self.state == State::Greeting { self.rtt.wait_us() } else { self.call_us };
            self.call_us = (self.call_us * 2).min(CALL_MAX_US.max(self.call_us));
            self.timers.set(Timer::Open, now.after(wait));
        }
        let mut writer = Writer::new(out, 0);
        writer.open(&Open {
            version: VERSION,
            answer: self.state != State::Open,
            me: self.me,
            you: self.peer,
            limit: self.recv.limit() as u32 & 0xFF_FFFF,
            payload_max: segment::PAYLOAD_MAX as u16,
            features: 0,
        });
        Outgoing { len: writer.len(), level: Level::Four }
    }

    fn poll_farewell(&mut self, out: &mut [u8], damage: u8) -> Option<Outgoing> {
        self.farewells = self.farewells.checked_sub(1)?;
        if let Some(code) = self.closing {
            let mut writer = Writer::new(out, 0);
            writer.close(&Close { version: VERSION, me: self.me, you: self.peer, code });
            return Some(Outgoing { len: writer.len(), level: Level::Four });
        }
        let ack = (self.state == State::Finished).then(|| self.heard.ack(damage)).flatten()?;
        let mut writer = Writer::new(out, self.next_tx);
        writer.ack(&ack);
        // the peer may have missed it when we stopped waiting for its answer
        writer.done();
        self.next_tx += 1;
        Some(Outgoing { len: writer.len(), level: self.adapt.short() })
    }

    fn plan(&self) -> Plan {
        self.adapt.plan(self.config.payload_max.min(self.peer_payload_max))
    }

    /// More may be under way: bounded by the table, and on a paced wire by .4 s of it.
    fn may_send(&self) -> bool {
        let cap = if self.config.rate == 0 {
            usize::MAX
        } else {
            (self.config.rate as usize * 2 / 5).max(8 * usize::from(self.config.payload_max))
        };
        self.sent.len() + RESERVE < N && self.in_flight < cap
    }

    fn data_due(&self, backlog_us: u64) -> bool {
        let fresh = self.send.fresh();
        self.may_send() && (self.send.urgent() || fresh >= self.plan().payload || (fresh > 0 && backlog_us <= HOLD_US))
    }
    fn control_due(&self) -> bool {
        self.window_lost || self.recv.window_due() || self.ack_now || self.done_due || self.probe
    }

    /// Whether [`Endpoint::poll_segment`] has something to send with this much before it.
    pub(crate) fn is_due(&self, backlog_us: u64) -> bool {
        match self.state {
            State::Opening | State::Greeting => self.owe_open,
            State::Open => self.owe_open || self.control_due() || self.data_due(backlog_us),
            State::Finished | State::Ended => self.farewells > 0,
        }
    }

    fn poll_data(&mut self, out: &mut [u8], backlog_us: u64, damage: u8) -> Option<Outgoing> {
        let data = self.data_due(backlog_us);
        if !(data || self.control_due()) {
            return None;
        }
        let plan = self.plan();
        let window = self.window_lost || self.recv.window_due();
        let tx = self.next_tx;
        let mut writer = Writer::new(out, tx);
        if self.unacked > 0 || self.ack_now {
            if let Some(ack) = self.heard.ack(damage) {
                writer.ack(&ack);
            }
            (self.unacked, self.ack_now) = (0, false);
            self.timers.clear(Timer::AckDelay);
        }
        let mut sent =
            Sent { tx, left: Instant::default(), wire: 0, level: Level::Plain, piece: None, window, done: self.done_due };
        if window {
            writer.window(self.recv.window_told());
            self.window_lost = false;
        }
        if core::mem::take(&mut self.done_due) {
            writer.done();
        }
        if data {
            sent.piece = self.write_piece(&mut writer, plan.payload);
        }
        let eliciting = sent.window || sent.done || sent.piece.is_some();
        if core::mem::take(&mut self.probe) && !eliciting {
            writer.ping();
        } else if !eliciting {
            return (writer.len() > SEGMENT_HEAD).then(|| self.outgoing(writer.len(), self.adapt.short()));
        }
        let level = if self.rtt.backoff() > 1 && sent.piece.is_none() {
            // nothing came through for a while: if that is noise, the strongest armour gets through
            Level::Sixteen
        } else if writer.len() < 64 {
            self.adapt.short()
        } else {
            plan.level
        };
        // without room it still probes: what it shows is that those before it are lost
        let _ = self.sent.push_back(Sent { level, ..sent });
        Some(self.outgoing(writer.len(), level))
    }

    fn write_piece(&mut self, writer: &mut Writer<'_>, max: usize) -> Option<Piece> {
        let (piece, repeat) = self.send.take(max)?;
        self.stats.resends += u64::from(repeat);
        let len = (piece.end - piece.start) as usize;
        writer.data(piece.start, piece.fin, len, |out| self.send.copy(piece, out));
        Some(piece)
    }

    fn outgoing(&mut self, len: usize, level: Level) -> Outgoing {
        self.next_tx += 1;
        Outgoing { len, level }
    }

    /// The segment just polled went out in `wire` bytes, the last of which leaves at `left`.
    pub(crate) fn handle_sent(&mut self, wire: usize, left: Instant, now: Instant) {
        if let Some(last) = self.sent.back_mut().filter(|s| s.tx + 1 == self.next_tx && s.wire == 0) {
            last.wire = wire as u16;
            last.left = left;
            self.in_flight += wire;
            self.last_left = left;
            self.timers.set(Timer::KeepAlive, now.after(u64::from(self.config.keepalive_us)));
            self.arm_resend();
        }
    }

    /// User bytes given to the wire so far, each counted once.
    pub(crate) fn sent_end(&self) -> u64 {
        self.send.sent_end()
    }
}
