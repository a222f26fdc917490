//! What commands get of `hardline`: those that serve the peer, or what came over the wire, few variables and three
//! descriptors; the user's own everything. No word of the peer's reaches a shell.
#![allow(missing_docs)]

mod common;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use common::{HARDLINE, Wire, bytes, until, write_all_beside};

/// What nobody but us is to have, and what comes of it in a service.
const SECRETS: [(&str, &str); 6] = [
    ("CREDENTIALS_DIRECTORY", "/nowhere"),
    ("NOTIFY_SOCKET", "/nowhere/notify"),
    ("LISTEN_FDS", "1"),
    ("SSH_AUTH_SOCK", "/nowhere/agent"),
    ("LD_BIND_NOW", "1"),
    ("SECRET", "1"),
];
/// What a service may have; the last three are the shell's own.
const KNOWN: [&str; 11] = ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "TERM", "PWD", "SHLVL", "_"];
/// Lists its own descriptors, but for the one it lists them with.
const LIST: &str = "ls -l /proc/self/fd | grep -v '/proc/[0-9]*/fd$'";

/// `hardline` with secrets in its environment and a descriptor too many.
fn burdened() -> Command {
    let mut command = common::command("sh");
    command.args(["-c", "exec 7</dev/null 9<&7; exec \"$0\" \"$@\"", HARDLINE]).envs(SECRETS);
    command.env("LC_TIME", "C").env("TZ", "UTC");
    command
}

#[track_caller]
fn assert_clean(environment: &str) {
    for line in environment.lines() {
        let name = line.trim_end().split('=').next().unwrap();
        assert!(KNOWN.contains(&name) || name.starts_with("LC_"), "{name} is not for commands:\n{environment}");
    }
    let has = |line: &str| environment.lines().any(|l| l.trim_end() == line);
    assert!(has("LC_TIME=C") && has("TZ=UTC"), "{environment}");
    assert!(environment.lines().any(|l| l.starts_with("PATH=/")), "{environment}");
}

/// The numbers in what `LIST` printed are 0, 1 and 2.
#[track_caller]
fn assert_three(listing: &str) {
    let number = |line: &str| line.split(" -> ").next()?.rsplit(' ').next()?.parse::<u32>().ok();
    let numbers: BTreeSet<u32> = listing.lines().filter_map(number).collect();
    assert_eq!(numbers, BTreeSet::from([0, 1, 2]), "{listing}");
}

#[track_caller]
fn asked(wire: &Wire, service: &str) -> String {
    let ended = wire.ask(service, b"");
    assert_eq!(ended.code, 0, "{service}: {}", ended.said);
    String::from_utf8(ended.out).unwrap()
}

/// `nohup` is for `hardline`: a shell on a terminal of its own that does not hear of its end would stay.
#[test]
fn a_command_hears_that_its_terminal_hung_up_also_under_nohup() {
    const IGNORED: &str = "grep SigIgn /proc/self/status";
    let wire = Wire::with(&[]);
    let _a = wire.link("a", &[]);
    let mut b = common::command("env");
    b.args(["--ignore-signal=HUP", HARDLINE, "link", "--plain"]).arg(wire.path("b")).args(["-b", "2000000", "--control"]);
    b.arg(wire.path("b.sock"));
    b.args(["--service", &format!("exec=exec:{IGNORED}"), "--service", &format!("pty=pty:{IGNORED}")]);
    let _b = wire.start("link-b", &mut b);
    wire.await_session();
    for service in ["exec", "pty"] {
        let told = asked(&wire, service);
        let mask = u64::from_str_radix(told.split_whitespace().nth(1).unwrap(), 16).unwrap();
        assert_eq!(mask & 1, 0, "{service}: {told}");
    }
}

