//! The one clock, and the one source of chance.

use std::time::Instant;

/// Monotonic time as the link wants it: microseconds since the clock was made.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    /// A clock that starts at 0 now.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Clock {
        Clock(Instant::now())
    }
    /// The present moment.
    pub fn now(&self) -> link::Instant {
        link::Instant::from_micros(self.0.elapsed().as_micros() as u64)
    }
}

/// 64 bits from the operating system, never 0: a session id.
pub fn random_id() -> Result<u64, getrandom::Error> {
    Ok(getrandom::u64()?.max(1))
}
