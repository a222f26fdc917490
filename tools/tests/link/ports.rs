//! Ports that are not there, or busy: what `hardline link` says without being asked to say more.

use std::path::Path;

use super::common::{HARDLINE, Running, Wire, command, until};

fn link(wire: &Wire, name: &str, port: &Path) -> Running {
    wire.start(name, command(HARDLINE).arg("link").arg(port).args(["-b", "2000000"]))
}

/// Waits until it has said this; how often it has.
#[track_caller]
fn says(wire: &Wire, name: &str, what: &str) -> usize {
    until(&format!("{name} says '{what}'"), || Some(wire.log(name).matches(what).count()).filter(|&n| n > 0))
}

#[test]
fn an_absent_port_is_told_once_and_when_it_is_there() {
    let wire = Wire::with(&[]);
    let (port, other) = (wire.path("later"), wire.path("other"));
    let _link = link(&wire, "link", &port);
    says(&wire, "link", "there is no such device");
    let mut sim = command(HARDLINE);
    let _sim = wire.start("sim", sim.args(["sim", "--baud", "2000000", "-a"]).arg(&port).arg("-b").arg(&other));
    says(&wire, "link", "is open now, after");
    let log = wire.log("link");
    assert!(log.starts_with(" WARN cannot open") && log.contains(port.to_str().unwrap()), "{log}");
    assert!(log.contains("waiting for it, and trying again") && !log.contains("--wait"), "{log}");
    assert_eq!(log.matches("no such device").count(), 1, "{log}");
}

#[test]
fn a_busy_port_is_told_once_and_when_it_is_free() {
    let wire = Wire::with(&[]);
    let _peer = wire.link("b", &[]);
    let first = wire.link("a", &[]);
    wire.await_session();
    let _second = link(&wire, "second", &wire.path("a"));
    says(&wire, "second", &format!("busy, in use by hardline (process {})", first.id()));
    first.kill();
    says(&wire, "second", "is open now, after");
    assert_eq!(wire.log("second").matches("waiting for it").count(), 1, "{}", wire.log("second"));
}
