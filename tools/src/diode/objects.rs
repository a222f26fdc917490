//! Files and messages: what is sent, in which order, and what becomes of it afterwards.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use diode::object::{Config, Description, ObjectSender, Piece, Source};
use diode::wire::{Manifest, NAME_MAX, OPEN_END, Record};

use super::port::Output;
use super::sealing::Session;
use super::send::{Line, Settings, Told, check};
use crate::error::{Doing, Failure, kinds};
use crate::progress::Meter;
use crate::signal::Signals;

/// How often a watched folder is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// Bytes per symbol where frames travel as datagrams.
const DATAGRAM_SYMBOL: u16 = 1400;
/// The rate an outage is reckoned with when neither port nor user says one (bytes per second).
const UNKNOWN_RATE: u32 = 1_000_000;

/// What to send.
#[derive(Clone, Debug)]
pub struct What {
    /// Files, or `-` for stdin as one message.
    pub files: Vec<PathBuf>,
    /// A folder to take files from.
    pub watch: Option<PathBuf>,
    /// Rounds, 0 = for ever.
    pub rounds: u32,
    /// Repair symbols per 100 source symbols.
    pub overhead_percent: u32,
}

/// A file that is being sent.
struct Reading {
    file: File,
    /// Where it goes when it was sent (from a watched folder).
    sent: Option<(PathBuf, PathBuf)>,
}

impl Source for Reading {
    type Error = io::Error;
    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(out, offset)
    }
}

/// Sends all of it; with a watched folder until a signal.
pub fn run(
    output: Output,
    settings: &Settings,
    session: Session,
    what: &What,
    signals: &Signals,
) -> Result<serde_json::Value, Failure> {
    let rate = [settings.rate, output.rate, UNKNOWN_RATE].into_iter().find(|r| *r > 0).unwrap_or(UNKNOWN_RATE);
    let symbol_len = if output.is_datagrams() { DATAGRAM_SYMBOL } else { settings.profile.payload };
    let start = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_millis() as u32).wrapping_mul(7919) % 30_000;
    let config = Config {
        symbol_len,
        overhead_percent: what.overhead_percent,
        outage_symbols: settings.outage_frames(usize::from(symbol_len), rate),
        rounds: what.rounds,
        start,
    };
    let mut sender = ObjectSender::new(config);
    for path in &what.files {
        let (description, reading) = describe(path, None)?;
        sender.add(description, reading);
    }
    let mut line = Line::new(output, settings, session, signals);
    let meter = Meter::new(settings.shown);
    meter.total(to_send(&sender, &config).filter(|_| what.watch.is_none()));
    let (mut symbol, mut looked) = (Vec::new(), None::<Instant>);
    loop {
        check(signals)?;
        if let Some(dir) = &what.watch
            && looked.is_none_or(|at| at.elapsed() >= LOOK)
        {
            looked = Some(Instant::now());
            take_from(dir, &mut sender)?;
        }
        let told =
            Told { objects: sender.added(), stream_len: if what.watch.is_some() { OPEN_END } else { 0 }, ..Told::default() };
        line.beacon(&told)?;
        if !line.is_ready() {
            std::thread::sleep(line.wait());
            continue;
        }
        match sender.next_piece() {
            Some(Piece::Manifest(index)) => line.send(&Record::Manifest(sender.manifest(index)))?,
            Some(Piece::Symbol { index, block, symbol: number }) => {
                let object = sender.manifest(index).object;
                sender
                    .symbol(index, block, number, &mut symbol)
                    .doing(kinds::SOURCE_UNREADABLE, || "read a file that is being sent".into())?;
                meter.name(sender.manifest(index).name);
                meter.add(symbol.len() as u64);
                line.send(&Record::Symbol { object, block, symbol: number, payload: &symbol })?;
            }
            None if what.watch.is_some() => std::thread::sleep(LOOK.min(line.beacon_in())),
            None => break,
        }
        while let Some((description, reading)) = sender.take_done() {
            tracing::info!("sent {} ({} bytes)", description.name, description.size);
            if let Some((from, to)) = reading.sent {
                std::fs::rename(&from, &to)
                    .doing(kinds::WATCH_FOLDER, || format!("move {} to {}", from.display(), to.display()))?;
            }
        }
    }
    line.finish(&Told { objects: sender.added(), ..Told::default() })?;
    Ok(line.stats())
}

