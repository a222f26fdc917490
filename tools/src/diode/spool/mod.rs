//! Objects on the receiving side: symbols are kept on disk until a block can be decoded, blocks until
//! the object is whole. With a folder that stays (`--state`) a restart goes on where it was; memory
//! holds one block while it is decoded, and notes of which symbols came.
//!
//! Symbols name their object by its number in the session; a manifest binds that to a transfer. What came of a content is of
//! use to every transfer of it, but each transfer is delivered, and only once.
//!
//! ```text
//! STATE/object-SLOT.manifest   the manifest as it came last
//! STATE/object-SLOT.BLOCK      symbols of a block that is not decoded yet: number (3), bytes
//! STATE/object-SLOT.blocks     which blocks are decoded
//! STATE/object-SLOT.data       decoded blocks in their places
//! STATE/object-SLOT.told       that it is missing was told: not again, before a session announces it
//! STATE/delivered              see `delivered`
//! ```

mod bindings;
mod bounds;
mod delivered;
mod early;
mod heard;
mod kept;
mod partial;
mod place;
mod restore;
mod worker;

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use diode::object::Ledger;
use diode::wire::{Manifest, Record};

pub use self::bindings::{Gap, Named, Unheard};
pub use self::bounds::{Bounds, MEMORY, MEMORY_MIN};
pub use self::delivered::Owed;
pub use self::partial::Partial;

use self::bindings::{Bindings, Place, Said};
use self::bounds::{BLOCKS_MAX, disk};
use self::early::Early;
use self::kept::Kept;
use self::partial::{Key, cut};
use self::worker::{Decode, Delivery, Done, Job, Worker};
use crate::names::{objection, safe};

/// Objects under way at once.
const OBJECTS_MAX: usize = 1024;
/// Counter and session of the manifests kept on disk; they mean nothing there.
const STORED: (u64, u64) = (0, 0);

/// A finished object.
#[derive(Debug)]
pub struct Delivered {
    /// Where it is.
    pub path: PathBuf,
    /// Its name on the wire.
    pub name: String,
    /// The number of its transfer.
    pub transfer: u64,
    /// Its bytes.
    pub size: u64,
    /// Repair symbols the worst block needed, and how many each block gets in a round.
    pub margin: (u32, u32),
    /// For whose command it waits now.
    pub owed: Owed,
}

/// News from the spool.
#[derive(Debug)]
pub enum News {
    /// A new object was announced.
    Announced {
        /// The number of its transfer.
        transfer: u64,
        /// Symbols of it that were here before.
        kept: u64,
    },
    /// An object is whole and in its place.
    Delivered(Delivered),
    /// An object cannot be accepted, and why.
    Refused(String, String),
    /// What came of an older object is thrown away: a newer one of its name is whole.
    Superseded {
        /// Its name on the wire.
        name: String,
        /// The number of its transfer.
        transfer: u64,
    },
    /// What came of an object is thrown away, and why; it may come anew.
    Anew(String, String),
}

/// The receiving side of objects.
#[derive(Debug)]
pub struct Spool {
    kept: Kept,
    out: PathBuf,
    bounds: Bounds,
    /// Whether a command is to run for each that is delivered.
    hooked: bool,
    objects: BTreeMap<u32, Partial>,
    delivered: delivered::Delivered,
    numbers: Bindings,
    worker: Worker,
    /// Blocks that are being decoded.
    decoding: HashSet<(u32, u64)>,
    /// Objects that are whole, and on the way to their places: nothing touches them meanwhile.
    delivering: HashSet<u32>,
    early: Early,
    /// Bytes of memory that notes of symbols take, and of how many blocks there are some.
    notes: (u64, usize),
    /// Transfers that began anew and are not whole since: name and why.
    anew: BTreeMap<u64, (String, String)>,
    /// What an earlier run did and did not get to tell.
    untold: Vec<News>,
}

