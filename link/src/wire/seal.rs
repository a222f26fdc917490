//! Sealed bodies (PROTOCOL 2): ChaCha20-Poly1305 (RFC 8439) with the transmission number as nonce.
//!
//! ```text
//! open     tx number (2) | records
//! sealed   tx number (2) | epoch (1) | records, encrypted | tag (16)
//! associated data: head word | tx number as sent | epoch
//! ```

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher, StreamCipherSeek};
use chacha20poly1305::ChaCha20Poly1305;
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::frame::Head;
use super::segment::SEGMENT_HEAD;

/// Bytes of a key.
pub const KEY: usize = 32;
/// Bytes of a tag.
pub const TAG: usize = 16;
/// Bytes of a sealed body before what is encrypted.
pub const SEALED_HEAD: usize = SEGMENT_HEAD + 1;
/// Bytes by which sealing makes a body longer.
pub const SEAL: usize = 1 + TAG;
/// ChaCha20 encrypts from its second block on; the first makes the key of the tag.
const FIRST_BLOCK: u64 = 64;

/// A key for one direction; wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Key([u8; KEY]);

impl core::fmt::Debug for Key {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Key")
    }
}

impl From<[u8; KEY]> for Key {
    fn from(bytes: [u8; KEY]) -> Key {
        Key(bytes)
    }
}

/// The nonce of number `n`, as in the Noise Protocol Framework, section 12.3.
fn nonce(n: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&n.to_le_bytes());
    nonce
}

impl Key {
    /// Encrypts `text` in place; returns its tag. A number must never be used twice under a key.
    pub fn seal(&self, n: u64, associated: &[u8], text: &mut [u8]) -> [u8; TAG] {
        let cipher = ChaCha20Poly1305::new(&self.0.into());
        match cipher.encrypt_inout_detached(&nonce(n).into(), associated, text.into()) {
            Ok(tag) => tag.into(),
            // only above 256 GiB
            Err(_) => unreachable!("no body is that long"),
        }
    }
    /// Decrypts `text` in place; false, with `text` as it was, when the tag is not its own.
    pub fn open(&self, n: u64, associated: &[u8], text: &mut [u8], tag: &[u8; TAG]) -> bool {
        let cipher = ChaCha20Poly1305::new(&self.0.into());
        cipher.decrypt_inout_detached(&nonce(n).into(), associated, text.into(), &(*tag).into()).is_ok()
    }
    /// Encrypts or decrypts bytes that stand at `at` of the text, unverified.
    pub fn xor(&self, n: u64, at: usize, bytes: &mut [u8]) {
        self.apply(nonce(n), at, bytes);
    }
    fn apply(&self, nonce: [u8; 12], at: usize, bytes: &mut [u8]) {
        let mut stream = ChaCha20::new(&self.0.into(), &nonce.into());
        stream.seek(FIRST_BLOCK + at as u64);
        stream.apply_keystream(bytes);
    }
    /// The key that follows: REKEY of the Noise Protocol Framework, section 4.2.
    pub fn next(&self) -> Key {
        let mut next = [0; KEY];
        let _ = self.seal(u64::MAX, &[], &mut next);
        Key(next)
    }
    /// The key for purpose `label` and number `n`: 32 bytes of key stream under the nonce `label | n`.
    /// Two labels give keys that have nothing to do with each other, and neither has with what
    /// [`Key::seal`] does, whose nonces begin with four zero bytes; so the label must not be zero.
    ///
    /// Associated data would not do in place of the label: they change the tag, not the key stream.
    pub fn derive(&self, label: [u8; 4], n: u64) -> Key {
        let mut nonce = nonce(n);
        nonce[..4].copy_from_slice(&label);
        let mut derived = [0; KEY];
        self.apply(nonce, 0, &mut derived);
        Key(derived)
    }
}

/// The fields of a sealed body: its number as sent, its epoch, what is encrypted, its tag.
pub struct Sealed<'a> {
    /// Lowest 16 bits of the transmission number.
    pub tx: u16,
    /// Lowest 8 bits of the number of its key.
    pub epoch: u8,
    /// The records, encrypted.
    pub text: &'a [u8],
    /// The tag.
    pub tag: &'a [u8; TAG],
}

impl<'a> Sealed<'a> {
    /// Reads a sealed body; none when it is too short.
    pub fn parse(body: &'a [u8]) -> Option<Sealed<'a>> {
        let (head, rest) = body.split_first_chunk::<SEALED_HEAD>()?;
        let (text, tag) = rest.split_last_chunk::<TAG>()?;
        Some(Sealed { tx: u16::from_le_bytes([head[0], head[1]]), epoch: head[2], text, tag })
    }
    /// The segment at the beginning of `out`, if this frame was sealed so as number `n` under this key: its length.
    /// If not, what stands there is worth nothing.
    ///
    /// # Panics
    /// When `out` is shorter than the body.
    pub fn open(&self, key: &Key, head: Head, n: u64, out: &mut [u8]) -> Option<usize> {
        let end = SEGMENT_HEAD + self.text.len();
        let (number, text) = out[..end].split_at_mut(SEGMENT_HEAD);
        number.copy_from_slice(&self.tx.to_le_bytes());
        text.copy_from_slice(self.text);
        key.open(n, &associated(head, self.tx, self.epoch), text, self.tag).then_some(end)
    }
}

/// What is authenticated beside the text.
pub fn associated(head: Head, tx: u16, epoch: u8) -> [u8; 5] {
    let ([a, b], [c, d]) = (head.word().to_le_bytes(), tx.to_le_bytes());
    [a, b, c, d, epoch]
}

#[cfg(feature = "explore")]
impl Key {
    /// Tells it from other keys of a search.
    pub(crate) fn digest(&self) -> [u8; KEY] {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_keys_differ_by_label_and_number() {
        let key = Key::from([7; KEY]);
        let seals = |key: Key| {
            let mut text = [0; KEY];
            let _ = key.seal(0, &[], &mut text);
            text
        };
        let all = [key.derive(*b"dio1", 1), key.derive(*b"dio1", 2), key.derive(*b"dio2", 1), key.next(), key];
        let all = all.map(seals);
        assert!((0..all.len()).all(|i| !all[..i].contains(&all[i])));
    }

    #[test]
    fn opens_only_what_was_sealed() {
        let key = Key::from([7; KEY]);
        let mut text = *b"some records";
        let tag = key.seal(70_000, b"head", &mut text);
        let sealed = text;
        assert!(!key.open(70_001, b"head", &mut text, &tag) && text == sealed);
        assert!(!key.open(70_000, b"heat", &mut text, &tag) && !key.next().open(70_000, b"head", &mut text, &tag));
        let mut part = sealed;
        key.xor(70_000, 5, &mut part[5..]);
        assert_eq!(&part[5..], b"records");
        assert!(key.open(70_000, b"head", &mut text, &tag) && &text == b"some records");
    }
}
