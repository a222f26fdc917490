//! Ports that listen: a connection that is dead, or never was a hardline's, keeps the peer out for no longer than it must.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use nix::sys::signal::Signal;

use super::common::{HARDLINE, Running, Wire, assert_carried, bytes, command, free_port, until};

/// One kind of port: where one end listens, and where the other connects to.
struct Place {
    listens: String,
    connects: String,
}

impl Place {
    fn tcp() -> Place {
        let port = free_port();
        Place { listens: format!("tcp-listen:127.0.0.1:{port}"), connects: format!("tcp:127.0.0.1:{port}") }
    }
    fn unix(wire: &Wire, name: &str) -> Place {
        Place { listens: format!("unix-listen:{}", wire.text(name)), connects: format!("unix:{}", wire.text(name)) }
    }
    /// A connection that never says a word.
    #[track_caller]
    fn silent(&self) -> OwnedFd {
        until("somebody listens", || match self.connects.split_once(':').unwrap() {
            ("tcp", address) => TcpStream::connect(address).map(OwnedFd::from).ok(),
            (_, path) => UnixStream::connect(path).map(OwnedFd::from).ok(),
        })
    }
}

/// A wire, and what seals a session.
struct Sealed(Wire, String);

impl Sealed {
    fn new() -> Sealed {
        let wire = Wire::with(&[]);
        let psk = wire.text("psk");
        assert!(command(HARDLINE).args(["keygen", "--psk", &psk]).stderr(Stdio::null()).status().unwrap().success());
        Sealed(wire, psk)
    }
    fn seal(&self, is_sealed: bool) -> Vec<&str> {
        if is_sealed { vec!["--psk", &self.1] } else { vec!["--plain"] }
    }
    /// `hardline link` that listens and offers `cat`.
    fn link(&self, name: &str, port: &str, is_sealed: bool, more: &[&str]) -> Running {
        let mut link = command(HARDLINE);
        link.args(["link", port, "--service", "cat=exec:cat", "--control"]).arg(self.0.path(&format!("{name}.sock")));
        self.0.start(name, link.args(self.seal(is_sealed)).args(more))
    }
    fn open(&self, port: &str, is_sealed: bool) -> Command {
        let mut open = Command::new(HARDLINE);
        open.args(["open", port, "cat", "--wait"]).args(self.seal(is_sealed));
        open
    }
    fn is_open(&self, name: &str) -> bool {
        self.0.status(name).is_some_and(|status| status["state"] == "open" && status["silent"] == false)
    }
}

#[test]
fn who_never_speaks_keeps_nobody_out() {
    let sealed = Sealed::new();
    let wire = &sealed.0;
    let cases =
        [(Place::tcp(), true), (Place::tcp(), false), (Place::unix(wire, "one"), true), (Place::unix(wire, "two"), false)];
    let begun: Vec<_> = cases
        .iter()
        .enumerate()
        .map(|(i, (place, is_sealed))| {
            let link = sealed.link(&format!("link{i}"), &place.listens, *is_sealed, &[]);
            let first: Vec<_> = (0..20).map(|_| place.silent()).collect();
            let open = wire.feed(&format!("open{i}"), &mut sealed.open(&place.connects, *is_sealed), b"hello");
            (link, first, open)
        })
        .collect();
    for (i, (_link, _first, open)) in begun.into_iter().enumerate() {
        open.end().assert_wrote(b"hello");
        let said = wire.log(&format!("link{i}"));
        assert!(said.contains("another connection has its turn") && said.contains("[connection-replaced]"), "{said}");
    }
}

#[test]
fn one_stream_waits_for_nobody_silent_either() {
    let wire = Wire::with(&[]);
    let sent = bytes(100_000, 9);
    for place in [Place::tcp(), Place::unix(&wire, "sock")] {
        let pipe = |port: &str| {
            let mut command = Command::new(HARDLINE);
            command.args(["pipe", port, "--plain", "--wait"]);
            command
        };
        let listens = wire.feed("listens", &mut pipe(&place.listens), b"");
        let _first = place.silent();
        wire.feed("connects", &mut pipe(&place.connects), &sent).end().assert(0, "");
        listens.end().assert_wrote(&sent);
    }
}

/// Of several ports, one that a stranger has.
#[test]
fn a_stranger_has_one_of_several_ports_for_a_while() {
    let sealed = Sealed::new();
    let (wire, place) = (&sealed.0, Place::tcp());
    let (a, b) = (wire.text("a"), wire.text("b"));
    let _near = sealed.link("near", &a, true, &["-b", "2000000", "--also", &place.listens]);
    let _silent = place.silent();
    let _far = sealed.link("far", &b, true, &["-b", "2000000", "--also", &place.connects]);
    until("both ports carry", || {
        let status = wire.status("near")?;
        status["paths"].as_array()?.iter().all(|path| path["up"] == true).then_some(())
    });
    assert!(wire.log("near").contains("another connection has its turn"), "{}", wire.log("near"));
}

#[test]
fn a_peer_that_is_dead_keeps_nobody_out() {
    let sealed = Sealed::new();
    let wire = &sealed.0;
    let cases = [(Place::tcp(), true), (Place::tcp(), false), (Place::unix(wire, "one"), false)];
    let begun: Vec<_> = cases
        .iter()
        .enumerate()
        .map(|(i, (place, is_sealed))| {
            let link = sealed.link(&format!("link{i}"), &place.listens, *is_sealed, &["--grace", "8s"]);
            let far = format!("far{i}");
            let peer = sealed.link(&far, &place.connects, *is_sealed, &[]);
            until("the session opens", || sealed.is_open(&format!("link{i}")).then_some(()));
            // as a machine that lost its power: its connection says nothing more
            peer.signal(Signal::SIGSTOP);
            let open = wire.feed(&format!("open{i}"), &mut sealed.open(&place.connects, *is_sealed), b"hello");
            (link, peer, open)
        })
        .collect();
    for (_link, _peer, open) in begun {
        open.end().assert_wrote(b"hello");
    }
}

