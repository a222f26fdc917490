//! `--watch`: asks again and again and draws, until q, Ctrl-C, a signal, or until the terminal is gone. Nothing here blocks but
//! the one who asks, in a thread of its own: whoever is told to end does so at once.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::PollFlags;
use ratatui::backend::CrosstermBackend;
use serde_json::Value;

use super::screen::Screen;
use crate::cli::StatusArgs;
use crate::drive::client::Client;
use crate::drive::console::terminal::Terminal;
use crate::drive::wait;
use crate::error::{Doing, Failure, kinds};
use crate::signal::{Signal, Signals};
use crate::{say, stdio};

/// How often to ask, unless said otherwise.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long the terminal may take to be given back its own screen.
const GIVE_BACK: Duration = Duration::from_millis(200);
/// The other screen without a cursor, and back.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l";
const LEAVE: &[u8] = b"\x1b[?25h\x1b[?1049l";
const ESCAPE: u8 = 0x1b;
const CTRL_C: u8 = 3;

/// Runs until the user ends it; the terminal is as it was, however that comes.
pub(super) fn run(args: &StatusArgs) -> Result<(), Failure> {
    if !io::stdout().is_terminal() {
        let message = "--watch draws on a terminal, and stdout is none; use --json or --metrics FILE";
        return Err(Failure::new(kinds::NO_TERMINAL, message));
    }
    if say::is_dumb() {
        let message = "--watch draws on a terminal, and this one is dumb (TERM); use --json or --metrics FILE";
        return Err(Failure::new(kinds::NO_TERMINAL, message));
    }
    // whoever names a wrong socket is told at once
    let client = Client::connect(&args.socket)?;
    let signals = Signals::with_terminal().doing(kinds::SYSTEM, || "listen to signals".into())?;
    let mut terminal = Terminal::with_input(keyboard()?, stdio::output()?);
    terminal.make_raw().doing(kinds::TERMINAL_FAILED, || "use the terminal".into())?;
    let asker = Asker::start(args, client).doing(kinds::SYSTEM, || "start a thread".into())?;
    Watch::new(args, signals, terminal, asker)?.stay()
}

/// What somebody types at: stdin, else the terminal of the session; where neither is, only a signal ends it.
fn keyboard() -> Result<OwnedFd, Failure> {
    let stdin = stdio::input()?;
    if stdin.is_terminal() {
        return Ok(stdin);
    }
    Ok(File::options().read(true).write(true).open("/dev/tty").map_or(stdin, OwnedFd::from))
}

/// Asks `link` for its status, which may take as long as that likes.
struct Asker {
    orders: Sender<()>,
    answers: Receiver<Result<Value, Failure>>,
    /// Readable when there is an answer.
    woken: UnixStream,
    /// It was asked, and has not answered.
    busy: bool,
}

impl Asker {
    fn start(args: &StatusArgs, client: Client) -> io::Result<Asker> {
        let (woken, wake) = UnixStream::pair()?;
        woken.set_nonblocking(true)?;
        let (orders, todo) = channel();
        let (done, answers) = channel();
        let (socket, mut client) = (args.socket.clone(), Some(client));
        std::thread::Builder::new().name("ask".into()).spawn(move || {
            while todo.recv().is_ok() {
                // a link that has gone away is looked for again the next time
                let connected = client.take().map_or_else(|| Client::connect(&socket), Ok);
                let answer = connected.and_then(|mut c| c.status().map(|status| (c, status)));
                let answer = answer.map(|(answered, status)| {
                    client = Some(answered);
                    status
                });
                if done.send(answer).is_err() || (&wake).write_all(b"x").is_err() {
                    return;
                }
            }
        })?;
        Ok(Asker { orders, answers, woken, busy: false })
    }
    fn ask(&mut self) {
        self.busy |= self.orders.send(()).is_ok();
    }
    fn answer(&mut self) -> Option<Result<Value, Failure>> {
        let _ = io::Read::read(&mut &self.woken, &mut [0; 16]);
        let answer = self.answers.try_recv().ok()?;
        self.busy = false;
        Some(answer)
    }
}

/// What is drawn and not written yet.
#[derive(Clone, Debug, Default)]
struct Picture(Rc<RefCell<Vec<u8>>>);

impl Write for Picture {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Watch {
    signals: Signals,
    terminal: Terminal,
    asker: Asker,
    interval: Duration,
    screen: Screen,
    drawn: ratatui::Terminal<CrosstermBackend<Picture>>,
    picture: Picture,
    /// When to ask again.
    due: Instant,
}

impl Watch {
    fn new(args: &StatusArgs, signals: Signals, terminal: Terminal, asker: Asker) -> Result<Watch, Failure> {
        let picture = Picture::default();
        picture.0.borrow_mut().extend_from_slice(ENTER);
        let drawn = ratatui::Terminal::new(CrosstermBackend::new(picture.clone()));
        let drawn = drawn.doing(kinds::TERMINAL_FAILED, || "use the terminal".into())?;
        Ok(Watch {
            signals,
            terminal,
            asker,
            interval: args.interval.unwrap_or(INTERVAL),
            screen: Screen::new(&args.socket.display().to_string()),
            drawn,
            picture,
            due: Instant::now(),
        })
    }

