//! Services and forwards of every kind, and what is refused.

use std::fs::File;
use std::io::{IoSlice, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::Stdio;

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};

use super::common::{Wire, bytes, command, echo, free_port, until, write_all_beside};

#[test]
fn services_of_every_kind() {
    let wire = Wire::new("1e-5", "1");
    wire.listen("echo", echo);
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = tcp.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in tcp.incoming().flatten() {
            let _ = std::io::copy(&mut &stream, &mut &stream);
            let _ = stream.shutdown(Shutdown::Write);
        }
    });
    let (t, u) = (format!("t=tcp:127.0.0.1:{port}"), format!("u=unix:{}", wire.text("echo")));
    let pty = "p=pty:echo $TERM; tty -s && cat";
    let _ends = wire.linked(&[], &["--service", &t, "--service", &u, "--service", "e=exec:tr a-y b-z", "--service", pty]);

    let sent = bytes(60_000, 1);
    wire.ask("t", &sent).assert_wrote(&sent);
    wire.ask("u", &sent).assert_wrote(&sent);
    wire.ask("e", b"hal").assert_wrote(b"ibm");
    wire.ask("e", b"").assert_wrote(b"");
    // once as the terminal echoes it, once as cat copies it
    let ended = wire.feed("open-p", wire.open("a", "p").env("TERM", "vt220"), b"hello\n").end();
    let text = String::from_utf8_lossy(&ended.out).into_owned();
    ended.assert(0, "");
    assert!(text.contains("vt220\r\n") && text.matches("hello\r\n").count() == 2, "{text:?}");
    wire.finish();
}

