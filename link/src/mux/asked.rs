//! What the peer asks for, and the numbers of channels.

use super::{Class, NUMBER_BITS, Service};
use crate::wire::seq;

/// Numbers so far behind the newest are not asked for again.
const FORGET: u64 = 1 << (NUMBER_BITS - 1);

/// A channel the peer wants opened.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Number of the channel.
    pub id: u16,
    /// How urgent the peer's data are.
    pub class: Class,
    pub(super) service: Service,
    pub(super) limit: u32,
    /// The user knows.
    pub(super) told: bool,
    /// The user said no; the peer has to be told.
    pub(super) refused: Option<u8>,
    pub(super) refusal_due: bool,
}

impl Asked {
    /// The name of the service.
    pub fn service(&self) -> &[u8] {
        &self.service
    }
}

/// The channel with this number of one end: odd ones for the end with the higher session id.
pub(super) fn id(number: u64, odd: bool) -> u16 {
    2 * (number % (1 << NUMBER_BITS)) as u16 + if odd { 1 } else { 2 }
}

/// Which channels the peer has begun: a BEGIN that was sent twice opens one channel, and one that comes
/// late is not taken for one that came before, however many are out of order.
#[derive(Clone, Debug)]
pub(super) struct Begun {
    /// The newest [`FORGET`] numbers, a bit each, at the number modulo that.
    seen: [u64; FORGET as usize / 64],
    newest: u64,
}

impl Default for Begun {
    fn default() -> Self {
        Begun { seen: [0; FORGET as usize / 64], newest: 0 }
    }
}

impl Begun {
    /// The full number of a channel of the peer's; none for one of ours.
    pub(super) fn number(&self, id: u16, odd: bool) -> Option<u64> {
        let low = id.checked_sub(if odd { 1 } else { 2 })?;
        (low % 2 == 0 && low >> 1 < 1 << NUMBER_BITS).then(|| seq::expand(u32::from(low >> 1), NUMBER_BITS, self.newest))
    }
    pub(super) fn contains(&self, number: u64) -> bool {
        let (word, bit) = place(number);
        number + FORGET <= self.newest || (number <= self.newest && self.seen[word] & bit != 0)
    }
    pub(super) fn insert(&mut self, number: u64) {
        // the places of numbers that are too old now
        for old in (self.newest + 1..=number).rev().take(FORGET as usize) {
            let (word, bit) = place(old);
            self.seen[word] &= !bit;
        }
        self.newest = self.newest.max(number);
        let (word, bit) = place(number);
        self.seen[word] |= bit;
    }
}

/// Word and bit of a number.
fn place(number: u64) -> (usize, u64) {
    ((number % FORGET / 64) as usize, 1 << (number % 64))
}

#[cfg(feature = "explore")]
impl crate::explore::Digested for Asked {
    fn digest(&self, to: &mut crate::explore::Digest) {
        let Asked { id, class, service, limit, told, refused, refusal_due } = self;
        to.add((id, class, service, limit, told, refused, refusal_due));
    }
}

#[cfg(feature = "explore")]
impl crate::explore::Digested for Begun {
    fn digest(&self, to: &mut crate::explore::Digest) {
        let Begun { seen, newest } = self;
        to.add((seen, newest));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_counts_once_for_ever() {
        let mut begun = Begun::default();
        for n in 0..100_000u64 {
            let number = begun.number(id(n, true), true).unwrap();
            assert_eq!(number, n);
            assert!(!begun.contains(number));
            begun.insert(number);
            assert!(begun.contains(number) && begun.contains(n.saturating_sub(5)));
        }
        assert_eq!(begun.number(id(3, false), true), None);
    }

    #[test]
    fn late_ones_are_not_taken_for_known_ones() {
        let mut begun = Begun::default();
        for even in (0..400).step_by(2) {
            begun.insert(even);
        }
        for n in 0..399 {
            assert_eq!(begun.contains(n), n % 2 == 0, "{n}");
        }
        begun.insert(399 + FORGET);
        assert!((0..400).all(|n| begun.contains(n)), "too old to be new");
        assert!((400..399 + FORGET).all(|n| !begun.contains(n)));
    }
}