    fn stay(&mut self) -> Result<(), Failure> {
        let mut fresh = true;
        loop {
            if Instant::now() >= self.due && !self.asker.busy {
                self.asker.ask();
                self.due = Instant::now() + self.interval;
            }
            // a picture that nobody takes is not drawn over
            if fresh && [&b""[..], ENTER].contains(&self.picture.0.borrow().as_slice()) {
                let screen = &self.screen;
                self.drawn.draw(|frame| screen.draw(frame)).doing(kinds::TERMINAL_FAILED, || "draw".into())?;
                fresh = false;
            }
            let ready = self.poll().doing(kinds::SYSTEM, || "wait for input".into())?;
            while let Some(signal) = self.signals.take() {
                match signal {
                    Signal::End(number) => return Err(Failure::signal(number, "")),
                    Signal::Terminal => {
                        let _ = self.terminal.make_raw_again();
                        fresh = true;
                    }
                    _ => {}
                }
            }
            while let Some(answer) = self.asker.answer() {
                match answer {
                    Ok(status) => self.screen.update(status, Instant::now()),
                    Err(failure) => self.screen.lost(&failure.message),
                }
                fresh = true;
            }
            if self.terminal.is_gone() {
                return Err(Failure::new(kinds::TERMINAL_FAILED, "the terminal is gone"));
            }
            if ready.0.contains(PollFlags::POLLIN) && self.is_left()? {
                return Ok(());
            }
            self.write(ready.1)?;
        }
    }

    /// What the keyboard and the screen are ready for.
    fn poll(&self) -> io::Result<(PollFlags, PollFlags)> {
        let mut wants = PollFlags::empty();
        wants.set(PollFlags::POLLOUT, !self.picture.0.borrow().is_empty());
        let mut fds = vec![
            (self.signals.fd(), PollFlags::POLLIN),
            (self.asker.woken.as_fd(), PollFlags::POLLIN),
            (self.terminal.output.as_fd(), wants),
        ];
        if self.terminal.types {
            fds.push((self.terminal.input.as_fd(), PollFlags::POLLIN));
        }
        let timeout = (!self.asker.busy).then(|| self.due.saturating_duration_since(Instant::now()));
        let ready = wait(&fds, timeout)?;
        Ok((ready.get(3).copied().unwrap_or(PollFlags::empty()), ready[2]))
    }

    /// Whether a key was pressed that ends it.
    fn is_left(&self) -> Result<bool, Failure> {
        let mut keys = [0; 256];
        match nix::unistd::read(&self.terminal.input, &mut keys) {
            Ok(0) | Err(Errno::EIO) => Err(Failure::new(kinds::TERMINAL_FAILED, "the terminal is gone")),
            Ok(n) => Ok(is_end(&keys[..n])),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(false),
            Err(e) => Err(Failure::new(kinds::INPUT_FAILED, format!("cannot read the keyboard: {e}"))),
        }
    }

    fn write(&self, ready: PollFlags) -> Result<(), Failure> {
        let mut picture = self.picture.0.borrow_mut();
        let piece = picture.len().min(self.terminal.piece);
        if piece == 0 || !ready.contains(PollFlags::POLLOUT) {
            return Ok(());
        }
        match nix::unistd::write(&self.terminal.output, &picture[..piece]) {
            Ok(n) => drop(picture.drain(..n)),
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(e) => return Err(Failure::new(kinds::TERMINAL_FAILED, format!("cannot draw: {e}"))),
        }
        Ok(())
    }

    /// Puts the screen back that was there before, where the terminal still takes that.
    fn give_back(&mut self) {
        *self.picture.0.borrow_mut() = LEAVE.to_vec();
        let until = Instant::now() + GIVE_BACK;
        while !self.picture.0.borrow().is_empty() && Instant::now() < until && !self.terminal.is_gone() {
            let left = until.saturating_duration_since(Instant::now());
            let ready = wait(&[(self.terminal.output.as_fd(), PollFlags::POLLOUT)], Some(left));
            if !ready.is_ok_and(|ready| self.write(ready[0]).is_ok()) {
                break;
            }
        }
        self.terminal.restore();
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// Whether one of the keys that were pressed ends it: q, Ctrl-C, or Esc by itself (others begin with it).
fn is_end(keys: &[u8]) -> bool {
    let typed = keys.iter().position(|&key| key == ESCAPE).map_or(keys, |at| &keys[..at]);
    keys == [ESCAPE] || typed.iter().any(|key| [b'q', CTRL_C].contains(key))
}

#[cfg(test)]
mod tests {
    use super::is_end;

    #[test]
    fn keys_that_begin_with_escape_end_nothing() {
        for keys in [&b"q"[..], b"\x03", b"\x1b", b"xq", b"q\x1b[A"] {
            assert!(is_end(keys), "{keys:?}");
        }
        for keys in [&b""[..], b"x", b"\x1b[A", b"\x1bOq", b"\x1b[<0;1;1M"] {
            assert!(!is_end(keys), "{keys:?}");
        }
    }
}