#[test]
fn forwards_of_both_kinds_in_both_directions() {
    let wire = Wire::new("1e-5", "2");
    let port = free_port();
    let (tcp, unix) = (format!("tcp:127.0.0.1:{port}=up"), format!("unix:{}=down", wire.text("in")));
    let _ends =
        wire.linked(&["--forward", &tcp, "--service", "down=exec:tr a-z A-Z"], &["--forward", &unix, "--service", "up=exec:cat"]);
    let sent = bytes(100_000, 2);
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let mut back = Vec::new();
    let (mut writer, all) = (stream.try_clone().unwrap(), sent.clone());
    let writing = std::thread::spawn(move || {
        writer.write_all(&all).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    stream.read_to_end(&mut back).unwrap();
    writing.join().unwrap();
    assert!(back == sent, "byte-exact by way of TCP");

    let mut stream = wire.connect("in");
    write_all_beside(&stream, b"shout".to_vec());
    let mut back = String::new();
    stream.read_to_string(&mut back).unwrap();
    assert_eq!(back, "SHOUT");
    wire.await_channels(0);
    wire.finish();
}

#[test]
fn what_is_not_there_is_refused() {
    let wire = Wire::with(&[]);
    let (dead, gone) = (format!("dead=tcp:127.0.0.1:{}", free_port()), format!("gone=unix:{}", wire.text("nobody")));
    let forward = format!("unix:{}=other", wire.text("in"));
    let _ends = wire.linked(&["--forward", &forward], &["--service", &dead, "--service", &gone]);
    assert_eq!(wire.connect("in").read(&mut [0]).unwrap_or(0), 0);
    wire.ask("nothing", b"x").assert(5, "the peer offers no service of that name");
    wire.ask("dead", b"x").assert(5, "the peer could not reach or start the service");
    wire.ask("gone", b"x").assert(5, "the peer could not reach or start the service");
    // names that cannot be are a matter of the command line
    let no_name = wire.feed("no-name", &mut wire.open("a", "no/name"), b"").end();
    no_name.assert(2, "is no name of a service");
    wire.await_channels(0);
    // both logs name what was wanted, and what of it is known here
    let target = |service: &str| service.split_once('=').unwrap().1.to_owned();
    for line in [
        format!("--forward {forward}: the peer offers no service of that name"),
        "open 'nothing': the peer offers no service of that name".into(),
        "open 'dead': the peer could not reach or start the service".into(),
    ] {
        assert!(wire.log("link-a").contains(&format!(" WARN {line}")), "{line} is not in: {}", wire.log("link-a"));
    }
    for line in [
        "the peer asks for service 'other', which is not offered here".into(),
        format!("cannot connect to service 'dead' ({}): ", target(&dead)),
        format!("cannot connect to service 'gone' ({}): ", target(&gone)),
    ] {
        assert!(wire.log("link-b").contains(&format!(" WARN {line}")), "{line} is not in: {}", wire.log("link-b"));
    }
}

/// A peer that asks again and again fills no disk.
#[test]
fn refusals_are_not_logged_without_end() {
    let wire = Wire::with(&[]);
    let _ends = wire.linked(&[], &["--service", "bad=exec:exit 3"]);
    for i in 0..30 {
        let (name, code) = if i % 2 == 0 { ("nothing", 5) } else { ("bad", 1) };
        wire.ask(name, b"").assert(code, "");
    }
    let log = wire.log("link-b");
    let said = |words: &str| log.lines().filter(|line| line.contains(words)).count();
    let (refused, ended) = (said("which is not offered here"), said("ended with exit code 3"));
    assert!(refused > 0 && ended > 0 && refused + ended < 20, "{log}");
}

#[test]
fn how_a_command_ended_is_handed_back() {
    let wire = Wire::with(&[]);
    let services = [
        "deaf=exec:exit 9",
        "unread=exec:head -c 5; exit 9",
        "half=exec:head -c 5",
        "seven=exec:cat; exit 7",
        "killed=exec:cat >/dev/null; kill -9 $$",
        "typo=exec:/no/such/program",
    ];
    let services = services.map(|s| ["--service", s]).concat();
    let _ends = wire.linked(&[], &services);
    let seven = wire.ask("seven", b"what it said before");
    assert_eq!(seven.out, b"what it said before");
    seven.assert(1, "the service ended with exit code 7");
    wire.ask("killed", b"x").assert(1, "the service was ended by signal 9");
    wire.ask("typo", b"").assert(1, "the service ended with exit code 127");
    // what it left unread was lost, whatever it says itself
    let unread = wire.ask("unread", &[b'x'; 500_000]);
    assert_eq!(unread.out, b"xxxxx");
    unread.assert(1, "the service ended with exit code 9 and did not read all of its input");
    wire.ask("deaf", b"short").assert(1, "the service ended with exit code 9");
    let half = wire.ask("half", &[b'x'; 500_000]);
    assert_eq!(half.out, b"xxxxx");
    half.assert(3, "");
    for line in [
        "service 'seven' (exec:cat; exit 7) ended with exit code 7",
        "service 'killed' (exec:cat >/dev/null; kill -9 $$) was ended by signal 9",
    ] {
        assert!(wire.log("link-b").contains(&format!(" WARN {line}")), "{line} is not in: {}", wire.log("link-b"));
    }
    assert!(wire.log("link-a").contains(" WARN open 'seven': the service ended with exit code 7"), "{}", wire.log("link-a"));
}

/// Asks the control socket of `a` by hand, with these lines; what comes back goes to the file `out`.
fn ask_by_hand(wire: &Wire, lines: &[&str]) -> UnixStream {
    let (input, output) = (File::open("/dev/null").unwrap(), File::create(wire.path("out")).unwrap());
    let control = until("the control socket", || UnixStream::connect(wire.path("a.sock")).ok());
    let fds = [input.as_raw_fd(), output.as_raw_fd()];
    let (text, rights) = (lines.join("\n") + "\n", [ControlMessage::ScmRights(&fds)]);
    sendmsg::<()>(control.as_raw_fd(), &[IoSlice::new(text.as_bytes())], &rights, MsgFlags::empty(), None).unwrap();
    control
}

#[test]
fn what_is_told_before_the_channel_is_there_is_kept() {
    let wire = Wire::with(&[]);
    let _a = wire.link("a", &[]);
    let size = |rows: u32, columns: u32| format!(r#"{{"note":"size","value":{}}}"#, rows << 16 | columns);
    let open = r#"{"open":"size","class":"interactive","term":"vt100"}"#;
    let mut control = ask_by_hand(&wire, &[open, &size(10, 20), &size(40, 100)]);
    // as the session begins, so does the shell: it never sees another size
    let script = "size=pty:stty size; until [ \"$(stty size)\" = '40 100' ]; do sleep 0.05; done; echo sized";
    let _b = wire.link("b", &["--service", script]);
    let mut said = String::new();
    control.read_to_string(&mut said).unwrap();
    assert!(said.contains(r#"{"ended":true}"#), "{said}");
    assert_eq!(std::fs::read_to_string(wire.path("out")).unwrap(), "40 100\r\nsized\r\n");
}

#[test]
fn connections_beyond_the_limit_wait() {
    let wire = Wire::with(&[]);
    wire.listen("echo", echo);
    let (service, forward) = (format!("e=unix:{}", wire.text("echo")), format!("unix:{}=e", wire.text("in")));
    let _b = wire.link("b", &["--service", &service]);
    let mut a = command("sh");
    a.args(["-c", "ulimit -n 40; exec \"$@\"", "sh", super::common::HARDLINE, "link"]).arg(wire.path("a"));
    a.args(["-b", "2000000", "--forward", &forward, "--control"]).arg(wire.path("a.sock"));
    let _a = wire.start("link-a", &mut a);
    wire.await_session();
    let full = "cannot accept a connection at --forward";
    let mut waiting: Vec<UnixStream> = (0..40).map(|_| wire.connect("in")).collect();
    until("the limit is reached", || wire.log("link-a").contains(full).then_some(()));
    // each leaves its place to another
    while !waiting.is_empty() {
        let mut stream = waiting.remove(0);
        stream.write_all(b"?").unwrap();
        stream.read_exact(&mut [0]).unwrap();
    }
    wire.await_channels(0);
    assert_eq!(wire.log("link-a").matches(full).count(), 1, "{}", wire.log("link-a"));
}

#[test]
fn each_direction_ends_for_itself() {
    let wire = Wire::new("1e-5", "3");
    // the service speaks first and ends its direction, then hears what the client says after that
    wire.listen("first", |mut stream| {
        stream.write_all(b"bye").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).unwrap();
        assert!(heard == bytes(50_000, 3), "the service hears all of it");
    });
    let (first, inward) = (format!("first=unix:{}", wire.text("first")), format!("unix:{}=first", wire.text("in")));
    let _ends = wire.linked(&["--forward", &inward], &["--service", &first, "--service", "count=exec:wc -c"]);
    let mut stream = wire.connect("in");
    let mut heard = String::new();
    stream.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "bye");
    write_all_beside(&stream, bytes(50_000, 3)).join().unwrap();
    // only after everything was heard and confirmed are both ends rid of the channel
    wire.await_channels(0);
    // the client ends its direction, the service answers after that
    wire.ask("count", &[7; 50_000]).assert_wrote(b"50000\n");
    wire.finish();
}

#[test]
fn the_control_socket_is_for_its_owner() {
    let wire = Wire::with(&[]);
    let _ends = wire.linked(&[], &[]);
    let mode = std::fs::metadata(wire.path("a.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let status = wire.run("status", command(super::common::HARDLINE).arg("status").arg(wire.path("a.sock")));
    assert!(status.contains(&wire.text("a")) && status.contains("at 2000000 baud: open"), "{status}");
}

#[test]
fn two_services_of_one_name_are_refused() {
    let wire = Wire::with(&[]);
    let link = wire.link("a", &["--service", "x=exec:cat", "--service", "x=exec:true"]);
    assert_eq!(link.wait(), 2);
    assert!(wire.log("link-a").contains("two services are called 'x'"), "{}", wire.log("link-a"));
    assert!(!wire.path("a.sock").exists());
}

/// Of the time others left it, the part in which the main thread of a process ran, over a second and a half.
fn busy(pid: nix::unistd::Pid) -> f64 {
    let share = || {
        let text = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap();
        let fields: Vec<f64> = text.split_whitespace().map(|field| field.parse::<f64>().unwrap() / 1e9).collect();
        (fields[0], fields[1])
    };
    let (began, before) = (std::time::Instant::now(), share());
    std::thread::sleep(std::time::Duration::from_millis(1500));
    let (length, after) = (began.elapsed().as_secs_f64(), share());
    let ran = after.0 - before.0;
    ran / (length - (after.1 - before.1)).max(ran)
}

/// It hangs up, while the client goes on: a poll that asks of it for nothing would end at once, for ever.
#[test]
fn a_unix_service_that_is_gone_costs_nothing() {
    let wire = Wire::with(&[]);
    wire.listen("bye", |mut stream| stream.write_all(b"bye").unwrap());
    let service = format!("bye=unix:{}", wire.text("bye"));
    let ends = wire.linked(&[], &["--service", &service]);
    let heard = wire.path("heard");
    let mut open = wire.open("a", "bye");
    open.stdin(std::process::Stdio::piped()).stdout(File::create(&heard).unwrap());
    let mut client = wire.start("client", &mut open);
    until("it says goodbye", || (std::fs::read(&heard).unwrap() == b"bye").then_some(()));
    let spins = busy(ends[1].id());
    assert!(spins < 0.3, "the far link runs {:.0} % of the time", spins * 100.0);
    // what is said to it now has nowhere to go
    client.child.stdin.take().unwrap().write_all(b"late").unwrap();
    assert_eq!(client.wait(), 3, "{}", wire.log("client"));
}

/// A stream that was cut off is no stream that has ended, whoever cut it off.
#[test]
fn who_is_killed_resets_its_tcp_connections() {
    let wire = Wire::with(&[]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (service, heard) =
        (format!("t=tcp:{}", listener.local_addr().unwrap()), std::sync::Arc::new(std::sync::Mutex::new(Vec::<u8>::new())));
    let hears = heard.clone();
    let server = std::thread::spawn(move || {
        let (mut stream, mut piece) = (listener.accept().unwrap().0, [0; 100]);
        loop {
            match stream.read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(n) => hears.lock().unwrap().extend(&piece[..n]),
                Err(e) => return Err(e.kind()),
            }
        }
    });
    let port = free_port();
    let [near, far] = wire.linked(&["--forward", &format!("tcp:127.0.0.1:{port}=t")], &["--service", &service]);
    let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    client.write_all(b"half").unwrap();
    until("half of it is there", || (*heard.lock().unwrap() == b"half").then_some(()));
    far.kill();
    assert_eq!(server.join().unwrap(), Err(std::io::ErrorKind::ConnectionReset), "the service");
    near.kill();
    assert_eq!(client.read(&mut [0]).map_err(|e| e.kind()), Err(std::io::ErrorKind::ConnectionReset), "the client");
}

/// The kernel closes the pipes of who is killed before anybody can signal: a command that waits a moment hears of it.
#[test]
fn a_command_of_a_link_that_is_killed_need_not_finish() {
    let wire = Wire::with(&[]);
    let (part, whole, id) = (wire.text("part"), wire.text("whole"), wire.text("id"));
    let service = format!("s=exec:echo $$ > {id}; cat > {part} && sleep 1 && mv {part} {whole}");
    let [_near, far] = wire.linked(&[], &["--service", &service]);
    let mut open = wire.start("open", wire.open("a", "s").stdin(Stdio::piped()));
    open.child.stdin.as_mut().unwrap().write_all(b"half").unwrap();
    until("half of it is there", || (std::fs::read(&part).ok()? == b"half").then_some(()));
    let shell = std::fs::read_to_string(&id).unwrap();
    far.kill();
    // of one that nobody waits for the kernel keeps the number, but no words
    let words = || std::fs::read(format!("/proc/{}/cmdline", shell.trim())).unwrap_or_default();
    until("the shell is gone", || words().is_empty().then_some(()));
    assert!(!std::path::Path::new(&whole).exists(), "half of it passes for the whole");
}

#[test]
fn a_group_may_be_let_in() {
    let wire = Wire::with(&[]);
    let group = nix::unistd::getgid().to_string();
    let owner = std::os::unix::fs::MetadataExt::gid;
    for (args, mode) in [(&[][..], 0o600), (&["--control-group", &group][..], 0o660), (&["--control-mode", "0666"][..], 0o666)] {
        let link = wire.link("a", args);
        until("it listens", || wire.status("a"));
        let meta = std::fs::metadata(wire.path("a.sock")).unwrap();
        assert_eq!((meta.permissions().mode() & 0o777, owner(&meta)), (mode, nix::unistd::getgid().as_raw()), "{args:?}");
        link.kill();
    }
    for (args, code) in
        [(["--control-group", "no-such-group"], 1), (["--control-mode", "999"], 2), (["--control-mode", "4755"], 2)]
    {
        assert_eq!(wire.link("a", &args).wait(), code, "{args:?}");
    }
    assert!(wire.log("link-a").contains("there is no group 'no-such-group' [control-unmade]"), "{}", wire.log("link-a"));
    if nix::unistd::geteuid().is_root() {
        let _link = wire.link("a", &["--control-group", "12345"]);
        until("it listens", || wire.status("a"));
        assert_eq!(owner(&std::fs::metadata(wire.path("a.sock")).unwrap()), 12345);
    }
}
