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

use crate::cli::{Common, PortArgs};
use crate::drive::client::Client;
use crate::drive::wire::{Identity, Settings};
use crate::error::{Failure, kinds};
use crate::port::{self, Opener, Spec};
use crate::stats;

/// The `link` that holds the wire, if its control socket is what stands in the place of a port. Its figures are its own.
fn held_wire(common: &Common, port: &PortArgs) -> Result<Option<Client>, Failure> {
    let Some(path) = port.port.path() else { return Ok(None) };
    match std::fs::metadata(path) {
        Ok(meta) if meta.file_type().is_socket() && common.stats.is_some() => {
            let path = path.display();
            let message = format!(
                "--stats is for a wire of one's own: {path} is held by 'hardline link', whose 'hardline status {path} --json' has its figures"
            );
            Err(Failure::new(kinds::STATS_ELSEWHERE, message))
        }
        Ok(meta) if meta.file_type().is_socket() && !port.also.is_empty() => {
            let message =
                format!("{} is a control socket, and --also goes with ports: give it to 'hardline link'", path.display());
            Err(Failure::new(kinds::ALSO_IMPOSSIBLE, message))
        }
        Ok(meta) if meta.file_type().is_socket() => {
            for flag in [port.seal.psk.as_ref().map(|_| "--psk"), port.seal.key.as_ref().map(|_| "--key")].into_iter().flatten() {
                let path = path.display();
                tracing::warn!(
                    code = %kinds::KEY_UNUSED,
                    "{flag} does nothing here: {path} is held by 'hardline link', which has a key of its own, or none"
                );
            }
            Client::greet(path).map(Some)
        }
        Ok(_) => Ok(None),
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

/// Every port that was named, to be opened.
fn openers(args: &PortArgs) -> Result<Vec<Opener>, Failure> {
    also_fits(args)?;
    let all = std::iter::once(&args.port).chain(&args.also);
    all.map(|spec| Opener::new(spec.clone(), args.options())).collect()
}

/// Whether the ports can make one link together.
fn also_fits(args: &PortArgs) -> Result<(), Failure> {
    let usage = |message: String| Err(Failure::new(kinds::ALSO_IMPOSSIBLE, message));
    let all: Vec<&Spec> = std::iter::once(&args.port).chain(&args.also).collect();
    if all.len() > ::link::PATHS_MAX {
        return usage(format!("a link has at most {} ports, these are {}", ::link::PATHS_MAX, all.len()));
    }
    for (at, spec) in all.iter().enumerate() {
        port::fits(spec, args.options())?;
        if all.len() > 1 && !spec.can_be_several() {
            return usage(format!("{spec} cannot be one of several ports"));
        }
        if let Some(other) = all[..at].iter().find(|other| other.is_same(spec)) {
            return usage(format!("--also {spec} is the same port as {other}: name each one once"));
        }
    }
    Ok(())
}
