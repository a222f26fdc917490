//! Logs go to stderr, as text or JSON; payload alone goes to stdout.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, IsTerminal};

use clap::error::Error;
use tracing::Level;
use tracing::field::Field;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::SubscriberBuilder;
use tracing_subscriber::fmt::format::{DefaultFields, Format, Writer, debug_fn};

use crate::cli::{Common, LogFormat};
use crate::error::{Failure, kinds};
use crate::names::{printable, visible};
use crate::{progress, say, stderr};

/// Sees of the words that were typed how to write what is wrong with them.
pub fn foresee(words: &[OsString]) {
    let own: Vec<_> = words.iter().take_while(|w| *w != "--").collect();
    let json = own.windows(2).any(|two| two[0] == "--log" && two[1] == "json") || own.iter().any(|w| *w == "--log=json");
    stderr::set_json(json);
}

/// Sets up logging as asked for: warnings, with `-v` information, with `-vv` everything, with `-q` errors.
pub fn init(common: &Common) {
    let level = match (common.quiet, common.verbose) {
        (true, _) => Level::ERROR,
        (false, 0) => Level::WARN,
        (false, 1) => Level::INFO,
        (false, _) => Level::DEBUG,
    };
    stderr::set_json(common.log == LogFormat::Json);
    match &common.log {
        LogFormat::Json => builder(level).json().init(),
        LogFormat::Text | LogFormat::Shown(_) => {
            builder(level).without_time().with_ansi(false).fmt_fields(debug_fn(field)).init();
        }
    }
}

type Builder = SubscriberBuilder<DefaultFields, Format, LevelFilter, fn() -> Stderr>;

fn builder(level: Level) -> Builder {
    let builder = tracing_subscriber::fmt().with_writer((|| Stderr) as fn() -> _).with_max_level(level).with_target(false);
    // it would complain on stderr that stderr cannot be written to, and panic
    builder.log_internal_errors(false)
}

/// Lines that step around a bar.
struct Stderr;

impl io::Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        progress::beside(|| stderr::write(bytes)).map(|()| bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The words, and the code they can be looked up by.
fn field(out: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    match field.name() {
        "message" => out.write_str(&visible(&format!("{value:?}"))),
        "code" => write!(out, " [{value:?}]"),
        name => write!(out, " {name}={value:?}"),
    }
}

/// Something for whoever sits at the terminal, and for nobody else.
pub fn hint(words: &str) {
    if io::stderr().is_terminal() && tracing::enabled!(Level::WARN) && !stderr::is_json() {
        say::aside(format_args!("hardline: {words}"));
    }
}

/// Why the command ends.
pub fn last_words(failure: &Failure) {
    if failure.message.is_empty() {
        return;
    }
    if !stderr::is_json() {
        return say::aside(format_args!("hardline: {failure} [{}]", failure.kind.code));
    }
    // the words that were typed may be wrong: then nothing was set up
    tracing::subscriber::with_default(builder(Level::ERROR).json().finish(), || {
        tracing::error!(code = failure.kind.code, exit = failure.exit.code(), "{failure}");
    });
}

fn answer_failed(failure: &Failure) -> i32 {
    last_words(failure);
    failure.exit.code().into()
}

/// What clap says of words it cannot take, in its own lines; help and version, which are no errors, as well. Ends the process.
pub fn end_with(error: &Error) -> ! {
    let text = error.render();
    if !error.use_stderr() {
        let shown = if say::is_colourful(&io::stdout()) { text.ansi().to_string() } else { text.to_string() };
        let said = say::answer(shown.strip_suffix('\n').unwrap_or(&shown));
        std::process::exit(said.map_or_else(|failure| answer_failed(&failure), |()| error.exit_code()));
    }
    if stderr::is_json() {
        let text = text.to_string();
        let first = text.split("\n\n").next().unwrap_or_default();
        let line = printable(first.trim().replace('\n', "; ").as_bytes());
        last_words(&Failure::new(kinds::USAGE, line));
    } else {
        let text = if say::is_colourful(&io::stderr()) { text.ansi().to_string() } else { text.to_string() };
        say::aside(format_args!("{} [{}]", text.trim_end(), kinds::USAGE.code));
    }
    std::process::exit(error.exit_code());
}
