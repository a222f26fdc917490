//! What a terminal is shown and what programs read: bars and colours where they belong and nowhere else, JSON where it is asked for.
#![allow(missing_docs)]

mod common;

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use common::{HARDLINE, Running, Wire, bytes, until};
use nix::pty::{Winsize, openpty};
use serde_json::Value;

/// Terminals whose output is told apart from what comes of a pipe.
const SIZE: Winsize = Winsize { ws_row: 25, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 };

/// Runs a command with stderr on a terminal of this kind; returns its exit code and what was written there.
#[track_caller]
fn on_terminal(command: &mut Command, term: &str) -> (i32, String) {
    let (running, reader) = start_on_terminal(command, term);
    let code = running.wait();
    drop(running);
    (code, reader.join().unwrap())
}

fn start_on_terminal(command: &mut Command, term: &str) -> (Running, std::thread::JoinHandle<String>) {
    let pty = openpty(&SIZE, None).unwrap();
    command.env("TERM", term).stderr(Stdio::from(pty.slave));
    let child = command.spawn().unwrap();
    // the last of the other side: the reader ends with the process
    command.stderr(Stdio::null());
    let mut master = File::from(pty.master);
    let reader = std::thread::spawn(move || {
        let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
        while let Ok(n @ 1..) = master.read(&mut buffer) {
            seen.extend_from_slice(&buffer[..n]);
        }
        String::from_utf8_lossy(&seen).into_owned()
    });
    (Running { name: "it".into(), child }, reader)
}

fn hardline(args: &[&str], dir: &Path) -> Command {
    let mut command = Command::new(HARDLINE);
    command.args(args).current_dir(dir).stdin(Stdio::null()).stdout(Stdio::null()).env_remove("NO_COLOR");
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command
}

/// Whether something was coloured.
fn is_coloured(text: &str) -> bool {
    let mut codes = text.split("\x1b[").skip(1).filter_map(|rest| rest.split_once('m').map(|(code, _)| code));
    codes.any(|code| code.split(';').any(|n| matches!(n.parse::<u8>(), Ok(30..=38 | 40..=48 | 90..=97 | 100..=107))))
}

#[test]
fn colours_are_for_terminals_and_not_against_the_user() {
    let dir = tempfile::tempdir().unwrap();
    let wrong = || hardline(&["pipe", "--bogus"], dir.path());
    assert!(is_coloured(&on_terminal(&mut wrong(), "xterm").1));
    assert!(is_coloured(&on_terminal(wrong().env("NO_COLOR", ""), "xterm").1), "an empty NO_COLOR counts for nothing");
    let plain = [
        on_terminal(wrong().env("NO_COLOR", "1"), "xterm").1,
        on_terminal(&mut wrong(), "dumb").1,
        String::from_utf8(wrong().env("TERM", "xterm").stderr(Stdio::piped()).output().unwrap().stderr).unwrap(),
    ];
    assert!(plain.iter().all(|text| text.contains("[usage]") && !text.contains('\x1b')), "{plain:?}");
}

#[test]
fn the_live_screen_honours_them_too() {
    let wire = Wire::with(&[]);
    let _link = wire.link("a", &[]);
    until("the socket", || wire.status("a"));
    let watch = |no_colour: &str, term: &str| {
        let pty = openpty(&SIZE, None).unwrap();
        let end = || Stdio::from(pty.slave.try_clone().unwrap());
        let mut command = hardline(&["status", "a.sock", "--watch"], wire.rig().dir());
        command.env("TERM", term).env("NO_COLOR", no_colour).stdin(end()).stdout(end()).stderr(Stdio::null());
        let running = Running { name: "watch".into(), child: command.spawn().unwrap() };
        drop((command, pty.slave));
        let (mut master, mut seen, mut buffer) = (File::from(pty.master), String::new(), [0; 4096]);
        while let Ok(n @ 1..) = master.read(&mut buffer) {
            seen.push_str(&String::from_utf8_lossy(&buffer[..n]));
            if seen.contains("ends") && running.ended().is_none() {
                running.signal(nix::sys::signal::Signal::SIGTERM);
            }
        }
        (running.wait(), seen)
    };
    let (code, screen) = watch("", "xterm");
    assert!(code == 143 && is_coloured(&screen), "{screen:?}");
    let (code, screen) = watch("1", "xterm");
    assert!(code == 143 && !is_coloured(&screen), "{screen:?}");
    let (code, screen) = watch("", "dumb");
    assert!(code == 2 && screen.is_empty(), "{screen:?}");
}

/// A bar with bytes, rate and time left.
fn has_bar(text: &str) -> bool {
    text.contains("/s ") && text.contains(" left")
}

