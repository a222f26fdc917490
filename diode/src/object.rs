//! Objects: files and messages, sent as RaptorQ symbols in rounds; every round adds symbols that were
//! never sent before, so that a receiver needs any of them, not certain ones.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use fec::raptor::{ESI_MAX, Encoder, SYMBOLS_MAX};

use crate::wire::Manifest;

/// Most bytes of a block: what an encoder holds in memory (with about as much again beside it).
pub const BLOCK_MAX: usize = 16 << 20;
/// An object up to this size is small: it shares the wire half and half with larger ones.
pub const SMALL: u64 = 64 << 10;
/// Objects on the wire at the same time, per size class.
const ACTIVE: usize = 4;

/// Where the bytes of an object are.
pub trait Source {
    /// Why it cannot be read.
    type Error;
    /// Fills `out` with the bytes from `offset`.
    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> Result<(), Self::Error>;
}

/// What there is to say of an object before it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Its name; empty for a message.
    pub name: String,
    /// Its bytes.
    pub size: u64,
    /// Seconds since 1970 of its last change, 0 when not known.
    pub modified: u64,
    /// SHA-256 of its bytes.
    pub sha256: [u8; 32],
    /// Higher goes first.
    pub priority: u8,
}

impl Description {
    /// The number of the object: the same for the same name and bytes, so that a sender that was
    /// restarted goes on with it (FNV-1a over both).
    pub fn object(&self) -> u32 {
        let bytes = self.name.bytes().chain(self.sha256);
        bytes.fold(0x811C_9DC5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
    }
}

/// How objects are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Bytes per symbol.
    pub symbol_len: u16,
    /// Repair symbols per 100 source symbols and round.
    pub overhead_percent: u32,
    /// Repair symbols per block and round beside those: as many as an outage destroys.
    pub outage_symbols: u32,
    /// Rounds; 0 = for ever.
    pub rounds: u32,
    /// Where repair symbols begin, in symbols: another value after a restart makes them new.
    pub start: u32,
}

/// What to send next.
#[derive(Debug)]
pub enum Piece {
    /// The manifest of the object at this place in the list.
    Manifest(usize),
    /// A symbol.
    Symbol {
        /// Place of the object in the list.
        index: usize,
        /// Block.
        block: u16,
        /// Symbol.
        symbol: u32,
    },
}

/// One object on its way.
struct Sending<S> {
    what: Description,
    source: S,
    object: u32,
    block_symbols: u16,
    round: u32,
    block: u64,
    /// Symbols of this block sent in this round.
    sent: u32,
    encoder: Option<(u64, Box<Encoder>)>,
    since_manifest: u32,
    done: bool,
}

/// Sends objects, several at once.
pub struct ObjectSender<S> {
    config: Config,
    list: Vec<Sending<S>>,
    added: u32,
    turn: usize,
    small_next: bool,
}

impl<S: Source> ObjectSender<S> {
    /// A sender without objects.
    pub fn new(config: Config) -> Self {
        ObjectSender { config, list: Vec::new(), added: 0, turn: 0, small_next: true }
    }

    /// Adds an object; returns its number.
    pub fn add(&mut self, what: Description, source: S) -> u32 {
        let per_block = (BLOCK_MAX / usize::from(self.config.symbol_len.max(1))).min(SYMBOLS_MAX);
        let symbols = what.size.div_ceil(u64::from(self.config.symbol_len.max(1))).max(1);
        let object = what.object();
        let block_symbols = symbols.min(per_block as u64) as u16;
        let sending = Sending {
            what,
            source,
            object,
            block_symbols,
            round: 0,
            block: 0,
            sent: 0,
            encoder: None,
            since_manifest: u32::MAX,
            done: false,
        };
        // by priority, first come first served within it
        let at = self.list.iter().position(|s| s.what.priority < sending.what.priority).unwrap_or(self.list.len());
        self.list.insert(at, sending);
        self.added += 1;
        object
    }