impl Spool {
    /// Objects go to `out`; what is not whole is kept in `state`, and found there again. Returns what is owed to the files
    /// that were delivered before, if a command is to run for each, and what is not any more, as newer ones came.
    pub fn open(state: &Path, out: &Path, bounds: Bounds, hooked: bool) -> io::Result<(Spool, Vec<Owed>, Vec<Owed>)> {
        std::fs::create_dir_all(state)?;
        std::fs::create_dir_all(out)?;
        let (delivered, owed, superseded) = delivered::Delivered::open(state)?;
        let mut spool = Spool {
            kept: Kept::new(state),
            out: out.to_owned(),
            bounds,
            hooked,
            objects: BTreeMap::new(),
            delivered,
            numbers: Bindings::default(),
            worker: Worker::start(),
            decoding: HashSet::new(),
            delivering: HashSet::new(),
            early: Early::new(bounds.early()),
            notes: (0, 0),
            anew: BTreeMap::new(),
            untold: Vec::new(),
        };
        spool.restore()?;
        Ok(if hooked { (spool, owed, superseded) } else { (spool, Vec::new(), Vec::new()) })
    }

    /// Another session begins: its numbers mean something else. Returns what the one before told of.
    pub fn begin_session(&mut self, session: u64) -> Named {
        self.early.clear();
        self.objects.values_mut().for_each(|partial| partial.number = None);
        let delivered = self.delivered.take_before(session);
        self.numbers.begin(session, delivered)
    }
    /// Objects of this session that were heard of.
    pub fn heard(&self) -> u32 {
        self.numbers.heard()
    }
    /// Of `objects` those of which no manifest came.
    pub fn unheard(&self, objects: u32) -> Unheard {
        self.numbers.unheard(objects)
    }
    /// Whether the session goes on with all of one that told of `objects`, and of these by name.
    pub fn goes_on_with(&self, named: &Named, objects: u32) -> bool {
        self.numbers.goes_on_with(named, objects)
    }
    /// Whether the session begins where one ended that told of these.
    pub fn follows(&self, named: &Named) -> bool {
        self.numbers.follows(named)
    }
    /// Objects that are not whole.
    pub fn partial(&self) -> impl Iterator<Item = (&Partial, Option<Manifest<'_>>)> {
        self.objects.values().map(|p| (p, p.manifest()))
    }

    /// Objects that are not whole, of which that was not told since a session announced them.
    pub fn missing(&self) -> impl Iterator<Item = (&Partial, Option<Manifest<'_>>)> {
        self.partial().filter(|(partial, _)| !partial.told)
    }
    /// That these are missing was told: a session that has nothing of them does not lack them.
    pub fn told_missing(&mut self) -> io::Result<()> {
        for (slot, partial) in self.objects.iter_mut().filter(|(_, partial)| !partial.told) {
            partial.told = true;
            self.kept.mark_told(*slot, true)?;
        }
        Ok(())
    }
    /// Objects of which all was thrown away and nothing came since (name, why); each is told once.
    pub fn take_anew(&mut self) -> Vec<(String, String)> {
        let under_way: HashSet<_> = self.objects.values().map(|partial| partial.key.transfer).collect();
        let (kept, gone): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(&mut self.anew).into_iter().partition(|(transfer, _)| under_way.contains(transfer));
        self.anew = kept;
        gone.into_values().collect()
    }
    /// Where it keeps what is not whole, and where objects go.
    pub fn folders(&self) -> (&Path, &Path) {
        (self.kept.folder(), &self.out)
    }
    /// The command has run for this file.
    pub fn settle(&mut self, owed: &Owed) -> io::Result<()> {
        self.delivered.settle(&owed.key)
    }

