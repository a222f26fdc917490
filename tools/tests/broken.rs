//! Descriptors that fail: a disk with a bad sector, one that is full, a connection that is reset. Half of a stream
//! passes for the whole of it at neither end.
#![allow(missing_docs)]

mod common;

use std::fs::{self, File};
use std::io::{ErrorKind, IoSlice, Read, Seek, SeekFrom, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{BAUD, Ended, HARDLINE, LIMIT, Running, Wire, bytes, free_port, program, until, until_within};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::Signal;
use nix::sys::socket::{Backlog, ControlMessage, MsgFlags, listen, sendmsg, setsockopt, sockopt};

/// So many bytes can be read of it, and then a read fails with EIO.
const PART: u64 = 1500;

/// What cannot be read to its end: the end of our stack, and nothing behind it.
fn half_read() -> File {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let range = maps.lines().find(|line| line.ends_with("[stack]")).unwrap().split(' ').next().unwrap();
    let end = u64::from_str_radix(range.split_once('-').unwrap().1, 16).unwrap();
    assert!(!maps.lines().any(|line| line.starts_with(&format!("{end:x}-"))), "something is behind it");
    let mut memory = File::open("/proc/self/mem").unwrap();
    memory.seek(SeekFrom::Start(end - PART)).unwrap();
    memory
}

/// A `hardline` whose stdin and stdout these are, told apart by its name.
fn start(wire: &Wire, name: &str, command: &mut Command, input: impl Into<Stdio>, output: impl Into<Stdio>) -> Running {
    wire.start(name, command.stdin(input).stdout(output))
}

#[track_caller]
fn assert_ends(wire: &Wire, running: &Running, code: i32, says: &str) {
    Ended { code: running.wait(), out: Vec::new(), said: wire.log(&running.name) }.assert(code, says);
}

fn pipe(wire: &Wire, end: &str) -> Command {
    let mut command = wire.rig().pipe(end, BAUD);
    command.arg("--plain");
    command
}

// ---- input --------------------------------------------------------------------------------------

#[test]
fn what_cannot_be_read_is_no_end_of_a_pipe() {
    for input in [File::open("/proc/self/mem").unwrap(), half_read()] {
        let wire = Wire::with(&[]);
        let far = start(&wire, "far", &mut pipe(&wire, "b"), Stdio::null(), File::create(wire.path("got")).unwrap());
        let near = start(&wire, "near", &mut pipe(&wire, "a"), input, Stdio::null());
        assert_ends(&wire, &near, 1, "cannot read the input: Input/output error (os error 5) [input-failed]");
        assert_ends(&wire, &far, 3, "the peer failed");
        assert!(fs::metadata(wire.path("got")).unwrap().len() <= PART);
    }
}

#[test]
fn what_cannot_be_read_is_no_end_of_a_channel() {
    let wire = Wire::with(&[]);
    let (part, whole) = (wire.text("part"), wire.text("whole"));
    let service = format!("put=exec:cat >{part} && mv {part} {whole}");
    let _b = wire.link("b", &["--service", &service]);
    // by a port of its own
    let mut open = Command::new(HARDLINE);
    open.args(["open", "--plain"]).arg(wire.path("a")).args(["-b", &BAUD.to_string(), "put"]);
    let near = start(&wire, "open-port", &mut open, half_read(), Stdio::null());
    assert_ends(&wire, &near, 1, "[input-failed]");
    // by a link
    let _a = wire.link("a", &[]);
    wire.await_session();
    let near = start(&wire, "open-link", &mut wire.open("a", "put"), half_read(), Stdio::null());
    assert_ends(&wire, &near, 1, "[input-failed]");
    wire.await_channels(0);
    until("the service is gone", || common::processes_with(&format!("/bin/sh\0-c\0cat >{part}")).is_empty().then_some(()));
    assert!(!wire.path("whole").exists(), "half of the input passes for the whole");
}

/// Takes one connection, writes some bytes, and resets it.
fn serve_and_reset() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            stream.write_all(b"the beginning").unwrap();
            let mut heard = [0; 2];
            stream.read_exact(&mut heard).unwrap();
            setsockopt(&stream, sockopt::Linger, &libc::linger { l_onoff: 1, l_linger: 0 }).unwrap();
        }
    });
    port
}

