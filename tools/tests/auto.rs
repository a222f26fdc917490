//! `--baud auto` as shipped: real processes on ports that have rates, over a wire that has a limit.
#![allow(missing_docs)]

mod common;

use std::process::{Command, Stdio};

use common::{HARDLINE, Wire, bytes, echo, until};

/// Bits at different rates are garbage; above the limit they turn.
fn wire(limit: &str, more: &[&str]) -> Wire {
    Wire::with(&[&["--follow-baud", "--max-baud", limit, "--timer", "1ms"], more].concat())
}

/// Waits until both ends have this rate.
#[track_caller]
fn await_baud(wire: &Wire, baud: u64) {
    let has = |end| wire.status(end).is_some_and(|s| s["baud"] == baud && s["state"] == "open");
    until(&format!("both ends at {baud}"), || ["a", "b"].into_iter().all(has).then_some(()));
}

/// Waits until end a has said this.
#[track_caller]
fn await_word(wire: &Wire, word: &str) {
    until(word, || wire.log("link-a").contains(word).then_some(()));
}

#[test]
fn a_pipe_climbs_to_the_limit() {
    let wire = wire("2000000", &["--ber", "1e-6", "--seed", "5"]);
    let (there, back) = (bytes(1_500_000, 1), bytes(700_000, 2));
    let b = wire.feed("b", wire.rig().pipe("b", "auto").args(["--plain", "-v"]), &back);
    let a = wire.feed("a", wire.rig().pipe("a", "auto").args(["--plain", "-v"]), &there);
    let (a, b) = (a.end(), b.end());
    a.assert_wrote(&back);
    b.assert_wrote(&there);
    for end in [&a, &b] {
        assert!(end.said.contains("now at 2000000 baud") && !end.said.contains("now at 3000000"), "{}", end.said);
    }
}

#[test]
fn a_fixed_end_is_found() {
    for (baud, sealed) in [(2_000_000, true), (115_200, false)] {
        let wire = wire("12000000", &[]);
        let psk = wire.text("psk");
        let made = Command::new(HARDLINE).args(["keygen", "--psk", &psk]).stderr(Stdio::null()).status().unwrap();
        assert!(made.success());
        let keys = if sealed { vec!["--psk", &psk] } else { vec!["--plain"] };
        let (there, back) = (bytes(60_000, 1), bytes(30_000, 2));
        let b = wire.feed("b", wire.rig().pipe("b", baud).args(&keys), &back);
        let a = wire.feed("a", wire.rig().pipe("a", "auto").args(&keys), &there);
        a.end().assert_wrote(&back);
        b.end().assert_wrote(&there);
    }
}

/// The limit sinks, and an end is killed and comes again: both find each other at what the wire can do.
#[test]
fn a_link_falls_and_climbs() {
    let wire = wire("2000000", &["--max-baud", "500000:12"]);
    wire.listen("echo", echo);
    let service = format!("echo=unix:{}", wire.text("echo"));
    let b = wire.link_at("b", "auto", &["--service", &service]);
    let _a = wire.link_at("a", "auto", &[]);
    await_word(&wire, "now at 2000000 baud");
    wire.ask("echo", &bytes(400_000, 3)).assert_wrote(&bytes(400_000, 3));
    await_baud(&wire, 460_800);
    wire.ask("echo", &bytes(40_000, 4)).assert_wrote(&bytes(40_000, 4));
    b.kill();
    let _b = wire.link_at("b", "auto", &["--service", &service]);
    await_baud(&wire, 460_800);
    wire.ask("echo", &bytes(40_000, 5)).assert_wrote(&bytes(40_000, 5));
}

#[test]
fn an_unplugged_adapter_comes_back() {
    let wire = wire("1500000", &["--unplug", "4:2"]);
    wire.listen("echo", echo);
    let _b = wire.link_at("b", "auto", &["--service", &format!("echo=unix:{}", wire.text("echo"))]);
    let _a = wire.link_at("a", "auto", &[]);
    for word in ["now at 1500000 baud", "is gone", "is back"] {
        await_word(&wire, word);
    }
    await_baud(&wire, 1_500_000);
    wire.ask("echo", &bytes(100_000, 5)).assert_wrote(&bytes(100_000, 5));
}

/// Where nothing has a rate, `auto` is no more than a word.
#[test]
fn ports_without_a_rate_take_it() {
    let wire = wire("2000000", &[]);
    let at = wire.text("socket");
    let pipe = |port: String| {
        let mut command = Command::new(HARDLINE);
        command.args(["pipe", "--plain", "--wait", "-b", "auto", &port]);
        command
    };
    let b = wire.feed("b", &mut pipe(format!("unix-listen:{at}")), b"there");
    let a = wire.feed("a", &mut pipe(format!("unix:{at}")), b"back");
    a.end().assert_wrote(b"there");
    b.end().assert_wrote(b"back");
}

#[test]
fn it_is_said_where_it_cannot_be() {
    let run = |args: &[&str]| Command::new(HARDLINE).args(args).stdin(Stdio::null()).output().unwrap();
    for args in [["diode", "send", "/dev/null", "-b", "auto"], ["diode", "recv", "/dev/null", "-b", "auto"]] {
        let output = run(&args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("no way back"), "{said}");
    }
    let output = run(&["pipe", "/dev/null", "-b", "fast"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("or auto"));
    let wire = wire("2000000", &[]);
    let file = wire.path("wire.toml");
    std::fs::write(&file, "command = \"pipe\"\nport = \"./wire\"\nbaud = \"auto\"\nplain = true\n").unwrap();
    let output = run(&["check", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("--baud=auto"), "{output:?}");
}
