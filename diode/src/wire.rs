//! Records of the one-way mode: the body of a frame (PROTOCOL 5).
//!
//! ```text
//! body      counter, low 16 bits (2) | tag: kind (high four bits), argument (low four) | session tag (4) | fields
//!  8 BEACON   argument bit 0: the session ends, bit 1: before its time; version (1) | session (8) | counter (6) | period in ms (2)
//!             | survive in ms (4) | stream: data shards (1), parity shards (1), depth (2), shard bytes (2)
//!             | stream length (8) | datagrams made (4) | objects made (4)
//!  9 DATUM    number (4) | payload
//! 10 SHARD    group (4) | place (2) | pieces in the group, 0 = not yet known (2)
//!             | offset of the piece in the stream, of parity that of its group (6) | payload
//! 11 SYMBOL   object (4) | block (2) | symbol (3) | payload
//! 12 MANIFEST argument bit 0: a message without a name; object (4) | transfer (8) | bytes (8) | symbol bytes (2)
//!             | symbols per block (2) | repair symbols per block and round (4) | modified, s since 1970 (8)
//!             | SHA-256 (32) | name
//! ```

use link::wire::frame::{BODY_MAX, body_at};
use link::wire::{Binding, Head, Level, write_frame};

/// Version of the one-way mode.
pub const VERSION: u8 = 2;
/// Bytes of a body before its fields.
pub const HEAD: usize = 7;
/// Bytes of a beacon that every version has, behind the head: version, session, counter.
pub(crate) const BEACON_HEAD: usize = 15;
/// Bytes of a DATUM, SHARD and SYMBOL before the payload, head included.
pub const DATUM_HEAD: usize = HEAD + 4;
/// See [`DATUM_HEAD`].
pub const SHARD_HEAD: usize = HEAD + 14;
/// See [`DATUM_HEAD`].
pub const SYMBOL_HEAD: usize = HEAD + 9;
/// Bytes of a MANIFEST before the name, head included.
pub const MANIFEST_HEAD: usize = HEAD + 68;
/// Longest name of an object in bytes.
pub const NAME_MAX: usize = 255;
/// A stream that has not ended.
pub const OPEN_END: u64 = u64::MAX;

/// What the sender says of itself, again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beacon {
    /// Protocol version.
    pub version: u8,
    /// Session id; its low half is the session tag.
    pub session: u64,
    /// Frames sent in this session before this one.
    pub counter: u64,
    /// Milliseconds to the next beacon at the latest.
    pub period_ms: u16,
    /// Longest outage the sender's settings survive, in milliseconds.
    pub survive_ms: u32,
    /// Shape of the stream.
    pub shape: Shape,
    /// Bytes of the stream, [`OPEN_END`] while it goes on. In a session without a stream 0 once all of its objects are
    /// counted in `objects`, else [`OPEN_END`].
    pub stream_len: u64,
    /// Datagrams made so far.
    pub datagrams: u32,
    /// Objects begun so far.
    pub objects: u32,
    /// The session ends; nothing new will come.
    pub end: bool,
    /// It ends before its time: its sender could not go on (its input failed), and what it tells of is not all that was
    /// meant to be sent. Never without `end`.
    pub broken: bool,
}

impl Beacon {
    /// Whether nothing will be put into the session beyond what it tells of.
    pub fn is_complete(&self) -> bool {
        !self.broken && (self.end || self.stream_len != OPEN_END)
    }
}

/// How a stream is cut and protected: groups of `depth` interleaved blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Data shards per block; 0 when there is no stream.
    pub data: u8,
    /// Parity shards per block.
    pub parity: u8,
    /// Blocks per group.
    pub depth: u16,
    /// Bytes per shard.
    pub len: u16,
}

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manifest<'a> {
    /// Number of the object in this session, from 0 in the order they were begun: what its symbols name it by.
    pub object: u32,
    /// Number of the transfer: of one sending of one object. Its sender gives it to no other, whatever the session.
    pub transfer: u64,
    /// Its bytes.
    pub size: u64,
    /// Bytes per symbol.
    pub symbol_len: u16,
    /// Source symbols per block; the last block may have fewer.
    pub block_symbols: u16,
    /// Repair symbols a whole block gets in each round: what the receiver measures its margin by.
    pub repair: u32,
    /// Seconds since 1970 of its last change, 0 when not known.
    pub modified: u64,
    /// SHA-256 of its bytes.
    pub sha256: [u8; 32],
    /// A message without a name.
    pub message: bool,
    /// UTF-8; a relative path without `..` for files.
    pub name: &'a str,
}

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// See [`Beacon`].
    Beacon(Beacon),
    /// A datagram.
    Datum {
        /// Its number, from 0.
        number: u32,
        /// Its bytes.
        payload: &'a [u8],
    },
    /// A shard of the stream.
    Shard {
        /// Group, from 0.
        group: u32,
        /// Place in the group: data first, then parity.
        place: u16,
        /// Data pieces of the group once it is closed, else 0.
        pieces: u16,
        /// Where the piece begins in the stream; of parity, where its group does.
        offset: u64,
        /// The shard; of data without its filling zeros.
        payload: &'a [u8],
    },
    /// A symbol of an object.
    Symbol {
        /// Object.
        object: u32,
        /// Block of the object.
        block: u16,
        /// Symbol of the block, repair symbols after the source.
        symbol: u32,
        /// Its bytes.
        payload: &'a [u8],
    },
    /// See [`Manifest`].
    Manifest(Manifest<'a>),
}

