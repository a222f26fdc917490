//! `hardline diode`: one way, the receiver's port opened for reading only and the sender's for writing only.

use std::time::Duration;

use crate::Verdict;
use crate::process::{Input, Process, Scratch};
use crate::rig::Rig;
use crate::tty::Tty;

const LIMIT: Duration = Duration::from_secs(60);
const LINES: usize = 200;

/// How a process has opened its port: `O_RDONLY` and the like.
fn access(process: &Process, port: &str) -> Result<i32, String> {
    let fd = process.holds(port, LIMIT)?;
    let info = std::fs::read_to_string(format!("/proc/{}/fdinfo/{fd}", process.id())).map_err(|e| e.to_string())?;
    let flags = info.lines().find_map(|l| l.strip_prefix("flags:")).unwrap_or_default();
    Ok(i32::from_str_radix(flags.trim(), 8).map_err(|e| e.to_string())? & libc::O_ACCMODE)
}

/// Receiver, then sender, on a quiet wire; both end with 0.
fn carry(rig: &Rig, scratch: &Scratch, recv: &[&str], send: &[&str], input: Input<'_>) -> Result<(), String> {
    let baud = rig.baud.to_string();
    let recv = [&["diode", "recv", rig.b(), "-b", &baud], recv].concat();
    let send = [&["diode", "send", rig.a(), "-b", &baud, "--survive", "200ms"], send].concat();
    drop(Tty::open(rig.b(), rig.baud)?);
    let mut receiver = scratch.start(rig, "recv", &recv, Input::Nothing)?;
    let read_only = access(&receiver, rig.b())?;
    // it drops what came before it was set up
    std::thread::sleep(Duration::from_millis(300));
    let mut sender = scratch.start(rig, "send", &send, input)?;
    let write_only = access(&sender, rig.a())?;
    sender.ends_with(0, LIMIT)?;
    receiver.ends_with(0, LIMIT)?;
    if (read_only, write_only) == (libc::O_RDONLY, libc::O_WRONLY) {
        return Ok(());
    }
    Err(format!("the ports are opened with {read_only} (to receive) and {write_only} (to send)"))
}

/// Every line arrives once, in any order.
pub(super) fn lines(rig: &Rig) -> Verdict {
    let scratch = Scratch::new()?;
    let sent: Vec<String> = (0..LINES).map(|n| format!("reading {n:04}: 21.5 C")).collect();
    let file = scratch.write("lines", (sent.join("\n") + "\n").as_bytes())?;
    carry(rig, &scratch, &["--lines"], &["--lines"], Input::File(&file))?;
    let text = std::fs::read_to_string(scratch.path("recv.out")).map_err(|e| e.to_string())?;
    let mut got: Vec<&str> = text.lines().collect();
    got.sort_unstable();
    if got == sent { Ok(format!("{LINES} lines")) } else { Err(format!("{} lines of {LINES}, or others", got.len())) }
}

/// A file, and the sender waits until its last byte has left.
pub(super) fn file(rig: &Rig) -> Verdict {
    let scratch = Scratch::new()?;
    let bytes = rig.bytes_in(1.5);
    let file = scratch.random("data", bytes, 4)?;
    let out = scratch.path("in");
    let (out, name) = (out.to_string_lossy(), file.to_string_lossy());
    carry(rig, &scratch, &["--out", &out], &[&name], Input::Nothing)?;
    match (std::fs::read(scratch.path("in/data")), std::fs::read(&file)) {
        (Ok(got), Ok(sent)) if got == sent => Ok(format!("{bytes} bytes")),
        (Ok(_), _) => Err("another file arrived than was sent".into()),
        (Err(e), _) => Err(format!("both ended with 0, and the file is not there: {e}")),
    }
}