#[test]
fn a_service_that_resets_has_not_ended() {
    let wire = Wire::with(&[]);
    let (service, forward) = (format!("t=tcp:127.0.0.1:{}", serve_and_reset()), free_port());
    let _ends = wire.linked(&["--forward", &format!("tcp:127.0.0.1:{forward}=t")], &["--service", &service]);
    let ended = wire.ask("t", b"go");
    assert_eq!(ended.out, b"the beginning");
    ended.assert(3, "the far end went away before everything was delivered");
    let mut stream = TcpStream::connect(("127.0.0.1", forward)).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let mut heard = vec![0; "the beginning".len()];
    stream.read_exact(&mut heard).unwrap();
    stream.write_all(b"go").unwrap();
    let end = stream.read(&mut heard);
    assert!(end.as_ref().is_err_and(|e| e.kind() == ErrorKind::ConnectionReset), "{end:?}");
}

/// EIO of a terminal whose other side is gone is its end, as it is for `cat`.
#[test]
fn a_terminal_that_is_gone_has_ended() {
    let wire = Wire::with(&[]);
    let pty = nix::pty::openpty(None, None).unwrap();
    // nobody else keeps it open
    fcntl(&pty.slave, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).unwrap();
    let far = start(&wire, "far", &mut pipe(&wire, "b"), Stdio::null(), File::create(wire.path("got")).unwrap());
    nix::unistd::write(&pty.slave, b"typed\n").unwrap();
    // of a master: the other side is the slave
    let near = start(&wire, "near", &mut pipe(&wire, "a"), pty.master, Stdio::null());
    until("it was read", || fs::read(wire.path("got")).ok().filter(|got| got == b"typed\r\n"));
    drop(pty.slave);
    assert_ends(&wire, &near, 0, "");
    assert_ends(&wire, &far, 0, "");
}

/// Not so the terminal that somebody sits at: what was typed may not have been all.
#[track_caller]
fn assert_user_is_missed(environment: &str) {
    let wire = Wire::with(&[]);
    let pty = nix::pty::openpty(None, None).unwrap();
    // nobody else keeps it open
    fcntl(&pty.master, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).unwrap();
    let far = start(&wire, "far", &mut pipe(&wire, "b"), Stdio::null(), File::create(wire.path("got")).unwrap());
    let seated = |command: &Command| {
        let mut session = common::command("setsid");
        session.args(["--ctty", "--wait", "env", environment]).arg(command.get_program()).args(command.get_args());
        session
    };
    let near = start(&wire, "near", &mut seated(&pipe(&wire, "a")), pty.slave, Stdio::null());
    nix::unistd::write(&pty.master, b"typed\nhalf a li").unwrap();
    until("it was read", || fs::read(wire.path("got")).ok().filter(|got| got == b"typed\n"));
    drop(pty.master);
    assert_ends(&wire, &near, 129, "");
    assert_ends(&wire, &far, 3, "the peer was interrupted");
}

#[test]
fn a_user_who_is_gone_has_not_ended() {
    assert_user_is_missed("--default-signal=HUP");
    // nohup
    assert_user_is_missed("--ignore-signal=HUP");
}

#[test]
fn what_cannot_be_read_is_no_end_of_lines_or_a_stream() {
    for shape in ["--lines", "--stream"] {
        let dir = tempfile::tempdir().unwrap();
        let line = dir.path().join("line");
        let mut send = Command::new(HARDLINE);
        send.args(["diode", "send", "stdio:", shape, "-b", "1000000"]);
        let sent = send.stdin(half_read()).stdout(File::create(&line).unwrap()).output().unwrap();
        let said = String::from_utf8_lossy(&sent.stderr);
        assert_eq!(sent.status.code(), Some(1), "{shape}: {said}");
        assert!(said.contains("[input-failed]"), "{shape}: {said}");
    }
}

