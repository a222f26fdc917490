//! `hardline open`: stdin and stdout to a service of the peer's.

use std::io::IsTerminal;
use std::os::fd::AsFd;

use link::Class;

use crate::cli::{Common, OpenArgs};
use crate::drive::hub::{Hub, Plan};
use crate::error::{Doing, Failure, kinds};
use crate::progress::Follower;
use crate::signal::Signals;
use crate::stdio;

/// Runs until the channel has ended.
pub fn run(common: &Common, args: &OpenArgs) -> Result<(), Failure> {
    let (input, output) = (stdio::input()?, stdio::output()?);
    let typed = input.as_fd().is_terminal() || output.as_fd().is_terminal();
    let _bar = Follower::new(!common.quiet && !typed);
    if let Some(client) = super::held_wire(common, &args.port)? {
        return client.open(&args.name, Class::Learnt, input, output);
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
