//! The receiving end of a stream: repairs, hands out in order, and names what is lost.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec;
use alloc::vec::Vec;

use fec::reed_solomon::ReedSolomon;
use fec::{Block, Code};

use crate::wire::Shape;

/// Groups a receiver keeps open.
pub(crate) const GROUPS: u32 = 3;

/// The bytes in a data shard of `len` bytes, which may be kept without the zeros it ends with.
fn piece(shard: &[u8], len: u16) -> Vec<u8> {
    let n = usize::from(u16::from_le_bytes([shard[0], shard[1]])).min(usize::from(len) - 2);
    let mut bytes = shard[2..].to_vec();
    bytes.resize(n, 0);
    bytes
}

/// What a receiver of a stream has for its user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Out {
    /// The next bytes.
    Bytes(Vec<u8>),
    /// So many bytes are lost for good.
    Gap {
        /// Where they begin in the stream.
        offset: u64,
        /// How many.
        bytes: u64,
    },
}

#[derive(Debug, Default)]
struct Group {
    /// As they came: memory is what the wire brought, whatever the shape.
    shards: BTreeMap<u16, Vec<u8>>,
    /// Where pieces begin, as far as it was told; of place 0 also by parity.
    offsets: BTreeMap<u16, u64>,
    /// Data pieces, once known.
    pieces: Option<u16>,
    recovered: Vec<u16>,
}

impl Group {
    /// Where the piece at `place` begins: as it was told, or, of a repaired one, as the next in an unbroken
    /// row tells that was.
    fn offset(&self, place: u16, len: u16) -> Option<u64> {
        let mut between = 0;
        for (at, (there, shard)) in (place..).zip(self.shards.range(place..)) {
            if *there != at {
                return None;
            }
            if let Some(offset) = self.offsets.get(&at) {
                return offset.checked_sub(between);
            }
            between += piece(shard, len).len() as u64;
        }
        None
    }
}

/// The receiving end of a stream.
#[derive(Debug)]
pub struct StreamReceiver {
    shape: Shape,
    groups: BTreeMap<u32, Group>,
    /// Next piece to hand out.
    group: u32,
    place: u16,
    started: bool,
    newest: u32,
    ended: bool,
    out: VecDeque<Out>,
    repaired: u64,
    lost: u64,
    /// Bytes of the stream handed out or told as lost.
    position: u64,
    /// The position is known.
    aligned: bool,
    /// Where it was when it became known: so much was sent before anything was heard.
    unheard: u64,
    /// Something is missing before the next piece.
    torn: bool,
    margin: Option<(u32, u32)>,
}

impl StreamReceiver {
    /// For streams of this shape.
    pub fn new(shape: Shape) -> StreamReceiver {
        StreamReceiver {
            shape,
            groups: BTreeMap::new(),
            group: 0,
            place: 0,
            started: false,
            newest: 0,
            ended: false,
            out: VecDeque::new(),
            repaired: 0,
            lost: 0,
            position: 0,
            aligned: false,
            unheard: 0,
            torn: false,
            margin: None,
        }
    }
    /// Pieces repaired.
    pub fn repaired(&self) -> u64 {
        self.repaired
    }
    /// Where the next byte stands in the stream: so many were handed out, told as lost, or sent before anything was heard.
    pub fn position(&self) -> u64 {
        self.position
    }
    /// Bytes before the first one that was handed out: sent before anything was heard. Told once.
    pub fn take_unheard(&mut self) -> u64 {
        core::mem::take(&mut self.unheard)
    }
    /// Bytes lost.
    pub fn lost(&self) -> u64 {
        self.lost
    }
    /// The worst repair so far: (parity shards needed, parity shards there were).
    pub fn margin(&self) -> Option<(u32, u32)> {
        self.margin
    }

    /// A shard came in.
    pub fn handle_shard(&mut self, group: u32, place: u16, pieces: u16, offset: u64, payload: &[u8]) {
        let places = (u32::from(self.shape.data) + u32::from(self.shape.parity)) * u32::from(self.shape.depth);
        let data = u32::from(self.shape.data) * u32::from(self.shape.depth);
        let fits = payload.len() <= usize::from(self.shape.len) && payload.len() >= 2;
        if !fits || u32::from(place) >= places || u32::from(pieces) > data || self.ended {
            return;
        }
        if !self.started {
            // joined late: what came before the first piece heard is not missed, but for the
            // beginning of the stream, which the first group holds
            self.started = true;
            (self.group, self.newest) = (group, group);
            self.place = if group > 0 && u32::from(place) < data { place } else { 0 };
            if group > 0 && u32::from(place) >= data {
                (self.group, self.newest) = (group.wrapping_add(1), group.wrapping_add(1));
            }
            self.aligned = group == 0;
        }
        if group.wrapping_sub(self.group) >= 1 << 31 {
            return;
        }
        if group.wrapping_sub(self.newest) < 1 << 31 {
            self.newest = group;
        }
        let entry = self.groups.entry(group).or_default();
        entry.shards.entry(place).or_insert_with(|| payload.to_vec());
        entry.offsets.insert(if u32::from(place) < data { place } else { 0 }, offset);
        if pieces > 0 {
            entry.pieces = Some(pieces);
        }
        if u32::from(place) >= data || entry.pieces.is_some() {
            self.recover(group, usize::from(place) % usize::from(self.shape.depth));
        }
        self.hand_out();
        while (GROUPS..1 << 31).contains(&self.newest.wrapping_sub(self.group)) {
            self.skip_groups();
            self.give_up_group();
        }
    }

