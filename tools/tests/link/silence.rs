//! A peer that is not heard, within the grace time: who asks is told, and so is who waits.

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
