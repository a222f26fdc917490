//! Many channels: at once, one after the other, and beside one that is stuck.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::common::{Running, Wire, bytes, write_all_beside};

#[test]
fn a_reader_that_stalls_stalls_only_itself() {
    let wire = Wire::new("1e-5", "4");
    let flood = bytes(700_000, 4);
    fs::write(wire.path("flood"), &flood).unwrap();
    let service = format!("flood=exec:cat {}", wire.text("flood"));
    let forward = |name: &str| format!("unix:{}={name}", wire.text(name));
    let (to_flood, to_echo) = (forward("flooding"), forward("echo"));
    let (to_flood, to_echo) = (to_flood.replace("=flooding", "=flood"), to_echo);
    let _ends =
        wire.linked(&["--forward", &to_flood, "--forward", &to_echo], &["--service", &service, "--service", "echo=exec:cat"]);

    let mut stalled = wire.connect("flooding");
    let mut first = [0; 1000];
    stalled.read_exact(&mut first).unwrap();
    let sent = bytes(500_000, 5);
    let mut other = wire.connect("echo");
    write_all_beside(&other, sent.clone());
    let mut back = Vec::new();
    other.read_to_end(&mut back).unwrap();
    assert!(back == sent, "the other channel moves all of it");

    let mut rest = first.to_vec();
    wire.await_channels(1);
    stalled.read_to_end(&mut rest).unwrap();
    assert!(rest == flood, "and it gets everything in the end");
    wire.finish();
}

const ROUND: usize = 400_000;

/// So many streams at once, together [`ROUND`] bytes; how long it took from the first byte asked for.
fn fetch(wire: &Wire, streams: usize) -> Duration {
    let mut open: Vec<UnixStream> = (0..streams).map(|_| wire.connect("in")).collect();
    // the service answers with a byte: the channel is there
    for stream in &mut open {
        stream.read_exact(&mut [0]).unwrap();
    }
    if streams > 1 {
        assert_eq!(wire.channels("a"), streams);
    }
    let len = ROUND / streams;
    let began = Instant::now();
    for (seed, stream) in open.iter_mut().enumerate() {
        stream.write_all(&[(len as u32).to_le_bytes(), (seed as u32).to_le_bytes()].concat()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
    }
    for (seed, stream) in open.iter_mut().enumerate() {
        let mut got = Vec::new();
        stream.read_to_end(&mut got).unwrap();
        assert!(got == bytes(len, seed as u64), "stream {seed} is byte-exact");
    }
    began.elapsed()
}

#[test]
fn channels_by_the_hundred_share_the_wire() {
    let wire = Wire::new("1e-6", "6");
    wire.listen("source", |mut stream| {
        stream.write_all(b"!").unwrap();
        let mut order = [0; 8];
        stream.read_exact(&mut order).unwrap();
        let number = |at: usize| u32::from_le_bytes(order[at..at + 4].try_into().unwrap());
        let _ = stream.write_all(&bytes(number(0) as usize, u64::from(number(4))));
    });
    let (service, forward) = (format!("s=unix:{}", wire.text("source")), format!("unix:{}=s", wire.text("in")));
    let _ends = wire.linked(&["--forward", &forward], &["--service", &service]);
    let one = fetch(&wire, 1);
    wire.await_channels(0);
    let all = fetch(&wire, 256);
    wire.await_channels(0);
    // the clock is not the test's to judge: `hardline-bench channels` measures
    println!("{ROUND} bytes: one channel {one:.2?}, 256 channels {all:.2?}, share {:.3}", one.as_secs_f64() / all.as_secs_f64());
}

/// Descriptors, resident bytes and children that nobody waited for.
fn weigh(process: &Running) -> (usize, u64, usize) {
    let id = process.id();
    let fds = fs::read_dir(format!("/proc/{id}/fd")).unwrap().count();
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let field = |line: &str| line.split_whitespace().nth(1).and_then(|n| n.parse::<u64>().ok());
    let kilobytes = status.lines().find(|l| l.starts_with("VmRSS")).and_then(field).unwrap();
    let parent = format!(" {id} ");
    let zombies = fs::read_dir("/proc").unwrap().flatten().filter(|p| {
        let stat = fs::read_to_string(p.path().join("stat")).unwrap_or_default();
        let (_, after) = stat.rsplit_once(')').unwrap_or_default();
        after.starts_with(" Z") && after[2..].starts_with(&parent)
    });
    (fds, kilobytes * 1024, zombies.count())
}

#[test]
fn a_thousand_opens_leave_nothing_behind() {
    const AT_ONCE: usize = 4;
    let wire = Wire::with(&[]);
    wire.listen("echo", super::common::echo);
    let echo = format!("echo=unix:{}", wire.text("echo"));
    let ends = wire.linked(&[], &["--service", "run=exec:cat", "--service", &echo]);
    let open = |rounds: usize| {
        std::thread::scope(|scope| {
            for worker in 0..AT_ONCE {
                let wire = &wire;
                scope.spawn(move || {
                    for round in 0..rounds / AT_ONCE {
                        // every tenth is refused
                        let (service, code) = [("run", 0), ("echo", 0), ("none", 5)][if round % 10 == 9 { 2 } else { round % 2 }];
                        let name = format!("open-{worker}");
                        let ended = wire.feed(&name, &mut wire.open("a", service), b"short").end();
                        ended.assert(code, "");
                        assert!(code != 0 || ended.out == b"short");
                    }
                });
            }
        });
        wire.await_channels(0);
        // threads that wait for the ends of commands hold nothing that is counted, but a child
        super::common::until("the commands are waited for", || ends.iter().all(|e| weigh(e).2 == 0).then_some(()));
        ends.iter().map(weigh).collect::<Vec<_>>()
    };
    let before = open(200);
    let after = open(1000);
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before.0, after.0, "descriptors");
        assert!(after.1 < before.1 + 2_000_000, "resident: {} bytes before, {} after", before.1, after.1);
    }
    println!("before and after (descriptors, bytes, zombies): {before:?} {after:?}");
}
