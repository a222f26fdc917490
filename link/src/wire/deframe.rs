//! Finding frames in whatever the wire delivers (PROTOCOL 1.4).

#[cfg(feature = "explore")]
mod digest;

use super::frame::{ARMOUR_HEAD, ARMOUR_SYNC, BODY_MAX, CHECK, FRAME_MAX, Head, Level, PLAIN_HEAD, PLAIN_SYNC};
use super::whose::{Off, Parties};
use super::{Whose, armour, check};

/// Wrong bits tolerated in the armoured sync word. At 4, a random position passes once in 1e5
/// and a word at a bit error rate of 1e-2 is missed once in 4000.
const SYNC_TOLERANCE: u32 = 4;
const CAPACITY: usize = 2 * FRAME_MAX;

/// Incomplete candidates kept in mind while searching behind another.
const OPEN_CANDIDATES: usize = 8;

/// What stands at a position of the buffer.
enum Look {
    /// Not a frame.
    Nothing,
    /// Perhaps a frame; too few bytes to tell, or to have it whole.
    Partial,
    /// A whole candidate.
    Whole { head: Head, head_fixed: usize },
}

/// A good frame, found in the buffer.
#[derive(Debug)]
pub struct Found<'a> {
    /// Its body.
    pub body: &'a [u8],
    /// Its head.
    pub head: Head,
    /// To whom it belongs.
    pub whose: Whose,
}

/// A candidate that turned out to be a frame.
struct Good {
    head: Head,
    head_fixed: usize,
    whose: Whose,
}

/// Collects bytes and yields good frames: of no session, until it is told of one.
///
/// After a frame the next is expected at once; where it does not stand, every position is tried,
/// and a position that only seems to begin a frame never hides a real one behind it.
#[derive(Clone, Debug)]
pub struct Deframer {
    buffer: [u8; CAPACITY],
    start: usize,
    end: usize,
    /// The byte at `start` follows a good frame, so a head there is believed.
    synced: bool,
    /// While searching behind an incomplete candidate, counted from `start`: everything before
    /// `searched` was tried, but for the incomplete candidates in `open`.
    searched: usize,
    open: heapless::Vec<usize, OPEN_CANDIDATES>,
    /// Frames whose check failed.
    pub bad: u64,
    /// Bytes passed over.
    pub junk: u64,
    /// Wrong bytes repaired.
    pub corrected: u64,
    /// Wrong bytes, as an ACK tells them (PROTOCOL 3.4): repaired ones, and per frame that was beyond
    /// repair one more than its armour repairs.
    pub damage: u64,
    /// Frames in which bytes were lost or came in: the next frame did not stand at their end.
    pub slips: u64,
    /// Where the next frame stands if the one that failed last kept its length, counted from `start`;
    /// and the damage it counts as then.
    expected: Option<isize>,
    doubtful: u64,
    /// Body and check of the plain frame that failed last, and its head.
    failed: [u8; FRAGMENT_MAX],
    failed_head: Option<Head>,
    /// How many bytes came of it, once that is known.
    came: Option<usize>,
    parties: Parties,
}

/// Bytes that may have come into a frame that is still worth a patch.
const EXTRA_MAX: usize = 16;
/// Longest fragment.
pub const FRAGMENT_MAX: usize = BODY_MAX + CHECK + EXTRA_MAX;

/// A plain frame that failed its check, as it came: its head, and what came of body and check. Where
/// in it bytes are missing or have come in is not known.
#[derive(Debug)]
pub struct Fragment<'a> {
    /// Its head.
    pub head: Head,
    /// What came.
    pub bytes: &'a [u8],
}

impl Default for Deframer {
    fn default() -> Self {
        Deframer {
            buffer: [0; CAPACITY],
            start: 0,
            end: 0,
            synced: false,
            searched: 0,
            open: heapless::Vec::new(),
            bad: 0,
            junk: 0,
            corrected: 0,
            damage: 0,
            slips: 0,
            expected: None,
            doubtful: 0,
            failed: [0; FRAGMENT_MAX],
            failed_head: None,
            came: None,
            parties: Parties::default(),
        }
    }
}

impl Deframer {
    /// From now on frames may be of the session between these two ids; of none where one of them is 0. Those of others
    /// are told, too. Without this, frames of sessions are noise.
    pub fn bind(&mut self, me: u64, peer: u64) {
        self.parties.bind(me, peer);
    }

