//! The guides (`docs/src`), executed: every command of every chapter runs here, on a simulated wire, with the real ssh, NNCP,
//! mosquitto, gensio and so on.
//!
//! The text says what belongs where in the info string behind the language, which readers do not see:
//!
//! | | |
//! |---|---|
//! | `near`, `far` | the machine it is typed at; `near` unless said |
//! | `meanwhile` | it runs beside what follows, and has to end by itself, with 0 (`exit=N`), before the wire changes |
//! | `stays` | it runs beside what follows until the wire changes |
//! | `exit=N` | the exit code of the last command; 0 unless said |
//! | `file=PATH` | no command: the content of this file from here on |
//! | `terminal` | it is run at a terminal, and the comment `types` before it says what is typed |
//! | `not-run: REASON` | it cannot be run here |
//!
//! `sh` is a script, every command of which has to succeed. `console` has commands behind `$ ` and what they print behind
//! them, compared as it stands; `…` is anything within a line, and in a line of its own any number of lines. A command that fails is
//! followed by `$ echo $?`.
//!
//! Comments the reader does not see: `<!-- wire ARGS -->` lays a new wire, as `hardline sim` understands it, and ends what is running;
//! `<!-- wires N ARGS -->` lays N of them, `/dev/ttyUSB0` and on, and `<!-- unplug I -->` takes one away;
//! `<!-- near: SCRIPT -->` and `<!-- far: SCRIPT -->` are preparations and checks (`<!-- far stays: SCRIPT -->`); `<!-- until near: SCRIPT -->` is repeated until it succeeds.
//!
//! Paths in commands are those of two machines in a folder of the test (`world.rs`); a command that names another one is refused,
//! so that no guide changes the machine that tests it.
#![allow(missing_docs)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../terminal/mod.rs"]
mod terminal;

mod documents;
mod links;
mod page;
mod run;
mod world;

use std::collections::BTreeSet;
use std::path::PathBuf;

/// Where the chapters are.
fn book() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/src"))
}

macro_rules! chapters {
    ($($test:ident: $file:literal,)*) => {
        /// Every chapter of our own has its test.
        const CHAPTERS: &[&str] = &[$($file),*];
        $(#[test]
        fn $test() {
            run::chapter($file);
        })*
    };
}

chapters! {
    introduction: "introduction.md",
    install: "install.md",
    files_and_folders: "files.md",
    services: "services.md",
    keys: "keys.md",
    one_way: "one-way.md",
    configuration: "configuration.md",
    ssh_over_a_wire: "ssh.md",
    nncp_over_a_wire_and_through_a_diode: "nncp.md",
    console_server: "console.md",
    telemetry: "telemetry.md",
    sizing_fec: "fec.md",
    cables: "cables.md",
    rates_and_several_ports: "faster.md",
    coming_from: "coming-from.md",
    troubleshooting: "troubleshooting.md",
    embedding: "embedding.md",
}

/// Chapters that are made elsewhere and included: `{{#include FILE}}` and nothing else.
const INCLUDED: &[&str] = &["protocol.md", "errors.md", "peers.md", "security.md"];

/// What cannot be run here, and why; whoever adds one has to say so here, too.
const NOT_RUN: &[&str] = &[
    "install.md: cargo install --path tools: compiles the program for some minutes; cargo xtask test compiles the same source",
    "install.md: contrib/deb/build: compiles the program; cargo xtask test builds the package, installs it and removes it again",
    "install.md: contrib/static: compiles the program once more",
    "cables.md: sudo install -m 644 contrib/udev/60-hardline.rules /etc/udev/rules.d/: writes into the udev rules of this machine; cargo xtask test verifies the file",
    "cables.md: sudo usermod -aG dialout $USER    # and log in again: adds the user of this machine to a group",
    "troubleshooting.md: sudo systemctl disable --now ModemManager brltty serial-getty@ttyUSB0: stops services of this machine",
    "troubleshooting.md: systemctl status hardline-link@box: needs a running systemd",
];

#[test]
fn every_chapter_is_tested() {
    let there: BTreeSet<String> = std::fs::read_dir(book())
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
        .filter(|name| name.ends_with(".md") && name != "SUMMARY.md")
        .collect();
    let known: BTreeSet<String> = CHAPTERS.iter().chain(INCLUDED).map(|&name| name.to_owned()).collect();
    assert_eq!(there, known, "chapters on disk, and chapters with a test");
    for name in INCLUDED {
        let text = std::fs::read_to_string(book().join(name)).unwrap();
        assert!(
            text.starts_with("{{#include ../") && text.trim_end().ends_with("}}") && text.lines().count() == 1,
            "{name}: {text}"
        );
    }
}

#[test]
fn what_is_not_run_is_listed() {
    let mut found = Vec::new();
    for name in CHAPTERS {
        for (line, step) in page::read(&book().join(name)) {
            if let page::Step::NotRun(reason, text) = step {
                found.push(format!("{name}: {}: {reason}", text.lines().next().unwrap_or_default()));
                assert!(reason.len() > 10, "{name}:{line}: say why");
            }
        }
    }
    assert_eq!(found, NOT_RUN, "blocks marked not-run");
}
