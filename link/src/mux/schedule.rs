//! Who sends next: control, then interactive, then bulk, which is guaranteed a tenth.

use super::channel::Channel;
use super::send::{Fill, Piece};
use super::{BEGIN_COSTS, Control, Load, Mux};
use crate::time::Instant;
use crate::wire::segment::{DATA_HEAD, Writer};

/// A short piece of bulk waits while more than this stands before it (µs of sending time).
pub(crate) const HOLD_US: u64 = 300;
/// A piece up to this size that is all there is, on a channel that is not bulk, is somebody typing.
const TYPED_MAX: usize = 64;
/// A piece from this size on, on a channel whose class is learnt, is of a transfer.
const MUCH: usize = 1_024;
/// How long typing is remembered (µs), while nothing shows that it was none.
const TYPING_US: u64 = 10_000_000;
/// Where the class is learnt, two short pieces so far apart are somebody typing; one alone, or two of
/// one request, are not (µs).
const APART_US: core::ops::Range<u64> = 5_000..2_000_000;
/// Bulk may send one byte for so many interactive ones, whatever waits.
const BULK_SHARE: u64 = 9;
/// Most bulk that may be saved up in this way (bytes).
const BULK_CREDIT: u64 = 4096;

/// How urgent the data of a channel are. Control goes first, then interactive, then bulk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Hash)]
pub enum Class {
    /// Learnt from use: small writes after idle are interactive, all else is bulk.
    #[default]
    Learnt,
    /// Before bulk, always.
    Interactive,
    /// After everything else, but with a guaranteed tenth of the wire.
    Bulk,
}

impl Class {
    /// The number on the wire.
    pub const fn to_wire(self) -> u8 {
        match self {
            Class::Learnt => 0,
            Class::Interactive => 1,
            Class::Bulk => 2,
        }
    }
    /// The class with this number; unknown ones are learnt.
    pub const fn from_wire(n: u8) -> Class {
        match n {
            1 => Class::Interactive,
            2 => Class::Bulk,
            _ => Class::Learnt,
        }
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Schedule {
    /// Where the round goes on.
    turn: usize,
    /// Bytes bulk may send before interactive data, times [`BULK_SHARE`].
    credit: u64,
    /// Until when somebody types, at the latest; on which channel, that knows.
    typing_until: Option<Instant>,
    /// Bytes sent since there was nothing to send.
    busy: u64,
}

/// Whether somebody types on a channel.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Typing {
    until: Option<Instant>,
    short_at: Option<Instant>,
}

impl Typing {
    /// A short piece with something urgent came or went; on a channel that is interactive by its class, or that is taken for it.
    /// Says until when that counts as typing now.
    fn short(&mut self, by_class: bool, now: Instant) -> Option<Instant> {
        let again = self.short_at.replace(now).is_some_and(|last| APART_US.contains(&now.since(last)));
        if by_class || again {
            self.until = Some(now.after(TYPING_US));
        }
        self.until
    }
    /// Much is sent at once: short pieces of before were the beginning of that.
    fn much(&mut self) {
        *self = Typing::default();
    }
    fn is(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }
}

/// Whom a bulk frame keeps waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Traffic {
    /// Somebody who types.
    Typing,
    /// Channels that may have something urgent at any time.
    Shared,
    /// Nobody; so many bytes were sent without a break.
    Alone { busy: u64 },
}

/// How much can be sent now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// Most payload of a frame; none may be sent at 0.
    pub(crate) payload: usize,
    /// Sending time handed out and not gone yet (µs).
    pub(crate) backlog_us: u64,
    /// Which path asks, and whether it is one of several.
    pub(crate) path: u8,
    pub(crate) bonded: bool,
    /// Whether it takes what is urgent: control, what is interactive, short pieces. Of several paths the
    /// quickest does; the others take what fills their frames.
    pub(crate) urgent: bool,
    /// Whether new bytes may be sent, and channels begun: not while something too old may be under way.
    pub(crate) fresh: bool,
}

impl<B: AsRef<[u8]> + AsMut<[u8]>, const C: usize> Mux<B, C> {
    /// Somebody types, so bulk frames are short and little is sent ahead.
    pub(crate) fn is_typing(&self, now: Instant) -> bool {
        let may = self.schedule.typing_until.is_some_and(|until| now < until);
        may && self.channels.iter().any(|channel| channel.typing.is(now))
    }
    /// A piece of a channel has come.
    pub(super) fn came(&mut self, at: usize, len: usize, now: Instant) {
        let channel = &mut self.channels[at];
        match channel.class() {
            Class::Interactive if len <= TYPED_MAX => {
                let until = channel.typing.short(true, now);
                self.schedule.typing_until = self.schedule.typing_until.max(until);
            }
            Class::Learnt if len >= MUCH => channel.typing.much(),
            _ => {}
        }
    }

    /// What a bulk frame would keep waiting on a path that takes what is urgent, or on another one.
    pub(crate) fn traffic(&self, urgent: bool, now: Instant) -> Traffic {
        let typing = self.is_typing(now);
        if typing && urgent {
            Traffic::Typing
        } else if typing || self.channels.iter().filter(|c| c.class() != Class::Bulk).count() > 1 {
            Traffic::Shared
        } else {
            Traffic::Alone { busy: self.schedule.busy }
        }
    }

