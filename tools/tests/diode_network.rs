//! `hardline diode send` over UDP while the network is away for a moment: nothing is lost, and it is said once.
#![allow(missing_docs)]

mod common;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use common::{Ended, Fed, HARDLINE, Wire, free_port, program, until};
use nix::sys::signal::Signal;

/// A receiver of lines, and a folder.
struct Bench {
    wire: Wire,
    port: u16,
    text: Vec<u8>,
}

impl Bench {
    fn new() -> Bench {
        let text = (0..200).flat_map(|n| format!("line {n}\n").into_bytes()).collect();
        Bench { wire: Wire::with(&[]), port: free_port(), text }
    }
    fn path(&self, name: &str) -> PathBuf {
        self.wire.path(name)
    }
    fn recv(&self, shape: &str) -> Fed {
        let mut recv = Command::new(HARDLINE);
        recv.args(["diode", "recv", &format!("udp-listen:127.0.0.1:{}", self.port), shape, "--grace", "30s"]);
        let recv = self.wire.feed("recv", &mut recv, b"");
        let listed = format!("0100007F:{:04X}", self.port);
        until("it listens", || fs::read_to_string("/proc/net/udp").ok()?.contains(&listed).then_some(()));
        recv
    }
    /// A sender, of whose datagrams some meet an error (the first calls may be of a look-up).
    fn send(&self, shape: &str, inject: &str) -> Fed {
        let mut strace = Command::new(program("strace"));
        strace.args(["-f", "-qq", "-o"]).arg(self.path("trace")).args([
            "-e",
            "trace=sendto",
            "-e",
            &format!("inject=sendto:{inject}"),
        ]);
        strace.args([HARDLINE, "diode", "send", &format!("udp:127.0.0.1:{}", self.port), shape, "--survive", "50ms"]);
        self.wire.feed("send", &mut strace, &self.text)
    }
    /// Everything arrives in spite of these errors; what the sender says.
    #[track_caller]
    fn arrives(&self, shape: &str, inject: &str) -> String {
        let recv = self.recv(shape);
        let sent: Ended = self.send(shape, inject).end();
        sent.assert(0, "");
        recv.end().assert_wrote(&self.text);
        sent.said
    }
}

#[test]
fn a_network_that_goes_and_comes_costs_nothing() {
    let bench = Bench::new();
    for (errno, words) in [
        ("ENETUNREACH", "Network is unreachable"),
        ("ENETDOWN", "Network is down"),
        ("EHOSTUNREACH", "No route to host"),
        ("EPERM", "Operation not permitted"),
        // the address that the kernel chose for it is gone with the interface
        ("EINVAL", "Invalid argument"),
    ] {
        for shape in ["--lines", "--stream"] {
            let said = bench.arrives(shape, &format!("error={errno}:when=8..17"));
            assert_eq!(said.matches(&format!("nothing can be sent: {words}")).count(), 1, "{said}");
            assert_eq!(said.matches("sends again after").count(), 1, "{said}");
            assert!(said.contains("in which 10 tries failed") && said.contains("[network-back]"), "{said}");
        }
    }
}

#[test]
fn a_full_queue_costs_nothing() {
    let bench = Bench::new();
    let said = bench.arrives("--lines", "error=ENOBUFS:when=8..400");
    assert!(said.contains("nothing can be sent: No buffer space available"), "{said}");
    // what takes no time is no news
    let said = bench.arrives("--stream", "error=ENOBUFS:when=8+4");
    assert!(!said.contains("nothing can be sent"), "{said}");
    assert!(!bench.arrives("--lines", "error=EAGAIN:when=8+2").contains("nothing can be sent"));
}

#[test]
fn that_nobody_listened_before_costs_nothing() {
    let bench = Bench::new();
    // the answer to one datagram is told when the next is sent, which does not leave then
    for shape in ["--lines", "--stream"] {
        assert!(!bench.arrives(shape, "error=ECONNREFUSED:when=8+2").contains("nothing can be sent"));
    }
}

#[test]
fn who_waits_for_the_network_can_be_ended() {
    let bench = Bench::new();
    let send = bench.send("--lines", "error=ENETUNREACH:when=8+");
    until("it says that nothing can be sent", || bench.wire.log("send").contains("[network-away]").then_some(()));
    let sender = common::processes_with(&format!("udp:127.0.0.1:{}", bench.port));
    for pid in sender {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        if name.trim() == "hardline" {
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGTERM).unwrap();
        }
    }
    send.end().assert(143, "interrupted");
}

#[test]
fn what_will_not_get_better_is_an_error() {
    let bench = Bench::new();
    bench.send("--lines", "error=EMSGSIZE:when=8").end().assert(1, "cannot write to the line: Message too long");
    let mut send = common::command(HARDLINE);
    let output = send.args(["diode", "send", "udp:localhost.invalid:9", "--lines"]).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(6), "{}", String::from_utf8_lossy(&output.stderr));
}
