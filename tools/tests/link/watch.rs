//! `hardline status --watch` on a terminal, and `--metrics`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use nix::pty::{Winsize, openpty};
use nix::sys::signal::Signal;
use nix::sys::termios::tcgetattr;

use super::common::{HARDLINE, Running, Wire, until};

fn status(wire: &Wire, args: &[&str]) -> Command {
    let mut status = Command::new(HARDLINE);
    status.arg("status").arg(wire.path("a.sock")).args(args).stdin(Stdio::null()).stdout(Stdio::null());
    status
}

/// A terminal with `--watch` on it.
struct Terminal {
    master: File,
    slave: std::os::fd::OwnedFd,
    shown: Vec<u8>,
    running: Running,
}

impl Terminal {
    #[track_caller]
    fn new(wire: &Wire, name: &str) -> Terminal {
        let size = Winsize { ws_row: 24, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(&size, None).unwrap();
        let end = || Stdio::from(pty.slave.try_clone().unwrap());
        let mut command = status(wire, &["--watch", "--interval", "100ms"]);
        let running = wire.start(name, command.env("TERM", "xterm").stdin(end()).stdout(end()));
        let flags = nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK);
        nix::fcntl::fcntl(&pty.master, flags).unwrap();
        Terminal { master: pty.master.into(), slave: pty.slave, shown: Vec::new(), running }
    }
    /// What it shows now: text and cursor positions are all that is understood.
    fn screen(&mut self) -> String {
        let text = self.look();
        let mut cells = vec![vec![' '; 100]; 24];
        let (mut row, mut column) = (0, 0);
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            if c != '\x1b' {
                if let Some(cell) = cells.get_mut(row).and_then(|r: &mut Vec<char>| r.get_mut(column)) {
                    *cell = c;
                }
                column += 1;
                continue;
            }
            let mut sequence = String::new();
            for c in chars.by_ref().skip(1) {
                sequence.push(c);
                if c.is_ascii_alphabetic() {
                    break;
                }
            }
            let at = |n: usize| sequence.trim_end_matches('H').split(';').nth(n).and_then(|n| n.parse::<usize>().ok());
            if sequence.ends_with('H') {
                (row, column) = (at(0).unwrap_or(1) - 1, at(1).unwrap_or(1) - 1);
            }
        }
        cells.into_iter().map(|row| row.into_iter().collect::<String>() + "\n").collect()
    }
    /// What was written to it by now.
    fn look(&mut self) -> String {
        let mut buffer = [0; 4096];
        while let Ok(n @ 1..) = self.master.read(&mut buffer) {
            self.shown.extend_from_slice(&buffer[..n]);
        }
        String::from_utf8_lossy(&self.shown).into_owned()
    }
    #[track_caller]
    fn await_text(&mut self, text: &str) {
        until(&format!("'{text}' on the screen"), || self.screen().contains(text).then_some(()));
    }
}

#[test]
fn watch_draws_and_restores_the_terminal() {
    let wire = Wire::with(&[]);
    let _ends = wire.linked(&[], &["--service", "hold=exec:cat"]);
    let mut holder = wire.open("a", "hold");
    let mut holder = wire.start("holder", holder.stdin(Stdio::piped()).stdout(Stdio::null()));
    let mut input = holder.child.stdin.take().unwrap();
    input.write_all(&[7; 5000]).unwrap();

    let ways: [(&str, &[u8], i32); 3] = [("q", b"q", 0), ("ctrl-c", b"\x03", 0), ("term", b"", 143)];
    for (name, key, code) in ways {
        let mut terminal = Terminal::new(&wire, name);
        let port = wire.text("a");
        for text in [&port[..], "baud: open", "hold", "round trip", "1 channels"] {
            terminal.await_text(text);
        }
        let raw = tcgetattr(&terminal.slave).unwrap();
        match key {
            [] => terminal.running.signal(Signal::SIGTERM),
            key => terminal.master.write_all(key).unwrap(),
        }
        assert_eq!(terminal.running.wait(), code, "after {name}");
        assert!(terminal.look().contains("\x1b[?1049l"), "{:?}", terminal.look());
        let after = tcgetattr(&terminal.slave).unwrap();
        let canonical = nix::sys::termios::LocalFlags::ICANON | nix::sys::termios::LocalFlags::ECHO;
        assert!(!raw.local_flags.intersects(canonical) && after.local_flags.contains(canonical), "modes after {name}");
    }
}

