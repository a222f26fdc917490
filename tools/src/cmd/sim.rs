//! `hardline sim`: two pseudo-terminals joined by a modelled wire.

use crate::cli::{Common, SimArgs};
use crate::error::{Doing, Failure, kinds};
use crate::say;
use crate::signal::{Signal, Signals};
use crate::sim::run::Simulation;
use crate::stats;

/// Runs until a signal; SIGUSR1 writes the statistics.
pub fn run(common: &Common, args: &SimArgs) -> Result<(), Failure> {
    if std::path::absolute(&args.a).ok() == std::path::absolute(&args.b).ok() {
        return Err(Failure::new(kinds::USAGE, "the two ends need two paths: -a and -b are the same"));
    }
    stats::check(common.stats.as_deref())?;
    // a byte takes 5 us at 2 Mbps: the usual 50 us of grace for a timer are too many
    let _ = nix::sys::prctl::set_timerslack(1_000);
    let signals = Signals::new().doing(kinds::SYSTEM, || "listen to signals".into())?;
    let mut simulation = Simulation::new(args)?;
    tracing::info!("ready: {} and {}", args.a.display(), args.b.display());
    loop {
        simulation.step(signals.fd()).doing(kinds::SYSTEM, || "simulate the wire".into())?;
        let end = match signals.take() {
            None | Some(Signal::Child | Signal::Terminal) => continue,
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
