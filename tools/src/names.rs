//! Names of files that came over a wire: which of them can be trusted, and how the others are shown.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Longest component of a name, in bytes, as Linux has it.
const COMPONENT_MAX: usize = 255;

/// A name as a relative path that cannot leave the folder it is put into; none when it tries: no empty,
/// `.` or `..` component, no leading slash, no control character.
pub fn safe(name: &[u8]) -> Option<PathBuf> {
    objection(name).is_none().then(|| PathBuf::from(OsStr::from_bytes(name)))
}

/// Why a name is not safe; none when it is.
pub fn objection(name: &[u8]) -> Option<&'static str> {
    let components = || name.split(|&b| b == b'/');
    if !is_clean(name) {
        Some("its name has control characters")
    } else if components().any(|c| matches!(c, b"" | b"." | b"..")) {
        Some("its name would leave the output folder")
    } else if components().any(|c| c.len() > COMPONENT_MAX) {
        Some("a part of its name is longer than 255 bytes")
    } else {
        None
    }
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
        for (bad, why) in [("a\n../b", "has control characters"), ("../b", "would leave"), (&"a".repeat(256), "longer than 255")]
        {
            assert!(objection(bad.as_bytes()).is_some_and(|said| said.contains(why)), "{bad:?}");
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
