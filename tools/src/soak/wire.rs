//! The wire, on a thread of its own, changed while it runs.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::schedule::Change;
use crate::cli::SimArgs;
use crate::sim::model::Counters;
use crate::sim::run::Simulation;

/// Delay of the wire beside the length of a byte.
const LATENCY: Duration = Duration::from_micros(300);

/// A running wire; it ends when this is dropped.
#[derive(Debug)]
pub struct Wire {
    changes: Option<Sender<Change>>,
    wake: UnixStream,
    thread: Option<JoinHandle<io::Result<[Counters; 2]>>>,
}

fn arguments(a: &Path, b: &Path, baud: u32, seed: u64) -> SimArgs {
    SimArgs {
        a: a.to_owned(),
        b: b.to_owned(),
        baud,
        follow_baud: false,
        max_baud: Vec::new(),
        ber: 0.0,
        burst: None,
        drop: None,
        insert: 0.0,
        latency: LATENCY,
        timer: Duration::ZERO,
        one_way: false,
        outage: Vec::new(),
        unplug: Vec::new(),
        seed,
    }
}

impl Wire {
    /// A clean wire with its ends at two paths; `failed` hears why it stopped by itself, if it does.
    pub fn start(a: &Path, b: &Path, baud: u32, seed: u64, failed: impl FnOnce(String) + Send + 'static) -> io::Result<Wire> {
        let simulation = Simulation::new(&arguments(a, b, baud, seed)).map_err(io::Error::other)?;
        let (wake, bell) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        let (changes, orders) = channel();
        let thread = std::thread::spawn(move || {
            let result = carry(simulation, &bell, &orders);
            if let Err(e) = &result {
                failed(e.to_string());
            }
            result
        });
        Ok(Wire { changes: Some(changes), wake, thread: Some(thread) })
    }

    /// Changes the wire now.
    pub fn change(&mut self, change: Change) {
        // a wire that has failed has said so already
        let _ = self.changes.as_ref().map(|c| c.send(change));
        let _ = self.wake.write(&[0]);
    }

    /// Ends the wire; returns what it did, from a to b and from b to a.
    pub fn stop(mut self) -> io::Result<[Counters; 2]> {
        self.end().unwrap_or_else(|| Err(io::Error::other("it had ended already")))
    }

    fn end(&mut self) -> Option<io::Result<[Counters; 2]>> {
        self.changes = None;
        let _ = self.wake.write(&[0]);
        let thread = self.thread.take()?;
        Some(thread.join().unwrap_or_else(|_| Err(io::Error::other("its thread panicked"))))
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// Carries bytes until nobody can change anything any more.
fn carry(mut simulation: Simulation, bell: &UnixStream, orders: &Receiver<Change>) -> io::Result<[Counters; 2]> {
    loop {
        simulation.step(bell.as_fd())?;
        let mut bell = bell;
        let _ = bell.read(&mut [0u8; 64]);
        loop {
            match orders.try_recv() {
                Ok(Change::Noise(weather)) => simulation.set_noise(weather.noise),
                Ok(Change::Timer(timer)) => simulation.set_timer(timer),
                Ok(Change::Outage(length)) => simulation.begin_outage(length),
                Ok(Change::Unplug(length)) => simulation.begin_unplug(length),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Ok(simulation.counters()),
            }
        }
    }
}
