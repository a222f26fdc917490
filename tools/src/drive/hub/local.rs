//! The local end of a channel: a socket, a command, a terminal, or the descriptors of a client.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::time::{Duration, Instant};

use link::Note;
use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::signal::Signal;
use nix::sys::socket::{Shutdown, shutdown};

use super::super::settling::Settling;
use super::super::user::{piece_of, read_once, unread, unwritten};
use super::ended::{ending, how_ended, status_value};
use crate::error::{Failure, kinds};
use crate::guard::{self, Orphans, Reach};
use crate::port::exec::Running;
use crate::port::socket::reset_on_close;

/// A channel of the link.
pub(super) type Channel = link::Channel<Box<[u8]>>;

/// Most bytes written at once to a descriptor of our own, which never blocks.
const PIECE: usize = 65_536;

/// A command that has closed its output, and has not ended after so long, goes on.
const ENDS: Duration = Duration::from_millis(100);

/// What the descriptors are.
#[derive(Debug)]
enum Kind {
    /// One socket for both directions.
    Socket,
    /// The pipes of a command.
    Command(Child),
    /// The master of a pseudo-terminal with a command on it.
    Terminal(Child),
    /// Somebody else's: a client's stdin and stdout.
    Handed,
}

/// What became of the local end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It goes on.
    Lives,
    /// It cannot take what the peer sent: the channel is to be ended.
    Broken,
}

/// The local end of a channel.
#[derive(Debug)]
pub(super) struct Local {
    input: Option<OwnedFd>,
    output: Option<OwnedFd>,
    kind: Kind,
    piece: usize,
    /// Bytes from the peer on their way out.
    pending: Vec<u8>,
    input_ended: bool,
    /// The output takes nothing more, though more came or may come; or the input failed.
    broken: bool,
    failed_input: Option<io::Error>,
    /// Since when the output of a command has ended, while it is not known whether it was killed: half of what it had to say
    /// is not the whole.
    ending: Option<Instant>,
    /// The signal that killed the command before it had said everything.
    killed: Option<i32>,
    /// Why it cannot be known how the command ended, which may be ill.
    unknown: Option<io::Error>,
    failed_output: Option<io::Error>,
    /// The output was a file: it is being put on its disk.
    settling: Option<Settling>,
    noted: bool,
    /// What it is, in words for the log.
    label: String,
    /// It was killed, and what it left is being ended.
    swept: bool,
    /// How it ended, if that is worth a word.
    words: Option<String>,
    /// The input is a terminal, and nobody was told yet that its end is waited for.
    typed: bool,
}

impl Local {
    fn new(input: OwnedFd, output: OwnedFd, kind: Kind, piece: usize) -> Local {
        Local {
            input: Some(input),
            output: Some(output),
            kind,
            piece,
            pending: Vec::new(),
            input_ended: false,
            broken: false,
            failed_input: None,
            ending: None,
            killed: None,
            unknown: None,
            failed_output: None,
            settling: None,
            noted: false,
            label: String::new(),
            swept: false,
            words: None,
            typed: false,
        }
    }
    /// A connected socket.
    pub(super) fn socket(socket: OwnedFd) -> io::Result<Local> {
        crate::port::set_nonblocking(socket.as_fd())?;
        // until all has come, whatever ends this process resets the connection, be it SIGKILL
        reset_on_close(&socket, true);
        Ok(Local::new(socket.try_clone()?, socket, Kind::Socket, PIECE))
    }
    /// The pipes of a command: what it writes, what it reads.
    pub(super) fn command(child: Child, input: OwnedFd, output: OwnedFd) -> io::Result<Local> {
        crate::port::set_nonblocking(input.as_fd())?;
        crate::port::set_nonblocking(output.as_fd())?;
        Ok(Local::new(input, output, Kind::Command(child), PIECE))
    }
    /// The master of a command's terminal.
    pub(super) fn terminal(child: Child, master: OwnedFd) -> io::Result<Local> {
        crate::port::set_nonblocking(master.as_fd())?;
        Ok(Local::new(master.try_clone()?, master, Kind::Terminal(child), PIECE))
    }
    /// A client's stdin and stdout, whose modes are left alone: others may share them.
    pub(super) fn handed(input: OwnedFd, output: OwnedFd) -> Local {
        let (piece, typed) = (piece_of(&output), nix::unistd::isatty(&input) == Ok(true));
        let mut local = Local::new(input, output, Kind::Handed, piece);
        local.typed = typed;
        local
    }

