//! `hardline check`: whether a configuration file is right, without opening its port.

use crate::cli::{CheckArgs, Command, DiodeCommand, LinkArgs, OneWayPort, PortArgs};
use crate::config::{self, File};
use crate::diode::sealing::{check_receiver, check_sender};
use crate::drive::wire::Identity;
use crate::error::Failure;
use crate::keys::file::is_credential;
use crate::names::printable;
use crate::port::Baud;
use crate::{port, say};

/// Prints the command line that the file stands for.
///
/// # Errors
/// A file that cannot be read (1), or is wrong (2): `FILE:LINE:COLUMN:` and what is wrong. Key files are read too.
pub fn run(args: &CheckArgs) -> Result<(), Failure> {
    let file = File::load(&config::path_of(&args.file))?;
    let (cli, words) = config::alone(&file)?;
    match &cli.command {
        Command::Link(link) => fits(&file, &link.port, Some(link))?,
        Command::Pipe(args) => fits(&file, &args.port, None)?,
        Command::Open(args) => fits(&file, &args.port, None)?,
        Command::Send(args) => fits(&file, &args.port, None)?,
        Command::Recv(args) => fits(&file, &args.port, None)?,
        Command::Console(args) => fits(&file, &args.port, None)?,
        Command::Diode(DiodeCommand::Send(args)) => one_way_fits(&file, &args.port, check_sender(&args.keys))?,
        Command::Diode(DiodeCommand::Recv(args)) => one_way_fits(&file, &args.port, check_receiver(&args.keys))?,
        _ => {}
    }
    if args.json {
        let words: Vec<_> = words.iter().map(|w| w.to_string_lossy()).collect();
        return say::answer(serde_json::json!({ "words": words }));
    }
    let words: Vec<String> = words.iter().map(|w| quoted(&printable(w.as_encoded_bytes()))).collect();
    say::answer(words.join(" "))
}

/// What the parser cannot know: of the port, the keys and the services together.
fn fits(file: &File, port: &PortArgs, link: Option<&LinkArgs>) -> Result<(), Failure> {
    let at = |keys: &[&str], failure: Failure| file.fail_at(keys, &failure.message);
    port::fits(&port.port, port.options()).map_err(|e| at(if port.baud == Baud::Fixed(0) { &["baud"] } else { &["port"] }, e))?;
    super::also_fits(port).map_err(|e| at(if port.baud == Baud::Auto { &["also", "baud"] } else { &["also"] }, e))?;
    let identity = match is_handed_over(port) {
        true => None,
        false => Some(Identity::new(&port.seal).map_err(|e| at(&["psk", "key"], e))?),
    };
    let Some(link) = link else { return Ok(()) };
    if let Some(identity) = identity {
        super::link::services_fit(link, &identity).map_err(|e| at(&["service"], e))?;
    }
    super::link::forwards_fit(link).map_err(|e| at(&["forward"], e))
}

/// The same of a one-way wire.
fn one_way_fits(file: &File, port: &OneWayPort, keys: Result<(), (&str, Failure)>) -> Result<(), Failure> {
    if port.baud == 0 {
        return Err(file.fail_at(&["baud"], &super::diode::no_rate(port).message));
    }
    keys.map_err(|(key, failure)| file.fail_at(&[key], &failure.message))
}

/// Whether the key is a credential, and this no service that could read it.
fn is_handed_over(port: &PortArgs) -> bool {
    let named = port.seal.key.iter().chain(&port.seal.psk).any(|path| is_credential(path));
    named && std::env::var_os("CREDENTIALS_DIRECTORY").is_none()
}

/// As a shell reads it back.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=:/.,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}
