//! The control socket of a wire that is held: other commands ask there, one JSON object a line, and
//! hand over the descriptors a channel is to use.
//!
//! ```text
//! → {"open":"ssh","class":"interactive","term":"xterm"}  with stdin and stdout as SCM_RIGHTS
//! → {"note":"size","value":1572944}    beside an open channel: size, signal, break
//! → {"offer":"files","once":true}    while the connection lives, or to the first who asks for it
//! → {"console":"console","read_only":false,"force":false,"term":"xterm","size":1572944,"who":"root"}
//!   with one of a pair of sockets as SCM_RIGHTS
//! → {"finish":true}                    the end of a console's input is meant
//! → {"status":true}
//! ← {"opened":5}                       ← {"note":"status","value":1}
//! ← {"console":"console","writes":true,"say":null}    whether a console writes, and words for its user
//! ← {"waiting":"why"}                the channel makes no progress at present; false: it does again
//! ← {"awaits":"input"}               the end of what is typed is all that lacks
//! ← {"ended":true}    ← {"failed":"why","exit":5,"code":"service-absent"}    ← {"status":{..}}
//! ← {"offered":"files"}
//! ← {"serve":"files"}                  somebody asked for it: with one of a pair of sockets as SCM_RIGHTS
//! ```

use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::Instant;

use link::{Class, Note};
use nix::unistd::Gid;
use serde_json::{Value, json};

use super::super::handing::{HANDED_MAX, hand_over, take};
use super::service::name_of;
use super::shared::Attach;
use crate::error::{Doing, Failure, kinds};
use crate::names::visible;
use crate::port::socket::bind_unix;

/// Longest line of a client; whoever sends more, or more descriptors than can come at once, is no client.
const LINE_MAX: usize = 4096;

/// What a client asks for.
#[derive(Debug)]
pub(super) enum Request {
    Open {
        name: String,
        class: Class,
        term: String,
        input: OwnedFd,
        output: OwnedFd,
    },
    /// A service of this name, while the client is there; `once`: for one connection.
    Offer {
        name: String,
        once: bool,
    },
    Console {
        name: String,
        attach: Attach,
    },
    Note(Note, u32),
    Finish,
    Status,
    /// It is gone, or talks nonsense.
    Gone,
}

/// A client.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) id: u64,
    stream: UnixStream,
    line: Vec<u8>,
    handed: Vec<OwnedFd>,
    /// Since when it has a channel, or wants one; whether it knows what keeps it waiting.
    pub(super) asked: Option<Instant>,
    pub(super) waits: bool,
}

/// Where other commands ask, and who may.
#[derive(Clone, Debug)]
pub struct Access {
    /// The socket.
    pub path: PathBuf,
    /// Its permissions: whoever may write to it may use the wire.
    pub mode: u32,
    /// Its group, if that is not the one of this process.
    pub group: Option<Gid>,
}

impl Access {
    /// Lets in whoever may; the socket is there, and for its owner alone.
    fn open_to_group(&self) -> io::Result<()> {
        let owner = std::fs::metadata(&self.path)?.gid();
        // a sandbox may forbid to change what is right
        if let Some(group) = self.group.map(Gid::as_raw).filter(|group| *group != owner) {
            std::os::unix::fs::chown(&self.path, None, Some(group))?;
        }
        std::fs::set_permissions(&self.path, PermissionsExt::from_mode(self.mode))
    }
}

/// The listening socket.
#[derive(Debug)]
pub(super) struct Control {
    /// None when there is one client, which is there already.
    listener: Option<(UnixListener, PathBuf)>,
    pub(super) clients: Vec<Client>,
    next: u64,
}

