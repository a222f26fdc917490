//! Frames: what is delimited and checked on the wire (PROTOCOL 1).
//!
//! ```text
//! plain      B5 | head word (2) | CRC-8 of it (1) | body | CRC-32C (4)
//! armoured   1A CF FC 1D | head word (2) | parity of it (4) | body | CRC-32C (4) | parity
//! head word  bits 0..11 body length, 12..14 armour level (0 = plain), 15 sealed
//! ```

use fec::byte_rs::Parity;

use super::{Binding, armour, check};

/// Most bytes in a body.
pub const BODY_MAX: usize = 4095;
/// First byte of a plain frame.
pub const PLAIN_SYNC: u8 = 0xB5;
/// Bytes before the body of a plain frame.
pub const PLAIN_HEAD: usize = 4;
/// First four bytes of an armoured frame: the attached sync marker of CCSDS 131.0-B.
pub const ARMOUR_SYNC: [u8; 4] = [0x1A, 0xCF, 0xFC, 0x1D];
/// Bytes before the body of an armoured frame.
pub const ARMOUR_HEAD: usize = 10;
/// Bytes of the frame check.
pub const CHECK: usize = 4;
/// Longest frame there is: a full body in the strongest armour.
pub const FRAME_MAX: usize = ARMOUR_HEAD + armour::coded_len(BODY_MAX + CHECK, Parity::P32);

/// How strongly a frame is armoured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
#[repr(u8)]
pub enum Level {
    /// Plain frame: one wrong bit spoils it.
    #[default]
    Plain = 0,
    /// 1 wrong byte in 255 repaired.
    One = 1,
    /// 2 in 255.
    Two = 2,
    /// 4 in 255.
    Four = 3,
    /// 8 in 255.
    Eight = 4,
    /// 16 in 255.
    Sixteen = 5,
}

impl Level {
    /// All levels, weakest first.
    pub const ALL: [Level; 6] = [Level::Plain, Level::One, Level::Two, Level::Four, Level::Eight, Level::Sixteen];

    /// The level with wire number `n`; none for the reserved numbers 6 and 7.
    pub fn from_wire(n: u8) -> Option<Level> {
        Level::ALL.get(usize::from(n)).copied()
    }
    /// The code of an armoured level.
    pub const fn parity(self) -> Option<Parity> {
        match self {
            Level::Plain => None,
            Level::One => Some(Parity::P2),
            Level::Two => Some(Parity::P4),
            Level::Four => Some(Parity::P8),
            Level::Eight => Some(Parity::P16),
            Level::Sixteen => Some(Parity::P32),
        }
    }
}

/// The head word of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Head {
    /// Bytes of body.
    pub len: usize,
    /// Armour level.
    pub level: Level,
    /// The body is sealed (PROTOCOL 2).
    pub sealed: bool,
}

impl Head {
    /// Of a frame that is not sealed.
    pub const fn open(len: usize, level: Level) -> Head {
        Head { len, level, sealed: false }
    }
    /// The word as it is on the wire.
    pub const fn word(self) -> u16 {
        (self.len as u16 & 0x0FFF) | ((self.level as u16) << 12) | ((self.sealed as u16) << 15)
    }
    /// Reads a word; none when it uses a reserved level.
    pub fn parse(word: u16) -> Option<Head> {
        let level = Level::from_wire((word >> 12) as u8 & 7)?;
        Some(Head { len: usize::from(word & 0x0FFF), level, sealed: word & 0x8000 != 0 })
    }
    /// Bytes of the whole frame.
    pub const fn frame_len(self) -> usize {
        match self.level.parity() {
            None => PLAIN_HEAD + self.len + CHECK,
            Some(code) => ARMOUR_HEAD + armour::coded_len(self.len + CHECK, code),
        }
    }
}

/// Bytes a frame with `body` bytes takes on the wire.
pub const fn frame_len(body: usize, level: Level) -> usize {
    Head::open(body, level).frame_len()
}

/// Where the body of a frame begins: write it there, then call [`write_frame`].
pub const fn body_at(level: Level) -> usize {
    match level {
        Level::Plain => PLAIN_HEAD,
        _ => ARMOUR_HEAD,
    }
}

/// Makes a frame with this head, bound so, of the body that already stands at [`body_at`] in `out`;
/// returns its length.
///
/// # Panics
/// When the body is longer than [`BODY_MAX`] or `out` is shorter than [`frame_len`].
pub fn write_frame(out: &mut [u8], head: Head, binding: Binding) -> usize {
    let Head { len, level, .. } = head;
    assert!(len <= BODY_MAX, "a body has at most {BODY_MAX} bytes");
    let (word, start) = (head.word(), body_at(level));
    let sum = binding.check(word, &out[start..start + len]);
    out[start + len..start + len + CHECK].copy_from_slice(&sum.to_le_bytes());
    match level.parity() {
        None => {
            out[0] = PLAIN_SYNC;
            out[1..3].copy_from_slice(&word.to_le_bytes());
            out[3] = check::head(word);
        }
        Some(code) => {
            out[..4].copy_from_slice(&ARMOUR_SYNC);
            armour::write_head(word, &mut out[4..ARMOUR_HEAD]);
            let end = head.frame_len();
            armour::add_parity(&mut out[start..end], len + CHECK, code);
        }
    }
    head.frame_len()
}
