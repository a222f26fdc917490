//! `hardline diode` as shipped: what arrives is byte-exact or named as missing, and nothing goes back.
#![allow(missing_docs)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write;
use std::net::UdpSocket;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::reported;
use diode::wire::{Beacon, Manifest, OPEN_END, Record, Shape, VERSION};
use link::sim::Random;
use link::wire::Level;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tools::rig::Rig;

const HARDLINE: &str = env!("CARGO_BIN_EXE_hardline");
const BAUD: &str = "2000000";
/// Long: the machine may be busy with other tests.
const LIMIT: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_millis(5);

// ---- the wire and the processes on it -----------------------------------------------------------

/// Polls until there is something.
#[track_caller]
fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    common::until_within(LIMIT, what, look)
}

fn bytes(len: usize, seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    (0..len).map(|_| random.bits() as u8).collect()
}

/// A one-way wire from a to b, and its age.
struct Wire {
    rig: Rig,
    began: Instant,
}

impl Wire {
    fn new(args: &[&str]) -> Wire {
        let began = Instant::now();
        let mut all = vec!["--one-way", "--baud", BAUD];
        all.extend(args);
        Wire { rig: Rig::start(Path::new(HARDLINE), &all).expect("the simulated wire starts"), began }
    }
    fn path(&self, name: &str) -> PathBuf {
        self.rig.path(name)
    }
    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        fs::write(self.path(name), content).unwrap();
        self.path(name)
    }
    /// A receiver that listens already; its report is `recv.report`.
    #[track_caller]
    fn recv(&self, args: &[&str]) -> Running {
        let mut command = Command::new(HARDLINE);
        command.args(["diode", "recv"]).arg(self.path("b")).args(["-b", BAUD, "--report"]);
        command.arg(self.path("recv.report")).arg("--stats").arg(self.path("recv.json")).args(args).stdin(Stdio::null());
        let recv = Running::start(self.rig.dir(), "recv", &mut command);
        recv.holds(&fs::canonicalize(self.path("b")).unwrap());
        recv
    }
    fn send(&self) -> Command {
        let mut command = Command::new(HARDLINE);
        command.args(["diode", "send"]).arg(self.path("a")).args(["-b", BAUD]).stdin(Stdio::null());
        command
    }
    #[track_caller]
    fn start(&self, name: &str, command: &mut Command) -> Running {
        Running::start(self.rig.dir(), name, command)
    }
    /// What the receiver reported of this kind.
    fn reported(&self, event: &str) -> Vec<Value> {
        reported(&self.path("recv.report"), event)
    }
    /// What the wire did to the way there.
    fn stop(self) -> Value {
        self.rig.stop().expect("the wire tells what it did")["a_to_b"].clone()
    }
}

/// A process and all it started; none of them outlives the test. What it prints goes to files.
struct Running {
    name: String,
    dir: PathBuf,
    child: Child,
}

impl Running {
    #[track_caller]
    fn start(dir: &Path, name: &str, command: &mut Command) -> Running {
        let file = |kind: &str| File::create(dir.join(format!("{name}.{kind}"))).unwrap();
        command.stdout(file("out")).stderr(file("err")).process_group(0);
        let child = command.spawn().unwrap_or_else(|e| panic!("{name} does not start: {e}"));
        Running { name: name.to_owned(), dir: dir.to_owned(), child }
    }
    fn id(&self) -> i32 {
        self.child.id() as i32
    }
    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.id()), signal).expect("the process is there");
    }
    fn err(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.dir.join(format!("{}.err", self.name))).unwrap_or_default()).into_owned()
    }
    #[track_caller]
    fn says(&self, words: &str) {
        self.awaits(words, || self.err().contains(words));
    }
    /// Waits until something is so, as long as it runs.
    #[track_caller]
    fn awaits(&self, what: &str, look: impl Fn() -> bool) {
        let (limit, stat) = (Instant::now() + LIMIT, format!("/proc/{}/stat", self.id()));
        let runs = || fs::read_to_string(&stat).is_ok_and(|s| !s.contains(") Z ")) && Instant::now() < limit;
        while !look() {
            // what it did last counts
            assert!(runs() || look(), "{}: not {what}; it says: {}", self.name, self.err());
            std::thread::sleep(STEP);
        }
    }
    fn out(&self) -> Vec<u8> {
        fs::read(self.dir.join(format!("{}.out", self.name))).unwrap()
    }
    /// What its descriptors point to.
    fn descriptors(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(format!("/proc/{}/fd", self.id())).into_iter().flatten().flatten();
        entries.filter_map(|e| fs::read_link(e.path()).ok()).collect()
    }
    /// Waits until it has `path` open and rests.
    #[track_caller]
    fn holds(&self, path: &Path) {
        self.awaits(&format!("at {}", path.display()), || {
            let rests = fs::read_to_string(format!("/proc/{}/stat", self.id())).is_ok_and(|s| s.contains(") S "));
            rests && self.descriptors().iter().any(|d| d == path)
        });
    }
    /// Waits until it ended by itself with `code`; returns what it said.
    #[track_caller]
    fn ends(&mut self, code: i32) -> String {
        let limit = Instant::now() + LIMIT;
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None => assert!(Instant::now() < limit, "{} does not end; it says: {}", self.name, self.err()),
            }
            std::thread::sleep(STEP);
        };
        assert_eq!(status.code(), Some(code), "{} ended with {status} and says: {}", self.name, self.err());
        self.err()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = killpg(Pid::from_raw(self.id()), Signal::SIGKILL);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program that must be installed.
fn program(name: &str, package: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/bin".into(), "/bin".into()]);
    let found = places.map(|place| place.join(name)).find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("{name} is missing: apt-get install {package}"))
}

#[track_caller]
fn assert_carried(got: &Path, sent: &[u8]) {
    let read = fs::read(got).unwrap_or_else(|e| panic!("{}: {e}", got.display()));
    assert!(read == sent, "{}: {} bytes arrived, not the {} that were sent", got.display(), read.len(), sent.len());
}

// ---- files --------------------------------------------------------------------------------------

#[test]
fn files_survive_noise_and_an_outage() {
    let wire = Wire::new(&["--ber", "1e-5", "--outage", "0.3:0.3", "--outage", "1.5:0.3"]);
    let (large, small) = (bytes(100_000, 1), bytes(300, 2));
    let files = [wire.file("large", &large), wire.file("small", &small)];
    let out = wire.path("in");
    let mut recv = wire.recv(&["--out", out.to_str().unwrap()]);
    let mut send = wire.start("send", wire.send().args(files));
    send.ends(0);
    recv.ends(0);
    assert_carried(&out.join("large"), &large);
    assert_carried(&out.join("small"), &small);
    assert_eq!(fs::read_dir(&out).unwrap().count(), 2, "nothing else is left in the folder");
    let delivered = wire.reported("delivered");
    for (name, size) in [("large", 100_000), ("small", 300)] {
        let line = delivered.iter().find(|d| d["name"] == name).unwrap_or_else(|| panic!("{name} is not in {delivered:?}"));
        assert_eq!(line["size"], size);
        let (used, made) = (line["repair_used"].as_u64(), line["repair_made"].as_u64());
        assert!(used.is_some() && made > Some(0) && used <= made, "{line}");
    }
    assert_eq!(delivered.len(), 2, "{delivered:?}");
    assert!(wire.reported("missing").is_empty());
    let did = wire.stop();
    assert!(did["outage"].as_u64() > Some(0) && did["flipped"].as_u64() > Some(0), "a wire too good: {did}");
}

/// The calls that strace saw on the port.
fn on_the_port(trace: &Path, port: &Path) -> Vec<String> {
    let (plain, more) = (format!("<{}>", port.display()), format!("<{}<", port.display()));
    let text = fs::read_to_string(trace).unwrap();
    whole_calls(&text).into_iter().filter(|line| line.contains(&plain) || line.contains(&more)).collect()
}

/// The lines of a trace; a call that another thread interrupted is one line again:
/// `PID name(.. <unfinished ...>` and `PID <... name resumed>..`.
fn whole_calls(text: &str) -> Vec<String> {
    let (mut begun, mut calls) = (BTreeMap::new(), Vec::new());
    for line in text.lines() {
        let pid = line.split(' ').next().unwrap_or_default();
        if let Some(head) = line.strip_suffix("<unfinished ...>") {
            begun.insert(pid, head);
        } else if let Some((_, rest)) = line.split_once(" resumed>") {
            calls.push(format!("{}{rest}", begun.remove(pid).unwrap_or_default()));
        } else {
            calls.push(line.to_owned());
        }
    }
    calls.extend(begun.into_values().map(str::to_owned));
    calls
}

/// The name of a call in a line of strace: `PID name(..`.
fn call(line: &str) -> &str {
    let at = line.find('(').unwrap_or(line.len());
    line[..at].rsplit(' ').next().unwrap_or_default()
}

