//! A terminal at a console: copies between our terminal and the hub that holds the wire, knows
//! escapes, keeps a log.

mod escape;
mod record;
pub(crate) mod terminal;

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::PollFlags;
use serde_json::{Value, json};

use super::client::told;
use super::handing::hand_over;
use super::wait;
use crate::error::kinds::Entry;
use crate::error::{Doing, Failure, kinds};
use crate::signal::{Signal, Signals};
use escape::{Escape, Escapes};
pub use record::Record;
use terminal::Terminal;

/// A peer that takes longer to answer is worth a word.
const PATIENCE: Duration = Duration::from_secs(1);
const HELP: &str = "\r\nAt the start of a line:\r\n ~.  end\r\n ~B  break\r\n ~?  this\r\n ~~  a tilde\r\n";

/// What is wanted of a console.
#[derive(Debug)]
pub struct Wish {
    /// Name of the service.
    pub name: String,
    /// Look only.
    pub read_only: bool,
    /// Take the writing over.
    pub force: bool,
    /// Where what is shown is kept too.
    pub record: Option<Record>,
}

/// What is ready.
#[derive(Clone, Copy)]
struct Ready {
    control: PollFlags,
    data: PollFlags,
    input: PollFlags,
    output: PollFlags,
}

struct Console {
    terminal: Terminal,
    signals: Signals,
    wish: Wish,
    control: UnixStream,
    replies: Vec<u8>,
    /// The hub's side of the bytes; none once that has ended.
    data: Option<UnixStream>,
    escapes: Escapes,
    /// On its way to the hub, and to the terminal.
    typed: Vec<u8>,
    shown: Vec<u8>,
    /// Whether what is typed goes to the far end; none until the console is there.
    writes: Option<bool>,
    /// When it is said that the peer is waited for.
    patience: Option<Instant>,
    input_ended: bool,
    breaks: u32,
    /// The cursor is not at the start of a line.
    mid_line: bool,
    record_failed: Option<io::Error>,
    /// How it ended, once the hub has said so.
    last: Option<Result<(), Failure>>,
}

/// Asks at `control` for a console and stays with it to its end.
pub fn run(control: UnixStream, wish: Wish) -> Result<(), Failure> {
    let mut console = Console::ask(control, wish, Terminal::own()?).doing(kinds::SYSTEM, || "ask for a console".into())?;
    let result = console.stay();
    if console.mid_line && console.terminal.looks {
        let _ = nix::unistd::write(&console.terminal.output, b"\r\n");
    }
    console.terminal.restore();
    let kept = console.wish.record.take().map_or(Ok(()), Record::close);
    let recorded = match console.record_failed.take().or(kept.err()) {
        Some(e) => Err(Failure::new(kinds::LOG_UNWRITABLE, format!("the log is not whole: {e}"))),
        None => Ok(()),
    };
    result.and(recorded)
}

impl Console {
    fn ask(control: UnixStream, wish: Wish, terminal: Terminal) -> io::Result<Console> {
        let (data, theirs) = UnixStream::pair()?;
        let signals = Signals::with_terminal()?;
        let signals = if wish.record.is_some() { signals.reopening() } else { signals };
        let term = std::env::var("TERM").unwrap_or_else(|_| "dumb".into());
        let line = json!({
            "console": wish.name,
            "read_only": wish.read_only,
            "force": wish.force,
            "term": term,
            "size": terminal.size(),
            "who": terminal.who(),
        });
        hand_over(&control, &format!("{line}\n"), &[&theirs])?;
        control.set_nonblocking(true)?;
        data.set_nonblocking(true)?;
        Ok(Console {
            terminal,
            signals,
            wish,
            control,
            replies: Vec::new(),
            data: Some(data),
            escapes: Escapes::default(),
            typed: Vec::new(),
            shown: Vec::new(),
            writes: None,
            patience: Some(Instant::now() + PATIENCE),
            input_ended: false,
            breaks: 0,
            mid_line: false,
            record_failed: None,
            last: None,
        })
    }

