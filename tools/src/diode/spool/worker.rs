//! The thread that decodes blocks and delivers what is whole, beside the one that listens: a line cannot be told to wait for a
//! disk.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};

use diode::wire::Manifest;

use super::delivered::Mark;
use super::partial::manifest_of;
use super::place::{is_of_name, place};
use crate::names::shown;

/// What is to be done for an object.
#[derive(Debug)]
pub(super) enum Job {
    Decode(Decode),
    Deliver(Delivery),
}

/// What was done for an object.
#[derive(Debug)]
pub(super) enum Done {
    /// Whether the symbols of a block made it whole.
    Decoded(u64, io::Result<bool>),
    Delivered(io::Result<Place>),
}

/// Where a whole object is now.
#[derive(Debug)]
pub(super) enum Place {
    /// In its place and on the disk, and so is the mark that says so.
    There(PathBuf),
    /// Nowhere: its SHA-256 is wrong.
    Damaged,
    /// Nowhere: its name cannot be had here, and why.
    Refused(String),
}

/// A block to decode: its symbols, and where its bytes go.
#[derive(Debug)]
pub(super) struct Decode {
    pub(super) block: u64,
    pub(super) manifest: Vec<u8>,
    pub(super) symbols: PathBuf,
    pub(super) data: PathBuf,
}

impl Decode {
    fn run(&self) -> io::Result<bool> {
        let Some(m) = manifest_of(&self.manifest) else { return Ok(false) };
        let Some(whole) = decode_block(&self.symbols, &m, self.block)? else { return Ok(false) };
        let (at, len) = (self.block * m.block_len(), (m.size - self.block * m.block_len()).min(m.block_len()) as usize);
        File::options().create(true).truncate(false).write(true).open(&self.data)?.write_all_at(&whole[..len], at)?;
        Ok(true)
    }
}

/// A whole object, and where it goes.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) data: PathBuf,
    pub(super) sha256: [u8; 32],
    /// Seconds since 1970, 0 where they are not known.
    pub(super) modified: u64,
    pub(super) out: PathBuf,
    pub(super) name: PathBuf,
    /// The mark that it is delivered.
    pub(super) mark: Mark,
}

impl Delivery {
    /// Checks the hash, has the file on the disk in its place, and then the mark: nobody is told before.
    fn run(&self) -> io::Result<Place> {
        let file = File::open(&self.data)?;
        if crate::digest::of(&file)? != self.sha256 {
            return Ok(Place::Damaged);
        }
        if self.modified > 0 {
            let _ = file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(self.modified));
        }
        let path = self.out.join(&self.name);
        let is_new = self.mark.intend()?;
        if let Err(e) = place(&self.data, &self.out, &self.name) {
            self.mark.revoke();
            return match is_of_name(&e, &self.name) {
                // a name that cannot be had here is the sender's fault, and must not end the receiver
                true => Ok(Place::Refused(format!("cannot be put at {}: {e}", shown(&path)))),
                false => Err(e),
            };
        }
        self.mark.write(is_new)?;
        Ok(Place::There(path))
    }
}

/// The thread that works, one job after the other: at most one block is in memory.
#[derive(Debug)]
pub(super) struct Worker {
    jobs: Sender<(u32, Job)>,
    done: Receiver<(u32, Done)>,
}

impl Worker {
    pub(super) fn start() -> Worker {
        let (jobs, todo) = channel::<(u32, Job)>();
        let (report, done) = channel();
        std::thread::spawn(move || {
            for (slot, job) in todo {
                let done = match job {
                    Job::Decode(decode) => Done::Decoded(decode.block, decode.run()),
                    Job::Deliver(delivery) => Done::Delivered(delivery.run()),
                };
                if report.send((slot, done)).is_err() {
                    return;
                }
            }
        });
        Worker { jobs, done }
    }
    pub(super) fn give(&self, slot: u32, job: Job) {
        // the thread lives as long as this; were it gone, nothing would be reported as done
        let _ = self.jobs.send((slot, job));
    }
    pub(super) fn take(&self, wait: bool) -> Option<(u32, Done)> {
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
