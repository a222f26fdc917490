//! What `hardline diode recv` writes to: outputs that take nothing more, and the order in which things come to the disk.
#![allow(missing_docs)]

mod common;

use std::fs::{self, File};
use std::io::Read;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use common::{HARDLINE, bytes, program, until};
use nix::fcntl::{FcntlArg, OFlag, fcntl};

/// A folder with recordings of lines, of a stream and of a file.
struct Bench(tempfile::TempDir);

impl Bench {
    fn new() -> Bench {
        let bench = Bench(tempfile::tempdir().unwrap());
        fs::write(bench.path("file"), bytes(20_000, 7)).unwrap();
        fs::write(bench.path("text"), b"a line of some length\n".repeat(2000)).unwrap();
        for (wire, what) in [("lines", "--lines"), ("stream", "--stream"), ("object", "file")] {
            let mut send = bench.hardline(&["-q", "diode", "send", "stdio:", "--survive", "0ms", what]);
            let sent = send.stdin(File::open(bench.path("text")).unwrap()).stdout(File::create(bench.path(wire)).unwrap());
            assert!(sent.status().unwrap().success());
        }
        bench
    }
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
    fn hardline(&self, args: &[&str]) -> Command {
        let mut command = Command::new(HARDLINE);
        command.args(args).current_dir(self.0.path()).stdin(Stdio::null()).env("XDG_STATE_HOME", self.path("home"));
        command
    }
    fn recv(&self, wire: &str, args: &[&str]) -> Command {
        self.hardline(&[&["-q", "diode", "recv", &format!("exec:cat {wire}")], args].concat())
    }
    /// Under strace, which may put errors in; what was called goes to `trace`.
    fn traced(&self, command: &Command, args: &[&str]) -> Command {
        let mut strace = Command::new(program("strace"));
        strace.args(["-f", "-qq", "-y", "-s", "400", "-o", "trace"]).args(args);
        strace.arg(command.get_program()).args(command.get_args());
        strace.current_dir(self.0.path()).stdin(Stdio::null()).env("XDG_STATE_HOME", self.path("home"));
        strace
    }
}

#[track_caller]
fn said(output: &Output, code: i32, word: &str) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(code) && text.contains(word), "{:?}, {code} and {word} wanted: {text}", output.status);
}

fn full() -> File {
    File::options().write(true).open("/dev/full").unwrap()
}

/// A shell that lets nobody write more than so many blocks of 512 or 1024 bytes to a file.
fn limited(command: &Command, blocks: u32) -> Command {
    let mut shell = common::command("sh");
    shell.args(["-c", &format!("ulimit -f {blocks}; exec \"$0\" \"$@\"")]).arg(command.get_program()).args(command.get_args());
    shell
}

#[test]
fn an_output_that_takes_nothing_more_is_no_success() {
    let bench = Bench::new();
    for shape in ["lines", "stream"] {
        let recv = bench.recv(shape, &[&format!("--{shape}")]);
        let mut command = bench.recv(shape, &[&format!("--{shape}")]);
        said(&command.stdout(full()).output().unwrap(), 1, "No space left on device (os error 28) [output-failed]");
        let mut command = limited(&recv, 4);
        command.current_dir(bench.0.path()).stdout(File::create(bench.path("got")).unwrap());
        said(&command.output().unwrap(), 1, "File too large (os error 27) [output-failed]");
    }
}

/// A disk may be full, or its server gone, and say so no earlier than with fsync, or with the close of the file.
#[test]
fn a_disk_that_fails_at_the_end_is_no_success() {
    let bench = Bench::new();
    for shape in ["lines", "stream"] {
        for (call, errno, word) in [("fsync", "EDQUOT", "uota exceeded"), ("fsync", "EIO", "Input/output error")] {
            let inject = format!("inject={call}:error={errno}");
            let recv = bench.recv(shape, &[&format!("--{shape}")]);
            let mut traced = bench.traced(&recv, &["-e", "trace=fsync,close", "-e", &inject]);
            said(&traced.stdout(File::create(bench.path("got")).unwrap()).output().unwrap(), 1, word);
        }
    }
    assert_eq!(fs::read(bench.path("got")).unwrap(), fs::read(bench.path("text")).unwrap());
}

#[test]
fn an_output_that_is_whole_is_on_its_disk() {
    let bench = Bench::new();
    for shape in ["lines", "stream"] {
        let recv = bench.recv(shape, &[&format!("--{shape}")]);
        let mut traced = bench.traced(&recv, &["-e", "trace=fsync"]);
        said(&traced.stdout(File::create(bench.path("got")).unwrap()).output().unwrap(), 0, "");
        let trace = fs::read_to_string(bench.path("trace")).unwrap();
        assert!(trace.lines().any(|line| line.contains("/got>")), "{trace}");
    }
}

