//! Objects on the receiving side: symbols are kept on disk until a block can be decoded, blocks until
//! the object is whole. With a folder that stays (`--state`) a restart goes on where it was; memory
//! holds one block while it is decoded, and a bit per symbol.
//!
//! ```text
//! STATE/OBJECT.manifest    the manifest as it came
//! STATE/OBJECT.BLOCK       symbols of a block that is not decoded yet: number (3), bytes
//! STATE/OBJECT.data        decoded blocks in their places
//! STATE/OBJECT.done        empty: delivered, further symbols are ignored
//! ```

mod place;
mod restore;
mod worker;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use diode::object::Ledger;
use diode::wire::{Body, Manifest, Record};

use crate::names::{objection, safe, shown};
use place::{is_of_name, place};
use worker::{Job, Worker};

/// Symbol files kept open.
const OPEN_MAX: usize = 16;
/// Symbols kept for objects whose manifest has not come.
const EARLY_MAX: usize = 8192;
/// Objects that are remembered by number alone: whoever sends more manifests than that is no friend.
const REMEMBERED_MAX: usize = 1 << 20;
/// Objects under way at once; more are refused.
const OBJECTS_MAX: usize = 1024;
/// Counter and session of the manifests kept on disk; they mean nothing there.
const STORED: (u64, u64) = (0, 0);

/// An object that is not whole yet.
#[derive(Debug)]
pub struct Partial {
    manifest: Vec<u8>,
    /// Its name.
    pub name: String,
    /// Its bytes.
    pub size: u64,
    ledgers: BTreeMap<u64, Ledger>,
    blocks_done: HashSet<u64>,
    blocks: u64,
    /// Symbols it needs in all.
    pub needed: u64,
    /// Repair symbols the worst block needed, and how many each block gets in a round.
    pub margin: (u32, u32),
}

impl Partial {
    /// Symbols that came.
    pub fn have(&self, manifest: &Manifest<'_>) -> u64 {
        let done: u64 = self.blocks_done.iter().map(|b| manifest.symbols(*b)).sum();
        done + self.ledgers.values().map(|l| u64::from(l.count())).sum::<u64>()
    }
    fn manifest(&self) -> Option<Manifest<'_>> {
        match Body::parse(&self.manifest)?.record {
            Record::Manifest(m) => Some(m),
            _ => None,
        }
    }
}

/// A finished object.
#[derive(Debug)]
pub struct Delivered {
    /// Where it is.
    pub path: PathBuf,
    /// Its name on the wire.
    pub name: String,
    /// Its bytes.
    pub size: u64,
    /// Repair symbols the worst block needed, and how many each block gets in a round.
    pub margin: (u32, u32),
}

/// News from the spool.
#[derive(Debug)]
pub enum News {
    /// A new object was announced.
    Announced(u32),
    /// An object is whole and in its place.
    Delivered(Delivered),
    /// An object cannot be accepted, and why.
    Refused(String, String),
    /// What came of an object is thrown away, and why; it may come anew.
    Anew(String, String),
}

/// The receiving side of objects.
#[derive(Debug)]
pub struct Spool {
    state: PathBuf,
    out: PathBuf,
    objects: BTreeMap<u32, Partial>,
    done: HashSet<u32>,
    refused: HashSet<u32>,
    /// Objects of the present session that were heard of.
    heard: HashSet<u32>,
    open: HashMap<(u32, u64), BufWriter<File>>,
    worker: Worker,
    /// Blocks that are being decoded.
    decoding: HashSet<(u32, u64)>,
    early: BTreeMap<(u32, u16, u32), Vec<u8>>,
    /// Objects that began anew and are not whole since: name and why.
    anew: BTreeMap<u32, (String, String)>,
}

