//! The incoming stream: puts pieces in order and says how much more can come.

use super::ranges::Ranges;
use super::ring::Ring;
use crate::wire::segment::OFFSET_BITS;
use crate::wire::seq;

/// Gaps that can be kept open; a piece beyond them counts as not arrived.
const FRAGMENTS: usize = 32;

/// The piece cannot be kept: outside the window, or too many gaps. It counts as not arrived.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused;

#[derive(Clone, Debug)]
pub(crate) struct RecvStream<B> {
    ring: Ring<B>,
    /// Everything below was read by the user.
    read: u64,
    /// Everything below arrived.
    next: u64,
    /// What arrived above.
    ahead: Ranges<FRAGMENTS>,
    end: Option<u64>,
    advertised: u64,
    /// The limit it began with.
    first: u64,
}

impl<B: AsRef<[u8]> + AsMut<[u8]>> RecvStream<B> {
    pub(crate) fn new(buffer: B) -> Self {
        let ring = Ring::new(buffer);
        let first = ring.capacity();
        RecvStream { advertised: first, first, ring, read: 0, next: 0, ahead: Ranges::new(), end: None }
    }
    pub(crate) fn capacity(&self) -> usize {
        self.ring.capacity() as usize
    }
    /// See [`Ring::widen`].
    pub(crate) fn widen(&mut self, buffer: B) -> B {
        // what has come stands below the limit
        self.ring.widen(buffer, self.read, self.limit())
    }
    pub(crate) fn readable(&self) -> usize {
        (self.next - self.read) as usize
    }
    /// Whether the user may have seen something of it: a byte, or that it has none.
    pub(crate) fn is_used(&self) -> bool {
        self.next > 0 || self.end == Some(0)
    }
    pub(crate) fn read_bytes(&self) -> u64 {
        self.read
    }
    pub(crate) fn read(&mut self, out: &mut [u8]) -> usize {
        let n = out.len().min(self.readable());
        self.ring.get(self.read, &mut out[..n]);
        self.read += n as u64;
        n
    }
    /// Everything was read and the stream has ended.
    pub(crate) fn at_end(&self) -> bool {
        self.end == Some(self.read)
    }
    pub(crate) fn limit(&self) -> u64 {
        self.read + self.ring.capacity()
    }
    /// Whether the peer should be told of a higher limit: a quarter of the window has become free.
    pub(crate) fn window_due(&self) -> bool {
        self.end.is_none() && self.limit() - self.advertised >= (self.ring.capacity() / 4).max(1)
    }
    /// The limit it began with. A BEGIN or ACCEPT that goes out again says this one, too: the peer may have had
    /// the first, and takes nothing from the second.
    pub(crate) fn first_limit(&self) -> u64 {
        self.first
    }
    /// The limit that was told.
    pub(crate) fn told(&self) -> u64 {
        self.advertised
    }
    /// The limit was told.
    pub(crate) fn window_told(&mut self) -> u64 {
        self.advertised = self.limit();
        self.advertised
    }
    /// A new peer begins from the start; nothing had arrived.
    pub(crate) fn restart(&mut self) {
        self.ahead.clear();
        self.end = None;
        self.advertised = self.ring.capacity();
    }

    /// Takes a piece at the wire offset; says whether anything in it was new.
    pub(crate) fn insert(&mut self, low: u32, payload: &[u8], fin: bool) -> Result<bool, Refused> {
        let start = seq::expand(low, OFFSET_BITS, self.next);
        let end = start + payload.len() as u64;
        if end > self.limit() || self.end.is_some_and(|e| end > e || (fin && end != e)) {
            return Err(Refused);
        }
        let mut fresh = false;
        if end > self.next {
            let skip = self.next.saturating_sub(start);
            self.ahead.insert(start + skip, end).map_err(|_| Refused)?;
            self.ring.put(start + skip, &payload[skip as usize..]);
            if let Some((from, to)) = self.ahead.first()
                && from <= self.next
            {
                self.next = to;
                self.ahead.remove(from, to);
            }
            fresh = true;
        }
        if fin && self.end.is_none() {
            self.end = Some(end);
            fresh = true;
        }
        Ok(fresh)
    }
}

#[cfg(feature = "explore")]
impl<B: AsRef<[u8]> + AsMut<[u8]>> crate::explore::Digested for RecvStream<B> {
    fn digest(&self, to: &mut crate::explore::Digest) {
        let RecvStream { ring, read, next, ahead, end, advertised, first } = self;
        to.add((read, next, ahead, end, advertised, first));
        ring.digest(to);
    }
}

#[cfg(test)]
mod tests {
    extern crate alloc;
    use super::*;
    use alloc::vec;

    #[test]
    fn a_longer_buffer_keeps_what_has_come() {
        let mut r = RecvStream::new(vec![0u8; 8]);
        // read past the end of the ring once, so that it begins in its middle, and leave a gap
        assert_eq!(r.insert(0, b"abcdef", false), Ok(true));
        assert_eq!(r.read(&mut [0; 5]), 5);
        assert_eq!(r.insert(10, b"kl", false), Ok(true));
        assert_eq!((r.limit(), r.first_limit(), r.window_due()), (13, 8, true));
        assert_eq!(r.widen(vec![0; 8]).len(), 8, "no longer than the one there is");
        assert_eq!(r.widen(vec![0; 100]).len(), 8);
        assert_eq!((r.limit(), r.first_limit(), r.capacity()), (105, 8, 100));
        assert_eq!(r.insert(6, b"ghij", false), Ok(true));
        assert_eq!(r.insert(12, &[b'x'; 90], true), Ok(true));
        let mut out = [0; 200];
        let n = r.read(&mut out);
        assert_eq!(&out[..7], b"fghijkl");
        assert!(n == 97 && out[7..n].iter().all(|byte| *byte == b'x') && r.at_end());
    }

    #[test]
    fn orders_pieces_and_keeps_the_window() {
        let mut r = RecvStream::new([0u8; 8]);
        assert_eq!(r.insert(4, b"efgh", true), Ok(true));
        assert_eq!(r.readable(), 0);
        assert_eq!(r.insert(5, b"fghi", false), Err(Refused)); // beyond the window and the end
        assert_eq!(r.insert(0, b"abcd", false), Ok(true));
        assert_eq!(r.insert(0, b"abcd", false), Ok(false));
        let mut out = [0; 9];
        assert_eq!(r.read(&mut out), 8);
        assert_eq!(&out[..8], b"abcdefgh");
        assert!(r.at_end());
    }
}
