//! How channels begin and end.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use link::{CloseCode, Event, Loss, Note, ResetCode};
use serde_json::json;

use super::control::failed;
use super::ended::{reset_failure, status_words, was_killed};
use super::local::Local;
use super::service::{Connected, Started};
use super::terminal::{parts_of, with_size};
use super::{CHANNELS, Hub, Offer, Owner, Wanted, buffers};
use crate::error::{Exit, Failure, kinds};
use crate::limit;
use crate::names::printable;

/// How long the peer's word is waited for that it knows of a delivered channel.
const LINGER: Duration = Duration::from_secs(5);

impl Offer {
    /// Whether a connection to this service is its.
    fn serves(&self, name: &str) -> bool {
        self.name == name && !self.spent
    }
}

impl Hub {
    /// Asks the peer for what is wanted here.
    pub(super) fn begin_wanted(&mut self) {
        if self.wire.link.state() != link::State::Open {
            return;
        }
        self.begin_consoles();
        for wanted in std::mem::take(&mut self.wanted) {
            let Wanted { name, class, local, owner, notes } = wanted;
            let (out, into) = buffers(self.wire.buffer_baud(), self.wire.count());
            let size = notes.iter().find(|n| n.0 == Note::Size).map(|n| n.1);
            match self.wire.link.open(with_size(&name, size).as_bytes(), class, out, into) {
                Ok(id) => {
                    let channel = self.wire.link.channel(id);
                    channel.into_iter().for_each(|c| notes.iter().for_each(|&(note, value)| c.note(note, value)));
                    self.locals.insert(id, (local, owner));
                }
                Err(e) => {
                    let message = format!("cannot open a channel to '{}': {e}", plain(&name));
                    self.report(owner, local.label(), Err(Failure::new(kinds::CHANNEL_FAILED, message)));
                }
            }
        }
    }

    pub(super) fn serve_events(&mut self) {
        while let Some(event) = self.wire.link.poll_event() {
            self.wire.handle_proof(&event);
            match event {
                Event::Opened { me, peer } => {
                    tracing::info!("{}: session {me:016x} with {peer:016x} is open", self.wire.spec());
                    crate::notify::say(&format!("STATUS=session {me:016x} is open"));
                }
                Event::Echo => {
                    limit::warn(kinds::OWN_ECHO, format!("{}: our own frames come back; a loopback plug?", self.wire.spec()));
                }
                Event::Foreign => {
                    let spec = self.wire.spec();
                    tracing::warn!(code = %kinds::FOREIGN_FRAMES, "{spec}: frames of another session come in; have cables or adapters changed places?");
                }
                Event::Asked(id) => self.asked(id),
                Event::Accepted(id) => self.accepted(id),
                Event::Noted(id, note, value) => self.noted(id, note, value),
                Event::Closed(id) => self.closed(id),
                Event::Reset(id, code) => self.was_reset(id, code),
                Event::Finished | Event::Refused | Event::Version(_) | Event::Plain => {}
                Event::Lost(loss) => self.session_lost(loss),
            }
        }
    }

    // ---- services -----------------------------------------------------------------------------

    /// The peer wants a channel.
    fn asked(&mut self, id: u16) {
        let Some(asked) = self.wire.link.asked(id) else { return };
        let text = String::from_utf8_lossy(asked.service()).into_owned();
        let (name, term, size) = parts_of(&text);
        let taken = self.offers.iter().any(|offer| offer.serves(name)) || self.plan.takes.as_ref().is_some_and(|t| t.0 == name);
        let service = self.plan.services.iter().find(|s| s.name == name).cloned();
        if service.is_none() && !taken {
            let words = format!("the peer asks for service '{}', which is not offered here", plain(name));
            limit::warn(&kinds::SERVICE_ABSENT, &words);
            return self.wire.link.reset(id, ResetCode::NoService);
        }
        if self.is_full() {
            let label = service.map_or_else(|| format!("service '{name}' (of a client)"), |service| service.label());
            let words = format!("cannot start {label}: as many as there is room for are connected, or being connected");
            limit::warn(&kinds::SERVICE_UNREACHABLE, &words);
            return self.wire.link.reset(id, ResetCode::Busy);
        }
        let Some(service) = service else { return self.serve_taken(id, name) };
        let place = self.connecting.clone();
        let started = self.waker().and_then(|waker| service.start(id, (&term, size), self.connected.0.clone(), (place, waker)));
        match started {
            Ok(Started::Later) => {}
            Ok(Started::Now(local)) => self.start(id, local, service.target.class()),
            Err(e) => {
                limit::warn(&kinds::SERVICE_UNREACHABLE, format!("cannot start {}: {e}", service.label()));
                self.wire.link.reset(id, ResetCode::Unreachable);
            }
        }
    }
    /// Whether there is room for another service. A thread that connects takes its place until it is done, even if the peer
    /// has given the channel up meanwhile: it cannot be called back.
    fn is_full(&self) -> bool {
        Arc::strong_count(&self.connecting) - 1 + self.locals.len() >= CHANNELS
    }
    /// A thread has connected to a service, or failed to.
    pub(super) fn service_connected(&mut self, connected: Connected) {
        let Connected { channel, label, result } = connected;
        match result.and_then(Local::socket) {
            Ok(local) => self.start(channel, local.labelled(label), link::Class::Learnt),
            Err(e) => {
                limit::warn(&kinds::SERVICE_UNREACHABLE, format!("cannot connect to {label}: {e}"));
                self.wire.link.reset(channel, ResetCode::Unreachable);
            }
        }
    }
    fn start(&mut self, id: u16, local: Local, class: link::Class) {
        let (out, into) = buffers(self.wire.buffer_baud(), self.wire.count());
        if self.wire.link.accept(id, class, out, into).is_ok() {
            let owner = if self.plan.once { Owner::Process } else { Owner::Nobody };
            self.locals.insert(id, (local, owner));
        } else {
            // given up by the peer, or no room
            self.wire.link.reset(id, ResetCode::Busy);
        }
    }

