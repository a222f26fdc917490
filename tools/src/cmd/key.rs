//! `hardline key`: what a key file holds, and the known peers.

use std::ffi::OsString;
use std::path::Path;

use serde_json::{Value, json};

use crate::cli::{Common, ForgetArgs, KeyCommand, ListArgs, PeersFile, ShowArgs, TrustArgs};
use crate::error::{Doing, Failure, kinds};
use crate::keys::peers::{KnownPeers, Trusted};
use crate::keys::{Key, PublicKey, file};
use crate::names;
use crate::say::{answer, aside};

/// Runs the command to its end.
pub fn run(common: &Common, command: &KeyCommand) -> Result<(), Failure> {
    match command {
        KeyCommand::Show(args) => show(common, args),
        KeyCommand::List(args) => list(common, args),
        KeyCommand::Trust(args) => trust(common, args),
        KeyCommand::Forget(args) => forget(common, args),
    }
}

/// `kind` (secret, psk, public), `key` (the public one, none of a psk), `fingerprint`, `comment`.
pub(super) fn as_json(key: &Key, comment: &str) -> Value {
    let kind = match key {
        Key::Secret(_) => "secret",
        Key::Psk(_) => "psk",
        Key::Public(_) => "public",
    };
    let public = key.public().map(|public| public.to_string());
    json!({ "kind": kind, "key": public, "fingerprint": key.fingerprint(), "comment": comment })
}

fn show(common: &Common, args: &ShowArgs) -> Result<(), Failure> {
    let file::KeyFile { key, comment } = file::read(&args.file)?;
    if args.json {
        return answer(as_json(&key, &comment).to_string());
    }
    let Some(public) = key.public() else {
        return answer(key.fingerprint());
    };
    answer(format!("{public} {}", names::printable(comment.as_bytes())).trim_end())?;
    if !common.quiet {
        aside(key.fingerprint());
    }
    Ok(())
}

fn list(common: &Common, args: &ListArgs) -> Result<(), Failure> {
    let known = find(&args.peers)?;
    let peers = known.list()?;
    if args.json {
        let fields = |p: &crate::keys::peers::Peer| json!({ "port": p.port, "key": p.key.to_string(), "fingerprint": p.key.fingerprint(), "comment": p.comment });
        return answer(Value::from_iter(peers.iter().map(fields)).to_string());
    }
    if peers.is_empty() && !common.quiet {
        aside(format!("nobody is known in {}: 'hardline key trust PORT KEY'", names::shown(known.path())));
    }
    let width = peers.iter().map(|p| p.port.chars().count()).max().unwrap_or(0);
    for peer in &peers {
        let comment = names::printable(peer.comment.as_bytes());
        answer(format!("{:width$} {} {comment}", peer.port, peer.key.fingerprint()).trim_end())?;
    }
    Ok(())
}

fn trust(common: &Common, args: &TrustArgs) -> Result<(), Failure> {
    let (key, comment) = key_of(&args.key)?;
    let trusted = find(&args.peers)?.trust(&args.port, key, &comment, args.replace)?;
    if !common.quiet {
        let (port, new) = (&args.port, key.fingerprint());
        match trusted {
            Trusted::Added => aside(format!("{port}: {new} is trusted")),
            Trusted::Already => aside(format!("{port}: {new} has been trusted already")),
            Trusted::Replaced(old) => aside(format!("{port}: {new} is trusted, no longer {}", old.fingerprint())),
        }
    }
    Ok(())
}

fn forget(common: &Common, args: &ForgetArgs) -> Result<(), Failure> {
    let known = find(&args.peers)?;
    if !known.forget(&args.port)? {
        let why = format!("there is none in {}: see 'hardline key list'", names::shown(known.path()));
        return Err(why).doing(kinds::KEY_NOT_KNOWN, || format!("forget the key of {}", args.port));
    }
    if !common.quiet {
        aside(format!("{}: forgotten", args.port));
    }
    Ok(())
}

fn find(peers: &PeersFile) -> Result<KnownPeers, Failure> {
    KnownPeers::find(peers.known_peers.as_deref())
}

/// The key that was typed, or is in the file that was named, and its comment.
fn key_of(words: &[OsString]) -> Result<(PublicKey, String), Failure> {
    let line = words.join(" ".as_ref());
    let text = line.to_string_lossy();
    match text.split_whitespace().next() {
        Some(tag) if tag.starts_with("hardline-") && text.trim().len() > tag.len() => {
            let key = text.parse().doing(kinds::KEY_MALFORMED, || "trust this key".into())?;
            Ok((key, text.split_whitespace().skip(2).collect::<Vec<_>>().join(" ")))
        }
        _ if words.len() == 1 => PublicKey::load(Path::new(&words[0])),
        _ => Err(Failure::new(kinds::USAGE, "KEY is one file, or hardline-pub-1 BASE64")),
    }
}
