//! The two checks, by their catalogue names.

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
}
