//! How a command ends: exit codes and one-line errors.

use std::fmt;

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
}

/// Why a command ended other than well: the exit code and the line to print.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The code to exit with.
    pub exit: Exit,
    /// What was being done, on what, what went wrong, what to try; empty where the code says it all.
    pub message: String,
}

impl Failure {
    /// A failure with this code and line.
    pub fn new(exit: Exit, message: impl Into<String>) -> Failure {
        Failure { exit, message: message.into() }
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
    fn doing(self, exit: Exit, doing: impl FnOnce() -> String) -> Result<T, Failure>;
}

impl<T, E: fmt::Display> Doing<T> for Result<T, E> {
    fn doing(self, exit: Exit, doing: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|e| Failure::new(exit, format!("cannot {}: {e}", doing())))
    }
}
