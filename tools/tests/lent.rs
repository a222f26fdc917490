//! `stdio:` typed at the prompt of a shell on the far end of the wire, as in a login on a serial console: what is carried is
//! right, and not a byte of a frame comes to that shell.
#![allow(missing_docs)]

mod common;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};

use common::{BAUD, HARDLINE, Running, Wire, bytes, processes_with, until};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// What the shell says when it waits for a command.
const PROMPT: &str = "what-next> ";

/// A wire with a shell on the terminal at end b.
struct Login {
    wire: Wire,
    _shell: Running,
    /// What was seen of it at end a.
    seen: String,
}

impl Login {
    fn new() -> Login {
        let wire = Wire::with(&[]);
        let terminal = || Stdio::from(File::options().read(true).write(true).open(wire.path("b")).unwrap());
        let mut shell = Command::new("setsid");
        shell.args(["-c", "bash", "--norc", "--noprofile", "-i"]).env("PS1", PROMPT).env("HISTFILE", "").env("TERM", "dumb");
        shell.current_dir(wire.rig().dir()).stdin(terminal()).stdout(terminal());
        let shell = wire.start("shell", &mut shell);
        let mut login = Login { wire, _shell: shell, seen: String::new() };
        // as a getty leaves it; the simulated wire is raw
        login.types("stty sane; exec 2>&1");
        login.awaits_prompt();
        login
    }
    /// A line for the shell, from nobody who stays at end a.
    fn types(&self, line: &str) {
        self.presses(&format!("{line}\r"));
    }
    fn presses(&self, keys: &str) {
        let mut port = File::options().read(true).write(true).open(self.wire.path("a")).unwrap();
        port.write_all(keys.as_bytes()).unwrap();
    }
    /// Has the shell run hardline with these words, among them something of this test alone; once it runs.
    #[track_caller]
    fn runs(&self, words: &str) -> [Pid; 2] {
        self.types(&format!("{HARDLINE} {words}"));
        self.pair(&words.replace(' ', "\0"))
    }
    /// Reads at end a until the shell waits for a command again; says what it said.
    #[track_caller]
    fn awaits_prompt(&mut self) -> String {
        let mut port = File::options().read(true).write(true).open(self.wire.path("a")).unwrap();
        let (mut buffer, mut said) = ([0; 4096], String::new());
        until("the prompt", || {
            let mut fds = [PollFd::new(port.as_fd(), PollFlags::POLLIN)];
            if poll(&mut fds, PollTimeout::from(50u8)) == Ok(1) {
                let n = port.read(&mut buffer).unwrap();
                said.push_str(&String::from_utf8_lossy(&buffer[..n]));
            }
            said.ends_with(PROMPT).then_some(())
        });
        self.seen.push_str(&said);
        said
    }
    /// The shell is as it was: it got nothing but what was typed, and is in nothing that was begun.
    #[track_caller]
    fn is_unharmed(&mut self, number: u32) {
        // the near end may have taken the one that came at once
        self.types("");
        let said = self.awaits_prompt();
        for sign in ["command not found", "No such file", "syntax error", "unexpected", "bash:"] {
            assert!(!said.contains(sign), "'{sign}': {said:?}");
        }
        self.types(&format!("echo alive-$(({number}+1)); stty | grep -c raw"));
        let said = self.awaits_prompt();
        assert!(said.contains(&format!("\nalive-{}\r\n0\r\n", number + 1)), "{said:?}");
    }
    fn near(&self, command: &str, args: &[&str], input: &[u8]) -> common::Fed {
        let mut near = Command::new(HARDLINE);
        near.arg(command).arg(self.wire.path("a")).args(["--plain", "-b", &BAUD.to_string()]).args(args);
        self.wire.feed("near", near.current_dir(self.wire.rig().dir()), input)
    }
    /// The process that waits for the other one of two with this in their command lines, and that one.
    #[track_caller]
    fn pair(&self, text: &str) -> [Pid; 2] {
        let parent = |id: i32| -> i32 {
            let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
            stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
        };
        until("both processes", || {
            let ids = processes_with(text);
            let keeps = |id: &&i32| ids.iter().any(|other| parent(*other) == **id);
            let (keeper, worker) = (ids.iter().find(keeps)?, ids.iter().find(|id| ids.contains(&parent(**id)))?);
            Some([Pid::from_raw(*keeper), Pid::from_raw(*worker)])
        })
    }
}

