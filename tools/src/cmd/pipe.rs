//! `hardline pipe`: stdin and stdout, or a command's, to the peer's.

use crate::cli::{Common, PipeArgs};
use crate::drive::pipe::Session;
use crate::drive::user::User;
use crate::error::{Doing, Exit, Failure};
use crate::signal::Signals;

/// Runs the command to its end.
pub fn run(common: &Common, args: &PipeArgs) -> Result<(), Failure> {
    let signals = Signals::with_children().doing(Exit::Failed, || "listen to signals".into())?;
    let openers = super::openers(&args.port)?;
    if !openers[0].can_reopen() && args.command.is_empty() {
        return Err(Failure::new(Exit::Usage, "with stdio: as the wire, pipe needs a command: hardline pipe stdio: -- CMD"));
    }
    let settings = super::settings(common, &args.port, false)?;
    // the port first: a command must not start for a port that is not there
    let session = Session::open(openers, settings, signals)?;
    let user = if args.command.is_empty() { User::stdio()? } else { User::command(&args.command)? };
    session.run(user)
}
