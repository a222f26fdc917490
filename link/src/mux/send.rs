//! The outgoing stream: what was written, sent, acknowledged, and must be sent again.

use heapless::Deque;

use super::ranges::Ranges;
use super::ring::Ring;

/// Fragments of the stream that can be told apart; beyond it more is sent again than need be.
const FRAGMENTS: usize = 32;

/// A piece of the stream to send: `start..end`, and whether the stream ends behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Hash)]
pub(crate) struct Piece {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) fin: bool,
}

/// Pieces of which only a part has to be sent again, at most.
const FILLS: usize = 8;

/// What was missing at the peer of a piece that went out as transmission `tx` of a path: `from..to` of
/// its bytes. Once that has arrived there, all of the piece has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fill {
    pub(crate) path: u8,
    pub(crate) tx: u64,
    pub(crate) piece: Piece,
    pub(crate) from: u16,
    pub(crate) to: u16,
}

impl Piece {
    pub(crate) fn len(self) -> u64 {
        self.end - self.start
    }
}

#[derive(Clone, Debug)]
pub(crate) struct SendStream<B> {
    ring: Ring<B>,
    /// Everything below is acknowledged.
    base: u64,
    /// Everything below was sent at least once.
    next: u64,
    /// Everything below was written by the user.
    end: u64,
    /// The peer takes data below this offset.
    limit: u64,
    acked: Ranges<FRAGMENTS>,
    lost: Ranges<FRAGMENTS>,
    fills: Deque<Fill, FILLS>,
    finished: bool,
    fin_sent: bool,
    fin_acked: bool,
}

impl<B: AsRef<[u8]> + AsMut<[u8]>> SendStream<B> {
    pub(crate) fn new(buffer: B) -> Self {
        SendStream {
            ring: Ring::new(buffer),
            base: 0,
            next: 0,
            end: 0,
            limit: 0,
            acked: Ranges::new(),
            lost: Ranges::new(),
            fills: Deque::new(),
            finished: false,
            fin_sent: false,
            fin_acked: false,
        }
    }
    pub(crate) fn capacity(&self) -> usize {
        self.ring.capacity() as usize
    }
    /// See [`Ring::widen`].
    pub(crate) fn widen(&mut self, buffer: B) -> B {
        self.ring.widen(buffer, self.base, self.end)
    }
    pub(crate) fn queued(&self) -> u64 {
        self.end - self.base
    }
    pub(crate) fn writable(&self) -> usize {
        if self.finished { 0 } else { (self.ring.capacity() - (self.end - self.base)) as usize }
    }
    pub(crate) fn write(&mut self, bytes: &[u8]) -> usize {
        let n = bytes.len().min(self.writable());
        self.ring.put(self.end, &bytes[..n]);
        self.end += n as u64;
        n
    }
    pub(crate) fn finish(&mut self) {
        self.finished = true;
    }
    pub(crate) fn acked_bytes(&self) -> u64 {
        self.base
    }
    pub(crate) fn sent_end(&self) -> u64 {
        self.next
    }
    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }
    pub(crate) fn raise_limit(&mut self, limit: u64) {
        self.limit = self.limit.max(limit);
    }
    /// The user has ended the stream.
    pub(crate) fn is_ended(&self) -> bool {
        self.finished
    }
    /// The peer says it has everything, the end included.
    pub(crate) fn delivered(&mut self) {
        (self.base, self.next, self.fin_sent, self.fin_acked) = (self.end, self.end, true, true);
        self.acked.clear();
        self.lost.clear();
        self.fills.clear();
    }
    /// Bytes that wait, new or to be sent again, whatever the peer would take.
    pub(crate) fn waiting(&self) -> u64 {
        self.end - self.next + self.lost.total()
    }
    /// Everything, the end included, is acknowledged.
    pub(crate) fn is_done(&self) -> bool {
        self.fin_acked && self.base == self.end
    }
    /// Everything is to be sent anew to a new peer: nothing was acknowledged.
    pub(crate) fn restart(&mut self) {
        (self.next, self.limit, self.fin_sent, self.fin_acked) = (0, 0, false, false);
        self.acked.clear();
        self.lost.clear();
        self.fills.clear();
    }

    /// New bytes that could be sent now.
    pub(crate) fn fresh(&self) -> usize {
        self.end.min(self.limit).saturating_sub(self.next) as usize
    }
    /// Whether something waits to be sent again on this path, or the end has to be told.
    pub(crate) fn urgent(&self, path: u8) -> bool {
        !self.lost.is_empty() || self.fills.iter().any(|fill| fill.path == path) || self.fin_due()
    }
    fn fin_due(&self) -> bool {
        self.finished && !self.fin_sent && self.next == self.end
    }

    /// A part of a piece is to be sent again; false when there is no room for it.
    pub(crate) fn fill(&mut self, fill: Fill) -> bool {
        fill.piece.start >= self.base && self.fills.push_back(fill).is_ok()
    }
    /// The next fill of this path, of at most `max` bytes; a longer one is lost as a whole.
    pub(crate) fn take_fill(&mut self, path: u8, max: usize) -> Option<Fill> {
        for _ in 0..self.fills.len() {
            let fill = self.fills.pop_front()?;
            if fill.path != path {
                let _ = self.fills.push_back(fill);
            } else if usize::from(fill.to - fill.from) <= max {
                return Some(fill);
            } else {
                self.lost(fill.piece);
            }
        }
        None
    }
    /// This path is gone: what it was to fill is lost as a whole.
    pub(crate) fn drop_fills(&mut self, path: u8) {
        while self.take_fill(path, 0).is_some() {}
    }
    /// The next piece of at most `max` bytes; says whether it is a repeat.
    pub(crate) fn take(&mut self, max: usize) -> Option<(Piece, bool)> {
        let (start, end, repeat) = match self.lost.first() {
            Some((from, to)) => {
                let end = to.min(from + max as u64);
                self.lost.remove(from, end);
                (from, end, true)
            }
            None => {
                let end = self.next + self.fresh().min(max) as u64;
                (self.next, end, false)
            }
        };
        self.next = self.next.max(end);
        let fin = self.finished && end == self.end && !self.fin_acked && (start < end || !self.fin_sent);
        self.fin_sent |= fin;
        if start == end && !fin { None } else { Some((Piece { start, end, fin }, repeat)) }
    }
    /// Whether its bytes are still here.
    pub(crate) fn holds(&self, piece: Piece) -> bool {
        piece.start >= self.base && piece.end <= self.end
    }
    pub(crate) fn copy(&self, piece: Piece, out: &mut [u8]) {
        self.ring.get(piece.start, out);
    }

    pub(crate) fn acknowledged(&mut self, piece: Piece) {
        self.fin_acked |= piece.fin;
        if self.acked.insert(piece.start.max(self.base), piece.end).is_err() {
            self.lost.insert_covering(piece.start.max(self.base), piece.end);
            return;
        }
        self.lost.remove(piece.start, piece.end);
        if let Some((from, to)) = self.acked.first()
            && from <= self.base
        {
            self.base = self.base.max(to);
            self.acked.remove(from, to);
        }
        self.lost.remove(0, self.base);
    }

    pub(crate) fn lost(&mut self, piece: Piece) {
        if piece.fin && !self.fin_acked {
            self.fin_sent = false;
        }
        let from = piece.start.max(self.base);
        self.lost.insert_covering(from, piece.end);
        // what a covering range or another copy already settled need not go again
        if let Some((a, b)) = self.acked.first() {
            self.lost.remove(a, b);
        }
    }
}

