//! `hardline explain`: what an exit code means, and what to do.

use std::fmt::Write;

use nix::sys::signal::Signal;

use crate::cli::ExplainArgs;
use crate::error::{EXPLANATIONS, Exit, Explanation, Failure};
use crate::say::answer;

/// Signals that have a code: 128 + 1 to 128 + 64.
const SIGNALS: std::ops::RangeInclusive<i32> = 1..=64;

/// Prints one code, or the list of all.
///
/// # Errors
/// A number that is no exit code of hardline's (2).
pub fn run(args: &ExplainArgs) -> Result<(), Failure> {
    match args.code {
        Some(code) => answer(explain(code)?),
        None => answer(EXPLANATIONS.iter().map(|e| format!("{:5}  {}", name(e), e.meaning)).collect::<Vec<_>>().join("\n")),
    }
}

/// Code, meaning, cause and remedy, a paragraph each.
///
/// # Errors
/// As `run`.
pub fn explain(code: u8) -> Result<String, Failure> {
    let signal = i32::from(code) - 128;
    let found = EXPLANATIONS.iter().find(|e| e.code == code.min(128) && (code < 128 || SIGNALS.contains(&signal)));
    let Some(found) = found else {
        let message = format!(
            "{code} is no exit code of hardline's, which are 0 to 6 and 128 + the number of a signal; the command after -- may have its own"
        );
        return Err(Failure::new(Exit::Usage, message));
    };
    let meaning = match Signal::try_from(signal) {
        Ok(named) => format!("ended by signal {signal} ({named})"),
        Err(_) => found.meaning.to_owned(),
    };
    Ok(format!("{code}: {meaning}\n\nCause: {}\n\nRemedy: {}", found.cause, found.remedy))
}

/// `docs/errors.md`.
pub fn document() -> String {
    let mut text = String::from(
        "# Exit codes\n\n`hardline explain CODE` says the same. Written by `HARDLINE_BLESS=1 cargo test -p tools --test explain`.\n",
    );
    for e in &EXPLANATIONS {
        let _ = write!(text, "\n## {}: {}\n\n**Cause.** {}\n\n**Remedy.** {}\n", name(e), e.meaning, e.cause, e.remedy);
    }
    text
}

fn name(explanation: &Explanation) -> String {
    if explanation.code == 128 { "128+N".into() } else { explanation.code.to_string() }
}
