//! How channels and their commands have ended, as notes and in words.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use link::ResetCode;

use crate::error::{Failure, kinds};

/// Added to the number of a signal that ended a command (the value of a status note).
const BY_SIGNAL: u32 = 256;

/// The value of a status note.
pub(super) fn status_value(status: ExitStatus) -> u32 {
    match (status.code(), status.signal()) {
        (Some(code), _) => code as u32 & 0xFF,
        (None, signal) => BY_SIGNAL + signal.unwrap_or(0) as u32,
    }
}

/// Whether a signal ended it: what it said may not be the whole.
pub(super) fn was_killed(value: u32) -> bool {
    value >= BY_SIGNAL
}

/// How a command ended that did not end well.
pub(super) fn how_ended(value: u32) -> Option<String> {
    match value {
        0 => None,
        n if was_killed(n) => Some(format!("was ended by signal {}", n - BY_SIGNAL)),
        n => Some(format!("ended with exit code {n}")),
    }
}

/// The words for a status that is not 0.
pub(crate) fn status_words(value: u32) -> Option<String> {
    how_ended(value).map(|how| format!("the service {how}"))
}

/// What the user of a channel is told about its end by the peer.
pub(super) fn reset_failure(code: ResetCode) -> Failure {
    let (kind, words) = match code {
        ResetCode::NoService => (kinds::SERVICE_ABSENT, "the peer offers no service of that name"),
        ResetCode::Unreachable => (kinds::SERVICE_UNREACHABLE, "the peer could not reach or start the service"),
        ResetCode::Busy => (kinds::PEER_FULL, "the peer has no room for another channel"),
        ResetCode::Aborted => (kinds::CHANNEL_ABORTED, "the far end went away before everything was delivered"),
        ResetCode::Other(_) => (kinds::CHANNEL_ABORTED, "the peer ended the channel for a reason this version does not know"),
    };
    Failure::new(kind, words)
}

/// Commands that are being made to end.
static ENDING: AtomicUsize = AtomicUsize::new(0);

/// Ends a command beside the wire.
pub(super) fn ending(end: impl FnOnce() + Send + 'static) {
    ENDING.fetch_add(1, Ordering::SeqCst);
    std::thread::spawn(move || {
        end();
        ENDING.fetch_sub(1, Ordering::SeqCst);
    });
}

/// Waits until no command is left; they are given about a second.
pub(super) fn await_ends() {
    while ENDING.load(Ordering::SeqCst) > 0 {
        std::thread::sleep(Duration::from_millis(2));
    }
}
