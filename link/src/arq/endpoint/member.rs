//! A session as one path of several (PROTOCOL 4.9): which bond it belongs to, what it may carry now, and
//! how what it has under way goes to the others.

use super::super::State;
use super::super::timer::Timer;
use super::Endpoint;
use crate::mux::{Bytes, Mux, Room};
use crate::time::Instant;
use crate::wire::Binding;
use crate::wire::segment::{Record, Segment, Writer};

/// Answers that may be missing in a row before a path counts as down.
const MISSED: u32 = 2;
/// Most of [`Mux::progress`] while something is under way that nobody knows the fate of: what comes so
/// late must still be told from what is new (a window of 4 MiB more is half of the offsets there are).
const PROGRESS_MAX: u64 = 1 << 22;

/// What a peer is told of transmissions that others have taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Skip {
    /// The path they went by.
    pub(crate) path: u8,
    pub(crate) token: u32,
    /// The last of them.
    pub(crate) upto: u64,
}

/// One of several paths.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) path: u8,
    /// Our id of the bond.
    bond: u64,
    /// The peer's, as it says on this path.
    pub(crate) told: Option<u64>,
    /// The receive limit it began with.
    pub(crate) limit: u32,
    /// This path leads to the peer of the bond.
    pub(crate) admitted: bool,
    /// It leads to somebody else.
    pub(crate) foreign: bool,
    /// A session was opened since this was looked at.
    pub(crate) opened: bool,
    /// This session is of no more use: another one is to be begun.
    pub(crate) over: bool,
    /// The port is gone, or was and nothing has been acknowledged since.
    pub(crate) away: bool,
    /// What it may carry besides its own acknowledgements: anything, what is urgent, what is new.
    pub(crate) data: bool,
    pub(crate) urgent: bool,
    pub(crate) fresh: bool,
    /// Its rate may be changed now: others carry what there is.
    pub(crate) turn: bool,
    /// To be told by this path, of another one, and the number of that order: see [`Skips`].
    pub(crate) skip_due: Option<(u16, Skip)>,
    /// What the peer is to be told of this one, and whether another path has it to tell.
    pub(crate) skip: Option<(Skip, bool)>,
    /// The latest transmission that wants an acknowledgement, and up to which the peer takes none any more.
    pub(super) loaded: Option<u64>,
    pub(super) skipped: Option<u64>,
    /// How far this end had gone on when the oldest one under way left, at the latest; the same of a later one.
    safe: u64,
    mark: Option<(u64, u64)>,
}

impl Member {
    pub(super) fn opened(&mut self, limit: u32) {
        (self.opened, self.limit, self.told, self.admitted, self.foreign) = (true, limit, None, false, false);
        (self.loaded, self.skipped, self.mark) = (None, None, None);
    }
    pub(super) fn share(&self, room: Room) -> Room {
        let payload = if self.data { room.payload } else { 0 };
        Room {
            payload,
            path: self.path,
            bonded: true,
            urgent: room.urgent && self.data && self.urgent,
            fresh: self.fresh,
            ..room
        }
    }
}

impl<const N: usize> Endpoint<N> {
    /// From now on this is a path of this bond, in a session of its own.
    pub(crate) fn join(&mut self, path: u8, bond: u64, session: u64) {
        self.me = session.max(1);
        self.member = Some(Member {
            path,
            bond: bond.max(1),
            told: None,
            limit: 0,
            admitted: false,
            foreign: false,
            opened: false,
            over: false,
            away: false,
            data: false,
            urgent: false,
            fresh: false,
            turn: false,
            skip_due: None,
            skip: None,
            loaded: None,
            skipped: None,
            safe: 0,
            mark: None,
        });
    }
    /// Begins another session on this path, and calls from then on. What is under way stays so until the peer
    /// takes it no more: by a SKIP, or once this session is open.
    pub(crate) fn renew<B: Bytes, const C: usize>(&mut self, mux: &mut Mux<B, C>, session: u64, calls_at: Instant) {
        let resolved = self.is_resolved();
        self.restart();
        self.timers.set(Timer::Open, calls_at);
        (self.state, self.me, self.peer) = (State::Opening, session.max(1), 0);
        (self.seal, self.peer_key, self.owe_open, self.closing, self.farewells) = (None, None, false, None, 0);
        self.call_us = self.first_call_us();
        self.rtt.answered();
        self.events.clear();
        if let Some(member) = &mut self.member {
            if let Some((order, _)) = member.skip_due.take() {
                mux.skips.answer(order, false);
            }
            member.loaded = member.loaded.filter(|_| !resolved);
            (member.told, member.admitted, member.foreign, member.over) = (None, false, false, false);
        }
    }
    /// How long nothing may be heard (µs).
    pub(crate) fn grace_us(&self) -> u64 {
        self.config.grace_us
    }

    // ---- what comes in ------------------------------------------------------------------------

    /// Notes to which bond the peer says that this path belongs.
    pub(crate) fn hear_join(&mut self, segment: &Segment<'_>) {
        if let (Some(member), State::Open) = (&mut self.member, self.state) {
            for record in segment.records() {
                if let Record::Join { bond } = record {
                    member.told = Some(bond);
                }
            }
        }
    }
    pub(crate) fn is_admitted(&self) -> bool {
        self.member.as_ref().is_none_or(|member| member.admitted)
    }
    /// The peer sends again what it sent on this path up to there.
    pub(crate) fn skip(&mut self, token: u32, tx: u16) {
        if self.state == State::Open && Binding::of(self.peer, self.me).to_wire() == token {
            self.heard.skip(tx);
        }
    }

