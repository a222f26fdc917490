//! Known peers: the public key that must answer on each port.
//!
//! A line is `PORT hardline-pub-1 BASE64 [comment]`. PORT is all that stands before the tag, spaces included, as it
//! is typed on the command line; `*` is every port that has no line of its own. Blank lines and lines that begin with
//! `#` stay where they are.

use std::io;
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

use super::{PublicKey, store, text};
use crate::disk;
use crate::error::{Doing, Failure, kinds};
use crate::names;
use crate::port::Spec;

/// Largest file, in bytes: some 10,000 peers.
const SIZE_MAX: usize = 1 << 20;
/// Every port that has no line of its own.
pub const ANY: &str = "*";

/// One peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The port it is at, or `*`.
    pub port: String,
    /// Its key.
    pub key: PublicKey,
    /// What else is on the line, or nothing; as it is, with any control characters.
    pub comment: String,
}

/// What became of a wish to trust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trusted {
    /// The port had no key.
    Added,
    /// It had this key already; the file is as it was.
    Already,
    /// It had this other key.
    Replaced(PublicKey),
}

/// The file of known peers. It may not be there: then nobody is known.
#[derive(Clone, Debug)]
pub struct KnownPeers {
    path: PathBuf,
}

impl KnownPeers {
    /// The file at this path; nothing is read yet.
    pub fn at(path: impl Into<PathBuf>) -> KnownPeers {
        KnownPeers { path: path.into() }
    }
    /// The file at this path, or else where this user has it: `$XDG_CONFIG_HOME/hardline/known-peers`,
    /// `~/.config/hardline/known-peers`, and for root without a home `/etc/hardline/known-peers`.
    ///
    /// # Errors
    /// None is named, and the user has no home (1).
    pub fn find(path: Option<&Path>) -> Result<KnownPeers, Failure> {
        let path = match path {
            Some(path) => Ok(path.to_owned()),
            None => default_path(disk::named("XDG_CONFIG_HOME"), disk::named("HOME"), geteuid().is_root()),
        };
        path.doing(kinds::KNOWN_PEERS, || "find the known peers".into()).map(KnownPeers::at)
    }
    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The key that must answer on this port, read anew: that of its own line, else that of `*`, else none.
    ///
    /// # Errors
    /// The file cannot be read, others may write to it, or a line in it is wrong (1).
    pub fn lookup(&self, port: &str) -> Result<Option<PublicKey>, Failure> {
        let (port, peers) = (canonical(port), self.list()?);
        let of = |word: &str| peers.iter().find(|p| p.port == word).map(|p| p.key);
        Ok(of(&port).or_else(|| of(ANY)))
    }
    /// The peers in the text of such a file.
    ///
    /// # Errors
    /// A line that is neither empty, a comment nor a peer.
    pub fn parse(text: &str) -> io::Result<Vec<Peer>> {
        Ok(parse(text)?.into_iter().filter_map(|line| line.peer).collect())
    }
    /// All of them, in the order of the file; `lookup`'s errors.
    pub fn list(&self) -> Result<Vec<Peer>, Failure> {
        let read = || -> io::Result<Vec<Peer>> {
            let text = store::read(&self.path, SIZE_MAX)?.unwrap_or_default();
            KnownPeers::parse(&text)
        };
        read().doing(kinds::KNOWN_PEERS, || self.doing("read"))
    }
    /// From now on, this key must answer on this port (or `*`). Makes the file (0600) and its folder (0700); the
    /// file is replaced in one step, and several processes may do so at the same time.
    ///
    /// # Errors
    /// `port` is none (2); it has another key and `replace` is not given, or the file cannot be read or written (1).
    pub fn trust(&self, port: &str, key: PublicKey, comment: &str, replace: bool) -> Result<Trusted, Failure> {
        let port = port_word(port).doing(kinds::KEY_MALFORMED, || "trust a key".into())?;
        let comment = names::printable(comment.trim().as_bytes());
        let doing = || self.doing(&format!("trust a key for {port} in"));
        let (held, mut lines) = self.hold().doing(kinds::KNOWN_PEERS, doing)?;
        let new = Peer { port: port.clone(), key, comment };
        let old = lines.iter_mut().find(|line| line.peer.as_ref().is_some_and(|p| p.port == port));
        let trusted = match old.as_ref().and_then(|line| line.peer.as_ref()).map(|p| p.key) {
            Some(known) if known == key => return Ok(Trusted::Already),
            Some(known) if !replace => {
                let (known, new) = (known.fingerprint(), key.fingerprint());
                let why = format!("it has {known}, not {new}; if the peer has a new key, give --replace");
                return Err(why).doing(kinds::KEY_KNOWN_OTHER, doing);
            }
            Some(known) => Trusted::Replaced(known),
            None => Trusted::Added,
        };
        match old {
            Some(line) => *line = Line::of(new),
            None => lines.push(Line::of(new)),
        }
        held.replace(&join(&lines)).doing(kinds::KNOWN_PEERS, doing)?;
        Ok(trusted)
    }
    /// Takes the line of this port (or `*`) away; whether there was one.
    ///
    /// # Errors
    /// The file cannot be read or written (1).
    pub fn forget(&self, port: &str) -> Result<bool, Failure> {
        let port = canonical(port);
        if !self.list()?.iter().any(|p| p.port == port) {
            return Ok(false);
        }
        let doing = || self.doing(&format!("forget {} in", names::printable(port.as_bytes())));
        let (held, mut lines) = self.hold().doing(kinds::KNOWN_PEERS, doing)?;
        let before = lines.len();
        lines.retain(|line| line.peer.as_ref().is_none_or(|p| p.port != port));
        if lines.len() == before {
            return Ok(false);
        }
        held.replace(&join(&lines)).doing(kinds::KNOWN_PEERS, doing)?;
        Ok(true)
    }

