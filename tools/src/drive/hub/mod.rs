//! Many channels: joins a wire, the services offered on it, local listeners and clients.
//!
//! One loop, one `ppoll`, as for a single stream. A session that is lost ends its channels with the
//! reason; the wire is held, the listeners go on, and the next session begins by itself.

mod accept;
mod clients;
mod consoles;
mod control;
mod ended;
mod forward;
mod life;
mod local;
mod patience;
pub mod service;
mod shared;
mod status;
mod terminal;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use link::{Class, CloseCode, Link, Note, State};
use nix::poll::PollFlags;

pub use control::{Access, read_requests};
pub(crate) use ended::status_words;
pub use forward::Forward;
pub(crate) use patience::say_awaited;
pub use service::{Service, Target};

use super::wire::{Protocol, Settings, Start, Streams, Wire};
use super::{shorter, wait};
use crate::error::{Doing, Failure, kinds};
use crate::port::Opener;
use crate::signal::{Signal, Signals};
use control::Control;
use local::{Fate, Local};
use service::Connected;

/// Most channels at once.
const CHANNELS: usize = 260;
/// How often a command is looked at that has not read its last bytes.
const LAST_BYTES: Duration = Duration::from_millis(5);

/// What a wire is used for.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// What this end offers.
    pub services: Vec<Service>,
    /// Local listeners and where their connections go.
    pub forwards: Vec<Forward>,
    /// Where other commands ask.
    pub control: Option<Access>,
    /// A service of this process: who takes the connections to it.
    pub takes: Option<(String, Sender<UnixStream>)>,
    /// End with the first channel to a service of this end.
    pub once: bool,
}

/// A service of a client.
#[derive(Debug)]
struct Offer {
    client: u64,
    name: String,
    /// For one connection alone, and whether that came.
    once: bool,
    spent: bool,
}

/// Who asked for a channel here, and is told of its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    /// Nobody: a connection, a service.
    Nobody,
    /// A client of the control socket.
    Client(u64),
    /// This process: it ends with its channel.
    Process,
}

/// A channel that is wanted, once the session is open.
#[derive(Debug)]
struct Wanted {
    name: String,
    class: Class,
    local: Local,
    owner: Owner,
    /// What its user told already, of each kind the latest.
    notes: Vec<(Note, u32)>,
}

/// One end of a wire with channels.
pub struct Hub {
    wire: Wire<CHANNELS>,
    plan: Plan,
    listeners: Vec<forward::Listener>,
    control: Option<Control>,
    accepting: accept::Accepting,
    locals: BTreeMap<u16, (Local, Owner)>,
    wanted: Vec<Wanted>,
    /// Services of clients, while they are there.
    offers: Vec<Offer>,
    /// Since when a channel of this process is delivered, but for the peer's word that it knows.
    delivered_since: Option<Instant>,
    consoles: Vec<shared::Shared>,
    /// There is one client, and the hub ends with it.
    alone: bool,
    /// What a service said of its end, until its channel ends too.
    statuses: BTreeMap<u16, u32>,
    connected: (Sender<Connected>, Receiver<Connected>),
    /// Held once more by each thread that connects, whether or not somebody still waits for it.
    connecting: Arc<()>,
    /// Threads that connect write here.
    wake: (UnixStream, UnixStream),
    signals: Signals,
}

/// Stream buffers of a channel at first: half a second of the wire on the way out, plenty on the way in. Pages
/// nobody uses cost nothing.
fn buffers(baud: u32, ports: usize) -> (Box<[u8]>, Box<[u8]>) {
    let (out, into) = sizes(baud, ports);
    (vec![0u8; out].into_boxed_slice(), vec![0u8; into].into_boxed_slice())
}
fn sizes(baud: u32, ports: usize) -> (usize, usize) {
    let most = ports << 18;
    (if baud == 0 { most } else { (baud as usize / 20).clamp(8192, most) }, most)
}

/// Bytes that a channel may be given, of which so many are to wait at most.
fn takes(channel: &local::Channel, most: usize) -> usize {
    let waiting = usize::try_from(channel.queued()).unwrap_or(usize::MAX);
    channel.writable().min(most.saturating_sub(waiting))
}

fn new_link(start: Start) -> Protocol<CHANNELS> {
    Link::bonded(start.rate, start.id, start.now, start.lanes, None)
}