#[test]
fn services_get_few_variables_and_three_descriptors() {
    let wire = Wire::with(&[]);
    wire.listen("echo", common::echo);
    let _a = wire.link("a", &["--forward", &format!("unix:{}=cat", wire.text("in"))]);
    let mut b = burdened();
    b.args(["link", "--plain"]).arg(wire.path("b")).args(["-b", "2000000", "--control"]).arg(wire.path("b.sock"));
    b.args(["--forward", &format!("unix:{}=none", wire.text("out-b"))]);
    for (kind, command) in [("exec", "env"), ("pty", "env"), ("exec", LIST), ("pty", LIST), ("exec", "cat"), ("pty", "cat")] {
        let name = command.split(' ').next().unwrap();
        b.args(["--service", &format!("{kind}-{name}={kind}:{command}")]);
    }
    b.args(["--service", "cat=exec:cat", "--service", &format!("unix=unix:{}", wire.text("echo"))]);
    let _b = wire.start("link-b", &mut b);
    wire.await_session();

    // while much is open: channels of every kind that move bytes, and clients of the control socket
    let streams: Vec<_> = (0..8).map(|_| wire.connect("in")).collect();
    streams.iter().for_each(|s| drop(write_all_beside(s, bytes(20_000, 7))));
    let held = ["unix", "exec-cat", "pty-cat"].map(|name| {
        let mut open = wire.open("a", name);
        open.stdin(Stdio::piped()).stdout(Stdio::null());
        wire.start(&format!("held-{name}"), &mut open)
    });
    until("all of them are open", || (wire.channels("b") >= held.len()).then_some(()));
    for _ in 0..3 {
        assert_three(&asked(&wire, "exec-ls"));
        assert_three(&asked(&wire, "pty-ls"));
    }
    assert_clean(&asked(&wire, "exec-env"));
    assert_clean(&asked(&wire, "pty-env"));
}

#[test]
fn a_command_has_a_path_where_we_have_none() {
    let wire = Wire::with(&[]);
    let _a = wire.link("a", &[]);
    let mut b = Command::new(HARDLINE);
    b.env_clear().args(["link", "--plain"]).arg(wire.path("b")).args(["-b", "2000000", "--control"]).arg(wire.path("b.sock"));
    b.args(["--service", "env=exec:/usr/bin/env"]).stdin(Stdio::null()).stdout(Stdio::null());
    let _b = wire.start("link-b", &mut b);
    wire.await_session();
    let environment = asked(&wire, "env");
    assert!(environment.contains("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"), "{environment}");
}

#[test]
fn the_users_own_command_keeps_everything() {
    let wire = Wire::with(&[]);
    let mut far = burdened();
    far.args(["pipe", "--plain"]).arg(wire.path("b")).args(["-b", "2000000", "--", "sh", "-c"]).arg(format!("env; {LIST}"));
    let _far = wire.start("far", &mut far);
    let mut near = wire.rig().pipe("a", common::BAUD);
    let ended = wire.feed("near", near.arg("--plain"), b"").end();
    ended.assert(0, "");
    let said = String::from_utf8(ended.out).unwrap();
    assert!(SECRETS.iter().all(|(name, value)| said.contains(&format!("{name}={value}\n"))), "{said}");
    assert!(said.contains(" 7 -> /dev/null") && said.contains(" 9 -> /dev/null"), "{said}");
}

/// Words that do something where a shell reads them, in a folder where that would be seen.
const POISON: [&str; 5] = ["$(touch pwned)", "`touch pwned`", "; touch pwned;", "'\"|touch pwned #", "-e touch pwned"];

