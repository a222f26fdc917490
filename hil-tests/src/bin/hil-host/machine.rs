//! One emulated PC: its wires, its console, its end.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{FlushArg, SetArg, cfmakeraw, tcflush, tcgetattr, tcsetattr};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use serde_json::json;
use tempfile::TempDir;

use crate::qmp::Qmp;
use crate::rigs::{Hardware, Rig};
use crate::{Count, Tools};

/// A process that ends with this.
#[derive(Debug)]
pub(crate) struct Kept(pub(crate) Child);

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts `hardline sim` with its ends `a` and `b` in a folder.
pub(crate) fn wire(tools: &Tools, dir: &Path, args: &[&str]) -> Result<Kept, String> {
    let mut command = Command::new(&tools.hardline);
    command.args(["sim", "-q", "-a"]).arg(dir.join("a")).arg("-b").arg(dir.join("b")).args(args);
    let mut sim = Kept(command.stdin(Stdio::null()).spawn().map_err(|e| format!("no hardline sim: {e}"))?);
    let end = Instant::now() + Duration::from_secs(10);
    while !(dir.join("a").exists() && dir.join("b").exists()) {
        if Instant::now() > end || sim.0.try_wait().is_ok_and(|s| s.is_some()) {
            return Err("hardline sim makes no wire".into());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(sim)
}

/// The unpacked QEMU of this name.
pub(crate) fn qemu(tools: &Tools, name: &str) -> Command {
    let tree = tools.out.join("tree");
    let library = |dir: &str| tree.join(dir).to_string_lossy().into_owned();
    let mut command = Command::new(tree.join("usr/bin").join(name));
    command.env("LD_LIBRARY_PATH", [library("usr/lib/x86_64-linux-gnu"), library("lib/x86_64-linux-gnu")].join(":"));
    command.arg("-L").arg(tree.join("usr/share/qemu")).arg("-L").arg(tree.join("usr/share/seabios"));
    // never kvm: where it opens it need not boot
    command.args(["-nodefaults", "-display", "none", "-no-reboot", "-accel", "tcg"]);
    command
}

/// A loopback plug at the far end of the wire.
fn echo(path: &Path) -> Result<(), String> {
    let end = File::options().read(true).write(true).custom_flags(libc::O_NOCTTY).open(path);
    let end = end.map_err(|e| e.to_string())?;
    let set_up = || -> nix::Result<()> {
        let mut settings = tcgetattr(&end)?;
        cfmakeraw(&mut settings);
        tcsetattr(&end, SetArg::TCSANOW, &settings)
    };
    set_up().map_err(|e| e.to_string())?;
    // until the wire is gone
    std::thread::spawn(move || std::io::copy(&mut &end, &mut &end));
    Ok(())
}

fn device(id: &str, chardev: &str, serial: &str) -> serde_json::Value {
    json!({ "driver": "usb-serial", "id": id, "chardev": chardev, "bus": "xhci.0", "serial": serial, "always-plugged": true })
}

/// The hardware of a rig, and the words for its kernel.
fn hardware(command: &mut Command, rig: &Rig, dir: &Path) -> Result<Vec<String>, String> {
    let mut stuck = None;
    let mut chardev = |id: &str, path: &Path| {
        command.arg("-chardev").arg(format!("serial,id={id},path={}", path.display()));
    };
    if rig.hardware != Hardware::Gadget {
        chardev("a", &dir.join("a"));
    }
    if matches!(rig.hardware, Hardware::Ftdi | Hardware::Uart) {
        chardev("b", &dir.join("b"));
    }
    if rig.hardware == Hardware::Uart {
        let pty = nix::pty::openpty(None, None).map_err(|e| e.to_string())?;
        chardev("stuck", &nix::unistd::ttyname(&pty.slave).map_err(|e| e.to_string())?);
        stuck = Some(pty.master);
    }
    let words: &[&str] = match rig.hardware {
        Hardware::Ftdi => {
            command.args(["-device", "qemu-xhci,id=xhci"]);
            command.arg("-device").arg(device("u0", "a", "HILA").to_string());
            command.arg("-device").arg(device("u1", "b", "HILB").to_string());
            &["HIL_MODULES=ftdi", "HIL_PORTS=/dev/ttyUSB0,/dev/ttyUSB1"]
        }
        Hardware::Loop => {
            command.args(["-device", "qemu-xhci,id=xhci"]);
            command.arg("-device").arg(device("u0", "a", "HILA").to_string());
            &["HIL_MODULES=ftdi", "HIL_PORTS=/dev/ttyUSB0"]
        }
        Hardware::Uart => {
            for id in ["a", "b", "stuck"] {
                command.arg("-device").arg(format!("pci-serial,chardev={id}"));
            }
            &["HIL_PORTS=/dev/ttyS1,/dev/ttyS2", "HIL_STUCK=/dev/ttyS3"]
        }
        // stuck as long as nobody has the other end open
        Hardware::Gadget => &["HIL_MODULES=gadget", "HIL_PORTS=/dev/ttyACM0,/dev/ttyGS0", "HIL_STUCK=/dev/ttyACM0"],
    };
    // nobody ever reads it; it stays open as long as this process
    std::mem::forget(stuck);
    Ok(words.iter().chain(rig.env).map(|w| (*w).to_owned()).collect())
}

fn boot(tools: &Tools, rig: &Rig, dir: &Path) -> Result<(Kept, Qmp), String> {
    let mut command = qemu(tools, "qemu-system-x86_64");
    let mut words = hardware(&mut command, rig, dir)?;
    words.push(format!("HIL_TESTS={}", rig.only.join(",")));
    let socket: PathBuf = dir.join("qmp");
    // without its own random numbers the guest gathers entropy for a long time, on a busy host
    command.args(["-cpu", "qemu64,+rdrand"]);
    command.args(["-m", "256", "-kernel"]).arg(tools.out.join("vmlinux"));
    command.arg("-initrd").arg(tools.out.join("initramfs.gz"));
    command.arg("-append").arg(format!("console=ttyS0 panic=-1 quiet random.trust_cpu=on {}", words.join(" ")));
    command.args(["-chardev", "stdio,id=con,signal=off", "-device", "isa-serial,chardev=con"]);
    command.arg("-qmp").arg(format!("unix:{},server=on,wait=off", socket.display()));
    let machine = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let machine = Kept(machine.map_err(|e| format!("QEMU does not start: {e}"))?);
    let qmp = Qmp::connect(&socket)?;
    Ok((machine, qmp))
}

/// The lines of its console, as they come.
fn console(machine: &mut Kept) -> Result<Receiver<String>, String> {
    let stdout = machine.0.stdout.take().ok_or("no console")?;
    let (lines, receiver) = channel();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(stdout);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            if lines.send(String::from_utf8_lossy(&line).trim_end().to_owned()).is_err() {
                return;
            }
            line.clear();
        }
    });
    Ok(receiver)
}

