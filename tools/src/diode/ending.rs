//! How a session ends for its receiver: by its last beacon, or without it; and what it lacks then.

use std::time::Duration;

use diode::receiver::Receiver;
use diode::wire::{Beacon, OPEN_END};
use serde_json::{Map, Value, json};

use super::receive::{OnGap, Receiving, Session, Sink, keep};
use super::report::{Report, cause};
use super::source::Source;
use super::spool::{Named, Unheard};
use crate::clock::Clock;
use crate::error::{Doing, Failure, kinds};
use crate::names::printable;

/// Beacon periods that must be silent before a session is given up, whatever the grace time.
const PERIODS: u32 = 5;
/// Sessions that broke off and may go on in another; of more, what they lack is named at once.
const BROKEN_MAX: usize = 16;
/// Most gaps between the numbers of objects that are named in a line of the report, and on stderr.
const GAPS_MAX: usize = 256;
const GAPS_SHOWN: usize = 8;

/// Why nothing more of a session is waited for.
#[derive(Debug)]
pub(super) enum Over {
    /// Its last beacon came.
    Heard,
    /// The port went away, or the input ended: why.
    Gone(String),
    /// Nothing of it came for so long.
    Silent(Duration),
    /// Another one began.
    Followed,
}

/// A session of objects that broke off, whose sender may go on with them in the next.
#[derive(Debug)]
pub struct Broken {
    pub(super) session: u64,
    /// What it told of.
    pub(super) named: Named,
    /// Objects of which it told, and those it had.
    heard: u32,
    objects: u32,
    /// Whether there may have been more than it told of.
    open: bool,
}

/// Why something is missing, in a word.
pub(super) fn why(source: &Source, session: Option<&Session>, receiver: &Receiver, over: Option<&Over>) -> &'static str {
    let (base, overruns) = session.map(|s| s.base).unwrap_or_default();
    match (over, cause(&receiver.stats(), &base, source.overruns().saturating_sub(overruns))) {
        (Some(Over::Gone(_)), "gap" | "noise" | "silence") => "gone",
        (Some(Over::Silent(_)), "gap") => "silence",
        (_, cause) => cause,
    }
}

