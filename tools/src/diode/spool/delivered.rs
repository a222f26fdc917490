//! What was delivered, by transfer: the same content may be sent again, the same transfer is taken once.
//!
//! ```text
//! STATE/delivered
//!   > TRANSFER CONTENT SESSION NUMBER FILE NAME   whole, and about to be put into its place as NAME; where what was kept of it is
//!                                                 gone then, it is there
//!   < TRANSFER CONTENT                       it could not be put there
//!   + TRANSFER CONTENT SESSION NUMBER FILE   delivered, as this number of that session, under a name of this hash
//!   ? TRANSFER CONTENT NAME                  the command of --exec is still to run for it
//!   ! TRANSFER CONTENT                       it has, or there is something newer under its name
//! ```

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::partial::Key;
use crate::disk;

/// Transfers that are remembered: the newest. One that was forgotten would be taken again if it were still sent.
const KEPT: usize = 1 << 17;

/// In the place of its number, of what no session announced when it was whole.
pub(super) const NO_NUMBER: u32 = u32::MAX;

/// A file whose command is still to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owed {
    pub(super) key: Key,
    /// Its name below --out.
    pub name: String,
}

impl Owed {
    /// The number of its transfer, as it is reported.
    pub fn transfer(&self) -> String {
        format!("{:016x}", self.key.transfer)
    }
}

/// As what a transfer was delivered: the session, and the hash of the name in --out; 0 where an earlier version did not note it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct As {
    session: u64,
    file: u64,
    /// In which order.
    at: u64,
}

/// The hash of a name in --out.
fn hash(name: &Path) -> u64 {
    let hash = Sha256::digest(name.as_os_str().as_encoded_bytes());
    hash.first_chunk().map_or(1, |first| u64::from_le_bytes(*first).max(1))
}

/// What was delivered; the newest, on disk too.
#[derive(Debug, Default)]
pub(super) struct Delivered {
    path: PathBuf,
    known: HashMap<Key, As>,
    order: VecDeque<Key>,
    /// Deliveries so far.
    count: u64,
    /// What was delivered last under a name, by its hash.
    newest: HashMap<u64, Key>,
    /// Of the session heard last by the process before: which numbers it delivered.
    before: Option<(u64, Vec<u32>)>,
    /// What an earlier run was about to put into its place, and what stands behind that.
    meant: HashMap<Key, String>,
}

