//! Starts emulated machines, runs the tests in them, and judges: a test that had to run and did not is a failure.
//!
//!     hil-host OUT HARDLINE FIRMWARE [RIG..]
//!
//! OUT is what `machine/build` made, HARDLINE the program for the host's side of the wires, FIRMWARE an ELF.

mod board;
mod machine;
mod qmp;
mod rigs;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

/// Where things are.
#[derive(Debug)]
struct Tools {
    /// QEMU, kernel and initramfs.
    out: PathBuf,
    hardline: PathBuf,
    firmware: PathBuf,
}

/// What a rig came to.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    passed: usize,
    failed: usize,
    skipped: usize,
}

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let (Some(out), Some(hardline), Some(firmware)) = (args.next(), args.next(), args.next()) else {
        eprintln!("usage: hil-host OUT HARDLINE FIRMWARE [RIG..]");
        return ExitCode::from(2);
    };
    let tools = Tools { out: out.into(), hardline: hardline.into(), firmware: firmware.into() };
    let wanted: Vec<String> = args.collect();
    let known: Vec<&str> = rigs::ALL.iter().map(|r| r.name).chain([board::NAME]).collect();
    if let Some(name) = wanted.iter().find(|w| !known.contains(&w.as_str())) {
        eprintln!("hil-host: there is no rig '{name}'; there are {}", known.join(", "));
        return ExitCode::from(2);
    }
    let mut total = Count::default();
    for name in known.iter().filter(|n| wanted.is_empty() || wanted.iter().any(|w| w == *n)) {
        println!("==== {name}");
        let began = Instant::now();
        let ran = match rigs::ALL.iter().find(|r| r.name == *name) {
            Some(rig) => machine::run(&tools, rig),
            None => board::run(&tools),
        };
        let count = ran.unwrap_or_else(|why| {
            println!("FAIL rig {name}: {why}");
            Count { failed: 1, ..Count::default() }
        });
        println!("==== {name}: {} passed, {} failed ({:.0} s)", count.passed, count.failed, began.elapsed().as_secs_f64());
        total.passed += count.passed;
        total.failed += count.failed;
        total.skipped += count.skipped;
    }
    println!("{} passed, {} failed, {} skipped", total.passed, total.failed, total.skipped);
    ExitCode::from(u8::from(total.failed > 0))
}
