//! A microcontroller: the diode's emitter as firmware of an emulated Cortex-M3 board, its UART on a noisy wire.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::machine::{Kept, qemu, wire};
use crate::{Count, Tools};

/// As a rig's name.
pub(crate) const NAME: &str = "cortex-m";
/// What the firmware sends, and at which rate.
const READINGS: usize = 1000;
const BAUD: &str = "460800";
/// The key it seals with, as `hardline keygen --psk` would write it.
const PSK: &str = "hardline-psk-1 Zm9yIGEgdGVzdCBhbG9uZSwgYW5kIG5vIHNlY3JldCE=\n";
const LIMIT: Duration = Duration::from_secs(60);

/// The key file, which nobody else may read.
fn write_secret(path: &Path) -> io::Result<()> {
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(PSK.as_bytes())
}

/// Every reading arrives although bits are wrong; nothing ever goes back.
pub(crate) fn run(tools: &Tools) -> Result<Count, String> {
    let dir = TempDir::with_prefix("hil-").map_err(|e| e.to_string())?;
    let _wire = wire(tools, dir.path(), &["--one-way", "--baud", BAUD, "--ber", "1e-5", "--seed", "3"])?;
    let output = dir.path().join("lines");
    let mut recv = Command::new(&tools.hardline);
    let (psk, state) = (dir.path().join("psk"), dir.path().join("state"));
    write_secret(&psk).map_err(|e| format!("no key file: {e}"))?;
    recv.args(["diode", "recv", "--lines", "-b", BAUD, "--psk"]).arg(psk).arg("--state").arg(state);
    recv.arg(dir.path().join("b")).stdin(Stdio::null());
    recv.stdout(File::create(&output).map_err(|e| e.to_string())?);
    let mut recv = Kept(recv.spawn().map_err(|e| format!("no receiver: {e}"))?);
    std::thread::sleep(Duration::from_millis(500));
    let mut board = qemu(tools, "qemu-system-arm");
    board.args(["-machine", "mps2-an385", "-serial", "chardev:uart", "-kernel"]).arg(&tools.firmware);
    board.arg("-chardev").arg(format!("serial,id=uart,path={}", dir.path().join("a").display()));
    let board = Kept(board.stdin(Stdio::null()).spawn().map_err(|e| format!("QEMU does not start: {e}"))?);
    let began = Instant::now();
    let status = loop {
        if let Some(status) = recv.0.try_wait().map_err(|e| e.to_string())? {
            break status;
        }
        if began.elapsed() > LIMIT {
            return Err(format!("the receiver is not through within {} s", LIMIT.as_secs()));
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    drop(board);
    let text = std::fs::read_to_string(&output).map_err(|e| e.to_string())?;
    let mut got: Vec<&str> = text.lines().collect();
    got.sort_unstable();
    let expected: Vec<String> = (0..READINGS).map(|n| format!("reading {n:04}: {:3} mV", 200 + n % 97)).collect();
    if !status.success() || got != expected {
        return Err(format!("{} of {READINGS} readings arrived, the receiver ended with {status}", got.len()));
    }
    println!("  PASS telemetry ({:.1} s) {READINGS} sealed readings at BER 1e-5, none lost", began.elapsed().as_secs_f64());
    Ok(Count { passed: 1, ..Count::default() })
}