/// An output that does not block (of a supervisor, of Node) is waited for.
#[test]
fn an_output_that_does_not_block_is_waited_for() {
    let bench = Bench::new();
    for shape in ["lines", "stream"] {
        let (mut reader, writer) = std::io::pipe().unwrap();
        fcntl(writer.as_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
        fcntl(writer.as_fd(), FcntlArg::F_SETPIPE_SZ(4096)).unwrap();
        let mut command = bench.recv(shape, &[&format!("--{shape}")]);
        let child = command.stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        drop(command);
        // somebody reads once it is full
        until("the pipe is full", || (waiting(&reader) == 4096).then_some(()));
        std::thread::sleep(Duration::from_millis(50));
        let mut got = Vec::new();
        reader.read_to_end(&mut got).unwrap();
        said(&child.wait_with_output().unwrap(), 0, "");
        assert_eq!(got, fs::read(bench.path("text")).unwrap(), "{shape}");
    }
}

fn waiting(pipe: &std::io::PipeReader) -> usize {
    let mut fds = [nix::poll::PollFd::new(pipe.as_fd(), nix::poll::PollFlags::POLLIN)];
    nix::poll::poll(&mut fds, nix::poll::PollTimeout::ZERO).unwrap();
    if fds[0].any() == Some(true) { 4096 } else { 0 }
}

/// Who waits for somebody to read can be ended.
#[test]
fn a_receiver_nobody_reads_from_can_be_ended() {
    let bench = Bench::new();
    let (reader, writer) = std::io::pipe().unwrap();
    fcntl(writer.as_fd(), FcntlArg::F_SETPIPE_SZ(4096)).unwrap();
    let mut command = bench.recv("lines", &["--lines"]);
    let child = command.stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
    until("something is written", || (waiting(&reader) > 0).then_some(()));
    let id = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGTERM).unwrap();
    said(&child.wait_with_output().unwrap(), 143, "interrupted");
}

/// A report that goes to a pipe waits for its reader; the line does not, nor who is told to end.
#[test]
fn a_report_that_nobody_reads_holds_nobody_up() {
    let bench = Bench::new();
    let fifo = bench.path("report");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let args = ["--out", "in", "--report", "report"];
    said(&bench.recv("object", &args).output().unwrap(), 0, "");
    common::assert_carried(&bench.path("in/file"), &bytes(20_000, 7));
    // a line that stays
    let mut command = bench.hardline(&["-q", "diode", "recv", "exec:cat object; exec sleep 1000", "--forever"]);
    let mut child = command.args(["--out", "in", "--report", "report"]).stderr(Stdio::null()).spawn().unwrap();
    let mut reader = File::options().read(true).open(&fifo).unwrap();
    let mut heard = Vec::new();
    until("it is reported", || {
        let mut piece = [0; 512];
        let n = reader.read(&mut piece).unwrap();
        heard.extend_from_slice(&piece[..n]);
        String::from_utf8_lossy(&heard).contains("\"delivered\"").then_some(())
    });
    drop(reader);
    let id = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143));
}

/// Files that did not come to the disk are not said to be there, nor is a report whole that is not.
#[test]
fn folders_and_reports_that_take_nothing_more_are_no_success() {
    let bench = Bench::new();
    let args = ["--out", "in", "--state", "state"];
    let mut command = limited(&bench.recv("object", &args), 8);
    let ended = command.current_dir(bench.0.path()).output().unwrap();
    said(&ended, 1, "File too large (os error 27) [spool-failed]");
    // what there was no room for is named
    said(&ended, 1, "file is incomplete: ");
    said(&ended, 1, "(disk) [missing]");
    assert!(!bench.path("in/file").exists());
    fs::remove_dir_all(bench.path("state")).unwrap();
    for errno in ["EIO", "ENOSPC", "EDQUOT"] {
        let inject = format!("inject=fsync:error={errno}");
        let traced = bench.traced(&bench.recv("object", &args), &["-e", "trace=fsync", "-e", &inject]).output().unwrap();
        said(&traced, 1, "[spool-failed]");
        assert!(!bench.path("in/file").exists(), "{errno}");
    }
    // what was kept is of use once there is room
    said(&bench.recv("object", &args).output().unwrap(), 0, "");
    common::assert_carried(&bench.path("in/file"), &bytes(20_000, 7));
    let full = bench.recv("lines", &["--lines", "--report", "/dev/full"]).output().unwrap();
    said(&full, 1, "cannot write the report: No space left on device (os error 28) [report-unwritable]");
    assert_eq!(full.stdout, fs::read(bench.path("text")).unwrap(), "it goes on");
}

