//! A run: who comes on, what happens, how it ends.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::calm::{self, Calm};
use super::course::Course;
use super::flow::{Carried, Flow};
use super::plan::{Plan, Way};
use super::stage::Stage;
use super::users::Ended;
use super::verdict::{Evidence, Violation, judge};
use super::ways;
use tools::sim::live::{Wire, clean};

/// How often is looked whether something is to be done.
const LOOK: Duration = Duration::from_millis(3);
/// How often who has ended is looked at.
const LOOK_AROUND: Duration = Duration::from_millis(60);
/// Who is told to end ends within this time.
const LEAVES: Duration = Duration::from_secs(30);
/// Who need not end is left alone for so long in the end.
const REST: Duration = Duration::from_millis(300);

/// What a run needs.
#[derive(Clone, Debug)]
pub struct Options {
    /// The binary.
    pub hardline: PathBuf,
    /// A shared key for each pair.
    pub psk: [PathBuf; 2],
    /// Who has not ended so long after the last fault hangs.
    pub hangs: Duration,
}

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// What was played.
    pub plan: Plan,
    /// What did not hold.
    pub violations: Vec<Violation>,
    /// Everything has arrived, and who had to end ended with 0.
    pub whole: bool,
    /// How all ended, for people.
    pub ends: Vec<String>,
    /// Logs and files, if something did not hold.
    pub kept: Option<PathBuf>,
}

struct Play {
    stage: Stage,
    course: Course,
    calm: Calm,
    hangs: Duration,
}

/// Plays the plan of a seed. An error is one of the harness; what hardline did wrong is in the outcome.
pub fn play(options: &Options, seed: u64) -> io::Result<Outcome> {
    let plan = Plan::draw(seed);
    let dir = tempfile::Builder::new().prefix(&format!("hardline-run-{seed}-")).tempdir()?;
    let mut args = clean(&dir.path().join("a"), &dir.path().join("b"), 2_000_000, seed);
    if plan.bond || plan.twins {
        (args.a2, args.b2) = (Some(dir.path().join("c")), Some(dir.path().join("d")));
    }
    args.one_way = plan.way.is_one_way();
    let wire = Wire::start(&args, |_| {})?;
    let mut stage = Stage::new(&options.hardline, &options.psk, dir.path(), &plan);
    for pair in 0..=usize::from(plan.twins) {
        ways::enter(&mut stage, pair)?;
    }
    let calm = Calm::begin(wire.carried());
    let mut play = Play { course: Course::new(wire, plan.faults.clone()), stage, calm, hangs: options.hangs };
    play.go_on()?;
    let (violations, whole, ends) = play.end()?;
    let kept = (!violations.is_empty()).then(|| dir.path().to_owned());
    if let Some(kept) = &kept {
        keep(kept, &play.stage, &violations)?;
        let _ = dir.keep();
    }
    Ok(Outcome { plan, violations, whole, ends, kept })
}

/// Writes down what was played and what did not hold, beside the logs.
fn keep(dir: &Path, stage: &Stage, violations: &[Violation]) -> io::Result<()> {
    use std::fmt::Write;
    let mut text = format!("seed {}: {}\n", stage.plan.seed, stage.plan);
    for actor in &stage.actors {
        let _ = writeln!(text, "{}: hardline {}", actor.part.name, actor.part.args.join(" "));
    }
    for violation in violations {
        let _ = writeln!(text, "{violation}");
    }
    std::fs::write(dir.join("run.txt"), text)
}

