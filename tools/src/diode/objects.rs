//! Files and messages: what is sent, in which order, and what becomes of it afterwards.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use diode::object::{Config, ObjectSender, Piece};
use diode::wire::{OPEN_END, Record};

use super::files::{Reading, Unread, describe, message, name_of};
use super::sealing::Session;
use super::send::{Line, Sent, Settings, Told, check, pause};
use super::target::Target;
use super::transfers::Transfers;
use super::watch::{TRANSFERS, Watch};
use crate::error::{Doing, Exit, Failure, kinds};
use crate::names::shown;
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
    /// What that is called at the other end; without it is a message, which has a number.
    pub name: Option<String>,
    /// A folder to take files from.
    pub watch: Option<PathBuf>,
    /// Rounds, 0 = for ever.
    pub rounds: u32,
    /// Repair symbols per 100 source symbols.
    pub overhead_percent: u32,
    /// Where the numbers of transfers are kept, of a folder that is not watched.
    pub state: Option<PathBuf>,
}

/// Sends all of it; with a watched folder until a signal.
pub fn run(target: Target, settings: &Settings, session: Session, what: &What, signals: &Signals) -> Result<Sent, Failure> {
    let rate = [settings.rate, target.rate(), UNKNOWN_RATE].into_iter().find(|r| *r > 0).unwrap_or(UNKNOWN_RATE);
    let symbol_len = if target.is_datagrams() { DATAGRAM_SYMBOL } else { settings.profile.payload };
    let start = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_millis() as u32).wrapping_mul(7919) % 30_000;
    let mut sender = ObjectSender::new(Config {
        symbol_len,
        overhead_percent: what.overhead_percent,
        outage_symbols: settings.outage_frames(usize::from(symbol_len), rate),
        rounds: what.rounds,
        start,
    });
    let watch = what.watch.as_deref().map(Watch::new);
    let mut transfers = what.transfers()?;
    let failed = gather(what, &mut sender, &mut transfers, signals)?;
    if failed > 0 && sender.pending() == 0 {
        return Err(not_all_sent(failed));
    }
    let meter = Meter::new(settings.shown);
    let whole: u64 = (0..sender.pending()).map(|index| sender.manifest(index).size).sum();
    meter.total((what.watch.is_none() && what.rounds > 0).then_some(whole));
    let line = Line::new(target, settings, session, signals);
    let mut sending = Sending { line, sender, transfers, watch, meter, signals, failed };
    let verdict = sending.all().map_err(|failure| {
        let told = sending.told();
        let is_asked = matches!(failure.exit, Exit::Signal(_));
        let failure = if is_asked { sending.end_what_had_a_round().err().unwrap_or(failure) } else { failure };
        // what it promised is counted, and what lies in a watched folder is sent by the next run
        sending.line.break_off(failure, &told, false)
    });
    let verdict = verdict.and_then(|()| match sending.failed {
        0 => Ok(()),
        n => Err(not_all_sent(n)),
    });
    Ok(Sent { stats: sending.line.stats(sending.sender.progress()), verdict })
}

fn not_all_sent(files: u64) -> Failure {
    let message = match files {
        1 => "one file was not sent as it is, see above".to_owned(),
        n => format!("{n} files were not sent as they are, see above"),
    };
    Failure::new(kinds::NOT_ALL_SENT, message)
}

/// Adds everything named; what would not arrive under its name is told and left out. Returns how many those are.
fn gather(what: &What, sender: &mut ObjectSender<Reading>, transfers: &mut Transfers, signals: &Signals) -> Result<u64, Failure> {
    let (mut failed, files) = (0, &what.files);
    for path in files {
        let is_message = path.as_os_str() == "-";
        match name_of(path) {
            Err(why) if !is_message && files.len() > 1 && path.is_file() => {
                // also where only errors are wanted: it was named
                tracing::error!(code = %kinds::FILE_UNSENT, "{} is not sent: {why}", shown(path));
                failed += 1;
            }
            _ => {
                let (description, reading) =
                    if is_message { message(what.name.as_deref().unwrap_or_default(), signals)? } else { describe(path)? };
                let number = transfers.begin(&description).doing(kinds::STATE_FAILED, numbering)?;
                sender.add(description, number, reading);
            }
        }
    }
    Ok(failed)
}

impl What {
    /// The sequence of transfers this sender goes on with.
    fn transfers(&self) -> Result<Transfers, Failure> {
        // what lies there goes on under its number
        let kept = self.watch.as_ref().map(|dir| (dir.clone(), TRANSFERS));
        let transfers = match kept.or_else(|| self.state.clone().map(|state| (state, "diode-transfers"))) {
            Some((folder, name)) => std::fs::create_dir_all(&folder).and_then(|()| Transfers::open(&folder, name)),
            None => Transfers::unkept(),
        };
        transfers.doing(kinds::STATE_FAILED, numbering)
    }
}