#[test]
fn a_file_comes_out_of_a_login_and_the_shell_gets_nothing_of_it() {
    let mut login = Login::new();
    let content = bytes(40_000, 1);
    fs::write(login.wire.path("file"), &content).unwrap();
    for number in 1..4 {
        login.runs(&format!("pipe stdio: --plain -- cat {}", login.wire.text("file")));
        login.near("pipe", &[], b"").end().assert_wrote(&content);
        login.is_unharmed(number);
    }
}

#[test]
fn files_go_into_a_login() {
    let mut login = Login::new();
    let content = bytes(30_000, 2);
    fs::write(login.wire.path("sent"), &content).unwrap();
    login.runs(&format!("recv stdio: --plain -q --out {}", login.wire.text("in")));
    login.near("send", &["sent"], b"").end().assert(0, "");
    login.is_unharmed(1);
    common::assert_carried(&login.wire.path("in/sent"), &content);
}

/// Whoever is killed in the midst of it: the one that was started, or the one that does it.
#[test]
fn a_far_end_that_is_ended_leaves_nothing_to_the_shell() {
    for (which, signal, near_ends) in
        [(0, Signal::SIGTERM, "the peer was interrupted"), (1, Signal::SIGKILL, "nothing came from")]
    {
        let mut login = Login::new();
        // a link of its own: by its name its processes are found
        std::os::unix::fs::symlink("/dev/urandom", login.wire.path("random")).unwrap();
        let pair = login.runs(&format!("pipe stdio: --plain -- cat {}", login.wire.text("random")));
        let near = login.near("pipe", &["--grace", "4s"], &bytes(3_000_000, 3));
        until("something comes", || (near.out().len() > 20_000).then_some(()));
        kill(pair[which], signal).unwrap();
        near.end().assert(3, near_ends);
        login.is_unharmed(which as u32);
    }
}

#[test]
fn a_near_end_that_is_killed_leaves_nothing_to_the_shell() {
    let mut login = Login::new();
    std::os::unix::fs::symlink("/dev/urandom", login.wire.path("random")).unwrap();
    login.runs(&format!("pipe stdio: --plain --grace 2s -- cat {}", login.wire.text("random")));
    let near = login.near("pipe", &[], &bytes(3_000_000, 4));
    until("something comes", || (near.out().len() > 20_000).then_some(()));
    near.running.kill();
    login.is_unharmed(5);
    assert!(login.seen.contains("nothing came from the peer for 2 s"), "{:?}", login.seen);
}

/// Nobody answers, and the keys of a terminal that is the wire are bytes on it.
#[test]
fn who_sits_at_the_terminal_gets_it_back() {
    let mut login = Login::new();
    let out = login.wire.text("in");
    for words in [format!("recv stdio: --plain --out {out}"), format!("diode recv stdio: --out {out}")] {
        login.runs(&words);
        login.presses("\x03\x03\x03");
        let said = login.awaits_prompt();
        assert!(said.contains("hardline: ") && said.contains("[interrupted]"), "{said:?}");
        login.types("echo code-$?.");
        let said = login.awaits_prompt();
        assert!(said.contains("\ncode-130.\r\n"), "{said:?}");
    }
}

#[test]
fn a_shell_that_is_called_is_named() {
    let login = Login::new();
    let near = login.near("pipe", &["--grace", "60s"], b"hello");
    // whom it is taken for depends on what it makes of the calls
    let shell = "text comes in the place of frames, from a";
    until("it is told", || login.wire.log("near").contains(shell).then_some(()));
    let told = login.wire.log("near");
    assert!(told.contains("[text-heard]") && told.contains("; calling on, rarely"), "{told}");
    near.running.signal(Signal::SIGTERM);
    near.end().assert(143, "");
}

#[test]
fn who_talks_is_told_again_once_it_shows_who_it_is() {
    let wire = Wire::with(&[]);
    let mut near = Command::new(HARDLINE);
    near.arg("pipe").arg(wire.path("a")).args(["--plain", "-b", &BAUD.to_string(), "--grace", "60s"]);
    let near = wire.feed("near", near.current_dir(wire.rig().dir()), b"hello");
    let mut far = File::options().read(true).write(true).open(wire.path("b")).unwrap();
    for (says, who) in [("all of it is well here\r\n", "another program"), ("\r\nbox login: ", "a login prompt")] {
        until(who, || {
            far.write_all(says.as_bytes()).unwrap();
            wire.log("near").contains(&format!("text comes in the place of frames, from {who}: '")).then_some(())
        });
    }
    near.running.signal(Signal::SIGTERM);
    near.end().assert(143, "");
}
