//! What the session and the way the rate is agreed on know of each other.

use super::super::State;
use super::super::endpoint::Damage;
use super::super::plan::Noise;
use crate::time::Instant;
use crate::wire::record::Rate;

/// What the session is like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    pub(crate) state: State,
    /// Session id of the peer.
    pub(crate) peer: u64,
    /// Whether this end proposes, whether the peer can agree at all, and whether it is worth while.
    pub(crate) leads: bool,
    pub(crate) capable: bool,
    pub(crate) ending: bool,
    /// Other paths of the link are not silent for the same reason.
    pub(crate) turn: bool,
    /// How long nothing was taken from the peer of an open session (µs).
    pub(crate) silence_us: u64,
    pub(crate) rtt_us: u64,
    /// Sending time of the longest frame (µs).
    pub(crate) frame_us: u64,
    /// When all that was handed out will have left.
    pub(crate) free: Instant,
    /// Noise on the way out, as the peer tells.
    pub(crate) out: Noise,
    /// Share of the wire that is left at this noise.
    pub(crate) share: fn(Noise) -> f64,
    /// Bytes and damage that came in so far.
    pub(crate) came: u64,
    pub(crate) damage: Damage,
}

/// What may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Say {
    /// Whatever the session has.
    Session,
    Nothing,
    /// This, with so many bytes of padding.
    Rate(Rate<'static>, usize),
}