#[test]
fn neither_end_can_use_the_other_direction() {
    let strace = program("strace", "strace");
    let wire = Wire::new(&[]);
    let sent = bytes(20_000, 3);
    let (file, out) = (wire.file("file", &sent), wire.path("in"));
    let traced = |name: &str| {
        let mut command = Command::new(&strace);
        // all calls that take or make a descriptor
        command.args(["-f", "-y", "-s", "0", "-e", "trace=%desc", "-o"]).arg(wire.path(&format!("{name}.trace")));
        command.arg(HARDLINE).args(["diode", name]).stdin(Stdio::null());
        command
    };
    let (a, b) = (fs::canonicalize(wire.path("a")).unwrap(), fs::canonicalize(wire.path("b")).unwrap());
    let mut recv = wire.start("recv", traced("recv").arg(wire.path("b")).args(["-b", BAUD, "--out"]).arg(&out));
    until("the receiver has set up its port", || {
        let text = fs::read_to_string(wire.path("recv.trace")).unwrap_or_default();
        text.contains("TIOCMBIC").then_some(())
    });
    let mut send = wire.start("send", traced("send").arg(wire.path("a")).args(["-b", BAUD, "--survive", "50ms"]).arg(&file));
    send.ends(0);
    recv.ends(0);
    assert_carried(&out.join("file"), &sent);

    let calls = |name: &str, port: &Path| {
        let calls = on_the_port(&wire.path(&format!("{name}.trace")), port);
        assert!(!calls.is_empty(), "{name} was not traced");
        calls
    };
    for (name, port, mode, allowed) in [("send", &a, "O_WRONLY", "write"), ("recv", &b, "O_RDONLY", "read")] {
        let calls = calls(name, port);
        let opened: Vec<_> = calls.iter().filter(|l| call(l).starts_with("open")).collect();
        assert!(!opened.is_empty(), "{name} did not open its port: {calls:?}");
        assert!(opened.iter().all(|l| l.contains(mode) && !l.contains("O_RDWR")), "{name}: {opened:?}");
        let moved: Vec<_> = calls
            .iter()
            .filter(|l| ["read", "write", "send", "recv", "splice", "copy"].iter().any(|c| call(l).contains(c)))
            .collect();
        assert!(moved.iter().any(|l| call(l) == allowed), "{name} moved nothing: {calls:?}");
        assert!(moved.iter().all(|l| call(l) == allowed), "{name}: {moved:?}");
        let back = ["TIOCMBIS", "TIOCMSET", "TCSBRK", "TIOCSBRK", "TIOCSTI", "TCXONC"];
        let signalled: Vec<_> = calls.iter().filter(|l| name == "recv" && back.iter().any(|b| l.contains(b))).collect();
        assert!(signalled.is_empty(), "{signalled:?}");
    }
}

#[test]
fn a_killed_receiver_goes_on_where_it_was() {
    const LEN: usize = 600_000;
    const SYMBOLS: u64 = LEN.div_ceil(480) as u64;
    let wire = Wire::new(&[]);
    let sent = bytes(LEN, 4);
    let (file, out, state) = (wire.file("file", &sent), wire.path("in"), wire.path("state"));
    let args = ["--out", out.to_str().unwrap(), "--state", state.to_str().unwrap()];
    let recv = wire.recv(&args);
    let mut send = wire.start("send", wire.send().args(["--rounds", "1", "--survive", "1s"]).arg(&file));
    // OBJECT.BLOCK
    let kept = || {
        let files = fs::read_dir(&state).into_iter().flatten().flatten();
        let symbols = files.filter(|f| f.path().extension().is_some_and(|e| e == "0"));
        symbols.map(|f| f.metadata().map_or(0, |m| m.len())).sum::<u64>()
    };
    until("most of the symbols are on disk", || (kept() > 380_000).then_some(()));
    recv.signal(Signal::SIGKILL);
    drop(recv);
    let at_restart = kept();
    assert!(at_restart > 380_000 && !out.join("file").exists(), "{at_restart} bytes of symbols at the restart");
    let mut recv = wire.recv(&args);
    send.ends(0);
    recv.ends(0);
    assert_carried(&out.join("file"), &sent);
    let stats: Value = serde_json::from_str(&fs::read_to_string(wire.path("recv.json")).unwrap()).unwrap();
    let again = stats["frames_in"].as_u64().unwrap();
    assert!(again < SYMBOLS, "{again} frames after the restart could have made the whole file");
}

#[test]
fn what_is_incomplete_is_named() {
    incomplete(&["noise", "silence", "overrun"]);
}

/// Stays ignored until `report::cause` no longer compares bytes of junk with a number of frames.
#[test]
fn an_outage_is_named_as_the_cause() {
    incomplete(&["silence"]);
}

fn incomplete(causes: &[&str]) {
    let wire = Wire::new(&["--outage", "1.5:2"]);
    let (file, out) = (wire.file("doomed", &bytes(900_000, 5)), wire.path("in"));
    let mut recv = wire.recv(&["--out", out.to_str().unwrap()]);
    let mut command = wire.send();
    let mut send = wire.start("send", command.args(["--profile", "cable", "--survive", "10ms", "--overhead", "1%"]).arg(&file));
    send.ends(0);
    let says = recv.ends(4);
    let missing = wire.reported("missing");
    assert!(missing.len() == 1 && missing[0]["name"] == "doomed", "{missing:?}");
    let cause = missing[0]["cause"].as_str().unwrap();
    assert!(causes.contains(&cause), "{missing:?}");
    assert!(says.contains("doomed is incomplete") && says.contains(&format!("({cause})")), "{says}");
    assert!(missing[0]["symbols"].as_u64() < missing[0]["needed"].as_u64(), "{missing:?}");
    assert!(!out.join("doomed").exists());
}

// ---- lines --------------------------------------------------------------------------------------

fn line(number: u32) -> String {
    format!("{number} is the number of this line of telemetry")
}

/// The numbers that came, each in a line that is whole.
#[track_caller]
fn numbers(out: &[u8]) -> Vec<u32> {
    let text = std::str::from_utf8(out).expect("lines of text");
    let number = |l: &str| l.split(' ').next().and_then(|n| n.parse::<u32>().ok()).filter(|n| line(*n) == l);
    text.lines().map(|l| number(l).unwrap_or_else(|| panic!("a line that was not sent: {l}"))).collect()
}

/// Sends lines `0..count`; with `wait` the first has arrived before the next is written.
fn telemetry(count: u32, wait: bool) {
    let wire = Wire::new(&["--ber", "1e-5", "--outage", "0.5:0.3"]);
    let mut recv = wire.recv(&["--lines"]);
    let mut send = wire.start("send", wire.send().arg("--lines").stdin(Stdio::piped()));
    let mut input = send.child.stdin.take().unwrap();
    for n in 0..count {
        writeln!(input, "{}", line(n)).unwrap();
        if n == 0 && wait {
            until("the first line", || (!recv.out().is_empty()).then_some(()));
        }
    }
    drop(input);
    send.ends(0);
    recv.ends(0);
    let came = numbers(&recv.out());
    assert_eq!(came.len(), count as usize, "each line once");
    assert_eq!(came.into_iter().collect::<BTreeSet<_>>(), (0..count).collect::<BTreeSet<_>>());
    assert!(wire.reported("missing").is_empty());
}

#[test]
fn lines_survive_noise_and_an_outage() {
    telemetry(200, true);
}

#[test]
fn lines_written_at_once_all_arrive() {
    telemetry(200, false);
}

/// More than the emitter keeps, from a program that is faster than the wire: it has to wait.
#[test]
fn lines_faster_than_the_wire_all_arrive() {
    const COUNT: u32 = 6_000;
    let wire = Wire::new(&[]);
    let mut recv = wire.recv(&["--lines"]);
    let all: String = (0..COUNT).map(|n| format!("{n}\n")).collect();
    let input = File::open(wire.file("lines", all.as_bytes())).unwrap();
    let stats = wire.path("send.json");
    let mut send = wire.start("send", wire.send().args(["--lines", "--survive", "100ms", "--stats"]).arg(&stats).stdin(input));
    send.ends(0);
    recv.ends(0);
    let out = String::from_utf8(recv.out()).unwrap();
    // what a busy machine loses comes again, and late
    let mut came: Vec<u32> = out.lines().map(|line| line.parse().unwrap()).collect();
    came.sort_unstable();
    assert!(came.iter().copied().eq(0..COUNT), "{} lines came", came.len());
    let stats: Value = serde_json::from_slice(&fs::read(stats).unwrap()).unwrap();
    assert_eq!(stats["bytes_out"], all.len(), "{stats}");
}

#[test]
fn lines_that_are_too_long_are_told() {
    let wire = Wire::new(&[]);
    let mut recv = wire.recv(&["--lines"]);
    let text = [&b"short\n"[..], &[b'x'; 5000], b"\n", &[b'y'; 2048], b"\nlast"].concat();
    let input = File::open(wire.file("lines", &text)).unwrap();
    let mut send = wire.start("send", wire.send().args(["--lines", "--survive", "50ms"]).stdin(input));
    let says = send.ends(1);
    assert!(says.contains("line 1 has 5000 bytes: only the first 2048 are sent [line-cut]"), "{says}");
    assert!(says.contains("one line was longer than 2048 bytes: its end was not sent [lines-cut]"), "{says}");
    let says = recv.ends(4);
    assert!(says.contains("after line 3, or the end of a line that was too long, is missing [missing]"), "{says}");
    assert_eq!(recv.out(), [&b"short\n"[..], &[b'x'; 2048], b"\n", &[b'y'; 2048], b"\nlast\n"].concat());
}

#[test]
fn lost_lines_are_named() {
    let wire = Wire::new(&["--outage", "1:1.5"]);
    let mut recv = wire.recv(&["--lines"]);
    let mut send = wire.start("send", wire.send().args(["--lines", "--survive", "200ms"]).stdin(Stdio::piped()));
    let mut input = send.child.stdin.take().unwrap();
    let mut made = 0;
    // beyond the outage
    while made < 100 || wire.began.elapsed() < Duration::from_secs(4) {
        writeln!(input, "{}", line(made)).unwrap();
        if made == 0 {
            until("the first line", || (!recv.out().is_empty()).then_some(()));
        }
        made += 1;
        std::thread::sleep(STEP);
    }
    drop(input);
    send.ends(0);
    let says = recv.ends(4);
    let came: BTreeSet<u32> = numbers(&recv.out()).into_iter().collect();
    let lost: BTreeSet<u32> = (0..made).filter(|n| !came.contains(n)).collect();
    assert!(!lost.is_empty() && came.contains(&0), "the outage took nothing");
    let number = |v: &Value| v.as_u64().unwrap() as u32;
    let missing = wire.reported("missing");
    let named: BTreeSet<u32> = missing.iter().flat_map(|m| number(&m["first"])..=number(&m["last"])).collect();
    assert_eq!(named, lost, "{missing:?}");
    let (first, last) = (number(&missing[0]["first"]), number(&missing[0]["last"]));
    assert!(says.contains(&format!("lines {first} to {last} are lost")), "{says}");
}

