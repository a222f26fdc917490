//! All schedules of the real core, within bounds: two links whose states are cloned and merged, and everything that can
//! happen between them tried in every order. Nothing here is a model of the protocol.
//!
//! `cargo test -p link --test explore` runs the bounds that finish soon, and others up to a number of states;
//! `HARDLINE_EXPLORE=5000000 cargo test -p link --test explore [NAME] -- --nocapture --test-threads 1` each up to so
//! many states, for hours, and prints a line of the table in CONTRIBUTING.md each.
#![allow(missing_docs, unreachable_pub)]

mod case;
mod check;
mod drive;
mod frame;
mod mock;
mod search;
mod user;
mod world;

use case::{Case, Faults, NONE, PLAIN};

/// Explores it; nothing may be found.
fn explore(case: &'static Case) {
    let most = std::env::var("HARDLINE_EXPLORE").ok().map(|most| most.parse().expect("a number of states"));
    let report = search::search(case, most.unwrap_or(case.most));
    let ended = if report.complete { "COMPLETE" } else { "CUT" };
    let search::Report { states, steps, drives, depth, took, .. } = &report;
    println!("| {} | {states} | {steps} | {drives} | {depth} | {ended} | {:.0} s", case.name, took.as_secs_f32());
    for (kind, found) in &report.found {
        println!("{kind}: {} times, first at depth {}\n  {}", found.times, found.trace.len(), found.what);
        found.trace.iter().for_each(|step| println!("    {step}"));
    }
    assert!(report.found.is_empty(), "{}: {:?}", case.name, report.found.keys());
    assert!(report.complete || case.most < usize::MAX || most.is_some(), "{} is to be complete", case.name);
}

macro_rules! cases {
    ($($name:ident: $case:expr;)*) => {$(
        #[test]
        fn $name() {
            static CASE: Case = Case { name: stringify!($name), ..$case };
            explore(&CASE);
        }
    )*};
}

/// States of those that would take too long: the ways to all of them are shorter than to any other.
const CUT: usize = 4_000;

/// Two wires, from where both are open.
const BOND: Case = Case { paths: 2, warm: true, ..PLAIN };
/// A transfer whose frames have no armour any more, near its end.
const DAMAGED: Case = Case { bytes: [30, 28], unit: 300, before: 28, window: 1200, warm: true, ..PLAIN };

cases! {
    plain_lose: Case { faults: Faults { delay: 1, lose: 1, ..NONE }, ..PLAIN };
    plain_lose_2: Case { faults: Faults { lose: 2, ..NONE }, ..PLAIN };
    plain_lose_3: Case { faults: Faults { delay: 3, lose: 3, ..NONE }, most: CUT, ..PLAIN };
    plain_crash: Case { faults: Faults { crash: 1, ..NONE }, ..PLAIN };
    plain_crash_2: Case { faults: Faults { delay: 1, lose: 1, crash: 2, ..NONE }, most: CUT, ..PLAIN };
    plain_empty: Case { bytes: [0, 0], next: [0, 1], faults: Faults { crash: 1, ..NONE }, ..PLAIN };
    plain_half: Case { bytes: [0, 1], next: [0, 1], faults: Faults { crash: 1, ..NONE }, ..PLAIN };
    plain_next: Case { bytes: [1, 0], next: [2, 2],
        faults: Faults { delay: 1, lose: 1, crash: 1, ..NONE }, most: CUT, ..PLAIN };
    plain_stall: Case { bytes: [2, 1], faults: Faults { lose: 1, stall: 1, ..NONE }, most: CUT, ..PLAIN };
    plain_window: Case { bytes: [4, 4], window: 2, warm: true,
        faults: Faults { delay: 1, lose: 1, stall: 1, ..NONE }, most: CUT, ..PLAIN };
    plain_late: Case { bytes: [2, 1], late: true, faults: Faults { lose: 1, ..NONE }, most: CUT, ..PLAIN };
    plain_close: Case { faults: Faults { lose: 1, close: 1, ..NONE }, ..PLAIN };
    plain_leave: Case { faults: Faults { lose: 1, leave: 1, ..NONE }, ..PLAIN };
    plain_sleep: Case { faults: Faults { sleep: 1, ..NONE }, ..PLAIN };
    plain_echo: Case { echo: true, faults: Faults { lose: 1, ..NONE }, ..PLAIN };
    plain_echo_crash: Case { echo: true, faults: Faults { delay: 1, lose: 1, crash: 1, ..NONE }, most: CUT, ..PLAIN };
    plain_damage: Case { faults: Faults { damage: 1, ..NONE }, ..DAMAGED };
    plain_damage_2: Case { faults: Faults { delay: 1, lose: 1, damage: 2, ..NONE }, most: CUT, ..DAMAGED };
    sealed_lose: Case { sealed: true, faults: Faults { lose: 1, ..NONE }, ..PLAIN };
    sealed_crash: Case { sealed: true, faults: Faults { crash: 1, ..NONE }, ..PLAIN };
    sealed_echo: Case { sealed: true, echo: true, faults: Faults { delay: 1, ..NONE }, ..PLAIN };
    sealed_damage: Case { sealed: true, faults: Faults { delay: 1, damage: 1, ..NONE }, ..DAMAGED };
    sealed_all: Case { sealed: true,
        faults: Faults { delay: 1, lose: 1, crash: 1, close: 1, sleep: 1, ..NONE }, most: CUT, ..PLAIN };
    channels_lose: Case { channels: true, faults: Faults { lose: 1, ..NONE }, most: CUT, ..PLAIN };
    channels_crash: Case { channels: true, faults: Faults { crash: 1, ..NONE }, most: CUT, ..PLAIN };
    channels_reset: Case { channels: true, faults: Faults { reset: 1, ..NONE }, ..PLAIN };
    channels_all: Case { channels: true,
        faults: Faults { delay: 1, lose: 1, crash: 1, reset: 1, stall: 1, ..NONE }, most: CUT, ..PLAIN };
    bond_quiet: Case { ..BOND };
    bond_close: Case { faults: Faults { close: 1, ..NONE }, ..BOND };
    bond_lose: Case { faults: Faults { lose: 1, ..NONE }, ..BOND };
    bond_kill: Case { bytes: [1, 0], faults: Faults { kill: 1, revive: 1, ..NONE }, most: CUT, ..BOND };
    bond_kill_2: Case { bytes: [2, 1], faults: Faults { delay: 1, lose: 1, kill: 1, revive: 1, ..NONE }, most: CUT, ..BOND };
    bond_crash: Case { faults: Faults { crash: 1, kill: 1, ..NONE }, most: CUT, ..BOND };
    bond_empty: Case { bytes: [0, 0], next: [2, 2], faults: Faults { crash: 1, ..NONE }, most: CUT, ..BOND };
    bond_next: Case { bytes: [4, 0], next: [0, 0], faults: Faults { crash: 1, ..NONE }, most: CUT, ..BOND };
    bond_cold: Case { warm: false, bytes: [1, 0], faults: Faults { kill: 1, ..NONE }, most: CUT, ..BOND };
    bond_echo: Case { echo: true, faults: Faults { lose: 1, ..NONE }, most: CUT, ..BOND };
    bond_channels: Case { channels: true, faults: Faults { delay: 1, lose: 1, kill: 1, ..NONE }, most: CUT, ..BOND };
    bond_channels_reset: Case { channels: true, faults: Faults { reset: 1, kill: 1, ..NONE }, most: CUT, ..BOND };
    bond_sealed: Case { sealed: true, faults: Faults { delay: 1, lose: 1, kill: 1, ..NONE }, most: CUT, ..BOND };
}
