//! Sealed wires between real processes: who gets in, who does not, and what either is told.
#![allow(missing_docs)]

mod common;
mod terminal;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use common::{BAUD, HARDLINE, Wire, bytes, until};
use terminal::Terminal;

fn hardline(words: &[&str]) -> Output {
    Command::new(HARDLINE).args(words).stdin(Stdio::null()).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A wire and the keys of its ends: `a.key`, `b.key`, `psk`.
struct Keyed(Wire);

impl Keyed {
    fn new(sim: &[&str]) -> Keyed {
        let keyed = Keyed(Wire::with(sim));
        for name in ["a.key", "b.key"] {
            assert!(hardline(&["keygen", &keyed.0.text(name)]).status.success());
        }
        assert!(hardline(&["keygen", "--psk", &keyed.0.text("psk")]).status.success());
        keyed
    }
    /// `hardline pipe` on end `a` or `b`.
    fn pipe(&self, end: &str, words: &[&str]) -> Command {
        let mut command = self.0.rig().pipe(end, BAUD);
        command.args(words).current_dir(self.0.rig().dir());
        command
    }
    /// Both ends at once, each with some bytes for the other.
    fn both(&self, a: &[&str], b: &[&str]) -> [Output; 2] {
        let input = bytes(50_000, 5);
        let mut ends = [("a", a), ("b", b)].map(|(end, words)| {
            let mut command = self.pipe(end, words);
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        });
        for end in &mut ends {
            let (mut stdin, input) = (end.stdin.take().unwrap(), input.clone());
            std::thread::spawn(move || stdin.write_all(&input));
        }
        // both are read at once: a full pipe stops its end
        ends.map(|end| std::thread::spawn(|| end.wait_with_output().unwrap())).map(|end| end.join().unwrap())
    }
    #[track_caller]
    fn pass(&self, a: &[&str], b: &[&str]) -> [String; 2] {
        self.both(a, b).map(|end| {
            assert!(end.status.success() && end.stdout == bytes(50_000, 5), "{:?}: {}", end.status, said(&end));
            said(&end)
        })
    }
}

const A: [&str; 4] = ["--key", "a.key", "--known-peers", "a.peers"];
const B: [&str; 4] = ["--key", "b.key", "--known-peers", "b.peers"];

#[test]
fn a_shared_secret_seals() {
    let wire = Keyed::new(&["--ber", "1e-4"]);
    let said = wire.pass(&["--psk", "psk"], &["--psk", "psk"]);
    assert_eq!(said, ["", ""]);
    let said = wire.pass(&[], &["--plain"]);
    assert!(said[0].lines().count() == 1 && said[0].contains("plain") && said[1].is_empty(), "{said:?}");
}

#[test]
fn a_first_contact_is_remembered() {
    let wire = Keyed::new(&["--ber", "1e-5"]);
    let new = |words: [&'static str; 4]| [&words[..], &["--accept-new"]].concat();
    let news = wire.pass(&new(A), &new(B));
    assert!(news.iter().all(|s| s.contains("from now on the peer must be SHA256:")), "{news:?}");
    assert_eq!(wire.pass(&A, &B), ["", ""]);
    // one end has forgotten the other
    fs::remove_file(wire.0.path("b.peers")).unwrap();
    wire.pass(&A, &new(B));
    // another key than the known one
    let mut b = wire.pipe("b", &["--key", "psk", "--known-peers", "b.peers"]);
    assert_eq!(b.output().unwrap().status.code(), Some(1), "a shared secret is no key of an end");
    assert!(hardline(&["keygen", &wire.0.text("c.key")]).status.success());
    let mut c = wire.pipe("b", &["--key", "c.key", "--known-peers", "c.peers", "--accept-new"]);
    let c = wire.0.start("c", c.stdin(Stdio::null()).stdout(Stdio::null()));
    let a = wire.0.start("a", wire.pipe("a", &A).stdin(Stdio::null()).stdout(Stdio::null()));
    until("it says so", || wire.0.log("a").contains("not the known SHA256:").then_some(()));
    drop(c);
    // which ends nothing: the known peer comes after all
    let b = wire.pipe("b", &B).stdin(Stdio::null()).output().unwrap();
    assert!(b.status.success() && a.wait() == 0, "{}{}", said(&b), wire.0.log("a"));
    assert_eq!(wire.0.log("a").matches("[key-mismatch]").count(), 1, "{}", wire.0.log("a"));
}

#[test]
fn a_plain_end_is_told_that_keys_are_asked_for() {
    let wire = Keyed::new(&[]);
    let mut a = wire.pipe("a", &["--psk", "psk"]).stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let b = wire.pipe("b", &[]).stdin(Stdio::null()).output().unwrap();
    // the other end hears why nobody answers
    let mut line = String::new();
    BufReader::new(a.stderr.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("the peer talks plain") && line.contains("[peer-plain]"), "{line}");
    a.kill().unwrap();
    a.wait().unwrap();
    assert_eq!(b.status.code(), Some(5), "{}", said(&b));
    assert!(said(&b).contains("--key FILE or --psk FILE"), "{}", said(&b));
}

/// Nor is one ended by a call of another version, but its user is told.
#[test]
fn a_call_of_another_version_is_told() {
    let wire = Keyed::new(&[]);
    let listener = UnixListener::bind(wire.0.path("old")).unwrap();
    let mut a = Command::new(HARDLINE);
    a.arg("pipe").arg(format!("unix:{}", wire.0.text("old"))).args(["--psk", &wire.0.text("psk")]);
    let mut a = a.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut frame = forged(false);
    let body = link::wire::frame::body_at(link::wire::Level::Plain);
    // behind the number and the tag
    frame[body + 3] = 1;
    let len = frame.len() - body - 4;
    let head = link::wire::Head::open(len, link::wire::Level::Plain);
    link::wire::write_frame(&mut frame, head, link::wire::Binding::NONE);
    let forger = forge(listener.accept().unwrap().0, vec![frame], Duration::from_secs(3));
    let mut line = String::new();
    BufReader::new(a.stderr.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("somebody calls in version 1 of the protocol") && line.contains("[version-mismatch]"), "{line}");
    let _ = forger.join();
    assert!(a.try_wait().unwrap().is_none(), "it goes on calling");
    a.kill().unwrap();
    a.wait().unwrap();
}

/// Without consent nobody is let in, and the remedy that is named works while the link waits.
#[test]
fn a_link_waits_for_its_peer_to_be_trusted() {
    let wire = Keyed::new(&[]);
    let link = |end: &str, words: &[&str]| {
        let mut command = Command::new(HARDLINE);
        command.arg("link").arg(wire.0.path(end)).args(["-b", &BAUD.to_string(), "--control"]);
        command.arg(wire.0.path(&format!("{end}.sock"))).args(words).current_dir(wire.0.rig().dir());
        wire.0.start(&format!("link-{end}"), command.stdin(Stdio::null()).stdout(Stdio::null()))
    };
    let service = ["--service", "echo=exec:cat"];
    let _a = link("a", &A);
    let _b = link("b", &[&B[..], &service, &["--accept-new"]].concat());
    let remedy = until("the remedy", || {
        let log = wire.0.log("link-a");
        let at = log.find("'hardline key trust ")?;
        log[at + 1..].split('\'').next().map(str::to_owned)
    });
    let words: Vec<&str> = remedy.split(' ').skip(1).collect();
    assert!(hardline(&[&words[..], &["--known-peers", &wire.0.text("a.peers")]].concat()).status.success(), "{remedy}");
    let mut open = Command::new(HARDLINE);
    open.arg("open").arg(wire.0.path("a.sock")).arg("echo");
    wire.0.feed("open", &mut open, b"through the seal").end().assert_wrote(b"through the seal");
    let status = hardline(&["status", &wire.0.text("a.sock"), "--json"]);
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    let shown = hardline(&["key", "show", &wire.0.text("b.key")]);
    assert_eq!((&status["sealed"], status["peer"].as_str()), (&true.into(), Some(said(&shown).trim())));
}

#[test]
fn services_need_a_key_or_the_word_plain() {
    let link = hardline(&["link", "/dev/null", "--service", "shell=pty:sh"]);
    assert_eq!(link.status.code(), Some(2));
    assert!(said(&link).contains("--plain"), "{}", said(&link));
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let wire = Keyed::new(&[]);
    fs::set_permissions(wire.0.path("psk"), fs::Permissions::from_mode(0o644)).unwrap();
    let pipe = wire.pipe("a", &["--psk", "psk"]).stdin(Stdio::null()).output().unwrap();
    assert_eq!(pipe.status.code(), Some(1));
    assert!(said(&pipe).contains("chmod 600"), "{}", said(&pipe));
}

#[test]
fn credentials_of_the_service_manager_are_taken() {
    let wire = Keyed::new(&[]);
    let folder = wire.0.path("credentials");
    fs::create_dir(&folder).unwrap();
    fs::copy(wire.0.path("psk"), folder.join("hardline.psk")).unwrap();
    // as systemd leaves it to a service that is not root's: the limit of an access list shows as the group's right
    fs::set_permissions(folder.join("hardline.psk"), fs::Permissions::from_mode(0o440)).unwrap();
    let mut a = wire.pipe("a", &[]);
    let mut a = a.env("CREDENTIALS_DIRECTORY", &folder).stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let b = wire.pipe("b", &["--psk", "psk"]).stdin(Stdio::null()).output().unwrap();
    assert!(b.status.success() && a.wait().unwrap().success(), "{}", said(&b));
}

/// Passes bytes on between two sockets and keeps them.
fn tap(near: UnixStream, far: UnixStream, kept: Arc<Mutex<Vec<u8>>>) {
    for (mut from, mut to) in [(near.try_clone().unwrap(), far.try_clone().unwrap()), (far, near)] {
        let kept = kept.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = from.read(&mut buffer) {
                kept.lock().unwrap().extend(&buffer[..n]);
                if to.write_all(&buffer[..n]).is_err() {
                    break;
                }
            }
            let _ = to.shutdown(std::net::Shutdown::Write);
        });
    }
}

