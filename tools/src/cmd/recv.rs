//! `hardline recv`: files and folders from `hardline send` at the other end.

use std::time::Duration;

use nix::poll::PollFlags;

use crate::cli::{Common, RecvArgs};
use crate::drive::client::Client;
use crate::drive::hub::{Hub, Plan, Service, Target};
use crate::drive::wait;
use crate::error::{Doing, Exit, Failure, kinds};
use crate::files::SERVICE;
use crate::files::door::{Door, Opened};
use crate::files::folder::Folder;
use crate::files::progress::Show;
use crate::signal::{Signal, Signals};

/// How long the receiver may take to notice that its channel has ended: it may be hashing.
const NOTICE: Duration = Duration::from_secs(2);

/// Runs until one sender has sent everything, or for ever.
pub fn run(common: &Common, args: &RecvArgs) -> Result<(), Failure> {
    // before the folder is made
    let held = super::held_wire(common, &args.port)?;
    let folder = Folder::open(&args.out).doing(kinds::FOLDER_UNUSABLE, || format!("put files into {}", args.out.display()))?;
    let signals = Signals::with_children().doing(kinds::SYSTEM, || "listen to signals".into())?;
    let door = Door::new().doing(kinds::SYSTEM, || "make a socket in a temporary folder".into())?;
    let opened = door
        .open(folder, args.forever, Show { quiet: common.quiet, json: args.json })
        .doing(kinds::SYSTEM, || "wait for a sender".into())?;
    match held {
        Some(mut client) => {
            client.offer(SERVICE, door.path())?;
            through_link(client, &signals, opened)
        }
        None => through_port(common, args, signals, &door, opened),
    }
}

/// The wire is held by another process.
fn through_link(client: Client, signals: &Signals, opened: Opened) -> Result<(), Failure> {
    loop {
        let watched = [signals.fd(), client.fd(), opened.fd()].map(|fd| (fd, PollFlags::POLLIN));
        let ready = wait(&watched, None).doing(kinds::SYSTEM, || "wait for a sender".into())?;
        if let Some(Signal::End(number)) = signals.take() {
            return Err(Failure::signal(number, format!("ended by signal {number}")));
        }
        let over = !ready[2].is_empty();
        if over || !ready[1].is_empty() {
            let said = (!ready[1].is_empty()).then(|| client.end());
            let link_gone = || Err(said.unwrap_or_else(|| Failure::new(kinds::LINK_ENDED, "'hardline link' has ended")));
            return opened.end(NOTICE).unwrap_or_else(link_gone);
        }
    }
}

/// The wire is held here.
fn through_port(common: &Common, args: &RecvArgs, signals: Signals, door: &Door, opened: Opened) -> Result<(), Failure> {
    let openers = super::openers(&args.port)?;
    let hold = args.forever;
    let settings = super::settings(common, &args.port, hold)?;
    let target = Target::Unix(door.path().to_string_lossy().into_owned());
    let services = vec![Service { name: SERVICE.into(), target }];
    let plan = Plan { services, once: !args.forever, ..Plan::default() };
    let held = Hub::open(openers, settings, plan, signals)?.run();
    match (opened.end(NOTICE), held) {
        // everything came: how the channel ended does not matter any more
        (Some(Ok(())), Err(failure)) if failure.exit == Exit::Lost => Ok(()),
        (Some(Ok(())) | None, held) => held,
        // the reason the channel ended says more than that it did
        (Some(Err(failure)), Err(held)) if failure.exit == Exit::Lost => Err(held),
        (Some(Err(failure)), _) => Err(failure),
    }
}
