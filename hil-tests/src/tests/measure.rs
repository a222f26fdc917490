//! `hardline test`: two ends, one with a loopback plug, one way.

use std::time::Duration;

use serde_json::Value;

use crate::Verdict;
use crate::process::{Input, Scratch};
use crate::rig::Rig;

const LIMIT: Duration = Duration::from_secs(60);
/// Of the pattern at each rate.
const TIME: [&str; 2] = ["--time", "500ms"];

/// The rate of the rig, and the one where the ends meet.
fn rates(rig: &Rig) -> String {
    if rig.baud == 115_200 { "115200".into() } else { format!("115200,{}", rig.baud) }
}

fn printed(scratch: &Scratch, name: &str) -> Result<Value, String> {
    let text = std::fs::read_to_string(scratch.path(&format!("{name}.out"))).map_err(|e| e.to_string())?;
    serde_json::from_str(&text).map_err(|e| format!("{name} printed {text}: {e}"))
}

/// Every way that was read came through readable, and on a quiet wire without a wrong bit, but for those that a slip makes; says how.
/// A busy emulated machine does lose bytes that nothing protects.
fn judge(rig: &Rig, report: &Value) -> Verdict {
    let mut said = Vec::new();
    let rows = report["rates"].as_array().ok_or("no rates")?;
    if rows.len() != rates(rig).split(',').count() {
        return Err(format!("{} rates: {report}", rows.len()));
    }
    for row in rows {
        for way in ["to_peer", "from_peer"].map(|w| &row[w]).into_iter().filter(|w| !w.is_null()) {
            let count = |name: &str| way[name].as_u64().unwrap_or(u64::MAX);
            let (compared, wrong, slips) = (count("compared"), count("wrong_bits"), count("slips"));
            if compared < 500 || compared == u64::MAX || (rig.has("clean") && wrong > 8 * slips) {
                return Err(format!("at {}: {way}", row["baud"]));
            }
            said.push(format!("{}: {wrong} wrong bits and {slips} slips in {compared} bytes", row["baud"]));
        }
    }
    if report["use"]["baud"].as_u64().is_none() {
        return Err(format!("nothing is advised: {report}"));
    }
    Ok(said.join(", "))
}

/// Both ends tell the same, each seen from its side.
pub(super) fn measured(rig: &Rig) -> Verdict {
    let scratch = Scratch::new()?;
    let rates = rates(rig);
    let mut ends = Vec::new();
    for (name, port) in [("a", rig.a()), ("b", rig.b())] {
        let args = [&["test", port, "--json", "--rates", &rates], &TIME[..]].concat();
        ends.push(scratch.start(rig, name, &args, Input::Nothing)?);
    }
    for end in &mut ends {
        end.ends_with(0, LIMIT)?;
    }
    let (a, b) = (printed(&scratch, "a")?, printed(&scratch, "b")?);
    let same = |i: usize| a["rates"][i]["to_peer"] == b["rates"][i]["from_peer"];
    if !same(0) {
        return Err(format!("the ends differ: {a} and {b}"));
    }
    if rig.has("timer") && a["latency_timer_ms"] != 1 {
        return Err(format!("the latency timer is not told: {a}"));
    }
    judge(rig, &a)
}

/// What is sent comes back.
pub(super) fn measured_alone(rig: &Rig) -> Verdict {
    let scratch = Scratch::new()?;
    let rates = rates(rig);
    let args = [&["test", rig.a(), "--loopback", "--json", "--rates", &rates], &TIME[..]].concat();
    scratch.start(rig, "a", &args, Input::Nothing)?.ends_with(0, LIMIT)?;
    judge(rig, &printed(&scratch, "a")?)
}

/// The hearing end follows, and is never written to.
pub(super) fn measured_one_way(rig: &Rig) -> Verdict {
    let scratch = Scratch::new()?;
    let rates = rates(rig);
    let mut hearing = scratch.start(rig, "b", &["test", rig.b(), "--one-way", "--json"], Input::Nothing)?;
    let args = [&["test", rig.a(), "--one-way=send", "--rates", &rates], &TIME[..]].concat();
    let sending = scratch.start(rig, "a", &args, Input::Nothing)?;
    hearing.ends_with(0, LIMIT).map_err(|e| format!("{e}; the sender said: {}", sending.said()))?;
    judge(rig, &printed(&scratch, "b")?)
}