    pub(crate) fn control_due(&self, room: Room) -> bool {
        let due = || self.asked.iter().any(|a| a.refusal_due) || self.channels.iter().any(|c| c.control_due(room).is_some());
        room.urgent && due()
    }
    /// Whether data are to be sent with so much room.
    pub(crate) fn data_due(&self, room: Room, now: Instant) -> bool {
        room.payload > 0 && self.channels.iter().any(|c| self.wants(c, room, now))
    }
    fn wants(&self, channel: &Channel<B>, room: Room, now: Instant) -> bool {
        if !channel.may_send() {
            return false;
        }
        let fresh = if room.fresh { channel.send.fresh() } else { 0 };
        if channel.is_interactive(now, self.rate) {
            return (room.urgent && fresh > 0) || channel.send.urgent(room.path);
        }
        let short = room.urgent && fresh > 0 && room.backlog_us <= HOLD_US;
        channel.send.urgent(room.path) || fresh >= room.payload || short
    }

    /// Writes the most urgent records: at most one control and one piece.
    pub(crate) fn write_records(&mut self, writer: &mut Writer<'_>, room: Room, now: Instant) -> (Load, bool) {
        let control = if room.urgent { self.write_control(writer, room) } else { None };
        // a name makes a long record: data have their own segment
        if control.is_some_and(|c| c.1 == Control::Begin) {
            return (Load { control, piece: None }, false);
        }
        // what else a segment says is short, but once in a while all of it comes together
        let payload = room.payload.min(writer.left().saturating_sub(DATA_HEAD + 2));
        let Some(at) = self.next(room, now) else { return (Load { control, piece: None }, false) };
        let rate = self.rate;
        let channel = &mut self.channels[at];
        let interactive = channel.is_interactive(now, rate);
        if let Some(fill) = channel.send.take_fill(room.path, payload) {
            let Fill { tx, piece, from, to, .. } = fill;
            let part = Piece { start: piece.start + u64::from(from), end: piece.start + u64::from(to), fin: false };
            writer.fill(tx, from, part.len() as usize, |out| channel.send.copy(part, out));
            return (Load { control, piece: Some((channel.id(), piece)) }, true);
        }
        let all = channel.send.waiting();
        let Some((piece, repeat)) = channel.send.take(payload) else { return (Load { control, piece: None }, false) };
        let len = piece.len() as usize;
        writer.data(channel.id(), piece.start, piece.fin, len, |out| channel.send.copy(piece, out));
        channel.spend(len as u64, now, rate);
        self.progress += if repeat { 0 } else { len as u64 };
        let by_class = channel.class() == Class::Interactive;
        let waiting = channel.send.fresh() > 0;
        let load = Load { control, piece: Some((channel.id(), piece)) };
        self.schedule.busy = if waiting { self.schedule.busy + len as u64 } else { 0 };
        if !interactive {
            self.channels[at].typing.much();
        } else if len > 0 && all <= TYPED_MAX as u64 {
            let until = self.channels[at].typing.short(by_class, now);
            self.schedule.typing_until = self.schedule.typing_until.max(until);
        }
        self.schedule.credit = if interactive {
            (self.schedule.credit + len as u64).min(BULK_CREDIT * BULK_SHARE)
        } else {
            self.schedule.credit.saturating_sub(len as u64 * BULK_SHARE)
        };
        (load, repeat)
    }

    fn write_control(&mut self, writer: &mut Writer<'_>, room: Room) -> Option<(u16, Control)> {
        if let Some(asked) = self.asked.iter_mut().find(|a| a.refusal_due) {
            asked.refusal_due = false;
            writer.reset(asked.id, asked.refused.unwrap_or(0));
            return Some((asked.id, Control::Reset));
        }
        let (channel, control) = self.channels.iter_mut().find_map(|c| c.control_due(room).map(|control| (c, control)))?;
        let (id, told) = (channel.id(), channel.recv.told());
        match control {
            Control::Begin => writer.begin(id, channel.class().to_wire(), channel.recv.first_limit(), channel.service()),
            Control::Accept => writer.accept(id, channel.recv.first_limit()),
            Control::Reset => writer.reset(id, channel.reason()),
            Control::Window => writer.window(id, channel.recv.window_told()),
            Control::Note(note) => writer.note(id, note.to_wire(), channel.note_value(note)),
            Control::Done => writer.done(id),
            Control::Skip => {}
        }
        self.progress += channel.recv.told() - told + if control == Control::Begin { BEGIN_COSTS } else { 0 };
        channel.control_sent(control);
        Some((id, control))
    }

    /// The channel whose turn it is.
    fn next(&mut self, room: Room, now: Instant) -> Option<usize> {
        if room.payload == 0 {
            return None;
        }
        let n = self.channels.len();
        let (mut interactive, mut bulk) = (None, None);
        for at in (0..n).map(|i| (self.schedule.turn + i) % n) {
            let channel = &self.channels[at];
            if !self.wants(channel, room, now) {
                continue;
            }
            let slot = if channel.is_interactive(now, self.rate) { &mut interactive } else { &mut bulk };
            slot.get_or_insert(at);
        }
        let saved = self.schedule.credit >= room.payload as u64 * BULK_SHARE;
        let next = if saved { bulk.or(interactive) } else { interactive.or(bulk) }?;
        self.schedule.turn = (next + 1) % n;
        Some(next)
    }
}
