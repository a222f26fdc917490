//! Whose a frame is (PROTOCOL 1.1), and how frames of somebody else are told from damaged ones.

use super::frame::Head;
use super::{Binding, check};

/// To whom a good frame belongs (PROTOCOL 1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// To no session.
    Nobody,
    /// The peer of this session says it.
    Peer,
    /// This end said it: it came back.
    Own,
    /// To another session: what its check is off by has come several times.
    Stranger,
}

/// What the check of a frame should have been, were it of no session, and what that which came differs by.
#[derive(Clone, Copy)]
pub(super) struct Off {
    sum: u32,
    by: u32,
}

impl Off {
    /// Of what stands behind a head: the body, its check, and anything.
    pub(super) fn of(head: Head, body_and_check: &[u8]) -> Off {
        let (body, rest) = body_and_check.split_at(head.len);
        let sum = check::body(head.word(), body);
        let came = rest.first_chunk().map_or(0, |came| u32::from_le_bytes(*came));
        Off { sum, by: sum ^ came }
    }
}

/// The session that frames may be of: the ids, and what they bind frames to.
#[derive(Clone, Debug)]
struct Session {
    ids: (u64, u64),
    theirs: Binding,
    ours: Binding,
}

/// Whose frames may come: those of one session, and of strangers.
#[derive(Clone, Debug, Default)]
pub(super) struct Parties {
    session: Option<Session>,
    strangers: Strangers,
}

impl Parties {
    pub(super) fn bind(&mut self, me: u64, peer: u64) {
        if self.session.as_ref().is_some_and(|session| session.ids == (me, peer)) {
            return;
        }
        let known = me != 0 && peer != 0;
        let of = |from, to| if known { Binding::of(from, to) } else { Binding::NONE };
        self.session = Some(Session { ids: (me, peer), theirs: of(peer, me), ours: of(me, peer) });
    }
    /// Whose frame it is, if it is no stranger's. What is sealed is bound by its tag.
    pub(super) fn known(&self, head: Head, off: Off) -> Option<Whose> {
        match Binding::from_wire(off.by) {
            Binding::NONE => Some(Whose::Nobody),
            by => {
                let session = self.session.as_ref().filter(|_| !head.sealed)?;
                let ours = (by == session.ours).then_some(Whose::Own);
                (by == session.theirs).then_some(Whose::Peer).or(ours)
            }
        }
    }
    /// Whether it is a stranger's: of its kind many came, or it came `intact`, with all its parity right.
    pub(super) fn stranger(&mut self, head: Head, off: Off, intact: bool) -> Option<Whose> {
        let told = self.session.is_some() && !head.sealed;
        (told && (self.strangers.note(off.by, off.sum) || intact)).then_some(Whose::Stranger)
    }
}

/// Two ends may be heard that talk to each other.
const REMEMBERED: usize = 2;
/// So often it must have been seen: one bit that turns at the same place of two frames looks alike, too.
const SURE: u8 = 3;
const MOST: u8 = 8;

/// What the check of a frame is off by, where it is neither right nor of the session that is known here. Damage is off
/// by something else nearly each time, the frames of another session all by the same: what is frequent among all that
/// come (Misra and Gries, 1982) is no damage.
#[derive(Clone, Debug, Default)]
struct Strangers([Suspect; REMEMBERED]);

#[derive(Clone, Copy, Debug, Default)]
struct Suspect {
    by: u32,
    /// The check of the latest one: a copy of a damaged frame proves nothing.
    sum: u32,
    count: u8,
}

impl Strangers {
    /// A frame came whose check should have been `sum` and is off by `by`; says whether it is a stranger's.
    fn note(&mut self, by: u32, sum: u32) -> bool {
        if let Some(known) = self.0.iter_mut().find(|suspect| suspect.count > 0 && suspect.by == by) {
            known.count = (known.count + u8::from(known.sum != sum)).min(MOST);
            known.sum = sum;
            return known.count >= SURE;
        }
        match self.0.iter_mut().find(|suspect| suspect.count == 0) {
            Some(free) => *free = Suspect { by, sum, count: 1 },
            None => self.0.iter_mut().for_each(|suspect| suspect.count -= 1),
        }
        false
    }
}

#[cfg(feature = "explore")]
impl crate::explore::Digested for Parties {
    fn digest(&self, to: &mut crate::explore::Digest) {
        // told of the session before each frame
        let Parties { session: _, strangers: Strangers(suspects) } = self;
        // the sum is of one frame, and differs from that of the next
        suspects.iter().for_each(|Suspect { by, sum: _, count }| to.add((by, count)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_repeats_is_a_stranger() {
        let mut strangers = Strangers::default();
        for _ in 0..10 {
            assert!(!strangers.note(0xABC, 1), "the same frame, damaged in the same way");
        }
        assert!(!strangers.note(0xABC, 2) && strangers.note(0xABC, 3));
        assert!(!strangers.note(0xDEF, 4) && !strangers.note(0xDEF, 5) && strangers.note(0xDEF, 6));
        assert!(!strangers.note(77, 7) && strangers.note(0xABC, 8) && strangers.note(0xDEF, 9), "with damage between");
    }

    #[test]
    fn turned_bits_are_none() {
        let (mut strangers, mut random, mut mistaken) = (Strangers::default(), 1u64, 0);
        for sum in 0..100_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            // short frames in which one bit turned
            mistaken += u32::from(strangers.note(1 + (random >> 33) as u32 % 160, sum));
        }
        assert!(mistaken < 100, "{mistaken}");
    }
}