    /// The manifest of the object at `index`.
    pub fn manifest(&self, index: usize) -> Manifest<'_> {
        let s = &self.list[index];
        Manifest {
            object: s.object,
            size: s.what.size,
            symbol_len: self.config.symbol_len,
            block_symbols: s.block_symbols,
            repair: self.config.repair(u32::from(s.block_symbols)),
            modified: s.what.modified,
            sha256: s.what.sha256,
            message: s.what.name.is_empty(),
            name: &s.what.name,
        }
    }

    /// Objects added so far.
    pub fn added(&self) -> u32 {
        self.added
    }
    /// Objects that are not done yet.
    pub fn pending(&self) -> usize {
        self.list.iter().filter(|s| !s.done).count()
    }

    /// Takes out an object that had all its rounds.
    pub fn take_done(&mut self) -> Option<(Description, S)> {
        let at = self.list.iter().position(|s| s.done)?;
        let s = self.list.remove(at);
        Some((s.what, s.source))
    }

    /// What to send next; none when every object had all its rounds.
    pub fn next_piece(&mut self) -> Option<Piece> {
        let small = self.small_next;
        self.small_next = !small;
        let index = self.choose(small).or_else(|| self.choose(!small))?;
        let every = self.manifest_every(index);
        let config = self.config;
        let manifest = self.manifest(index);
        let (blocks, symbols) = (manifest.blocks(), manifest.symbols(self.list[index].block) as u32);
        let s = &mut self.list[index];
        s.since_manifest = s.since_manifest.saturating_add(1);
        if s.since_manifest > every || blocks == 0 {
            s.since_manifest = 0;
            if blocks == 0 {
                s.next_round(config.rounds);
            }
            return Some(Piece::Manifest(index));
        }
        let symbol = if s.round == 0 && s.sent < symbols {
            s.sent
        } else {
            // every round but the first is repair alone; numbers go on from round to round
            let per_round = symbols + config.repair(symbols);
            let made = if s.round == 0 { s.sent - symbols } else { config.repair(symbols) + (s.round - 1) * per_round + s.sent };
            let span = symbols.saturating_mul(48).clamp(32_768, ESI_MAX / 2);
            symbols + config.start.wrapping_add(made) % span
        };
        let piece = Piece::Symbol { index, block: s.block as u16, symbol };
        s.sent += 1;
        if s.sent >= symbols + config.repair(symbols) {
            (s.sent, s.block) = (0, s.block + 1);
            if s.block >= blocks {
                s.next_round(config.rounds);
            }
        }
        Some(piece)
    }

    /// A manifest for every 2 % of the symbols, at least every 2000 and at most every 20.
    fn manifest_every(&self, index: usize) -> u32 {
        let symbols = self.list[index].what.size / u64::from(self.config.symbol_len.max(1));
        (symbols / 50).clamp(20, 2000) as u32
    }

    /// The next object in turn among the first few of its class.
    fn choose(&mut self, small: bool) -> Option<usize> {
        let class = |s: &Sending<S>| !s.done && (s.what.size <= SMALL) == small;
        let top = self.list.iter().find(|s| class(s))?.what.priority;
        let active: Vec<usize> = self
            .list
            .iter()
            .enumerate()
            .filter(|(_, s)| class(s) && s.what.priority == top)
            .map(|(i, _)| i)
            .take(ACTIVE)
            .collect();
        self.turn = self.turn.wrapping_add(1);
        active.get(self.turn % active.len().max(1)).copied()
    }

    /// The bytes of a symbol. Reads and encodes its block when that has changed.
    pub fn symbol(&mut self, index: usize, block: u16, symbol: u32, out: &mut Vec<u8>) -> Result<(), S::Error> {
        let manifest = self.manifest(index);
        let (offset, block) = (u64::from(block) * manifest.block_len(), u64::from(block));
        let len = (manifest.size - offset).min(manifest.block_len()) as usize;
        let symbol_len = self.config.symbol_len;
        let s = &mut self.list[index];
        if s.encoder.as_ref().is_none_or(|e| e.0 != block) {
            s.encoder = None;
            let mut data = vec![0u8; len];
            s.source.read_at(offset, &mut data)?;
            s.encoder = Encoder::new(data, symbol_len).ok().map(|e| (block, Box::new(e)));
        }
        out.clear();
        out.resize(usize::from(symbol_len), 0);
        if let Some((_, encoder)) = &s.encoder {
            encoder.symbol(symbol, out);
        }
        Ok(())
    }
}

impl<S> Sending<S> {
    fn next_round(&mut self, rounds: u32) {
        (self.block, self.sent) = (0, 0);
        self.round += 1;
        self.done = rounds > 0 && self.round >= rounds;
    }
}

impl Config {
    /// Repair symbols of a block with so many source symbols, per round.
    pub fn repair(&self, symbols: u32) -> u32 {
        let share = u64::from(symbols) * u64::from(self.overhead_percent);
        (share.div_ceil(100) as u32).max(3) + self.outage_symbols
    }
}

/// Which symbols of a block have come: all that a receiver keeps in memory of it.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    seen: Vec<u64>,
    count: u32,
    source: u32,
}

impl Ledger {
    /// Notes a symbol of a block with `symbols` source symbols; says whether it is new. Numbers no
    /// sender reaches are refused, which bounds the memory.
    pub fn note(&mut self, symbol: u32, symbols: u32) -> bool {
        let limit = symbols.saturating_mul(50).clamp(100_000, ESI_MAX);
        let (word, bit) = (symbol as usize / 64, symbol % 64);
        if symbol > limit || self.seen.get(word).is_some_and(|w| w >> bit & 1 == 1) {
            return false;
        }
        if word >= self.seen.len() {
            self.seen.resize(word + 1, 0);
        }
        self.seen[word] |= 1 << bit;
        self.count += 1;
        self.source += u32::from(symbol < symbols);
        true
    }
    /// Different symbols that came.
    pub fn count(&self) -> u32 {
        self.count
    }
    /// Source symbols among them.
    pub fn source(&self) -> u32 {
        self.source
    }
    /// Whether decoding is worth a try.
    pub fn is_enough(&self, symbols: u32) -> bool {
        self.source == symbols || self.count >= symbols + fec::raptor::SURPLUS as u32
    }
}
