//! What an earlier run has left in the folder of `--state`.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use diode::object::Ledger;
use diode::wire::{Body, Record};

use super::{Spool, partial};

impl Spool {
    pub(super) fn restore(&mut self) -> io::Result<()> {
        let mut names: Vec<String> =
            std::fs::read_dir(&self.state)?.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect();
        // manifests before blocks
        names.sort_by_key(|n| !n.ends_with(".manifest"));
        for name in names {
            let Some((object, what)) = name.split_once('.') else { continue };
            let Ok(object) = u32::from_str_radix(object, 16) else { continue };
            match (what, what.parse::<u64>()) {
                ("done", _) => drop(self.done.insert(object)),
                ("manifest", _) => {
                    let bytes = std::fs::read(self.state.join(&name))?;
                    if let Some(Record::Manifest(m)) = Body::parse(&bytes).map(|b| b.record) {
                        self.objects.insert(object, partial(&m, bytes.clone()));
                    }
                }
                (_, Ok(block)) => self.restore_block(object, block)?,
                _ => {}
            }
        }
        let done = self.done.clone();
        self.objects.retain(|object, _| !done.contains(object));
        // blocks that were decoded have no symbol file any more, but a mark
        for (object, partial) in &mut self.objects {
            let marks = std::fs::read(self.state.join(format!("{object:08x}.blocks"))).unwrap_or_default();
            for mark in marks.chunks_exact(4) {
                partial.blocks_done.insert(u64::from(u32::from_le_bytes([mark[0], mark[1], mark[2], mark[3]])));
            }
        }
        // blocks that had enough when the receiver was stopped
        let mut enough = Vec::new();
        for (object, partial) in &self.objects {
            let Some(m) = partial.manifest() else { continue };
            let whole = partial.ledgers.iter().filter(|(block, ledger)| ledger.is_enough(m.symbols(**block) as u32));
            enough.extend(whole.map(|(block, _)| (*object, *block)));
        }
        enough.into_iter().try_for_each(|(object, block)| self.decode(object, block))
    }

    /// Reads the symbol numbers of a block; half a record at the end (a crash) is cut off.
    fn restore_block(&mut self, object: u32, block: u64) -> io::Result<()> {
        let Some(partial) = self.objects.get_mut(&object) else { return Ok(()) };
        let Some(Body { record: Record::Manifest(m), .. }) = Body::parse(&partial.manifest) else { return Ok(()) };
        let (record, symbols) = (3 + usize::from(m.symbol_len), m.symbols(block) as u32);
        let file = File::options().read(true).write(true).open(self.state.join(format!("{object:08x}.{block}")))?;
        let count = file.metadata()?.len() / record as u64;
        file.set_len(count * record as u64)?;
        let mut ledger = Ledger::default();
        let mut number = [0u8; 3];
        for i in 0..count {
            file.read_exact_at(&mut number, i * record as u64)?;
            ledger.note(u32::from_le_bytes([number[0], number[1], number[2], 0]), symbols);
        }
        partial.ledgers.insert(block, ledger);
        Ok(())
    }
}
