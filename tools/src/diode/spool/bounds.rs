//! How much memory and disk a sender may make a receiver use, whoever it is.

use diode::wire::{Manifest, Shape};

/// Memory where none is given, in bytes: room for the blocks and streams of every profile.
pub const MEMORY: u64 = 256 << 20;
/// Least memory that can be given, in bytes.
pub const MEMORY_MIN: u64 = 16 << 20;
/// What decoding takes beside the symbols of a block, in multiples of it.
const DECODING: u64 = 6;
/// Fewer symbols than that make no block, but of an object with one: each costs a file.
const BLOCK_SYMBOLS_MIN: u16 = 1024;
/// Blocks of which something is kept, and so files, of all objects together.
pub(super) const BLOCKS_MAX: usize = 1 << 16;
/// What a file takes on a disk beside its bytes.
const FILE: u64 = 4096;

/// What a receiver may use.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes of memory for what comes: half of it to decode a block, a quarter for notes of which symbols came, an eighth for
    /// symbols that came before their manifest; or all of it for a stream.
    pub memory: u64,
    /// Bytes of disk for what is not whole; none: as much as there is.
    pub quota: Option<u64>,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds { memory: MEMORY, quota: None }
    }
}

impl Bounds {
    /// Why an object cannot be taken whatever else there is.
    pub(super) fn objection(&self, m: &Manifest<'_>) -> Option<&'static str> {
        if m.block_len().min(m.size) * DECODING > self.memory / 2 {
            return Some("its blocks need more than --memory");
        }
        if m.blocks() > 1 && m.block_symbols < BLOCK_SYMBOLS_MIN {
            return Some("its blocks are too small");
        }
        self.quota.filter(|quota| disk(m) > *quota).map(|_| "it needs more than --quota")
    }
    /// Bytes that notes of symbols may take.
    pub(super) fn notes(&self) -> u64 {
        self.memory / 4
    }
    /// Bytes that symbols may take that came before their manifest.
    pub(super) fn early(&self) -> u64 {
        self.memory / 8
    }
    /// Whether a stream of this shape can be put together.
    pub fn has_room_for(&self, shape: &Shape) -> bool {
        shape.memory() <= self.memory
    }
}

/// Bytes of disk an object takes at most while it is not whole: symbols of all blocks, and one block beside its own.
pub(super) fn disk(m: &Manifest<'_>) -> u64 {
    let (blocks, symbol) = (m.blocks(), 3 + u64::from(m.symbol_len));
    let symbols = m.size.div_ceil(u64::from(m.symbol_len.max(1))).saturating_add(blocks * fec::raptor::SURPLUS as u64);
    symbols.saturating_mul(symbol).saturating_add(m.block_len().min(m.size) + blocks * FILE + 3 * FILE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(size: u64, symbol_len: u16, block_symbols: u16) -> Manifest<'static> {
        let sha256 = [0; 32];
        Manifest {
            object: 0,
            transfer: 0,
            size,
            symbol_len,
            block_symbols,
            repair: 0,
            modified: 0,
            sha256,
            message: false,
            name: "a",
        }
    }

    #[test]
    fn what_any_sender_of_ours_makes_has_room_and_what_is_made_to_hurt_has_not() {
        let bounds = Bounds::default();
        for symbol_len in [64u16, 200, 480, 1000, 1400, 4000] {
            let block = ((16 << 20) / u32::from(symbol_len)).min(56_403) as u16;
            assert_eq!(bounds.objection(&manifest(1 << 36, symbol_len, block)), None, "{symbol_len}");
        }
        assert!(bounds.objection(&manifest(56_403 * 4000, 4000, 56_403)).unwrap().contains("--memory"));
        assert!(bounds.objection(&manifest(65_536, 1, 1)).unwrap().contains("too small"));
        assert_eq!(bounds.objection(&manifest(1, 4000, 56_403)), None, "a short object has a short block");
        let small = Bounds { quota: Some(1 << 20), ..bounds };
        assert!(small.objection(&manifest(1 << 20, 1000, 1049)).unwrap().contains("--quota"));
        assert_eq!(small.objection(&manifest(400_000, 1000, 400)), None);
        let widest = manifest(u64::MAX, 4000, 56_403);
        assert!(disk(&Manifest { size: 65_536 * 4000 * 56_403, ..widest }) > 1 << 43);
    }
}
