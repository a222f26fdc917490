//! The sending end of a stream: cuts it into pieces, and adds parity to each group.

use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;

use fec::reed_solomon::ReedSolomon;
use fec::{Block, Code};
use link::Instant;

use crate::wire::Shape;

/// A piece that is not full leaves after this (µs).
const HOLD_US: u64 = 20_000;
/// Data frames that may wait for the wire before the writer has to.
const QUEUE_MAX: usize = 64;
/// Parity shards of a block with few data shards, at least.
const PARITY_MIN: usize = 5;

/// One shard on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Group, from 0.
    pub group: u32,
    /// Place in the group.
    pub place: u16,
    /// Data pieces of the group, 0 while not known.
    pub pieces: u16,
    /// Where the piece begins in the stream; of parity, where its group does.
    pub offset: u64,
    /// Its bytes.
    pub payload: Vec<u8>,
    /// Not before this moment.
    pub due: Instant,
}

/// The sending end of a stream.
#[derive(Debug)]
pub struct StreamSender {
    shape: Shape,
    survive_us: u64,
    group: u32,
    /// Pieces of the open group, each with its length in front and filled up with zeros.
    pieces: Vec<Vec<u8>>,
    opened: Option<Instant>,
    last: Instant,
    fill: Vec<u8>,
    fill_since: Option<Instant>,
    queue: VecDeque<Shard>,
    parity: VecDeque<Shard>,
    written: u64,
    /// Bytes in the pieces made so far, and where the open group begins.
    cut: u64,
    group_offset: u64,
    finished: bool,
}

impl StreamSender {
    /// A stream of this shape that is to survive outages of `survive_us`.
    ///
    /// # Panics
    /// When the shape is not legal or has no data shards.
    pub fn new(shape: Shape, survive_us: u64, now: Instant) -> StreamSender {
        assert!(shape.is_legal() && shape.data > 0, "a stream needs a legal shape");
        StreamSender {
            shape,
            survive_us,
            group: 0,
            pieces: Vec::new(),
            opened: None,
            last: now,
            fill: Vec::new(),
            fill_since: None,
            queue: VecDeque::new(),
            parity: VecDeque::new(),
            written: 0,
            cut: 0,
            group_offset: 0,
            finished: false,
        }
    }

    fn room(&self) -> usize {
        usize::from(self.shape.len) - 2
    }
    fn group_pieces(&self) -> usize {
        usize::from(self.shape.data) * usize::from(self.shape.depth)
    }

    /// Adds to the stream; returns how much was taken. 0 when the wire has to catch up first.
    pub fn write(&mut self, bytes: &[u8], now: Instant) -> usize {
        let mut taken = 0;
        while taken < bytes.len() && self.is_writable() && !self.finished {
            let n = (self.room() - self.fill.len()).min(bytes.len() - taken);
            self.fill.extend_from_slice(&bytes[taken..taken + n]);
            self.fill_since.get_or_insert(now);
            taken += n;
            if self.fill.len() == self.room() {
                self.push_piece(now);
            }
        }
        self.written += taken as u64;
        taken
    }
    /// Whether [`StreamSender::write`] would take anything.
    pub fn is_writable(&self) -> bool {
        self.queue.len() < QUEUE_MAX && self.parity.len() < usize::from(self.shape.parity) * usize::from(self.shape.depth)
    }
    /// Ends the stream.
    pub fn finish(&mut self, now: Instant) {
        self.finished = true;
        self.push_piece(now);
        self.close_group(now);
    }
    /// Bytes written.
    pub fn written(&self) -> u64 {
        self.written
    }
    /// Whether the stream has ended.
    pub fn is_finished(&self) -> bool {
        self.finished
    }
    /// Everything was handed out.
    pub fn is_drained(&self) -> bool {
        self.fill.is_empty() && self.queue.is_empty() && self.parity.is_empty() && self.pieces.is_empty()
    }