    /// What it is called in the log.
    pub(super) fn labelled(mut self, label: String) -> Local {
        self.label = label;
        self
    }
    pub(super) fn label(&self) -> &str {
        &self.label
    }

    // ---- waiting ------------------------------------------------------------------------------

    /// What to read from, if the channel takes more.
    pub(super) fn input(&self, channel: &Channel) -> Option<BorrowedFd<'_>> {
        let room = channel.is_open() && channel.writable() >= channel.capacity() / 4;
        self.input.as_ref().filter(|_| room).map(AsFd::as_fd)
    }
    /// What to write to, and whether there is something to write.
    pub(super) fn output(&self, channel: &Channel) -> Option<(BorrowedFd<'_>, PollFlags)> {
        let waits = !self.pending.is_empty() || channel.readable() > 0;
        let flags = if waits && !self.broken { PollFlags::POLLOUT } else { PollFlags::empty() };
        // a terminal that has hung up says so at once whenever it is asked
        let rests = flags.is_empty() && self.input_ended && matches!(self.kind, Kind::Terminal(_));
        self.output.as_ref().filter(|_| !rests).map(|fd| (fd.as_fd(), flags))
    }
    /// Whether its state must be looked at again soon, for nothing will say that it changed.
    pub(super) fn needs_look(&self, channel: &Channel) -> bool {
        let ends = channel.at_end() && self.pending.is_empty();
        self.ending.is_some() || (ends && (self.unread() > 0 || self.settling.is_some() || self.owes_end()))
    }

    // ---- moving bytes -------------------------------------------------------------------------

    /// From the local end to the channel.
    pub(super) fn read(&mut self, channel: &mut Channel, buffer: &mut [u8]) {
        let Some(input) = &self.input else { return };
        let room = channel.writable().min(buffer.len());
        match read_once(input, &mut buffer[..room]) {
            Ok(None) => {}
            Ok(Some(0)) => {
                (self.input, self.input_ended) = (None, true);
                match &self.kind {
                    Kind::Command(_) => self.ending = Some(Instant::now()),
                    _ => channel.finish(),
                }
            }
            Ok(Some(n)) => drop(channel.write(&buffer[..n])),
            // no end of the stream: the peer would take what came for the whole
            Err(why) => {
                (self.input, self.broken) = (None, true);
                self.failed_input = Some(why);
            }
        }
    }
    /// From the channel to the local end, and its end when that has come.
    pub(super) fn write(&mut self, channel: &mut Channel, ready: PollFlags) {
        // a pipe says that it is broken, a Unix socket hangs up; what is typed into a terminal that did goes nowhere, and may
        let hung_up = ready.contains(PollFlags::POLLHUP) && !matches!(self.kind, Kind::Terminal(_));
        if (hung_up || ready.contains(PollFlags::POLLERR)) && !ready.contains(PollFlags::POLLOUT) {
            // the reader is gone; that matters if it left something, or if something more comes
            self.broken |= self.unread() > 0;
            self.output = None;
        }
        self.broken |= self.output.is_none() && (!self.pending.is_empty() || channel.readable() > 0);
        if self.broken {
            // what still comes has nowhere to go
            self.pending.clear();
            let mut sink = [0u8; 4096];
            while channel.read(&mut sink) > 0 {}
            return;
        }
        if self.pending.is_empty() && channel.readable() > 0 {
            self.pending.resize(self.piece.min(channel.readable()), 0);
            let n = channel.read(&mut self.pending);
            self.pending.truncate(n);
        }
        let Some(output) = &self.output else { return };
        if !self.pending.is_empty() && ready.contains(PollFlags::POLLOUT) {
            match nix::unistd::write(output, &self.pending) {
                Ok(n) => drop(self.pending.drain(..n)),
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                Err(why) => self.break_off(why.into()),
            }
        }
    }
    fn break_off(&mut self, why: io::Error) {
        (self.broken, self.output) = (true, None);
        self.failed_output.get_or_insert(why);
    }
    /// Why it is broken.
    pub(super) fn breach(&self) -> Failure {
        if let Some(signal) = self.killed {
            return Failure::new(kinds::SERVICE_FAILED, format!("the service was ended by signal {signal}"));
        }
        if let Some(why) = &self.unknown {
            return Failure::new(kinds::SERVICE_FAILED, format!("cannot wait for the service: {why}"));
        }
        match (&self.failed_input, &self.failed_output) {
            (Some(why), _) => Failure::new(kinds::INPUT_FAILED, format!("cannot read the input: {why}")),
            (None, Some(why)) if why.kind() != io::ErrorKind::BrokenPipe => unwritten(why, self.pending.len()),
            _ => Failure::new(kinds::OUTPUT_CLOSED, "the output was closed before it had everything"),
        }
    }

    /// Ends what has ended; to be called after every move.
    pub(super) fn settle(&mut self, channel: &mut Channel) -> Fate {
        self.end_command(channel);
        if self.broken {
            // what it still had to say goes first
            let over = match self.failed_input.is_some() || self.killed.is_some() || self.unknown.is_some() {
                true => channel.queued() == 0,
                false => self.input_ended && channel.is_sent(),
            };
            // how it ended goes before as well: a reset would overtake it
            let over = over && self.note_status(channel) && channel.is_told();
            return if over || matches!(self.kind, Kind::Handed) { Fate::Broken } else { Fate::Lives };
        }
        if self.input_ended {
            // a command that has ended may be told of before the peer's stream ends: nobody reads the rest
            self.note_status(channel);
        }
        if channel.at_end() && self.pending.is_empty() {
            if self.unread() > 0 {
                return Fate::Lives;
            }
            match self.close_output() {
                None => return Fate::Lives,
                Some(Ok(())) => {}
                Some(Err(why)) => {
                    self.break_off(why);
                    return Fate::Broken;
                }
            }
            if self.note_status(channel) && !self.broken {
                channel.confirm();
            }
        }
        Fate::Lives
    }
    /// Ends the stream of a command whose output has ended, unless it was killed: then it is broken off.
    fn end_command(&mut self, channel: &mut Channel) {
        let (Kind::Command(child), Some(since)) = (&self.kind, self.ending) else { return };
        match guard::ended(child) {
            Ok(Some(status)) if status.signal().is_some() => (self.killed, self.broken) = (status.signal(), true),
            Ok(None) if since.elapsed() < ENDS || guard::is_ending(child) => return,
            // it goes on without its output
            Ok(_) => channel.finish(),
            Err(why) => (self.unknown, self.broken) = (Some(why), true),
        }
        self.ending = None;
    }
    /// Passes the end of the peer's stream on; none while a file is still being put on its disk.
    fn close_output(&mut self) -> Option<io::Result<()>> {
        if let Some(output) = self.output.take() {
            match &self.kind {
                Kind::Socket => {
                    reset_on_close(&output, false);
                    let _ = shutdown(output.as_raw_fd(), Shutdown::Write);
                }
                // a terminal has no half close, but a character that says so (VEOF); of one that has hung up nobody reads
                Kind::Terminal(_) => {
                    if let Err(Errno::EAGAIN | Errno::EINTR) = nix::unistd::write(&output, &[0x04]) {
                        self.output = Some(output);
                        return None;
                    }
                }
                Kind::Command(_) => {}
                Kind::Handed => match Settling::begin(output) {
                    Ok(settling) => self.settling = settling,
                    Err(why) => return Some(Err(why)),
                },
            }
        }
        let result = self.settling.as_ref().map_or(Some(Ok(())), Settling::result);
        if result.is_some() {
            self.settling = None;
        }
        result
    }
    /// Tells how the command ended, once it has; says whether nothing is left to tell.
    fn note_status(&mut self, channel: &mut Channel) -> bool {
        if self.noted {
            return true;
        }
        let (Kind::Command(child) | Kind::Terminal(child)) = &mut self.kind else { return true };
        match guard::ended(child) {
            Ok(None) => return false,
            Ok(Some(status)) => {
                let value = status_value(status);
                channel.note(Note::Status, value);
                if let Some(words) = how_ended(value) {
                    self.words = Some(format!("{} {words}", self.label));
                }
            }
            Err(why) => (self.unknown, self.broken) = (Some(why), true),
        }
        self.noted = true;
        true
    }
    /// Nobody may take the loss of a channel for the end of a stream: a command hears a signal before
    /// its input ends, a TCP connection is reset.
    fn tell_loss(&mut self) {
        let in_order = self.input_ended && self.output.is_none() && !self.broken;
        match (&mut self.kind, &self.output) {
            (Kind::Command(child), _) => {
                if matches!(guard::ended(child), Ok(None)) {
                    guard::signal(child, Reach::Session, Some(Signal::SIGTERM));
                }
            }
            (Kind::Socket, Some(socket)) if !in_order => reset_on_close(socket, true),
            _ => {}
        }
    }
    /// A command that was killed leaves nobody behind who would keep its pipes open.
    pub(super) fn sweep(&mut self) {
        let Kind::Command(child) = &mut self.kind else { return };
        if !self.swept && guard::ended(child).is_ok_and(|ended| ended.is_some_and(|status| status.signal().is_some())) {
            self.swept = true;
            let orphans = Orphans::of(child, Reach::Session);
            ending(move || orphans.end());
        }
    }
    /// Whether the end of what is typed is all that lacks; once.
    pub(super) fn awaits_typed(&mut self, channel: &Channel) -> bool {
        let awaits = self.typed && !self.input_ended && channel.at_end() && self.pending.is_empty();
        awaits && std::mem::take(&mut self.typed)
    }
    /// What is to be said of its end, once.
    pub(super) fn take_words(&mut self) -> Option<String> {
        self.words.take()
    }
    fn reach(&self) -> Reach {
        if matches!(self.kind, Kind::Terminal(_)) { Reach::Group } else { Reach::Session }
    }
    /// Whether a terminal has not taken the end of the stream yet.
    fn owes_end(&self) -> bool {
        matches!(self.kind, Kind::Terminal(_)) && self.output.is_some()
    }
    /// Bytes a command has not read from its pipe.
    fn unread(&self) -> usize {
        match (&self.kind, &self.output) {
            (Kind::Command(_), Some(output)) => unread(output.as_fd()),
            _ => 0,
        }
    }

    /// The service at the other end is gone: what still came in would have nowhere to go.
    pub(super) fn service_ended(&mut self, channel: &mut Channel) {
        if self.input.take().is_some() {
            self.input_ended = true;
            channel.finish();
        }
    }

    // ---- beside the streams -------------------------------------------------------------------

    /// Something the peer's user tells.
    pub(super) fn note(&self, note: Note, value: u32) {
        match (note, &self.kind) {
            (Note::Signal, Kind::Command(child) | Kind::Terminal(child)) => {
                if let Ok(signal) = Signal::try_from(value as i32) {
                    // it may have ended, but its number is kept for it
                    guard::signal(child, Reach::Group, Some(signal));
                }
            }
            (Note::Size, Kind::Terminal(_)) => {
                if let Some(master) = self.input.as_ref().or(self.output.as_ref()) {
                    super::terminal::resize(master.as_fd(), value);
                }
            }
            (Note::Break, Kind::Terminal(_)) => {
                if let Some(master) = self.input.as_ref().or(self.output.as_ref()) {
                    super::terminal::interrupt(master.as_fd());
                }
            }
            _ => {}
        }
    }
}

impl Drop for Local {
    /// A command is made to end with its channel, without keeping the wire waiting.
    fn drop(&mut self) {
        self.tell_loss();
        (self.input, self.output) = (None, None);
        let reach = self.reach();
        if let Kind::Command(child) | Kind::Terminal(child) = std::mem::replace(&mut self.kind, Kind::Handed) {
            ending(move || drop(Running { child, reach }));
        }
    }
}

#[cfg(test)]
mod tests;
