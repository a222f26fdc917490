//! File transfer over one stream each way (PROTOCOL 10): whole files, verified, resumed where they
//! were broken off. Knows blocking streams and files, no wires.
//!
//! ```text
//! wire.rs      messages           sources.rs   what is to be sent      sender.rs
//! folder.rs    where files go     progress.rs  what the user sees      receiver.rs
//! holes.rs     what is no data    door.rs      where a receiver waits
//! ```

pub mod door;
pub mod folder;
mod holes;
pub mod progress;
pub mod receiver;
pub mod sender;
pub mod sources;
pub mod wire;

use std::io;

use crate::error::{Failure, kinds};

/// The service files go through.
pub const SERVICE: &str = "files";

/// What came of a transfer that went to its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Files delivered.
    pub files: u64,
    /// Bytes of files that travelled.
    pub bytes: u64,
    /// Files that were there already.
    pub there: u64,
    /// Files and folders that could not be delivered; each was named.
    pub failed: u64,
}

impl Summary {
    /// Whether all of it was delivered.
    pub fn verdict(&self) -> Result<(), Failure> {
        match self.failed {
            0 => Ok(()),
            n => Err(Failure::new(kinds::FILES_FAILED, format!("{n} of the files and folders could not be delivered"))),
        }
    }
}

/// The stream broke, or the peer talks nonsense.
fn broken(e: &io::Error) -> Failure {
    match e.kind() {
        io::ErrorKind::InvalidData => Failure::new(kinds::TRANSFER_GARBLED, "the other end sends what is no file transfer"),
        _ => gone(),
    }
}

fn gone() -> Failure {
    Failure::new(
        kinds::TRANSFER_BROKEN,
        "the other end went away before the transfer was over; what has come is kept, run it again to go on",
    )
}

fn nonsense(what: &str) -> Failure {
    Failure::new(kinds::TRANSFER_GARBLED, format!("the other end breaks the protocol of file transfer: {what}"))
}

fn other_version(version: u8) -> Failure {
    let own = wire::VERSION;
    Failure::new(
        kinds::VERSION_MISMATCH,
        format!("the other end speaks version {version} of file transfer, this is version {own}; update the older"),
    )
}
