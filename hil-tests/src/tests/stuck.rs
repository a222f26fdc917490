//! A transmitter that takes nothing any more (flow control, a far end that stopped): the kernel waits up to
//! 30 s in close for what is still to be sent, unless it is discarded first.

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::Verdict;
use crate::process::{Input, Scratch};
use crate::rig::Rig;
use crate::tty::Tty;

/// More than the kernel and the emulated machine hold.
const PLENTY: usize = 1 << 20;
const PROMPT: Duration = Duration::from_secs(3);

/// The word that makes this program fill a port instead of testing.
pub(crate) const FILL: &str = "--fill";
const FULL: u8 = 0;
const NOT_STUCK: u8 = 1;

/// Fills a port until it takes nothing, and ends without its own close being held up.
pub(crate) fn fill(port: &str, rig: &Rig) -> ExitCode {
    let mut tty = match Tty::open(port, rig.baud) {
        Ok(tty) => tty,
        Err(why) => {
            eprintln!("hil: {why}");
            return ExitCode::from(2);
        }
    };
    let filled = tty.write_until_stuck(PLENTY);
    tty.discard();
    // where nothing can be discarded, only the end of the process ends the close
    std::thread::spawn(move || drop(tty));
    std::thread::sleep(Duration::from_millis(300));
    ExitCode::from(if filled < PLENTY { FULL } else { NOT_STUCK })
}

/// Fills the port, starts a command on it, and ends that with a signal.
fn ends_at_once(rig: &Rig, command: &[&str]) -> Verdict {
    let scratch = Scratch::new()?;
    let myself = std::env::current_exe().map_err(|e| e.to_string())?;
    let filled = Command::new(myself).args([FILL, &rig.stuck]).status().map_err(|e| e.to_string())?;
    if filled.code() != Some(i32::from(FULL)) {
        return Err(format!("{} cannot be filled: {filled}; it took {PLENTY} bytes, or cannot be opened", rig.stuck));
    }
    let input = scratch.random("in", 200_000, 5)?;
    let mut process = scratch.start(rig, "hardline", command, Input::File(&input))?;
    process.holds(&rig.stuck, Duration::from_secs(10))?;
    std::thread::sleep(Duration::from_secs(2));
    let began = Instant::now();
    process.signal(Signal::SIGTERM);
    process.end(Duration::from_secs(45))?;
    let took = began.elapsed();
    let verdict = format!("{:.1} s after SIGTERM", took.as_secs_f64());
    if took <= PROMPT { Ok(verdict) } else { Err(format!("it ended {verdict}: {}", process.said())) }
}

pub(super) fn pipe_ends_at_once(rig: &Rig) -> Verdict {
    ends_at_once(rig, &["pipe", &rig.stuck, "-b", &rig.baud.to_string(), "--plain"])
}

pub(super) fn diode_ends_at_once(rig: &Rig) -> Verdict {
    ends_at_once(rig, &["diode", "send", &rig.stuck, "-b", &rig.baud.to_string(), "--stream"])
}
