//! What a link must be told.

/// No frame takes longer, whatever the grace time (µs).
const FRAME_MAX_US: u64 = 60_000_000;

/// Settings of one end. The ends need not agree on any of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Bytes per second the wire carries (baud / 10 for 8N1); 0 = unknown or unpaced (TCP, a pipe).
    pub rate: u32,
    /// How far ahead of the wire the sender may run, in microseconds of sending time: what is
    /// handed to the port cannot be overtaken. Default 8 ms, which outlasts the timers of a busy host.
    pub slack_us: u32,
    /// Most user bytes in one frame, 1..=[`crate::wire::PAYLOAD_MAX`], which is the default. The
    /// sender goes below it by itself: when the wire is noisy, while somebody types, at the
    /// beginning of a transfer, whose frames take no longer than 100 ms, and where a frame would take
    /// more than an eighth of the grace time.
    pub payload_max: u16,
    /// How long an acknowledgement may be held back, in microseconds. Default 2 ms.
    pub ack_delay_us: u32,
    /// Idle time after which a sign of life is sent, in microseconds. Default 1 s.
    pub keepalive_us: u32,
    /// Silence after which an open session is lost, in microseconds. Default 60 s.
    pub grace_us: u64,
}

impl Config {
    /// Defaults for a wire of `baud` with 10 bits per byte (8N1); 0 = unpaced.
    pub const fn for_baud(baud: u32) -> Config {
        Config {
            rate: baud / 10,
            slack_us: 8_000,
            payload_max: crate::wire::PAYLOAD_MAX as u16,
            ack_delay_us: 2_000,
            keepalive_us: 1_000_000,
            grace_us: 60_000_000,
        }
    }

    /// Most payload of a frame at all: an eighth of the grace time, for the peer hears nothing before the end of it.
    pub(crate) fn long_max(&self) -> u16 {
        self.payload_of((self.grace_us / 8).min(FRAME_MAX_US), 64)
    }
    /// Microseconds the wire needs for the longest frame; 0 on an unpaced one.
    pub(crate) fn frame_us(&self) -> u64 {
        self.wire_us(usize::from(self.long_max()))
    }
    /// Most payload of a frame before a transfer has gone on for a while: 100 ms of the wire.
    pub(crate) fn brief_max(&self) -> u16 {
        self.payload_of(100_000, 256)
    }
    /// Most payload of a frame while other channels may have something urgent: 20 ms.
    pub(crate) fn shared_max(&self) -> u16 {
        self.payload_of(20_000, 128)
    }
    /// Most payload of a frame while somebody types: 0.6 ms.
    pub(crate) fn typing_max(&self) -> u16 {
        self.payload_of(600, 56)
    }
    /// What the wire carries in `us`, but at least `least`: on a slow wire the heads would cost more
    /// than the wait is worth.
    fn payload_of(&self, us: u64, least: u64) -> u16 {
        let bytes = if self.rate == 0 { u64::MAX } else { (u64::from(self.rate) * us / 1_000_000).max(least) };
        bytes.min(u64::from(self.payload_max)) as u16
    }

    /// Microseconds the wire needs for `bytes`; 0 on an unpaced one.
    pub(crate) fn wire_us(&self, bytes: usize) -> u64 {
        if self.rate == 0 { 0 } else { bytes as u64 * 1_000_000 / u64::from(self.rate) }
    }
}
