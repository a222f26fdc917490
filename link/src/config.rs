//! What a link must be told.

/// Settings of one end. The ends need not agree on any of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Bytes per second the wire carries (baud / 10 for 8N1); 0 = unknown or unpaced (TCP, a pipe).
    pub rate: u32,
    /// How far ahead of the wire the sender may run, in microseconds of sending time: what is
    /// handed to the port cannot be overtaken. Default 8 ms, which outlasts the timers of a busy host.
    pub slack_us: u32,
    /// Most user bytes in one frame, 1..=[`crate::wire::PAYLOAD_MAX`]. Default: 100 ms of the wire,
    /// at least 256. The sender goes below it by itself when the wire is noisy.
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
        let rate = baud / 10;
        let tenth = rate / 10;
        let max = crate::wire::PAYLOAD_MAX as u32;
        let payload_max = if rate == 0 || tenth > max {
            max
        } else if tenth < 256 {
            256
        } else {
            tenth
        };
        Config {
            rate,
            slack_us: 8_000,
            payload_max: payload_max as u16,
            ack_delay_us: 2_000,
            keepalive_us: 1_000_000,
            grace_us: 60_000_000,
        }
    }

    /// Microseconds the wire needs for `bytes`; 0 on an unpaced one.
    pub(crate) fn wire_us(&self, bytes: usize) -> u64 {
        if self.rate == 0 { 0 } else { bytes as u64 * 1_000_000 / u64::from(self.rate) }
    }
}
