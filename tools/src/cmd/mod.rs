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

use std::io::{self, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;

use crate::cli::PortArgs;
use crate::error::{Doing, Exit, Failure};

/// The control socket of a held wire, if that is what stands in the place of a port.
fn held_wire(port: &PortArgs) -> Result<Option<PathBuf>, Failure> {
    let Some(path) = port.port.path() else { return Ok(None) };
    match std::fs::metadata(path) {
        Ok(meta) => Ok(meta.file_type().is_socket().then(|| path.to_owned())),
        Err(e) if e.kind() == io::ErrorKind::NotFound && !port.wait => {
            let message = format!(
                "cannot open {}: there is neither a port nor a control socket; is the adapter plugged in (--wait waits for it), or \
                 'hardline link' running?",
                path.display()
            );
            Err(Failure::new(Exit::Port, message))
        }
        // the port says why
        Err(_) => Ok(None),
    }
}

/// A line of the result on stdout.
fn print(line: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout();
    let printed = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
    printed.doing(Exit::Failed, || "write the result to stdout".into())
}