    /// A manifest came.
    pub fn handle_manifest(&mut self, m: &Manifest<'_>) -> io::Result<Vec<News>> {
        let mut news = Vec::new();
        let announced = self.announce(m, &mut news);
        match (announced, self.numbers.place(m.object)) {
            (Err(e), place) if e.kind() == io::ErrorKind::NotFound => {
                if let Some(Place::Slot(slot)) = place {
                    news.extend(self.begin_anew(slot));
                }
            }
            (announced, _) => announced?,
        }
        Ok(news)
    }
    /// A folder that goes while something is put into it ends nobody: the object begins anew.
    fn unless_gone(&mut self, slot: u32, done: io::Result<Vec<News>>) -> io::Result<Vec<News>> {
        match done {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(self.begin_anew(slot).into_iter().collect()),
            done => done,
        }
    }
    fn announce(&mut self, m: &Manifest<'_>, news: &mut Vec<News>) -> io::Result<()> {
        let key = Key::of(m);
        match self.numbers.hear(m, key) {
            Said::New => {}
            Said::Again => return Ok(()),
            Said::Contradiction => {
                news.push(refused(m, "its number is that of another transfer of this session"));
                return Ok(());
            }
        }
        if self.delivered.contains(&key, self.numbers.session()) {
            self.bind(m, key, Place::Delivered);
            return Ok(());
        }
        if let Some(slot) = self.delivering.iter().copied().find(|slot| self.objects.get(slot).is_some_and(|p| p.key == key)) {
            self.bind(m, key, Place::Slot(slot));
            return Ok(());
        }
        let objection = objection(m.name.as_bytes()).filter(|_| !m.message);
        if let Some(why) = objection.or_else(|| self.bounds.objection(m)) {
            self.bind(m, key, Place::Refused);
            news.push(refused(m, why));
            return Ok(());
        }
        let Some(slot) = self.slot_for(m, key, news)? else {
            self.bind(m, key, Place::Refused);
            news.push(refused(m, "too many objects are under way"));
            return Ok(());
        };
        self.bind(m, key, Place::Slot(slot));
        let kept = self.objects.get(&slot).map_or(0, |partial| partial.have(m));
        news.push(News::Announced { transfer: m.transfer, kept });
        if m.blocks() == 0 {
            File::create(self.kept.path(slot, "data"))?;
        }
        // an empty one, or one whose last block was decoded by a run that was stopped then
        if self.objects.get(&slot).is_some_and(|partial| partial.blocks_done.len() as u64 == partial.blocks) {
            self.deliver(slot);
        }
        for (block, symbol, payload) in self.early.take(m.object) {
            news.extend(self.handle_symbol(m.object, block, symbol, &payload)?);
        }
        Ok(())
    }
    /// From now on the number stands for this; what came of it before its manifest is of use, or is not.
    fn bind(&mut self, m: &Manifest<'_>, key: Key, place: Place) {
        self.numbers.bind(m.object, key, cut(m), place);
        match place {
            Place::Slot(slot) => {
                if let Some(partial) = self.objects.get_mut(&slot) {
                    partial.number = Some(m.object);
                    // a mark that cannot be taken away is of a disk that will say so elsewhere
                    if std::mem::take(&mut partial.told) {
                        let _ = self.kept.mark_told(slot, false);
                    }
                }
            }
            Place::Delivered | Place::Refused => drop(self.early.take(m.object)),
        }
    }

