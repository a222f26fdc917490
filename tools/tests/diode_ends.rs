//! `hardline diode recv` and sessions whose end is not heard: what is missing is said, and nothing waits for ever. A line is
//! a recording here, cut and played by a command that stays, or a wire whose adapters are unplugged.
#![allow(missing_docs)]

mod common;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use diode::wire::{Beacon, OPEN_END, Record, Shape, VERSION};
use link::wire::Level;
use link::wire::frame::frame_len;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tools::diode::send::FAREWELLS;
use tools::rig::Rig;
use tools::sim::pty::Pty;

const HARDLINE: &str = env!("CARGO_BIN_EXE_hardline");
const LIMIT: Duration = Duration::from_secs(60);
/// What ends a session: beacons with 50 bytes of body.
const FAREWELL: usize = FAREWELLS as usize * frame_len(50, Level::Plain);
/// A beacon and a manifest with a name of three bytes: what a session of such files begins with.
const ONE_BEACON: usize = frame_len(50, Level::Plain);
const ONE_NAME: usize = ONE_BEACON + frame_len(78, Level::Plain);

#[track_caller]
fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    common::until_within(LIMIT, what, look)
}

fn hardline(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(HARDLINE);
    command.args(args).current_dir(dir).stdin(Stdio::null()).env("XDG_STATE_HOME", dir.join("home"));
    command
}

/// A receiver; what it says goes to `DIR/err`, its output to `DIR/out`.
struct Receiver {
    dir: PathBuf,
    child: Child,
}

