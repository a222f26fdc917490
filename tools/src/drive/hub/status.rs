//! What a wire looks like from outside.

use link::State;
use serde_json::{Value, json};

use super::{Hub, Owner};

impl Hub {
    /// The wire, the session and every channel.
    pub(super) fn status(&self) -> Value {
        let channels = self.wire.link.channels().map(|c| {
            let owner = match self.locals.get(&c.id()).map(|l| l.1) {
                Some(Owner::Client(_)) => "client",
                Some(Owner::Process) => "process",
                _ if self.consoles.iter().any(|s| s.channel == Some(c.id())) => "console",
                Some(Owner::Nobody) => "service or forward",
                None => "nobody",
            };
            json!({
                "id": c.id(),
                "service": String::from_utf8_lossy(c.service()).split('\0').next().unwrap_or_default(),
                "user": owner,
                "bytes_in": c.bytes_in(),
                "bytes_out": c.bytes_out(),
                "queued": c.queued(),
                "open": c.is_open(),
                // whoever used it here is gone, and the peer is still to be told
                "closing": owner == "nobody",
            })
        });
        let channels = channels.collect();
        self.status_with(channels)
    }
    fn status_with(&self, channels: Vec<Value>) -> Value {
        let state = match self.wire.link.state() {
            State::Opening | State::Greeting if !self.wire.has_port() => "no port",
            State::Opening | State::Greeting => "calling",
            State::Open => "open",
            State::Finished | State::Ended => "ended",
        };
        let mut status = crate::stats::as_json(&self.wire.link.stats(), self.wire.began);
        if let Some(fields) = status.as_object_mut() {
            fields.insert("port".into(), json!(self.wire.spec().to_string()));
            fields.insert("baud".into(), json!(self.wire.baud_of(0)));
            fields.insert("state".into(), json!(state));
            fields.insert("version".into(), json!(env!("CARGO_PKG_VERSION")));
            fields.insert("protocol".into(), json!(link::VERSION));
            // a session opens between two ends of the same
            fields.insert("peer_protocol".into(), json!((state == "open").then_some(link::VERSION)));
            let now = self.wire.clock.now();
            fields.insert("sealed".into(), json!(!self.wire.settings.identity.is_plain()));
            fields.insert("peer".into(), json!(self.wire.peer().map(|key| key.fingerprint())));
            fields.insert("port_open".into(), json!(self.wire.has_port()));
            fields.insert("silent".into(), json!(self.wire.link.is_silent(now)));
            fields.insert("trouble".into(), json!(self.wire.trouble()));
            fields.insert("silent_seconds".into(), json!(self.wire.link.silence_us(now).map(|us| us as f64 / 1e6)));
            fields.insert("frame_payload".into(), json!(self.wire.link.frame_payload()));
            fields.insert("paths".into(), json!(self.wire.paths()));
            fields.insert("channels".into(), json!(channels));
        }
        status
    }
}