impl Receiving<'_> {
    /// Whether nothing of the session has come for longer than it may be silent, also because its port is away.
    pub(super) fn silent(&self, receiver: &Receiver, clock: &Clock) -> Option<Over> {
        let beacon = self.session.as_ref()?.beacon;
        let silence = Duration::from_micros(receiver.silence_us(clock.now())?);
        let least =
            Duration::from_millis(u64::from(beacon.survive_ms)) + Duration::from_millis(beacon.period_ms.into()) * PERIODS;
        if silence < self.grace.max(least) {
            return None;
        }
        let seconds = silence.as_secs();
        Some(match self.source.why_away() {
            Some(why) => Over::Gone(format!("{why}, and not back for {seconds} s")),
            None => Over::Silent(silence),
        })
    }

    /// The session is over: what is not there now will not come.
    pub(super) fn settle(&mut self, receiver: &Receiver, count: &mut u64, over: &Over) -> Result<(), Failure> {
        self.collect(receiver, count, true)?;
        let Some(session) = self.session.as_mut().filter(|session| !session.settled) else { return Ok(()) };
        session.settled = true;
        let over = if session.ended { &Over::Heard } else { over };
        let (beacon, missing) = (session.beacon, self.report.count_missing());
        let why = why(&self.source, self.session.as_ref(), receiver, Some(over));
        let end = match &mut self.sink {
            Sink::Objects { .. } => {
                self.settle_objects(&beacon, why)?;
                ("after_objects", beacon.objects.into(), counted(beacon.objects), Ok(()))
            }
            Sink::Lines(numbers) => {
                let known = numbers.as_ref().map_or(0, |n| n.known(beacon.datagrams));
                let gaps = numbers.as_mut().map_or_else(Vec::new, |n| n.end(known));
                self.name_lines(gaps, receiver, Some(over));
                // a sender says the same of a line that it had to cut
                let cut = if beacon.broken { ", or the end of a line that was too long," } else { "" };
                let place = known.checked_sub(1).map_or("its beginning".into(), |last| format!("line {last}{cut}"));
                ("after_lines", known.into(), place, Ok(()))
            }
            Sink::Stream(stream, _) => {
                let length = Some(beacon.stream_len).filter(|l| *l != OPEN_END);
                stream.iter_mut().for_each(|stream| stream.finish(length));
                let position = stream.as_ref().map_or(0, |stream| stream.position());
                let written = self.hand_out(receiver, count, Some(over));
                ("after_bytes", position, format!("byte {position}"), written)
            }
        };
        let (field, number, place, done) = end;
        if (beacon.broken || !matches!(over, Over::Heard)) && self.was_meant(&beacon).is_ok() {
            if beacon.broken {
                let what = format!("the sender could not go on: what was to come after {place} is missing");
                let fields = Map::from_iter([
                    ("end".into(), "broken".into()),
                    (field.into(), number.into()),
                    ("cause".into(), "sender".into()),
                ]);
                self.report.missing(&what, Value::Object(fields));
            } else if !beacon.is_complete() {
                let what = format!("the end of the session was not heard: what came after {place} is missing ({why})");
                let fields = Map::from_iter([
                    ("end".into(), "unheard".into()),
                    (field.into(), number.into()),
                    ("cause".into(), why.into()),
                ]);
                self.report.missing(&what, Value::Object(fields));
            } else if self.report.count_missing() == missing {
                tracing::warn!(code = %kinds::END_UNHEARD, "the end of the session was not heard; all that it announced is here");
            }
        }
        done
    }

    fn settle_objects(&mut self, beacon: &Beacon, why: &str) -> Result<(), Failure> {
        if let Sink::Objects { spool, .. } = &mut self.sink {
            let flushed = spool.flush();
            flushed.doing(kinds::SPOOL_FAILED, || keep(spool))?;
        }
        self.name_objects(beacon, why);
        let Sink::Objects { spool, .. } = &mut self.sink else { return Ok(()) };
        let told = spool.told_missing();
        told.doing(kinds::SPOOL_FAILED, || keep(spool))?;
        let goes_on = |b: &Broken| {
            let follows = b.heard >= b.objects && spool.follows(&b.named);
            follows || spool.goes_on_with(&b.named, b.objects)
        };
        // one that is heard again lacks what it lacks itself
        let same = |b: &Broken| self.session.as_ref().is_some_and(|s| s.beacon.session == b.session);
        for broken in std::mem::take(&mut self.broken).into_iter().filter(|broken| !same(broken) && !goes_on(broken)) {
            lacks(&broken, &mut self.report);
        }
        Ok(())
    }
    /// Names what is not whole, and counts what was not heard of.
    fn name_objects(&mut self, beacon: &Beacon, why: &str) {
        let Sink::Objects { spool, .. } = &mut self.sink else { return };
        for (name, why) in spool.take_anew() {
            let what = format!("'{}' did not come anew: {why}", printable(name.as_bytes()));
            self.report.missing(&what, json!({"name": name, "cause": why}));
        }
        let unknown = beacon.objects.saturating_sub(spool.heard());
        if unknown > 0 {
            let (what, fields) = nameless(unknown, &spool.unheard(beacon.objects), why);
            self.report.missing_many(unknown, &what, fields);
        }
        for (partial, manifest) in spool.missing() {
            let have = manifest.map_or(0, |m| partial.have(&m));
            let name = printable(partial.name.as_bytes());
            let what = format!("{name} is incomplete: {have} of {} symbols came ({why})", partial.needed);
            let fields =
                json!({"name": partial.name, "size": partial.size, "symbols": have, "needed": partial.needed, "cause": why});
            self.report.missing(&what, fields);
        }
    }
    /// The disk takes nothing more, which ends the receiver in the midst of a session: what that lacks is named.
    pub(super) fn lose(&mut self) {
        let Some(session) = self.session.as_mut().filter(|session| !session.settled) else { return };
        session.settled = true;
        let (beacon, ended) = (session.beacon, session.ended);
        self.name_objects(&beacon, "disk");
        if !ended && !beacon.is_complete() {
            let what =
                format!("the end of the session was not heard: what came after {} is missing (disk)", counted(beacon.objects));
            self.report.missing(&what, json!({"end": "unheard", "after_objects": beacon.objects, "cause": "disk"}));
        }
    }

    /// Another session begins where this one has not ended, or has.
    pub(super) fn end_session(&mut self, receiver: &Receiver, count: &mut u64, over: &Over) -> Result<(), Failure> {
        let beacon = self.session.as_ref().map(|session| session.beacon);
        match (&mut self.sink, over, beacon) {
            // its sender was started anew, most likely with the same files
            (Sink::Objects { spool, .. }, Over::Followed, Some(beacon)) => {
                let what = "the end of the session was not heard, and another one begins";
                let fields = json!({"session": beacon.session, "objects": beacon.objects});
                self.report.notice(kinds::END_UNHEARD, what, "broken", fields);
                let (session, heard, objects) = (beacon.session, spool.heard(), beacon.objects);
                let broken = Broken { session, named: Named::new(), heard, objects, open: !beacon.is_complete() };
                self.broken.retain(|broken| broken.session != session);
                if objects > heard || broken.open {
                    if self.broken.len() >= BROKEN_MAX {
                        lacks(&broken, &mut self.report);
                    } else {
                        self.broken.push(broken);
                    }
                }
                Ok(())
            }
            (Sink::Stream(_, OnGap::Fail), Over::Followed, _) if !self.forever => self.finish(receiver, count, over),
            _ => self.settle(receiver, count, over),
        }
    }

    pub(super) fn name_lines(&mut self, gaps: Vec<(u32, u32)>, receiver: &Receiver, over: Option<&Over>) {
        let floor = if let Sink::Lines(Some(numbers)) = &self.sink { numbers.floor() } else { 0 };
        let why = why(&self.source, self.session.as_ref(), receiver, over);
        // what was made before anything was heard, and what later
        let parts =
            gaps.into_iter().flat_map(|(first, last)| [(first, last.min(floor.saturating_sub(1))), (first.max(floor), last)]);
        for (first, last) in parts.filter(|(first, last)| first <= last) {
            let why = if last < floor { "late" } else { why };
            let fields = json!({"first": first, "last": last, "cause": why});
            let what = if first == last { format!("line {first} is") } else { format!("lines {first} to {last} are") };
            self.report.missing(&format!("{what} lost ({why})"), fields);
        }
    }

    pub(super) fn finish(&mut self, receiver: &Receiver, count: &mut u64, over: &Over) -> Result<(), Failure> {
        if self.session.as_ref().is_some_and(|session| !session.ended) {
            match over {
                Over::Gone(why) => {
                    let port = self.source.spec();
                    tracing::warn!(code = %kinds::PORT_LOST, "{port} is gone ({why}) before the end of the session was heard");
                }
                Over::Silent(silence) => {
                    let seconds = silence.as_secs();
                    tracing::warn!(code = %kinds::END_UNHEARD, "nothing of the session came for {seconds} s: it is over");
                }
                Over::Heard | Over::Followed => {}
            }
        }
        self.settle(receiver, count, over)?;
        if let lost @ 1.. = self.report.count_lost() {
            let message = format!("{lost} bytes of the stream are missing, see above and --report");
            return Err(Failure::new(kinds::INCOMPLETE, message));
        }
        match (self.report.count_missing(), &self.session) {
            (0, Some(session)) => self.was_meant(&session.beacon),
            (0, None) => Ok(()),
            (1, _) => Err(Failure::new(kinds::INCOMPLETE, "one thing is missing, see above and --report")),
            (n, _) => Err(Failure::new(kinds::INCOMPLETE, format!("{n} things are missing, see above and --report"))),
        }
    }

    /// Whether the session had anything of what is received here, if it had anything at all.
    fn was_meant(&self, beacon: &Beacon) -> Result<(), Failure> {
        let had = [beacon.objects > 0, beacon.datagrams > 0, beacon.shape.data > 0];
        let (wanted, what) = match self.sink {
            Sink::Objects { .. } => (0, "file"),
            Sink::Lines(_) => (1, "line"),
            Sink::Stream(..) => (2, "stream"),
        };
        let others =
            ["files: receive them with --out DIR", "lines: receive them with --lines", "a stream: receive it with --stream"];
        match had.into_iter().position(|had| had) {
            Some(other) if !had[wanted] => {
                let message = format!("no {what} came: the session had {}", others[other]);
                Err(Failure::new(kinds::NOTHING_CAME, message))
            }
            _ => Ok(()),
        }
    }
}