/// Pulls the first adapter. QEMU 7.2 dies of bytes that come for an adapter that is half gone, so the wire
/// holds still meanwhile; and so does the guest, or QEMU would wait for the wire.
fn unplug(qmp: &mut Qmp, wire: &Option<Kept>, dir: &Path) -> Result<(), String> {
    let Some(sim) = wire else { return qmp.unplug("u0") };
    let sim = Pid::from_raw(sim.0.id() as i32);
    let told = |signal| kill(sim, signal).map_err(|e| format!("hardline sim: {e}"));
    qmp.halt(true)?;
    told(Signal::SIGSTOP)?;
    waitid(Id::Pid(sim), WaitPidFlag::WSTOPPED).map_err(|e| e.to_string())?;
    let end = File::options().read(true).write(true).custom_flags(libc::O_NOCTTY).open(dir.join("a"));
    let flushed = end.map(|end| tcflush(end, FlushArg::TCIFLUSH));
    let done = flushed.map_err(|e| e.to_string()).and_then(|_| qmp.unplug("u0"));
    told(Signal::SIGCONT)?;
    qmp.halt(false)?;
    done
}

/// Follows the console until the tests are through; returns the names of those that passed.
fn follow(
    lines: &Receiver<String>,
    limit: Duration,
    count: &mut Count,
    mut host: impl FnMut(&str) -> Result<(), String>,
) -> Result<Vec<String>, String> {
    let end = Instant::now() + limit;
    let mut passed = Vec::new();
    loop {
        let line = match lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => return Err(format!("not through within {} s", limit.as_secs())),
            Err(RecvTimeoutError::Disconnected) => return Err("the machine ended before its tests did".into()),
        };
        println!("  {line}");
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            ["PASS", name, ..] => passed.push(name.to_owned()),
            ["FAIL", ..] => count.failed += 1,
            ["NOT", "RUN", ..] => count.skipped += 1,
            ["HILHOST", word] => host(word)?,
            ["HIL", "rc", _] => return Ok(passed),
            _ => {}
        }
    }
}

/// Runs a rig to its end.
pub(crate) fn run(tools: &Tools, rig: &Rig) -> Result<Count, String> {
    let dir = TempDir::with_prefix("hil-").map_err(|e| e.to_string())?;
    let joined = rig.hardware != Hardware::Gadget;
    // a plug has no rate of its own, so that wire can follow none
    let rate: &[&str] = if rig.hardware == Hardware::Loop { &["--baud", "2000000"] } else { &["--follow-baud"] };
    let args = [rate, rig.wire].concat();
    let wire = joined.then(|| wire(tools, dir.path(), &args)).transpose()?;
    if rig.hardware == Hardware::Loop {
        echo(&dir.path().join("b"))?;
    }
    let (mut machine, mut qmp) = boot(tools, rig, dir.path())?;
    let lines = console(&mut machine)?;
    let mut count = Count::default();
    let passed = follow(&lines, Duration::from_secs(rig.limit), &mut count, |word| match word {
        "off" => unplug(&mut qmp, &wire, dir.path()),
        _ => qmp.plug_in(device("u0", "a", "HILA")),
    })?;
    count.passed = passed.len();
    let missing: Vec<&str> = rig.must.iter().copied().filter(|m| passed.iter().all(|p| p != m)).collect();
    if !missing.is_empty() {
        println!("FAIL rig {}: did not pass: {}", rig.name, missing.join(", "));
        count.failed = count.failed.max(missing.len());
    }
    Ok(count)
}
