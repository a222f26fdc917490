//! Time as an argument.

/// Microseconds since an arbitrary zero that the caller chooses and keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Instant(u64);

impl Instant {
    /// `us` microseconds after the zero.
    pub const fn from_micros(us: u64) -> Self {
        Instant(us)
    }
    /// Microseconds since the zero.
    pub const fn as_micros(self) -> u64 {
        self.0
    }
    /// This moment and `us` microseconds more.
    #[must_use]
    pub const fn after(self, us: u64) -> Self {
        Instant(self.0.saturating_add(us))
    }
    /// Microseconds since `earlier`; 0 when that lies in the future.
    pub const fn since(self, earlier: Instant) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}
