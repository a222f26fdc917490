//! `hardline send`: files and folders to `hardline recv` at the other end.

use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use link::Class;
use nix::fcntl::{FcntlArg, fcntl};

use crate::cli::{Common, SendArgs};
use crate::drive::hub::{Hub, Plan};
use crate::error::{Doing, Exit, Failure, kinds};
use crate::files::progress::{Progress, Show};
use crate::files::sources::Sources;
use crate::files::{SERVICE, Summary, sender};
use crate::signal::Signals;

/// What the pipe to the wire holds: little, or what was sent is far ahead of what has left.
const PIPE: i32 = 8_192;
/// How long the sender may take to notice that its channel has ended.
const NOTICE: Duration = Duration::from_secs(2);

/// Runs until everything was answered for.
pub fn run(common: &Common, args: &SendArgs) -> Result<(), Failure> {
    let sources = Sources::gather(&args.files)?;
    let show = Show { quiet: common.quiet, json: args.json };
    let ends = || -> io::Result<_> {
        let ((input, to_us), (from_us, output)) = (io::pipe()?, io::pipe()?);
        fcntl(from_us.as_fd(), FcntlArg::F_SETPIPE_SZ(PIPE))?;
        Ok((input, output, OwnedFd::from(from_us), OwnedFd::from(to_us)))
    };
    let (input, output, from_us, to_us) = ends().doing(kinds::SYSTEM, || "make pipes".into())?;
    let channel = match super::held_wire(common, &args.port)? {
        Some(client) => {
            let sent = start(sources, input, output, show)?;
            (sent, client.open(SERVICE, Class::Bulk, from_us, to_us))
        }
        None => {
            let signals = Signals::with_children().doing(kinds::SYSTEM, || "listen to signals".into())?;
            let openers = super::openers(&args.port)?;
            let settings = super::settings(common, &args.port, false)?;
            let mut hub = Hub::open(openers, settings, Plan::default(), signals)?;
            let sent = start(sources, input, output, show)?;
            hub.want(SERVICE, Class::Bulk, from_us, to_us);
            (sent, hub.run())
        }
    };
    verdict(&channel.0, channel.1)
}

type Sent = Receiver<Result<Summary, Failure>>;

/// Sends beside the wire.
fn start(sources: Sources, input: PipeReader, output: PipeWriter, show: Show) -> Result<Sent, Failure> {
    let (done, sent) = channel();
    let run = move || {
        let mut progress = Progress::new(show);
        let result = sender::send(input, output, &sources, &mut progress);
        let result = result.and_then(|summary| progress.finish("sent", &summary).map(|()| summary));
        drop(progress);
        let _ = done.send(result);
    };
    std::thread::Builder::new().spawn(run).doing(kinds::SYSTEM, || "start a thread".into())?;
    Ok(sent)
}

/// How it ended, of what the receiver answered and what became of the channel.
fn verdict(sent: &Sent, channel: Result<(), Failure>) -> Result<(), Failure> {
    let refused = |f: &Failure| f.exit == Exit::Refused;
    let channel = channel.map_err(|f| match refused(&f) {
        true => f.clone().with(format!("{f}; is 'hardline recv' running there?")),
        false => f,
    });
    match (sent.recv_timeout(NOTICE), channel) {
        // everything was answered: how the channel ended does not matter any more
        (Ok(Ok(summary)), channel) => {
            channel.or_else(|f| if f.exit == Exit::Lost { Ok(()) } else { Err(f) })?;
            summary.verdict()
        }
        // the reason the channel ended says more than that it did
        (Ok(Err(failure)), Err(channel)) if failure.exit == Exit::Lost => Err(channel),
        (Ok(Err(failure)), _) | (Err(_), Err(failure)) => Err(failure),
        (Err(_), Ok(())) => Err(Failure::new(kinds::TRANSFER_BROKEN, "the other end went away before the transfer was over")),
    }
}