#[cfg(feature = "explore")]
impl<B: AsRef<[u8]> + AsMut<[u8]>> crate::explore::Digested for SendStream<B> {
    fn digest(&self, to: &mut crate::explore::Digest) {
        // what the buffer holds follows from the offsets and the user
        let SendStream { ring: _, base, next, end, limit, acked, lost, fills, finished, fin_sent, fin_acked } = self;
        to.add((base, next, end, limit, acked, lost));
        to.add((finished, fin_sent, fin_acked));
        for Fill { path, tx, piece, from, to: end } in fills {
            to.ours(*tx);
            to.add((path, piece, from, end));
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate alloc;
    use super::*;
    use alloc::vec;

    #[test]
    fn repeats_what_was_lost_and_ends_once_all_is_acknowledged() {
        let mut s = SendStream::new([0u8; 100]);
        s.raise_limit(1000);
        assert_eq!(s.write(&[7; 150]), 100);
        s.finish();
        let (a, _) = s.take(60).unwrap();
        let (b, _) = s.take(60).unwrap();
        assert_eq!((b.start, b.end, b.fin), (60, 100, true));
        assert!(s.take(60).is_none());
        s.acknowledged(b);
        s.lost(a);
        let (again, repeat) = s.take(1000).unwrap();
        assert_eq!((again.start, again.end, again.fin, repeat), (0, 60, false, true));
        s.acknowledged(again);
        assert!(s.is_done());
    }

    #[test]
    fn a_longer_buffer_keeps_what_is_not_acknowledged() {
        let mut s = SendStream::new(vec![0u8; 10]);
        s.raise_limit(1000);
        assert_eq!(s.write(b"0123456789"), 10);
        let (first, _) = s.take(7).unwrap();
        s.acknowledged(first);
        assert_eq!(s.write(b"abcdefg"), 7);
        assert_eq!(s.widen(vec![0; 10]).len(), 10, "no longer than the one there is");
        assert_eq!(s.widen(vec![0; 64]).len(), 10);
        assert_eq!((s.capacity(), s.writable()), (64, 54));
        assert_eq!(s.write(b"hij"), 3);
        let (rest, _) = s.take(100).unwrap();
        let mut out = [0; 13];
        s.copy(rest, &mut out);
        assert_eq!((rest.start, &out), (7, b"789abcdefghij"));
    }

    #[test]
    fn the_end_is_told_to_the_next_peer_too() {
        let mut s = SendStream::new([0u8; 10]);
        s.finish();
        let (fin, _) = s.take(5).unwrap();
        s.acknowledged(fin);
        s.restart();
        assert!(s.urgent(0));
        assert_eq!(s.take(5), Some((fin, false)));
    }

    #[test]
    fn a_lost_end_is_told_again() {
        let mut s = SendStream::new([0u8; 10]);
        s.raise_limit(10);
        s.finish();
        let (fin, _) = s.take(5).unwrap();
        assert!(s.take(5).is_none());
        s.lost(fin);
        assert!(s.urgent(0));
        assert_eq!(s.take(5).unwrap().0, fin);
    }
}
