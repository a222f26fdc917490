//! Names of files that came over a wire: which of them can be trusted, and how the others are shown.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Longest component of a name, in bytes, as Linux has it.
const COMPONENT_MAX: usize = 255;

/// A name as a relative path that cannot leave the folder it is put into; none when it tries: no empty,
/// `.` or `..` component, no leading slash, no control character.
pub fn safe(name: &[u8]) -> Option<PathBuf> {
    let fine = |c: &[u8]| !matches!(c, b"" | b"." | b"..") && c.len() <= COMPONENT_MAX;
    (name.split(|&b| b == b'/').all(fine) && is_clean(name)).then(|| PathBuf::from(OsStr::from_bytes(name)))
}

/// No control characters, in UTF-8 or in bytes that are none.
fn is_clean(name: &[u8]) -> bool {
    match std::str::from_utf8(name) {
        Ok(text) => !text.chars().any(char::is_control),
        Err(_) => !name.iter().any(u8::is_ascii_control),
    }
}

/// A name or a text of the peer's as it may be printed.
pub fn printable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// A path of our own as it may be printed.
pub fn shown(path: &Path) -> String {
    printable(path.as_os_str().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave() {
        for bad in
            ["", "/etc/passwd", "../x", "a/../b", "a/../../x", ".", "a/./..", "a//b", "a/", "./a", "a\n", "a\0b", "\u{9b}2J"]
        {
            assert!(safe(bad.as_bytes()).is_none(), "{bad:?}");
        }
        assert!(safe(b"\xff\x1b").is_none() && safe(&[b'a'; 256]).is_none());
        for good in ["a/b c", "..a/.b", "ü", "-rf"] {
            assert_eq!(safe(good.as_bytes()), Some(PathBuf::from(good)));
        }
        assert!(safe(b"\xff").is_some(), "bytes that are no UTF-8 are names too");
    }

    #[test]
    fn nothing_printed_moves_the_cursor() {
        assert_eq!(printable(b"a\x1b[2J\n\xc2\x9b"), "a?[2J??");
    }
}
