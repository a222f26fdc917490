//! Objects: files and messages, sent as RaptorQ symbols in rounds; every round adds symbols that were
//! never sent before, so that a receiver needs any of them, not certain ones.
//!
//! An outage may come at any time. So a block is finished, and likewise the manifests of an object, once
//! enough is left of it whichever stretch of the wire an outage takes: an object that is alone fills that stretch
//! with its own repair symbols, several share it and are protected by what the others send meanwhile.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use fec::raptor::{ESI_MAX, Encoder, Plans, SYMBOLS_MAX};
use link::wire::Level;
use link::wire::frame::frame_len;

use crate::wire::{MANIFEST_HEAD, Manifest, SYMBOL_HEAD};

/// Most bytes of a block: what an encoder holds in memory (with about as much again beside it).
pub const BLOCK_MAX: usize = 16 << 20;
/// An object up to this size is small: it shares the wire half and half with larger ones.
pub const SMALL: u64 = 64 << 10;
/// Objects on the wire at the same time, per size class: so many at least, ...
const ACTIVE: usize = 4;
/// ... and while they are small so many more that their own symbols outweigh those for an outage this many times, ...
const SHARED: u64 = 4;
/// ... but never more than this: a receiver keeps 1024 under way.
const ACTIVE_MAX: usize = 256;
/// Steps in which the length of an outage is reckoned.
const STEPS: usize = 32;

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

/// How objects are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Bytes per symbol.
    pub symbol_len: u16,
    /// Repair symbols per 100 source symbols and round.
    pub overhead_percent: u32,
    /// Symbols that an outage destroys: an object that is alone gets as many repair symbols per block and round
    /// beside those, several share them.
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
    transfer: u64,
    block_symbols: u16,
    round: u32,
    block: u64,
    /// Symbols of this block sent in this round.
    symbols: Spread,
    /// Manifests sent in this round.
    manifests: Spread,
    encoder: Option<(u64, Box<Encoder>)>,
    since_manifest: u32,
    done: bool,
}

/// Frames of one kind, and how many of them an outage could take, wherever it falls.
#[derive(Clone, Debug)]
struct Spread {
    sent: u32,
    worst: u32,
    /// Those of the last steps; an outage touches one more than it is long.
    recent: [u32; STEPS + 1],
    step: u64,
}

impl Spread {
    fn new() -> Spread {
        Spread { sent: 0, worst: 0, recent: [0; STEPS + 1], step: 0 }
    }
    /// Notes a frame at this place of the wire (bytes); an outage has `outage` bytes.
    fn note(&mut self, at: u64, outage: u64) {
        self.sent += 1;
        let step = at / outage.div_ceil(STEPS as u64).max(1);
        let passed = (step - self.step).min(STEPS as u64 + 1);
        (0..passed).for_each(|i| self.recent[((step - i) % (STEPS as u64 + 1)) as usize] = 0);
        self.step = step;
        self.recent[(step % (STEPS as u64 + 1)) as usize] += 1;
        if outage > 0 {
            self.worst = self.worst.max(self.recent.iter().sum());
        }
    }
    /// Those that are left by the worst outage.
    fn left(&self) -> u32 {
        self.sent - self.worst
    }
}

/// Sends objects, several at once.
pub struct ObjectSender<S> {
    config: Config,
    list: Vec<Sending<S>>,
    /// Those among which the wire is shared, small ones first; empty when that is to be found out anew.
    active: [Vec<usize>; 2],
    plans: Plans,
    /// Objects added so far: the number of the next.
    added: u32,
    turn: [usize; 2],
    small_next: bool,
    /// Bytes handed out: the time of the wire.
    at: u64,
    done_bytes: u64,
}

impl<S: Source> ObjectSender<S> {
    /// A sender without objects.
    pub fn new(config: Config) -> Self {
        ObjectSender {
            config,
            list: Vec::new(),
            active: [Vec::new(), Vec::new()],
            plans: Plans::default(),
            added: 0,
            turn: [0; 2],
            small_next: true,
            at: 0,
            done_bytes: 0,
        }
    }

    /// Adds an object; returns its number in this session. `transfer` is the number of this sending of it: the same for as
    /// long as one sending goes on, over sessions too, and never used for another.
    pub fn add(&mut self, what: Description, transfer: u64, source: S) -> u32 {
        let per_block = (BLOCK_MAX / usize::from(self.config.symbol_len.max(1))).min(SYMBOLS_MAX);
        let symbols = what.size.div_ceil(u64::from(self.config.symbol_len.max(1))).max(1);
        let object = self.added;
        let block_symbols = symbols.min(per_block as u64) as u16;
        let sending = Sending {
            what,
            source,
            object,
            transfer,
            block_symbols,
            round: 0,
            block: 0,
            symbols: Spread::new(),
            manifests: Spread::new(),
            encoder: None,
            since_manifest: u32::MAX,
            done: false,
        };
        // by priority, first come first served within it
        let at = self.list.iter().position(|s| s.what.priority < sending.what.priority).unwrap_or(self.list.len());
        self.list.insert(at, sending);
        self.added = self.added.wrapping_add(1);
        self.regroup();
        object
    }

