//! Channels: many streams between two ends, each with its own flow control (PROTOCOL 4.6). Knows
//! streams and classes, not transmissions: what was in one that arrived or was lost comes back as a
//! [`Load`].

mod asked;
mod channel;
mod control;
mod ranges;
mod recv;
mod ring;
mod schedule;
mod send;

pub use asked::Asked;
pub use channel::Channel;
pub use control::Note;
pub(crate) use control::{Control, Load, Skips};
pub use schedule::Class;
pub(crate) use schedule::{HOLD_US, Room, Traffic};

use asked::Begun;
use channel::Stage;
pub(crate) use send::Fill;
use send::Piece;

use crate::time::Instant;
use crate::wire::segment::{Begin, Record, SERVICE_MAX};
use recv::Refused;
use schedule::Schedule;

/// What holds a stream: the caller's buffer.
pub(crate) trait Bytes: AsRef<[u8]> + AsMut<[u8]> {}
impl<B: AsRef<[u8]> + AsMut<[u8]>> Bytes for B {}

/// Name of a service, 1 to 64 bytes.
pub(crate) type Service = heapless::Vec<u8, SERVICE_MAX>;

/// Requests of the peer that wait for an answer; more are heard once these are answered.
const ASKED_MAX: usize = 32;
/// Channel numbers travel modulo 2^13, twice: odd ones are those of the end with the higher session id.
pub(super) const NUMBER_BITS: u32 = 13;

/// What a channel begun adds to [`Mux::progress`]: 4 MiB, for a quarter of the numbers there are.
const BEGIN_COSTS: u64 = (1 << 22) >> (NUMBER_BITS - 2);

/// News of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    Asked(u16),
    Accepted(u16),
    Noted(u16, Note, u32),
    Closed(u16),
    Reset(u16, u8),
}

/// Why a channel could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CannotOpen {
    /// The session is not open, or has no channels.
    NoSession,
    /// As many channels are open as there is room for.
    TooMany,
    /// The name of a service has 1 to 64 bytes.
    Name,
}

impl core::fmt::Display for CannotOpen {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            CannotOpen::NoSession => "there is no session with channels",
            CannotOpen::TooMany => "as many are open as there is room for",
            CannotOpen::Name => "the name has 1 to 64 bytes",
        })
    }
}

/// The channels of a session; at most `C`.
#[derive(Clone, Debug)]
pub(crate) struct Mux<B, const C: usize> {
    channels: heapless::Vec<Channel<B>, C>,
    /// What the peer wants opened and nobody has answered.
    asked: heapless::Vec<Asked, ASKED_MAX>,
    begun: Begun,
    /// Whether our own numbers are odd; the next of them.
    odd: bool,
    next_number: u64,
    schedule: Schedule,
    rate: u32,
    /// How far this end has gone on: new bytes sent, receive limits raised, and [`BEGIN_COSTS`] for
    /// each channel begun. Bounds how old a number may be that stands truncated on a wire.
    pub(crate) progress: u64,
    pub(crate) skips: Skips,
    /// User bytes of channels that are gone.
    gone_in: u64,
    gone_out: u64,
}

impl<B: AsRef<[u8]> + AsMut<[u8]>, const C: usize> Mux<B, C> {
    /// No channels yet. `rate`: bytes per second of the wire, 0 = not known.
    pub(crate) fn new(rate: u32) -> Self {
        Mux {
            channels: heapless::Vec::new(),
            asked: heapless::Vec::new(),
            begun: Begun::default(),
            odd: false,
            next_number: 0,
            schedule: Schedule::default(),
            rate,
            progress: 0,
            skips: Skips::default(),
            gone_in: 0,
            gone_out: 0,
        }
    }
    /// The one stream of a session without channels.
    pub(crate) fn sole(rate: u32, send: B, recv: B) -> Self {
        let mut mux = Mux::new(rate);
        let _ = mux.channels.push(Channel::sole(send, recv));
        mux
    }

    // ---- what the user does -------------------------------------------------------------------

