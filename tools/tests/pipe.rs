//! `hardline pipe` as shipped, over simulated wires: what arrives is byte-exact, or the exit code
//! says that it is not.
#![allow(missing_docs)]

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use link::sim::Random;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tools::rig::Rig;

const HARDLINE: &str = env!("CARGO_BIN_EXE_hardline");
const BAUD: u32 = 2_000_000;

fn rig(args: &[&str]) -> Rig {
    let mut all = vec!["--baud", "2000000", "--latency", "200us"];
    all.extend(args);
    Rig::start(Path::new(HARDLINE), &all).expect("the simulated wire starts")
}

fn bytes(len: usize, seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    (0..len).map(|_| random.bits() as u8).collect()
}

/// A process that does not outlive its test.
struct Running(Option<Child>);

impl Running {
    fn start(command: &mut Command) -> Running {
        Running(Some(command.spawn().expect("the command starts")))
    }
    fn child(&mut self) -> &mut Child {
        self.0.as_mut().expect("still there")
    }
    fn signal(&mut self, signal: Signal) {
        kill(Pid::from_raw(self.child().id() as i32), signal).expect("the process is there");
    }
    fn output(mut self) -> Output {
        self.0.take().expect("still there").wait_with_output().expect("the process ends")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// An end that reads a file and keeps what it prints.
fn end(rig: &Rig, name: &str, input: &[u8], args: &[&str]) -> Running {
    let file = rig.path(&format!("{name}.in"));
    std::fs::write(&file, input).unwrap();
    let mut command = rig.pipe(name, BAUD);
    command.args(args).stdin(File::open(file).unwrap()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Running::start(&mut command)
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn assert_exit(output: &Output, code: i32, says: &str) {
    assert_eq!(output.status.code(), Some(code), "{}", text(output));
    assert!(text(output).contains(says), "'{says}' is not in: {}", text(output));
}

/// Waits until `done`, at most half a minute.
#[track_caller]
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < limit, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Both ways at once; returns how long it took.
fn exchange(wire: &[&str], len: usize) -> Duration {
    let rig = rig(wire);
    let (there, back) = (bytes(len, 1), bytes(len / 2, 2));
    let began = Instant::now();
    let a = end(&rig, "a", &there, &[]);
    let b = end(&rig, "b", &back, &[]);
    let reader = std::thread::spawn(move || a.output());
    let (b, a) = (b.output(), reader.join().unwrap());
    assert_exit(&a, 0, "");
    assert_exit(&b, 0, "");
    assert!(a.stdout == back && b.stdout == there, "byte-exact both ways");
    began.elapsed()
}

#[test]
fn carries_both_ways() {
    exchange(&[], 200_000);
}

#[test]
fn survives_noise() {
    exchange(&["--ber", "1e-4", "--burst", "1e-4:20:0.3", "--drop", "2e-5:64", "--insert", "1e-5", "--timer", "16ms"], 200_000);
}

#[test]
fn survives_a_pulled_cable() {
    let took = exchange(&["--outage", "0.3:1.5"], 200_000);
    assert!(took >= Duration::from_millis(1800), "the outage fell into the transfer");
}

#[test]
fn survives_a_vanished_adapter() {
    let took = exchange(&["--unplug", "0.3:1.5"], 200_000);
    assert!(took >= Duration::from_millis(1800), "the adapter vanished during the transfer");
}

#[test]
fn half_close_reaches_a_command() {
    let rig = rig(&["--ber", "1e-5"]);
    let input = bytes(100_000, 3);
    let b = end(&rig, "b", b"", &["--", "sha256sum"]);
    let a = end(&rig, "a", &input, &[]).output();
    let b = b.output();
    assert_exit(&a, 0, "");
    assert_exit(&b, 0, "");
    use sha2::Digest;
    let digest: String = sha2::Sha256::digest(&input).iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(String::from_utf8_lossy(&a.stdout), format!("{digest}  -\n"));
}

#[test]
fn a_failed_command_is_told() {
    let rig = rig(&[]);
    let b = end(&rig, "b", b"", &["--", "sh", "-c", "cat >/dev/null; exit 9"]);
    assert_exit(&end(&rig, "a", b"hello", &[]).output(), 0, "");
    assert_exit(&b.output(), 1, "exit status: 9");
}

/// It may fail to store the last of what it was given.
#[test]
fn a_command_is_waited_for_however_long_it_takes() {
    let rig = rig(&[]);
    let b = end(&rig, "b", b"", &["--", "sh", "-c", "cat >/dev/null; exec >&-; sleep 2; exit 9"]);
    assert_exit(&end(&rig, "a", b"hello", &[]).output(), 0, "");
    assert_exit(&b.output(), 1, "exit status: 9");
}

#[test]
fn a_command_that_never_ends_is_said_and_can_be_ended() {
    let rig = rig(&[]);
    let mut b = end(&rig, "b", b"", &["--", "sh", "-c", "cat >/dev/null; exec >&-; exec sleep 1000"]);
    let mut said = BufReader::new(b.child().stderr.take().unwrap()).lines();
    assert_exit(&end(&rig, "a", b"hello", &[]).output(), 0, "");
    let line = said.find(|line| line.as_ref().unwrap().contains("[command-runs]")).expect("a word of it").unwrap();
    assert!(line.contains("has not ended; waiting for it"), "{line}");
    // others may have the port meanwhile
    let next = end(&rig, "b", b"", &[]);
    assert_exit(&end(&rig, "a", b"", &[]).output(), 0, "");
    assert_exit(&next.output(), 0, "");
    b.signal(Signal::SIGTERM);
    assert_eq!(b.output().status.code(), Some(143));
    assert!(said.next().unwrap().unwrap().contains("ended by signal 15, while"));
}

/// A pair with a stream that never ends, once data has come through.
fn endless(rig: &Rig, args: &[&str]) -> (Running, Running) {
    let mut a = rig.pipe("a", BAUD);
    a.args(args).stdin(File::open("/dev/zero").unwrap()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut b = rig.pipe("b", BAUD);
    b.args(args).stdin(File::open("/dev/zero").unwrap()).stdout(File::create(rig.path("b.out")).unwrap()).stderr(Stdio::piped());
    let pair = (Running::start(&mut a), Running::start(&mut b));
    until("data arrives", || std::fs::metadata(rig.path("b.out")).is_ok_and(|m| m.len() > 0));
    pair
}

#[test]
fn a_killed_peer_is_noticed() {
    let rig = rig(&[]);
    let (a, mut b) = endless(&rig, &["--grace", "1s"]);
    b.signal(Signal::SIGKILL);
    assert_exit(&a.output(), 3, "nothing came from the peer for 1 s");
}

#[test]
fn a_restarted_peer_is_told() {
    let rig = rig(&[]);
    let (a, mut b) = endless(&rig, &[]);
    b.signal(Signal::SIGKILL);
    let _ = b.output();
    let _again = end(&rig, "b", b"", &[]);
    assert_exit(&a.output(), 3, "the peer was restarted");
}

#[test]
fn a_peer_restarted_before_anything_passed_is_no_loss() {
    let rig = rig(&[]);
    let mut first = rig.pipe("b", BAUD);
    let mut first = Running::start(first.stdin(Stdio::piped()).stdout(Stdio::null()));
    let mut a = rig.pipe("a", BAUD);
    let a = Running::start(a.arg("-v").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()));
    let mut a = a;
    // open, and nothing sent
    let mut log = [0u8; 4096];
    let mut seen = String::new();
    while !seen.contains("is open") || !seen.contains("session") {
        let n = a.child().stderr.as_mut().unwrap().read(&mut log).unwrap();
        assert!(n > 0, "{seen}");
        seen += &String::from_utf8_lossy(&log[..n]);
    }
    first.signal(Signal::SIGKILL);
    let _ = first.output();
    drop(a.child().stdin.take());
    let b = end(&rig, "b", b"hello", &[]);
    assert_exit(&b.output(), 0, "");
    let a = a.output();
    assert_exit(&a, 0, "");
    assert_eq!(a.stdout, b"hello");
}

#[test]
fn signals_end_both_ends_honestly() {
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let rig = rig(&[]);
        let (a, mut b) = endless(&rig, &[]);
        b.signal(signal);
        assert_exit(&b.output(), code, "interrupted by signal");
        assert_exit(&a.output(), 3, "the peer was interrupted");
    }
}

/// ssh sends SIGHUP to its ProxyCommand when it is done: what it wrote before must still arrive, and
/// the far end must not take that for a failure.
#[test]
fn a_hangup_ends_in_order() {
    let rig = rig(&["--ber", "1e-5"]);
    let mut b = end(&rig, "b", b"", &[]);
    let mut a = rig.pipe("a", BAUD);
    let mut a = Running::start(a.arg("--plain").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()));
    let input = bytes(20_000, 3);
    a.child().stdin.as_mut().unwrap().write_all(&input).unwrap();
    let mut first = [0u8; 1];
    b.child().stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    a.signal(Signal::SIGHUP);
    let a = a.output();
    assert_exit(&a, 129, "");
    assert!(text(&a).is_empty(), "the user's terminal is left alone: {}", text(&a));
    let b = b.output();
    assert_exit(&b, 0, "");
    assert!(first == input[..1] && b.stdout == input[1..]);
}

/// A hangup while there is more to read is no end in order.
#[test]
fn a_hangup_in_the_middle_is_no_success() {
    let rig = rig(&[]);
    let (a, mut b) = endless(&rig, &[]);
    b.signal(Signal::SIGHUP);
    assert_exit(&b.output(), 129, "interrupted by signal 1");
    assert_exit(&a.output(), 3, "the peer was interrupted");
}

#[test]
fn what_a_command_never_read_was_not_delivered() {
    for end_of_command in ["exit 0", "exit 3", "kill -9 $$"] {
        let rig = rig(&[]);
        let b = end(&rig, "b", b"", &["--", "sh", "-c", &format!("sleep 0.3; {end_of_command}")]);
        assert_exit(&end(&rig, "a", &bytes(5000, 1), &[]).output(), 3, "");
        assert!(!b.output().status.success());
    }
}

#[test]
fn half_of_what_a_killed_command_said_is_no_success() {
    let rig = rig(&[]);
    let b = end(&rig, "b", b"", &["--", "sh", "-c", "echo half; kill -9 $$"]);
    let a = end(&rig, "a", b"", &[]).output();
    assert_exit(&a, 3, "the peer failed");
    assert_exit(&b.output(), 1, "killed by signal 9");
}

#[test]
fn a_command_that_stops_reading_may_still_answer() {
    let rig = rig(&[]);
    let b = end(&rig, "b", b"", &["--", "sh", "-c", "exec <&-; sleep 0.2; echo reply"]);
    let a = end(&rig, "a", &bytes(500_000, 1), &[]).output();
    assert_exit(&a, 3, "output was closed");
    assert_eq!(a.stdout, b"reply\n");
    assert_exit(&b.output(), 3, "cannot write the output");
}

#[test]
fn a_wire_command_that_keeps_failing_is_given_up() {
    let output = pipe("exec:false", &["--grace", "1s"]);
    assert_exit(&output, 6, "did not come back for 1 s");
    assert!(text(&output).lines().count() <= 2, "{}", text(&output));
}

#[test]
fn a_stalled_reader_holds_the_data_not_the_session() {
    let rig = rig(&[]);
    let input = bytes(600_000, 4);
    let a = end(&rig, "a", &input, &["--grace", "1s"]);
    let mut b = end(&rig, "b", b"", &["--grace", "1s"]);
    // nobody reads for three times the grace time
    std::thread::sleep(Duration::from_secs(3));
    assert!(b.child().try_wait().unwrap().is_none(), "still alive");
    let b = b.output();
    assert_exit(&b, 0, "");
    assert_exit(&a.output(), 0, "");
    assert!(b.stdout == input);
}

#[test]
fn a_closed_stdout_is_no_success() {
    let rig = rig(&[]);
    let a = end(&rig, "a", &bytes(300_000, 5), &[]);
    let mut b = end(&rig, "b", b"", &[]);
    let mut some = [0u8; 1000];
    b.child().stdout.as_mut().unwrap().read_exact(&mut some).unwrap();
    drop(b.child().stdout.take());
    assert_exit(&b.output(), 3, "cannot write the output");
    assert_exit(&a.output(), 3, "output was closed");
}

#[test]
fn a_full_disk_is_no_success() {
    let rig = rig(&[]);
    let a = end(&rig, "a", &bytes(100_000, 6), &[]);
    let mut b = rig.pipe("b", BAUD);
    let b = Running::start(
        b.stdin(Stdio::null()).stdout(File::options().write(true).open("/dev/full").unwrap()).stderr(Stdio::piped()),
    );
    assert_exit(&b.output(), 3, "No space left");
    assert_exit(&a.output(), 3, "output was closed");
}

#[test]
fn null_device_and_files_work() {
    let rig = rig(&[]);
    let input = rig.path("input");
    std::fs::write(&input, bytes(50_000, 7)).unwrap();
    let mut b = rig.pipe("b", BAUD);
    let b = Running::start(
        b.stdin(File::open("/dev/null").unwrap()).stdout(File::create(rig.path("out")).unwrap()).stderr(Stdio::piped()),
    );
    let mut a = rig.pipe("a", BAUD);
    let a = Running::start(
        a.stdin(File::open(&input).unwrap())
            .stdout(File::options().write(true).open("/dev/null").unwrap())
            .stderr(Stdio::piped()),
    );
    assert_exit(&a.output(), 0, "");
    assert_exit(&b.output(), 0, "");
    assert!(std::fs::read(input).unwrap() == std::fs::read(rig.path("out")).unwrap());
    let stats = rig.stats("a").unwrap();
    for field in [
        "bytes_in",
        "bytes_out",
        "wire_in",
        "wire_out",
        "frames_in",
        "frames_out",
        "frames_bad",
        "resends",
        "rtt_us",
        "ber",
        "seconds",
        "goodput",
    ] {
        assert!(stats[field].is_number(), "{field} in {stats}");
    }
    assert_eq!(stats["bytes_out"], 50_000);
}

#[test]
fn statistics_never_replace_a_device() {
    use std::os::unix::fs::FileTypeExt;
    let output = Command::new(HARDLINE).args(["sim", "-a", "/no/such/dir/a", "-b", "/no/b"]).output().unwrap();
    assert_exit(&output, 6, "make a pseudo-terminal");
    let fifo = tempfile::tempdir().unwrap();
    let path = fifo.path().join("stats");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let reader = {
        let path = path.clone();
        std::thread::spawn(move || std::fs::read_to_string(path).unwrap())
    };
    tools::stats::write_json(&path, &serde_json::json!({"one": 1})).unwrap();
    assert_eq!(reader.join().unwrap(), "{\"one\":1}\n");
    assert!(std::fs::metadata(path).unwrap().file_type().is_fifo());
}

/// Clock ticks of CPU a process has used.
fn cpu_ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn a_hung_up_tty_does_not_spin_and_the_port_is_named() {
    let rig = rig(&["--unplug", "0.8:600"]);
    let (mut a, _b) = endless(&rig, &["--grace", "4s"]);
    until("the adapter vanishes", || !rig.path("a").exists());
    let (pid, before) = (a.child().id(), cpu_ticks(a.child().id()));
    std::thread::sleep(Duration::from_secs(2));
    let used = cpu_ticks(pid) - before;
    assert!(used <= 20, "{used} ticks of CPU in two seconds of nothing");
    assert_exit(&a.output(), 3, "is gone");
}

#[test]
fn statistics_on_request() {
    let rig = rig(&[]);
    let (mut a, _b) = endless(&rig, &[]);
    a.signal(Signal::SIGUSR1);
    until("the statistics are written", || rig.stats("a").is_ok());
    assert!(rig.stats("a").unwrap()["wire_out"].as_u64().unwrap() > 0);
    assert!(a.child().try_wait().unwrap().is_none(), "it goes on");
}

// ---- bad input ----------------------------------------------------------------------------------

fn pipe(port: &str, args: &[&str]) -> Output {
    let mut command = Command::new(HARDLINE);
    command.arg("pipe").arg(port).args(args).stdin(Stdio::null());
    command.output().unwrap()
}

#[test]
fn what_cannot_be_opened_is_said_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "untouched").unwrap();
    for (port, args, code, says) in [
        ("http:host", &[][..], 2, "unknown scheme 'http:'"),
        ("ttyUSB0", &[], 2, "neither a path"),
        ("tcp:host", &[], 2, "PORT a number"),
        ("/dev/null/x", &[], 6, "cannot open /dev/null/x"),
        ("/dev/no-such-tty", &[], 6, "is the adapter plugged in?"),
        (file.to_str().unwrap(), &[], 6, "this is not a serial port"),
        ("usb:NOSUCHNUMBER", &[], 6, "no adapter has this serial number"),
        ("tcp:127.0.0.1:1", &[], 6, "connect to tcp:127.0.0.1:1"),
        ("unix:/no/such/socket", &[], 6, "connect to unix:"),
        ("unix-listen:/no/such/dir/socket", &[], 6, "listen on unix-listen:"),
        ("/dev/tty", &["-b", "0"], 2, "baud rate of 0"),
        ("stdio:", &[], 2, "needs a command"),
        ("/dev/null", &[], 6, "this is not a serial port"),
        ("udp:127.0.0.1:9", &[], 2, "no way back"),
    ] {
        let output = pipe(port, args);
        assert_exit(&output, code, says);
        assert!(output.stdout.is_empty());
        if code == 6 {
            assert_eq!(text(&output).lines().count(), 1, "{}", text(&output));
        }
    }
    assert_eq!(std::fs::read_to_string(file).unwrap(), "untouched");
}

