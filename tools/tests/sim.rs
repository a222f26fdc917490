//! `hardline sim` as shipped: whose the links to its ends are.
#![allow(missing_docs)]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::pty::openpty;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

const HARDLINE: &str = env!("CARGO_BIN_EXE_hardline");

/// Waits until `done`, at most half a minute.
#[track_caller]
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < limit, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A folder with the two paths.
struct Ends(TempDir);

impl Ends {
    fn new() -> Ends {
        Ends(tempfile::tempdir().unwrap())
    }
    fn path(&self, end: &str) -> PathBuf {
        self.0.path().join(end)
    }
    fn command(&self) -> Command {
        let mut sim = Command::new(HARDLINE);
        sim.arg("sim").arg("-a").arg(self.path("a")).arg("-b").arg(self.path("b")).stdin(Stdio::null());
        sim
    }
    /// A wire with more to it, once its ends are there.
    #[track_caller]
    fn with(&self, args: &[&str]) -> Sim {
        let sim = Sim(self.command().args(args).spawn().unwrap());
        until("both ends", || self.path("a").exists() && self.path("b").exists());
        sim
    }
    /// A raw program at an end.
    #[track_caller]
    fn open(&self, end: &str) -> Line {
        let file = tools::sim::pty::open_raw(&self.path(end)).unwrap();
        fcntl(&file, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
        Line { file, came: Vec::new() }
    }
    /// One that must not run.
    #[track_caller]
    fn assert_refused(&self, says: &str) {
        let Output { status, stderr, .. } = self.command().output().unwrap();
        let said = String::from_utf8_lossy(&stderr);
        assert_eq!(status.code(), Some(6), "{said}");
        assert!(said.contains(says) && said.lines().count() == 1, "'{says}' is not in: {said}");
    }
    /// Once both ends are there, and are its own.
    #[track_caller]
    fn start(&self) -> Sim {
        let before = ["a", "b"].map(|end| fs::read_link(self.path(end)).ok());
        let sim = Sim(self.command().spawn().unwrap());
        until("both ends", || {
            let now = ["a", "b"].map(|end| fs::read_link(self.path(end)).ok());
            now.iter().zip(&before).all(|(now, before)| now.is_some() && now != before)
        });
        sim
    }
}

/// A program at an end, and what it has heard.
struct Line {
    file: File,
    came: Vec<u8>,
}

impl Line {
    /// Whether it has heard this, in one piece.
    fn heard(&mut self, bytes: &[u8]) -> bool {
        let mut piece = [0; 4096];
        while let Ok(n @ 1..) = self.file.read(&mut piece) {
            self.came.extend(&piece[..n]);
        }
        self.came.windows(bytes.len()).any(|came| came == bytes)
    }
    fn say(&mut self, bytes: &[u8]) {
        self.file.write_all(bytes).unwrap();
    }
    /// Says it until `other` hears it: what comes before the simulation sees an open end is lost.
    #[track_caller]
    fn say_until(&mut self, bytes: &[u8], mut heard: impl FnMut(&mut Line) -> bool) {
        let mut said = Instant::now() - Duration::from_secs(1);
        until(&format!("{} is heard", String::from_utf8_lossy(bytes)), || {
            if said.elapsed() > Duration::from_millis(50) {
                self.say(bytes);
                said = Instant::now();
            }
            heard(self)
        });
    }
}

struct Sim(Child);

impl Sim {
    fn end(&mut self, signal: Signal) -> Option<i32> {
        kill(Pid::from_raw(self.0.id() as i32), signal).unwrap();
        self.0.wait().unwrap().code()
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Bytes put into one end come out of the other.
#[track_caller]
fn assert_carries(ends: &Ends) {
    let open = |end: &str| tools::sim::pty::open_raw(&ends.path(end)).unwrap();
    let (mut a, mut b) = (open("a"), open("b"));
    // what comes before the simulation sees that b is open is lost: again and again
    let reader = std::thread::spawn(move || b.read_exact(&mut [0; 5]).unwrap());
    until("something arrives", || {
        a.write_all(b"hello").unwrap();
        reader.is_finished()
    });
    reader.join().unwrap();
}

#[test]
fn a_wire_that_is_there_is_left_alone() {
    let ends = Ends::new();
    let mut first = ends.start();
    let links = ["a", "b"].map(|end| fs::read_link(ends.path(end)).unwrap());
    ends.assert_refused("another 'hardline sim' has an end there");
    // one that has taken its first end already lets go of it
    let mut other = Command::new(HARDLINE);
    let other = other.arg("sim").arg("-a").arg(ends.path("c")).arg("-b").arg(ends.path("b")).output().unwrap();
    assert_eq!(other.status.code(), Some(6));
    assert!(!ends.path("c").is_symlink());
    assert_eq!(["a", "b"].map(|end| fs::read_link(ends.path(end)).unwrap()), links);
    assert_carries(&ends);
    assert_eq!(first.end(Signal::SIGTERM), Some(0));
    assert_eq!(fs::read_dir(ends.0.path()).unwrap().count(), 0, "it cleans up");
}

#[test]
fn a_link_that_was_left_behind_is_taken_over() {
    let ends = Ends::new();
    ends.start().end(Signal::SIGKILL);
    assert!(ends.path("a").is_symlink() && ends.path("b").is_symlink());
    // the number of one of them has gone to another terminal by now
    let other = openpty(None, None).unwrap();
    let name = nix::unistd::ttyname(&other.slave).unwrap();
    // and the other one is nobody's: what it was may be that of another test's wire
    for (end, to) in [("a", Path::new("/dev/pts/999999")), ("b", &name)] {
        fs::remove_file(ends.path(end)).unwrap();
        symlink(to, ends.path(end)).unwrap();
    }
    let mut sim = Sim(ends.command().spawn().unwrap());
    until("both ends", || ends.path("a").exists() && fs::read_link(ends.path("b")).is_ok_and(|to| to != name));
    assert_carries(&ends);
    assert_eq!(sim.end(Signal::SIGTERM), Some(0));
    assert_eq!(fs::read_dir(ends.0.path()).unwrap().count(), 0);
}

#[test]
fn what_is_no_link_of_a_simulation_is_left_alone() {
    let ends = Ends::new();
    fs::write(ends.path("a"), b"mine").unwrap();
    ends.assert_refused("is not a link of an earlier 'hardline sim'");
    assert_eq!(fs::read(ends.path("a")).unwrap(), b"mine");
    fs::rename(ends.path("a"), ends.path("mine")).unwrap();
    symlink("mine", ends.path("a")).unwrap();
    ends.assert_refused("there is a link to mine already");
    assert_eq!(fs::read_link(ends.path("a")).unwrap(), Path::new("mine"));
}

#[test]
fn at_the_end_only_its_own_links_go() {
    let ends = Ends::new();
    let mut sim = ends.start();
    fs::remove_file(ends.path("a")).unwrap();
    fs::write(ends.path("a"), b"mine").unwrap();
    fs::remove_file(ends.path("b")).unwrap();
    symlink("a", ends.path("b")).unwrap();
    assert_eq!(sim.end(Signal::SIGTERM), Some(0));
    assert_eq!(fs::read(ends.path("b")).unwrap(), b"mine");
}

#[test]
fn an_end_with_an_echo_hears_itself_too() {
    let ends = Ends::new();
    let _sim = ends.with(&["--echo=a", "--baud", "2000000"]);
    let (mut a, mut b) = (ends.open("a"), ends.open("b"));
    a.say_until(b"from a", |_| b.heard(b"from a"));
    assert!(a.heard(b"from a"), "an echo comes no later than what the far end hears");
    b.say_until(b"from b", |_| a.heard(b"from b"));
    assert!(!b.heard(b"from b"), "b has none");
}

#[test]
fn both_ends_have_an_echo_unless_one_is_named() {
    let ends = Ends::new();
    let _sim = ends.with(&["--echo", "--baud", "2000000"]);
    let (mut a, mut b) = (ends.open("a"), ends.open("b"));
    a.say_until(b"from a", |a| a.heard(b"from a") && b.heard(b"from a"));
    b.say_until(b"from b", |b| b.heard(b"from b") && a.heard(b"from b"));
}

#[test]
fn on_a_looped_line_each_end_hears_itself_alone() {
    let ends = Ends::new();
    let _sim = ends.with(&["--loop", "0:1d", "--baud", "2000000"]);
    let (mut a, mut b) = (ends.open("a"), ends.open("b"));
    a.say_until(b"from a", |a| a.heard(b"from a"));
    b.say_until(b"from b", |b| b.heard(b"from b"));
    assert!(!a.heard(b"from b") && !b.heard(b"from a"));
}

#[test]
fn a_loop_at_one_end_leaves_the_other_alone() {
    let ends = Ends::new();
    let _sim = ends.with(&["--loop", "0:1d:b", "--baud", "2000000"]);
    let (mut a, mut b) = (ends.open("a"), ends.open("b"));
    a.say(b"from a");
    b.say_until(b"from b", |b| b.heard(b"from b"));
    assert!(!a.heard(b"from") && !b.heard(b"from a"));
}

#[test]
fn a_loop_ends() {
    let ends = Ends::new();
    let _sim = ends.with(&["--loop", "0:0.2", "--loop", "0.1:0.2:a", "--baud", "2000000"]);
    let (mut a, mut b) = (ends.open("a"), ends.open("b"));
    a.say_until(b"from a", |_| b.heard(b"from a"));
}

#[test]
fn exchanged_wires_lead_to_each_others_far_ends() {
    let ends = Ends::new();
    let [c, d] = ["c", "d"].map(|end| ends.path(end).to_str().unwrap().to_owned());
    let _sim = ends.with(&["--a2", &c, "--b2", &d, "--swap", "0:1d", "--baud", "2000000"]);
    until("the second wire", || ends.path("c").exists() && ends.path("d").exists());
    let [mut a, mut b, mut c, mut d] = ["a", "b", "c", "d"].map(|end| ends.open(end));
    a.say_until(b"from a", |_| d.heard(b"from a"));
    b.say_until(b"from b", |_| c.heard(b"from b"));
    c.say_until(b"from c", |_| b.heard(b"from c"));
    d.say_until(b"from d", |_| a.heard(b"from d"));
    assert!(!a.heard(b"from b") && !b.heard(b"from a") && !c.heard(b"from d") && !d.heard(b"from c"));
}

#[test]
fn two_wires_are_two_and_go_with_the_simulation() {
    let ends = Ends::new();
    let [c, d] = ["c", "d"].map(|end| ends.path(end).to_str().unwrap().to_owned());
    let mut sim = ends.with(&["--a2", &c, "--b2", &d, "--baud", "2000000"]);
    until("the second wire", || ends.path("c").exists() && ends.path("d").exists());
    let [mut a, mut b, mut c, mut d] = ["a", "b", "c", "d"].map(|end| ends.open(end));
    a.say_until(b"from a", |_| b.heard(b"from a"));
    d.say_until(b"from d", |_| c.heard(b"from d"));
    assert!(!d.heard(b"from a") && !a.heard(b"from d"));
    assert_eq!(sim.end(Signal::SIGTERM), Some(0));
    assert_eq!(fs::read_dir(ends.0.path()).unwrap().count(), 0, "it cleans up");
}

#[test]
fn bytes_come_twice_or_never() {
    let ends = Ends::new();
    let _sim = ends.with(&["--double", "ff", "--eat", "11,13", "--baud", "2000000"]);
    let (mut a, mut b) = (ends.open("a"), ends.open("b"));
    a.say_until(b"<\xff\x11|\x13>", |_| b.heard(b"<\xff\xff|>"));
}

#[test]
fn start_and_stop_bits_are_hit_where_that_is_wished() {
    for framing in [false, true] {
        let ends = Ends::new();
        let args = ["--ber", "1e-2", "--baud", "2000000", "--framing"];
        let _sim = ends.with(if framing { &args } else { &args[..4] });
        let (mut a, mut b) = (ends.open("a"), ends.open("b"));
        a.say_until(b"opens", |_| b.heard(b"opens"));
        let sent: Vec<u8> = (0..2000u32).map(|i| (i % 251) as u8).collect();
        let before = b.came.len();
        a.say(&sent);
        until("all or all but some", || {
            b.heard(b"|");
            b.came.len() > before + 1500
        });
        let mut quiet = (b.came.len(), Instant::now());
        while quiet.1.elapsed() < Duration::from_millis(300) {
            b.heard(b"|");
            if b.came.len() > quiet.0 {
                quiet = (b.came.len(), Instant::now());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let came = &b.came[before..];
        // what was said to open the line may be under way still: count from the end
        let places = came.iter().rev().zip(sent.iter().rev()).filter(|(came, sent)| came == sent).count();
        // data bits alone cost no place: nearly all are right where they were sent
        assert_eq!(places > 1500, !framing, "{framing}: {places} of {} in place", came.len());
    }
}

#[test]
fn a_path_is_used_once_and_a_swap_needs_two_wires() {
    let ends = Ends::new();
    let refused = |args: &[&str], says: &str| {
        let Output { status, stderr, .. } = ends.command().args(args).output().unwrap();
        let said = String::from_utf8_lossy(&stderr);
        assert!(status.code() == Some(2) && said.contains(says), "{says}: {said}");
    };
    let b = ends.path("b");
    refused(&["--a2", b.to_str().unwrap(), "--b2", "other"], "-b and --a2 are the same");
    refused(&["--swap", "1:1"], "--a2");
    refused(&["--loop", "1:1:c"], "--loop");
    refused(&["--double", "fff"], "is not a byte in hex");
    assert_eq!(fs::read_dir(ends.0.path()).unwrap().count(), 0);
}
