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
//! An emitter and its receiver, on a wire that loses a frame. Copies of a reading travel apart in time, so it arrives:
//!
//! ```
//! # #[cfg(feature = "alloc")] {
//! use diode::emitter::{Config, Emitter, frame_max};
//! use diode::receiver::{Event, Receiver};
//! use diode::wire::{Body, Record};
//! use link::{Instant, wire::Level};
//!
//! let mut now = Instant::from_micros(0);
//! let mut emitter = Emitter::<8, 32>::new(Config::for_baud(115_200, 1), now); // 8 readings of up to 32 bytes
//! let mut receiver = Receiver::new(now);
//! emitter.write(b"21.5 C", now).unwrap();
//! let (mut frame, mut frames, mut got) = ([0u8; frame_max(32, Level::Plain)], 0, Vec::new());
//! while !emitter.is_drained() {
//!     while let Some(len) = emitter.poll_transmit(&mut frame, now) {
//!         frames += 1;
//!         if frames != 2 { // the wire loses the reading for the first time it is sent
//!             receiver.handle_bytes(&frame[..len], now);
//!         }
//!     }
//!     while let Some(event) = receiver.poll_event() {
//!         let Event::Body(bytes) = event else { continue };
//!         let body = Body::parse(&bytes).unwrap();
//!         if let Record::Datum { number: 0, payload } = body.record {
//!             got.push(payload.to_vec());
//!         }
//!     }
//!     now = emitter.poll_timeout().max(now.after(1));
//! }
//! assert!(got.len() == 5 && got.iter().all(|reading| reading == b"21.5 C")); // six copies were sent
//! # }
//! ```
//!
//! The emitter needs no heap; streams, objects and the receiver need the feature `alloc`, the loss formulas
//! `std` (for logarithms), keys of both ends `noise`; a shared secret needs none of them. No clock, no port.
#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;

#[cfg(feature = "alloc")]
pub mod datagrams;
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
