//! `hardline console` as shipped, over simulated wires: real terminals at the near end, real shells
//! at the far one.
#![allow(missing_docs)]

mod terminal;

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sha2::Digest;
use terminal::{Running, Terminal, until};
use tools::rig::Rig;

const HARDLINE: &str = env!("CARGO_BIN_EXE_hardline");

/// A wire with shells at end b, and at end a (unless the test wants it for itself) a control socket.
struct Wire {
    near: Option<Running>,
    far: Running,
    rig: Rig,
    baud: &'static str,
}

impl Wire {
    /// Nobody is at end a yet.
    fn far_only(baud: &'static str) -> Wire {
        let rig = Rig::start(Path::new(HARDLINE), &["--baud", baud, "--latency", "200us"]).expect("the simulated wire starts");
        Wire { near: None, far: Wire::far(&rig, baud), rig, baud }
    }
    fn start() -> Wire {
        Wire::at("2000000")
    }
    fn at(baud: &'static str) -> Wire {
        let mut wire = Wire::far_only(baud);
        let mut link = Command::new(HARDLINE);
        link.args(["link", "--plain"]).arg(wire.rig.path("a")).args(["-b", baud, "--control"]).arg(wire.socket());
        wire.near = Some(Running(link.stdin(Stdio::null()).spawn().unwrap()));
        until("the control socket is there", || wire.socket().exists());
        wire
    }
    fn far(rig: &Rig, baud: &str) -> Running {
        let mut link = Command::new(HARDLINE);
        link.args(["link", "--plain"]).arg(rig.path("b")).args([
            "-b",
            baud,
            "--service",
            "console=pty:sh",
            "--service",
            "size=pty:stty size",
        ]);
        Running(link.stdin(Stdio::null()).spawn().unwrap())
    }
    fn socket(&self) -> PathBuf {
        self.rig.path("socket")
    }
    /// What the far shells have said, over the control socket.
    fn bytes_in(&self) -> u64 {
        let output = Command::new(HARDLINE).args(["status", "--json"]).arg(self.socket()).output().unwrap();
        let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        status["bytes_in"].as_u64().unwrap()
    }
    /// A console through the socket, or on the port, on a terminal of its own.
    fn console(&self, args: &[&str]) -> Terminal {
        let held = self.near.is_some();
        let place = if held { self.socket() } else { self.rig.path("a") };
        let mut all = vec!["-c", HARDLINE, "console", place.to_str().unwrap(), "-b", self.baud];
        all.extend(args);
        Terminal::start(Command::new("setsid").args(all).env("TERM", "vt220"))
    }
}

#[test]
fn a_shell_on_a_port() {
    let wire = Wire::far_only("2000000");
    let mut console = wire.console(&[]);
    console.types("echo term-$TERM.$((1+1))\r");
    console.sees("term-vt220.2");
    console.types("stty size\r");
    console.sees("\n25 80\r");
    console.resize(40, 100);
    let sized = || {
        let text = console.text();
        text.contains("\n40 100\r")
    };
    let mut master = console.master.try_clone().unwrap();
    until("the far terminal has the new size", || {
        master.write_all(b"stty size\r").unwrap();
        std::thread::sleep(Duration::from_millis(50));
        sized()
    });
    console.types("exit\r");
    console.ends(0);
}

#[test]
fn the_size_is_there_before_the_shell() {
    let mut wire = Wire::far_only("2000000");
    wire.console(&["size"]).ends_with(0, "25 80\r");
    wire = Wire::start();
    wire.console(&["size"]).ends_with(0, "25 80\r");
}

#[test]
fn the_end_of_the_shell_is_told() {
    let wire = Wire::start();
    let mut console = wire.console(&[]);
    console.greets(1);
    console.types("exit 3\r");
    console.ends_with(1, "the service ended with exit code 3");
    wire.console(&["nothing"]).ends_with(5, "no service of that name");
}

/// A terminal that stands still is no riddle: why is shown, and when it is over.
#[test]
fn a_silent_peer_is_told_on_the_screen() {
    for wire in [Wire::far_only("2000000"), Wire::start()] {
        let mut console = wire.console(&[]);
        console.greets(1);
        let far = Pid::from_raw(wire.far.0.id() as i32);
        kill(far, Signal::SIGSTOP).unwrap();
        console.sees("[hardline: waiting: the peer has not been heard for ");
        kill(far, Signal::SIGCONT).unwrap();
        console.sees("[hardline: waiting no longer]\r\n");
        console.greets(2);
        console.types("exit\r");
        let seen = console.ends(0);
        assert!(!seen.contains("[peer-"), "nothing is written across the screen: {seen}");
    }
}

