//! `hardline test` as shipped, on pseudo-terminals.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::common::{HARDLINE, Running, Wire, free_port, until};

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

/// Both ends, to their end, with this code; what each printed and said.
fn ended(wire: &Wire, ports: [&str; 2], args: &[&str], code: i32) -> [(Value, String); 2] {
    let start = |name: &str, port: &str| -> Running {
        let out = fs::File::create(wire.path(&format!("{name}.out"))).unwrap();
        wire.start(name, test(port, args).arg("--json").stdout(out))
    };
    let running = [start("one", ports[0]), start("other", ports[1])];
    for (end, name) in running.iter().zip(["one", "other"]) {
        assert_eq!(end.wait(), code, "{name}: {}", wire.log(name));
    }
    ["one", "other"].map(|name| {
        let printed = fs::read_to_string(wire.path(&format!("{name}.out"))).unwrap();
        (serde_json::from_str(&printed).unwrap_or(Value::Null), wire.log(name))
    })
}

#[test]
fn a_wire_that_takes_bytes_for_itself_is_named_and_not_recommended() {
    let cases = [
        (["--eat", "11,13"], "the wire eats 11 13: software flow control (XON/XOFF)", vec![(0x11, "lost"), (0x13, "lost")]),
        (["--double", "ff"], "the wire doubles ff: a terminal server in telnet mode", vec![(0xFF, "doubled")]),
        (["--eat", "00"], "the wire eats 00: ", vec![(0x00, "lost")]),
    ];
    for (sim, words, bytes) in cases {
        let wire = Wire::at("115200", &sim);
        let (a, b) = (wire.text("a"), wire.text("b"));
        for (report, said) in ended(&wire, [&a, &b], &["--rates", "115200"], 1) {
            assert!(said.contains(words) && said.contains("[wire-alters]"), "{said}");
            assert!(report["use"].is_null(), "{report}");
            for way in ["to_peer", "from_peer"] {
                let way = &report["rates"][0][way];
                let altered = way["altered"].as_array().unwrap().iter();
                let altered: Vec<_> = altered.map(|hit| (hit["byte"].as_u64().unwrap(), hit["fate"].as_str().unwrap())).collect();
                assert_eq!((altered, way["verdict"].as_str()), (bytes.clone(), Some("alters bytes")));
            }
        }
    }
}

#[test]
fn one_way_too() {
    let wire = Wire::at("115200", &["--eat", "13", "--one-way"]);
    let args = ["--rates", "115200", "--rounds", "2", "--one-way=send"];
    let _sending = wire.start("a", &mut test(&wire.text("a"), &args));
    let hearing = test(&wire.text("b"), &["--one-way", "--json"]).output().unwrap();
    let (report, said): (Value, _) = (serde_json::from_slice(&hearing.stdout).unwrap(), String::from_utf8_lossy(&hearing.stderr));
    assert_eq!((hearing.status.code(), &report["use"]), (Some(1), &Value::Null), "{said}");
    assert_eq!(report["rates"][0]["from_peer"]["altered"][0]["byte"], 0x13, "{report}");
    assert!(said.contains("the wire eats 13"), "{said}");
}

/// Joins two sockets in the folder, and does this to each byte.
fn join(wire: &Wire, names: [&str; 2], alter: fn(u8) -> u8) {
    let listeners = names.map(|name| UnixListener::bind(wire.path(name)).unwrap());
    std::thread::spawn(move || {
        let ends = listeners.map(|listener| listener.accept().unwrap().0);
        let pass = |from: &UnixStream, to: &UnixStream| {
            let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(n @ 1..) = from.read(&mut buffer) {
                    buffer[..n].iter_mut().for_each(|byte| *byte = alter(*byte));
                    if to.write_all(&buffer[..n]).is_err() {
                        return;
                    }
                }
            })
        };
        let both = [pass(&ends[0], &ends[1]), pass(&ends[1], &ends[0])];
        both.into_iter().for_each(|one| one.join().unwrap());
    });
}

#[test]
fn seven_bits_are_told_from_another_rate() {
    let wire = Wire::with(&[]);
    join(&wire, ["x", "y"], |byte| byte & 0x7F);
    let (x, y) = (format!("unix:{}", wire.text("x")), format!("unix:{}", wire.text("y")));
    // the ends may meet, for what is short can be repaired
    let ends = [&x, &y].map(|port| test(port, &["--grace", "6s", "--time", "500ms"]).stderr(Stdio::piped()).spawn().unwrap());
    for end in ends {
        let ended = end.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(matches!(ended.status.code(), Some(1 | 3)) && said.contains("bit 8"), "{:?}: {said}", ended.status);
    }
}

#[test]
fn a_stranger_who_connects_first_does_not_keep_the_peer_out() {
    let wire = Wire::with(&[]);
    let port = free_port();
    let out = fs::File::create(wire.path("listens.out")).unwrap();
    let args = ["--time", "200ms", "--json"];
    let listens = wire.start("listens", test(&format!("tcp-listen:127.0.0.1:{port}"), &args).stdout(out));
    // one that goes at once, and one that stays and is silent
    drop(until("it listens", || TcpStream::connect(("127.0.0.1", port)).ok()));
    let _silent = until("it still listens", || TcpStream::connect(("127.0.0.1", port)).ok());
    let printed = wire.run("connects", &mut test(&format!("tcp:127.0.0.1:{port}"), &args));
    assert_eq!(listens.wait(), 0, "{}", wire.log("listens"));
    assert_eq!(serde_json::from_str::<Value>(&printed).unwrap()["rates"][0]["to_peer"]["verdict"], "clean");
}
