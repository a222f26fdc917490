//! The telemetry emitter: datagrams out, nothing in. No heap, no clock.
//!
//! Each datagram is sent [`COPIES`] times: five times evenly over 1.25 times the outage to be survived,
//! and once more a twentieth of it later. So an outage of that length leaves at least two copies, and
//! without one noise would have to hit all six.
//! When the wire cannot carry all that is asked of it, new datagrams go before copies, and the newest
//! of them first; what has been waiting too long is given up, and the receiver says so by number.

use link::wire::Level;
use link::{Instant, Pace};

use crate::seal::{Sealing, write};
use crate::wire::{Beacon, OPEN_END, Record, Shape, VERSION};

/// How often each datagram is sent.
pub const COPIES: u8 = 6;
/// How many of them are spread evenly.
const SPREAD: u8 = COPIES - 1;
/// Beacons at the start of a sealed session: without one nobody can read what follows.
pub const OPENINGS: u8 = 3;

/// Settings of an emitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Bytes per second the wire carries (baud / 10 for 8N1), not 0.
    pub rate: u32,
    /// A number that is never used again: from a clock, a counter in flash, or a good random source.
    pub session: u64,
    /// Longest outage to survive, in microseconds. Default 2 s.
    pub survive_us: u32,
    /// Time between beacons, in microseconds. Default 1 s; at least 2 % of the wire is left free of them.
    pub beacon_us: u32,
    /// Armour of all frames. Default none: it pays where bits are wrong but bytes keep their places.
    pub level: Level,
}

impl Config {
    /// Defaults for a wire of `baud` with 10 bits per byte.
    pub const fn for_baud(baud: u32, session: u64) -> Config {
        Config { rate: baud / 10, session, survive_us: 2_000_000, beacon_us: 1_000_000, level: Level::Plain }
    }
}

/// A datagram that waits for its copies; its bytes are apart, since all of these are looked through for every frame.
#[derive(Clone, Copy, Debug)]
struct Slot {
    number: u32,
    len: u16,
    sent: u8,
    due: Instant,
}

/// How a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Open,
    Finished,
    Broken,
}

/// Counters of an emitter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Datagrams taken.
    pub datagrams: u32,
    /// Frames sent.
    pub frames: u64,
    /// Bytes sent.
    pub bytes: u64,
    /// Datagrams given up before their last copy, since newer ones needed their place.
    pub cut_short: u32,
}

/// Sends datagrams of up to `LEN` bytes; keeps `SLOTS` of them for their copies.
///
/// Its size is about `SLOTS * (LEN + 24)` bytes; there is no other memory but the frame buffer that
/// [`Emitter::poll_transmit`] is given.
#[derive(Debug)]
pub struct Emitter<const SLOTS: usize, const LEN: usize> {
    config: Config,
    sealing: Option<Sealing>,
    openings: u8,
    slots: heapless::Vec<Slot, SLOTS>,
    bytes: heapless::Vec<[u8; LEN], SLOTS>,
    /// Slots of which not even the first copy has gone.
    unsent: usize,
    pace: Pace,
    counter: u64,
    next_beacon: Instant,
    end: End,
    stats: Stats,
}

/// The datagram is longer than a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

impl<const SLOTS: usize, const LEN: usize> Emitter<SLOTS, LEN> {
    /// An emitter that begins with a beacon; everybody can read what it sends, and send the like.
    pub fn new(config: Config, now: Instant) -> Self {
        Emitter::with(config, None, now)
    }
    /// An emitter whose frames are sealed, for the session of `config`. Nothing is safe if a session is ever
    /// used twice: its number must be stored before the first frame leaves, and rise with every start.
    pub fn sealed(config: Config, sealing: Sealing, now: Instant) -> Self {
        Emitter::with(config, Some(sealing), now)
    }
    fn with(config: Config, sealing: Option<Sealing>, now: Instant) -> Self {
        const { assert!(SLOTS > 0 && LEN > 0 && LEN <= 2048, "1 slot or more, of 1 to 2048 bytes") };
        Emitter {
            openings: if sealing.is_some() { OPENINGS } else { 1 },
            sealing,
            slots: heapless::Vec::new(),
            bytes: heapless::Vec::new(),
            unsent: 0,
            pace: Pace::new(config.rate.max(1), 2_000),
            counter: 0,
            next_beacon: now,
            end: End::Open,
            stats: Stats::default(),
            config,
        }
    }

    /// Whether a datagram would be the next to leave and would take no other's place: all before it were sent
    /// once, and a slot is free. Who writes only then loses nothing at its own end and keeps the order.
    pub fn is_writable(&self) -> bool {
        self.unsent == 0 && !self.slots.is_full()
    }