    /// Leaves out, in one step, groups of which nothing came and nothing can come any more: a number from
    /// the wire may be far ahead.
    fn skip_groups(&mut self) {
        let ahead = |group: &u32| group.wrapping_sub(self.group);
        let kept = self.groups.keys().map(ahead).min().unwrap_or(0);
        let skipped = kept.min(self.newest.wrapping_sub(self.group) - GROUPS);
        if skipped > 0 {
            self.group = self.group.wrapping_add(skipped);
            (self.place, self.torn) = (0, true);
        }
    }

    /// The stream has ended, at `len` bytes if that was told: what is missing now is lost. Call it
    /// once no parity can come any more.
    pub fn finish(&mut self, len: Option<u64>) {
        while self.started && self.newest.wrapping_sub(self.group) < 1 << 31 {
            self.give_up_group();
        }
        if let Some(len) = len.filter(|len| *len > self.position) {
            self.tell_gap(len);
        }
        self.ended = true;
    }

    /// Tries to recover one block of a group.
    fn recover(&mut self, number: u32, block: usize) {
        let (data, parity, len, depth) = (
            usize::from(self.shape.data),
            usize::from(self.shape.parity),
            usize::from(self.shape.len),
            usize::from(self.shape.depth),
        );
        let Some(group) = self.groups.get_mut(&number) else { return };
        let Some(pieces) = group.pieces else { return };
        if group.recovered.contains(&(block as u16)) {
            return;
        }
        let mine = (usize::from(pieces).saturating_sub(block)).div_ceil(depth);
        let have = (0..mine).filter(|row| group.shards.contains_key(&((row * depth + block) as u16))).count();
        let spare = (0..parity).filter(|row| group.shards.contains_key(&(((data + row) * depth + block) as u16))).count();
        if have == mine || have + spare < mine {
            return;
        }
        let mut bytes = vec![0u8; (data + parity) * len];
        let mut present = vec![false; data + parity];
        for (row, slot) in bytes.chunks_mut(len).enumerate() {
            if let Some(shard) = group.shards.get(&((row * depth + block) as u16)) {
                slot[..shard.len()].copy_from_slice(shard);
                present[row] = true;
            } else if row >= mine && row < data {
                present[row] = true; // never sent: zeros
            }
        }
        let Ok(code) = ReedSolomon::new(data, parity) else { return };
        if code.recover(&mut Block::new(&mut bytes, &mut present)).is_ok() {
            for row in 0..mine {
                let place = (row * depth + block) as u16;
                group.shards.entry(place).or_insert_with(|| bytes[row * len..(row + 1) * len].to_vec());
            }
            group.recovered.push(block as u16);
            self.repaired += (mine - have) as u64;
            let used = ((mine - have) as u32, spare as u32);
            if self.margin.is_none_or(|m| used.0 * m.1 > m.0 * used.1) {
                self.margin = Some(used);
            }
        }
    }

    fn hand_out(&mut self) {
        let data = u32::from(self.shape.data) * u32::from(self.shape.depth);
        while let Some(group) = self.groups.get(&self.group) {
            let end = group.pieces.map_or(data, u32::from);
            if u32::from(self.place) >= end {
                self.groups.remove(&self.group);
                (self.group, self.place) = (self.group.wrapping_add(1), 0);
                continue;
            }
            let Some(shard) = group.shards.get(&self.place) else { return };
            let (bytes, offset) = (piece(shard, self.shape.len), group.offsets.get(&self.place).copied());
            self.hand_piece(bytes, offset);
            self.place += 1;
        }
    }

    /// The next piece; where it begins tells how much was lost before it.
    fn hand_piece(&mut self, bytes: Vec<u8>, offset: Option<u64>) {
        if let (false, Some(offset)) = (self.aligned, offset) {
            // joined late: the stream begins here
            (self.position, self.aligned, self.torn) = (offset, true, false);
            self.unheard = offset;
        }
        if core::mem::take(&mut self.torn) {
            match offset {
                Some(offset) if offset > self.position => self.tell_gap(offset),
                _ => {}
            }
        }
        self.position += bytes.len() as u64;
        self.out.push_back(Out::Bytes(bytes));
    }
    fn tell_gap(&mut self, to: u64) {
        let bytes = to - self.position;
        self.lost += bytes;
        self.out.push_back(Out::Gap { offset: self.position, bytes });
        self.position = to;
    }

    /// The oldest group gets nothing more: hands out what there is of it and tells the gaps.
    fn give_up_group(&mut self) {
        let number = self.group;
        let data = u32::from(self.shape.data) * u32::from(self.shape.depth);
        let group = self.groups.remove(&number).unwrap_or_default();
        // of a group whose size was never told, what lies behind the last piece heard is not known
        let heard = group.shards.keys().filter(|p| u32::from(**p) < data).max().map_or(0, |p| u32::from(*p) + 1);
        let end = group.pieces.map_or(if number == self.newest { heard } else { data }, u32::from);
        for place in u32::from(self.place)..end {
            let place = place as u16;
            let offset = group.offset(place, self.shape.len);
            match group.shards.get(&place) {
                // behind a gap of a length nobody knows, bytes have no place: they are part of it
                Some(shard) if !self.torn || offset.is_some() => self.hand_piece(piece(shard, self.shape.len), offset),
                _ => self.torn = true,
            }
        }
        self.torn |= group.pieces.is_none();
        (self.group, self.place) = (number.wrapping_add(1), 0);
        self.hand_out();
    }

    /// What is next for the user.
    pub fn poll_out(&mut self) -> Option<Out> {
        self.out.pop_front()
    }
}
