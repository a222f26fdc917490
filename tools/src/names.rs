//! Names of files that came over a wire: which of them can be trusted, and how the others are shown.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Longest component of a name, in bytes, as Linux has it.
pub const COMPONENT_MAX: usize = 255;

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

/// Characters that are not seen, or turn the order of those around: a name with one reads like another one. Those that Unicode
/// calls `Default_Ignorable_Code_Point` (bidirectional controls, joiners, variation selectors, tags and what is kept free for
/// more of them; it is a stable property), separators of lines and paragraphs, and interlinear annotations.
const HIDDEN: [(char, char); 19] = [
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{2028}', '\u{2029}'),
    ('\u{202a}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fff8}'),
    ('\u{fff9}', '\u{fffb}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
];

fn is_hidden(c: char) -> bool {
    HIDDEN.iter().any(|(first, last)| (*first..=*last).contains(&c))
}

/// A text in which what would not be seen is: `\u{202e}`. Lines stay lines.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_hidden(c) { shown.extend(c.escape_unicode()) } else { shown.push(c) }
    }
    Cow::Owned(shown)
}

/// A name or a text of the peer's as it may be printed: on one line, with nothing in it that moves a cursor or hides.
pub fn printable(bytes: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(bytes).chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    visible(&text).into_owned()
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

    #[test]
    fn nothing_printed_hides() {
        let hidden =
            "\u{ad}\u{200b}\u{200d}\u{200f}\u{2028}\u{202a}\u{202e}\u{2066}\u{2069}\u{feff}\u{fe0f}\u{e0001}\u{e0041}\u{e01ef}";
        for c in hidden.chars() {
            let name = format!("a{c}b");
            assert_eq!(printable(name.as_bytes()), format!("a{}b", c.escape_unicode()));
            assert!(safe(name.as_bytes()).is_some(), "it is a name all the same");
        }
        for seen in ["ü", "שלום", "日本", "🙂", "a b", "e\u{301}", "\u{fffd}"] {
            assert_eq!(printable(seen.as_bytes()), seen);
        }
        assert_eq!(visible("one\n\ttwo\u{202e}\n"), "one\n\ttwo\\u{202e}\n");
        assert!(HIDDEN.is_sorted());
    }
}