/// Waits until the report has so many events of a kind.
fn await_reported(wire: &Wire, event: &str, count: usize) -> Vec<Value> {
    until(event, || Some(wire.reported(event)).filter(|found| found.len() >= count))
}

#[test]
fn lost_lines_are_named_while_the_sender_goes_on() {
    let wire = Wire::new(&["--outage", "1:1.5"]);
    let recv = wire.recv(&["--lines", "--forever"]);
    let mut send = wire.start("send", wire.send().args(["--lines", "--survive", "100ms"]).stdin(Stdio::piped()));
    let mut input = send.child.stdin.take().unwrap();
    writeln!(input, "{}", line(0)).unwrap();
    until("the first line", || (!recv.out().is_empty()).then_some(()));
    until("the outage", || (wire.began.elapsed() > Duration::from_millis(1200)).then_some(()));
    writeln!(input, "{}", line(1)).unwrap();
    let missing = await_reported(&wire, "missing", 1);
    assert_eq!((&missing[0]["first"], &missing[0]["last"]), (&1.into(), &1.into()), "{missing:?}");
    assert!(send.child.try_wait().unwrap().is_none(), "the sender goes on");
}

#[test]
fn a_receiver_that_goes_on_names_what_a_session_lacks_at_its_end() {
    let wire = Wire::new(&["--outage", "1:1.5"]);
    let recv = wire.recv(&["--lines", "--forever"]);
    let start = || wire.start("send", wire.send().args(["--lines", "--survive", "100ms"]).stdin(Stdio::piped()));
    let mut send = start();
    let mut input = send.child.stdin.take().unwrap();
    for (number, after) in [(0, 0), (1, 1200), (2, 2600)] {
        until("the time", || (wire.began.elapsed() > Duration::from_millis(after)).then_some(()));
        writeln!(input, "{}", line(number)).unwrap();
        until("the line", || (number == 1 || !recv.out().is_empty()).then_some(()));
    }
    drop(input);
    send.ends(0);
    let missing = await_reported(&wire, "missing", 1);
    assert_eq!((&missing[0]["first"], &missing[0]["last"]), (&1.into(), &1.into()), "{missing:?}");
    let mut send = start();
    writeln!(send.child.stdin.take().unwrap(), "{}", line(3)).unwrap();
    send.ends(0);
    until("the line of the next session", || numbers(&recv.out()).contains(&3).then_some(()));
}

#[test]
fn streams_of_several_sessions_follow_each_other() {
    let wire = Wire::new(&[]);
    let recv = wire.recv(&["--stream", "--forever"]);
    let sent = [bytes(20_000, 21), bytes(30_000, 22)];
    for (n, one) in sent.iter().enumerate() {
        let input = wire.file(&format!("stream-{n}"), one);
        let mut send = wire.start("send", wire.send().args(["--stream", "--survive", "50ms"]).stdin(File::open(input).unwrap()));
        send.ends(0);
    }
    until("both streams", || (recv.out() == sent.concat()).then_some(()));
}

// ---- streams ------------------------------------------------------------------------------------

/// Carries a stream; returns what arrived, what the receiver said, and its report of what is missing.
fn stream(wire: &Wire, sent: &[u8], send: &[&str], recv: &[&str], code: i32) -> (Vec<u8>, String, Vec<Value>) {
    let input = wire.file("stream", sent);
    let mut receiver = wire.recv(&[&["--stream"], recv].concat());
    let mut sender = wire.start("send", wire.send().arg("--stream").args(send).stdin(File::open(input).unwrap()));
    let says = receiver.ends(code);
    sender.ends(0);
    (receiver.out(), says, wire.reported("missing"))
}

#[test]
fn a_stream_survives_noise_and_an_outage() {
    let wire = Wire::new(&["--ber", "1e-5", "--outage", "0.5:0.5"]);
    let sent = bytes(300_000, 6);
    let (came, _, missing) = stream(&wire, &sent, &[], &[], 0);
    assert!(came == sent, "{} bytes arrived, not the {} that were sent", came.len(), sent.len());
    assert!(missing.is_empty(), "{missing:?}");
    assert!(wire.stop()["outage"].as_u64() > Some(0), "the outage fell beside the stream");
}

/// A stream of 4 s with an outage of 1 s that its settings do not survive.
fn torn(on_gap: &str) -> (Vec<u8>, Vec<u8>, String, Vec<Value>) {
    let wire = Wire::new(&["--outage", "1.5:1"]);
    let sent = bytes(800_000, 7);
    let (came, says, missing) = stream(&wire, &sent, &["--survive", "50ms", "--profile", "cable"], &["--on-gap", on_gap], 4);
    assert!(!missing.is_empty() && says.contains("of the stream are lost"), "{says} {missing:?}");
    (sent, came, says, missing)
}

#[test]
fn a_torn_stream_fails() {
    let (sent, came, says, missing) = torn("fail");
    assert_eq!(says.matches("of the stream are lost").count(), 1, "as the reason why it ends, and not before: {says}");
    assert!(!came.is_empty() && came.len() < sent.len() && came == sent[..came.len()], "what came is the beginning");
    assert_eq!(missing[0]["offset"], came.len());
}

#[test]
fn a_torn_stream_goes_on_behind_the_gap() {
    let (sent, came, says, missing) = torn("skip");
    assert!(came.len() < sent.len() && came.ends_with(&sent[sent.len() - 100_000..]), "the end came");
    let lost: u64 = missing.iter().map(|m| m["bytes"].as_u64().unwrap()).sum();
    assert!(came.len() as u64 + lost == sent.len() as u64, "{} bytes came, {lost} were named", came.len());
    assert!(says.contains(&format!("hardline: {lost} bytes of the stream are missing, see above")), "{says}");
    let first = missing[0]["offset"].as_u64().unwrap() as usize;
    assert!(came[..first] == sent[..first], "up to the first gap");
}

#[test]
fn a_torn_stream_is_filled_with_zeros() {
    let (sent, came, _, missing) = torn("zero");
    assert_eq!(came.len(), sent.len(), "every byte is in its place: {missing:?}");
    let wrong = came.iter().zip(&sent).filter(|(c, s)| c != s).count() as u64;
    let lost: u64 = missing.iter().map(|m| m["bytes"].as_u64().unwrap()).sum();
    assert!(0 < wrong && wrong <= lost, "{wrong} bytes differ, {lost} were named");
    assert!(came.iter().zip(&sent).all(|(c, s)| c == s || *c == 0), "what did not come is zero");
}

#[test]
fn a_restarted_sender_goes_on_with_the_same_object() {
    let wire = Wire::new(&[]);
    let (out, sent) = (wire.path("in"), bytes(600_000, 11));
    let file = wire.file("file", &sent);
    let mut receiver = wire.recv(&["--out", out.to_str().unwrap(), "--forever"]);
    let first = wire.start("first", wire.send().args(["--survive", "50ms"]).arg(&file));
    until("the object is announced", || (!wire.reported("announced").is_empty()).then_some(()));
    first.signal(Signal::SIGKILL);
    let mut first = first;
    let _ = first.child.wait();
    let mut second = wire.start("second", wire.send().args(["--survive", "50ms"]).arg(&file));
    second.ends(0);
    until("it is delivered", || (!wire.reported("delivered").is_empty()).then_some(()));
    receiver.signal(Signal::SIGTERM);
    receiver.ends(143);
    assert_carried(&out.join("file"), &sent);
    let announced = wire.reported("announced");
    assert_eq!(announced.len(), 2, "another sending: {announced:?}");
    assert_ne!(announced[0]["transfer"], announced[1]["transfer"]);
}

#[test]
fn a_receiver_may_join_late() {
    let wire = Wire::new(&["--ber", "1e-5"]);
    let (out, sent) = (wire.path("in"), bytes(400_000, 12));
    let file = wire.file("file", &sent);
    let mut sender = wire.start("send", wire.send().args(["--survive", "100ms", "--rounds", "2"]).arg(&file));
    // a good part of the first round goes by unheard
    std::thread::sleep(Duration::from_secs(1));
    let mut receiver = wire.recv(&["--out", out.to_str().unwrap()]);
    receiver.ends(0);
    sender.ends(0);
    assert_carried(&out.join("file"), &sent);
    let delivered = &wire.reported("delivered")[0];
    assert!(delivered["repair_used"].as_u64() > Some(100), "it did miss the beginning: {delivered}");
}

/// Small pieces, far apart: what is lost of them is told to the byte all the same.
#[test]
fn a_slow_stream_keeps_every_byte_in_its_place() {
    let wire = Wire::new(&["--outage", "1:1"]);
    let mut receiver = wire.recv(&["--stream", "--on-gap", "zero"]);
    let mut sender =
        wire.start("send", wire.send().args(["--stream", "--survive", "50ms", "--profile", "cable"]).stdin(Stdio::piped()));
    let mut input = sender.child.stdin.take().unwrap();
    let sent = bytes(6000, 9);
    for piece in sent.chunks(100) {
        input.write_all(piece).unwrap();
        std::thread::sleep(Duration::from_millis(50)); // the pace of the sensor
    }
    drop(input);
    receiver.ends(4);
    sender.ends(0);
    let came = receiver.out();
    assert_eq!(came.len(), sent.len(), "{:?}", wire.reported("missing"));
    assert!(came.iter().zip(&sent).all(|(c, s)| c == s || *c == 0));
}