impl Spool {
    /// Objects go to `out`; what is not whole is kept in `state`, and found there again.
    pub fn open(state: &Path, out: &Path) -> io::Result<Spool> {
        std::fs::create_dir_all(state)?;
        std::fs::create_dir_all(out)?;
        let mut spool = Spool {
            state: state.to_owned(),
            out: out.to_owned(),
            objects: BTreeMap::new(),
            done: HashSet::new(),
            refused: HashSet::new(),
            heard: HashSet::new(),
            open: HashMap::new(),
            worker: Worker::start(),
            decoding: HashSet::new(),
            early: BTreeMap::new(),
            anew: BTreeMap::new(),
        };
        spool.restore()?;
        Ok(spool)
    }

    /// A new session begins.
    pub fn begin_session(&mut self) {
        self.heard.clear();
    }
    /// Objects of this session that were heard of.
    pub fn heard(&self) -> &HashSet<u32> {
        &self.heard
    }
    /// Objects that are not whole.
    pub fn partial(&self) -> impl Iterator<Item = (&Partial, Option<Manifest<'_>>)> {
        self.objects.values().map(|p| (p, p.manifest()))
    }

    /// Objects of which all was thrown away and nothing came since (name, why); each is told once.
    pub fn take_anew(&mut self) -> Vec<(String, String)> {
        let Spool { objects, anew, .. } = self;
        let (under_way, gone): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(anew).into_iter().partition(|(object, _)| objects.contains_key(object));
        *anew = under_way;
        gone.into_values().collect()
    }
    /// Where it keeps what is not whole, and where objects go.
    pub fn folders(&self) -> (&Path, &Path) {
        (&self.state, &self.out)
    }

    fn path(&self, object: u32, what: &str) -> PathBuf {
        self.state.join(format!("{object:08x}.{what}"))
    }

    /// A manifest came.
    pub fn handle_manifest(&mut self, m: &Manifest<'_>) -> io::Result<Vec<News>> {
        let announced = self.announce(m);
        self.unless_gone(m.object, announced)
    }
    /// A folder that goes while something is put into it ends nobody: the object begins anew.
    fn unless_gone(&mut self, object: u32, done: io::Result<Vec<News>>) -> io::Result<Vec<News>> {
        match done {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(self.begin_anew(object).into_iter().collect()),
            done => done,
        }
    }
    fn announce(&mut self, m: &Manifest<'_>) -> io::Result<Vec<News>> {
        if self.heard.len() < REMEMBERED_MAX {
            self.heard.insert(m.object);
        }
        if self.done.contains(&m.object) || self.refused.contains(&m.object) || self.objects.contains_key(&m.object) {
            return Ok(Vec::new());
        }
        let refuse = |why: &str| Ok(vec![News::Refused(m.name.to_owned(), why.to_owned())]);
        if let Some(why) = objection(m.name.as_bytes()).filter(|_| !m.message) {
            self.forget_refused();
            self.refused.insert(m.object);
            return refuse(why);
        }
        if self.objects.len() >= OBJECTS_MAX {
            return refuse("too many objects are under way");
        }
        // somebody may have tidied up
        std::fs::create_dir_all(&self.out)?;
        std::fs::create_dir_all(&self.state)?;
        let mut frame = vec![0u8; link::FRAME_MAX];
        let n = diode::wire::write(&mut frame, STORED.0, STORED.1, &Record::Manifest(*m), link::wire::Level::Plain);
        let body = frame[4..n - 4].to_vec();
        write_whole(&self.path(m.object, "manifest"), &body)?;
        self.objects.insert(m.object, partial(m, body));
        let mut news = vec![News::Announced(m.object)];
        if m.blocks() == 0 {
            File::create(self.path(m.object, "data"))?;
            news.extend(self.deliver(m.object)?);
        }
        let early: Vec<_> = self.early.range((m.object, 0, 0)..=(m.object, u16::MAX, u32::MAX)).map(|(k, _)| *k).collect();
        for key in early {
            if let Some(payload) = self.early.remove(&key) {
                news.extend(self.handle_symbol(key.0, key.1, key.2, &payload)?);
            }
        }
        Ok(news)
    }

