//! The files of what is not whole.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Symbol files kept open.
const OPEN_MAX: usize = 16;
/// A mark, empty.
const TOLD: &str = "told";

/// A folder with the files of objects, by slot.
#[derive(Debug)]
pub(super) struct Kept {
    state: PathBuf,
    open: HashMap<(u32, u64), BufWriter<File>>,
}

impl Kept {
    pub(super) fn new(state: &Path) -> Kept {
        Kept { state: state.to_owned(), open: HashMap::new() }
    }
    pub(super) fn folder(&self) -> &Path {
        &self.state
    }
    pub(super) fn path(&self, slot: u32, what: &str) -> PathBuf {
        self.state.join(format!("object-{slot:04}.{what}"))
    }
    /// The symbols of a block.
    pub(super) fn block(&self, slot: u32, block: u64) -> PathBuf {
        self.path(slot, &block.to_string())
    }
    /// A new object, of which nothing is left from another in its slot.
    pub(super) fn begin(&self, slot: u32, manifest: &[u8]) -> io::Result<()> {
        for what in ["data", "blocks", TOLD] {
            let _ = std::fs::remove_file(self.path(slot, what));
        }
        self.announce(slot, manifest)
    }
    pub(super) fn announce(&self, slot: u32, manifest: &[u8]) -> io::Result<()> {
        write_whole(&self.path(slot, "manifest"), manifest)
    }
    /// That an object is missing was told, or is to be told again.
    pub(super) fn mark_told(&self, slot: u32, told: bool) -> io::Result<()> {
        let path = self.path(slot, TOLD);
        match told {
            true => std::fs::write(path, []),
            false => std::fs::remove_file(path).or_else(|e| if e.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(e) }),
        }
    }
    pub(super) fn was_told(&self, slot: u32) -> bool {
        self.path(slot, TOLD).exists()
    }
    /// Adds a symbol to those of its block.
    pub(super) fn add(&mut self, slot: u32, block: u64, symbol: u32, payload: &[u8]) -> io::Result<()> {
        if self.open.len() >= OPEN_MAX && !self.open.contains_key(&(slot, block)) {
            self.flush()?;
            self.open.clear();
        }
        let path = self.block(slot, block);
        let writer = match self.open.entry((slot, block)) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                std::fs::create_dir_all(&self.state)?;
                let file = File::options().create(true).append(true).open(path)?;
                entry.insert(BufWriter::with_capacity(1 << 16, file))
            }
        };
        writer.write_all(&symbol.to_le_bytes()[..3])?;
        writer.write_all(payload)
    }
    /// Everything that came is handed to the kernel.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.open.values_mut().try_for_each(BufWriter::flush)
    }
    /// No more symbols of a block.
    pub(super) fn close(&mut self, slot: u32, block: u64) -> io::Result<()> {
        self.open.remove(&(slot, block)).map_or(Ok(()), |mut writer| writer.flush())
    }
    /// A block is decoded: its symbols are of no more use.
    pub(super) fn settle(&self, slot: u32, block: u64) -> io::Result<()> {
        let marks = self.path(slot, "blocks");
        File::options().create(true).append(true).open(marks)?.write_all(&(block as u32).to_le_bytes())?;
        let _ = std::fs::remove_file(self.block(slot, block));
        Ok(())
    }
    /// All of an object, with the symbols of these blocks.
    pub(super) fn remove(&mut self, slot: u32, blocks: impl Iterator<Item = u64>) {
        self.open.retain(|(of, _), _| *of != slot);
        blocks.map(|block| self.block(slot, block)).for_each(|path| _ = std::fs::remove_file(path));
        for what in ["manifest", "blocks", "data", TOLD] {
            let _ = std::fs::remove_file(self.path(slot, what));
        }
    }
}

/// Writes a file in one step.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    std::fs::write(&temporary, bytes)?;
    std::fs::rename(temporary, path)
}
