//! Several ports as one link.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use super::common::{BAUD, HARDLINE, LIMIT, Running, Wire, bytes, echo, free_port, until};

/// Wires side by side: the first has the logs, the control sockets and the files.
struct Wires(Vec<Wire>);

impl Wires {
    /// What each is like beside 2 Mbps.
    fn new(each: &[&[&str]]) -> Wires {
        Wires(each.iter().map(|args| Wire::with(args)).collect())
    }
    fn first(&self) -> &Wire {
        &self.0[0]
    }
    /// `--also` for all but the first; the far end names them in another order.
    fn also(&self, end: &str) -> Vec<String> {
        let mut ports: Vec<String> = self.0[1..].iter().map(|wire| wire.text(end)).collect();
        if end == "b" {
            ports.reverse();
        }
        ports.into_iter().flat_map(|port| ["--also".into(), port]).collect()
    }
    fn link(&self, end: &str, args: &[&str]) -> Running {
        self.link_at(end, &BAUD.to_string(), args)
    }
    fn link_at(&self, end: &str, baud: &str, args: &[&str]) -> Running {
        let also = self.also(end);
        let all: Vec<&str> = also.iter().map(String::as_str).chain(args.iter().copied()).collect();
        self.first().link_at(end, baud, &all)
    }
    /// How many ports of an end carry.
    fn up(&self, end: &str) -> usize {
        let status = self.first().status(end);
        let paths = status.as_ref().and_then(|s| s["paths"].as_array()).map_or(&[][..], Vec::as_slice);
        paths.iter().filter(|path| path["up"] == true).count()
    }
    #[track_caller]
    fn await_up(&self, count: usize) {
        for end in ["a", "b"] {
            until(&format!("{count} ports are up at {end}"), || (self.up(end) == count).then_some(()));
        }
    }
}

#[test]
fn files_pass_while_a_port_is_unplugged_and_taken_back() {
    let wires = Wires::new(&[&[], &["--ber", "1e-5"], &["--unplug", "3:2"], &["--timer", "16ms"]]);
    let wire = wires.first();
    let data = bytes(1_500_000, 1);
    let served = data.clone();
    wire.listen("source", move |mut stream| {
        let _ = stream.write_all(&served);
    });
    let _b = wires.link("b", &["--service", &format!("source=unix:{}", wire.text("source"))]);
    let _a = wires.link("a", &["--forward", &format!("unix:{}=source", wire.text("in"))]);
    wire.await_session();
    let unplugged = wires.0[2].text("a");
    let mut rounds = 0;
    until("the port goes and comes back", || {
        let mut got = Vec::new();
        wire.connect("in").read_to_end(&mut got).unwrap();
        assert!(got == data, "{} bytes of {}, or others", got.len(), data.len());
        rounds += 1;
        let log = wire.log("link-a");
        let said = |words: &str| log.lines().any(|line| line.contains(&unplugged) && line.contains(words));
        (said("is gone") && said("is back")).then_some(())
    });
    assert!(rounds > 1, "something passed while it was away");
    wires.await_up(4);
    let log = wire.log("link-a");
    assert!(log.contains("going on with 3 ports"), "{log}");
    let text = Command::new(HARDLINE).arg("status").arg(wire.path("a.sock")).output().unwrap();
    let text = String::from_utf8(text.stdout).unwrap();
    assert_eq!(text.lines().filter(|line| line.starts_with("path ") && line.contains(" up ")).count(), 4, "{text}");
}

/// Every port comes to the rate that its own wire can do, also one that was away.
#[test]
fn each_port_finds_its_rate() {
    let limit = |baud: &'static str| ["--follow-baud", "--timer", "1ms", "--max-baud", baud];
    let gone = [&limit("1500000")[..], &["--unplug", "5:1"]].concat();
    let wires = Wires::new(&[&limit("2000000"), &limit("500000"), &gone]);
    let wire = wires.first();
    wire.listen("echo", echo);
    let _b = wires.link_at("b", "auto", &["--service", &format!("echo=unix:{}", wire.text("echo"))]);
    let _a = wires.link_at("a", "auto", &[]);
    let gone = wires.0[2].text("a");
    let rates = [2_000_000, 460_800, 1_500_000];
    let has = |end: &str| {
        let status = wire.status(end)?;
        let paths = status["paths"].as_array()?.clone();
        let rate = |port: String| {
            paths.iter().find(|path| path["port"] == port).filter(|path| path["up"] == true).map(|path| &path["baud"])
        };
        (0..3).all(|at| rate(wires.0[at].text(end)).is_some_and(|baud| *baud == rates[at])).then_some(())
    };
    let climbed = || ["a", "b"].into_iter().for_each(|end| until(&format!("{rates:?} at {end}"), || has(end)));
    climbed();
    wire.ask("echo", &bytes(600_000, 3)).assert_wrote(&bytes(600_000, 3));
    until("the port goes and comes back", || {
        wire.log("link-a").lines().any(|line| line.contains(&gone) && line.contains("is back")).then_some(())
    });
    climbed();
    wire.ask("echo", &bytes(600_000, 4)).assert_wrote(&bytes(600_000, 4));
}

