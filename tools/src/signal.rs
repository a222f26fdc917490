//! Signals, as a socket the loops poll.

use std::fs::read_to_string;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGWINCH, SIGXFSZ};

/// A signal that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Asked to end: SIGINT, SIGTERM or SIGHUP, by number.
    End(i32),
    /// SIGUSR1: write the statistics.
    Stats,
    /// SIGCHLD: a command has ended.
    Child,
    /// SIGWINCH or SIGCONT: our terminal has another size, or other settings.
    Terminal,
    /// SIGHUP where no terminal can have hung up: open the files anew that are written to.
    Reopen,
}

/// The signal that last asked for the end, whoever listens to it; 0 before.
static ASKED: LazyLock<Arc<AtomicUsize>> = LazyLock::new(Arc::default);

/// The signal that asked this process to end, if one did.
pub(crate) fn asked_to_end() -> Option<i32> {
    Some(ASKED.load(Ordering::SeqCst) as i32).filter(|number| *number != 0)
}

/// What SIGHUP means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hangup {
    /// The terminal is gone, or its user: the end.
    End,
    /// Open files anew.
    Reopen,
    /// Nothing: it was ignored at the start (nohup), or is somebody else's to hear.
    Nothing,
}

/// Whether SIGHUP was ignored when this process was started (nohup). Asked before the first handler takes the place of that.
static IGNORED: LazyLock<bool> = LazyLock::new(|| {
    let status = read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).map(|mask| u64::from_str_radix(mask.trim(), 16));
    matches!(mask, Some(Ok(mask)) if mask >> (SIGHUP - 1) & 1 == 1)
});

/// Whether this process has a terminal that can hang up: one of its session.
fn has_terminal() -> bool {
    let stat = read_to_string("/proc/self/stat").unwrap_or_default();
    // the name, in brackets, may have any character in it
    stat.rsplit_once(')').and_then(|(_, fields)| fields.split_whitespace().nth(4)).is_some_and(|tty| tty != "0")
}

/// From now on a write beyond the limit of a file's size (`ulimit -f`) fails with EFBIG, as on a full disk, and does not
/// end the process: the peer is told. Commands that are started have it as it was.
///
/// # Errors
/// The kernel refuses a handler.
pub fn outlive_file_limit() -> io::Result<()> {
    signal_hook::flag::register(SIGXFSZ, Arc::default()).map(drop)
}

/// The signals a command listens to, from the moment this is made.
#[derive(Debug)]
pub struct Signals {
    wake: UnixStream,
    seen: Vec<(i32, Arc<AtomicBool>)>,
    hangup: Hangup,
}

impl Signals {
    /// Begins to listen to those that end a command, and SIGUSR1.
    pub fn new() -> io::Result<Signals> {
        Signals::of(&[SIGINT, SIGTERM, SIGHUP, SIGUSR1])
    }
    /// And to the ends of commands.
    pub fn with_children() -> io::Result<Signals> {
        Signals::of(&[SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGCHLD])
    }
    /// Begins to listen to those that end a command, and to news of our terminal.
    pub fn with_terminal() -> io::Result<Signals> {
        Signals::of(&[SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGWINCH, SIGCONT])
    }
    fn of(numbers: &[i32]) -> io::Result<Signals> {
        let (wake, writer) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        let hangup = if *IGNORED { Hangup::Nothing } else { Hangup::End };
        let mut seen = Vec::new();
        for &number in numbers {
            let flag = Arc::new(AtomicBool::new(false));
            signal_hook::flag::register(number, Arc::clone(&flag))?;
            signal_hook::low_level::pipe::register(number, writer.try_clone()?)?;
            if [SIGINT, SIGTERM].contains(&number) {
                signal_hook::flag::register_usize(number, Arc::clone(&*ASKED), number as usize)?;
            }
            seen.push((number, flag));
        }
        Ok(Signals { wake, seen, hangup })
    }

    /// There are files to open anew: without a terminal that could hang up (a service), or under nohup, SIGHUP asks for that.
    /// With one it asks for the end as ever, whoever sends it.
    pub fn reopening(mut self) -> Signals {
        if self.hangup == Hangup::Nothing || !has_terminal() {
            self.hangup = Hangup::Reopen;
        }
        self
    }
    /// SIGHUP is for another part of this process.
    pub fn without_hangup(mut self) -> Signals {
        self.hangup = Hangup::Nothing;
        self
    }

    /// What to poll for reading.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// The signal that asks for the end, if one came in; others wait until somebody takes them.
    pub fn take_end(&self) -> Option<i32> {
        self.drain();
        let ends = |number: i32| match number {
            SIGHUP => self.hangup == Hangup::End,
            number => [SIGINT, SIGTERM].contains(&number),
        };
        self.seen.iter().find(|(number, flag)| ends(*number) && flag.swap(false, Ordering::Relaxed)).map(|seen| seen.0)
    }

    /// Takes what woke us; says whether there was anything.
    fn drain(&self) -> bool {
        let mut some = false;
        while (&self.wake).read(&mut [0u8; 256]).is_ok_and(|n| n > 0) {
            some = true;
        }
        some
    }

    /// A signal that came in since the last call.
    pub fn take(&self) -> Option<Signal> {
        loop {
            let Some((number, _)) = self.seen.iter().find(|s| s.1.swap(false, Ordering::Relaxed)) else {
                // a burst leaves more than one byte for a flag; what comes behind this sets its flag before it wakes
                if self.drain() {
                    continue;
                }
                return None;
            };
            return Some(match (*number, self.hangup) {
                (SIGHUP, Hangup::Nothing) => continue,
                (SIGHUP, Hangup::Reopen) => Signal::Reopen,
                (SIGUSR1, _) => Signal::Stats,
                (SIGCHLD, _) => Signal::Child,
                (SIGWINCH | SIGCONT, _) => Signal::Terminal,
                (number, _) => Signal::End(number),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever waits for a signal must not be woken for ever by one that was taken.
    #[test]
    fn a_burst_leaves_nothing_to_wake_for() {
        let signals = Signals::of(&[SIGUSR1]).unwrap();
        for _ in 0..3000 {
            signal_hook::low_level::raise(SIGUSR1).unwrap();
        }
        let taken = std::iter::from_fn(|| signals.take()).count();
        assert!(taken >= 1, "{taken}");
        let mut fds = [nix::poll::PollFd::new(signals.fd(), nix::poll::PollFlags::POLLIN)];
        assert_eq!(nix::poll::poll(&mut fds, nix::poll::PollTimeout::ZERO), Ok(0));
    }
}
