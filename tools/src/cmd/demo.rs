//! `hardline demo`: no hardware needed. Everything it shows is the real thing: `hardline sim`, two
//! `hardline pipe` and `hardline diode` as processes of their own.

use std::fmt::Display;
use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use link::sim::Random;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::cli::{Common, DemoArgs};
use crate::error::{Doing, Failure, kinds};
use crate::rig::Rig;
use crate::signal::{Signal, Signals};
use crate::{say, stderr};

/// The cable is pulled once, for so long.
const OUTAGE: &str = "1.5:0.5";

/// Runs the demonstration.
pub fn run(common: &Common, args: &DemoArgs) -> Result<(), Failure> {
    let signals = Signals::new().doing(kinds::SYSTEM, || "listen to signals".into())?;
    let hardline = std::env::current_exe().doing(kinds::DEMO_FAILED, || "find this program".into())?;
    let (baud, ber, seed) = (args.baud.to_string(), args.ber.to_string(), args.seed.to_string());
    let wire = ["--baud", &baud, "--ber", &ber, "--seed", &seed, "--latency", "500us", "--outage", OUTAGE];
    let rig = Rig::start(&hardline, &wire).doing(kinds::DEMO_FAILED, || "start the simulated wire".into())?;
    tell(
        args,
        format_args!(
            "A simulated serial wire: {baud} baud, one bit in {:.0} wrong, the cable pulled for 0.5 s.",
            1.0 / args.ber.max(1e-12)
        ),
    )?;
    tell(args, format_args!("One file of {} kB goes each way at the same time.", args.size))?;

    let began = Instant::now();
    let directions = [Direction::new(&rig, "a", "b", args)?, Direction::new(&rig, "b", "a", args)?];
    let mut ends = Vec::new();
    for (end, other) in [("a", "b"), ("b", "a")] {
        let started = start(rig.pipe(end, args.baud), &rig.path(&format!("{end}.in")), &rig.path(&format!("{other}.out")));
        ends.push((end, started.doing(kinds::DEMO_FAILED, || format!("start hardline pipe on end {end}"))?));
    }
    let shown = watch(&mut ends, &directions, &signals, common.quiet);
    let seconds = began.elapsed().as_secs_f64();
    if let Err(failure) = shown {
        for (_, child) in &mut ends {
            let _ = child.kill();
            let _ = child.wait();
        }
        return Err(failure);
    }

    let carried = directions.iter().map(|d| d.verify(&rig, seconds, args)).collect::<Result<Vec<_>, _>>()?;
    let noise = rig.stop().doing(kinds::DEMO_FAILED, || "read what the wire did".into())?;
    for (way, name) in [("a_to_b", "a to b"), ("b_to_a", "b to a")] {
        tell(
            args,
            format_args!("{name}: the wire flipped {} bits and lost {} bytes", noise[way]["flipped"], noise[way]["outage"]),
        )?;
    }
    tell(args, "Both files arrived byte-exact. With two adapters: hardline pipe /dev/ttyUSB0 -b 2000000")?;
    let diode = one_way(&hardline, args, &signals, common.quiet)?;
    if args.json {
        let (baud, ber, seed) = (args.baud, args.ber, args.seed);
        say::answer(json!({ "baud": baud, "ber": ber, "seed": seed, "files": carried, "wire": noise, "diode": diode }))?;
    }
    Ok(())
}

/// Words for people, in the place of which programs get one object at the end.
fn tell(args: &DemoArgs, words: impl Display) -> Result<(), Failure> {
    if args.json { Ok(()) } else { say::answer(words) }
}

/// A third file, through a wire that has no way back.
fn one_way(hardline: &Path, args: &DemoArgs, signals: &Signals, quiet: bool) -> Result<Value, Failure> {
    tell(args, "\nThe same wire without a way back (a data diode), its cable pulled for 0.5 s as well.")?;
    let (baud, ber, seed) = (args.baud.to_string(), args.ber.to_string(), (args.seed + 1).to_string());
    let wire = ["--one-way", "--baud", &baud, "--ber", &ber, "--seed", &seed, "--outage", "0.5:0.5"];
    let rig = Rig::start(hardline, &wire).doing(kinds::DEMO_FAILED, || "start the one-way wire".into())?;
    let direction = Direction::new(&rig, "a", "b", args)?;
    let diode = |verb: &str, end: &str, rest: &[&std::ffi::OsStr]| {
        let mut command = Command::new(hardline);
        command.args(["diode", verb]).arg(rig.path(end)).args(["-b", &baud, "-q"]);
        if verb == "send" {
            // the receiver needs no settings that match the sender's
            command.args(["--survive", "1s"]);
        }
        command.args(rest).spawn().doing(kinds::DEMO_FAILED, || format!("start hardline diode {verb}"))
    };
    let (out, input) = (rig.path("in"), rig.path("a.in"));
    let began = Instant::now();
    let receiver = diode("recv", "b", &["--out".as_ref(), out.as_os_str()])?;
    let sender = diode("send", "a", &[input.as_os_str()])?;
    let mut ends = vec![("b", receiver), ("a", sender)];
    let arrived = [Direction { output: out.join("a.in"), ..direction }];
    let shown = watch(&mut ends, &arrived, signals, quiet);
    if let Err(failure) = shown {
        for (_, child) in &mut ends {
            let _ = child.kill();
            let _ = child.wait();
        }
        return Err(failure);
    }
    let got = std::fs::read(&arrived[0].output).doing(kinds::DEMO_FAILED, || "read what arrived".into())?;
    if hex(&got) != arrived[0].digest {
        return Err(Failure::new(kinds::DEMO_DIFFERS, "the file through the diode differs: please report this"));
    }
    let (seconds, noise) = (began.elapsed().as_secs_f64(), rig.stop());
    let noise = noise.doing(kinds::DEMO_FAILED, || "read what the wire did".into())?;
    tell(
        args,
        format_args!(
            "a to b: {} bytes arrived byte-exact in {:.1} s; the wire flipped {} bits and lost {} bytes, nothing was asked for again",
            got.len(),
            seconds,
            noise["a_to_b"]["flipped"],
            noise["a_to_b"]["outage"],
        ),
    )?;
    Ok(json!({ "bytes": got.len(), "sha256": hex(&got), "seconds": seconds, "wire": noise["a_to_b"] }))
}

