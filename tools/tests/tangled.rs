//! Real processes on plain wires that echo, loop and change places: what arrives is the peer's, or the exit code says
//! that it is not.
#![allow(missing_docs)]

mod common;
mod terminal;

use std::fs;
use std::process::Command;

use common::tangle::{Tangle, Ways};
use common::{Ended, HARDLINE, bytes, until};
use terminal::Terminal;

const STRAIGHT: Ways = &[(0, 1), (1, 0)];
const ECHO_AT_ONE: Ways = &[(0, 1), (1, 0), (0, 0)];
const ECHO_AT_BOTH: Ways = &[(0, 1), (1, 0), (0, 0), (1, 1)];
const LOOP: Ways = &[(0, 0), (1, 1)];
const TWO: Ways = &[(0, 1), (1, 0), (2, 3), (3, 2)];
const EXCHANGED: Ways = &[(0, 3), (3, 0), (2, 1), (1, 2)];

/// It ended well, and all of this came; or it says so.
#[track_caller]
fn assert_honest(ended: &Ended, expected: &[u8]) {
    let same = expected[..ended.out.len().min(expected.len())] == ended.out;
    assert!(same, "{} bytes that nobody sent so: {}", ended.out.len(), ended.said);
    assert!(ended.code != 0 || ended.out.len() == expected.len(), "{} of {}: {}", ended.out.len(), expected.len(), ended.said);
}

/// Runs two pipes to their ends, with this on the wire once `after` bytes were on it.
fn pipes(before: Ways, then: Option<(u64, Ways)>, sizes: (usize, usize), grace: &str) -> [Ended; 2] {
    let tangle = Tangle::new(2, before);
    let inputs = [bytes(sizes.0, 1), bytes(sizes.1, 2)];
    let pipe = |at: usize| tangle.feed(&format!("pipe{at}"), tangle.at(at, "pipe").args(["--grace", grace]), &inputs[at]);
    let (a, b) = (pipe(0), pipe(1));
    if let Some((after, ways)) = then {
        tangle.await_bytes(after);
        tangle.rewire(ways);
    }
    let ended = [a.end(), b.end()];
    assert_honest(&ended[0], &inputs[1]);
    assert_honest(&ended[1], &inputs[0]);
    ended
}

#[test]
fn an_echo_at_one_end_does_no_harm() {
    let [a, b] = pipes(ECHO_AT_ONE, None, (60_000, 20_000), "60s");
    a.assert(0, "our own frames come back");
    b.assert(0, "");
}

#[test]
fn an_echo_at_both_ends_does_no_harm() {
    let [a, b] = pipes(ECHO_AT_BOTH, None, (60_000, 0), "60s");
    a.assert(0, "our own frames come back");
    b.assert(0, "our own frames come back");
}

#[test]
fn a_loop_is_the_end_of_it() {
    for sizes in [(400_000, 400_000), (400_000, 0)] {
        let [a, b] = pipes(STRAIGHT, Some((30_000, LOOP)), sizes, "3s");
        a.assert(3, "nothing came from the peer");
        b.assert(3, "nothing came from the peer");
    }
}

#[test]
fn what_echoes_in_the_place_of_the_peer_gets_nothing() {
    let tangle = Tangle::new(2, STRAIGHT);
    let input = bytes(300_000, 3);
    let a = tangle.feed("a", tangle.at(0, "pipe").args(["--grace", "3s"]), &input);
    let b = tangle.feed("b", &mut tangle.at(1, "pipe"), b"");
    tangle.await_bytes(30_000);
    b.running.kill();
    tangle.rewire(&[(0, 0)]);
    a.end().assert(3, "nothing came from the peer");
}

#[test]
fn exchanged_wires_mix_nothing() {
    let tangle = Tangle::new(4, TWO);
    let inputs: Vec<Vec<u8>> = (0..4).map(|at| bytes(300_000, at)).collect();
    let pipe = |at: usize| tangle.feed(&format!("pipe{at}"), tangle.at(at, "pipe").args(["--grace", "4s"]), &inputs[at]);
    let ends: Vec<_> = (0..4).map(pipe).collect();
    tangle.await_bytes(200_000);
    tangle.rewire(EXCHANGED);
    for (at, end) in ends.into_iter().enumerate() {
        let ended = end.end();
        assert_honest(&ended, &inputs[at ^ 1]);
        ended.assert(3, "frames of another session come in");
    }
}

#[test]
fn files_come_through_an_echo() {
    let tangle = Tangle::new(2, ECHO_AT_BOTH);
    let content = bytes(50_000, 4);
    fs::write(tangle.path("file"), &content).unwrap();
    let recv = tangle.start("recv", tangle.at(1, "recv").args(["--out", "out"]));
    let sent = tangle.run("send", tangle.at(0, "send").arg("file"), b"");
    sent.assert(0, "");
    assert_eq!(recv.wait(), 0);
    assert!(fs::read(tangle.path("out/file")).unwrap() == content);
}

#[test]
fn files_do_not_come_through_a_loop() {
    let tangle = Tangle::new(2, STRAIGHT);
    fs::write(tangle.path("file"), bytes(400_000, 5)).unwrap();
    let recv = tangle.start("recv", tangle.at(1, "recv").args(["--out", "out", "--grace", "3s"]));
    let send = tangle.feed("send", tangle.at(0, "send").args(["file", "--grace", "3s"]), b"");
    tangle.await_bytes(30_000);
    tangle.rewire(LOOP);
    assert_eq!((send.end().code, recv.wait()), (3, 3));
    assert!(!tangle.path("out/file").exists());
}

#[test]
fn services_are_used_over_an_echo() {
    let tangle = Tangle::new(2, ECHO_AT_BOTH);
    let _far = tangle.start("far", tangle.at(1, "link").args(["--service", "echo=exec:cat"]));
    let _near = tangle.start("near", tangle.at(0, "link").args(["--control", "near.sock"]));
    until("a control socket", || tangle.path("near.sock").exists().then_some(()));
    let input = bytes(30_000, 6);
    let mut open = std::process::Command::new(common::HARDLINE);
    tangle.run("open", open.arg("open").arg(tangle.path("near.sock")).arg("echo"), &input).assert_wrote(&input);
}

#[test]
fn a_console_is_used_over_an_echo() {
    let tangle = Tangle::new(2, ECHO_AT_BOTH);
    let _far = tangle.start("far", tangle.at(1, "link").args(["--service", "console=pty:exec sh -i"]));
    let mut command = Command::new("setsid");
    command.args(["-c", HARDLINE, "console"]).arg(tangle.path("0")).args(["--plain", "-b", "1000000"]);
    let mut console = Terminal::start(command.env("TERM", "vt220"));
    for number in 1..=3 {
        console.greets(number);
    }
    console.types("exit 3\r");
    console.ends_with(1, "the service ended with exit code 3");
}

/// Both wires of a bond lead to the same peer, whichever leads where.
#[test]
fn the_wires_of_a_bond_may_change_places() {
    let tangle = Tangle::new(4, TWO);
    let inputs = [bytes(400_000, 7), bytes(300_000, 8)];
    let pipe = |at: usize| {
        let mut command = tangle.at(at, "pipe");
        command.arg("--also").arg(tangle.path(&(at + 2).to_string()));
        tangle.feed(&format!("pipe{at}"), &mut command, &inputs[at])
    };
    let (a, b) = (pipe(0), pipe(1));
    tangle.await_bytes(200_000);
    tangle.rewire(EXCHANGED);
    a.end().assert_wrote(&inputs[1]);
    b.end().assert_wrote(&inputs[0]);
}
