//! A day of noise in an hour: two real `hardline pipe` on a simulated wire of 2 Mbps, both
//! directions busy, every byte verified.
//!
//! `cargo run --release -p tools --bin hardline-soak [MINUTES]` prints a line per simulated hour to
//! stderr and a summary; the exit code is 0 only if everything held. `HARDLINE_SEED` repeats a run
//! as far as chance goes (the time the processes take is their own).

use std::process::ExitCode;
use std::time::Duration;

use bench::soak::run::{Options, run};

const MINUTES: f64 = 60.0;
/// Longest and shortest run, in minutes.
const LIMITS: std::ops::RangeInclusive<f64> = 0.1..=100_000.0;

fn options() -> Result<Options, Box<dyn std::error::Error>> {
    let minutes = std::env::args().nth(1).map_or(Ok(MINUTES), |n| n.parse());
    let minutes = minutes.ok().filter(|m| LIMITS.contains(m)).ok_or("usage: hardline-soak [MINUTES], from 0.1 on")?;
    let seed = match std::env::var("HARDLINE_SEED") {
        Ok(seed) => seed.parse().map_err(|_| "HARDLINE_SEED is not a number")?,
        Err(_) => tools::clock::random_id()?,
    };
    let hardline = bench::hardline()?;
    Ok(Options { hardline, seed, length: Duration::from_secs_f64(minutes * 60.0) })
}

fn main() -> ExitCode {
    let result = options().and_then(|options| {
        eprintln!("HARDLINE_SEED={} for {:.0} s", options.seed, options.length.as_secs_f64());
        Ok(run(&options, &mut |line| eprintln!("{line}"))?)
    });
    match result {
        Ok(report) => {
            println!("{report}");
            if report.held() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(e) => {
            eprintln!("hardline-soak: {e}");
            ExitCode::FAILURE
        }
    }
}
