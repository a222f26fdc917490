//! The receiving end of a transfer. What it keeps in memory is bounded by the number of files that may
//! be announced ahead, whatever the sender says.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};

use sha2::{Digest, Sha256};

use super::folder::{Folder, Place, apply};
use super::holes::add_zeros;
use super::progress::Progress;
use super::wire::{self, AHEAD, Code, Message, Stamp, VERSION};
use super::{Summary, broken, gone, nonsense, other_version};
use crate::digest;
use crate::error::Failure;

/// A file that was announced, and what is there of it.
#[derive(Debug)]
struct Announced {
    place: Place,
    name: Vec<u8>,
    size: u64,
    stamp: Stamp,
    /// Bytes that are there, their hash, and whether they have the name already.
    offset: u64,
    hasher: Sha256,
    whole: bool,
}

/// A file whose bytes come.
#[derive(Debug)]
struct Current {
    number: u32,
    announced: Announced,
    /// What they are written to; none once that failed: what still comes is dropped.
    file: Option<File>,
    hasher: Sha256,
    at: u64,
    /// It was there already.
    there: bool,
}

struct Receiver<'a, W> {
    output: W,
    folder: &'a Folder,
    progress: &'a mut Progress,
    announced: BTreeMap<u32, Announced>,
    current: Option<Current>,
    summary: Summary,
}

/// Takes everything the sender at the other end of these streams has. `Ok` means that it went to its
/// end: what did not fail is verified and on disk.
pub fn receive(input: impl Read, output: impl Write, folder: &Folder, progress: &mut Progress) -> Result<Summary, Failure> {
    let mut input = BufReader::with_capacity(1 << 16, input);
    let mut receiver =
        Receiver { output, folder, progress, announced: BTreeMap::new(), current: None, summary: Summary::default() };
    receiver.welcome(&mut input)?;
    loop {
        match next(&mut input)? {
            Message::End => break,
            message => receiver.handle(message)?,
        }
    }
    if receiver.current.is_some() || !receiver.announced.is_empty() {
        return Err(nonsense("an end before the end"));
    }
    receiver.write(&Message::Bye);
    // the sender leaves once it knows
    let _ = wire::read(&mut input);
    Ok(receiver.summary)
}

fn next(input: &mut impl Read) -> Result<Message, Failure> {
    wire::read(input).map_err(|e| broken(&e))?.ok_or_else(gone)
}

