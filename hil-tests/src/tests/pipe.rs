//! `hardline pipe`: both directions at once, rates, the lock.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::Verdict;
use crate::process::{Input, Scratch, until};
use crate::rig::Rig;

/// Beyond the time the wire needs: starting, finding each other, a slow machine.
const SLACK: Duration = Duration::from_secs(30);

/// So many bytes each way at once; returns the share of the line.
pub(super) fn transfer(rig: &Rig, scratch: &Scratch, baud: u32, bytes: usize) -> Result<f64, String> {
    let limit = SLACK + Duration::from_secs_f64(bytes as f64 * 40.0 / f64::from(baud));
    let baud = baud.to_string();
    let began = Instant::now();
    let mut ends = Vec::new();
    for (seed, (name, port)) in [("a", rig.a()), ("b", rig.b())].into_iter().enumerate() {
        let input = scratch.random(&format!("{name}.in"), bytes, seed as u64 + 1)?;
        ends.push(scratch.start(rig, name, &["pipe", port, "-b", &baud, "--plain"], Input::File(&input))?);
    }
    for end in &mut ends {
        end.ends_with(0, limit).map_err(|e| format!("at {baud} baud: {e}"))?;
    }
    let seconds = began.elapsed().as_secs_f64();
    scratch.same("a", &scratch.path("b.in"))?;
    scratch.same("b", &scratch.path("a.in"))?;
    Ok(bytes as f64 * 10.0 / f64::from(baud.parse::<u32>().unwrap_or(1)) / seconds)
}

/// Three seconds of the wire each way at once, byte-exact.
pub(super) fn both_ways(rig: &Rig) -> Verdict {
    let bytes = rig.bytes_in(3.0);
    let share = transfer(rig, &Scratch::new()?, rig.baud, bytes)?;
    Ok(format!("{bytes} bytes each way at {} baud, {share:.2} of the line", rig.baud))
}

/// Rates with a constant of their own, and one without (BOTHER).
pub(super) fn rates(rig: &Rig) -> Verdict {
    let scratch = Scratch::new()?;
    let rates = [115_200, 921_600, 1_234_567, 2_000_000];
    for baud in rates {
        transfer(rig, &scratch, baud, 4000)?;
    }
    Ok(format!("{rates:?}"))
}

/// A driver that silently chooses another rate is found out.
pub(super) fn too_fast(rig: &Rig) -> Verdict {
    let scratch = Scratch::new()?;
    let mut pipe = scratch.start(rig, "pipe", &["pipe", rig.a(), "-b", "2000000", "--plain"], Input::Nothing)?;
    pipe.ends_with(2, SLACK)?;
    let said = pipe.said();
    if said.contains("cannot do 2000000 baud") && said.lines().count() == 1 { Ok(said) } else { Err(format!("it said: {said}")) }
}

/// A second program is told that the port is busy, by the lock and (where it is not root) by the kernel.
pub(super) fn locked(rig: &Rig) -> Verdict {
    let scratch = Scratch::new()?;
    let first = scratch.start(rig, "first", &["pipe", rig.a(), "--plain"], Input::Pipe)?;
    first.holds(rig.a(), SLACK)?;
    let nobody = nix::unistd::geteuid().is_root().then_some(65_534);
    for (name, user) in [("second", None), ("third", nobody)] {
        // it is open before it is locked
        std::thread::sleep(Duration::from_millis(300));
        let mut other = scratch.start_as(rig, name, &["pipe", rig.a(), "--plain"], Input::Nothing, user)?;
        other.ends_with(6, SLACK)?;
        let said = other.said();
        if !said.contains("busy") || said.lines().count() != 1 {
            return Err(format!("{name} said: {said}"));
        }
    }
    Ok(if nobody.is_some() { "for root and for others" } else { "for this user" }.into())
}

/// With a loopback plug it says what it hears, and never that anything was delivered.
pub(super) fn hears_itself(rig: &Rig) -> Verdict {
    let scratch = Scratch::new()?;
    let input = scratch.random("in", 1000, 6)?;
    let mut pipe = scratch.start(rig, "pipe", &["pipe", rig.a(), "--plain"], Input::File(&input))?;
    until("a word on the loopback", SLACK, || pipe.said().contains("our own frames come back").then_some(()))?;
    pipe.signal(Signal::SIGTERM);
    pipe.ends_with(128 + Signal::SIGTERM as i32, SLACK)?;
    Ok("it says so".into())
}
