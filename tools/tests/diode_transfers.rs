//! `hardline diode` and what is sent again, is numbered alike, fails, or is made to hurt: nothing is taken for delivered that
//! is not, and nobody gets more memory, disk or lines than a receiver means to give. A line is a recording here.
#![allow(missing_docs)]

mod common;

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use diode::seal::Sealing;
use diode::wire::{Beacon, Body, Manifest, OPEN_END, Record, Shape, VERSION};
use link::wire::seal::Key;
use link::wire::{Deframer, Level};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tools::keys::Psk;

const HARDLINE: &str = env!("CARGO_BIN_EXE_hardline");
const LIMIT: Duration = Duration::from_secs(60);

/// A folder with files, recordings and what receivers make of them.
struct Bench(tempfile::TempDir);

impl Bench {
    fn new() -> Bench {
        Bench(tempfile::tempdir().unwrap())
    }
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
    fn file(&self, name: &str, content: &[u8]) -> String {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), content).unwrap();
        self.path(name).to_str().unwrap().to_owned()
    }
    fn hardline(&self, args: &[&str]) -> Command {
        let mut command = Command::new(HARDLINE);
        command.args(args).current_dir(self.0.path()).stdin(Stdio::null()).env("XDG_STATE_HOME", self.path("home"));
        command
    }
    /// What a sender writes.
    #[track_caller]
    fn record(&self, args: &[&str]) -> Vec<u8> {
        self.record_of(Stdio::null(), args)
    }
    #[track_caller]
    fn record_of(&self, input: impl Into<Stdio>, args: &[&str]) -> Vec<u8> {
        let all = [&["-q", "diode", "send", "stdio:", "--survive", "0ms", "--profile", "cable"], args].concat();
        let sent = self.hardline(&all).stdin(input).output().unwrap();
        said(&sent, 0);
        sent.stdout
    }
    fn recv_command(&self, wire: &[u8], args: &[&str]) -> Command {
        fs::write(self.path("wire"), wire).unwrap();
        let mut command = self.hardline(&["-q", "diode", "recv", "exec:cat wire"]);
        command.args(["--report", "report"]).args(args);
        command
    }
    /// What a receiver of files makes of this.
    #[track_caller]
    fn recv(&self, wire: &[u8], code: i32, args: &[&str]) -> String {
        let args = [&["--out", "out", "--state", "state"], args].concat();
        said(&self.recv_command(wire, &args).output().unwrap(), code)
    }
    #[track_caller]
    fn has(&self, name: &str, content: &[u8]) {
        assert_eq!(fs::read(self.path("out").join(name)).ok().as_deref(), Some(content), "{name}");
    }
    fn reported(&self, event: &str) -> Vec<Value> {
        common::reported(&self.path("report"), event)
    }
}

#[track_caller]
fn said(output: &Output, code: i32) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{text}");
    text
}

fn frames(wire: &[u8]) -> Vec<Vec<u8>> {
    let mut deframer = Deframer::default();
    let (mut rest, mut all) = (wire, Vec::new());
    while !rest.is_empty() {
        rest = &rest[deframer.push(rest)..];
        while let Some(found) = deframer.next_frame() {
            all.push(found.body.to_vec());
        }
    }
    all
}

fn transfers(wire: &[u8]) -> Vec<u64> {
    let mut all: Vec<u64> = frames(wire)
        .iter()
        .filter_map(|body| match Body::parse(body)?.record {
            Record::Manifest(m) => Some(m.transfer),
            _ => None,
        })
        .collect();
    all.dedup();
    all
}

/// A sender that says what it likes.
struct Forger {
    session: u64,
    wire: Vec<u8>,
    counter: u64,
    /// Where he has the key.
    sealing: Option<Sealing>,
}

impl Forger {
    fn new(session: u64) -> Forger {
        Forger { session, wire: Vec::new(), counter: 0, sealing: None }
    }
    fn sealed(session: u64, psk: Option<&Psk>) -> Forger {
        Forger { sealing: psk.map(|psk| Sealing::psk(&Key::from(*psk.bytes()), session)), ..Forger::new(session) }
    }
    fn send(&mut self, record: &Record<'_>) {
        let mut frame = vec![0u8; link::FRAME_MAX];
        let len = diode::seal::write(&mut frame, self.counter, self.session, record, Level::Plain, self.sealing.as_ref());
        self.counter += 1;
        self.wire.extend(&frame[..len]);
    }
    fn beacon(&mut self, told: Beacon) {
        let (session, counter) = (self.session, self.counter);
        self.send(&Record::Beacon(Beacon { session, counter, ..told }));
    }
    fn manifest(&mut self, object: u32, name: &str, (size, symbol_len, block_symbols): (u64, u16, u16), content: &[u8]) {
        self.send(&Record::Manifest(Manifest {
            object,
            transfer: u64::from(object),
            size,
            symbol_len,
            block_symbols,
            repair: 0,
            modified: 0,
            sha256: Sha256::digest(content).into(),
            message: false,
            name,
        }));
    }
    /// A file of one symbol.
    fn file(&mut self, object: u32, name: &str, content: &[u8]) {
        self.manifest(object, name, (content.len() as u64, content.len() as u16, 1), content);
        self.send(&Record::Symbol { object, block: 0, symbol: 0, payload: content });
    }
}

fn told(objects: u32, end: bool) -> Beacon {
    Beacon {
        version: VERSION,
        session: 0,
        counter: 0,
        period_ms: 1000,
        survive_ms: 0,
        shape: Shape::default(),
        stream_len: OPEN_END,
        datagrams: 0,
        objects,
        end,
        broken: false,
    }
}

