//! Work on the sources of hardline: `cargo xtask COMMAND`. Needs nothing but Rust; each command installs or names what is missing.
#![forbid(unsafe_code)]

mod packages;
mod shell;
mod steps;

use std::process::ExitCode;

use shell::{Failed, Shell};

const USAGE: &str = "\
Work on the sources of hardline: cargo xtask COMMAND

  quick            format, lints, unit and vector tests of the libraries: before each commit, under a minute once built
  test [STEP..]    installs what is missing, then everything that must hold; or these steps alone
  bless            writes anew what tests compare with: fixtures, docs/errors.md
  fuzz [SECONDS]   each fuzz target for so long (60); needs nightly Rust and cargo-fuzz
  fresh [COMMAND]  the README's two commands, or COMMAND, in a bare Debian; needs root and mmdebstrap
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let Some((command, rest)) = words.split_first() else { return usage() };
    let shell = match Shell::at_the_root() {
        Ok(shell) => shell,
        Err(why) => return failed(&why),
    };
    let result = match (command.as_str(), rest) {
        ("quick", []) => steps::quick(&shell),
        ("test", names) => steps::test(&shell, names),
        ("bless", []) => steps::bless(&shell),
        ("fuzz", []) => steps::fuzz(&shell, 60),
        ("fuzz", [seconds]) => match seconds.parse() {
            Ok(seconds) => steps::fuzz(&shell, seconds),
            Err(_) => return usage(),
        },
        ("fresh", words) => shell.run("bash", &[&[".ci/fresh"], &strs(words)[..]].concat()),
        ("help" | "--help" | "-h", _) => {
            print!("{USAGE}");
            Ok(())
        }
        _ => return usage(),
    };
    result.map_or_else(|why| failed(&why), |()| ExitCode::SUCCESS)
}

fn strs(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

fn usage() -> ExitCode {
    eprint!("{USAGE}");
    ExitCode::from(2)
}

fn failed(why: &Failed) -> ExitCode {
    eprintln!("xtask: {why}");
    ExitCode::FAILURE
}
