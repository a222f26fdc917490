//! Keys: what they are, how they are written, the files they live in, and which one belongs to which port.
//!
//! ```text
//! text     one line: TAG BASE64 [comment]       file   key files: who may read them, making them
//! peers    known peers: PORT and a public key   store  a file that several processes change
//! ```

pub mod file;
pub mod peers;
mod store;
mod text;

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use curve25519_dalek::montgomery::MontgomeryPoint;
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

use crate::error::{Doing, Failure, kinds};

/// Bytes of every key.
pub const LEN: usize = 32;
/// What the hash of a pre-shared key begins with, so that it is the hash of nothing else.
const PSK_DOMAIN: &[u8] = b"hardline-psk-1 fingerprint\0";

/// Bytes nobody else may see: on the heap, so that a move leaves no copy behind, and wiped at the end.
struct Hidden(Box<[u8; LEN]>);

impl Hidden {
    /// From the kernel.
    fn random() -> Result<Hidden, Failure> {
        let mut hidden = Hidden(Box::new([0; LEN]));
        getrandom::fill(&mut hidden.0[..]).doing(kinds::SYSTEM, || "draw random bytes for a key".into())?;
        Ok(hidden)
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// The secret key of one end (X25519, 32 bytes): wiped when dropped, and never printed.
pub struct Secret(Hidden);

impl Secret {
    /// A new one, from the kernel's random numbers.
    ///
    /// # Errors
    /// The kernel has none to give (1).
    pub fn generate() -> Result<Secret, Failure> {
        Hidden::random().map(Secret)
    }
    /// From a file (`hardline-key-1 BASE64 [comment]`) or `credential:NAME`; see [`file::read`].
    ///
    /// # Errors
    /// All of [`file::read`], and a file that holds another kind of key (1).
    pub fn load(path: &Path) -> Result<Secret, Failure> {
        match file::read(path)?.key {
            Key::Secret(secret) => Ok(secret),
            other => Err(file::wrong_kind(path, &other, "a secret key is needed here: make one with 'hardline keygen FILE'")),
        }
    }
    /// The public key that goes with it.
    pub fn public(&self) -> PublicKey {
        PublicKey(MontgomeryPoint::mul_base_clamped(*self.bytes()).to_bytes())
    }
    /// The 32 bytes, not clamped.
    pub fn bytes(&self) -> &[u8; LEN] {
        &self.0.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// A key that both ends have (32 random bytes): wiped when dropped, and never printed.
pub struct Psk(Hidden);

impl Psk {
    /// A new one, from the kernel's random numbers.
    ///
    /// # Errors
    /// The kernel has none to give (1).
    pub fn generate() -> Result<Psk, Failure> {
        Hidden::random().map(Psk)
    }
    /// From a file (`hardline-psk-1 BASE64 [comment]`) or `credential:NAME`; see [`file::read`].
    ///
    /// # Errors
    /// All of [`file::read`], and a file that holds another kind of key (1).
    pub fn load(path: &Path) -> Result<Psk, Failure> {
        match file::read(path)?.key {
            Key::Psk(psk) => Ok(psk),
            other => {
                let need = "a pre-shared key is needed here: make one with 'hardline keygen --psk FILE'";
                Err(file::wrong_kind(path, &other, need))
            }
        }
    }
    /// `SHA256:` and the unpadded base64 of SHA-256 of a fixed text and the key: the same at both ends, and
    /// no help to guess the key, which is random.
    pub fn fingerprint(&self) -> String {
        fingerprint(&[PSK_DOMAIN, self.bytes()])
    }
    /// The 32 bytes.
    pub fn bytes(&self) -> &[u8; LEN] {
        &self.0.0
    }
}

impl fmt::Debug for Psk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Psk(..)")
    }
}

/// The public key of one end (X25519, 32 bytes). Its text form is `hardline-pub-1 BASE64`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey([u8; LEN]);

impl PublicKey {
    /// From its 32 bytes; none for a point of low order (zero is one): with it, every secret key agrees on
    /// the same shared secret, which everybody knows.
    pub fn new(bytes: [u8; LEN]) -> Option<PublicKey> {
        // a clamped scalar is a multiple of the cofactor and below eight times the order: zero for those points only
        let shared = MontgomeryPoint(bytes).mul_clamped([1; LEN]);
        (shared.to_bytes() != [0; LEN]).then_some(PublicKey(bytes))
    }
    /// From a file (`hardline-pub-1 BASE64 [comment]`; - is stdin), and the comment in it; see [`file::read`].
    ///
    /// # Errors
    /// All of [`file::read`], and a file that holds another kind of key (1).
    pub fn load(path: &Path) -> Result<(PublicKey, String), Failure> {
        let read = if path == Path::new("-") { file::read_stdin() } else { file::read(path) };
        let file::KeyFile { key, comment } = read?;
        match key {
            Key::Public(public) => Ok((public, comment)),
            other => {
                let need = "a public key is needed here: 'hardline key show FILE' at the peer's prints it";
                Err(file::wrong_kind(path, &other, need))
            }
        }
    }
    /// `SHA256:` and the unpadded base64 of SHA-256 of the 32 bytes, as OpenSSH prints fingerprints.
    pub fn fingerprint(&self) -> String {
        fingerprint(&[&self.0])
    }
    /// The 32 bytes.
    pub fn bytes(&self) -> &[u8; LEN] {
        &self.0
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text::public_line(self))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.fingerprint())
    }
}