#[test]
fn what_is_not_there_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let nowhere = dir.path().join("nowhere");
    let mut command = Command::new("setsid");
    Terminal::start(command.args(["-c", HARDLINE, "console"]).arg(nowhere)).ends(6);
}

#[test]
fn a_paste_arrives_whole() {
    let wire = Wire::start();
    let mut console = wire.console(&[]);
    console.types("stty raw -echo; echo rea''dy; head -c 100000 | sha256sum\r");
    console.sees("ready");
    let paste: Vec<u8> = (0..100_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).filter(|&b| b != b'~').collect();
    let paste: Vec<u8> = paste.iter().copied().cycle().take(100_000).collect();
    console.master.write_all(&paste).unwrap();
    let digest: String = sha2::Sha256::digest(&paste).iter().map(|b| format!("{b:02x}")).collect();
    console.sees(&digest);
    console.types("exit\n");
    console.ends(0);
}

#[test]
fn escapes_are_obeyed() {
    let wire = Wire::start();
    let mut console = wire.console(&[]);
    console.types("trap 'echo int-$((40+2))' INT; echo sl''eeps; sleep 1000\r");
    console.sees("sleeps");
    // the first one may come before the shell has begun to sleep, and is then kept until it wakes
    until("the break interrupts", || {
        console.types("~B");
        std::thread::sleep(Duration::from_millis(200));
        console.text().contains("int-42")
    });
    console.types("\r~?");
    console.sees("a tilde");
    console.types("\recho a$((1)) ~.\rcat\r");
    console.sees("a1 ~.");
    console.types("~~tilde\r");
    console.sees("\n~tilde\r");
    console.types("\x04");
    console.greets(3);
    console.types("~.");
    console.ends_with(0, "[hardline: left console]");
    wire.console(&[]).greets(2);
}

