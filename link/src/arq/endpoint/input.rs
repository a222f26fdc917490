//! Segments in: what the peer says, and what follows from it.

use super::super::adapt::Batch;
use super::super::heard::{self, Heard};
use super::super::timer::Timer;
use super::super::{Event, Loss, State};
use super::{Damage, Endpoint, FAREWELLS, Sent};
use crate::mux::{Bytes, Mux};
use crate::time::Instant;
use crate::wire::segment::{Ack, Close, CloseCode, FEATURE_BOND, FEATURE_CHANNELS, Open, Record, Segment, VERSION};

/// Received transmissions, or bytes in them, after which an acknowledgement is not held back any longer.
const ACK_EVERY: u8 = 4;
const ACK_BYTES: u16 = 8_000;
/// Behind a piece of this size more is likely to follow, and a control record is in no hurry: the
/// acknowledgement may be held longer, for each costs both hosts a wake-up.
pub(super) const LARGE: usize = 1024;
pub(super) const LARGE_DELAY_US: u64 = 50_000;
/// How long to wait for the last acknowledgement once both ends have said they are done (µs), and at most half the grace
/// time: everything is delivered, only the peer may not know yet.
const LINGER_US: u64 = 10_000_000;
/// So many frames of somebody else, and none of the peer: the wires were changed.
const STRAYS: u64 = 3;

impl<const N: usize> Endpoint<N> {
    pub(crate) fn handle_segment<B: Bytes, const C: usize>(&mut self, mux: &mut Mux<B, C>, segment: &Segment<'_>, now: Instant) {
        let mut records = segment.records().peekable();
        match records.peek() {
            Some(Record::Open(open)) => return self.handle_open(mux, *open, now),
            Some(Record::Close(close)) => return self.handle_close(mux, *close),
            Some(Record::Hello(_)) => return self.handle_hello(),
            _ => {}
        }
        if !matches!(self.state, State::Open | State::Finished) {
            return;
        }
        let tx = self.heard.number(segment.tx);
        if !self.heard.is_new(tx) || !self.is_admitted() {
            return;
        }
        let bonded = self.member.is_some();
        let (mut wants_ack, mut data, mut hold) = (false, 0, LARGE_DELAY_US);
        for record in records {
            match record {
                Record::Join { .. } => continue,
                Record::Ack(ack) => {
                    self.handle_ack(mux, &ack, now);
                    continue;
                }
                Record::Rate(rate) => {
                    self.rates.hear(&rate);
                    continue;
                }
                Record::Parts(parts) => {
                    self.handle_parts(mux, &parts);
                    continue;
                }
                Record::Fill { tx, from, payload } => {
                    wants_ack = true;
                    self.settle();
                    if !self.handle_fill(mux, tx, from, payload, now) {
                        // not heard: all of it comes again
                        return;
                    }
                    self.ack_now = true;
                    continue;
                }
                Record::Data { fin, payload, .. } => {
                    data += payload.len();
                    self.ack_now |= fin;
                    if payload.len() < LARGE {
                        hold = u64::from(self.config.ack_delay_us);
                    }
                }
                Record::Done { .. } | Record::Ping => self.ack_now = true,
                _ => {}
            }
            wants_ack = true;
            if !matches!(record, Record::Ping) {
                // nobody says more to one whose session it does not take
                self.settle();
            }
            if mux.handle(&record, bonded, now).is_err() {
                // not kept, hence not heard: the sender will repeat it
                self.stats.frames_bad += 1;
                return;
            }
        }
        let gap = self.heard.note(tx);
        self.rates.taken(wants_ack);
        if self.state == State::Finished {
            // the peer missed our last acknowledgement
            self.farewells = self.farewells.max(u8::from(wants_ack));
            return;
        }
        self.timers.set(Timer::Silence, now.after(self.config.grace_us));
        self.stats.frames_taken += 1;
        self.strays = self.stats.forged;
        if wants_ack {
            self.unacked = self.unacked.saturating_add(1);
            self.unacked_bytes = self.unacked_bytes.saturating_add(data as u16);
            self.ack_now |= gap || self.unacked >= ACK_EVERY || self.unacked_bytes >= ACK_BYTES;
            self.timers.set_earlier(Timer::AckDelay, now.after(hold));
        }
        self.check_finished(mux, now);
    }

    /// `bytes` came in; the deframer counts so much damage by now.
    pub(crate) fn handle_damage(&mut self, bytes: usize, damage: Damage, bad: bool, now: Instant) {
        self.adapt.heard(bytes, damage.wrong - self.damage.wrong);
        if bad && self.state == State::Open {
            // the sender learns of it even if nothing gets through
            self.timers.set_earlier(Timer::AckDelay, now.after(u64::from(self.config.ack_delay_us)));
        }
        self.damage = damage;
    }

