//! Lines that a stranger can cause: a few in a minute, then a count of those that were left out.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What the lines of one kind are counted in.
const PERIOD: Duration = Duration::from_secs(60);

#[derive(Debug)]
struct Window {
    began: Instant,
    said: u32,
    left_out: u64,
}

/// How much was said of each kind in the present minute.
#[derive(Debug, Default)]
pub struct Seldom {
    kinds: BTreeMap<&'static str, Window>,
}

impl Seldom {
    /// Whether one more line of this kind may be said: no more than `most` in a minute. One that may not is counted.
    pub fn may(&mut self, kind: &'static str, most: u32, now: Instant) -> bool {
        let window = self.kinds.entry(kind).or_insert(Window { began: now, said: 0, left_out: 0 });
        if window.left_out == 0 && now.duration_since(window.began) >= PERIOD {
            (window.began, window.said) = (now, 0);
        }
        let may = window.said < most;
        window.said += u32::from(may);
        window.left_out += u64::from(!may);
        may
    }
    /// Kinds of which lines were left out in a minute that is over, and how many; `end`: in the present one, too.
    pub fn left_out(&mut self, now: Instant, end: bool) -> Vec<(&'static str, u64)> {
        let over = |window: &Window| window.left_out > 0 && (end || now.duration_since(window.began) >= PERIOD);
        let windows = self.kinds.iter_mut().filter(|(_, window)| over(window));
        windows
            .map(|(kind, window)| (*kind, std::mem::replace(window, Window { began: now, said: 0, left_out: 0 }).left_out))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_a_few_lines_a_minute_and_its_count() {
        let (mut seldom, began) = (Seldom::default(), Instant::now());
        let (mut said, mut counted) = (0u64, 0);
        for tenth in 0..6000 {
            let now = began + Duration::from_millis(tenth * 100);
            counted += seldom.left_out(now, false).into_iter().map(|(_, n)| n).sum::<u64>();
            said += u64::from(seldom.may("flood", 3, now));
        }
        assert!(seldom.may("other", 1, began), "others are not concerned");
        counted += seldom.left_out(began, true).into_iter().map(|(_, n)| n).sum::<u64>();
        assert_eq!((said, said + counted), (30, 6000));
    }

    #[test]
    fn what_comes_now_and_then_is_always_said() {
        let (mut seldom, began) = (Seldom::default(), Instant::now());
        assert!((0..100).all(|minute| seldom.may("now and then", 1, began + PERIOD * minute)));
        assert!(seldom.left_out(began + PERIOD * 100, true).is_empty());
    }
}
