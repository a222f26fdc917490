//! The commands, one file each.

pub mod console;
pub mod demo;
pub mod diode;
pub mod link;
pub mod open;
pub mod pipe;
pub mod recv;
pub mod send;
pub mod sim;
pub mod status;

use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;

use crate::cli::PortArgs;

/// The control socket of a held wire, if that is what stands in the place of a port.
fn held_wire(port: &PortArgs) -> Option<PathBuf> {
    let path = PathBuf::from(port.port.to_string());
    std::fs::metadata(&path).is_ok_and(|m| m.file_type().is_socket()).then_some(path)
}
