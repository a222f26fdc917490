//! The sending end of a transfer. Files are announced ahead, so that the answers are there when their
//! turn comes; their bytes travel one file after the other.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};

use sha2::{Digest, Sha256};

use super::holes::{Holes, add_zeros};
use super::progress::Progress;
use super::sources::{Missing, Sources, stamp_of};
use super::wire::{self, AHEAD, Code, HOLE_MAX, Message, Stamp, VERSION};
use super::{Summary, broken, gone, nonsense, other_version};
use crate::digest;
use crate::error::{Doing, Failure, kinds};
use crate::whole::{Whole, whole};

/// Bytes of a file per message: what is cut off in the midst of one travels again.
const PIECE: usize = 4_096;

type Answers = Receiver<io::Result<Message>>;

/// A file that was announced.
#[derive(Debug)]
struct Announced {
    file: File,
    size: u64,
    stamp: Stamp,
    /// Nobody else can change it.
    copied: bool,
}

/// What the receiver has of a file.
#[derive(Clone, Copy, Debug)]
struct Have {
    number: u32,
    offset: u64,
    sha256: [u8; 32],
}

/// How the bytes of a file went.
enum Gone {
    /// All of them are out.
    Out([u8; 32]),
    /// The receiver does not want them any more.
    Unwanted,
    /// They cannot be had.
    Unreadable(String),
}

struct Sender<'a, W> {
    output: W,
    answers: Answers,
    sources: &'a Sources,
    progress: &'a mut Progress,
    announced: BTreeMap<u32, Announced>,
    ready: VecDeque<Have>,
    /// What waits for its last answer.
    awaiting: BTreeSet<u32>,
    /// Those among them the user knows to have failed.
    abandoned: BTreeSet<u32>,
    summary: Summary,
}

/// Sends everything to the receiver at the other end of these streams. `Ok` means that the receiver
/// has answered for each file: what did not fail is verified and on its disk.
pub fn send<R, W>(input: R, output: W, sources: &Sources, progress: &mut Progress) -> Result<Summary, Failure>
where
    R: Read + Send + 'static,
    W: Write,
{
    let answers = read_answers(input).doing(kinds::SYSTEM, || "start a thread".into())?;
    let mut sender = Sender {
        output,
        answers,
        sources,
        progress,
        announced: BTreeMap::new(),
        ready: VecDeque::new(),
        awaiting: BTreeSet::new(),
        abandoned: BTreeSet::new(),
        summary: Summary::default(),
    };
    sender.run()?;
    Ok(sender.summary)
}

/// Reads beside the writing, or both ends could wait for each other. An honest receiver has at most
/// two answers per announced file under way.
fn read_answers(mut input: impl Read + Send + 'static) -> io::Result<Answers> {
    let (into, answers) = sync_channel(2 * AHEAD + 2);
    std::thread::Builder::new().spawn(move || {
        while let Some(answer) = wire::read(&mut input).transpose() {
            let over = answer.is_err();
            if into.send(answer).is_err() || over {
                return;
            }
        }
    })?;
    Ok(answers)
}

