//! One channel: a stream each way, and how it begins and ends (PROTOCOL 4.6).

#[cfg(feature = "explore")]
mod digest;

use super::recv::{RecvStream, Refused};
use super::schedule::Typing;
use super::send::{Piece, SendStream};
use super::{Class, Control, Note, Room, Service};
use crate::time::Instant;
use crate::wire::segment::OFFSET_BITS;
use crate::wire::seq;

/// A channel that learns its class may send so much at once before it counts as bulk, at least
/// (bytes); and so much of the wire for good (one part in).
const LEARN_BURST: u64 = 1_024;
const LEARN_BURST_US: u64 = 20_000;
const LEARN_SHARE: u64 = 8;
const LEARN_UNPACED: u64 = 10_000_000;

/// Bits of what is to be told to the peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Due(u16);

impl Due {
    fn set(&mut self, control: Control) {
        self.0 |= control.bit();
    }
    fn clear(&mut self, control: Control) {
        self.0 &= !control.bit();
    }
    fn has(self, control: Control) -> bool {
        self.0 & control.bit() != 0
    }
    fn is_empty(self) -> bool {
        self.0 == 0
    }
    fn first(self) -> Option<Control> {
        Control::ALL.into_iter().find(|&c| self.0 & c.bit() != 0)
    }
}

/// Where a channel stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Stage {
    /// We began it; the peer has not said yes.
    Asking,
    /// Data may flow.
    Open,
    /// Ended at once by this end: the peer is being told.
    Resetting,
    /// Ended at once by the peer.
    Reset,
}

/// A stream each way between two users, one of many on a wire.
#[derive(Clone, Debug)]
pub struct Channel<B> {
    id: u16,
    class: Class,
    service: Service,
    pub(super) stage: Stage,
    pub(super) send: SendStream<B>,
    pub(super) recv: RecvStream<B>,
    due: Due,
    /// Notes told to the peer and not acknowledged yet, and their values.
    notes_open: Due,
    /// Notes under way.
    notes_flying: Due,
    notes_out: [u32; Note::ALL.len()],
    /// Notes of the peer the user does not know yet.
    notes_in: [Option<u32>; Note::ALL.len()],
    reason: u8,
    /// The user has passed on everything the peer sent.
    confirmed: bool,
    done_acked: bool,
    peer_done: bool,
    /// The news the user was not told yet: it was accepted.
    pub(super) accepted_news: bool,
    /// Or ended by the peer.
    pub(super) reset_news: bool,
    /// What it may send as interactive, as of a moment: see [`Class::Learnt`].
    allowance: u64,
    allowance_at: Instant,
    /// Whether somebody types on it.
    pub(super) typing: Typing,
}

impl<B: AsRef<[u8]> + AsMut<[u8]>> Channel<B> {
    /// The stream of a session that has but one: open from the start.
    pub(crate) fn sole(send: B, recv: B) -> Self {
        Channel::new(0, Class::Bulk, Service::new(), Stage::Open, send, recv)
    }
    pub(super) fn asking(id: u16, class: Class, service: Service, send: B, recv: B) -> Self {
        let mut channel = Channel::new(id, class, service, Stage::Asking, send, recv);
        channel.due.set(Control::Begin);
        channel
    }
    pub(super) fn accepting(id: u16, class: Class, service: Service, limit: u32, send: B, recv: B) -> Self {
        let mut channel = Channel::new(id, class, service, Stage::Open, send, recv);
        channel.send.raise_limit(u64::from(limit));
        channel.due.set(Control::Accept);
        channel
    }
    fn new(id: u16, class: Class, service: Service, stage: Stage, send: B, recv: B) -> Self {
        Channel {
            id,
            class,
            service,
            stage,
            send: SendStream::new(send),
            recv: RecvStream::new(recv),
            due: Due::default(),
            notes_open: Due::default(),
            notes_flying: Due::default(),
            notes_out: [0; Note::ALL.len()],
            notes_in: [None; Note::ALL.len()],
            reason: 0,
            confirmed: false,
            done_acked: false,
            peer_done: false,
            accepted_news: false,
            reset_news: false,
            allowance: LEARN_BURST,
            allowance_at: Instant::default(),
            typing: Typing::default(),
        }
    }

    // ---- what the user does -------------------------------------------------------------------

