//! A client of the control socket of a held wire.

use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use link::Class;
use serde_json::{Value, json};

use super::handing::{hand_over, take};
use super::hub::{say_awaited, status_words};
use crate::error::{Doing, Exit, Failure, kinds};

/// Longest wait for a status.
const ANSWER: Duration = Duration::from_secs(5);
/// Longest line of an answer, in bytes: a status tells of 260 channels.
const LINE_MAX: usize = 1 << 20;
/// Longest time from when a socket is there until somebody listens.
const OPENS: Duration = Duration::from_millis(100);

/// A connection to a held wire.
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
    stream: UnixStream,
    /// What came behind the last line that was read.
    heard: Vec<u8>,
    handed: Vec<OwnedFd>,
}

impl Client {
    /// Connects to the socket of a running `link`.
    pub fn connect(path: &Path) -> Result<Client, Failure> {
        let connect = || -> io::Result<Client> {
            let stream = knock(path)?;
            Ok(Client { path: path.to_owned(), stream, heard: Vec::new(), handed: Vec::new() })
        };
        connect().map_err(|e| {
            let path = path.display();
            let message = match e.kind() {
                io::ErrorKind::PermissionDenied => {
                    format!("cannot reach the wire at {path}: permission denied; use the account that 'hardline link' runs under, or one of its --control-group")
                }
                _ => format!("cannot reach the wire at {path} (is 'hardline link' running?): {e}"),
            };
            Failure::new(kinds::LINK_ABSENT, message)
        })
    }

    /// Connects, and makes sure that a `link` answers there: another program may take what it is given in silence.
    pub fn greet(path: &Path) -> Result<Client, Failure> {
        let mut client = Client::connect(path)?;
        client.status()?;
        client.stream.set_read_timeout(None).doing(kinds::LINK_ENDED, || "ask for the status".into())?;
        Ok(client)
    }

    /// Hands `input` and `output` to a channel of this service and waits for its end.
    pub fn open(mut self, name: &str, class: Class, input: OwnedFd, output: OwnedFd) -> Result<(), Failure> {
        let class = match class {
            Class::Interactive => "interactive",
            Class::Bulk => "bulk",
            Class::Learnt => "learnt",
        };
        let term = std::env::var("TERM").unwrap_or_else(|_| "dumb".into());
        let line = format!("{}\n", json!({ "open": name, "class": class, "term": term }));
        hand_over(&self.stream, &line, &[&input, &output]).doing(kinds::LINK_ENDED, || "ask for a channel".into())?;
        // the wire has its own copies now
        drop((input, output));
        let mut status = None;
        loop {
            let reply = self.reply()?;
            if reply["note"] == "status" {
                status = reply["value"].as_u64().map(|n| n as u32);
            } else if let Some(why) = reply["waiting"].as_str() {
                tracing::warn!(code = %kinds::WAITING, "waiting: {why}");
            } else if reply["waiting"] == false {
                tracing::warn!(code = %kinds::WAITED, "waiting no longer");
            } else if reply["awaits"] == "input" {
                say_awaited();
            } else if reply["ended"] == true {
                return status.and_then(status_words).map_or(Ok(()), |words| Err(Failure::new(kinds::SERVICE_FAILED, words)));
            } else if let Some(why) = reply["failed"].as_str() {
                return Err(told(&reply, why));
            }
        }
    }

