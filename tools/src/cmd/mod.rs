//! The commands, one file each.

pub mod demo;
pub mod diode;
pub mod link;
pub mod open;
pub mod pipe;
pub mod sim;
pub mod status;
