//! Clients that wait are told what for, once.

use std::time::{Duration, Instant};

use link::State;
use serde_json::json;

use super::{Hub, Owner};
use crate::drive::wire::OPENING_BYTES;
use crate::error::kinds;
use crate::limit;

/// A wait that is worth a word.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often it is looked at whether somebody waits.
const LOOK: Duration = Duration::from_secs(1);

/// To whoever types.
pub(crate) fn say_awaited() {
    limit::warn(kinds::INPUT_AWAITED, "all that the peer has to say is here; this ends with your own input (Ctrl-D)");
}

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
    /// Says that the end of what is typed is waited for.
    pub(super) fn await_typed(&mut self, owner: Owner) {
        match owner {
            Owner::Client(client) => self.tell(client, &json!({ "awaits": "input" })),
            Owner::Process | Owner::Nobody => say_awaited(),
        }
    }

    /// Tells those that have waited for some time why, and when that is over; and the next time anew.
    pub(super) fn tell_waiting(&mut self) {
        // on a slow wire a session takes its time to open
        let opening = self.wire.link.state() != State::Open && self.wire.has_port();
        let patience = if opening { PATIENCE.max(self.wire.time_of(OPENING_BYTES)) } else { PATIENCE };
        let Some(control) = self.control.as_mut().filter(|c| c.clients.iter().any(|c| c.asked.is_some())) else { return };
        let Some(why) = self.wire.trouble() else {
            let waited = control.clients.iter_mut().filter_map(|c| std::mem::take(&mut c.waits).then_some(c.id));
            let waited: Vec<u64> = waited.collect();
            return waited.into_iter().for_each(|client| self.tell(client, &json!({ "waiting": false })));
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