/// What is said cannot be read on the wire.
#[test]
fn nothing_of_it_can_be_read() {
    const MARK: &[u8] = b"the treaty is signed at noon";
    let wire = Keyed::new(&[]);
    let listened = |words: &[&str]| {
        let path: PathBuf = wire.0.path("tap");
        let _ = fs::remove_file(&path);
        let (listener, kept) = (UnixListener::bind(&path).unwrap(), Arc::new(Mutex::new(Vec::new())));
        let port = format!("unix:{}", path.display());
        let pipe = |input: &[u8]| {
            let mut command = Command::new(HARDLINE);
            command.args(["pipe", &port]).args(words).current_dir(wire.0.rig().dir());
            let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            child.stdin.take().unwrap().write_all(input).unwrap();
            child
        };
        let (one, other) = (pipe(MARK), pipe(b""));
        let (near, far) = (listener.accept().unwrap().0, listener.accept().unwrap().0);
        tap(near, far, kept.clone());
        let outputs = [one, other].map(|end| end.wait_with_output().unwrap());
        assert!(outputs.iter().any(|o| o.stdout == MARK));
        let kept = kept.lock().unwrap();
        kept.windows(MARK.len()).any(|window| window == MARK)
    };
    assert!(listened(&["--plain"]));
    assert!(!listened(&["--psk", "psk"]));
}

