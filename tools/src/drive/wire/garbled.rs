//! A wire that swallows, doubles or changes certain bytes: a terminal server in telnet mode, XON/XOFF, 7 bits. Frames come damaged
//! and nothing gets through, for which no key and no rate is to blame.

use std::time::{Duration, Instant};

use link::{State, Stats};

use super::Wire;
use super::watch::OPENING_BYTES;
use crate::error::{Kind, kinds};
use crate::limit;

/// Nothing has got through for so long, or for half the grace time: worth a word.
const STALLED: Duration = Duration::from_secs(10);
/// So many frames came damaged, or were sent again, meanwhile; and one of so many that came.
const SPOILED: u64 = 8;
/// Damaged frames of a peer that calls, and so many bytes for each at most: rubbish looks like the head of one less often.
const CALLS: u64 = 2;
const CALL_BYTES: u64 = 1000;
/// Bytes, and different ones among them, that show whether there are eight bits.
const SEEN: u64 = 200;
const DIFFERENT: u32 = 24;
/// What may be done to them.
const CERTAIN: &str = "does the wire swallow, double or change certain bytes (XON/XOFF, 0xFF of telnet mode, 7 bits)? 'hardline test' at both ends tells";

/// What passes, and what does not.
#[derive(Debug)]
pub(super) struct Garbled {
    /// The counters when something got through last, and when that was.
    then: Stats,
    since: Instant,
    told: bool,
    /// Calls came damaged: so may ours. And since when this end calls by the session it has, or that it had one that was open.
    calls: bool,
    calling_since: Instant,
    opened: bool,
    /// Bytes that came while there was no session, and which of them: by their values.
    seen: u64,
    values: [u64; 4],
}

impl Garbled {
    pub(super) fn new() -> Garbled {
        let now = Instant::now();
        Garbled {
            then: Stats::default(),
            since: now,
            told: false,
            calls: false,
            calling_since: now,
            opened: false,
            seen: 0,
            values: [0; 4],
        }
    }
    /// These bytes came, of which none may be of a frame.
    pub(super) fn see(&mut self, bytes: &[u8]) {
        self.seen += bytes.len() as u64;
        for byte in bytes {
            self.values[usize::from(byte / 64)] |= 1 << (byte % 64);
        }
    }
    /// Whether they have only seven bits, and are no text: that has few control characters.
    fn has_seven_bits(&self) -> bool {
        let different: u32 = self.values.iter().map(|values| values.count_ones()).sum();
        let control = (self.values[0] as u32).count_ones();
        self.seen >= SEEN && self.values[2..] == [0, 0] && different >= DIFFERENT && control >= DIFFERENT / 3
    }
    /// Something got through, or there is nothing to get through.
    fn restart(&mut self, stats: Stats) {
        (self.then, self.since) = (stats, Instant::now());
    }
    /// Frames since then that were damaged, or sent again; none if too few to tell, or if most that came are whole.
    fn spoiled(&self, stats: &Stats) -> Option<u64> {
        let spoiled = stats.frames_bad.saturating_sub(self.then.frames_bad) + stats.resends.saturating_sub(self.then.resends);
        let came = stats.frames_in.saturating_sub(self.then.frames_in);
        (came > 0 && spoiled >= SPOILED && spoiled * SPOILED >= came).then_some(spoiled)
    }
}

/// Whether frames come of a peer that calls, and are damaged more often than noise would do it.
fn are_calls_damaged(stats: &Stats) -> bool {
    let bad = stats.frames_bad.saturating_sub(stats.alien);
    bad >= CALLS && bad * CALL_BYTES >= stats.wire_in && bad * 4 >= stats.frames_in
}