/// Says what a session lacks that broke off and did not go on.
fn lacks(broken: &Broken, report: &mut Report) {
    let unknown = broken.objects.saturating_sub(broken.heard);
    let (what, fields) = if unknown == 0 {
        let what = format!("what came after {} is missing (gap)", counted(broken.objects));
        (what, json!({"end": "unheard", "after_objects": broken.objects, "cause": "gap"}))
    } else {
        // of what was delivered in an earlier run nobody knows the numbers any more
        let all = broken.named.len() == broken.heard as usize;
        let unheard = if all { Unheard::of(&broken.named, broken.objects) } else { Unheard::default() };
        nameless(unknown, &unheard, "gap")
    };
    report.missing_many(unknown.max(1), &format!("of a session that broke off, {what}"), fields);
}

/// What is said of objects of which nothing but their number came.
fn nameless(objects: u32, unheard: &Unheard, why: &str) -> (String, Value) {
    let were = if objects == 1 { "was" } else { "were" };
    let (mut numbers, mut transfers) = (Vec::new(), Vec::new());
    for ((first, last), known) in unheard.0.iter().take(GAPS_MAX) {
        numbers.push(range(first, last));
        transfers.extend(known.map(|(first, last)| range(format!("{first:016x}"), format!("{last:016x}"))));
    }
    let what = format!("{} {were} sent of which not even the name came ({why})", counted(objects));
    let mut told = numbers.iter().take(GAPS_SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if !transfers.is_empty() {
        told.push_str(&format!(", by their place transfer {}", transfers[..transfers.len().min(GAPS_SHOWN)].join(", ")));
    }
    let more = if unheard.0.len() > GAPS_SHOWN { ", and more" } else { "" };
    let what = if told.is_empty() { what } else { format!("{what}: number {told}{more}") };
    (what, json!({"objects": objects, "numbers": numbers, "transfers": transfers, "cause": why}))
}

fn range<T: PartialEq + std::fmt::Display>(first: T, last: T) -> String {
    if first == last { first.to_string() } else { format!("{first} to {last}") }
}

fn counted(objects: u32) -> String {
    if objects == 1 { "1 object".into() } else { format!("{objects} objects") }
}