impl Hub {
    /// Opens the ports (unless they are to be waited for), listens, and begins to call.
    pub fn open(openers: Vec<Opener>, settings: Settings, plan: Plan, signals: Signals) -> Result<Hub, Failure> {
        let control = plan.control.as_ref().map(Control::bind).transpose()?;
        let listeners = plan.forwards.iter().map(forward::Listener::bind).collect::<Result<Vec<_>, _>>()?;
        let wake = UnixStream::pair().and_then(|pair| {
            pair.0.set_nonblocking(true)?;
            pair.1.set_nonblocking(true)?;
            Ok(pair)
        });
        Ok(Hub {
            wire: Wire::open(openers, settings, Streams { channels: true, make: new_link })?,
            plan,
            listeners,
            control,
            accepting: accept::Accepting::default(),
            locals: BTreeMap::new(),
            wanted: Vec::new(),
            offers: Vec::new(),
            delivered_since: None,
            consoles: Vec::new(),
            alone: false,
            statuses: BTreeMap::new(),
            connected: channel(),
            connecting: Arc::default(),
            wake: wake.doing(kinds::SYSTEM, || "make a pair of sockets".into())?,
            signals,
        })
    }

    /// Wants a channel to a service for these descriptors; the hub ends with it.
    pub fn want(&mut self, name: &str, class: Class, input: OwnedFd, output: OwnedFd) {
        let local = Local::handed(input, output);
        let term = std::env::var("TERM").unwrap_or_default();
        self.wanted.push(Wanted {
            name: terminal::with_term(name, &term),
            class,
            local,
            owner: Owner::Process,
            notes: Vec::new(),
        });
    }

    /// Serves this one client, and ends with it.
    pub fn serve_alone(&mut self, client: UnixStream) -> io::Result<()> {
        self.control = Some(Control::alone(client)?);
        self.alone = true;
        Ok(())
    }

    /// Runs until told to end, or until the channel this process wants has ended.
    pub fn run(mut self) -> Result<(), Failure> {
        let mut buffer = vec![0u8; 65_536];
        let result = loop {
            if let Err(e) = self.step(&mut buffer) {
                break Err(Wire::<CHANNELS>::cannot_wait(&e));
            }
            if let Some(outcome) = self.wire.outcome.take() {
                break self.judge(outcome);
            }
        };
        if self.wire.link.state() == State::Open {
            let idle = self.wire.link.channels().count() == 0;
            self.wire.link.close(if idle { CloseCode::Left } else { CloseCode::Interrupted });
        }
        self.wire.farewell();
        self.end_consoles(result.as_ref().copied());
        self.end_clients(result.as_ref().copied());
        // threads end with this process: nobody else would see to it that commands end
        self.locals.clear();
        ended::await_ends();
        result.and(self.wire.write_stats())
    }

    fn step(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        let ready = self.poll()?;
        while let Some(signal) = self.signals.take() {
            match signal {
                Signal::Stats => self.wire.show_stats(),
                Signal::Child => {
                    crate::guard::tend();
                    self.locals.values_mut().for_each(|(local, _)| local.sweep());
                }
                Signal::Terminal | Signal::Reopen => {}
                Signal::End(number) => self.wire.end(Failure::signal(number, format!("ended by signal {number}"))),
            }
        }
        self.wire.serve(&ready.port, buffer);
        self.wire.link.handle_timeout(self.wire.clock.now());
        self.serve_connections(&ready);
        self.serve_clients(&ready.clients);
        self.begin_wanted();
        self.serve_locals(&ready.locals, buffer);
        self.serve_consoles(&ready.consoles, buffer);
        self.grow_buffers();
        self.wire.transmit();
        self.serve_events();
        self.leave_delivered();
        self.wire.watch();
        self.tell_waiting();
        if self.alone && self.control.as_ref().is_some_and(|c| c.clients.is_empty()) {
            self.wire.outcome.get_or_insert(Ok(()));
        }
        Ok(())
    }