    /// What is refused again is told again, and no more.
    fn forget_refused(&mut self) {
        if self.refused.len() >= REMEMBERED_MAX {
            self.refused.clear();
        }
    }

    /// A symbol came.
    pub fn handle_symbol(&mut self, object: u32, block: u16, symbol: u32, payload: &[u8]) -> io::Result<Vec<News>> {
        let kept = self.keep(object, block, symbol, payload);
        self.unless_gone(object, kept)
    }
    fn keep(&mut self, object: u32, block: u16, symbol: u32, payload: &[u8]) -> io::Result<Vec<News>> {
        if self.done.contains(&object) || self.refused.contains(&object) {
            return Ok(Vec::new());
        }
        let Some(partial) = self.objects.get_mut(&object) else {
            if self.early.len() < EARLY_MAX {
                self.early.insert((object, block, symbol), payload.to_vec());
            }
            return Ok(Vec::new());
        };
        let Some(Body { record: Record::Manifest(m), .. }) = Body::parse(&partial.manifest) else { return Ok(Vec::new()) };
        let block = u64::from(block);
        let settled = partial.blocks_done.contains(&block) || self.decoding.contains(&(object, block));
        if block >= partial.blocks || settled || payload.len() != usize::from(m.symbol_len) {
            return Ok(Vec::new());
        }
        let symbols = m.symbols(block) as u32;
        let ledger = partial.ledgers.entry(block).or_default();
        if !ledger.note(symbol, symbols) {
            return Ok(Vec::new());
        }
        let enough = ledger.is_enough(symbols);
        let writer = self.writer(object, block)?;
        writer.write_all(&symbol.to_le_bytes()[..3])?;
        writer.write_all(payload)?;
        if enough {
            self.decode(object, block)?;
        }
        Ok(Vec::new())
    }

    fn writer(&mut self, object: u32, block: u64) -> io::Result<&mut BufWriter<File>> {
        if self.open.len() >= OPEN_MAX && !self.open.contains_key(&(object, block)) {
            self.flush()?;
            self.open.clear();
        }
        let path = self.path(object, &block.to_string());
        match self.open.entry((object, block)) {
            std::collections::hash_map::Entry::Occupied(e) => Ok(e.into_mut()),
            std::collections::hash_map::Entry::Vacant(e) => {
                std::fs::create_dir_all(&self.state)?;
                let file = File::options().create(true).append(true).open(path)?;
                Ok(e.insert(BufWriter::with_capacity(1 << 16, file)))
            }
        }
    }

    /// Everything that came is handed to the kernel: call it about once a second.
    pub fn flush(&mut self) -> io::Result<()> {
        self.open.values_mut().try_for_each(BufWriter::flush)
    }

    /// Has a block decoded beside the receiving: a line cannot be told to wait.
    fn decode(&mut self, object: u32, block: u64) -> io::Result<()> {
        if let Some(mut writer) = self.open.remove(&(object, block)) {
            writer.flush()?;
        }
        let Some(partial) = self.objects.get(&object) else { return Ok(()) };
        let (symbols, data) = (self.path(object, &block.to_string()), self.path(object, "data"));
        self.decoding.insert((object, block));
        self.worker.give(Job { object, block, manifest: partial.manifest.clone(), symbols, data });
        Ok(())
    }

    /// Whether a block is being decoded.
    pub fn is_busy(&self) -> bool {
        !self.decoding.is_empty()
    }

    /// What was decoded meanwhile; with `all` waits until nothing is left to decode.
    pub fn poll(&mut self, all: bool) -> io::Result<Vec<News>> {
        let mut news = Vec::new();
        while let Some((object, block, decoded)) = self.worker.take(all && !self.decoding.is_empty()) {
            self.decoding.remove(&(object, block));
            let more = decoded.and_then(|whole| if whole { self.block_done(object, block) } else { Ok(Vec::new()) });
            news.extend(self.unless_gone(object, more)?);
        }
        Ok(news)
    }