/// Somebody at the terminal compares the fingerprints, and says so.
#[test]
fn a_first_contact_asks() {
    let wire = Keyed::new(&[]);
    let start = |end: &str, words: &str| {
        let port = wire.0.text(end);
        let line = format!(
            "echo from {end} | {HARDLINE} pipe {port} -b {BAUD} --key {end}.key --known-peers {end}.peers {words} >{end}.out"
        );
        let mut command = Command::new("setsid");
        Terminal::start(command.args(["-c", "-w", "sh", "-c", &line]).current_dir(wire.0.rig().dir()))
    };
    let fingerprint = |end: &str| said(&hardline(&["key", "show", &wire.0.text(&format!("{end}.key"))])).trim().to_owned();
    let (mut a, mut b) = (start("a", ""), start("b", ""));
    for (terminal, other) in [(&mut a, "b"), (&mut b, "a")] {
        terminal.sees("[y/N]");
        terminal.sees(&fingerprint(other));
        terminal.types("y\n");
    }
    a.ends(0);
    b.ends(0);
    assert_eq!(fs::read_to_string(wire.0.path("b.out")).unwrap(), "from a\n");
    // somebody who says no
    fs::remove_file(wire.0.path("a.peers")).unwrap();
    let (mut a, b) = (start("a", ""), start("b", ""));
    a.sees("[y/N]");
    a.types("\n");
    a.ends_with(5, "was not trusted");
    drop(b);
}

/// A call of somebody without a key, or of a plain end.
fn forged(plain: bool) -> Vec<u8> {
    use link::wire::record::{Hello, Open};
    use link::wire::segment::Writer;
    use link::wire::{Binding, Head, Level, frame::body_at, write_frame};
    let mut frame = vec![0; link::FRAME_MAX];
    let mut writer = Writer::new(&mut frame[body_at(Level::Plain)..], 0);
    if plain {
        writer.open(&Open { version: link::VERSION, answer: true, me: 77, you: 0, limit: 1, payload_max: 100, features: 0 });
    } else {
        writer.hello(&Hello { answer: false, version: link::VERSION, pattern: 3, caller: u64::MAX, message: &[9; 55] });
    }
    let head = Head::open(writer.len(), Level::Plain);
    let len = write_frame(&mut frame, head, Binding::NONE);
    frame.truncate(len);
    frame
}

/// A command, its words, and what comes to it over its port.
type End<'a> = (&'a str, &'a [&'a str], &'a [Vec<u8>]);

