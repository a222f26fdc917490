//! Segments in: what the peer says, and what follows from it.

use super::super::adapt::Batch;
use super::super::heard::{self, Heard};
use super::super::timer::Timer;
use super::super::{Event, Loss, State};
use super::{Endpoint, FAREWELLS, Sent};
use crate::time::Instant;
use crate::wire::segment::{Ack, Close, CloseCode, OFFSET_BITS, Open, Record, Segment, VERSION};
use crate::wire::seq;

/// Received transmissions after which an acknowledgement is not held back any longer.
const ACK_EVERY: u8 = 4;
/// A piece of this size is acknowledged at once: the cost is small beside it, and waiting would
/// wake the host once more.
const ACK_BYTES: usize = 1024;
/// How long to wait for the last acknowledgement once both ends have said they are done (µs):
/// everything is delivered, only the peer may not know yet.
const LINGER_US: u64 = 10_000_000;

impl<B: AsRef<[u8]> + AsMut<[u8]>, const N: usize> Endpoint<B, N> {
    pub(crate) fn handle_segment(&mut self, segment: &Segment<'_>, now: Instant) {
        let mut records = segment.records().peekable();
        match records.peek() {
            Some(Record::Open(open)) => return self.handle_open(*open, now),
            Some(Record::Close(close)) => return self.handle_close(*close),
            _ => {}
        }
        if !matches!(self.state, State::Open | State::Finished) {
            return;
        }
        let tx = self.heard.number(segment.tx);
        if !self.heard.is_new(tx) {
            return;
        }
        let mut wants_ack = false;
        for record in records {
            match record {
                Record::Data { offset, fin, payload } => {
                    if self.recv.insert(offset, payload, fin).is_err() {
                        // not kept, hence not heard: the sender will repeat it
                        self.stats.frames_bad += 1;
                        return;
                    }
                    wants_ack = true;
                    self.ack_now |= fin || payload.len() >= ACK_BYTES;
                }
                Record::Window(limit) => {
                    self.send.raise_limit(seq::expand(limit, OFFSET_BITS, self.send.limit()));
                    wants_ack = true;
                }
                Record::Done => {
                    self.peer_done = true;
                    self.ack_now = true;
                    wants_ack = true;
                }
                Record::Ping => {
                    self.ack_now = true;
                    wants_ack = true;
                }
                Record::Ack(ack) => self.handle_ack(&ack, now),
                Record::Open(_) | Record::Close(_) => {}
            }
        }
        let gap = self.heard.note(tx);
        if self.state == State::Finished {
            // the peer missed our last acknowledgement
            self.farewells = self.farewells.max(u8::from(wants_ack));
            return;
        }
        self.timers.set(Timer::Silence, now.after(self.config.grace_us));
        if wants_ack {
            self.unacked = self.unacked.saturating_add(1);
            self.ack_now |= gap || self.unacked >= ACK_EVERY;
            self.timers.set_if_clear(Timer::AckDelay, now.after(u64::from(self.config.ack_delay_us)));
        }
        self.check_done();
        self.check_finished(now);
    }

    fn handle_open(&mut self, open: Open, now: Instant) {
        if open.me == self.me {
            if !self.echo_told {
                self.echo_told = true;
                self.event(Event::Echo);
            }
            return;
        }
        if self.is_over() {
            return;
        }
        if open.version != VERSION {
            // an open session is not ended by a stranger
            if self.state != State::Open {
                self.peer = open.me;
                self.end(Loss::Version(open.version));
                (self.closing, self.farewells) = (Some(CloseCode::Version), FAREWELLS);
            }
            return;
        }
        if open.me != self.peer && self.state == State::Open {
            if self.send.acked_bytes() > 0 || self.recv.received() > 0 {
                return self.end(Loss::PeerRestarted);
            }
            self.restart();
        }
        self.timers.set(Timer::Silence, now.after(self.config.grace_us));
        if open.me != self.peer {
            self.peer = open.me;
            self.state = State::Greeting;
            self.timers.set(Timer::Open, now);
        }
        if self.state != State::Open && open.you == self.me {
            self.state = State::Open;
            self.peer_payload_max = open.payload_max;
            self.send.raise_limit(u64::from(open.limit));
            self.timers.clear(Timer::Open);
            self.timers.set(Timer::KeepAlive, now.after(u64::from(self.config.keepalive_us)));
            self.owe_open = false;
            self.event(Event::Opened { me: self.me, peer: self.peer });
        }
        self.owe_open |= open.answer;
    }

