//! A port that takes nothing any more: a pseudo-terminal that nobody reads. On real drivers: `hil-tests`.
#![allow(missing_docs)]

use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::pty::openpty;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, ttyname};

const HARDLINE: &str = env!("CARGO_BIN_EXE_hardline");

/// Its exit code, within a time that is generous and yet no 30 s.
fn end_of(child: &mut Child) -> Option<i32> {
    let limit = Instant::now() + Duration::from_secs(15);
    while Instant::now() < limit {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    None
}

/// A command with a megabyte to send, told to end while the port takes nothing.
fn ends_when_told(args: &[&str]) {
    let pty = openpty(None, None).unwrap();
    let port = ttyname(&pty.slave).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("in");
    std::fs::write(&input, vec![7; 1 << 20]).unwrap();
    let mut command = Command::new(HARDLINE);
    command.args(args).arg(&port).args(["-b", "2000000"]).stdin(File::open(&input).unwrap());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // a pseudo-terminal holds less than a second of this
    std::thread::sleep(Duration::from_secs(2));
    assert!(child.try_wait().unwrap().is_none(), "it waits for the port");
    kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM).unwrap();
    assert_eq!(end_of(&mut child), Some(128 + Signal::SIGTERM as i32));
}

#[test]
fn a_diode_ends_when_told() {
    ends_when_told(&["diode", "send", "--stream"]);
    ends_when_told(&["diode", "send", "--lines"]);
}

#[test]
fn a_pipe_ends_when_told() {
    ends_when_told(&["pipe", "--plain"]);
}
