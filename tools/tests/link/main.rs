//! `hardline link`, `open` and `status` as shipped, over simulated wires.
#![allow(missing_docs)]

#[path = "../common/mod.rs"]
mod common;

mod bond;
mod ends;
mod many;
mod newcomers;
mod ports;
mod services;
mod silence;
mod watch;
