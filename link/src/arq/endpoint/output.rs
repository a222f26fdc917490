//! Segments out: what is due, in which order, and how it is cut.

use super::super::State;
use super::super::plan::Plan;
use super::super::reach::MARGIN_US;
use super::super::timer::Timer;
use super::{Endpoint, Outgoing, PROBES, RESERVE, Sent};
use crate::mux::{Bytes, Control, Load, Mux, Room, Traffic};
use crate::time::Instant;
use crate::wire::Level;
use crate::wire::seal::SEAL;
use crate::wire::segment::{self, Close, Open, VERSION, Writer};

/// Longest distance between calls (µs).
const CALL_MAX_US: u64 = 1_000_000;
/// On a way so long (µs) nobody who types notices that a frame takes 20 ms.
const FAR_US: u64 = 400_000;
/// A body below this is short: see [`Adapt::short`](super::super::adapt::Adapt::short).
const SHORT: usize = 64;
/// Armour of a message that nothing follows, and of the calls.
pub(crate) const SURE: Level = Level::Four;

impl<const N: usize> Endpoint<N> {
    /// The next segment, written to `out`. `backlog_us`: sending time already handed out and not
    /// gone yet. After sending it, call [`Endpoint::handle_sent`].
    pub(crate) fn poll_segment<B: Bytes, const C: usize>(
        &mut self,
        mux: &mut Mux<B, C>,
        out: &mut [u8],
        backlog_us: u64,
        now: Instant,
    ) -> Option<Outgoing> {
        match self.state {
            State::Opening | State::Greeting if self.sealed => None,
            State::Opening | State::Greeting => self.owe_open.then(|| self.poll_open(mux, out, now)),
            State::Open if self.owe_open => Some(self.poll_open(mux, out, now)),
            State::Open if self.is_far_ahead() => self.poll_plea(out),
            State::Open => self.poll_data(mux, out, backlog_us, now),
            State::Finished | State::Ended => self.poll_farewell(mux, out),
        }
    }

    fn poll_open<B: Bytes, const C: usize>(&mut self, mux: &Mux<B, C>, out: &mut [u8], now: Instant) -> Outgoing {
        self.owe_open = false;
        if self.state != State::Open {
            self.called(now);
        }
        let mut writer = Writer::new(out, 0);
        writer.open(&Open { answer: self.state != State::Open, you: self.peer, ..self.introduce(mux) });
        Outgoing { tx: 0, len: writer.len(), level: SURE, bound: false }
    }

    /// A call goes out; the next one some time later.
    pub(super) fn called(&mut self, now: Instant) {
        let most = CALL_MAX_US.max(self.call_us);
        let wait = if self.state == State::Greeting { self.rtt.wait_us().min(most) } else { self.call_us };
        self.rtt.back_off();
        self.call_us = (self.call_us * 2).min(most);
        self.timers.set(Timer::Open, now.after(wait + self.stray_us(wait)));
        self.calls = self.calls.wrapping_add(1);
    }
    /// What is added to the wait for a call, up to a quarter of it: two ends that began together must not call together for
    /// ever, where what they say at once is mingled.
    fn stray_us(&self, wait: u64) -> u64 {
        let mixed = (self.me ^ u64::from(self.calls) << 32).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
        let mixed = (mixed ^ mixed >> 32).wrapping_mul(0xC4CE_B9FE_1A85_EC53);
        (wait / 4 * (mixed >> 54)) >> 10
    }

    fn poll_farewell<B: Bytes, const C: usize>(&mut self, mux: &Mux<B, C>, out: &mut [u8]) -> Option<Outgoing> {
        self.farewells = self.farewells.checked_sub(1)?;
        if let Some(code) = self.closing {
            let tx = if self.sealed { self.next_tx } else { 0 };
            self.next_tx += 1;
            let mut writer = Writer::new(out, tx);
            writer.close(&Close { version: VERSION, me: self.me, you: self.peer, code });
            return Some(Outgoing { tx, len: writer.len(), level: SURE, bound: false });
        }
        let ack = (self.state == State::Finished).then(|| self.heard.ack(self.damage)).flatten()?;
        let tx = self.next_tx;
        let mut writer = Writer::new(out, tx);
        writer.ack(&ack);
        let level = self.adapt.short(writer.len()).max(SURE);
        if !mux.is_over() {
            // the peer may have missed it when we stopped waiting for its answer; what answers this is answered without
            writer.done(0);
            let load = Load { control: Some((0, Control::Done)), piece: None };
            let _ = self.sent.push_back(Sent { tx, left: Instant::default(), wire: 0, level, load });
        }
        self.next_tx += 1;
        Some(Outgoing { tx, len: writer.len(), level, bound: true })
    }

    fn plan<B: Bytes, const C: usize>(&self, mux: &Mux<B, C>, now: Instant) -> Plan {
        let traffic = mux.traffic(self.takes_urgent(), now);
        let unnoticed = traffic == Traffic::Typing && self.way_us() >= FAR_US;
        self.adapt.plan(if unnoticed { Traffic::Shared } else { traffic })
    }

    pub(crate) fn frame_payload<B: Bytes, const C: usize>(&self, mux: &Mux<B, C>, now: Instant) -> usize {
        self.plan(mux, now).payload
    }

    /// Bytes that may be under way on a paced wire: what fills the way and .4 s more, or eight frames.
    fn most_in_flight(&self, payload: usize) -> usize {
        let bytes = u64::from(self.config.rate) * (MARGIN_US + self.way_us()) / 1_000_000;
        usize::try_from(bytes).unwrap_or(usize::MAX).max(8 * payload)
    }