    /// Its number, the same at both ends; 0 for the one stream of a session without channels.
    pub fn id(&self) -> u16 {
        self.id
    }
    /// The name it was opened by.
    pub fn service(&self) -> &[u8] {
        &self.service
    }
    /// Whether data may flow: it was accepted, and has not been reset.
    pub fn is_open(&self) -> bool {
        self.stage == Stage::Open
    }
    /// Bytes the outgoing stream holds at most.
    pub fn capacity(&self) -> usize {
        self.send.capacity()
    }
    /// Bytes the incoming stream holds at most.
    pub fn window(&self) -> usize {
        self.recv.capacity()
    }
    /// Gives the outgoing stream a longer buffer, and hands the one before back; one that is no longer, or above 4 MiB, is handed
    /// back itself. On a long way a stream holds what is not acknowledged yet: see [`Link::way_us`](crate::Link::way_us).
    pub fn widen_out(&mut self, buffer: B) -> B {
        self.send.widen(buffer)
    }
    /// The same for the incoming stream; the peer is told that it may send more ahead.
    pub fn widen_in(&mut self, buffer: B) -> B {
        self.recv.widen(buffer)
    }
    /// Bytes written and not acknowledged.
    pub fn queued(&self) -> u64 {
        self.send.queued()
    }
    /// Adds to the outgoing stream; returns how much was taken (see [`Channel::writable`]).
    pub fn write(&mut self, bytes: &[u8]) -> usize {
        self.send.write(bytes)
    }
    /// Bytes [`Channel::write`] would take now.
    pub fn writable(&self) -> usize {
        self.send.writable()
    }
    /// Ends the outgoing stream; the incoming one goes on (half close).
    pub fn finish(&mut self) {
        self.send.finish();
    }
    /// Takes from the incoming stream; 0 when nothing is there now.
    pub fn read(&mut self, out: &mut [u8]) -> usize {
        self.recv.read(out)
    }
    /// Bytes [`Channel::read`] could take now.
    pub fn readable(&self) -> usize {
        self.recv.readable()
    }
    /// The peer has ended its stream and all of it was read.
    pub fn at_end(&self) -> bool {
        self.recv.at_end()
    }
    /// Says that everything read, the end included, has reached its destination. Only then does the
    /// peer learn that its stream was delivered; does nothing before [`Channel::at_end`].
    pub fn confirm(&mut self) {
        if !self.confirmed && self.recv.at_end() {
            self.confirmed = true;
            self.due.set(Control::Done);
        }
    }
    /// Tells the peer something beside the stream. A status belongs before [`Channel::confirm`].
    pub fn note(&mut self, note: Note, value: u32) {
        self.notes_out[note as usize] = value;
        self.due.set(Control::Note(note));
        self.notes_open.set(Control::Note(note));
    }
    /// The peer has acknowledged every note.
    pub fn is_told(&self) -> bool {
        self.notes_open.is_empty()
    }
    /// The outgoing stream, its end included, is acknowledged.
    pub fn is_sent(&self) -> bool {
        self.send.is_done()
    }
    /// Everything was delivered both ways; at most the peer does not know yet.
    pub fn is_delivered(&self) -> bool {
        self.peer_done && self.confirmed
    }
    /// User bytes the peer has acknowledged.
    pub fn bytes_out(&self) -> u64 {
        self.send.acked_bytes()
    }
    /// User bytes read here.
    pub fn bytes_in(&self) -> u64 {
        self.recv.read_bytes()
    }

    pub(crate) fn receive_limit(&self) -> u64 {
        self.recv.limit()
    }
    pub(crate) fn sent_end(&self) -> u64 {
        self.send.sent_end()
    }

    // ---- its life -----------------------------------------------------------------------------

    pub(super) fn class(&self) -> Class {
        self.class
    }
    pub(super) fn reason(&self) -> u8 {
        self.reason
    }
    /// Delivered, acknowledged, known to both: nothing more will come.
    pub(crate) fn is_over(&self) -> bool {
        self.peer_done && self.done_acked
    }
    pub(super) fn reset(&mut self, reason: u8) {
        if !matches!(self.stage, Stage::Resetting | Stage::Reset) {
            (self.stage, self.reason, self.due) = (Stage::Resetting, reason, Due::default());
            self.due.set(Control::Reset);
        }
    }
    pub(super) fn handle_accept(&mut self, limit: u32) {
        if self.stage == Stage::Asking {
            self.stage = Stage::Open;
            self.accepted_news = true;
            self.due.clear(Control::Begin);
            self.send.raise_limit(u64::from(limit));
        }
    }
    pub(super) fn handle_reset(&mut self, reason: u8) {
        self.reset_news = self.stage != Stage::Resetting;
        (self.stage, self.reason, self.due) = (Stage::Reset, reason, Due::default());
    }
    pub(super) fn handle_window(&mut self, limit: u32) {
        let limit = seq::expand(limit, OFFSET_BITS, self.send.limit());
        self.send.raise_limit(limit);
    }
    pub(super) fn handle_done(&mut self) {
        // of a stream that has not ended nobody can have seen the end
        if self.send.is_ended() {
            self.peer_done = true;
            self.send.delivered();
        }
    }
    pub(super) fn handle_note(&mut self, note: Note, value: u32) {
        self.notes_in[note as usize] = Some(value);
    }
    pub(super) fn take_note(&mut self) -> Option<(Note, u32)> {
        Note::ALL.into_iter().find_map(|note| Some((note, self.notes_in[note as usize].take()?)))
    }
    pub(super) fn note_value(&self, note: Note) -> u32 {
        self.notes_out[note as usize]
    }
    /// `overtakes`: data may come before the ACCEPT, by another path.
    pub(super) fn handle_data(&mut self, offset: u32, fin: bool, payload: &[u8], overtakes: bool) -> Result<(), Refused> {
        match self.stage {
            Stage::Open => self.recv.insert(offset, payload, fin).map(drop),
            // the ACCEPT before it was lost: both come again
            Stage::Asking if !overtakes => Err(Refused),
            Stage::Asking => self.recv.insert(offset, payload, fin).map(drop),
            Stage::Resetting | Stage::Reset => Ok(()),
        }
    }

