//! Lines for the user. On stderr they are an aside: one that cannot be written must not end what runs.
//! On stdout they are what was asked for: one that cannot be written is an error.

use std::fmt::Display;
use std::io::{self, Write};

use crate::error::{Doing, Exit, Failure};

/// A line on stderr.
pub fn aside(line: impl Display) {
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// A line, or several, on stdout.
pub fn answer(text: impl Display) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(format!("{text}\n").as_bytes()).and_then(|()| stdout.flush());
    written.doing(Exit::Failed, || "write to stdout".into())
}
