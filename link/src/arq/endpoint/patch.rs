//! Repair of damaged frames by the part that is missing (PROTOCOL 4.7): the receiver keeps what came
//! of a plain frame and tells checks of its parts; the sender compares them with what it sent, and
//! sends only what lies between those that agree. The frame's own check decides whether the
//! patched frame is right.

use super::damaged::Kept;
use super::{Endpoint, Sent};
use crate::mux::{Bytes, Fill, Mux};
use crate::wire::check::{self, PART};
use crate::wire::deframe::FRAGMENT_MAX;
use crate::wire::frame::{CHECK, Head};
use crate::wire::record::PARTS_MAX;
use crate::wire::seal::{SEALED_HEAD, TAG};
use crate::wire::segment::{Parts, Record, Segment, TX_BITS};
use crate::wire::{BODY_MAX, Binding, seq};

/// A fill above this share of the piece is not worth the trouble (of 4).
const WORTH_OF_4: usize = 3;

/// Bytes of a body before its number that are not there when it is not sealed, once the number
/// stands before the records; and those behind the records.
fn skip(head: Head) -> usize {
    usize::from(head.sealed)
}
fn tail(head: Head) -> usize {
    if head.sealed { TAG } else { 0 }
}

/// Parts of a transmission the peer asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    tx: u64,
    from: u16,
    to: u16,
}

impl<const N: usize> Endpoint<N> {
    // ---- receiver -----------------------------------------------------------------------------

    /// A plain frame failed its check; `bytes` came of its body and check.
    pub(crate) fn handle_fragment(&mut self, head: Head, bytes: &[u8]) {
        let Some(came) = bytes.len().checked_sub(CHECK + tail(head)) else { return };
        let (mut start, mut end) = ([0; FRAGMENT_MAX], [0; FRAGMENT_MAX]);
        let (start, end) = (&mut start[..came], &mut end[..came]);
        start.copy_from_slice(&bytes[..came]);
        end.copy_from_slice(&bytes[..came]);
        if head.sealed && !self.reveal(head, start, end) {
            return;
        }
        let skip = skip(head);
        let Some((tx, payload_at)) = Segment::payload_at(&start[skip..]).filter(|(tx, _)| self.heard.lacks(*tx)) else { return };
        let payload_at = payload_at + skip;
        let parts = ((head.len - tail(head)).saturating_sub(payload_at) / PART).min(PARTS_MAX);
        if parts < 2 {
            return;
        }
        let list = |checks: &mut dyn Iterator<Item = u8>| {
            // what is missing at the end is wrong, whatever is said of it
            let mut list: heapless::Vec<u8, PARTS_MAX> = checks.take(parts).collect();
            let _ = list.resize(parts, 0);
            list
        };
        let from_start = list(&mut check::parts(start[payload_at..].iter().copied()));
        let from_end = list(&mut check::parts(end[payload_at..].iter().rev().copied()));
        self.ack_now = true;
        let kept = Kept { head, tx, payload_at, came: bytes.len() };
        self.damaged.keep(kept, bytes, Parts { tx, from_start, from_end });
    }

    /// Decrypts what came of a sealed frame, as if it were right from its start and as if from its end.
    /// In `start` the number moves up to the records. Nothing of it is used but by its checks.
    fn reveal(&self, head: Head, start: &mut [u8], end: &mut [u8]) -> bool {
        let (Some(seal), Some(&[a, b, epoch])) = (&self.seal, start.first_chunk::<SEALED_HEAD>()) else { return false };
        let tx = self.heard.number(u16::from_le_bytes([a, b]));
        // where the text begins in `end`, and at which of its bytes
        let (claimed, came) = (head.len - tail(head), end.len());
        let (from, at) = (SEALED_HEAD.max((SEALED_HEAD + came).saturating_sub(claimed)), claimed.saturating_sub(came));
        let known = seal.xor(tx, epoch, 0, &mut start[SEALED_HEAD..]) && seal.xor(tx, epoch, at, &mut end[from.min(came)..]);
        start.copy_within(..SEALED_HEAD - 1, 1);
        known
    }