    fn stay(&mut self) -> Result<(), Failure> {
        let mut buffer = vec![0u8; 16_384];
        loop {
            let ready = self.poll().doing(kinds::SYSTEM, || "wait for input".into())?;
            while let Some(signal) = self.signals.take() {
                match signal {
                    // nobody has hung up: whoever moved the log wants a new one
                    Signal::End(libc::SIGHUP) if self.wish.record.is_some() && self.terminal.lives() => self.reopen_record(),
                    Signal::End(n) => return Err(Failure::signal(n, format!("ended by signal {n}"))),
                    Signal::Terminal => self.terminal_changed(),
                    Signal::Reopen => self.reopen_record(),
                    Signal::Stats | Signal::Child => {}
                }
            }
            if self.terminal.is_gone() {
                return Err(Failure::new(kinds::TERMINAL_FAILED, "the terminal is gone"));
            }
            // before news of who writes: it was typed before them
            if !ready.input.is_empty() && self.read_input(&mut buffer)? {
                self.left();
                return Ok(());
            }
            if !ready.control.is_empty() {
                self.hear(&mut buffer)?;
            }
            if self.writes.is_some() || self.last.is_some() {
                self.patience = None;
            }
            if self.patience.take_if(|until| *until <= Instant::now()).is_some() {
                self.say("waiting for the peer");
            }
            self.exchange(ready.data, &mut buffer);
            self.write_output(ready.output)?;
            // what came before the end is shown before it
            if self.data.is_none()
                && self.shown.is_empty()
                && let Some(last) = self.last.take()
            {
                return last;
            }
        }
    }