impl Delivered {
    /// Reads what an earlier run noted, and which commands it still owed; and those that are not, as the file has given its name
    /// to a newer one.
    pub(super) fn open(state: &Path) -> io::Result<(Delivered, Vec<Owed>, Vec<Owed>)> {
        let path = state.join("delivered");
        let mut all = Delivered { path, ..Delivered::default() };
        let text = match std::fs::read(&all.path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok((all, Vec::new(), Vec::new())),
            read => String::from_utf8_lossy(&read?).into_owned(),
        };
        let (mut owed, mut lines): (Vec<Owed>, usize) = (Vec::new(), 0);
        // half a line at the end is of a crash
        for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            lines += 1;
            let Some((what, key, rest)) = read(line) else { continue };
            match what {
                ">" => drop(all.meant.insert(key, rest.to_owned())),
                "<" => drop(all.meant.remove(&key)),
                "+" => {
                    all.meant.remove(&key);
                    all.note(key, rest);
                }
                "?" => {
                    all.newest.insert(hash(Path::new(rest)), key);
                    owed.retain(|owed| owed.key != key);
                    owed.push(Owed { key, name: rest.to_owned() });
                }
                "!" => owed.retain(|owed| owed.key != key),
                _ => {}
            }
        }
        let (superseded, owed): (Vec<_>, Vec<_>) =
            owed.into_iter().partition(|owed| all.newest.get(&hash(Path::new(&owed.name))).is_some_and(|key| *key != owed.key));
        if lines > 3 * KEPT || !text.is_empty() && !text.ends_with('\n') {
            all.write_anew(&owed)?;
        } else {
            superseded.iter().try_for_each(|owed| all.settle(&owed.key))?;
        }
        Ok((all, owed, superseded))
    }

    fn note(&mut self, key: Key, rest: &str) {
        let mut words = rest.split(' ');
        let numbers = words.next().and_then(|s| s.parse::<u64>().ok()).zip(words.next().and_then(|n| n.parse::<u32>().ok()));
        let file = words.next().and_then(|file| u64::from_str_radix(file, 16).ok()).unwrap_or(0);
        // one that was delivered as none of a session
        if let Some((session, number)) = numbers.filter(|(_, number)| *number != NO_NUMBER) {
            match &mut self.before {
                Some((before, numbers)) if *before == session => numbers.push(number),
                before => *before = Some((session, vec![number])),
            }
        }
        self.insert(key, numbers.map_or(0, |(session, _)| session), file);
    }
    fn insert(&mut self, key: Key, session: u64, file: u64) {
        self.count += 1;
        let delivered = As { session, file, at: self.count };
        if delivered.file != 0 {
            self.newest.insert(delivered.file, key);
        }
        if self.known.insert(key, delivered).is_none() {
            self.order.push_back(key);
        }
        if self.order.len() > KEPT
            && let Some(oldest) = self.order.pop_front()
            && let Some(As { file, .. }) = self.known.remove(&oldest)
            && self.newest.get(&file) == Some(&oldest)
        {
            self.newest.remove(&file);
        }
    }

    /// Whether this transfer was delivered, and nothing else under its name since but in the same session: what another session
    /// announces again then is a sender that returned to it.
    pub(super) fn contains(&self, key: &Key, session: u64) -> bool {
        self.known.get(key).is_some_and(|delivered| {
            let newest = self.newest.get(&delivered.file).unwrap_or(key);
            delivered.session == session || newest == key
        })
    }
    /// Takes this for delivered, if an earlier run was about to put it into its place; the name it has there.
    pub(super) fn as_meant(&mut self, key: Key, owed: bool) -> io::Result<Option<PathBuf>> {
        let Some(rest) = self.meant.remove(&key) else { return Ok(None) };
        let mut words = rest.splitn(4, ' ');
        let numbers = words.next().and_then(|s| s.parse().ok()).zip(words.next().and_then(|n| n.parse().ok()));
        let (Some(numbers), Some(name)) = (numbers, words.nth(1)) else { return Ok(None) };
        let name = PathBuf::from(name);
        self.mark(key, numbers, &name, owed).write(false)?;
        self.note(key, &rest);
        Ok(Some(name))
    }
    /// The numbers that the process before delivered of this session; once.
    pub(super) fn take_before(&mut self, session: u64) -> Vec<u32> {
        self.before.take_if(|(before, _)| *before == session).map_or_else(Vec::new, |(_, numbers)| numbers)
    }

    /// What is to be written once this one is delivered; with a name if a command is to run for it.
    pub(super) fn mark(&self, key: Key, (session, number): (u64, u32), name: &Path, owed: bool) -> Mark {
        let rest = format!("{session} {number} {:016x}", hash(name));
        let mut lines = line("+", &key, &rest);
        if owed {
            lines.push_str(&line("?", &key, &name.to_string_lossy()));
        }
        let intent = line(">", &key, &format!("{rest} {}", name.to_string_lossy()));
        Mark { path: self.path.clone(), lines, intent, revocation: line("<", &key, "") }
    }
    /// One was delivered, and its mark is written.
    pub(super) fn add(&mut self, key: Key, session: u64, name: &Path) {
        self.insert(key, session, hash(name));
    }
    /// Its command has run. Not on disk at once: after a loss of power it runs again.
    pub(super) fn settle(&mut self, key: &Key) -> io::Result<()> {
        append(&self.path, &line("!", key, "")).map(drop)
    }
    fn write_anew(&self, owed: &[Owed]) -> io::Result<()> {
        let session = self.before.as_ref().map_or(0, |(session, _)| *session);
        let numbers = self.before.iter().flat_map(|(_, numbers)| numbers.iter().rev().map(Some)).chain(std::iter::repeat(None));
        let mut known: Vec<_> = self.known.iter().collect();
        known.sort_unstable_by_key(|(_, delivered)| std::cmp::Reverse(delivered.at));
        let mut newest: Vec<String> = known
            .into_iter()
            .zip(numbers)
            .map(|((key, delivered), number)| {
                let (session, number) = number.map_or((delivered.session, NO_NUMBER), |number| (session, *number));
                line("+", key, &format!("{session} {number} {:016x}", delivered.file))
            })
            .collect();
        newest.reverse();
        newest.extend(owed.iter().map(|owed| line("?", &owed.key, &owed.name)));
        newest.extend(self.meant.iter().map(|(key, rest)| line(">", key, rest)));
        super::kept::write_whole(&self.path, newest.concat().as_bytes())
    }
}

/// Lines that say what was delivered, and that it is about to be.
#[derive(Debug)]
pub(super) struct Mark {
    path: PathBuf,
    lines: String,
    intent: String,
    revocation: String,
}

impl Mark {
    /// Says that it is about to be put into its place, and whether the ledger was made for that. Not on disk at once: after a
    /// loss of power it may come once more.
    pub(super) fn intend(&self) -> io::Result<bool> {
        let is_new = !self.path.exists();
        append(&self.path, &self.intent).map(|_| is_new)
    }
    /// It could not be; where that cannot be written either, it is as if this process had been killed.
    pub(super) fn revoke(&self) {
        let _ = append(&self.path, &self.revocation);
    }
    /// Has it on the disk when it returns; `is_new`: and the name of the ledger.
    pub(super) fn write(&self, is_new: bool) -> io::Result<()> {
        let Some(file) = append(&self.path, &self.lines)? else { return Ok(()) };
        disk::sync(&file)?;
        if is_new { disk::sync_folder(&self.path) } else { Ok(()) }
    }
}