impl<W: Write> Sender<'_, W> {
    fn run(&mut self) -> Result<(), Failure> {
        let (files, bytes) = self.sources.totals();
        self.write(&Message::Hello { version: VERSION, files, bytes })?;
        match self.next()? {
            Message::Welcome { version: VERSION } => {}
            Message::Welcome { version } => return Err(other_version(version)),
            _ => return Err(nonsense("no welcome")),
        }
        self.progress.begin(bytes);
        for (path, what) in &self.sources.skipped {
            self.progress.skipped(path.as_os_str().as_bytes(), what);
        }
        let sources = self.sources;
        for Missing { name, why, .. } in &sources.missing {
            self.missing(name, why)?;
        }
        self.send_items()?;
        self.finish_dirs()?;
        self.write(&Message::End)?;
        match self.next()? {
            Message::Bye => Ok(()),
            _ => Err(nonsense("no bye")),
        }
    }

    fn under_way(&self) -> usize {
        self.announced.len() + self.awaiting.len()
    }

    fn send_items(&mut self) -> Result<(), Failure> {
        let mut next = 0;
        loop {
            while next < self.sources.items.len() && self.under_way() < AHEAD {
                self.announce(next as u32)?;
                next += 1;
            }
            if let Some(have) = self.ready.pop_front() {
                self.send_file(&have)?;
            } else if self.under_way() > 0 {
                let answer = self.next()?;
                self.handle(answer)?;
            } else if next == self.sources.items.len() {
                return Ok(());
            }
        }
    }

    /// Times and modes of folders come last, the innermost first: files put into them change them.
    fn finish_dirs(&mut self) -> Result<(), Failure> {
        for (number, item) in self.sources.items.iter().enumerate().rev().filter(|(_, item)| item.size.is_none()) {
            while self.under_way() >= AHEAD {
                let answer = self.next()?;
                self.handle(answer)?;
            }
            let number = number as u32;
            self.write(&Message::DirEnd { number, stamp: item.stamp, name: item.name.clone() })?;
            self.awaiting.insert(number);
        }
        while self.under_way() > 0 {
            let answer = self.next()?;
            self.handle(answer)?;
        }
        Ok(())
    }

    fn announce(&mut self, number: u32) -> Result<(), Failure> {
        let item = &self.sources.items[number as usize];
        if item.size.is_none() {
            self.awaiting.insert(number);
            return self.write(&Message::Dir { number, name: item.name.clone() });
        }
        let opened = self.sources.open(item).and_then(|(file, meta)| Ok((whole(file)?, stamp_of(&meta))));
        let (Whole { file, size, copied }, stamp) = match opened {
            Ok(opened) => opened,
            Err(e) => return self.missing(&item.name, &e.to_string()),
        };
        self.announced.insert(number, Announced { file, size, stamp, copied });
        self.write(&Message::File { number, size, stamp, name: item.name.clone() })
    }

    // ---- one file -----------------------------------------------------------------------------

    fn send_file(&mut self, have: &Have) -> Result<(), Failure> {
        let Some(announced) = self.announced.remove(&have.number) else { return Ok(()) };
        let number = have.number;
        self.progress.name(self.name(number));
        self.awaiting.insert(number);
        let sent = match resume(&announced, have) {
            Ok((hasher, offset)) => {
                self.progress.spared(offset);
                self.write(&Message::Start { number, offset })?;
                self.send_bytes(number, &announced, hasher, offset)?
            }
            Err(e) => Gone::Unreadable(e.to_string()),
        };
        match sent {
            Gone::Out(sha256) => self.write(&Message::Finish { sha256 }),
            Gone::Unwanted => self.write(&Message::Abandon { number, why: String::new() }),
            Gone::Unreadable(why) => {
                // the receiver may have said meanwhile that it failed
                if self.awaiting.contains(&number) {
                    self.fail(number, &why);
                    self.abandoned.insert(number);
                }
                self.write(&Message::Abandon { number, why })
            }
        }
    }

    fn send_bytes(&mut self, number: u32, from: &Announced, mut hasher: Sha256, mut at: u64) -> Result<Gone, Failure> {
        let (mut buffer, nothing_travels) = (vec![0u8; PIECE], at == from.size);
        let mut holes = Holes::of(&from.file, from.size);
        while at < from.size {
            while let Some(answer) = self.poll()? {
                self.handle(answer)?;
            }
            if !self.awaiting.contains(&number) {
                return Ok(Gone::Unwanted);
            }
            let (is_hole, end) = holes.at(at);
            if is_hole {
                // should it be one no more by now, the hash at the end tells
                let bytes = HOLE_MAX.min(end - at);
                add_zeros(&mut hasher, bytes);
                self.write(&Message::Hole { bytes })?;
                self.progress.spared(bytes);
                at += bytes;
                continue;
            }
            let want = buffer.len().min(usize::try_from(end - at).unwrap_or(usize::MAX));
            let n = match from.file.read_at(&mut buffer[..want], at) {
                Ok(0) => return Ok(Gone::Unreadable("it became shorter while it was sent".into())),
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Ok(Gone::Unreadable(e.to_string())),
            };
            hasher.update(&buffer[..n]);
            self.write(&Message::Data(buffer[..n].to_vec()))?;
            at += n as u64;
            self.summary.bytes += n as u64;
            self.progress.moved(n as u64);
        }
        let sha256: [u8; 32] = hasher.finalize().into();
        // what was hashed in one go is what the receiver has already
        Ok(match is_unchanged(from, (!nothing_travels).then_some(&sha256)) {
            Ok(true) => Gone::Out(sha256),
            Ok(false) => Gone::Unreadable("it was changed while it was sent".into()),
            Err(e) => Gone::Unreadable(e.to_string()),
        })
    }

    // ---- answers ------------------------------------------------------------------------------

    fn next(&mut self) -> Result<Message, Failure> {
        match self.answers.recv() {
            Ok(Ok(message)) => Ok(message),
            Ok(Err(e)) => Err(broken(&e)),
            Err(_) => Err(gone()),
        }
    }
    fn poll(&mut self) -> Result<Option<Message>, Failure> {
        match self.answers.try_recv() {
            Ok(Ok(message)) => Ok(Some(message)),
            Ok(Err(e)) => Err(broken(&e)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(gone()),
        }
    }
    fn handle(&mut self, answer: Message) -> Result<(), Failure> {
        match answer {
            Message::Have { number, offset, sha256 } => {
                let known = self.announced.contains_key(&number) && self.ready.iter().all(|h| h.number != number);
                if !known {
                    return Err(nonsense("an answer about a file that was not announced"));
                }
                self.ready.push_back(Have { number, offset, sha256 });
                Ok(())
            }
            Message::Result { number, code, why } => self.result(number, code, &why),
            _ => Err(nonsense("an answer out of place")),
        }
    }
    fn result(&mut self, number: u32, code: Code, why: &str) -> Result<(), Failure> {
        // one that fails before it was started was announced only
        let known = self.awaiting.remove(&number) || (code == Code::Failed && self.announced.remove(&number).is_some());
        if !known {
            return Err(nonsense("an answer about a file that is not under way"));
        }
        self.ready.retain(|h| h.number != number);
        let is_file = self.sources.items[number as usize].size.is_some();
        match code {
            _ if self.abandoned.remove(&number) => {}
            Code::Failed => self.fail(number, &format!("the other end could not take it: {why}")),
            Code::Delivered => {
                self.summary.files += u64::from(is_file);
                self.done(number, false);
            }
            Code::There => {
                self.summary.there += u64::from(is_file);
                self.done(number, true);
            }
        }
        Ok(())
    }

    fn name(&self, number: u32) -> &[u8] {
        &self.sources.items[number as usize].name
    }
    /// Folders are no news: they are made along the way, and stamped at the end.
    fn done(&mut self, number: u32, there: bool) {
        let item = &self.sources.items[number as usize];
        if item.size.is_some() {
            self.progress.done(&item.name, there);
        }
    }
    fn fail(&mut self, number: u32, why: &str) {
        self.summary.failed += 1;
        self.progress.failed(&self.sources.items[number as usize].name, why);
    }
    /// Tells both ends of something that cannot be read.
    fn missing(&mut self, name: &[u8], why: &str) -> Result<(), Failure> {
        self.summary.failed += 1;
        self.progress.failed(name, why);
        let name = name[..name.len().min(wire::NAME_MAX)].to_vec();
        self.write(&Message::Missing { name, why: why.to_owned() })
    }
    fn write(&mut self, message: &Message) -> Result<(), Failure> {
        message.write(&mut self.output).map_err(|_| gone())
    }
}