/// The file, its name, the mark that it is here, and then the word of it.
#[test]
fn what_is_delivered_is_on_the_disk_before_anybody_is_told() {
    let bench = Bench::new();
    fs::create_dir(bench.path("deep")).unwrap();
    let args = ["--out", "in", "--state", "state", "--report", "report", "--exec", "true"];
    let calls = "trace=fsync,rename,renameat,renameat2,write,execve";
    let traced = bench.traced(&bench.recv("object", &args), &["-e", calls]).output().unwrap();
    said(&traced, 0, "");
    let trace = fs::read_to_string(bench.path("trace")).unwrap();
    let steps: [&[&str]; 7] = [
        &["fsync(", "/object-0000.data>"],
        &["rename", "object-0000.data", "\"file\""],
        &["fsync(", "/in>"],
        &["write(", "/state/delivered>", "\"+ "],
        &["fsync(", "/state/delivered>"],
        &["write(", "/report>", "\\\"delivered\\\""],
        &["execve(", "true "],
    ];
    let mut lines = trace.lines();
    for step in steps {
        assert!(lines.any(|line| step.iter().all(|word| line.contains(word))), "{step:?} in its place: {trace}");
    }
    let made = trace.lines().any(|line| line.contains("fsync(") && line.contains("/state>"));
    assert!(made, "the mark has its name on the disk: {trace}");
}

/// Names that cannot be had: of somebody else's file where each removes his own, where something is mounted, of a file larger than the
/// file system can. They are refused and named, and end no receiver.
#[test]
fn a_file_that_cannot_be_put_into_its_place_ends_nobody() {
    let bench = Bench::new();
    for (call, errno) in [("rename,renameat,renameat2", "EPERM"), ("rename,renameat,renameat2", "EBUSY")] {
        let inject = format!("inject={call}:error={errno}:when=1");
        let recv = bench.recv("object", &["--out", "in", "--report", "report"]);
        // the manifest is kept by a rename, too
        let path = bench.path("in");
        let traced = bench.traced(&recv, &["-P", path.to_str().unwrap(), "-e", "trace=rename,renameat,renameat2", "-e", &inject]);
        let mut traced = traced;
        let ended = traced.output().unwrap();
        said(&ended, 4, "'file' is not accepted: cannot be put at in/file: ");
        let report = fs::read_to_string(bench.path("report")).unwrap();
        assert!(report.contains("\"missing\"") && !report.contains("\"delivered\""), "{report}");
        fs::remove_file(bench.path("report")).unwrap();
    }
}

/// Killed behind the rename and before the mark: what is in its place is not delivered once more, and it is told.
#[test]
fn what_was_put_into_its_place_is_delivered_once() {
    let bench = Bench::new();
    let args = ["--out", "in", "--state", "state", "--report", "report"];
    let path = bench.path("in");
    let kill = ["-P", path.to_str().unwrap(), "-e", "trace=fsync", "-e", "inject=fsync:signal=KILL"];
    fs::create_dir(&path).unwrap();
    let killed = bench.traced(&bench.recv("object", &args), &kill).output().unwrap();
    assert!(!killed.status.success());
    common::assert_carried(&bench.path("in/file"), &bytes(20_000, 7));
    assert!(!fs::read_to_string(bench.path("report")).unwrap().contains("\"delivered\""));
    // somebody has taken it
    fs::rename(bench.path("in/file"), bench.path("taken")).unwrap();
    said(&bench.recv("object", &args).output().unwrap(), 0, "");
    assert!(!bench.path("in/file").exists(), "it came twice");
    let told = common::reported(&bench.path("report"), "delivered");
    assert_eq!(told.iter().map(|line| line["name"].clone()).collect::<Vec<_>>(), ["file"]);
    said(&bench.recv("object", &args).output().unwrap(), 0, "");
    assert!(!bench.path("in/file").exists() && common::reported(&bench.path("report"), "delivered").len() == 1);
}

/// Killed before the rename: it is delivered by the next run.
#[test]
fn what_was_only_meant_to_be_put_into_its_place_is() {
    let bench = Bench::new();
    let args = ["--out", "in", "--state", "state", "--report", "report"];
    let path = bench.path("state/object-0000.data");
    let kill = ["-P", path.to_str().unwrap(), "-e", "trace=fsync", "-e", "inject=fsync:signal=KILL"];
    let killed = bench.traced(&bench.recv("object", &args), &kill).output().unwrap();
    assert!(!killed.status.success() && !bench.path("in/file").exists());
    assert!(fs::read_to_string(bench.path("state/delivered")).unwrap().starts_with("> "));
    said(&bench.recv("object", &args).output().unwrap(), 0, "");
    common::assert_carried(&bench.path("in/file"), &bytes(20_000, 7));
}

