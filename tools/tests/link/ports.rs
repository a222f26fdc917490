//! Ports that are not there, or busy: what `hardline link` says without being asked to say more.

use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, getsockname, listen, socket};

use super::common::{HARDLINE, Running, Wire, command, until};

fn link(wire: &Wire, name: &str, port: &Path) -> Running {
    wire.start(name, command(HARDLINE).arg("link").arg(port).args(["-b", "2000000"]))
}

/// Waits until it has said this; how often it has.
#[track_caller]
fn says(wire: &Wire, name: &str, what: &str) -> usize {
    until(&format!("{name} says '{what}'"), || Some(wire.log(name).matches(what).count()).filter(|&n| n > 0))
}

#[test]
fn an_absent_port_is_told_once_and_when_it_is_there() {
    let wire = Wire::with(&[]);
    let (port, other) = (wire.path("later"), wire.path("other"));
    let _link = link(&wire, "link", &port);
    says(&wire, "link", "there is no such device");
    let mut sim = command(HARDLINE);
    let _sim = wire.start("sim", sim.args(["sim", "--baud", "2000000", "-a"]).arg(&port).arg("-b").arg(&other));
    says(&wire, "link", "is open now, after");
    let log = wire.log("link");
    assert!(log.starts_with(" WARN cannot open") && log.contains(port.to_str().unwrap()), "{log}");
    assert!(log.contains("waiting for it, and trying again") && !log.contains("--wait"), "{log}");
    assert_eq!(log.matches("no such device").count(), 1, "{log}");
}

#[test]
fn a_busy_port_is_told_once_and_when_it_is_free() {
    let wire = Wire::with(&[]);
    let _peer = wire.link("b", &[]);
    let first = wire.link("a", &[]);
    wire.await_session();
    let _second = link(&wire, "second", &wire.path("a"));
    says(&wire, "second", &format!("busy, in use by hardline (process {})", first.id()));
    first.kill();
    says(&wire, "second", "is open now, after");
    assert_eq!(wire.log("second").matches("waiting for it").count(), 1, "{}", wire.log("second"));
}

/// A program that has a port open without locking it, as `cat` and pyserial do.
fn reader(wire: &Wire, end: &str) -> Running {
    let reader = wire.start("reader", command("tail").args(["-f", "-c", "+1"]).arg(wire.path(end)));
    let device = std::fs::canonicalize(wire.path(end)).unwrap();
    let fds = format!("/proc/{}/fd", reader.id());
    let has = |fd: std::fs::DirEntry| std::fs::read_link(fd.path()).is_ok_and(|to| to == device);
    until("it has the port open", || std::fs::read_dir(&fds).ok()?.flatten().any(has).then_some(()));
    reader
}

#[test]
fn who_reads_the_port_beside_us_is_named() {
    let wire = Wire::with(&[]);
    let reader = reader(&wire, "a");
    let words = format!("tail (process {}) has it open, too: what one reads the other does not get", reader.id());
    let port = wire.text("a");
    for (name, args) in [
        ("link", &["link", &port][..]),
        ("pipe", &["pipe", &port, "--plain"]),
        ("recv", &["diode", "recv", &port, "--lines"]),
        ("test", &["test", &port]),
    ] {
        let running = wire.start(name, command(HARDLINE).args(args));
        says(&wire, name, &words);
        says(&wire, name, "[port-shared]");
        running.kill();
    }
    drop(reader);
    // nobody else: the simulation, which has the other side, is none
    let _link = wire.link("b", &[]);
    let _other = wire.link("a", &[]);
    wire.await_session();
    assert!(!wire.log("link-b").contains("has it open, too"), "{}", wire.log("link-b"));
}

/// The lock file of the end of a wire, where lock files are the custom and may be made.
fn lock_file(wire: &Wire, end: &str) -> Option<std::path::PathBuf> {
    let device = std::fs::canonicalize(wire.path(end)).unwrap();
    let name = format!("LCK..pts_{}", device.file_name().unwrap().to_str().unwrap());
    let writable = |folder: &&Path| nix::unistd::access(*folder, nix::unistd::AccessFlags::W_OK).is_ok();
    ["/var/lock", "/run/lock"].map(Path::new).into_iter().find(writable).map(|folder| folder.join(name))
}

