//! One end of a session: what it knows, what its user does, and time. Segments come in through
//! `input.rs` and go out through `output.rs`.

mod damaged;
#[cfg(feature = "explore")]
mod digest;
mod input;
mod member;
mod output;
mod patch;
mod plea;
mod rates;
mod sealing;

use heapless::Deque;

use super::adapt::Adapt;
use super::heard::Heard;
use super::reach::Reach;
use super::rtt::Rtt;
use super::timer::{Timer, Timers};
use super::{Event, Loss, State};
use crate::config::Config;
use crate::hello::CALL_FRAME;
use crate::mux::{Bytes, Load, Mux};
use crate::stats::Stats;
use crate::time::Instant;
use crate::wire::segment::CloseCode;
use crate::wire::{Binding, Level};
use damaged::Damaged;
pub(crate) use member::{Member, Skip};
pub(crate) use output::SURE;
use patch::Asked;
pub(crate) use sealing::Unsealed;

/// Calls while nobody answers: the second after 250 ms, then at twice the distance each (µs).
const CALL_US: u64 = 250_000;
/// About what a call or a sign of life takes on the wire, in bytes.
const SHORT_FRAME: usize = 50;
/// What two USB adapters with their default timers add to a round trip (µs), until it is measured.
const HOST_US: u64 = 40_000;
/// So many signs of life may be missed before a peer counts as silent.
const MISSED: u64 = 3;
/// Copies of a last message that nothing will answer.
const FAREWELLS: u8 = 2;
/// Transmissions kept free of data, and those of them that only probes may use.
const RESERVE: usize = 8;
const PROBES: usize = 4;

/// A transmission that wants an acknowledgement.
#[derive(Clone, Copy, Debug)]
struct Sent {
    tx: u64,
    left: Instant,
    wire: u16,
    level: Level,
    load: Load,
}

/// What to send: a segment of `len` bytes, in a frame of this level, that is of this session or of none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outgoing {
    pub(crate) tx: u64,
    pub(crate) len: usize,
    pub(crate) level: Level,
    pub(crate) bound: bool,
}

/// What the deframer has counted of damage to what came in (PROTOCOL 3.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Damage {
    pub(crate) wrong: u64,
    pub(crate) slips: u64,
}

/// How long a first call of so many bytes waits for an answer (µs): on a slow wire calls must not fill it.
fn first_call_us(config: &Config, call: usize) -> u64 {
    CALL_US.max(4 * config.wire_us(call))
}

/// `N`: most transmissions under way at once.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint<const N: usize> {
    config: Config,
    state: State,
    me: u64,
    peer: u64,
    /// Whether this session has channels; else it has one stream, channel 0.
    channels: bool,
    /// Whether this session is to be sealed, and its keys once a peer has proved itself.
    sealed: bool,
    seal: Option<sealing::Seal>,
    pub(crate) peer_key: Option<[u8; 32]>,
    /// The peer has acknowledged nothing yet, and may be an end that is just leaving the session it had before: it
    /// answered our call, or this is one path of several.
    unsure: bool,
    /// What it is as one path of several; none when it is alone.
    pub(crate) member: Option<Member>,
    heard: Heard,
    /// The damaged frames that may be patched, and what the peer is to be told of them.
    damaged: Damaged,
    /// What the peer asks for of damaged frames; the oldest gives way.
    asked: heapless::HistoryBuf<Asked, 8>,
    damage: Damage,
    sent: Deque<Sent, N>,
    in_flight: usize,
    next_tx: u64,
    newest_acked: Option<u64>,
    plea: Option<plea::Plea>,
    last_left: Instant,
    /// Damage the peer has reported.
    peer_damage: (u16, u8),
    unacked: u8,
    unacked_bytes: u16,
    ack_now: bool,
    call_us: u64,
    /// How many calls there were, as far as that tells their distances apart.
    calls: u8,
    owe_open: bool,
    probe: bool,
    farewells: u8,
    closing: Option<CloseCode>,
    echo_told: bool,
    /// Frames that were not of this session when that was last heard, and whether its user was told of such.
    strays: u64,
    strays_told: bool,
    /// What came of the rate of the port, and what is known of the peer in that.
    rates: rates::Heard,
    rtt: Rtt,
    reach: Reach,
    adapt: Adapt,
    timers: Timers,
    events: Deque<Event, 8>,
    pub(crate) stats: Stats,
}

