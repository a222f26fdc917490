//! `hardline diode send` and `hardline diode recv`.

use std::io::IsTerminal;
use std::time::Duration;

use diode::profile;

use crate::cli::{Common, DiodeCommand, DiodeRecvArgs, DiodeSendArgs, LogFormat, OneWayPort, ProfileName};
use crate::diode::files::check_names;
use crate::diode::hooks::Hooks;
use crate::diode::objects::{self, What};
use crate::diode::port::{Input, Output};
use crate::diode::receive::{Receiving, Sealed, Sink};
use crate::diode::report::Report;
use crate::diode::sealing::{Session, senders};
use crate::diode::send::Settings;
use crate::diode::source::Source;
use crate::diode::spool::{Bounds, Spool};
use crate::diode::stdout::Stdout;
use crate::diode::target::Target;
use crate::diode::{lines, streams};
use crate::error::{Doing, Exit, Failure, kinds};
use crate::files::folder::make;
use crate::port::serial::unhinted;
use crate::port::{Options, Spec};
use crate::progress::Meter;
use crate::say::aside;
use crate::signal::Signals;
use crate::stats;

/// How often a port that is waited for is tried.
const LOOK: Duration = Duration::from_millis(100);

/// Runs the command to its end.
pub fn run(common: &Common, command: &DiodeCommand) -> Result<(), Failure> {
    let signals = Signals::new().doing(kinds::SYSTEM, || "listen to signals".into())?;
    // as a service, with or without a report: nobody would start a line anew for logrotate
    let signals = if matches!(command, DiodeCommand::Recv(_)) { signals.reopening() } else { signals };
    stats::check(common.stats.as_deref())?;
    match command {
        DiodeCommand::Send(args) => send(common, args, &signals),
        DiodeCommand::Recv(args) => recv(common, args, &signals),
    }
}

fn options(port: &OneWayPort) -> Options {
    Options { baud: port.baud, auto: false, flow: port.flow }
}

/// A rate that no port has.
pub(super) fn no_rate(port: &OneWayPort) -> Failure {
    Failure::new(kinds::RATE_IMPOSSIBLE, format!("cannot open {}: a baud rate of 0 does not exist", port.port))
}

fn open<T>(port: &OneWayPort, signals: &Signals, open: impl Fn(&Spec, Options) -> Result<T, Failure>) -> Result<T, Failure> {
    let options = options(port);
    if port.baud == 0 {
        return Err(no_rate(port));
    }
    let mut told = false;
    loop {
        match open(&port.port, options) {
            Err(failure) if port.wait && failure.exit == Exit::Port => {
                if let Some(number) = signals.take_end() {
                    return Err(Failure::signal(number, format!("interrupted; {} could not be opened yet", port.port)));
                }
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!(code = %failure.kind, "{}; waiting for it, and trying again", unhinted(&failure.message));
                }
                std::thread::sleep(LOOK);
            }
            result => return result,
        }
    }
}

fn send(common: &Common, args: &DiodeSendArgs, signals: &Signals) -> Result<(), Failure> {
    if args.files.is_empty() && args.watch.is_none() && !args.stream && !args.lines {
        return Err(Failure::new(kinds::USAGE, "nothing to send: name files (or -), --watch DIR, --stream or --lines"));
    }
    check_names(&args.files, args.name.as_deref())?;
    let profile = match args.profile {
        ProfileName::Cable => profile::CABLE,
        ProfileName::Industrial => profile::INDUSTRIAL,
        ProfileName::Harsh => profile::HARSH,
    };
    let profile = profile::Profile { level: args.armour, ..profile };
    let survive = args.survive.unwrap_or(Duration::from_millis(u64::from(profile.survive_ms)));
    let settings = Settings { profile, survive, rate: args.rate.unwrap_or(0), shown: !common.quiet };
    let session = Session::new(&args.keys)?;
    let output = open(&args.port, signals, Output::open)?;
    let target = Target::new(args.port.port.clone(), options(&args.port), output, args.port.wait);
    if session.sealing.is_none() {
        say_plain(common, "anybody at the wire can read it, and send the like");
    }
    let sent = if args.lines {
        lines::run(target, &settings, session, signals)?
    } else if args.stream {
        streams::run(target, &settings, session, signals)?
    } else {
        let overhead_percent = args.overhead.unwrap_or(profile.overhead_percent);
        let what = What {
            files: args.files.clone(),
            name: args.name.clone(),
            watch: args.watch.clone(),
            rounds: args.rounds,
            overhead_percent,
            state: args.keys.state.clone(),
        };
        objects::run(target, &settings, session, &what, signals)?
    };
    let written = common.stats.as_ref().map_or(Ok(()), |path| stats::write_json(path, &sent.stats));
    sent.verdict.and(written)
}