    /// Where an object is put together: with what came of the same content before, else anew. None when there is no room.
    fn slot_for(&mut self, m: &Manifest<'_>, key: Key, news: &mut Vec<News>) -> io::Result<Option<u32>> {
        // somebody may have tidied up
        std::fs::create_dir_all(&self.out)?;
        std::fs::create_dir_all(self.kept.folder())?;
        let mut frame = vec![0u8; link::FRAME_MAX];
        let n = diode::wire::write(&mut frame, STORED.0, STORED.1, &Record::Manifest(*m), link::wire::Level::Plain);
        let body = frame[4..n - 4].to_vec();
        let waits = |slot: &u32, p: &Partial| self.is_waiting(*slot) && p.key.content == key.content;
        let found: Vec<u32> = self.objects.iter().filter(|(slot, p)| waits(slot, p)).map(|(slot, _)| *slot).collect();
        let fits = |slot: &&u32| self.objects.get(slot).is_some_and(|p| p.cut == cut(m));
        let same = |slot: &&u32| self.objects.get(slot).is_some_and(|p| p.key == key);
        let best = found.iter().filter(fits).find(same).or_else(|| found.iter().find(fits)).copied();
        if let Some(slot) = best {
            self.kept.announce(slot, &body)?;
            self.objects.entry(slot).and_modify(|partial| partial.goes_on_as(m, body));
            return Ok(Some(slot));
        }
        // of another cut: this transfer comes in its place
        found.into_iter().for_each(|slot| _ = self.remove(slot));
        if !self.make_room(m, news) {
            return Ok(None);
        }
        let busy = |slot: &u32| self.objects.contains_key(slot) || self.decoding.iter().any(|(of, _)| of == slot);
        let Some(slot) = (0..).find(|slot| !busy(slot)) else { return Ok(None) };
        self.kept.begin(slot, &body)?;
        self.objects.insert(slot, Partial::new(m, body));
        Ok(Some(slot))
    }
    /// Whether the present session has not announced it, and nobody works at it.
    fn is_waiting(&self, slot: u32) -> bool {
        !self.delivering.contains(&slot) && self.objects.get(&slot).is_some_and(|p| p.number.is_none())
    }
    /// Objects that the present session has not announced give way, the smallest transfer number first.
    fn make_room(&mut self, m: &Manifest<'_>, news: &mut Vec<News>) -> bool {
        let quota = self.bounds.quota.unwrap_or(u64::MAX);
        loop {
            let used: u64 = self.objects.values().filter_map(|p| p.manifest().map(|m| disk(&m))).sum();
            if self.objects.len() < OBJECTS_MAX && used.saturating_add(disk(m)) <= quota {
                return true;
            }
            let waiting = self.objects.iter().filter(|(slot, _)| self.is_waiting(**slot));
            let Some(slot) = waiting.min_by_key(|(_, p)| p.key.transfer).map(|(slot, _)| *slot) else { return false };
            if let Some(partial) = self.remove(slot) {
                news.push(self.note_anew(&partial, "others need its room"));
            }
        }
    }

    /// A symbol came.
    pub fn handle_symbol(&mut self, object: u32, block: u16, symbol: u32, payload: &[u8]) -> io::Result<Vec<News>> {
        match self.numbers.place(object) {
            Some(Place::Slot(slot)) => {
                let kept = self.keep(slot, block, symbol, payload);
                self.unless_gone(slot, kept)
            }
            Some(Place::Delivered | Place::Refused) => Ok(Vec::new()),
            None => {
                self.early.keep(object, block, symbol, payload);
                Ok(Vec::new())
            }
        }
    }
    fn keep(&mut self, slot: u32, block: u16, symbol: u32, payload: &[u8]) -> io::Result<Vec<News>> {
        let Some(partial) = self.objects.get_mut(&slot) else { return Ok(Vec::new()) };
        let block = u64::from(block);
        let settled = partial.blocks_done.contains(&block) || self.decoding.contains(&(slot, block));
        let Some(symbols) = partial.manifest().map(|m| m.symbols(block) as u32) else { return Ok(Vec::new()) };
        if block >= partial.blocks || settled || payload.len() != usize::from(partial.cut.0) {
            return Ok(Vec::new());
        }
        let new = !partial.ledgers.contains_key(&block);
        let ledger = partial.ledgers.entry(block).or_default();
        let before = if new { 0 } else { ledger.memory() };
        let noted = ledger.note(symbol, symbols);
        let (enough, after) = (ledger.is_enough(symbols), ledger.memory());
        self.notes = (self.notes.0 + after - before, self.notes.1 + usize::from(new));
        if self.notes.0 > self.bounds.notes() || self.notes.1 > BLOCKS_MAX {
            return Ok(self.refuse(slot, "notes of its symbols need more than --memory").into_iter().collect());
        }
        if !noted {
            return Ok(Vec::new());
        }
        self.kept.add(slot, block, symbol, payload)?;
        if enough {
            self.decode(slot, block)?;
        }
        Ok(Vec::new())
    }

