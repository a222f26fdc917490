//! The commands, one file each.

pub mod check;
pub mod console;
pub mod demo;
pub mod diode;
pub mod explain;
pub mod key;
pub mod keygen;
pub mod link;
pub mod open;
pub mod pipe;
pub mod ports;
pub mod recv;
pub mod send;
pub mod sim;
pub mod status;
pub mod test;

use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;

use crate::cli::{Common, PortArgs};
use crate::drive::wire::{Identity, Settings};
use crate::error::{Failure, kinds};
use crate::stats;

/// The control socket of a held wire, if that is what stands in the place of a port. Its figures are those of its `link`.
fn held_wire(common: &Common, port: &PortArgs) -> Result<Option<PathBuf>, Failure> {
    let Some(path) = port.port.path() else { return Ok(None) };
    match std::fs::metadata(path) {
        Ok(meta) if meta.file_type().is_socket() && common.stats.is_some() => {
            let path = path.display();
            let message = format!(
                "--stats is for a wire of one's own: {path} is held by 'hardline link', whose 'hardline status {path} --json' has its figures"
            );
            Err(Failure::new(kinds::STATS_ELSEWHERE, message))
        }
        Ok(meta) => Ok(meta.file_type().is_socket().then(|| path.to_owned())),
        Err(e) if e.kind() == io::ErrorKind::NotFound && !port.wait => {
            let message = format!(
                "cannot open {}: there is neither a port nor a control socket; is the adapter plugged in (--wait waits for it), or \
                 'hardline link' running?",
                path.display()
            );
            Err(Failure::new(kinds::PORT_ABSENT, message))
        }
        // the port says why
        Err(_) => Ok(None),
    }
}

/// What a wire needs beside its port; `hold`: it outlives its sessions. Files it wants are tried.
fn settings(common: &Common, port: &PortArgs, hold: bool) -> Result<Settings, Failure> {
    stats::check(common.stats.as_deref())?;
    let identity = Identity::new(&port.seal)?;
    Ok(Settings { grace: port.grace, wait: port.wait, hold, stats: common.stats.clone(), identity, ask: true })
}