impl<const C: usize> Wire<C> {
    /// A session is open, both ends are heard, and what they send does not get through: says so once.
    pub(super) fn watch_garbled(&mut self) {
        let stats = self.link.stats();
        self.garbled.opened |= self.link.state() == State::Open;
        let then = &self.garbled.then;
        let passed = (stats.bytes_in, stats.bytes_out) != (then.bytes_in, then.bytes_out);
        if self.link.state() != State::Open || passed {
            self.garbled.told &= !passed;
            return self.garbled.restart(stats);
        }
        let seconds = self.garbled.since.elapsed();
        if self.garbled.told || seconds < STALLED.min(self.settings.grace / 2).max(self.time_of(OPENING_BYTES)) {
            return;
        }
        if let Some(spoiled) = self.garbled.spoiled(&stats) {
            self.garbled.told = true;
            let (port, seconds) = (self.spec(), seconds.as_secs());
            let words = format!(
                "{port}: nothing has got through for {seconds} s, {spoiled} frames came damaged or were sent in vain: {CERTAIN}"
            );
            limit::warn(&kinds::BYTES_ALTERED, words);
        }
    }
    /// A call has the same bytes each time, and if one of them is spoiled it never gets through: one of another session may. Nothing was
    /// given to this one yet.
    pub(super) fn call_anew(&mut self) {
        let calling = !self.garbled.opened && matches!(self.link.state(), State::Opening | State::Greeting);
        self.garbled.calls |= calling && are_calls_damaged(&self.link.stats());
        if !calling || !self.garbled.calls || self.garbled.calling_since.elapsed() < 2 * self.opens_within() {
            return;
        }
        self.garbled.calling_since = Instant::now();
        match super::begin(self.streams, &self.settings, &self.lines, self.clock.now()) {
            Ok(link) => self.link = link,
            Err(failure) => self.end(failure),
        }
    }
    /// What is to be said of bytes of which none are frames, where that is the wire's doing.
    pub(super) fn garbled_call(&self, stats: &Stats) -> Option<(Kind, String)> {
        let (port, bytes) = (self.spec(), stats.wire_in);
        let words = if self.garbled.has_seven_bits() {
            format!("{port}: {bytes} bytes arrived, none with its highest bit set: has a port on the way 7 data bits?")
        } else if self.garbled.calls {
            format!("{port}: {bytes} bytes arrived, with frames in them of which none was whole: {CERTAIN}")
        } else {
            return None;
        };
        Some((kinds::BYTES_ALTERED, words))
    }
    /// Why no session opens with a peer that is heard, where that is the wire's doing.
    pub(super) fn garbled_peer(&self) -> Option<String> {
        self.garbled.calls.then(|| format!("the peer is heard, but its frames come damaged: {CERTAIN}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seven_bits_are_told_from_text() {
        let seven = |bytes: &[u8]| {
            let mut garbled = Garbled::new();
            (0..20).for_each(|_| garbled.see(bytes));
            garbled.has_seven_bits()
        };
        let frame: Vec<u8> = (0..64u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 21) as u8).collect();
        assert!(!seven(&frame));
        let stripped: Vec<u8> = frame.iter().map(|byte| byte & 0x7F).collect();
        assert!(seven(&stripped));
        assert!(!seven(b"\x1b[1;32mU-Boot 2026.01 (Nov 21 2026)\r\n\tDRAM: 512 MiB\r\nlogin: \x07\x08"));
        assert!(!seven(&[0; 64]), "a line that is held low");
        assert!(!seven(&stripped[..8]), "too few different ones to tell");
    }

    #[test]
    fn a_reader_that_stands_still_is_no_fault_of_the_wire() {
        let garbled = Garbled::new();
        let stats = |frames_in, frames_bad, resends| Stats { frames_in, frames_bad, resends, ..Stats::default() };
        // signs of life for hours, a few of them hit by noise
        assert_eq!(garbled.spoiled(&stats(10_000, 20, 20)), None);
        // an outage: nothing comes at all
        assert_eq!(garbled.spoiled(&stats(0, 0, 100)), None);
        // signs of life, and data that never arrive
        assert_eq!(garbled.spoiled(&stats(40, 0, 30)), Some(30));
        assert_eq!(garbled.spoiled(&stats(20, 60, 0)), Some(60));
    }

    #[test]
    fn rubbish_is_no_damaged_call() {
        let stats = |wire_in, frames_bad, alien| Stats { wire_in, frames_bad, alien, ..Stats::default() };
        assert!(are_calls_damaged(&stats(500, 3, 0)));
        assert!(!are_calls_damaged(&stats(200_000, 3, 0)));
        assert!(!are_calls_damaged(&stats(500, 3, 3)), "of another command");
    }
}
