//! hardline beside the tools people use for the same: gensio, ZMODEM, Kermit and UUCP, each as
//! Debian packages it, all over the same `hardline sim`.
//!
//! `cargo run --release -p tools --bin hardline-peers` prints, per wire, the share of the line that
//! user bytes took (bytes over baud / 10, over the time from when both ends run to the end of the
//! sending process, so start and goodbye count). A run is given up after three times the ideal time
//! and 20 s. What is not installed is named and left out. Every table is Markdown.

mod echo;
mod ends;
mod peers;
mod table;
mod transfer;

use std::error::Error;
use std::process::Command;

use clap::Parser;

use crate::peers::{BAUD, TOOLS, Tool};
use crate::table::{Cell, Table};
use crate::transfer::{Load, Verdict, share, transfer};

/// A wire: its name in options, in the table, and its arguments of `hardline sim`.
type Condition = (&'static str, &'static str, &'static [&'static str]);

const CONDITIONS: [Condition; 10] = [
    ("clean", "clean", &[]),
    ("1e-6", "BER 1e-6", &["--ber", "1e-6"]),
    ("1e-5", "BER 1e-5", &["--ber", "1e-5"]),
    ("1e-4", "BER 1e-4", &["--ber", "1e-4"]),
    ("1e-3", "BER 1e-3", &["--ber", "1e-3"]),
    ("lost", "64 bytes lost per 50 kB", &["--drop", "2e-5:64"]),
    ("timer", "16 ms timer", &["--timer", "16ms"]),
    ("timer-1e-5", "16 ms timer, BER 1e-5", &["--timer", "16ms", "--ber", "1e-5"]),
    ("outage", "5 s outage", &["--outage", "2:5"]),
    ("unplug", "3 s unplugged", &["--unplug", "2:3"]),
];

/// hardline beside gensio, ZMODEM, Kermit and UUCP, over the same simulated wire.
#[derive(Parser)]
struct Options {
    /// These tools only
    #[arg(long, value_name = "TOOL", value_delimiter = ',', value_parser = TOOLS.map(|t| t.name))]
    only: Vec<String>,
    /// These wires only
    #[arg(long, value_name = "WIRE", value_delimiter = ',', value_parser = CONDITIONS.map(|c| c.0))]
    conditions: Vec<String>,
    /// Size of the file
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000_000))]
    bytes: u32,
    /// Runs per cell; the median counts
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=100))]
    rounds: u64,
    /// Seed of the first round, for the noise and the bytes
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn chosen(options: &Options) -> Vec<&'static Tool> {
    let wanted = |t: &&Tool| options.only.is_empty() || options.only.iter().any(|o| o == t.name);
    let (here, missing): (Vec<&Tool>, Vec<&Tool>) = TOOLS.iter().filter(wanted).partition(|t| t.installed());
    let mut packages: Vec<&str> = missing.iter().map(|t| t.package).collect();
    packages.dedup();
    for tool in &missing {
        println!("not installed, left out: {} ({})", tool.name, tool.program);
    }
    if !packages.is_empty() {
        println!("install with: apt-get install --no-install-recommends {}\n", packages.join(" "));
    }
    here
}

fn version(tool: &Tool) -> String {
    if tool.package.is_empty() {
        return env!("CARGO_PKG_VERSION").to_owned();
    }
    let asked = Command::new("dpkg-query").args(["-W", "-f", "${Package} ${Version}", tool.package]).output();
    asked.ok().filter(|o| o.status.success()).map_or(tool.package.to_owned(), |o| String::from_utf8_lossy(&o.stdout).into_owned())
}

/// All rounds of one tool on one wire.
struct Rounds {
    cell: Cell,
    /// CPU seconds per megabyte, of the rounds that ended well.
    cpu: Option<f64>,
    /// What went wrong.
    note: Option<String>,
}

