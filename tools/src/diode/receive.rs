//! The receiving loop: reads a line that cannot be written, and says what it got and what it did not.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use diode::receiver::{Event, Receiver, Stats};
use diode::stream::StreamReceiver;
use diode::unseal::Sender;
use diode::wire::Beacon;
use nix::poll::PollFlags;
use serde_json::json;

use super::ending::{Broken, Over};
use super::guard::Guard;
use super::hooks::Hooks;
use super::numbers::Numbers;
use super::port::Input;
use super::report::{Report, line};
use super::send::pause;
use super::source::{Came, Source};
use super::spool::{Bounds, Spool};
use super::state::Memory;
use super::stdout::Stdout;
use super::strange::{Strange, Word};
use crate::clock::Clock;
use crate::drive::wait;
use crate::error::{Doing, Exit, Failure, kinds};
use crate::names::shown;
use crate::progress::Meter;
use crate::signal::{Signal, Signals};
use crate::stats;

/// How often symbols are handed to the kernel and the report says how the line is.
const TICK: Duration = Duration::from_secs(1);
/// How often a block that is being decoded is asked after.
const BUSY: Duration = Duration::from_millis(10);
const REPORT: Duration = Duration::from_secs(10);

/// What becomes of a gap in a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum OnGap {
    /// End with exit code 4.
    #[default]
    Fail,
    /// Go on behind it.
    Skip,
    /// Fill it with zeros.
    Zero,
}

/// What to do with what comes.
#[derive(Debug)]
pub enum Sink {
    /// Objects to a folder.
    Objects {
        /// Where they are put together and put.
        spool: Box<Spool>,
        /// The command that runs for each.
        hooks: Option<Hooks>,
    },
    /// Lines to stdout.
    Lines(Option<Numbers>),
    /// The stream to stdout.
    Stream(Option<StreamReceiver>, OnGap),
}

/// One run of the receiver.
#[derive(Debug)]
pub struct Receiving<'a> {
    /// What asks for the end.
    pub signals: &'a Signals,
    /// The port.
    pub source: Source,
    /// What to do.
    pub sink: Sink,
    /// Where lines and streams go; none where they do not.
    pub output: Option<Stdout>,
    /// What to say.
    pub report: Report,
    /// Go on when a session ends.
    pub forever: bool,
    /// How long a session may be silent, or only frames come that cannot be read.
    pub grace: Duration,
    /// How much memory a stream may take.
    pub bounds: Bounds,
    /// Statistics.
    pub stats: Option<PathBuf>,
    /// The session heard last.
    pub session: Option<Session>,
    /// Those of objects that broke off before it.
    pub broken: Vec<Broken>,
    /// Something of a session was heard beside its beacons.
    pub heard: bool,
    /// The end of a session that may have been over before.
    pub echo: Option<Beacon>,
    /// Where a terminal is shown how far it is.
    pub meter: Meter,
}

/// A session that is heard, or was the last one.
#[derive(Debug)]
pub struct Session {
    /// Its latest beacon, or the one that ended it.
    pub(super) beacon: Beacon,
    /// That it ends was heard.
    pub(super) ended: bool,
    /// What it lacks was said.
    pub(super) settled: bool,
    /// The counters when it began.
    pub(super) base: (Stats, u64),
}

/// Whose sealed frames are taken, and nothing else.
#[derive(Debug)]
pub struct Sealed {
    /// The senders.
    pub senders: Vec<Sender>,
    /// What is remembered of them.
    pub memory: Memory,
}

