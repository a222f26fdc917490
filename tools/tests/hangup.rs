//! Terminals that are gone, or stand still, and SIGHUP: whoever reads a terminal ends with it, whoever was started to outlive it does not,
//! and files that were moved away are made anew.
#![allow(missing_docs)]

mod common;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::{BAUD, HARDLINE, Running, Wire, until};
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{FlowArg, tcflow};
use nix::unistd::Pid;

/// A terminal that is nobody's controlling one: its end comes without a signal.
struct Terminal {
    master: File,
    slave: OwnedFd,
}

impl Terminal {
    fn new() -> Terminal {
        let size = Winsize { ws_row: 24, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(&size, None).unwrap();
        for fd in [&pty.master, &pty.slave] {
            // nobody else keeps it open
            fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).unwrap();
        }
        fcntl(&pty.master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
        Terminal { master: pty.master.into(), slave: pty.slave }
    }
    fn start(&self, wire: &Wire, name: &str, command: &mut Command) -> Running {
        let end = || Stdio::from(self.slave.try_clone().unwrap());
        wire.start(name, command.env("TERM", "xterm").stdin(end()).stdout(end()))
    }
    #[track_caller]
    fn sees(&mut self, what: &str) {
        let mut seen = Vec::new();
        until(&format!("'{what}' is seen"), || {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = self.master.read(&mut buffer) {
                seen.extend_from_slice(&buffer[..n]);
            }
            String::from_utf8_lossy(&seen).contains(what).then_some(())
        });
    }
    fn goes(self) {
        drop(self.slave);
        drop(self.master);
    }
}

fn hardline(args: &[&str]) -> Command {
    let mut command = Command::new(HARDLINE);
    command.args(args);
    command
}

#[test]
fn a_live_screen_ends_with_its_terminal() {
    let wire = Wire::with(&[]);
    let _ends = wire.linked(&[], &[]);
    let mut terminal = Terminal::new();
    let watch = terminal.start(&wire, "watch", &mut hardline(&["status", &wire.text("a.sock"), "--watch"]));
    terminal.sees("baud: open");
    terminal.goes();
    assert_eq!(watch.wait(), 1);
    assert!(wire.log("watch").contains("the terminal is gone [terminal-failed]"), "{}", wire.log("watch"));
}

#[test]
fn a_live_screen_ends_when_told_though_its_terminal_stands_still() {
    let wire = Wire::with(&[]);
    let _ends = wire.linked(&[], &[]);
    let mut terminal = Terminal::new();
    let mut watch = hardline(&["status", &wire.text("a.sock"), "--watch", "--interval", "50ms"]);
    let watch = terminal.start(&wire, "watch", &mut watch);
    terminal.sees("baud: open");
    // as Ctrl-S does
    tcflow(&terminal.slave, FlowArg::TCOOFF).unwrap();
    let asked = wire.status("a").unwrap();
    until("it would draw", || (wire.status("a")?["seconds"].as_f64()? > asked["seconds"].as_f64()? + 0.3).then_some(()));
    watch.signal(Signal::SIGTERM);
    assert_eq!(watch.wait(), 143);
}

/// Where somebody has stopped the terminal (Ctrl-S) the bar stands still, and nothing else does.
#[test]
fn a_transfer_goes_on_though_its_terminal_stands_still() {
    let wire = Wire::with(&[]);
    fs::create_dir(wire.path("top")).unwrap();
    for i in 0..40 {
        fs::write(wire.path(&format!("top/{i}")), common::bytes(20_000, i)).unwrap();
    }
    let baud = BAUD.to_string();
    let terminals = [Terminal::new(), Terminal::new()];
    let mut both = Vec::new();
    for (terminal, (verb, end, what)) in terminals.iter().zip([("send", "a", "top"), ("recv", "b", "--out")]) {
        let mut command = hardline(&[verb, "--plain", "-v", "-b", &baud, &wire.text(end), what]);
        command.args((verb == "recv").then_some("out")).current_dir(wire.rig().dir()).env("TERM", "xterm");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(terminal.slave.try_clone().unwrap());
        tcflow(&terminal.slave, FlowArg::TCOOFF).unwrap();
        both.push(wire.spawn(verb, &mut command));
    }
    assert_eq!((both[0].wait(), both[1].wait()), (0, 0));
    assert_eq!(fs::read_dir(wire.path("out/top")).unwrap().count(), 40);
}

#[test]
fn a_live_screen_ends_when_told_though_the_link_hangs() {
    let wire = Wire::with(&[]);
    let [a, _b] = wire.linked(&[], &[]);
    let mut terminal = Terminal::new();
    let mut watch = hardline(&["status", &wire.text("a.sock"), "--watch", "--interval", "50ms"]);
    let watch = terminal.start(&wire, "watch", &mut watch);
    terminal.sees("baud: open");
    a.signal(Signal::SIGSTOP);
    terminal.sees("whoever listens there");
    for key in ["x", "q"] {
        terminal.master.write_all(key.as_bytes()).unwrap();
    }
    assert_eq!(watch.wait(), 0);
    a.signal(Signal::SIGCONT);
}

#[test]
fn a_console_ends_with_its_terminal() {
    const SERVICE: [&str; 2] = ["--service", "console=pty:echo over there; exec cat"];
    // by a link and by a port, and while nobody answers
    let (held, owned, lonely) = (Wire::with(&[]), Wire::with(&[]), Wire::with(&[]));
    let (_ends, _far) = (held.linked(&[], &SERVICE), owned.link("b", &SERVICE));
    let baud = BAUD.to_string();
    let by_port = |wire: &Wire| hardline(&["console", "--plain", "-b", &baud, &wire.text("a")]);
    for (wire, mut command, shows) in [
        (&held, hardline(&["console", &held.text("a.sock")]), "over there"),
        (&owned, by_port(&owned), "over there"),
        (&lonely, by_port(&lonely), "waiting for the peer"),
    ] {
        let mut terminal = Terminal::new();
        let console = terminal.start(wire, "console", &mut command);
        terminal.sees(shows);
        terminal.goes();
        assert_eq!(console.wait(), 1, "{}", wire.log("console"));
        assert!(wire.log("console").contains("the terminal is gone [terminal-failed]"), "{}", wire.log("console"));
    }
}

/// nohup, and the unit of a service manager that does the same.
#[test]
fn who_was_started_to_outlive_a_terminal_does() {
    let wire = Wire::with(&[]);
    let mut link = Command::new("sh");
    link.args(["-c", "trap '' HUP; exec \"$0\" \"$@\"", HARDLINE, "link", "--plain", "-b", "2000000"]).arg(wire.path("a"));
    let link = wire.start("link-a", link.arg("--control").arg(wire.path("a.sock")).stdin(Stdio::null()).stdout(Stdio::null()));
    let _b = wire.link("b", &["--service", "echo=exec:cat"]);
    wire.await_session();
    link.signal(Signal::SIGHUP);
    wire.ask("echo", b"still there").assert_wrote(b"still there");
    link.signal(Signal::SIGTERM);
    assert_eq!(link.wait(), 143);
    let link = wire.link("a", &[]);
    until("it listens", || wire.status("a"));
    link.signal(Signal::SIGHUP);
    assert_eq!(link.wait(), 129);
}

// ---- logs that are moved away -------------------------------------------------------------------

/// In a session of its own, which has no terminal; the process is the one that is signalled.
struct Service(Child);

impl Service {
    fn start(command: &Command) -> Service {
        let mut session = Command::new("setsid");
        session.arg(command.get_program()).args(command.get_args());
        session.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Service(session.spawn().unwrap())
    }
    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.0.id() as i32), signal).unwrap();
    }
    fn wait(&mut self) -> Option<i32> {
        until("it ends", || self.0.try_wait().unwrap()).code()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_report_that_was_moved_away_is_made_anew() {
    let wire = Wire::with(&["--one-way"]);
    let report = wire.path("report");
    let mut recv = hardline(&["-q", "diode", "recv", &wire.text("b"), "-b", "2000000", "--forever"]);
    recv.arg("--out").arg(wire.path("in")).arg("--report").arg(&report);
    let mut recv = Service::start(&recv);
    let send = |name: &str| {
        fs::write(wire.path(name), name).unwrap();
        let mut send = hardline(&["-q", "diode", "send", &wire.text("a"), "-b", "2000000", "--survive", "20ms"]);
        wire.run(&format!("send-{name}"), send.arg(wire.path(name)));
        until(&format!("{name} is there"), || wire.path("in").join(name).exists().then_some(()));
    };
    until("it listens", || report.exists().then_some(()));
    send("one");
    until("it is reported", || (!common::reported(&report, "delivered").is_empty()).then_some(()));
    let moved = wire.path("report.1");
    fs::rename(&report, &moved).unwrap();
    recv.signal(Signal::SIGHUP);
    until("there is a new one", || report.exists().then_some(()));
    send("two");
    until("it is reported", || (!common::reported(&report, "delivered").is_empty()).then_some(()));
    let names = |path| common::reported(path, "delivered").iter().map(|line| line["name"].clone()).collect::<Vec<_>>();
    assert_eq!((names(&moved), names(&report)), (vec!["one".into()], vec!["two".into()]));
    recv.signal(Signal::SIGTERM);
    assert_eq!(recv.wait(), Some(143));
}

/// With a terminal that lives: whoever moved the log wants a new one. One that hung up ends it all the same.
#[test]
fn the_log_of_a_console_that_was_moved_away_is_made_anew() {
    let wire = Wire::with(&[]);
    let _ends = wire.linked(&[], &["--service", "console=pty:sh"]);
    let log = wire.path("console.log");
    let mut terminal = Terminal::new();
    let mut session = Command::new("setsid");
    session.args(["--ctty", "--wait", HARDLINE, "console", &wire.text("a.sock"), "--log", log.to_str().unwrap()]);
    let console = terminal.start(&wire, "console", &mut session);
    terminal.master.write_all(b"echo $((40 + 1)) before\r").unwrap();
    terminal.sees("41 before");
    until("it is logged", || fs::read_to_string(&log).ok().filter(|text| text.contains("41 before")));
    let moved = wire.path("console.log.1");
    fs::rename(&log, &moved).unwrap();
    let id = until("the console is there", || common::processes_with(&format!("console\0{}", wire.text("a.sock"))).pop());
    let id = common::processes_with(&format!("console\0{}", wire.text("a.sock"))).into_iter().fold(id, i32::max);
    kill(Pid::from_raw(id), Signal::SIGHUP).unwrap();
    until("there is a new one", || log.exists().then_some(()));
    terminal.master.write_all(b"echo $((40 + 2)) after\r").unwrap();
    terminal.sees("42 after");
    until("it is logged", || fs::read_to_string(&log).ok().filter(|text| text.contains("42 after")));
    assert!(!fs::read_to_string(&moved).unwrap().contains("42 after"));
    terminal.goes();
    assert!([1, 129].contains(&console.wait()), "{}", wire.log("console"));
}

// ---- who has nothing to do ----------------------------------------------------------------------

/// Ticks of CPU time a process and its threads have had; a tick is 10 ms.
fn ticks(process: &Running) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.id())).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    [11, 12].iter().map(|&at| fields[at].parse::<u64>().unwrap()).sum()
}

