//! An endless stream in which every byte follows from its position: a reader verifies it without
//! storing it.

/// The stream of a seed.
#[derive(Clone, Copy, Debug)]
pub struct Stream(u64);

impl Stream {
    /// The stream of `seed`.
    pub fn new(seed: u64) -> Stream {
        Stream(seed)
    }
    /// Eight bytes from position `8 * index` (splitmix64).
    fn word(self, index: u64) -> [u8; 8] {
        let mut z = self.0 ^ index.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)).to_le_bytes()
    }
    /// Fills `out` with the bytes from position `at`.
    pub fn fill(self, at: u64, out: &mut [u8]) {
        let (mut index, skip) = (at / 8, (at % 8) as usize);
        let (head, rest) = out.split_at_mut(out.len().min(8 - skip));
        head.copy_from_slice(&self.word(index)[skip..skip + head.len()]);
        for piece in rest.chunks_mut(8) {
            index += 1;
            piece.copy_from_slice(&self.word(index)[..piece.len()]);
        }
    }
    /// The first position at which `bytes`, that came from position `at` on, are wrong; `scratch`
    /// is overwritten.
    pub fn first_wrong(self, at: u64, bytes: &[u8], scratch: &mut Vec<u8>) -> Option<u64> {
        scratch.resize(bytes.len(), 0);
        self.fill(at, scratch);
        let wrong = bytes.iter().zip(scratch.iter()).position(|(got, right)| got != right)?;
        Some(at + wrong as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_cut_gives_the_same_bytes() {
        let stream = Stream::new(7);
        let mut whole = vec![0; 100];
        stream.fill(0, &mut whole);
        for at in 0..40 {
            for len in 0..30 {
                let mut part = vec![0; len];
                stream.fill(at as u64, &mut part);
                assert_eq!(part, whole[at..at + len], "{len} bytes from {at}");
            }
        }
    }

    #[test]
    fn a_wrong_byte_is_found_and_a_shift_too() {
        let (stream, mut bytes, mut scratch) = (Stream::new(7), vec![0; 100], Vec::new());
        stream.fill(1000, &mut bytes);
        assert_eq!(stream.first_wrong(1000, &bytes, &mut scratch), None);
        assert_eq!(stream.first_wrong(1001, &bytes, &mut scratch), Some(1001));
        bytes[50] ^= 1;
        assert_eq!(stream.first_wrong(1000, &bytes, &mut scratch), Some(1050));
    }
}
