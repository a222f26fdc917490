//! Which numbers of a session were heard of.

use std::collections::BTreeMap;

/// Ranges that are kept: whoever leaves out more numbers than that is no friend.
const RANGES_MAX: usize = 1 << 16;

/// Numbers, as ranges that do not touch.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// First to last.
    ranges: BTreeMap<u32, u32>,
    count: u32,
}

impl Heard {
    pub(super) fn insert(&mut self, number: u32) {
        let before = self.ranges.range(..=number).next_back().map(|(first, last)| (*first, *last));
        if before.is_some_and(|(_, last)| last >= number) {
            return;
        }
        let first = before.filter(|(_, last)| last + 1 == number).map_or(number, |(first, _)| first);
        let last = number.checked_add(1).and_then(|next| self.ranges.remove(&next)).unwrap_or(number);
        if first == number && self.ranges.len() >= RANGES_MAX {
            return;
        }
        self.ranges.insert(first, last);
        self.count += 1;
    }
    /// Those below `end` that are not among them, as ranges from first to last.
    pub(super) fn gaps(&self, end: u32) -> Vec<(u32, u32)> {
        let (mut gaps, mut next) = (Vec::new(), Some(0));
        for (&first, &last) in &self.ranges {
            if let Some(from) = next.filter(|from| *from < first.min(end)) {
                gaps.push((from, first.min(end) - 1));
            }
            next = last.checked_add(1);
        }
        gaps.extend(next.filter(|from| *from < end).map(|from| (from, end - 1)));
        gaps
    }
    /// How many there are.
    pub(super) fn count(&self) -> u32 {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_counts_once() {
        let mut heard = Heard::default();
        for number in [3, 1, 2, 2, 0, u32::MAX, 7, 7, 6, 8, u32::MAX - 1] {
            heard.insert(number);
        }
        assert_eq!(heard.count(), 9);
        assert_eq!(heard.ranges, BTreeMap::from([(0, 3), (6, 8), (u32::MAX - 1, u32::MAX)]));
        assert_eq!(heard.gaps(u32::MAX), [(4, 5), (9, u32::MAX - 2)]);
        assert_eq!([heard.gaps(5), heard.gaps(6), heard.gaps(4), heard.gaps(0)], [vec![(4, 4)], vec![(4, 5)], vec![], vec![]]);
        assert_eq!(Heard::default().gaps(3), [(0, 2)]);
    }
}
