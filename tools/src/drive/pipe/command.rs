//! How a command in the place of stdin and stdout ends: that is part of the outcome.

use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use nix::poll::PollFlags;

use super::super::user::User;
use super::super::wait;
use super::Wire;
use crate::error::{Failure, kinds};
use crate::limit;
use crate::signal::{Signal, Signals};

/// A command that has not ended so long after the session is worth a word.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long one that was lost may take.
const LOST: Duration = Duration::from_secs(1);
/// How often a command is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// Waits for the end of a command that has everything, however long it takes: it may yet fail to store the last of it.
///
/// # Errors
/// A signal told us to end.
pub(super) fn outlast(user: &User, signals: &mut Signals) -> Result<(), Failure> {
    let (began, mut told) = (Instant::now(), false);
    while let Some(name) = user.running() {
        if began.elapsed() >= PATIENCE && !std::mem::replace(&mut told, true) {
            let words = format!("everything was delivered, but '{name}' has not ended; waiting for it (Ctrl-C ends it)");
            limit::warn(kinds::COMMAND_RUNS, words);
        }
        while let Some(signal) = signals.take() {
            match signal {
                Signal::End(number) => {
                    let words = format!("ended by signal {number}, while '{name}' had not ended");
                    return Err(Failure::signal(number, words));
                }
                Signal::Child => crate::guard::tend(),
                Signal::Stats | Signal::Terminal | Signal::Reopen => {}
            }
        }
        wait(&[(signals.fd(), PollFlags::POLLIN)], Some(LOOK)).map_err(|e| Wire::<1>::cannot_wait(&e))?;
    }
    Ok(())
}

/// What the end of the command adds to the outcome of the session.
pub(super) fn judge(user: &User, result: Result<(), Failure>) -> Result<(), Failure> {
    let began = Instant::now();
    while user.running().is_some() && result.is_err() && began.elapsed() < LOST {
        std::thread::sleep(LOOK);
    }
    match (result, user.ended()) {
        (Ok(()), Some((name, Ok(status)))) if !status.success() => {
            Err(Failure::new(kinds::COMMAND_FAILED, format!("'{name}' ended with {status}; everything it sent was delivered")))
        }
        (Ok(()), Some((name, Err(e)))) => Err(Failure::new(kinds::COMMAND_FAILED, format!("cannot wait for '{name}': {e}"))),
        // that it was told to end is no news
        (Err(failure), Some((name, Ok(status)))) if !status.success() && status.signal() != Some(libc::SIGTERM) => {
            let message = format!("{failure}; '{name}' ended with {status}");
            Err(failure.with(message))
        }
        (result, _) => result,
    }
}
