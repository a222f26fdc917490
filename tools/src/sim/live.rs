//! A wire on a thread of its own, changed while it runs.

use std::fmt;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::model::Counters;
use super::run::Simulation;
use crate::cli::SimArgs;

/// Delay of the wire beside the length of a byte.
const LATENCY: Duration = Duration::from_micros(300);

type Change = Box<dyn FnOnce(&mut Simulation) + Send>;

/// A running wire, or two; it ends when this is dropped.
pub struct Wire {
    changes: Option<Sender<Change>>,
    wake: UnixStream,
    thread: Option<JoinHandle<io::Result<[Counters; 2]>>>,
    carried: Arc<AtomicU64>,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").field("carried", &self.carried).finish_non_exhaustive()
    }
}

/// A clean wire with its ends at two paths, and a delay of 300 us.
pub fn clean(a: &Path, b: &Path, baud: u32, seed: u64) -> SimArgs {
    SimArgs {
        a: a.to_owned(),
        b: b.to_owned(),
        baud,
        follow_baud: false,
        max_baud: Vec::new(),
        a2: None,
        b2: None,
        ber: 0.0,
        framing: false,
        burst: None,
        drop: None,
        insert: 0.0,
        double: Vec::new(),
        eat: Vec::new(),
        latency: LATENCY,
        timer: Duration::ZERO,
        one_way: false,
        outage: Vec::new(),
        unplug: Vec::new(),
        echo: None,
        turn: Vec::new(),
        swap: Vec::new(),
        seed,
    }
}

impl Wire {
    /// Starts it; `failed` hears why it stopped by itself, if it does.
    pub fn start(args: &SimArgs, failed: impl FnOnce(String) + Send + 'static) -> io::Result<Wire> {
        let simulation = Simulation::new(args).map_err(io::Error::other)?;
        let (wake, bell) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        let (changes, orders) = channel();
        let carried = Arc::new(AtomicU64::new(0));
        let told = Arc::clone(&carried);
        let thread = std::thread::spawn(move || {
            let result = carry(simulation, &bell, &orders, &told);
            if let Err(e) = &result {
                failed(e.to_string());
            }
            result
        });
        Ok(Wire { changes: Some(changes), wake, thread: Some(thread), carried })
    }

    /// Changes the wire now.
    pub fn change(&mut self, change: impl FnOnce(&mut Simulation) + Send + 'static) {
        // a wire that has failed has said so already
        let _ = self.changes.as_ref().map(|c| c.send(Box::new(change)));
        let _ = self.wake.write(&[0]);
    }

    /// Bytes that left any end so far.
    pub fn carried(&self) -> u64 {
        self.carried.load(Ordering::Relaxed)
    }

    /// Ends the wire; returns what the first one did, from a to b and from b to a.
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
fn carry(
    mut simulation: Simulation,
    bell: &UnixStream,
    orders: &Receiver<Change>,
    carried: &AtomicU64,
) -> io::Result<[Counters; 2]> {
    loop {
        simulation.step(bell.as_fd())?;
        carried.store([0, 1].iter().flat_map(|&wire| simulation.counters(wire)).map(|c| c.carried).sum(), Ordering::Relaxed);
        let mut bell = bell;
        let _ = bell.read(&mut [0u8; 64]);
        loop {
            match orders.try_recv() {
                Ok(change) => change(&mut simulation),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Ok(simulation.counters(0)),
            }
        }
    }
}
