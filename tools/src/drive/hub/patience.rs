//! Clients that wait are told what for, once.

use std::time::{Duration, Instant};

use link::State;
use serde_json::json;

use super::Hub;
use crate::drive::wire::OPENING_BYTES;

/// A wait that is worth a word.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often it is looked at whether somebody waits.
const LOOK: Duration = Duration::from_secs(1);

impl Hub {
    /// How long the loop may sleep at most.
    pub(super) fn patience(&self) -> Option<Duration> {
        let asks = |control: &super::Control| control.clients.iter().any(|c| c.asked.is_some() && !c.waits);
        self.control.as_ref().is_some_and(asks).then_some(LOOK)
    }
    /// A client wants a channel from now on.
    pub(super) fn has_asked(&mut self, client: u64) {
        let clients = self.control.iter_mut().flat_map(|control| &mut control.clients);
        clients.filter(|c| c.id == client).for_each(|c| c.asked = Some(Instant::now()));
    }
    /// Tells those that have waited for some time why; and the next time anew.
    pub(super) fn tell_waiting(&mut self) {
        // on a slow wire a session takes its time to open
        let opening = self.wire.link.state() != State::Open && self.wire.has_port();
        let patience = if opening { PATIENCE.max(self.wire.time_of(OPENING_BYTES)) } else { PATIENCE };
        let Some(control) = self.control.as_mut().filter(|c| c.clients.iter().any(|c| c.asked.is_some())) else { return };
        let Some(why) = self.wire.trouble() else {
            return control.clients.iter_mut().for_each(|client| client.waits = false);
        };
        let late = |asked: Instant| asked.elapsed() >= patience;
        let mut told = Vec::new();
        for client in control.clients.iter_mut().filter(|c| !c.waits && c.asked.is_some_and(late)) {
            client.waits = true;
            told.push(client.id);
        }
        for client in told {
            self.tell(client, &json!({ "waiting": why }));
        }
    }
}
