//! Outputs that nobody reads, or that say "later": what is asked for comes whole, what is said by the way holds nobody up, and who
//! is told to end does so.
#![allow(missing_docs)]

mod common;

use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::{HARDLINE, Wire, until};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A pipe that holds a page.
fn narrow() -> (PipeReader, PipeWriter) {
    let (reader, writer) = std::io::pipe().unwrap();
    fcntl(writer.as_fd(), FcntlArg::F_SETPIPE_SZ(4096)).unwrap();
    (reader, writer)
}

/// A pipe with no room in it.
fn full() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = narrow();
    writer.write_all(&[b'.'; 4096]).unwrap();
    assert!(!takes(&writer));
    (reader, writer)
}

fn takes(pipe: &PipeWriter) -> bool {
    let mut fds = [PollFd::new(pipe.as_fd(), PollFlags::POLLOUT)];
    poll(&mut fds, PollTimeout::ZERO).unwrap();
    fds[0].any() == Some(true)
}

/// Supervisors and Node give their children pipes that do not block, and read them when they like.
#[test]
fn what_is_asked_for_comes_whole_through_a_pipe_that_does_not_block() {
    let wire = Wire::with(&[]);
    // beyond the page that the pipe holds
    let services: Vec<String> = (0..40).map(|i| format!("--service=name-{i}=exec:cat")).collect();
    let _b = wire.link("b", &services.iter().map(String::as_str).collect::<Vec<_>>());
    let file = wire.path("wire.toml");
    let mut text = String::from("command = \"link\"\nport = \"./a\"\nplain = true\nservice = [");
    (0..400).for_each(|i| text.push_str(&format!("\"service-{i}=tcp:127.0.0.1:{i}\", ")));
    std::fs::write(&file, text + "]\n").unwrap();
    let commands: [Vec<&str>; 6] = [
        vec!["explain"],
        vec!["explain", "--json"],
        vec!["help", "sim"],
        vec!["sim", "--help"],
        vec!["check", file.to_str().unwrap()],
        vec!["check", file.to_str().unwrap(), "--json"],
    ];
    for args in commands {
        let plain = Command::new(HARDLINE).args(&args).output().unwrap();
        assert!(plain.status.success() && plain.stdout.len() > 4096, "{args:?}: {}", plain.stdout.len());
        let (mut reader, writer) = narrow();
        fcntl(writer.as_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
        let watched = writer.try_clone().unwrap();
        let mut command = Command::new(HARDLINE);
        let child = command.args(&args).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        drop(command);
        until("the pipe is full", || (!takes(&watched)).then_some(()));
        drop(watched);
        let mut got = Vec::new();
        reader.read_to_end(&mut got).unwrap();
        let ended = child.wait_with_output().unwrap();
        assert!(ended.status.success(), "{args:?}: {:?} {}", ended.status, String::from_utf8_lossy(&ended.stderr));
        assert!(got == plain.stdout, "{args:?}: {} of {} bytes", got.len(), plain.stdout.len());
    }
}

/// A file for each line: the list is as long as what came.
#[test]
fn the_list_of_what_came_is_whole_through_a_pipe_that_does_not_block() {
    let wire = Wire::with(&[]);
    std::fs::create_dir(wire.path("top")).unwrap();
    for i in 0..150 {
        std::fs::write(wire.path(&format!("top/{}-{i}", "name".repeat(10))), b"x").unwrap();
    }
    let (mut reader, writer) = narrow();
    fcntl(writer.as_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
    let watched = writer.try_clone().unwrap();
    let mut command = Command::new(HARDLINE);
    command.args(["recv", "--plain", "-b", "2000000", "--json", "--out"]).arg(wire.path("out")).arg(wire.path("b"));
    let recv = wire.start("recv", command.stdin(Stdio::null()).stdout(writer));
    drop(command);
    let mut send = Command::new(HARDLINE);
    send.args(["send", "--plain", "-b", "2000000"]).arg(wire.path("a")).arg(wire.path("top"));
    let send = wire.start("send", send.stdin(Stdio::null()).stdout(Stdio::null()));
    until("the pipe is full", || (!takes(&watched)).then_some(()));
    // more is to be written by then
    std::thread::sleep(Duration::from_millis(300));
    drop(watched);
    let mut got = String::new();
    reader.read_to_string(&mut got).unwrap();
    assert_eq!((send.wait(), recv.wait()), (0, 0), "{}", wire.log("recv"));
    assert_eq!(got.lines().count(), 151, "{got}");
    assert!(got.lines().all(|line| line.starts_with('{') && line.ends_with('}')), "{got}");
}

/// What goes wrong is said on stderr, which may be a pipe that nobody reads: the wire goes on.
#[test]
fn a_stderr_that_nobody_reads_holds_nobody_up() {
    let wire = Wire::with(&[]);
    let (mut reader, writer) = full();
    let mut link = Command::new(HARDLINE);
    // it has to say at once that the port is not there, and then again and again who was not let in
    link.args(["link", "--plain", "-vv", "-b", "2000000", "--control"]).arg(wire.path("a.sock")).arg(wire.path("a"));
    link.stdin(Stdio::null()).stdout(Stdio::null()).stderr(writer);
    let mut child = link.spawn().unwrap();
    drop(link);
    let _b = wire.link("b", &["--service", "echo=exec:cat"]);
    wire.await_session();
    wire.ask("echo", b"through a wire whose stderr is full").assert_wrote(b"through a wire whose stderr is full");
    // what there was no room for is counted once there is some
    let mut filler = [0; 4096];
    reader.read_exact(&mut filler).unwrap();
    let reading = std::thread::spawn(move || {
        let mut said = String::new();
        reader.read_to_string(&mut said).map(|_| said)
    });
    wire.ask("echo", b"more").assert_wrote(b"more");
    kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM).unwrap();
    assert_eq!(until("it ends", || child.try_wait().unwrap()).code(), Some(143));
    let said = reading.join().unwrap().unwrap();
    assert!(said.contains("missing here: nobody took what is written to stderr [lines-lost]"), "{said}");
    assert!(said.contains("[interrupted]") && said.ends_with('\n'), "{said}");
}

/// Whoever waits for somebody to read can be ended.
#[test]
fn who_is_not_read_ends_when_told() {
    let (_reader, writer) = full();
    let mut demo = Command::new(HARDLINE);
    demo.args(["demo", "--size", "10"]).stdin(Stdio::null()).stdout(writer).stderr(Stdio::piped());
    let mut child = demo.spawn().unwrap();
    drop(demo);
    let id = child.id();
    // its wire is there, so that it has its handlers
    let children = || std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
    until("the wire is there", || (!children().trim().is_empty()).then_some(()));
    kill(Pid::from_raw(id as i32), Signal::SIGTERM).unwrap();
    assert_eq!(until("it ends", || child.try_wait().unwrap()).code(), Some(143));
}
