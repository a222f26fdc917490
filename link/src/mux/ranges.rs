//! Bounded sets of stream offsets.

/// Disjoint, sorted, half-open ranges; at most `N`.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Ranges<const N: usize> {
    list: heapless::Vec<(u64, u64), N>,
}

/// There is no room for another range.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl<const N: usize> Ranges<N> {
    pub(crate) const fn new() -> Self {
        Ranges { list: heapless::Vec::new() }
    }
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
    pub(crate) fn first(&self) -> Option<(u64, u64)> {
        self.list.first().copied()
    }
    /// The sum of their lengths.
    pub(crate) fn total(&self) -> u64 {
        self.list.iter().map(|r| r.1 - r.0).sum()
    }
    pub(crate) fn clear(&mut self) {
        self.list.clear();
    }

    /// Adds `start..end`, joining what touches it.
    pub(crate) fn insert(&mut self, start: u64, end: u64) -> Result<(), Full> {
        if start >= end {
            return Ok(());
        }
        // the ranges first..last touch or overlap the new one
        let first = self.list.partition_point(|r| r.1 < start);
        let last = self.list.partition_point(|r| r.0 <= end);
        if first == last {
            return self.list.insert(first, (start, end)).map_err(|_| Full);
        }
        let joined = (start.min(self.list[first].0), end.max(self.list[last - 1].1));
        self.list[first] = joined;
        self.drop_range(first + 1, last);
        Ok(())
    }

    /// Adds `start..end`; when there is no room, covers more than asked by closing the nearest gap.
    pub(crate) fn insert_covering(&mut self, start: u64, end: u64) {
        if self.insert(start, end) == Err(Full) {
            let at = self.list.partition_point(|r| r.1 < start);
            if let Some(next) = self.list.get(at) {
                let to = next.1;
                let _ = self.insert(start, to);
            } else if let Some(previous) = self.list.last() {
                let from = previous.0;
                let _ = self.insert(from, end);
            }
        }
    }

    /// Takes out `start..end`; where a range would be cut in two without room, its tail stays in.
    pub(crate) fn remove(&mut self, start: u64, end: u64) {
        if start >= end {
            return;
        }
        let mut i = self.list.partition_point(|r| r.1 <= start);
        while let Some(&(from, to)) = self.list.get(i) {
            if from >= end {
                break;
            }
            match (from < start, to > end) {
                (true, true) => {
                    if self.list.insert(i + 1, (end, to)).is_ok() {
                        self.list[i].1 = start;
                    }
                    break;
                }
                (true, false) => {
                    self.list[i].1 = start;
                    i += 1;
                }
                (false, true) => {
                    self.list[i].0 = end;
                    break;
                }
                (false, false) => self.drop_range(i, i + 1),
            }
        }
    }

    fn drop_range(&mut self, from: usize, to: usize) {
        if from < to {
            self.list.as_mut_slice()[from..].rotate_left(to - from);
            self.list.truncate(self.list.len() - (to - from));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_a_bitmap() {
        let mut state = 99u64;
        for _ in 0..300 {
            let (mut set, mut map) = (Ranges::<64>::new(), [false; 128]);
            for _ in 0..60 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let (a, n, add) = ((state >> 33) % 128, (state >> 45) % 20, state >> 62 != 0);
                let end = (a + n).min(128);
                if add {
                    set.insert(a, end).unwrap();
                } else {
                    set.remove(a, end);
                }
                for m in &mut map[a as usize..end as usize] {
                    *m = add;
                }
                let mut seen = [false; 128];
                let mut before = None;
                for &(from, to) in &set.list {
                    assert!(from < to && before.is_none_or(|b| b < from));
                    before = Some(to);
                    seen[from as usize..to as usize].fill(true);
                }
                assert_eq!(seen, map);
            }
        }
    }

    #[test]
    fn covering_never_forgets() {
        let mut set = Ranges::<4>::new();
        for i in 0..100u64 {
            set.insert_covering(i * 37 % 100 * 10, i * 37 % 100 * 10 + 3);
            for j in 0..=i {
                let at = j * 37 % 100 * 10;
                assert!(set.list.iter().any(|r| r.0 <= at && r.1 >= at + 3));
            }
        }
    }
}