impl Control {
    pub(super) fn bind(access: &Access) -> Result<Control, Failure> {
        let path = &access.path;
        let bind = || -> io::Result<UnixListener> {
            // nobody may connect between bind and chmod
            let mask = nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o177));
            let listener = bind_unix(path);
            nix::sys::stat::umask(mask);
            let listener = listener?;
            let opened = access.open_to_group().and_then(|()| listener.set_nonblocking(true));
            opened.inspect_err(|_| drop(std::fs::remove_file(path)))?;
            Ok(listener)
        };
        let listener = bind().doing(kinds::CONTROL_UNMADE, || format!("make the control socket {}", path.display()))?;
        Ok(Control { listener: Some((listener, path.to_owned())), clients: Vec::new(), next: 1 })
    }
    /// No socket to listen on, but one client.
    pub(super) fn alone(stream: UnixStream) -> io::Result<Control> {
        stream.set_nonblocking(true)?;
        Ok(Control { listener: None, clients: vec![Client::new(0, stream)], next: 1 })
    }
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.listener.as_ref().map(|l| l.0.as_fd())
    }
    /// Takes everybody who waits.
    pub(super) fn accept(&mut self) -> io::Result<()> {
        let Some((listener, _)) = &self.listener else { return Ok(()) };
        loop {
            match listener.accept() {
                Ok((stream, _)) if stream.set_nonblocking(true).is_ok() => {
                    self.clients.push(Client::new(self.next, stream));
                    self.next += 1;
                }
                Ok(_) => {}
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionAborted) => return Ok(()),
                Err(e) => return Err(e),
            }
        }
    }
    /// Tells a client something; one that does not read its few lines is let go.
    pub(super) fn tell(&mut self, id: u64, what: &Value) {
        if let Some(client) = self.clients.iter_mut().find(|c| c.id == id)
            && client.stream.write_all(format!("{what}\n").as_bytes()).is_err()
        {
            let _ = client.stream.shutdown(std::net::Shutdown::Both);
        }
    }
    /// Tells a client something, and hands it a descriptor.
    pub(super) fn hand(&self, id: u64, what: &Value, fd: &OwnedFd) -> io::Result<()> {
        let client = self.clients.iter().find(|c| c.id == id).ok_or(io::ErrorKind::NotConnected)?;
        hand_over(&client.stream, &format!("{what}\n"), &[fd])
    }
    pub(super) fn forget(&mut self, id: u64) {
        self.clients.retain(|c| c.id != id);
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        if let Some((_, path)) = &self.listener {
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Client {
    fn new(id: u64, stream: UnixStream) -> Client {
        Client { id, stream, line: Vec::new(), handed: Vec::new(), asked: None, waits: false }
    }
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
    /// What it asks for, of what has come by now.
    pub(super) fn requests(&mut self) -> Vec<Request> {
        let mut requests = Vec::new();
        if !self.receive() {
            requests.push(Request::Gone);
        }
        while let Some(end) = self.line.iter().position(|&b| b == b'\n') {
            let line: Vec<u8> = self.line.drain(..=end).collect();
            requests.push(self.request(&line).unwrap_or(Request::Gone));
        }
        if self.line.len() > LINE_MAX || self.handed.len() > HANDED_MAX {
            requests.push(Request::Gone);
        }
        requests
    }
    /// Takes what is there; false once nothing more will come.
    fn receive(&mut self) -> bool {
        match take(&self.stream, &mut self.line, &mut self.handed) {
            Ok(count) => count > 0,
            Err(e) => matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted),
        }
    }
    fn request(&mut self, line: &[u8]) -> Option<Request> {
        let value: Value = serde_json::from_slice(line).ok()?;
        if let Some(name) = value["open"].as_str() {
            let class = class_of(value["class"].as_str());
            let term = value["term"].as_str().unwrap_or("dumb").to_owned();
            let (output, input) = (self.handed.pop()?, self.handed.pop()?);
            self.handed.clear();
            return Some(Request::Open { name: name.to_owned(), class, term, input, output });
        }
        if let Some(name) = value["offer"].as_str() {
            return Some(Request::Offer { name: name.to_owned(), once: value["once"] == true });
        }
        if let Some(name) = value["console"].as_str() {
            let attach = self.attach(&value)?;
            return Some(Request::Console { name: name_of(name).ok()?, attach });
        }
        if value["finish"] == true {
            return Some(Request::Finish);
        }
        if let Some(note) = value["note"].as_str() {
            let note = match note {
                "size" => Note::Size,
                "signal" => Note::Signal,
                "break" => Note::Break,
                _ => return None,
            };
            return Some(Request::Note(note, value["value"].as_u64()? as u32));
        }
        value["status"].as_bool()?.then_some(Request::Status)
    }
    fn attach(&mut self, value: &Value) -> Option<Attach> {
        let socket = self.handed.pop()?;
        self.handed.clear();
        // it is shown to others
        let who = value["who"].as_str().unwrap_or("somebody").chars().filter(|c| !c.is_control()).take(64).collect::<String>();
        let who = visible(&who).into_owned();
        Some(Attach {
            socket,
            read_only: value["read_only"] == true,
            force: value["force"] == true,
            who,
            term: value["term"].as_str().unwrap_or("dumb").to_owned(),
            size: value["size"].as_u64().map(|n| n as u32),
        })
    }
}

/// Reads what a client says, as often as `more` has given it something to say: for the fuzz targets.
#[doc(hidden)]
pub fn read_requests(stream: UnixStream, mut more: impl FnMut(usize) -> bool) {
    let mut client = Client::new(0, stream);
    let mut turn = 0;
    while more(turn) {
        turn += 1;
        if client.requests().iter().any(|request| matches!(request, Request::Gone)) {
            return;
        }
        assert!(client.line.len() <= LINE_MAX && client.handed.len() <= HANDED_MAX, "it is bounded");
    }
}

fn class_of(word: Option<&str>) -> Class {
    match word {
        Some("interactive") => Class::Interactive,
        Some("bulk") => Class::Bulk,
        _ => Class::Learnt,
    }
}

/// What a client is told when its channel could not be, or was lost.
pub(super) fn failed(failure: &Failure) -> Value {
    json!({ "failed": failure.message, "exit": failure.exit.code(), "code": failure.kind.code })
}
