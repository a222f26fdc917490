//! `hardline recv`: files and folders from `hardline send` at the other end.

use std::os::unix::net::UnixStream;
use std::sync::mpsc::Sender;
use std::time::Duration;

use nix::poll::PollFlags;

use crate::cli::{Common, RecvArgs};
use crate::drive::client::Client;
use crate::drive::hub::{Hub, Plan};
use crate::drive::wait;
use crate::error::{Doing, Exit, Failure, kinds};
use crate::files::SERVICE;
use crate::files::door::Door;
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
    let show = Show { quiet: common.quiet, json: args.json };
    let (knock, door) = Door::open(folder, args.forever, show).doing(kinds::SYSTEM, || "wait for a sender".into())?;
    match held {
        Some(mut client) => {
            client.offer(SERVICE, !args.forever)?;
            through_link(client, &signals, knock, door)
        }
        None => through_port(common, args, signals, knock, door),
    }
}

/// The wire is held by another process.
fn through_link(mut client: Client, signals: &Signals, knock: Sender<UnixStream>, door: Door) -> Result<(), Failure> {
    let mut served = client.served(false);
    let over = loop {
        match served {
            // one that comes when nobody is waited for any more is hung up on
            Ok(senders) => senders.into_iter().for_each(|sender| drop(knock.send(sender))),
            Err(failure) => break failure,
        }
        let watched = [signals.fd(), client.fd(), door.fd()].map(|fd| (fd, PollFlags::POLLIN));
        let ready = wait(&watched, None).doing(kinds::SYSTEM, || "wait for a sender".into())?;
        if let Some(Signal::End(number)) = signals.take() {
            return Err(Failure::signal(number, format!("ended by signal {number}")));
        }
        if !ready[2].is_empty() {
            break Failure::new(kinds::LINK_ENDED, "'hardline link' has ended");
        }
        served = if ready[1].is_empty() { Ok(Vec::new()) } else { client.served(true) };
    };
    drop(knock);
    door.end(NOTICE).unwrap_or(Err(over))
}

/// The wire is held here.
fn through_port(
    common: &Common,
    args: &RecvArgs,
    signals: Signals,
    knock: Sender<UnixStream>,
    door: Door,
) -> Result<(), Failure> {
    let openers = super::openers(&args.port)?;
    let hold = args.forever;
    let settings = super::settings(common, &args.port, hold)?;
    let plan = Plan { takes: Some((SERVICE.into(), knock)), once: !args.forever, ..Plan::default() };
    let held = Hub::open(openers, settings, plan, signals)?.run();
    match (door.end(NOTICE), held) {
        // everything came: how the channel ended does not matter any more
        (Some(Ok(())), Err(failure)) if failure.exit == Exit::Lost => Ok(()),
        (Some(Ok(())) | None, held) => held,
        // the reason the channel ended says more than that it did
        (Some(Err(failure)), Err(held)) if failure.exit == Exit::Lost => Err(held),
        (Some(Err(failure)), _) => Err(failure),
    }
}
