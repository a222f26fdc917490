//! What commands say that cannot begin: one line, what was being done, on what, and what to try.
#![allow(missing_docs)]

mod common;

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};

use common::{HARDLINE, Wire, program, until};
use nix::sys::signal::Signal;
use nix::unistd::Uid;
use tempfile::TempDir;

/// A folder to run commands in.
struct Scratch(TempDir);

impl Scratch {
    fn new() -> Scratch {
        Scratch(tempfile::tempdir().unwrap())
    }
    fn path(&self) -> &Path {
        self.0.path()
    }
    /// Runs `hardline`; it ends with this code and one line with each of these words.
    #[track_caller]
    fn assert_says(&self, line: &str, code: i32, words: &[&str]) {
        let mut command = Command::new(HARDLINE);
        command.args(line.split_whitespace()).current_dir(self.path()).stdin(Stdio::null());
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{line}: {said}");
        assert!(words.iter().all(|word| said.contains(word)), "{line}: {words:?} are not all in: {said}");
        // those of the command line have the usage below
        assert!(said.starts_with("error: ") || said.lines().count() == 1, "{line}: {said}");
    }
}

#[test]
fn neither_a_port_nor_a_control_socket() {
    let scratch = Scratch::new();
    fs::write(scratch.path().join("f"), b"f").unwrap();
    let neither = "cannot open ./none: there is neither a port nor a control socket";
    for line in ["open ./none ssh", "send ./none f", "recv ./none --out new", "console ./none"] {
        scratch.assert_says(line, 6, &[neither, "--wait", "'hardline link'"]);
    }
    assert!(!scratch.path().join("new").exists(), "nothing is made before the port is there");
    scratch.assert_says("open run/none ssh", 6, &["cannot open ./run/none: there is neither a port nor a control socket"]);
    fs::create_dir(scratch.path().join("d")).unwrap();
    fs::write(scratch.path().join("d/f"), b"f").unwrap();
    scratch.assert_says("send d/f d/f", 2, &["'d/f' is neither a path"]);
    scratch.assert_says("pipe ./none", 6, &["cannot open ./none: there is no such device", "--wait"]);
}

#[test]
fn a_link_to_a_port_that_is_not_there_is_a_port() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.path().join("d")).unwrap();
    for link in ["a", "d/a", "b:c"] {
        std::os::unix::fs::symlink("/dev/pts/gone", scratch.path().join(link)).unwrap();
        scratch.assert_says(&format!("pipe {link}"), 6, &[&format!("cannot open ./{link}: there is no such device"), "--wait"]);
        scratch.assert_says(&format!("console {link}"), 6, &[&format!("cannot open ./{link}: there is neither")]);
        scratch.assert_says(&format!("diode send {link} d"), 6, &[&format!("cannot open ./{link}: No such file")]);
        scratch.assert_says(&format!("test {link}"), 6, &[&format!("cannot open ./{link}: there is no such device")]);
    }
}

#[test]
fn other_files_are_no_ports() {
    let scratch = Scratch::new();
    fs::write(scratch.path().join("f"), b"f").unwrap();
    let _listener = UnixListener::bind(scratch.path().join("s")).unwrap();
    scratch.assert_says("pipe s", 6, &["cannot open ./s: this is a socket", "unix:./s"]);
    scratch.assert_says("pipe /dev/null", 6, &["not a serial port"]);
    scratch.assert_says("pipe .", 2, &["'.' is neither a path", "usb:SERIAL-NUMBER"]);
    // the port was forgotten
    scratch.assert_says("send f f", 2, &["'f' is neither a path"]);
}

