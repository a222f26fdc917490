//! Share of the line that user bytes take, per condition of the wire.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Stdio};
use std::thread::JoinHandle;
use std::time::Instant;

use link::sim::Random;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use tools::rig::Rig;

use crate::{Fallible, hardline};

/// The row in which both ends send at once.
const BOTH: &str = "clean, both ways";
/// Name, arguments of the wire, promised share of the line.
const CONDITIONS: [(&str, &[&str], f64); 11] = [
    ("clean", &[], 0.995),
    ("BER 1e-6", &["--ber", "1e-6"], 0.985),
    ("BER 1e-5", &["--ber", "1e-5"], 0.960),
    ("BER 1e-4", &["--ber", "1e-4"], 0.930),
    ("BER 1e-3", &["--ber", "1e-3"], 0.850),
    ("64 B lost per 50 kB", &["--drop", "2e-5:64"], 0.975),
    ("16 ms timer", &["--timer", "16ms"], 0.990),
    ("16 ms timer, 1e-5", &["--timer", "16ms", "--ber", "1e-5"], 0.955),
    (BOTH, &[], 0.0),
    ("5 s outage", &["--outage", "2:5"], 0.0),
    ("3 s unplug", &["--unplug", "2:3"], 0.0),
];

pub(crate) struct Run {
    pub(crate) share: f64,
    pub(crate) cpu: f64,
    pub(crate) exact: bool,
}

fn children_cpu() -> f64 {
    getrusage(UsageWho::RUSAGE_CHILDREN)
        .map_or(0.0, |u| (u.user_time().num_microseconds() + u.system_time().num_microseconds()) as f64 / 1e6)
}

/// Starts an end that sends `input`, and a thread that collects what it receives.
fn start(
    rig: &Rig,
    end: &str,
    baud: u32,
    keys: &[String],
    input: Stdio,
) -> Fallible<(Child, JoinHandle<std::io::Result<Vec<u8>>>)> {
    let mut child = rig.pipe(end, baud).arg("-q").args(keys).stdin(input).stdout(Stdio::piped()).spawn()?;
    let mut out = child.stdout.take().ok_or("no pipe")?;
    let collected = std::thread::spawn(move || {
        let mut got = Vec::new();
        out.read_to_end(&mut got).map(|_| got)
    });
    Ok((child, collected))
}

/// One transfer of `bytes` over a wire with these arguments; `keys` are those of both pipes.
pub(crate) fn run(baud: u32, bytes: usize, args: &[&str], both: bool, seed: usize, keys: &[String]) -> Fallible<Run> {
    let hardline = hardline()?;
    let (baud_text, seed_text) = (baud.to_string(), seed.to_string());
    let mut all = vec!["--baud", &baud_text, "--seed", &seed_text, "--latency", "300us"];
    all.extend(args);
    let rig = Rig::start(&hardline, &all)?;
    let mut random = Random::new(seed as u64);
    let data: Vec<u8> = (0..bytes).map(|_| random.bits() as u8).collect();
    File::create(rig.path("in"))?.write_all(&data)?;
    let input = || File::open(rig.path("in")).map(Stdio::from);
    let before = children_cpu();
    let (mut far, far_got) = start(&rig, "b", baud, keys, if both { input()? } else { Stdio::null() })?;
    let began = Instant::now();
    let (mut near, near_got) = start(&rig, "a", baud, keys, input()?)?;
    let sent = near.wait()?;
    let seconds = began.elapsed().as_secs_f64();
    let received = far.wait()?;
    let megabytes = bytes as f64 / 1e6 * if both { 2.0 } else { 1.0 };
    let cpu = (children_cpu() - before) / megabytes;
    let collect = |thread: JoinHandle<std::io::Result<Vec<u8>>>| thread.join().map_err(|_| "the reader failed");
    let (far_got, near_got) = (collect(far_got)??, collect(near_got)??);
    let exact = far_got == data && near_got == if both { data } else { Vec::new() };
    let share = bytes as f64 / seconds / f64::from(baud / 10);
    Ok(Run { share, cpu, exact: exact && sent.success() && received.success() })
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
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
        let runs = (1..=rounds).map(|seed| run(baud, bytes, args, name == BOTH, seed, &[])).collect::<Fallible<Vec<_>>>()?;
        let share = median(runs.iter().map(|r| r.share).collect());
        let cpu = median(runs.iter().map(|r| r.cpu).collect());
        let promised = if promised > 0.0 { format!("{promised:.3}") } else { "-".into() };
        let exact = runs.iter().filter(|r| r.exact).count();
        println!("{name:<20} {share:>8.4} {promised:>8} {cpu:>10.3}  {exact} of {rounds}");
    }
    Ok(())
}
