//! The one clock, and the one source of chance.

use std::io::Read;
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

/// 64 bits from the operating system, never 0: a session id. No secret: it must not wait for the kernel's entropy, which a
/// small machine may take a minute after its start to gather.
pub fn random_id() -> std::io::Result<u64> {
    let mut bytes = [0u8; 8];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes).max(1))
}
