//! SHA-256 of files.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use sha2::{Digest, Sha256};

/// SHA-256 of a whole file, read from its beginning without moving its position.
pub fn of(file: &File) -> io::Result<[u8; 32]> {
    let mut hasher = Sha256::new();
    add(&mut hasher, file, u64::MAX)?;
    Ok(hasher.finalize().into())
}

/// Adds the first `len` bytes of a file, as far as there are so many; returns how many there were.
pub fn add(hasher: &mut Sha256, file: &File, len: u64) -> io::Result<u64> {
    let (mut buffer, mut at) = (vec![0u8; 1 << 18], 0u64);
    while at < len {
        let want = buffer.len().min(usize::try_from(len - at).unwrap_or(usize::MAX));
        match file.read_at(&mut buffer[..want], at)? {
            0 => break,
            n => {
                hasher.update(&buffer[..n]);
                at += n as u64;
            }
        }
    }
    Ok(at)
}