impl Receiver {
    fn start(dir: &Path, port: &str, args: &[&str]) -> Receiver {
        let _ = fs::remove_file(dir.join("report"));
        let mut command = hardline(dir, &[&["diode", "recv", port, "--report", "report"], args].concat());
        let file = |name: &str| File::create(dir.join(name)).unwrap();
        let child = command.stdout(file("out")).stderr(file("err")).spawn().unwrap();
        Receiver { dir: dir.to_owned(), child }
    }
    fn says(&self) -> String {
        fs::read_to_string(self.dir.join("err")).unwrap_or_default()
    }
    #[track_caller]
    fn said(&self, word: &str) {
        until(&format!("it says {word}: {}", self.says()), || self.says().contains(word).then_some(()));
    }
    #[track_caller]
    fn ends(&mut self, code: i32) -> String {
        let status = until(&format!("it ends: {}", self.says()), || self.child.try_wait().unwrap());
        assert_eq!(status.code(), Some(code), "{}", self.says());
        self.says()
    }
    fn out(&self) -> Vec<u8> {
        fs::read(self.dir.join("out")).unwrap()
    }
    fn reported(&self, event: &str) -> Vec<Value> {
        common::reported(&self.dir.join("report"), event)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder with recordings.
struct Bench(tempfile::TempDir);

impl Bench {
    fn new() -> Bench {
        Bench(tempfile::tempdir().unwrap())
    }
    fn dir(&self) -> &Path {
        self.0.path()
    }
    /// What a sender writes that gets this as stdin.
    #[track_caller]
    fn record(&self, input: &[u8], args: &[&str]) -> Vec<u8> {
        fs::write(self.dir().join("line"), b"").unwrap();
        fs::write(self.dir().join("input"), input).unwrap();
        let mut send = hardline(self.dir(), &[&["-q", "diode", "send", "./line", "--survive", "0ms"], args].concat());
        let status = send.stdin(File::open(self.dir().join("input")).unwrap()).status().unwrap();
        assert!(status.success());
        fs::read(self.dir().join("line")).unwrap()
    }
    fn stream(&self) -> (Vec<u8>, Vec<u8>) {
        let sent: Vec<u8> = (0..100_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let wire = self.record(&sent, &["--stream"]);
        (sent, wire)
    }
    /// A receiver of a line that brought this, and stays open or ends.
    fn recv(&self, wire: &[u8], stays: bool, args: &[&str]) -> Receiver {
        fs::write(self.dir().join("played"), wire).unwrap();
        let port = if stays { "exec:cat played; sleep 100" } else { "exec:cat played" };
        Receiver::start(self.dir(), port, args)
    }
    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        fs::write(self.dir().join(name), content).unwrap();
        self.dir().join(name)
    }
}

#[test]
fn a_stream_that_was_cut_off_is_no_success() {
    let bench = Bench::new();
    let (sent, wire) = bench.stream();
    for cut in [1000, wire.len() / 2, wire.len() * 3 / 4] {
        let mut recv = bench.recv(&wire[..cut], false, &["--stream"]);
        let says = recv.ends(4);
        let came = recv.out();
        assert!(came.len() < sent.len() && came == sent[..came.len()], "{} bytes of {}", came.len(), sent.len());
        assert!(
            says.contains("exec:cat played is gone (its command has ended) before the end of the session was heard"),
            "{says}"
        );
        let end = format!("the end of the session was not heard: what came after byte {} is missing (gone)", came.len());
        assert!(says.contains(&end) && says.contains("[port-lost]"), "{says}");
        let missing = recv.reported("missing");
        assert!(missing[0]["end"] == "unheard" && missing[0]["after_bytes"] == came.len(), "{missing:?}");
        assert_eq!(recv.reported("port-lost")[0]["cause"], "its command has ended");
    }
    let mut recv = bench.recv(&wire, false, &["--stream"]);
    let says = recv.ends(0);
    assert!(recv.out() == sent && !says.contains("is gone"), "{says}");
}

#[test]
fn lines_that_were_cut_off_are_no_success() {
    let bench = Bench::new();
    let wire = bench.record(b"one\ntwo\nthree\n", &["--lines"]);
    let mut recv = bench.recv(&wire[..wire.len() - FAREWELL], false, &["--lines"]);
    let says = recv.ends(4);
    assert_eq!(recv.out().iter().filter(|b| **b == b'\n').count(), 3, "all of them are here, but that is not known: {says}");
    assert!(says.contains("the end of the session was not heard: what came after line 2 is missing (gone)"), "{says}");
    assert_eq!(recv.reported("missing")[0]["after_lines"], 3);
    assert_eq!(bench.recv(&wire, false, &["--lines"]).ends(0).lines().count(), 1, "no more than that it is plain");
}

/// Its sender told that there are no more files: with all of them here nothing is missing.
#[test]
fn files_that_are_all_here_need_no_end() {
    let bench = Bench::new();
    let files = [bench.file("one", &[1; 20_000]), bench.file("two", &[2; 300])];
    let args: Vec<&str> = files.iter().map(|f| f.to_str().unwrap()).collect();
    let wire = bench.record(b"", &args);
    let mut recv = bench.recv(&wire[..wire.len() - FAREWELL], false, &["--out", "in"]);
    let says = recv.ends(0);
    assert!(
        says.contains("is gone") && says.contains("the end of the session was not heard; all that it announced is here"),
        "{says}"
    );
    // the second one is not whole, or not even named
    let mut recv = bench.recv(&wire[..wire.len() / 2], false, &["--out", "in2"]);
    let says = recv.ends(4);
    assert!(says.contains("one is incomplete: ") && says.contains(" symbols came (gone)"), "{says}");
    let mut recv = bench.recv(&wire[..ONE_NAME], false, &["--out", "in3"]);
    let says = recv.ends(4);
    // by its number, which the sender notes beside the name
    assert!(
        says.contains("1 object was sent of which not even the name came (gone): number 0, by their place transfer "),
        "{says}"
    );
    let missing = recv.reported("missing");
    assert_eq!(missing.len(), 2, "{says}");
    let nameless = missing.iter().find(|line| line["objects"] == 1).unwrap();
    let mut whole = bench.recv(&wire, false, &["--out", "in4"]);
    whole.ends(0);
    let transfers = whole.reported("delivered");
    let first = transfers.iter().find(|line| line["name"] == "one").unwrap();
    assert_eq!((&nameless["numbers"][0], &nameless["transfers"][0]), (&json!("0"), &first["transfer"]), "{nameless} {first}");
}

/// Of a folder nobody knows what would have come.
#[test]
fn a_watched_folder_has_no_end() {
    let bench = Bench::new();
    fs::create_dir(bench.dir().join("watched")).unwrap();
    bench.file("watched/one", b"one");
    fs::write(bench.dir().join("line"), b"").unwrap();
    let mut send =
        hardline(bench.dir(), &["-q", "diode", "send", "./line", "--survive", "0ms", "--watch", "watched"]).spawn().unwrap();
    until("it is sent", || bench.dir().join("watched/sent/one").exists().then_some(()));
    // a beacon that tells of it comes within a second
    let sent = fs::metadata(bench.dir().join("line")).unwrap().len();
    until("a beacon", || (fs::metadata(bench.dir().join("line")).unwrap().len() > sent).then_some(()));
    send.kill().unwrap();
    send.wait().unwrap();
    let mut recv = bench.recv(&fs::read(bench.dir().join("line")).unwrap(), false, &["--out", "in"]);
    assert!(recv.ends(4).contains("what came after 1 object is missing (gone)"), "{}", recv.says());
    assert_eq!(fs::read(bench.dir().join("in/one")).unwrap(), b"one");
}

#[test]
fn who_joins_late_is_told_so() {
    let bench = Bench::new();
    let file = bench.file("one", &[1; 20_000]);
    let wire = bench.record(b"", &[file.to_str().unwrap()]);
    let says = bench.recv(&wire[wire.len() / 2..], false, &["--out", "in"]).ends(4);
    assert!(says.contains("one is incomplete: ") && says.contains(" symbols came (late)"), "{says}");
}

#[test]
fn a_session_that_fell_silent_is_over() {
    let bench = Bench::new();
    let file = bench.file("file", &[7; 20_000]);
    let wire = bench.record(b"", &[file.to_str().unwrap()]);
    let mut whole = bench.recv(&wire[..wire.len() - FAREWELL], true, &["--out", "in", "--grace", "1s"]);
    let began = Instant::now();
    let cut = Bench::new();
    let mut half = cut.recv(&wire[..wire.len() / 2], true, &["--out", "in", "--grace", "1s"]);
    let third = Bench::new();
    let (sent, wire) = third.stream();
    let mut stream = third.recv(&wire[..wire.len() / 2], true, &["--stream", "--grace", "1s"]);
    let says = whole.ends(0);
    assert!(began.elapsed() >= Duration::from_secs(5), "five beacons are waited for");
    assert!(
        says.contains("nothing of the session came for 5 s: it is over") && says.contains("all that it announced is here"),
        "{says}"
    );
    let says = half.ends(4);
    assert!(says.contains("file is incomplete: ") && says.contains("(silence)"), "{says}");
    assert!(stream.ends(4).contains("what came after byte "), "{}", stream.says());
    assert!(sent.starts_with(&stream.out()));
}

#[test]
fn frames_that_nobody_can_read_are_given_up() {
    let bench = Bench::new();
    for name in ["psk", "other"] {
        assert!(hardline(bench.dir(), &["keygen", "-q", "--psk", name]).status().unwrap().success());
    }
    let file = bench.file("file", &[7; 2000]);
    let plain = bench.record(b"", &[file.to_str().unwrap()]);
    let sealed = bench.record(b"", &["--psk", "psk", file.to_str().unwrap()]);
    for (wire, keys, word) in [
        (&sealed, &[][..], "this receiver has no key"),
        (&sealed, &["--psk", "other"], "frames that no key here opens: is it the sender's key?"),
        (&plain, &["--psk", "psk"], "the sender has no key"),
    ] {
        let mut recv = bench.recv(wire, true, &[&["--out", "in", "--grace", "200ms"], keys].concat());
        assert!(recv.ends(5).contains(word), "{}", recv.says());
    }
    // what comes too late for that is taken
    let wire = [plain, sealed].concat();
    bench.recv(&wire, true, &["--out", "in", "--grace", "200ms", "--psk", "psk"]).ends(0);
}

#[test]
fn a_stream_that_broke_off_is_not_joined_to_the_next() {
    let bench = Bench::new();
    let (sent, first) = bench.stream();
    let (_, second) = bench.stream();
    let both = [&first[..first.len() / 2], &second].concat();
    let mut recv = bench.recv(&both, false, &["--stream"]);
    let says = recv.ends(4);
    let came = recv.out();
    assert!(came.len() < sent.len() && sent.starts_with(&came), "the beginning of the first, and nothing of the second: {says}");
    // who goes on takes both, and says so
    let mut recv = bench.recv(&both, false, &["--stream", "--forever"]);
    let says = recv.ends(4);
    assert!(says.contains(&format!("what came after byte {} is missing (", came.len())), "{says}");
    assert!(recv.out() == [came, sent].concat());
}

#[test]
fn files_of_a_session_that_broke_off_may_come_in_the_next() {
    let bench = Bench::new();
    let files = [bench.file("one", &[1; 20_000]), bench.file("two", &[2; 20_000])];
    let [one, two] = files.each_ref().map(|f| f.to_str().unwrap());
    let both = bench.record(b"", &["--state", "kept", one, two]);
    // what a run that is killed leaves behind: transfers that have not ended
    let log = fs::read_to_string(bench.dir().join("kept/diode-transfers")).unwrap();
    let killed: String = log.split_inclusive('\n').filter(|line| line.starts_with('+')).collect();
    fs::write(bench.dir().join("kept/diode-transfers"), killed).unwrap();
    let again = bench.record(b"", &["--state", "kept", one, two]);
    let half = &both[..ONE_NAME];
    let says = bench.recv(&[half, &again].concat(), false, &["--out", "in"]).ends(0);
    assert!(says.contains("the end of the session was not heard, and another one begins"), "{says}");
    // nothing shows that these are the same: the one that was not named may have been another
    let three = bench.file("three", &[3; 20_000]);
    let other = [&[one][..], &[one, two], &[one, three.to_str().unwrap()], &[two, one, three.to_str().unwrap()]];
    for (i, other) in other.into_iter().enumerate() {
        let other = bench.record(b"", other);
        for half in [half, &both[..ONE_BEACON]] {
            let says = bench.recv(&[half, &other].concat(), false, &["--out", &format!("in{i}")]).ends(4);
            let nameless = "of which not even the name came";
            assert!(says.contains("of a session that broke off, ") && says.contains(nameless), "{says}");
        }
    }
}

// ---- senders that are ended ---------------------------------------------------------------------

/// A sender at a slow rate that is asked to end once it has written so much; what it wrote.
fn ended(bench: &Bench, shape: &str, input: impl Into<Stdio>, after: u64, signal: Signal) -> (Vec<u8>, String) {
    let file = |name: &str| File::create(bench.dir().join(name)).unwrap();
    let mut send = hardline(bench.dir(), &["-q", "diode", "send", "stdio:", shape, "--rate", "3000", "--survive", "100ms"]);
    let mut send = send.stdin(input).stdout(file("line")).stderr(file("err")).spawn().unwrap();
    until("it sends", || (fs::metadata(bench.dir().join("line")).unwrap().len() >= after).then_some(()));
    kill(Pid::from_raw(i32::try_from(send.id()).unwrap()), signal).unwrap();
    let status = until("it ends", || send.try_wait().unwrap());
    assert_eq!(status.code(), Some(128 + signal as i32));
    (fs::read(bench.dir().join("line")).unwrap(), fs::read_to_string(bench.dir().join("err")).unwrap())
}

#[test]
fn a_sender_that_is_ended_in_the_midst_of_its_input_says_so() {
    let bench = Bench::new();
    let text: Vec<u8> = (0..20_000).flat_map(|n| format!("line {n}\n").into_bytes()).collect();
    bench.file("text", &text);
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(&text[..60_000]).unwrap();
    let inputs = [
        ("--lines", Stdio::from(File::open(bench.dir().join("text")).unwrap()), Signal::SIGTERM),
        ("--lines", Stdio::from(reader), Signal::SIGINT),
        ("--stream", Stdio::from(File::open(bench.dir().join("text")).unwrap()), Signal::SIGTERM),
    ];
    for (shape, input, signal) in inputs {
        let (wire, said) = ended(&bench, shape, input, 4000, signal);
        assert!(said.contains("interrupted; the receiver was told that not all was sent"), "{shape}: {said}");
        // it does not wait for what follows
        let mut recv = bench.recv(&wire, true, &[shape]);
        let says = recv.ends(4);
        assert!(says.contains("the sender could not go on: what was to come after "), "{shape}: {says}");
        assert!(recv.out().len() < text.len());
    }
}

/// A sensor that goes on for months: where every line was sent that was read, and nothing waits, nothing is missing. Of half
/// a line something is.
#[test]
fn a_sender_of_lines_that_is_ended_between_them_has_ended_in_order() {
    let bench = Bench::new();
    for (input, code) in [("one\ntwo\n", 0), ("one\ntwo\nthr", 4)] {
        let (reader, mut writer) = std::io::pipe().unwrap();
        writer.write_all(input.as_bytes()).unwrap();
        let (wire, said) = ended(&bench, "--lines", reader, 150, Signal::SIGTERM);
        let told = if code == 0 { "the session is over" } else { "not all was sent" };
        assert!(said.contains(told), "{said}");
        let mut recv = bench.recv(&wire, true, &["--lines"]);
        let says = recv.ends(code);
        assert_eq!(says.contains("the sender could not go on"), code == 4, "{says}");
        let out = recv.out();
        assert_eq!(out.split(|b| *b == b'\n').filter(|line| !line.is_empty()).count(), 2);
    }
}

/// A disk that fails under a recording is not its end.
#[test]
fn what_cannot_be_read_of_a_recording_is_told() {
    let bench = Bench::new();
    let mut command = hardline(bench.dir(), &["diode", "recv", "stdio:", "--lines", "--report", "report"]);
    // nothing is at its beginning, and a read of it fails with EIO
    let output = command.stdin(File::open("/proc/self/mem").unwrap()).output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    let lost = common::reported(&bench.dir().join("report"), "port-lost");
    assert!(lost[0]["cause"].as_str().unwrap().contains("Input/output error"), "{lost:?}");
}

// ---- adapters that are unplugged ----------------------------------------------------------------

fn wire(unplug: &str) -> Rig {
    Rig::start(Path::new(HARDLINE), &["--one-way", "--baud", "2000000", "--unplug", unplug]).expect("the simulated wire starts")
}

/// Writes to the wire what a sender would have.
fn play(rig: &Rig, bytes: &[u8]) {
    tools::sim::pty::open_raw(&rig.path("a")).unwrap().write_all(bytes).unwrap();
}

fn listens(rig: &Rig, recv: &Receiver) {
    let (port, fds) = (fs::canonicalize(rig.path("b")).unwrap(), format!("/proc/{}/fd", recv.child.id()));
    until("it listens", || {
        fs::read_dir(&fds).unwrap().flatten().any(|e| fs::read_link(e.path()).is_ok_and(|t| t == port)).then_some(())
    });
}

#[test]
fn an_adapter_that_is_unplugged_is_named() {
    let (bench, rig) = (Bench::new(), wire("2:600"));
    let (sent, wire) = bench.stream();
    let mut recv = Receiver::start(rig.dir(), "./b", &["-b", "2000000", "--stream"]);
    listens(&rig, &recv);
    play(&rig, &wire[..wire.len() / 2]);
    let says = recv.ends(4);
    assert!(says.contains("./b is gone (hung up) before the end of the session was heard [port-lost]"), "{says}");
    assert!(says.contains(&format!("what came after byte {} is missing (gone)", recv.out().len())), "{says}");
    assert!(sent.starts_with(&recv.out()) && !recv.out().is_empty());
}

#[test]
fn an_adapter_that_comes_back_goes_on_with_its_session() {
    for flag in ["--wait", "--forever"] {
        let (bench, rig) = (Bench::new(), wire("2:1"));
        let (sent, wire) = bench.stream();
        let mut recv = Receiver::start(rig.dir(), "./b", &["-b", "2000000", "--stream", flag]);
        listens(&rig, &recv);
        let (first, rest) = wire.split_at(wire.len() / 2);
        play(&rig, first);
        recv.said("./b is gone (hung up); waiting for it [port-lost]");
        recv.said("./b is open now, after ");
        play(&rig, rest);
        until("the whole stream", || (recv.out() == sent).then_some(()));
        if flag == "--wait" {
            recv.ends(0);
        } else {
            assert!(recv.child.try_wait().unwrap().is_none(), "{}", recv.says());
        }
        assert!(recv.reported("missing").is_empty() && recv.reported("port-back").len() == 1, "{}", recv.says());
    }
}

#[test]
fn an_adapter_that_stays_away_ends_its_session() {
    let (bench, rig) = (Bench::new(), wire("2:600"));
    let (_, wire) = bench.stream();
    let mut recv = Receiver::start(rig.dir(), "./b", &["-b", "2000000", "--stream", "--wait", "--grace", "1s"]);
    listens(&rig, &recv);
    play(&rig, &wire[..wire.len() / 2]);
    let says = recv.ends(4);
    assert!(
        says.contains("waiting for it [port-lost]") && says.contains("./b is gone (hung up, and not back for 5 s)"),
        "{says}"
    );
}

/// A sender on an adapter of which all that is written is recorded; what it says goes to `DIR/err`.
struct Sender {
    dir: PathBuf,
    child: Child,
    adapter: Option<Pty>,
    line: Vec<u8>,
}

impl Sender {
    fn start(bench: &Bench, args: &[&str]) -> Sender {
        let adapter = Some(Pty::new(&bench.dir().join("tty")).unwrap());
        let mut command = hardline(bench.dir(), &[&["diode", "send", "./tty", "-b", "2000000"], args].concat());
        command.stdin(Stdio::piped()).stderr(File::create(bench.dir().join("err")).unwrap());
        Sender { dir: bench.dir().to_owned(), child: command.spawn().unwrap(), adapter, line: Vec::new() }
    }
    fn write(&mut self, input: &[u8]) {
        self.child.stdin.as_mut().unwrap().write_all(input).unwrap();
    }
    fn record(&mut self) {
        let mut buffer = [0; 65536];
        let n = self.adapter.as_ref().map_or(0, |adapter| adapter.read(&mut buffer).unwrap());
        self.line.extend_from_slice(&buffer[..n]);
    }
    /// Records until there is so much.
    #[track_caller]
    fn records(&mut self, len: usize) {
        until(&format!("{len} bytes are sent"), || {
            self.record();
            (self.line.len() >= len).then_some(())
        });
    }
    fn says(&self) -> String {
        fs::read_to_string(self.dir.join("err")).unwrap()
    }
    #[track_caller]
    fn said(&mut self, word: &str) {
        until(&format!("it says {word}: {}", self.says()), || {
            self.record();
            self.says().contains(word).then_some(())
        });
    }
    #[track_caller]
    fn ends(&mut self) -> i32 {
        self.child.stdin = None;
        let status = until(&format!("it ends: {}", self.says()), || {
            self.record();
            self.child.try_wait().unwrap()
        });
        self.record();
        status.code().unwrap()
    }
    fn plug(&mut self) {
        self.adapter = Some(Pty::new(&self.dir.join("tty")).unwrap());
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Half of it is written, the adapter is away until that was noticed, and the rest is written.
#[track_caller]
fn sends_in_spite(bench: &Bench, args: &[&str], input: &[u8]) -> Vec<u8> {
    let mut send = Sender::start(bench, &[&["--wait"], args].concat());
    let (first, rest) = input.split_at(input.len() / 2);
    send.write(first);
    send.records(first.len().max(10_000));
    send.adapter = None;
    send.said("./tty is gone (hung up); waiting for it [port-lost]");
    send.plug();
    send.said("./tty is open now, after ");
    send.write(rest);
    assert_eq!(send.ends(), 0, "{}", send.says());
    std::mem::take(&mut send.line)
}

#[test]
fn a_sender_takes_its_adapter_back() {
    let bench = Bench::new();
    let (sent, _) = bench.stream();
    let wire = sends_in_spite(&bench, &["--stream"], &sent);
    let mut recv = bench.recv(&wire, false, &["--stream"]);
    let says = recv.ends(0);
    assert!(recv.out() == sent, "{} bytes: {says}", recv.out().len());
}

#[test]
fn a_sender_of_lines_takes_its_adapter_back() {
    let bench = Bench::new();
    let sent: Vec<String> = (0..2000).map(|n| format!("line {n:08} of many")).collect();
    let wire = sends_in_spite(&bench, &["--lines"], format!("{}\n", sent.join("\n")).as_bytes());
    let mut recv = bench.recv(&wire, false, &["--lines"]);
    let says = recv.ends(0);
    let out = String::from_utf8(recv.out()).unwrap();
    let mut came: Vec<&str> = out.lines().collect();
    came.sort_unstable();
    assert!(came == sent, "{} lines: {says}", came.len());
}

#[test]
fn a_sender_of_files_takes_its_adapter_back() {
    let bench = Bench::new();
    let (sent, _) = bench.stream();
    bench.file("some", &sent);
    let wire = sends_in_spite(&bench, &["some"], b"");
    bench.recv(&wire, false, &["--out", "in"]).ends(0);
    assert!(fs::read(bench.dir().join("in/some")).unwrap() == sent);
}

#[test]
fn a_sender_that_does_not_wait_ends() {
    let bench = Bench::new();
    let mut send = Sender::start(&bench, &["--lines"]);
    send.write(b"one\n");
    send.records(1);
    send.adapter = None;
    assert_eq!(send.ends(), 1);
    let says = send.says();
    assert!(says.contains("cannot write to the line: the port hung up (--wait waits until it is back) [line-failed]"), "{says}");
}

/// A signal ends it while its adapter is away.
#[test]
fn a_sender_without_its_adapter_can_be_ended() {
    let bench = Bench::new();
    let mut send = Sender::start(&bench, &["--lines", "--wait"]);
    send.write(b"one\n");
    send.records(1);
    send.adapter = None;
    send.said("waiting for it [port-lost]");
    kill(Pid::from_raw(send.child.id() as i32), Signal::SIGTERM).unwrap();
    let stdin = send.child.stdin.take();
    assert_eq!(send.ends(), 143);
    drop(stdin);
    assert!(send.says().contains("interrupted; the receiver does not know"), "{}", send.says());
}

/// What was sent before anything was heard is named, and counts: whoever listened all the time lost it.
#[test]
fn what_came_too_early_is_missing() {
    let bench = Bench::new();
    let wire = bench.record(&b"a line\n".repeat(300), &["--lines"]);
    // not the first beacon, nor what followed it
    let mut recv = bench.recv(&wire[wire.len() - FAREWELL - 3000..], false, &["--lines"]);
    let says = recv.ends(4);
    let came = recv.out().iter().filter(|b| **b == b'\n').count() as u64;
    let named: u64 =
        recv.reported("missing").iter().map(|m| m["last"].as_u64().unwrap() - m["first"].as_u64().unwrap() + 1).sum();
    assert!(came < 300 && came + named == 300, "{came} and {named}: {says}");
    assert!(says.contains(" lost (late)"), "{says}");
    let (sent, wire) = bench.stream();
    let mut recv = bench.recv(&wire[wire.len() / 2..], false, &["--stream"]);
    let says = recv.ends(4);
    let missing = sent.len() - recv.out().len();
    assert!(sent.ends_with(&recv.out()) && missing > 10_000, "{missing}");
    let words = format!("the first {missing} bytes of the stream were sent before anything was heard (late)");
    assert!(says.contains(&words) && says.contains(&format!("{missing} bytes of the stream are missing")), "{says}");
}

/// The closing beacons of a session that was over before: whoever is started meanwhile waits for the next one.
#[test]
fn the_end_of_another_session_is_not_taken_for_a_session() {
    let bench = Bench::new();
    let one = bench.file("one", &[1; 20_000]);
    let first = bench.record(b"", &[one.to_str().unwrap()]);
    let two = bench.file("two", &[2; 2_000]);
    let next = bench.record(b"", &[two.to_str().unwrap()]);
    let echo = &first[first.len() - 3 * frame_len(50, Level::Plain)..];
    let mut recv = bench.recv(&[echo, &next].concat(), false, &["--out", "in"]);
    let says = recv.ends(0);
    assert!(says.contains("a session came that began before this receiver") && says.contains("[ended-before]"), "{says}");
    assert_eq!(fs::read(bench.dir().join("in/two")).unwrap(), [2; 2_000]);
    assert_eq!(recv.reported("missing").len(), 0);
}

/// Of a session that was broken off at once nothing but its end is heard: it did not begin before.
#[test]
fn a_session_of_which_only_the_end_is_heard_is_missing() {
    let bench = Bench::new();
    let beacons = |counter: u64, told: fn(&mut Beacon)| {
        let mut wire = Vec::new();
        for counter in counter..counter + 3 {
            let mut beacon = Beacon { counter, ..end() };
            told(&mut beacon);
            let mut frame = vec![0; link::FRAME_MAX];
            let len = diode::wire::write(&mut frame, counter, 7, &Record::Beacon(beacon), Level::Plain);
            wire.extend(&frame[..len]);
        }
        wire
    };
    // its first frame; one of those behind it
    for counter in [0, 1] {
        let wire = beacons(counter, |beacon| beacon.datagrams = 227);
        let mut recv = bench.recv(&wire, true, &["--lines"]);
        let says = recv.ends(4);
        assert!(says.contains("lines 0 to 226 are lost") && !says.contains("[ended-before]"), "{says}");
        let wire = beacons(counter, |beacon| beacon.objects = 5);
        let says = bench.recv(&wire, true, &["--out", "in"]).ends(4);
        assert!(
            says.contains("5 objects were sent of which not even the name came (") && says.contains("): number 0 to 4 [missing]"),
            "{says}"
        );
        assert!(says.contains("hardline: 5 things are missing, see above and --report [incomplete]"), "{says}");
    }
    let wire = beacons(0, |beacon| beacon.broken = true);
    let says = bench.recv(&wire, true, &["--lines"]).ends(4);
    assert!(says.contains("the sender could not go on: what was to come after its beginning is missing"), "{says}");
    // 227 lines in order took more frames
    let recv = bench.recv(&beacons(300, |beacon| beacon.datagrams = 227), true, &["--lines"]);
    recv.said("[ended-before]");
}

fn end() -> Beacon {
    Beacon {
        version: VERSION,
        session: 7,
        counter: 0,
        period_ms: 1000,
        survive_ms: 2000,
        shape: Shape::default(),
        stream_len: OPEN_END,
        datagrams: 0,
        objects: 0,
        end: true,
        broken: false,
    }
}

/// A file that is no recording is not written over; one that is grows.
#[test]
fn recordings_spoil_no_other_files() {
    let bench = Bench::new();
    let (precious, other) = (bench.file("precious", b"precious"), bench.file("other", b"other"));
    let send = |port: &Path| {
        let args = ["diode", "send", port.to_str().unwrap(), other.to_str().unwrap(), "--survive", "0ms"];
        hardline(bench.dir(), &args).output().unwrap()
    };
    let refused = send(&precious);
    let says = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(6) && says.contains("something else in it than a recording"), "{says}");
    assert_eq!(fs::read(&precious).unwrap(), b"precious");
    let line = bench.file("line", b"");
    assert!(send(&line).status.success());
    let once = fs::metadata(&line).unwrap().len();
    assert!(send(&line).status.success() && fs::metadata(&line).unwrap().len() == 2 * once);
}