    fn poll(&self) -> io::Result<Ready> {
        // in the place of what is not waited for: even then poll would tell that it was closed
        let mut fds = [(self.signals.fd(), PollFlags::empty()); 5];
        fds[0].1 = PollFlags::POLLIN;
        if self.last.is_none() {
            fds[1] = (self.control.as_fd(), PollFlags::POLLIN);
        }
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::POLLIN, self.shown.is_empty());
        flags.set(PollFlags::POLLOUT, !self.typed.is_empty());
        if let Some(data) = self.data.as_ref().filter(|_| !flags.is_empty()) {
            fds[2] = (data.as_fd(), flags);
        }
        if self.writes.is_some() && !self.input_ended && self.typed.is_empty() {
            fds[3] = (self.terminal.input.as_fd(), PollFlags::POLLIN);
        } else if self.terminal.types {
            // that it is gone is told whatever is asked
            fds[3].0 = self.terminal.input.as_fd();
        }
        if !self.shown.is_empty() {
            fds[4] = (self.terminal.output.as_fd(), PollFlags::POLLOUT);
        } else if self.terminal.looks {
            fds[4].0 = self.terminal.output.as_fd();
        }
        let timeout = self.patience.map(|until| until.saturating_duration_since(Instant::now()));
        let ready = wait(&fds, timeout)?;
        Ok(Ready { control: ready[1], data: ready[2], input: ready[3], output: ready[4] })
    }

    // ---- the hub ------------------------------------------------------------------------------

    fn hear(&mut self, buffer: &mut [u8]) -> Result<(), Failure> {
        match self.control.read(buffer) {
            Ok(0) => {
                self.last = Some(Err(Failure::new(kinds::LINK_ENDED, "'hardline link' has ended before the console did")));
                return Ok(());
            }
            Ok(n) => self.replies.extend_from_slice(&buffer[..n]),
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(e) => return Err(Failure::new(kinds::LINK_ENDED, format!("cannot hear from the wire: {e}"))),
        }
        while let Some(end) = self.replies.iter().position(|&b| b == b'\n') {
            let line: Vec<u8> = self.replies.drain(..=end).collect();
            let reply = serde_json::from_slice(&line).doing(kinds::CONTROL_FOREIGN, || "understand the wire's answer".into())?;
            self.told(&reply)?;
        }
        Ok(())
    }
    fn told(&mut self, reply: &Value) -> Result<(), Failure> {
        if let Some(writes) = reply["writes"].as_bool() {
            self.terminal.make_raw().doing(kinds::TERMINAL_FAILED, || "set the terminal".into())?;
            if self.writes.replace(writes) == Some(true) && !writes {
                // it was for another's console by now
                self.typed.clear();
            }
            let say = reply["say"].as_str();
            if !writes && !self.terminal.types && !self.wish.read_only {
                let why = format!("nobody takes what comes from stdin: {}", say.unwrap_or("somebody else writes"));
                return Err(Failure::new(kinds::CONSOLE_TAKEN, why));
            }
            if let Some(say) = say {
                self.say(say);
            }
        } else if let Some(why) = reply["waiting"].as_str() {
            self.patience = None;
            self.say_waiting(kinds::WAITING, &format!("waiting: {why}"));
        } else if reply["waiting"] == false {
            self.say_waiting(kinds::WAITED, "waiting no longer");
        } else if reply["ended"] == true {
            self.last = Some(Ok(()));
        } else if let Some(why) = reply["failed"].as_str() {
            self.last = Some(Err(told(reply, why)));
        }
        Ok(())
    }
    /// Tells the hub something; should it be gone, it is noticed elsewhere.
    fn tell(&self, what: &Value) {
        let _ = (&self.control).write_all(format!("{what}\n").as_bytes());
    }

    /// Bytes to and from the hub.
    fn exchange(&mut self, ready: PollFlags, buffer: &mut [u8]) {
        let Some(mut data) = self.data.as_ref() else { return };
        if !self.typed.is_empty() {
            match data.write(&self.typed) {
                Ok(n) => drop(self.typed.drain(..n)),
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                // how it ended comes by the other socket
                Err(_) => self.typed.clear(),
            }
        }
        if self.input_ended && self.typed.is_empty() {
            let _ = data.shutdown(std::net::Shutdown::Write);
        }
        if self.shown.is_empty() && !ready.is_empty() {
            match data.read(buffer) {
                Ok(n) if n > 0 => self.show(&buffer[..n]),
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Ok(_) | Err(_) => self.data = None,
            }
        }
    }

    /// The user leaves by an escape.
    fn left(&mut self) {
        let before = if std::mem::take(&mut self.mid_line) { "\r\n" } else { "" };
        let _ = nix::unistd::write(&self.terminal.output, format!("{before}[hardline: left {}]\r\n", self.wish.name).as_bytes());
    }

    /// Goes on with the log in the file that has its name now.
    fn reopen_record(&mut self) {
        let reopened = self.wish.record.as_mut().map_or(Ok(()), Record::reopen);
        if let Err(e) = reopened {
            self.say(&format!("the log cannot be opened anew, and goes on in the old file: {e}"));
        }
    }

    // ---- our terminal -------------------------------------------------------------------------

    fn terminal_changed(&mut self) {
        let _ = self.terminal.make_raw_again();
        if let Some(size) = self.terminal.size() {
            self.tell(&json!({ "note": "size", "value": size }));
        }
    }
    /// Takes what was typed; says whether the user leaves.
    fn read_input(&mut self, buffer: &mut [u8]) -> Result<bool, Failure> {
        let n = match nix::unistd::read(&self.terminal.input, buffer) {
            Ok(n) => n,
            Err(Errno::EAGAIN | Errno::EINTR) => return Ok(false),
            Err(Errno::EIO) if self.terminal.types => 0,
            Err(e) => return Err(Failure::new(kinds::INPUT_FAILED, format!("cannot read stdin: {e}"))),
        };
        if n == 0 && self.terminal.types {
            return Err(Failure::new(kinds::TERMINAL_FAILED, "the terminal is gone"));
        }
        if n == 0 {
            self.input_ended = true;
            self.tell(&json!({ "finish": true }));
        }
        let mut typed = &buffer[..n];
        let mut out = Vec::with_capacity(n);
        while self.terminal.types && !typed.is_empty() {
            let (taken, escape) = self.escapes.take(typed, &mut out);
            typed = &typed[taken..];
            match escape {
                Some(Escape::End) => return Ok(true),
                Some(Escape::Break) => self.send_break(),
                Some(Escape::Help) => self.show_own(HELP),
                None => {}
            }
        }
        out.extend_from_slice(typed);
        if self.writes == Some(true) {
            self.typed.extend_from_slice(&out);
        }
        Ok(false)
    }
    fn send_break(&mut self) {
        self.breaks += 1;
        self.tell(&json!({ "note": "break", "value": self.breaks }));
    }
    /// Words of our own.
    fn say(&mut self, what: &str) {
        if self.terminal.looks {
            let before = if self.mid_line { "\r\n" } else { "" };
            self.show_own(&format!("{before}[hardline: {what}]\r\n"));
        } else {
            tracing::warn!("{what}");
        }
    }
    /// The same, with its code where nobody looks at a screen.
    fn say_waiting(&mut self, kind: &Entry, what: &str) {
        match self.terminal.looks {
            true => self.say(what),
            false => tracing::warn!(code = %kind, "{what}"),
        }
    }
    fn show_own(&mut self, text: &str) {
        let text = text.as_bytes().to_vec();
        self.show(&text);
    }
    fn show(&mut self, bytes: &[u8]) {
        self.mid_line = bytes.last().is_some_and(|&b| b != b'\n');
        self.shown.extend_from_slice(bytes);
        let added = self.wish.record.as_mut().map_or(Ok(()), |record| record.add(bytes));
        if let Err(e) = added {
            self.wish.record = None;
            self.say(&format!("the log cannot be written any more: {e}"));
            self.record_failed = Some(e);
        }
    }
    fn write_output(&mut self, ready: PollFlags) -> Result<(), Failure> {
        if ready.is_empty() {
            return Ok(());
        }
        let piece = self.shown.len().min(self.terminal.piece);
        match nix::unistd::write(&self.terminal.output, &self.shown[..piece]) {
            Ok(n) => drop(self.shown.drain(..n)),
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(e) => return Err(Failure::new(kinds::OUTPUT_FAILED, format!("cannot write to stdout: {e}"))),
        }
        Ok(())
    }
}