    /// A plain end is called by a sealed one, which will never talk plain, and should know why nobody answers.
    fn handle_hello(&mut self) {
        if !self.sealed && matches!(self.state, State::Opening | State::Greeting) {
            self.end(Loss::Sealed);
            (self.closing, self.farewells) = (Some(CloseCode::Mode), FAREWELLS);
        }
    }

    /// A good frame came that holds no segment.
    pub(crate) fn heard_alien(&mut self) {
        self.stats.frames_bad += 1;
        self.stats.alien += 1;
    }

    /// A good frame came that is not of this session.
    pub(crate) fn heard_stranger(&mut self) {
        self.stats.forged += 1;
        if self.has_strayed() && !core::mem::replace(&mut self.strays_told, true) {
            self.event(Event::Foreign);
        }
    }
    /// Whether several such have come, and none of this session.
    pub(crate) fn has_strayed(&self) -> bool {
        self.state == State::Open && self.stats.forged - self.strays >= STRAYS
    }

    /// Our own frames come back: no sign of the peer, and no damage.
    pub(crate) fn handle_echo(&mut self) {
        self.stats.echoes += 1;
        if !self.echo_told {
            self.echo_told = true;
            self.event(Event::Echo);
        }
    }

    pub(super) fn handle_open<B: Bytes, const C: usize>(&mut self, mux: &mut Mux<B, C>, open: Open, now: Instant) {
        if open.me == self.me {
            return self.handle_echo();
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
        if (open.features & FEATURE_CHANNELS != 0) != self.channels {
            if self.state != State::Open {
                self.peer = open.me;
                self.end(Loss::Mode);
                (self.closing, self.farewells) = (Some(CloseCode::Mode), FAREWELLS);
            }
            return;
        }
        if (open.features & FEATURE_BOND != 0) != self.member.is_some() {
            if self.state != State::Open {
                self.peer = open.me;
                self.end(Loss::Bond);
                (self.closing, self.farewells) = (Some(CloseCode::Bond), FAREWELLS);
            }
            return;
        }
        if open.me != self.peer && self.state == State::Open && !self.begin_again(mux) {
            return;
        }
        self.timers.set(Timer::Silence, now.after(self.config.grace_us));
        self.stats.frames_taken += 1;
        if open.me != self.peer {
            self.peer = open.me;
            self.state = State::Greeting;
            self.rtt.answered();
            self.timers.set(Timer::Open, now);
        }
        if self.state != State::Open && open.you == self.me {
            if self.member.is_some() {
                // of a session before this one
                self.release(mux, u64::MAX);
            }
            self.state = State::Open;
            self.rtt.answered();
            self.adapt.limit(open.payload_max);
            self.rates.opened(&open);
            match &mut self.member {
                // whose path it is has to be said yet
                Some(member) => member.opened(open.limit),
                None => {
                    mux.opened(self.me > self.peer);
                    mux.sole_limit(u64::from(open.limit));
                }
            }
            self.probe |= self.member.is_some();
            self.timers.clear(Timer::Open);
            self.timers.set(Timer::KeepAlive, now.after(u64::from(self.config.keepalive_us)));
            self.owe_open = false;
            // of a session before this one, or nobody's
            self.strays = self.stats.forged;
            self.unsure |= self.member.is_some();
            if !self.unsure {
                self.event(Event::Opened { me: self.me, peer: self.peer });
            }
        }
        self.owe_open |= open.answer;
    }

    /// The peer was restarted: begin again with the new one if nothing had passed, or if only this path
    /// is new; else the session is over.
    pub(super) fn begin_again<B: Bytes, const C: usize>(&mut self, mux: &mut Mux<B, C>) -> bool {
        if self.member.is_some() {
            self.hand_over(mux);
            self.release(mux, u64::MAX);
        } else if mux.is_used() {
            self.end_early(mux, Loss::PeerRestarted);
            return false;
        } else {
            mux.restart();
            self.sent.clear();
            self.in_flight = 0;
        }
        self.restart();
        true
    }

    /// Nothing is known of a peer. What is under way is the caller's.
    pub(super) fn restart(&mut self) {
        self.heard = Heard::default();
        (self.damaged, self.asked) = (super::damaged::Damaged::default(), heapless::HistoryBuf::new());
        (self.next_tx, self.newest_acked, self.plea, self.unsure) = (0, None, None, false);
        (self.unacked, self.unacked_bytes, self.ack_now, self.probe) = (0, 0, false, false);
        self.peer_damage = (0, 0);
        self.calls = 0;
        self.timers.clear_all();
    }

    fn handle_close<B: Bytes, const C: usize>(&mut self, mux: &Mux<B, C>, close: Close) {
        let known = self.peer == 0 || close.me == self.peer;
        if close.you == self.me && known && !self.is_over() {
            let loss = match close.code {
                CloseCode::Version => Loss::Version(close.version),
                CloseCode::Mode => Loss::Mode,
                CloseCode::Bond => Loss::Bond,
                code => Loss::PeerClosed(code),
            };
            self.end_early(mux, loss);
        }
    }

    fn handle_ack<B: Bytes, const C: usize>(&mut self, mux: &mut Mux<B, C>, ack: &Ack, now: Instant) {
        let Some(runs) = heard::runs(ack, self.next_tx) else { return };
        let newest = runs[0].1;
        if self.newest_acked.is_some_and(|before| newest < before) {
            return;
        }
        // of what was said more than once nobody knows which one was heard
        let once = self.plea.is_none();
        if self.newest_acked.replace(newest) != Some(newest) {
            self.plea = None;
        }
        self.settle();
        let (damage, slips) = (ack.damage.wrapping_sub(self.peer_damage.0), ack.slips.wrapping_sub(self.peer_damage.1));
        let (damage, slips) = if self.rates.take_changed() { (0, 0) } else { (damage, slips) };
        self.peer_damage = (ack.damage, ack.slips);
        let mut batch = Batch::new(damage, slips);
        let mut progress = false;
        while let Some(sent) = self.sent.front().copied().filter(|s| s.tx <= newest) {
            self.sent.pop_front();
            self.in_flight -= usize::from(sent.wire);
            let arrived = runs.iter().any(|r| r.0 <= sent.tx && sent.tx <= r.1);
            batch.add(sent.level, sent.wire, sent.load.piece.is_some(), arrived);
            if arrived {
                if sent.tx == newest && once {
                    self.sample(now.since(sent.left), now);
                }
                progress = true;
                mux.arrived(sent.load);
            } else {
                // first in, first out: a later one arrived, so this one never will
                self.give_up(mux, sent);
            }
        }
        self.adapt.learn(batch);
        if progress {
            self.rtt.answered();
            self.member.iter_mut().for_each(|member| member.away = false);
        } else {
            // it was heard, and nothing that would show that its answers come
            self.probe |= self.rtt.backoff() > 0 && self.sent.is_empty();
        }
        self.arm_resend();
    }

    /// A round trip took so long (µs).
    fn sample(&mut self, us: u64, now: Instant) {
        self.rtt.sample(us);
        // an answer may be held back, and wait for a frame that is on its way and one that is handed out
        let held_us = LARGE_DELAY_US + 2 * self.config.frame_us();
        self.reach.sample(us, self.rtt.floor_us().unwrap_or(us), held_us, now);
    }

    pub(super) fn give_up<B: Bytes, const C: usize>(&mut self, mux: &mut Mux<B, C>, sent: Sent) {
        let mut load = sent.load;
        if self.fill_instead(mux, &sent) {
            load.piece = None;
        }
        mux.lost(load);
        // something must follow, or its loss could go unnoticed
        self.probe |= sent.load.is_empty() && self.sent.is_empty();
    }

    pub(super) fn arm_resend(&mut self) {
        if self.sent.is_empty() || self.state != State::Open {
            self.timers.clear(Timer::Resend);
        } else {
            let short = self.sent.back().is_some_and(|s| s.load.piece.is_some_and(|(_, piece)| piece.len() < LARGE as u64));
            let hold = if short { u64::from(self.config.ack_delay_us) } else { LARGE_DELAY_US };
            self.timers.set(Timer::Resend, self.last_left.after(self.rtt.wait_us() + hold));
        }
    }

    /// A session with one stream is over once both ends know that both have everything; one that
    /// knows so itself waits a while for the other.
    pub(super) fn check_finished<B: Bytes, const C: usize>(&mut self, mux: &Mux<B, C>, now: Instant) {
        if self.state != State::Open {
            return;
        }
        if mux.is_over() {
            self.finished();
        } else if mux.is_delivered() {
            self.timers.set_if_clear(Timer::Linger, now.after(LINGER_US.min(self.config.grace_us / 2)));
        }
    }

    pub(crate) fn finished(&mut self) {
        self.state = State::Finished;
        self.timers.clear_all();
        self.farewells = FAREWELLS;
        self.event(Event::Finished);
    }
}
