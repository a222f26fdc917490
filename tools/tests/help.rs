//! The help of every command: as wide as a terminal of 80 columns, in groups by use, with examples that can be copied.
#![allow(missing_docs)]

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use clap::{CommandFactory, Parser};
use tools::cli::Cli;

const WIDTH: usize = 80;

/// Every command by its words, and what clap knows of it.
fn commands() -> Vec<(Vec<String>, clap::Command)> {
    fn below(words: &[String], command: &clap::Command, all: &mut Vec<(Vec<String>, clap::Command)>) {
        all.push((words.to_vec(), command.clone()));
        for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help") {
            below(&[words, &[sub.get_name().to_owned()]].concat(), sub, all);
        }
    }
    let mut root = Cli::command();
    root.build();
    let mut all = Vec::new();
    below(&[], &root, &mut all);
    assert!(all.len() > 20, "{}", all.len());
    all
}

fn help(words: &[String], flag: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hardline"));
    let output = command.args(words).arg(flag).env_remove("COLUMNS").stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{words:?} {flag}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn no_line_is_wider_than_a_terminal() {
    for (words, _) in commands() {
        for flag in ["-h", "--help"] {
            for line in help(&words, flag).lines() {
                assert!(line.chars().count() <= WIDTH, "{words:?} {flag}, {} columns: {line}", line.chars().count());
            }
        }
    }
}

/// What is about the wire, about keys and of every command has a heading; what is the command's own stands first.
#[test]
fn options_are_in_groups_by_use() {
    // of 'keygen' --psk is what is made
    for (words, command) in commands().into_iter().filter(|(words, _)| !words.is_empty() && words[0] != "keygen") {
        for arg in command.get_arguments().filter(|arg| !arg.is_positional() && !arg.is_hide_set()) {
            let heading = arg.get_help_heading();
            let wanted = match arg.get_id().as_str() {
                "verbose" | "quiet" | "stats" | "config" => Some("Every command"),
                "key" | "psk" | "peer" | "accept_new" | "known_peers" => Some("Keys"),
                "also" | "flow" | "wait" | "grace" => Some("Wire"),
                _ => heading,
            };
            assert_eq!(heading, wanted, "{words:?} {}", arg.get_id());
        }
    }
    let text = help(&["diode".into(), "recv".into()], "--help");
    let at = |what: &str| text.find(&format!("\n{what}:\n")).unwrap_or_else(|| panic!("{what}: {text}"));
    let order = ["Arguments", "Options", "Wire", "What is kept and told", "Keys", "Every command"].map(at);
    assert!(order.windows(2).all(|two| two[0] < two[1]), "{order:?} {text}");
}

/// Lines of the help that are commands: those that are indented below a line that ends with a colon, behind the options.
fn examples(command: &clap::Command) -> Vec<String> {
    let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let examples = after.split("\nA file:\n").next().unwrap_or_default();
    let lines = examples.lines().filter(|line| line.starts_with("  ") && line.contains("hardline"));
    lines.map(|line| line.trim().to_owned()).collect()
}

/// A folder with a `hardline` that notes its words, each behind the other, and programs of others that do nothing.
fn scene() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let program = |name: &str, script: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    };
    program(
        "hardline",
        "{ for word; do printf '%s\\0' \"$word\"; done; printf '\\n'; } >>\"$NOTED\"; echo said; /bin/cat >/dev/null",
    );
    program("ssh", "case $2 in ProxyCommand=*) exec /bin/sh -c \"${2#ProxyCommand=}\";; esac; shift; exec /bin/sh -c \"$*\"");
    for other in ["tar", "sensor", "jq"] {
        program(other, "echo said");
    }
    dir
}

#[test]
fn examples_are_commands_as_they_stand() {
    let scene = scene();
    for (words, command) in commands().into_iter().filter(|(words, command)| !words.is_empty() && !command.has_subcommands()) {
        let examples = examples(&command);
        assert!(!examples.is_empty(), "{words:?} has no example");
        let shown = help(&words, "-h");
        for example in examples {
            // with its indent, on a line of its own: as it can be copied
            assert!(shown.contains(&format!("\n  {example}\n")), "{words:?}: {example} is not in {shown}");
            let noted = scene.path().join("noted");
            let _ = std::fs::remove_file(&noted);
            let mut shell = Command::new("/bin/sh");
            shell.arg("-c").arg(&example).env("PATH", scene.path()).env("NOTED", &noted).env("HOME", scene.path());
            let output = shell.current_dir(scene.path()).stdin(Stdio::null()).output().unwrap();
            assert!(output.status.success(), "{example}: {}", String::from_utf8_lossy(&output.stderr));
            let noted = std::fs::read_to_string(&noted).unwrap();
            assert_eq!(noted.lines().count(), example.matches("hardline ").count(), "{example}: {noted}");
            for line in noted.lines() {
                let line = std::iter::once("hardline").chain(line.split_terminator('\0'));
                let line: Vec<&str> = line.map(|word| if word == "BASE64" { "key" } else { word }).collect();
                Cli::try_parse_from(&line).unwrap_or_else(|e| panic!("{example}: {line:?}: {e}"));
            }
        }
    }
}
