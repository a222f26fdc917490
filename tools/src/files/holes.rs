//! Holes of sparse files: runs of zeros that take no room on the disk. They are not sent, and stay holes at the other end.

use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;

use nix::errno::Errno;
use nix::unistd::{Whence, lseek64};
use sha2::{Digest, Sha256};

/// Bytes of a block as stat(2) counts them.
const BLOCK: u64 = 512;

/// Where the holes of a file are, as they are asked for from its beginning to its end.
#[derive(Debug)]
pub(super) struct Holes<'a> {
    /// None where there can be none.
    file: Option<&'a File>,
    size: u64,
    /// The end of the data, or of the hole, that was found last.
    known: (u64, bool),
}

impl<'a> Holes<'a> {
    /// Of a file of this size. One that has as many blocks as its size wants has none.
    pub(super) fn of(file: &'a File, size: u64) -> Holes<'a> {
        let is_sparse = |meta: Metadata| meta.blocks() * BLOCK < size;
        let file = Some(file).filter(|file| file.metadata().is_ok_and(is_sparse));
        Holes { file, size, known: (0, false) }
    }
    /// What begins at `at`: whether it is a hole, and where that, or the data, ends; at most at the size of the file.
    pub(super) fn at(&mut self, at: u64) -> (bool, u64) {
        let Some(file) = self.file else { return (false, self.size) };
        if at >= self.known.0 {
            self.known = look(file, at, self.size);
        }
        (self.known.1, self.known.0)
    }
}

fn look(file: &File, at: u64, size: u64) -> (u64, bool) {
    let seek = |whence| i64::try_from(at).map_err(|_| Errno::EOVERFLOW).and_then(|at| lseek64(file, at, whence));
    match seek(Whence::SeekData) {
        // nothing but a hole up to the end
        Err(Errno::ENXIO) => (size, true),
        Ok(data) if data as u64 > at => (size.min(data as u64), true),
        Ok(_) => (seek(Whence::SeekHole).map_or(size, |hole| size.min(hole as u64).max(at + 1)), false),
        // a file system that does not know
        Err(_) => (size, false),
    }
}

/// Adds so many zeros to a hash.
pub(super) fn add_zeros(hasher: &mut Sha256, mut count: u64) {
    static ZEROS: [u8; 1 << 16] = [0; 1 << 16];
    while count > 0 {
        let n = ZEROS.len().min(usize::try_from(count).unwrap_or(usize::MAX));
        hasher.update(&ZEROS[..n]);
        count -= n as u64;
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn holes_are_found_where_nothing_was_written() {
        const MIB: u64 = 1 << 20;
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&[1; 4096], MIB).unwrap();
        file.set_len(3 * MIB).unwrap();
        let (mut holes, mut at, mut sums) = (Holes::of(&file, 3 * MIB), 0, [0, 0]);
        let mut content = Sha256::new();
        while at < 3 * MIB {
            let (is_hole, end) = holes.at(at);
            assert!(end > at && end <= 3 * MIB);
            let mut read = vec![0; (end - at) as usize];
            file.read_exact_at(&mut read, at).unwrap();
            assert!(!is_hole || read.iter().all(|&b| b == 0));
            if is_hole {
                add_zeros(&mut content, end - at);
            } else {
                content.update(&read);
            }
            sums[usize::from(is_hole)] += end - at;
            at = end;
        }
        assert_eq!(<[u8; 32]>::from(content.finalize()), crate::digest::of(&file).unwrap());
        // a file system may know no holes
        assert!(sums[1] == 0 || sums[0] < MIB / 2, "{sums:?}");
        let full = tempfile::tempfile().unwrap();
        full.write_all_at(&[0; 8192], 0).unwrap();
        assert_eq!(Holes::of(&full, 8192).at(0), (false, 8192));
    }
}
