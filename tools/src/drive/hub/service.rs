//! What this end offers: services by name.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use link::Class;
use nix::sys::signal::Signal;

use super::local::Local;
use super::terminal;
use crate::cleanse;
use crate::guard::{self, Reach};
use crate::port::has_port;
use crate::port::socket::connect_tcp_to_reset;

/// Longest wait for a TCP service to answer.
const CONNECT: Duration = Duration::from_secs(10);

/// Where a service is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A TCP address.
    Tcp(String),
    /// A Unix socket.
    Unix(String),
    /// A command line, its stdin and stdout.
    Exec(String),
    /// A command line on a terminal.
    Pty(String),
}

/// A service and its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// 1 to 64 bytes, with the variables of the terminal.
    pub name: String,
    /// Where it is.
    pub target: Target,
}

impl FromStr for Service {
    type Err = String;

    fn from_str(text: &str) -> Result<Service, String> {
        let usage = "write it as NAME=tcp:HOST:PORT, NAME=unix:PATH, NAME=exec:COMMAND or NAME=pty:COMMAND";
        let (name, target) = text.split_once('=').ok_or(usage)?;
        let (scheme, rest) = target.split_once(':').ok_or(usage)?;
        if rest.is_empty() {
            return Err(usage.into());
        }
        let target = match scheme {
            "tcp" if has_port(rest) => Target::Tcp(rest.into()),
            "unix" => Target::Unix(rest.into()),
            "exec" => Target::Exec(rest.into()),
            "pty" => Target::Pty(rest.into()),
            _ => return Err(usage.into()),
        };
        Ok(Service { name: name_of(name)?, target })
    }
}

/// Checks the name of a service: 1 to 32 letters, digits, `-`, `_`, `.`.
pub fn name_of(name: &str) -> Result<String, String> {
    let fine = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    match name {
        n if (1..=32).contains(&n.len()) && n.chars().all(fine) => Ok(n.to_owned()),
        _ => Err(format!("'{name}' is no name of a service: 1 to 32 letters, digits, -, _ or .")),
    }
}

/// What a started service is, or will be.
pub(super) enum Started {
    /// There at once.
    Now(Local),
    /// A thread connects, and sends what came of it to the hub.
    Later,
}

/// What came of a connection attempt for a channel.
pub(super) struct Connected {
    pub(super) channel: u16,
    /// The service, in words for the log.
    pub(super) label: String,
    pub(super) result: io::Result<OwnedFd>,
}

impl Service {
    /// In words for the log.
    pub(super) fn label(&self) -> String {
        format!("service '{}' ({})", self.name, self.target)
    }
    /// Starts it for a channel. `term` is the terminal of the far user, and its size if that is known. A thread that connects
    /// keeps its `place` until it is done, and calls `woken` once it has sent to `done`.
    pub(super) fn start(
        &self,
        channel: u16,
        (term, size): (&str, Option<u32>),
        done: Sender<Connected>,
        (place, woken): (Arc<()>, impl FnOnce() + Send + 'static),
    ) -> io::Result<Started> {
        let label = self.label();
        let later = |connect: Box<dyn FnOnce() -> io::Result<OwnedFd> + Send>| {
            std::thread::Builder::new().spawn(move || {
                let _ = done.send(Connected { channel, label, result: connect() });
                drop(place);
                woken();
            })?;
            Ok(Started::Later)
        };
        match &self.target {
            Target::Tcp(address) => {
                let address = address.clone();
                later(Box::new(move || connect_tcp_to_reset(&address, CONNECT).map(OwnedFd::from)))
            }
            Target::Unix(path) => {
                let path = path.clone();
                later(Box::new(move || UnixStream::connect(path).map(OwnedFd::from)))
            }
            Target::Exec(line) => exec(shell(line, "dumb")).map(|local| Started::Now(local.labelled(self.label()))),
            Target::Pty(line) => {
                let (child, master) = terminal::spawn(shell(line, term), size)?;
                Ok(Started::Now(Local::terminal(child, master)?.labelled(self.label())))
            }
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (scheme, rest) = match self {
            Target::Tcp(address) => ("tcp", address),
            Target::Unix(path) => ("unix", path),
            Target::Exec(line) => ("exec", line),
            Target::Pty(line) => ("pty", line),
        };
        write!(f, "{scheme}:{rest}")
    }
}

impl Target {
    /// The class of what it sends.
    pub(super) fn class(&self) -> Class {
        if matches!(self, Target::Pty(_)) { Class::Interactive } else { Class::Learnt }
    }
}

/// The operator's command line, for a terminal of this name.
fn shell(line: &str, term: &str) -> Command {
    let mut command = cleanse::shell(line);
    command.env("TERM", term);
    command
}

/// The shell does not outlive us, even where the guard is killed with us; `exec:exec COMMAND` extends that to the command.
#[allow(unsafe_code)]
fn end_with_us(command: &mut Command) {
    // SAFETY: prctl is safe between fork and exec. The thread that starts commands is the main one
    unsafe {
        command.pre_exec(|| Ok(nix::sys::prctl::set_pdeathsig(Signal::SIGTERM)?));
    }
}

fn exec(mut command: Command) -> io::Result<Local> {
    end_with_us(&mut command);
    let mut child = guard::spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()), Reach::Session)?;
    let missing = || io::Error::other("no pipe to the command");
    let input = child.stdout.take().ok_or_else(missing)?.into();
    let output = child.stdin.take().ok_or_else(missing)?.into();
    Local::command(child, input, output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_read() {
        let ssh: Service = "ssh=tcp:127.0.0.1:22".parse().unwrap();
        assert_eq!(ssh, Service { name: "ssh".into(), target: Target::Tcp("127.0.0.1:22".into()) });
        for bad in ["ssh", "=tcp:x:1", "a b=exec:x", "x=exec:", "x=file:y", "x=tcp", "x=tcp:host"] {
            assert!(bad.parse::<Service>().is_err(), "{bad}");
        }
    }
}
