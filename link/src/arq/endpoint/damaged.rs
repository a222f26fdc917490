//! What came of damaged frames, kept until what is missing of them comes (PROTOCOL 4.7).

use crate::wire::deframe::FRAGMENT_MAX;
use crate::wire::frame::Head;
use crate::wire::segment::Parts;

/// Frames that are kept at most, the bytes of all of them, and those the peer was not told of yet. On a wire that damages
/// several in a round trip frames are short, and there is room for many.
const FRAMES: usize = 8;
const BYTES: usize = FRAGMENT_MAX;
const UNTOLD: usize = 4;

/// A damaged frame: its head, the number it seems to have, and where the payload begins in the body as sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    pub(super) head: Head,
    pub(super) tx: u16,
    pub(super) payload_at: usize,
    pub(super) came: usize,
}

/// The latest of them; the oldest give way.
#[derive(Clone, Debug)]
pub(super) struct Damaged {
    frames: heapless::Vec<Kept, FRAMES>,
    /// What came of them, one behind the other.
    bytes: [u8; BYTES],
    untold: heapless::Vec<Parts, UNTOLD>,
}

impl Default for Damaged {
    fn default() -> Self {
        Damaged { frames: heapless::Vec::new(), bytes: [0; BYTES], untold: heapless::Vec::new() }
    }
}

impl Damaged {
    /// Keeps a frame of which `bytes` came, and what is to be told of it.
    pub(super) fn keep(&mut self, kept: Kept, bytes: &[u8], parts: Parts) {
        if let Some(at) = self.find(kept.tx) {
            self.remove(at);
        }
        while self.frames.is_full() || self.untold.is_full() || self.used() + bytes.len() > BYTES {
            if self.frames.is_empty() {
                return;
            }
            self.remove(0);
        }
        let from = self.used();
        self.bytes[from..from + bytes.len()].copy_from_slice(bytes);
        let _ = self.frames.push(kept);
        let _ = self.untold.push(parts);
    }
    /// Takes the frame with this number out; what came of it goes to the beginning of `out`.
    pub(super) fn take(&mut self, tx: u16, out: &mut [u8; FRAGMENT_MAX]) -> Option<Kept> {
        let at = self.find(tx)?;
        let (kept, from) = (self.frames[at], self.start(at));
        out[..kept.came].copy_from_slice(&self.bytes[from..from + kept.came]);
        self.remove(at);
        Some(kept)
    }
    /// What is to be told of those that are still here, each once.
    pub(super) fn take_untold(&mut self) -> impl Iterator<Item = Parts> {
        core::mem::take(&mut self.untold).into_iter()
    }

    fn find(&self, tx: u16) -> Option<usize> {
        self.frames.iter().position(|kept| kept.tx == tx)
    }
    fn start(&self, at: usize) -> usize {
        self.frames[..at].iter().map(|kept| kept.came).sum()
    }
    fn used(&self) -> usize {
        self.start(self.frames.len())
    }
    fn remove(&mut self, at: usize) {
        let (from, used) = (self.start(at), self.used());
        let kept = self.frames.remove(at);
        self.bytes.copy_within(from + kept.came..used, from);
        self.untold.retain(|parts| parts.tx != kept.tx);
    }
}

#[cfg(feature = "explore")]
impl crate::explore::Digested for Damaged {
    fn digest(&self, to: &mut crate::explore::Digest) {
        let Damaged { frames, bytes, untold } = self;
        to.add(&bytes[..self.used()]);
        for Kept { head, tx, payload_at, came } in frames {
            to.add((head, payload_at, came));
            to.theirs(u64::from(*tx));
        }
        for Parts { tx, from_start, from_end } in untold {
            to.add((from_start, from_end));
            to.theirs(u64::from(*tx));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Level;

    fn keep(damaged: &mut Damaged, tx: u16, came: usize) {
        let parts = Parts { tx, from_start: heapless::Vec::new(), from_end: heapless::Vec::new() };
        let kept = Kept { head: Head::open(came, Level::Plain), tx, payload_at: 6, came };
        damaged.keep(kept, &[tx as u8; FRAGMENT_MAX][..came], parts);
    }

    #[test]
    fn keeps_the_latest_and_tells_of_no_other() {
        let (mut damaged, mut out) = (Damaged::default(), [0; FRAGMENT_MAX]);
        for tx in 1..=4 {
            keep(&mut damaged, tx, 1000);
        }
        assert_eq!(damaged.take(2, &mut out).map(|kept| kept.came), Some(1000));
        assert!(out[..1000].iter().all(|byte| *byte == 2));
        keep(&mut damaged, 5, 2000);
        // the first had to give way
        assert!(damaged.take(1, &mut out).is_none() && damaged.take(2, &mut out).is_none());
        assert_eq!(damaged.take_untold().map(|parts| parts.tx).collect::<heapless::Vec<_, 8>>(), [3, 4, 5]);
        for (tx, came) in [(4, 1000), (5, 2000), (3, 1000)] {
            assert_eq!(damaged.take(tx, &mut out).map(|kept| kept.came), Some(came));
            assert!(out[..came].iter().all(|byte| *byte == tx as u8), "{tx}");
        }
    }

    #[test]
    fn the_same_number_is_kept_once() {
        let (mut damaged, mut out) = (Damaged::default(), [0; FRAGMENT_MAX]);
        keep(&mut damaged, 7, 500);
        keep(&mut damaged, 7, 600);
        assert_eq!(damaged.take_untold().count(), 1);
        assert_eq!(damaged.take(7, &mut out).map(|kept| kept.came), Some(600));
        assert!(damaged.take(7, &mut out).is_none());
    }
}
