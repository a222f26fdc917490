//! The two checks, by their catalogue names, and to whom a frame is bound by the second.

use crc::{CRC_8_AUTOSAR, CRC_32_ISCSI, Crc, Table};

static HEAD: Crc<u8> = Crc::<u8>::new(&CRC_8_AUTOSAR);
static BODY: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);

/// CRC-8/AUTOSAR (0x2F, start and final value 0xFF) of a plain frame's head word.
pub fn head(word: u16) -> u8 {
    HEAD.checksum(&word.to_le_bytes())
}

/// CRC-32C (CRC-32/ISCSI) over the head word and the body: Hamming distance 6 up to 655 bytes
/// (Koopman), and start value all ones, so leading zeros count.
pub fn body(word: u16, body: &[u8]) -> u32 {
    let mut digest = BODY.digest();
    digest.update(&word.to_le_bytes());
    digest.update(body);
    digest.finalize()
}

/// From whom to whom a frame goes: its check is bound to that (PROTOCOL 1.1), and costs no byte more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Binding(u32);

impl Binding {
    /// Of no session: OPEN, CLOSE, CALL, ANSWER; what is sealed; the one-way mode; measuring.
    pub const NONE: Binding = Binding(0);

    /// What the end with the session id `from` says to the one with `to`. Never [`Binding::NONE`], and never that of the
    /// other direction: the two lowest bits say whose id is the higher one.
    pub fn of(from: u64, to: u64) -> Binding {
        let mut digest = BODY.digest();
        digest.update(&from.to_le_bytes());
        digest.update(&to.to_le_bytes());
        Binding(digest.finalize() & !3 | if from > to { 2 } else { 1 })
    }
    /// The check of a frame with this head word and body.
    pub fn check(self, word: u16, body: &[u8]) -> u32 {
        self::body(word, body) ^ self.0
    }
    /// The number by which checks differ.
    pub const fn to_wire(self) -> u32 {
        self.0
    }
    /// The binding with this number.
    pub const fn from_wire(n: u32) -> Binding {
        Binding(n)
    }
}

/// CRC-8 of the bytes so far, after each full block of [`PART`] of them: hints of where a piece of
/// data was damaged.
pub fn parts<'a>(bytes: impl Iterator<Item = u8> + 'a) -> impl Iterator<Item = u8> + 'a {
    let mut digest = HEAD.digest();
    let mut count = 0;
    bytes.filter_map(move |byte| {
        digest.update(&[byte]);
        count += 1;
        (count % PART == 0).then(|| digest.clone().finalize())
    })
}

/// Bytes in a part of a payload.
pub const PART: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn catalogue_check_values() {
        assert_eq!(HEAD.checksum(b"123456789"), 0xDF);
        assert_eq!(BODY.checksum(b"123456789"), 0xE306_9283);
    }

    #[test]
    fn both_directions_differ_from_each_other_and_from_none() {
        for (a, b) in [(5, 6), (6, 5), (1, u64::MAX), (7, 7), (0x0123_4567_89AB_CDEF, 0xFEDC_BA98_7654_3210)] {
            assert_ne!(Binding::of(a, b), Binding::NONE);
            assert!(a == b || Binding::of(a, b) != Binding::of(b, a));
        }
    }
}
