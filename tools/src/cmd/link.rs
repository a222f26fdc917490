//! `hardline link`: a wire that is held, with services and forwards on it.

use crate::cli::{Common, LinkArgs};
use crate::drive::hub::{Hub, Plan};
use crate::drive::wire::Settings;
use crate::error::{Doing, Exit, Failure};
use crate::notify;
use crate::port::Opener;
use crate::signal::Signals;

/// Runs until told to end.
pub fn run(common: &Common, args: &LinkArgs) -> Result<(), Failure> {
    let signals = Signals::with_children().doing(Exit::Failed, || "listen to signals".into())?;
    let opener = Opener::new(args.port.port.clone(), args.port.options())?;
    for (i, service) in args.service.iter().enumerate() {
        if args.service[..i].iter().any(|s| s.name == service.name) {
            return Err(Failure::new(Exit::Usage, format!("two services are called '{}'", service.name)));
        }
    }
    let settings = Settings { grace: args.port.grace, wait: true, hold: true, stats: common.stats.clone() };
    let plan =
        Plan { services: args.service.clone(), forwards: args.forward.clone(), control: args.control.clone(), once: false };
    let hub = Hub::open(opener, settings, plan, signals)?;
    notify::say("READY=1");
    hub.run()
}
