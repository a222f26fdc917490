//! Armour: Reed-Solomon over the head word and, interleaved, over body and check (PROTOCOL 1.3).

use fec::byte_rs::{self, CODEWORD_MAX, PARITY_MAX, Parity};

/// The code over the two bytes of the head word.
const HEAD_CODE: Parity = Parity::P4;

/// Codewords that `len` bytes are spread over.
pub const fn codewords(len: usize, code: Parity) -> usize {
    len.div_ceil(CODEWORD_MAX - code.bytes())
}

/// Bytes on the wire for `len` bytes with their parity.
pub const fn coded_len(len: usize, code: Parity) -> usize {
    len + codewords(len, code) * code.bytes()
}

/// Writes the head word and its parity, 6 bytes.
pub fn write_head(word: u16, out: &mut [u8]) {
    let bytes = word.to_le_bytes();
    out[..2].copy_from_slice(&bytes);
    byte_rs::encode(HEAD_CODE, bytes.into_iter(), &mut out[2..6]);
}

/// Reads a head word with up to two of its six bytes wrong; also says how many were.
pub fn read_head(bytes: &[u8; 6]) -> Option<(u16, usize)> {
    let mut word = *bytes;
    let fixed = byte_rs::correct(HEAD_CODE, &mut word).ok()?;
    Some((u16::from_le_bytes([word[0], word[1]]), fixed))
}

/// Appends the parity of the first `len` bytes: byte i belongs to codeword i mod n, and so does
/// parity byte i.
pub fn add_parity(coded: &mut [u8], len: usize, code: Parity) {
    let n = codewords(len, code);
    let (data, parity) = coded.split_at_mut(len);
    let mut one = [0u8; PARITY_MAX];
    for j in 0..n {
        byte_rs::encode(code, data.iter().skip(j).step_by(n).copied(), &mut one);
        for (to, from) in parity.iter_mut().skip(j).step_by(n).zip(&one[..code.bytes()]) {
            *to = *from;
        }
    }
}

/// Repairs `coded` (`len` bytes and their parity) in place; returns how many bytes were wrong, or
/// none at the first codeword beyond repair: what only looked like a frame must not cost much.
pub fn repair(coded: &mut [u8], len: usize, code: Parity) -> Option<usize> {
    let n = codewords(len, code);
    let mut fixed = 0;
    for j in 0..n {
        let mut word = [0u8; CODEWORD_MAX];
        let data = len.saturating_sub(j).div_ceil(n);
        let total = data + code.bytes();
        // the parity of codeword j starts at len + j
        let places = (j..len).step_by(n).chain((len + j..coded.len()).step_by(n));
        for (slot, at) in word.iter_mut().zip(places.clone()) {
            *slot = coded[at];
        }
        let wrong = byte_rs::correct(code, &mut word[..total]).ok()?;
        if wrong > 0 {
            fixed += wrong;
            for (slot, at) in word.iter().zip(places) {
                coded[at] = *slot;
            }
        }
    }
    Some(fixed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repairs_a_burst_spread_over_the_codewords() {
        for code in [Parity::P2, Parity::P8, Parity::P32] {
            for len in [5, 222, 223, 224, 254, 1000, 4099] {
                let mut coded = [0u8; 5000];
                for (i, b) in coded[..len].iter_mut().enumerate() {
                    *b = (i * 7 + i / 256) as u8;
                }
                let total = coded_len(len, code);
                add_parity(&mut coded[..total], len, code);
                let good = coded;
                let burst = (codewords(len, code) * code.repairs()).min(len);
                for b in &mut coded[len - burst..len] {
                    *b ^= 0x5A;
                }
                assert_eq!(repair(&mut coded[..total], len, code), Some(burst), "{code:?} {len}");
                assert_eq!(coded[..total], good[..total]);
            }
        }
    }

    #[test]
    fn head_survives_two_wrong_bytes() {
        let mut head = [0u8; 6];
        write_head(0x1234, &mut head);
        for a in 0..6 {
            for b in 0..6 {
                let mut bad = head;
                bad[a] ^= 0x81;
                bad[b] ^= 0x10;
                assert_eq!(read_head(&bad).map(|h| h.0), Some(0x1234));
            }
        }
    }
}