#[test]
fn terminals_and_names_reach_no_shell() {
    let wire = Wire::with(&[]);
    let _a = wire.link("a", &[]);
    let mut b = Command::new(HARDLINE);
    b.args(["link", "--plain"]).arg(wire.path("b")).args(["-b", "2000000", "--control"]).arg(wire.path("b.sock"));
    b.args(["--service", "term=pty:echo $TERM", "--service", "cat=exec:cat"]).current_dir(wire.rig().dir());
    let _b = wire.start("link-b", b.stdin(Stdio::null()).stdout(Stdio::null()));
    wire.await_session();
    for poison in POISON {
        // as it stands in the environment of `open`, and so travels
        let ended = wire.feed("term", wire.open("a", "term").env("TERM", poison), b"").end();
        assert_eq!(String::from_utf8_lossy(&ended.out), "dumb\r\n", "{poison}: {}", ended.said);
        wire.feed("name", &mut wire.open("a", &format!("cat{poison}")), b"").end().assert(2, "is no name of a service");
    }
    assert!(!wire.path("pwned").exists());
}

#[test]
fn names_of_files_reach_no_shell() {
    let wire = Wire::with(&[]);
    let (from, to) = (wire.path("from"), wire.path("to"));
    fs::create_dir(&from).unwrap();
    POISON.iter().for_each(|name| fs::write(from.join(name), name).unwrap());
    let mut recv = Command::new(HARDLINE);
    recv.args(["recv", "--plain"]).arg(wire.path("b")).args(["-b", "2000000", "--out"]).arg(&to).current_dir(wire.rig().dir());
    let recv = wire.start("recv", recv.stdin(Stdio::null()).stdout(Stdio::null()));
    let mut send = Command::new(HARDLINE);
    send.args(["send", "--plain"]).arg(wire.path("a")).args(["-b", "2000000"]).arg(&from).current_dir(wire.rig().dir());
    wire.feed("send", &mut send, b"").end().assert(0, "");
    assert_eq!(recv.wait(), 0);
    for name in POISON {
        assert_eq!(fs::read_to_string(to.join("from").join(name)).unwrap(), name);
    }
    assert!(!wire.path("pwned").exists());
}

/// Sends files one way into a file, and receives them from there with a hook; returns what the hook left in `seen`.
#[track_caller]
fn hooked(dir: &Path, names: &[&str], hook: &str) -> String {
    for name in names {
        fs::write(dir.join(name), name).unwrap();
    }
    let mut send = Command::new(HARDLINE);
    send.args(["diode", "send", "stdio:", "-b", "1000000", "--"]).args(names.iter().map(|name| dir.join(name)));
    let sent = send.stdin(Stdio::null()).stdout(File::create(dir.join("line")).unwrap()).status().unwrap();
    assert!(sent.success());
    fs::create_dir(dir.join("run")).unwrap();
    let mut recv = burdened();
    recv.args(["diode", "recv", "stdio:", "--out", "in", "--exec", hook]).current_dir(dir.join("run"));
    let received = recv.stdin(File::open(dir.join("line")).unwrap()).output().unwrap();
    assert!(received.status.success(), "{}", String::from_utf8_lossy(&received.stderr));
    fs::read_to_string(dir.join("run/seen")).unwrap()
}

#[test]
fn names_reach_a_hook_as_one_word_and_no_shell() {
    let dir = tempfile::tempdir().unwrap();
    let seen = hooked(dir.path(), &POISON, "printf '%s\\n' >>seen");
    let lines: BTreeSet<&str> = seen.lines().collect();
    let paths: Vec<String> = POISON.iter().map(|name| format!("in/{name}")).collect();
    assert_eq!(lines, paths.iter().map(String::as_str).collect());
    assert!(!dir.path().join("run/pwned").exists() && !dir.path().join("pwned").exists());
}

#[test]
fn a_hook_gets_few_variables_and_three_descriptors() {
    let dir = tempfile::tempdir().unwrap();
    // what it reads is not the line
    let seen = hooked(dir.path(), &["file"], &format!("{{ env; echo --; {LIST}; cat; }} >seen; : "));
    let (environment, listing) = seen.split_once("--\n").unwrap();
    assert_clean(environment);
    assert_three(listing);
    assert_eq!(listing.lines().filter(|l| l.contains("0 -> /dev/null")).count(), 1, "{listing}");
}