    fn hold(&self) -> io::Result<(store::Held, Vec<Line>)> {
        let held = store::Held::take(&self.path)?;
        let lines = parse(&held.read(SIZE_MAX)?)?;
        Ok((held, lines))
    }
    fn doing(&self, what: &str) -> String {
        format!("{what} the known peers {}", names::shown(&self.path))
    }
}

/// A port as it stands in the file: `*`, or one that could be opened, in its shortest form.
///
/// # Errors
/// It is none, or could not be told from the rest of its line; what to write.
pub fn port_word(text: &str) -> Result<String, String> {
    let word = match text.trim() {
        ANY => ANY.to_owned(),
        port => port.parse::<Spec>().map_err(|e| names::printable(e.as_bytes()))?.to_string(),
    };
    if word.chars().any(char::is_control) || word.split_whitespace().any(|w| w == text::PUBLIC) {
        return Err(format!("'{}' cannot stand in a line of the known peers", names::printable(word.as_bytes())));
    }
    Ok(word)
}

/// Two ways to write a port are one.
fn canonical(port: &str) -> String {
    port_word(port).unwrap_or_else(|_| port.to_owned())
}

fn default_path(config: Option<PathBuf>, home: Option<PathBuf>, root: bool) -> Result<PathBuf, &'static str> {
    match disk::of_user(config, home, ".config") {
        Some(config) => Ok(config.join("hardline/known-peers")),
        None if root => Ok("/etc/hardline/known-peers".into()),
        None => Err("neither XDG_CONFIG_HOME nor HOME is set: give --known-peers FILE"),
    }
}

/// A line as it is, and the peer if it names one.
#[derive(Debug)]
struct Line {
    text: String,
    peer: Option<Peer>,
}

impl Line {
    fn of(peer: Peer) -> Line {
        let text = format!("{} {} {}", peer.port, peer.key, peer.comment).trim_end().to_owned();
        Line { text, peer: Some(peer) }
    }
}

fn join(lines: &[Line]) -> String {
    lines.iter().map(|line| format!("{}\n", line.text)).collect()
}

fn parse(text: &str) -> io::Result<Vec<Line>> {
    let mut lines: Vec<Line> = Vec::new();
    let mut seen = std::collections::HashMap::new();
    for (i, text) in text.lines().enumerate() {
        let wrong = |why: String| io::Error::other(format!("line {}: {why}", i + 1));
        let peer = peer_of(text.trim()).map_err(wrong)?;
        if let Some(first) = peer.as_ref().and_then(|p| seen.insert(p.port.clone(), i + 1)) {
            return Err(wrong(format!("its port has line {first} already: take one of them away")));
        }
        lines.push(Line { text: text.to_owned(), peer });
    }
    Ok(lines)
}

