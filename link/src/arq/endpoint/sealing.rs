//! The keys of a sealed session: which one seals what, and when the next one begins (PROTOCOL 2).

use super::super::{Event, State};
use super::Endpoint;
use crate::hello::{Keys, Opened, introduce};
use crate::mux::{Bytes, Mux};
use crate::time::Instant;
use crate::wire::frame::Head;
use crate::wire::seal::{self, Key, SEAL, SEALED_HEAD, Sealed};
use crate::wire::segment::{self, FEATURE_BOND, FEATURE_CHANNELS, Open, SEGMENT_HEAD};

/// A key serves so many frames, and so long (µs).
const EPOCH_FRAMES: u64 = 1 << 16;
const EPOCH_US: u64 = 120_000_000;

/// The keys of both directions.
#[derive(Clone, Debug)]
pub(super) struct Seal {
    send: Key,
    send_epoch: u64,
    /// First number of this epoch, and when it began.
    began: (u64, Instant),
    recv: Key,
    recv_epoch: u64,
    /// The key before, for a frame that came damaged under it.
    before: Option<Key>,
}

/// What a sealed frame turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unsealed {
    /// A segment of so many bytes.
    Segment(usize),
    /// Something that came before.
    Copy,
    /// Not of this session.
    Wrong,
}

impl Seal {
    pub(super) fn new(keys: Keys, now: Instant) -> Seal {
        Seal { send: keys.send, send_epoch: 0, began: (0, now), recv: keys.recv, recv_epoch: 0, before: None }
    }

    /// The key of an epoch that came in: of now or before, else of the next one.
    fn key(&self, epoch: u8) -> Option<Key> {
        match epoch.wrapping_sub(self.recv_epoch as u8) {
            0 => Some(self.recv.clone()),
            1 => Some(self.recv.next()),
            u8::MAX => self.before.clone(),
            _ => None,
        }
    }

    /// Encrypts or decrypts bytes at `at` of the text of frame `tx`, unverified; false when its key is not known.
    pub(super) fn xor(&self, tx: u64, epoch: u8, at: usize, bytes: &mut [u8]) -> bool {
        self.key(epoch).map(|key| key.xor(tx, at, bytes)).is_some()
    }

    /// Opens a body into `text`: the length of the segment in it.
    pub(super) fn open(&mut self, head: Head, tx: u64, body: &[u8], text: &mut [u8]) -> Option<usize> {
        let sealed = Sealed::parse(body)?;
        let key = self.key(sealed.epoch)?;
        let end = sealed.open(&key, head, tx, text)?;
        if sealed.epoch == (self.recv_epoch + 1) as u8 {
            self.recv_epoch += 1;
            self.before = Some(core::mem::replace(&mut self.recv, key));
        }
        Some(end)
    }
}

impl<const N: usize> Endpoint<N> {
    /// This session is sealed: nothing is said before a peer has proved itself.
    pub(crate) fn set_sealed(&mut self) {
        self.sealed = true;
        self.call_us = self.first_call_us();
        self.config.payload_max = self.config.payload_max.min((segment::PAYLOAD_MAX - SEAL) as u16);
        self.adapt = super::Adapt::new(&self.config, SEAL);
    }
    /// What this end says of itself.
    pub(crate) fn introduce<B: Bytes, const C: usize>(&self, mux: &Mux<B, C>) -> Open {
        let limit = mux.get(0).map_or(0, |sole| sole.receive_limit());
        let bit = |has: bool, feature| if has { feature } else { 0 };
        let features = bit(self.channels, FEATURE_CHANNELS) | bit(self.member.is_some(), FEATURE_BOND);
        introduce(self.me, limit, segment::PAYLOAD_MAX as u16, features | self.rates.feature())
    }
    /// Whether a call is due now.
    pub(crate) fn take_call(&mut self, now: Instant) -> bool {
        let due = self.sealed && self.state == State::Opening && core::mem::take(&mut self.owe_open);
        if due {
            self.called(now);
        }
        due
    }
    /// Whether hellos of this session id may be news.
    pub(crate) fn is_stranger(&self, id: u64) -> bool {
        match self.state {
            State::Opening | State::Greeting => true,
            // a session has its keys until it ends: two ends that change them at once would lose each other
            State::Open => id != self.peer,
            State::Finished | State::Ended => false,
        }
    }
    /// A peer has proved itself: begin, or begin again.
    pub(crate) fn handle_opened<B: Bytes, const C: usize>(&mut self, mux: &mut Mux<B, C>, opened: Opened, now: Instant) {
        if !self.is_stranger(opened.open.me) {
            return;
        }
        if self.state == State::Open {
            if !self.begin_again(mux) {
                return;
            }
            (self.state, self.peer) = (State::Opening, 0);
        }
        self.peer_key = opened.keys.peer;
        self.seal = Some(Seal::new(opened.keys, now));
        self.unsure = opened.answered;
        self.handle_open(mux, opened.open, now);
        self.probe |= opened.answered;
    }
    /// A hello was refused, or something plain came.
    pub(crate) fn refused(&mut self, event: Event) {
        self.stats.refused += 1;
        self.event(event);
    }

    /// Opens a sealed body into `text`.
    pub(crate) fn unseal(&mut self, head: Head, body: &[u8], text: &mut [u8]) -> Unsealed {
        let (Some(seal), Some(sealed)) = (&mut self.seal, Sealed::parse(body)) else { return Unsealed::Wrong };
        let tx = self.heard.number(sealed.tx);
        match seal.open(head, tx, body, text) {
            None => Unsealed::Wrong,
            Some(_) if !self.heard.is_new(tx) => Unsealed::Copy,
            Some(end) => Unsealed::Segment(end),
        }
    }

    /// Seals the segment in `body`, if this session is sealed, and writes the body of its frame to
    /// `out`; returns the head of the frame.
    pub(crate) fn seal(&mut self, tx: u64, head: Head, body: &[u8], out: &mut [u8], now: Instant) -> Head {
        let acked = self.newest_acked;
        let Some(seal) = self.seal.as_mut() else {
            out[..body.len()].copy_from_slice(body);
            return head;
        };
        let (first, began) = seal.began;
        let old = tx - first >= EPOCH_FRAMES || now.since(began) >= EPOCH_US;
        // the peer must have met this key before the next
        if old && acked.is_some_and(|acked| acked >= first) {
            seal.send = seal.send.next();
            seal.send_epoch += 1;
            seal.began = (tx, now);
        }
        let (epoch, end) = (seal.send_epoch as u8, SEALED_HEAD + body.len() - SEGMENT_HEAD);
        let head = Head { len: body.len() + SEAL, sealed: true, ..head };
        out[..SEGMENT_HEAD].copy_from_slice(&body[..SEGMENT_HEAD]);
        out[SEGMENT_HEAD] = epoch;
        out[SEALED_HEAD..end].copy_from_slice(&body[SEGMENT_HEAD..]);
        let tag = seal.send.seal(tx, &seal::associated(head, tx as u16, epoch), &mut out[SEALED_HEAD..end]);
        out[end..end + tag.len()].copy_from_slice(&tag);
        head
    }
}

#[cfg(feature = "explore")]
impl crate::explore::Digested for Seal {
    fn digest(&self, to: &mut crate::explore::Digest) {
        // the search does not last as long as a key
        let Seal { began: _, send, send_epoch, recv, recv_epoch, before } = self;
        to.add((send.digest(), send_epoch, recv.digest(), recv_epoch, before.as_ref().map(Key::digest)));
    }
}
