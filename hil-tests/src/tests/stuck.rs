//! A transmitter that takes nothing any more (flow control, a far end that stopped): the kernel waits up to
//! 30 s in close for what is still to be sent, unless it is discarded first.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::Verdict;
use crate::process::{Input, Scratch};
use crate::rig::Rig;
use crate::tty::Tty;

/// More than the kernel and the emulated machine hold.
const PLENTY: usize = 1 << 20;
const PROMPT: Duration = Duration::from_secs(3);

/// Fills the port, starts a command on it, and ends that with a signal.
fn ends_at_once(rig: &Rig, command: &[&str]) -> Verdict {
    let scratch = Scratch::new()?;
    let mut tty = Tty::open(&rig.stuck, rig.baud)?;
    let filled = tty.write_until_stuck(PLENTY);
    if filled == PLENTY {
        return Err(format!("{} took {PLENTY} bytes: it is not stuck", rig.stuck));
    }
    // no room for the command, or its own close would be seen
    tty.discard();
    drop(tty);
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
