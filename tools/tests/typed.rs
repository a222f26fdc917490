//! An input that is a terminal, and so has no end but by Ctrl-D: who waits for it, here and at the other end, is told.
#![allow(missing_docs)]

mod common;
mod terminal;

use std::process::Command;

use common::{HARDLINE, Wire, until};
use terminal::Terminal;

/// What is said at the end that lacks no more than what is typed.
const OWN: &str = "all that the peer has to say is here; this ends with your own input (Ctrl-D)";

#[test]
fn both_ends_of_a_pipe_say_what_they_wait_for() {
    let wire = Wire::with(&[]);
    let mut near = Terminal::start(wire.rig().pipe("a", common::BAUD).arg("--plain"));
    let far = wire.feed("far", wire.rig().pipe("b", common::BAUD).arg("--plain"), b"all that there is\n");
    near.sees("hardline: what is typed goes to the other end; Ctrl-D at the start of a line ends it\r\n");
    near.sees("all that there is\r\n");
    near.sees(&format!("{OWN} [input-awaited]\r\n"));
    let waits = "all of our input is at the other end; this ends with the input there (at a terminal: Ctrl-D) [input-awaited]";
    until("the far end says it, too", || wire.log("far").contains(waits).then_some(()));
    near.types("thanks\r");
    near.types("\x04");
    let seen = near.ends(0);
    far.end().assert_wrote(b"thanks\n");
    assert_eq!((seen.matches(OWN).count(), wire.log("far").matches("[input-awaited]").count()), (1, 1), "once: {seen}");
}

#[test]
fn nobody_is_told_where_no_terminal_is() {
    let wire = Wire::with(&[]);
    let far = wire.feed("far", wire.rig().pipe("b", common::BAUD).arg("--plain"), b"all");
    wire.feed("near", wire.rig().pipe("a", common::BAUD).arg("--plain"), b"").end().assert_wrote(b"all");
    far.end().assert_wrote(b"");
    assert!(!(wire.log("near") + &wire.log("far")).contains("input"), "{}{}", wire.log("near"), wire.log("far"));
}

/// A service that has said all, and still reads.
#[test]
fn who_uses_a_service_is_told() {
    let wire = Wire::with(&[]);
    let far = wire.link("b", &["--service", "said=exec:echo said; exec >&-; cat >/dev/null"]);
    let mut open = Command::new(HARDLINE);
    open.arg("open").arg(wire.path("a")).args(["--plain", "-b", "2000000", "said"]);
    let on_a_port = |mut near: Terminal| {
        near.sees("said\r\n");
        near.sees(OWN);
        near.types("\x04");
        near.ends(0);
    };
    on_a_port(Terminal::start(&mut open));
    let near = wire.link("a", &[]);
    wire.await_session();
    on_a_port(Terminal::start(&mut wire.open("a", "said")));
    drop((near, far));
}

/// A recording is read, or written, at a terminal: that is no wire, and stays as it is.
#[test]
fn a_terminal_beside_a_recording_is_left_alone() {
    use std::fs::File;
    use std::process::Stdio;
    let wire = Wire::with(&[]);
    std::fs::write(wire.path("file"), "content").unwrap();
    let diode = |words: &[&str]| {
        let mut command = Command::new(HARDLINE);
        command.args(["diode", words[0], "stdio:"]).args(&words[1..]).current_dir(wire.rig().dir());
        command
    };
    let recording = wire.path("recording");
    let mut send = diode(&["send", "--survive", "0ms", "file"]);
    let seen = Terminal::start_with(&mut send, None, Some(Stdio::from(File::create(&recording).unwrap()))).ends(0);
    assert!(!seen.contains("this terminal is the wire"), "{seen}");
    let mut recv = diode(&["recv", "--out", "in"]);
    let seen = Terminal::start_with(&mut recv, Some(Stdio::from(File::open(&recording).unwrap())), None).ends(0);
    assert!(!seen.contains("this terminal is the wire"), "{seen}");
    assert_eq!(std::fs::read_to_string(wire.path("in/file")).unwrap(), "content");
}
