//! Repetition: every parity shard is a copy. Right for objects of one frame, apart in time; for
//! anything larger every other code is cheaper.

use crate::{Block, Code, TooFew, Unsupported, check};

/// One data shard and `copies` copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeat {
    copies: usize,
}

impl Repeat {
    /// Up to 254 copies beside the original.
    pub fn new(copies: usize) -> Result<Repeat, Unsupported> {
        if copies < crate::SHARDS_MAX { Ok(Repeat { copies }) } else { Err(Unsupported) }
    }
}

impl Code for Repeat {
    fn id(&self) -> u8 {
        0
    }
    fn data_shards(&self) -> usize {
        1
    }
    fn parity_shards(&self) -> usize {
        self.copies
    }
    fn encode(&self, block: &mut Block<'_>) {
        check(self, block);
        for i in 1..=self.copies {
            let len = block.len;
            block.bytes.copy_within(..len, i * len);
            block.present[i] = true;
        }
    }
    fn recover(&self, block: &mut Block<'_>) -> Result<(), TooFew> {
        check(self, block);
        let there = block.present.iter().position(|p| *p).ok_or(TooFew)?;
        let len = block.len;
        block.bytes.copy_within(there * len..(there + 1) * len, 0);
        block.present[0] = true;
        Ok(())
    }
}