    pub(crate) fn get(&self, id: u16) -> Option<&Channel<B>> {
        self.channels.iter().find(|c| c.id() == id)
    }
    pub(crate) fn get_mut(&mut self, id: u16) -> Option<&mut Channel<B>> {
        self.channels.iter_mut().find(|c| c.id() == id)
    }
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Channel<B>> {
        self.channels.iter()
    }
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Channel<B>> {
        self.channels.iter_mut()
    }
    pub(crate) fn open(&mut self, service: &[u8], class: Class, send: B, recv: B) -> Result<u16, CannotOpen> {
        let name = Service::from_slice(service).ok().filter(|n| !n.is_empty()).ok_or(CannotOpen::Name)?;
        let mut id = asked::id(self.next_number, self.odd);
        while self.get(id).is_some() {
            // a long-lived one from the last time round; there are far more numbers than channels
            self.next_number += 1;
            id = asked::id(self.next_number, self.odd);
        }
        self.channels.push(Channel::asking(id, class, name, send, recv)).map_err(|_| CannotOpen::TooMany)?;
        self.next_number += 1;
        Ok(id)
    }
    pub(crate) fn asked(&self, id: u16) -> Option<&Asked> {
        self.asked.iter().find(|a| a.id == id)
    }
    /// Says yes to a request; hands the buffers back when there is none with this number, or no room.
    pub(crate) fn accept(&mut self, id: u16, class: Class, send: B, recv: B) -> Result<(), (B, B)> {
        let at = self.asked.iter().position(|a| a.id == id && a.refused.is_none());
        match at.filter(|_| !self.channels.is_full()) {
            Some(at) => {
                let a = self.asked.swap_remove(at);
                let _ = self.channels.push(Channel::accepting(id, class, a.service, a.limit, send, recv));
                Ok(())
            }
            None => Err((send, recv)),
        }
    }
    /// Ends a channel at once, or says no to a request.
    pub(crate) fn reset(&mut self, id: u16, reason: u8) {
        if let Some(asked) = self.asked.iter_mut().find(|a| a.id == id && a.refused.is_none()) {
            (asked.refused, asked.refusal_due) = (Some(reason), true);
        } else if let Some(channel) = self.get_mut(id) {
            channel.reset(reason);
        }
    }
    /// The next news; a channel that has ended is gone once this was said. `last`: the session is over, and nobody will
    /// tell more of one on which everything was delivered.
    pub(crate) fn poll_news(&mut self, last: bool) -> Option<News> {
        if let Some(asked) = self.asked.iter_mut().find(|a| !a.told && a.refused.is_none()) {
            asked.told = true;
            return Some(News::Asked(asked.id));
        }
        for at in 0..self.channels.len() {
            let channel = &mut self.channels[at];
            if core::mem::take(&mut channel.accepted_news) {
                return Some(News::Accepted(channel.id()));
            }
            if let Some((note, value)) = channel.take_note() {
                return Some(News::Noted(channel.id(), note, value));
            }
            if channel.stage == Stage::Reset {
                let (id, reason, told) = (channel.id(), channel.reason(), channel.reset_news);
                self.remove(at);
                return if told { Some(News::Reset(id, reason)) } else { self.poll_news(last) };
            }
            if channel.id() != 0 && (channel.is_over() || (last && channel.is_delivered())) {
                let id = channel.id();
                self.remove(at);
                return Some(News::Closed(id));
            }
        }
        None
    }
    fn remove(&mut self, at: usize) {
        let channel = self.channels.swap_remove(at);
        self.gone_in += channel.bytes_in();
        self.gone_out += channel.bytes_out();
    }
    /// User bytes read, and acknowledged by the peer.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        self.channels.iter().fold((self.gone_in, self.gone_out), |sum, c| (sum.0 + c.bytes_in(), sum.1 + c.bytes_out()))
    }

    // ---- the session --------------------------------------------------------------------------

    /// In a session with one stream: everything was delivered both ways.
    pub(crate) fn is_delivered(&self) -> bool {
        self.get(0).is_some_and(Channel::is_delivered)
    }
    /// And the peer knows that, too.
    pub(crate) fn is_over(&self) -> bool {
        self.get(0).is_some_and(Channel::is_over)
    }

    /// Bytes per second of the wire from now on.
    pub(crate) fn set_rate(&mut self, rate: u32) {
        self.rate = rate;
    }

    /// The session is open; our channels have odd numbers or even ones.
    pub(crate) fn opened(&mut self, odd: bool) {
        self.odd = odd;
    }
    /// Something of the user has passed in either direction, or was promised.
    pub(crate) fn is_used(&self) -> bool {
        let (into, out) = self.bytes();
        into + out > 0 || self.channels.iter().any(|c| c.id() != 0 || c.recv.is_used()) || !self.asked.is_empty()
    }
    /// A new peer, and nothing had passed: all begins again.
    pub(crate) fn restart(&mut self) {
        self.channels.iter_mut().for_each(Channel::restart);
        (self.begun, self.next_number) = (Begun::default(), 0);
        self.skips.forget();
    }
    /// Whether the peer's OPEN says where the one stream may go to.
    pub(crate) fn sole_limit(&mut self, limit: u64) {
        if let Some(sole) = self.get_mut(0) {
            sole.send.raise_limit(limit);
        }
    }

    /// Takes a record that is about a channel; `bonded`: it came by one path of several, and may
    /// have overtaken others.
    pub(crate) fn handle(&mut self, record: &Record<'_>, bonded: bool, now: Instant) -> Result<(), Refused> {
        match *record {
            Record::Begin(begin) => self.handle_begin(&begin)?,
            Record::Accept { channel, limit } => {
                if let Some(channel) = self.get_mut(channel) {
                    channel.handle_accept(limit);
                }
            }
            Record::Reset { channel, reason } => {
                self.asked.retain(|a| a.id != channel || a.refused.is_some());
                // its BEGIN, should that be under way still, is about nothing any more
                if let Some(number) = self.begun.number(channel, !self.odd).filter(|n| bonded && !self.begun.contains(*n)) {
                    self.begun.insert(number);
                }
                if let Some(channel) = self.get_mut(channel).filter(|c| c.id() != 0) {
                    channel.handle_reset(reason);
                }
            }
            Record::Window { channel, limit } => {
                if let Some(channel) = self.get_mut(channel) {
                    channel.handle_window(limit);
                }
            }
            Record::Done { channel } => {
                if let Some(channel) = self.get_mut(channel) {
                    channel.handle_done();
                }
            }
            Record::Note { channel, kind, value } => {
                if let (Some(channel), Some(note)) = (self.get_mut(channel), Note::from_wire(kind)) {
                    channel.handle_note(note, value);
                }
            }
            Record::Data { channel, offset, fin, payload } => {
                // of a channel that is gone it was said why
                let Some(at) = self.channels.iter().position(|c| c.id() == channel) else { return Ok(()) };
                self.channels[at].handle_data(offset, fin, payload, bonded)?;
                self.came(at, payload.len(), now);
            }
            _ => {}
        }
        Ok(())
    }

    fn handle_begin(&mut self, begin: &Begin<'_>) -> Result<(), Refused> {
        let Some(number) = self.begun.number(begin.channel, !self.odd) else { return Ok(()) };
        if self.begun.contains(number) {
            return Ok(());
        }
        if self.channels.capacity() <= 1 || self.get(begin.channel).is_some() {
            return Ok(());
        }
        let service = Service::from_slice(begin.service).map_err(|_| Refused)?;
        let class = Class::from_wire(begin.class);
        let asked =
            Asked { id: begin.channel, class, service, limit: begin.limit, told: false, refused: None, refusal_due: false };
        self.asked.push(asked).map_err(|_| Refused)?;
        self.begun.insert(number);
        Ok(())
    }

    /// The bytes of a piece that is not acknowledged yet; false when its channel is gone.
    pub(crate) fn copy(&self, id: u16, piece: Piece, out: &mut [u8]) -> bool {
        let Some(channel) = self.get(id).filter(|c| c.send.holds(piece)) else { return false };
        channel.send.copy(piece, out);
        true
    }
    /// Only a part of a piece has to be sent again; false when it must be all of it.
    pub(crate) fn fill(&mut self, id: u16, fill: Fill) -> bool {
        self.get_mut(id).is_some_and(|channel| channel.may_send() && channel.send.fill(fill))
    }

    /// A path is gone, and with it what it was to fill.
    pub(crate) fn drop_fills(&mut self, path: u8) {
        self.channels.iter_mut().for_each(|channel| channel.send.drop_fills(path));
    }

    /// What a transmission carried has arrived.
    pub(crate) fn arrived(&mut self, load: Load) {
        if let Some((order, Control::Skip)) = load.control {
            self.skips.answer(order, true);
        } else if let Some((id, control)) = load.control {
            self.asked.retain(|a| a.id != id || a.refused.is_none() || control != Control::Reset);
            if let Some(channel) = self.get_mut(id) {
                channel.control_arrived(control);
            }
        }
        if let Some((id, piece)) = load.piece
            && let Some(channel) = self.get_mut(id)
        {
            channel.piece_arrived(piece);
        }
    }
    /// What a transmission carried was lost.
    pub(crate) fn lost(&mut self, load: Load) {
        if let Some((order, Control::Skip)) = load.control {
            self.skips.answer(order, false);
        } else if let Some((id, control)) = load.control {
            if let Some(asked) = self.asked.iter_mut().find(|a| a.id == id && a.refused.is_some()) {
                asked.refusal_due |= control == Control::Reset;
            } else if let Some(channel) = self.get_mut(id) {
                channel.control_lost(control);
            }
        }
        if let Some((id, piece)) = load.piece
            && let Some(channel) = self.get_mut(id)
        {
            channel.piece_lost(piece);
        }
    }
}

