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
//! With a [`seal::Sealing`] every frame is encrypted and authenticated, and [`Receiver::sealed`] takes
//! nothing else.
//!
//! The emitter needs no heap; streams, objects and the receiver need the feature `alloc`, the loss formulas
//! `std` (for logarithms), keys of both ends `noise`; a shared secret needs none of them. No clock, no port.
#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;

pub mod emitter;
#[cfg(feature = "std")]
pub mod loss;
#[cfg(feature = "noise")]
pub mod noise;
#[cfg(feature = "alloc")]
pub mod object;
pub mod profile;
#[cfg(feature = "alloc")]
pub mod receiver;
pub mod seal;
#[cfg(feature = "alloc")]
pub mod stream;
#[cfg(feature = "alloc")]
pub mod unseal;
pub mod wire;

pub use emitter::Emitter;
#[cfg(feature = "alloc")]
pub use receiver::Receiver;
pub use seal::Sealing;
