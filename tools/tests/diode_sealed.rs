//! `hardline diode` with keys: a line is a file here, so what was on it can be kept, cut and played again.
#![allow(missing_docs)]

mod common;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use link::wire::{Binding, Deframer, write_frame};
use serde_json::Value;

const HARDLINE: &str = env!("CARGO_BIN_EXE_hardline");
const LIMIT: Duration = Duration::from_secs(60);

/// A folder with keys, a file to send, and lines.
struct Bench(tempfile::TempDir);

impl Bench {
    fn new() -> Bench {
        let bench = Bench(tempfile::tempdir().unwrap());
        for (name, psk) in [("psk", true), ("psk2", true), ("sender", false), ("receiver", false), ("other", false)] {
            let mut command = bench.hardline(&["keygen", "-q", name]);
            if psk {
                command.arg("--psk");
            }
            let made = command.output().unwrap();
            assert!(made.status.success(), "{made:?}");
            fs::write(bench.path(&format!("{name}.pub")), made.stdout).unwrap();
        }
        bench.file("one", b"first ");
        bench.file("two", b"second");
        bench
    }
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
    fn file(&self, name: &str, content: &[u8]) {
        fs::write(self.path(name), content.repeat(1000)).unwrap();
    }
    fn hardline(&self, args: &[&str]) -> Command {
        let mut command = Command::new(HARDLINE);
        command.args(args).current_dir(self.0.path()).stdin(Stdio::null());
        command.env("XDG_STATE_HOME", self.path("home")).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
    /// Sends a file into a line of this name; returns what was said.
    #[track_caller]
    fn send(&self, line: &str, file: &str, args: &[&str]) -> String {
        fs::File::options().create(true).append(true).open(self.path(line)).unwrap();
        let port = self.path(line);
        let mut command = self.hardline(&["diode", "send", port.to_str().unwrap(), "--survive", "0ms"]);
        said(&command.arg(file).args(args).output().unwrap(), 0)
    }
    fn recv_command(&self, line: &str, args: &[&str]) -> Command {
        let port = self.path(line);
        let mut command = self.hardline(&["diode", "recv", port.to_str().unwrap(), "--report", "report", "--out", "in"]);
        command.args(args);
        command
    }
    #[track_caller]
    fn recv(&self, line: &str, code: i32, args: &[&str]) -> String {
        let _ = fs::remove_dir_all(self.path("in"));
        let _ = fs::remove_file(self.path("report"));
        said(&self.recv_command(line, args).output().unwrap(), code)
    }
    fn has(&self, file: &str) -> bool {
        match fs::read(self.path("in").join(file)) {
            Ok(bytes) => {
                assert!(bytes == fs::read(self.path(file)).unwrap(), "{file} is another");
                true
            }
            Err(_) => false,
        }
    }
    fn reported(&self, event: &str) -> Vec<Value> {
        common::reported(&self.path("report"), event)
    }
    fn session(&self) -> u64 {
        self.reported("session")[0]["session"].as_u64().unwrap()
    }
}

#[track_caller]
fn said(output: &Output, code: i32) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{text}");
    text
}

fn frames(wire: &[u8]) -> Vec<(link::wire::Head, Vec<u8>)> {
    let mut deframer = Deframer::default();
    let (mut rest, mut all) = (wire, Vec::new());
    while !rest.is_empty() {
        rest = &rest[deframer.push(rest)..];
        while let Some(found) = deframer.next_frame() {
            all.push((found.head, found.body.to_vec()));
        }
    }
    all
}

const WAYS: [(&[&str], &[&str]); 3] = [
    (&["--psk", "psk"], &["--psk", "psk"]),
    (&["--key", "sender", "--peer", "receiver.pub"], &["--key", "receiver", "--peer", "sender.pub"]),
    (
        &["--key", "sender", "--peer", "receiver.pub", "--psk", "psk"],
        &["--key", "receiver", "--peer", "sender.pub", "--psk", "psk"],
    ),
];

