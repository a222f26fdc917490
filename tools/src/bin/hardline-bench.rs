//! The table of goodput promises, measured: two real `hardline pipe` over `hardline sim`.
//!
//! `cargo run --release -p tools --bin hardline-bench [ROUNDS]` prints, per condition, the median
//! share of the line that user bytes took (bytes over baud / 10, from the first to the last
//! instant of the sending process), and the CPU seconds per megabyte of both pipes together.

use std::fs::File;
use std::io::{Read, Write};
use std::process::Stdio;
use std::time::Instant;

use link::sim::Random;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use tools::rig::Rig;

const BAUD: u32 = 2_000_000;
const BYTES: usize = 2_000_000;

/// Name, arguments of the wire, least share of the line.
const CONDITIONS: [(&str, &[&str], f64); 9] = [
    ("clean", &[], 0.985),
    ("BER 1e-6", &["--ber", "1e-6"], 0.975),
    ("BER 1e-5", &["--ber", "1e-5"], 0.93),
    ("16 ms timer", &["--timer", "16ms"], 0.97),
    ("16 ms timer, 1e-5", &["--timer", "16ms", "--ber", "1e-5"], 0.0),
    ("BER 1e-4", &["--ber", "1e-4"], 0.0),
    ("BER 1e-3", &["--ber", "1e-3"], 0.0),
    ("5 s outage", &["--outage", "2:5"], 0.0),
    ("3 s unplug", &["--unplug", "2:3"], 0.0),
];

struct Run {
    share: f64,
    cpu: f64,
    exact: bool,
}

fn children_cpu() -> f64 {
    getrusage(UsageWho::RUSAGE_CHILDREN)
        .map_or(0.0, |u| (u.user_time().num_microseconds() + u.system_time().num_microseconds()) as f64 / 1e6)
}

fn run(args: &[&str], seed: usize) -> Result<Run, Box<dyn std::error::Error>> {
    let hardline = std::env::current_exe()?.with_file_name("hardline");
    let (baud, seed_text) = (BAUD.to_string(), seed.to_string());
    let mut all = vec!["--baud", &baud, "--seed", &seed_text, "--latency", "300us"];
    all.extend(args);
    let rig = Rig::start(&hardline, &all)?;
    let mut random = Random::new(seed as u64);
    let bytes: Vec<u8> = (0..BYTES).map(|_| random.bits() as u8).collect();
    File::create(rig.path("in"))?.write_all(&bytes)?;
    let before = children_cpu();
    let mut receiver = rig.pipe("b", BAUD).arg("-q").stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let mut out = receiver.stdout.take().ok_or("no pipe")?;
    let reader = std::thread::spawn(move || {
        let mut got = Vec::new();
        out.read_to_end(&mut got).map(|_| got)
    });
    let began = Instant::now();
    let sent = rig.pipe("a", BAUD).arg("-q").stdin(File::open(rig.path("in"))?).stdout(Stdio::null()).status()?;
    let seconds = began.elapsed().as_secs_f64();
    let received = receiver.wait()?;
    let cpu = children_cpu() - before;
    let got = reader.join().map_err(|_| "the reader failed")??;
    Ok(Run {
        share: BYTES as f64 / seconds / f64::from(BAUD / 10),
        cpu: cpu / (BYTES as f64 / 1e6),
        exact: got == bytes && sent.success() && received.success(),
    })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rounds = std::env::args().nth(1).map_or(Ok(3), |n| n.parse())?;
    println!("{BYTES} random bytes over two pseudo-terminals at {BAUD} baud, median of {rounds}");
    println!("{:<20} {:>8} {:>8} {:>10}  byte-exact", "wire", "share", "asked", "CPU s/MB");
    for (name, args, least) in CONDITIONS {
        let runs = (1..=rounds).map(|seed| run(args, seed)).collect::<Result<Vec<_>, _>>()?;
        let share = median(runs.iter().map(|r| r.share).collect());
        let cpu = median(runs.iter().map(|r| r.cpu).collect());
        let asked = if least > 0.0 { format!("{least:.3}") } else { "-".into() };
        let exact = runs.iter().filter(|r| r.exact).count();
        println!("{name:<20} {share:>8.4} {asked:>8} {cpu:>10.3}  {exact} of {rounds}");
    }
    Ok(())
}
