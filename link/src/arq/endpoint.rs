//! One end of a session: segments in, segments out.

use heapless::Deque;

use super::adapt::{Adapt, Batch, Plan};
use super::heard::{self, Heard};
use super::recv::RecvStream;
use super::rtt::Rtt;
use super::send::{Piece, SendStream};
use super::timer::{Timer, Timers};
use super::{Event, Loss, State};
use crate::config::Config;
use crate::stats::Stats;
use crate::time::Instant;
use crate::wire::segment::{self, Ack, Close, CloseCode, OFFSET_BITS, Open, Record, SEGMENT_HEAD, Segment, VERSION, Writer};
use crate::wire::{Level, seq};

/// Calls while nobody answers: the first after 250 ms, then each second (µs).
const CALL_US: u64 = 250_000;
const CALL_MAX_US: u64 = 1_000_000;
/// What two USB adapters with their default timers add to a round trip (µs), until it is measured.
const HOST_US: u64 = 40_000;
/// Received transmissions after which an acknowledgement is not held back any longer.
const ACK_EVERY: u8 = 4;
/// A piece of this size is acknowledged at once: the cost is small beside it, and waiting would
/// wake the host once more.
const ACK_BYTES: usize = 1024;
/// Copies of a last message that nothing will answer.
const FAREWELLS: u8 = 2;
/// How long to wait for the last acknowledgement once both ends have said they are done (µs):
/// everything is delivered, only the peer may not know yet.
const LINGER_US: u64 = 10_000_000;
/// Transmissions kept free for probes.
const RESERVE: usize = 8;
/// A short piece waits while more than this stands before it (µs of sending time).
pub(crate) const HOLD_US: u64 = 300;

/// A transmission that wants an acknowledgement.
#[derive(Clone, Copy, Debug)]
struct Sent {
    tx: u64,
    left: Instant,
    wire: u16,
    level: Level,
    piece: Option<Piece>,
    window: bool,
    done: bool,
}

/// What to send: a segment of `len` bytes, in a frame of this level.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outgoing {
    pub(crate) len: usize,
    pub(crate) level: Level,
}

/// `N`: most transmissions under way at once.
#[derive(Debug)]
pub(crate) struct Endpoint<B, const N: usize> {
    config: Config,
    state: State,
    me: u64,
    peer: u64,
    peer_payload_max: u16,
    send: SendStream<B>,
    recv: RecvStream<B>,
    heard: Heard,
    sent: Deque<Sent, N>,
    in_flight: usize,
    next_tx: u64,
    newest_acked: Option<u64>,
    last_left: Instant,
    peer_damage: u8,
    unacked: u8,
    ack_now: bool,
    call_us: u64,
    owe_open: bool,
    window_lost: bool,
    probe: bool,
    confirmed: bool,
    done_due: bool,
    done_sent: bool,
    done_acked: bool,
    peer_done: bool,
    farewells: u8,
    closing: Option<CloseCode>,
    echo_told: bool,
    rtt: Rtt,
    adapt: Adapt,
    timers: Timers,
    events: Deque<Event, 8>,
    pub(crate) stats: Stats,
}

impl<B: AsRef<[u8]> + AsMut<[u8]>, const N: usize> Endpoint<B, N> {
    pub(crate) fn new(config: Config, session: u64, now: Instant, send: B, recv: B) -> Self {
        const { assert!(N > 2 * RESERVE, "a link needs room for more than 16 transmissions under way") };
        let frame_us = config.wire_us(usize::from(config.payload_max));
        let mut timers = Timers::default();
        timers.set(Timer::Open, now);
        Endpoint {
            state: State::Opening,
            me: session.max(1),
            peer: 0,
            peer_payload_max: 1,
            send: SendStream::new(send),
            recv: RecvStream::new(recv),
            heard: Heard::default(),
            sent: Deque::new(),
            in_flight: 0,
            next_tx: 0,
            newest_acked: None,
            last_left: now,
            peer_damage: 0,
            unacked: 0,
            ack_now: false,
            call_us: CALL_US,
            owe_open: false,
            window_lost: false,
            probe: false,
            confirmed: false,
            done_due: false,
            done_sent: false,
            done_acked: false,
            peer_done: false,
            farewells: 0,
            closing: None,
            echo_told: false,
            rtt: Rtt::new((HOST_US + 4 * frame_us) / 2),
            adapt: Adapt::new(config.payload_max),
            timers,
            events: Deque::new(),
            stats: Stats::default(),
            config,
        }
    }

    // ---- what the user does -------------------------------------------------------------------