    /// Everything that came is handed to the kernel: call it about once a second.
    pub fn flush(&mut self) -> io::Result<()> {
        self.kept.flush()
    }

    /// Has a block decoded beside the receiving: a line cannot be told to wait.
    fn decode(&mut self, slot: u32, block: u64) -> io::Result<()> {
        self.kept.close(slot, block)?;
        let Some(partial) = self.objects.get(&slot) else { return Ok(()) };
        let (symbols, data) = (self.kept.block(slot, block), self.kept.path(slot, "data"));
        self.decoding.insert((slot, block));
        self.worker.give(slot, Job::Decode(Decode { block, manifest: partial.body().to_vec(), symbols, data }));
        Ok(())
    }

    /// Whether a block is being decoded, or an object delivered.
    pub fn is_busy(&self) -> bool {
        !self.decoding.is_empty() || self.is_delivering()
    }
    /// Whether an object is on the way to its place.
    pub fn is_delivering(&self) -> bool {
        !self.delivering.is_empty()
    }

    /// What was decoded and delivered meanwhile; with `all` waits until nothing is left to do.
    pub fn poll(&mut self, all: bool) -> io::Result<Vec<News>> {
        let mut news = std::mem::take(&mut self.untold);
        while let Some((slot, done)) = self.worker.take(all && self.is_busy()) {
            let more = match done {
                Done::Decoded(block, whole) => {
                    self.decoding.remove(&(slot, block));
                    if !self.objects.contains_key(&slot) {
                        // it was given up meanwhile
                        let _ = std::fs::remove_file(self.kept.path(slot, "data"));
                        continue;
                    }
                    whole.and_then(|whole| if whole { self.block_done(slot, block) } else { Ok(()) }).map(|()| Vec::new())
                }
                Done::Delivered(place) => {
                    self.delivering.remove(&slot);
                    place.map(|place| self.delivered(slot, place))
                }
            };
            news.extend(self.unless_gone(slot, more)?);
        }
        Ok(news)
    }

    /// What was kept of an object was taken away: its next manifest announces it again.
    fn begin_anew(&mut self, slot: u32) -> Option<News> {
        let partial = self.remove(slot)?;
        Some(self.note_anew(&partial, "what was kept of it is gone"))
    }
    fn note_anew(&mut self, partial: &Partial, why: &str) -> News {
        if self.anew.len() < OBJECTS_MAX {
            self.anew.insert(partial.key.transfer, (partial.name.clone(), why.to_owned()));
        }
        News::Anew(partial.name.clone(), why.to_owned())
    }
    /// Nothing more of it is taken in this session.
    fn refuse(&mut self, slot: u32, why: &str) -> Option<News> {
        let partial = self.remove(slot)?;
        if let Some(number) = partial.number {
            self.numbers.bind(number, partial.key, partial.cut, Place::Refused);
        }
        Some(News::Refused(partial.name, why.to_owned()))
    }
    /// Takes an object out, and all that was kept of it.
    fn remove(&mut self, slot: u32) -> Option<Partial> {
        let partial = self.objects.remove(&slot)?;
        self.notes = (self.notes.0 - partial.memory(), self.notes.1 - partial.ledgers.len());
        if let Some(number) = partial.number {
            self.numbers.forget(number);
        }
        self.kept.remove(slot, partial.ledgers.keys().copied());
        Some(partial)
    }
    fn forget_block(&mut self, slot: u32, block: u64) -> Option<Ledger> {
        let ledger = self.objects.get_mut(&slot)?.ledgers.remove(&block)?;
        self.notes = (self.notes.0 - ledger.memory(), self.notes.1 - 1);
        Some(ledger)
    }

