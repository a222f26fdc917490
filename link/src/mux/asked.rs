//! What the peer asks for, and the numbers of channels.

use super::ranges::Ranges;
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

/// Which channels the peer has begun: a BEGIN that was sent twice opens one channel.
#[derive(Debug, Default)]
pub(super) struct Begun {
    ranges: Ranges<16>,
    newest: u64,
}

impl Begun {
    /// The full number of a channel of the peer's; none for one of ours.
    pub(super) fn number(&self, id: u16, odd: bool) -> Option<u64> {
        let low = id.checked_sub(if odd { 1 } else { 2 })?;
        (low % 2 == 0 && low >> 1 < 1 << NUMBER_BITS).then(|| seq::expand(u32::from(low >> 1), NUMBER_BITS, self.newest))
    }
    pub(super) fn contains(&self, number: u64) -> bool {
        number + FORGET <= self.newest || self.ranges.contains(number)
    }
    pub(super) fn insert(&mut self, number: u64) {
        self.newest = self.newest.max(number);
        self.ranges.insert_covering(number, number + 1);
        self.ranges.remove(0, self.newest.saturating_sub(FORGET));
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
}
