//! From key files to sealed sessions, and to the senders that a receiver takes.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use diode::noise::Pair;
use diode::seal::Sealing;
use diode::unseal::{self, Sender, Unlock};
use link::wire::seal::{KEY, Key};
use zeroize::Zeroizing;

use super::state::{Memory, default_folder, next_session};
use crate::cli::{DiodeRecvKeys, DiodeSendKeys};
use crate::error::{Doing, Failure, kinds};
use crate::keys::file::{credential, is_credential};
use crate::keys::{Psk, PublicKey, Secret};

/// A new session of a sender.
#[derive(Clone, Debug)]
pub struct Session {
    /// Its number.
    pub number: u64,
    /// What seals it, unless it is plain.
    pub sealing: Option<Sealing>,
}

/// Keys that the service manager has handed over; they count where none is named.
#[derive(Default)]
struct Handed {
    psk: Option<PathBuf>,
    pair: Option<(PathBuf, PathBuf)>,
}

impl Handed {
    /// `named`: others are, and so none of these. None is dropped that is there: the session would be less sealed than meant.
    fn new(named: bool) -> Result<Handed, Failure> {
        if named {
            return Ok(Handed::default());
        }
        let psk = credential("hardline.psk");
        let lone = |has: &str, lacks: &str| {
            let why = format!("the credential {has} needs {lacks} beside it (LoadCredential= in the unit), or name the keys");
            Err(Failure::new(kinds::USAGE, why))
        };
        match (credential("hardline.key"), credential("peer.pub")) {
            (Some(_), None) => lone("hardline.key", "peer.pub"),
            (None, Some(_)) => lone("peer.pub", "hardline.key"),
            (key, peer) => Ok(Handed { psk, pair: key.zip(peer) }),
        }
    }
}

impl Session {
    /// A session by these keys; a sealed one has its number on disk before this returns.
    pub fn new(keys: &DiodeSendKeys) -> Result<Session, Failure> {
        let handed = Handed::new(keys.psk.is_some() || keys.key.is_some())?;
        let psk = keys.psk.as_deref().or(handed.psk.as_deref()).map(Psk::load).transpose()?;
        let pair = match (&keys.key, &keys.peer, &handed.pair) {
            (Some(key), Some(peer), _) => Some(pair(&Secret::load(key)?, &public(peer)?, psk.as_ref())),
            (.., Some((key, peer))) => Some(pair(&Secret::load(key)?, &PublicKey::load(peer)?.0, psk.as_ref())),
            _ => None,
        };
        if psk.is_none() && pair.is_none() {
            let number = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |t| t.as_micros() as u64);
            return Ok(Session { number, sealing: None });
        }
        let number = next_session(&keys.state.clone().map_or_else(default_folder, Ok)?)?;
        let sealing = match (&pair, &psk) {
            (Some(pair), _) => {
                let mut seed = Zeroizing::new([0; KEY]);
                getrandom::fill(&mut seed[..]).doing(kinds::SEAL_FAILED, || "draw random bytes for a session".into())?;
                pair.sealing(number, &seed, None)
            }
            (None, Some(psk)) => Some(Sealing::psk(&Key::from(*psk.bytes()), number)),
            (None, None) => None,
        };
        let sealing = sealing.ok_or("the handshake could not be made").doing(kinds::SEAL_FAILED, || "seal a session".into())?;
        Ok(Session { number, sealing: Some(sealing) })
    }
}

/// The senders a receiver takes, and what it remembers of them; none when it takes plain frames.
pub fn senders(keys: &DiodeRecvKeys, state: Option<&Path>) -> Result<Option<(Vec<Sender>, Memory)>, Failure> {
    let handed = Handed::new(!keys.psk.is_empty() || !keys.key.is_empty())?;
    let psks = keys.psk.iter().chain(&handed.psk).map(|path| Psk::load(path)).collect::<Result<Vec<_>, _>>()?;
    let mut all: Vec<(String, Vec<Box<dyn Unlock + Send>>)> = Vec::new();
    let (handed_key, handed_peer) = handed.pair.unzip();
    let secrets = keys.key.iter().chain(&handed_key).map(|path| Secret::load(path)).collect::<Result<Vec<_>, _>>()?;
    let peers = keys.peer.iter().map(|peer| public(peer)).chain(handed_peer.iter().map(|path| Ok(PublicKey::load(path)?.0)));
    let peers = peers.collect::<Result<Vec<_>, _>>()?;
    for peer in &peers {
        let with = |psk| secrets.iter().map(move |secret| Box::new(pair(secret, peer, psk)) as Box<dyn Unlock + Send>);
        let unlock = if psks.is_empty() { with(None).collect() } else { psks.iter().flat_map(|psk| with(Some(psk))).collect() };
        all.push((peer.fingerprint(), unlock));
    }
    if peers.is_empty() {
        for psk in &psks {
            all.push((psk.fingerprint(), vec![Box::new(unseal::Psk(Key::from(*psk.bytes())))]));
        }
    }
    // a key that is named twice is one sender
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all.dedup_by(|a, b| a.0 == b.0);
    if all.is_empty() {
        return Ok(None);
    }
    let folder = state.map_or_else(default_folder, |path| Ok(path.to_owned()))?;
    let (ids, unlocks): (Vec<_>, Vec<_>) = all.into_iter().unzip();
    let memory = Memory::open(&folder, ids)?;
    let senders = unlocks.into_iter().zip(memory.heard()).map(|(unlock, heard)| Sender { unlock, heard: *heard }).collect();
    Ok(Some((senders, memory)))
}

/// Whether the keys of a sender can be used, and which argument has one that cannot.
pub fn check_sender(keys: &DiodeSendKeys) -> Result<(), (&'static str, Failure)> {
    check(keys.psk.as_slice(), keys.key.as_slice(), keys.peer.as_slice())
}
/// The same of a receiver.
pub fn check_receiver(keys: &DiodeRecvKeys) -> Result<(), (&'static str, Failure)> {
    check(&keys.psk, &keys.key, &keys.peer)
}

/// What a service manager hands over is there for the service alone.
fn check(psks: &[PathBuf], secrets: &[PathBuf], peers: &[String]) -> Result<(), (&'static str, Failure)> {
    let here = |path: &Path| !is_credential(path) || std::env::var_os("CREDENTIALS_DIRECTORY").is_some();
    let read = |path: &&PathBuf| here(path);
    psks.iter().filter(read).try_for_each(|path| Psk::load(path).map(drop)).map_err(|e| ("psk", e))?;
    secrets.iter().filter(read).try_for_each(|path| Secret::load(path).map(drop)).map_err(|e| ("key", e))?;
    peers.iter().filter(|peer| here(Path::new(peer))).try_for_each(|peer| public(peer).map(drop)).map_err(|e| ("peer", e))
}

/// A public key as it was typed, or from the file that was named.
fn public(key: &str) -> Result<PublicKey, Failure> {
    match key.starts_with("hardline-pub-") {
        true => key.parse().doing(kinds::KEY_MALFORMED, || "use the key of --peer".into()),
        false => Ok(PublicKey::load(Path::new(key))?.0),
    }
}

fn pair(secret: &Secret, peer: &PublicKey, psk: Option<&Psk>) -> Pair {
    Pair::new(*secret.bytes(), *peer.bytes(), psk.map(|psk| *psk.bytes()))
}
