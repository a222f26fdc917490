//! Configuration files: the words of a command line, written down, one file for each wire.
//!
//! A file becomes words in front of the user's own, so that one parser decides what is valid. Every key is a flag by its
//! long name (`baud`), or an argument by its name in the usage line in small letters (`port`, `file`, `cmd`).

mod blame;
mod file;
mod words;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{CommandFactory, Parser};

pub use self::file::File;
use crate::cli::Cli;
use crate::error::Failure;
use crate::log;

/// Where a file goes that is called by its NAME alone.
const FOLDER: &str = "/etc/hardline";

/// The file of a wire: a path (with a slash, or ending in `.toml`), or NAME for `/etc/hardline/NAME.toml`.
pub fn path_of(name: &Path) -> PathBuf {
    let is_path = name.extension().is_some_and(|e| e == "toml") || name.as_os_str().as_encoded_bytes().contains(&b'/');
    if is_path { name.to_owned() } else { Path::new(FOLDER).join(name).with_added_extension("toml") }
}

/// The command line `words` (with the program's name), and what its `--config` file adds. Help, and what is wrong with
/// the command line itself, is told by clap, which ends the process.
///
/// # Errors
/// A file that cannot be read (1), or is wrong (2): with its line and column.
pub fn read(words: Vec<OsString>) -> Result<Cli, Failure> {
    let Some(typed) = words::Typed::find(&words) else {
        return Ok(Cli::try_parse_from(words).unwrap_or_else(|e| log::end_with(&e)));
    };
    let file = File::load(&path_of(&typed.config))?;
    match parse(&file, &words, &typed)? {
        Ok((cli, _)) => Ok(cli),
        Err(error) => log::end_with(&error),
    }
}

/// What a file says by itself: the command line, and the words it stands for.
///
/// # Errors
/// What is wrong with it, and where (2).
pub fn alone(file: &File) -> Result<(Cli, Vec<OsString>), Failure> {
    let words = vec![OsString::from("hardline")];
    file.command().ok_or_else(|| words::no_key(file))?;
    let parsed = parse(file, &words, &words::Typed::nothing())?;
    parsed.map_err(|error| file.fail(0, &file::one_line(&error.to_string())))
}

type Parsed = Result<(Cli, Vec<OsString>), clap::Error>;

/// The inner error is of what was typed, the outer one of the file.
fn parse(file: &File, words: &[OsString], typed: &words::Typed) -> Result<Parsed, Failure> {
    let mut root = Cli::command();
    root.build();
    let joined = words::join(&root, file, words, typed)?;
    match Cli::try_parse_from(&joined.words) {
        Ok(cli) => Ok(Ok((cli, joined.words))),
        Err(error) => match blame::place(file, joined.leaf, &joined.used, &error) {
            Some(failure) => Err(failure),
            None => Ok(Err(error)),
        },
    }
}