    /// Offers the peer a service, as long as the client lives; `once`: to the first who asks for it.
    pub fn offer(&mut self, name: &str, once: bool) -> Result<(), Failure> {
        let line = format!("{}\n", json!({ "offer": name, "once": once }));
        self.stream.write_all(line.as_bytes()).doing(kinds::LINK_ENDED, || format!("offer '{name}'"))?;
        let reply = self.reply()?;
        match reply["failed"].as_str() {
            Some(why) => Err(told(&reply, why)),
            None => Ok(()),
        }
    }
    /// Connections to the service that is offered, as far as they are there; `more`: [`Client::fd`] said that something is.
    ///
    /// # Errors
    /// The wire was let go.
    pub fn served(&mut self, more: bool) -> Result<Vec<UnixStream>, Failure> {
        let came = match more {
            true => take(&self.stream, &mut self.heard, &mut self.handed),
            // what came with an earlier answer
            false => Ok(1),
        };
        let came = came.doing(kinds::LINK_ENDED, || "hear from the wire".into())?;
        while let Some(line) = self.next_line() {
            let reply = understood(&line)?;
            if let Some(why) = reply["failed"].as_str() {
                return Err(Failure::new(kinds::LINK_ENDED, why));
            }
        }
        match came {
            0 => Err(Failure::new(kinds::LINK_ENDED, "'hardline link' has ended")),
            _ => Ok(self.handed.drain(..).map(UnixStream::from).collect()),
        }
    }
    /// What to poll: it becomes readable when the wire is let go.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// The connection itself.
    pub fn into_stream(self) -> UnixStream {
        self.stream
    }

    /// The status of the wire; may be asked for again and again.
    pub fn status(&mut self) -> Result<Value, Failure> {
        let ask = |stream: &mut UnixStream| {
            stream.set_read_timeout(Some(ANSWER))?;
            stream.write_all(b"{\"status\":true}\n")
        };
        ask(&mut self.stream).doing(kinds::LINK_ENDED, || "ask for the status".into())?;
        let line = match self.line() {
            Ok(None) => return Err(self.foreign("it hung up instead of an answer")),
            Ok(Some(line)) => line,
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                return Err(self.foreign(&format!("no answer within {} s", ANSWER.as_secs())));
            }
            Err(e) => return Err(Failure::new(kinds::LINK_ENDED, format!("cannot hear from the wire: {e}"))),
        };
        match serde_json::from_slice::<Value>(&line) {
            Ok(reply) if reply["failed"].is_string() => Err(told(&reply, reply["failed"].as_str().unwrap_or_default())),
            Ok(mut reply) if reply["status"].is_object() => Ok(reply["status"].take()),
            _ => Err(self.foreign("its answer is no status")),
        }
    }
    fn foreign(&self, why: &str) -> Failure {
        let message = format!("cannot use {}: whoever listens there is no 'hardline link': {why}", self.path.display());
        Failure::new(kinds::CONTROL_FOREIGN, message)
    }

    fn reply(&mut self) -> Result<Value, Failure> {
        match self.line().doing(kinds::LINK_ENDED, || "hear from the wire".into())? {
            Some(line) => understood(&line),
            None => Err(Failure::new(kinds::LINK_ENDED, "'hardline link' has ended before the channel did, and did not say why")),
        }
    }
    /// Waits for a line; none at the end.
    fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(line) = self.next_line() {
                return Ok(Some(line));
            }
            // whoever is no link may write without end
            if self.heard.len() > LINE_MAX {
                return Err(io::Error::other("a line that is too long"));
            }
            match take(&self.stream, &mut self.heard, &mut self.handed) {
                Ok(0) => return Ok(None),
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }
    fn next_line(&mut self) -> Option<Vec<u8>> {
        let end = self.heard.iter().position(|&b| b == b'\n')?;
        Some(self.heard.drain(..=end).collect())
    }
}

fn understood(line: &[u8]) -> Result<Value, Failure> {
    serde_json::from_slice(line).doing(kinds::CONTROL_FOREIGN, || "understand the wire's answer".into())
}

/// Connects. A socket is there a moment before anybody listens to it: that is waited for.
fn knock(path: &Path) -> io::Result<UnixStream> {
    let began = Instant::now();
    loop {
        match UnixStream::connect(path) {
            Err(e) if e.kind() == io::ErrorKind::ConnectionRefused && began.elapsed() < OPENS => {
                std::thread::sleep(Duration::from_millis(5));
            }
            result => return result,
        }
    }
}

/// The failure a reply tells; one whose kind this version does not know has its exit code all the same.
pub(super) fn told(reply: &Value, why: &str) -> Failure {
    let kind = reply["code"].as_str().and_then(kinds::failure).unwrap_or(kinds::LINK_ENDED);
    let exit = reply["exit"].as_u64().and_then(Exit::of).unwrap_or(kind.exit);
    Failure { kind, exit, message: why.to_owned() }
}
