//! The commands, one file each.

pub mod console;
pub mod demo;
pub mod diode;
pub mod key;
pub mod keygen;
pub mod link;
pub mod open;
pub mod pipe;
pub mod recv;
pub mod send;
pub mod sim;
pub mod status;

use std::io::Write;
use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;

use crate::cli::PortArgs;
use crate::error::{Doing, Exit, Failure};

/// The control socket of a held wire, if that is what stands in the place of a port.
fn held_wire(port: &PortArgs) -> Option<PathBuf> {
    let path = PathBuf::from(port.port.to_string());
    std::fs::metadata(&path).is_ok_and(|m| m.file_type().is_socket()).then_some(path)
}

/// A line of the result on stdout.
fn print(line: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout();
    let printed = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
    printed.doing(Exit::Failed, || "write the result to stdout".into())
}
