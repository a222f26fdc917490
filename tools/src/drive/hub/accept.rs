//! Who connects: to the listeners of forwards, and to the control socket.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use link::Class;
use nix::poll::PollFlags;

use super::{Hub, Owner, Ready, Wanted};
use crate::error::kinds;

/// A listener that cannot accept (there are no descriptors left) would say at once that it could.
const PAUSE: Duration = Duration::from_millis(100);

/// Whether listeners are listened to.
#[derive(Debug, Default)]
pub(super) struct Accepting {
    paused: Option<Instant>,
    /// It was said why.
    told: bool,
}

impl Accepting {
    /// What to wait for at a listener.
    pub(super) fn flags(&self) -> PollFlags {
        if self.pause().is_some() { PollFlags::empty() } else { PollFlags::POLLIN }
    }
    /// How long nothing is accepted yet.
    pub(super) fn pause(&self) -> Option<Duration> {
        self.paused.map(|at| PAUSE.saturating_sub(at.elapsed())).filter(|left| !left.is_zero())
    }
    /// Everybody who waited was accepted, or this went wrong.
    pub(super) fn accepted(&mut self, at: &str, result: io::Result<()>) {
        match result {
            Ok(()) => (self.paused, self.told) = (None, false),
            Err(e) => {
                if !self.told {
                    tracing::warn!(code = %kinds::ACCEPT_FAILED, "cannot accept a connection at {at}: {e}; trying again");
                }
                (self.paused, self.told) = (Some(Instant::now()), true);
            }
        }
    }
}

impl Hub {
    pub(super) fn serve_connections(&mut self, ready: &Ready) {
        for (listener, _) in self.listeners.iter().zip(&ready.listeners).filter(|(_, flags)| !flags.is_empty()) {
            let result = loop {
                match listener.accept() {
                    Ok(Some(local)) => {
                        let (name, local) = (listener.name.clone(), local.labelled(listener.label.clone()));
                        self.wanted.push(Wanted { name, class: Class::Learnt, local, owner: Owner::Nobody, notes: Vec::new() });
                    }
                    Ok(None) => break Ok(()),
                    Err(e) => break Err(e),
                }
            };
            self.accepting.accepted(&listener.label, result);
        }
        if ready.woken {
            let _ = (&self.wake.0).read(&mut [0u8; 64]);
            while let Ok(connected) = self.connected.1.try_recv() {
                self.service_connected(connected);
            }
        }
    }
}