#[test]
fn lines_of_which_none_came_are_named() {
    let wire = Wire::new(&["--outage", "0.5:1"]);
    let mut receiver = wire.recv(&["--lines"]);
    let mut sender = wire.start("send", wire.send().args(["--lines", "--survive", "50ms"]).stdin(Stdio::piped()));
    let mut input = sender.child.stdin.take().unwrap();
    std::thread::sleep(Duration::from_millis(600)); // into the outage
    input.write_all(b"lost\n").unwrap();
    std::thread::sleep(Duration::from_millis(1500)); // and out of it
    drop(input);
    let says = receiver.ends(4);
    sender.ends(0);
    assert!(says.contains("line 0 is lost"), "{says}");
}

#[test]
fn a_name_that_is_taken_by_a_folder_is_refused() {
    let wire = Wire::new(&[]);
    let out = wire.path("in");
    fs::create_dir_all(out.join("taken")).unwrap();
    let mut receiver = wire.recv(&["--out", out.to_str().unwrap()]);
    let files = [wire.file("taken", b"one"), wire.file("free", b"two")];
    let mut sender = wire.start("send", wire.send().args(["--survive", "50ms"]).args(&files));
    let says = receiver.ends(4);
    sender.ends(0);
    assert!(says.contains("'taken' is not accepted"), "{says}");
    assert_eq!(fs::read(out.join("free")).unwrap(), b"two");
}

// ---- folders ------------------------------------------------------------------------------------

#[test]
fn a_watched_folder_is_emptied() {
    let wire = Wire::new(&["--ber", "1e-5"]);
    let (watched, out) = (wire.path("watched"), wire.path("in"));
    let mut recv = wire.recv(&["--out", out.to_str().unwrap(), "--forever"]);
    let mut send = wire.start("send", wire.send().args(["--survive", "100ms", "--watch"]).arg(&watched));
    until("the folder is made", || {
        send.err().contains("watched is not there: it is made, and watched [folder-made]").then_some(())
    });
    until("it is there", || watched.join("sent").exists().then_some(()));
    for (i, name) in ["first", "second", "third"].into_iter().enumerate() {
        let sent = bytes(10_000 * (i + 1), 8 + i as u64);
        fs::write(watched.join(".part"), &sent).unwrap();
        fs::rename(watched.join(".part"), watched.join(name)).unwrap();
        until(&format!("{name} arrives"), || out.join(name).exists().then_some(()));
        assert_carried(&out.join(name), &sent);
        until(&format!("{name} moves to sent/"), || watched.join("sent").join(name).exists().then_some(()));
        assert!(!watched.join(name).exists());
    }
    assert_eq!(fs::read_dir(watched.join("sending")).unwrap().count(), 0);
    for (end, code) in [(&mut send, 143), (&mut recv, 143)] {
        end.signal(Signal::SIGTERM);
        until("it ends", || end.child.try_wait().unwrap());
        assert_eq!(end.child.wait().unwrap().code(), Some(code), "{}", end.err());
    }
}

/// A name that is in `sent/` already: both stay.
#[test]
fn what_was_sent_before_is_kept() {
    let wire = Wire::new(&[]);
    let (watched, long) = (wire.path("watched"), "x".repeat(255));
    fs::create_dir(&watched).unwrap();
    let _send = wire.start("send", wire.send().args(["--survive", "50ms", "--watch"]).arg(&watched));
    let kept = |content: &str| {
        let files = fs::read_dir(watched.join("sent")).into_iter().flatten().flatten();
        files.filter(|f| fs::read_to_string(f.path()).is_ok_and(|c| c == content)).map(|f| f.file_name()).next()
    };
    for (i, name) in ["same", long.as_str()].into_iter().enumerate() {
        for content in ["first", "second", "third"].map(|c| format!("{c} of {i}")) {
            fs::rename(wire.file("new", content.as_bytes()), watched.join(name)).unwrap();
            until(&format!("{content} is put away"), || kept(&content));
        }
    }
    let all: Vec<_> = ["first of 0", "second of 0", "third of 0", "first of 1", "second of 1", "third of 1"].map(kept).into();
    assert!(all.iter().all(Option::is_some), "{all:?}");
    assert!(all[0].as_ref().unwrap() == "same" && all[3].as_ref().unwrap() == long.as_str(), "{all:?}");
    assert!(all[1].as_ref().unwrap().to_string_lossy().starts_with("same."), "{all:?}");
}

/// Nor does a folder that is away for a while: it is told once, and files are taken when it is there again.
#[test]
fn a_watched_folder_may_be_away_for_a_while() {
    let wire = Wire::new(&[]);
    let (watched, away) = (wire.path("watched"), wire.path("away"));
    let mut send = wire.start("send", wire.send().args(["--survive", "50ms", "--watch"]).arg(&watched));
    until("it is there", || watched.join("sent").exists().then_some(()));
    fs::rename(wire.file("new", b"first"), watched.join("first")).unwrap();
    until("it is put away", || watched.join("sent/first").exists().then_some(()));
    fs::rename(&watched, &away).unwrap();
    fs::rename(wire.file("new", b"no folder"), &watched).unwrap();
    until("it is told", || send.err().contains("[file-unmoved]").then_some(()));
    fs::remove_file(&watched).unwrap();
    fs::rename(&away, &watched).unwrap();
    fs::rename(wire.file("new", b"second"), watched.join("second")).unwrap();
    until("it is put away", || watched.join("sent/second").exists().then_some(()));
    assert_eq!(send.err().matches("[file-unmoved]").count(), 1, "{}", send.err());
    send.signal(Signal::SIGTERM);
    send.ends(143);
}

/// Only root can make a file of somebody else.
#[test]
fn a_file_that_may_not_be_moved_is_named_and_the_others_are_sent() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let watched = dir.path().join("watched");
    fs::create_dir(&watched).unwrap();
    for (path, mode) in [(dir.path(), 0o755), (&watched, 0o1777)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    fs::write(watched.join("aa-foreign"), b"foreign").unwrap();
    let mut send = Command::new("setpriv");
    send.args(["--reuid", "12345", "--regid", "12345", "--clear-groups", HARDLINE, "diode", "send", "stdio:", "--rate", "1M"]);
    let mut send = Running::start(dir.path(), "send", send.args(["--survive", "10ms", "--watch"]).arg(&watched));
    send.says("aa-foreign is not sent: Operation not permitted (os error 1) [file-unsent]");
    let own = dir.path().join("own");
    fs::write(&own, b"own").unwrap();
    std::os::unix::fs::chown(&own, Some(12345), Some(12345)).unwrap();
    fs::rename(&own, watched.join("own")).unwrap();
    send.awaits("it is put away", || watched.join("sent/own").exists());
    assert!(watched.join("aa-foreign").exists());
    send.signal(Signal::SIGTERM);
    send.ends(143);
}

