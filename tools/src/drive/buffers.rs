//! The buffers of streams, which grow where the way is long: what was sent stays in one until it is acknowledged, and at the other
//! end there must be room for as much.

use super::wire::Stream;

/// All streams of a wire together grow by so much at most (bytes).
pub(super) const GROWTH_MAX: usize = 32 << 20;
/// One is no longer than that (bytes): the protocol's bound.
const LENGTH_MAX: usize = 4 << 20;
/// A way below this (µs, there and back) needs no more than what there is.
pub(super) const LONG_US: u64 = 100_000;
/// A stream holds up the wire that holds less than what goes out in so long and in a round trip (µs): an acknowledgement waits for
/// frames of the other direction.
const LEAST_US: u64 = 300_000;
/// What goes out in so long waits beside what is under way (µs), and how long an acknowledgement may take to be said.
const OUT_US: u64 = 500_000;
const INTO_US: u64 = 100_000;
/// Bytes per second of a port whose rate is not known.
const UNKNOWN: u64 = 12_500_000;

/// Bytes that are to fit into a stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Needed {
    /// On the way out: one that holds less is to grow.
    least: usize,
    /// To so much.
    pub(super) out: usize,
    /// On the way in.
    into: usize,
}

/// What is needed at so many bytes per second (0: not known) on a way of so long, there and back.
pub(super) fn needed(rate: u32, way_us: u64) -> Needed {
    let rate = if rate == 0 { UNKNOWN } else { u64::from(rate) };
    let bytes = |us: u64| usize::try_from(rate.saturating_mul(us) / 1_000_000).unwrap_or(usize::MAX);
    // what was lost is known to be after a round trip, and is there after another; and the peer hears of free room once a
    // quarter is free
    let twice = way_us.saturating_mul(2);
    Needed {
        least: bytes(LEAST_US.saturating_add(way_us)),
        out: bytes(OUT_US.saturating_add(twice)),
        into: bytes(INTO_US.saturating_add(twice)).saturating_mul(4) / 3,
    }
}

impl Needed {
    /// How long a buffer of `len` bytes on the way out is to be instead; none where it does.
    fn longer_out(&self, len: usize) -> Option<usize> {
        Some(rounded(self.out)).filter(|new| self.least > len && *new > len)
    }
    /// The same on the way in; a little more is not worth the change.
    fn longer_in(&self, len: usize) -> Option<usize> {
        Some(rounded(self.into)).filter(|new| self.into > len + len / 4 && *new > len)
    }
}

fn rounded(len: usize) -> usize {
    len.min(LENGTH_MAX).next_power_of_two()
}

/// Lets a stream grow that has filled what it has, by `left` bytes at most, which become fewer.
pub(super) fn grow(stream: &mut Stream, needed: Needed, left: &mut usize) {
    let mut take = |len: usize, new: Option<usize>| {
        let new = new.filter(|new| new - len <= *left)?;
        *left -= new - len;
        Some(vec![0u8; new].into_boxed_slice())
    };
    let (out, into) = (stream.capacity(), stream.window());
    if stream.queued() >= out as u64 / 2
        && let Some(buffer) = take(out, needed.longer_out(out))
    {
        drop(stream.widen_out(buffer));
    }
    if stream.bytes_in() >= into as u64
        && let Some(buffer) = take(into, needed.longer_in(into))
    {
        drop(stream.widen_in(buffer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_long_way_needs_more() {
        let longer = |rate, way_us, out| {
            let needed = needed(rate, way_us);
            (needed.longer_out(out), needed.longer_in(1 << 18))
        };
        // 2 Mbps: 100 kB out and 256 KiB in at first
        assert_eq!(longer(200_000, 1_000, 100_000), (None, None));
        assert_eq!(longer(200_000, 150_000, 100_000), (None, None));
        assert_eq!(longer(200_000, 600_000, 100_000), (Some(1 << 19), Some(1 << 19)));
        assert_eq!(longer(200_000, 4_000_000, 100_000), (Some(1 << 21), Some(1 << 22)));
        // 115200: 8 KiB out
        assert_eq!(longer(11_520, 400_000, 8192), (None, None));
        assert_eq!(longer(11_520, 4_000_000, 8192), (Some(1 << 17), None));
    }

    #[test]
    fn no_way_is_too_long() {
        for rate in [0, 1, 11_520, u32::MAX] {
            let needed = needed(rate, u64::MAX);
            assert!(needed.longer_out(8192).is_none_or(|len| len <= LENGTH_MAX));
            assert!(needed.longer_out(LENGTH_MAX).is_none() && needed.longer_in(LENGTH_MAX).is_none());
        }
    }
}