#[test]
fn every_kind_of_key_seals() {
    let bench = Bench::new();
    for (i, (send, recv)) in WAYS.into_iter().enumerate() {
        let line = format!("line{i}");
        let says = bench.send(&line, "one", send);
        assert!(says.is_empty(), "{says}");
        let wire = fs::read(bench.path(&line)).unwrap();
        let found = frames(&wire);
        assert!(found.len() > 10 && found.iter().all(|f| f.0.sealed), "all frames are sealed");
        assert!(!wire.windows(6).any(|w| w == b"first "), "nothing is readable");
        bench.recv(&line, 0, recv);
        assert!(bench.has("one"));
        let keys = bench.reported("session");
        assert!(keys.len() == 1 && keys[0]["key"].as_str().unwrap().starts_with("SHA256:"), "{keys:?}");
    }
    // a public key may be typed
    let typed = fs::read_to_string(bench.path("receiver.pub")).unwrap();
    bench.send("typed", "one", &["--key", "sender", "--peer", typed.trim()]);
    bench.recv("typed", 0, WAYS[1].1);
    // several keys at once
    bench.send("again", "one", WAYS[1].0);
    bench.recv("again", 0, &["--key", "other", "--key", "receiver", "--peer", "other.pub", "--peer", "sender.pub"]);
    bench.send("again2", "one", WAYS[2].0);
    bench.recv("again2", 0, &["--key", "receiver", "--peer", "sender.pub", "--psk", "psk2", "--psk", "psk"]);
}

#[test]
fn keys_that_the_service_manager_hands_over_need_no_name() {
    for names in [&[("psk", "hardline.psk")][..], &[("sender", "hardline.key"), ("receiver.pub", "peer.pub")]] {
        let bench = Bench::new();
        let hand = |names: &[(&str, &str)], folder: &str| {
            fs::create_dir(bench.path(folder)).unwrap();
            for (from, to) in names {
                fs::copy(bench.path(from), bench.path(folder).join(to)).unwrap();
            }
            bench.path(folder)
        };
        let far = match names.len() {
            1 => hand(names, "far"),
            _ => hand(&[("receiver", "hardline.key"), ("sender.pub", "peer.pub")], "far"),
        };
        let near = hand(names, "near");
        fs::write(bench.path("line"), b"").unwrap();
        let mut send = bench.hardline(&["diode", "send", "./line", "--survive", "0ms", "one"]);
        said(&send.env("CREDENTIALS_DIRECTORY", near).output().unwrap(), 0);
        assert!(frames(&fs::read(bench.path("line")).unwrap()).iter().all(|(head, _)| head.sealed));
        // who has none of them reads nothing
        bench.recv("line", 5, &[]);
        let output = bench.recv_command("line", &[]).env("CREDENTIALS_DIRECTORY", far).output().unwrap();
        said(&output, 0);
        assert!(bench.has("one"));
    }
}

/// A key that is there is never dropped: the receiver would take what anybody sends.
#[test]
fn a_key_that_lacks_its_other_half_is_no_plain_session() {
    let bench = Bench::new();
    bench.send("plain", "one", &[]);
    let before = fs::read(bench.path("plain")).unwrap();
    for (i, (names, lacks)) in [
        (&[("receiver", "hardline.key")][..], "peer.pub"),
        (&[("receiver", "hardline.key"), ("psk", "hardline.psk")], "peer.pub"),
        (&[("sender.pub", "peer.pub"), ("psk", "hardline.psk")], "hardline.key"),
    ]
    .into_iter()
    .enumerate()
    {
        let folder = bench.path(&format!("credentials{i}"));
        fs::create_dir(&folder).unwrap();
        for (from, to) in names {
            fs::copy(bench.path(from), folder.join(to)).unwrap();
        }
        let says = said(&bench.recv_command("plain", &[]).env("CREDENTIALS_DIRECTORY", &folder).output().unwrap(), 2);
        assert!(says.contains(&format!("needs {lacks} beside it")) && !bench.has("one"), "{says}");
        let mut send = bench.hardline(&["diode", "send", "./plain", "--survive", "0ms", "one"]);
        said(&send.env("CREDENTIALS_DIRECTORY", &folder).output().unwrap(), 2);
        assert!(fs::read(bench.path("plain")).unwrap() == before, "nothing is sent");
        // what is named counts alone
        let mut recv = bench.recv_command("plain", &["--psk", "psk"]);
        said(&recv.env("CREDENTIALS_DIRECTORY", &folder).output().unwrap(), 5);
    }
    // two ways, one of them can be used
    let folder = bench.path("credentials1");
    let output = bench.hardline(&["pipe", "exec:cat"]).env("CREDENTIALS_DIRECTORY", &folder).output().unwrap();
    assert!(said(&output, 2).contains("are both there"));
}

#[test]
fn all_three_credentials_count() {
    let bench = Bench::new();
    let hand = |folder: &str, names: [&str; 2]| {
        fs::create_dir(bench.path(folder)).unwrap();
        for (from, to) in [(names[0], "hardline.key"), (names[1], "peer.pub"), ("psk", "hardline.psk")] {
            fs::copy(bench.path(from), bench.path(folder).join(to)).unwrap();
        }
        bench.path(folder)
    };
    let (near, far) = (hand("near", ["sender", "receiver.pub"]), hand("far", ["receiver", "sender.pub"]));
    fs::write(bench.path("line"), b"").unwrap();
    let mut send = bench.hardline(&["diode", "send", "./line", "--survive", "0ms", "one"]);
    said(&send.env("CREDENTIALS_DIRECTORY", near).output().unwrap(), 0);
    // the keys without the secret open nothing
    bench.recv("line", 5, WAYS[1].1);
    said(&bench.recv_command("line", &[]).env("CREDENTIALS_DIRECTORY", far).output().unwrap(), 0);
    assert!(bench.has("one"));
}

