//! `hardline keygen`: a new key, for this end or for both.

use std::path::Path;

use crate::cli::{Common, KeygenArgs};
use crate::error::{Failure, kinds};
use crate::keys::{Key, Psk, Secret, file};
use crate::names;
use crate::say::{answer, aside};

/// Makes the key file, then says what to do with it.
pub fn run(common: &Common, args: &KeygenArgs) -> Result<(), Failure> {
    let key = match args.psk {
        true => Key::Psk(Psk::generate()?),
        false => Key::Secret(Secret::generate()?),
    };
    if args.file == Path::new("-") {
        return print(common, args, &key);
    }
    file::create(&args.file, &key, &args.comment)?;
    let shown = names::shown(&args.file);
    if args.json {
        answer(super::key::as_json(&key, &args.comment).to_string())?;
    } else if let Some(public) = key.public() {
        answer(format!("{public} {}", args.comment).trim_end())?;
    }
    if !common.quiet {
        let next = match args.psk {
            true => format!(
                "copy {shown} to the other end by a safe way (ssh, a stick); 'hardline key show {shown}' must then say the same there"
            ),
            false => "give the public key to the other end: 'hardline key trust PORT KEY' there".to_owned(),
        };
        aside(format!("{}\nnext: {next}", key.fingerprint()));
    }
    Ok(())
}

/// The key itself to stdout, for a program that keeps secrets; what the peer is to be told to stderr.
fn print(common: &Common, args: &KeygenArgs, key: &Key) -> Result<(), Failure> {
    if args.json {
        return Err(Failure::new(
            kinds::USAGE,
            "keygen - writes the key itself to stdout, where --json would write what is public of it",
        ));
    }
    answer(file::line(key, &args.comment).as_str())?;
    if !common.quiet {
        let public = key.public().map(|public| format!("{public} {}", args.comment).trim_end().to_owned() + "\n");
        aside(format!("{}{}", public.unwrap_or_default(), key.fingerprint()));
    }
    Ok(())
}
