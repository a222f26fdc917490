//! The thread that decodes blocks, beside the one that listens.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};

use diode::wire::Manifest;

use super::partial::manifest_of;

/// A block to decode: its symbols, and where its bytes go.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) object: u32,
    pub(super) block: u64,
    pub(super) manifest: Vec<u8>,
    pub(super) symbols: PathBuf,
    pub(super) data: PathBuf,
}

impl Job {
    fn run(&self) -> io::Result<bool> {
        let Some(m) = manifest_of(&self.manifest) else { return Ok(false) };
        let Some(whole) = decode_block(&self.symbols, &m, self.block)? else { return Ok(false) };
        let (at, len) = (self.block * m.block_len(), (m.size - self.block * m.block_len()).min(m.block_len()) as usize);
        File::options().create(true).truncate(false).write(true).open(&self.data)?.write_all_at(&whole[..len], at)?;
        Ok(true)
    }
}

type Decoded = (u32, u64, io::Result<bool>);

/// The thread that decodes, one block after the other: at most one is in memory.
#[derive(Debug)]
pub(super) struct Worker {
    jobs: Sender<Job>,
    done: Receiver<Decoded>,
}

impl Worker {
    pub(super) fn start() -> Worker {
        let (jobs, todo) = channel::<Job>();
        let (report, done) = channel();
        std::thread::spawn(move || {
            for job in todo {
                if report.send((job.object, job.block, job.run())).is_err() {
                    return;
                }
            }
        });
        Worker { jobs, done }
    }
    pub(super) fn give(&self, job: Job) {
        // the thread lives as long as this; were it gone, nothing would be reported as done
        let _ = self.jobs.send(job);
    }
    pub(super) fn take(&self, wait: bool) -> Option<Decoded> {
        if wait { self.done.recv().ok() } else { self.done.try_recv().ok() }
    }
}

fn decode_block(path: &Path, m: &Manifest<'_>, block: u64) -> io::Result<Option<Vec<u8>>> {
    let Ok(mut decoder) = fec::raptor::Decoder::new(m.symbols(block) as usize, m.symbol_len) else { return Ok(None) };
    let mut file = io::BufReader::with_capacity(1 << 20, File::open(path)?);
    let mut record = vec![0u8; 3 + usize::from(m.symbol_len)];
    loop {
        match file.read_exact(&mut record) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(e) => return Err(e),
        }
        let number = u32::from_le_bytes([record[0], record[1], record[2], 0]);
        if let Some(whole) = decoder.add(number, &record[3..]) {
            return Ok(Some(whole));
        }
    }
}