/// What is dropped in and never sent is named, once.
#[test]
fn what_a_watched_folder_leaves_alone_is_told_once() {
    let wire = Wire::new(&[]);
    let watched = wire.path("watched");
    fs::create_dir_all(watched.join("folder")).unwrap();
    symlink("/etc/hostname", watched.join("link")).unwrap();
    nix::unistd::mkfifo(&watched.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut send = wire.start("send", wire.send().args(["--survive", "50ms", "--profile", "cable", "--watch"]).arg(&watched));
    for (name, why) in
        [("folder", "it is a folder; "), ("link", "it is a symbolic link; "), ("pipe", "it is no file, but a pipe, ")]
    {
        send.says(&format!("watched/{name} is left alone: {why}"));
    }
    // looked at some times more
    fs::write(watched.join("file"), b"x").unwrap();
    send.awaits("the file is sent", || watched.join("sent/file").exists());
    send.signal(Signal::SIGTERM);
    assert_eq!(send.ends(143).matches("[left-alone]").count(), 3, "{}", send.err());
}

/// What may yet become a file to send is named after a while, and that it is one.
#[test]
fn what_waits_in_a_watched_folder_is_told_after_a_while() {
    let wire = Wire::new(&[]);
    let watched = wire.path("watched");
    fs::create_dir(&watched).unwrap();
    let growing = File::create(watched.join("growing")).unwrap();
    fs::write(watched.join(".half"), b"half").unwrap();
    let mut send = wire.start("send", wire.send().args(["--survive", "50ms", "--profile", "cable", "--watch"]).arg(&watched));
    send.says("watched/growing is left alone: somebody writes it; it is sent once nobody does [left-alone]");
    send.says("watched/.half is left alone: its name begins with a dot, ");
    drop(growing);
    send.says("watched/growing is whole now, and sent [left-alone]");
    fs::rename(watched.join(".half"), watched.join("whole")).unwrap();
    send.awaits("both are sent", || watched.join("sent/growing").exists() && watched.join("sent/whole").exists());
    send.signal(Signal::SIGTERM);
    assert_eq!(send.ends(143).matches("[left-alone]").count(), 3, "its numbers are no file to send: {}", send.err());
}

/// Links in a watched folder, in `sending/` as well, lead nowhere; as a folder neither.
#[test]
fn a_watched_folder_does_not_follow_links() {
    let wire = Wire::new(&[]);
    let (watched, out, outside) = (wire.path("watched"), wire.path("in"), wire.path("outside"));
    fs::create_dir_all(watched.join("sending")).unwrap();
    fs::create_dir_all(&outside).unwrap();
    let secret = wire.file("secret", b"secret");
    symlink(&secret, watched.join("link")).unwrap();
    symlink(&secret, watched.join("sending/link-too")).unwrap();
    for name in ["plain", "blocked"] {
        fs::write(watched.join(name), name).unwrap();
    }
    fs::create_dir(watched.join("sending/blocked")).unwrap();
    let _recv = wire.recv(&["--out", out.to_str().unwrap(), "--forever"]);
    let mut send = wire.start("send", wire.send().args(["--survive", "50ms", "--watch"]).arg(&watched));
    until("the file arrives", || out.join("plain").exists().then_some(()));
    until("it is put away", || watched.join("sent/plain").exists().then_some(()));
    assert_eq!(fs::read_dir(&out).unwrap().flatten().filter(|e| !e.file_name().to_string_lossy().starts_with('.')).count(), 1);
    // the folders of its own are not to be somebody else's
    send.signal(Signal::SIGTERM);
    send.ends(143);
    fs::remove_dir_all(watched.join("sent")).unwrap();
    symlink("../outside", watched.join("sent")).unwrap();
    fs::write(watched.join("more"), b"more").unwrap();
    let says = wire.start("again", wire.send().args(["--survive", "50ms", "--watch"]).arg(&watched)).ends(1);
    assert!(says.contains("symbolic link") && says.contains("[watch-folder]"), "{says}");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    // what was named is followed
    fs::remove_file(watched.join("sent")).unwrap();
    symlink(&watched, wire.path("named")).unwrap();
    let _send = wire.start("send", wire.send().args(["--survive", "50ms", "--watch"]).arg(wire.path("named")));
    until("it arrives", || out.join("more").exists().then_some(()));
}

/// Who may write to the folder swaps files for links to what he may not read, all the time: at whatever instant one is looked
/// at, moved or opened. Not a byte of it leaves.
#[test]
fn links_swapped_into_a_watched_folder_in_any_instant_lead_nowhere() {
    const FILES: usize = 12;
    let dir = tempfile::tempdir().unwrap();
    let (watched, secret) = (dir.path().join("watched"), dir.path().join("secret"));
    fs::create_dir_all(watched.join("sending")).unwrap();
    let (marked, plain) = ("TOP-SECRET-BYTES/".repeat(200), "harmless-content/".repeat(200));
    fs::write(&secret, &marked).unwrap();
    let mut send = Command::new(HARDLINE);
    send.args(["diode", "send", "stdio:", "--rate", "1M", "--armour", "0", "--survive", "10ms", "--watch"]).arg(&watched);
    let wire = Running::start(dir.path(), "send", send.stdin(Stdio::null()));
    let carries = |what: &str| wire.out().windows(17).any(|w| w == what.as_bytes());
    let pair = |i: usize| {
        let link = dir.path().join(format!("link-{i}"));
        let _ = fs::remove_file(&link);
        symlink(&secret, &link).unwrap();
        fs::write(watched.join(".new"), format!("{i} {plain}")).unwrap();
        fs::rename(watched.join(".new"), watched.join(format!("file-{i}"))).unwrap();
        link
    };
    let links: Vec<PathBuf> = (0..FILES).map(pair).collect();
    let limit = Instant::now() + Duration::from_secs(4);
    let (mut swapped, mut renewed) = (0u32, 0);
    while Instant::now() < limit {
        for (i, link) in links.iter().enumerate() {
            let name = format!("file-{i}");
            let places = [watched.join(&name), watched.join("sending").join(&name)];
            swapped += places.iter().filter(|place| exchange(link, place)).count() as u32;
            if places.iter().all(|place| place.symlink_metadata().is_err()) && renewed < 200 {
                renewed += 1;
                pair(i);
            }
        }
    }
    assert!(swapped > 100 && carries("harmless-content/"), "{swapped} swaps, {renewed} files: {}", wire.err());
    assert!(!carries("TOP-SECRET-BYTES/"), "the secret left after {swapped} swaps, {renewed} files: {}", wire.err());
}

fn exchange(one: &Path, other: &Path) -> bool {
    let here = nix::fcntl::AT_FDCWD;
    nix::fcntl::renameat2(here, one, here, other, nix::fcntl::RenameFlags::RENAME_EXCHANGE).is_ok()
}

#[test]
fn a_receiver_that_got_nothing_of_what_it_is_for_says_so() {
    let wire = Wire::new(&[]);
    let out = wire.path("in");
    let mut files = wire.recv(&["--out", out.to_str().unwrap()]);
    let mut send = wire.start("send", wire.send().args(["--survive", "50ms", "--lines"]).stdin(Stdio::piped()));
    writeln!(send.child.stdin.take().unwrap(), "a line").unwrap();
    let says = files.ends(4);
    send.ends(0);
    assert!(says.contains("no file came: the session had lines: receive them with --lines [nothing-came]"), "{says}");

    let mut lines = wire.recv(&["--lines"]);
    let file = wire.file("file", b"a file");
    wire.start("send", wire.send().args(["--survive", "50ms"]).arg(file)).ends(0);
    assert!(lines.ends(4).contains("no line came: the session had files: receive them with --out DIR"), "{}", lines.err());
}

#[test]
fn a_capture_without_a_session_is_no_success() {
    let wire = Wire::new(&[]);
    let capture = wire.file("capture", &bytes(20_000, 3));
    for sink in [&["--lines"][..], &["--stream"], &["--out", "in"]] {
        let mut recv = Command::new(HARDLINE);
        recv.args(["diode", "recv"]).arg(&capture).args(sink).current_dir(wire.rig.dir()).stdin(Stdio::null());
        let says = wire.start("playback", &mut recv).ends(4);
        assert!(says.contains("no session came"), "{says}");
    }
}

#[test]
fn folders_that_were_taken_away_are_made_again() {
    let wire = Wire::new(&[]);
    let out = wire.path("in");
    let recv = wire.recv(&["--out", out.to_str().unwrap(), "--forever"]);
    for (i, name) in ["first", "second", "third"].into_iter().enumerate() {
        let sent = bytes(30_000, i as u64);
        let file = wire.file(name, &sent);
        wire.start("send", wire.send().args(["--survive", "50ms"]).arg(file)).ends(0);
        until(&format!("{name} arrives: {}", recv.err()), || out.join(name).exists().then_some(()));
        assert_carried(&out.join(name), &sent);
        fs::remove_dir_all(&out).unwrap();
    }
    assert!(wire.reported("missing").is_empty(), "{}", recv.err());
}

/// A file that somebody has open for writing stays where it is, others go before it; one that is written to after it
/// was taken is sent anew.
#[test]
fn a_file_that_is_written_is_not_taken_from_a_watched_folder() {
    let wire = Wire::new(&[]);
    let (watched, out) = (wire.path("watched"), wire.path("in"));
    fs::create_dir(&watched).unwrap();
    let _recv = wire.recv(&["--out", out.to_str().unwrap(), "--forever"]);
    let mut writer = File::create(watched.join("growing")).unwrap();
    writer.write_all(b"half").unwrap();
    let send = wire.start("send", wire.send().args(["--survive", "50ms", "--watch"]).arg(&watched));
    let whole = wire.file("whole", b"whole");
    fs::rename(whole, watched.join("whole")).unwrap();
    until("the other one arrives", || out.join("whole").exists().then_some(()));
    assert!(watched.join("growing").exists() && !out.join("growing").exists());
    writer.write_all(b" and half").unwrap();
    drop(writer);
    until("it arrives", || out.join("growing").exists().then_some(()));
    assert_carried(&out.join("growing"), b"half and half");

    let sent = bytes(150_000, 31);
    fs::rename(wire.file("late", &sent), watched.join("late")).unwrap();
    let taken = watched.join("sending").join("late");
    until("it is taken", || taken.exists().then_some(()));
    until("it is announced", || (wire.reported("announced").len() > 2).then_some(()));
    File::options().append(true).open(&taken).unwrap().write_all(b"more").unwrap();
    let whole = [&sent[..], b"more"].concat();
    until(&format!("it arrives anew: {}", send.err()), || fs::read(out.join("late")).is_ok_and(|b| b == whole).then_some(()));
    until("it is put away", || watched.join("sent").join("late").exists().then_some(()));
    assert!(send.err().contains("late changed while it was sent; it is sent anew [file-changed]"), "{}", send.err());
}

#[test]
fn a_file_that_changes_while_it_is_sent_is_named() {
    let wire = Wire::new(&[]);
    let out = wire.path("in");
    let mut recv = wire.recv(&["--out", out.to_str().unwrap()]);
    let files = [wire.file("changing", &bytes(200_000, 32)), wire.file("still", b"still")];
    let mut send = wire.start("send", wire.send().args(["--survive", "50ms", "--rounds", "50"]).args(&files));
    until("the first round is over", || wire.reported("delivered").iter().any(|d| d["name"] == "changing").then_some(()));
    fs::write(&files[0], b"something else").unwrap();
    let says = send.ends(1);
    assert!(says.contains("changing changed while it was sent: it cannot arrive whole [file-changed]"), "{says}");
    assert!(says.contains("one file was not sent as it is, see above [not-all-sent]"), "{says}");
    recv.ends(0);
    assert_carried(&out.join("still"), b"still");
}

/// It has the same size and time as before, and had its first round: only its bytes tell.
#[test]
fn a_file_that_is_rewritten_behind_the_sender_is_named() {
    let wire = Wire::new(&[]);
    let out = wire.path("in");
    let mut recv = wire.recv(&["--out", out.to_str().unwrap()]);
    let (sent, path) = (bytes(200_000, 41), wire.file("changing", &[]));
    let rewrite = |content: &[u8]| {
        let mut file = File::options().write(true).open(&path).unwrap();
        file.write_all(content).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(1_000_000)).unwrap();
    };
    rewrite(&sent);
    let mut send = wire.start("send", wire.send().args(["--survive", "50ms", "--rounds", "30"]).arg(&path));
    until("the first round is over", || (!wire.reported("delivered").is_empty()).then_some(()));
    rewrite(&bytes(200_000, 42));
    let says = send.ends(1);
    assert!(says.contains("changing changed while it was sent: it cannot arrive whole [file-changed]"), "{says}");
    recv.ends(0);
    assert_carried(&out.join("changing"), &sent);
}