/// A checked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Body<'a> {
    /// Low 16 bits of the frame counter.
    pub counter: u16,
    /// Low half of the session id.
    pub session_tag: u32,
    /// What it says.
    pub record: Record<'a>,
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }
    /// A number of `N` bytes.
    fn number<const N: usize>(&mut self) -> Option<u64> {
        let mut wide = [0u8; 8];
        wide[..N].copy_from_slice(&self.take::<N>()?);
        Some(u64::from_le_bytes(wide))
    }
    fn rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.0)
    }
}

impl<'a> Body<'a> {
    /// Reads a body; none when it is no record of the one-way mode or makes no sense.
    pub fn parse(bytes: &'a [u8]) -> Option<Body<'a>> {
        let mut r = Reader(bytes);
        let counter = r.number::<2>()? as u16;
        let tag = r.number::<1>()? as u8;
        let session_tag = r.number::<4>()? as u32;
        let record = match (tag >> 4, tag & 0x0F) {
            (8, argument @ (0 | 1 | 3)) => {
                let beacon = r.beacon(argument)?;
                // a beacon that contradicts its own frame is none
                (beacon.session as u32 == session_tag).then_some(Record::Beacon(beacon))?
            }
            (9, 0) => Record::Datum { number: r.number::<4>()? as u32, payload: r.rest() },
            (10, 0) => Record::Shard {
                group: r.number::<4>()? as u32,
                place: r.number::<2>()? as u16,
                pieces: r.number::<2>()? as u16,
                offset: r.number::<6>()?,
                payload: r.rest(),
            },
            (11, 0) => Record::Symbol {
                object: r.number::<4>()? as u32,
                block: r.number::<2>()? as u16,
                symbol: r.number::<3>()? as u32,
                payload: r.rest(),
            },
            (12, 0 | 1) => Record::Manifest(r.manifest(tag & 1 == 1)?),
            _ => return None,
        };
        Some(Body { counter, session_tag, record })
    }
}

impl<'a> Reader<'a> {
    fn beacon(&mut self, argument: u8) -> Option<Beacon> {
        let (end, broken) = (argument & 1 == 1, argument & 2 == 2);
        let version = self.number::<1>()? as u8;
        let (session, counter) = (self.number::<8>()?, self.number::<6>()?);
        if version != VERSION {
            let shape = Shape::default();
            return Some(Beacon {
                version,
                session,
                counter,
                period_ms: 0,
                survive_ms: 0,
                shape,
                stream_len: OPEN_END,
                datagrams: 0,
                objects: 0,
                end,
                broken,
            });
        }
        let (period_ms, survive_ms) = (self.number::<2>()? as u16, self.number::<4>()? as u32);
        let shape = Shape {
            data: self.number::<1>()? as u8,
            parity: self.number::<1>()? as u8,
            depth: self.number::<2>()? as u16,
            len: self.number::<2>()? as u16,
        };
        let (stream_len, datagrams, objects) = (self.number::<8>()?, self.number::<4>()? as u32, self.number::<4>()? as u32);
        let beacon =
            Beacon { version, session, counter, period_ms, survive_ms, shape, stream_len, datagrams, objects, end, broken };
        (self.0.is_empty() && shape.is_legal()).then_some(beacon)
    }

    fn manifest(&mut self, message: bool) -> Option<Manifest<'a>> {
        let manifest = Manifest {
            object: self.number::<4>()? as u32,
            transfer: self.number::<8>()?,
            size: self.number::<8>()?,
            symbol_len: self.number::<2>()? as u16,
            block_symbols: self.number::<2>()? as u16,
            repair: self.number::<4>()? as u32,
            modified: self.number::<8>()?,
            sha256: self.take::<32>()?,
            message,
            name: core::str::from_utf8(self.rest()).ok()?,
        };
        manifest.is_legal().then_some(manifest)
    }
}

impl Shape {
    /// Bytes of memory a receiver of such a stream needs at most: for each shard its bytes and 96 for its keeping, of the
    /// groups it keeps and the one that begins.
    #[cfg(feature = "alloc")]
    pub fn memory(&self) -> u64 {
        let shards = (u64::from(self.data) + u64::from(self.parity)) * u64::from(self.depth);
        shards * (u64::from(self.len) + 96) * (u64::from(crate::stream::GROUPS) + 1)
    }
    /// Whether a block of this shape can exist: at most 255 shards, a group of at most 65535 pieces.
    pub fn is_legal(&self) -> bool {
        if self.data == 0 {
            return *self == Shape::default();
        }
        let shards = usize::from(self.data) + usize::from(self.parity);
        let places = shards * usize::from(self.depth);
        self.parity > 0
            && self.depth > 0
            && shards <= fec::SHARDS_MAX
            && places <= 0xFFFF
            && usize::from(self.len) > 2
            && usize::from(self.len) + SHARD_HEAD <= BODY_MAX
    }
}