// ---- transfers ----------------------------------------------------------------------------------

#[test]
fn a_file_that_returns_to_an_earlier_content_is_delivered() {
    let bench = Bench::new();
    for content in ["one", "two", "one"] {
        let file = bench.file("cfg", content.as_bytes());
        bench.recv(&bench.record(&[&file]), 0, &["--exec", "echo >> ran; true"]);
        bench.has("cfg", content.as_bytes());
    }
    assert_eq!(bench.reported("delivered").len(), 3);
    assert_eq!(fs::read_to_string(bench.path("ran")).unwrap().lines().count(), 3);
}

#[test]
fn a_file_that_was_taken_away_is_delivered_again() {
    let bench = Bench::new();
    let file = bench.file("file", b"content");
    for _ in 0..2 {
        bench.recv(&bench.record(&[&file]), 0, &[]);
        bench.has("file", b"content");
        fs::remove_file(bench.path("out/file")).unwrap();
    }
}

#[test]
fn equal_messages_all_arrive() {
    let bench = Bench::new();
    bench.file("message", b"alarm");
    for _ in 0..2 {
        let wire = bench.record_of(File::open(bench.path("message")).unwrap(), &["-"]);
        bench.recv(&wire, 0, &[]);
    }
    let all: Vec<_> = fs::read_dir(bench.path("out")).unwrap().map(|e| fs::read(e.unwrap().path()).unwrap()).collect();
    assert_eq!(all, [b"alarm", b"alarm"]);
}

/// Pairs that had one number, when it was a hash of name and content.
#[test]
fn files_whose_numbers_collided_are_both_delivered() {
    let bench = Bench::new();
    for content in ["content 39634\n", "content 89490\n"] {
        let file = bench.file("report.txt", content.as_bytes());
        bench.recv(&bench.record(&[&file]), 0, &[]);
        bench.has("report.txt", content.as_bytes());
    }
    let both = [2344, 54_381].map(|n| (format!("r{n}.json"), format!("content of {n}\n")));
    let files = both.clone().map(|(name, content)| bench.file(&name, content.as_bytes()));
    bench.recv(&bench.record(&[&files[0], &files[1]]), 0, &[]);
    both.iter().for_each(|(name, content)| bench.has(name, content.as_bytes()));
}

/// What goes on is the same transfer, over rounds, restarts of the receiver, and of a sender with `--state`.
#[test]
fn the_same_transfer_is_delivered_once() {
    let bench = Bench::new();
    let file = bench.file("file", b"content");
    let wire = bench.record(&[&file, "--rounds", "3"]);
    assert_eq!(transfers(&wire).len(), 1);
    for _ in 0..2 {
        bench.recv(&wire, 0, &["--exec", "echo >> ran; true"]);
    }
    assert_eq!((bench.reported("delivered").len(), bench.reported("hook").len()), (1, 1));
    assert_eq!(fs::read_to_string(bench.path("ran")).unwrap().lines().count(), 1);
}

/// A carousel that is killed and started again.
fn carousel(bench: &Bench, file: &str, args: &[&str]) -> Vec<u64> {
    let all =
        [&["-q", "diode", "send", "./line", file, "--rounds", "forever", "--rate", "100k", "--survive", "0ms"], args].concat();
    (0..2)
        .flat_map(|_| {
            fs::write(bench.path("line"), b"").unwrap();
            let mut send = bench.hardline(&all).spawn().unwrap();
            let found = common::until_within(LIMIT, "a manifest", || {
                let found = transfers(&fs::read(bench.path("line")).unwrap());
                (!found.is_empty()).then_some(found)
            });
            send.kill().unwrap();
            send.wait().unwrap();
            found
        })
        .collect()
}

#[test]
fn a_sender_that_remembers_goes_on_with_its_transfer() {
    let bench = Bench::new();
    let file = bench.file("file", b"content");
    let kept = carousel(&bench, &file, &["--state", "sender"]);
    assert_eq!(kept[0], kept[1]);
    let unkept = carousel(&bench, &file, &[]);
    assert_ne!(unkept[0], unkept[1], "another sending");
    // one that ended is over
    let state = ["--state", "sender"];
    let (a, b) = (
        transfers(&bench.record(&[&[file.as_str()], &state[..]].concat())),
        transfers(&bench.record(&[&[file.as_str()], &state[..]].concat())),
    );
    assert_eq!((a[0], b[0]), (kept[0], kept[0].wrapping_add(1)), "numbers follow each other");
}

/// A carousel of one file that is asked to end, when it had rounds of it.
fn broken_off(bench: &Bench, args: &[&str], signal: Signal) -> Vec<u8> {
    let all = [&["-q", "diode", "send", "./line", "--rate", "1M", "--survive", "0ms", "--profile", "cable"], args].concat();
    fs::write(bench.path("line"), b"").unwrap();
    let mut send = bench.hardline(&all).spawn().unwrap();
    common::until_within(LIMIT, "some rounds", || {
        let symbols = |body: &Vec<u8>| Body::parse(body).is_some_and(|b| matches!(b.record, Record::Symbol { .. }));
        (frames(&fs::read(bench.path("line")).unwrap()).iter().filter(|f| symbols(f)).count() > 20).then_some(())
    });
    kill(Pid::from_raw(send.id() as i32), signal).unwrap();
    send.wait().unwrap();
    fs::read(bench.path("line")).unwrap()
}

