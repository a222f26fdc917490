//! Measures one-byte echoes: through two real `hardline pipe` on a quiet wire, and through two `hardline link`
//! while another channel saturates it.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use link::sim::Random;
use tools::rig::Rig;

/// Whatever went wrong.
type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

/// Median and 99th percentile of round trips, in microseconds.
#[derive(Clone, Copy, Debug)]
pub struct Echo {
    /// Half of them took no longer.
    pub median: u64,
    /// All but one in a hundred took no longer.
    pub p99: u64,
}

impl Echo {
    /// Types `count` bytes at irregular moments and waits for each to come back.
    fn measure(input: &mut ChildStdin, output: &mut ChildStdout, count: usize) -> Fallible<Echo> {
        let mut random = Random::new(7);
        let mut times = Vec::with_capacity(count);
        for i in 0..count {
            std::thread::sleep(Duration::from_micros(10_000 + random.below(20_000)));
            let (sent, mut byte) = ([i as u8], [0u8]);
            let began = Instant::now();
            input.write_all(&sent)?;
            output.read_exact(&mut byte)?;
            times.push(began.elapsed().as_micros() as u64);
            if byte != sent {
                return Err("another byte came back".into());
            }
        }
        times.sort_unstable();
        Ok(Echo { median: times[count / 2], p99: times[count * 99 / 100] })
    }
}

/// Echo through `cat` behind the far pipe, nothing else on the wire.
pub fn idle(hardline: &Path, wire: &[&str], baud: u32, count: usize) -> Fallible<Echo> {
    let rig = Rig::start(hardline, &arguments(&baud.to_string(), wire))?;
    let mut far = rig.pipe("b", baud).arg("-q").args(["--", "cat"]).stdin(Stdio::null()).spawn()?;
    let mut near = rig.pipe("a", baud).arg("-q").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut input = near.stdin.take().ok_or("no pipe")?;
    let mut output = near.stdout.take().ok_or("no pipe")?;
    let echo = Echo::measure(&mut input, &mut output, count)?;
    drop(input);
    near.wait()?;
    far.wait()?;
    Ok(echo)
}

/// What a typist gets while bulk runs, and what is left for the bulk (share of the line).
#[derive(Clone, Copy, Debug)]
pub struct Loaded {
    /// The echoes.
    pub echo: Echo,
    /// Share of the line.
    pub bulk: f64,
}

/// Arguments of the simulated wire.
fn arguments<'a>(baud: &'a str, wire: &[&'a str]) -> Vec<&'a str> {
    ["--baud", baud].into_iter().chain(wire.iter().copied()).collect()
}

/// Processes that end with this, the youngest first: a client that outlived its link would complain.
struct Processes(Vec<Child>);

impl Processes {
    fn link(&mut self, command: &mut Command) -> Fallible<()> {
        self.0.push(command.spawn()?);
        Ok(())
    }
    /// Starts a client; its stdin and stdout.
    fn client(&mut self, command: &mut Command) -> Fallible<(ChildStdin, ChildStdout)> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let streams = (child.stdin.take(), child.stdout.take());
        self.0.push(child);
        streams.0.zip(streams.1).ok_or_else(|| "no pipe".into())
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for child in self.0.iter_mut().rev() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Echo through one channel while another sends as much as it can; `both` ways or only there.
pub fn loaded(hardline: &Path, wire: &[&str], baud: u32, count: usize, both: bool) -> Fallible<Loaded> {
    loaded_by(hardline, wire, baud, count, both, 1)
}

/// The same with so many wires as one link.
pub fn loaded_by(hardline: &Path, wire: &[&str], baud: u32, count: usize, both: bool, wires: usize) -> Fallible<Loaded> {
    let rig = Rig::start(hardline, &arguments(&baud.to_string(), wire))?;
    let others = (1..wires).map(|_| Rig::start(hardline, &arguments(&baud.to_string(), wire)));
    let others = others.collect::<Result<Vec<_>, _>>()?;
    let control = rig.path("control");
    let bulk = if both { "bulk=exec:cat" } else { "bulk=exec:cat >/dev/null" };
    let link = |end: &str| {
        let mut command = Command::new(hardline);
        command.args(["link", "-q", "--plain"]).arg(rig.path(end)).args(["-b", &baud.to_string()]);
        command.args(others.iter().flat_map(|other| ["--also".into(), other.path(end)]));
        command
    };
    let mut processes = Processes(Vec::new());
    processes.link(link("b").args(["--service", "echo=exec:cat", "--service", bulk]))?;
    processes.link(link("a").arg("--control").arg(&control))?;
    while !control.exists() {
        std::thread::sleep(Duration::from_millis(2));
    }
    let open = |name: &str| {
        let mut command = Command::new(hardline);
        command.args(["open", "-q"]).arg(&control).arg(name);
        command
    };
    let (mut feed, mut drain) = processes.client(&mut open("bulk"))?;
    let (mut input, mut output) = processes.client(&mut open("echo"))?;
    let feeder = std::thread::spawn(move || while feed.write_all(&[0x55; 16_384]).is_ok() {});
    let drainer = std::thread::spawn(move || std::io::copy(&mut drain, &mut std::io::sink()));
    // the first keystrokes teach the link that somebody types
    Echo::measure(&mut input, &mut output, 20)?;
    let (before, began) = (bytes_out(hardline, &control)?, Instant::now());
    let echo = Echo::measure(&mut input, &mut output, count)?;
    let sent = bytes_out(hardline, &control)? - before;
    let share = sent / began.elapsed().as_secs_f64() / f64::from(baud / 10);
    drop(processes);
    feeder.join().map_err(|_| "the feeder failed")?;
    let _ = drainer.join();
    Ok(Loaded { echo, bulk: share })
}

fn bytes_out(hardline: &Path, control: &Path) -> Fallible<f64> {
    let output = Command::new(hardline).arg("status").arg(control).arg("--json").output()?;
    let status: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    status["bytes_out"].as_f64().ok_or_else(|| "no bytes in the status".into())
}