    /// Takes a datagram; returns its number. When all slots are taken, the datagram that was sent
    /// most often (the oldest of those) gives up its place: ask [`Emitter::is_writable`] first where every one
    /// matters more than the newest.
    pub fn write(&mut self, bytes: &[u8], now: Instant) -> Result<u32, TooLong> {
        if bytes.len() > LEN {
            return Err(TooLong);
        }
        if self.slots.is_full() {
            let most = self.slots.iter().enumerate().max_by_key(|(_, s)| (s.sent, u32::MAX - s.number)).map(|(i, _)| i);
            if let Some(i) = most {
                self.unsent -= usize::from(self.slots[i].sent == 0);
                self.free(i);
                self.stats.cut_short += 1;
            }
        }
        let number = self.stats.datagrams;
        let mut kept = [0; LEN];
        kept[..bytes.len()].copy_from_slice(bytes);
        let _ = self.slots.push(Slot { number, len: bytes.len() as u16, sent: 0, due: now });
        let _ = self.bytes.push(kept);
        self.unsent += 1;
        self.stats.datagrams = self.stats.datagrams.wrapping_add(1);
        Ok(number)
    }

    fn free(&mut self, slot: usize) {
        self.slots.swap_remove(slot);
        self.bytes.swap_remove(slot);
    }

    /// No datagram will follow; the beacons say so from now on.
    pub fn finish(&mut self, now: Instant) {
        self.end = End::Finished;
        self.next_beacon = now;
    }
    /// No datagram will follow, since no more could be had: the beacons say that there should have been more.
    pub fn break_off(&mut self, now: Instant) {
        self.end = End::Broken;
        self.next_beacon = now;
    }
    /// Every copy of everything was handed out.
    pub fn is_drained(&self) -> bool {
        self.slots.is_empty()
    }

    /// At most one frame for the wire, written to the beginning of `out`.
    ///
    /// # Panics
    /// When `out` is shorter than [`frame_max`] ([`sealed_frame_max`]) of the longest datagram and the level.
    pub fn poll_transmit(&mut self, out: &mut [u8], now: Instant) -> Option<usize> {
        if !self.pace.ready(now) {
            return None;
        }
        let len = if self.next_beacon <= now { self.beacon(out, now) } else { self.datum(out, now)? };
        self.counter += 1;
        self.stats.frames += 1;
        self.stats.bytes += len as u64;
        self.pace.take(len, now);
        Some(len)
    }

    fn beacon(&mut self, out: &mut [u8], now: Instant) -> usize {
        let beacon = Record::Beacon(Beacon {
            version: VERSION,
            session: self.config.session,
            counter: self.counter,
            period_ms: (self.config.beacon_us / 1000).min(65_535) as u16,
            survive_ms: self.config.survive_us / 1000,
            shape: Shape::default(),
            stream_len: OPEN_END,
            datagrams: self.stats.datagrams,
            objects: 0,
            end: self.end != End::Open,
            broken: self.end == End::Broken,
        });
        let len = write(out, self.counter, self.config.session, &beacon, self.config.level, self.sealing.as_ref());
        // never more than a fiftieth of the wire
        let floor = len as u64 * 50_000_000 / u64::from(self.config.rate.max(1));
        self.openings = self.openings.saturating_sub(1);
        if self.openings == 0 {
            self.next_beacon = now.after(u64::from(self.config.beacon_us).max(floor));
        }
        len
    }

    fn datum(&mut self, out: &mut [u8], now: Instant) -> Option<usize> {
        let due = self.slots.iter().enumerate().filter(|(_, s)| s.due <= now);
        // first what was never sent, the newest of it first; then copies, the most overdue first
        let (i, _) = due.min_by_key(|(_, s)| match s.sent {
            0 => (0, u64::from(u32::MAX - s.number)),
            _ => (1, s.due.as_micros()),
        })?;
        let slot = &mut self.slots[i];
        let record = Record::Datum { number: slot.number, payload: &self.bytes[i][..usize::from(slot.len)] };
        let len = write(out, self.counter, self.config.session, &record, self.config.level, self.sealing.as_ref());
        self.unsent -= usize::from(slot.sent == 0);
        slot.sent += 1;
        let survive = u64::from(self.config.survive_us);
        slot.due = now.after(if slot.sent < SPREAD { survive * 5 / 4 / u64::from(SPREAD - 1) } else { survive / 20 });
        if slot.sent >= COPIES {
            self.free(i);
        }
        Some(len)
    }

    /// When to call [`Emitter::poll_transmit`] again.
    pub fn poll_timeout(&self) -> Instant {
        let due = self.slots.iter().map(|s| s.due).min().map_or(self.next_beacon, |d| d.min(self.next_beacon));
        due.max(self.pace.ready_at())
    }

    /// The counters.
    pub fn stats(&self) -> Stats {
        self.stats
    }
}

/// Bytes a frame buffer needs for datagrams of up to `len` bytes at this level, beacons included.
pub const fn frame_max(len: usize, level: Level) -> usize {
    let body = crate::wire::DATUM_HEAD + len;
    link::wire::frame::frame_len(if body < 64 { 64 } else { body }, level)
}

/// The same when frames are sealed.
pub const fn sealed_frame_max(len: usize, level: Level) -> usize {
    let (datum, beacon) = (crate::wire::DATUM_HEAD + len, 64 + 1 + crate::seal::MESSAGE);
    link::wire::frame::frame_len(crate::seal::SEAL + if datum < beacon { beacon } else { datum }, level)
}
