//! One file over one wire by one tool, and what became of it.

use std::fs::File;
use std::path::Path;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use link::sim::Random;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use tools::rig::Rig;

use crate::ends::End;
use crate::peers::{BAUD, Job, Tool};

/// How long the first end has before the second starts.
const HEAD_START: Duration = Duration::from_millis(300);
/// How long the receiver may go on after the sender.
const AFTERMATH: Duration = Duration::from_secs(10);

/// What to carry over which wire.
pub(crate) struct Load<'a> {
    /// Arguments of `hardline sim` beside rate, latency and seed.
    pub(crate) wire: &'a [&'a str],
    /// Bytes in the file.
    pub(crate) bytes: usize,
    /// Of the noise and of the bytes.
    pub(crate) seed: u64,
}

/// What became of it.
pub(crate) enum Verdict {
    /// Said success and every byte is there: the seconds it took.
    Exact(f64),
    /// Said failure, or had to be killed: how.
    Died(String),
    /// Said success, and the bytes are not those that were sent: how.
    Wrong(String),
}

/// One run.
pub(crate) struct Outcome {
    pub(crate) verdict: Verdict,
    /// CPU seconds of both ends.
    pub(crate) cpu: f64,
}

/// A wire of [`BAUD`] with 300 us of latency.
pub(crate) fn wire(args: &[&str], seed: u64) -> Result<Rig, Box<dyn std::error::Error>> {
    let hardline = bench::hardline()?;
    let (baud, seed) = (BAUD.to_string(), seed.to_string());
    let mut all = vec!["--baud", &baud, "--seed", &seed, "--latency", "300us"];
    all.extend(args);
    Ok(Rig::start(&hardline, &all)?)
}

/// Bytes over what the line could carry in that time.
pub(crate) fn share(bytes: usize, seconds: f64) -> f64 {
    bytes as f64 / seconds / f64::from(BAUD / 10)
}

/// The time after which a run is given up.
pub(crate) fn limit(bytes: usize) -> Duration {
    Duration::from_secs_f64(3.0 * bytes as f64 / f64::from(BAUD / 10) + 20.0)
}

/// Carries the load. An error means that the measurement failed, not the tool.
pub(crate) fn transfer(tool: &Tool, load: &Load<'_>) -> Result<Outcome, Box<dyn std::error::Error>> {
    let mut random = Random::new(load.seed);
    let bytes: Vec<u8> = (0..load.bytes).map(|_| random.bits() as u8).collect();
    let rig = wire(load.wire, load.seed)?;
    std::fs::write(rig.path("in"), &bytes)?;
    let mut job = tool.job(&rig, &bytes)?;
    let said = job.log.take().unwrap_or_else(|| rig.path("sender.err"));
    job.sender.stderr(File::create(rig.path("sender.err"))?);
    job.receiver.stderr(File::create(rig.path("receiver.err"))?);
    let path = job.got.take();
    let before = children_cpu();
    let (mut sender, mut receiver, began) = start(job)?;
    let sent = sender.wait(began + limit(load.bytes))?;
    let seconds = began.elapsed().as_secs_f64();
    let success = sent.is_some_and(|s| s.success());
    let received = receiver.wait(Instant::now() + if success { AFTERMATH } else { Duration::ZERO })?;
    let cpu = children_cpu() - before;
    let output = receiver.output();
    let got = path.map_or(output, |p| std::fs::read(p).unwrap_or_default());
    let verdict = match sent {
        None => Verdict::Died(format!("killed at the limit of {:.0} s", limit(load.bytes).as_secs_f64())),
        Some(status) if !status.success() => Verdict::Died(format!("{status} after {seconds:.1} s{}", last_words(&said))),
        Some(_) if got == bytes => Verdict::Exact(seconds),
        Some(_) => Verdict::Wrong(how_wrong(&got, &bytes, received)),
    };
    Ok(Outcome { verdict, cpu })
}

/// Starts both ends; the time counts from when both are there.
fn start(job: Job) -> std::io::Result<(End, End, Instant)> {
    if job.sender_first {
        let sender = End::start(job.sender, job.send_feed)?;
        std::thread::sleep(HEAD_START);
        let began = Instant::now();
        Ok((sender, End::start(job.receiver, job.receive_feed)?, began))
    } else {
        let receiver = End::start(job.receiver, job.receive_feed)?;
        std::thread::sleep(HEAD_START);
        let began = Instant::now();
        Ok((End::start(job.sender, job.send_feed)?, receiver, began))
    }
}

fn how_wrong(got: &[u8], sent: &[u8], receiver: Option<ExitStatus>) -> String {
    let same = got.iter().zip(sent).take_while(|(a, b)| a == b).count();
    let end = receiver.map_or("had to be killed".into(), |s| format!("ended with {s}"));
    format!("sender said success; {} of {} bytes, the first {same} right; receiver {end}", got.len(), sent.len())
}

/// What the sender said about its failure: the last error, or else the last line.
fn last_words(log: &Path) -> String {
    let text = String::from_utf8_lossy(&std::fs::read(log).unwrap_or_default()).into_owned();
    let lines = || text.lines().rev().map(str::trim).filter(|l| !l.is_empty());
    let with = |word| lines().find(|l: &&str| l.contains(word));
    let Some(line) = with("ERROR").or_else(|| with("rror")).or_else(|| lines().next()) else {
        return String::new();
    };
    // the name of the port says nothing; a message stands behind the last colon or parenthesis
    let line = line.rsplit_once(": ").map_or(line, |(_, message)| message);
    format!(": {}", line.chars().take(100).collect::<String>())
}

fn children_cpu() -> f64 {
    getrusage(UsageWho::RUSAGE_CHILDREN)
        .map_or(0.0, |u| (u.user_time().num_microseconds() + u.system_time().num_microseconds()) as f64 / 1e6)
}