impl<W: Write> Receiver<'_, W> {
    fn welcome(&mut self, input: &mut impl Read) -> Result<(), Failure> {
        let Message::Hello { version, bytes, .. } = next(input)? else { return Err(nonsense("no greeting")) };
        self.write(&Message::Welcome { version: VERSION });
        self.progress.begin(bytes);
        if version == VERSION { Ok(()) } else { Err(other_version(version)) }
    }

    fn handle(&mut self, message: Message) -> Result<(), Failure> {
        match message {
            Message::Dir { number, name } => {
                let made = self.folder.place(&name).and_then(|place| place.make_dir());
                self.dir_answer(number, &name, made);
            }
            Message::DirEnd { number, stamp, name } => {
                let done = self.folder.place(&name).and_then(|place| place.finish_dir(&stamp));
                self.dir_answer(number, &name, done);
            }
            Message::File { number, size, stamp, name } => self.file(number, size, stamp, &name)?,
            Message::Start { number, offset } => self.start(number, offset)?,
            Message::Data(bytes) => self.data(&bytes)?,
            Message::Hole { bytes } => self.hole(bytes)?,
            Message::Finish { sha256 } => self.finish(&sha256)?,
            Message::Abandon { number, why } => self.abandon(number, &why)?,
            Message::Missing { name, why } => self.fail(&name, &format!("the other end cannot read it: {why}")),
            _ => return Err(nonsense("a message out of place")),
        }
        Ok(())
    }

    // ---- one file -----------------------------------------------------------------------------

    fn file(&mut self, number: u32, size: u64, stamp: Stamp, name: &[u8]) -> Result<(), Failure> {
        if self.announced.len() >= AHEAD || self.announced.contains_key(&number) {
            return Err(nonsense("too many files at once"));
        }
        let place = match self.folder.place(name) {
            Ok(place) => place,
            Err(e) => {
                self.failed(number, name, &e);
                return Ok(());
            }
        };
        let (hasher, offset, whole) = candidate(&place, size, &stamp);
        let sha256 = hasher.clone().finalize().into();
        let announced = Announced { place, name: name.to_vec(), size, stamp, offset, hasher, whole };
        self.announced.insert(number, announced);
        self.write(&Message::Have { number, offset, sha256 });
        Ok(())
    }

    fn start(&mut self, number: u32, offset: u64) -> Result<(), Failure> {
        let announced = self.announced.remove(&number).filter(|_| self.current.is_none());
        let announced =
            announced.filter(|a| offset == 0 || offset == a.offset).ok_or_else(|| nonsense("a start out of place"))?;
        self.progress.name(&announced.name);
        self.progress.spared(offset);
        let there = announced.whole && offset == announced.offset;
        let hasher = if offset == announced.offset { announced.hasher.clone() } else { Sha256::new() };
        let opened = if there { open_whole(&announced) } else { open_part(&announced, offset) };
        let file = opened.inspect_err(|e| self.failed(number, &announced.name, e)).ok();
        self.current = Some(Current { number, announced, file, hasher, at: offset, there });
        Ok(())
    }

    fn data(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let current = self.advance(bytes.len() as u64)?;
        let Some(file) = &mut current.file else { return Ok(()) };
        current.hasher.update(bytes);
        let written = file.write_all(bytes);
        self.progress.moved(bytes.len() as u64);
        self.summary.bytes += bytes.len() as u64;
        self.unless_failed(written);
        Ok(())
    }
    /// Zeros that did not travel take no room here either.
    fn hole(&mut self, bytes: u64) -> Result<(), Failure> {
        let current = self.advance(bytes)?;
        let Some(file) = &mut current.file else { return Ok(()) };
        add_zeros(&mut current.hasher, bytes);
        let skipped = file.seek(SeekFrom::Start(current.at)).map(drop);
        self.progress.spared(bytes);
        self.unless_failed(skipped);
        Ok(())
    }
    /// So many bytes more of the file that was started.
    fn advance(&mut self, bytes: u64) -> Result<&mut Current, Failure> {
        let current = self.current.as_mut().ok_or_else(|| nonsense("bytes of no file"))?;
        match current.at.checked_add(bytes).filter(|at| *at <= current.announced.size) {
            Some(at) => current.at = at,
            None => return Err(nonsense("more bytes than were announced")),
        }
        Ok(current)
    }
    /// What still comes of a file that cannot be written is dropped.
    fn unless_failed(&mut self, written: io::Result<()>) {
        let (Err(e), Some(current)) = (written, &mut self.current) else { return };
        current.file = None;
        let (number, name) = (current.number, current.announced.name.clone());
        self.failed(number, &name, &e);
    }

    fn finish(&mut self, sha256: &[u8; 32]) -> Result<(), Failure> {
        let current = self.current.take().ok_or_else(|| nonsense("the end of no file"))?;
        let Current { number, announced, file: Some(file), hasher, at, there } = current else { return Ok(()) };
        let own: [u8; 32] = hasher.finalize().into();
        if at != announced.size || own != *sha256 {
            if !there {
                announced.place.discard();
            }
            self.failed(number, &announced.name, &io::Error::other("its SHA-256 is wrong; send it again"));
            return Ok(());
        }
        let placed = if there {
            apply(&file, &announced.stamp).and_then(|()| file.sync_all())
        } else {
            // a hole at its end
            let whole = file.metadata().and_then(|meta| if meta.len() < at { file.set_len(at) } else { Ok(()) });
            whole.and_then(|()| announced.place.finish(&file, &announced.stamp))
        };
        if let Err(e) = placed {
            self.failed(number, &announced.name, &e);
            return Ok(());
        }
        let code = if there { Code::There } else { Code::Delivered };
        self.summary.there += u64::from(there);
        self.summary.files += u64::from(!there);
        self.progress.done(&announced.name, there);
        self.write(&Message::Result { number, code, why: String::new() });
        Ok(())
    }

    fn abandon(&mut self, number: u32, why: &str) -> Result<(), Failure> {
        let (name, answered) = match self.current.take_if(|c| c.number == number) {
            Some(current) => (current.announced.name, current.file.is_none()),
            None => {
                let announced = self.announced.remove(&number).ok_or_else(|| nonsense("it gives up what was not announced"))?;
                (announced.name, false)
            }
        };
        if !answered {
            self.failed(number, &name, &io::Error::other(format!("the other end gave up: {why}")));
        }
        Ok(())
    }

    // ---- answers ------------------------------------------------------------------------------

    fn dir_answer(&mut self, number: u32, name: &[u8], done: io::Result<()>) {
        match done {
            Ok(()) => self.write(&Message::Result { number, code: Code::Delivered, why: String::new() }),
            Err(e) => self.failed(number, name, &e),
        }
    }
    /// Says at both ends that it failed.
    fn failed(&mut self, number: u32, name: &[u8], e: &io::Error) {
        self.fail(name, &e.to_string());
        self.write(&Message::Result { number, code: Code::Failed, why: e.to_string() });
    }
    fn fail(&mut self, name: &[u8], why: &str) {
        self.summary.failed += 1;
        self.progress.failed(name, why);
    }
    /// A sender that is gone has left bytes that are worth keeping: reading says when they end.
    fn write(&mut self, message: &Message) {
        let _ = message.write(&mut self.output);
    }
}

/// What is there of a file: what came of it before, or a whole file of its name and size that may be
/// the same. Whether it is, the sender decides.
fn candidate(place: &Place, size: u64, stamp: &Stamp) -> (Sha256, u64, bool) {
    let whole = place.whole().filter(|f| f.metadata().is_ok_and(|m| m.len() == size));
    let same_time = |f: &File| f.metadata().is_ok_and(|m| super::sources::stamp_of(&m).modified == stamp.modified);
    let likely = whole.as_ref().is_some_and(same_time);
    let part = place.partial().filter(|f| !likely && f.metadata().is_ok_and(|m| (1..=size).contains(&m.len())));
    let (file, is_whole) = match (part, whole) {
        (Some(part), _) => (part, false),
        (None, Some(whole)) => (whole, true),
        (None, None) => return (Sha256::new(), 0, false),
    };
    let mut hasher = Sha256::new();
    match digest::add(&mut hasher, &file, size) {
        Ok(offset) if !is_whole || offset == size => (hasher, offset, is_whole),
        _ => (Sha256::new(), 0, false),
    }
}

fn open_whole(announced: &Announced) -> io::Result<File> {
    announced.place.whole().ok_or_else(|| io::Error::other("it went away meanwhile"))
}

fn open_part(announced: &Announced, offset: u64) -> io::Result<File> {
    let mut file = announced.place.begin()?;
    if file.metadata()?.len() < offset {
        return Err(io::Error::other("what there was of it went away meanwhile"));
    }
    file.set_len(offset)?;
    file.seek(SeekFrom::Start(offset))?;
    Ok(file)
}