impl FromStr for PublicKey {
    type Err = String;

    /// `hardline-pub-1 BASE64 [comment]`.
    fn from_str(line: &str) -> Result<PublicKey, String> {
        match text::parse(line)? {
            (Key::Public(public), _) => Ok(public),
            (other, _) => Err(format!("it is {}; a public key is needed here", other.noun())),
        }
    }
}

/// A key of any kind.
#[derive(Debug)]
pub enum Key {
    /// `hardline-key-1`.
    Secret(Secret),
    /// `hardline-psk-1`.
    Psk(Psk),
    /// `hardline-pub-1`.
    Public(PublicKey),
}

impl Key {
    /// What it is, with its article.
    pub fn noun(&self) -> &'static str {
        match self {
            Key::Secret(_) => "a secret key",
            Key::Psk(_) => "a pre-shared key",
            Key::Public(_) => "a public key",
        }
    }
    /// The public key: of a secret one the one that goes with it, of a pre-shared one none.
    pub fn public(&self) -> Option<PublicKey> {
        match self {
            Key::Secret(secret) => Some(secret.public()),
            Key::Psk(_) => None,
            Key::Public(public) => Some(*public),
        }
    }
    /// The fingerprint of the public key, or of the pre-shared one.
    pub fn fingerprint(&self) -> String {
        match self {
            Key::Secret(secret) => secret.public().fingerprint(),
            Key::Psk(psk) => psk.fingerprint(),
            Key::Public(public) => public.fingerprint(),
        }
    }
}

fn fingerprint(parts: &[&[u8]]) -> String {
    let mut hasher = Sha256::new();
    parts.iter().for_each(|part| hasher.update(part));
    format!("SHA256:{}", STANDARD_NO_PAD.encode(hasher.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> [u8; LEN] {
        std::array::from_fn(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap())
    }

    #[test]
    fn public_keys_are_those_of_rfc_7748() {
        // section 6.1
        for (ours, theirs) in [
            (
                "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
                "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
            ),
            (
                "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
                "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
            ),
        ] {
            assert_eq!(Secret(Hidden(Box::new(bytes(ours)))).public().bytes(), &bytes(theirs));
            assert!(PublicKey::new(bytes(theirs)).is_some());
        }
    }

    #[test]
    fn points_of_low_order_are_no_keys() {
        // https://cr.yp.to/ecdh.html#validate, and the first again with the bit set that X25519 ignores
        for bad in [
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0100000000000000000000000000000000000000000000000000000000000000",
            "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
            "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "0000000000000000000000000000000000000000000000000000000000000080",
        ] {
            assert!(PublicKey::new(bytes(bad)).is_none(), "{bad}");
        }
    }

    #[test]
    fn fingerprints_are_of_the_bytes_and_of_one_kind() {
        let public = PublicKey::new(bytes("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")).unwrap();
        assert_eq!(public.fingerprint(), "SHA256:MAyclgO5Kks57TlYv5JAEUgE20/TcwEsDKR0MtY0Ja4");
        let psk = Psk(Hidden(Box::new(*public.bytes())));
        assert_ne!(psk.fingerprint(), public.fingerprint());
        assert!(psk.fingerprint().starts_with("SHA256:") && psk.fingerprint().len() == 50);
    }

    #[test]
    fn secrets_are_not_printed() {
        let (secret, psk) = (Secret::generate().unwrap(), Psk::generate().unwrap());
        assert_eq!(format!("{secret:?} {psk:?}"), "Secret(..) Psk(..)");
        assert_eq!(format!("{:?}", Key::Secret(secret)), "Secret(Secret(..))");
    }
}