// ---- output -------------------------------------------------------------------------------------

/// A shell that lets nobody write more than a kilobyte to a file, and then runs this.
fn limited(command: &Command) -> Command {
    let mut shell = common::command("sh");
    shell.args(["-c", "ulimit -f 1; exec \"$0\" \"$@\""]).arg(command.get_program()).args(command.get_args());
    shell
}

#[test]
fn a_file_that_may_not_grow_is_no_success() {
    let wire = Wire::with(&[]);
    fs::write(wire.path("in"), bytes(5000, 3)).unwrap();
    let got = File::create(wire.path("got")).unwrap();
    let far = start(&wire, "far", &mut limited(&pipe(&wire, "b")), Stdio::null(), got);
    let near = start(&wire, "near", &mut pipe(&wire, "a"), File::open(wire.path("in")).unwrap(), Stdio::null());
    assert_ends(&wire, &far, 3, "cannot write the output: File too large (os error 27)");
    assert!(wire.log("far").contains("[output-unwritable]"), "{}", wire.log("far"));
    assert_ends(&wire, &near, 3, "the peer's output was closed before it had everything");
}

#[test]
fn a_full_disk_is_told_to_both_ends_of_a_channel() {
    let wire = Wire::with(&[]);
    let _ends = wire.linked(&[], &["--service", "get=exec:cat /dev/zero"]);
    let full = File::options().write(true).open("/dev/full").unwrap();
    let near = start(&wire, "open", &mut wire.open("a", "get"), Stdio::null(), full);
    assert_ends(&wire, &near, 3, "No space left on device");
    assert!(wire.log("open").contains("[output-unwritable]"), "{}", wire.log("open"));
    wire.await_channels(0);
}

/// How often a process calls fsync, and where: strace says.
fn traced(wire: &Wire, command: &Command, inject: &[&str]) -> Command {
    let mut strace = Command::new(program("strace"));
    strace.args(["-f", "-qq", "-o"]).arg(wire.path("trace")).args(["-e", "trace=fsync,close"]).args(inject);
    strace.arg(command.get_program()).args(command.get_args());
    strace
}

#[test]
fn a_file_is_on_the_disk_before_the_peer_knows() {
    let wire = Wire::with(&[]);
    let sent = bytes(20_000, 4);
    fs::write(wire.path("in"), &sent).unwrap();
    let got = File::create(wire.path("got")).unwrap();
    let far = start(&wire, "far", &mut traced(&wire, &pipe(&wire, "b"), &[]), Stdio::null(), got);
    let near = start(&wire, "near", &mut pipe(&wire, "a"), File::open(wire.path("in")).unwrap(), Stdio::null());
    assert_ends(&wire, &near, 0, "");
    assert_ends(&wire, &far, 0, "");
    common::assert_carried(&wire.path("got"), &sent);
    let trace = fs::read_to_string(wire.path("trace")).unwrap();
    assert!(trace.contains("fsync("), "{trace}");
}

#[test]
fn a_disk_that_fails_at_the_end_is_no_success() {
    let wire = Wire::with(&[]);
    fs::write(wire.path("in"), bytes(20_000, 5)).unwrap();
    let got = File::create(wire.path("got")).unwrap();
    let inject = ["-e", "inject=fsync:error=EDQUOT"];
    let far = start(&wire, "far", &mut traced(&wire, &pipe(&wire, "b"), &inject), Stdio::null(), got);
    let near = start(&wire, "near", &mut pipe(&wire, "a"), File::open(wire.path("in")).unwrap(), Stdio::null());
    assert_ends(&wire, &near, 3, "the peer's output was closed before it had everything");
    assert_ends(&wire, &far, 3, "uota exceeded");
    assert!(wire.log("far").contains("[output-unwritable]"), "{}", wire.log("far"));
}

