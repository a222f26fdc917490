//! (feature `explore`) What tells one state of a link from another, for a search over all schedules that merges
//! states which will behave alike. Each type digests its own fields, all of them named, so that a new one is thought of.

use core::hash::{Hash, Hasher};

use crate::time::Instant;

/// Moments further back than this are alike (µs): no timer reaches so far.
const PAST_US: i64 = 10_000_000;
/// Transmissions further back than this are alike.
const OLD: i64 = 24;

/// Takes in a state field by field, and comes to one number. Times count from now, transmissions from the next one of
/// their sender, so that a state is itself again when all it did was wait and say so.
#[derive(Clone, Debug)]
pub struct Digest {
    hash: u64,
    now: Instant,
    ours: u64,
    theirs: u64,
}

impl Digest {
    /// Of a state at this moment.
    pub fn new(now: Instant) -> Digest {
        Digest { hash: 0xCBF2_9CE4_8422_2325, now, ours: 0, theirs: 0 }
    }
    /// From now on: the next transmission of the end that is digested, and of its peer.
    pub fn count_from(&mut self, ours: u64, theirs: u64) {
        (self.ours, self.theirs) = (ours, theirs);
    }
    /// Something that is as it is.
    pub fn add(&mut self, value: impl Hash) {
        value.hash(self);
    }
    /// A moment, before or behind now.
    pub fn time(&mut self, at: Instant) {
        self.add((at.as_micros() as i64).wrapping_sub(self.now.as_micros() as i64).max(-PAST_US));
    }
    /// One that may not be set.
    pub fn maybe(&mut self, at: Option<Instant>) {
        self.add(at.is_some());
        at.into_iter().for_each(|at| self.time(at));
    }
    /// A transmission of the end that is digested.
    pub fn ours(&mut self, tx: u64) {
        self.add((self.ours as i64).wrapping_sub(tx as i64).clamp(-OLD, OLD));
    }
    /// A transmission of its peer.
    pub fn theirs(&mut self, tx: u64) {
        self.add((self.theirs as i64).wrapping_sub(tx as i64).clamp(-OLD, OLD));
    }
    /// The moment it is taken at.
    pub(crate) fn now(&self) -> Instant {
        self.now
    }
}

impl Hasher for Digest {
    fn finish(&self) -> u64 {
        self.hash ^ self.hash >> 32
    }
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }
    fn write_u8(&mut self, n: u8) {
        self.write_u64(u64::from(n));
    }
    fn write_u16(&mut self, n: u16) {
        self.write_u64(u64::from(n));
    }
    fn write_u32(&mut self, n: u32) {
        self.write_u64(u64::from(n));
    }
    fn write_u64(&mut self, n: u64) {
        let mixed = (self.hash ^ n).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.hash = mixed ^ mixed >> 29;
    }
    fn write_usize(&mut self, n: usize) {
        self.write_u64(n as u64);
    }
}

/// What can be told from others of its kind.
pub(crate) trait Digested {
    fn digest(&self, to: &mut Digest);
}
