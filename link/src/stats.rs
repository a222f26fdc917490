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
    /// Of those the ones that were new, and of this session; calls as well, while there is none.
    pub frames_taken: u64,
    /// Frames sent.
    pub frames_out: u64,
    /// Frames whose check failed beyond repair, or whose contents made no sense.
    pub frames_bad: u64,
    /// Of those the ones whose check is right but hold no segment: of another mode, or of a later version.
    pub alien: u64,
    /// Bytes passed over while looking for a frame: noise, boot text, remains of damaged frames.
    pub junk: u64,
    /// Wrong bytes repaired inside armoured frames.
    pub corrected: u64,
    /// Damaged frames made whole by the part that was missing.
    pub patched: u64,
    /// Good frames that were not of this session: injected, replayed, of one that is over, or of another wire.
    pub forged: u64,
    /// Frames of this end's own that came back.
    pub echoes: u64,
    /// Handshakes refused, those of another version, and plain calls to a sealed end.
    pub refused: u64,
    /// Pieces of the stream sent again, or parts of them.
    pub resends: u64,
    /// Smoothed round-trip time in microseconds; 0 before the first sample.
    pub rtt_us: u64,
    /// Estimated bit error rate of the direction sent to, in 1e-9.
    pub ber_ppb: u64,
}

impl Stats {
    /// The counters of two wires together; of the estimates those of the first.
    pub(crate) fn plus(self, other: Stats) -> Stats {
        Stats {
            bytes_in: self.bytes_in + other.bytes_in,
            bytes_out: self.bytes_out + other.bytes_out,
            wire_in: self.wire_in + other.wire_in,
            wire_out: self.wire_out + other.wire_out,
            frames_in: self.frames_in + other.frames_in,
            frames_taken: self.frames_taken + other.frames_taken,
            frames_out: self.frames_out + other.frames_out,
            frames_bad: self.frames_bad + other.frames_bad,
            alien: self.alien + other.alien,
            junk: self.junk + other.junk,
            corrected: self.corrected + other.corrected,
            patched: self.patched + other.patched,
            forged: self.forged + other.forged,
            echoes: self.echoes + other.echoes,
            refused: self.refused + other.refused,
            resends: self.resends + other.resends,
            ..self
        }
    }
}
