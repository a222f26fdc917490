//! One end of a session: what it knows, what its user does, and time. Segments come in through
//! `input.rs` and go out through `output.rs`.

mod input;
mod output;

pub(crate) use output::HOLD_US;

use heapless::Deque;

use super::adapt::Adapt;
use super::heard::Heard;
use super::recv::RecvStream;
use super::rtt::Rtt;
use super::send::{Piece, SendStream};
use super::timer::{Timer, Timers};
use super::{Event, Loss, State};
use crate::config::Config;
use crate::stats::Stats;
use crate::time::Instant;
use crate::wire::Level;
use crate::wire::segment::CloseCode;

/// Calls while nobody answers: the second after 250 ms, then at twice the distance each (µs).
const CALL_US: u64 = 250_000;
/// About what a call or a sign of life takes on the wire, in bytes.
const SHORT_FRAME: usize = 50;
/// What two USB adapters with their default timers add to a round trip (µs), until it is measured.
const HOST_US: u64 = 40_000;
/// Copies of a last message that nothing will answer.
const FAREWELLS: u8 = 2;
/// Transmissions kept free for probes.
const RESERVE: usize = 8;

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
        // on a slow wire calls and signs of life must not fill it
        let call_us = CALL_US.max(4 * config.wire_us(SHORT_FRAME));
        let idle_us = (20 * config.wire_us(SHORT_FRAME)).min(config.grace_us / 4);
        let keepalive_us = u64::from(config.keepalive_us).max(idle_us).min(u64::from(u32::MAX)) as u32;
        let config = Config { keepalive_us, ..config };
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
            call_us,
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
    pub(crate) fn is_sent(&self) -> bool {
        self.send.is_done()
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
                self.call_us = CALL_US.max(4 * self.config.wire_us(SHORT_FRAME));
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
}