    /// Takes bytes from the wire; returns how many fitted (at least one frame's worth always does
    /// after [`Deframer::next_frame`] said none).
    pub fn push(&mut self, bytes: &[u8]) -> usize {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end + bytes.len() > CAPACITY {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let n = bytes.len().min(CAPACITY - self.end);
        self.buffer[self.end..self.end + n].copy_from_slice(&bytes[..n]);
        self.end += n;
        n
    }

    /// Forgets everything collected (the port was closed and opened again).
    pub fn reset(&mut self) {
        self.junk += (self.end - self.start) as u64;
        (self.start, self.end, self.synced, self.searched) = (0, 0, false, 0);
        (self.expected, self.doubtful, self.failed_head, self.came) = (None, 0, None, None);
        self.open.clear();
    }

    /// Whether bytes wait for the rest of their frame.
    pub fn is_partial(&self) -> bool {
        self.start < self.end
    }

    /// Bytes missing until the frame under way is whole; 0 when not known.
    pub fn missing(&self) -> usize {
        match self.look_head(self.start) {
            Some(head) if self.synced => head.frame_len().saturating_sub(self.end - self.start),
            _ => 0,
        }
    }
    fn look_head(&self, at: usize) -> Option<Head> {
        match *self.buffer.get(at..self.end)? {
            [PLAIN_SYNC, low, high, ..] => Head::parse(u16::from_le_bytes([low, high])),
            [_, _, _, _, low, high, ..] => Head::parse(u16::from_le_bytes([low, high])),
            _ => None,
        }
    }

    /// The wire fell silent inside a frame: from now on its head is no longer believed.
    pub fn doubt(&mut self) {
        self.synced = false;
    }

    /// The next good frame; none when more bytes are needed.
    pub fn next_frame(&mut self) -> Option<Found<'_>> {
        loop {
            match self.look(self.start) {
                Look::Whole { head, head_fixed } => {
                    if let Some(whose) = self.verify(self.start, head) {
                        return Some(self.yield_frame(self.start, Good { head, head_fixed, whose }));
                    }
                    self.bad += 1;
                    if self.synced || self.expected == Some(0) {
                        self.doubt_frame(head);
                    }
                    self.skip(1);
                }
                Look::Partial if self.synced || self.start == self.end => return None,
                Look::Partial => return self.search_behind(),
                Look::Nothing => {
                    self.damage += u64::from(self.synced);
                    self.skip(1);
                }
            }
        }
    }