    // ---- what goes out ------------------------------------------------------------------------

    /// What stands before the rest of a segment.
    pub(super) fn write_member(&mut self, writer: &mut Writer<'_>) {
        let Some(member) = &self.member else { return };
        if self.newest_acked.is_none() {
            writer.join(member.bond);
        }
    }
    pub(super) fn takes_urgent(&self) -> bool {
        self.member.as_ref().is_none_or(|member| member.urgent)
    }
    /// Whether this path can carry something of the bond.
    pub(crate) fn is_up(&self) -> bool {
        let ready = |member: &Member| member.admitted && !member.away && !member.over;
        self.state == State::Open && self.rtt.backoff() < MISSED && self.member.as_ref().is_none_or(ready)
    }
    /// Whether an answer is missing.
    pub(crate) fn is_doubtful(&self) -> bool {
        self.rtt.backoff() > 0
    }
    /// What a short frame takes there and back, for a comparison with others (µs). What stands in a queue now may be gone
    /// the next moment, so the shortest time counts; and noise, for then it takes two.
    pub(crate) fn delay_us(&self) -> u64 {
        self.rtt.floor_us().unwrap_or(0) + self.adapt.ber_ppb() / 100
    }

    // ---- what it has under way ----------------------------------------------------------------

    /// Nothing came back for the newest transmission: another path may send what it carried. Control stays:
    /// of that there must not be two on their way.
    pub(super) fn yield_newest<B: Bytes, const C: usize>(&mut self, mux: &mut Mux<B, C>) {
        if let Some(piece) = self.sent.back_mut().and_then(|sent| sent.load.piece.take()) {
            mux.lost(crate::mux::Load { control: None, piece: Some(piece) });
        }
        self.probe = true;
    }
    /// Other paths take over everything that is under way here. Control waits until the peer will not take it
    /// from here any more.
    pub(crate) fn hand_over<B: Bytes, const C: usize>(&mut self, mux: &mut Mux<B, C>) -> Option<Skip> {
        for sent in self.sent.iter_mut() {
            if let Some(piece) = sent.load.piece.take() {
                mux.lost(crate::mux::Load { control: None, piece: Some(piece) });
            }
        }
        let path = self.member.as_ref().map_or(0, |member| member.path);
        mux.drop_fills(path);
        self.asked = heapless::HistoryBuf::new();
        let last = self.next_tx.checked_sub(1).filter(|_| !self.is_resolved())?;
        Some(Skip { path, token: self.binding().to_wire(), upto: last })
    }
    /// The peer takes nothing any more that was sent here up to this transmission.
    pub(crate) fn release<B: Bytes, const C: usize>(&mut self, mux: &mut Mux<B, C>, upto: u64) {
        while let Some(sent) = self.sent.front().copied().filter(|sent| sent.tx <= upto) {
            self.sent.pop_front();
            self.in_flight -= usize::from(sent.wire);
            mux.lost(sent.load);
        }
        self.plea = None;
        if let Some(member) = &mut self.member {
            member.skipped = member.skipped.max(Some(upto));
        }
    }
    /// The peer is another one, and what is under way was for the one before: nothing of it is sent again.
    pub(crate) fn forget(&mut self) {
        self.sent.clear();
        (self.in_flight, self.asked) = (0, heapless::HistoryBuf::new());
        self.member.iter_mut().for_each(|member| (member.loaded, member.mark) = (None, None));
    }
    /// The port may be another one by now, and lead to somebody else. A plain session is soon begun anew, sooner than that
    /// would show.
    pub(crate) fn doubt_wire(&mut self) {
        let plain = !self.sealed && self.state == State::Open;
        self.member.iter_mut().for_each(|member| member.over |= plain);
    }
    /// Whether the fate of everything that was sent here is known.
    fn is_resolved(&self) -> bool {
        let Some(member) = &self.member else { return true };
        member.loaded.is_none_or(|loaded| self.newest_acked.max(member.skipped).is_some_and(|known| loaded <= known))
    }
    /// Whether something that was sent here may come so late that it is taken for something else.
    pub(crate) fn is_overtaken(&mut self, progress: u64) -> bool {
        let (resolved, known) = (self.is_resolved(), self.newest_acked);
        let Some(member) = &mut self.member else { return false };
        let known = known.max(member.skipped);
        match member.mark {
            _ if resolved => (member.safe, member.mark) = (progress, None),
            // what was sent before counts from the start otherwise
            _ if self.state != State::Open => {}
            Some((tx, then)) if known.is_some_and(|known| known >= tx) => {
                (member.safe, member.mark) = (then, Some((self.next_tx, progress)));
            }
            None => member.mark = Some((self.next_tx, progress)),
            Some(_) => {}
        }
        progress - member.safe >= PROGRESS_MAX
    }
}

#[cfg(feature = "explore")]
impl crate::explore::Digested for Member {
    fn digest(&self, to: &mut crate::explore::Digest) {
        #[rustfmt::skip]
        let Member {
            path, bond, told, limit, admitted, foreign, opened, over, away, data, urgent, fresh, turn, skip_due, skip,
            loaded, skipped, safe, mark,
        } = self;
        to.add((path, bond, told, limit, admitted, foreign, opened, over, away));
        to.add((data, urgent, fresh, turn, skip_due, skip, safe, mark.map(|mark| mark.1)));
        [*loaded, *skipped, mark.map(|mark| mark.0)].into_iter().for_each(|tx| {
            to.add(tx.is_some());
            tx.into_iter().for_each(|tx| to.ours(tx));
        });
    }
}