#[test]
fn who_has_another_key_reads_nothing_and_says_so() {
    let bench = Bench::new();
    for (i, (send, _)) in WAYS.into_iter().enumerate() {
        let line = format!("line{i}");
        bench.send(&line, "one", send);
        for wrong in [
            &["--psk", "psk2"][..],
            &["--key", "receiver", "--peer", "other.pub"],
            &["--key", "other", "--peer", "sender.pub"],
            &["--key", "receiver", "--peer", "sender.pub", "--psk", "psk2"],
        ] {
            let says = bench.recv(&line, 5, wrong);
            assert!(says.contains("nothing authentic came") && says.contains("is it the sender's key?"), "{says}");
            assert_eq!(says.matches("WARN").count(), 1, "{says}");
            assert!(!bench.has("one"));
        }
        let says = bench.recv(&line, 5, &[]);
        assert!(says.contains("sealed frames came, and this receiver has no key"), "{says}");
        assert!(says.contains("plain: ") && says.matches("WARN").count() == 1, "{says}");
        assert!(!bench.recv(&line, 5, &["-q"]).contains("plain: "));
    }
    let says = bench.send("plain", "one", &[]);
    assert!(says.starts_with("plain: ") && says.lines().count() == 1, "{says}");
    assert!(bench.send("plain", "two", &["-q"]).is_empty());
    let says = bench.recv("plain", 5, &["--psk", "psk"]);
    assert!(says.contains("the sender has no key") && !bench.has("one"), "{says}");
}

#[test]
fn a_recorded_day_is_refused() {
    for (send, recv) in WAYS {
        let bench = Bench::new();
        bench.send("day1", "one", send);
        bench.send("day2", "two", send);
        bench.recv("day1", 0, recv);
        assert!(bench.has("one"));
        let day1 = bench.session();
        let replayed = |code, line: &str| {
            let says = bench.recv(line, code, recv);
            assert!(says.contains("a replay is refused") && says.matches("WARN").count() == 1, "{says}");
            let told = bench.reported("replay");
            assert!(told.len() == 1 && told[0]["session"] == day1, "{told:?}");
            assert!(!bench.has("one"));
            says
        };
        assert!(replayed(5, "day1").contains("it is a recording"));
        // in front of the next day, and again
        let both: Vec<u8> = [fs::read(bench.path("day1")).unwrap(), fs::read(bench.path("day2")).unwrap()].concat();
        fs::write(bench.path("both"), both).unwrap();
        replayed(0, "both");
        assert!(bench.has("two") && bench.session() > day1);
        replayed(5, "day1");
    }
}

/// Waits until there is something.
#[track_caller]
fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let limit = Instant::now() + LIMIT;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < limit);
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A receiver that is killed in the middle of a session does not take it again from a recording, but from
/// its sender.
#[test]
fn a_restart_does_not_open_the_running_session_again() {
    let bench = Bench::new();
    bench.file("one", &[7; 100]);
    bench.send("whole", "one", &["--psk", "psk", "--rounds", "4", "--rate", "200k"]);
    let all = frames(&fs::read(bench.path("whole")).unwrap());
    let wire = |frames: &[(link::wire::Head, Vec<u8>)]| {
        let mut bytes = Vec::new();
        for (head, body) in frames {
            let mut out = vec![0; link::FRAME_MAX];
            out[4..4 + body.len()].copy_from_slice(body);
            let len = write_frame(&mut out, *head, Binding::NONE);
            bytes.extend_from_slice(&out[..len]);
        }
        bytes
    };
    // the last beacon before those of the end begins what comes after the restart
    let half = all.iter().rposition(|(_, body)| body[3] == 0x80).unwrap();
    assert!((10..all.len() - 30).contains(&half), "a session of some length: {half} of {}", all.len());
    fs::write(bench.path("first"), wire(&all[..half])).unwrap();
    fs::write(bench.path("rest"), wire(&all[half..])).unwrap();
    // fed by a pipe that stays open, and killed when what it heard is on disk
    let port = format!("exec:cat {}; sleep 100", bench.path("first").display());
    let mut recv = bench.hardline(&["diode", "recv", &port, "--out", "in", "--psk", "psk", "--state", "state"]).spawn().unwrap();
    let heard = until(|| {
        let text = fs::read_to_string(bench.path("state/diode-heard")).ok()?;
        let next = text.trim().rsplit(' ').next()?.parse::<usize>().ok()?;
        (next == half).then_some(text)
    });
    recv.kill().unwrap();
    recv.wait().unwrap();
    let says = bench.recv("first", 5, &["--psk", "psk", "--state", "state"]);
    assert!(says.contains("a replay is refused"), "{says}");
    assert_eq!(fs::read_to_string(bench.path("state/diode-heard")).unwrap(), heard);
    bench.recv("rest", 0, &["--psk", "psk", "--state", "state"]);
    assert!(bench.reported("replay").is_empty() && bench.reported("session").len() == 1);
}

