//! `hardline sim` as shipped: whose the links to its ends are.
#![allow(missing_docs)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

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
    use std::io::{Read, Write};
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
    fs::remove_file(ends.path("b")).unwrap();
    symlink(&name, ends.path("b")).unwrap();
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