    /// The peer was restarted before anything had passed: begin again with the new one.
    pub(super) fn restart(&mut self) {
        self.send.restart();
        self.recv.restart();
        (self.due, self.confirmed, self.done_acked, self.peer_done) = (Due::default(), false, false, false);
        self.notes_flying = Due::default();
    }

    // ---- what goes out ------------------------------------------------------------------------

    pub(super) fn control_due(&self, room: Room) -> Option<Control> {
        let next = self.due.first().or((self.stage == Stage::Open && self.recv.window_due()).then_some(Control::Window));
        // notes wait for the peer to know the channel, and the end for the notes
        next.filter(|control| match control {
            // on several paths the later one could come first
            Control::Note(_) => self.stage == Stage::Open && !(room.bonded && self.notes_flying.has(*control)),
            Control::Done => self.notes_open.is_empty(),
            Control::Begin | Control::Window => room.fresh,
            _ => true,
        })
    }
    /// The control was written.
    pub(super) fn control_sent(&mut self, control: Control) {
        self.due.clear(control);
        if matches!(control, Control::Note(_)) {
            self.notes_flying.set(control);
        }
    }
    pub(super) fn control_lost(&mut self, control: Control) {
        self.notes_flying.clear(control);
        let still = match control {
            Control::Begin => self.stage == Stage::Asking,
            Control::Accept | Control::Window | Control::Note(_) => self.stage == Stage::Open,
            // on several paths it may have left before the ACCEPT came
            Control::Done => self.confirmed && !self.done_acked && matches!(self.stage, Stage::Asking | Stage::Open),
            Control::Reset => self.stage == Stage::Resetting,
            Control::Skip => false,
        };
        if still {
            self.due.set(control);
        }
    }
    pub(super) fn control_arrived(&mut self, control: Control) {
        self.notes_flying.clear(control);
        match control {
            Control::Done => self.done_acked = true,
            // both know now
            Control::Reset => self.stage = Stage::Reset,
            // not when it was told anew since
            Control::Note(_) if self.due.0 & control.bit() == 0 => self.notes_open.clear(control),
            Control::Begin | Control::Accept | Control::Window | Control::Note(_) | Control::Skip => {}
        }
    }

    pub(super) fn may_send(&self) -> bool {
        self.stage == Stage::Open
    }
    pub(super) fn piece_lost(&mut self, piece: Piece) {
        self.send.lost(piece);
    }
    pub(super) fn piece_arrived(&mut self, piece: Piece) {
        self.send.acknowledged(piece);
    }

    fn allowance(&self, now: Instant, rate: u32) -> u64 {
        let (burst, share) = if rate == 0 {
            (64 * LEARN_BURST, LEARN_UNPACED)
        } else {
            (LEARN_BURST.max(u64::from(rate) * LEARN_BURST_US / 1_000_000), u64::from(rate) / LEARN_SHARE)
        };
        (self.allowance + now.since(self.allowance_at).min(60_000_000) * share / 1_000_000).min(burst)
    }
    /// Whether what it has to send goes before bulk. Small writes after idle do; a channel that has
    /// much to send does not.
    pub(super) fn is_interactive(&self, now: Instant, rate: u32) -> bool {
        match self.class {
            Class::Interactive => true,
            Class::Bulk => false,
            Class::Learnt => self.send.waiting() <= self.allowance(now, rate),
        }
    }
    /// `bytes` were sent.
    pub(super) fn spend(&mut self, bytes: u64, now: Instant, rate: u32) {
        self.allowance = self.allowance(now, rate).saturating_sub(bytes);
        self.allowance_at = now;
    }
}
