//! The commands, one file each.

pub mod demo;
pub mod pipe;
pub mod sim;
