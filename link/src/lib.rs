//! hardline's two-way protocol: ordered, reliable byte streams over a bare serial wire; one
//! ([`Link::new`]), or many channels beside each other ([`Link::with_channels`]).
//!
//! No clock, no port, no heap: time is an argument ([`Instant`]), randomness a seed, and the
//! stream buffers are the caller's. The wire format is in `PROTOCOL.md`; comments cite its sections.
//!
//! ```text
//! input ─write→ STREAM ─cut→ SEGMENT ─→ body ─check, armour→ FRAME ─→ port
//!            mux/send.rs   wire/segment.rs       wire/frame.rs
//! output ←read─ STREAM ←reorder─ SEGMENT ←─ body ←─ Deframer ←─ port
//!            mux/recv.rs                            wire/deframe.rs
//!
//! wire/  bytes, frames, segments     arq/  sessions, repetition, noise, timers
//! mux/   channels and their streams, who sends next   hello/  who is there: handshakes and keys
//! ```
//!
//! Call one `write` / `finish` / `handle_*`, then drain `poll_transmit`, `read` and `poll_event`,
//! then wait until `poll_timeout`. A late or early `handle_timeout` is harmless, time running
//! backwards counts as no time, every call does bounded work, and line noise is counted, never
//! returned as an error.
//!
//! ```
//! use link::{Config, Event, Instant, Link};
//! type Wire = Link<[u8; 8192], 64>; // 8 KiB each way, at most 64 transmissions under way
//! let now = Instant::from_micros(0);
//! let mut a = Wire::new(Config::for_baud(115_200), 1, now, [0u8; 8192], [0u8; 8192]);
//! let mut b = Wire::new(Config::for_baud(115_200), 2, now, [0u8; 8192], [0u8; 8192]);
//! a.write(b"hello");
//! a.finish();
//! b.finish();
//! let (mut now, mut wire, mut got) = (now, [0u8; link::FRAME_MAX], [0u8; 16]);
//! let mut n = 0;
//! while a.poll_event() != Some(Event::Finished) {
//!     while let Some(len) = a.poll_transmit(&mut wire, now) {
//!         b.handle_bytes(&wire[..len], now);
//!     }
//!     n += b.read(&mut got[n..]);
//!     if b.at_end() {
//!         b.confirm(now); // everything read was used: the peer may know
//!     }
//!     if a.at_end() {
//!         a.confirm(now);
//!     }
//!     while let Some(len) = b.poll_transmit(&mut wire, now) {
//!         a.handle_bytes(&wire[..len], now);
//!     }
//!     now = a.poll_timeout().into_iter().chain(b.poll_timeout()).min().unwrap_or(now).max(now);
//!     a.handle_timeout(now);
//!     b.handle_timeout(now);
//! }
//! assert_eq!(&got[..n], b"hello");
//! ```
#![no_std]
#![forbid(unsafe_code)]

mod arq;
mod bond;
mod config;
#[cfg(feature = "explore")]
pub mod explore;
pub mod hello;
mod link;
mod mux;
mod pace;
mod path;
#[cfg(feature = "sim")]
pub mod sim;
mod stats;
mod time;
pub mod wire;

pub use arq::climb::{LADDER, RateNews, Rates};
pub use arq::{Event, Loss, State, goodput};
pub use bond::PATHS_MAX;
pub use config::Config;
#[cfg(feature = "noise")]
pub use hello::Noise;
pub use hello::{Handshake, Plain};
pub use link::Link;
pub use mux::{Asked, CannotOpen, Channel, Class, Note};
pub use pace::Pace;
pub use path::Path;
pub use stats::Stats;
pub use time::Instant;
pub use wire::frame::FRAME_MAX;
pub use wire::segment::{CloseCode, ResetCode, VERSION};