fn rounds(tool: &Tool, wire: &Condition, options: &Options) -> Result<Rounds, Box<dyn Error>> {
    let bytes = options.bytes as usize;
    let (mut shares, mut cpu, mut wrong, mut how) = (Vec::new(), Vec::new(), false, Vec::new());
    for round in 0..options.rounds {
        let outcome = transfer(tool, &Load { wire: wire.2, bytes, seed: options.seed.wrapping_add(round) })?;
        match outcome.verdict {
            Verdict::Exact(seconds) => {
                eprintln!("{}, {}: {seconds:.2} s", wire.1, tool.name);
                shares.push(share(bytes, seconds));
                cpu.push(outcome.cpu / (bytes as f64 / 1e6));
                continue;
            }
            Verdict::Died(reason) => how.push(reason),
            Verdict::Wrong(reason) => {
                wrong = true;
                how.push(reason);
            }
        }
        eprintln!("{}, {}: {}", wire.1, tool.name, how.last().map_or("", |h| h));
    }
    let note = (!how.is_empty()).then(|| format!("{}, {}: {}", wire.1, tool.name, how.join("; ")));
    let cell = match (shares.len() as u64, median(&mut shares)) {
        _ if wrong => Cell::Text("wrong".into()),
        (exact, Some(share)) if exact == options.rounds => Cell::High(share),
        (exact, Some(share)) => Cell::Text(format!("{share:.3} ({exact}/{})", options.rounds)),
        (_, None) => Cell::Text("died".into()),
    };
    Ok(Rounds { cell, cpu: median(&mut cpu), note })
}

fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// The first table. Returns the CPU seconds per megabyte on the clean wire.
fn shares(tools: &[&Tool], options: &Options) -> Result<Vec<Option<f64>>, Box<dyn Error>> {
    let mut table = Table::new("share of the line", tools.iter().map(|t| t.name));
    let (mut notes, mut clean) = (Vec::new(), vec![None; tools.len()]);
    for wire in CONDITIONS.iter().filter(|c| options.conditions.is_empty() || options.conditions.iter().any(|o| o == c.0)) {
        let mut row = Vec::new();
        for (tool, clean) in tools.iter().zip(&mut clean) {
            let rounds = rounds(tool, wire, options)?;
            if wire.2.is_empty() {
                *clean = rounds.cpu;
            }
            row.push(rounds.cell);
            notes.extend(rounds.note);
        }
        table.row(wire.1, row);
    }
    println!("{table}");
    if !notes.is_empty() {
        println!("How they died, and what was wrong:\n");
        notes.iter().for_each(|n| println!("- {n}"));
        println!();
    }
    Ok(clean)
}

/// The second table: what a transfer costs beside the line, on a clean wire.
fn costs(tools: &[&Tool], cpu: &[Option<f64>]) -> Result<(), Box<dyn Error>> {
    let names = ["one byte, s", "CPU, s/MB", "echo, ms", "echo p99, ms", "echo under bulk, ms", "the same, p99, ms"];
    let mut rows = names.map(|name| (name, Vec::new()));
    for (tool, cpu) in tools.iter().zip(cpu) {
        eprintln!("{}: one byte, echo", tool.name);
        let one = match transfer(tool, &Load { wire: &[], bytes: 1, seed: 1 })?.verdict {
            Verdict::Exact(seconds) => Some(seconds),
            _ => None,
        };
        let (idle, bulk) = (echo::idle(tool)?, echo::under_bulk(tool)?);
        let [idle, bulk] = [idle, bulk].map(|l| (l.as_ref().map(|l| l.median), l.as_ref().map(|l| l.p99)));
        for ((_, row), value) in rows.iter_mut().zip([one, *cpu, idle.0, idle.1, bulk.0, bulk.1]) {
            row.push(value.map_or(Cell::Text("-".into()), Cell::Low));
        }
    }
    let mut table = Table::new("clean wire", tools.iter().map(|t| t.name));
    rows.into_iter().for_each(|(name, row)| table.row(name, row));
    println!("{table}");
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let tools = chosen(&options);
    for tool in &tools {
        println!("- {}: {} ({})", tool.name, tool.about, version(tool));
    }
    println!("\n{} random bytes at {BAUD} baud, 300 us latency, rounds: {}\n", options.bytes, options.rounds);
    let cpu = shares(&tools, &options)?;
    costs(&tools, &cpu)
}