    fn push_piece(&mut self, now: Instant) {
        self.fill_since = None;
        if self.fill.is_empty() {
            return;
        }
        let offset = self.cut;
        self.cut += self.fill.len() as u64;
        let mut payload = Vec::with_capacity(usize::from(self.shape.len));
        payload.extend((self.fill.len() as u16).to_le_bytes());
        payload.append(&mut self.fill);
        let place = self.pieces.len() as u16;
        self.queue.push_back(Shard { group: self.group, place, pieces: 0, offset, payload: payload.clone(), due: now });
        payload.resize(usize::from(self.shape.len), 0);
        self.pieces.push(payload);
        self.opened.get_or_insert(now);
        self.last = now;
        if self.pieces.len() == self.group_pieces() {
            self.close_group(now);
        }
    }

    /// Computes the parity of the open group. What is not full is sent apart in time, over twice the
    /// outage to be survived.
    fn close_group(&mut self, now: Instant) {
        self.opened = None;
        if self.pieces.is_empty() {
            return;
        }
        let (depth, full) = (usize::from(self.shape.depth), self.pieces.len() == self.group_pieces());
        let pieces = core::mem::take(&mut self.pieces);
        let blocks: Vec<Vec<Vec<u8>>> = (0..depth.min(pieces.len())).map(|b| self.block_parity(&pieces, b)).collect();
        let most = blocks.iter().map(Vec::len).max().unwrap_or(0);
        let total: usize = blocks.iter().map(Vec::len).sum();
        let step = if full { 0 } else { 2 * self.survive_us / total.max(1) as u64 };
        let mut made = 0;
        for row in 0..most {
            for (b, parity) in blocks.iter().enumerate() {
                if let Some(payload) = parity.get(row) {
                    made += 1;
                    let place = (self.group_pieces() + row * depth + b) as u16;
                    let due = now.after(step * made);
                    let count = pieces.len() as u16;
                    let (group, offset) = (self.group, self.group_offset);
                    self.parity.push_back(Shard { group, place, pieces: count, offset, payload: payload.clone(), due });
                }
            }
        }
        self.group = self.group.wrapping_add(1);
        self.group_offset = self.cut;
    }

    /// The parity shards of one block; of a block with few pieces only as many as it needs.
    fn block_parity(&self, pieces: &[Vec<u8>], block: usize) -> Vec<Vec<u8>> {
        let (data, parity, len) = (usize::from(self.shape.data), usize::from(self.shape.parity), usize::from(self.shape.len));
        let mut bytes = vec![0u8; (data + parity) * len];
        let mut present = vec![true; data + parity];
        let mine = pieces.iter().skip(block).step_by(usize::from(self.shape.depth));
        let mut count = 0;
        for (slot, piece) in bytes.chunks_mut(len).zip(mine) {
            slot.copy_from_slice(piece);
            count += 1;
        }
        if let Ok(code) = ReedSolomon::new(data, parity) {
            code.encode(&mut Block::new(&mut bytes, &mut present));
        }
        let wanted = if count == data { parity } else { (2 * count + 1).clamp(PARITY_MIN.min(parity), parity) };
        bytes.chunks(len).skip(data).take(wanted).map(<[u8]>::to_vec).collect()
    }

    /// The next shard that is due.
    pub fn poll_shard(&mut self, now: Instant) -> Option<Shard> {
        self.handle_timeout(now);
        if let Some(shard) = self.queue.pop_front() {
            return Some(shard);
        }
        if self.parity.front().is_some_and(|s| s.due <= now) { self.parity.pop_front() } else { None }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.fill_since.is_some_and(|at| at.after(HOLD_US) <= now) && self.queue.len() < 2 {
            self.push_piece(now);
        }
        if self.close_at().is_some_and(|at| at <= now) {
            self.close_group(now);
        }
    }

    /// A group is closed early when the stream has rested for half the outage, or is four outages old.
    fn close_at(&self) -> Option<Instant> {
        let opened = self.opened?;
        Some(self.last.after(self.survive_us / 2).min(opened.after(4 * self.survive_us.max(500_000))))
    }

    /// When [`StreamSender::poll_shard`] may have something.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let queued = self.queue.front().map(|s| s.due);
        let parity = self.parity.front().map(|s| s.due);
        let fill = self.fill_since.map(|at| at.after(HOLD_US));
        [queued, parity, fill, self.close_at()].into_iter().flatten().min()
    }
}
