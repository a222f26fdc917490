//! Text on a wire in the place of frames: who says it, as far as it shows.

use crate::names::printable;

/// How much of the latest is looked at, in bytes, and how much of its end has to be text: what is left of a frame may stand
/// before it. Less than the least says nothing.
const TAIL: usize = 256;
const END: usize = 48;
const LEAST: usize = 16;
/// Bytes of the end that a terminal shows, in percent: of rubbish it is four in ten.
const SHOWN: usize = 80;
/// Control characters among bytes of seven bits, in percent: frames that lost the eighth bit on their way have two in ten.
const CONTROL: usize = 10;
/// Longest piece of it that is told.
const QUOTED: usize = 40;
/// One that ran in a login, and leaves the line to its shell.
pub(crate) const ENDED: &str = "a hardline that has ended";
/// Whoever it is.
pub(crate) const ANOTHER: &str = "another program";

/// The latest that came.
#[derive(Debug, Default)]
pub(crate) struct Chatter(Vec<u8>);

impl Chatter {
    /// More came.
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(&bytes[bytes.len().saturating_sub(TAIL)..]);
        self.0.drain(..self.0.len().saturating_sub(TAIL));
    }
    /// Whether somebody at a terminal that is the wire wants it back: Ctrl-C three times, or Ctrl-X five times as with `rz`.
    pub(crate) fn wants_end(&self) -> bool {
        self.0.ends_with(&[0x03; 3]) || self.0.ends_with(&[0x18; 5])
    }
    /// Who talks, and his last line, to be printed; none where that is no text.
    pub(crate) fn speaker(&self) -> Option<(&'static str, String)> {
        let is_shown = |b: &&u8| matches!(b, 0x20..=0x7E | b'\n' | b'\r' | b'\t' | 0x07 | 0x08 | 0x1B);
        let end = &self.0[self.0.len().saturating_sub(END)..];
        if end.len() < LEAST || end.iter().filter(is_shown).count() * 100 < end.len() * SHOWN {
            return None;
        }
        let is_control = |b: &&u8| matches!(b, 0x00..=0x1F | 0x7F) && !is_shown(b);
        if self.0.is_ascii() && self.0.iter().filter(is_control).count() * 100 >= self.0.len() * CONTROL {
            return None;
        }
        let text = String::from_utf8_lossy(&self.0);
        let last = text.split(['\n', '\r']).map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
        let cut = last.char_indices().rev().nth(QUOTED - 1).map_or(0, |(at, _)| at);
        Some((who(&text.to_lowercase(), last), printable(&last.as_bytes()[cut..])))
    }
}

fn who(text: &str, last: &str) -> &'static str {
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    // with what it echoes behind it
    let is_prompt = |line: &str| line.ends_with(['$', '#', '%', '>']) || ["$ ", "# ", "> "].iter().any(|end| line.contains(end));
    let is_kernel = |line: &str| line.starts_with('[') && line.split_once("] ").is_some_and(|(time, _)| time.contains('.'));
    if has(&["hardline: ended by signal", "[still-sending]"]) {
        ENDED
    } else if has(&["login:", "password:"]) {
        "a login prompt"
    } else if has(&["command not found", ": command not", ": not found", "syntax error"]) || is_prompt(last) {
        "a shell"
    } else if has(&["u-boot", "grub", "bios", "booting", "starting kernel", "systemd["]) || is_kernel(last) {
        "a boot log"
    } else {
        ANOTHER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn speaker(bytes: &[u8]) -> Option<(&'static str, String)> {
        let mut chatter = Chatter::default();
        bytes.chunks(7).for_each(|piece| chatter.take(piece));
        chatter.speaker()
    }

    #[test]
    fn who_talks_is_known() {
        for (text, who, last) in [
            ("\r\nDebian GNU/Linux 12 box ttyS0\r\n\r\nbox login: ", "a login prompt", "box login:"),
            ("bash: $'\\270lZ': command not found\r\nroot@box:~# ", "a shell", "root@box:~#"),
            ("\u{1b}[?2004huser@box:/tmp$ ", "a shell", "?[?2004huser@box:/tmp$"),
            ("\r\n=> what was sent to it", "a shell", "=> what was sent to it"),
            ("U-Boot 2023.01 (Jan 2023)\r\nHit any key to stop autoboot: 3", "a boot log", "Hit any key to stop autoboot: 3"),
            ("[    1.234567] usb 1-1: new device\r\n", "a boot log", "[    1.234567] usb 1-1: new device"),
            ("$GPGGA,123519,4807.038,N,01131.000,E,1\r\n", "another program", "$GPGGA,123519,4807.038,N,01131.000,E,1"),
        ] {
            assert_eq!(speaker(text.as_bytes()), Some((who, last.to_owned())), "{text:?}");
        }
        let after_a_frame = [&[0x90; 200][..], b"hardline: ended by signal 9 (SIGKILL) [interrupted]\n"].concat();
        assert_eq!(speaker(&after_a_frame).map(|s| s.0), Some("a hardline that has ended"));
        let long = speaker(format!("{} the end of it, which is all that is told of", "x".repeat(300)).as_bytes()).unwrap();
        assert!(long.1.len() == QUOTED && long.1.ends_with("told of"), "{long:?}");
    }

    #[test]
    fn rubbish_is_no_text() {
        let mut random = link::sim::Random::new(7);
        for len in [16, 40, 200, 4000] {
            let bytes: Vec<u8> = (0..len).map(|_| random.bits() as u8).collect();
            assert_eq!(speaker(&bytes), None);
            // frames on a wire of seven bits, once there are enough
            let seven: Vec<u8> = bytes.iter().map(|b| b & 0x7F).collect();
            assert!(len < 200 || speaker(&seven).is_none(), "{len}");
        }
        assert_eq!(speaker(b"login:"), None, "too little");
        let mut chatter = Chatter::default();
        chatter.take(&[b'x'; 5000]);
        assert_eq!(chatter.0.len(), TAIL);
    }
}