    /// What may be sent: bounded by the table, and on a paced wire by what is under way.
    fn room<B: Bytes, const C: usize>(&self, mux: &Mux<B, C>, backlog_us: u64, now: Instant) -> Room {
        let payload = self.plan(mux, now).payload;
        let may = self.sent.len() + RESERVE < N && (self.config.rate == 0 || self.in_flight < self.most_in_flight(payload));
        let urgent = self.has_room();
        let room = Room { payload: if may { payload } else { 0 }, backlog_us, path: 0, bonded: false, urgent, fresh: true };
        self.member.as_ref().map_or(room, |member| member.share(room))
    }

    /// Whether there is room to note one more transmission that says anything; without it nobody would know of its loss.
    fn has_room(&self) -> bool {
        self.sent.len() + PROBES < N
    }

    fn control_due<B: Bytes, const C: usize>(&self, mux: &Mux<B, C>, room: Room) -> bool {
        let skip = self.has_room() && self.member.as_ref().is_some_and(|member| member.skip_due.is_some());
        self.ack_now || self.probe || skip || mux.control_due(room)
    }

    /// Whether [`Endpoint::poll_segment`] has something to send with this much before it.
    pub(crate) fn is_due<B: Bytes, const C: usize>(&self, mux: &Mux<B, C>, backlog_us: u64, now: Instant) -> bool {
        match self.state {
            State::Opening | State::Greeting => self.owe_open,
            State::Open if self.is_far_ahead() => self.owe_open || self.is_plea_due(),
            State::Open => {
                let room = self.room(mux, backlog_us, now);
                self.owe_open || self.control_due(mux, room) || mux.data_due(room, now)
            }
            State::Finished | State::Ended => self.farewells > 0,
        }
    }

    fn poll_data<B: Bytes, const C: usize>(
        &mut self,
        mux: &mut Mux<B, C>,
        out: &mut [u8],
        backlog_us: u64,
        now: Instant,
    ) -> Option<Outgoing> {
        let mut room = self.room(mux, backlog_us, now);
        if !(self.control_due(mux, room) || mux.data_due(room, now)) {
            return None;
        }
        self.probe |= self.needs_answer();
        let tx = self.next_tx;
        let end = out.len() - if self.sealed { SEAL } else { 0 };
        let mut writer = Writer::new(&mut out[..end], tx);
        if self.member.is_some() {
            self.write_member(&mut writer);
        }
        let head = writer.len();
        if self.unacked > 0 || self.ack_now {
            let mut most = segment::PAYLOAD_MAX;
            for parts in self.damaged.take_untold() {
                // before the ACK that says it is lost
                writer.parts(&parts);
                most -= segment::PARTS_RECORD_MAX;
            }
            room.payload = room.payload.min(most);
            if let Some(ack) = self.heard.ack(self.damage) {
                writer.ack(&ack);
            }
            (self.unacked, self.unacked_bytes, self.ack_now) = (0, 0, false);
            self.timers.clear(Timer::AckDelay);
        }
        let may = self.has_room();
        let skip = self.member.as_mut().filter(|_| may).and_then(|member| member.skip_due.take());
        let (load, repeat) = match skip {
            Some((order, skip)) => {
                writer.skip(skip.token, skip.upto as u16);
                (Load { control: Some((order, Control::Skip)), piece: None }, false)
            }
            None => mux.write_records(&mut writer, room, now),
        };
        self.stats.resends += u64::from(repeat);
        if core::mem::take(&mut self.probe) && load.is_empty() {
            writer.ping();
        } else if load.is_empty() {
            return (writer.len() > head).then(|| self.outgoing(writer.len(), self.adapt.short(writer.len())));
        }
        let level = self.level(mux, &load, writer.len(), now);
        // without room it still probes: what it shows is that those before it are lost
        if load.control == Some((0, Control::Done)) {
            // whether the peer is heard again or not
            self.check_finished(mux, now);
        }
        self.member.iter_mut().filter(|_| !load.is_empty()).for_each(|member| member.loaded = Some(tx));
        let _ = self.sent.push_back(Sent { tx, left: Instant::default(), wire: 0, level, load });
        Some(self.outgoing(writer.len(), level))
    }

    fn level<B: Bytes, const C: usize>(&self, mux: &Mux<B, C>, load: &Load, len: usize, now: Instant) -> Level {
        if self.rtt.backoff() > 1 && load.piece.is_none() {
            // nothing came through for a while: if that is noise, the strongest armour gets through
            Level::Sixteen
        } else if len < SHORT {
            self.adapt.short(len)
        } else {
            self.plan(mux, now).level
        }
    }

    fn outgoing(&mut self, len: usize, level: Level) -> Outgoing {
        self.next_tx += 1;
        Outgoing { tx: self.next_tx - 1, len, level, bound: true }
    }

    /// The segment just polled went out in `wire` bytes, the last of which leaves at `left`.
    pub(crate) fn handle_sent(&mut self, wire: usize, left: Instant, now: Instant) {
        let open = self.state == State::Open;
        if let Some(last) = self.sent.back_mut().filter(|s| open && s.tx + 1 == self.next_tx && s.wire == 0) {
            last.wire = wire as u16;
            last.left = left;
            self.in_flight += wire;
            self.last_left = left;
            self.timers.set(Timer::KeepAlive, now.after(u64::from(self.config.keepalive_us)));
            self.arm_resend();
        }
    }
}
