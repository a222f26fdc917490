//! What can happen in a run, and when.

use std::time::Duration;

use link::sim::NoiseConfig;
use nix::sys::signal::Signal;

use super::plan::Draw;
use tools::cli::SimEnd;

/// When something happens, counted from when all have started.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum When {
    /// After this time.
    After(Duration),
    /// When the wires have carried so many bytes; after two seconds at the latest.
    Carried(u64),
}

/// What happens. A length of none is for good.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// Noise on a wire.
    Noise(usize, NoiseConfig, Option<Duration>),
    /// Nothing passes.
    Outage(usize, Option<Duration>),
    /// The adapters vanish.
    Unplug(usize, Option<Duration>),
    /// Ends hear nothing but themselves.
    Loop(usize, SimEnd, Option<Duration>),
    /// Ends hear themselves as well.
    Echo(usize, SimEnd, Option<Duration>),
    /// The far ends of two wires are exchanged.
    Swap(Option<Duration>),
    /// Adapters vanish, and come back under each other's names.
    Replug(Duration),
    /// 0xFF comes twice, or XON and XOFF never.
    Bytes(usize, bool, Option<Duration>),
    /// A process (counted modulo all) gets a signal.
    Signal(usize, Signal),
    /// A process is killed and started anew.
    Restart(usize),
    /// A process stands still.
    Stop(usize, Duration),
}

impl What {
    /// It is about sessions that are open: without one nobody is a stranger.
    pub fn needs_sessions(&self) -> bool {
        matches!(self, What::Swap(_) | What::Replug(_))
    }
}

/// Something that happens.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// When.
    pub when: When,
    /// What.
    pub what: What,
}

/// Shorter and longer than the grace time of the processes.
fn length(draw: &mut Draw) -> Option<Duration> {
    match draw.below(12) {
        0 | 1 => None,
        2 => Some(Duration::from_millis(3_500 + draw.below(1_500))),
        _ => Some(draw.time(10, 1_500)),
    }
}

fn noise(draw: &mut Draw) -> NoiseConfig {
    let clean = NoiseConfig::default();
    match draw.below(4) {
        0 => NoiseConfig { ber: [1e-5, 1e-4, 1e-3][draw.below(3) as usize], ..clean },
        1 => NoiseConfig { burst: 1e-4, burst_len: 20.0, burst_ber: 0.3, ..clean },
        2 => NoiseConfig { drop: 1e-4, drop_len: 64, insert: 1e-4, ..clean },
        _ => NoiseConfig { ber: 0.5, ..clean },
    }
}

fn end(draw: &mut Draw) -> SimEnd {
    [SimEnd::A, SimEnd::B, SimEnd::Both][draw.below(3) as usize]
}

impl Fault {
    /// Draws one for a run that carries so many bytes over so many wires; `strangers`: these wires join different pairs.
    pub fn draw(draw: &mut Draw, bytes: u64, wires: usize, strangers: bool, one_way: bool) -> Fault {
        let when = match draw.below(3) {
            0 => When::After(draw.time(1, 1_500)),
            _ => When::Carried(draw.below(bytes + bytes / 4 + 200)),
        };
        let wire = draw.below(wires as u64) as usize;
        let who = draw.below(64) as usize;
        let what = match draw.below(if strangers { 16 } else { 13 }) {
            0 => What::Noise(wire, noise(draw), length(draw)),
            1 => What::Outage(wire, length(draw)),
            2 | 3 => What::Unplug(wire, length(draw)),
            4 if !one_way => What::Loop(wire, end(draw), length(draw)),
            5 if !one_way => What::Echo(wire, end(draw), length(draw)),
            6 if draw.below(4) == 0 => What::Bytes(wire, draw.below(2) == 0, length(draw)),
            4..=8 => What::Signal(who, Signal::SIGKILL),
            9 => What::Restart(who),
            10 => What::Stop(who, length(draw).unwrap_or(Duration::from_secs(5))),
            11 => What::Signal(who, Signal::SIGTERM),
            12 => What::Signal(who, Signal::SIGINT),
            13 => What::Replug(draw.time(20, 500)),
            _ => What::Swap(length(draw)),
        };
        Fault { when, what }
    }
}
