//! What happens in a run: faults as they come due, and their ends.

use std::io;
use std::time::{Duration, Instant};

use link::sim::NoiseConfig;
use nix::sys::signal::Signal;

use super::fault::{Fault, What, When};
use super::stage::Stage;
use tools::sim::bytes::Bytes;
use tools::sim::live::Wire;

/// What waits for a number of bytes happens by then.
const LATEST: Duration = Duration::from_secs(2);
/// For good.
const FOR_GOOD: Duration = Duration::from_secs(86_400);

/// What ends a fault.
#[derive(Clone, Copy, Debug)]
enum End {
    Noise(usize),
    Echo(usize),
    Bytes(usize),
    Go(usize),
    /// The wire does so by itself.
    Wire,
}

/// The wires of a run, and what becomes of them and of the processes.
#[derive(Debug)]
pub struct Course {
    wire: Wire,
    began: Instant,
    carried_before: u64,
    to_come: Vec<Fault>,
    /// When what ends.
    under_way: Vec<(Instant, End)>,
    quiet_since: Instant,
    good: bool,
    deceives: bool,
}

impl Course {
    /// Nothing has happened yet; the moments of the faults are counted from now on.
    pub fn new(wire: Wire, faults: Vec<Fault>) -> Course {
        let (began, carried_before) = (Instant::now(), wire.carried());
        Course {
            wire,
            began,
            carried_before,
            to_come: faults,
            under_way: Vec::new(),
            quiet_since: began,
            good: true,
            deceives: false,
        }
    }
    /// Bytes the wires have carried.
    pub fn carried(&self) -> u64 {
        self.wire.carried()
    }
    /// When something happened last.
    pub fn quiet_since(&self) -> Instant {
        self.quiet_since
    }
    /// Something lasts that will end.
    pub fn is_stormy(&self) -> bool {
        !self.under_way.is_empty()
    }
    /// Nothing is wrong with the wires for good.
    pub fn is_good(&self) -> bool {
        self.good
    }
    /// They change bytes for good: what is open goes on and never comes to an end.
    pub fn deceives(&self) -> bool {
        self.deceives
    }

    /// Lets happen what is due; says whether anything was.
    pub fn follow(&mut self, stage: &mut Stage) -> io::Result<bool> {
        let (now, since, carried) = (Instant::now(), self.began.elapsed(), self.wire.carried() - self.carried_before);
        let due = |fault: &Fault| match fault.when {
            When::After(time) => since >= time,
            When::Carried(bytes) => carried >= bytes || since >= LATEST,
        };
        let waits = self.to_come.iter().any(|fault| fault.what.needs_sessions() && due(fault));
        let settled = waits && stage.is_settled();
        let may = |fault: &Fault| settled || !fault.what.needs_sessions();
        let (due, later): (Vec<Fault>, Vec<Fault>) =
            std::mem::take(&mut self.to_come).into_iter().partition(|fault| due(fault) && may(fault));
        self.to_come = later;
        let (over, lasting): (Vec<_>, Vec<_>) = std::mem::take(&mut self.under_way).into_iter().partition(|end| end.0 <= now);
        self.under_way = lasting;
        let happens = !due.is_empty() || !over.is_empty();
        for fault in due {
            self.strike(fault.what, stage)?;
            self.quiet_since = now;
        }
        for (_, end) in over {
            self.relent(end, stage)?;
            self.quiet_since = now;
        }
        if !self.under_way.is_empty() {
            self.quiet_since = now;
        }
        Ok(happens)
    }

    /// Something lasts so long, or for good.
    fn lasts(&mut self, length: Option<Duration>, end: End) -> Duration {
        match length {
            Some(length) => self.under_way.push((Instant::now() + length, end)),
            None => self.good = false,
        }
        length.unwrap_or(FOR_GOOD)
    }

    fn strike(&mut self, what: What, stage: &mut Stage) -> io::Result<()> {
        match what {
            What::Noise(wire, noise, length) => {
                // most noise can be borne
                let bad = noise.ber > 0.1;
                if length.is_some() || bad {
                    self.lasts(length, End::Noise(wire));
                }
                self.wire.change(move |sim| sim.set_noise(wire, noise));
            }
            What::Outage(wire, length) => {
                let length = self.lasts(length, End::Wire);
                self.wire.change(move |sim| sim.begin_outage(wire, length));
            }
            What::Unplug(wire, length) => {
                let length = self.lasts(length, End::Wire);
                self.wire.change(move |sim| sim.begin_unplug(wire, length));
            }
            What::Loop(wire, end, length) => {
                let length = self.lasts(length, End::Wire);
                self.wire.change(move |sim| sim.begin_loop(wire, end, length));
            }
            What::Echo(wire, end, length) => {
                // the far end is heard as well
                if length.is_some() {
                    self.lasts(length, End::Echo(wire));
                }
                self.wire.change(move |sim| sim.set_echo(wire, end.sides()));
            }
            What::Swap(length) => {
                let length = self.lasts(length, End::Wire);
                self.wire.change(move |sim| sim.begin_swap(length));
            }
            What::Replug(length) => {
                self.good = false;
                self.lasts(Some(length), End::Wire);
                self.wire.change(move |sim| {
                    (0..2).for_each(|wire| sim.begin_unplug(wire, length));
                    sim.begin_swap(FOR_GOOD);
                });
            }
            What::Bytes(wire, double, length) => {
                self.deceives |= length.is_none();
                self.lasts(length, End::Bytes(wire));
                let (doubled, eaten) = if double { (vec![0xFF], vec![]) } else { (vec![], vec![0x11, 0x13]) };
                self.wire.change(move |sim| sim.set_bytes(wire, &Bytes { doubled, eaten }));
            }
            What::Signal(..) | What::Restart(_) | What::Stop(..) => self.strike_process(&what, stage)?,
        }
        Ok(())
    }

    fn strike_process(&mut self, what: &What, stage: &mut Stage) -> io::Result<()> {
        match *what {
            What::Signal(who, signal) => stage.signal(who, signal),
            What::Restart(who) => stage.restart(who),
            What::Stop(who, length) => {
                let who = who % stage.actors.len();
                if stage.actors[who].process.signal(Signal::SIGSTOP)? {
                    self.lasts(Some(length), End::Go(who));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn relent(&mut self, end: End, stage: &mut Stage) -> io::Result<()> {
        match end {
            End::Noise(wire) => self.wire.change(move |sim| sim.set_noise(wire, NoiseConfig::default())),
            End::Echo(wire) => self.wire.change(move |sim| sim.set_echo(wire, [false; 2])),
            End::Bytes(wire) => self.wire.change(move |sim| sim.set_bytes(wire, &Bytes::default())),
            End::Go(who) => drop(stage.actors[who].process.signal(Signal::SIGCONT)?),
            End::Wire => {}
        }
        Ok(())
    }
}