#[test]
fn a_broken_off_sending_does_not_take_in_a_later_one_of_the_same_content() {
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        let bench = Bench::new();
        let mut numbers = Vec::new();
        for content in ["one", "two", "one"] {
            let file = bench.file("cfg", content.as_bytes());
            let wire = broken_off(&bench, &[&file, "--rounds", "forever", "--state", "sender"], signal);
            numbers.extend(transfers(&wire));
            let output = bench.recv_command(&wire, &["--out", "out", "--state", "state"]).output().unwrap();
            assert!(signal == Signal::SIGKILL || output.status.success(), "{output:?}");
            bench.has("cfg", content.as_bytes());
        }
        let one = numbers[0];
        assert_eq!(numbers, [one, one.wrapping_add(1), one.wrapping_add(2)]);
    }
}

#[test]
fn a_signal_after_a_round_of_everything_ends_the_transfer() {
    let bench = Bench::new();
    let file = bench.file("cfg", b"one");
    let run = || transfers(&broken_off(&bench, &[&file, "--rounds", "forever", "--state", "sender"], Signal::SIGTERM));
    assert_eq!(run()[0].wrapping_add(1), run()[0]);
}

#[test]
fn equal_messages_of_senders_that_were_killed_all_arrive() {
    let bench = Bench::new();
    bench.file("message", b"alarm");
    let mut numbers = Vec::new();
    for _ in 0..2 {
        let all =
            ["-q", "diode", "send", "./line", "-", "--rounds", "forever", "--rate", "100k", "--survive", "0ms", "--state", "s"];
        fs::write(bench.path("line"), b"").unwrap();
        let mut send = bench.hardline(&all).stdin(File::open(bench.path("message")).unwrap()).spawn().unwrap();
        numbers.push(common::until_within(LIMIT, "a manifest", || {
            transfers(&fs::read(bench.path("line")).unwrap()).first().copied()
        }));
        send.kill().unwrap();
        send.wait().unwrap();
    }
    assert_ne!(numbers[0], numbers[1]);
}

/// What somebody took out of `sending/` does not go on when it comes again.
#[test]
fn a_watched_folder_goes_on_only_with_what_it_was_sending() {
    let bench = Bench::new();
    let run = |content: &str| {
        if !content.is_empty() {
            bench.file("in/.new", content.as_bytes());
            fs::rename(bench.path("in/.new"), bench.path("in/cfg")).unwrap();
        }
        transfers(&broken_off(&bench, &["--watch", "in", "--rounds", "forever"], Signal::SIGKILL))[0]
    };
    let first = run("one");
    assert_eq!(run(""), first, "it still lies there");
    fs::remove_file(bench.path("in/sending/cfg")).unwrap();
    assert_eq!(run("one"), first.wrapping_add(1));
    fs::remove_file(bench.path("in/sending/cfg")).unwrap();
    assert_eq!(run("two"), first.wrapping_add(2));
    fs::remove_file(bench.path("in/sending/cfg")).unwrap();
    assert_eq!(run("one"), first.wrapping_add(3));
}

/// Who may put files into a watched folder leads the sender nowhere by the name of its notes.
#[test]
fn the_numbers_of_a_watched_folder_are_a_file_of_its_own() {
    let refused = |bench: &Bench, why: &str| {
        let args = ["-q", "diode", "send", "./line", "--watch", "in", "--survive", "0ms"];
        let mut send = bench.hardline(&args).stderr(Stdio::piped()).spawn().unwrap();
        common::until_within(LIMIT, "it is refused", || send.try_wait().unwrap());
        let says = said(&send.wait_with_output().unwrap(), 1);
        assert!(says.contains("cannot number a transfer") && says.contains(why), "{says}");
    };
    let bench = Bench::new();
    bench.file("line", b"");
    let victim = bench.file("victim", b"no newline at its end");
    fs::create_dir(bench.path("in")).unwrap();
    let notes = bench.path("in/.transfers");
    std::os::unix::fs::symlink("../victim", &notes).unwrap();
    refused(&bench, "'.transfers' is no file");
    fs::remove_file(&notes).unwrap();
    std::os::unix::fs::symlink("../new", &notes).unwrap();
    refused(&bench, "'.transfers' is no file");
    assert!(!bench.path("new").exists());
    fs::remove_file(&notes).unwrap();
    fs::hard_link(&victim, &notes).unwrap();
    refused(&bench, "has another name too");
    fs::remove_file(&notes).unwrap();
    assert_eq!(fs::read(&victim).unwrap(), b"no newline at its end");
    nix::unistd::mkfifo(&notes, nix::sys::stat::Mode::S_IRWXU).unwrap();
    refused(&bench, "'.transfers' is no file");
    fs::remove_file(&notes).unwrap();
    File::create(&notes).unwrap().set_len(1 << 40).unwrap();
    refused(&bench, "is longer than 64 MiB");
}

/// Whatever numbers a sender gives: what came last is what is there.
#[test]
fn a_transfer_that_is_announced_after_another_of_its_name_is_delivered_again() {
    let bench = Bench::new();
    let contents = [b"one".as_slice(), b"two"];
    for (session, which) in [(1, 0), (2, 1), (3, 0), (4, 0), (5, 1)] {
        let mut forger = Forger::new(session);
        forger.beacon(told(0, false));
        let content = contents[which];
        let manifest = Manifest {
            object: 0,
            transfer: which as u64,
            size: 3,
            symbol_len: 3,
            block_symbols: 1,
            repair: 0,
            modified: 0,
            sha256: Sha256::digest(content).into(),
            message: false,
            name: "cfg",
        };
        forger.send(&Record::Manifest(manifest));
        forger.send(&Record::Symbol { object: 0, block: 0, symbol: 0, payload: content });
        forger.beacon(told(1, true));
        bench.recv(&forger.wire, 0, &[]);
        bench.has("cfg", content);
    }
    assert_eq!(bench.reported("delivered").len(), 4, "the same again is one");
}

