//! `hardline link`: a wire that is held, with services and forwards on it.

use crate::cli::{Common, LinkArgs};
use crate::drive::hub::{Hub, Plan};
use crate::drive::wire::{Identity, Settings};
use crate::error::{Doing, Exit, Failure};
use crate::notify;
use crate::port::Opener;
use crate::port::socket::is_listened_on;
use crate::signal::Signals;
use crate::stats;

/// Runs until told to end.
pub fn run(common: &Common, args: &LinkArgs) -> Result<(), Failure> {
    let signals = Signals::with_children().doing(Exit::Failed, || "listen to signals".into())?;
    check(args)?;
    stats::check(common.stats.as_deref())?;
    let opener = Opener::new(args.port.port.clone(), args.port.options())?;
    let identity = Identity::new(&args.port.seal)?;
    if identity.is_plain() && !args.service.is_empty() && !args.port.seal.plain {
        let message = "services need --key FILE or --psk FILE, so that only the peer can use them; --plain offers them to whoever has the wire";
        return Err(Failure::new(Exit::Usage, message));
    }
    let settings = Settings { grace: args.port.grace, wait: true, hold: true, stats: common.stats.clone(), identity, ask: true };
    let plan =
        Plan { services: args.service.clone(), forwards: args.forward.clone(), control: args.control.clone(), once: false };
    let hub = Hub::open(opener, settings, plan, signals)?;
    notify::say("READY=1");
    hub.run()
}

/// What can be said before anything is opened.
fn check(args: &LinkArgs) -> Result<(), Failure> {
    for (i, service) in args.service.iter().enumerate() {
        if args.service[..i].iter().any(|s| s.name == service.name) {
            return Err(Failure::new(Exit::Usage, format!("two services are called '{}'", service.name)));
        }
    }
    for (i, forward) in args.forward.iter().enumerate() {
        if let Some(other) = args.forward[..i].iter().find(|f| f.is_beside(forward)) {
            let message = format!("--forward {other} and --forward {forward} would listen at the same place");
            return Err(Failure::new(Exit::Usage, message));
        }
    }
    match &args.control {
        Some(path) if is_listened_on(path) => {
            let path = path.display();
            let message = format!("another 'hardline link' holds the control socket {path}; end that one or choose another path");
            Err(Failure::new(Exit::Failed, message))
        }
        _ => Ok(()),
    }
}
