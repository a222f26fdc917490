//! Several wires as one: what four carry beside one, with noise on one of them, with one unplugged; and echoes.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bench::echo::{self, Echo};
use tools::rig::Rig;

use crate::goodput::median;
use crate::{Fallible, hardline};

/// Seconds of one wire a transfer fills.
const SECONDS: usize = 10;
/// Name, arguments of the first wire, how many there are, promised ratio to one alone.
const CONDITIONS: [(&str, &[&str], usize, f64); 5] = [
    ("one", &[], 1, 0.0),
    ("two", &[], 2, 1.9),
    ("four", &[], 4, 3.8),
    ("four, one at 1e-5", &["--ber", "1e-5"], 4, 3.8),
    ("four, one unplugged", &["--unplug", "1:3600"], 4, 2.8),
];

/// Wires side by side, and the arguments of an end that name them.
struct Wires(Vec<Rig>);

impl Wires {
    fn start(baud: u32, first: &[&str], count: usize) -> Fallible<Wires> {
        let (hardline, baud) = (hardline()?, baud.to_string());
        let rig = |at: usize| {
            let own = if at == 0 { first } else { &[] };
            Rig::start(&hardline, &[&["--baud", &baud, "--latency", "300us"], own].concat())
        };
        Ok(Wires((0..count).map(rig).collect::<Result<_, _>>()?))
    }
    /// A `link` at this end.
    fn link(&self, end: &str, baud: u32) -> Fallible<Command> {
        let mut command = Command::new(hardline()?);
        // the first may be gone from the start
        let ports: Vec<PathBuf> = self.0.iter().rev().map(|rig| rig.path(end)).collect();
        command.args(["link", "-q", "--plain", "-b", &baud.to_string()]).arg(&ports[0]);
        command.args(ports[1..].iter().flat_map(|port| ["--also".into(), port.clone()]));
        Ok(command)
    }
}

/// A process that ends with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Bytes per second from the first byte that came to the last, of a service that sends so many.
fn carries(baud: u32, bytes: usize, first: &[&str], count: usize) -> Fallible<f64> {
    let wires = Wires::start(baud, first, count)?;
    let control = wires.0[0].path("control");
    let service = format!("source=exec:head -c {bytes} /dev/zero");
    let _far = Running(wires.link("b", baud)?.args(["--service", &service]).spawn()?);
    let _near = Running(wires.link("a", baud)?.arg("--control").arg(&control).spawn()?);
    while !control.exists() {
        std::thread::sleep(Duration::from_millis(2));
    }
    let mut open = Command::new(hardline()?);
    let open = open.args(["open", "-q"]).arg(&control).arg("source").stdin(Stdio::null()).stdout(Stdio::piped());
    let mut open = Running(open.spawn()?);
    let mut out = open.0.stdout.take().ok_or("no pipe")?;
    let (mut buffer, mut got, mut began) = (vec![0; 65_536], 0, None);
    loop {
        let n = out.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        began.get_or_insert_with(Instant::now);
        got += n;
    }
    if got != bytes || !open.0.wait()?.success() {
        return Err(format!("{got} of {bytes} bytes came").into());
    }
    Ok(bytes as f64 / began.ok_or("nothing came")?.elapsed().as_secs_f64())
}

/// Prints the ratios; each round measures one wire anew, for the machine may be busy with something else.
pub(crate) fn run(baud: u32, rounds: usize) -> Fallible<()> {
    let bytes = baud as usize / 10 * SECONDS;
    println!("{bytes} bytes by wires of {baud} baud, beside one of them in the same round; median of {rounds}");
    println!("{:<22} {:>10} {:>8} {:>8}", "wires", "kB/s", "ratio", "promised");
    let mut rates = vec![Vec::new(); CONDITIONS.len()];
    let mut ratios = rates.clone();
    for _ in 0..rounds {
        let mut one = 0.0;
        for (at, (_, first, count, _)) in CONDITIONS.into_iter().enumerate() {
            // so that each takes the same time
            let rate = carries(baud, bytes * count, first, count)?;
            one = if at == 0 { rate } else { one };
            rates[at].push(rate / 1000.0);
            ratios[at].push(rate / one);
        }
    }
    for ((name, _, _, promised), (rates, ratios)) in CONDITIONS.into_iter().zip(rates.into_iter().zip(ratios)) {
        println!("{name:<22} {:>10.1} {:>8.3} {promised:>8.1}", median(rates), median(ratios));
    }
    for count in [1, 4] {
        let echo::Loaded { echo: Echo { median, p99 }, bulk } = echo::loaded_by(&hardline()?, &[], baud, 300, false, count)?;
        println!("echo under bulk, {count} wires: median {median} us, p99 {p99} us; bulk has {bulk:.3} of one wire");
    }
    Ok(())
}
