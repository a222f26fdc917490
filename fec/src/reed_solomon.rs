//! Reed-Solomon erasure blocks over GF(2^8), by `reed-solomon-erasure` (PROTOCOL 6.2 has its matrix).
//!
//! At most 255 shards. Recovery inverts a k x k matrix: up to 64 data shards it is fast everywhere.

use alloc::vec::Vec;

use reed_solomon_erasure::galois_8::ReedSolomon as Inner;

use crate::{Block, Code, TooFew, Unsupported, check};

/// `data` data shards, `parity` parity shards.
#[derive(Debug)]
pub struct ReedSolomon {
    inner: Inner,
}

impl ReedSolomon {
    /// Both at least 1, together at most 255.
    pub fn new(data: usize, parity: usize) -> Result<ReedSolomon, Unsupported> {
        if data + parity > crate::SHARDS_MAX {
            return Err(Unsupported);
        }
        Inner::new(data, parity).map(|inner| ReedSolomon { inner }).map_err(|_| Unsupported)
    }
}

impl Code for ReedSolomon {
    fn id(&self) -> u8 {
        1
    }
    fn data_shards(&self) -> usize {
        self.inner.data_shard_count()
    }
    fn parity_shards(&self) -> usize {
        self.inner.parity_shard_count()
    }
    fn encode(&self, block: &mut Block<'_>) {
        check(self, block);
        let mut shards: Vec<&mut [u8]> = block.bytes.chunks_mut(block.len).collect();
        // the shape was checked, so this cannot fail
        if self.inner.encode(&mut shards).is_ok() {
            block.present.fill(true);
        }
    }
    fn recover(&self, block: &mut Block<'_>) -> Result<(), TooFew> {
        check(self, block);
        let data = self.data_shards();
        if block.present[..data].iter().all(|p| *p) {
            return Ok(());
        }
        let len = block.len;
        let mut shards: Vec<(&mut [u8], bool)> = block.bytes.chunks_mut(len).zip(block.present.iter().copied()).collect();
        self.inner.reconstruct_data(&mut shards).map_err(|_| TooFew)?;
        block.present[..data].fill(true);
        Ok(())
    }
}
