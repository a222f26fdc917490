//! Profiles: how much noise and how long an outage is to be expected (`fixtures/loss.txt` has their losses).

use link::wire::Level;
use link::wire::frame::frame_len;

use crate::wire::SYMBOL_HEAD;

/// Settings that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Its name on the command line.
    pub name: &'static str,
    /// Bytes per symbol or shard.
    pub payload: u16,
    /// Data shards per stream block.
    pub data: u8,
    /// Parity shards per stream block.
    pub parity: u8,
    /// Longest outage survived, in milliseconds.
    pub survive_ms: u32,
    /// Repair symbols per 100 source symbols in each round of an object, beside those for an outage.
    pub overhead_percent: u32,
    /// Armour of every frame.
    pub level: Level,
}

impl Profile {
    /// The share of the wire that is left for the bytes of files sent in one round, between 0 and 1: without frames' heads, repair
    /// symbols and beacons. Repair for an outage comes once per file and block on top: [`Profile::survive_ms`] of the wire.
    pub fn file_share(&self) -> f64 {
        let frame = frame_len(usize::from(self.payload) + SYMBOL_HEAD, self.level) as f64;
        f64::from(self.payload) / frame / (1.0 + f64::from(self.overhead_percent) / 100.0)
    }
}

/// A short, quiet cable: bit error rates to 1e-6, outages to 50 ms.
pub const CABLE: Profile =
    Profile { name: "cable", payload: 1000, data: 64, parity: 12, survive_ms: 50, overhead_percent: 5, level: Level::Plain };
/// The default: to 1e-5, outages to 2 s.
pub const INDUSTRIAL: Profile = Profile {
    name: "industrial",
    payload: 480,
    data: 64,
    parity: 24,
    survive_ms: 2_000,
    overhead_percent: 15,
    level: Level::Plain,
};
/// To 1e-4, outages to 10 s.
pub const HARSH: Profile =
    Profile { name: "harsh", payload: 220, data: 64, parity: 64, survive_ms: 10_000, overhead_percent: 50, level: Level::Plain };
/// All of them.
pub const ALL: [Profile; 3] = [CABLE, INDUSTRIAL, HARSH];