#[test]
fn a_peer_that_lives_is_not_disturbed() {
    let sealed = Sealed::new();
    let wire = &sealed.0;
    for is_sealed in [true, false] {
        let place = Place::tcp();
        let _link = sealed.link("link", &place.listens, is_sealed, &[]);
        let mut first = sealed.open(&place.connects, is_sealed);
        let mut first = first.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (mut to, mut from) = (first.stdin.take().unwrap(), first.stdout.take().unwrap());
        let mut echoed = [0; 3];
        to.write_all(b"one").unwrap();
        from.read_exact(&mut echoed).unwrap();
        let _silent = place.silent();
        let name = format!("second-{is_sealed}");
        let second = wire.feed(&name, &mut sealed.open(&place.connects, is_sealed), b"hello");
        // longer than anybody's turn lasts
        until("the second one says that it waits", || wire.log(&name).contains("no answer from the peer yet").then_some(()));
        to.write_all(b"two").unwrap();
        from.read_exact(&mut echoed).unwrap();
        assert_eq!(&echoed, b"two");
        drop(to);
        assert_eq!(first.wait().unwrap().code(), Some(0));
        second.end().assert_wrote(b"hello");
        assert!(!wire.log("link").contains("has its turn"), "{}", wire.log("link"));
    }
}

/// Passes connections on, until it forgets them: then nothing more goes through, and only the near side may be told. So
/// does a NAT.
struct Forgetful {
    near: Arc<Mutex<Vec<TcpStream>>>,
    /// Connections before this one are forgotten.
    first: Arc<AtomicUsize>,
}

impl Forgetful {
    fn start(listener: TcpListener, to: String) -> Forgetful {
        let forgetful = Forgetful { near: Arc::default(), first: Arc::default() };
        let (all, first) = (forgetful.near.clone(), forgetful.first.clone());
        std::thread::spawn(move || {
            // kept open to the end
            let mut kept = Vec::new();
            for near in listener.incoming().flatten() {
                let far = until("the listener is there", || TcpStream::connect(&to).ok());
                let number = kept.len();
                pass(&near, &far, number, &first);
                pass(&far, &near, number, &first);
                kept.push(far);
                all.lock().unwrap().push(near);
            }
        });
        forgetful
    }
    /// Forgets all that there are.
    fn swallow(&self) {
        let all = self.near.lock().unwrap();
        self.first.store(all.len(), Ordering::SeqCst);
    }
    /// The same, and the near side sees its connection end.
    fn forget(&self) {
        self.swallow();
        self.near.lock().unwrap().iter().for_each(|near| near.shutdown(Shutdown::Both).unwrap_or(()));
    }
}

fn pass(from: &TcpStream, to: &TcpStream, number: usize, first: &Arc<AtomicUsize>) {
    let (mut from, mut to, first) = (from.try_clone().unwrap(), to.try_clone().unwrap(), first.clone());
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(n @ 1..) = from.read(&mut buffer) {
            if number >= first.load(Ordering::SeqCst) && to.write_all(&buffer[..n]).is_err() {
                return;
            }
        }
    });
}

#[test]
fn a_connection_that_leads_nowhere_is_made_anew() {
    let sealed = Sealed::new();
    let wire = &sealed.0;
    let place = Place::tcp();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connects = format!("tcp:{}", listener.local_addr().unwrap());
    let relay = Forgetful::start(listener, place.connects.replace("tcp:", ""));
    let _listens = sealed.link("listens", &place.listens, true, &["--grace", "4s"]);
    let _connects = sealed.link("connects", &connects, true, &["--grace", "4s"]);
    let both = || ["listens", "connects"].iter().all(|name| sealed.is_open(name)).then_some(());
    until("the session opens", both);
    relay.swallow();
    until("the session is lost", || wire.log("connects").contains("[session-lost]").then_some(()));
    until("there is another session", both);
}

#[test]
fn a_session_goes_on_over_another_connection() {
    let sealed = Sealed::new();
    let wire = &sealed.0;
    for is_sealed in [true, false] {
        let place = Place::tcp();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connects = format!("tcp:{}", listener.local_addr().unwrap());
        let relay = Forgetful::start(listener, place.connects.replace("tcp:", ""));
        let [near, far] = [format!("near-{is_sealed}"), format!("far-{is_sealed}")];
        let mut pipe = command(HARDLINE);
        pipe.args(["pipe", &place.listens]).args(sealed.seal(is_sealed));
        let got = wire.path(&format!("{far}.out"));
        let listens = wire.start(&far, pipe.stdout(std::fs::File::create(&got).unwrap()));
        let mut pipe = command(HARDLINE);
        pipe.args(["pipe", &connects]).args(sealed.seal(is_sealed)).stdin(Stdio::piped());
        let mut connected = wire.start(&near, &mut pipe);
        let mut to = connected.child.stdin.take().unwrap();
        let sent = bytes(200_000, 4);
        to.write_all(&sent[..100_000]).unwrap();
        until("the first half is there", || (std::fs::metadata(&got).unwrap().len() == 100_000).then_some(()));
        relay.forget();
        to.write_all(&sent[100_000..]).unwrap();
        drop(to);
        assert_eq!((connected.wait(), listens.wait()), (0, 0), "{}{}", wire.log(&near), wire.log(&far));
        assert_carried(&got, &sent);
        assert!(wire.log(&far).contains("another connection has its turn"), "{}", wire.log(&far));
    }
}