/// Whether a file is what was sent of it piece by piece, and ends there. A time can be put back: with a hash its bytes are read
/// once more, or pieces of two contents could arrive as one.
fn is_unchanged(from: &Announced, sent: Option<&[u8; 32]>) -> io::Result<bool> {
    if from.copied {
        return Ok(true);
    }
    let is_same = || from.file.metadata().map(|meta| stamp_of(&meta).modified == from.stamp.modified);
    if !is_same()? || from.file.read_at(&mut [0], from.size)? > 0 {
        return Ok(false);
    }
    let Some(sent) = sent else { return Ok(from.file.metadata()?.len() == from.size) };
    let mut hasher = Sha256::new();
    let len = digest::add(&mut hasher, &from.file, u64::MAX)?;
    Ok(len == from.size && <[u8; 32]>::from(hasher.finalize()) == *sent && is_same()?)
}

/// Where to go on: behind what the receiver has, if that is how the file begins.
fn resume(announced: &Announced, have: &Have) -> io::Result<(Sha256, u64)> {
    if (1..=announced.size).contains(&have.offset) {
        let mut hasher = Sha256::new();
        let there = digest::add(&mut hasher, &announced.file, have.offset)?;
        let sha256: [u8; 32] = hasher.clone().finalize().into();
        if there == have.offset && sha256 == have.sha256 {
            return Ok((hasher, have.offset));
        }
    }
    Ok((Sha256::new(), 0))
}
