//! What was delivered, by transfer: the same content may be sent again, the same transfer is taken once.
//!
//! ```text
//! STATE/delivered
//!   + TRANSFER CONTENT SESSION NUMBER   delivered, as this number of that session
//!   ? TRANSFER CONTENT NAME             the command of --exec is still to run for it
//!   ! TRANSFER CONTENT                  it has
//! ```

use std::collections::{HashSet, VecDeque};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::partial::Key;
use crate::disk;

/// Transfers that are remembered: the newest. One that was forgotten would be taken again if it were still sent.
const KEPT: usize = 1 << 17;

/// A file whose command is still to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owed {
    pub(super) key: Key,
    /// Its name below --out.
    pub name: String,
}

/// What was delivered; the newest, on disk too.
#[derive(Debug)]
pub(super) struct Delivered {
    path: PathBuf,
    known: HashSet<Key>,
    order: VecDeque<Key>,
    /// Of the session heard last by the process before: which numbers it delivered.
    before: Option<(u64, Vec<u32>)>,
}

impl Delivered {
    /// Reads what an earlier run noted, and which commands it still owed.
    pub(super) fn open(state: &Path) -> io::Result<(Delivered, Vec<Owed>)> {
        let path = state.join("delivered");
        let mut all = Delivered { path, known: HashSet::new(), order: VecDeque::new(), before: None };
        let text = match std::fs::read(&all.path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok((all, Vec::new())),
            read => String::from_utf8_lossy(&read?).into_owned(),
        };
        let (mut owed, mut lines): (Vec<Owed>, usize) = (Vec::new(), 0);
        // half a line at the end is of a crash
        for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            lines += 1;
            let Some((what, key, rest)) = read(line) else { continue };
            match what {
                "+" => all.note(key, rest),
                "?" => owed.push(Owed { key, name: rest.to_owned() }),
                "!" => owed.retain(|owed| owed.key != key),
                _ => {}
            }
        }
        if lines > 3 * KEPT || !text.is_empty() && !text.ends_with('\n') {
            all.write_anew(&owed)?;
        }
        Ok((all, owed))
    }

    fn note(&mut self, key: Key, rest: &str) {
        let numbers = rest.split_once(' ').and_then(|(s, n)| Some((s.parse::<u64>().ok()?, n.parse::<u32>().ok()?)));
        if let Some((session, number)) = numbers {
            match &mut self.before {
                Some((before, numbers)) if *before == session => numbers.push(number),
                before => *before = Some((session, vec![number])),
            }
        }
        self.insert(key);
    }
    fn insert(&mut self, key: Key) {
        if self.known.insert(key) {
            self.order.push_back(key);
        }
        if self.order.len() > KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    pub(super) fn contains(&self, key: &Key) -> bool {
        self.known.contains(key)
    }
    /// The numbers that the process before delivered of this session; once.
    pub(super) fn take_before(&mut self, session: u64) -> Vec<u32> {
        self.before.take_if(|(before, _)| *before == session).map_or_else(Vec::new, |(_, numbers)| numbers)
    }

    /// What is to be written once this one is delivered; with a name if a command is to run for it.
    pub(super) fn mark(&self, key: Key, session: u64, number: u32, owed: Option<&str>) -> Mark {
        let mut lines = line("+", &key, &format!("{session} {number}"));
        if let Some(name) = owed {
            lines.push_str(&line("?", &key, name));
        }
        Mark { path: self.path.clone(), lines }
    }
    /// One was delivered, and its mark is written.
    pub(super) fn add(&mut self, key: Key) {
        self.insert(key);
    }
    /// Its command has run. Not on disk at once: after a loss of power it runs again.
    pub(super) fn settle(&mut self, key: &Key) -> io::Result<()> {
        Mark { path: self.path.clone(), lines: line("!", key, "") }.append().map(drop)
    }
    fn write_anew(&self, owed: &[Owed]) -> io::Result<()> {
        let session = self.before.as_ref().map_or(0, |(session, _)| *session);
        let numbers = self.before.iter().flat_map(|(_, numbers)| numbers.iter().rev().map(Some)).chain(std::iter::repeat(None));
        let mut newest: Vec<String> = self
            .order
            .iter()
            .rev()
            .zip(numbers)
            .map(|(key, number)| match number {
                Some(number) => line("+", key, &format!("{session} {number}")),
                None => line("+", key, ""),
            })
            .collect();
        newest.reverse();
        newest.extend(owed.iter().map(|owed| line("?", &owed.key, &owed.name)));
        super::kept::write_whole(&self.path, newest.concat().as_bytes())
    }
}

/// Lines that say what was delivered.
#[derive(Debug)]
pub(super) struct Mark {
    path: PathBuf,
    lines: String,
}

impl Mark {
    /// Has it on the disk when it returns.
    pub(super) fn write(&self) -> io::Result<()> {
        let is_new = !self.path.exists();
        let Some(file) = self.append()? else { return Ok(()) };
        disk::sync(&file)?;
        if is_new { disk::sync_folder(&self.path) } else { Ok(()) }
    }
    /// Where the folder is gone by now, it is remembered until the end of this process.
    fn append(&self) -> io::Result<Option<File>> {
        match File::options().create(true).append(true).open(&self.path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            file => {
                let mut file = file?;
                file.write_all(self.lines.as_bytes())?;
                Ok(Some(file))
            }
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
        let (mut all, owed) = Delivered::open(dir.path()).unwrap();
        assert!(owed.is_empty());
        for (n, session, number, owed) in [(1, 5, 0, None), (2, 6, 0, Some("with a blank")), (3, 6, 7, Some("done"))] {
            all.mark(key(n), session, number, owed).write().unwrap();
            all.add(key(n));
        }
        all.settle(&key(3)).unwrap();
        let path = dir.path().join("delivered");
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.push_str("+ 00000000000000");
        std::fs::write(&path, text).unwrap();
        for _ in 0..2 {
            let (mut all, owed) = Delivered::open(dir.path()).unwrap();
            assert_eq!(owed, [Owed { key: key(2), name: "with a blank".into() }]);
            assert!((1..4).all(|n| all.contains(&key(n))) && !all.contains(&key(4)));
            assert!(!all.contains(&Key { transfer: 1, content: [2; 16] }), "a number alone is nothing");
            assert_eq!((all.take_before(5), all.take_before(6), all.take_before(6)), (vec![], vec![0, 7], vec![]));
        }
    }
}
