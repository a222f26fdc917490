//! Messages and exit codes in words: `docs/errors.md` is what `hardline explain` says; `HARDLINE_BLESS=1` writes it anew.
#![allow(missing_docs)]

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tools::cmd::explain;
use tools::error::kinds::{self, AREAS};
use tools::error::{EXPLANATIONS, Exit};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/errors.md");
const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src");

fn hardline(args: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_hardline")).args(args).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn explain(args: &[&str]) -> (Option<i32>, String) {
    let (code, stdout, stderr) = hardline(&[&["explain"], args].concat());
    (code, stdout + &stderr)
}

#[test]
fn the_document_is_the_table() {
    let text = explain::document();
    if std::env::var_os("HARDLINE_BLESS").is_some() {
        fs::write(DOCUMENT, &text).unwrap();
    }
    assert_eq!(fs::read_to_string(DOCUMENT).unwrap(), text, "HARDLINE_BLESS=1 writes it anew");
}

#[test]
fn every_exit_code_is_explained() {
    let all = [Exit::Done, Exit::Failed, Exit::Usage, Exit::Lost, Exit::Incomplete, Exit::Refused, Exit::Port, Exit::Signal(0)];
    assert_eq!(EXPLANATIONS.map(|e| e.code), all.map(Exit::code));
    let (code, list) = explain(&[]);
    assert!(code == Some(0) && list.contains("128+N  ended by signal N"), "{list}");
    for (n, row) in EXPLANATIONS.iter().enumerate().take(7) {
        assert_eq!(Exit::of(n as u64), Some(all[n]));
        let (code, text) = explain(&[&n.to_string()]);
        let begin = format!("{n}: {}", row.meaning);
        assert!(code == Some(0) && text.starts_with(&begin) && text.contains("Cause: ") && text.contains("Remedy: "), "{text}");
        let with: Vec<_> = kinds::all().filter(|e| e.exit == Some(all[n])).collect();
        assert!(n == 0 || !with.is_empty(), "some message ends with {n}");
        assert!(with.iter().all(|e| text.contains(&format!("\n  {} ", e.code))), "{text}");
    }
    assert!(explain(&["143"]).1.starts_with("143: ended by signal 15 (SIGTERM)"));
    for wrong in ["7", "128", "255", "1000000"] {
        assert_eq!(explain(&[wrong]).0, Some(2), "{wrong}");
    }
}

#[test]
fn every_message_is_explained() {
    let (_, list) = explain(&[]);
    for entry in kinds::all() {
        assert!(list.lines().any(|line| line.starts_with(&format!("{} ", entry.code))), "{list}");
        let (code, text) = explain(&[entry.code]);
        assert!(code == Some(0) && text.contains(entry.cause) && text.contains(entry.remedy), "{text}");
        assert!(entry.shown().all(|line| text.contains(&line)), "{text}");
    }
    assert_eq!(explain(&["[port-busy]"]), explain(&["port-busy"]));
}

#[test]
fn a_wrong_code_brings_the_nearest() {
    for (wrong, meant) in [("port-buzy", "'port-busy'"), ("key-mismatched", "'key-mismatch'")] {
        let (code, text) = explain(&[wrong]);
        assert!(code == Some(2) && text.contains(meant) && text.trim_end().ends_with("[no-such-code]"), "{text}");
    }
    let (code, text) = explain(&["xylophone\u{1b}"]);
    assert!(code == Some(2) && text.contains("lists all") && !text.contains('\u{1b}'), "{text}");
}

