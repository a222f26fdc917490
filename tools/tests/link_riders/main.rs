//! Real programs through the channels of one noisy wire at 2 Mbps: what they carry is byte-exact.
#![allow(missing_docs)]

#[path = "../common/mod.rs"]
mod common;

mod block;
mod mail;
mod raw;
mod secure;