/// Where the folder is gone by now, it is remembered until the end of this process.
fn append(path: &Path, lines: &str) -> io::Result<Option<File>> {
    match File::options().create(true).append(true).open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        file => {
            let mut file = file?;
            file.write_all(lines.as_bytes())?;
            Ok(Some(file))
        }
    }
}

fn line(what: &str, key: &Key, rest: &str) -> String {
    let content = u128::from_be_bytes(key.content);
    format!("{what} {:016x} {content:032x} {rest}\n", key.transfer)
}

fn read(line: &str) -> Option<(&str, Key, &str)> {
    let (what, rest) = line.split_once(' ')?;
    let (transfer, rest) = rest.split_once(' ')?;
    let (content, rest) = rest.split_once(' ')?;
    let content = u128::from_str_radix(content, 16).ok()?.to_be_bytes();
    Some((what, Key { transfer: u64::from_str_radix(transfer, 16).ok()?, content }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u64) -> Key {
        Key { transfer: n, content: [n as u8; 16] }
    }

    #[test]
    fn what_was_delivered_and_what_is_owed_outlive_a_process() {
        let dir = tempfile::tempdir().unwrap();
        let (mut all, owed, _) = Delivered::open(dir.path()).unwrap();
        assert!(owed.is_empty());
        for (n, session, number, owed) in [(1, 5, 0, false), (2, 6, 0, true), (3, 6, 7, true)] {
            let name = ["", "a", "with a blank", "done"][n as usize];
            all.mark(key(n), (session, number), Path::new(name), owed).write(true).unwrap();
            all.add(key(n), session, Path::new(name));
        }
        all.settle(&key(3)).unwrap();
        let path = dir.path().join("delivered");
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.push_str("+ 00000000000000");
        std::fs::write(&path, text).unwrap();
        for _ in 0..2 {
            let (mut all, owed, _) = Delivered::open(dir.path()).unwrap();
            assert_eq!(owed, [Owed { key: key(2), name: "with a blank".into() }]);
            assert!((1..4).all(|n| all.contains(&key(n), 9)) && !all.contains(&key(4), 9));
            assert!(!all.contains(&Key { transfer: 1, content: [2; 16] }, 9), "a number alone is nothing");
            assert_eq!((all.take_before(5), all.take_before(6), all.take_before(6)), (vec![], vec![0, 7], vec![]));
        }
    }

    #[test]
    fn what_was_meant_is_known_until_it_is_done_or_revoked() {
        let dir = tempfile::tempdir().unwrap();
        let (all, ..) = Delivered::open(dir.path()).unwrap();
        let marks: Vec<Mark> = (0..4).map(|n| all.mark(key(n), (7, n as u32), Path::new("a name"), true)).collect();
        assert!(marks[0].intend().unwrap() && !marks[1].intend().unwrap());
        marks[2].intend().unwrap();
        marks[0].write(true).unwrap();
        marks[1].revoke();
        let (mut all, owed, _) = Delivered::open(dir.path()).unwrap();
        assert_eq!(owed.len(), 1);
        let meant: Vec<_> = (0..4).map(|n| all.as_meant(key(n), true).unwrap()).collect();
        assert_eq!(meant, [None, None, Some(PathBuf::from("a name")), None]);
        let (mut all, owed, _) = Delivered::open(dir.path()).unwrap();
        assert!(all.contains(&key(2), 9) && owed == [Owed { key: key(2), name: "a name".into() }]);
        assert_eq!((all.take_before(7), all.as_meant(key(2), true).unwrap()), (vec![0, 2], None));
    }

    #[test]
    fn a_transfer_counts_as_delivered_as_long_as_its_name_is_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let (mut all, ..) = Delivered::open(dir.path()).unwrap();
        for n in 1..3 {
            all.mark(key(n), (n, 0), Path::new("name"), true).write(true).unwrap();
            all.add(key(n), n, Path::new("name"));
        }
        assert_eq!([1, 2].map(|n| (all.contains(&key(n), n), all.contains(&key(n), 9))), [(true, false), (true, true)]);
        let (all, owed, superseded) = Delivered::open(dir.path()).unwrap();
        assert_eq!([1, 2].map(|n| (all.contains(&key(n), n), all.contains(&key(n), 9))), [(true, false), (true, true)]);
        assert_eq!((owed[0].key, superseded[0].key, owed.len(), superseded.len()), (key(2), key(1), 1, 1));
        let (_, owed, superseded) = Delivered::open(dir.path()).unwrap();
        assert_eq!((owed.len(), superseded.len()), (1, 0), "it is told once");
    }
}