#[test]
fn watch_shows_that_the_link_went_away_and_came_back() {
    let wire = Wire::with(&[]);
    let [a, _b] = wire.linked(&[], &[]);
    let mut terminal = Terminal::new(&wire, "watch");
    terminal.await_text("baud: open");
    a.kill();
    terminal.await_text("cannot reach the wire");
    let _a = wire.link("a", &[]);
    terminal.await_text("baud: open");
    terminal.master.write_all(b"q").unwrap();
    assert_eq!(terminal.running.wait(), 0);
}

#[test]
fn watch_needs_a_terminal() {
    let wire = Wire::with(&[]);
    let _a = wire.link("a", &[]);
    wire.feed("watch", &mut status(&wire, &["--watch"]), b"").end().assert(2, "stdout is none");
    wire.feed("every", &mut status(&wire, &["--interval", "1s"]), b"").end().assert(2, "--interval goes with");
    wire.feed("both", &mut status(&wire, &["--watch", "--json"]), b"").end().assert(2, "cannot be used with");
}

/// Every sample by its name and labels; every line is what the text format allows.
fn parse(text: &str) -> BTreeMap<String, f64> {
    let mut samples = BTreeMap::new();
    let mut kinds = BTreeMap::new();
    for line in text.lines() {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match words[..] {
            ["#", "HELP", _, _] => {}
            ["#", "TYPE", name, kind @ ("gauge" | "counter")] => assert!(kinds.insert(name, kind).is_none(), "{name} twice"),
            _ => {
                let (series, value) = line.rsplit_once(' ').unwrap();
                let (name, labels) = series.split_once('{').unwrap();
                assert!(labels.starts_with("wire=\"") && labels.ends_with("\"}"), "{line}");
                let kind = kinds.get(name).unwrap_or_else(|| panic!("{name} has no type"));
                assert_eq!(*kind == "counter", name.ends_with("_total"), "{line}");
                assert!(samples.insert(series.to_owned(), value.parse().unwrap()).is_none(), "{series} twice");
            }
        }
    }
    samples
}

#[test]
fn metrics_are_written_for_prometheus() {
    let wire = Wire::with(&[]);
    let [a, _b] = wire.linked(&[], &["--service", "cat=exec:cat"]);
    wire.ask("cat", &[1; 10_000]).assert(0, "");
    wire.await_channels(0);
    let (file, socket) = (wire.text("metrics.prom"), wire.text("a.sock"));
    wire.run("metrics", &mut status(&wire, &["--metrics", &file]));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
    assert!(!wire.path("metrics.prom.tmp").exists());
    let samples = parse(&fs::read_to_string(&file).unwrap());
    let sample = |series: &str| samples[&series.replace("{", &format!("{{wire=\"{socket}\"")).replace("\"dir", "\",dir")];
    assert_eq!(sample("hardline_up{}"), 1.0);
    assert_eq!(sample("hardline_session_open{}"), 1.0);
    assert_eq!(sample("hardline_baud{}"), 2e6);
    assert_eq!(sample("hardline_bytes_total{direction=\"out\"}"), 10_000.0);
    assert_eq!(sample("hardline_bytes_total{direction=\"in\"}"), 10_000.0);
    assert!((1e-5..1.0).contains(&sample("hardline_round_trip_seconds{}")));

    // again and again, and when nobody answers any more
    let repeating = wire.start("repeating", &mut status(&wire, &["--metrics", &file, "--interval", "50ms"]));
    fs::remove_file(&file).unwrap();
    until("it is written again", || fs::read_to_string(&file).ok().filter(|t| t.contains("hardline_bytes_total")));
    a.kill();
    let down = until("it says so", || fs::read_to_string(&file).ok().filter(|t| !t.contains("hardline_bytes_total")));
    assert_eq!(parse(&down)[&format!("hardline_up{{wire=\"{socket}\"}}")], 0.0);
    drop(repeating);
    let once = wire.feed("once", &mut status(&wire, &["--metrics", &file]), b"").end();
    once.assert(6, "is 'hardline link' running?");
}
