//! Many short runs of real processes over simulated wires, with faults at random moments: exit 0 means that the far side
//! is identical, who lost something says so, nobody hangs, nobody spins.
//!
//! `hardline-campaign [RUNS] [SEED]` prints each run in which something did not hold, with the command that plays it again
//! and the folder of its logs and files, then a table; the exit code is 0 only if everything held. `HARDLINE_JOBS` is how
//! many run at once.

use std::process::ExitCode;

use bench::campaign::{all, report};

const RUNS: u64 = 200;

fn campaign() -> Result<bool, Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let mut number = |or: u64| args.next().map_or(Ok(or), |n| n.parse().map_err(|_| "usage: hardline-campaign [RUNS] [SEED]"));
    let (runs, seed) = (number(RUNS)?, number(1)?);
    let jobs = std::env::var("HARDLINE_JOBS").map_or(Ok(all::JOBS), |n| n.parse())?;
    let hardline = bench::hardline()?;
    let report = all::run(&hardline, runs, seed, jobs, &|outcome| {
        if !outcome.violations.is_empty() {
            println!("{}", report::describe(outcome));
        } else if runs == 1 {
            println!("{}\n  ends: {}", outcome.plan, outcome.ends.join(", "));
        }
    })?;
    println!("{report}");
    Ok(report.held())
}

fn main() -> ExitCode {
    match campaign() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("hardline-campaign: {e}");
            ExitCode::FAILURE
        }
    }
}
