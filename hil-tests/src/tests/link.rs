//! `hardline link` sealed by a shared key, with traffic like that of ssh: typing beside bulk.

use std::io::{Read, Write};
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::Verdict;
use crate::process::{Input, Process, Scratch, until};
use crate::rig::Rig;

const LIMIT: Duration = Duration::from_secs(40);
const KEYS: usize = 40;

/// A link at each end, sealed; the first one offers `cat`.
fn links(rig: &Rig, scratch: &Scratch) -> Result<(Process, Process, String), String> {
    let text = |name: &str| scratch.path(name).to_string_lossy().into_owned();
    let (key, control, baud) = (text("psk"), text("control"), rig.baud.to_string());
    scratch.start(rig, "keygen", &["keygen", "--psk", &key], Input::Nothing)?.ends_with(0, LIMIT)?;
    let common = ["-b", &baud, "--psk", &key];
    let offer = [&["link", rig.a(), "--service", "echo=exec:cat"], &common[..]].concat();
    let hold = [&["link", rig.b(), "--control", &control], &common[..]].concat();
    let links = (scratch.start(rig, "offer", &offer, Input::Nothing)?, scratch.start(rig, "hold", &hold, Input::Nothing)?);
    until("a control socket", LIMIT, || scratch.path("control").exists().then_some(()))?;
    Ok((links.0, links.1, control))
}

/// Types one byte after the other, each when the one before has come back; returns the median time.
fn type_keys(rig: &Rig, control: &str) -> Result<Duration, String> {
    let mut command = std::process::Command::new(&rig.hardline);
    command.args(["open", control, "echo"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut shell = command.spawn().map_err(|e| e.to_string())?;
    let (Some(mut keys), Some(mut screen)) = (shell.stdin.take(), shell.stdout.take()) else {
        return Err("no pipes to hardline open".into());
    };
    let mut times = Vec::new();
    for key in 0..KEYS as u8 {
        let began = Instant::now();
        let mut seen = [0];
        let echoed = keys.write_all(&[key]).and_then(|()| screen.read_exact(&mut seen));
        if echoed.is_err() || seen[0] != key {
            return Err(format!("key {key} came back as {}: {echoed:?}", seen[0]));
        }
        times.push(began.elapsed());
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(keys);
    let status = shell.wait().map_err(|e| e.to_string())?;
    times.sort();
    if status.success() { Ok(times[KEYS / 2]) } else { Err(format!("hardline open ended with {status}")) }
}

/// One channel is typed on while another one echoes a file.
pub(super) fn typing_beside_bulk(rig: &Rig) -> Verdict {
    let scratch = Scratch::new()?;
    let (mut offer, mut hold, control) = links(rig, &scratch)?;
    let idle = type_keys(rig, &control).map_err(|e| format!("{e}; {} {}", offer.said(), hold.said()))?;
    let file = scratch.random("bulk.in", rig.bytes_in(2.5), 3)?;
    let mut bulk = scratch.start(rig, "bulk", &["open", &control, "echo"], Input::File(&file))?;
    let busy = type_keys(rig, &control)?;
    bulk.ends_with(0, LIMIT)?;
    scratch.same("bulk", &file)?;
    for link in [&mut offer, &mut hold] {
        link.signal(Signal::SIGTERM);
        link.ends_with(128 + Signal::SIGTERM as i32, LIMIT)?;
    }
    Ok(format!("echoes in {:.1} ms, beside bulk {:.1} ms", idle.as_secs_f64() * 1e3, busy.as_secs_f64() * 1e3))
}
