//! The consoles of a wire: who asked for which, and how they begin and end.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use link::{Class, Note};
use nix::poll::PollFlags;
use serde_json::{Value, json};

use super::control::failed;
use super::life::{log_end, plain};
use super::shared::{Attach, Shared};
use super::terminal::{with_size, with_term};
use super::{Hub, buffers};
use crate::error::{Failure, kinds};

/// How long a hub that ends lets consoles take what came before.
const LAST_WORDS: Duration = Duration::from_secs(1);

impl Hub {
    /// A client wants to look, or to write.
    pub(super) fn attach(&mut self, client: u64, name: &str, with: Attach) {
        if crate::port::set_nonblocking(with.socket.as_fd()).is_err() || self.consoles.iter().any(|c| c.has(client)) {
            return self.client_gone(client);
        }
        if !self.consoles.iter().any(|c| c.is(name)) {
            self.consoles.push(Shared::new(with_term(name, &with.term)));
        }
        if let Some(console) = self.consoles.iter_mut().find(|c| c.is(name)) {
            console.attach(client, with);
        }
        self.has_asked(client);
    }
    /// Asks the peer for those that are wanted; the session is open.
    pub(super) fn begin_consoles(&mut self) {
        let baud = self.wire.buffer_baud();
        for console in self.consoles.iter_mut().filter(|c| c.channel.is_none() && !c.has_ended()) {
            let (out, into) = buffers(baud, self.wire.count());
            let service = with_size(&console.service, console.size());
            match self.wire.link.open(service.as_bytes(), Class::Interactive, out, into) {
                Ok(id) => console.channel = Some(id),
                Err(e) => {
                    let message = format!("cannot open a channel to '{}': {e}", plain(&console.service));
                    console.end(failed(&Failure::new(kinds::CHANNEL_FAILED, message)));
                }
            }
        }
    }
    pub(super) fn console_of_channel(&mut self, id: u16) -> Option<&mut Shared> {
        self.consoles.iter_mut().find(|c| c.channel == Some(id))
    }
    pub(super) fn console_of_client(&mut self, client: u64) -> Option<&mut Shared> {
        self.consoles.iter_mut().find(|c| c.has(client))
    }
    /// A client tells something beside the stream of its console; says whether it has one.
    pub(super) fn console_note(&mut self, client: u64, note: Note, value: u32) -> bool {
        let Some(console) = self.console_of_client(client) else { return false };
        let told = console.note(client, note, value).zip(console.channel);
        if let Some(((note, value), id)) = told
            && let Some(channel) = self.wire.link.channel(id)
        {
            channel.note(note, value);
        }
        true
    }
    /// The channel of a console has ended.
    pub(super) fn console_ended(&mut self, id: u16, result: Result<(), &Failure>) {
        // who is alone says so to its user
        let logs = !self.alone;
        if let Some(console) = self.console_of_channel(id) {
            if let (true, Err(failure)) = (logs, result) {
                log_end(&format!("console '{}'", plain(&console.service)), failure);
            }
            console.end(words(result));
        }
    }
    /// A client is gone; a console without anybody ends.
    pub(super) fn console_left(&mut self, client: u64) {
        let Some(console) = self.console_of_client(client) else { return };
        console.detach(client);
        if let Some(id) = console.channel.filter(|_| console.is_empty()) {
            self.wire.link.reset(id, link::ResetCode::Aborted);
        }
        self.consoles.retain(|c| !c.is_empty());
    }
    /// The session is lost; those that wait for one go on waiting.
    pub(super) fn consoles_lost(&mut self, failure: &Failure) {
        for console in self.consoles.iter_mut().filter(|c| c.channel.is_some()) {
            console.end(failed(failure));
        }
    }

    /// What to wait for.
    pub(super) fn console_fds(&self) -> impl Iterator<Item = (u64, BorrowedFd<'_>, PollFlags)> {
        let channel = |id: Option<u16>| self.wire.link.channels().find(|c| Some(c.id()) == id);
        self.consoles.iter().flat_map(move |console| console.fds(channel(console.channel)))
    }
    pub(super) fn serve_consoles(&mut self, ready: &[(u64, PollFlags)], buffer: &mut [u8]) {
        let mut gone = Vec::new();
        for console in &mut self.consoles {
            let channel = console.channel.and_then(|id| self.wire.link.channel(id));
            gone.extend(console.serve(channel, ready, buffer));
            let leavers = console.leavers();
            if let Some(control) = &mut self.control {
                console.tells.drain(..).for_each(|(client, what)| control.tell(client, &what));
                leavers.into_iter().for_each(|client| control.forget(client));
            }
        }
        self.consoles.retain(|c| !c.is_empty());
        gone.into_iter().for_each(|client| self.client_gone(client));
    }
    /// This end ends: consoles are told, and get what came before if they take it soon.
    pub(super) fn end_consoles(&mut self, result: Result<(), &Failure>) {
        let words = match result {
            // how it ended is its own affair; for them the session is lost
            Err(failure) if !self.alone => {
                failed(&Failure::new(kinds::LINK_ENDED, format!("'hardline link' has ended: {failure}")))
            }
            result => words(result),
        };
        self.consoles.iter_mut().filter(|c| !c.has_ended()).for_each(|c| c.end(words.clone()));
        let until = Instant::now() + LAST_WORDS;
        while !self.consoles.is_empty() && Instant::now() < until {
            let ready: Vec<_> = self.console_fds().map(|(client, _, _)| (client, PollFlags::POLLOUT)).collect();
            self.serve_consoles(&ready, &mut [0u8; 1024]);
            if !self.consoles.is_empty() {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

fn words(result: Result<(), &Failure>) -> Value {
    result.map_or_else(failed, |()| json!({ "ended": true }))
}