impl Receiving<'_> {
    /// Receives until the session ends.
    pub fn run(mut self, sealed: Option<Sealed>) -> Result<(), Failure> {
        let (clock, began, mut bytes) = (Clock::new(), Instant::now(), 0u64);
        let (mut receiver, memory) = match sealed {
            Some(Sealed { senders, memory }) => (Receiver::sealed(senders, clock.now()), Some(memory)),
            None => (Receiver::new(clock.now()), None),
        };
        let mut guard = Guard::new(memory);
        let result = self.listen(&mut receiver, &mut guard, &mut bytes, (&clock, began));
        if result.as_ref().is_err_and(|failure| failure.kind == kinds::SPOOL_FAILED) {
            self.lose();
        }
        let result = self.run_hooks(result);
        let stopped = self.stop_hooks();
        self.meter.clear();
        let closed = guard.close(&receiver);
        // who is asked to end does not wait for a disk
        let over = result.as_ref().map_or_else(|failure| failure.exit == Exit::Incomplete, |()| true);
        let settled = self.output.take().filter(|_| over).map_or(Ok(()), Stdout::settle);
        self.report.line(&receiver.stats());
        let counted = self.write_stats(&receiver, bytes, began, false);
        let reported = self.report.close();
        result.and(stopped).and(settled).and(closed).and(counted).and(reported)
    }

    fn listen(
        &mut self,
        receiver: &mut Receiver,
        guard: &mut Guard,
        bytes: &mut u64,
        (clock, began): (&Clock, Instant),
    ) -> Result<(), Failure> {
        let mut buffer = vec![0u8; Input::BUFFER];
        let (mut ticked, mut reported, mut strange) = (Instant::now(), Instant::now(), Strange::new(self.source.baud()));
        loop {
            let tick = if self.is_decoding() || self.has_hook() { BUSY } else { TICK };
            let timeout = receiver.poll_timeout().map_or(tick, |at| Duration::from_micros(at.since(clock.now()))).min(tick);
            let timeout = self.source.look_in().map_or(timeout, |look| look.min(timeout));
            let fds: Vec<_> = [self.signals.fd()].into_iter().chain(self.source.fd()).map(|fd| (fd, PollFlags::POLLIN)).collect();
            let ready = wait(&fds, Some(timeout)).doing(kinds::LINE_FAILED, || "wait for the line".into())?;
            let mut over = None;
            if ready.get(1).is_some_and(|ready| !ready.is_empty()) {
                over = self.take_in(receiver, clock, &mut buffer, &mut strange);
            } else if let Some(away) = self.source.look() {
                self.report.say("port-back", json!({"port": self.source.spec().to_string(), "seconds": away.as_secs_f64()}));
            }
            receiver.handle_timeout(clock.now());
            self.collect(receiver, bytes, false)?;
            if let Sink::Objects { spool, hooks: Some(hooks) } = &mut self.sink {
                hooks.poll(spool, &mut self.report)?;
            }
            over = self.serve(receiver, guard, bytes, began)?.or(over);
            // while it decodes nothing is known to be missing, and the line is not to wait for that
            if self.session.as_ref().is_some_and(|session| session.ended) && self.forever && !self.is_decoding() {
                self.settle(receiver, bytes, &Over::Heard)?;
            }
            guard.warn(&receiver.stats(), self.session.is_some());
            if !self.forever {
                over = over.or_else(|| self.silent(receiver, clock));
                if self.session.is_none() && guard.is_unread_for(&receiver.stats(), self.grace) {
                    guard.verdict(&receiver.stats())?;
                }
            }
            self.show(*bytes);
            if ticked.elapsed() >= TICK {
                ticked = Instant::now();
                self.tick(receiver)?;
                guard.tick(receiver);
                let words = strange.watch(&receiver.stats(), ticked);
                self.say_strange(words, &strange);
            }
            if reported.elapsed() >= REPORT {
                reported = Instant::now();
                self.report.line(&receiver.stats());
            }
            let asked = strange.chatter.wants_end() && self.source.spec().is_lent_in();
            match self.signals.take().or(asked.then_some(Signal::End(libc::SIGINT))) {
                Some(Signal::Stats) => self.write_stats(receiver, *bytes, began, true)?,
                Some(Signal::End(number)) => {
                    self.tick(receiver)?;
                    self.deliver_rest(receiver, bytes)?;
                    return Err(Failure::signal(number, "interrupted"));
                }
                Some(Signal::Child) => crate::guard::tend(),
                Some(Signal::Reopen) => self.report.reopen(),
                None | Some(Signal::Terminal) => {}
            }
            if let Some(over) = over {
                if self.session.is_none() {
                    guard.verdict(&receiver.stats())?;
                    let why = "no session came: nothing that arrived was of a sender of hardline's";
                    return Err(Failure::new(kinds::NOTHING_CAME, why));
                }
                return self.finish(receiver, bytes, &over);
            }
        }
    }

    /// Files as far as their symbols are here, a stream as far as it was written out.
    fn show(&self, bytes: u64) {
        if !self.meter.is_due() {
            return;
        }
        let Sink::Objects { spool, .. } = &self.sink else { return self.meter.set(bytes) };
        let (mut whole, mut here) = (bytes, bytes);
        for (partial, manifest) in spool.partial() {
            let have = manifest.map_or(0, |m| partial.have(&m)).min(partial.needed);
            whole += partial.size;
            here += (partial.size as f64 * have as f64 / partial.needed.max(1) as f64) as u64;
            self.meter.name(&partial.name);
        }
        if whole > 0 {
            self.meter.grow(whole);
        }
        self.meter.set(here);
    }

    /// Bytes come that are no frames, or that is over.
    fn say_strange(&mut self, word: Option<Word>, strange: &Strange) {
        let port = self.source.spec();
        match (word, strange.chatter.speaker()) {
            (None, _) => {}
            (Some(Word::Over(time)), _) => {
                tracing::warn!(code = %kinds::LINE_BACK, "{port}: frames of the sender come now, after {:.1} s", time.as_secs_f64());
            }
            (Some(Word::Strange(bytes)), Some((who, line))) => {
                let what = format!("text comes in the place of frames of 'hardline diode send', from {who}: '{line}'");
                tracing::warn!(code = %kinds::TEXT_HEARD, "{port}: {what}");
                self.report.say("strange", json!({"bytes": bytes, "text": line}));
            }
            (Some(Word::Strange(bytes)), None) => {
                let what = "none were frames of 'hardline diode send': wrong baud rate or another program?";
                tracing::warn!(code = %kinds::NOT_HARDLINE, "{port}: {bytes} bytes arrived, {what}");
                self.report.say("strange", json!({"bytes": bytes}));
            }
        }
    }

    /// Reads what is there; why no more will come, where that is so.
    fn take_in(&mut self, receiver: &mut Receiver, clock: &Clock, buffer: &mut [u8], strange: &mut Strange) -> Option<Over> {
        let datagrams = self.source.is_datagrams();
        // a burst of datagrams at once, or the kernel's queue overflows
        for _ in 0..64 {
            match self.source.read(buffer) {
                Came::Bytes(n) if datagrams => receiver.handle_datagram(&buffer[..n], clock.now()),
                Came::Bytes(n) => {
                    strange.chatter.take(&buffer[..n]);
                    receiver.handle_bytes(&buffer[..n], clock.now());
                    return None;
                }
                Came::Nothing => return None,
                Came::End(why) => {
                    self.report.say("port-lost", json!({"port": self.source.spec().to_string(), "cause": why}));
                    return (!self.source.returns()).then_some(Over::Gone(why));
                }
            }
        }
        None
    }

    /// What is owed to the files that came, once nothing more of them comes.
    fn run_hooks(&mut self, result: Result<(), Failure>) -> Result<(), Failure> {
        if result.as_ref().is_err_and(|failure| failure.exit != Exit::Incomplete) {
            return result;
        }
        loop {
            let Sink::Objects { spool, hooks: Some(hooks) } = &mut self.sink else { return result };
            hooks.poll(spool, &mut self.report)?;
            if hooks.is_idle() {
                return result.and(hooks.verdict());
            }
            pause(self.signals, BUSY)?;
        }
    }

    /// No command goes on when this is over.
    fn stop_hooks(&mut self) -> Result<(), Failure> {
        match &mut self.sink {
            Sink::Objects { spool, hooks: Some(hooks) } => hooks.stop(spool, &mut self.report),
            _ => Ok(()),
        }
    }

    /// Whether files are being decoded.
    fn is_decoding(&self) -> bool {
        matches!(&self.sink, Sink::Objects { spool, .. } if spool.is_busy())
    }

    /// What was decoded meanwhile.
    pub(super) fn collect(&mut self, receiver: &Receiver, count: &mut u64, all: bool) -> Result<(), Failure> {
        let Sink::Objects { spool, .. } = &mut self.sink else { return Ok(()) };
        let news = spool.poll(all);
        let news = news.doing(kinds::SPOOL_FAILED, || {
            let (state, out) = spool.folders();
            format!("put together what came, in {} for {}", shown(state), shown(out))
        })?;
        self.tell(news, receiver, count);
        Ok(())
    }

    /// Waits for what is on the way to its place: whoever asks for the end finds it there, and with its mark.
    fn deliver_rest(&mut self, receiver: &Receiver, count: &mut u64) -> Result<(), Failure> {
        while matches!(&self.sink, Sink::Objects { spool, .. } if spool.is_delivering()) {
            self.collect(receiver, count, false)?;
            std::thread::sleep(BUSY);
        }
        Ok(())
    }

    /// Whether a command runs for a file.
    fn has_hook(&self) -> bool {
        matches!(&self.sink, Sink::Objects { hooks: Some(hooks), .. } if hooks.is_running())
    }

    fn tick(&mut self, receiver: &Receiver) -> Result<(), Failure> {
        self.report.flush();
        match &mut self.sink {
            Sink::Objects { spool, .. } => {
                let flushed = spool.flush();
                flushed.doing(kinds::SPOOL_FAILED, || keep(spool))?;
            }
            Sink::Lines(Some(numbers)) => {
                let gaps = numbers.overdue(Instant::now());
                self.name_lines(gaps, receiver, None);
            }
            _ => {}
        }
        Ok(())
    }

    fn write_stats(&self, receiver: &Receiver, bytes: u64, began: Instant, now: bool) -> Result<(), Failure> {
        let seen = receiver.stats();
        let counted = link::Stats {
            bytes_in: bytes,
            wire_in: seen.wire_in,
            frames_in: seen.frames_in,
            frames_bad: seen.frames_bad,
            junk: seen.junk,
            corrected: seen.corrected,
            ..link::Stats::default()
        };
        let mut value = stats::as_json(&counted, began);
        value["frames_missing"] = seen.frames_missing.into();
        value["ber"] = line(&seen)["ber"].clone();
        match &self.stats {
            Some(path) => stats::write_json(path, &value),
            None if now => {
                crate::say::aside(value);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Works off what came, up to the end of the session unless this goes on for ever.
    fn serve(
        &mut self,
        receiver: &mut Receiver,
        guard: &mut Guard,
        bytes: &mut u64,
        began: Instant,
    ) -> Result<Option<Over>, Failure> {
        while let Some(event) = receiver.poll_event() {
            match event {
                Event::Accepted { sender, session } => guard.accepted(sender, session, receiver, &mut self.report)?,
                Event::Replay { sender, session } => guard.replay(sender, session, &mut self.report),
                Event::Session(beacon) if self.may_be_an_echo(&beacon, began) => self.echo = Some(beacon),
                Event::End if self.session.is_none() && self.echo.is_some() => self.was_an_echo(),
                Event::Session(beacon) => {
                    match &mut self.session {
                        // a datagram that was overtaken takes nothing back
                        Some(same) if same.beacon.session == beacon.session => {
                            if !same.ended {
                                same.beacon = beacon;
                            }
                        }
                        _ => self.begin_session(&beacon, receiver, bytes)?,
                    }
                    match &mut self.sink {
                        Sink::Lines(Some(numbers)) => numbers.note(&beacon, Instant::now()),
                        Sink::Stream(stream @ None, _) if !beacon.end => {
                            *stream = stream_of(&beacon).filter(|_| self.bounds.has_room_for(&beacon.shape));
                        }
                        _ => {}
                    }
                }
                Event::Version(v) => {
                    let message =
                        format!("the sender speaks version {v} of the one-way mode, this is version {}", diode::wire::VERSION);
                    if !guard.is_sealed() {
                        return Err(Failure::new(kinds::VERSION_MISMATCH, message));
                    }
                    // anybody could have said so
                    tracing::warn!(code = %kinds::VERSION_MISMATCH, "{message}");
                }
                Event::End => {
                    if let Some(session) = &mut self.session {
                        session.ended = true;
                    }
                    if !self.forever {
                        return Ok(Some(Over::Heard));
                    }
                }
                Event::Silence => {
                    let what = "the line is silent: no sign of the sender for three beacon periods";
                    self.report.notice(kinds::LINE_SILENT, what, "silence", json!({}));
                }
                Event::Back(us) => {
                    let seconds = us as f64 / 1e6;
                    let what = format!("the line is back after {seconds:.1} s");
                    self.report.notice(kinds::LINE_BACK, &what, "back", json!({"seconds": seconds}));
                }
                Event::Body(body) => {
                    self.heard = true;
                    if let Some(beacon) = self.echo.take().filter(|_| self.session.is_none()) {
                        self.begin_session(&beacon, receiver, bytes)?;
                    }
                    self.take_body(&body, receiver, bytes)?;
                }
            }
        }
        Ok(None)
    }

    /// Whether a beacon may be one of the last of a session that was over when this receiver began: nothing else was
    /// heard, and so soon that all of it may have gone by before. Not so where it is the first frame of its session, or has
    /// fewer before it than a session that was not broken off: that one ended here.
    fn may_be_an_echo(&self, beacon: &Beacon, began: Instant) -> bool {
        if self.forever || self.session.is_some() || self.heard || !beacon.end {
            return false;
        }
        if beacon.counter < u64::from(beacon.objects.max(beacon.datagrams).max(1)) {
            return false;
        }
        let farewell = Duration::from_millis(u64::from(beacon.survive_ms) * 13 / 10 + u64::from(beacon.period_ms));
        began.elapsed() <= farewell || self.echo.is_some_and(|echo| echo.session == beacon.session)
    }
    /// It is: what was kept of its session would have come behind the beacon.
    fn was_an_echo(&mut self) {
        let Some(beacon) = self.echo else { return };
        let what = "the end of a session came that began before this receiver; waiting for the next";
        self.report.notice(kinds::ENDED_BEFORE, what, "ended-before", json!({"session": beacon.session}));
    }

    /// Another session; the one before may have broken off.
    fn begin_session(&mut self, beacon: &Beacon, receiver: &Receiver, count: &mut u64) -> Result<(), Failure> {
        if let Some(before) = &self.session {
            let over = if before.ended { Over::Heard } else { Over::Followed };
            self.end_session(receiver, count, &over)?;
        }
        self.report.begin_session();
        match &mut self.sink {
            Sink::Lines(numbers) => *numbers = Some(Numbers::new(beacon)),
            Sink::Stream(stream, _) => {
                *stream = stream_of(beacon);
                if stream.take_if(|_| !self.bounds.has_room_for(&beacon.shape)).is_some() {
                    let what = "the stream is not accepted: its groups need more than --memory";
                    self.report.refuse(what, json!({"memory": beacon.shape.memory(), "cause": "memory"}));
                }
            }
            Sink::Objects { spool, .. } => {
                let (named, before) = (spool.begin_session(beacon.session), self.session.as_ref().map(|s| s.beacon.session));
                self.broken.iter_mut().filter(|b| Some(b.session) == before).for_each(|b| b.named = named.clone());
            }
        }
        let base = (receiver.stats(), self.source.overruns());
        self.session = Some(Session { beacon: *beacon, ended: false, settled: false, base });
        Ok(())
    }
}

/// Of the session this beacon tells of, if that has a stream.
fn stream_of(beacon: &Beacon) -> Option<StreamReceiver> {
    (beacon.shape.data > 0).then(|| StreamReceiver::new(beacon.shape))
}

/// What could not be done.
pub(super) fn keep(spool: &Spool) -> String {
    format!("keep what came in {} (is the disk full?)", shown(spool.folders().0))
}