    /// The manifest of the object at `index`.
    pub fn manifest(&self, index: usize) -> Manifest<'_> {
        let s = &self.list[index];
        Manifest {
            object: s.object,
            transfer: s.transfer,
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
    /// Whether each object that was not taken out had a whole round at least.
    pub fn had_a_round(&self) -> bool {
        self.list.iter().all(|s| s.round > 0)
    }
    /// The numbers of the transfers that were not taken out.
    pub fn transfers(&self) -> impl Iterator<Item = u64> {
        self.list.iter().map(|s| s.transfer)
    }
    /// Bytes of the objects that had all their rounds, and of the others as much as they had of them; with rounds
    /// without end, of the first.
    pub fn progress(&self) -> u64 {
        self.done_bytes + self.list.iter().map(|s| s.progress(&self.config)).sum::<u64>()
    }

    /// Takes out an object that had all its rounds, with the number of its transfer.
    pub fn take_done(&mut self) -> Option<(Description, u64, S)> {
        let at = self.list.iter().position(|s| s.done)?;
        self.done_bytes += self.list[at].what.size;
        let transfer = self.list[at].transfer;
        let (what, source) = self.take(at);
        Some((what, transfer, source))
    }
    /// Takes out the object at `index` wherever it is: no more is sent of it.
    pub fn take(&mut self, index: usize) -> (Description, S) {
        self.regroup();
        let s = self.list.remove(index);
        (s.what, s.source)
    }

    /// What to send next; none when every object had all its rounds.
    pub fn next_piece(&mut self) -> Option<Piece> {
        let small = self.small_next;
        self.small_next = !small;
        let index = self.choose(small).or_else(|| self.choose(!small))?;
        let config = self.config;
        let manifest = self.manifest(index);
        let (blocks, symbols) = (manifest.blocks(), manifest.symbols(self.list[index].block) as u32);
        let manifest_len = frame_len(MANIFEST_HEAD + manifest.name.len(), Level::Plain) as u64;
        let symbol_len = config.symbol_frame();
        let outage = config.outage();
        let s = &mut self.list[index];
        s.since_manifest = s.since_manifest.saturating_add(1);
        let piece = if s.since_manifest > s.manifest_every(&config) || s.block >= blocks {
            s.since_manifest = 0;
            s.manifests.note(self.at, outage);
            self.at += manifest_len;
            Piece::Manifest(index)
        } else {
            let piece = Piece::Symbol { index, block: s.block as u16, symbol: s.symbol(symbols, &config) };
            s.symbols.note(self.at, outage);
            self.at += symbol_len;
            if s.symbols.left() >= symbols + config.share(symbols) {
                s.block += 1;
                s.symbols = Spread::new();
            }
            piece
        };
        if s.block >= blocks && s.manifests.left() >= config.manifests() {
            s.next_round(config.rounds);
            self.regroup();
        }
        Some(piece)
    }

    /// Who shares the wire may have changed.
    fn regroup(&mut self) {
        self.active.iter_mut().for_each(Vec::clear);
    }

    /// The next object in turn among the first few of its class. An object waits with its next round for all others.
    fn choose(&mut self, small: bool) -> Option<usize> {
        let class = usize::from(!small);
        if self.active[class].is_empty() {
            self.active[class] = self.sharing(small);
        }
        self.turn[class] = self.turn[class].wrapping_add(1);
        let active = &self.active[class];
        active.get(self.turn[class] % active.len().max(1)).copied()
    }
    fn sharing(&self, small: bool) -> Vec<usize> {
        let waiting = || self.list.iter().enumerate().filter(|(_, s)| !s.done);
        let is_small = |s: &Sending<S>| s.what.size <= SMALL;
        let Some(top) = waiting().find(|(_, s)| is_small(s) == small).map(|(_, s)| s.what.priority) else { return Vec::new() };
        let round = waiting().filter(|(_, s)| s.what.priority == top).map(|(_, s)| s.round).min().unwrap_or(0);
        let (mut active, mut own, mut bytes) = (Vec::new(), 0, 0);
        for (i, s) in waiting().filter(|(_, s)| is_small(s) == small && s.what.priority == top && s.round == round) {
            let enough = own >= SHARED * u64::from(self.config.outage_symbols) || bytes >= BLOCK_MAX as u64;
            if active.len() >= ACTIVE && (enough || active.len() >= ACTIVE_MAX) {
                break;
            }
            let symbols = s.what.size.div_ceil(u64::from(self.config.symbol_len.max(1)));
            own += symbols + u64::from(self.config.share(symbols.min(0xFFFF) as u32));
            bytes += s.what.size;
            active.push(i);
        }
        active
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
            s.encoder = self.plans.encoder(data, symbol_len).ok().map(|e| (block, Box::new(e)));
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
        (self.block, self.since_manifest) = (0, u32::MAX);
        self.symbols = Spread::new();
        self.manifests = Spread::new();
        // others may have the wire for long now
        self.encoder = None;
        self.round += 1;
        self.done = rounds > 0 && self.round >= rounds;
    }

    /// A manifest for every 2 % of the symbols, at least every 2000 and at most every 20; more of a small object,
    /// so that enough of them are there when enough of its symbols are.
    fn manifest_every(&self, config: &Config) -> u32 {
        match self.what.size.div_ceil(u64::from(config.symbol_len.max(1))) {
            symbols @ 0..80 => ((symbols as u32 + config.share(symbols as u32)) / config.manifests()).clamp(1, 20),
            symbols => (symbols / 50).clamp(20, 2000) as u32,
        }
    }

    /// The number of the next symbol of a block with so many.
    fn symbol(&self, symbols: u32, config: &Config) -> u32 {
        let sent = self.symbols.sent;
        if self.round == 0 && sent < symbols {
            return sent;
        }
        // every round but the first is repair alone; numbers go on from round to round
        let most = config.repair(symbols) + config.repair(symbols) / 8 + 8;
        let made = match self.round {
            0 => sent - symbols,
            round => most.wrapping_add((round - 1).wrapping_mul(symbols + most)).wrapping_add(sent),
        };
        let span = symbols.saturating_mul(48).clamp(32_768, ESI_MAX / 2);
        symbols + config.start.wrapping_add(made) % span
    }

    fn progress(&self, config: &Config) -> u64 {
        let symbols = u64::from(self.block_symbols);
        let block = (symbols + u64::from(config.repair(self.block_symbols.into()))) as f64;
        let blocks = self.what.size.div_ceil((symbols * u64::from(config.symbol_len)).max(1)).max(1) as f64;
        let here = (self.block as f64 + (f64::from(self.symbols.sent) / block).min(1.0)) / blocks;
        let share = match config.rounds {
            0 if self.round > 0 => 1.0,
            rounds => (f64::from(self.round) + here.min(1.0)) / f64::from(rounds.max(1)),
        };
        (self.what.size as f64 * share.min(1.0)) as u64
    }
}

impl Config {
    /// Repair symbols of a block with so many source symbols, per round, at most about.
    pub fn repair(&self, symbols: u32) -> u32 {
        self.share(symbols) + self.outage_symbols
    }
    /// Those for noise: the percentage, and as many as make up for its chances with few symbols (a loss below 1e-6
    /// at the bit error rates of the profiles).
    pub fn share(&self, symbols: u32) -> u32 {
        let share = u64::from(symbols) * u64::from(self.overhead_percent);
        share.div_ceil(100) as u32 + 5 + self.overhead_percent / 7
    }
    /// Manifests of a round that an outage leaves, for the same chance.
    fn manifests(&self) -> u32 {
        3 + self.overhead_percent / 16
    }
    fn symbol_frame(&self) -> u64 {
        frame_len(SYMBOL_HEAD + usize::from(self.symbol_len), Level::Plain) as u64
    }
    /// Bytes an outage takes, with the frame it begins in.
    fn outage(&self) -> u64 {
        match self.outage_symbols {
            0 => 0,
            n => (u64::from(n) + 1) * self.symbol_frame(),
        }
    }
}

/// Which symbols of a block have come: all that a receiver keeps in memory of it.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// A bit per number, 64 numbers to a word; words without one are not there, so that a number that is far away costs
    /// no more than another.
    seen: BTreeMap<u32, u64>,
    count: u32,
    source: u32,
}

impl Ledger {
    /// Notes a symbol of a block with `symbols` source symbols; says whether it is new. Numbers no
    /// sender reaches are refused, which bounds the memory.
    pub fn note(&mut self, symbol: u32, symbols: u32) -> bool {
        let limit = symbols.saturating_mul(50).clamp(100_000, ESI_MAX);
        if symbol > limit {
            return false;
        }
        let (word, bit) = (self.seen.entry(symbol / 64).or_default(), 1 << (symbol % 64));
        if *word & bit != 0 {
            return false;
        }
        *word |= bit;
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
    /// Bytes of memory it takes, about: itself, and up to twice what its words have in them.
    pub fn memory(&self) -> u64 {
        256 + 32 * self.seen.len() as u64
    }
    /// Whether decoding is worth a try.
    pub fn is_enough(&self, symbols: u32) -> bool {
        self.source == symbols || self.count >= symbols + fec::raptor::SURPLUS as u32
    }
}