// ---- what is sent -------------------------------------------------------------------------------

/// A file that cannot be moved at present is told, and tried again: before it travels, and behind that.
#[test]
fn a_watched_folder_that_takes_nothing_for_a_while_ends_nobody() {
    for when in [1, 2] {
        let bench = Bench::new();
        fs::create_dir(bench.path("watched")).unwrap();
        fs::write(bench.path("watched/one"), b"one").unwrap();
        let mut send = bench.hardline(&["diode", "send", "stdio:", "--rate", "1M", "--survive", "10ms", "--watch", "watched"]);
        send.stdout(File::create(bench.path("line")).unwrap());
        let inject = format!("inject=rename,renameat,renameat2:error=EACCES:when={when}");
        let one = [bench.path("watched"), bench.path("watched/sending")];
        let mut traced = bench.traced(
            &send,
            &[
                "-P",
                one[0].to_str().unwrap(),
                "-P",
                one[1].to_str().unwrap(),
                "-e",
                "trace=rename,renameat,renameat2",
                "-e",
                &inject,
            ],
        );
        traced.stdout(File::create(bench.path("line")).unwrap()).stderr(File::create(bench.path("said")).unwrap());
        let mut child = traced.spawn().unwrap();
        let words = || fs::read_to_string(bench.path("said")).unwrap();
        until(&format!("it is told: {}", words()), || words().contains("[file-unmoved]").then_some(()));
        until("it is put away", || bench.path("watched/sent/one").exists().then_some(()));
        assert!(child.try_wait().unwrap().is_none(), "{}", words());
        let id = common::processes_with("--watch\0watched").into_iter().filter(|id| {
            fs::read_link(format!("/proc/{id}/exe")).is_ok_and(|exe| exe.ends_with("hardline"))
                && fs::read_link(format!("/proc/{id}/cwd")).is_ok_and(|cwd| cwd == fs::canonicalize(bench.0.path()).unwrap())
        });
        id.for_each(|id| nix::sys::signal::kill(nix::unistd::Pid::from_raw(id), nix::sys::signal::Signal::SIGTERM).unwrap());
        child.wait().unwrap();
    }
}

/// What comes from stdin has a name if it is given one, and is copied only where it is no file; what there is no room for is told.
#[test]
fn stdin_has_a_name_and_a_copy_where_there_is_room() {
    let bench = Bench::new();
    let send = |args: &[&str]| {
        let all = [&["-q", "diode", "send", "stdio:", "--survive", "0ms"], args].concat();
        let mut send = bench.hardline(&all);
        send.stdout(File::create(bench.path("named")).unwrap());
        send
    };
    // a file needs no copy
    let mut from_file = send(&["-", "--name", "backup.tar"]);
    from_file.env("TMPDIR", "/nonexistent").stdin(File::open(bench.path("text")).unwrap());
    said(&from_file.output().unwrap(), 0, "");
    said(&bench.recv("named", &["--out", "in"]).output().unwrap(), 0, "");
    common::assert_carried(&bench.path("in/backup.tar"), &fs::read(bench.path("text")).unwrap());
    let piped = |mut command: Command| {
        let mut cat = Command::new("cat").arg(bench.path("text")).stdout(Stdio::piped()).spawn().unwrap();
        let ended = command.stdin(cat.stdout.take().unwrap()).output().unwrap();
        cat.wait().unwrap();
        ended
    };
    let mut nowhere = send(&["-"]);
    nowhere.env("TMPDIR", "/nonexistent");
    said(&piped(nowhere), 1, "cannot copy - to /nonexistent: No such file or directory");
    let mut small = limited(&send(&["-"]), 4);
    small.current_dir(bench.0.path()).stdout(Stdio::null());
    said(&piped(small), 1, "File too large (os error 27) [copy-failed]");
    said(&piped(send(&["-", "--name", "from a pipe"])), 0, "");
    said(&bench.recv("named", &["--out", "in"]).output().unwrap(), 0, "");
    common::assert_carried(&bench.path("in/from a pipe"), &fs::read(bench.path("text")).unwrap());
    for (args, code) in [(["file", "--name", "x"], 2), (["-", "--name", "a/b"], 2), (["-", "--name", ".."], 2)] {
        said(&send(&args).output().unwrap(), code, "");
    }
    said(&send(&["-", "file", "--name", "file"]).output().unwrap(), 2, "two of the files would be called 'file'");
}
