//! RaptorQ (RFC 6330), by `raptorq`: a block of source symbols and as many repair symbols as wanted,
//! each of them new. One symbol more than the source fails to decode once in 200, two once in 20 000,
//! three practically never.
//!
//! Sub-blocks are not used; the alignment is 1; the source block number is always 0, so that a block
//! stands for itself (PROTOCOL 6.3).

use alloc::vec;
use alloc::vec::Vec;

use raptorq::{
    EncodingPacket, ObjectTransmissionInformation, PayloadId, SourceBlockDecoder, SourceBlockEncoder, SourceBlockEncodingPlan,
};

use crate::{Block, Code, TooFew, Unsupported, check};

/// Most source symbols in a block (RFC 6330, section 5.1.2).
pub const SYMBOLS_MAX: usize = 56_403;
/// Symbols above the source at which decoding is worth a try.
pub const SURPLUS: usize = 2;
/// Highest symbol number on the wire: 24 bits.
pub const ESI_MAX: u32 = (1 << 24) - 1;

fn config(symbols: usize, len: u16) -> ObjectTransmissionInformation {
    ObjectTransmissionInformation::new(symbols as u64 * u64::from(len), len, 1, 1, 1)
}

/// One block, ready to give any symbol.
#[derive(Clone)]
pub struct Encoder {
    inner: SourceBlockEncoder,
    data: Vec<u8>,
    len: usize,
}

impl core::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Encoder({} symbols of {})", self.symbols(), self.len)
    }
}

impl Encoder {
    /// `data` (1 to 56 403 symbols; the last is filled up with zeros) in symbols of `len` bytes.
    pub fn new(data: Vec<u8>, len: u16) -> Result<Encoder, Unsupported> {
        Plans::default().encoder(data, len)
    }
    /// Source symbols.
    pub fn symbols(&self) -> usize {
        self.data.len() / self.len
    }
    /// Writes symbol `esi` (source symbols first, then repair symbols) to `out`.
    ///
    /// # Panics
    /// When `out` is shorter than a symbol.
    pub fn symbol(&self, esi: u32, out: &mut [u8]) {
        let at = esi as usize;
        if at < self.symbols() {
            out[..self.len].copy_from_slice(&self.data[at * self.len..(at + 1) * self.len]);
        } else if let Some(packet) = self.inner.repair_packets(esi - self.symbols() as u32, 1).first() {
            out[..self.len].copy_from_slice(packet.data());
        }
    }
}

/// How blocks are encoded, which depends on their number of symbols alone: worked out once for equal blocks.
/// Keeps plans of [`PLANNED`] symbols, those used last.
#[derive(Default)]
pub struct Plans {
    /// By number of symbols; the one used last is the first.
    kept: Vec<(usize, SourceBlockEncodingPlan)>,
}

/// Source symbols of all plans that are kept: two of the largest blocks.
pub const PLANNED: usize = 2 * SYMBOLS_MAX;

impl core::fmt::Debug for Plans {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.kept.iter().map(|(symbols, _)| symbols)).finish()
    }
}

impl Plans {
    /// An encoder of `data`, as [`Encoder::new`] makes it.
    pub fn encoder(&mut self, mut data: Vec<u8>, len: u16) -> Result<Encoder, Unsupported> {
        let symbols = data.len().div_ceil(usize::from(len.max(1)));
        if len == 0 || symbols == 0 || symbols > SYMBOLS_MAX {
            return Err(Unsupported);
        }
        data.resize(symbols * usize::from(len), 0);
        let inner = SourceBlockEncoder::with_encoding_plan(0, &config(symbols, len), &data, self.plan(symbols));
        Ok(Encoder { inner, data, len: usize::from(len) })
    }
    fn plan(&mut self, symbols: usize) -> &SourceBlockEncodingPlan {
        let known = self.kept.iter().position(|(of, _)| *of == symbols).map(|at| self.kept.remove(at));
        let plan = known.unwrap_or_else(|| (symbols, SourceBlockEncodingPlan::generate(symbols as u16)));
        self.kept.insert(0, plan);
        let mut planned = 0;
        self.kept.retain(|(of, _)| {
            planned += of;
            planned <= PLANNED
        });
        &self.kept[0].1
    }
}

/// Collects symbols of one block until it can be recovered.
pub struct Decoder {
    inner: SourceBlockDecoder,
    waiting: Vec<EncodingPacket>,
    seen: Vec<u64>,
    count: usize,
    source: usize,
    symbols: usize,
    len: usize,
}

