//! What sealing costs: the same transfers, plain and sealed, in turn.

use std::process::Command;

use crate::goodput::{self, Run, median};
use crate::{Fallible, hardline, unpaced};

/// Seconds of the wire a transfer fills.
const SECONDS: usize = 10;

/// Shares of the line and CPU, then a wire that is no limit.
pub(crate) fn run(baud: u32, rounds: usize) -> Fallible<()> {
    let dir = tempfile::tempdir()?;
    let psk = dir.path().join("psk");
    if !Command::new(hardline()?).args(["-q", "keygen", "--psk"]).arg(&psk).status()?.success() {
        return Err("no key could be made".into());
    }
    let sealed = ["--psk".to_owned(), psk.display().to_string()];
    let plain = ["--plain".to_owned()];
    let bytes = baud as usize / 10 * SECONDS;
    println!("{bytes} random bytes at {baud} baud, medians of {rounds}, plain and sealed in turn");
    for (name, args) in [("clean", &[][..]), ("BER 1e-5", &["--ber", "1e-5"]), ("BER 1e-3", &["--ber", "1e-3"])] {
        let (mut without, mut with) = (Vec::new(), Vec::new());
        for seed in 1..=rounds {
            without.push(goodput::run(baud, bytes, args, false, seed, &plain)?);
            with.push(goodput::run(baud, bytes, args, false, seed, &sealed)?);
        }
        let share = |runs: &[Run]| median(runs.iter().map(|r| r.share).collect());
        let cpu = |runs: &[Run]| median(runs.iter().map(|r| r.cpu).collect());
        let (one, other, exact) = (share(&without), share(&with), without.iter().chain(&with).all(|r| r.exact));
        let (cpu_one, cpu_other) = (cpu(&without), cpu(&with));
        println!(
            "{name:<10} {one:.4} plain, {other:.4} sealed: {:.4} of it; CPU {cpu_one:.3} and {cpu_other:.3} s/MB; byte-exact: {exact}",
            other / one
        );
    }
    unpaced::run(&plain)?;
    unpaced::run(&sealed)
}