#[test]
fn a_disk_that_fails_at_the_end_of_a_channel_is_no_success() {
    let wire = Wire::with(&[]);
    let _b = wire.link("b", &["--service", "get=exec:head -c 20000 /dev/zero"]);
    let mut open = Command::new(HARDLINE);
    open.args(["open", "--plain"]).arg(wire.path("a")).args(["-b", &BAUD.to_string(), "get"]);
    let got = File::create(wire.path("got")).unwrap();
    let mut open = traced(&wire, &open, &["-e", "inject=fsync:error=EDQUOT"]);
    let near = start(&wire, "open", &mut open, Stdio::null(), got);
    assert_ends(&wire, &near, 3, "uota exceeded");
}

// ---- a session that is lost ---------------------------------------------------------------------

/// A service that says a little, reads nothing and stays.
const STAYS: &str = "s=exec:echo hello; exec sleep 1000";

/// What a client of a forward reads once the far link is killed, after "hello".
fn read_after_loss(wire: &Wire, ends: [Running; 2], mut client: impl Read) -> std::io::Result<usize> {
    client.read_exact(&mut [0; 6]).unwrap();
    let [_a, b] = ends;
    b.kill();
    let _b = wire.link("b", &["--service", STAYS]);
    client.read(&mut [0; 6])
}

#[test]
fn a_tcp_connection_is_reset_by_a_loss() {
    let (wire, port) = (Wire::with(&[]), free_port());
    let ends = wire.linked(&["--forward", &format!("tcp:127.0.0.1:{port}=s")], &["--service", STAYS]);
    let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    client.set_read_timeout(Some(LIMIT)).unwrap();
    let end = read_after_loss(&wire, ends, &client);
    assert!(end.as_ref().is_err_and(|e| e.kind() == ErrorKind::ConnectionReset), "{end:?}");
}

/// Half of what a command had to say is not the whole.
#[test]
fn a_connection_to_a_command_that_is_killed_is_reset() {
    let (wire, port) = (Wire::with(&[]), free_port());
    let forward = format!("tcp:127.0.0.1:{port}=s");
    let _ends = wire.linked(&["--forward", &forward], &["--service", "s=exec:echo hello; kill -9 $$"]);
    let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    client.set_read_timeout(Some(LIMIT)).unwrap();
    client.read_exact(&mut [0; 6]).unwrap();
    let end = client.read(&mut [0; 6]);
    assert!(end.as_ref().is_err_and(|e| e.kind() == ErrorKind::ConnectionReset), "{end:?}");
    let ended = wire.ask("s", b"");
    assert_eq!(ended.out, b"hello\n");
    ended.assert(1, "the service was ended by signal 9 [service-failed]");
}

/// The kernel tells a loss on a Unix socket only to who has written something that was not read yet; the guides say so.
#[test]
fn a_unix_connection_is_reset_where_something_is_unread() {
    for unread in [true, false] {
        let wire = Wire::with(&[]);
        let ends = wire.linked(&["--forward", &format!("unix:{}=s", wire.text("in"))], &["--service", STAYS]);
        let client = wire.connect("in");
        client.set_read_timeout(Some(LIMIT)).unwrap();
        if unread {
            client.set_nonblocking(true).unwrap();
            let mut quiet = 0;
            until("nobody reads any more", || {
                quiet = if (&client).write(&[7; 65_536]).is_ok() { 0 } else { quiet + 1 };
                (quiet > 200).then_some(())
            });
            client.set_nonblocking(false).unwrap();
        }
        let end = read_after_loss(&wire, ends, &client);
        match unread {
            true => assert!(end.as_ref().is_err_and(|e| e.kind() == ErrorKind::ConnectionReset), "{end:?}"),
            false => assert_eq!(end.unwrap(), 0),
        }
    }
}

