//! hardline's one-way mode: what is sent cannot be asked for again, so it is sent in a way that
//! survives, and the receiver says by name what it did not get.
//!
//! The one-way promise is the type: [`Emitter`] and the senders have no way in from the line, the
//! receiver has none out to it.
//!
//! ```text
//! datagrams ─write→ Emitter (copies apart in time) ─┐
//! stream    ─write→ StreamSender (RS, interleaved) ─┼→ frames ─→ wire ─→ Receiver ─→ records ─→ the same, back
//! objects   ─────→ ObjectSender (RaptorQ, carousel)─┘
//! ```
//!
//! The emitter needs no heap; streams, objects and the receiver need the feature `alloc`, the loss formulas
//! `std` (for logarithms). No clock, no port.
#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;

pub mod emitter;
#[cfg(feature = "std")]
pub mod loss;
#[cfg(feature = "alloc")]
pub mod object;
pub mod profile;
#[cfg(feature = "alloc")]
pub mod receiver;
#[cfg(feature = "alloc")]
pub mod stream;
pub mod wire;

pub use emitter::Emitter;
