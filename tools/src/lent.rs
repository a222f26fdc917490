//! `stdio:` at the prompt of a login on a serial line: the terminal is the wire while the command runs. It is raw for so long,
//! and goes back to the shell once nothing comes any more: a shell would run what is left of a frame.
//!
//! The command runs in a child of this process, which has the same words: so the terminal is put in order although it is killed.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::PollFlags;
use nix::sys::signal::{Signal as Number, kill};
use nix::sys::termios::{FlushArg, SetArg, Termios, cfmakeraw, tcflush, tcgetattr, tcsetattr};
use nix::unistd::{Pid, getpid, getppid};

use crate::drive::wait;
use crate::error::{Doing, Failure, kinds};
use crate::limit;
use crate::log::{hint, last_words};
use crate::port::serial::queued;
use crate::signal::{Signal, Signals};

/// The child knows by this variable who keeps its terminal.
const KEPT_BY: &str = "HARDLINE_TERMINAL_KEPT_BY";
/// So long nothing must have come: a peer that goes on calls once in 1.25 s at least. And how long that is waited for.
const QUIET: Duration = Duration::from_millis(1500);
const QUIET_MAX: Duration = Duration::from_secs(30);
/// A peer that still sends is told of, and told so, after this.
const LOUD: Duration = Duration::from_secs(5);
/// What has not left the terminal by then, and moves no more, never will.
const STUCK: Duration = Duration::from_secs(2);
/// How often it is looked at what has left.
const LOOK: Duration = Duration::from_millis(50);

/// Keeps the terminal that is our wire while a child of ours does what we were started for; its exit code. None: there is
/// nothing to keep, or this is the child.
///
/// # Errors
/// The terminal cannot be set, or the child not be started.
pub fn keep() -> Result<Option<u8>, Failure> {
    let keeper = std::env::var(KEPT_BY).ok().and_then(|id| id.parse().ok());
    if keeper == Some(getppid().as_raw()) {
        return Ok(None);
    }
    let signals = Signals::with_children().doing(kinds::SYSTEM, || "listen to signals".into())?;
    hint("this terminal is the wire now; while nobody answers, Ctrl-C three times ends that");
    let lent = Lent::take().doing(kinds::TERMINAL_FAILED, || "set the terminal".into())?;
    let child = start().doing(kinds::SYSTEM, || "start the process that uses the terminal".into())?;
    let status = outlive(child, &signals).doing(kinds::SYSTEM, || "wait for the process that uses the terminal".into())?;
    if let Some(signal) = status.signal() {
        // the peer hears it as well, as text
        last_words(&Failure::signal(signal, format!("ended by signal {signal}")));
    }
    lent.quieten(&signals);
    drop(lent);
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    Ok(Some(code as u8))
}

#[allow(unsafe_code)]
fn start() -> io::Result<Child> {
    let (keeper, mut words) = (getpid(), std::env::args_os());
    let mut command = Command::new("/proc/self/exe");
    command.arg0(words.next().unwrap_or_else(|| "hardline".into())).args(words).env(KEPT_BY, keeper.to_string());
    // SAFETY: prctl is safe between fork and exec. Without us nobody holds the shell back: it ends with us
    unsafe { command.pre_exec(|| Ok(nix::sys::prctl::set_pdeathsig(Number::SIGTERM)?)) };
    command.spawn()
}

/// Waits for its end, and passes on what we are told.
fn outlive(mut child: Child, signals: &Signals) -> io::Result<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        wait(&[(signals.fd(), PollFlags::POLLIN)], None)?;
        while let Some(signal) = signals.take() {
            let number = match signal {
                Signal::End(number) => Number::try_from(number).ok(),
                Signal::Stats => Some(Number::SIGUSR1),
                Signal::Reopen => Some(Number::SIGHUP),
                Signal::Child | Signal::Terminal => None,
            };
            // not reaped yet: the number is its own
            if let Some(number) = number {
                let _ = kill(Pid::from_raw(child.id() as i32), number);
            }
        }
    }
}

/// A terminal that is ours for a while: raw, and as it was when this is dropped.
#[derive(Debug)]
struct Lent {
    /// What is read from it, and written to it; one of them may be something else.
    input: Option<File>,
    output: Option<File>,
    before: Termios,
    flags: Vec<(OwnedFd, OFlag)>,
}

impl Lent {
    fn take() -> io::Result<Lent> {
        // one of them may be a file, of a wire that has one way
        let terminal = |fd: OwnedFd| fd.is_terminal().then(|| File::from(fd));
        let input = terminal(io::stdin().as_fd().try_clone_to_owned()?);
        let output = terminal(io::stdout().as_fd().try_clone_to_owned()?);
        let either = input.as_ref().or(output.as_ref()).ok_or_else(|| io::Error::other("it is none"))?;
        let before = tcgetattr(either)?;
        let mut flags = Vec::new();
        for file in input.iter().chain(&output) {
            flags.push((file.as_fd().try_clone_to_owned()?, OFlag::from_bits_truncate(fcntl(file, FcntlArg::F_GETFL)?)));
        }
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(either, SetArg::TCSANOW, &raw)?;
        Ok(Lent { input, output, before, flags })
    }

    /// Lets leave what was written, and throws away what comes, until nothing does. Who asks twice for the end gets it.
    fn quieten(&self, signals: &Signals) {
        let (began, mut latest, mut moved) = (Instant::now(), Instant::now(), Instant::now());
        let (mut left, mut told, mut buffer) = (usize::MAX, false, [0; 4096]);
        let fd = self.input.as_ref().map_or_else(|| signals.fd(), AsFd::as_fd);
        while began.elapsed() < QUIET_MAX {
            let Ok(ready) = wait(&[(fd, PollFlags::POLLIN), (signals.fd(), PollFlags::POLLIN)], Some(LOOK)) else { return };
            if let Some(mut input) = self.input.as_ref().filter(|_| !ready[0].is_empty()) {
                match input.read(&mut buffer) {
                    Ok(0) => return,
                    Ok(_) => latest = Instant::now(),
                    Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                    // it is hung up
                    Err(_) => return,
                }
            }
            while let Some(signal) = signals.take() {
                if matches!(signal, Signal::End(_)) {
                    return;
                }
            }
            let now = self.output.as_ref().map_or(0, |output| queued(output.as_fd()));
            if std::mem::replace(&mut left, now) != now {
                moved = Instant::now();
            }
            if latest.elapsed() >= QUIET && (left == 0 || moved.elapsed() >= STUCK) {
                return;
            }
            if latest.elapsed() < QUIET && began.elapsed() >= LOUD && !std::mem::replace(&mut told, true) {
                limit::warn(
                    kinds::STILL_SENDING,
                    "the other end still sends after the end: stop it there, or the shell here gets that",
                );
            }
        }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        for (fd, flags) in &self.flags {
            let _ = fcntl(fd, FcntlArg::F_SETFL(*flags));
        }
        let Some(terminal) = self.input.as_ref().or(self.output.as_ref()) else { return };
        let _ = tcflush(terminal, FlushArg::TCIFLUSH);
        let _ = tcsetattr(terminal, SetArg::TCSANOW, &self.before);
    }
}