/// No peer, no port, no terminal, nobody who reads: nobody spins. CPU time, not speed: less than 1 % of a processor.
#[test]
fn who_has_nothing_to_do_does_nothing() {
    const SECONDS: u64 = 4;
    let (wire, quiet, diode) = (Wire::with(&[]), Wire::with(&[]), Wire::with(&["--one-way"]));
    let _ends = wire.linked(&[], &["--service", "hold=exec:sleep 1000", "--service", "console=pty:sleep 1000"]);
    let (baud, absent, sock) = (BAUD.to_string(), quiet.text("no-such-port"), wire.text("a.sock"));
    let [quiet_a, quiet_b, diode_a, diode_b] = [quiet.text("a"), quiet.text("b"), diode.text("a"), diode.text("b")];
    let [files, received, watched, metrics] = ["files", "received", "watched", "m.prom"].map(|name| wire.text(name));
    let commands: [(&str, &[&str]); 12] = [
        ("pipe, no peer", &["pipe", "--plain", "-b", &baud, &quiet_a]),
        ("test, no peer", &["test", "-b", &baud, "--grace", "1000s", &quiet_b]),
        ("link, no port", &["link", "--plain", &absent]),
        ("pipe, no port", &["pipe", "--plain", "--wait", &absent]),
        ("diode send, no port", &["diode", "send", "--wait", "--lines", &absent]),
        ("diode recv, no port", &["diode", "recv", "--wait", "--lines", &absent]),
        ("diode recv, no sender", &["diode", "recv", "-b", &baud, "--out", &received, &diode_b]),
        ("diode send, no file", &["diode", "send", "-b", &baud, "--watch", &watched, &diode_a]),
        ("open, a silent service", &["open", &sock, "hold"]),
        ("recv, no sender", &["recv", &sock, "--out", &files, "--forever"]),
        ("console, nobody types", &["console", &sock, "--read-only"]),
        ("status, now and then", &["status", &sock, "--metrics", &metrics, "--interval", "1s"]),
    ];
    let (silent, _typist) = std::io::pipe().unwrap();
    let (_unread, mut full) = std::io::pipe().unwrap();
    full.write_all(&[b'.'; 65_536]).unwrap();
    let mut running = Vec::new();
    for (i, (name, args)) in commands.iter().enumerate() {
        // whoever read what it says is gone, or reads no more, or was a terminal
        let output = || match i % 3 {
            0 => Stdio::from(std::io::pipe().unwrap().1),
            1 => full.try_clone().unwrap().into(),
            _ => Terminal::new().slave.into(),
        };
        let mut command = hardline(args);
        command.stdin(silent.try_clone().unwrap()).stdout(output()).stderr(output());
        running.push(wire.spawn(name, &mut command));
    }
    for (name, args) in &commands[2..6] {
        let mut command = hardline(args);
        command.stdin(Terminal::new().slave).stdout(Stdio::null()).stderr(Stdio::null());
        running.push(wire.spawn(&format!("{name}, no terminal"), &mut command));
    }
    // what they do at their start is no idling
    std::thread::sleep(Duration::from_secs(2));
    let before: Vec<u64> = running.iter().map(ticks).collect();
    std::thread::sleep(Duration::from_secs(SECONDS));
    for (process, before) in running.iter().zip(before) {
        assert_eq!(process.ended(), None, "{} goes on", process.name);
        let used = ticks(process) - before;
        assert!(used <= SECONDS, "{}: {used} ticks of 10 ms in {SECONDS} s", process.name);
    }
}