    /// The peer was restarted before anything had passed: begin again with the new one.
    fn restart(&mut self) {
        self.send.restart();
        self.recv.restart();
        self.heard = Heard::default();
        self.sent.clear();
        (self.in_flight, self.next_tx, self.newest_acked, self.peer_damage) = (0, 0, None, 0);
        (self.unacked, self.ack_now, self.window_lost, self.probe) = (0, false, false, false);
        (self.done_due, self.done_sent, self.done_acked, self.peer_done) = (false, false, false, false);
        self.timers.clear_all();
    }

    fn handle_close(&mut self, close: Close) {
        let known = self.peer == 0 || close.me == self.peer;
        if close.you == self.me && known && !self.is_over() {
            self.end(match close.code {
                CloseCode::Version => Loss::Version(close.version),
                code => Loss::PeerClosed(code),
            });
        }
    }

    fn handle_ack(&mut self, ack: &Ack, now: Instant) {
        let Some(runs) = heard::runs(ack, self.next_tx) else { return };
        let newest = runs[0].1;
        if self.newest_acked.is_some_and(|before| newest < before) {
            return;
        }
        self.newest_acked = Some(newest);
        let damage = ack.damage.wrapping_sub(self.peer_damage);
        self.peer_damage = ack.damage;
        let mut batch = Batch::new(damage);
        let mut progress = false;
        while let Some(sent) = self.sent.front().copied().filter(|s| s.tx <= newest) {
            self.sent.pop_front();
            self.in_flight -= usize::from(sent.wire);
            let arrived = runs.iter().any(|r| r.0 <= sent.tx && sent.tx <= r.1);
            batch.add(sent.level, sent.wire, arrived);
            if arrived {
                if sent.tx == newest {
                    self.rtt.sample(now.since(sent.left));
                }
                progress = true;
                self.settle(sent);
            } else {
                // first in, first out: a later one arrived, so this one never will
                self.give_up(sent);
            }
        }
        self.adapt.learn(batch);
        if progress {
            self.rtt.answered();
        }
        self.arm_resend();
    }

    fn settle(&mut self, sent: Sent) {
        if let Some(piece) = sent.piece {
            self.send.acknowledged(piece);
        }
        self.done_acked |= sent.done;
    }

    pub(super) fn give_up(&mut self, sent: Sent) {
        if let Some(piece) = sent.piece {
            self.send.lost(piece);
        }
        self.window_lost |= sent.window;
        self.done_due |= sent.done && !self.done_acked;
        // something must follow, or its loss could go unnoticed
        self.probe |= sent.piece.is_none() && !sent.window && !sent.done && self.sent.is_empty();
    }

    pub(super) fn arm_resend(&mut self) {
        if self.sent.is_empty() {
            self.timers.clear(Timer::Resend);
        } else {
            let wait = self.rtt.wait_us() + u64::from(self.config.ack_delay_us);
            self.timers.set(Timer::Resend, self.last_left.after(wait));
        }
    }

    pub(super) fn check_done(&mut self) {
        if self.state == State::Open && self.confirmed && !self.done_sent && self.send.is_done() {
            (self.done_sent, self.done_due) = (true, true);
        }
    }

    fn check_finished(&mut self, now: Instant) {
        if self.state != State::Open || !self.peer_done || !self.done_sent {
            return;
        }
        if self.done_acked {
            self.finished();
        } else {
            self.timers.set_if_clear(Timer::Linger, now.after(self.config.grace_us.min(LINGER_US)));
        }
    }

    pub(super) fn finished(&mut self) {
        self.state = State::Finished;
        self.timers.clear_all();
        self.farewells = FAREWELLS;
        self.event(Event::Finished);
    }
}