    fn block_done(&mut self, slot: u32, block: u64) -> io::Result<()> {
        self.kept.settle(slot, block)?;
        let ledger = self.forget_block(slot, block);
        let Some(partial) = self.objects.get_mut(&slot) else { return Ok(()) };
        let Some((symbols, repair)) = partial.manifest().map(|m| (m.symbols(block) as u32, m.repair)) else { return Ok(()) };
        if let Some(ledger) = ledger {
            let used = symbols.saturating_sub(ledger.source());
            partial.margin = (partial.margin.0.max(used), repair);
        }
        partial.blocks_done.insert(block);
        if partial.blocks_done.len() as u64 == partial.blocks {
            self.deliver(slot);
        }
        Ok(())
    }

    /// All blocks are there: has the hash checked and the object moved to its place, beside the receiving.
    fn deliver(&mut self, slot: u32) {
        let Some(partial) = self.objects.get(&slot) else { return };
        let (key, number, Some(m)) = (partial.key, partial.number, partial.manifest()) else { return };
        let name = match m.message {
            true => PathBuf::from(format!("message-{:016x}", m.transfer)),
            false => safe(m.name.as_bytes()).unwrap_or_default(),
        };
        let number = (self.numbers.session(), number.unwrap_or(delivered::NO_NUMBER));
        let mark = self.delivered.mark(key, number, &name, self.hooked);
        let (data, out) = (self.kept.path(slot, "data"), self.out.clone());
        let delivery = Delivery { data, sha256: m.sha256, modified: m.modified, out, name, mark };
        self.delivering.insert(slot);
        self.worker.give(slot, Job::Deliver(delivery));
    }

    /// What became of a delivery.
    fn delivered(&mut self, slot: u32, place: worker::Place) -> Vec<News> {
        let path = match place {
            worker::Place::There(path) => path,
            // cannot come from noise: every frame was checked; begin again
            worker::Place::Damaged => {
                let partial = self.remove(slot);
                return partial.map(|partial| self.note_anew(&partial, "its SHA-256 is wrong")).into_iter().collect();
            }
            worker::Place::Refused(why) => return self.refuse(slot, &why).into_iter().collect(),
        };
        let Some(Partial { name, key, cut, number, size, margin, .. }) = self.remove(slot) else { return Vec::new() };
        if let Some(number) = number {
            self.numbers.bind(number, key, cut, Place::Delivered);
        }
        self.anew.remove(&key.transfer);
        let within = path.strip_prefix(&self.out).unwrap_or(&path);
        self.delivered.add(key, self.numbers.session(), within);
        let owed = Owed { key, name: within.to_string_lossy().into_owned() };
        let mut news = self.supersede(&name);
        news.push(News::Delivered(Delivered { path, name, transfer: key.transfer, size, margin, owed }));
        news
    }
    /// What earlier sessions announced under this name (messages have none) will not be sent on, and is not missed any more.
    fn supersede(&mut self, name: &str) -> Vec<News> {
        let is_older = |slot: &u32, p: &Partial| !name.is_empty() && p.name == name && self.is_waiting(*slot);
        let older: Vec<u32> = self.objects.iter().filter(|(slot, p)| is_older(slot, p)).map(|(slot, _)| *slot).collect();
        let removed = older.into_iter().filter_map(|slot| self.remove(slot));
        removed.map(|p| News::Superseded { name: p.name, transfer: p.key.transfer }).collect()
    }
}

fn refused(m: &Manifest<'_>, why: &str) -> News {
    News::Refused(if m.message { "a message".to_owned() } else { m.name.to_owned() }, why.to_owned())
}