impl Play {
    /// Goes on until all who have to end have ended, or hang.
    fn go_on(&mut self) -> io::Result<()> {
        let (mut looked, mut rests): (Option<Instant>, Option<Instant>) = (None, None);
        loop {
            if self.course.follow(&mut self.stage)? {
                self.calm = Calm::begin(self.course.carried());
            }
            if looked.is_none_or(|looked| looked.elapsed() >= LOOK_AROUND) {
                looked = Some(Instant::now());
                self.calm.look(self.course.carried(), &mut self.stage.actors);
                let waits = self.must_still_end()?;
                let busy = waits || self.course.is_stormy() && self.anybody_left()?;
                rests = if busy { None } else { rests.or(Some(Instant::now())) };
                let rest = if self.stage.plan.lingers { calm::LENGTH * 2 } else { REST };
                if rests.is_some_and(|since| since.elapsed() >= rest) || waits && self.course.quiet_since().elapsed() > self.hangs
                {
                    return Ok(());
                }
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Whether somebody who has to end by itself has not.
    fn anybody_left(&mut self) -> io::Result<bool> {
        for actor in self.stage.actors.iter_mut().filter(|actor| actor.part.ends) {
            if actor.process.ended()?.is_none() {
                return Ok(true);
            }
        }
        Ok(self.stage.guests.iter().any(|guest| guest.ends && guest.user.ended() == Ended::No))
    }

    fn must_still_end(&mut self) -> io::Result<bool> {
        for at in 0..self.stage.actors.len() {
            if self.stage.actors[at].process.ended()?.is_none() && self.must_end(at)? {
                return Ok(true);
            }
        }
        for at in 0..self.stage.guests.len() {
            if self.stage.guests[at].user.ended() == Ended::No && self.guest_must_end(at)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The process that holds the wires of a pair at an end, if it runs as it was started first.
    fn holder(&mut self, pair: usize, side: usize) -> io::Result<Option<usize>> {
        for (at, actor) in self.stage.actors.iter_mut().enumerate() {
            let part = &actor.part;
            if part.pair == pair && part.side == side && part.holds && !actor.struck && actor.process.ended()?.is_none() {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }

    fn has_begun(&self, flows: &[usize]) -> bool {
        flows.iter().filter_map(|&flow| self.stage.flows.get(flow)).any(Flow::has_begun)
    }

    /// Whether a process can be expected to end.
    fn must_end(&mut self, at: usize) -> io::Result<bool> {
        let part = self.stage.actors[at].part.clone();
        if !part.ends || self.course.deceives() {
            return Ok(false);
        }
        if self.stage.plan.way.is_one_way() {
            // a receiver that has heard nothing waits without limit
            let report = std::fs::read_to_string(self.stage.path(&format!("{}.report", part.pair))).unwrap_or_default();
            let heard = report.contains("\"session\"") && !report.contains("\"ended-before\"") || self.has_begun(&part.vouches);
            return Ok(part.side == 0 || heard && !self.stage.actors[at].again);
        }
        let ends = [self.holder(part.pair, 0)?, self.holder(part.pair, 1)?];
        let opened = self.stage.is_opened(part.pair, part.side);
        Ok(match (part.holds, ends[part.side]) {
            // a peer that has not come yet is waited for without limit
            (true, _) => opened || self.course.is_good() && ends.iter().all(Option::is_some),
            (false, None) => true,
            (false, Some(_)) => self.has_begun(&part.vouches) || self.course.is_good() && ends.iter().all(Option::is_some),
        })
    }

    fn guest_must_end(&mut self, at: usize) -> io::Result<bool> {
        let guest = &self.stage.guests[at];
        let (ends, begun) = (guest.ends && !self.course.deceives(), self.has_begun(&guest.vouches));
        let pair = usize::from(guest.name.starts_with('1'));
        let holders = [self.holder(pair, 0)?, self.holder(pair, 1)?];
        Ok(ends && (holders[0].is_none() || begun || self.course.is_good() && holders[1].is_some()))
    }

    // ---- the end --------------------------------------------------------------------------------

    fn end(&mut self) -> io::Result<(Vec<Violation>, bool, Vec<String>)> {
        let mut evidence = self.evidence()?;
        self.dismiss(&mut evidence)?;
        // pipes hold what nobody has read yet
        let limit = Instant::now() + LEAVES;
        while !self.stage.has_read_all() && Instant::now() < limit {
            std::thread::sleep(LOOK);
        }
        let flows: Vec<(String, Carried)> = self.stage.flows.iter().map(|f| (f.name.clone(), f.carried())).collect();
        let violations = judge(&flows, &evidence);
        let main = evidence.iter().filter(|e| !e.vouches.is_empty());
        let whole = flows.iter().all(|flow| flow.1 == Carried::Whole) && main.clone().all(|e| e.code == Some(0));
        let ends = evidence.iter().map(|e| format!("{} {}", e.name, e.code.map_or("-".into(), |c| c.to_string())));
        let came = flows.iter().map(|(name, carried)| format!("{name}: {carried:?}"));
        Ok((violations, whole, ends.chain(came).collect()))
    }

    fn evidence(&mut self) -> io::Result<Vec<Evidence>> {
        let mut all = Vec::new();
        for at in 0..self.stage.actors.len() {
            let must_end = self.must_end(at)?;
            let actor = &mut self.stage.actors[at];
            all.push(Evidence {
                name: actor.part.name.clone(),
                code: actor.process.code()?,
                vouches: actor.part.vouches.clone(),
                said: Some(actor.process.says()),
                must_end,
                busy: actor.busy,
            });
        }
        for at in 0..self.stage.guests.len() {
            let must_end = self.guest_must_end(at)?;
            let guest = &self.stage.guests[at];
            let code = match guest.user.ended() {
                Ended::No => None,
                Ended::Clean => Some(0),
                Ended::Broken => Some(3),
            };
            // a lost session is a clean end for who has a Unix socket, as is documented: the kernel knows no reset of one
            let tells = !matches!(self.stage.plan.way, Way::OpenUnix | Way::ForwardUnix);
            let vouches = if tells { guest.vouches.clone() } else { Vec::new() };
            all.push(Evidence { name: guest.name.clone(), code, vouches, must_end, ..Evidence::default() });
        }
        Ok(all)
    }

    /// Those who hold the wire until they are told to end are told so, and do.
    fn dismiss(&mut self, evidence: &mut [Evidence]) -> io::Result<()> {
        for actor in &mut self.stage.actors {
            actor.process.signal(Signal::SIGCONT)?;
            actor.process.signal(Signal::SIGTERM)?;
        }
        let limit = Instant::now() + LEAVES;
        for (actor, evidence) in self.stage.actors.iter_mut().zip(evidence) {
            while actor.process.ended()?.is_none() && Instant::now() < limit {
                std::thread::sleep(LOOK);
            }
            // whoever had to end before did not
            if !evidence.must_end {
                evidence.must_end = actor.process.ended()?.is_none();
                evidence.code = actor.process.code()?;
            }
            evidence.said = Some(actor.process.says());
        }
        Ok(())
    }
}
