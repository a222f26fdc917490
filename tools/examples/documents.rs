//! Writes what a package has beside the binary: `DIR/man/*.1`, a page for each command, and `DIR/completions/` for bash, zsh and
//! fish. All of it comes from the definition of the command line.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use tools::cli::Cli;

fn main() -> io::Result<()> {
    let Some(dir) = std::env::args_os().nth(1).map(PathBuf::from) else {
        return Err(io::Error::other("usage: documents DIR"));
    };
    let mut hardline = for_users(&Cli::command());
    let completions = dir.join("completions");
    fs::create_dir_all(&completions)?;
    // under the names by which shells find them
    for (shell, name) in [(Shell::Bash, "hardline"), (Shell::Zsh, "_hardline"), (Shell::Fish, "hardline.fish")] {
        let mut file = File::create(completions.join(name))?;
        clap_complete::generate(shell, &mut hardline.clone(), "hardline", &mut file);
    }
    let man = dir.join("man");
    fs::create_dir_all(&man)?;
    hardline.build();
    pages(&hardline, "hardline", &man)
}

/// Without what is hidden, which completions would offer, and without `help`, which has no page.
fn for_users(all: &Command) -> Command {
    // nothing can be taken out of a command
    let made = Command::new("hardline").version(env!("CARGO_PKG_VERSION")).subcommand_required(true);
    let made = made.about(all.get_about().cloned().unwrap_or_default()).args(all.get_arguments().cloned());
    let made = made.after_help(all.get_after_help().cloned().unwrap_or_default()).disable_help_subcommand(true);
    let shown = all.get_subcommands().filter(|inner| !inner.is_hide_set()).cloned();
    made.subcommands(shown.map(|inner| inner.disable_help_subcommand(true)))
}

/// The page of a command, and those of its own commands.
fn pages(command: &Command, name: &str, dir: &Path) -> io::Result<()> {
    for inner in command.get_subcommands() {
        pages(inner, &format!("{name}-{}", inner.get_name()), dir)?;
    }
    // what man(1) is asked for; the usage has spaces there
    let page = clap_mangen::Man::new(command.clone().display_name(name.to_owned()));
    let page = page.title(name.to_uppercase()).source(concat!("hardline ", env!("CARGO_PKG_VERSION")));
    page.render(&mut File::create(dir.join(format!("{name}.1")))?)
}