#[test]
fn a_lost_pipe_is_no_end_of_input_for_its_command() {
    let wire = Wire::with(&[]);
    let (part, whole) = (wire.text("part"), wire.text("whole"));
    let far = wire.serve(&["sh", "-c", &format!("cat >{part}; mv {part} {whole}")]);
    let mut near = pipe(&wire, "a");
    let mut near = wire.start("near", near.stdin(Stdio::piped()).stdout(Stdio::null()));
    let mut input = near.child.stdin.take().unwrap();
    input.write_all(b"some of it").unwrap();
    until("some of it arrives", || fs::read(&part).ok().filter(|b| b == b"some of it"));
    near.signal(Signal::SIGTERM);
    assert_ends(&wire, &far, 3, "the peer was interrupted");
    until("the command is gone", || common::processes_with(&format!("cat >{part}")).is_empty().then_some(()));
    assert!(!wire.path("whole").exists(), "half a file passes for a whole one");
}

/// At 300 baud the last message waits for what was written before it.
#[test]
fn the_last_message_leaves_a_slow_port() {
    let wire = Wire::at("300", &[]);
    let mut ends = ["a", "b"].map(|end| {
        let mut command = wire.rig().pipe(end, 300);
        wire.start(end, command.args(["--plain", "-v"]).stdin(Stdio::piped()).stdout(Stdio::piped()))
    });
    ends[0].child.stdin.as_mut().unwrap().write_all(&bytes(2000, 1)).unwrap();
    ends[1].child.stdout.as_mut().unwrap().read_exact(&mut [0; 20]).unwrap();
    ends[0].signal(Signal::SIGTERM);
    assert_eq!(ends[0].wait(), 143);
    // the far end has the usual grace time, of a minute
    until_within(Duration::from_secs(40), "the far end is told", || ends[1].ended());
    assert!(wire.log("b").contains("the peer was interrupted"), "{}", wire.log("b"));
}

#[test]
fn a_peer_that_dies_while_the_session_opens_is_told_of() {
    // its frames come, ours do not reach it
    let wire = Wire::with(&[]);
    let mut recv = Command::new(HARDLINE);
    recv.args(["recv", "--plain"]).arg(wire.path("a")).args(["-b", &BAUD.to_string(), "--out"]).arg(wire.path("out"));
    let recv = wire.start("recv", recv.stdin(Stdio::null()).stdout(Stdio::null()));
    let mut port = tools::sim::pty::open_raw(&wire.path("b")).unwrap();
    // once it is there
    port.read_exact(&mut [0; 16]).unwrap();
    port.write_all(&call()).unwrap();
    until("it says so", || wire.log("recv").contains("a peer was heard, but no session has opened").then_some(()));
    assert!(recv.ended().is_none());
}

/// The first frame of a plain session with channels.
fn call() -> Vec<u8> {
    use link::wire::record::{FEATURE_CHANNELS, Open, VERSION};
    use link::wire::segment::Writer;
    use link::wire::{Binding, Head, Level, frame::body_at, write_frame};
    let mut frame = vec![0; link::FRAME_MAX];
    let mut writer = Writer::new(&mut frame[body_at(Level::Plain)..], 0);
    writer.open(&Open { version: VERSION, answer: true, me: 77, you: 0, limit: 1, payload_max: 100, features: FEATURE_CHANNELS });
    let head = Head::open(writer.len(), Level::Plain);
    let len = write_frame(&mut frame, head, Binding::NONE);
    frame.truncate(len);
    frame
}

// ---- a peer that is not friendly ----------------------------------------------------------------

/// What the kernel says of a process.
fn field(id: i32, name: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_default().trim().to_owned()
}

/// Children of a process that have ended, and whose numbers are no others'.
fn zombies(parent: i32) -> usize {
    let processes = fs::read_dir("/proc").unwrap().flatten().filter_map(|p| p.file_name().to_str()?.parse::<i32>().ok());
    processes.filter(|&id| field(id, "PPid") == parent.to_string() && field(id, "State").starts_with('Z')).count()
}

