//! The receiving side of sealed sessions: whose a frame is, whether it was there before, and only then
//! what it says. Nothing is kept of what no key opens.

use alloc::boxed::Box;
use alloc::vec::Vec;

use link::Instant;
use link::wire::seal::Key;
use link::wire::{Head, seq};

use crate::seal::{Form, OpenBeacon, Sealed, Unreadable, session_key};

/// How far behind the newest a frame may come by a path that reorders (UDP).
pub const WINDOW: u64 = 1024;
/// Beacons of unknown sessions whose handshake is computed, per second: each costs about a quarter of a
/// millisecond and key, and anybody can make them.
const HANDSHAKES: u32 = 64;

/// What gives the seed of a session.
pub trait Unlock: core::fmt::Debug {
    /// The seed that a beacon of this form and session carries in `message`; none when it is for another key.
    fn seed(&self, form: Form, session: u64, message: &[u8]) -> Option<Key>;
}

/// A secret that both ends share.
#[derive(Debug)]
pub struct Psk(pub Key);

impl Unlock for Psk {
    fn seed(&self, form: Form, _: u64, _: &[u8]) -> Option<Key> {
        (form == Form::Psk).then(|| self.0.clone())
    }
}

/// What must be remembered of a sender over restarts, so that no recording of it is ever taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// The newest session that was accepted; 0 when none was.
    pub session: u64,
    /// Frames of that session below this number are not taken any more.
    pub next: u64,
}

impl Heard {
    /// The session was followed by another one and is over.
    const OVER: u64 = u64::MAX;
}

/// A sender that may be heard: what opens its sessions, and what was heard of it.
#[derive(Debug)]
pub struct Sender {
    /// Its keys.
    pub unlock: Vec<Box<dyn Unlock + Send>>,
    /// What is known of it from before.
    pub heard: Heard,
}

/// A sealed frame, looked at.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Its plain body stands in the buffer; this is its full counter.
    Authentic(u64),
    /// The same, and with it begins a session of this sender.
    Begins { sender: usize, session: u64, counter: u64 },
    /// Authentic, but it was there before, or is older than what was there; `recent` when a network that
    /// doubles or delays frames explains it.
    Replayed { sender: usize, session: u64, recent: bool },
    /// No key opens it.
    Refused,
    /// Of a session that is not known.
    Foreign,
    /// A beacon of another version.
    Version(u8),
}

#[derive(Debug)]
struct Current {
    sender: usize,
    session: u64,
    key: Key,
    window: Window,
}

/// The senders that may be heard, and the session that is.
#[derive(Debug)]
pub(crate) struct Unseal {
    senders: Vec<Sender>,
    current: Option<Current>,
    handshakes: u32,
    second: Instant,
}

impl Unseal {
    pub(crate) fn new(senders: Vec<Sender>, now: Instant) -> Unseal {
        Unseal { senders, current: None, handshakes: 0, second: now }
    }

    /// What is to be remembered, in the order of the senders.
    pub(crate) fn heard(&self) -> impl Iterator<Item = Heard> {
        self.senders.iter().map(|s| s.heard)
    }

    /// Looks at a sealed body; what it says goes to `out` once it proved authentic and new. `reorders`
    /// when frames may overtake each other on their path.
    pub(crate) fn look(&mut self, head: Head, body: &[u8], reorders: bool, now: Instant, out: &mut Vec<u8>) -> Verdict {
        let sealed = match Sealed::parse(head, body) {
            Ok(sealed) => sealed,
            Err(Unreadable::Malformed) => return Verdict::Refused,
            Err(Unreadable::Version(version)) => return Verdict::Version(version),
        };
        out.resize(sealed.plain_len(), 0);
        let known = self.current.as_mut().filter(|c| c.session as u32 == sealed.session_tag);
        let known = known.filter(|c| sealed.beacon.is_none_or(|b| b.session == c.session));
        if let Some(current) = known {
            let counter = sealed.beacon.map_or_else(|| seq::expand(sealed.low, 24, current.window.next), |b| b.counter);
            if sealed.open(&current.key, counter, out) {
                let (sender, session) = (current.sender, current.session);
                if !current.window.take(counter, reorders) {
                    let recent = reorders && current.window.is_recent(counter);
                    return Verdict::Replayed { sender, session, recent };
                }
                self.senders[sender].heard.next = current.window.next;
                return Verdict::Authentic(counter);
            }
            return Verdict::Refused;
        }
        match sealed.beacon {
            Some(beacon) => self.stranger(&sealed, &beacon, now, out),
            None => Verdict::Foreign,
        }
    }