    /// The candidate at `start` is incomplete and not to be trusted: a whole, good frame behind it
    /// wins. No position is tried again before something there can have changed.
    fn search_behind(&mut self) -> Option<Found<'_>> {
        let mut i = 0;
        while let Some(&ahead) = self.open.get(i) {
            match self.try_at(ahead) {
                Some(good) => return Some(self.yield_frame(self.start + ahead, good)),
                None if matches!(self.look(self.start + ahead), Look::Partial) => i += 1,
                None => drop(self.open.remove(i)),
            }
        }
        self.searched = self.searched.max(1);
        while self.start + self.searched < self.end && !self.open.is_full() {
            let ahead = self.searched;
            self.searched += 1;
            if let Some(good) = self.try_at(ahead) {
                return Some(self.yield_frame(self.start + ahead, good));
            }
            if matches!(self.look(self.start + ahead), Look::Partial) {
                let _ = self.open.push(ahead);
            }
        }
        None
    }

    fn try_at(&mut self, ahead: usize) -> Option<Good> {
        match self.look(self.start + ahead) {
            Look::Whole { head, head_fixed } => {
                self.verify(self.start + ahead, head).map(|whose| Good { head, head_fixed, whose })
            }
            _ => None,
        }
    }

    /// A frame failed where one was expected: damaged, if its end is where the next begins.
    fn doubt_frame(&mut self, head: Head) {
        // this head stands where the frame before it ended, so that one kept its length
        self.damage += self.doubtful;
        self.doubtful = 1 + head.level.parity().map_or(0, |code| code.repairs() as u64);
        self.expected = Some(head.frame_len() as isize);
        self.failed_head = (head.level == Level::Plain).then_some(head);
        if head.level == Level::Plain {
            let body = self.start + super::frame::PLAIN_HEAD;
            self.failed[..head.len + CHECK].copy_from_slice(&self.buffer[body..body + head.len + CHECK]);
        }
    }

    /// What came of the frame that failed before the one just found, if that can be told.
    pub fn take_fragment(&mut self) -> Option<Fragment<'_>> {
        let (came, head) = (self.came.take()?, self.failed_head.take()?);
        Some(Fragment { head, bytes: &self.failed[..came] })
    }
    /// Bytes from `start` on belong to no frame; those behind the claimed end of the one that failed
    /// may still be its own.
    fn pass(&mut self, n: usize) {
        let Some(expected) = self.expected else { return };
        for i in 0..n {
            let behind = i as isize - expected;
            if let (Some(head), 0..) = (self.failed_head, behind)
                && let Some(slot) = self.failed.get_mut(head.len + CHECK + behind as usize)
                && (behind as usize) < EXTRA_MAX
            {
                *slot = self.buffer[self.start + i];
            }
        }
        self.expected = Some(expected - n as isize);
    }
    /// A good frame begins here, so the one that failed ended here.
    fn end_of_failed(&mut self) {
        let (Some(head), Some(expected)) = (self.failed_head, self.expected) else { return };
        self.came = (head.len + CHECK).checked_add_signed(-expected).filter(|_| -expected <= EXTRA_MAX as isize);
    }

    fn skip(&mut self, n: usize) {
        self.pass(n);
        self.start += n;
        self.junk += n as u64;
        self.synced = false;
        self.searched = self.searched.saturating_sub(n);
        self.open.retain(|ahead| *ahead > n);
        self.open.iter_mut().for_each(|ahead| *ahead -= n);
    }

    fn yield_frame(&mut self, at: usize, good: Good) -> Found<'_> {
        let Good { head, head_fixed, whose } = good;
        self.pass(at - self.start);
        match core::mem::take(&mut self.doubtful) {
            0 => {}
            damage => {
                let in_place = self.expected == Some(0);
                self.damage += if in_place { damage } else { 0 };
                self.slips += u64::from(!in_place);
                self.end_of_failed();
            }
        }
        self.expected = None;
        self.corrected += head_fixed as u64;
        self.damage += head_fixed as u64;
        self.junk += (at - self.start) as u64;
        self.start = at + head.frame_len();
        self.synced = true;
        self.searched = 0;
        self.open.clear();
        let body = at + super::frame::body_at(head.level);
        Found { body: &self.buffer[body..body + head.len], head, whose }
    }

    fn look(&self, at: usize) -> Look {
        let bytes = &self.buffer[at..self.end];
        match bytes {
            [] => Look::Partial,
            [PLAIN_SYNC, rest @ ..] => match *rest {
                [low, high, sum, ..] => {
                    let word = u16::from_le_bytes([low, high]);
                    match Head::parse(word) {
                        Some(head) if head.level == Level::Plain && check::head(word) == sum => whole(head, 0, bytes.len()),
                        _ => look_armoured(bytes),
                    }
                }
                _ => Look::Partial,
            },
            _ => look_armoured(bytes),
        }
    }

    /// Whose frame the whole candidate at `at` is, if need be after repair; none where it is no frame.
    fn verify(&mut self, at: usize, head: Head) -> Option<Whose> {
        let start = at + super::frame::body_at(head.level);
        let off = Off::of(head, &self.buffer[start..]);
        let known = self.parties.known(head, off);
        if known.is_some() {
            return known;
        }
        let Some(code) = head.level.parity() else { return self.parties.stranger(head, off, false) };
        let end = at + head.frame_len();
        // repair a copy: a false candidate must not alter the bytes of a real frame
        let mut copy = [0u8; FRAME_MAX];
        let copy = &mut copy[..end - start];
        copy.copy_from_slice(&self.buffer[start..end]);
        let fixed = armour::repair(copy, head.len + CHECK, code)?;
        let off = Off::of(head, copy);
        let whose = self.parties.known(head, off).or_else(|| self.parties.stranger(head, off, fixed == 0))?;
        self.buffer[start..end].copy_from_slice(copy);
        self.corrected += fixed as u64;
        self.damage += fixed as u64;
        Some(whose)
    }
}

fn whole(head: Head, head_fixed: usize, available: usize) -> Look {
    if head.len > BODY_MAX || head.len < 2 {
        Look::Nothing
    } else if available < head.frame_len() {
        Look::Partial
    } else {
        Look::Whole { head, head_fixed }
    }
}

fn look_armoured(bytes: &[u8]) -> Look {
    let known = bytes.len().min(4);
    let wrong: u32 = bytes[..known].iter().zip(&ARMOUR_SYNC).map(|(a, b)| (a ^ b).count_ones()).sum();
    if wrong > SYNC_TOLERANCE {
        return Look::Nothing;
    }
    let Some(coded) = bytes.get(4..ARMOUR_HEAD) else { return Look::Partial };
    let mut six = [0u8; 6];
    six.copy_from_slice(coded);
    match armour::read_head(&six).and_then(|(word, fixed)| Some((Head::parse(word)?, fixed))) {
        Some((head, fixed)) if head.level != Level::Plain => whole(head, fixed, bytes.len()),
        _ => Look::Nothing,
    }
}

const _: () = assert!(PLAIN_HEAD < ARMOUR_HEAD && FRAME_MAX < CAPACITY);