impl Manifest<'_> {
    /// Bytes of a whole block.
    pub fn block_len(&self) -> u64 {
        u64::from(self.symbol_len) * u64::from(self.block_symbols)
    }
    /// Blocks of the object; an empty object has none.
    pub fn blocks(&self) -> u64 {
        self.size.div_ceil(self.block_len().max(1))
    }
    /// Source symbols of one block.
    pub fn symbols(&self, block: u64) -> u64 {
        let left = self.size.saturating_sub(block * self.block_len());
        left.min(self.block_len()).div_ceil(u64::from(self.symbol_len.max(1)))
    }
    fn is_legal(&self) -> bool {
        self.symbol_len > 0
            && usize::from(self.symbol_len) + SYMBOL_HEAD <= BODY_MAX
            && self.block_symbols > 0
            && self.block_symbols <= 56_403
            && self.blocks() <= 0x1_0000
            && self.name.len() <= NAME_MAX
            && (self.message || !self.name.is_empty())
    }
}

/// Writes one frame with `record` into `out`; returns its length.
///
/// # Panics
/// When `out` is shorter than [`link::FRAME_MAX`] or a payload is longer than a body can be.
pub fn write(out: &mut [u8], counter: u64, session: u64, record: &Record<'_>, level: Level) -> usize {
    let start = body_at(level);
    let mut writer = Writer::new(&mut out[start..]);
    writer.put(&(counter as u16).to_le_bytes());
    writer.put(&[record.tag()]);
    writer.put(&(session as u32).to_le_bytes());
    if let Record::Beacon(beacon) = record {
        writer.beacon_head(beacon);
    }
    writer.record(record);
    let len = writer.len;
    write_frame(out, Head::open(len, level), Binding::NONE)
}

impl Record<'_> {
    /// Kind and argument.
    pub(crate) fn tag(&self) -> u8 {
        match self {
            Record::Beacon(b) => 0x80 | u8::from(b.end) | u8::from(b.broken) << 1,
            Record::Datum { .. } => 0x90,
            Record::Shard { .. } => 0xA0,
            Record::Symbol { .. } => 0xB0,
            Record::Manifest(m) => 0xC0 | u8::from(m.message),
        }
    }
}

pub(crate) struct Writer<'a> {
    out: &'a mut [u8],
    len: usize,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(out: &'a mut [u8]) -> Writer<'a> {
        Writer { out, len: 0 }
    }
    pub(crate) fn len(&self) -> usize {
        self.len
    }
    /// What every version of a beacon begins with.
    pub(crate) fn beacon_head(&mut self, b: &Beacon) {
        self.put(&[b.version]);
        self.put(&b.session.to_le_bytes());
        self.put(&b.counter.to_le_bytes()[..6]);
    }
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.out[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }
    /// The fields, of a beacon those behind its head.
    pub(crate) fn record(&mut self, record: &Record<'_>) {
        match record {
            Record::Beacon(b) => {
                self.put(&b.period_ms.to_le_bytes());
                self.put(&b.survive_ms.to_le_bytes());
                self.put(&[b.shape.data, b.shape.parity]);
                self.put(&b.shape.depth.to_le_bytes());
                self.put(&b.shape.len.to_le_bytes());
                self.put(&b.stream_len.to_le_bytes());
                self.put(&b.datagrams.to_le_bytes());
                self.put(&b.objects.to_le_bytes());
            }
            Record::Datum { number, payload } => {
                self.put(&number.to_le_bytes());
                self.put(payload);
            }
            Record::Shard { group, place, pieces, offset, payload } => {
                self.put(&group.to_le_bytes());
                self.put(&place.to_le_bytes());
                self.put(&pieces.to_le_bytes());
                self.put(&offset.to_le_bytes()[..6]);
                self.put(payload);
            }
            Record::Symbol { object, block, symbol, payload } => {
                self.put(&object.to_le_bytes());
                self.put(&block.to_le_bytes());
                self.put(&symbol.to_le_bytes()[..3]);
                self.put(payload);
            }
            Record::Manifest(m) => {
                self.put(&m.object.to_le_bytes());
                self.put(&m.transfer.to_le_bytes());
                self.put(&m.size.to_le_bytes());
                self.put(&m.symbol_len.to_le_bytes());
                self.put(&m.block_symbols.to_le_bytes());
                self.put(&m.repair.to_le_bytes());
                self.put(&m.modified.to_le_bytes());
                self.put(&m.sha256);
                self.put(m.name.as_bytes());
            }
        }
    }
}
