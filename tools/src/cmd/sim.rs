//! `hardline sim`: two pseudo-terminals joined by a modelled wire.

use crate::cli::{Common, SimArgs};
use crate::error::{Doing, Failure, kinds};
use crate::say;
use crate::signal::{Signal, Signals};
use crate::sim::run::Simulation;
use crate::stats;

/// Runs until a signal; SIGUSR1 writes the statistics.
pub fn run(common: &Common, args: &SimArgs) -> Result<(), Failure> {
    refuse_same_paths(args)?;
    stats::check(common.stats.as_deref())?;
    // a byte takes 5 us at 2 Mbps: the usual 50 us of grace for a timer are too many
    let _ = nix::sys::prctl::set_timerslack(1_000);
    let signals = Signals::new().doing(kinds::SYSTEM, || "listen to signals".into())?;
    let mut simulation = Simulation::new(args)?;
    tracing::info!("ready: {} and {}", args.a.display(), args.b.display());
    if let (Some(a), Some(b)) = (&args.a2, &args.b2) {
        tracing::info!("ready: {} and {}", a.display(), b.display());
    }
    loop {
        simulation.step(signals.fd()).doing(kinds::SYSTEM, || "simulate the wire".into())?;
        let end = match signals.take() {
            None | Some(Signal::Child | Signal::Terminal | Signal::Reopen) => continue,
            Some(Signal::Stats) => false,
            Some(Signal::End(_)) => true,
        };
        match &common.stats {
            Some(path) => stats::write_json(path, &simulation.stats())?,
            None if !end => say::aside(simulation.stats()),
            None => {}
        }
        if end {
            return Ok(());
        }
    }
}

fn refuse_same_paths(args: &SimArgs) -> Result<(), Failure> {
    let ends = [("-a", Some(&args.a)), ("-b", Some(&args.b)), ("--a2", args.a2.as_ref()), ("--b2", args.b2.as_ref())];
    let paths: Vec<_> = ends.iter().filter_map(|(flag, path)| Some((flag, std::path::absolute(path.as_ref()?).ok()?))).collect();
    for (i, (flag, path)) in paths.iter().enumerate() {
        if let Some((other, _)) = paths[..i].iter().find(|(_, earlier)| earlier == path) {
            return Err(Failure::new(kinds::USAGE, format!("the two ends need two paths: {other} and {flag} are the same")));
        }
    }
    Ok(())
}
