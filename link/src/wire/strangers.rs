//! Frames of somebody else, told from damaged ones.

/// Two ends may be heard that talk to each other.
const REMEMBERED: usize = 2;
/// So often it must have been seen: one bit that turns at the same place of two frames looks alike, too.
const SURE: u8 = 3;
const MOST: u8 = 8;

/// What the check of a frame is off by, where it is neither right nor of the session that is known here. Damage is off
/// by something else nearly each time, the frames of another session all by the same: what is frequent among all that
/// come (Misra and Gries, 1982) is no damage.
#[derive(Clone, Debug, Default)]
pub(super) struct Strangers([Suspect; REMEMBERED]);

#[derive(Clone, Copy, Debug, Default)]
struct Suspect {
    by: u32,
    /// The check of the latest one: a copy of a damaged frame proves nothing.
    sum: u32,
    count: u8,
}

impl Strangers {
    /// A frame came whose check should have been `sum` and is off by `by`; says whether it is a stranger's.
    pub(super) fn note(&mut self, by: u32, sum: u32) -> bool {
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
impl crate::explore::Digested for Strangers {
    fn digest(&self, to: &mut crate::explore::Digest) {
        // the sum is of one frame, and differs from that of the next
        self.0.iter().for_each(|Suspect { by, sum: _, count }| to.add((by, count)));
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
