//! What an earlier run has left in the folder of `--state`.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use diode::object::Ledger;

use super::partial::{Key, Partial, manifest_of};
use super::{Delivered, News, OBJECTS_MAX, Owed, Spool};
use crate::error::kinds;
use crate::names::shown;

/// The slot of an object in the name of one of its files, and what the file has.
fn slot_of(name: &str) -> Option<(u32, &str)> {
    let (slot, what) = name.strip_prefix("object-")?.split_once('.')?;
    Some((slot.parse().ok()?, what))
}

impl Spool {
    pub(super) fn restore(&mut self) -> io::Result<()> {
        let mut names: Vec<String> =
            std::fs::read_dir(self.kept.folder())?.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect();
        if let old @ 1.. = names.iter().filter(|name| is_old(name)).count() {
            let state = shown(self.kept.folder());
            tracing::warn!(
                code = %kinds::STATE_OLD,
                "{old} files in {state} are of an earlier version, which knew no transfers: they are not used"
            );
        }
        // manifests before blocks
        names.sort_by_key(|n| !n.ends_with(".manifest"));
        for name in &names {
            let Some((slot, what)) = slot_of(name) else { continue };
            match (what, what.parse::<u64>()) {
                ("manifest", _) if self.objects.len() < OBJECTS_MAX => {
                    let bytes = std::fs::read(self.kept.folder().join(name))?;
                    let partial = manifest_of(&bytes).map(|m| Partial::new(&m, bytes.clone()));
                    if let Some(mut partial) = partial {
                        partial.told = self.kept.was_told(slot);
                        self.objects.insert(slot, partial);
                    }
                }
                (_, Ok(block)) => self.restore_block(slot, block)?,
                _ => {}
            }
        }
        // symbols without a manifest (the power failed) would be taken for those of the next object in their slot
        if self.objects.len() < OBJECTS_MAX {
            let strays = names.iter().filter(|name| slot_of(name).is_some_and(|(slot, _)| !self.objects.contains_key(&slot)));
            strays.for_each(|name| _ = std::fs::remove_file(self.kept.folder().join(name)));
        }
        // what was put into its place by a run that did not get to say so
        let whole =
            |p: &Partial| self.delivered.contains(&p.key, 0) || p.manifest().is_some_and(|m| self.bounds.objection(&m).is_some());
        let whole: Vec<u32> = self.objects.iter().filter(|(_, p)| whole(p)).map(|(slot, _)| *slot).collect();
        whole.into_iter().for_each(|slot| _ = self.remove(slot));
        // blocks that were decoded have no symbol file any more, but a mark
        for (slot, partial) in &mut self.objects {
            let marks = std::fs::read(self.kept.path(*slot, "blocks")).unwrap_or_default();
            for mark in marks.chunks_exact(4) {
                let block = u64::from(u32::from_le_bytes([mark[0], mark[1], mark[2], mark[3]]));
                if block < partial.blocks {
                    partial.blocks_done.insert(block);
                }
            }
        }
        self.restore_placed()?;
        // blocks that had enough when the receiver was stopped
        let mut enough = Vec::new();
        for (slot, partial) in &self.objects {
            let Some(m) = partial.manifest() else { continue };
            let whole = partial.ledgers.iter().filter(|(block, ledger)| ledger.is_enough(m.symbols(**block) as u32));
            enough.extend(whole.map(|(block, _)| (*slot, *block)));
        }
        enough.into_iter().try_for_each(|(slot, block)| self.decode(slot, block))
    }

    /// What a run that was killed had put into its place and had not noted: all of it was decoded, it was about to be put there,
    /// and nothing is left of it here. (From one file system to another it is copied, and comes once more.)
    fn restore_placed(&mut self) -> io::Result<()> {
        let is_whole = |p: &Partial| p.blocks_done.len() as u64 == p.blocks;
        let is_gone = |slot: u32| !self.kept.path(slot, "data").exists();
        let placed = self.objects.iter().filter(|(slot, p)| is_whole(p) && is_gone(**slot));
        let placed: Vec<(u32, Key)> = placed.map(|(slot, partial)| (*slot, partial.key)).collect();
        for (slot, key) in placed {
            let Some(within) = self.delivered.as_meant(key, self.hooked)? else { continue };
            let Some(Partial { name, size, margin, .. }) = self.remove(slot) else { continue };
            let (path, owed) = (self.out.join(&within), Owed { key, name: within.to_string_lossy().into_owned() });
            self.untold.push(News::Delivered(Delivered { path, name, transfer: key.transfer, size, margin, owed }));
        }
        Ok(())
    }

    /// Reads the symbol numbers of a block; half a record at the end (a crash) is cut off.
    fn restore_block(&mut self, slot: u32, block: u64) -> io::Result<()> {
        let path = self.kept.block(slot, block);
        let Some(partial) = self.objects.get_mut(&slot).filter(|partial| block < partial.blocks) else { return Ok(()) };
        let Some(symbols) = partial.manifest().map(|m| m.symbols(block) as u32) else { return Ok(()) };
        let record = 3 + usize::from(partial.cut.0);
        let file = File::options().read(true).write(true).open(path)?;
        let count = file.metadata()?.len() / record as u64;
        file.set_len(count * record as u64)?;
        let mut ledger = Ledger::default();
        let mut number = [0u8; 3];
        for i in 0..count {
            file.read_exact_at(&mut number, i * record as u64)?;
            ledger.note(u32::from_le_bytes([number[0], number[1], number[2], 0]), symbols);
        }
        self.notes = (self.notes.0 + ledger.memory(), self.notes.1 + 1);
        partial.ledgers.insert(block, ledger);
        Ok(())
    }
}

/// Whether a file was kept by a version that told objects by the hash of their name and content: NUMBER.WHAT.
fn is_old(name: &str) -> bool {
    let hex = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
    let of_old = |what: &str| matches!(what, "manifest" | "blocks" | "data" | "done") || what.parse::<u64>().is_ok();
    name.split_once('.').is_some_and(|(object, what)| object.len() == 8 && object.bytes().all(hex) && of_old(what))
}