    /// A beacon of another session than the present one.
    fn stranger(&mut self, sealed: &Sealed<'_>, beacon: &OpenBeacon<'_>, now: Instant, out: &mut [u8]) -> Verdict {
        if beacon.form != Form::Psk && !self.may_compute(now) {
            return Verdict::Refused;
        }
        let mut found = None;
        let unlocks = self.senders.iter().enumerate().flat_map(|(i, s)| s.unlock.iter().map(move |unlock| (i, unlock)));
        for (i, unlock) in unlocks {
            let Some(seed) = unlock.seed(beacon.form, beacon.session, beacon.message) else { continue };
            let key = session_key(&seed, beacon.session);
            if sealed.open(&key, beacon.counter, out) {
                found = Some((i, key));
                break;
            }
        }
        let Some((sender, key)) = found else { return Verdict::Refused };
        let Heard { session, next } = self.senders[sender].heard;
        if beacon.session < session || (beacon.session == session && beacon.counter < next) {
            return Verdict::Replayed { sender, session: beacon.session, recent: false };
        }
        let mut window = Window::new(if beacon.session == session { next } else { 0 });
        window.take(beacon.counter, false);
        if let Some(before) = self.current.take().filter(|before| before.sender != sender) {
            self.senders[before.sender].heard.next = Heard::OVER;
        }
        self.senders[sender].heard = Heard { session: beacon.session, next: window.next };
        self.current = Some(Current { sender, session: beacon.session, key, window });
        Verdict::Begins { sender, session: beacon.session, counter: beacon.counter }
    }

    fn may_compute(&mut self, now: Instant) -> bool {
        if now.since(self.second) >= 1_000_000 {
            (self.handshakes, self.second) = (0, now);
        }
        self.handshakes += 1;
        self.handshakes <= HANDSHAKES
    }
}

/// Which of the latest frames have come.
#[derive(Debug)]
struct Window {
    /// One above the newest.
    next: u64,
    /// Frames below are not taken.
    floor: u64,
    seen: [u64; WINDOW as usize / 64],
}

impl Window {
    fn new(floor: u64) -> Window {
        Window { next: floor, floor, seen: [0; WINDOW as usize / 64] }
    }
    fn bit(n: u64) -> (usize, u64) {
        ((n % WINDOW) as usize / 64, 1 << (n % 64))
    }
    fn is_recent(&self, n: u64) -> bool {
        n + WINDOW >= self.next
    }
    /// Notes frame `n`; false when it may not be taken (again).
    fn take(&mut self, n: u64, reorders: bool) -> bool {
        let (word, bit) = Window::bit(n);
        if n < self.next {
            let old = !reorders || n < self.floor || !self.is_recent(n) || self.seen[word] & bit != 0;
            if !old {
                self.seen[word] |= bit;
            }
            return !old;
        }
        if n - self.next >= WINDOW {
            self.seen = [0; WINDOW as usize / 64];
        } else {
            for between in self.next..n {
                let (word, bit) = Window::bit(between);
                self.seen[word] &= !bit;
            }
        }
        self.seen[word] |= bit;
        self.next = n + 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_takes_each_frame_once() {
        let mut random = link::sim::Random::new(1);
        let (mut window, mut taken, mut newest) = (Window::new(5), alloc::collections::BTreeSet::new(), 0);
        for _ in 0..200_000 {
            let n = (newest + random.below(3)).saturating_sub(random.below(1500) * random.below(2))
                + random.below(2000) * u64::from(random.below(500) == 0);
            let new = n >= 5 && !taken.contains(&n) && (taken.is_empty() || n + WINDOW > newest);
            assert_eq!(window.take(n, true), new, "{n} of {newest}");
            if new {
                taken.insert(n);
                newest = newest.max(n);
            }
            assert_eq!(window.next, newest.max(4) + 1);
        }
        assert!(taken.len() > 10_000);
        assert!(!window.take(newest - 3, false) && window.take(newest + 1, false));
    }
}
