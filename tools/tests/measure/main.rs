//! `hardline test`: what it measures in a simulation with a clock of its own, and as shipped on a simulated wire.
#![allow(missing_docs)]

#[path = "../common/mod.rs"]
mod common;

mod command;
mod simulated;