/// A file that was delivered while none of the session had announced it takes nobody's place in the count.
#[test]
fn what_an_earlier_session_completed_counts_for_no_other() {
    let bench = Bench::new();
    let mut forger = Forger::new(7);
    forger.beacon(told(0, false));
    forger.file(0, "a", b"first");
    bench.recv(&forger.wire, 4, &[]);
    let path = bench.path("state/delivered");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace(" 7 0 ", " 7 4294967295 ")).unwrap();
    let mut rest = Forger { wire: Vec::new(), ..forger };
    rest.file(1, "b", b"second");
    rest.beacon(told(2, true));
    let says = bench.recv(&rest.wire, 4, &[]);
    assert!(says.contains("1 object was sent of which not even the name came"), "{says}");
}

#[test]
fn what_came_of_an_older_file_is_not_missed_when_a_newer_one_is_whole() {
    let bench = Bench::new();
    let mut forger = Forger::new(7);
    forger.beacon(told(0, false));
    forger.manifest(0, "cfg", (4, 2, 2), b"old!");
    forger.send(&Record::Symbol { object: 0, block: 0, symbol: 0, payload: b"ol" });
    forger.manifest(1, "other", (4, 2, 2), b"else");
    forger.beacon(told(2, true));
    let says = bench.recv(&forger.wire, 4, &[]);
    assert!(says.contains("cfg is incomplete") && says.contains("other is incomplete"), "{says}");
    // the other one was missed in its own session: this one has nothing of it, and lacks nothing
    for session in [8, 9] {
        let mut forger = Forger::new(session);
        forger.beacon(told(0, false));
        forger.file(0, "cfg", b"new");
        forger.beacon(told(1, true));
        let says = bench.recv(&forger.wire, 0, &[]);
        assert!(!says.contains("is incomplete"), "{says}");
        bench.has("cfg", b"new");
    }
    // announced again, and again not whole
    let mut forger = Forger::new(10);
    forger.beacon(told(0, false));
    forger.manifest(0, "other", (4, 2, 2), b"else");
    forger.beacon(told(1, true));
    assert!(bench.recv(&forger.wire, 4, &[]).contains("other is incomplete"));
    assert_eq!(bench.reported("missing").len(), 3, "each time once: {:?}", bench.reported("missing"));
    let superseded = bench.reported("superseded");
    assert!(superseded.len() == 1 && superseded[0]["name"] == "cfg", "{superseded:?}");
}

/// A command gets the file it is run for: not a newer one in the stead of an older one.
#[test]
fn a_command_that_is_owed_for_an_older_file_is_not_run_for_a_newer_one() {
    let bench = Bench::new();
    for content in ["one", "two"] {
        let file = bench.file("cfg", content.as_bytes());
        let mut recv = bench.recv_command(&bench.record(&[&file]), &["--out", "out", "--state", "state", "--exec", "exit 1; :"]);
        let mut recv = recv.stderr(Stdio::null()).spawn().unwrap();
        common::until_within(LIMIT, "it fails", || bench.reported("hook").iter().any(|hook| hook["done"] == false).then_some(()));
        kill(Pid::from_raw(recv.id() as i32), Signal::SIGTERM).unwrap();
        common::until_within(LIMIT, "it ends", || recv.try_wait().unwrap());
        bench.has("cfg", content.as_bytes());
        if content == "one" {
            fs::remove_file(bench.path("report")).unwrap();
        }
    }
    let other = bench.file("other", b"other");
    let wire = bench.record(&[&other]);
    bench.recv(&wire, 0, &["--exec", "echo >> ran; cat >> ran"]);
    assert_eq!(fs::read_to_string(bench.path("ran")).unwrap(), "\ntwo\nother", "once each");
    let hooks = bench.reported("hook");
    assert!(hooks.iter().all(|hook| hook["transfer"].as_str().is_some_and(|t| t.len() == 16)), "{hooks:?}");
    assert_eq!(bench.reported("superseded").len(), 1);
}

/// A command ends with its receiver, and the next start runs it alone.
#[test]
fn a_command_ends_with_its_receiver() {
    for (command, signal) in
        [("sleep 1000; :", Signal::SIGTERM), ("trap '' TERM; sleep 1000; :", Signal::SIGTERM), ("sleep 1000; :", Signal::SIGKILL)]
    {
        let bench = Bench::new();
        let file = bench.file("cfg", b"one");
        let wire = bench.record(&[&file]);
        let command = format!("echo $$ >> pid; {command}");
        let mut recv = bench.recv_command(&wire, &["--out", "out", "--state", "state", "--exec", &command]);
        let mut recv = recv.stderr(Stdio::null()).spawn().unwrap();
        let id: i32 = common::until_within(LIMIT, "it runs", || {
            fs::read_to_string(bench.path("pid")).ok()?.strip_suffix('\n')?.parse().ok()
        });
        kill(Pid::from_raw(recv.id() as i32), signal).unwrap();
        let status = common::until_within(LIMIT, "it ends", || recv.try_wait().unwrap());
        if signal == Signal::SIGTERM {
            assert_eq!(status.code(), Some(143));
            assert!(common::is_gone(id), "{command}");
        }
        common::until_within(LIMIT, "the command is gone", || common::is_gone(id).then_some(()));
        bench.recv(&wire, 0, &["--exec", "echo again >> ran; :"]);
        assert_eq!(fs::read_to_string(bench.path("ran")).unwrap(), "again\n", "it is owed");
    }
}

