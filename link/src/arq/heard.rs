//! Which transmissions arrived, and what an ACK says of them.

use super::endpoint::Damage;
use crate::wire::segment::{ACK_PAIRS, Ack, TX_BITS, VARINT_MAX};
use crate::wire::seq;

/// Transmissions come in order on a wire, so only what lies above the newest is ever added.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard {
    /// First and last of each run, the newest run first.
    runs: heapless::Vec<(u64, u64), { ACK_PAIRS + 1 }>,
    /// Nothing below is taken any more.
    floor: u64,
}

impl Heard {
    /// The full number of a transmission that came in.
    pub(crate) fn number(&self, low: u16) -> u64 {
        seq::expand(u32::from(low), TX_BITS, self.next())
    }
    /// Whether `tx` lies above all that was noted.
    pub(crate) fn is_new(&self, tx: u64) -> bool {
        tx >= self.next()
    }
    fn next(&self) -> u64 {
        self.runs.first().map_or(0, |r| r.1 + 1).max(self.floor)
    }
    /// Whether this transmission is one of those missing right before the newest run.
    pub(crate) fn lacks(&self, low: u16) -> bool {
        let (tx, first) = (self.number(low), self.runs.first().map_or(0, |run| run.0));
        let before = self.runs.get(1).map_or(0, |run| run.1 + 1);
        (before.max(self.floor)..first).contains(&tx)
    }
    /// The peer sends again what it said up to this transmission: should that come, it is too late.
    pub(crate) fn skip(&mut self, low: u16) {
        self.floor = self.floor.max(self.number(low) + 1);
    }
    /// Notes a new transmission; says whether some before it are missing.
    pub(crate) fn note(&mut self, tx: u64) -> bool {
        match self.runs.first_mut() {
            Some(run) if run.1 + 1 == tx => {
                run.1 = tx;
                false
            }
            first => {
                let gap = first.is_some() || tx > 0;
                if self.runs.is_full() {
                    self.runs.pop();
                }
                let _ = self.runs.insert(0, (tx, tx));
                gap
            }
        }
    }
    /// The ACK for now; none before anything came.
    pub(crate) fn ack(&self, damage: Damage) -> Option<Ack> {
        let &(from, newest) = self.runs.first()?;
        let run = (newest - from + 1).min(u64::from(VARINT_MAX)) as u16;
        let mut ack = Ack {
            newest: newest as u16,
            damage: damage.wrong as u16,
            slips: damage.slips as u8,
            run,
            pairs: heapless::Vec::new(),
        };
        for pair in self.runs.windows(2) {
            let (gap, run) = (pair[0].0 - pair[1].1 - 1, pair[1].1 - pair[1].0 + 1);
            if gap > u64::from(VARINT_MAX) {
                break;
            }
            let _ = ack.pairs.push((gap as u16, run.min(u64::from(VARINT_MAX)) as u16));
            if run > u64::from(VARINT_MAX) {
                break;
            }
        }
        Some(ack)
    }
}

/// The runs of an ACK as full numbers (first, last), newest first; none when it speaks of
/// transmissions that were never made (`next` is the first of those).
pub(crate) fn runs(ack: &Ack, next: u64) -> Option<heapless::Vec<(u64, u64), { ACK_PAIRS + 1 }>> {
    let newest = seq::expand(u32::from(ack.newest), TX_BITS, next);
    let mut runs = heapless::Vec::new();
    let mut from = (newest + 1).checked_sub(u64::from(ack.run))?;
    let _ = runs.push((from, newest));
    for &(gap, run) in &ack.pairs {
        let last = from.checked_sub(u64::from(gap) + 1)?;
        from = (last + 1).checked_sub(u64::from(run))?;
        let _ = runs.push((from, last));
    }
    if newest < next { Some(runs) } else { None }
}

#[cfg(feature = "explore")]
impl crate::explore::Digested for Heard {
    fn digest(&self, to: &mut crate::explore::Digest) {
        let Heard { runs, floor } = self;
        runs.iter().for_each(|run| {
            to.theirs(run.0);
            to.theirs(run.1);
        });
        to.theirs(*floor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_was_heard() {
        let mut heard = Heard::default();
        for tx in [0, 1, 2, 5, 6, 9] {
            heard.note(tx);
        }
        let ack = heard.ack(Damage::default()).unwrap();
        assert_eq!(runs(&ack, 10).unwrap().as_slice(), [(9, 9), (5, 6), (0, 2)]);
        assert!(runs(&ack, 9).is_none());
        assert!(!heard.is_new(9) && heard.is_new(10));
        assert!(heard.lacks(7) && heard.lacks(8) && ![3, 6, 9, 10].iter().any(|&tx| heard.lacks(tx)));
    }
}