/// Writes these to a port, over and over, for so long.
fn forge(mut port: UnixStream, frames: Vec<Vec<u8>>, time: Duration) -> JoinHandle<UnixStream> {
    let began = Instant::now();
    std::thread::spawn(move || {
        for frame in frames.iter().cycle() {
            if began.elapsed() > time || port.write_all(frame).is_err() {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        port
    })
}

/// Who proves nothing ends nothing: an end that waits for its peer does so whatever else comes, for as long as that likes.
#[test]
fn forged_calls_end_no_end_that_waits() {
    const FORGED_FOR: Duration = Duration::from_secs(7);
    let wire = Keyed::new(&[]);
    fs::write(wire.0.path("file"), "a file").unwrap();
    let rubbish = b"\r\nbox login: \r\nbox login: \r\nbox login: ".to_vec();
    let ends: [End<'_>; 6] = [
        ("pipe", &[], &[forged(false), forged(true)]),
        ("recv", &["--out", "out"], &[forged(false)]),
        ("send", &["file"], &[forged(true)]),
        ("open", &["service"], &[forged(false), forged(true)]),
        ("console", &[], &[forged(false)]),
        ("pipe", &["--grace", "2s"], &[rubbish]),
    ];
    let running: Vec<_> = ends
        .into_iter()
        .enumerate()
        .map(|(at, (name, words, frames))| {
            let listener = UnixListener::bind(wire.0.path(&format!("port{at}"))).unwrap();
            let mut command = Command::new(HARDLINE);
            command.arg(name).arg(format!("unix:{}", wire.0.text(&format!("port{at}")))).args(words).args(["--psk", "psk"]);
            command.current_dir(wire.0.rig().dir()).stdin(Stdio::null()).stdout(Stdio::null());
            let running = wire.0.start(&format!("{name}{at}"), &mut command);
            let forger = forge(listener.accept().unwrap().0, frames.to_vec(), FORGED_FOR);
            (running, listener, forger)
        })
        .collect();
    for (running, listener, forger) in running {
        let port = forger.join().unwrap();
        let log = wire.0.log(&running.name);
        assert_eq!(running.ended(), None, "{}: {log}", running.name);
        assert!((1..=2).contains(&log.lines().count()), "each is said once: {}: {log}", running.name);
        if running.name == "pipe0" {
            // and the true peer is let in
            let mut peer = Command::new(HARDLINE);
            let path = format!("unix:{}", wire.0.text("port0"));
            peer.args(["pipe", &path, "--psk", "psk"]).current_dir(wire.0.rig().dir());
            let peer = wire.0.start("peer", peer.stdin(Stdio::null()).stdout(Stdio::null()));
            tap(port, listener.accept().unwrap().0, Arc::default());
            assert_eq!((running.wait(), peer.wait()), (0, 0), "{}{}", wire.0.log("pipe0"), wire.0.log("peer"));
        }
    }
}

/// Calls of somebody without a key, and plain ones, in the midst of a session: it goes on.
#[test]
fn forged_calls_end_nothing() {
    let wire = Keyed::new(&[]);
    let listener = UnixListener::bind(wire.0.path("middle")).unwrap();
    let port = format!("unix:{}", wire.0.path("middle").display());
    let mut ends = [0, 1].map(|_| {
        let mut command = Command::new(HARDLINE);
        command.args(["pipe", &port, "--psk", "psk"]).current_dir(wire.0.rig().dir());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    });
    let middle = [0, 1].map(|_| listener.accept().unwrap().0);
    let [near, far] = middle.each_ref().map(|socket| socket.try_clone().unwrap());
    tap(near, far, Arc::default());
    let mut inputs = ends.each_mut().map(|end| end.stdin.take().unwrap());
    for round in 0..40 {
        for input in &mut inputs {
            input.write_all(&bytes(100, round)).unwrap();
        }
        // between the frames that pass, for each is written at once
        for socket in &middle {
            (&*socket).write_all(&forged(round % 2 == 0)).unwrap();
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    drop(inputs);
    let sent: Vec<u8> = (0..40).flat_map(|round| bytes(100, round)).collect();
    for end in ends.map(|end| end.wait_with_output().unwrap()) {
        assert!(end.status.success() && end.stdout == sent, "{:?} {}", end.status, said(&end));
        // what was forged before the session opened may be worth a word, and that it is over; after that nothing is
        let warned = said(&end);
        let known = |line: &str| ["[peer-plain]", "[secret-mismatch]", "[session-open]"].iter().any(|code| line.ends_with(code));
        assert!(warned.lines().all(known) && warned.lines().count() <= 3, "{warned}");
    }
}