#[test]
fn a_port_has_a_lock_file_while_it_is_used() {
    let wire = Wire::with(&[]);
    let Some(path) = lock_file(&wire, "a") else { return eprintln!("there is no folder for lock files here") };
    let port = wire.text("a");
    let read = || std::fs::read_to_string(&path).ok();
    for args in [&["pipe", &port, "--plain"][..], &["link", &port], &["diode", "recv", &port, "--lines"], &["test", &port]] {
        let running = wire.start("one", command(HARDLINE).args(args));
        until("there is a lock file", || read().filter(|text| *text == format!("{:>10}\n", running.id())));
        running.signal(nix::sys::signal::Signal::SIGTERM);
        running.wait();
        assert_eq!(read(), None, "it goes with {args:?}");
    }
    // one that was killed leaves it behind, and is in nobody's way
    let killed = wire.start("killed", command(HARDLINE).args(["pipe", &port, "--plain"]));
    let text = until("there is a lock file", read);
    killed.kill();
    assert_eq!(read(), Some(text));
    let next = wire.start("next", command(HARDLINE).args(["pipe", &port, "--plain"]));
    until("there is another lock file", || read().filter(|text| *text == format!("{:>10}\n", next.id())));
    next.signal(nix::sys::signal::Signal::SIGTERM);
    next.wait();
    assert_eq!(read(), None);
    // that of a program which runs keeps us out, and says who it is
    let other = wire.start("other", command("sleep").arg("1000"));
    std::fs::write(&path, format!("{:>10}\n", other.id())).unwrap();
    let busy = format!("busy, in use by sleep (process {}), as its lock file says", other.id());
    for args in [&["pipe", &port, "--plain"][..], &["open", &port, "x"], &["diode", "send", &port, "--lines"], &["test", &port]] {
        let output = command(HARDLINE).args(args).stderr(std::process::Stdio::piped()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(6) && said.contains(&busy) && said.contains("[port-busy]"), "{args:?}: {said}");
    }
    let waits = wire.start("waits", command(HARDLINE).args(["pipe", &port, "--plain", "--wait"]));
    says(&wire, "waits", &busy);
    std::fs::remove_file(&path).unwrap();
    until("it has the port", || read().filter(|text| *text == format!("{:>10}\n", waits.id())));
    waits.signal(nix::sys::signal::Signal::SIGTERM);
    waits.wait();
}

#[test]
fn what_a_forward_accepts_is_reset_from_the_first_moment_on() {
    let wire = Wire::with(&[]);
    let port = super::common::free_port();
    let mut strace = command("strace");
    strace.args(["-f", "-qq", "-e", "trace=setsockopt,bind,listen", "-o"]).arg(wire.path("trace"));
    strace.args([HARDLINE, "link"]).arg(wire.path("a")).args(["--plain", "--forward", &format!("tcp:127.0.0.1:{port}=x")]);
    let _link = wire.start("link", &mut strace);
    until("it listens", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
    let trace = std::fs::read_to_string(wire.path("trace")).unwrap();
    let at = |words: &[&str]| trace.lines().position(|line| words.iter().all(|word| line.contains(word)));
    let bound = at(&["bind(", &format!("htons({port})")]).unwrap_or_else(|| panic!("{trace}"));
    let socket = trace.lines().nth(bound).and_then(|line| line.split_once("bind(")?.1.split(',').next()).unwrap();
    let (linger, listen) = (at(&[&format!("setsockopt({socket},"), "SO_LINGER"]), at(&[&format!("listen({socket},")]));
    assert!(linger.is_some() && linger < listen, "{trace}");
}

/// A TCP port at which connecting gets no answer at all, as behind a firewall, or of a host that is off: its queue is full.
struct Mute {
    port: u16,
    _listener: OwnedFd,
    _queue: Vec<TcpStream>,
}

impl Mute {
    fn new() -> Mute {
        let made = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
        bind(made.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0)).unwrap();
        listen(&made, Backlog::new(0).unwrap()).unwrap();
        let port = getsockname::<SockaddrIn>(made.as_raw_fd()).unwrap().port();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok();
        let queue = std::iter::from_fn(connect).collect();
        Mute { port, _listener: made, _queue: queue }
    }
}

#[test]
fn a_port_that_does_not_answer_holds_up_nobody() {
    let (wire, mute) = (Wire::at("115200", &[]), Mute::new());
    let nobody = format!("tcp-listen:127.0.0.1:{}", super::common::free_port());
    let _b = wire.link_at("b", "115200", &["--also", &nobody, "--service", "cat=exec:cat"]);
    let _a = wire.link_at("a", "115200", &["--also", &format!("tcp:127.0.0.1:{}", mute.port)]);
    wire.await_session();
    let sent = super::common::bytes(60_000, 3);
    let client = wire.feed("open", &mut wire.open("a", "cat"), &sent);
    until("its state is told all the time", || {
        let status = wire.status("a").expect("it answers");
        (status["channels"].as_array().is_some_and(Vec::is_empty) && client.running.ended().is_some()).then_some(())
    });
    client.end().assert_wrote(&sent);
    // nor is there a pause before it ends
    let [alone, told] = ["alone", "told"].map(|name| {
        let port = format!("tcp:127.0.0.1:{}", mute.port);
        let running = wire
            .start(name, command(HARDLINE).args(["link", &port, "--plain", "--control"]).arg(wire.path(&format!("{name}.sock"))));
        until("it is there", || wire.status(name));
        running
    });
    let trouble = wire.status("alone").unwrap()["trouble"].to_string();
    assert!(trouble.contains(&format!("tcp:127.0.0.1:{}", mute.port)), "{trouble}");
    says(&wire, "told", &format!("cannot connect to tcp:127.0.0.1:{}: connection timed out", mute.port));
    for one in [alone, told] {
        one.signal(nix::sys::signal::Signal::SIGTERM);
        assert_eq!(one.wait(), 143);
    }
}
