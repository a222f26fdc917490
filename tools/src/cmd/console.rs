//! `hardline console`: a terminal at a service of the peer's.

use std::os::unix::net::UnixStream;

use crate::cli::{Common, ConsoleArgs, LogFormat};
use crate::drive::console::{self, Record, Wish};
use crate::drive::hub::{Hub, Plan};
use crate::drive::wire::Settings;
use crate::error::{Doing, Failure, kinds};
use crate::signal::Signals;

/// Runs until the far shell has ended, or the user leaves.
pub fn run(common: &Common, args: &ConsoleArgs) -> Result<(), Failure> {
    let openers = super::openers(&args.port)?;
    if !openers[0].can_reopen() {
        return Err(Failure::new(kinds::PORT_MISUSED, "stdio: cannot be the wire of a console: it is the terminal's"));
    }
    let record = match &args.log {
        Some(LogFormat::Shown(path)) => Some(Record::open(path)?),
        _ => None,
    };
    let wish = Wish { name: args.name.clone(), read_only: args.read_only, force: args.force, record };
    if let Some(client) = super::held_wire(common, &args.port)? {
        return console::run(client.into_stream(), wish);
    }
    // the console knows whether it was the terminal that hung up, and takes the wire with it
    let signals = Signals::with_children().doing(kinds::SYSTEM, || "listen to signals".into())?.without_hangup();
    // what is typed is the far shell's
    let settings = Settings { ask: false, ..super::settings(common, &args.port, false)? };
    let mut hub = Hub::open(openers, settings, Plan::default(), signals)?;
    // a terminal that stands still must not hold up the wire: each has a thread, and a socket between them
    let started = UnixStream::pair().and_then(|(ours, theirs)| {
        hub.serve_alone(theirs)?;
        Ok((ours, std::thread::Builder::new().name("wire".into()).spawn(move || hub.run())?))
    });
    let (control, wire) = started.doing(kinds::SYSTEM, || "start the wire".into())?;
    let result = console::run(control, wish);
    let wire = wire.join().unwrap_or_else(|_| Err(Failure::new(kinds::SYSTEM, "the wire broke down")));
    result.and(wire)
}
