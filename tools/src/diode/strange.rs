//! Bytes that are no frames: another baud rate, another program. A word about them, now and then, and never the end.

use std::time::{Duration, Instant};

use diode::receiver::Stats;
use link::FRAME_MAX;

use crate::chatter::Chatter;

/// Bytes without any frame, and how long they may come, before a word.
const BYTES: u64 = 64;
const AFTER: Duration = Duration::from_secs(3);
/// Each word waits so many times longer than the one before, up to this.
const RARER: u32 = 10;
const RAREST: Duration = Duration::from_secs(3600);

/// What came since the last frame.
#[derive(Debug)]
pub(super) struct Strange {
    frames: u64,
    /// Bytes when the last frame had come.
    from: u64,
    /// Bytes when something was said.
    said: u64,
    since: Option<Instant>,
    pause: Duration,
    /// How long they may come before the first word.
    after: Duration,
    /// When it was first told.
    told: Option<Instant>,
    /// The latest bytes.
    pub(super) chatter: Chatter,
}

/// What is worth a word.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// So many bytes came without a frame.
    Strange(u64),
    /// Frames come, so long after that was told.
    Over(Duration),
}

impl Strange {
    /// At so many bits per second, 0 where that is not known.
    pub(super) fn new(baud: u32) -> Strange {
        // on a slow wire a frame takes its time, and who came in the middle of one waits for the next
        let frames = 2 * 10_000_000 * FRAME_MAX as u64;
        let after = AFTER.max(Duration::from_micros(frames.checked_div(u64::from(baud)).unwrap_or(0)));
        Strange { frames: 0, from: 0, said: 0, since: None, pause: after, after, told: None, chatter: Chatter::default() }
    }
    /// What is to be said by now.
    pub(super) fn watch(&mut self, stats: &Stats, now: Instant) -> Option<Word> {
        let frames =
            [stats.frames_in, stats.sealed, stats.plain, stats.refused, stats.replayed, stats.foreign].into_iter().sum::<u64>();
        if frames != self.frames {
            (self.frames, self.from, self.said) = (frames, stats.wire_in, stats.wire_in);
            (self.since, self.pause, self.chatter) = (None, self.after, Chatter::default());
            return self.told.take().map(|told| Word::Over(now.duration_since(told)));
        }
        if stats.wire_in < self.said + BYTES {
            return None;
        }
        let since = *self.since.get_or_insert(now);
        if now.duration_since(since) < self.pause {
            return None;
        }
        (self.said, self.since, self.pause) = (stats.wire_in, None, (self.pause * RARER).min(RAREST));
        self.told.get_or_insert(now);
        Some(Word::Strange(stats.wire_in - self.from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rubbish_is_told_and_ever_more_rarely() {
        let (mut strange, began) = (Strange::new(115_200), Instant::now());
        let mut told = Vec::new();
        // a day of 100 bytes a second
        for second in 0..86_400u64 {
            let stats = Stats { wire_in: second * 100, ..Stats::default() };
            if let Some(word) = strange.watch(&stats, began + Duration::from_secs(second)) {
                assert_eq!(word, Word::Strange(second * 100));
                told.push(second);
            }
        }
        assert!(told[0] <= 5 && told[1] <= 40 && (20..40).contains(&told.len()), "{told:?}");
        // a frame ends it, and that is told once
        let (frame, day) = (Stats { wire_in: 8_640_000, frames_in: 1, ..Stats::default() }, Duration::from_secs(86_400));
        let over = Word::Over(day - Duration::from_secs(told[0]));
        assert_eq!([(); 2].map(|()| strange.watch(&frame, began + day)), [Some(over), None]);
    }

    #[test]
    fn a_frame_that_takes_long_is_not_strange() {
        // a frame of 4000 bytes, at 1200 baud: 33 s
        for (baud, quiet, told) in [(1200, 77, 90), (300, 310, 330), (0, 2, 5)] {
            let (mut strange, began) = (Strange::new(baud), Instant::now());
            let mut at = |second: u64| {
                let stats = Stats { wire_in: 100 + second * 30, ..Stats::default() };
                strange.watch(&stats, began + Duration::from_secs(second))
            };
            assert!((0..=quiet).all(|second| at(second).is_none()), "{baud}");
            assert!((quiet..=told).any(|second| at(second).is_some()), "{baud}");
        }
    }

    #[test]
    fn what_has_frames_in_it_is_not_strange() {
        let (mut strange, began) = (Strange::new(115_200), Instant::now());
        let mut at = |second: u64, stats: Stats| strange.watch(&stats, began + Duration::from_secs(second));
        for second in 0..100 {
            assert_eq!(at(second, Stats { wire_in: second * 100, frames_in: second, ..Stats::default() }), None);
        }
        // frames that cannot be read are frames
        for second in 100..200 {
            assert_eq!(at(second, Stats { wire_in: second * 100, frames_in: 99, sealed: second, ..Stats::default() }), None);
        }
        // too little to be more than a spike
        for second in 200..300 {
            assert_eq!(at(second, Stats { wire_in: 19_900 + 60, frames_in: 99, sealed: 199, ..Stats::default() }), None);
        }
    }
}
