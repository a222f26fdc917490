//! Clients of the control socket: what they ask for, and what they are told.

use link::Note;
use nix::poll::PollFlags;
use serde_json::json;

use super::control::{Request, failed};
use super::local::Local;
use super::terminal::with_term;
use super::{Hub, Owner, Wanted, life};
use crate::error::{Failure, kinds};

impl Hub {
    pub(super) fn serve_clients(&mut self, ready: &[PollFlags]) {
        let Some(control) = &mut self.control else { return };
        let (listener, clients) = ready.split_at(usize::from(control.fd().is_some()).min(ready.len()));
        let mut requests = Vec::new();
        for (client, _) in control.clients.iter_mut().zip(clients).filter(|(_, flags)| !flags.is_empty()) {
            requests.extend(client.requests().into_iter().map(|request| (client.id, request)));
        }
        if listener.iter().any(|flags| !flags.is_empty()) {
            let accepted = control.accept();
            self.accepting.accepted("the control socket", accepted);
        }
        for (id, request) in requests {
            self.serve_request(id, request);
        }
    }

    fn serve_request(&mut self, client: u64, request: Request) {
        match request {
            Request::Open { name, class, term, input, output } => {
                let local = Local::handed(input, output).labelled(format!("open '{}'", life::plain(&name)));
                let name = with_term(&name, &term);
                // one connection, one channel
                if self.is_busy(client) {
                    return self.client_gone(client);
                }
                self.wanted.push(Wanted { name, class, local, owner: Owner::Client(client), notes: Vec::new() });
                self.has_asked(client);
            }
            Request::Offer { name, once } => self.offer(client, &name, once),
            Request::Console { name, attach } => self.attach(client, &name, attach),
            Request::Finish => drop(self.console_of_client(client).map(|console| console.finish(client))),
            Request::Note(note, value) if self.console_note(client, note, value) => {}
            Request::Note(note, value) => self.note(client, note, value),
            Request::Status => {
                let status = json!({ "status": self.status() });
                self.tell(client, &status);
            }
            Request::Gone => self.client_gone(client),
        }
    }

    /// Something for the peer, beside the stream of a channel that is there or wanted.
    fn note(&mut self, client: u64, note: Note, value: u32) {
        let owner = Owner::Client(client);
        if let Some(channel) = self.channel_of(client).and_then(|id| self.wire.link.channel(id)) {
            channel.note(note, value);
        } else if let Some(wanted) = self.wanted.iter_mut().find(|w| w.owner == owner) {
            // of each kind the latest counts
            wanted.notes.retain(|n| n.0 != note);
            wanted.notes.push((note, value));
        }
    }

    /// Whether a client has a channel already, or waits for one.
    fn is_busy(&self, client: u64) -> bool {
        let owner = Owner::Client(client);
        self.wanted.iter().any(|w| w.owner == owner) || self.channel_of(client).is_some()
    }
    /// The channel a client has opened.
    pub(super) fn channel_of(&self, client: u64) -> Option<u16> {
        self.locals.iter().find(|(_, local)| local.1 == Owner::Client(client)).map(|(id, _)| *id)
    }

    pub(super) fn tell(&mut self, client: u64, what: &serde_json::Value) {
        if let Some(control) = &mut self.control {
            control.tell(client, what);
        }
    }

    /// This end ends: whoever has something of it is told why.
    pub(super) fn end_clients(&mut self, result: Result<(), &Failure>) {
        let why = result.err().map_or(String::new(), |failure| format!(": {failure}"));
        let last = failed(&Failure::new(kinds::LINK_ENDED, format!("'hardline link' has ended{why}")));
        let clients: Vec<u64> = self.control.iter().flat_map(|control| &control.clients).map(|c| c.id).collect();
        for client in clients {
            if self.is_busy(client) || self.offers.iter().any(|offer| offer.client == client) {
                self.tell(client, &last);
            }
        }
    }
}
