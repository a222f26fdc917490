//! Breadth first through all states; so what is found is found by the shortest way.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::case::Case;
use crate::drive::drive;
use crate::world::{Choice, World};

/// States that wait as they are; of the others it is known how they were reached. One has some 100 KiB.
const KEPT: usize = 4_000;
/// One in so many states is driven to its end; of those behind a fault all are.
const SAMPLE: u64 = 32;

/// How a state was reached.
struct Step {
    from: u32,
    choice: Choice,
    depth: u32,
}

/// What was found.
pub struct Found {
    pub times: usize,
    pub what: String,
    pub trace: Vec<String>,
}

/// What came of it.
pub struct Report {
    pub states: usize,
    pub steps: usize,
    pub drives: usize,
    pub depth: u32,
    pub complete: bool,
    pub took: Duration,
    /// By kind.
    pub found: BTreeMap<String, Found>,
}

struct Search {
    case: &'static Case,
    reached: Vec<Step>,
    seen: HashSet<u64>,
    waiting: VecDeque<(u32, Option<Box<World>>)>,
    kept: usize,
    report: Report,
}

pub fn search(case: &'static Case, most: usize) -> Report {
    let report =
        Report { states: 1, steps: 0, drives: 0, depth: 0, complete: true, took: Duration::ZERO, found: BTreeMap::new() };
    let root = Step { from: 0, choice: Choice::Sleep, depth: 0 };
    let waiting = VecDeque::from([(0, None)]);
    let mut search = Search { case, reached: vec![root], seen: HashSet::new(), waiting, kept: 0, report };
    let began = Instant::now();
    while let Some((at, world)) = search.waiting.pop_front() {
        if search.seen.len() >= most {
            search.report.complete = false;
            break;
        }
        search.kept -= usize::from(world.is_some());
        let world = world.unwrap_or_else(|| Box::new(search.replay(at)));
        search.expand(at, &world);
    }
    search.report.states = search.reached.len();
    search.report.took = began.elapsed();
    search.report
}

impl Search {
    fn expand(&mut self, at: u32, world: &World) {
        for choice in world.choices() {
            self.report.steps += 1;
            let mut next = Box::new(world.clone());
            if let Err(what) = guarded(|| next.apply(choice)) {
                self.note(at, Some(choice), what);
                continue;
            }
            let digest = next.digest();
            if !self.seen.insert(digest) {
                continue;
            }
            let depth = self.reached[at as usize].depth + 1;
            self.report.depth = depth;
            let id = self.reached.len() as u32;
            self.reached.push(Step { from: at, choice, depth });
            if !matches!(choice, Choice::Deliver(..) | Choice::Fire(_)) || digest.is_multiple_of(SAMPLE) {
                self.report.drives += 1;
                if let Err(what) = guarded(|| drive(World::clone(&next))) {
                    self.note(id, None, what);
                }
            }
            let keep = self.kept < KEPT;
            self.kept += usize::from(keep);
            self.waiting.push_back((id, keep.then_some(next)));
        }
    }

    fn trace(&self, mut at: u32) -> Vec<Choice> {
        let mut trace = Vec::new();
        while at != 0 {
            trace.push(self.reached[at as usize].choice);
            at = self.reached[at as usize].from;
        }
        trace.reverse();
        trace
    }
    fn replay(&self, at: u32) -> World {
        let mut world = World::new(self.case);
        for choice in self.trace(at) {
            world.apply(choice).expect("it went well before");
        }
        world
    }

    /// Notes what was found; of a kind the first, which is the shortest.
    fn note(&mut self, at: u32, last: Option<Choice>, what: String) {
        let kind = what.split([':', '{']).next().unwrap_or("").to_string();
        if let Some(found) = self.report.found.get_mut(&kind) {
            found.times += 1;
            return;
        }
        let (mut world, mut trace) = (World::new(self.case), Vec::new());
        for choice in self.trace(at) {
            trace.push(world.head(choice));
            world.apply(choice).expect("it went well before");
        }
        trace.extend(last.map(|choice| world.head(choice)));
        self.report.found.insert(kind, Found { times: 1, what, trace });
    }
}

/// A panic is something found, too.
fn guarded(run: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned().or(panic.downcast_ref::<&str>().map(|text| text.to_string()));
        Err(format!("PANIC: {}", text.unwrap_or_default()))
    })
}