#[test]
fn a_key_is_changed_without_a_way_back() {
    let bench = Bench::new();
    let (both, new) = (["--psk", "psk", "--psk", "psk2", "--state", "state", "--forever"], ["--psk", "psk2", "--state", "state"]);
    bench.send("line", "one", &["--psk", "psk"]);
    bench.send("line", "two", &["--psk", "psk2"]);
    // end of file ends even --forever
    bench.recv("line", 0, &both);
    assert!(bench.has("one") && bench.has("two"));
    assert_eq!(bench.reported("session").len(), 2);
    // the old key is taken away
    bench.send("old", "one", &["--psk", "psk"]);
    assert!(bench.recv("old", 5, &new).contains("nothing authentic came"));
    bench.send("new", "one", &["--psk", "psk2"]);
    bench.recv("new", 0, &new);
}

#[test]
fn sessions_rise_whatever_the_clock_says_and_are_on_disk_first() {
    let bench = Bench::new();
    let ahead = 9_000_000_000_000_000u64;
    fs::create_dir(bench.path("state")).unwrap();
    fs::write(bench.path("state/diode-session"), format!("{ahead}\n")).unwrap();
    for n in 1..3 {
        bench.send("line", "one", &["--psk", "psk", "--state", "state"]);
        assert_eq!(fs::read_to_string(bench.path("state/diode-session")).unwrap(), format!("{}\n", ahead + n));
    }
    fs::write(bench.path("state/diode-session"), "?").unwrap();
    let (port, before) = (bench.path("line"), fs::read(bench.path("line")).unwrap());
    let mut command = bench.hardline(&["diode", "send", port.to_str().unwrap(), "one", "--psk", "psk", "--state", "state"]);
    assert!(said(&command.output().unwrap(), 1).contains("holds no number"));
    assert!(fs::read(&port).unwrap() == before, "nothing is sent by a session without a number");
    // where nothing is said it is under XDG_STATE_HOME
    bench.send("line2", "one", &["--psk", "psk"]);
    assert!(bench.path("home/hardline/diode-session").exists());
}

#[test]
fn lines_and_streams_are_sealed_as_well() {
    let bench = Bench::new();
    for (kind, text) in [("--lines", "one\ntwo\nthree\n"), ("--stream", "a stream of bytes")] {
        fs::write(bench.path("input"), text).unwrap();
        let line = bench.path(kind);
        fs::write(&line, "").unwrap();
        let port = line.to_str().unwrap();
        let mut send = bench.hardline(&["diode", "send", port, kind, "--survive", "0ms", "--psk", "psk"]);
        said(&send.stdin(fs::File::open(bench.path("input")).unwrap()).output().unwrap(), 0);
        assert!(frames(&fs::read(&line).unwrap()).iter().all(|f| f.0.sealed));
        let recv = bench.hardline(&["diode", "recv", port, kind, "--psk", "psk"]).output().unwrap();
        said(&recv, 0);
        let mut came: Vec<_> = recv.stdout.split_inclusive(|b| *b == b'\n').collect();
        came.sort();
        let mut sent: Vec<_> = text.as_bytes().split_inclusive(|b| *b == b'\n').collect();
        sent.sort();
        assert_eq!(came, sent);
    }
}

#[test]
fn what_came_plain_is_never_taken_for_sealed() {
    let bench = Bench::new();
    bench.send("plain", "one", &[]);
    let wire = fs::read(bench.path("plain")).unwrap();
    fs::write(bench.path("plain"), &wire[..wire.len() / 2]).unwrap();
    bench.recv("plain", 4, &["--state", "state"]);
    let kept = fs::read_dir(bench.path("state")).unwrap().count();
    assert!(kept > 0, "half of it is kept");
    bench.send("sealed", "two", &["--psk", "psk"]);
    bench.recv("sealed", 0, &["--state", "state", "--psk", "psk"]);
    assert!(bench.has("two") && bench.path("state/sealed").exists());
}
