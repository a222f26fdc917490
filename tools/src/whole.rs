//! A file as it is to be sent: as many bytes as there are to read, whatever its size is said to be. On /proc, in sysfs and on
//! some FUSE mounts that is 0, or a page.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;

/// Longest copy of a file that does not know its size, in bytes.
pub const COPY_MAX: u64 = 256 << 20;

/// A file whose size is known.
#[derive(Debug)]
pub struct Whole {
    /// To read it by place.
    pub file: File,
    /// Its bytes.
    pub size: u64,
    /// It is a copy without a name: nobody else writes to it.
    pub copied: bool,
}

/// Finds the size of a file that was just opened; one that ends before it says, or says that it is empty and is not, is copied, up
/// to [`COPY_MAX`]. One that has more than it says is being written to: whoever sends it looks behind its end afterwards.
pub fn whole(file: File) -> io::Result<Whole> {
    // the second time it may be longer or shorter because somebody writes to it
    for _ in 0..2 {
        let size = file.metadata()?.len();
        if ends_at(&file, size) {
            return Ok(Whole { file, size, copied: false });
        }
    }
    let (copy, size) = copy(&file)?;
    Ok(Whole { file: copy, size, copied: true })
}

/// Whether the last byte of this size is there, or none where it is 0.
fn ends_at(file: &File, size: u64) -> bool {
    let found = file.read_at(&mut [0], size.saturating_sub(1));
    found.is_ok_and(|n| (n > 0) == (size > 0))
}

/// Reads from the beginning to the end, as everybody who does not ask for the size does.
fn copy(mut file: &File) -> io::Result<(File, u64)> {
    let (mut copy, mut size, mut buffer) = (tempfile::tempfile()?, 0u64, vec![0u8; 1 << 16]);
    loop {
        let n = match file.read(&mut buffer) {
            Ok(0) => return Ok((copy, size)),
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        size += n as u64;
        if size > COPY_MAX {
            return Err(io::Error::other(format!("it does not know its size, and has more than {} MiB", COPY_MAX >> 20)));
        }
        copy.write_all(&buffer[..n])?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_what_there_is_to_read() {
        for path in ["/proc/version", "/proc/filesystems", "/sys/class/net/lo/mtu"] {
            let whole = whole(File::open(path).unwrap()).unwrap();
            assert!(whole.copied && whole.size > 0, "{path}");
            assert_eq!(whole.size, std::fs::read(path).unwrap().len() as u64, "{path}");
        }
        let dir = tempfile::tempdir().unwrap();
        for (name, content) in [("empty", &b""[..]), ("one", b"1"), ("more", &[7; 5_000])] {
            std::fs::write(dir.path().join(name), content).unwrap();
            let whole = whole(File::open(dir.path().join(name)).unwrap()).unwrap();
            assert_eq!((whole.size, whole.copied), (content.len() as u64, false), "{name}");
        }
        assert!(whole(File::open("/dev/zero").unwrap()).unwrap_err().to_string().contains("more than 256 MiB"));
    }
}
