//! `hardline pipe`: stdin and stdout, or a command's, to the peer's.

use std::io::{self, IsTerminal};

use crate::cli::{Common, PipeArgs};
use crate::drive::pipe::Session;
use crate::drive::user::User;
use crate::error::{Doing, Failure, kinds};
use crate::progress::{self, Meter};
use crate::signal::Signals;

/// Runs the command to its end.
pub fn run(common: &Common, args: &PipeArgs) -> Result<(), Failure> {
    let signals = Signals::with_children().doing(kinds::SYSTEM, || "listen to signals".into())?;
    let openers = super::openers(&args.port)?;
    if !openers[0].can_reopen() && args.command.is_empty() {
        return Err(Failure::new(kinds::USAGE, "with stdio: as the wire, pipe needs a command: hardline pipe stdio: -- CMD"));
    }
    let settings = super::settings(common, &args.port, false)?;
    // the port first: a command must not start for a port that is not there
    let session = Session::open(openers, settings, signals)?;
    let user = if args.command.is_empty() { User::stdio()? } else { User::command(&args.command)? };
    session.run(user, meter(common, args))
}

/// A bar where it is clear that a file travels; a ProxyCommand has the terminal of its ssh as stderr.
fn meter(common: &Common, args: &PipeArgs) -> Meter {
    let (stdin, stdout) = (io::stdin(), io::stdout());
    let files = progress::is_file(&stdin) || progress::is_file(&stdout);
    let typed = stdin.is_terminal() || stdout.is_terminal();
    Meter::new(!common.quiet && args.command.is_empty() && !typed && (files || args.progress))
}