    pub(crate) fn state(&self) -> State {
        self.state
    }
    pub(crate) fn write(&mut self, bytes: &[u8]) -> usize {
        if self.is_over() { 0 } else { self.send.write(bytes) }
    }
    pub(crate) fn writable(&self) -> usize {
        if self.is_over() { 0 } else { self.send.writable() }
    }
    pub(crate) fn finish(&mut self) {
        self.send.finish();
    }
    pub(crate) fn read(&mut self, out: &mut [u8]) -> usize {
        let n = self.recv.read(out);
        self.stats.bytes_in = self.recv.read_bytes();
        n
    }
    pub(crate) fn readable(&self) -> usize {
        self.recv.readable()
    }
    pub(crate) fn at_end(&self) -> bool {
        self.recv.at_end()
    }
    pub(crate) fn confirm(&mut self) {
        self.confirmed |= self.recv.at_end();
        self.check_done();
    }
    pub(crate) fn is_delivered(&self) -> bool {
        self.peer_done && self.done_sent
    }
    pub(crate) fn close(&mut self, code: CloseCode) {
        if !self.is_over() {
            self.end(Loss::Local);
            if self.peer != 0 {
                (self.closing, self.farewells) = (Some(code), FAREWELLS);
            }
        }
    }
    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }
    pub(crate) fn stats(&self) -> Stats {
        Stats { bytes_out: self.send.acked_bytes(), rtt_us: self.rtt.smoothed_us(), ber_ppb: self.adapt.ber_ppb(), ..self.stats }
    }

    fn is_over(&self) -> bool {
        matches!(self.state, State::Finished | State::Ended)
    }
    fn event(&mut self, event: Event) {
        if self.events.is_full() {
            self.events.pop_front();
        }
        let _ = self.events.push_back(event);
    }
    fn end(&mut self, loss: Loss) {
        self.state = State::Ended;
        self.timers.clear_all();
        self.sent.clear();
        self.event(Event::Lost(loss));
    }

    // ---- time ---------------------------------------------------------------------------------

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        for timer in Timer::ALL {
            if self.timers.expired(timer, now) {
                self.on_timer(timer, now);
            }
        }
    }

    fn on_timer(&mut self, timer: Timer, now: Instant) {
        match timer {
            Timer::Open => self.owe_open = true,
            Timer::AckDelay => self.ack_now = true,
            Timer::KeepAlive => self.probe = true,
            Timer::Resend => {
                self.rtt.back_off();
                // the newest piece is itself the best probe: if only the tail was lost, it repairs it
                match if self.rtt.backoff() == 1 { self.sent.pop_back() } else { None } {
                    Some(sent) => {
                        self.in_flight -= usize::from(sent.wire);
                        self.give_up(sent);
                    }
                    None => self.probe = true,
                }
                self.timers.set(Timer::Resend, now.after(self.rtt.wait_us()));
            }
            Timer::Silence if self.state == State::Greeting => {
                (self.state, self.peer) = (State::Opening, 0);
                self.call_us = CALL_US;
            }
            Timer::Silence => self.end(Loss::Silence),
            Timer::Linger => self.finished(),
        }
    }

    /// The port was closed and opened again: whatever was under way is doubtful, so ask at once.
    pub(crate) fn handle_reopen(&mut self, now: Instant) {
        match self.state {
            State::Opening | State::Greeting => self.timers.set(Timer::Open, now),
            State::Open => {
                self.rtt.answered();
                self.probe = true;
                self.timers.set(Timer::Resend, now.after(self.rtt.wait_us()));
            }
            State::Finished | State::Ended => {}
        }
    }

    // ---- segments in --------------------------------------------------------------------------

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

    fn give_up(&mut self, sent: Sent) {
        if let Some(piece) = sent.piece {
            self.send.lost(piece);
        }
        self.window_lost |= sent.window;
        self.done_due |= sent.done && !self.done_acked;
        // something must follow, or its loss could go unnoticed
        self.probe |= sent.piece.is_none() && !sent.window && !sent.done && self.sent.is_empty();
    }

    fn arm_resend(&mut self) {
        if self.sent.is_empty() {
            self.timers.clear(Timer::Resend);
        } else {
            let wait = self.rtt.wait_us() + u64::from(self.config.ack_delay_us);
            self.timers.set(Timer::Resend, self.last_left.after(wait));
        }
    }

    fn check_done(&mut self) {
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

    fn finished(&mut self) {
        self.state = State::Finished;
        self.timers.clear_all();
        self.farewells = FAREWELLS;
        self.event(Event::Finished);
    }

    // ---- segments out -------------------------------------------------------------------------

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
            self.call_us = (self.call_us * 2).min(CALL_MAX_US);
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
