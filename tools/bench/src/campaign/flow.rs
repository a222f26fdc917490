//! What was sent one way, and what came of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::ways::READY;

/// Bytes that a thread of ours gathers.
pub type Gathered = Arc<Mutex<Vec<u8>>>;

/// Files by name.
pub type Files = BTreeMap<PathBuf, Vec<u8>>;

/// What was sent.
#[derive(Clone, Debug)]
pub enum Sent {
    /// These bytes.
    Bytes(Vec<u8>),
    /// At most these: reading them failed, so all of it can never arrive.
    Failing(Vec<u8>),
    /// These files.
    Files(Files),
}

/// Where it comes.
#[derive(Clone, Debug)]
pub enum Place {
    /// Into a file, in order.
    File(PathBuf),
    /// Into a file of this name and a dot and a number, in order: a service that is started anew has another one.
    Numbered(PathBuf),
    /// To a thread of ours, in order.
    Gathered(Gathered),
    /// To a thread of ours, among other things.
    Within(Gathered),
    /// Into a file, line by line in any order.
    Lines(PathBuf),
    /// To a thread of ours, line by line in any order.
    GatheredLines(Gathered),
    /// Into a folder, under the same names.
    Folder(PathBuf),
    /// Into a folder, as a file of any name.
    Message(PathBuf),
}

/// What has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Carried {
    /// All of it.
    Whole,
    /// Some of it or nothing, and nothing else.
    Part(String),
    /// Something that was not sent.
    Wrong(String),
}

/// One direction of a run.
#[derive(Clone, Debug)]
pub struct Flow {
    /// For people.
    pub name: String,
    /// What was sent.
    pub sent: Sent,
    /// Where it comes: of an end that was started anew there are several.
    pub places: Vec<Place>,
    /// How often it was sent, by a sender that was started anew.
    pub times: i64,
    /// Who takes it may have come in its midst.
    pub joined: bool,
}

impl Flow {
    /// The best that can be said of its places; something wrong in any is wrong.
    pub fn carried(&self) -> Carried {
        best(self.places.iter().map(|place| match (place.carried(&self.sent, self.times), &self.sent) {
            (Carried::Wrong(_), Sent::Bytes(sent) | Sent::Failing(sent)) if self.joined && place.is_within(sent) => {
                Carried::Part("from its midst on".into())
            }
            (carried, _) => carried,
        }))
    }
    /// Whether anything has come.
    pub fn has_begun(&self) -> bool {
        self.places.iter().any(|place| match place {
            Place::File(path) | Place::Lines(path) => is_filled(path),
            Place::Numbered(path) => numbered(path).iter().any(|path| is_filled(path)),
            Place::Gathered(came) | Place::GatheredLines(came) => came.lock().is_ok_and(|came| !came.is_empty()),
            // what a terminal shows before is our own
            Place::Within(came) => came.lock().is_ok_and(|came| within(READY.as_bytes(), &came) == Carried::Whole),
            Place::Folder(dir) | Place::Message(dir) => fs::read_dir(dir).is_ok_and(|mut dir| dir.next().is_some()),
        })
    }
}

/// Something wrong is wrong, whatever else there is.
fn best(all: impl Iterator<Item = Carried>) -> Carried {
    let rank = |carried: &Carried| match carried {
        Carried::Wrong(_) => 0,
        Carried::Whole => 1,
        Carried::Part(_) => 2,
    };
    all.min_by_key(rank).unwrap_or_else(|| Carried::Part("nothing".into()))
}

/// The files of this name and a dot and a number.
fn numbered(path: &Path) -> Vec<PathBuf> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else { return Vec::new() };
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let number = |path: &PathBuf| {
        let file = path.file_name().and_then(|name| name.to_str())?;
        file.strip_prefix(name)?.strip_prefix('.')?.parse::<u32>().ok()
    };
    entries.map(|entry| entry.path()).filter(|path| number(path).is_some()).collect()
}

fn is_filled(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.len() > 0)
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_default()
}

