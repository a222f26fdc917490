//! A client of the control socket of a held wire.

use std::io::{self, BufRead, BufReader, IoSlice, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use link::Class;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use serde_json::{Value, json};

use super::hub::{say_awaited, status_words};
use crate::error::{Doing, Exit, Failure, kinds};

/// Longest wait for a status.
const ANSWER: Duration = Duration::from_secs(5);
/// Longest time from when a socket is there until somebody listens.
const OPENS: Duration = Duration::from_millis(100);

/// A connection to a held wire.
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
    stream: UnixStream,
    replies: BufReader<UnixStream>,
}

impl Client {
    /// Connects to the socket of a running `link`.
    pub fn connect(path: &Path) -> Result<Client, Failure> {
        let connect = || -> io::Result<Client> {
            let stream = knock(path)?;
            Ok(Client { path: path.to_owned(), replies: BufReader::new(stream.try_clone()?), stream })
        };
        connect().map_err(|e| {
            let path = path.display();
            let message = match e.kind() {
                io::ErrorKind::PermissionDenied => {
                    format!("cannot reach the wire at {path}: permission denied; use the account that 'hardline link' runs under")
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
        let fds: [RawFd; 2] = [input.as_raw_fd(), output.as_raw_fd()];
        let rights = [ControlMessage::ScmRights(&fds)];
        sendmsg::<()>(self.stream.as_raw_fd(), &[IoSlice::new(line.as_bytes())], &rights, MsgFlags::empty(), None)
            .doing(kinds::LINK_ENDED, || "ask for a channel".into())?;
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

    /// Offers the peer a service at a Unix socket, as long as the client lives.
    pub fn offer(&mut self, name: &str, path: &Path) -> Result<(), Failure> {
        let line = format!("{}\n", json!({ "offer": name, "unix": path.to_string_lossy() }));
        self.stream.write_all(line.as_bytes()).doing(kinds::LINK_ENDED, || format!("offer '{name}'"))?;
        let reply = self.reply()?;
        match reply["failed"].as_str() {
            Some(why) => Err(told(&reply, why)),
            None => Ok(()),
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
        let mut line = String::new();
        match self.replies.read_line(&mut line) {
            Ok(0) => return Err(self.foreign("it hung up instead of an answer")),
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                return Err(self.foreign(&format!("no answer within {} s", ANSWER.as_secs())));
            }
            read => read.doing(kinds::LINK_ENDED, || "hear from the wire".into())?,
        };
        match serde_json::from_str::<Value>(&line) {
            Ok(reply) if reply["failed"].is_string() => Err(told(&reply, reply["failed"].as_str().unwrap_or_default())),
            Ok(mut reply) if reply["status"].is_object() => Ok(reply["status"].take()),
            _ => Err(self.foreign("its answer is no status")),
        }
    }
    fn foreign(&self, why: &str) -> Failure {
        let message = format!("cannot use {}: whoever listens there is no 'hardline link': {why}", self.path.display());
        Failure::new(kinds::CONTROL_FOREIGN, message)
    }
    /// Why the wire was let go, once [`Client::fd`] says that it was.
    pub fn end(mut self) -> Failure {
        match self.reply() {
            Ok(reply) => Failure::new(kinds::LINK_ENDED, reply["failed"].as_str().unwrap_or("'hardline link' has ended")),
            Err(failure) => failure,
        }
    }

    fn reply(&mut self) -> Result<Value, Failure> {
        let mut line = String::new();
        let n = self.replies.read_line(&mut line).doing(kinds::LINK_ENDED, || "hear from the wire".into())?;
        if n == 0 {
            return Err(Failure::new(kinds::LINK_ENDED, "'hardline link' has ended before the channel did, and did not say why"));
        }
        serde_json::from_str(&line).doing(kinds::CONTROL_FOREIGN, || "understand the wire's answer".into())
    }
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