/// `stat` says 0 bytes, or a page, and reading says otherwise.
#[test]
fn files_that_do_not_know_their_size_arrive_whole() {
    let wire = Wire::new(&[]);
    let out = wire.path("in");
    let mut recv = wire.recv(&["--out", out.to_str().unwrap()]);
    let files = ["/proc/version", "/proc/filesystems", "/sys/class/net/lo/mtu"];
    wire.start("send", wire.send().args(["--survive", "50ms"]).args(files)).ends(0);
    recv.ends(0);
    for file in files.map(Path::new) {
        assert_carried(&out.join(file.file_name().unwrap()), &fs::read(file).unwrap());
    }
}

/// An empty file, others before and after it; the wire is dead for nearly as long as the profile survives.
#[test]
fn the_empty_file_survives_an_outage() {
    let wire = Wire::new(&["--outage", "0.6:0.5"]);
    let out = wire.path("in");
    let mut recv = wire.recv(&["--out", out.to_str().unwrap()]);
    until("the wire is as old as that", || (wire.began.elapsed() > Duration::from_millis(500)).then_some(()));
    let files = [wire.file("empty", b""), wire.file("one", b"1"), wire.file("last", b"")];
    wire.start("send", wire.send().args(["--survive", "600ms"]).args(&files)).ends(0);
    recv.ends(0);
    assert_carried(&out.join("empty"), b"");
    assert_carried(&out.join("last"), b"");
    assert_carried(&out.join("one"), b"1");
}

#[test]
fn a_sender_that_is_ended_says_so_and_the_receiver_names_what_is_missing() {
    let wire = Wire::new(&[]);
    let out = wire.path("in");
    let mut recv = wire.recv(&["--out", out.to_str().unwrap()]);
    let mut send = wire.start("send", wire.send().arg(wire.file("large", &bytes(3_000_000, 33))));
    until("it is announced", || (!wire.reported("announced").is_empty()).then_some(()));
    send.signal(Signal::SIGTERM);
    let says = send.ends(143);
    assert!(says.contains("interrupted; the receiver was told that the session is over"), "{says}");
    assert!(recv.ends(4).contains("large is incomplete"), "{}", recv.err());
}

/// The receiver leaves with the first beacon that says it is the last; the sender has said it all.
#[test]
fn a_pipe_whose_reader_heard_the_end_is_no_failure() {
    let wire = Wire::new(&[]);
    let (out, sent) = (wire.path("in"), bytes(20_000, 34));
    let mut command = Command::new(HARDLINE);
    command.args(["diode", "send", "stdio:", "--survive", "100ms"]).arg(wire.file("file", &sent)).stdin(Stdio::null());
    let mut send = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut recv = Command::new(HARDLINE);
    recv.args(["diode", "recv", "stdio:", "--out"]).arg(&out).stdin(send.stdout.take().unwrap());
    wire.start("recv", &mut recv).ends(0);
    let ended = send.wait_with_output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    assert_carried(&out.join("file"), &sent);
}

// ---- refusals -----------------------------------------------------------------------------------

#[test]
fn flow_control_is_refused() {
    let wire = Wire::new(&[]);
    let file = wire.file("file", b"x");
    let mut send = wire.start("send", wire.send().args(["--flow", "rtscts"]).arg(file));
    assert!(send.ends(2).contains("no flow control"));
    let mut recv = Command::new(HARDLINE);
    recv.args(["diode", "recv"]).arg(wire.path("b")).args(["--flow", "rtscts", "--out"]).arg(wire.path("in"));
    assert!(wire.start("recv", &mut recv).ends(2).contains("no flow control"));
}