impl<const N: usize> Endpoint<N> {
    /// With one stream, or with channels.
    pub(crate) fn new(config: Config, session: u64, now: Instant, channels: bool) -> Self {
        const { assert!(N > 2 * RESERVE, "a link needs room for more than 16 transmissions under way") };
        // on a slow wire signs of life must not fill it
        let idle_us = (20 * config.wire_us(SHORT_FRAME)).min(config.grace_us / 4);
        let keepalive_us = u64::from(config.keepalive_us).max(idle_us).min(u64::from(u32::MAX)) as u32;
        let config = Config { keepalive_us, ..config };
        let mut timers = Timers::default();
        timers.set(Timer::Open, now);
        Endpoint {
            state: State::Opening,
            me: session.max(1),
            peer: 0,
            channels,
            sealed: false,
            seal: None,
            peer_key: None,
            member: None,
            heard: Heard::default(),
            damaged: Damaged::default(),
            asked: heapless::HistoryBuf::new(),
            damage: Damage::default(),
            sent: Deque::new(),
            in_flight: 0,
            next_tx: 0,
            newest_acked: None,
            plea: None,
            unsure: false,
            last_left: now,
            peer_damage: (0, 0),
            unacked: 0,
            unacked_bytes: 0,
            ack_now: false,
            call_us: first_call_us(&config, SHORT_FRAME),
            calls: 0,
            owe_open: false,
            probe: false,
            farewells: 0,
            closing: None,
            echo_told: false,
            strays: 0,
            strays_told: false,
            rates: rates::Heard::default(),
            rtt: Rtt::new((HOST_US + 4 * config.frame_us()) / 2),
            reach: Reach::default(),
            adapt: Adapt::new(&config, 0),
            timers,
            events: Deque::new(),
            stats: Stats::default(),
            config,
        }
    }

    /// How long the first call of a session waits for an answer.
    fn first_call_us(&self) -> u64 {
        first_call_us(&self.config, if self.sealed { CALL_FRAME } else { SHORT_FRAME })
    }

    /// This session's id, before it has called.
    pub(crate) fn set_id(&mut self, session: u64) {
        self.me = session.max(1);
    }

    /// The ids by which plain frames are told to be of this session; 0 is nobody's.
    pub(crate) fn ids(&self) -> (u64, u64) {
        if self.sealed { (self.me, 0) } else { (self.me, self.peer) }
    }
    /// What this end's frames are bound to.
    pub(crate) fn binding(&self) -> Binding {
        Binding::of(self.me, self.peer)
    }

    // ---- what the user does -------------------------------------------------------------------