    /// What was kept of an object was taken away: its next manifest announces it again.
    fn begin_anew(&mut self, object: u32) -> Option<News> {
        self.open.retain(|(of, _), _| *of != object);
        let partial = self.objects.remove(&object)?;
        Some(self.note_anew(object, partial.name, "what was kept of it is gone"))
    }
    fn note_anew(&mut self, object: u32, name: String, why: &str) -> News {
        if self.anew.len() < OBJECTS_MAX {
            self.anew.insert(object, (name.clone(), why.to_owned()));
        }
        News::Anew(name, why.to_owned())
    }

    fn block_done(&mut self, object: u32, block: u64) -> io::Result<Vec<News>> {
        let marks = self.path(object, "blocks");
        File::options().create(true).append(true).open(marks)?.write_all(&(block as u32).to_le_bytes())?;
        let _ = std::fs::remove_file(self.path(object, &block.to_string()));
        let Some(partial) = self.objects.get_mut(&object) else { return Ok(Vec::new()) };
        let Some(Body { record: Record::Manifest(m), .. }) = Body::parse(&partial.manifest) else { return Ok(Vec::new()) };
        if let Some(ledger) = partial.ledgers.remove(&block) {
            let used = (m.symbols(block) as u32).saturating_sub(ledger.source());
            partial.margin = (partial.margin.0.max(used), m.repair);
        }
        partial.blocks_done.insert(block);
        if partial.blocks_done.len() as u64 == partial.blocks { self.deliver(object) } else { Ok(Vec::new()) }
    }

    /// All blocks are there: checks the hash and moves the object to its place.
    fn deliver(&mut self, object: u32) -> io::Result<Vec<News>> {
        let data = self.path(object, "data");
        let Some(partial) = self.objects.remove(&object) else { return Ok(Vec::new()) };
        let Some(m) = partial.manifest() else { return Ok(Vec::new()) };
        let file = File::open(&data)?;
        let whole = crate::digest::of(&file)? == m.sha256;
        for what in ["manifest", "blocks"] {
            let _ = std::fs::remove_file(self.path(object, what));
        }
        if !whole {
            // cannot come from noise: every frame was checked; begin again
            std::fs::remove_file(&data)?;
            return Ok(vec![self.note_anew(object, partial.name, "its SHA-256 is wrong")]);
        }
        if m.modified > 0 {
            let _ = file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(m.modified));
        }
        let name =
            if m.message { PathBuf::from(format!("message-{object:08x}")) } else { safe(m.name.as_bytes()).unwrap_or_default() };
        let path = self.out.join(&name);
        if let Err(e) = place(&data, &self.out, &name) {
            // a name that cannot be had here is the sender's fault, and must not end the receiver
            if is_of_name(&e, &name) {
                std::fs::remove_file(&data)?;
                self.forget_refused();
                self.refused.insert(object);
                return Ok(vec![News::Refused(partial.name.clone(), format!("cannot be put at {}: {e}", shown(&path)))]);
            }
            return Err(e);
        }
        self.done.insert(object);
        self.anew.remove(&object);
        // where the folder is gone by now, it is remembered until the end of this process
        if let Err(e) = File::create(self.path(object, "done"))
            && e.kind() != io::ErrorKind::NotFound
        {
            return Err(e);
        }
        Ok(vec![News::Delivered(Delivered { path, name: partial.name.clone(), size: m.size, margin: partial.margin })])
    }
}

fn partial(m: &Manifest<'_>, manifest: Vec<u8>) -> Partial {
    Partial {
        manifest,
        name: if m.message { format!("message-{:08x}", m.object) } else { m.name.to_owned() },
        size: m.size,
        ledgers: BTreeMap::new(),
        blocks_done: HashSet::new(),
        blocks: m.blocks(),
        needed: (0..m.blocks()).map(|b| m.symbols(b)).sum(),
        margin: (0, 0),
    }
}

fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    std::fs::write(&temporary, bytes)?;
    std::fs::rename(temporary, path)
}