/// Says once that nothing is sealed.
fn say_plain(common: &Common, so: &str) {
    let line = format!("plain: {so}; seal it with --psk, or --key and --peer");
    match common.log {
        LogFormat::Json => tracing::warn!(code = %kinds::NOT_SEALED, "{line}"),
        _ if common.quiet => {}
        _ => aside(format!("{line} [{}]", kinds::NOT_SEALED)),
    }
}

fn recv(common: &Common, args: &DiodeRecvArgs, signals: &Signals) -> Result<(), Failure> {
    let sealed = senders(&args.keys, args.state.as_deref())?;
    let sealed = sealed.map(|(senders, memory)| Sealed { senders, memory });
    let bounds = Bounds { memory: args.memory, quota: args.quota };
    // without --state what is not whole goes when the command ends
    let mut temporary = None;
    let sink = match &args.out {
        Some(out) => {
            let keep = || format!("put files into {}", out.display());
            make(out).doing(kinds::FOLDER_UNUSABLE, keep)?;
            let state = match &args.state {
                Some(state) => {
                    make(state).doing(kinds::FOLDER_UNUSABLE, || format!("keep what is not whole in {}", state.display()))?;
                    // what came plain is never completed, or taken, as if it had been sealed
                    if sealed.is_some() { state.join("sealed") } else { state.clone() }
                }
                None => {
                    let dir =
                        tempfile::Builder::new().prefix(".hardline-").tempdir_in(out).doing(kinds::FOLDER_UNUSABLE, keep)?;
                    let path = dir.path().to_owned();
                    temporary = Some(dir);
                    path
                }
            };
            let opened = Spool::open(&state, out, bounds, args.exec.is_some());
            let (spool, owed, superseded) = opened.doing(kinds::FOLDER_UNUSABLE, keep)?;
            let hooks = args.exec.as_ref().map(|command| Hooks::new(command, owed, superseded, out));
            Sink::Objects { spool: Box::new(spool), hooks }
        }
        None if args.lines => Sink::Lines(None),
        None => Sink::Stream(None, args.on_gap),
    };
    let output = args.out.is_none().then(Stdout::open).transpose()?;
    let report = Report::open(args.report.as_deref())?;
    let input = open(&args.port, signals, Input::open)?;
    if sealed.is_none() {
        say_plain(common, "whoever holds the wire can send what he likes");
    }
    let onto_terminal = args.out.is_none() && std::io::stdout().is_terminal();
    let meter = Meter::new(!common.quiet && !args.lines && !onto_terminal);
    let (forever, stats) = (args.forever, common.stats.clone());
    let source = Source::new(args.port.port.clone(), options(&args.port), input, args.port.wait || forever);
    let receiving = Receiving {
        signals,
        source,
        sink,
        output,
        report,
        forever,
        grace: args.grace,
        bounds,
        stats,
        session: None,
        broken: Vec::new(),
        heard: false,
        echo: None,
        meter,
    };
    let result = receiving.run(sealed);
    drop(temporary);
    result
}
