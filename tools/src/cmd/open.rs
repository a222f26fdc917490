//! `hardline open`: stdin and stdout to a service of the peer's.

use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, OwnedFd};

use link::Class;

use crate::cli::{Common, OpenArgs};
use crate::drive::client::Client;
use crate::drive::hub::{Hub, Plan};
use crate::error::{Doing, Failure, kinds};
use crate::progress::Follower;
use crate::signal::Signals;

/// Runs until the channel has ended.
pub fn run(common: &Common, args: &OpenArgs) -> Result<(), Failure> {
    let own = || -> io::Result<(OwnedFd, OwnedFd)> {
        Ok((io::stdin().as_fd().try_clone_to_owned()?, io::stdout().as_fd().try_clone_to_owned()?))
    };
    let (input, output) = own().doing(kinds::STDIO_CLOSED, || "use stdin and stdout".into())?;
    let typed = input.as_fd().is_terminal() || output.as_fd().is_terminal();
    let _bar = Follower::new(!common.quiet && !typed);
    if let Some(path) = super::held_wire(common, &args.port)? {
        return Client::connect(&path)?.open(&args.name, Class::Learnt, input, output);
    }
    let signals = Signals::with_children().doing(kinds::SYSTEM, || "listen to signals".into())?;
    let openers = super::openers(&args.port)?;
    let settings = super::settings(common, &args.port, false)?;
    if !openers[0].can_reopen() {
        return Err(Failure::new(kinds::PORT_MISUSED, "stdio: cannot be the wire here: stdin and stdout are the channel's"));
    }
    let mut hub = Hub::open(openers, settings, Plan::default(), signals)?;
    hub.want(&args.name, Class::Learnt, input, output);
    hub.run()
}
