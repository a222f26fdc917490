//! Forward error correction for hardline.
//!
//! | module | repairs | wire number | needs |
//! |---|---|---|---|
//! | [`byte_rs`] | wrong bytes inside one frame (armour) | - | nothing |
//! | [`repeat`] | lost shards, by copies | 0 | nothing |
//! | [`reed_solomon`] | lost shards of a block | 1 | feature `reed-solomon`, a heap |
//! | [`raptor`] | lost symbols of an object, with new ones without end | 2 | feature `raptorq`, a heap |
//!
//! Erasure codes ([`Code`]) repair what is missing and never notice what is wrong: every shard needs a
//! check of its own. No clock, no port.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(any(feature = "reed-solomon", feature = "raptorq"))]
extern crate alloc;

pub mod byte_rs;
#[cfg(feature = "raptorq")]
pub mod raptor;
#[cfg(feature = "reed-solomon")]
pub mod reed_solomon;
pub mod repeat;

/// Most shards a block can have, parity included.
pub const SHARDS_MAX: usize = 255;

/// Too few shards are there; none of those present was altered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooFew;

/// The parameters are outside what the code can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsupported;

/// Equal-length shards of one block, the data first, and which of them are there.
#[derive(Debug)]
pub struct Block<'a> {
    bytes: &'a mut [u8],
    present: &'a mut [bool],
    len: usize,
}

impl<'a> Block<'a> {
    /// `present.len()` shards that share `bytes` evenly.
    ///
    /// # Panics
    /// When there is no shard, more than [`SHARDS_MAX`], or the bytes do not divide evenly.
    pub fn new(bytes: &'a mut [u8], present: &'a mut [bool]) -> Block<'a> {
        let shards = present.len();
        assert!(shards > 0 && shards <= SHARDS_MAX && bytes.len().is_multiple_of(shards) && !bytes.is_empty());
        let len = bytes.len() / shards;
        Block { bytes, present, len }
    }
    /// Shards, data and parity.
    pub fn shards(&self) -> usize {
        self.present.len()
    }
    /// Bytes per shard.
    pub fn shard_len(&self) -> usize {
        self.len
    }
    /// Whether shard `i` is there.
    pub fn is_present(&self, i: usize) -> bool {
        self.present[i]
    }
    /// Shard `i`; its bytes mean nothing unless it is there.
    pub fn shard(&self, i: usize) -> &[u8] {
        &self.bytes[i * self.len..(i + 1) * self.len]
    }
    /// Shard `i`, which is there from now on.
    pub fn fill(&mut self, i: usize) -> &mut [u8] {
        self.present[i] = true;
        &mut self.bytes[i * self.len..(i + 1) * self.len]
    }
    /// Shards that are there.
    pub fn count(&self) -> usize {
        self.present.iter().filter(|p| **p).count()
    }
}

/// A systematic erasure code over blocks. Laws (`tests/laws.rs` holds every code to them): a block
/// with any `data_shards() + surplus()` of its shards is recovered exactly; shards that are there are
/// never altered; with fewer than `data_shards()` it is refused.
pub trait Code {
    /// Number on the wire (PROTOCOL 6).
    fn id(&self) -> u8;
    /// Data shards per block, at least 1.
    fn data_shards(&self) -> usize;
    /// Parity shards per block.
    fn parity_shards(&self) -> usize;
    /// Shards above `data_shards()` that make recovery certain; 0 for an ideal code.
    fn surplus(&self) -> usize {
        0
    }
    /// Computes all parity shards; the data shards must be there.
    ///
    /// # Panics
    /// When the block has another shape than the code.
    fn encode(&self, block: &mut Block<'_>);
    /// Fills in the missing data shards.
    ///
    /// # Panics
    /// When the block has another shape than the code.
    fn recover(&self, block: &mut Block<'_>) -> Result<(), TooFew>;
}

/// Checks the shape of a block.
fn check(code: &dyn Code, block: &Block<'_>) {
    assert_eq!(block.shards(), code.data_shards() + code.parity_shards(), "the block has the shape of the code");
}
