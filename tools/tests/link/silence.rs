//! A peer that is not heard, within the grace time: who asks is told, and so is who waits.

use std::fs::{self, File};
use std::io::Write;
use std::process::Stdio;

use nix::sys::signal::Signal;

use super::common::{HARDLINE, Wire, command, until};

#[test]
fn a_silent_peer_is_no_secret() {
    let wire = Wire::with(&[]);
    let [_a, b] = wire.linked(&[], &["--service", "cat=exec:cat"]);
    let mut holder = wire.open("a", "cat");
    let holder = wire.start("holder", holder.stdin(Stdio::piped()).stdout(Stdio::null()));
    wire.await_channels(1);
    assert_eq!(wire.status("a").unwrap()["silent"], false);

    b.signal(Signal::SIGSTOP);
    let status = until("the silence is noticed", || wire.status("a").filter(|s| s["silent"] == true));
    assert!(status["state"] == "open" && status["silent_seconds"].as_f64() > Some(3.0), "{status}");
    let text = wire.run("status", command(HARDLINE).arg("status").arg(wire.path("a.sock")));
    assert!(text.contains("baud: open, plain, silent for "), "{text}");
    // its user is gone, of which the peer cannot be told
    holder.kill();
    until("the channel is closing", || wire.status("a").filter(|s| s["channels"][0]["closing"] == true));

    let client = wire.feed("client", &mut wire.open("a", "cat"), b"hello");
    until("the client says what it waits for", || {
        wire.log("client").contains("waiting: the peer has not been heard for ").then_some(())
    });
    b.signal(Signal::SIGCONT);
    let ended = client.end();
    ended.assert_wrote(b"hello");
    assert_eq!(ended.said.matches("waiting: ").count(), 1, "{}", ended.said);
    wire.await_channels(0);
    assert_eq!(wire.status("a").unwrap()["silent"], false);
}

#[test]
fn a_client_says_that_the_port_is_not_there() {
    let wire = Wire::with(&[]);
    let mut link = command(HARDLINE);
    link.arg("link").arg(wire.path("nowhere")).arg("--control").arg(wire.path("c.sock"));
    let link = wire.start("link", &mut link);
    until("it listens", || wire.status("c"));
    let client = wire.feed("client", &mut wire.open("c", "cat"), b"hello");
    until("the client says what it waits for", || wire.log("client").contains("waiting: cannot open ").then_some(()));
    link.signal(Signal::SIGTERM);
    client.end().assert(3, "is the adapter plugged in?");
}

/// The user of an end hears of it after seconds, and of its end, both at the same level.
#[test]
fn a_peer_that_falls_silent_is_told_and_that_it_is_back() {
    let wire = Wire::with(&[]);
    let mut pipes = ["a", "b"].map(|end| {
        let mut pipe = wire.rig().pipe(end, 2_000_000);
        let output = File::create(wire.path(if end == "b" { "got" } else { "other" })).unwrap();
        wire.start(end, pipe.arg("--plain").stdin(Stdio::piped()).stdout(output))
    });
    let inputs = pipes.each_mut().map(|pipe| pipe.child.stdin.take());
    let [a, b] = &pipes;
    inputs[0].as_ref().unwrap().write_all(b"x").unwrap();
    until("it arrives", || (fs::read(wire.path("got")).ok()? == b"x").then_some(()));
    b.signal(Signal::SIGSTOP);
    let quiet = format!(" WARN {}: nothing heard from the peer for ", wire.text("a"));
    until("the silence is told", || wire.log("a").contains(&quiet).then_some(()));
    assert!(wire.log("a").contains(" s; waiting up to 60 s [peer-quiet]\n"), "{}", wire.log("a"));
    b.signal(Signal::SIGCONT);
    let back = format!(" WARN {}: the peer is heard again, after ", wire.text("a"));
    until("its end is told", || wire.log("a").contains(&back).then_some(()));
    drop(inputs);
    assert_eq!((a.wait(), b.wait()), (0, 0));
    assert_eq!(wire.log("a").matches("WARN").count(), 2, "{}", wire.log("a"));
}

#[test]
fn what_kept_a_session_from_being_open_is_over_when_it_is() {
    let wire = Wire::with(&[]);
    let start = |end: &str| {
        let mut link = command(HARDLINE);
        link.args(["link", "--service", "cat=exec:cat"])
            .arg(wire.path(end))
            .args(["--plain", "-b", "2000000", "--control"])
            .arg(wire.path(&format!("{end}.sock")));
        wire.start(end, &mut link)
    };
    let told = |what: &str, times: usize| {
        until(what, || (wire.log("a").matches(what).count() == times).then_some(()));
    };
    let _a = start("a");
    told("no answer from the peer yet; calling on [no-answer]", 1);
    let b = start("b");
    told(": the session is open now, after ", 1);
    // of a session in which nothing has passed the next one makes no news
    wire.ask("cat", b"x").assert_wrote(b"x");
    b.kill();
    let b = start("b");
    told("its channels have ended, calling for the next session [session-lost]", 1);
    told(": the session is open now, after ", 2);
    // one that leaves in order is no trouble, and neither is the next
    b.signal(Signal::SIGTERM);
    b.wait();
    let _b = start("b");
    wire.await_session();
    assert_eq!(wire.log("a").matches("[session-open]").count(), 2, "{}", wire.log("a"));
}
