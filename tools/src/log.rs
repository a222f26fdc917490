//! Logs go to stderr, as text or JSON; payload alone goes to stdout.

use crate::cli::{Common, LogFormat};

/// Sets up logging as asked for: warnings, with `-v` information, with `-vv` everything, with `-q` errors.
pub fn init(common: &Common) {
    let level = match (common.quiet, common.verbose) {
        (true, _) => tracing::Level::ERROR,
        (false, 0) => tracing::Level::WARN,
        (false, 1) => tracing::Level::INFO,
        (false, _) => tracing::Level::DEBUG,
    };
    let builder = tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(level).with_target(false);
    // it would complain on stderr that stderr cannot be written to, and panic
    let builder = builder.log_internal_errors(false);
    match &common.log {
        LogFormat::Json => builder.json().init(),
        LogFormat::Text | LogFormat::Shown(_) => builder.without_time().with_ansi(false).init(),
    }
}
