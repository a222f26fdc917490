//! The documents outside of the book: README, SECURITY, CONTRIBUTING and the forms of the repository. They are as short as promised,
//! and what they name exists.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use crate::common::HARDLINE;

fn top() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn text(name: &str) -> String {
    fs::read_to_string(top().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// Its code in passing, and the lines of its indented blocks.
fn code(text: &str) -> (Vec<String>, Vec<String>) {
    let (mut passing, mut lines, mut block) = (Vec::new(), Vec::new(), false);
    for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::CodeBlock(_)) => block = true,
            Event::End(TagEnd::CodeBlock) => block = false,
            Event::Text(part) if block => lines.extend(part.lines().map(str::to_owned)),
            Event::Code(part) => passing.push(part.into_string()),
            _ => {}
        }
    }
    (passing, lines)
}

/// The commands of hardline in a line of a shell: in a pipe, behind a comment, or told to another program in quotes.
fn commands(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    let line = line.split(" # ").next().unwrap_or_default();
    for part in line.split('|').flat_map(|part| part.split('\'')) {
        let end = part.find([';', '<', '>']).unwrap_or(part.len());
        let words = part[..end].trim();
        found.extend(words.strip_prefix("hardline ").map(str::to_owned));
    }
    found
}

/// `hardline` takes this command line, up to the `--help` that is put into it.
fn takes(at: &str, line: &str) {
    let line = line.replace("PORT", "/dev/ttyUSB0").replace("SOCKET", "./socket").replace(['[', ']'], "");
    let line = if line.contains(" -- ") { line.replace(" -- ", " --help -- ") } else { format!("{line} --help") };
    let output = Command::new("/bin/sh").args(["-c", &format!("\"$0\" {line}"), HARDLINE]).output().unwrap();
    assert!(output.status.success(), "{at}: hardline {line}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_readme_is_read_at_a_glance() {
    let readme = text("README.md");
    assert!(readme.lines().count() <= 130, "{} lines", readme.lines().count());
    for (i, line) in readme.lines().enumerate() {
        assert!(line.chars().count() <= 100, "README.md:{}: {} columns", i + 1, line.chars().count());
    }
    // .ci/fresh runs these two
    for command in ["cargo run --release --bin hardline -- demo", "cargo xtask test"] {
        let line = format!("    {command}");
        assert_eq!(readme.lines().filter(|l| *l == line || l.starts_with(&format!("{line} "))).count(), 1, "{command}");
    }
}

#[test]
fn hardline_takes_every_command_of_the_documents() {
    let mut count = 0;
    for name in ["README.md", "SECURITY.md", "CONTRIBUTING.md", "hil-tests/README.md"] {
        let (passing, lines) = code(&text(name));
        for line in lines.iter().chain(&passing) {
            for command in commands(line) {
                takes(name, &command);
                count += 1;
            }
        }
    }
    for form in forms() {
        for command in text(&form).split('`').filter_map(|part| part.strip_prefix("hardline ")) {
            takes(&form, command);
            count += 1;
        }
    }
    assert!(count > 25, "{count} commands are too few: is the text read?");
}

/// What is shown at the host of the repository: forms for issues, the text of a new pull request.
fn forms() -> Vec<String> {
    let mut forms = vec![".github/PULL_REQUEST_TEMPLATE.md".to_owned()];
    for entry in fs::read_dir(top().join(".github/ISSUE_TEMPLATE")).unwrap() {
        forms.push(format!(".github/ISSUE_TEMPLATE/{}", entry.unwrap().file_name().into_string().unwrap()));
    }
    forms
}

/// `tools/src/limit.rs` and `link/tests/bond.rs::a_bond`: the file exists, and a test or function of that name in it.
#[test]
fn files_and_tests_that_are_named_exist() {
    let mut count = 0;
    let forms = forms();
    let documents = ["README.md", "SECURITY.md", "CONTRIBUTING.md"].into_iter().chain(forms.iter().map(String::as_str));
    for name in documents {
        let text = text(name);
        let all = if name.ends_with(".yml") { text.split('`').map(str::to_owned).collect() } else { code(&text).0 };
        for code in all {
            let (path, function) = code.split_once("::").map_or((code.as_str(), None), |(path, function)| (path, Some(function)));
            if !is_of_the_repository(path) {
                continue;
            }
            let file = top().join(path);
            assert!(file.exists(), "{name}: there is no {path}");
            if let Some(function) = function {
                assert!(has(&file, function), "{name}: there is no `fn {function}` in {path}");
            }
            count += 1;
        }
    }
    assert!(count > 60, "{count} names are too few: is the text read?");
}

/// A path below one of its folders, and nothing that a build makes.
fn is_of_the_repository(path: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    let folder = path.split_once('/').is_some_and(|(first, _)| !["", "target"].contains(&first) && top().join(first).is_dir());
    folder && path.chars().all(plain)
}

fn has(file: &Path, function: &str) -> bool {
    fs::read_to_string(file).is_ok_and(|text| text.contains(&format!("fn {function}(")))
}

/// `cargo test -p CRATE --test NAME`: there is such a test.
#[test]
fn tests_that_are_to_be_run_exist() {
    let (passing, lines) = code(&text("CONTRIBUTING.md"));
    let mut count = 0;
    for line in passing.iter().chain(&lines) {
        let Some(command) = line.find("cargo test ").map(|at| &line[at..]) else { continue };
        let words: Vec<&str> = command.split_whitespace().take_while(|word| !["#", "--"].contains(word)).collect();
        let behind = |flag| words.windows(2).filter(move |pair| pair[0] == flag).map(|pair| pair[1]);
        for name in behind("--test").filter(|name| *name != "NAME") {
            let is_there = |folder: &str| {
                let tests = top().join(folder).join("tests");
                tests.join(format!("{name}.rs")).exists() || tests.join(name).join("main.rs").exists()
            };
            assert!(behind("-p").any(is_there), "CONTRIBUTING.md: {line}: there is no test {name}");
            count += 1;
        }
    }
    assert!(count > 5, "{count} tests are too few: is the text read?");
}

/// The oldest Rust that the manifests allow is the one that readers are told.
#[test]
fn the_oldest_rust_is_told() {
    let oldest = |manifest: &str| {
        let text = text(manifest);
        let line = text.lines().find_map(|line| line.strip_prefix("rust-version = \"")?.split('"').next());
        line.unwrap_or_else(|| panic!("{manifest} does not state it")).to_owned()
    };
    for (manifest, document) in [
        ("Cargo.toml", "README.md"),
        ("Cargo.toml", "docs/src/install.md"),
        ("link/Cargo.toml", "docs/src/embedding.md"),
        ("fec/Cargo.toml", "docs/src/embedding.md"),
        ("diode/Cargo.toml", "docs/src/embedding.md"),
    ] {
        let needed = oldest(manifest);
        assert!(
            text(document).contains(&format!("Rust {needed} or newer")),
            "{manifest} allows {needed}; {document} does not say so"
        );
    }
}

#[test]
fn commands_are_found_in_a_line() {
    for (line, found) in [
        ("hardline demo -q", vec!["demo -q"]),
        ("tar c d | hardline pipe PORT < /dev/null > x  # there", vec!["pipe PORT"]),
        ("ssh -o ProxyCommand='hardline pipe PORT -b 9600' box", vec!["pipe PORT -b 9600"]),
        ("hardline-bench echo", vec![]),
    ] {
        assert_eq!(commands(line), found, "{line}");
    }
}