#[cfg(feature = "explore")]
impl<B: AsRef<[u8]> + AsMut<[u8]>, const C: usize> crate::explore::Digested for Mux<B, C> {
    fn digest(&self, to: &mut crate::explore::Digest) {
        // the next turn and what follows from the rate are left out: the channels of the search are alike
        #[rustfmt::skip]
        let Mux {
            schedule: _, rate: _, gone_in, gone_out, channels, asked, begun, odd, next_number, progress, skips,
        } = self;
        to.add((odd, next_number, progress, skips, gone_in, gone_out));
        channels.iter().for_each(|channel| channel.digest(to));
        asked.iter().for_each(|asked| asked.digest(to));
        begun.digest(to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::segment::Writer;

    const ROOM: Room = Room { payload: 100, backlog_us: 0, path: 0, bonded: true, urgent: true, fresh: true };

    fn said(mux: &mut Mux<[u8; 64], 2>) -> Load {
        let mut out = [0; 200];
        mux.write_records(&mut Writer::new(&mut out, 0), ROOM, Instant::default()).0
    }

    #[test]
    fn done_is_said_again_though_the_accept_has_not_come() {
        let (mut mux, now) = (Mux::<[u8; 64], 2>::new(0), Instant::default());
        let id = mux.open(b"it", Class::Bulk, [0; 64], [0; 64]).unwrap();
        assert_eq!(said(&mut mux).control, Some((id, Control::Begin)));
        // by another path than the ACCEPT
        let data = Record::Data { channel: id, offset: 0, fin: true, payload: b"all" };
        mux.handle(&data, true, now).unwrap();
        let channel = mux.get_mut(id).unwrap();
        assert_eq!(channel.read(&mut [0; 8]), 3);
        channel.confirm();
        let done = said(&mut mux);
        assert_eq!(done.control, Some((id, Control::Done)));
        assert!(said(&mut mux).is_empty());
        mux.lost(done);
        assert_eq!(said(&mut mux).control, Some((id, Control::Done)));
        mux.arrived(done);
        mux.lost(done);
        assert!(said(&mut mux).is_empty());
    }

    #[test]
    fn what_was_said_to_a_peer_that_is_gone_is_not_said_to_the_next() {
        let (mut mux, now) = (Mux::<[u8; 64], 2>::sole(0, [0; 64], [0; 64]), Instant::default());
        mux.handle(&Record::Data { channel: 0, offset: 0, fin: true, payload: b"" }, true, now).unwrap();
        mux.get_mut(0).unwrap().confirm();
        let done = said(&mut mux);
        assert_eq!(done.control, Some((0, Control::Done)));
        mux.restart();
        mux.lost(done);
        assert!(said(&mut mux).is_empty());
    }
}
