//! Symbols that came before the manifest of their object.

use std::collections::BTreeMap;

/// What is kept in memory beside the bytes of a symbol.
const OVERHEAD: u64 = 128;

/// Up to a number of bytes; those that come when it is full are lost.
#[derive(Debug)]
pub(super) struct Early {
    /// By number of the session, block and symbol.
    symbols: BTreeMap<(u32, u16, u32), Vec<u8>>,
    bytes: u64,
    most: u64,
}

impl Early {
    pub(super) fn new(most: u64) -> Early {
        Early { symbols: BTreeMap::new(), bytes: 0, most }
    }
    /// Another session: its numbers mean something else.
    pub(super) fn clear(&mut self) {
        self.symbols.clear();
        self.bytes = 0;
    }
    pub(super) fn keep(&mut self, object: u32, block: u16, symbol: u32, payload: &[u8]) {
        let bytes = payload.len() as u64 + OVERHEAD;
        if self.bytes + bytes <= self.most && !self.symbols.contains_key(&(object, block, symbol)) {
            self.symbols.insert((object, block, symbol), payload.to_vec());
            self.bytes += bytes;
        }
    }
    /// Those of an object: block, symbol, bytes.
    pub(super) fn take(&mut self, object: u32) -> Vec<(u16, u32, Vec<u8>)> {
        let keys: Vec<_> = self.symbols.range((object, 0, 0)..=(object, u16::MAX, u32::MAX)).map(|(key, _)| *key).collect();
        let taken = keys.into_iter().filter_map(|key| Some((key.1, key.2, self.symbols.remove(&key)?))).collect::<Vec<_>>();
        self.bytes -= taken.iter().map(|(.., payload)| payload.len() as u64 + OVERHEAD).sum::<u64>();
        taken
    }
}
