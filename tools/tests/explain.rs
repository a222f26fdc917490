//! Exit codes in words: `docs/errors.md` is what `hardline explain` says; `HARDLINE_BLESS=1` writes it anew.
#![allow(missing_docs)]

use std::process::Command;

use tools::cmd::explain;
use tools::error::{EXPLANATIONS, Exit};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/errors.md");

fn run(args: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_hardline")).arg("explain").args(args).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

#[test]
fn the_document_is_the_table() {
    let text = explain::document();
    if std::env::var_os("HARDLINE_BLESS").is_some() {
        std::fs::write(DOCUMENT, &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(DOCUMENT).unwrap(), text, "HARDLINE_BLESS=1 writes it anew");
}

#[test]
fn every_code_is_explained() {
    let all = [Exit::Done, Exit::Failed, Exit::Usage, Exit::Lost, Exit::Incomplete, Exit::Refused, Exit::Port, Exit::Signal(0)];
    assert_eq!(EXPLANATIONS.map(|e| e.code), all.map(Exit::code));
    let (code, list) = run(&[]);
    assert!(code == Some(0) && list.lines().count() == all.len() && list.contains("128+N  ended by signal N"), "{list}");
    for (n, row) in EXPLANATIONS.iter().enumerate().take(7) {
        let (code, text) = run(&[&n.to_string()]);
        let begin = format!("{n}: {}", row.meaning);
        assert!(code == Some(0) && text.starts_with(&begin) && text.contains("Cause: ") && text.contains("Remedy: "), "{text}");
    }
    assert!(run(&["143"]).1.starts_with("143: ended by signal 15 (SIGTERM)"));
    for wrong in ["7", "128", "255", "x"] {
        assert_eq!(run(&[wrong]).0, Some(2), "{wrong}");
    }
}