/// What would not arrive, or would take the place of another, is refused before anything is sent.
#[test]
fn files_that_cannot_arrive_are_refused() {
    let wire = Wire::new(&[]);
    for folder in ["d1", "d2"] {
        fs::create_dir(wire.path(folder)).unwrap();
    }
    let (one, two) = (wire.file("d1/same", b"1"), wire.file("d2/same", b"2"));
    for twice in [[&one, &two], [&one, &one]] {
        let says = wire.start("send", wire.send().args(twice)).ends(2);
        assert!(says.contains("two of the files would be called 'same' at the other end [name-twice]"), "{says}");
    }
    nix::unistd::mkfifo(&wire.path("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(wire.path("socket")).unwrap();
    for other in [wire.path("fifo"), wire.path("socket"), wire.path("d1"), "/dev/null".into()] {
        let says = wire.start("send", wire.send().arg(&other)).ends(1);
        assert!(says.contains(&format!("cannot send {}: it is not a file", other.display())), "{says}");
    }
}

#[test]
fn a_message_that_finds_no_room_is_told_where() {
    let wire = Wire::new(&[]);
    let mut send = wire.send();
    send.arg("-").env("TMPDIR", "/dev/null");
    let says = wire.start("send", &mut send).ends(1);
    assert!(says.contains("hardline: cannot copy - to /dev/null: ") && says.contains(" [copy-failed]"), "{says}");
}

#[test]
fn names_that_cannot_arrive_are_told_and_the_others_are_sent() {
    let wire = Wire::new(&[]);
    let out = wire.path("in");
    let mut recv = wire.recv(&["--out", out.to_str().unwrap()]);
    let bad = wire.rig.dir().join(std::ffi::OsStr::from_bytes(b"bad\xff.txt"));
    fs::write(&bad, b"bad").unwrap();
    let files = [bad, wire.file("new\nline", b"bad"), wire.file("good", b"good")];
    let says = wire.start("send", wire.send().args(["-q", "--survive", "50ms"]).args(&files)).ends(1);
    assert!(
        says.contains("bad\u{fffd}.txt is not sent: its name is not UTF-8, and would arrive as another one [file-unsent]"),
        "{says}"
    );
    assert!(says.contains("new?line is not sent: its name is empty, has control characters"), "{says}");
    assert!(says.contains("2 files were not sent as they are, see above [not-all-sent]"), "{says}");
    recv.ends(0);
    assert_carried(&out.join("good"), b"good");
    assert_eq!(fs::read_dir(&out).unwrap().count(), 1);
}

#[test]
fn limits_are_told_and_a_port_that_is_waited_for_is_named() {
    let wire = Wire::new(&[]);
    let file = wire.file("file", &bytes(5_000, 35));
    for (flag, value, why) in [("--overhead", "100000", "the most is 1000%"), ("--survive", "10d", "the longest is 1h")] {
        let says = wire.start("send", wire.send().args([flag, value]).arg(&file)).ends(2);
        assert!(says.contains(why), "{says}");
    }
    let mut command = Command::new(HARDLINE);
    command.args(["--log", "json", "diode", "send", "--wait"]).arg(wire.path("later")).arg("--stats").arg(wire.path("s.json"));
    let mut send = wire.start("send", command.args(["--survive", "50ms"]).arg(&file).stdin(Stdio::null()));
    until("it says what it waits for", || send.err().contains("port-absent").then_some(()));
    File::create(wire.path("part")).unwrap();
    fs::rename(wire.path("part"), wire.path("later")).unwrap();
    let says = send.ends(0);
    let lines: Vec<Value> = says.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect();
    assert_eq!(lines.iter().filter(|l| l["fields"]["code"] == "port-absent").count(), 1, "{says}");
    assert!(lines.iter().any(|l| l["fields"]["code"] == "not-sealed"), "{says}");
    let stats: Value = serde_json::from_slice(&fs::read(wire.path("s.json")).unwrap()).unwrap();
    assert_eq!(stats["bytes_out"], 5_000, "{stats}");
}

/// A sender that says what it likes.
struct Forger {
    port: File,
    counter: u64,
}

impl Forger {
    const SESSION: u64 = 0x1122_3344_5566;

    fn new(wire: &Wire) -> Forger {
        Forger { port: tools::sim::pty::open_raw(&wire.path("a")).unwrap(), counter: 0 }
    }
    fn send(&mut self, record: &Record<'_>) {
        let mut frame = vec![0u8; link::FRAME_MAX];
        let len = diode::wire::write(&mut frame, self.counter, Self::SESSION, record, Level::Plain);
        self.counter += 1;
        self.port.write_all(&frame[..len]).unwrap();
    }
    fn beacon(&mut self, version: u8, end: bool) {
        let (session, counter) = (Self::SESSION, self.counter);
        self.send(&Record::Beacon(Beacon {
            version,
            session,
            counter,
            period_ms: 1000,
            survive_ms: 0,
            shape: Shape::default(),
            stream_len: OPEN_END,
            datagrams: 0,
            objects: 0,
            end,
            broken: false,
        }));
    }
    /// A file of one symbol.
    fn file(&mut self, object: u32, name: &str, content: &[u8]) {
        self.claim(object, name, content, content);
    }
    /// The same, with the hash of something else.
    fn claim(&mut self, object: u32, name: &str, content: &[u8], hashed: &[u8]) {
        let sha256 = Sha256::digest(hashed).into();
        let (size, symbol_len) = (content.len() as u64, content.len() as u16);
        let manifest = Manifest {
            object,
            transfer: 0xF0 + u64::from(object),
            size,
            symbol_len,
            block_symbols: 1,
            repair: 0,
            modified: 0,
            sha256,
            message: false,
            name,
        };
        self.send(&Record::Manifest(manifest));
        self.send(&Record::Symbol { object, block: 0, symbol: 0, payload: content });
    }
}

#[test]
fn names_from_the_wire_stay_in_the_folder() {
    let wire = Wire::new(&[]);
    let out = wire.path("deep/in");
    fs::create_dir(wire.path("deep")).unwrap();
    let mut recv = wire.recv(&["--out", out.to_str().unwrap()]);
    let absolute = wire.path("absolute");
    let bad =
        ["../evil", "../../evil", "sub/../../evil", "/hardline-evil", absolute.to_str().unwrap(), "..", ".", "a\nb", "a\0b"];
    let mut forger = Forger::new(&wire);
    forger.beacon(VERSION, false);
    for (i, name) in bad.into_iter().enumerate() {
        forger.file(i as u32 + 1, name, b"should stay away");
    }
    forger.file(100, "sub/good", b"may come in");
    forger.beacon(VERSION, true);
    let says = recv.ends(4);
    assert_carried(&out.join("sub/good"), b"may come in");
    assert_eq!(fs::read_dir(&out).unwrap().count(), 1, "only what is good: {says}");
    assert_eq!(fs::read_dir(wire.path("deep")).unwrap().count(), 1);
    assert!(!absolute.exists() && !wire.path("evil").exists() && !Path::new("/hardline-evil").exists());
    let refused: BTreeSet<String> = wire.reported("missing").iter().map(|m| m["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(refused, bad.iter().map(|n| (*n).to_owned()).collect());
}

#[test]
fn links_below_the_folder_are_not_followed() {
    let wire = Wire::new(&[]);
    let (out, outside) = (wire.path("in"), wire.path("outside"));
    fs::create_dir_all(&out).unwrap();
    fs::create_dir_all(outside.join("deep")).unwrap();
    let victim = wire.file("victim", b"mine");
    symlink("../outside", out.join("way")).unwrap();
    symlink(&outside, out.join("absolute")).unwrap();
    symlink("../nowhere", out.join("dangling")).unwrap();
    symlink(&victim, out.join("link")).unwrap();
    let mut recv = wire.recv(&["--out", out.to_str().unwrap()]);
    let bad = ["way/escaped", "way/deep/escaped", "way/new/escaped", "absolute/escaped", "dangling/escaped"];
    let mut forger = Forger::new(&wire);
    forger.beacon(VERSION, false);
    for (i, name) in bad.into_iter().enumerate() {
        forger.file(i as u32 + 1, name, format!("{name} stays away").as_bytes());
    }
    forger.file(100, "link", b"takes the place of the link");
    forger.file(101, "sub/sub/good", b"may come in");
    forger.beacon(VERSION, true);
    let says = recv.ends(4);
    assert_carried(&out.join("sub/sub/good"), b"may come in");
    assert_carried(&victim, b"mine");
    assert!(out.join("link").symlink_metadata().unwrap().is_file());
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1, "{says}");
    assert_eq!(fs::read_dir(outside.join("deep")).unwrap().count(), 0, "{says}");
    assert!(!wire.path("nowhere").exists());
    let refused: BTreeSet<String> = wire.reported("missing").iter().map(|m| m["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(refused, bad.iter().map(|n| (*n).to_owned()).collect());
    assert!(says.contains("'way/escaped' is not accepted: cannot be put at"), "{says}");
}

/// What is put together is on another file system than where it goes, where there are two.
#[test]
fn long_names_arrive_and_a_file_called_part_is_left_alone() {
    let wire = Wire::new(&[]);
    let out = wire.path("in");
    fs::create_dir(&out).unwrap();
    fs::write(out.join("video.part"), b"the user's own").unwrap();
    let elsewhere = tempfile::tempdir_in(if Path::new("/dev/shm").is_dir() { "/dev/shm" } else { "/tmp" }).unwrap();
    let state = elsewhere.path().join("state");
    let mut recv = wire.recv(&["--out", out.to_str().unwrap(), "--state", state.to_str().unwrap()]);
    let long = "x".repeat(255);
    let deep = format!("{long}/{long}");
    let mut forger = Forger::new(&wire);
    forger.beacon(VERSION, false);
    for (i, name) in [long.as_str(), "video", "video/inside", deep.as_str()].into_iter().enumerate() {
        forger.file(i as u32 + 1, name, format!("content {i}").as_bytes());
    }
    forger.file(9, "last", b"last");
    forger.beacon(VERSION, true);
    let says = recv.ends(4);
    assert_carried(&out.join(&long), b"content 0");
    assert_carried(&out.join("video"), b"content 1");
    assert_carried(&out.join("last"), b"last");
    assert_carried(&out.join("video.part"), b"the user's own");
    assert_eq!(fs::read_dir(&out).unwrap().count(), 4, "nothing else is left: {says}");
    assert!(says.contains("'video/inside' is not accepted: "), "{says}");
}

/// A name that reads otherwise than it is, and one with something that cannot be seen.
#[test]
fn names_that_hide_are_shown_as_they_are() {
    let wire = Wire::new(&[]);
    let out = wire.path("in");
    let mut recv = wire.recv(&["-vv", "--out", out.to_str().unwrap()]);
    let (name, other) = ("invoice\u{202e}fdp.exe\u{200b}", "in\u{2066}vo/../ice");
    let mut forger = Forger::new(&wire);
    forger.beacon(VERSION, false);
    forger.file(1, name, b"content");
    forger.file(2, other, b"content");
    forger.beacon(VERSION, true);
    let says = recv.ends(4);
    assert!(says.contains(r"invoice\u{202e}fdp.exe\u{200b} is whole"), "{says}");
    assert!(says.contains(r"'in\u{2066}vo/../ice' is not accepted"), "{says}");
    assert!(!says.contains(['\u{202e}', '\u{200b}', '\u{2066}']), "{says:?}");
    assert_carried(&out.join(name), b"content");
    assert_eq!(wire.reported("delivered")[0]["name"], name, "programs get the name as it is");
    assert_eq!(wire.reported("missing")[0]["name"], other);
}

/// Neither a line that looks like one of ours nor an escape sequence reaches a terminal; the report has the name as it is.
#[test]
fn names_from_the_wire_cannot_forge_what_is_said() {
    let wire = Wire::new(&[]);
    let out = wire.path("in");
    let mut recv = wire.recv(&["-vv", "--out", out.to_str().unwrap()]);
    let name = "a\n ERROR forged line [x]\u{1b}[31m\u{9b}31m\u{7f}";
    let mut forger = Forger::new(&wire);
    forger.beacon(VERSION, false);
    forger.file(1, name, b"content");
    forger.beacon(VERSION, true);
    let says = recv.ends(4);
    assert!(
        says.contains("'a? ERROR forged line [x]?[31m?31m?' is not accepted: its name has control characters [missing]"),
        "{says}"
    );
    assert!(
        !says.chars().any(|c| c.is_control() && c != '\n') && says.lines().all(|line| !line.starts_with(" ERROR")),
        "{says:?}"
    );
    assert_eq!(wire.reported("missing")[0]["name"], name);
}

#[test]
fn a_file_that_begins_anew_is_missing_once_or_not_at_all() {
    for comes_anew in [false, true] {
        let wire = Wire::new(&[]);
        let out = wire.path("in");
        let mut recv = wire.recv(&["--out", out.to_str().unwrap()]);
        let mut forger = Forger::new(&wire);
        forger.beacon(VERSION, false);
        forger.claim(1, "file", b"something", b"something else");
        recv.says("'file' is thrown away: its SHA-256 is wrong; waiting for it anew [begun-anew]");
        if comes_anew {
            forger.file(1, "file", b"something");
        }
        forger.beacon(VERSION, true);
        let says = recv.ends(if comes_anew { 0 } else { 4 });
        assert_eq!(says.contains("'file' did not come anew: its SHA-256 is wrong [missing]"), !comes_anew, "{says}");
        assert!(comes_anew || says.contains("one thing is missing"), "{says}");
        assert_eq!(wire.reported("anew").len(), 1);
    }
}

#[test]
fn a_folder_that_cannot_be_used_is_named() {
    let wire = Wire::new(&[]);
    let (out, state) = (wire.path("in"), wire.path("state"));
    let mut recv = wire.recv(&["--out", out.to_str().unwrap(), "--state", state.to_str().unwrap()]);
    fs::remove_dir_all(&state).unwrap();
    fs::write(&state, "a file").unwrap();
    let mut forger = Forger::new(&wire);
    forger.beacon(VERSION, false);
    forger.file(1, "file", b"something");
    let says = recv.ends(1);
    assert!(says.contains(&format!("cannot keep what came in {} (is the disk full?): ", state.display())), "{says}");
}

#[test]
fn who_holds_the_port_is_named() {
    let wire = Wire::new(&[]);
    let recv = wire.recv(&["--lines"]);
    let mut other = Command::new(HARDLINE);
    other.args(["diode", "recv"]).arg(wire.path("b")).args(["-b", BAUD, "--lines"]);
    let says = wire.start("other", &mut other).ends(6);
    assert!(says.contains(&format!("busy, in use by hardline (process {}) [port-busy]", recv.id())), "{says}");
}

#[test]
fn rubbish_is_named_and_is_not_the_end() {
    let wire = Wire::new(&[]);
    let mut recv = wire.recv(&["--lines"]);
    let mut forger = Forger::new(&wire);
    let rubbish = bytes(400, 4);
    until("a word about it", || {
        forger.port.write_all(&rubbish).unwrap();
        std::thread::sleep(STEP * 20);
        recv.err()
            .contains("none were frames of 'hardline diode send': wrong baud rate or another program? [not-hardline]")
            .then_some(())
    });
    // what came last may look like the head of a long frame
    for _ in 0..3 {
        std::thread::sleep(STEP * 20);
        forger.beacon(VERSION, false);
    }
    assert!(!wire.reported("strange").is_empty());
    forger.beacon(VERSION, true);
    recv.ends(0);
}

#[test]
fn another_version_is_refused() {
    let wire = Wire::new(&[]);
    let mut recv = wire.recv(&["--lines"]);
    Forger::new(&wire).beacon(VERSION + 1, false);
    let says = recv.ends(5);
    assert!(says.contains(&format!("speaks version {}", VERSION + 1)), "{says}");
}

// ---- UDP ----------------------------------------------------------------------------------------

/// Carries datagrams; drops 1 %, doubles 1 %, and lets 2 % be overtaken by the next few.
struct Proxy {
    end: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<[u32; 3]>>,
}

impl Proxy {
    fn start(socket: UdpSocket, to: u16) -> Proxy {
        let end = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&end);
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let thread = std::thread::spawn(move || {
            let (mut random, mut buffer, mut did) = (Random::new(9), vec![0u8; 65_536], [0u32; 3]);
            let mut held: Vec<(u32, Vec<u8>)> = Vec::new();
            while !ended.load(Ordering::Relaxed) {
                let mut ready = Vec::new();
                if let Ok(n) = socket.recv(&mut buffer) {
                    match random.bits() % 100 {
                        0 => did[0] += 1,
                        1 => ready.extend([buffer[..n].to_vec(), buffer[..n].to_vec()]),
                        2 | 3 => held.push((5, buffer[..n].to_vec())),
                        _ => ready.push(buffer[..n].to_vec()),
                    }
                    did[1] += u32::from(ready.len() == 2);
                    held.iter_mut().for_each(|h| h.0 -= 1);
                } else {
                    held.iter_mut().for_each(|h| h.0 = 0);
                }
                did[2] += held.len() as u32;
                while held.first().is_some_and(|h| h.0 == 0) {
                    ready.push(held.remove(0).1);
                }
                for datagram in ready {
                    let _ = socket.send_to(&datagram, ("127.0.0.1", to));
                }
            }
            did
        });
        Proxy { end, thread: Some(thread) }
    }
    /// Datagrams dropped, doubled, held back.
    fn stop(mut self) -> [u32; 3] {
        self.end.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}

/// The UDP port a process has bound.
fn udp_port(process: &Running) -> Option<u16> {
    let inode = |d: &PathBuf| Some(d.to_str()?.strip_prefix("socket:[")?.strip_suffix("]")?.to_owned());
    let inodes: Vec<String> = process.descriptors().iter().filter_map(inode).collect();
    let table = fs::read_to_string("/proc/net/udp").ok()?;
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        inodes.iter().any(|i| i == fields[9]).then(|| u16::from_str_radix(fields[1].split(':').nth(1)?, 16).ok())?
    })
}

#[test]
fn udp_survives_loss_reordering_and_duplicates() {
    over_udp(&[]);
}

/// What a network doubles or lets overtake is no attack.
#[test]
fn sealed_udp_survives_loss_reordering_and_duplicates() {
    let says = over_udp(&["--psk", "wire.psk", "--state", "state"]);
    assert!(!says.contains("replay"), "{says}");
}

/// What the receiver said.
fn over_udp(keys: &[&str]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let sent = bytes(2_000_000, 10);
    fs::write(path("file"), &sent).unwrap();
    run(dir.path(), Command::new(HARDLINE).args(["keygen", "-q", "--psk", "wire.psk"]).current_dir(dir.path()));
    let mut recv = Command::new(HARDLINE);
    recv.args(["diode", "recv", "udp-listen:127.0.0.1:0", "--out"]).arg(path("in")).stdin(Stdio::null());
    recv.args(keys).current_dir(dir.path());
    let mut recv = Running::start(dir.path(), "recv", &mut recv);
    let to = until("the receiver listens", || udp_port(&recv));
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = format!("udp:127.0.0.1:{}", socket.local_addr().unwrap().port());
    let proxy = Proxy::start(socket, to);
    let mut send = Command::new(HARDLINE);
    send.args(["diode", "send", &port, "--rate", "5M"]).arg(path("file")).stdin(Stdio::null());
    let mut send = Running::start(dir.path(), "send", send.args(keys).current_dir(dir.path()));
    send.ends(0);
    let says = recv.ends(0);
    assert_carried(&path("in/file"), &sent);
    let did = proxy.stop();
    assert!(did.iter().all(|n| *n > 0), "a network too good: {did:?}");
    says
}

// ---- riders -------------------------------------------------------------------------------------

/// Runs a program to its end; returns what it printed.
#[track_caller]
fn run(dir: &Path, command: &mut Command) -> Vec<u8> {
    let mut running = Running::start(dir, "run", command.stdin(Stdio::null()));
    running.ends(0);
    running.out()
}

fn nncp(dir: &Path, name: &str, node: &str) -> Command {
    let mut command = Command::new(program(name, "nncp"));
    command.arg("-quiet").arg("-cfg").arg(dir.join(format!("{node}.hjson")));
    command
}

/// Two nodes that know each other as `peer`.
fn nncp_nodes(dir: &Path) {
    let keys = || {
        let made = run(dir, Command::new(program("nncp-cfgnew", "nncp")).arg("-nocomments"));
        let made = String::from_utf8(made).unwrap();
        let names = ["id", "exchpub", "exchprv", "signpub", "signprv", "noisepub", "noiseprv"];
        let pairs = made.lines().filter_map(|line| line.trim().split_once(": "));
        let keys: BTreeMap<_, _> = pairs.filter(|p| names.contains(&p.0)).map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        assert_eq!(keys.len(), names.len(), "nncp-cfgnew made other keys: {made}");
        keys
    };
    let public = |keys: &BTreeMap<String, String>| {
        let names = ["id", "exchpub", "signpub", "noisepub"];
        names.iter().map(|&name| (name.to_owned(), json!(keys[name]))).collect::<Value>()
    };
    let (near, far) = (keys(), keys());
    for (name, own, other) in [("near", &near, &far), ("far", &far, &near)] {
        let (spool, incoming) = (dir.join(format!("{name}.spool")), dir.join(format!("{name}.incoming")));
        fs::create_dir(&spool).unwrap();
        fs::create_dir(&incoming).unwrap();
        let mut peer = public(other);
        peer["incoming"] = json!(incoming);
        let log = dir.join(format!("{name}.nncp.log"));
        let config = json!({"spool": spool, "log": log, "self": own, "neigh": {"self": public(own), "peer": peer}});
        fs::write(dir.join(format!("{name}.hjson")), config.to_string()).unwrap();
    }
}

#[test]
fn nncp_bundles_pass_as_messages() {
    let wire = Wire::new(&["--ber", "1e-5"]);
    let dir = wire.rig.dir();
    nncp_nodes(dir);
    let sent = bytes(100_000, 11);
    let (file, out) = (wire.file("file", &sent), wire.path("in"));
    run(dir, nncp(dir, "nncp-file", "near").arg(file).arg("peer:received"));
    let bundle = run(dir, nncp(dir, "nncp-bundle", "near").args(["-tx", "peer"]));
    assert!(bundle.len() > sent.len(), "a bundle of {} bytes", bundle.len());
    let bundle = wire.file("bundle", &bundle);

    let mut recv = wire.recv(&["--out", out.to_str().unwrap()]);
    let mut send = wire.start("send", wire.send().args(["--survive", "100ms", "-"]).stdin(File::open(bundle).unwrap()));
    send.ends(0);
    recv.ends(0);

    let messages: Vec<PathBuf> = fs::read_dir(&out).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(messages.len(), 1, "one message: {messages:?}");
    let mut bundle = nncp(dir, "nncp-bundle", "far");
    let mut take = wire.start("take", bundle.args(["-rx", "-check"]).stdin(File::open(&messages[0]).unwrap()));
    take.ends(0);
    run(dir, &mut nncp(dir, "nncp-toss", "far"));
    assert_carried(&wire.path("far.incoming/received"), &sent);
}

/// Sends with an acoustic modem into a sound file; returns the port that plays it back.
fn sound(dir: &Path, input: Stdio, args: &[&str]) -> String {
    let minimodem = program("minimodem", "minimodem");
    let wav = dir.join("sound.wav");
    let port = format!("exec:{} --tx -f {} 1200", minimodem.display(), wav.display());
    let mut send = Command::new(HARDLINE);
    send.args(["diode", "send", &port, "--profile", "harsh", "--survive", "0ms", "--rate", "100"]).args(args).stdin(input);
    Running::start(dir, "send", &mut send).ends(0);
    assert!(fs::metadata(&wav).is_ok_and(|m| m.len() > 10_000), "a sound of some length");
    format!("exec:{} --rx -q -f {} 1200", minimodem.display(), wav.display())
}

#[test]
fn a_file_passes_as_sound() {
    let dir = tempfile::tempdir().unwrap();
    let (file, out, sent) = (dir.path().join("file"), dir.path().join("in"), bytes(200, 12));
    fs::write(&file, &sent).unwrap();
    let port = sound(dir.path(), Stdio::null(), &["--overhead", "0%", file.to_str().unwrap()]);
    let mut recv = Command::new(HARDLINE);
    let mut recv = Running::start(dir.path(), "recv", recv.args(["diode", "recv", &port, "--out"]).arg(&out));
    recv.ends(0);
    assert_carried(&out.join("file"), &sent);
}

#[test]
fn a_line_passes_as_sound() {
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("input");
    fs::write(&input, "temperature 21.5\n").unwrap();
    let port = sound(dir.path(), File::open(input).unwrap().into(), &["--lines"]);
    let mut recv = Command::new(HARDLINE);
    let mut recv = Running::start(dir.path(), "recv", recv.args(["diode", "recv", &port, "--lines"]));
    recv.ends(0);
    assert_eq!(String::from_utf8_lossy(&recv.out()), "temperature 21.5\n");
}
