//! What is explored: two ends, what their users do, and how much may go wrong.

/// How often each thing may happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Faults {
    /// A timer runs out while frames are under way: they are late.
    pub delay: u8,
    /// A frame is lost.
    pub lose: u8,
    /// A long frame arrives damaged.
    pub damage: u8,
    /// A process dies and is started anew.
    pub crash: u8,
    /// A reader stalls: it neither reads nor confirms, until it goes on.
    pub stall: u8,
    /// A user closes the session.
    pub close: u8,
    /// A user resets the channel.
    pub reset: u8,
    /// A path goes dead.
    pub kill: u8,
    /// A dead path comes back.
    pub revive: u8,
    /// Both hosts sleep past the grace time.
    pub sleep: u8,
    /// A process that has finished goes away.
    pub leave: u8,
}

/// One exploration.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub name: &'static str,
    /// Wires: 1, or 2 for a bond.
    pub paths: usize,
    pub channels: bool,
    pub sealed: bool,
    /// What an end sends comes back to itself as well.
    pub echo: bool,
    /// Explored from where both ends are Open.
    pub warm: bool,
    /// The users end their streams when the search says so.
    pub late: bool,
    /// Frames of data each end sends; and each that was started anew.
    pub bytes: [u8; 2],
    pub next: [u8; 2],
    /// Of so many bytes each; and how many of them pass before the search begins, where that is warm.
    pub unit: u16,
    pub before: u8,
    /// Bytes of the buffers.
    pub window: usize,
    pub faults: Faults,
    /// States after which it is cut.
    pub most: usize,
}

/// Nothing goes wrong.
pub const NONE: Faults =
    Faults { delay: 0, lose: 0, damage: 0, crash: 0, stall: 0, close: 0, reset: 0, kill: 0, revive: 0, sleep: 0, leave: 0 };

/// One wire, plain, one byte each way, nothing goes wrong.
pub const PLAIN: Case = Case {
    name: "",
    paths: 1,
    channels: false,
    sealed: false,
    echo: false,
    warm: false,
    late: false,
    bytes: [1, 1],
    next: [1, 1],
    unit: 1,
    before: 0,
    window: 8,
    faults: NONE,
    most: usize::MAX,
};

impl Case {
    /// Microseconds of silence after which a session is lost.
    pub fn grace_us(&self) -> u64 {
        if self.paths > 1 { 8_000_000 } else { 1_000_000 }
    }
    pub fn keepalive_us(&self) -> u32 {
        if self.paths > 1 { 1_000_000 } else { 300_000 }
    }
}