/// A session that may have had more is not over because another begins, unless that shows that nothing came in between.
#[test]
fn a_session_without_its_end_is_not_made_whole_by_another() {
    for (number, code) in [(9, 4), (1, 0), (2, 4)] {
        let bench = Bench::new();
        let mut forger = Forger::new(7);
        forger.beacon(told(0, false));
        forger.file(0, "a", b"first");
        forger.beacon(told(1, false));
        forger.session = 8;
        forger.beacon(told(0, false));
        let content = b"second";
        forger.send(&Record::Manifest(Manifest {
            object: 0,
            transfer: number,
            size: 6,
            symbol_len: 6,
            block_symbols: 1,
            repair: 0,
            modified: 0,
            sha256: Sha256::digest(content).into(),
            message: false,
            name: "b",
        }));
        forger.send(&Record::Symbol { object: 0, block: 0, symbol: 0, payload: content });
        forger.beacon(told(1, true));
        let says = bench.recv(&forger.wire, code, &[]);
        bench.has("b", content);
        let said = says.contains("of a session that broke off, what came after 1 object is missing");
        assert_eq!(said, code == 4, "{says}");
    }
}

#[test]
fn what_came_of_a_transfer_serves_the_next_of_the_same_content() {
    let bench = Bench::new();
    let content: Vec<u8> = (0..60_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let file = bench.file("file", &content);
    let (first, second) = (bench.record(&[&file]), bench.record(&[&file]));
    assert_ne!(transfers(&first), transfers(&second));
    bench.recv(&first[..30_000], 4, &[]);
    // of the second, what the first lacked and little more
    let mut forged = second[..5_000].to_vec();
    forged.extend(&second[25_000..]);
    bench.recv(&forged, 0, &[]);
    bench.has("file", &content);
    let announced = bench.reported("announced");
    assert!(announced.len() == 2 && announced[0]["kept"] == 0 && announced[1]["kept"].as_u64() > Some(20), "{announced:?}");
}

#[test]
fn another_object_with_a_number_of_the_session_is_told() {
    let bench = Bench::new();
    let mut forger = Forger::new(7);
    forger.beacon(told(0, false));
    forger.file(0, "a", b"first");
    forger.file(0, "b", b"second");
    forger.file(0, "b", b"second");
    forger.beacon(told(1, true));
    let says = bench.recv(&forger.wire, 4, &[]);
    assert_eq!(says.matches("'b' is not accepted: its number is that of another transfer of this session").count(), 1, "{says}");
    bench.has("a", b"first");
    // in another session it stands for something else
    let mut forger = Forger::new(8);
    forger.beacon(told(0, false));
    forger.file(0, "b", b"second");
    forger.beacon(told(1, true));
    bench.recv(&forger.wire, 0, &[]);
    bench.has("b", b"second");
}

#[test]
fn symbols_of_another_session_are_of_no_use_to_a_number() {
    let bench = Bench::new();
    let mut forger = Forger::new(7);
    forger.beacon(Beacon { stream_len: 0, ..told(0, false) });
    forger.send(&Record::Symbol { object: 0, block: 0, symbol: 0, payload: b"other" });
    forger.session = 8;
    forger.beacon(told(0, false));
    forger.file(0, "a", b"first");
    forger.beacon(told(1, true));
    bench.recv(&forger.wire, 0, &[]);
    assert!(bench.reported("anew").is_empty());
    bench.has("a", b"first");
}

#[test]
fn state_of_an_earlier_version_is_named_and_left_alone() {
    let bench = Bench::new();
    for name in ["0011aaff.done", "0011aaff.manifest", "12345678.0"] {
        bench.file(&format!("state/{name}"), b"old");
    }
    let file = bench.file("file", b"content");
    let wire = bench.record(&[&file]);
    let args = ["--out", "out", "--state", "state"];
    let _ = bench.recv_command(&wire, &args);
    let all = [&["diode", "recv", "exec:cat wire"], &args[..]].concat();
    let says = said(&bench.hardline(&all).output().unwrap(), 0);
    assert_eq!(says.matches("3 files in state are of an earlier version").count(), 1, "{says}");
    bench.has("file", b"content");
    assert!(bench.path("state/0011aaff.done").exists());
}

/// Symbols whose manifest did not outlive a power failure are none of the next object in their slot.
#[test]
fn symbols_without_a_manifest_are_taken_for_nobody_s() {
    let bench = Bench::new();
    bench.file("state/object-0000.manifest", b"");
    for name in ["object-0000.0", "object-0001.0", "object-0001.blocks"] {
        bench.file(&format!("state/{name}"), &[7; 50_000]);
    }
    let wire = bench.record(&[&bench.file("one", &[1; 20_000]), &bench.file("two", &[2; 20_000])]);
    bench.recv(&wire, 0, &[]);
    bench.has("one", &[1; 20_000]);
    bench.has("two", &[2; 20_000]);
}

/// A receiver that is started again in the middle of a session does not miss what it delivered before.
#[test]
fn a_restarted_receiver_knows_what_it_delivered_of_the_session() {
    let bench = Bench::new();
    let mut forger = Forger::new(7);
    forger.beacon(told(0, false));
    forger.file(0, "a", b"first");
    bench.recv(&forger.wire, 4, &[]);
    let mut rest = Forger { wire: Vec::new(), ..forger };
    rest.file(1, "b", b"second");
    rest.beacon(told(2, true));
    bench.recv(&rest.wire, 0, &[]);
}

// ---- sessions that mix --------------------------------------------------------------------------

/// Frames of another sender, with the same counters, are not taken; and where its beacons are heard, too, no end is well.
#[test]
fn frames_of_another_sender_are_not_taken() {
    let bench = Bench::new();
    let streams: Vec<Vec<u8>> =
        (1..3u8).map(|n| (0..40_000u32).map(|i| n ^ (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()).collect();
    let wires: Vec<Vec<Vec<u8>>> = streams
        .iter()
        .map(|stream| {
            bench.file("input", stream);
            let wire = bench.record_of(File::open(bench.path("input")).unwrap(), &["--stream"]);
            frames(&wire)
        })
        .collect();
    for beacons in [false, true] {
        let mut wire = Vec::new();
        for at in 0..wires[0].len().max(wires[1].len()) {
            for (n, frames) in wires.iter().enumerate() {
                let Some(body) = frames.get(at) else { continue };
                let is_beacon = matches!(Body::parse(body).unwrap().record, Record::Beacon(_));
                if n == 0 || beacons || !is_beacon {
                    wire.extend(framed(body));
                }
            }
        }
        let output = bench.recv_command(&wire, &["--stream"]).output().unwrap();
        if beacons {
            assert_eq!(output.status.code(), Some(4), "two senders: {}", String::from_utf8_lossy(&output.stderr));
        } else {
            said(&output, 0);
            assert!(output.stdout == streams[0]);
        }
    }
}

fn framed(body: &[u8]) -> Vec<u8> {
    let mut out = vec![0; link::FRAME_MAX];
    out[link::wire::frame::body_at(Level::Plain)..][..body.len()].copy_from_slice(body);
    let len = link::wire::write_frame(&mut out, link::wire::Head::open(body.len(), Level::Plain), link::wire::Binding::NONE);
    out.truncate(len);
    out
}

/// Files of three senders on one wire: whatever comes of them, what lacks is named.
#[test]
fn files_of_a_third_sender_are_not_forgotten() {
    let bench = Bench::new();
    let mut wire = Vec::new();
    for session in [7, 8] {
        let mut forger = Forger::new(session);
        forger.beacon(told(2, false));
        forger.file(0, &format!("of-{session}"), b"here");
        wire.extend(forger.wire);
    }
    let mut last = Forger::new(9);
    last.beacon(told(0, false));
    last.file(0, "a", b"first");
    last.beacon(told(1, true));
    wire.extend(last.wire);
    let says = bench.recv(&wire, 4, &[]);
    assert!(says.matches("of a session that broke off, 1 object was sent").count() == 2, "{says}");
}

#[test]
fn a_beacon_that_contradicts_its_frame_is_none() {
    let bench = Bench::new();
    let mut forger = Forger::new(7);
    let beacon = Beacon { datagrams: 5, ..told(0, true) };
    forger.send(&Record::Beacon(Beacon { session: 8, ..beacon }));
    let says = said(&bench.recv_command(&forger.wire, &["--lines"]).output().unwrap(), 4);
    assert!(says.contains("no session came") && bench.reported("missing").is_empty(), "{says}");
}

// ---- what fails ---------------------------------------------------------------------------------

/// Bytes that end in a read error: memory, up to where there is none.
fn torn_input() -> File {
    let here = 0u8;
    let mut memory = File::open("/proc/self/mem").unwrap();
    memory.seek(SeekFrom::Start(std::ptr::from_ref(&here) as u64)).unwrap();
    memory
}

#[test]
fn a_read_error_of_the_input_is_no_end() {
    let bench = Bench::new();
    let mut read = Vec::new();
    assert!(torn_input().read_to_end(&mut read).is_err() && !read.is_empty(), "a few bytes, then EIO");
    for what in ["--stream", "--lines"] {
        let send = bench.hardline(&["diode", "send", "stdio:", "--survive", "0ms", what]).stdin(torn_input()).output().unwrap();
        let says = said(&send, 1);
        assert!(says.contains("cannot read the input: "), "{says}");
        let says = said(&bench.recv_command(&send.stdout, &[what]).output().unwrap(), 4);
        assert!(says.contains("the sender could not go on: what was to come after"), "{what}: {says}");
    }
}

#[test]
fn a_full_disk_is_no_success() {
    let bench = Bench::new();
    bench.file("input", b"one\ntwo\n");
    for what in ["--stream", "--lines"] {
        let wire = bench.record_of(File::open(bench.path("input")).unwrap(), &[what]);
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = bench.recv_command(&wire, &[what]).stdout(full).output().unwrap();
        assert!(said(&output, 1).contains("cannot write the output: "));
    }
}

#[test]
fn a_command_that_fails_is_seen_and_run_again() {
    let bench = Bench::new();
    let file = bench.file("file", b"content");
    let hook = ["--exec", "f() { echo \"$1\" >> ran; test -e mended; }; f"];
    let wire = bench.record(&[&file]);
    let says = bench.recv(&wire, 1, &hook);
    assert!(says.contains("was not done for one file that was delivered"), "{says}");
    let hooks = bench.reported("hook");
    assert_eq!(
        hooks.iter().map(|h| h["done"] == false && h["again"] == (h["try"] != 3)).collect::<Vec<_>>(),
        [true; 3],
        "{hooks:?}"
    );
    assert_eq!(bench.reported("delivered").len(), 1);
    // at the next start, though nothing is delivered
    bench.file("mended", b"");
    bench.recv(&wire, 0, &hook);
    bench.recv(&wire, 0, &hook);
    let ran = fs::read_to_string(bench.path("ran")).unwrap();
    assert_eq!(ran.lines().collect::<Vec<_>>(), ["out/file"; 4]);
    assert_eq!(bench.reported("hook").len(), 4);
}

/// While a command runs the line is read.
#[test]
fn a_slow_command_holds_nothing_up() {
    let bench = Bench::new();
    let files = ["a", "b", "c"].map(|name| bench.file(name, name.as_bytes()));
    let wire = bench.record(&[&files[0], &files[1], &files[2]]);
    // the first command waits for the last file
    let hook = "f() { for i in $(seq 600); do test -e out/a -a -e out/b -a -e out/c && exit 0; sleep .05; done; exit 1; }; f";
    bench.recv(&wire, 0, &["--exec", hook]);
    assert_eq!(bench.reported("hook").len(), 3);
}

// ---- what is made to hurt -----------------------------------------------------------------------

#[test]
fn a_flood_of_what_is_refused_is_a_few_lines() {
    let bench = Bench::new();
    let mut forger = Forger::new(7);
    forger.beacon(told(0, false));
    for object in 0..2000 {
        forger.manifest(object, "../evil", (5, 5, 1), b"first");
    }
    for object in 2000..3000 {
        forger.manifest(object, &format!("{object}"), (5, 5, 1), b"other");
        forger.send(&Record::Symbol { object, block: 0, symbol: 0, payload: b"wrong" });
    }
    forger.beacon(told(3000, true));
    let mut recv = bench.recv_command(&forger.wire, &["--out", "out", "--state", "state"]);
    let says = said(&recv.output().unwrap(), 4);
    assert!((4..=5).contains(&says.matches("is not accepted").count()), "{says}");
    assert!(says.contains("3000 things are missing"), "{says}");
    assert!((4..=5).contains(&bench.reported("anew").len()));
    let left: u64 = bench.reported("left-out").iter().map(|l| l["count"].as_u64().unwrap()).sum();
    assert_eq!(left, 1996 + 996);
    // whatever stderr has, the report names what did not come
    let missing = bench.reported("missing");
    assert_eq!(missing.iter().filter(|m| m["name"] == "../evil").count(), 2000);
    assert!((2000..3000).all(|object| missing.iter().any(|m| m["name"] == format!("{object}"))));
}

/// What the peak of the memory of a process was, in bytes, by what the kernel says of it.
fn peak(status: &str) -> u64 {
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// What a receiver may take beside --memory, by SECURITY.md.
const BESIDE: u64 = 32 << 20;

/// Without a key, and with the key that the receiver has.
fn ways(bench: &Bench) -> [(Option<Psk>, Vec<&'static str>); 2] {
    assert!(bench.hardline(&["keygen", "-q", "--psk", "psk"]).status().unwrap().success());
    [(None, vec![]), (Some(Psk::load(&bench.path("psk")).unwrap()), vec!["--psk", "psk"])]
}

/// Runs a receiver with so much address space; most of it are stacks and arenas that are never touched.
fn confined(bench: &Bench, wire: &[u8], kilobytes: u32, args: &[&str]) -> Output {
    fs::write(bench.path("wire"), wire).unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -v {kilobytes}; exec \"$@\""), "sh", HARDLINE, "-q", "diode", "recv", "exec:cat wire"]);
    command.args(["--report", "report"]).args(args).current_dir(bench.0.path()).env("XDG_STATE_HOME", bench.path("home"));
    command.stdin(Stdio::null()).output().unwrap()
}

#[test]
fn objects_that_are_made_to_hurt_are_refused() {
    let bench = Bench::new();
    for (psk, keys) in ways(&bench) {
        hurt(&bench, Forger::sealed(7, psk.as_ref()), &keys);
    }
}

#[track_caller]
fn hurt(bench: &Bench, mut forger: Forger, keys: &[&str]) {
    for name in ["out", "state", "peak"] {
        let _ = fs::remove_dir_all(bench.path(name)).or(fs::remove_file(bench.path(name)));
    }
    forger.beacon(told(0, false));
    // symbols whose manifest never comes
    for number in 0..100_000 {
        forger.send(&Record::Symbol { object: 9, block: 0, symbol: number, payload: b"x" });
    }
    // a symbol far away in each of many blocks
    forger.manifest(0, "blocks", (65_536, 1, 1), b"a");
    forger.manifest(1, "blocks-of-legal-length", (65_536 * 1024, 1, 1024), b"a");
    for object in 0..2 {
        for block in 0..=u16::MAX {
            forger.send(&Record::Symbol { object, block, symbol: 50_000, payload: b"x" });
        }
    }
    forger.manifest(2, "large-block", (56_403 * 4000, 4000, 56_403), b"a");
    forger.manifest(3, "good", (4, 4, 1), b"good");
    forger.send(&Record::Symbol { object: 3, block: 0, symbol: 0, payload: b"good" });
    forger.beacon(told(4, true));
    // the command of the good one sees what the receiver took until then
    let peak_of_parent = "grep VmHWM /proc/$PPID/status >peak #";
    let args = ["--out", "out", "--state", "state", "--memory", "40M", "--exec", peak_of_parent];
    let says = said(&confined(bench, &forger.wire, 500_000, &[&args, keys].concat()), 4);
    let peak = peak(&fs::read_to_string(bench.path("peak")).unwrap());
    println!("files {keys:?}: {peak}");
    assert!(peak <= (40 << 20) + BESIDE, "{peak} bytes, {keys:?}");
    for line in [
        "'blocks' is not accepted: its blocks are too small",
        "'blocks-of-legal-length' is not accepted: notes of its symbols need more than --memory",
        "'large-block' is not accepted: its blocks need more than --memory",
    ] {
        assert!(says.contains(line), "{line}: {says}");
    }
    bench.has("good", b"good");
    assert!(fs::read_dir(bench.path("state")).unwrap().count() < 10, "what was kept of it is gone");
}

#[test]
fn a_stream_that_is_made_to_hurt_is_refused() {
    let bench = Bench::new();
    let shape = Shape { data: 1, parity: 1, depth: 32_767, len: 4074 };
    for (psk, keys) in ways(&bench) {
        let mut forger = Forger::sealed(7, psk.as_ref());
        forger.beacon(Beacon { shape, ..told(0, false) });
        for place in 0..40_000u16 {
            forger.send(&Record::Shard { group: 0, place, pieces: 0, offset: 0, payload: &[0, 0] });
        }
        forger.beacon(Beacon { shape, ..told(0, true) });
        let says = said(&confined(&bench, &forger.wire, 400_000, &[&["--stream"], &keys[..]].concat()), 4);
        assert!(says.contains("the stream is not accepted: its groups need more than --memory"), "{says}");
    }
}

/// A stream that just has room fills what it may, and no more; so do lines with gaps everywhere.
#[test]
fn streams_and_lines_that_fill_what_they_may_stay_within_it() {
    let bench = Bench::new();
    let of = |depth| Shape { data: 100, parity: 100, depth, len: 2000 };
    let shape = (1..100).map(of).take_while(|shape| shape.memory() <= 16 << 20).last().unwrap();
    assert!(shape.memory() > 12 << 20, "{}", shape.memory());
    for (psk, keys) in ways(&bench) {
        for kind in ["--stream", "--lines"] {
            let mut forger = Forger::sealed(7, psk.as_ref());
            let end = Beacon { datagrams: 200_000, ..told(0, false) };
            let told = if kind == "--stream" { Beacon { shape, ..told(0, false) } } else { told(0, false) };
            forger.beacon(told);
            // one shard less than what makes a group whole
            let places = 99 * shape.depth;
            for number in 0..20_000u32 {
                if kind == "--lines" {
                    forger.send(&Record::Datum { number: number * 2, payload: b"x" });
                } else if let (group @ 0..6, place) = (number / u32::from(places), number % u32::from(places)) {
                    let payload = &[7; 1990];
                    forger.send(&Record::Shard { group, place: place as u16, pieces: 0, offset: 0, payload });
                }
            }
            let end = if kind == "--stream" { told } else { end };
            forger.beacon(Beacon { end: true, broken: true, ..end });
            fs::write(bench.path("wire"), &forger.wire).unwrap();
            let _ = fs::remove_file(bench.path("report"));
            let args = ["-q", "diode", "recv", "exec:cat wire; exec sleep 100", kind, "--forever", "--memory", "16M"];
            let mut command = bench.hardline(&[&args[..], &["--report", "report", "--state", "fresh"], &keys].concat());
            let mut recv = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            common::until_within(LIMIT, "the end is heard", || {
                bench.reported("missing").iter().any(|m| m["end"] == "broken").then_some(())
            });
            let status = fs::read_to_string(format!("/proc/{}/status", recv.id())).unwrap();
            recv.kill().unwrap();
            recv.wait().unwrap();
            let _ = fs::remove_dir_all(bench.path("fresh"));
            println!("{kind} {keys:?}: {}", peak(&status));
            assert!(peak(&status) <= (16 << 20) + BESIDE, "{kind} {keys:?}: {}", peak(&status));
        }
    }
}

#[test]
fn a_quota_refuses_and_makes_room() {
    let bench = Bench::new();
    let quota = ["--quota", "100k"];
    let mut forger = Forger::new(7);
    forger.beacon(told(0, false));
    forger.manifest(0, "too-large", (200_000, 1000, 200), b"a");
    forger.manifest(1, "half", (40_000, 1000, 40), b"a");
    forger.beacon(told(2, true));
    let says = bench.recv(&forger.wire, 4, &quota);
    assert!(says.contains("'too-large' is not accepted: it needs more than --quota"), "{says}");
    // the next session needs its room
    let mut forger = Forger::new(8);
    forger.beacon(told(0, false));
    forger.manifest(0, "other", (40_000, 1000, 40), b"b");
    forger.beacon(told(1, true));
    let says = bench.recv(&forger.wire, 4, &quota);
    assert!(says.contains("'half' did not come anew: others need its room") && says.contains("other is incomplete"), "{says}");
    assert!(!says.contains("half is incomplete"), "{says}");
}

/// A gap of a length that the wire named: too long it is not filled, and filling ends when it is asked to.
#[test]
fn filling_a_gap_is_bounded_and_can_be_ended() {
    let bench = Bench::new();
    let shape = Shape { data: 2, parity: 1, depth: 1, len: 10 };
    let torn = |offset: u64| {
        let mut forger = Forger::new(7);
        forger.beacon(Beacon { shape, ..told(0, false) });
        forger.send(&Record::Shard { group: 0, place: 0, pieces: 0, offset: 0, payload: &[1, 0, b'a'] });
        for group in 5..9 {
            forger.send(&Record::Shard { group, place: 0, pieces: 0, offset, payload: &[1, 0, b'b'] });
        }
        forger.wire
    };
    let mut long = bench.recv_command(&torn(1 << 40), &["--stream", "--on-gap", "zero"]);
    let output = long.output().unwrap();
    assert!(said(&output, 4).contains("too many to be filled with zeros"));
    assert_eq!(output.stdout, b"a");
    let mut recv = bench.recv_command(&torn(1 << 29), &["--stream", "--on-gap", "zero"]).stdout(Stdio::piped()).spawn().unwrap();
    // nobody reads on
    let mut first = [0; 2];
    recv.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    assert_eq!(first, [b'a', 0]);
    kill(Pid::from_raw(recv.id() as i32), Signal::SIGTERM).unwrap();
    let status = common::until_within(LIMIT, "it ends", || recv.try_wait().unwrap());
    assert_eq!(status.code(), Some(143));
}