    fn poll(&mut self) -> io::Result<Ready> {
        let mut fds = Vec::with_capacity(16 + 2 * self.locals.len());
        let (mut timeout, port) = self.wire.wait_for(&mut fds);
        fds.push((self.signals.fd(), PollFlags::POLLIN));
        fds.push((self.wake.0.as_fd(), PollFlags::POLLIN));
        let wake = fds.len() - 1;
        let open = self.wire.link.state() == State::Open;
        // connections wait in the listener until the peer is there
        fds.extend(self.listeners.iter().filter(|_| open).map(|l| (l.fd(), self.accepting.flags())));
        let listeners = wake + 1..fds.len();
        if let Some(control) = &self.control {
            fds.extend(control.fd().map(|fd| (fd, self.accepting.flags())));
            fds.extend(control.clients.iter().map(|c| (c.fd(), PollFlags::POLLIN)));
        }
        let clients = listeners.end..fds.len();
        let mut consoles = Vec::new();
        for (client, fd, events) in self.console_fds() {
            consoles.push((client, fds.len()));
            fds.push((fd, events));
        }
        let mut places = Vec::with_capacity(self.locals.len());
        let most = self.wait_most();
        for channel in self.wire.link.channels() {
            let Some((local, _)) = self.locals.get(&channel.id()) else { continue };
            let mut place = (channel.id(), None, None);
            if let Some(fd) = local.input(channel).filter(|_| takes(channel, most) >= most.min(channel.capacity()) / 4) {
                fds.push((fd, PollFlags::POLLIN));
                place.1 = Some(fds.len() - 1);
            }
            if let Some(output) = local.output(channel) {
                fds.push(output);
                place.2 = Some(fds.len() - 1);
            }
            if local.needs_look(channel) {
                timeout = shorter(timeout, LAST_BYTES);
            }
            places.push(place);
        }
        for limit in [self.patience(), self.accepting.pause()].into_iter().flatten() {
            timeout = shorter(timeout, limit);
        }
        let flags = wait(&fds, timeout)?;
        let at = |slot: Option<usize>| slot.map_or(PollFlags::empty(), |i: usize| flags[i]);
        Ok(Ready {
            port: self.wire.ready(&flags, &port),
            woken: !flags[wake].is_empty(),
            listeners: flags[listeners].to_vec(),
            clients: flags[clients].to_vec(),
            consoles: consoles.into_iter().map(|(client, i)| (client, flags[i])).collect(),
            locals: places.into_iter().map(|(id, input, output)| (id, at(input), at(output))).collect(),
        })
    }

    // ---- the bytes ----------------------------------------------------------------------------

    fn serve_locals(&mut self, ready: &[(u16, PollFlags, PollFlags)], buffer: &mut [u8]) {
        let most = self.wait_most();
        for &(id, input, output) in ready {
            let Some((local, owner)) = self.locals.get_mut(&id) else { continue };
            let Some(channel) = self.wire.link.channel(id) else { continue };
            let takes = takes(channel, most).min(buffer.len());
            if !input.is_empty() && takes > 0 {
                local.read(channel, &mut buffer[..takes]);
            }
            local.write(channel, output);
            let fate = local.settle(channel);
            if let Some(words) = local.take_words() {
                crate::limit::warn(kinds::SERVICE_ENDED, &words);
            }
            let awaiting = local.awaits_typed(channel).then_some(*owner);
            if fate == Fate::Broken {
                self.break_off(id);
            } else if let Some(owner) = awaiting {
                self.await_typed(owner);
            }
        }
    }

    /// Bytes that are to wait on the way out of a channel, at most: its first buffer, and what a long way takes.
    fn wait_most(&self) -> usize {
        let way_us = self.wire.link.way_us();
        let (out, _) = sizes(self.wire.buffer_baud(), self.wire.count());
        let needed = || super::buffers::needed(self.wire.total_baud() / 10, way_us).out;
        if way_us < super::buffers::LONG_US { out } else { out.max(needed()) }
    }
    /// Buffers follow the round trip, of channels that fill them.
    fn grow_buffers(&mut self) {
        let way_us = self.wire.link.way_us();
        if way_us < super::buffers::LONG_US {
            return;
        }
        let needed = super::buffers::needed(self.wire.total_baud() / 10, way_us);
        let (out, into) = sizes(self.wire.buffer_baud(), self.wire.count());
        let grown = self.wire.link.channels().map(|channel| (channel.capacity() + channel.window()).saturating_sub(out + into));
        let mut left = super::buffers::GROWTH_MAX.saturating_sub(grown.sum());
        self.wire.link.channels_mut().for_each(|channel| super::buffers::grow(channel, needed, &mut left));
    }

    /// Wakes the loop from a thread.
    fn waker(&self) -> io::Result<impl FnOnce() + Send + 'static> {
        let wake = self.wake.1.try_clone()?;
        Ok(move || drop((&wake).write(b"x")))
    }

    /// Something the peer's user tells.
    fn noted(&mut self, id: u16, note: Note, value: u32) {
        if note == Note::Status && self.console_of_channel(id).is_some() {
            self.statuses.insert(id, value);
        }
        let Some((local, owner)) = self.locals.get_mut(&id) else { return };
        local.note(note, value);
        if note == Note::Status {
            let owner = *owner;
            if let Some(channel) = self.wire.link.channel(id) {
                local.service_ended(channel);
            }
            self.statuses.insert(id, value);
            if let Owner::Client(client) = owner {
                self.tell(client, &serde_json::json!({ "note": "status", "value": value }));
            }
        }
    }
}

/// What is ready.
struct Ready {
    port: super::wire::Ready,
    woken: bool,
    listeners: Vec<PollFlags>,
    clients: Vec<PollFlags>,
    consoles: Vec<(u64, PollFlags)>,
    locals: Vec<(u16, PollFlags, PollFlags)>,
}