#[test]
fn a_message_is_found_by_its_words() {
    let lines = |args: &[&str]| {
        let (code, text) = explain(args);
        assert_eq!(code, Some(0), "{args:?}: {text}");
        text
    };
    // as it was said, with and without what it ends with
    let said = "hardline: cannot open /dev/ttyUSB0: busy, in use by minicom (process 812)";
    for line in [said, "cannot open /dev/ttyUSB0: busy", &format!("{said} [port-busy]")] {
        assert_eq!(lines(&[line]), lines(&["port-busy"]), "{line}");
    }
    let silent = "/dev/ttyUSB0: nothing came from the peer for 60 s; 0 bytes sent and acknowledged, 0 received";
    assert_eq!(lines(&[silent]), lines(&["peer-silent"]));
    // words of it
    assert!(lines(&["no", "peer"]).contains("\nno-answer "), "{}", lines(&["no", "peer"]));
    assert_eq!(lines(&["login", "prompt"]), lines(&["text-heard"]));
    assert!(lines(&["busy"]).contains("port-busy"));
    let several: Value = serde_json::from_str(&lines(&["no", "peer", "--json"])).unwrap();
    assert!(several.as_array().unwrap().iter().any(|entry| entry["code"] == "no-answer"), "{several}");
    for entry in kinds::all() {
        for line in entry.shown().filter(|line| line.chars().filter(|c| c.is_lowercase()).count() >= 20) {
            let text = lines(&["--", &line]);
            assert!(text.contains(entry.code) || text.contains(&line), "{line}: {text}");
        }
    }
}

#[test]
fn programs_read_the_table_too() {
    let table: Value = serde_json::from_str(&explain(&["--json"]).1).unwrap();
    assert_eq!(table["exits"].as_array().unwrap().len(), EXPLANATIONS.len());
    assert_eq!(table["messages"].as_array().unwrap().len(), kinds::all().count());
    let busy: Value = serde_json::from_str(&explain(&["port-busy", "--json"]).1).unwrap();
    assert!(table["messages"].as_array().unwrap().contains(&busy) && busy["exit"] == 6, "{busy}");
    let port: Value = serde_json::from_str(&explain(&["6", "--json"]).1).unwrap();
    assert!(port["exit"] == 6 && port["messages"].as_array().unwrap().contains(&"port-busy".into()), "{port}");
}

fn sources(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
        if entry.is_dir() && !entry.ends_with("src/error") {
            sources(&entry, text);
        } else if entry.extension().is_some_and(|e| e == "rs") {
            text.push_str(&fs::read_to_string(entry).unwrap());
        }
    }
}

#[test]
fn every_kind_is_said_somewhere() {
    let mut text = String::new();
    sources(Path::new(SOURCES), &mut text);
    let names = AREAS.into_iter().flat_map(|a| a.failures.iter().map(|f| f.0).chain(a.notices.iter().map(|n| n.0)));
    let is_used = |name: &str| {
        let word = format!("kinds::{name}");
        // `interrupted` has the number of a signal with it
        let signal = name == "INTERRUPTED" && text.contains("Failure::signal(");
        signal
            || text
                .match_indices(&word)
                .any(|(at, _)| !text[at + word.len()..].starts_with(|c: char| c.is_ascii_uppercase() || c == '_'))
    };
    let idle: Vec<_> = names.filter(|name| !is_used(name)).collect();
    assert!(idle.is_empty(), "nobody says {idle:?}");
}

#[test]
fn the_line_ends_with_its_code() {
    let (code, _, text) = hardline(&["pipe", "/dev/there-is-no-such-port"]);
    assert!(code == Some(6) && text.starts_with("hardline: cannot open /dev/there-is-no-such-port: "), "{text}");
    assert!(text.lines().count() == 1 && text.ends_with(" [port-absent]\n"), "{text}");
    let (code, _, text) = hardline(&["pipe", "--bogus"]);
    assert!(code == Some(2) && text.starts_with("error: ") && text.ends_with(" [usage]\n"), "{text}");
    let (code, text, _) = hardline(&["pipe", "--help"]);
    assert!(code == Some(0) && !text.contains("[usage]"), "{text}");
}

#[test]
fn programs_find_the_code_in_a_field() {
    let wrong: [(&[&str], &str, i32); 3] = [
        (&["pipe", "/dev/there-is-no-such-port", "--log", "json"], "port-absent", 6),
        (&["--log=json", "pipe", "--bogus"], "usage", 2),
        (&["--config", "/there/is/no.toml", "--log", "json"], "config-unreadable", 1),
    ];
    for (args, kind, exit) in wrong {
        let (code, _, text) = hardline(args);
        let line: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
        let fields = &line["fields"];
        assert!(fields["code"] == kind && fields["exit"] == exit && code == Some(exit), "{text}");
        assert!(!fields["message"].as_str().unwrap().contains('['), "{text}");
    }
}
