//! `hardline link`: a wire that is held, with services and forwards on it.

use nix::unistd::{Gid, Group};

use crate::cli::{Common, LinkArgs};
use crate::drive::hub::{Access, Hub, Plan};
use crate::drive::wire::{Identity, Settings};
use crate::error::{Doing, Failure, kinds};
use crate::notify;
use crate::port::socket::is_listened_on;
use crate::signal::Signals;
use crate::stats;

/// Runs until told to end.
pub fn run(common: &Common, args: &LinkArgs) -> Result<(), Failure> {
    let signals = Signals::with_children().doing(kinds::SYSTEM, || "listen to signals".into())?;
    let identity = Identity::new(&args.port.seal)?;
    services_fit(args, &identity)?;
    forwards_fit(args)?;
    control_is_free(args)?;
    stats::check(common.stats.as_deref())?;
    let openers = super::openers(&args.port)?;
    let settings = Settings { grace: args.port.grace, wait: true, hold: true, stats: common.stats.clone(), identity, ask: true };
    let plan = Plan { services: args.service.clone(), forwards: args.forward.clone(), control: access(args)?, ..Plan::default() };
    let hub = Hub::open(openers, settings, plan, signals)?;
    notify::say("READY=1");
    hub.run()
}

/// Whether the services can be offered together, to whoever this identity lets in.
pub(super) fn services_fit(args: &LinkArgs, identity: &Identity) -> Result<(), Failure> {
    for (i, service) in args.service.iter().enumerate() {
        if args.service[..i].iter().any(|s| s.name == service.name) {
            return Err(Failure::new(kinds::SERVICE_TWICE, format!("two services are called '{}'", service.name)));
        }
    }
    if identity.is_plain() && !args.service.is_empty() && !args.port.seal.plain {
        let message = "services need --key FILE or --psk FILE, so that only the peer can use them; --plain offers them to whoever has the wire";
        return Err(Failure::new(kinds::SERVICE_UNSEALED, message));
    }
    Ok(())
}

/// Whether every forward has a place of its own.
pub(super) fn forwards_fit(args: &LinkArgs) -> Result<(), Failure> {
    for (i, forward) in args.forward.iter().enumerate() {
        if let Some(other) = args.forward[..i].iter().find(|f| f.is_beside(forward)) {
            let message = format!("--forward {other} and --forward {forward} would listen at the same place");
            return Err(Failure::new(kinds::FORWARD_TWICE, message));
        }
    }
    Ok(())
}

/// Who may use the wire by way of the control socket.
fn access(args: &LinkArgs) -> Result<Option<Access>, Failure> {
    let Some(path) = args.control.clone() else { return Ok(None) };
    let group = args.control_group.as_deref().map(|name| {
        let known = name.parse().map(Gid::from_raw).ok().or_else(|| Group::from_name(name).ok().flatten().map(|group| group.gid));
        known.ok_or_else(|| {
            let message = format!("cannot make the control socket {}: there is no group '{name}'", path.display());
            Failure::new(kinds::CONTROL_UNMADE, message)
        })
    });
    let group = group.transpose()?;
    let mode = args.control_mode.unwrap_or(if group.is_some() { 0o660 } else { 0o600 });
    Ok(Some(Access { path, mode, group }))
}

fn control_is_free(args: &LinkArgs) -> Result<(), Failure> {
    match &args.control {
        Some(path) if is_listened_on(path) => {
            let path = path.display();
            let message = format!("another 'hardline link' holds the control socket {path}; end that one or choose another path");
            Err(Failure::new(kinds::CONTROL_TAKEN, message))
        }
        _ => Ok(()),
    }
}