    /// Hands a connection to the client, or to the part of this process, that takes those for this service.
    fn serve_taken(&mut self, id: u16, name: &str) {
        let handed = UnixStream::pair().and_then(|(ours, theirs)| {
            match self.offers.iter_mut().find(|offer| offer.serves(name)) {
                Some(offer) => {
                    offer.spent = offer.once;
                    let control = self.control.as_ref().ok_or(io::ErrorKind::NotConnected)?;
                    control.hand(offer.client, &json!({ "serve": name }), &theirs.into())?;
                }
                None => {
                    let taker = self.plan.takes.as_ref().ok_or(io::ErrorKind::NotConnected)?;
                    taker.1.send(theirs).map_err(|_| io::ErrorKind::NotConnected)?;
                }
            }
            Local::socket(ours.into())
        });
        match handed {
            Ok(local) => self.start(id, local.labelled(format!("service '{name}'")), link::Class::Learnt),
            Err(e) => {
                limit::warn(&kinds::SERVICE_UNREACHABLE, format!("cannot connect to service '{name}' (of a client): {e}"));
                self.wire.link.reset(id, ResetCode::Unreachable);
            }
        }
    }

    /// A client offers a service while it is there.
    pub(super) fn offer(&mut self, client: u64, name: &str, once: bool) {
        let taken = self.plan.services.iter().any(|s| s.name == name) || self.offers.iter().any(|offer| offer.name == name);
        let said = match super::service::name_of(name) {
            Ok(_) if taken => {
                failed(&Failure::new(kinds::SERVICE_TAKEN, format!("the service '{name}' is offered on this wire already")))
            }
            Ok(name) => {
                tracing::info!("a client offers service '{name}'");
                let said = json!({ "offered": name });
                self.offers.push(Offer { client, name, once, spent: false });
                said
            }
            Err(why) => failed(&Failure::new(kinds::SERVICE_MISNAMED, why)),
        };
        self.tell(client, &said);
    }

    // ---- ends ---------------------------------------------------------------------------------