fn start(mut pipe: Command, input: &Path, output: &Path) -> std::io::Result<Child> {
    pipe.arg("-q").stdin(File::open(input)?).stdout(File::create(output)?).spawn()
}

/// One file on its way.
struct Direction {
    from: &'static str,
    to: &'static str,
    size: u64,
    digest: String,
    output: std::path::PathBuf,
}

impl Direction {
    fn new(rig: &Rig, from: &'static str, to: &'static str, args: &DemoArgs) -> Result<Direction, Failure> {
        let mut random = Random::new(args.seed ^ u64::from(from.as_bytes()[0]));
        let bytes: Vec<u8> = (0..args.size * 1000).map(|_| random.bits() as u8).collect();
        let input = rig.path(&format!("{from}.in"));
        let written = File::create(&input).and_then(|mut f| f.write_all(&bytes));
        written.doing(kinds::DEMO_FAILED, || format!("write {}", input.display()))?;
        let output = rig.path(&format!("{from}.out"));
        Ok(Direction { from, to, size: bytes.len() as u64, digest: hex(&bytes), output })
    }
    fn arrived(&self) -> u64 {
        std::fs::metadata(&self.output).map_or(0, |m| m.len())
    }
    fn verify(&self, rig: &Rig, seconds: f64, args: &DemoArgs) -> Result<Value, Failure> {
        let got = std::fs::read(&self.output).doing(kinds::DEMO_FAILED, || format!("read {}", self.output.display()))?;
        let digest = hex(&got);
        if digest != self.digest {
            return Err(Failure::new(
                kinds::DEMO_DIFFERS,
                format!("the file from {} to {} differs: please report this", self.from, self.to),
            ));
        }
        let stats = rig.stats(self.from).doing(kinds::DEMO_FAILED, || "read the statistics".into())?;
        let rate = self.size as f64 / seconds;
        tell(
            args,
            format_args!(
                "{} to {}: {} bytes, sha256 {}.., {:.0} kB/s ({:.0} % of the wire), {} frames, {} pieces sent again",
                self.from,
                self.to,
                self.size,
                &digest[..16],
                rate / 1000.0,
                rate / f64::from(args.baud) * 1000.0,
                stats["frames_out"],
                stats["resends"],
            ),
        )?;
        let share = rate / f64::from(args.baud) * 10.0;
        Ok(json!({ "from": self.from, "to": self.to, "bytes": self.size, "sha256": digest, "seconds": seconds, "share": share,
            "frames": stats["frames_out"], "resends": stats["resends"] }))
    }
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// Shows both directions until both ends have ended well; nothing of them when `quiet`.
fn watch(ends: &mut [(&str, Child)], directions: &[Direction], signals: &Signals, quiet: bool) -> Result<(), Failure> {
    let terminal = std::io::stderr().is_terminal() && !say::is_dumb() && !quiet;
    let target = if terminal { stderr::canvas() } else { ProgressDrawTarget::hidden() };
    let all = MultiProgress::with_draw_target(target);
    let style = ProgressStyle::with_template("  {msg} {wide_bar} {decimal_bytes:>10} {decimal_bytes_per_sec:>12}");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    let bars: Vec<ProgressBar> = directions
        .iter()
        .map(|d| all.add(ProgressBar::new(d.size)).with_style(style.clone()).with_message(format!("{} to {}", d.from, d.to)))
        .collect();
    let mut said = Instant::now();
    let mut left = ends.len();
    while left > 0 {
        std::thread::sleep(Duration::from_millis(20));
        if let Some(Signal::End(number)) = signals.take() {
            return Err(Failure::signal(number, "interrupted"));
        }
        for (bar, direction) in bars.iter().zip(directions) {
            if terminal {
                bar.set_position(direction.arrived());
            }
        }
        if !terminal && !quiet && said.elapsed() >= Duration::from_secs(1) {
            said = Instant::now();
            let lines = directions.iter().map(|d| format!("{} to {}: {} %", d.from, d.to, d.arrived() * 100 / d.size.max(1)));
            say::aside(format_args!("  {}", lines.collect::<Vec<_>>().join(", ")));
        }
        left = 0;
        for (end, child) in ends.iter_mut() {
            match child.try_wait() {
                Ok(None) => left += 1,
                Ok(Some(status)) if status.success() => {}
                Ok(Some(status)) => {
                    return Err(Failure::new(kinds::DEMO_FAILED, format!("hardline pipe on end {end} ended with {status}")));
                }
                Err(e) => return Err(Failure::new(kinds::DEMO_FAILED, format!("cannot wait for hardline pipe: {e}"))),
            }
        }
    }
    for bar in bars {
        bar.finish();
    }
    Ok(())
}
