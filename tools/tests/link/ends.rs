//! Ends that are killed, restarted or unplugged: what was open ends with a reason, nothing stays
//! behind, and the next start works at once.

use std::io::{Read, Write};
use std::net::TcpStream;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::common::{Running, Wire, bytes, echo, free_port, processes_with, until, write_all_beside};

/// A service that runs until it is made to end, and what is in its command line.
fn lasting(exec: &str) -> (String, String) {
    // it reads and writes nothing, so that no end of its pipes makes it end
    let seconds = format!("{}.5", 1_000_000 + u32::from(free_port()));
    (format!("lasting=exec:{exec}sleep {seconds}"), format!("sleep\0{seconds}"))
}

#[track_caller]
fn await_processes(text: &str, count: usize) -> Vec<i32> {
    until(&format!("{count} processes of {text:?}"), || Some(processes_with(text)).filter(|p| p.len() == count))
}

/// Both ends; `a` has forwards to an echo, `b` offers it and a command that lasts.
struct Pair {
    wire: Wire,
    port: u16,
    a_args: Vec<String>,
    b_args: Vec<String>,
    process: String,
    ends: [Option<Running>; 2],
}

impl Pair {
    fn new() -> Pair {
        Pair::with("exec ")
    }
    /// `exec` is what the shell of the lasting service is told to do with the command.
    fn with(exec: &str) -> Pair {
        let wire = Wire::with(&[]);
        wire.listen("echo", echo);
        let (lasting, process) = lasting(exec);
        let strings = |words: &[&str]| words.iter().map(|&w| w.to_owned()).collect::<Vec<_>>();
        let port = free_port();
        let (unix, tcp) = (format!("unix:{}=echo", wire.text("in")), format!("tcp:127.0.0.1:{port}=echo"));
        let a_args = strings(&["--forward", &unix, "--forward", &tcp]);
        let b_args = strings(&["--service", &format!("echo=unix:{}", wire.text("echo")), "--service", &lasting]);
        let mut pair = Pair { wire, port, a_args, b_args, process, ends: [None, None] };
        pair.start(0);
        pair.start(1);
        pair.wire.await_session();
        pair
    }
    fn start(&mut self, end: usize) {
        let (name, args) = [("a", &self.a_args), ("b", &self.b_args)][end];
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        self.ends[end] = Some(self.wire.link(name, &args));
    }
    fn take(&mut self, end: usize) -> Running {
        self.ends[end].take().expect("it runs")
    }
    /// A new connection to the forward carries both ways.
    #[track_caller]
    fn assert_carries(&self) {
        self.wire.await_session();
        let mut stream = self.wire.connect("in");
        write_all_beside(&stream, b"still there".to_vec());
        let mut back = String::new();
        stream.read_to_string(&mut back).unwrap();
        assert_eq!(back, "still there");
    }
    /// A client of the lasting service, once that runs.
    fn client(&self) -> (super::common::Fed, i32) {
        let client = self.wire.feed("client", &mut self.wire.open("a", "lasting"), b"");
        let service = await_processes(&self.process, 1)[0];
        self.wire.await_channels(1);
        (client, service)
    }
}

#[test]
fn a_restarted_peer_ends_what_was_open() {
    let mut pair = Pair::new();
    let (client, _) = pair.client();
    let mut stream = TcpStream::connect(("127.0.0.1", pair.port)).unwrap();
    stream.write_all(b"x").unwrap();
    stream.read_exact(&mut [0]).unwrap();
    pair.take(1).kill();
    // its service does not outlive it
    await_processes(&pair.process, 0);
    pair.start(1);
    client.end().assert(3, "restarted");
    // an end of the stream would say that this was all
    stream.set_read_timeout(Some(super::common::LIMIT)).unwrap();
    let end = stream.read(&mut [0]);
    assert!(end.as_ref().is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionReset), "{end:?}");
    pair.assert_carries();
}

#[test]
fn a_killed_near_end_starts_again_at_once() {
    let mut pair = Pair::new();
    let (client, _) = pair.client();
    pair.take(0).kill();
    client.end().assert(3, "'hardline link' has ended before the channel did");
    pair.start(0);
    pair.assert_carries();
    // the peer has let go of the old session's service
    await_processes(&pair.process, 0);
    pair.wire.await_channels(0);
}

#[test]
fn a_killed_client_ends_its_channel() {
    let pair = Pair::new();
    let (client, _) = pair.client();
    client.running.kill();
    await_processes(&pair.process, 0);
    pair.wire.await_channels(0);
    pair.assert_carries();
}

#[test]
fn a_killed_service_is_told() {
    let pair = Pair::new();
    let (client, service) = pair.client();
    kill(Pid::from_raw(service), Signal::SIGKILL).unwrap();
    client.end().assert(1, "the service was ended by signal 9");
    pair.wire.await_channels(0);
    pair.assert_carries();
}

/// Children of a process that guard its commands.
fn guards(link: Pid) -> Vec<i32> {
    let parent = |id: i32| {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok())
    };
    processes_with("hl-guard").into_iter().filter(|&id| parent(id) == Some(link.as_raw())).collect()
}