    fn accepted(&mut self, id: u16) {
        if let Some(console) = self.console_of_channel(id) {
            console.accepted();
        }
        if let Some((_, Owner::Client(client))) = self.locals.get(&id) {
            let client = *client;
            self.tell(client, &json!({ "opened": id }));
        }
    }
    /// Everything was delivered both ways.
    fn closed(&mut self, id: u16) {
        let words = self.statuses.remove(&id).and_then(status_words);
        let result = words.map_or(Ok(()), |words| Err(Failure::new(kinds::SERVICE_FAILED, words)));
        self.console_ended(id, result.as_ref().copied());
        if let Some((local, owner)) = self.locals.remove(&id) {
            self.report(owner, local.label(), result);
        }
    }
    fn was_reset(&mut self, id: u16, code: ResetCode) {
        // a service that failed tells more than that it left something unread
        let status = self.statuses.remove(&id);
        let failure = match status.and_then(status_words) {
            Some(words) if status.is_some_and(was_killed) => Failure::new(kinds::SERVICE_FAILED, words),
            Some(words) => Failure::new(kinds::SERVICE_FAILED, format!("{words} and did not read all of its input")),
            None => reset_failure(code),
        };
        self.console_ended(id, Err(&failure));
        if let Some((local, owner)) = self.locals.remove(&id) {
            self.report(owner, local.label(), Err(failure));
        }
    }
    /// A peer that ends once it has everything may not be heard of again: after a while what was
    /// delivered counts as such.
    pub(super) fn leave_delivered(&mut self) {
        let Some(id) = self.delivered() else { return };
        if self.delivered_since.get_or_insert_with(Instant::now).elapsed() >= LINGER {
            self.closed(id);
        }
    }
    /// A session or a port that is lost takes nothing from what was delivered before.
    pub(super) fn judge(&mut self, outcome: Result<(), Failure>) -> Result<(), Failure> {
        let lost = |failure: &Failure| matches!(failure.exit, Exit::Lost | Exit::Port);
        match (outcome, self.delivered()) {
            (Err(failure), Some(id)) if lost(&failure) => {
                self.closed(id);
                self.wire.outcome.take().unwrap_or(Err(failure))
            }
            (outcome, _) => outcome,
        }
    }
    /// A channel of this process on which everything was delivered.
    fn delivered(&self) -> Option<u16> {
        let ours = |c: &&super::local::Channel| self.locals.get(&c.id()).is_some_and(|l| l.1 == Owner::Process);
        self.wire.link.channels().filter(ours).find(|c| c.is_delivered()).map(|c| c.id())
    }
    /// The local end cannot take what the peer sends.
    pub(super) fn break_off(&mut self, id: u16) {
        self.wire.link.reset(id, ResetCode::Aborted);
        self.statuses.remove(&id);
        if let Some((local, owner)) = self.locals.remove(&id) {
            self.report(owner, local.label(), Err(local.breach()));
        }
    }
    /// A client went away: its channel has lost its user.
    pub(super) fn client_gone(&mut self, client: u64) {
        self.console_left(client);
        self.wanted.retain(|w| w.owner != Owner::Client(client));
        self.offers.retain(|offer| offer.client != client);
        if let Some(id) = self.channel_of(client) {
            self.wire.link.reset(id, ResetCode::Aborted);
            self.locals.remove(&id);
        }
        if let Some(control) = &mut self.control {
            control.forget(client);
        }
    }

    /// Every channel ends with the session; the wire is held for the next one.
    fn session_lost(&mut self, loss: Loss) {
        let (kind, why) = self.wire.explain(loss);
        let failure = Failure::new(kind, format!("{}: {why}", self.wire.spec()));
        // what only lacks the peer's word that it knows was delivered all the same
        let delivered: Vec<u16> = self.wire.link.channels().filter(|c| c.is_delivered()).map(|c| c.id()).collect();
        delivered.into_iter().for_each(|id| self.closed(id));
        self.consoles_lost(&failure);
        for (local, owner) in std::mem::take(&mut self.locals).into_values() {
            self.report(owner, local.label(), Err(failure.clone()));
        }
        self.statuses.clear();
        // whoever still connects does so for a channel whose number may belong to another one soon
        self.connected = std::sync::mpsc::channel();
        if !self.wire.settings.hold {
            return self.wire.end(failure);
        }
        if matches!(loss, Loss::Sealed | Loss::Mode | Loss::Bond | Loss::Version(_)) {
            if self.wire.is_news(&failure.message) {
                limit::warn(&failure.kind, format!("{failure}; calling on"));
                self.wire.was_told();
            }
        } else if loss == Loss::PeerClosed(CloseCode::Left) {
            tracing::info!("{failure}; calling for the next session");
        } else {
            let words = format!("{failure}; its channels have ended, calling for the next session");
            limit::warn(kinds::SESSION_LOST, words);
            self.wire.was_told();
        }
        crate::notify::say("STATUS=no session");
        self.wire.transmit();
        if loss == Loss::Silence {
            self.wire.reconnect();
        }
        if let Err(failure) = self.wire.renew(why) {
            self.wire.end(failure);
        }
    }

    /// Tells whoever asked for a channel how it ended.
    fn report(&mut self, owner: Owner, label: &str, result: Result<(), Failure>) {
        if let Err(failure) = result.as_ref()
            && owner != Owner::Process
        {
            log_end(label, failure);
        }
        match owner {
            Owner::Nobody => {}
            Owner::Client(client) => {
                let said = result.map_or_else(|failure| failed(&failure), |()| json!({ "ended": true }));
                self.tell(client, &said);
                if let Some(control) = &mut self.control {
                    control.forget(client);
                }
            }
            Owner::Process => drop(self.wire.outcome.get_or_insert(result)),
        }
    }
}

/// The loss of a session is told once for all of its channels.
pub(super) fn log_end(label: &str, failure: &Failure) {
    match failure.exit {
        Exit::Lost => tracing::info!("{label}: {failure}"),
        _ => limit::warn(&failure.kind, format!("{label}: {failure}")),
    }
}

/// A name as it may be printed.
pub(super) fn plain(name: &str) -> String {
    printable(name.split('\0').next().unwrap_or_default().as_bytes())
}

const _: () = assert!(CHANNELS >= 256, "256 at once are promised");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_services_hide_nothing() {
        assert_eq!(plain("log\u{202e}nigol\u{200d}\x1b[2J\0xterm"), r"log\u{202e}nigol\u{200d}?[2J");
    }
}
