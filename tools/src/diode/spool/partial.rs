//! An object that is not whole yet.

use std::collections::{BTreeMap, HashSet};

use diode::object::Ledger;
use diode::wire::{Body, Manifest, Record};
use sha2::{Digest, Sha256};

/// What is sent by a transfer: its number, and name, kind, size and SHA-256 of the object as one value. The number alone
/// would not do: another sender may have it too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    pub(super) transfer: u64,
    pub(super) content: [u8; 16],
}

impl Key {
    pub(super) fn of(m: &Manifest<'_>) -> Key {
        let mut hash = Sha256::new();
        hash.update([u8::from(m.message)]);
        hash.update(m.size.to_le_bytes());
        hash.update(m.sha256);
        hash.update(m.name);
        let mut content = [0; 16];
        content.copy_from_slice(&hash.finalize()[..16]);
        Key { transfer: m.transfer, content }
    }
}

/// How an object is cut: symbols of another cut are of no use to it.
pub(super) type Cut = (u16, u16);

/// See [`Cut`].
pub(super) fn cut(m: &Manifest<'_>) -> Cut {
    (m.symbol_len, m.block_symbols)
}

/// An object that is not whole yet.
#[derive(Debug)]
pub struct Partial {
    /// Its manifest, as a body.
    manifest: Vec<u8>,
    pub(super) key: Key,
    pub(super) cut: Cut,
    /// Its number in the present session, once that has announced it.
    pub(super) number: Option<u32>,
    /// Its name.
    pub name: String,
    /// Its bytes.
    pub size: u64,
    pub(super) ledgers: BTreeMap<u64, Ledger>,
    pub(super) blocks_done: HashSet<u64>,
    pub(super) blocks: u64,
    /// Symbols it needs in all.
    pub needed: u64,
    /// Repair symbols the worst block needed, and how many each block gets in a round.
    pub margin: (u32, u32),
    /// That it is missing was told, and no session has announced it since.
    pub(super) told: bool,
}

impl Partial {
    /// Nothing of it came yet; `body` is the manifest.
    pub(super) fn new(m: &Manifest<'_>, body: Vec<u8>) -> Partial {
        Partial {
            manifest: body,
            key: Key::of(m),
            cut: cut(m),
            number: None,
            name: if m.message { format!("message-{:016x}", m.transfer) } else { m.name.to_owned() },
            size: m.size,
            ledgers: BTreeMap::new(),
            blocks_done: HashSet::new(),
            blocks: m.blocks(),
            needed: (0..m.blocks()).map(|b| m.symbols(b)).sum(),
            margin: (0, 0),
            told: false,
        }
    }
    /// Goes on with what came of it as another transfer of the same content.
    pub(super) fn goes_on_as(&mut self, m: &Manifest<'_>, body: Vec<u8>) {
        let same = Partial::new(m, body);
        (self.manifest, self.key, self.name) = (same.manifest, same.key, same.name);
    }
    /// Symbols that came.
    pub fn have(&self, manifest: &Manifest<'_>) -> u64 {
        let done: u64 = self.blocks_done.iter().map(|b| manifest.symbols(*b)).sum();
        done + self.ledgers.values().map(|l| u64::from(l.count())).sum::<u64>()
    }
    /// The manifest.
    pub(super) fn manifest(&self) -> Option<Manifest<'_>> {
        manifest_of(&self.manifest)
    }
    /// The manifest as a body.
    pub(super) fn body(&self) -> &[u8] {
        &self.manifest
    }
    /// Memory of what it keeps of its symbols, in bytes.
    pub(super) fn memory(&self) -> u64 {
        self.ledgers.values().map(Ledger::memory).sum()
    }
}

/// Reads a manifest that was kept as a body.
pub(super) fn manifest_of(body: &[u8]) -> Option<Manifest<'_>> {
    match Body::parse(body)?.record {
        Record::Manifest(m) => Some(m),
        _ => None,
    }
}