#[test]
fn a_log_has_the_time_of_each_line() {
    let wire = Wire::start();
    let log = wire.rig.path("log");
    let mut console = wire.console(&["--log", log.to_str().unwrap()]);
    console.greets(7);
    console.types("exit\r");
    console.ends(0);
    let text = std::fs::read_to_string(&log).unwrap();
    let line = text.lines().find(|l| l.ends_with("Z greet-7.")).expect("the answer is there");
    let shape: String = line.chars().take(24).map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(shape, "0000-00-00T00:00:00.000Z");
    assert_eq!(std::fs::metadata(&log).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn several_look_and_one_writes() {
    let wire = Wire::start();
    let mut first = wire.console(&[]);
    first.greets(10);
    let mut viewer = wire.console(&["--read-only"]);
    viewer.sees("greet-10.");
    viewer.types("echo never\r");
    let second = wire.console(&[]);
    second.sees("is writing; you read only");
    let mut third = wire.console(&["--force"]);
    third.greets(11);
    first.sees("has taken over; you read only");
    [&first, &viewer, &second].into_iter().for_each(|c| c.sees("greet-11."));
    first.types("echo never\r");
    third.types("~.");
    third.ends(0);
    first.sees("the writer has left; you write now");
    first.greets(12);
    first.resize(33, 99);
    first.types("~.");
    first.ends(0);
    let mut second = second;
    second.sees("you write now");
    second.types("stty size\r");
    second.sees("\n25 80\r");
    second.types("exit\r");
    let seen = viewer.ends_with(0, "greet-12.");
    assert!(!seen.contains("never"), "{seen}");
    second.ends(0);
}

#[test]
fn a_stalled_viewer_stalls_nobody() {
    let wire = Wire::at("8000000");
    let mut writer = wire.console(&[]);
    writer.greets(20);
    let viewer = wire.console(&["--read-only"]);
    viewer.sees("greet-20.");
    viewer.signal(Signal::SIGSTOP);
    writer.types("head -c 1500000 /dev/zero | tr '\\0' '\\170'; echo do''ne\r");
    writer.sees("done");
    assert_eq!(writer.text().bytes().filter(|&b| b == b'x').count(), 1_500_000);
    viewer.signal(Signal::SIGCONT);
    viewer.sees("bytes skipped]");
    writer.greets(21);
    viewer.sees("greet-21.");
}

#[test]
fn alone_nothing_is_skipped() {
    let wire = Wire::at("8000000");
    let mut writer = wire.console(&[]);
    writer.greets(20);
    writer.types("sleep 1; head -c 1500000 /dev/zero | tr '\\0' '\\170'; echo do''ne\r");
    writer.sees("ne\r");
    writer.signal(Signal::SIGSTOP);
    let mut before = 0;
    until("the far end waits", || {
        std::thread::sleep(Duration::from_millis(400));
        let now = wire.bytes_in();
        now > 100_000 && std::mem::replace(&mut before, now) == now
    });
    assert!(before < 1_500_000, "{before} came past a terminal that stands still");
    writer.signal(Signal::SIGCONT);
    writer.sees("done");
    assert_eq!(writer.text().bytes().filter(|&b| b == b'x').count(), 1_500_000);
}

#[test]
fn a_killed_console_leaves_no_shell() {
    let wire = Wire::start();
    let mut console = wire.console(&[]);
    console.types("echo pid-$$.\r");
    let mut pid = String::new();
    until("the shell tells its number", || {
        let text = console.text();
        let found = text.split("pid-").filter_map(|t| t.split_once('.')).find(|(n, _)| n.parse::<u32>().is_ok());
        pid = found.map_or(String::new(), |(n, _)| n.to_owned());
        !pid.is_empty()
    });
    console.signal(Signal::SIGKILL);
    until("the shell is gone", || !Path::new("/proc").join(&pid).exists());
    let mut next = wire.console(&[]);
    next.greets(30);
    next.signal(Signal::SIGTERM);
    next.ends(128 + 15);
}

#[test]
fn a_lost_session_is_told_to_all() {
    let mut wire = Wire::start();
    let mut writer = wire.console(&[]);
    writer.greets(40);
    let viewer = wire.console(&["--read-only"]);
    viewer.sees("greet-40.");
    let old = std::mem::replace(&mut wire.far, Running(Command::new("true").spawn().unwrap()));
    drop(old);
    wire.far = Wire::far(&wire.rig, wire.baud);
    let _ = (writer.ends_with(3, "restarted"), viewer.ends_with(3, "restarted"));
    let mut next = wire.console(&[]);
    next.greets(41);
    let near = wire.near.as_ref().map(|near| Pid::from_raw(near.0.id() as i32)).unwrap();
    kill(near, Signal::SIGTERM).unwrap();
    next.ends_with(3, "'hardline link' has ended: ended by signal 15");
}

#[test]
fn the_end_of_one_input_is_not_the_end_for_others() {
    let wire = Wire::start();
    let mut somebody = wire.console(&[]);
    somebody.greets(40);
    let mut script = Command::new(HARDLINE);
    script.arg("console").arg("--force").arg(wire.socket()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut script = script.spawn().unwrap();
    script.stdin.take().unwrap().write_all(b"echo scrip''ted\n").unwrap();
    assert_eq!(script.wait_with_output().unwrap().status.code(), Some(0));
    somebody.sees("scripted");
    somebody.sees("you write now");
    somebody.greets(41);
    somebody.types("exit\r");
    somebody.ends(0);
}

#[test]
fn input_may_come_from_a_file() {
    let wire = Wire::start();
    let mut command = Command::new(HARDLINE);
    command.arg("console").arg(wire.socket()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"echo piped-$((6*7))\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let _writer = {
        let mut writer = wire.console(&[]);
        writer.greets(50);
        writer
    };
    let refused = command.stdin(Stdio::null()).output().unwrap();
    assert_eq!(refused.status.code(), Some(5), "there is a writer");
    assert!(String::from_utf8_lossy(&output.stdout).contains("piped-42"));
}

/// Done at the end of a test, however that ends.
struct Ended<'a>(&'a dyn Fn());

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[test]
fn it_works_in_a_terminal_emulator() {
    let wire = Wire::start();
    let server = wire.rig.path("tmux");
    let tmux = |args: &[&str]| -> String {
        let output = Command::new("tmux").args(["-f", "/dev/null", "-S"]).arg(&server).args(args).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let command = format!("{HARDLINE} console {}; echo code-$?; exec cat", wire.socket().display());
    let _server = Ended(&|| drop(tmux(&["kill-server"])));
    tmux(&["new-session", "-d", "-x", "90", "-y", "30", &command]);
    let shows = |what: &str| until(what, || tmux(&["capture-pane", "-p"]).contains(what));
    tmux(&["send-keys", "echo t-$((6*7))-$TERM", "Enter"]);
    shows("t-42-");
    tmux(&["resize-window", "-x", "70", "-y", "20"]);
    until("the size follows", || {
        tmux(&["send-keys", "stty size", "Enter"]);
        std::thread::sleep(Duration::from_millis(50));
        let screen = tmux(&["capture-pane", "-p"]);
        screen.contains("20 70") || screen.contains("19 70")
    });
    tmux(&["send-keys", "Enter", "~."]);
    shows("code-0");
}
