//! Share of the line that user bytes take, per condition of the wire.

use std::fs::File;
use std::io::{Read, Write};
use std::process::Stdio;
use std::time::Instant;

use link::sim::Random;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use tools::rig::Rig;

use crate::{Fallible, hardline};

/// Name, arguments of the wire, promised share of the line.
const CONDITIONS: [(&str, &[&str], f64); 10] = [
    ("clean", &[], 0.995),
    ("BER 1e-6", &["--ber", "1e-6"], 0.985),
    ("BER 1e-5", &["--ber", "1e-5"], 0.960),
    ("BER 1e-4", &["--ber", "1e-4"], 0.930),
    ("BER 1e-3", &["--ber", "1e-3"], 0.850),
    ("64 B lost per 50 kB", &["--drop", "2e-5:64"], 0.975),
    ("16 ms timer", &["--timer", "16ms"], 0.990),
    ("16 ms timer, 1e-5", &["--timer", "16ms", "--ber", "1e-5"], 0.955),
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

fn run(baud: u32, bytes: usize, args: &[&str], seed: usize) -> Fallible<Run> {
    let hardline = hardline()?;
    let (baud_text, seed_text) = (baud.to_string(), seed.to_string());
    let mut all = vec!["--baud", &baud_text, "--seed", &seed_text, "--latency", "300us"];
    all.extend(args);
    let rig = Rig::start(&hardline, &all)?;
    let mut random = Random::new(seed as u64);
    let data: Vec<u8> = (0..bytes).map(|_| random.bits() as u8).collect();
    File::create(rig.path("in"))?.write_all(&data)?;
    let before = children_cpu();
    let mut receiver = rig.pipe("b", baud).arg("-q").stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let mut out = receiver.stdout.take().ok_or("no pipe")?;
    let reader = std::thread::spawn(move || {
        let mut got = Vec::new();
        out.read_to_end(&mut got).map(|_| got)
    });
    let began = Instant::now();
    let sent = rig.pipe("a", baud).arg("-q").stdin(File::open(rig.path("in"))?).stdout(Stdio::null()).status()?;
    let seconds = began.elapsed().as_secs_f64();
    let received = receiver.wait()?;
    let cpu = children_cpu() - before;
    let got = reader.join().map_err(|_| "the reader failed")??;
    Ok(Run {
        share: bytes as f64 / seconds / f64::from(baud / 10),
        cpu: cpu / (bytes as f64 / 1e6),
        exact: got == data && sent.success() && received.success(),
    })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Seconds of the wire a run fills: long enough that start and end count little.
fn seconds(baud: u32) -> usize {
    if baud < 100_000 { 60 } else { 20 }
}

/// Prints the table for one baud rate.
pub(crate) fn table(baud: u32, rounds: usize) -> Fallible<()> {
    let bytes = baud as usize / 10 * seconds(baud);
    println!("{bytes} random bytes over two pseudo-terminals at {baud} baud, median of {rounds}");
    println!("{:<20} {:>8} {:>8} {:>10}  byte-exact", "wire", "share", "promised", "CPU s/MB");
    for (name, args, promised) in CONDITIONS {
        let runs = (1..=rounds).map(|seed| run(baud, bytes, args, seed)).collect::<Fallible<Vec<_>>>()?;
        let share = median(runs.iter().map(|r| r.share).collect());
        let cpu = median(runs.iter().map(|r| r.cpu).collect());
        let promised = if promised > 0.0 { format!("{promised:.3}") } else { "-".into() };
        let exact = runs.iter().filter(|r| r.exact).count();
        println!("{name:<20} {share:>8.4} {promised:>8} {cpu:>10.3}  {exact} of {rounds}");
    }
    Ok(())
}
