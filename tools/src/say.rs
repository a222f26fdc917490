//! Lines for the user. On stderr they are an aside: one that cannot be written must not end what runs.
//! On stdout they are what was asked for: one that cannot be written is an error.

use std::fmt::Display;
use std::io::{self, IsTerminal};

use crate::error::{Doing, Failure, kinds};
use crate::names::visible;
use crate::signal::asked_to_end;
use crate::{progress, stderr, stdio};

/// A line on stderr.
pub fn aside(line: impl Display) {
    let line = format!("{line}\n");
    // whatever it was made of
    let line = visible(&line);
    let _ = progress::beside(|| stderr::write(line.as_bytes()));
}

/// A line, or several, on stdout. Who does not read them is waited for, unless a signal asks for the end.
pub fn answer(text: impl Display) -> Result<(), Failure> {
    stdio::check_output()?;
    let line = format!("{text}\n");
    let written = match io::stdout().is_terminal() {
        // which may have the bar as well; others want to write beside that while nobody reads
        true => stdio::await_reader().and_then(|there| Ok(there && progress::beside(|| stdio::write(line.as_bytes()))?)),
        false => stdio::write(line.as_bytes()),
    };
    match asked_to_end() {
        Some(number) if matches!(written, Ok(false)) => {
            Err(Failure::signal(number, "interrupted; nobody read what was written to stdout"))
        }
        _ => written.map(drop).doing(kinds::OUTPUT_FAILED, || "write to stdout".into()),
    }
}

/// Whether a stream takes colours: a terminal that is not `dumb`, unless NO_COLOR (<https://no-color.org>) has a value.
pub fn is_colourful(stream: &impl IsTerminal) -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    stream.is_terminal() && !unwanted && !is_dumb() && std::env::var_os("TERM").is_some()
}

/// Whether the terminal only takes lines, without moves of the cursor.
pub fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}
