//! Plain counters, each named for what was counted.

/// What a link has seen since it was made. Everything counts from 0 and only grows, but for
/// `rtt_us` and `ber_ppb`, which are present estimates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// User bytes delivered to the reader here.
    pub bytes_in: u64,
    /// User bytes the peer has acknowledged.
    pub bytes_out: u64,
    /// Bytes that came from the wire.
    pub wire_in: u64,
    /// Bytes given to the wire.
    pub wire_out: u64,
    /// Good frames received.
    pub frames_in: u64,
    /// Frames sent.
    pub frames_out: u64,
    /// Frames whose check failed beyond repair, or whose contents made no sense.
    pub frames_bad: u64,
    /// Bytes passed over while looking for a frame: noise, boot text, remains of damaged frames.
    pub junk: u64,
    /// Wrong bytes repaired inside armoured frames.
    pub corrected: u64,
    /// Damaged frames made whole by the part that was missing.
    pub patched: u64,
    /// Good frames that were not of this session: injected, replayed, or of one that is over.
    pub forged: u64,
    /// Handshakes refused, and plain calls to a sealed end.
    pub refused: u64,
    /// Pieces of the stream sent again, or parts of them.
    pub resends: u64,
    /// Smoothed round-trip time in microseconds; 0 before the first sample.
    pub rtt_us: u64,
    /// Estimated bit error rate of the direction sent to, in 1e-9.
    pub ber_ppb: u64,
}
