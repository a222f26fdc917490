//! What a seed stands for.

use std::fmt;
use std::time::Duration;

use link::sim::Random;

use super::fault::{Fault, What};

/// Seeded draws.
#[derive(Clone, Debug)]
pub struct Draw(Random);

impl Draw {
    /// Those of a seed.
    pub fn new(seed: u64) -> Draw {
        Draw(Random::new(seed))
    }
    /// A number below `n`; 0 when `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        self.0.below(n)
    }
    /// A number between two: every order of magnitude is as likely as another.
    pub fn scaled(&mut self, low: u64, high: u64) -> u64 {
        let part = self.0.below(1 << 32) as f64 / f64::from(u32::MAX);
        (low as f64 * (high as f64 / low as f64).powf(part)) as u64
    }
    /// A time between two numbers of milliseconds, likewise.
    pub fn time(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_micros(self.scaled(low * 1000, high * 1000))
    }
    /// Random bytes.
    pub fn bytes(&mut self, len: u64) -> Vec<u8> {
        (0..len).map(|_| self.0.bits() as u8).collect()
    }
}

/// How bytes are carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Way {
    PipeThere,
    PipeBoth,
    PipeCommand,
    SendFiles,
    SendFolder,
    OpenExec,
    OpenTcp,
    OpenUnix,
    ForwardTcp,
    ForwardUnix,
    Console,
    DiodeFiles,
    DiodeLines,
    DiodeStream,
    DiodeMessage,
}

impl Way {
    /// All of them.
    pub const ALL: [Way; 15] = [
        Way::PipeThere,
        Way::PipeBoth,
        Way::PipeCommand,
        Way::SendFiles,
        Way::SendFolder,
        Way::OpenExec,
        Way::OpenTcp,
        Way::OpenUnix,
        Way::ForwardTcp,
        Way::ForwardUnix,
        Way::Console,
        Way::DiodeFiles,
        Way::DiodeLines,
        Way::DiodeStream,
        Way::DiodeMessage,
    ];
    /// Whether there is no way back.
    pub fn is_one_way(self) -> bool {
        matches!(self, Way::DiodeFiles | Way::DiodeLines | Way::DiodeStream | Way::DiodeMessage)
    }
    /// Whether a process reads what it sends from its stdin.
    fn reads_stdin(self) -> bool {
        use Way::{Console, DiodeFiles, ForwardTcp, ForwardUnix, SendFiles, SendFolder};
        !matches!(self, SendFiles | SendFolder | ForwardTcp | ForwardUnix | Console | DiodeFiles)
    }
    /// Whether a process writes what came to its stdout.
    fn writes_stdout(self) -> bool {
        matches!(self, Way::PipeThere | Way::PipeBoth | Way::DiodeLines | Way::DiodeStream)
    }
    /// Whether a process writes files.
    fn writes_files(self) -> bool {
        matches!(self, Way::SendFiles | Way::SendFolder | Way::DiodeFiles | Way::DiodeMessage)
    }
}

/// Where a process reads what it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// A file.
    File,
    /// A pipe that is filled with pauses.
    Pipe,
    /// Something that gives a read error (EIO) after some bytes.
    Failing,
}

/// Where what comes is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// A file.
    File,
    /// A pipe whose reader is slow.
    Slow,
    /// A full device.
    Full,
    /// Files that may not grow beyond 16 kB.
    Limited,
}

/// All that is drawn for a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// What it follows from.
    pub seed: u64,
    /// How bytes are carried.
    pub way: Way,
    /// With a shared key, or plain.
    pub sealed: bool,
    /// Two wires that are one link.
    pub bond: bool,
    /// Two pairs of processes, each with a wire of its own.
    pub twins: bool,
    /// Bytes to carry each way.
    pub size: u64,
    /// Where they are read.
    pub input: Input,
    /// Where they are written.
    pub output: Output,
    /// How much later than the other the second end starts.
    pub late: Duration,
    /// Idle processes are left alone for a while at the end.
    pub lingers: bool,
    /// What happens.
    pub faults: Vec<Fault>,
}