/// Asks at a control socket for a channel, and hands over these descriptors.
fn ask(wire: &Wire, end: &str, name: &str, fds: [&OwnedFd; 2]) -> UnixStream {
    let stream = wire.connect(&format!("{end}.sock"));
    let line = format!("{{\"open\":\"{name}\"}}\n");
    let rights = fds.map(AsRawFd::as_raw_fd);
    let message = [ControlMessage::ScmRights(&rights)];
    sendmsg::<()>(stream.as_raw_fd(), &[IoSlice::new(line.as_bytes())], &message, MsgFlags::empty(), None).unwrap();
    stream
}

/// A peer may signal its command for as long as it keeps the channel: the number must not be another's by then.
#[test]
fn the_number_of_a_command_is_kept_until_its_channel_ends() {
    let wire = Wire::with(&[]);
    let ends = wire.linked(&[], &["--service", "s=exec:head -c 300000 /dev/zero"]);
    let link = ends[1].id().as_raw();
    let ((input, _hold), (reader, output)) = (std::io::pipe().unwrap(), std::io::pipe().unwrap());
    let mut client = ask(&wire, "a", "s", [&input.into(), &output.into()]);
    // nobody reads what it wrote, so its channel goes on
    until("the command has ended", || (zombies(link) == 1).then_some(()));
    client.write_all(b"{\"note\":\"signal\",\"value\":15}\n").unwrap();
    until("the peer has the signal", || (wire.channels("b") == 1).then_some(()));
    assert_eq!(zombies(link), 1, "it was not reaped");
    let mut read = Vec::new();
    { reader }.read_to_end(&mut read).unwrap();
    assert_eq!(read.len(), 300_000);
    wire.await_channels(0);
    until("it is reaped", || (zombies(link) == 0).then_some(()));
}

/// A listener that lets nobody in: its queue is full. Whoever connects waits.
fn unanswering() -> (TcpListener, Vec<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listen(&listener, Backlog::new(0).unwrap()).unwrap();
    let (address, mut queue) = (listener.local_addr().unwrap(), Vec::new());
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        queue.push(stream);
    }
    (listener, queue)
}

/// Each request starts a thread that connects for up to ten seconds, whether or not it is given up meanwhile.
#[test]
fn requests_that_are_given_up_are_bounded() {
    let (listener, _queue) = unanswering();
    let address = listener.local_addr().unwrap();
    let wire = Wire::with(&[]);
    let ends = wire.linked(&[], &["--service", &format!("s=tcp:{address}")]);
    let link = ends[1].id().as_raw();
    let null: OwnedFd = File::open("/dev/null").unwrap().into();
    let (mut most, began) = (0, Instant::now());
    let (hold, _end) = std::io::pipe().unwrap();
    let hold: OwnedFd = hold.into();
    while began.elapsed() < Duration::from_secs(6) {
        let asked: Vec<_> = (0..50).map(|_| ask(&wire, "a", "s", [&hold, &null])).collect();
        std::thread::sleep(Duration::from_millis(50));
        drop(asked);
        most = most.max(field(link, "Threads").parse().unwrap_or(0));
    }
    assert!((200..=270).contains(&most), "{most} threads");
}

#[test]
fn a_flood_of_requests_is_a_few_lines() {
    let wire = Wire::with(&[]);
    let _ends = wire.linked(&[], &[]);
    let null: OwnedFd = File::open("/dev/null").unwrap().into();
    for _ in 0..10 {
        let asked: Vec<_> = (0..20).map(|_| ask(&wire, "a", "nothing", [&null, &null])).collect();
        for mut client in asked {
            client.read_to_end(&mut Vec::new()).unwrap();
        }
    }
    for end in ["a", "b"] {
        let lines = wire.log(&format!("link-{end}")).matches("[service-absent]").count();
        assert!((1..=5).contains(&lines), "{lines} lines at {end}");
    }
}