/// The shell stays, the command has a process group of its own, and neither hears SIGTERM.
const JOB: &str = "trap '' TERM; : | python3 -c 'import os, sys; os.setpgid(0, 0); os.execvp(sys.argv[1], sys.argv[1:])' ";

#[test]
fn a_killed_end_takes_its_services_along() {
    let mut pair = Pair::with(JOB);
    let (client, _) = pair.client();
    let b = pair.take(1);
    // a guard that is killed is replaced, and the next one knows what the first one did
    let first = guards(b.id());
    assert_eq!(first.len(), 1);
    kill(Pid::from_raw(first[0]), Signal::SIGKILL).unwrap();
    let next = until("there is another guard", || guards(b.id()).into_iter().find(|id| *id != first[0]));
    b.kill();
    await_processes(&pair.process, 0);
    until("the guard is gone", || (!std::path::Path::new(&format!("/proc/{next}")).exists()).then_some(()));
    pair.start(1);
    client.end().assert(3, "restarted");
    pair.assert_carries();
}

#[test]
fn a_killed_shell_leaves_no_command() {
    let pair = Pair::with(JOB);
    let (client, _) = pair.client();
    let shell = processes_with(&format!("/bin/sh\0-c\0{JOB}{}", pair.process.replace('\0', " ")));
    assert_eq!(shell.len(), 1);
    kill(Pid::from_raw(shell[0]), Signal::SIGKILL).unwrap();
    client.end().assert(1, "the service was ended by signal 9");
    await_processes(&pair.process, 0);
    pair.wire.await_channels(0);
    pair.assert_carries();
}

#[test]
fn a_killed_pipe_takes_its_command_along() {
    let wire = Wire::with(&[]);
    let (command, process) = lasting("");
    let line = format!("{}; true", command.trim_start_matches("lasting=exec:"));
    let far = wire.serve(&["sh", "-c", &line]);
    await_processes(&process, 1);
    far.kill();
    await_processes(&process, 0);

    let mut near = super::common::command(super::common::HARDLINE);
    let near = wire.start("near", near.arg("pipe").arg(format!("exec:{line}")));
    await_processes(&process, 1);
    near.kill();
    await_processes(&process, 0);
}

#[test]
fn an_end_told_to_end_leaves_nothing() {
    let mut pair = Pair::with("trap '' TERM; ");
    let (client, _) = pair.client();
    let b = pair.take(1);
    b.signal(Signal::SIGTERM);
    assert_eq!(b.wait(), 143);
    // at once: nobody is left to look after it
    assert_eq!(processes_with(&pair.process), Vec::<i32>::new(), "the service ends with the link");
    assert!(!pair.wire.path("b.sock").exists());
    client.end().assert(3, "");
    pair.start(1);
    pair.wire.await_session();
    let (client, _) = pair.client();
    let mut receiver = super::common::command(super::common::HARDLINE);
    receiver.arg("recv").arg(pair.wire.path("a.sock")).arg("--out").arg(pair.wire.path("out"));
    let receiver = pair.wire.feed("recv", &mut receiver, b"");
    until("the receiver is there", || pair.wire.log("link-a").contains("offers service 'files'").then_some(()));
    let a = pair.take(0);
    a.signal(Signal::SIGTERM);
    assert_eq!(a.wait(), 143);
    // whoever had something of it is told why
    client.end().assert(3, "'hardline link' has ended: ended by signal 15");
    receiver.end().assert(3, "'hardline link' has ended: ended by signal 15");
    assert!(!pair.wire.path("a.sock").exists() && !pair.wire.path("in").exists());
}

#[test]
fn unplugged_adapters_do_not_end_a_transfer() {
    let wire = Wire::with(&["--ber", "1e-5", "--unplug", "1.5:0.4", "--unplug", "3:0.4", "--unplug", "4.5:0.4"]);
    let _ends = wire.linked(&[], &["--service", "echo=exec:cat"]);
    let sent = bytes(500_000, 7);
    let fed = wire.feed("open-echo", &mut wire.open("a", "echo"), &sent);
    fed.end().assert_wrote(&sent);
    assert!(wire.log("link-a").contains("is gone"), "the adapter vanished meanwhile");
    assert!(!wire.log("link-a").contains("channels have ended"), "in one session");
    wire.finish();
}

#[test]
fn a_lost_channel_is_no_end_of_input() {
    let wire = Wire::with(&[]);
    let (part, whole) = (wire.text("part"), wire.text("whole"));
    let service = format!("put=exec:cat >{part} && mv {part} {whole}");
    let _ends = wire.linked(&[], &["--service", &service]);
    wire.ask("put", b"all of it").assert(0, "");
    assert_eq!(std::fs::read(&whole).unwrap(), b"all of it");
    std::fs::remove_file(&whole).unwrap();

    let mut client = wire.open("a", "put");
    client.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::null());
    let mut client = wire.start("client", &mut client);
    let mut input = client.child.stdin.take().unwrap();
    input.write_all(b"some of it").unwrap();
    until("some of it arrives", || std::fs::read(&part).ok().filter(|b| b == b"some of it"));
    client.kill();
    wire.await_channels(0);
    await_processes(&format!("/bin/sh\0-c\0cat >{part}"), 0);
    assert!(!std::path::Path::new(&whole).exists(), "half a file passes for a whole one");
}