impl core::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Decoder({} of {} symbols)", self.count, self.symbols)
    }
}

impl Decoder {
    /// For a block of `symbols` source symbols of `len` bytes.
    pub fn new(symbols: usize, len: u16) -> Result<Decoder, Unsupported> {
        if len == 0 || symbols == 0 || symbols > SYMBOLS_MAX {
            return Err(Unsupported);
        }
        let inner = SourceBlockDecoder::new(0, &config(symbols, len), symbols as u64 * u64::from(len));
        let seen = Vec::new();
        Ok(Decoder { inner, waiting: Vec::new(), seen, count: 0, source: 0, symbols, len: usize::from(len) })
    }
    /// Source symbols of the block.
    pub fn symbols(&self) -> usize {
        self.symbols
    }
    /// Different symbols collected so far.
    pub fn count(&self) -> usize {
        self.count
    }
    /// Source symbols among them.
    pub fn source_count(&self) -> usize {
        self.source
    }
    /// Whether symbol `esi` was collected before.
    pub fn has(&self, esi: u32) -> bool {
        self.seen.get(esi as usize / 64).is_some_and(|w| w >> (esi % 64) & 1 == 1)
    }
    /// Adds a symbol; returns the block (with its filling zeros) once it can be recovered. A symbol
    /// of another length, a number out of range, or a copy is ignored.
    pub fn add(&mut self, esi: u32, symbol: &[u8]) -> Option<Vec<u8>> {
        // beyond this no carousel comes before the block is long done; it bounds the memory
        let limit = (self.symbols as u32).saturating_mul(64).clamp(65_536, ESI_MAX);
        if symbol.len() != self.len || esi > limit || self.has(esi) {
            return None;
        }
        let word = esi as usize / 64;
        if word >= self.seen.len() {
            self.seen.resize(word + 1, 0);
        }
        self.seen[word] |= 1 << (esi % 64);
        self.count += 1;
        self.source += usize::from((esi as usize) < self.symbols);
        self.waiting.push(EncodingPacket::new(PayloadId::new(0, esi), symbol.to_vec()));
        if self.source == self.symbols || self.count >= self.symbols + SURPLUS {
            return self.inner.decode(core::mem::take(&mut self.waiting));
        }
        None
    }
}

/// A block of fixed shape as a [`Code`].
#[derive(Clone, Copy, Debug)]
pub struct RaptorQ {
    data: usize,
    parity: usize,
}

impl RaptorQ {
    /// Both at least 1, together at most 255.
    pub fn new(data: usize, parity: usize) -> Result<RaptorQ, Unsupported> {
        if data == 0 || parity == 0 || data + parity > crate::SHARDS_MAX {
            return Err(Unsupported);
        }
        Ok(RaptorQ { data, parity })
    }
}

impl Code for RaptorQ {
    fn id(&self) -> u8 {
        2
    }
    fn data_shards(&self) -> usize {
        self.data
    }
    fn parity_shards(&self) -> usize {
        self.parity
    }
    fn surplus(&self) -> usize {
        SURPLUS + 1
    }
    fn encode(&self, block: &mut Block<'_>) {
        check(self, block);
        let len = block.len;
        if let Ok(encoder) = Encoder::new(block.bytes[..self.data * len].to_vec(), len as u16) {
            for i in self.data..self.data + self.parity {
                encoder.symbol(i as u32, block.fill(i));
            }
        }
    }
    fn recover(&self, block: &mut Block<'_>) -> Result<(), TooFew> {
        check(self, block);
        if block.present[..self.data].iter().all(|p| *p) {
            return Ok(());
        }
        let mut decoder = Decoder::new(self.data, block.len as u16).map_err(|Unsupported| TooFew)?;
        let mut whole = None;
        for i in 0..block.shards() {
            if block.is_present(i) && whole.is_none() {
                whole = decoder.add(i as u32, block.shard(i));
            }
        }
        let whole = whole.unwrap_or_else(|| vec![0; 0]);
        if whole.is_empty() {
            return Err(TooFew);
        }
        let len = block.len;
        for i in 0..self.data {
            if !block.is_present(i) {
                block.fill(i).copy_from_slice(&whole[i * len..(i + 1) * len]);
            }
        }
        Ok(())
    }
}
