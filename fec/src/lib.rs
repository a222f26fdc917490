//! Forward error correction for hardline.
//!
//! * [`byte_rs`]: Reed-Solomon over bytes, which repairs wrong bytes inside one frame (armour).
//!
//! No clock, no port, no heap.
#![no_std]
#![forbid(unsafe_code)]

pub mod byte_rs;