impl Place {
    fn carried(&self, sent: &Sent, times: i64) -> Carried {
        match (sent, self) {
            (Sent::Files(files), Place::Folder(dir)) => folder(files, dir),
            (Sent::Files(_), _) => Carried::Wrong("files have no such place".into()),
            (Sent::Bytes(bytes), place) => place.of_bytes(bytes, times),
            (Sent::Failing(bytes), place) => match place.of_bytes(bytes, times) {
                Carried::Whole => Carried::Part("what reading gave before it failed".into()),
                other => other,
            },
        }
    }
    /// Whether what came is a piece of this.
    fn is_within(&self, sent: &[u8]) -> bool {
        let is_piece = |came: &[u8]| within(came, sent) == Carried::Whole;
        match self {
            Place::File(path) => is_piece(&read(path)),
            Place::Gathered(came) => came.lock().is_ok_and(|came| is_piece(&came)),
            _ => false,
        }
    }
    fn of_bytes(&self, sent: &[u8], times: i64) -> Carried {
        match self {
            Place::File(path) => in_order(sent, &read(path)),
            Place::Numbered(path) => best(numbered(path).iter().map(|path| in_order(sent, &read(path)))),
            Place::Gathered(came) => came.lock().map_or(Carried::Part("its thread failed".into()), |came| in_order(sent, &came)),
            Place::Within(came) => came.lock().map_or(Carried::Part("its thread failed".into()), |came| within(sent, &came)),
            Place::Lines(path) => lines(sent, &read(path), times),
            Place::GatheredLines(came) => {
                came.lock().map_or(Carried::Part("its thread failed".into()), |came| lines(sent, &came, times))
            }
            Place::Message(dir) => message(sent, dir, times),
            Place::Folder(_) => Carried::Wrong("bytes have no name".into()),
        }
    }
}

fn in_order(sent: &[u8], came: &[u8]) -> Carried {
    let wrong = came.iter().zip(sent).position(|(came, sent)| came != sent);
    match wrong {
        Some(at) => Carried::Wrong(format!("byte {at} of {} is wrong ({} were sent)", came.len(), sent.len())),
        None if came.len() > sent.len() => Carried::Wrong(format!("{} bytes came, {} were sent", came.len(), sent.len())),
        None if came.len() == sent.len() => Carried::Whole,
        None => Carried::Part(format!("{} of {} bytes", came.len(), sent.len())),
    }
}

fn within(sent: &[u8], came: &[u8]) -> Carried {
    let there = sent.is_empty() || came.windows(sent.len()).any(|came| came == sent);
    if there { Carried::Whole } else { Carried::Part(format!("not within {} bytes", came.len())) }
}

/// Lines come in any order, and as often as they were sent: at least once.
fn lines(sent: &[u8], came: &[u8], times: i64) -> Carried {
    let mut counts: BTreeMap<&[u8], (i64, i64)> = BTreeMap::new();
    let sent = sent.strip_suffix(b"\n").unwrap_or(sent).split(|&b| b == b'\n').filter(|_| !sent.is_empty());
    sent.for_each(|line| counts.entry(line).or_default().0 += 1);
    // what is behind the last end of a line is not written to its end yet
    let whole = came.split_inclusive(|&b| b == b'\n').filter_map(|line| line.strip_suffix(b"\n"));
    whole.for_each(|line| counts.entry(line).or_default().1 += 1);
    if let Some((line, (sent, came))) = counts.iter().find(|(_, (sent, came))| *came > sent * times) {
        return Carried::Wrong(format!("{came} times a line that was sent {sent} times: {}", String::from_utf8_lossy(line)));
    }
    match counts.values().map(|(sent, came)| (sent - came).max(0)).sum::<i64>() {
        0 => Carried::Whole,
        n => Carried::Part(format!("{n} lines are missing")),
    }
}

fn folder(sent: &Files, dir: &Path) -> Carried {
    let mut missing = 0;
    for (name, bytes) in sent {
        match fs::read(dir.join(name)) {
            Ok(came) if came == *bytes => {}
            Ok(came) => return Carried::Wrong(format!("{} has {} bytes, and not the right ones", name.display(), came.len())),
            Err(_) => missing += 1,
        }
    }
    if missing == 0 { Carried::Whole } else { Carried::Part(format!("{missing} of {} files are missing", sent.len())) }
}

