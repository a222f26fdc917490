//! The campaign in small: the same code as `hardline-campaign`, two hundred runs; and that it finds what it looks for.
#![allow(missing_docs)]

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use bench::campaign::all;
use bench::campaign::plan::{Input, Output, Plan, Way};
use bench::campaign::play::{Options, play};
use bench::campaign::report::describe;
use bench::campaign::verdict::Kind;

const RUNS: u64 = 200;

#[test]
fn what_is_lost_is_told_and_nobody_hangs_or_spins() {
    let alone = std::env::var("HARDLINE_SEED").ok().map(|seed| seed.parse().expect("HARDLINE_SEED is a number"));
    let (runs, seed) = alone.map_or((RUNS, 1), |seed| (1, seed));
    let hardline = bench::hardline().unwrap();
    let report = all::run(&hardline, runs, seed, all::JOBS, &|outcome| {
        if !outcome.violations.is_empty() {
            eprintln!("{}\n  or: HARDLINE_SEED={} cargo test -p bench --test campaign", describe(outcome), outcome.plan.seed);
        }
    });
    let report = report.expect("the campaign runs");
    assert!(report.held(), "{report}");
    // faults that left nothing whole would prove nothing
    let (played, whole) = report.runs();
    assert!(played == runs && (alone.is_some() || whole * 4 > runs), "{report}");
}

/// What is found in a quiet run of `pipe` with a shell script in the place of hardline.
#[track_caller]
fn found_in(script: &str) -> Vec<Kind> {
    let quiet = |plan: &Plan| {
        let simple = plan.way == Way::PipeThere && !plan.twins && plan.size > 100;
        simple && plan.faults.is_empty() && plan.late.is_zero() && (plan.input, plan.output) == (Input::File, Output::File)
    };
    let plan = (0..).map(Plan::draw).find(quiet).expect("there is such a seed");
    let dir = tempfile::tempdir().unwrap();
    let [text, program] = ["text", "program"].map(|name| dir.path().join(name));
    fs::write(&text, format!("#!/bin/sh\n{script}\n")).unwrap();
    // by a process of its own: what another test starts meanwhile would keep a file of ours open for writing
    let install = std::process::Command::new("install").args(["-m", "755"]).args([&text, &program]).status();
    assert!(install.unwrap().success());
    let options = Options { hardline: program, psk: ["none", "none"].map(PathBuf::from), hangs: Duration::from_secs(4) };
    let outcome = play(&options, plan.seed).unwrap();
    if let Some(kept) = &outcome.kept {
        assert!(fs::read_to_string(kept.join("run.txt")).unwrap().contains("PipeThere"));
        fs::remove_dir_all(kept).unwrap();
    }
    let mut kinds: Vec<Kind> = outcome.violations.iter().map(|violation| violation.kind).collect();
    kinds.dedup();
    kinds
}

#[test]
fn a_program_that_lies_hangs_or_spins_is_found() {
    assert_eq!(found_in("exit 0"), [Kind::Lost]);
    assert_eq!(found_in("exit 3"), [Kind::Unnamed]);
    assert_eq!(found_in("echo 'it is lost [session-lost]' >&2; exit 3"), []);
    assert_eq!(found_in("echo stray; echo 'it is lost [session-lost]' >&2; exit 3"), [Kind::Wrong]);
    assert_eq!(found_in("echo \"thread 'main' panicked at x\" >&2; exit 101"), [Kind::Panics]);
    assert_eq!(found_in("exec sleep 100"), [Kind::Hangs]);
    assert!(found_in("while :; do :; done").contains(&Kind::Spins));
}
