//! The commands, one file each.

pub mod demo;
pub mod diode;
pub mod pipe;
pub mod sim;
