//! What drivers and wires do that pseudo-terminals do not: timers, counters, modem lines, breaks.

use std::time::Duration;

use link::sim::Random;

use crate::Verdict;
use crate::process::{Input, Scratch, until};
use crate::rig::{self, Rig};
use crate::tty::Tty;

const LIMIT: Duration = Duration::from_secs(20);

/// Sets the timer to FTDI's default, opens the port as `user`, and says what the timer is then.
fn timer_after_open(rig: &Rig, user: Option<u32>) -> Verdict {
    let timer = rig::latency_timer(rig.a());
    std::fs::write(&timer, "16").map_err(|e| format!("cannot set the timer: {e}"))?;
    let scratch = Scratch::new()?;
    let pipe = scratch.start_as(rig, "pipe", &["pipe", rig.a(), "--plain"], Input::Pipe, user)?;
    let read = || std::fs::read_to_string(&timer).unwrap_or_default().trim().to_owned();
    let set = until("a latency timer of 1 ms", Duration::from_secs(5), || (read() == "1").then_some(()));
    set.map_err(|e| format!("{e}; it is {} ms; it said: {}", read(), pipe.said()))?;
    Ok("1 ms instead of 16".into())
}

pub(super) fn latency_timer(rig: &Rig) -> Verdict {
    timer_after_open(rig, None)
}

/// Without root the file in sysfs is read-only.
pub(super) fn latency_timer_of_others(rig: &Rig) -> Verdict {
    timer_after_open(rig, Some(65_534))
}

/// `hardline ports` names the adapter, its driver, and who has it.
pub(super) fn listed(rig: &Rig) -> Verdict {
    let scratch = Scratch::new()?;
    let holds = scratch.start(rig, "pipe", &["pipe", rig.a(), "--plain"], Input::Pipe)?;
    let device = std::fs::canonicalize(rig.a()).map_err(|e| e.to_string())?;
    let look = || -> Result<Option<serde_json::Value>, String> {
        scratch.start(rig, "ports", &["ports", "--json"], Input::Nothing)?.ends_with(0, LIMIT)?;
        let text = std::fs::read(scratch.path("ports.out")).map_err(|e| e.to_string())?;
        let all: Vec<serde_json::Value> = serde_json::from_slice(&text).map_err(|e| e.to_string())?;
        Ok(all.into_iter().find(|port| port["device"].as_str().is_some_and(|d| device == std::path::Path::new(d))))
    };
    let held =
        |port: &serde_json::Value| port["holders"].as_array().is_some_and(|all| all.iter().any(|h| h["pid"] == holds.id()));
    let port = until("the port, and who holds it", LIMIT, || look().ok().flatten().filter(held))?;
    let serial = rig::usb_serial(rig.a());
    if port["driver"].as_str().is_none() || port["serial"].as_str() != serial.as_deref() {
        return Err(format!("it is shown as {port}"));
    }
    Ok(format!("{}, {}", port["port"], port["driver"]))
}

/// The driver counts what was sent and what came; raw bytes pass unchanged.
pub(super) fn counters(rig: &Rig) -> Verdict {
    let (mut a, mut b) = (Tty::open(rig.a(), rig.baud)?, Tty::open(rig.b(), rig.baud)?);
    let before = (a.counters()?, b.counters()?);
    let mut random = Random::new(7);
    let bytes: Vec<u8> = (0..2000).map(|_| random.bits() as u8).collect();
    a.write(&bytes)?;
    if b.read(bytes.len(), LIMIT) != bytes {
        return Err("other bytes came than were sent".into());
    }
    let after = (a.counters()?, b.counters()?);
    let (sent, got) = (after.0.tx - before.0.tx, after.1.rx - before.1.rx);
    let wrong = |c: &crate::tty::Counters| c.frame + c.parity + c.overrun;
    let wrong = wrong(&after.1) - wrong(&before.1);
    if (sent, got, wrong) == (2000, 2000, 0) {
        return Ok("2000 sent, 2000 received".into());
    }
    Err(format!("of 2000 bytes {sent} were counted as sent, {got} as received, {wrong} as wrong"))
}

pub(super) fn rts_reaches_cts(rig: &Rig) -> Verdict {
    let (a, b) = (Tty::open(rig.a(), rig.baud)?, Tty::open(rig.b(), rig.baud)?);
    for on in [false, true, false, true] {
        a.set_rts(on)?;
        until(&format!("CTS {on} at the far end"), Duration::from_secs(1), || (b.cts().ok()? == on).then_some(()))?;
    }
    Ok("twice off and on".into())
}

pub(super) fn break_is_counted(rig: &Rig) -> Verdict {
    let (a, b) = (Tty::open(rig.a(), rig.baud)?, Tty::open(rig.b(), rig.baud)?);
    let before = a.counters()?.breaks;
    // this way, since cdc_acm as the first port cannot send one
    b.send_break(Duration::from_millis(50))?;
    until("a break is counted", Duration::from_secs(2), || (a.counters().ok()?.breaks > before).then_some(()))?;
    a.discard();
    Ok("one".into())
}

/// A loopback plug: every byte comes back.
pub(super) fn loop_back(rig: &Rig) -> Verdict {
    let mut tty = Tty::open(rig.a(), rig.baud)?;
    let mut random = Random::new(8);
    // no more than buffers hold while nobody reads
    for round in 0..10 {
        let bytes: Vec<u8> = (0..1000).map(|_| random.bits() as u8).collect();
        tty.write(&bytes)?;
        if tty.read(bytes.len(), LIMIT) != bytes {
            return Err(format!("round {round} came back differently"));
        }
    }
    Ok(format!("10000 bytes at {} baud", rig.baud))
}
