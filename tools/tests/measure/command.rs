//! `hardline test` as shipped, on pseudo-terminals.

use std::fs;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::common::{HARDLINE, Running, Wire};

fn test(port: &str, args: &[&str]) -> Command {
    let mut command = Command::new(HARDLINE);
    command.arg("test").arg(port).args(args).stdin(Stdio::null());
    command
}

/// Both ends, to their end; what each printed.
fn both(wire: &Wire, ends: [&[&str]; 2]) -> [Value; 2] {
    let start = |end: &str, args: &[&str]| -> Running {
        let out = fs::File::create(wire.path(&format!("{end}.out"))).unwrap();
        wire.start(end, test(&wire.text(end), args).arg("--json").stdout(out))
    };
    let running = [start("a", ends[0]), start("b", ends[1])];
    for (one, end) in running.into_iter().zip(["a", "b"]) {
        assert_eq!(one.wait(), 0, "{end}: {}", wire.log(end));
    }
    ["a", "b"].map(|end| serde_json::from_str(&fs::read_to_string(wire.path(&format!("{end}.out"))).unwrap()).unwrap())
}

#[test]
fn two_ends_tell_the_same_and_what_to_use() {
    let wire = Wire::with(&["--follow-baud", "--ber", "1e-3", "--seed", "3"]);
    let svg = wire.text("plot.svg");
    let [a, b] = both(&wire, [&["--time", "300ms", "--rates", "115200,230400", "--plot", &svg], &["--time", "300ms"]]);
    // an end has more rates than the other: those that both have count
    let bauds: Vec<u64> = a["rates"].as_array().unwrap().iter().map(|r| r["baud"].as_u64().unwrap()).collect();
    assert_eq!(bauds, [115_200, 230_400]);
    for (here, there) in a["rates"].as_array().unwrap().iter().zip(b["rates"].as_array().unwrap()) {
        assert_eq!((&here["to_peer"], &here["from_peer"]), (&there["from_peer"], &there["to_peer"]));
        for way in ["to_peer", "from_peer"] {
            assert!(here[way]["wrong_bits"].as_u64() > Some(0), "{here}");
            assert!(here[way]["compared"].as_u64() > Some(1000), "{here}");
        }
        assert!(here["echo"]["received"].as_u64() > Some(0), "{here}");
    }
    assert_eq!((a["mode"].as_str(), &a["wiring"]), (Some("two-way"), &Value::Null));
    let flags = a["use"]["flags"].as_str().unwrap();
    assert!(flags == "-b 230400" || flags == "-b 115200", "{flags}");
    assert!(fs::read_to_string(&svg).unwrap().contains("230400"));
    wire.finish();
}

#[test]
fn one_way_the_hearing_end_tells_and_writes_nothing() {
    let wire = Wire::with(&["--follow-baud", "--one-way", "--ber", "1e-5"]);
    let args = ["--time", "200ms", "--rates", "115200,230400", "--rounds", "2", "--one-way=send"];
    let sending = wire.start("a", &mut test(&wire.text("a"), &args));
    let printed = wire.run("b", &mut test(&wire.text("b"), &["--one-way", "--json"]));
    assert_eq!(sending.wait(), 0, "{}", wire.log("a"));
    let heard: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!((heard["mode"].as_str(), heard["rates"].as_array().unwrap().len()), (Some("one-way"), 2));
    for row in heard["rates"].as_array().unwrap() {
        assert_eq!(row["to_peer"], Value::Null);
        assert!(row["from_peer"]["compared"].as_u64() > Some(500), "{row}");
    }
    assert!(heard["use"]["commands"][0].as_str().unwrap().starts_with("hardline diode send PORT -b "), "{heard}");
}

#[test]
fn a_loopback_needs_one_end() {
    let printed = test("exec:cat", &["--loopback", "--time", "200ms", "--json"]).output().unwrap();
    assert_eq!(printed.status.code(), Some(0), "{}", String::from_utf8_lossy(&printed.stderr));
    let report: Value = serde_json::from_slice(&printed.stdout).unwrap();
    assert_eq!(report["rates"][0]["from_peer"]["wrong_bits"], 0);
    assert_eq!(report["rates"][0]["from_peer"]["slips"], 0);
    assert_eq!(report["use"]["baud"], 115_200);
}

fn ends_with(output: &Output, code: i32, words: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(words), "{said}");
    assert!(said.lines().last().unwrap_or_default().starts_with("hardline: "), "{said}");
    assert!(output.stdout.is_empty());
}

#[test]
fn nobody_at_the_other_end_is_told_by_what_is_heard() {
    let wire = Wire::with(&[]);
    let port = wire.text("a");
    ends_with(&test(&port, &["--grace", "300ms"]).output().unwrap(), 3, "nothing is heard at 115200 baud");
    // our own frames
    ends_with(&test("exec:cat", &["--grace", "500ms"]).output().unwrap(), 3, "what is sent comes back");
    // bytes that are no frames
    let noise = "exec:while echo the quick brown fox; do sleep 0.01; done";
    ends_with(&test(noise, &["--grace", "500ms"]).output().unwrap(), 3, "bytes come at 115200 baud, but no test");
    // another command of hardline's
    let far = wire.start("b", wire.rig().pipe("b", 115_200).arg("--plain").stdin(Stdio::null()).stdout(Stdio::null()));
    ends_with(&test(&port, &["--grace", "3s"]).output().unwrap(), 5, "run 'hardline test' there");
    drop(far);
    ends_with(&test("/dev/nonexistent", &[]).output().unwrap(), 6, "there is no such device");
    ends_with(&test("udp:127.0.0.1:9", &[]).output().unwrap(), 2, "no bits to measure");
}

#[test]
fn a_wire_without_a_usable_rate_is_a_failure() {
    let garbage = "exec:cat /dev/zero | tr '\\0' 'x'";
    let output = test(garbage, &["--loopback", "--time", "200ms"]).output().unwrap();
    assert_ne!(output.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&output.stderr).contains("what comes back is not what was sent"), "{output:?}");
}
