//! How a command ends: exit codes and one-line errors.

mod exits;
pub mod kinds;

use std::fmt;

pub use self::exits::{EXPLANATIONS, Explanation};
pub use self::kinds::Kind;

/// Exit codes of every command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: everything was delivered and acknowledged.
    Done,
    /// 1: failed.
    Failed,
    /// 2: the command line is wrong.
    Usage,
    /// 3: the session was lost, or data could not be delivered.
    Lost,
    /// 4: something is missing (one way).
    Incomplete,
    /// 5: the peer refused, or is no hardline.
    Refused,
    /// 6: the port is not there, not permitted or busy.
    Port,
    /// 128 + N: ended by signal N.
    Signal(i32),
}

impl Exit {
    /// The number the shell sees.
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Lost => 3,
            Exit::Incomplete => 4,
            Exit::Refused => 5,
            Exit::Port => 6,
            Exit::Signal(n) => 128u8.saturating_add(n as u8),
        }
    }
    /// What the number means; none of a number that is no exit code of hardline's.
    pub fn of(code: u64) -> Option<Exit> {
        match code {
            0 => Some(Exit::Done),
            1 => Some(Exit::Failed),
            2 => Some(Exit::Usage),
            3 => Some(Exit::Lost),
            4 => Some(Exit::Incomplete),
            5 => Some(Exit::Refused),
            6 => Some(Exit::Port),
            129..=192 => Some(Exit::Signal(code as i32 - 128)),
            _ => None,
        }
    }
}

/// Why a command ended other than well: of which kind, the exit code and the line to print.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What can be looked up about it.
    pub kind: Kind,
    /// The code to exit with.
    pub exit: Exit,
    /// What was being done, on what, what went wrong, what to try; empty where the code says it all.
    pub message: String,
}

impl Failure {
    /// A failure of this kind, with one of the lines the kind is said with.
    pub fn new(kind: Kind, message: impl Into<String>) -> Failure {
        let message = message.into();
        debug_assert!(message.is_empty() || kind.fits(&message), "'{message}' is not said with {kind:?}");
        Failure { kind, exit: kind.exit, message }
    }
    /// A signal ended it.
    pub fn signal(number: i32, message: impl Into<String>) -> Failure {
        Failure { exit: Exit::Signal(number), ..Failure::new(kinds::INTERRUPTED, message) }
    }
    /// The same with other words.
    pub fn with(self, message: String) -> Failure {
        Failure { message, ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// Turns an IO error into a [`Failure`] that says what was being done.
pub trait Doing<T> {
    /// `doing` completes the sentence "cannot ..".
    fn doing(self, kind: Kind, doing: impl FnOnce() -> String) -> Result<T, Failure>;
}

impl<T, E: fmt::Display> Doing<T> for Result<T, E> {
    fn doing(self, kind: Kind, doing: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|e| Failure::new(kind, format!("cannot {}: {e}", doing())))
    }
}