#[test]
fn a_control_socket_may_take_the_place_of_the_port() {
    for command in ["open", "send", "recv", "console"] {
        let help = Command::new(HARDLINE).args([command, "--help"]).output().unwrap();
        let help = String::from_utf8_lossy(&help.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(help.contains("PORT may be the control socket of a running 'hardline link --control SOCKET'"), "{help}");
        assert!(help.contains("/run/hardline/wire"), "{command} has an example: {help}");
    }
}

#[test]
fn folders_that_are_none() {
    let scratch = Scratch::new();
    fs::write(scratch.path().join("f"), b"f").unwrap();
    for line in ["recv tcp:127.0.0.1:9 --out f", "diode recv udp-listen:127.0.0.1:0 --out f"] {
        scratch.assert_says(line, 1, &["cannot put files into f: f is not a folder"]);
    }
    scratch.assert_says("diode recv ./x --out out --state f", 1, &["cannot keep what is not whole in f: f is not a folder"]);
    scratch.assert_says("diode recv . --out out", 2, &["'.' is neither a path"]);
    scratch.assert_says("diode recv ./ --out out", 6, &["cannot open ./: this is a folder"]);
}

#[test]
fn places_and_names_that_are_taken() {
    let scratch = Scratch::new();
    let twice = "link ./w --forward unix:u=a --forward tcp:127.0.0.1:4=a --forward tcp:127.0.0.1:4=b";
    scratch.assert_says(
        twice,
        2,
        &["--forward tcp:127.0.0.1:4=a and --forward tcp:127.0.0.1:4=b would listen at the same place"],
    );
    scratch.assert_says("link ./w --service x=exec:a --service x=exec:b", 2, &["two services are called 'x'"]);
    scratch.assert_says("link ./w --forward tcp:127.0.0.1:ssh=a", 2, &["write it as tcp:ADDR:PORT=NAME"]);
    scratch.assert_says("link ./w --service a=tcp:localhost", 2, &["write it as NAME=tcp:HOST:PORT"]);
    scratch.assert_says(
        "link ./w --control /dev/null",
        1,
        &["the control socket /dev/null: there is a file that is not a socket"],
    );
    let _listener = UnixListener::bind(scratch.path().join("s")).unwrap();
    scratch.assert_says("link ./w --forward unix:s=a", 1, &["listen for --forward unix:s=a: another process listens there"]);
}

#[test]
fn a_control_socket_is_held_by_one_link() {
    let (wire, other) = (Wire::with(&[]), Wire::with(&[]));
    let start = |wire: &Wire, name: &str| {
        let mut link = Command::new(HARDLINE);
        link.args(["link", "./a", "--control", "s"]).current_dir(wire.rig().dir()).stdin(Stdio::null());
        wire.start(name, &mut link)
    };
    let first = start(&wire, "first");
    common::until("the control socket", || wire.path("s").exists().then_some(()));
    let second = start(&wire, "second");
    assert_eq!(second.wait(), 1);
    let said =
        "hardline: another 'hardline link' holds the control socket s; end that one or choose another path [control-taken]\n";
    assert_eq!(wire.log("second"), said);
    // one of the same name elsewhere is none of its business
    drop(UnixListener::bind(other.path("s")).unwrap());
    let third = start(&other, "third");
    common::until("the control socket answers", || {
        let status = Command::new(HARDLINE).arg("status").arg(other.path("s")).output().unwrap();
        assert_eq!(third.ended(), None, "{}", other.log("third"));
        status.status.success().then_some(())
    });
    drop(first);
}

#[test]
fn statistics_that_cannot_be_written_are_told_at_once() {
    let wire = Wire::with(&[]);
    fs::write(wire.path("f"), b"f").unwrap();
    let commands =
        ["pipe ./a", "link ./a", "open ./a x", "send ./a f", "recv ./a --out o", "console ./a", "diode recv ./b --lines"];
    for command in commands.into_iter().chain(["diode send ./a --lines", "sim -a ./c -b ./d"]) {
        let mut run = Command::new(HARDLINE);
        run.args(command.split_whitespace());
        let output = run.args(["--stats", "none/s"]).current_dir(wire.rig().dir()).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{command}: {said}");
        assert!(said.starts_with("hardline: cannot write statistics to none/s: "), "{command}: {said}");
    }
    Scratch::new().assert_says("sim -a c -b ./c", 2, &["-a and -b are the same"]);
    // whose wire it is has the figures
    let _links = wire.linked(&[], &[]);
    for command in ["open a.sock x", "send a.sock f", "recv a.sock --out p", "console a.sock"] {
        let mut run = Command::new(HARDLINE);
        run.args(command.split_whitespace());
        let output = run.args(["--stats", "s"]).current_dir(wire.rig().dir()).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let says = "a.sock is held by 'hardline link', whose 'hardline status ./a.sock --json' has its figures [stats-elsewhere]";
        assert!(output.status.code() == Some(2) && said.contains(says), "{command}: {said}");
        assert!(!wire.path("s").exists() && !wire.path("p").exists());
    }
}

/// A socket of another program is told apart from a wire that is not held.
#[test]
fn a_foreign_socket_is_no_held_wire() {
    use std::io::{BufRead, BufReader, Read, Write};
    let wire = Wire::with(&[]);
    let answers: [(&str, Option<&'static [u8]>, &str); 4] = [
        ("silent", None, "no answer within 5 s"),
        ("shut", Some(b""), "it hung up instead of an answer"),
        ("http", Some(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "its answer is no status"),
        ("json", Some(b"{\"error\":\"unknown\"}\n"), "its answer is no status"),
    ];
    for (name, answer, says) in answers {
        wire.listen(name, move |mut stream| {
            let mut line = String::new();
            let _ = BufReader::new(stream.try_clone().unwrap()).read_line(&mut line);
            match answer {
                Some(answer) => drop(stream.write_all(answer)),
                None => drop(stream.read(&mut [0])),
            }
        });
        let output = Command::new(HARDLINE).arg("status").arg(wire.path(name)).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let path = wire.text(name);
        let line =
            format!("hardline: cannot use {path}: whoever listens there is no 'hardline link': {says} [control-foreign]\n");
        assert_eq!((output.status.code(), &*said), (Some(6), &*line));
        // whoever wants more than the status is told as well, before anything else
        let out = format!("out-{name}");
        for words in [&["open", name, "x"][..], &["recv", name, "--out", &out], &["console", name]] {
            let output = Command::new(HARDLINE).args(words).current_dir(wire.rig().dir()).stdin(Stdio::null()).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.code() == Some(6) && said.contains(says), "{words:?}: {said}");
        }
        assert!(!wire.path(&out).exists());
    }
}

/// What is closed is not what leads nowhere.
#[test]
fn closed_streams_are_no_dev_null() {
    let wire = Wire::with(&[]);
    let run = |line: &str| {
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(line).env("H", HARDLINE).current_dir(wire.rig().dir()).stdin(Stdio::null()).stdout(Stdio::null());
        let output = shell.output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for (line, name) in [
        ("$H pipe ./a --plain >&-", "stdout"),
        ("$H pipe ./a --plain <&-", "stdin"),
        ("$H open ./a --plain x <&-", "stdin"),
        ("$H ports >&-", "stdout"),
        ("$H explain 6 >&-", "stdout"),
        ("$H diode send ./a --stream <&-", "stdin"),
        ("$H diode send stdio: /etc/hostname >&-", "stdout"),
    ] {
        let (code, said) = run(line);
        let says = format!("cannot use {name}: it was closed before the start [stdio-closed]");
        assert!(code == Some(1) && said.contains(&says), "{line}: {code:?} {said}");
    }
    assert_eq!(run("$H explain 6 >/dev/null <&-").0, Some(0), "what is not used may be closed");
    assert_eq!(run("$H ports 0<>/dev/null 1<>/dev/null").0, Some(0), "a daemon's streams are open");
}

#[test]
fn an_input_that_cannot_be_read_is_told_as_such() {
    let wire = Wire::with(&[]);
    let _far = wire.link("b", &["--service", "cat=exec:cat"]);
    let mut open = Command::new(HARDLINE);
    open.args(["open", "./a", "-b", "2000000", "--plain", "cat"]).current_dir(wire.rig().dir());
    let output = open.stdin(fs::File::open("/").unwrap()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains("cannot read the input: "), "{said}");
}

/// A program's streams may be a full disk, or closed: that is an error where it was asked for something,
/// and never changes how it ends otherwise.
#[test]
fn streams_that_take_nothing() {
    use std::fs::File;
    let full = || Stdio::from(File::options().write(true).open("/dev/full").unwrap());
    let none = Command::new(HARDLINE).args(["pipe", "./none"]).stdin(Stdio::null()).stderr(full()).status().unwrap();
    assert_eq!(none.code(), Some(6));

    let wire = Wire::with(&[]);
    let _links = wire.linked(&[], &[]);
    let mut status = Command::new(HARDLINE);
    let status = status.arg("status").arg(wire.path("a.sock")).stdout(full()).output().unwrap();
    let said = String::from_utf8_lossy(&status.stderr);
    assert_eq!(status.status.code(), Some(1), "{said}");
    assert_eq!(said, "hardline: cannot write to stdout: No space left on device (os error 28) [output-failed]\n");

    fs::write(wire.path("f"), b"f").unwrap();
    std::os::unix::fs::symlink("f", wire.path("link")).unwrap();
    let run = |line: &str| {
        let mut command = Command::new(HARDLINE);
        command.args(line.split_whitespace()).current_dir(wire.rig().dir()).stdin(Stdio::null()).stderr(full());
        command
    };
    let mut recv = run("recv b.sock -v --out out").spawn().unwrap();
    common::until("the transfer", || run("send a.sock -v f link").status().unwrap().success().then_some(()));
    assert_eq!(recv.wait().unwrap().code(), Some(0));
}

#[test]
fn words_that_name_a_port_or_a_socket_are_taken() {
    let wire = Wire::with(&[]);
    let link = wire.link("b", &["--service", "tr=exec:tr a-y b-z"]);
    let run = |name: &str, words: &[&str]| {
        let mut command = Command::new(HARDLINE);
        command.arg("open").args(words).args(["tr", "-b", "2000000"]).current_dir(wire.rig().dir());
        wire.feed(name, &mut command, b"hal").end().assert_wrote(b"ibm");
    };
    // the wire itself, then by way of a socket
    run("port", &["a"]);
    let near = wire.link("a", &[]);
    wire.await_session();
    run("socket", &["a.sock"]);
    drop((near, link));
}

/// A wire's end can be opened again, by somebody who is not root, whatever became of who had it before.
#[test]
fn an_end_can_be_used_again_without_privileges() {
    let wire = Wire::with(&[]);
    // root may open a port that is locked; whoever has all but that privilege may not
    let plain = |args: &[&str]| {
        let mut command = match Uid::effective().is_root() {
            true => Command::new(program("setpriv")),
            false => Command::new("env"),
        };
        if Uid::effective().is_root() {
            command.arg("--bounding-set=-sys_admin");
        }
        command.arg(HARDLINE).args(args).current_dir(wire.rig().dir());
        command
    };
    for (i, kill) in [Signal::SIGTERM, Signal::SIGKILL, Signal::SIGKILL].into_iter().enumerate() {
        let far = wire.start(&format!("far{i}"), &mut plain(&["pipe", "./b", "--plain", "--", "cat"]));
        let once = wire.feed(&format!("once{i}"), &mut plain(&["pipe", "./a", "--plain", "-b", "115200"]), b"again").end();
        once.assert(0, "");
        once.assert_wrote(b"again");
        assert_eq!(far.wait(), 0);
        let held = wire.start(&format!("held{i}"), &mut plain(&["link", "./a", "--plain", "--control", "./held"]));
        // its socket is there before it has the port: it answers behind that
        let answers = || plain(&["status", "./held"]).output().is_ok_and(|output| output.status.success());
        until("the link", || answers().then_some(()));
        wire.feed(&format!("busy{i}"), &mut plain(&["pipe", "./a", "--plain"]), b"").end().assert(6, "busy, in use by hardline");
        held.signal(kill);
        held.wait();
        let _ = std::fs::remove_file(wire.path("held"));
    }
    for _ in 0..2 {
        wire.feed("lines", &mut plain(&["diode", "send", "./a", "--lines", "--survive", "10ms"]), b"x\n").end().assert(0, "");
    }
}