#[test]
fn files_have_a_bar_on_a_terminal_alone() {
    let wire = Wire::with(&[]);
    fs::write(wire.path("f"), bytes(300_000, 1)).unwrap();
    for (i, (term, bar)) in [("xterm", true), ("dumb", false)].into_iter().enumerate() {
        let (dir, out) = (wire.rig().dir(), format!("out{i}"));
        let recv = hardline(&["recv", "./b", "-b", "2000000", "--plain", "--out", &out], dir).spawn_on(term);
        let (code, sent) = on_terminal(&mut hardline(&["send", "./a", "-b", "2000000", "--plain", "f"], dir), term);
        let (received, text) = (recv.0.wait(), {
            drop(recv.0);
            recv.1.join().unwrap()
        });
        assert_eq!((code, received), (0, 0), "{sent} {text}");
        assert_eq!((has_bar(&sent), has_bar(&text)), (bar, bar), "{sent:?} {text:?}");
        assert!(sent.contains("sent 1 file") && text.contains("received 1 file"), "{sent:?} {text:?}");
    }
    let recv = hardline(&["recv", "./b", "-b", "2000000", "--plain", "--out", "last"], wire.rig().dir()).spawn_on("xterm");
    let send = wire.start("send", &mut hardline(&["send", "./a", "-b", "2000000", "--plain", "f"], wire.rig().dir()));
    assert_eq!((send.wait(), recv.0.wait()), (0, 0));
    assert!(!wire.log("send").contains(['\r', '\x1b']) && !has_bar(&wire.log("send")), "{}", wire.log("send"));
}

trait SpawnOn {
    fn spawn_on(&mut self, term: &str) -> (Running, std::thread::JoinHandle<String>);
}

impl SpawnOn for Command {
    fn spawn_on(&mut self, term: &str) -> (Running, std::thread::JoinHandle<String>) {
        start_on_terminal(self, term)
    }
}

#[test]
fn a_pipe_has_a_bar_where_a_file_travels() {
    let wire = Wire::with(&[]);
    let dir = wire.rig().dir();
    fs::write(wire.path("f"), bytes(300_000, 2)).unwrap();
    let near = || {
        let mut pipe = hardline(&["pipe", "./a", "-b", "2000000", "--plain"], dir);
        pipe.stdin(File::open(wire.path("f")).unwrap());
        pipe
    };
    let far = |more: &[&str]| hardline(&[&["pipe", "./b", "-b", "2000000", "--plain"], more].concat(), dir);
    // a file as input shows a bar; a far end whose stdin and stdout are none shows nothing, unless asked to
    for (more, bar) in [(&[][..], false), (&["--progress"], true)] {
        let mut other = far(more);
        let (running, reader) = other.stdout(Stdio::piped()).spawn_on("xterm");
        let mut running = running;
        let mut stdout = running.child.stdout.take().unwrap();
        let drain = std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()).unwrap());
        let (code, sent) = on_terminal(&mut near(), "xterm");
        assert_eq!((code, running.wait(), drain.join().unwrap()), (0, 0, 300_000), "{sent}");
        drop(running);
        let text = reader.join().unwrap();
        assert!(has_bar(&sent), "{sent:?}");
        assert_eq!(text.contains("/s "), bar, "{text:?}");
    }
    // a command may have the terminal for itself
    let mut other = far(&["--", "cat"]);
    let (running, reader) = other.spawn_on("xterm");
    let (code, sent) = on_terminal(near().arg("-q"), "xterm");
    assert_eq!((code, running.wait()), (0, 0));
    drop(running);
    assert_eq!((sent, reader.join().unwrap()), (String::new(), String::new()));
}

#[test]
fn a_channel_has_one_too_whoever_holds_the_wire() {
    let wire = Wire::with(&[]);
    let dir = wire.rig().dir();
    fs::write(wire.path("f"), bytes(300_000, 7)).unwrap();
    let mut link = hardline(&["link", "./b", "-b", "2000000", "--plain", "--service", "sink=exec:cat >got"], dir);
    let _link = wire.start("link", &mut link);
    let open = || {
        let mut open = hardline(&["open", "./a", "-b", "2000000", "--plain", "sink"], dir);
        open.stdin(File::open(wire.path("f")).unwrap()).stdout(Stdio::piped());
        open
    };
    let (code, text) = on_terminal(&mut open(), "xterm");
    assert!(code == 0 && has_bar(&text) && text.contains("300.00 kB"), "{text:?}");
    assert_eq!(fs::read(wire.path("got")).unwrap(), bytes(300_000, 7));
    let (code, text) = on_terminal(open().arg("-q"), "xterm");
    assert_eq!((code, text.as_str()), (0, ""));
    let mut holder = hardline(&["link", "./a", "-b", "2000000", "--plain", "--control", "./held"], dir);
    let _holder = wire.start("holder", &mut holder);
    until("the control socket", || wire.path("held").exists().then_some(()));
    let mut open = hardline(&["open", "./held", "sink"], dir);
    open.stdin(File::open(wire.path("f")).unwrap()).stdout(Stdio::piped());
    let (code, text) = on_terminal(&mut open, "xterm");
    assert!(code == 0 && has_bar(&text), "{text:?}");
}

