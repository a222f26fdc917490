//! Segments out (PROTOCOL 3): the counterpart of [`Segment::parse`](super::Segment::parse).

use super::record::*;

/// Writes a segment into a buffer.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut [u8],
    len: usize,
}

impl<'a> Writer<'a> {
    /// Begins a segment with transmission number `tx`.
    ///
    /// # Panics
    /// The writer panics when `out` is too small for what is written.
    pub fn new(out: &'a mut [u8], tx: u64) -> Writer<'a> {
        out[..2].copy_from_slice(&(tx as u16).to_le_bytes());
        Writer { out, len: 2 }
    }
    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.len
    }
    /// Bytes there is room for.
    pub fn left(&self) -> usize {
        self.out.len() - self.len
    }
    /// Whether there is no record yet.
    pub fn is_empty(&self) -> bool {
        self.len == SEGMENT_HEAD
    }
    fn put(&mut self, bytes: &[u8]) {
        self.out[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }
    fn tag(&mut self, kind: u8, argument: u8) {
        self.put(&[kind << 4 | argument]);
    }
    fn u24(&mut self, n: u64) {
        self.put(&(n as u32).to_le_bytes()[..3]);
    }
    fn count(&mut self, n: u16) {
        debug_assert!(n > 0 && n <= VARINT_MAX);
        if n < 0x80 {
            self.put(&[n as u8]);
        } else {
            self.put(&[n as u8 | 0x80, (n >> 7) as u8]);
        }
    }
    /// Adds OPEN.
    pub fn open(&mut self, open: &Open) {
        self.tag(1, u8::from(open.answer));
        self.put(&[open.version]);
        self.put(&open.me.to_le_bytes());
        self.put(&open.you.to_le_bytes());
        self.u24(u64::from(open.limit));
        self.put(&open.payload_max.to_le_bytes());
        self.put(&open.features.to_le_bytes());
    }
    /// Adds CLOSE.
    pub fn close(&mut self, close: &Close) {
        self.tag(2, 0);
        self.put(&[close.version]);
        self.put(&close.me.to_le_bytes());
        self.put(&close.you.to_le_bytes());
        self.put(&[close.code.to_wire()]);
    }
    /// Adds CALL or ANSWER.
    pub fn hello(&mut self, hello: &Hello<'_>) {
        self.tag(15, 2 + u8::from(hello.answer));
        self.put(&[hello.version, hello.pattern]);
        self.put(&hello.caller.to_le_bytes());
        self.put(hello.message);
    }
    /// Adds ACK.
    pub fn ack(&mut self, ack: &Ack) {
        self.tag(3, ack.pairs.len() as u8);
        self.put(&ack.newest.to_le_bytes());
        self.put(&ack.damage.to_le_bytes());
        self.put(&[ack.slips]);
        self.count(ack.run);
        for &(gap, run) in &ack.pairs {
            self.count(gap);
            self.count(run);
        }
    }
    /// The tag of a record about a channel, in its short form for the one stream.
    fn about(&mut self, channel: u16, short: u8, argument: u8) {
        if channel == 0 {
            self.tag(short, 0);
        } else {
            self.tag(13, argument);
            self.count(channel);
        }
    }
    /// Adds WINDOW with the lowest 24 bits of `limit`.
    pub fn window(&mut self, channel: u16, limit: u64) {
        self.about(channel, 4, 3);
        self.u24(limit);
    }
    /// Adds DONE.
    pub fn done(&mut self, channel: u16) {
        self.about(channel, 5, 4);
    }
    /// Adds PING.
    pub fn ping(&mut self) {
        self.tag(6, 0);
    }
    /// Adds BEGIN; `channel` is not 0.
    pub fn begin(&mut self, channel: u16, class: u8, limit: u64, service: &[u8]) {
        self.tag(13, 0);
        self.count(channel);
        self.put(&[class]);
        self.u24(limit);
        self.put(&[service.len() as u8]);
        self.put(service);
    }
    /// Adds ACCEPT; `channel` is not 0.
    pub fn accept(&mut self, channel: u16, limit: u64) {
        self.tag(13, 1);
        self.count(channel);
        self.u24(limit);
    }
    /// Adds NOTE; `channel` is not 0.
    pub fn note(&mut self, channel: u16, kind: u8, value: u32) {
        self.tag(13, 5);
        self.count(channel);
        self.put(&[kind]);
        self.put(&value.to_le_bytes());
    }
    /// Adds RESET; `channel` is not 0.
    pub fn reset(&mut self, channel: u16, reason: u8) {
        self.tag(13, 2);
        self.count(channel);
        self.put(&[reason]);
    }
    /// Adds PARTS; both lists of checks have the same length.
    pub fn parts(&mut self, parts: &Parts) {
        self.tag(15, 0);
        self.put(&parts.tx.to_le_bytes());
        self.put(&[parts.from_start.len() as u8]);
        self.put(&parts.from_start);
        self.put(&parts.from_end);
    }
    /// Adds RATE, the last record there can be, with so many bytes of padding in the place of its own.
    pub fn rate(&mut self, rate: &Rate<'_>, padding: usize) {
        self.tag(15, 4);
        self.put(&[rate.step.to_wire(), rate.attempt, rate.rung]);
        self.put(&rate.rates.to_le_bytes());
        self.put(&[rate.index, rate.span, rate.good]);
        self.put(&rate.wrong.to_le_bytes());
        self.put(&[rate.slips]);
        // no two bytes in a row alike, nor two tests
        let mut mixed = u32::from(rate.index) << 8 | u32::from(rate.attempt) | 1 << 16;
        for _ in 0..padding {
            mixed = mixed.wrapping_mul(0x9E37_79B1).wrapping_add(1);
            self.put(&[(mixed >> 24) as u8]);
        }
    }
    /// Adds JOIN; `bond` is not 0.
    pub fn join(&mut self, bond: u64) {
        self.tag(15, 5);
        self.put(&bond.to_le_bytes());
    }
    /// Adds SKIP.
    pub fn skip(&mut self, token: u32, tx: u16) {
        self.tag(15, 7);
        self.put(&token.to_le_bytes());
        self.put(&tx.to_le_bytes());
    }
    /// Adds FILL, the last record there can be; `fill` writes the `len` payload bytes.
    pub fn fill(&mut self, tx: u64, from: u16, len: usize, fill: impl FnOnce(&mut [u8])) {
        self.tag(15, 1);
        self.put(&(tx as u16).to_le_bytes());
        self.put(&from.to_le_bytes());
        fill(&mut self.out[self.len..self.len + len]);
        self.len += len;
    }
    /// Adds DATA, the last record there can be; `fill` writes the `len` payload bytes.
    pub fn data(&mut self, channel: u16, offset: u64, fin: bool, len: usize, fill: impl FnOnce(&mut [u8])) {
        if channel == 0 {
            self.tag(7, u8::from(fin));
        } else {
            self.tag(14, u8::from(fin));
            self.count(channel);
        }
        self.u24(offset);
        fill(&mut self.out[self.len..self.len + len]);
        self.len += len;
    }
}