    /// What was missing of a damaged frame has come; false when it does not make it whole.
    pub(super) fn handle_fill<B: Bytes, const C: usize>(
        &mut self,
        mux: &mut Mux<B, C>,
        tx: u16,
        from: u16,
        payload: &[u8],
        now: crate::Instant,
    ) -> bool {
        let mut bytes = [0; FRAGMENT_MAX];
        let number = self.heard.number(tx);
        let Some(Kept { head, payload_at, came, .. }) = self.damaged.take(tx, &mut bytes) else { return false };
        let (from, total) = (payload_at + usize::from(from), head.len + CHECK);
        let to = from + payload.len();
        let Some(rest) = total.checked_sub(to).filter(|rest| from + rest <= came) else { return false };
        // first what stands behind, for it moves
        bytes.copy_within(came - rest..came, to);
        bytes[from..to].copy_from_slice(payload);
        let (body, sum) = bytes[..total].split_at_mut(head.len);
        let binding = if head.sealed { Binding::NONE } else { Binding::of(self.peer, self.me) };
        if let Some(seal) = self.seal.as_ref().filter(|_| head.sealed)
            && !(seal.xor(number, body[SEALED_HEAD - 1], from - SEALED_HEAD, &mut body[from..to]))
        {
            return false;
        }
        if binding.check(head.word(), body).to_le_bytes() != sum {
            return false;
        }
        let mut text = [0; BODY_MAX];
        let segment = if head.sealed {
            let Some(end) = self.seal.as_mut().and_then(|seal| seal.open(head, number, body, &mut text)) else { return false };
            Segment::parse_sealed(&text[..end])
        } else {
            Segment::parse(body)
        };
        let Ok(segment) = segment else { return false };
        let (mut kept, bonded) = (true, self.member.is_some());
        for record in segment.records() {
            // all else it says is of the past
            if matches!(record, Record::Data { .. }) {
                kept &= mux.handle(&record, bonded, now).is_ok();
            }
        }
        self.stats.patched += u64::from(kept);
        kept
    }

    // ---- sender -------------------------------------------------------------------------------

    /// The peer tells what it has of a transmission that came damaged.
    pub(super) fn handle_parts<B: Bytes, const C: usize>(&mut self, mux: &Mux<B, C>, parts: &Parts) {
        let tx = seq::expand(u32::from(parts.tx), TX_BITS, self.next_tx);
        let Some((id, piece)) = self.sent.iter().find(|s| s.tx == tx).and_then(|s| s.load.piece) else { return };
        let len = piece.len() as usize;
        if len / PART != parts.from_start.len() || len > BODY_MAX {
            return;
        }
        let mut payload = [0u8; BODY_MAX];
        let payload = &mut payload[..len];
        if !mux.copy(id, piece, payload) {
            return;
        }
        let agree = |ours: &mut dyn Iterator<Item = u8>, theirs: &[u8]| ours.zip(theirs).take_while(|(a, b)| a == *b).count();
        let from = PART * agree(&mut check::parts(payload.iter().copied()), &parts.from_start);
        let to = len - PART * agree(&mut check::parts(payload.iter().rev().copied()), &parts.from_end);
        if from < to && (to - from) * 4 <= len * WORTH_OF_4 {
            // the oldest gives way
            self.asked.write(Asked { tx, from: from as u16, to: to as u16 });
        }
    }

    /// A transmission is lost: only what is missing of it is sent again, if the peer has told.
    pub(super) fn fill_instead<B: Bytes, const C: usize>(&mut self, mux: &mut Mux<B, C>, sent: &Sent) -> bool {
        let Some(asked) = self.asked.iter().find(|a| a.tx == sent.tx).copied() else { return false };
        let Some((id, piece)) = sent.load.piece else { return false };
        let path = self.member.as_ref().map_or(0, |member| member.path);
        mux.fill(id, Fill { path, tx: asked.tx, piece, from: asked.from, to: asked.to })
    }
}

#[cfg(feature = "explore")]
impl crate::explore::Digested for Asked {
    fn digest(&self, to: &mut crate::explore::Digest) {
        let Asked { tx, from, to: end } = self;
        to.ours(*tx);
        to.add((from, end));
    }
}