/// Each sending of a message is one of its own: at least one, at most as many as were sent.
fn message(sent: &[u8], dir: &Path, times: i64) -> Carried {
    let files = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let all: Vec<Vec<u8>> = files.filter(|path| path.is_file()).map(|path| read(&path)).collect();
    match &all[..] {
        [] => Carried::Part("no message".into()),
        all if all.len() as i64 <= times && all.iter().all(|came| came == sent) => Carried::Whole,
        more => Carried::Wrong(format!("{} files, the first of {} bytes", more.len(), more[0].len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_part(carried: Carried) -> bool {
        matches!(carried, Carried::Part(_))
    }
    fn is_wrong(carried: Carried) -> bool {
        matches!(carried, Carried::Wrong(_))
    }

    #[test]
    fn bytes_are_whole_missing_wrong_or_too_many() {
        assert_eq!(in_order(b"abc", b"abc"), Carried::Whole);
        assert!(is_part(in_order(b"abc", b"ab")) && is_part(in_order(b"abc", b"")));
        assert!(is_wrong(in_order(b"abc", b"abb")) && is_wrong(in_order(b"abc", b"abcd")) && is_wrong(in_order(b"abc", b"b")));
        let flow = |sent, came: [&[u8]; 2]| Flow {
            name: String::new(),
            sent,
            places: came.map(|came| Place::Gathered(Arc::new(Mutex::new(came.to_vec())))).into(),
            times: 1,
            joined: false,
        };
        assert_eq!(flow(Sent::Bytes(b"abc".into()), [b"a", b"abc"]).carried(), Carried::Whole);
        assert!(is_wrong(flow(Sent::Bytes(b"abc".into()), [b"b", b"abc"]).carried()));
        assert!(is_part(flow(Sent::Failing(b"abc".into()), [b"", b"abc"]).carried()));
        let joined = |came| Flow { joined: true, ..flow(Sent::Bytes(b"abc".into()), [b"a", came]) }.carried();
        assert!(is_part(joined(b"bc")) && is_wrong(joined(b"ac")));
    }

    #[test]
    fn lines_may_overtake_but_not_be_made_up() {
        let once = |sent, came| lines(sent, came, 1);
        assert_eq!(once(b"a\nb\nb\n", b"b\na\nb\n"), Carried::Whole);
        assert!(is_part(once(b"a\nb\nb\n", b"b\na\n")) && is_part(once(b"a\n", b"a")));
        assert!(is_wrong(once(b"a\nb\n", b"b\nb\n")) && is_wrong(once(b"a\n", b"c\n")));
        assert_eq!((once(b"", b""), lines(b"a\nb\n", b"a\na\nb\n", 2)), (Carried::Whole, Carried::Whole));
    }

    #[test]
    fn files_are_there_with_what_is_in_them() {
        let dir = tempfile::tempdir().unwrap();
        let sent = BTreeMap::from([("one".into(), b"1".to_vec()), ("two".into(), b"2".to_vec())]);
        fs::write(dir.path().join("one"), b"1").unwrap();
        assert!(is_part(folder(&sent, dir.path())));
        fs::write(dir.path().join("two"), b"2").unwrap();
        assert_eq!(folder(&sent, dir.path()), Carried::Whole);
        fs::write(dir.path().join("two"), b"").unwrap();
        assert!(is_wrong(folder(&sent, dir.path())) && is_wrong(message(b"1", dir.path(), 1)));
        fs::remove_file(dir.path().join("two")).unwrap();
        assert_eq!(message(b"1", dir.path(), 1), Carried::Whole);
        fs::write(dir.path().join("again"), b"1").unwrap();
        assert!(is_wrong(message(b"1", dir.path(), 1)), "sent once");
        assert_eq!(message(b"1", dir.path(), 2), Carried::Whole);
    }
}
