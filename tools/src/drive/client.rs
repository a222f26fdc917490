//! A client of the control socket of a held wire.

use std::io::{self, BufRead, BufReader, IoSlice, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use link::Class;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use serde_json::{Value, json};

use super::hub::status_words;
use crate::error::{Doing, Exit, Failure};

/// Longest wait for a status.
const ANSWER: Duration = Duration::from_secs(5);

/// A connection to a held wire.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    replies: BufReader<UnixStream>,
}

impl Client {
    /// Connects to the socket of a running `link`.
    pub fn connect(path: &Path) -> Result<Client, Failure> {
        let connect = || -> io::Result<Client> {
            let stream = UnixStream::connect(path)?;
            Ok(Client { replies: BufReader::new(stream.try_clone()?), stream })
        };
        connect().doing(Exit::Port, || format!("reach the wire at {} (is 'hardline link' running?)", path.display()))
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
            .doing(Exit::Failed, || "ask for a channel".into())?;
        // the wire has its own copies now
        drop((input, output));
        let mut status = None;
        loop {
            let reply = self.reply()?;
            if reply["note"] == "status" {
                status = reply["value"].as_u64().map(|n| n as u32);
            } else if let Some(why) = reply["waiting"].as_str() {
                tracing::warn!("waiting: {why}");
            } else if reply["ended"] == true {
                return status.and_then(status_words).map_or(Ok(()), |words| Err(Failure::new(Exit::Failed, words)));
            } else if let Some(why) = reply["failed"].as_str() {
                return Err(Failure::new(exit_of(&reply), why));
            }
        }
    }

    /// Offers the peer a service at a Unix socket, as long as the client lives.
    pub fn offer(&mut self, name: &str, path: &Path) -> Result<(), Failure> {
        let line = format!("{}\n", json!({ "offer": name, "unix": path.to_string_lossy() }));
        self.stream.write_all(line.as_bytes()).doing(Exit::Failed, || format!("offer '{name}'"))?;
        let reply = self.reply()?;
        match reply["failed"].as_str() {
            Some(why) => Err(Failure::new(exit_of(&reply), why)),
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
        ask(&mut self.stream).doing(Exit::Lost, || "ask for the status".into())?;
        let mut reply = self.reply()?;
        match reply["failed"].as_str() {
            Some(why) => Err(Failure::new(exit_of(&reply), why)),
            None => Ok(reply["status"].take()),
        }
    }
    /// Why the wire was let go, once [`Client::fd`] says that it was.
    pub fn end(mut self) -> Failure {
        match self.reply() {
            Ok(reply) => Failure::new(Exit::Lost, reply["failed"].as_str().unwrap_or("'hardline link' has ended")),
            Err(failure) => failure,
        }
    }

    fn reply(&mut self) -> Result<Value, Failure> {
        let mut line = String::new();
        let n = self.replies.read_line(&mut line).doing(Exit::Lost, || "hear from the wire".into())?;
        if n == 0 {
            return Err(Failure::new(Exit::Lost, "'hardline link' has ended before the channel did, and did not say why"));
        }
        serde_json::from_str(&line).doing(Exit::Failed, || "understand the wire's answer".into())
    }
}

pub(super) fn exit_of(reply: &Value) -> Exit {
    match reply["exit"].as_u64() {
        Some(3) => Exit::Lost,
        Some(5) => Exit::Refused,
        Some(6) => Exit::Port,
        _ => Exit::Failed,
    }
}