#[test]
fn one_of_two_is_enough_from_the_start() {
    let wires = Wires::new(&[&[], &[]]);
    let wire = wires.first();
    wire.listen("echo", echo);
    // nobody is at the far end of the second, and the third is not there
    let (second, third) = (wires.0[1].text("a"), wire.text("missing"));
    let _b = wire.link("b", &["--also", &third, "--service", &format!("echo=unix:{}", wire.text("echo"))]);
    let _a = wire.link("a", &["--also", &second]);
    wire.await_session();
    wire.ask("echo", b"one is enough").assert_wrote(b"one is enough");
    assert_eq!(wires.up("a"), 1);
}

#[test]
fn a_killed_peer_is_told_and_the_next_one_found() {
    let wires = Wires::new(&[&[], &[], &[]]);
    let wire = wires.first();
    wire.listen("echo", echo);
    let service = format!("echo=unix:{}", wire.text("echo"));
    let port = free_port();
    let _a = wires.link("a", &["--forward", &format!("tcp:127.0.0.1:{port}=echo")]);
    let b = wires.link("b", &["--service", &service]);
    wire.await_session();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(b"x").unwrap();
    stream.read_exact(&mut [0]).unwrap();
    b.kill();
    let _b = wires.link("b", &["--service", &service]);
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let end = stream.read(&mut [0]);
    assert!(end.as_ref().is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionReset), "{end:?}");
    assert!(wire.log("link-a").contains("restarted"));
    wire.await_session();
    wires.await_up(3);
    wire.ask("echo", b"again").assert_wrote(b"again");
}

/// `hardline pipe` over all wires, fed with a file.
fn pipe(wires: &Wires, end: &str, also: &[String], input: &[u8]) -> super::common::Fed {
    let mut command = Command::new(HARDLINE);
    command.args(["pipe", "--plain"]).arg(wires.first().path(end)).args(also).args(["-b", &BAUD.to_string()]);
    wires.first().feed(&format!("pipe-{end}"), &mut command, input)
}

#[test]
fn a_pipe_takes_several_ports() {
    let wires = Wires::new(&[&[], &["--ber", "1e-4"]]);
    let (there, back) = (bytes(300_000, 2), bytes(200_000, 3));
    let a = pipe(&wires, "a", &wires.also("a"), &there);
    let b = pipe(&wires, "b", &wires.also("b"), &back);
    a.end().assert_wrote(&back);
    b.end().assert_wrote(&there);
}

#[test]
fn several_ports_do_not_fit_one() {
    let wires = Wires::new(&[&[], &[]]);
    let a = pipe(&wires, "a", &wires.also("a"), b"");
    let b = pipe(&wires, "b", &[], b"");
    a.end().assert(5, "give both ends the same number");
    b.end().assert(5, "give both ends the same number");
}

#[test]
fn ports_that_cannot_be_together_are_refused() {
    let wires = Wires::new(&[&[]]);
    let wire = wires.first();
    std::os::unix::fs::symlink(wire.path("a"), wire.path("alias")).unwrap();
    let link = |also: &[&str], more: &[&str]| {
        let mut command = Command::new(HARDLINE);
        command.args(["link", "--plain"]).arg(wire.path("a")).stdin(Stdio::null());
        command.args(also.iter().flat_map(|port| ["--also", port])).args(more);
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let ports: Vec<String> = (0..8).map(|n| wire.text(&format!("port{n}"))).collect();
    let ports: Vec<&str> = ports.iter().map(String::as_str).collect();
    for (also, says) in [
        (&[wire.text("a").as_str()][..], "the same port"),
        (&[wire.text("alias").as_str()], "the same port"),
        (&["stdio:"], "cannot be one of several"),
        (&ports, "at most 8 ports"),
    ] {
        let (code, said) = link(also, &[]);
        assert!(code == Some(2) && said.contains(says), "{also:?}: {code:?} {said}");
    }
    // in a file, too
    let file = wire.path("bond.toml");
    let check = |also: &str| {
        std::fs::write(&file, format!("command = \"link\"\nport = \"/dev/ttyX0\"\nplain = true\nalso = [{also}]\n")).unwrap();
        let output = Command::new(HARDLINE).arg("check").arg(&file).output().unwrap();
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    let (code, said) = check("\"/dev/ttyX1\", \"usb:FT1\"");
    assert!(code == Some(0) && said.contains("--also=/dev/ttyX1") && said.contains("usb:FT1"), "{said}");
    let (code, said) = check("\"/dev/ttyX0\"");
    assert!(code == Some(2) && said.contains(":4:"), "{said}");
}