    pub(crate) fn state(&self) -> State {
        self.state
    }
    /// Whether the session is open, or was, and the peer has shown that it means to go on with it.
    pub(crate) fn is_settled(&self) -> bool {
        matches!(self.state, State::Open | State::Finished) && !self.unsure
    }
    /// The peer has shown that.
    pub(super) fn settle(&mut self) {
        if core::mem::take(&mut self.unsure) {
            self.event(Event::Opened { me: self.me, peer: self.peer });
        }
    }
    pub(crate) fn is_channels(&self) -> bool {
        self.channels
    }
    pub(crate) fn close(&mut self, code: CloseCode) {
        if !self.is_over() {
            self.end(Loss::Local);
            if self.peer != 0 {
                (self.closing, self.farewells) = (Some(code), FAREWELLS);
            }
        }
    }
    /// News of the session itself.
    pub(crate) fn events(&mut self) -> &mut Deque<Event, 8> {
        &mut self.events
    }
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }
    pub(crate) fn stats(&self) -> Stats {
        Stats { rtt_us: self.rtt.smoothed_us(), ber_ppb: self.adapt.ber_ppb(), ..self.stats }
    }

    /// What so many bytes take on the wire (µs); 0 where its rate is not known.
    pub(crate) fn wire_us(&self, bytes: usize) -> u64 {
        self.config.wire_us(bytes)
    }
    /// What is filled of the way there and back (µs); 0 before it is known.
    pub(crate) fn way_us(&self) -> u64 {
        self.reach.way_us(self.rtt.floor_us().unwrap_or(0))
    }
    /// How long the peer of an open session was not heard (µs).
    pub(crate) fn silence_us(&self, now: Instant) -> Option<u64> {
        let lost_at = self.timers.get(Timer::Silence).filter(|_| self.state == State::Open)?;
        Some(self.config.grace_us.saturating_sub(lost_at.since(now)))
    }
    /// After so much silence the peer should have given some signs of life (µs).
    pub(crate) fn silent_after_us(&self) -> u64 {
        MISSED * u64::from(self.config.keepalive_us)
    }

    pub(crate) fn is_over(&self) -> bool {
        matches!(self.state, State::Finished | State::Ended)
    }
    pub(crate) fn event(&mut self, event: Event) {
        if self.events.is_full() {
            self.events.pop_front();
        }
        let _ = self.events.push_back(event);
    }
    pub(crate) fn end(&mut self, loss: Loss) {
        self.state = State::Ended;
        self.timers.clear_all();
        // what a path has under way is not its own
        if self.member.is_none() {
            self.sent.clear();
        }
        self.event(Event::Lost(loss));
    }

    /// The session ends by the peer, or by its silence: a loss, unless everything was delivered both ways before. A peer
    /// that speaks of an end needs no farewell.
    pub(super) fn end_early<B: Bytes, const C: usize>(&mut self, mux: &Mux<B, C>, loss: Loss) {
        if self.state == State::Open && self.is_admitted() && mux.is_delivered() {
            self.finished();
            self.farewells = if loss == Loss::Silence { FAREWELLS } else { 0 };
        } else {
            self.end(loss);
        }
    }

    /// Sending time that stands before the wire unknown to the pacer, while that matters (µs).
    pub(crate) fn lag_us<B: Bytes, const C: usize>(&mut self, mux: &Mux<B, C>, now: Instant) -> Option<u64> {
        let back_us = self.config.wire_us(usize::from(self.config.typing_max()) + SHORT_FRAME);
        if self.is_typing(mux, now) { self.rtt.lag_us(back_us) } else { None }
    }
    /// Somebody types, and what is typed goes this way: little is sent ahead.
    pub(crate) fn is_typing<B: Bytes, const C: usize>(&self, mux: &Mux<B, C>, now: Instant) -> bool {
        self.takes_urgent() && mux.is_typing(now)
    }

    // ---- time ---------------------------------------------------------------------------------

    pub(crate) fn handle_timeout<B: Bytes, const C: usize>(&mut self, mux: &mut Mux<B, C>, now: Instant) {
        for timer in Timer::ALL {
            if self.timers.expired(timer, now) {
                self.on_timer(mux, timer, now);
            }
        }
    }

    fn on_timer<B: Bytes, const C: usize>(&mut self, mux: &mut Mux<B, C>, timer: Timer, now: Instant) {
        match timer {
            Timer::Open => self.owe_open = true,
            Timer::AckDelay => self.ack_now = true,
            Timer::KeepAlive => self.probe = true,
            Timer::Resend => {
                self.rtt.back_off();
                if self.member.is_some() {
                    self.yield_newest(mux);
                    return self.timers.set(Timer::Resend, now.after(self.rtt.wait_us()));
                }
                // the newest piece is itself the best probe: if only the tail was lost, it repairs it
                match if self.rtt.backoff() == 1 { self.sent.pop_back() } else { None } {
                    Some(sent) => {
                        self.in_flight -= usize::from(sent.wire);
                        self.give_up(mux, sent);
                    }
                    None => self.probe = true,
                }
                self.timers.set(Timer::Resend, now.after(self.rtt.wait_us()));
            }
            Timer::Silence if self.state == State::Greeting => {
                (self.state, self.peer) = (State::Opening, 0);
                self.call_us = self.first_call_us();
            }
            Timer::Silence => match &mut self.member {
                Some(member) => member.over = true,
                None => self.end_early(mux, Loss::Silence),
            },
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
}