/// Bytes of symbols in all rounds of what was added; none where there is no last round.
fn to_send(sender: &ObjectSender<Reading>, config: &Config) -> Option<u64> {
    let objects = (0..sender.pending()).map(|index| sender.manifest(index));
    let symbols =
        |m: Manifest<'_>| (0..m.blocks()).map(|b| m.symbols(b) + u64::from(config.repair(m.symbols(b) as u32))).sum::<u64>();
    let once: u64 = objects.map(|m| symbols(m) * u64::from(config.symbol_len)).sum();
    (config.rounds > 0).then_some(once * u64::from(config.rounds))
}

/// What there is to say of a file; stdin is copied to a temporary one first.
fn describe(path: &Path, sent: Option<(PathBuf, PathBuf)>) -> Result<(Description, Reading), Failure> {
    let message = path.as_os_str() == "-";
    let fail = || format!("read {}", path.display());
    let file = if message {
        let mut copy = tempfile::tempfile().doing(kinds::SOURCE_UNREADABLE, fail)?;
        io::copy(&mut std::fs::File::from(crate::stdio::input()?), &mut copy).doing(kinds::SOURCE_UNREADABLE, fail)?;
        copy
    } else {
        File::open(path).doing(kinds::SOURCE_UNREADABLE, fail)?
    };
    let meta = file.metadata().doing(kinds::SOURCE_UNREADABLE, fail)?;
    if !meta.is_file() {
        return Err(Failure::new(kinds::SOURCE_UNREADABLE, format!("cannot send {}: it is not a file", path.display())));
    }
    let name =
        if message { String::new() } else { path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default() };
    if name.len() > NAME_MAX {
        return Err(Failure::new(
            kinds::SOURCE_UNREADABLE,
            format!("cannot send {}: its name is longer than {NAME_MAX} bytes", path.display()),
        ));
    }
    let modified = meta.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok()).map_or(0, |t| t.as_secs());
    let sha256 = crate::digest::of(&file).doing(kinds::SOURCE_UNREADABLE, fail)?;
    let description = Description { name, size: meta.len(), modified, sha256, priority: 0 };
    Ok((description, Reading { file, sent }))
}

/// Takes finished files out of a watched folder: each is moved to `sending/` first, so that nobody
/// changes it any more, and to `sent/` when it had its rounds. What lay in `sending/` goes on.
fn take_from(dir: &Path, sender: &mut ObjectSender<Reading>) -> Result<(), Failure> {
    let (sending, sent) = (dir.join("sending"), dir.join("sent"));
    for folder in [&sending, &sent] {
        std::fs::create_dir_all(folder).doing(kinds::WATCH_FOLDER, || format!("make {}", folder.display()))?;
    }
    if sender.pending() == 0 {
        for path in files_in(&sending)? {
            add(&path, &sent, sender)?;
        }
    }
    for path in files_in(dir)? {
        let name = path.file_name().unwrap_or_default();
        let taken = sending.join(name);
        std::fs::rename(&path, &taken).doing(kinds::WATCH_FOLDER, || format!("take {}", path.display()))?;
        add(&taken, &sent, sender)?;
    }
    Ok(())
}

fn add(path: &Path, sent: &Path, sender: &mut ObjectSender<Reading>) -> Result<(), Failure> {
    let after = sent.join(path.file_name().unwrap_or_default());
    let (description, reading) = describe(path, Some((path.to_owned(), after)))?;
    sender.add(description, reading);
    Ok(())
}

/// Plain files that are not hidden (a writer makes `.name` and renames it when it is whole).
fn files_in(dir: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = std::fs::read_dir(dir).doing(kinds::WATCH_FOLDER, || format!("look into {}", dir.display()))?;
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .filter(|e| e.file_type().is_ok_and(|t| t.is_file()) && !e.file_name().to_string_lossy().starts_with('.'))
        .map(|e| e.path())
        .collect();
    files.sort();
    Ok(files)
}