impl Plan {
    /// The plan of a seed.
    pub fn draw(seed: u64) -> Plan {
        let mut draw = Draw::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let way = Way::ALL[draw.below(Way::ALL.len() as u64) as usize];
        let sealed = draw.below(3) == 0;
        let two = if way.is_one_way() { 0 } else { draw.below(6) };
        let (bond, twins) = (two == 1, two == 2);
        let size = match draw.below(8) {
            0 => draw.below(3),
            _ => draw.scaled(100, if way == Way::Console { 20_000 } else { 120_000 }),
        };
        let input = match draw.below(8) {
            0 | 1 if way.reads_stdin() => Input::Pipe,
            2 if way.reads_stdin() && draw.below(2) == 0 => Input::Failing,
            _ => Input::File,
        };
        let output = match draw.below(10) {
            0 | 1 if way.writes_stdout() => Output::Slow,
            2 if way.writes_stdout() => Output::Full,
            3 if way.writes_stdout() || way.writes_files() => Output::Limited,
            _ => Output::File,
        };
        let late = if draw.below(4) == 0 { draw.time(50, 2_500) } else { Duration::ZERO };
        let lingers = draw.below(12) == 0;
        let wires = if bond || twins { 2 } else { 1 };
        let count = [0, 1, 1, 1, 2, 2, 3][draw.below(7) as usize];
        let mut faults: Vec<Fault> = (0..count).map(|_| Fault::draw(&mut draw, size, wires, twins, way.is_one_way())).collect();
        // who starts anew takes any peer, a stranger as well
        if faults.iter().any(|fault| fault.what.needs_sessions()) {
            faults.retain(|fault| !matches!(fault.what, What::Restart(_)));
        }
        Plan { seed, way, sealed, bond, twins, size, input, output, late, lingers, faults }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Plan { way, size, input, output, late, .. } = self;
        write!(f, "{way:?} {}", if self.sealed { "sealed" } else { "plain" })?;
        write!(f, "{}{}", if self.bond { ", bond" } else { "" }, if self.twins { ", two pairs" } else { "" })?;
        write!(f, ", {size} bytes, input {input:?}, output {output:?}")?;
        if !late.is_zero() {
            write!(f, ", second end {late:?} later")?;
        }
        self.faults.iter().try_for_each(|fault| write!(f, "; {:?}: {:?}", fault.when, fault.what))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::mem::discriminant;

    use super::*;

    #[test]
    fn a_seed_is_a_plan() {
        assert!((0..500).all(|seed| Plan::draw(seed) == Plan::draw(seed)));
        assert!((0..500).any(|seed| Plan::draw(seed).faults != Plan::draw(seed + 1).faults));
    }

    #[test]
    fn two_hundred_seeds_have_every_way_and_a_thousand_every_fault() {
        let plans: Vec<Plan> = (1..=200).map(Plan::draw).collect();
        let ways: BTreeSet<Way> = plans.iter().map(|plan| plan.way).collect();
        assert_eq!(ways.len(), Way::ALL.len());
        for sealed in [false, true] {
            assert!(plans.iter().any(|p| p.bond && p.sealed == sealed) && plans.iter().any(|p| p.twins && p.sealed == sealed));
        }
        let plans: Vec<Plan> = (1..=1000).map(Plan::draw).collect();
        let mut kinds = Vec::new();
        for what in plans.iter().flat_map(|plan| &plan.faults).map(|fault| &fault.what) {
            if !kinds.contains(&discriminant(what)) {
                kinds.push(discriminant(what));
            }
        }
        assert_eq!(kinds.len(), 11);
        assert!(plans.iter().any(|p| p.faults.iter().any(|f| matches!(f.what, What::Unplug(_, None)))));
        for input in [Input::Pipe, Input::Failing] {
            assert!(plans.iter().any(|plan| plan.input == input));
        }
        for output in [Output::Slow, Output::Full, Output::Limited] {
            assert!(plans.iter().any(|plan| plan.output == output));
        }
    }

    #[test]
    fn one_way_wires_have_neither_echo_nor_company() {
        for plan in (0..2000).map(Plan::draw).filter(|plan| plan.way.is_one_way()) {
            assert!(!plan.bond && !plan.twins);
            assert!(plan.faults.iter().all(|f| !matches!(f.what, What::Echo(..) | What::Loop(..) | What::Swap(_))));
        }
    }
}