fn peer_of(line: &str) -> Result<Option<Peer>, String> {
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let is_word = |at: usize| {
        let (before, after) = (&line[..at], &line[at + text::PUBLIC.len()..]);
        before.ends_with(char::is_whitespace) && (after.is_empty() || after.starts_with(char::is_whitespace))
    };
    let at = line.match_indices(text::PUBLIC).map(|(at, _)| at).find(|&at| is_word(at));
    let at = at.ok_or("a line is PORT hardline-pub-1 BASE64, or begins with #")?;
    let port = port_word(&line[..at])?;
    let key = line[at..].parse()?;
    let comment = text::word(text::word(&line[at..]).1).1;
    Ok(Some(Peer { port, key, comment: comment.to_owned() }))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::error::Exit;
    use crate::keys::Secret;

    fn key() -> PublicKey {
        Secret::generate().unwrap().public()
    }

    fn known() -> (tempfile::TempDir, KnownPeers) {
        let folder = tempfile::tempdir().unwrap();
        let known = KnownPeers::at(folder.path().join("hardline/known-peers"));
        (folder, known)
    }

    #[test]
    fn who_is_trusted_is_known_until_forgotten() {
        let (_folder, known) = known();
        let (a, b, any) = (key(), key(), key());
        assert_eq!((known.lookup("usb:A").unwrap(), known.forget("usb:A").unwrap()), (None, false));
        assert!(!known.path().exists(), "asking makes nothing");
        assert_eq!(known.trust("usb:A", a, "root@a\nx", false).unwrap(), Trusted::Added);
        assert_eq!(known.trust("exec:ssh -p 22 box cat", b, "", false).unwrap(), Trusted::Added);
        assert_eq!(known.lookup("usb:A").unwrap(), Some(a));
        assert_eq!(known.lookup("exec:ssh -p 22 box cat").unwrap(), Some(b));
        assert_eq!(known.lookup("usb:B").unwrap(), None);
        known.trust(ANY, any, "", false).unwrap();
        assert_eq!((known.lookup("usb:B").unwrap(), known.lookup("usb:A").unwrap()), (Some(any), Some(a)));
        assert_eq!(known.list().unwrap()[0], Peer { port: "usb:A".into(), key: a, comment: "root@a?x".into() });
        assert!(known.forget(ANY).unwrap() && !known.forget(ANY).unwrap());
        assert_eq!(known.lookup("usb:B").unwrap(), None);
    }

    #[test]
    fn another_key_takes_a_word() {
        let (_folder, known) = known();
        let (a, b) = (key(), key());
        known.trust("/dev/ttyUSB0", a, "", false).unwrap();
        assert_eq!(known.trust("serial:/dev/ttyUSB0", a, "", false).unwrap(), Trusted::Already);
        let failure = known.trust("/dev/ttyUSB0", b, "", false).unwrap_err();
        assert!(failure.message.contains(&a.fingerprint()) && failure.message.contains("--replace"), "{failure}");
        assert_eq!(known.lookup("serial:/dev/ttyUSB0").unwrap(), Some(a));
        assert_eq!(known.trust("/dev/ttyUSB0", b, "", true).unwrap(), Trusted::Replaced(a));
        assert_eq!(known.lookup("/dev/ttyUSB0").unwrap(), Some(b));
    }

    #[test]
    fn what_people_wrote_stays() {
        let (_folder, known) = known();
        let (a, b, c) = (key(), key(), key());
        fs::create_dir_all(known.path().parent().unwrap()).unwrap();
        let text = format!("# mine\n\nusb:A   {a}  left one\r\n  serial:/dev/ttyS0\t{b}\n#end");
        fs::write(known.path(), &text).unwrap();
        assert_eq!(known.lookup("/dev/ttyS0").unwrap(), Some(b));
        assert_eq!(known.list().unwrap()[0].comment, "left one");
        known.trust("tcp:h:1", c, "", false).unwrap();
        known.forget("/dev/ttyS0").unwrap();
        let now = fs::read_to_string(known.path()).unwrap();
        assert_eq!(now, format!("# mine\n\nusb:A   {a}  left one\n#end\ntcp:h:1 {c}\n"));
    }

    #[test]
    fn a_wrong_line_is_never_skipped() {
        let (_folder, known) = known();
        fs::create_dir_all(known.path().parent().unwrap()).unwrap();
        let (a, zero) = (key(), format!("hardline-pub-1 {}=", "A".repeat(43)));
        for (text, says) in [
            (format!("usb:A {a}\nusb:B\n"), "line 2: a line is PORT hardline-pub-1"),
            (a.to_string(), "line 1: a line is PORT"),
            (format!("ttyUSB0 {a}"), "line 1: 'ttyUSB0' is neither a path"),
            (format!("usb:A {zero}"), "line 1: all its bytes are zero"),
            (format!("usb:A {}", &a.to_string()[..40]), "line 1: the base64 has"),
            (format!("/dev/a {a}\n#\nserial:/dev/a {a}"), "line 3: its port has line 1 already"),
        ] {
            fs::write(known.path(), text).unwrap();
            let failure = known.lookup("usb:A").unwrap_err();
            assert!(failure.message.contains(says) && failure.message.contains("known-peers: "), "{failure}");
            assert!(known.trust("usb:C", a, "", true).is_err() && known.forget("usb:A").is_err());
        }
    }

    #[test]
    fn only_ports_are_trusted() {
        let (_folder, known) = known();
        for bad in ["", "ttyUSB0", "usb:", "exec:a\nb", "exec:a hardline-pub-1 b", "#x"] {
            assert_eq!(known.trust(bad, key(), "", false).unwrap_err().exit, Exit::Usage, "{bad:?}");
        }
        assert!(!known.path().exists());
    }

    #[test]
    fn everybody_has_a_place() {
        let path = |config: Option<&str>, home: Option<&str>, root| {
            default_path(config.map(PathBuf::from), home.map(PathBuf::from), root)
        };
        let is = |text: &str| Ok(PathBuf::from(text));
        assert_eq!(path(Some("/c"), Some("/h"), false), is("/c/hardline/known-peers"));
        assert_eq!(path(Some("c"), Some("/h"), false), is("/h/.config/hardline/known-peers"));
        assert_eq!(path(None, Some(""), true), is("/etc/hardline/known-peers"));
        assert!(path(Some(""), None, false).is_err());
    }
}