#[test]
fn one_way_has_the_same_bar() {
    let wire = Wire::with(&["--one-way"]);
    let dir = wire.rig().dir();
    fs::write(wire.path("f"), bytes(300_000, 3)).unwrap();
    let mut recv = hardline(&["diode", "recv", "./b", "-b", "2000000", "--out", "in"], dir);
    let recv = recv.spawn_on("xterm");
    let mut send = hardline(&["diode", "send", "./a", "-b", "2000000", "--survive", "50ms", "--rounds", "2", "f"], dir);
    let (code, sent) = on_terminal(&mut send, "xterm");
    assert_eq!((code, recv.0.wait()), (0, 0), "{sent}");
    drop(recv.0);
    let text = recv.1.join().unwrap();
    assert!(has_bar(&sent) && has_bar(&text), "{sent:?} {text:?}");
    assert_eq!(fs::read(wire.path("in/f")).unwrap(), bytes(300_000, 3));
    fs::write(wire.path("lines"), "a line\n".repeat(3_000)).unwrap();
    let mut send = hardline(&["diode", "send", "./a", "-b", "2000000", "--survive", "50ms", "--lines"], dir);
    let (code, sent) = on_terminal(send.stdin(File::open(wire.path("lines")).unwrap()), "xterm");
    assert!(code == 0 && has_bar(&sent), "{sent:?}");
}

#[test]
fn transfers_are_told_to_programs() {
    let wire = Wire::with(&[]);
    let dir = wire.rig().dir();
    for (name, seed) in [("new", 4), ("known", 5)] {
        fs::write(wire.path(name), bytes(20_000, seed)).unwrap();
    }
    fs::create_dir(wire.path("out")).unwrap();
    fs::copy(wire.path("known"), wire.path("out/known")).unwrap();
    fs::create_dir(wire.path("dir")).unwrap();
    std::os::unix::fs::symlink("../new", wire.path("dir/link")).unwrap();
    let out = |name: &str| Stdio::from(File::create(wire.path(name)).unwrap());
    let mut recv = hardline(&["recv", "./b", "-b", "2000000", "--plain", "--out", "out", "--json"], dir);
    let recv = wire.start("recv", recv.stdout(out("recv.json")));
    let mut send = hardline(&["send", "./a", "-b", "2000000", "--plain", "--json", "new", "known", "dir"], dir);
    let send = wire.start("send", send.stdout(out("send.json")));
    assert_eq!((send.wait(), recv.wait()), (0, 0));
    for (name, skips) in [("send.json", true), ("recv.json", false)] {
        let text = fs::read_to_string(wire.path(name)).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let result = |file: &str| lines.iter().find(|l| l["file"] == file).map(|l| l["result"].as_str().unwrap().to_owned());
        assert_eq!(result("new").as_deref(), Some("delivered"), "{text}");
        assert_eq!(result("known").as_deref(), Some("there"), "{text}");
        assert_eq!(result("dir/link").is_some(), skips, "{text}");
        let last = lines.last().unwrap();
        assert!(last["files"] == 1 && last["there"] == 1 && last["failed"] == 0 && last["bytes"] == 20_000, "{text}");
    }
}

#[test]
fn the_demo_and_the_check_too() {
    let dir = tempfile::tempdir().unwrap();
    let output = hardline(&["demo", "--size", "50", "--json"], dir.path()).stdout(Stdio::piped()).output().unwrap();
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(output.status.success() && told["files"].as_array().unwrap().len() == 2, "{told}");
    assert!(told["files"][0]["bytes"] == 50_000 && told["diode"]["bytes"] == 50_000, "{told}");

    fs::write(dir.path().join("f.toml"), "command = \"pipe\"\nport = \"./a b\"\nplain = true\n").unwrap();
    let output = hardline(&["check", "./f.toml", "--json"], dir.path()).stdout(Stdio::piped()).output().unwrap();
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["words"], serde_json::json!(["hardline", "pipe", "--plain", "./a b"]));
}
