//! The buffers of streams, which grow where the way is long: what was sent stays in one until it is acknowledged, and at the other
//! end there must be room for as much.

use super::wire::Stream;

/// All streams of a wire together grow by so much at most (bytes).
pub(super) const GROWTH_MAX: usize = 32 << 20;
/// One is no longer than that (bytes): the protocol's bound.
const LENGTH_MAX: usize = 4 << 20;
/// A way below this (µs, there and back) needs no more than what there is.
pub(super) const LONG_US: u64 = 100_000;
/// What goes out in so long waits beside what fills the way (µs), and how long an acknowledgement may take to be said.
const OUT_US: u64 = 500_000;
const INTO_US: u64 = 100_000;
/// Bytes per second of a port whose rate is not known.
const UNKNOWN: u64 = 12_500_000;

/// Bytes that are to fit into a stream each way, out and in, at so many bytes per second (0: not known).
pub(super) fn needed(rate: u32, way_us: u64) -> (usize, usize) {
    let rate = if rate == 0 { UNKNOWN } else { u64::from(rate) };
    let bytes = |us: u64| usize::try_from(rate.saturating_mul(us) / 1_000_000).unwrap_or(usize::MAX);
    // what was lost is known to be after a round trip, and is there after another; and the peer hears of free room once a
    // quarter is free
    let twice = way_us.saturating_mul(2);
    (bytes(OUT_US.saturating_add(twice)), bytes(INTO_US.saturating_add(twice)).saturating_mul(4) / 3)
}

/// How long a buffer of `len` bytes is to be that has to hold so many; none where it does.
fn longer(len: usize, needed: usize) -> Option<usize> {
    // a little more is not worth the change
    let short = needed > len + len / 4;
    Some(needed.min(LENGTH_MAX).next_power_of_two()).filter(|new| short && *new > len)
}

/// Lets a stream grow that has filled what it has, by `left` bytes at most, which become fewer.
pub(super) fn grow(stream: &mut Stream, (out, into): (usize, usize), left: &mut usize) {
    let take = |len: usize, needed: usize, left: &mut usize| {
        let new = longer(len, needed).filter(|new| new - len <= *left)?;
        *left -= new - len;
        Some(vec![0u8; new].into_boxed_slice())
    };
    if stream.queued() >= stream.capacity() as u64 / 2
        && let Some(buffer) = take(stream.capacity(), out, left)
    {
        drop(stream.widen_out(buffer));
    }
    if stream.bytes_in() >= stream.window() as u64
        && let Some(buffer) = take(stream.window(), into, left)
    {
        drop(stream.widen_in(buffer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_long_way_needs_more() {
        // 2 Mbps: 100 kB out and 256 KiB in at first
        let short = needed(200_000, 1_000);
        assert_eq!((longer(100_000, short.0), longer(1 << 18, short.1)), (None, None));
        let far = needed(200_000, 600_000);
        assert_eq!((longer(100_000, far.0), longer(1 << 18, far.1)), (Some(1 << 19), Some(1 << 19)));
        let satellite = needed(200_000, 4_000_000);
        assert_eq!((longer(100_000, satellite.0), longer(1 << 18, satellite.1)), (Some(1 << 21), Some(1 << 22)));
        let slow = needed(11_520, 4_000_000);
        assert_eq!((longer(8192, slow.0), longer(1 << 18, slow.1)), (Some(1 << 17), None));
    }

    #[test]
    fn no_way_is_too_long() {
        for rate in [0, 1, 11_520, u32::MAX] {
            let (out, into) = needed(rate, u64::MAX);
            assert!(longer(8192, out).is_none_or(|len| len <= LENGTH_MAX));
            assert!(longer(LENGTH_MAX, into).is_none());
        }
    }
}