/// What could not be done.
pub(super) fn numbering() -> String {
    "number a transfer".into()
}

/// Files on their way.
struct Sending<'a> {
    line: Line<'a>,
    sender: ObjectSender<Reading>,
    transfers: Transfers,
    watch: Option<Watch>,
    meter: Meter,
    signals: &'a Signals,
    /// Files that were not sent as they are.
    failed: u64,
}

impl Sending<'_> {
    /// Without a folder to watch all there will be is known from the start.
    fn told(&self) -> Told {
        let stream_len = if self.watch.is_some() { OPEN_END } else { 0 };
        Told { objects: self.sender.added(), stream_len, ..Told::default() }
    }

    fn all(&mut self) -> Result<(), Failure> {
        let mut looked = None::<Instant>;
        loop {
            check(self.signals)?;
            if let Some(watch) = &mut self.watch
                && looked.is_none_or(|at| at.elapsed() >= LOOK)
            {
                looked = Some(Instant::now());
                watch.look(&mut self.sender, &mut self.transfers)?;
            }
            let told = self.told();
            self.line.beacon(&told)?;
            if !self.line.is_ready() {
                pause(self.signals, self.line.wait())?;
                continue;
            }
            match self.sender.next_piece() {
                Some(piece) => self.send(&piece)?,
                None if self.watch.is_some() => pause(self.signals, LOOK.min(self.line.beacon_in()))?,
                None => break,
            }
            self.put_away()?;
            if self.meter.is_due() {
                self.meter.set(self.sender.progress());
            }
        }
        let told = self.told();
        self.line.finish(&told)
    }

    fn send(&mut self, piece: &Piece) -> Result<(), Failure> {
        let (index, block, number) = match *piece {
            Piece::Manifest(index) => return self.line.send(&Record::Manifest(self.sender.manifest(index))),
            Piece::Symbol { index, block, symbol } => (index, block, symbol),
        };
        let mut payload = Vec::new();
        match self.sender.symbol(index, block, number, &mut payload) {
            Ok(()) => {
                let manifest = self.sender.manifest(index);
                self.meter.name(manifest.name);
                self.line.send(&Record::Symbol { object: manifest.object, block, symbol: number, payload: &payload })
            }
            Err(why) => {
                let number = self.sender.manifest(index).transfer;
                let (_, reading) = self.sender.take(index);
                self.transfers.end(number).doing(kinds::STATE_FAILED, numbering)?;
                self.give_up(&reading, why);
                Ok(())
            }
        }
    }

    /// One cannot go on: what came of it is named by the receiver.
    fn give_up(&mut self, reading: &Reading, why: Unread) {
        match (&mut self.watch, why) {
            (Some(watch), Unread::Changed) => watch.changed(reading),
            (Some(watch), Unread::Failed(e)) => watch.failed(reading, &e.to_string()),
            (None, Unread::Changed) => {
                self.failed += 1;
                let path = shown(&reading.path);
                tracing::error!(code = %kinds::FILE_CHANGED, "{path} changed while it was sent: it cannot arrive whole");
            }
            (None, Unread::Failed(e)) => {
                self.failed += 1;
                tracing::error!(code = %kinds::FILE_UNSENT, "{} is not sent: {e}", shown(&reading.path));
            }
        }
    }

    /// Once every symbol of everything was handed out, whoever ends this sending ends its transfers: the next is another. What
    /// lies in a watched folder goes on.
    fn end_what_had_a_round(&mut self) -> Result<(), Failure> {
        if self.watch.is_some() || !self.sender.had_a_round() {
            return Ok(());
        }
        let ended = self.sender.transfers().try_for_each(|number| self.transfers.end(number));
        ended.doing(kinds::STATE_FAILED, numbering)
    }

    /// What had its rounds.
    fn put_away(&mut self) -> Result<(), Failure> {
        while let Some((description, number, reading)) = self.sender.take_done() {
            match &mut self.watch {
                Some(watch) => watch.sent(&reading)?,
                None if !reading.is_as_announced() => {
                    self.give_up(&reading, Unread::Changed);
                    continue;
                }
                None => {}
            }
            self.transfers.end(number).doing(kinds::STATE_FAILED, numbering)?;
            tracing::info!("sent {} ({} bytes)", description.name, description.size);
        }
        Ok(())
    }
}