#[test]
fn a_busy_port_names_its_holder() {
    let rig = rig(&[]);
    let mut first = Running::start(rig.pipe("a", BAUD).stdin(Stdio::piped()).stdout(Stdio::null()));
    let pid = first.child().id();
    let port = std::fs::canonicalize(rig.path("a")).unwrap();
    let holds = || {
        std::fs::read_dir(format!("/proc/{pid}/fd"))
            .is_ok_and(|fds| fds.flatten().any(|fd| std::fs::read_link(fd.path()).is_ok_and(|to| to == port)))
    };
    until("the first has the port", holds);
    let second = pipe(rig.path("a").to_str().unwrap(), &[]);
    assert_exit(&second, 6, "busy");
    assert!(text(&second).contains(&format!("process {pid}")), "{}", text(&second));
}

#[test]
fn no_permission_is_said() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("not run: only root can become somebody without rights");
        return;
    }
    let rig = rig(&[]);
    std::fs::set_permissions(rig.dir(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let program = rig.path("hardline");
    std::fs::copy(HARDLINE, &program).unwrap();
    let mut command = Command::new(program);
    command.arg("pipe").arg(rig.path("a")).stdin(Stdio::null()).uid(65534).gid(65534);
    assert_exit(&command.output().unwrap(), 6, "permission denied");
}

/// The other end of the wire as something that is no hardline.
fn stranger(rig: &Rig) -> File {
    tools::sim::pty::open_raw(&rig.path("b")).unwrap()
}

#[test]
fn a_burst_of_something_else_ends_nothing() {
    let rig = rig(&[]);
    stranger(&rig).write_all(&bytes(3000, 4)).unwrap();
    let mut a = end(&rig, "a", b"hello", &["--grace", "2s"]);
    stranger(&rig).write_all(&bytes(3000, 5)).unwrap();
    // said after 5 s, long after the grace time
    let mut line = String::new();
    BufReader::new(a.child().stderr.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("no answer from the peer yet"), "{line}");
    let b = end(&rig, "b", b"", &[]);
    assert_eq!(a.output().status.code(), Some(0));
    assert_eq!(b.output().stdout, b"hello");
}

#[test]
fn a_peer_in_another_mode_is_told() {
    let rig = rig(&[]);
    let mut test = Command::new(HARDLINE);
    test.arg("test").arg(rig.path("b")).args(["-b", "2000000", "--quiet"]).stdout(Stdio::null()).stderr(Stdio::null());
    let _test = Running::start(&mut test);
    let a = end(&rig, "a", b"hello", &["--grace", "4s"]);
    assert_exit(&a.output(), 5, "of another command ('hardline test', 'hardline diode')");
}

/// What is heard in the place of a peer is named, first as a warning, and then as the reason.
#[track_caller]
fn assert_is_told(says: &[u8], code: &str, words: &str) {
    let rig = rig(&[]);
    let mut other = stranger(&rig);
    let mut a = end(&rig, "a", b"hello", &["--grace", "4s"]);
    while a.child().try_wait().unwrap().is_none() {
        other.write_all(says).unwrap();
        std::thread::sleep(Duration::from_millis(50));
    }
    let output = a.output();
    assert_exit(&output, 5, &format!("{words}; given up after 4 s [{code}]"));
    let told = text(&output);
    let lines: Vec<&str> = told.lines().collect();
    assert!(lines.len() == 2 && lines[0].contains("WARN") && lines[0].contains(&format!("{words}; calling on")), "{told}");
}

#[test]
fn a_peer_that_is_no_hardline_is_told() {
    assert_is_told(&bytes(40, 6), "not-hardline", "none were hardline frames: wrong baud rate or another program?");
}

#[test]
fn who_talks_in_the_place_of_a_peer_is_told() {
    let text = "text comes in the place of frames, from";
    assert_is_told(b"\r\nbox login: ", "text-heard", &format!("{text} a login prompt: 'box login:'"));
    assert_is_told(
        b"[    1.5] usb 1-1: new device\r\n",
        "text-heard",
        &format!("{text} a boot log: '[    1.5] usb 1-1: new device'"),
    );
}

#[test]
fn another_version_is_refused() {
    let rig = rig(&[]);
    let mut other = stranger(&rig);
    let mut body = vec![0, 0, 0x11, 3]; // OPEN of version 3
    body.extend(77u64.to_le_bytes());
    body.extend([0; 8]);
    body.extend(b"whatever version 3 says");
    let mut frame = vec![0; link::FRAME_MAX];
    frame[4..4 + body.len()].copy_from_slice(&body);
    let len = link::wire::write_frame(
        &mut frame,
        link::wire::Head::open(body.len(), link::wire::Level::Plain),
        link::wire::Binding::NONE,
    );
    let mut a = end(&rig, "a", b"hello", &[]);
    while a.child().try_wait().unwrap().is_none() {
        other.write_all(&frame[..len]).unwrap();
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_exit(&a.output(), 5, "version 3");
}

#[test]
fn an_echo_is_told() {
    let output = Running::start(
        Command::new(HARDLINE).args(["pipe", "exec:exec cat"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()),
    );
    let mut output = output;
    let mut line = [0u8; 200];
    let n = output.child().stderr.as_mut().unwrap().read(&mut line).unwrap();
    assert!(String::from_utf8_lossy(&line[..n]).contains("our own frames come back"));
    output.signal(Signal::SIGTERM);
    assert_eq!(output.output().status.code(), Some(143));
}

// ---- the other kinds of port --------------------------------------------------------------------

fn between(one: &str, other: &str) {
    let input = bytes(3_000_000, 8);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("in");
    std::fs::write(&file, &input).unwrap();
    let start = |port: &str, input: File| {
        let mut command = Command::new(HARDLINE);
        Running::start(command.args(["pipe", "--wait", port]).stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped()))
    };
    let a = start(one, File::open(&file).unwrap());
    let b = start(other, File::open("/dev/null").unwrap());
    let b = b.output();
    assert_exit(&b, 0, "");
    assert_exit(&a.output(), 0, "");
    assert!(b.stdout == input);
}

#[test]
fn tcp_and_unix_ports() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    between(&format!("tcp-listen:127.0.0.1:{port}"), &format!("tcp:localhost:{port}"));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    between(&format!("unix:{}", path.display()), &format!("unix-listen:{}", path.display()));
    assert!(!path.exists(), "no socket stays behind");
}

#[test]
fn exec_and_stdio_ports() {
    let input = bytes(500_000, 9);
    let mut command = Command::new(HARDLINE);
    command.arg("pipe").arg(format!("exec:exec {HARDLINE} pipe stdio: -- cat"));
    let mut running = Running::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()));
    let mut stdin = running.child().stdin.take().unwrap();
    let writer = {
        let input = input.clone();
        std::thread::spawn(move || stdin.write_all(&input))
    };
    let output = running.output();
    writer.join().unwrap().unwrap();
    assert_exit(&output, 0, "");
    assert!(output.stdout == input);
}

#[test]
fn waits_for_a_port_that_comes_later() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    let start = |port: &Path| {
        let mut command = Command::new(HARDLINE);
        command
            .args(["pipe", "--wait", "-b", "2000000"])
            .arg(port)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Running::start(&mut command)
    };
    let ends = [start(&a), start(&b)];
    let mut sim = Command::new(HARDLINE);
    let mut sim = Running::start(sim.args(["sim", "--baud", "2000000", "-a"]).arg(&a).arg("-b").arg(&b));
    for end in ends {
        assert_exit(&end.output(), 0, "");
    }
    sim.signal(Signal::SIGTERM);
    assert_eq!(sim.output().status.code(), Some(0));
    assert!(!a.exists() && !b.exists(), "the simulator cleans up");
}

#[test]
fn the_demo_runs() {
    let output = Command::new(HARDLINE).args(["demo", "-q", "--size", "100"]).output().unwrap();
    assert_exit(&output, 0, "");
    assert_eq!(text(&output), "", "with -q errors, and nothing else");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("Both files arrived byte-exact") && said.contains("nothing was asked for again"), "{said}");
}
