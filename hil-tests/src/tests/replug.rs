//! An adapter that is unplugged and plugged in again, under a running transfer.

use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::Verdict;
use crate::process::{Input, Process, Scratch, until};
use crate::rig::{self, Rig};

const LIMIT: Duration = Duration::from_secs(60);
/// Until the kernel has noticed.
const NOTICE: Duration = Duration::from_secs(15);

fn replug(rig: &Rig, word: &str) -> Result<(), String> {
    let status = Command::new("sh").args(["-c", &format!("{} {word}", rig.replug)]).status();
    let status = status.map_err(|e| e.to_string())?;
    if status.success() { Ok(()) } else { Err(format!("'{} {word}' ended with {status}", rig.replug)) }
}

fn unplug(rig: &Rig) -> Result<(), String> {
    replug(rig, "off")?;
    until(&format!("{} is gone", rig.a()), NOTICE, || (!Path::new(rig.a()).exists()).then_some(()))
}

fn plug_in(rig: &Rig) -> Result<(), String> {
    replug(rig, "on")?;
    until(&format!("{} is back", rig.a()), NOTICE, || Path::new(rig.a()).exists().then_some(()))
}

/// A pipe on either end with a file each way; `a` is the first one's port.
fn pipes(rig: &Rig, scratch: &Scratch, a: &str, seconds: f64) -> Result<[Process; 2], String> {
    let baud = rig.baud.to_string();
    let start = |name: &str, port: &str, seed| {
        let input = scratch.random(&format!("{name}.in"), rig.bytes_in(seconds), seed)?;
        scratch.start(rig, name, &["pipe", port, "-b", &baud, "--plain", "--wait"], Input::File(&input))
    };
    Ok([start("a", a, 1)?, start("b", rig.b(), 2)?])
}

/// Waits until the far end has received something.
fn flowing(scratch: &Scratch) -> Result<(), String> {
    until("bytes arrive", LIMIT, || (std::fs::metadata(scratch.path("b.out")).ok()?.len() > 20_000).then_some(()))
}

fn whole(scratch: &Scratch, pipes: &mut [Process; 2]) -> Result<(), String> {
    for pipe in pipes {
        pipe.ends_with(0, LIMIT)?;
    }
    scratch.same("a", &scratch.path("b.in"))?;
    scratch.same("b", &scratch.path("a.in"))
}

/// `--wait`: the port appears when the command already runs.
pub(super) fn plugged_in_later(rig: &Rig) -> Verdict {
    let scratch = Scratch::new()?;
    unplug(rig)?;
    let mut pipes = pipes(rig, &scratch, rig.a(), 0.2)?;
    std::thread::sleep(Duration::from_secs(1));
    plug_in(rig)?;
    whole(&scratch, &mut pipes)?;
    Ok(String::new())
}

/// Gone for a second in the middle of a transfer, back under the same name.
pub(super) fn same_name(rig: &Rig) -> Verdict {
    let scratch = Scratch::new()?;
    let mut pipes = pipes(rig, &scratch, rig.a(), 2.5)?;
    flowing(&scratch)?;
    unplug(rig)?;
    std::thread::sleep(Duration::from_secs(1));
    plug_in(rig)?;
    let back = Instant::now();
    let so_far = || std::fs::metadata(scratch.path("b.out")).map_or(0, |m| m.len());
    let (before, gap) = (so_far(), Duration::from_secs(20));
    until("bytes arrive again", gap, || (so_far() > before).then_some(()))?;
    let pause = back.elapsed();
    whole(&scratch, &mut pipes)?;
    Ok(format!("bytes {:.2} s after it was back", pause.as_secs_f64()))
}

/// The adapter of a one-way sender, gone for a second: the stream goes on, and nothing of it is missing.
pub(super) fn one_way(rig: &Rig) -> Verdict {
    let scratch = Scratch::new()?;
    let baud = rig.baud.to_string();
    let recv = ["diode", "recv", rig.b(), "-b", &baud, "--stream", "--wait"];
    let send = ["diode", "send", rig.a(), "-b", &baud, "--stream", "--wait", "--survive", "500ms"];
    let mut receiver = scratch.start(rig, "b", &recv, Input::Nothing)?;
    receiver.holds(rig.b(), LIMIT)?;
    // it drops what came before it was set up
    std::thread::sleep(Duration::from_millis(300));
    let input = scratch.random("a.in", rig.bytes_in(2.5), 3)?;
    let mut sender = scratch.start(rig, "a", &send, Input::File(&input))?;
    flowing(&scratch)?;
    unplug(rig)?;
    std::thread::sleep(Duration::from_secs(1));
    plug_in(rig)?;
    sender.ends_with(0, LIMIT)?;
    receiver.ends_with(0, LIMIT)?;
    scratch.same("b", &input)?;
    Ok(String::new())
}

/// Somebody holds the old descriptor, so that the adapter comes back under another name.
pub(super) fn another_name(rig: &Rig) -> Verdict {
    let scratch = Scratch::new()?;
    let serial = rig::usb_serial(rig.a()).ok_or("the adapter has no serial number")?;
    let mut pipes = pipes(rig, &scratch, &format!("usb:{serial}"), 2.5)?;
    flowing(&scratch)?;
    let held = hold(rig.a(), pipes[0].id())?;
    unplug(rig)?;
    replug(rig, "on")?;
    let verdict = whole(&scratch, &mut pipes);
    let renamed = !Path::new(rig.a()).exists();
    // for whoever comes next
    drop(held);
    replug(rig, "off")?;
    std::thread::sleep(Duration::from_secs(1));
    plug_in(rig)?;
    verdict?;
    if renamed { Ok(format!("found again as usb:{serial}")) } else { Err("it came back under the same name".into()) }
}

/// The descriptor that the other process has: the port itself is locked for all but root.
fn hold(port: &str, process: u32) -> Result<File, String> {
    let path = std::fs::canonicalize(port).map_err(|e| e.to_string())?;
    let open = |path: &Path| {
        let mut options = File::options();
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NOCTTY | libc::O_NONBLOCK);
        options.read(true).open(path)
    };
    open(&path).map_err(|e| format!("process {process} has {port}, and nobody else can open it: {e}"))
}
