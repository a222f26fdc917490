//! Measuring a wire: two ends (or one with a loopback plug, or two with one way between them) go through
//! the rates and say what the wire does to a known pattern.
//!
//! ```text
//! pattern   what is sent, and what a wire made of it     trial    one rate: echoes, then the pattern
//! message   what the ends tell each other                lines    modem lines: what is joined, and what is wrong
//! pair      two ends: who leads, what is tried           solo     one end with a loopback plug
//! one_way   an end that only sends, one that only hears  report   what to make of it: words, JSON, the flags to use
//! plot      the error rate over time                     run      the loop: a port, time, and what is said
//! values    which bytes do not pass as they are
//! ```
//!
//! All but `run` knows neither clock nor port.

pub mod lines;
pub mod message;
pub mod one_way;
pub mod pair;
pub mod pattern;
pub mod plot;
pub mod report;
pub mod run;
pub mod solo;
pub mod trial;
pub mod values;

use link::Instant;

use self::lines::{Outputs, Wiring};
use self::report::Row;
use self::trial::Counted;

/// What a measurement wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// Set this rate, once everything written has left; answered by `handle_rate`.
    Rate(u32),
    /// Set the outputs, and tell the inputs by `handle_lines` when they had time to follow.
    Lines(Outputs),
    /// Tell the user.
    Say(News),
    /// It is over.
    Done(Ending),
}

/// What the user is told on the way.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// The peer is there.
    Met,
    /// Nobody answers, and this is what is heard.
    Alone(Alone),
    /// The next rate is tried, for so many milliseconds in all.
    Trying(u32, u32),
    /// A rate was tried.
    Tried(Box<Row>),
    /// The other end was started anew.
    Again,
}

/// What is heard while no peer answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alone {
    /// Nothing at all.
    Silence,
    /// Bytes that are no frames.
    Noise,
    /// The begin of what a test says, and never all of it.
    Altered,
    /// The same, and the highest bit of every byte is 0.
    SevenBits,
    /// What we sent.
    Ourselves,
    /// Another command of hardline's.
    Foreign,
    /// The peer, who does not hear us.
    Unheard,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    /// Everything was tried.
    Whole {
        /// How the modem lines are joined, where there are any.
        wiring: Option<Wiring>,
        /// The latency timer of the other end's adapter, in milliseconds.
        peer_timer_ms: Option<u32>,
    },
    /// No peer was found; this is what was heard.
    Alone(Alone),
    /// The peer fell silent.
    Lost,
}

/// One end of a measurement: no clock, no port.
pub trait Measuring {
    /// Bytes came.
    fn handle_bytes(&mut self, bytes: &[u8], now: Instant);
    /// The rate was set, or why it could not be; and what the driver has counted since it was set before.
    fn handle_rate(&mut self, set: Result<(), String>, counted: Counted, now: Instant);
    /// The inputs, as bits, after [`Order::Lines`].
    fn handle_lines(&mut self, inputs: u8, now: Instant);
    /// Time has passed.
    fn handle_timeout(&mut self, now: Instant);
    /// When to call [`Measuring::handle_timeout`] and [`Measuring::poll_transmit`] next.
    fn poll_timeout(&self, now: Instant) -> Instant;
    /// What is to be sent now; the line takes `room` bytes more.
    fn poll_transmit(&mut self, now: Instant, room: usize) -> Vec<u8>;
    /// The line ended, as connections do whose other end has done its part; whether this one had nothing left but to wait.
    fn handle_closed(&mut self) -> bool {
        false
    }
    /// What is to be done.
    fn poll_order(&mut self) -> Option<Order>;
}
