//! The rate two ends agree on (PROTOCOL 4.8): start low, climb, fall back. Knows time and what is heard, but
//! no port: it says at which rate that is to be, and is told when it is.
//!
//! ```text
//! leads    Steady ─PROPOSE→ Proposed ─AGREE─→ Leaving ─→ Trial ─enough heard→ Keeping ─KEPT─→ Steady
//! follows  Steady ─PROPOSE heard→ Agreed ─AGREE→ Leaving ─→ Trial ─KEEP heard, KEPT→ Steady
//! both     Trial, Keeping ─too late, BACK─→ Leaving ─→ Steady at the rate before
//!          Steady ─silence─→ Leaving ─→ Steady at the base, or wherever the peer may be
//! ```

mod ladder;
mod noise;
mod seek;
mod steps;
mod trial;
mod view;

use heapless::Deque;

use super::State;
use crate::time::Instant;
use crate::wire::record::{Rate, RateStep};
pub(crate) use ladder::BASE;
pub use ladder::{LADDER, Rates};
use ladder::{Ladder, baud, value};
use noise::Watch;
use seek::Seek;
use trial::{Report, Trial};
pub(crate) use view::{Say, View};

/// Nothing was heard for so long at a rate above the base: it has gone bad, or the peer is back at the base (µs).
pub(crate) const SILENCE_US: u64 = 1_200_000;
/// So long after the end of a frame its last byte has left the chip (µs): adapters hold some of their own.
const CHIP_US: u64 = 10_000;
/// From a rate that holds to the next try (µs).
const NEXT_US: u64 = 10_000;
/// From a rate that failed to the next try: what waited meanwhile goes first (µs).
const CALM_US: u64 = 300_000;
/// A proposal is repeated after this time and a round trip, so often; then it is given up (µs).
const AGAIN_US: u64 = 80_000;
const COPIES: u8 = 3;
/// After a proposal that was not answered, or refused (µs).
const REFUSED_US: u64 = 1_000_000;
/// The peer must have been heard so recently for a proposal (µs).
const FRESH_US: u64 = 500_000;
/// The word that a rate is kept is repeated so often (µs).
const KEEP_AGAIN_US: u64 = 10_000;
/// Copies of the word that a rate is not kept.
const BACKS: u8 = 2;
/// A rate must be better by this much to be kept.
const BETTER: f32 = 1.02;

/// Why the rate of a port changed, or did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateNews {
    /// Both ends have proved it, and it delivers more than the one before.
    Kept(u32),
    /// This rate was tried and failed, or delivers less; back at the one before.
    Failed(u32),
    /// Nothing was heard at this rate for too long: back to the base.
    Silent(u32),
    /// The peer is looked for at this rate.
    Seeking(u32),
    /// The peer does not agree to this rate, or does not answer.
    Refused(u32),
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// The rate is in use.
    Steady,
    /// Nothing else is said until the peer agrees.
    Proposed {
        rung: u8,
        again: Instant,
        copies: u8,
        until: Instant,
    },
    /// The last word before the rate changes is to be said.
    Agreed {
        rung: u8,
    },
    /// What was said leaves the port, then that changes its rate.
    Leaving {
        to: u8,
        next: Next,
        ready: Instant,
    },
    Trial(Trial),
    /// The peer is told that the rate is kept.
    Keeping {
        from: u8,
        again: Instant,
        until: Instant,
    },
    /// The peer is told that it is not.
    Backing {
        from: u8,
        left: u8,
    },
}

/// What comes once the port has its rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Trial { leads: bool },
    Rest,
}

/// The rate of one port.
#[derive(Clone, Debug)]
pub(crate) struct Climb {
    rates: Rates,
    peer: Rates,
    /// Where the port is, and where both ends heard each other last.
    at: u8,
    proven: u8,
    phase: Phase,
    /// Of the present proposal, or of the one that was kept last.
    attempt: u8,
    /// What the old rate delivers.
    before: f32,
    ladder: Ladder,
    next_try: Instant,
    /// An answer that is owed in passing.
    owed: Option<RateStep>,
    seek: Seek,
    /// The peer of the open session.
    with: u64,
    /// The session has to ask where it stands.
    resumed: bool,
    /// Something was heard since.
    met: bool,
    noise: Watch,
    news: Deque<RateNews, 8>,
}

impl Climb {
    /// The port is to be at the base rate.
    pub(crate) fn new(rates: Rates, now: Instant) -> Climb {
        Climb {
            rates,
            peer: Rates::of(|_| true),
            at: BASE,
            proven: BASE,
            phase: Phase::Leaving { to: BASE, next: Next::Rest, ready: now },
            attempt: 0,
            before: 0.0,
            ladder: Ladder::new(),
            next_try: now,
            owed: None,
            seek: Seek::new(now),
            with: 0,
            resumed: false,
            met: false,
            noise: Watch::new(now),
            news: Deque::new(),
        }
    }

    // ---- the port -----------------------------------------------------------------------------

    /// Bits per second of the port now.
    pub(crate) fn baud(&self) -> u32 {
        baud(self.at)
    }
    /// The rate it is to have now, once everything has left it.
    pub(crate) fn wanted(&self, now: Instant) -> Option<u32> {
        match self.phase {
            Phase::Leaving { to, ready, .. } if ready <= now => Some(baud(to)),
            _ => None,
        }
    }
    /// It has the rate.
    pub(crate) fn set(&mut self, view: &View, now: Instant) {
        let Phase::Leaving { to, next, .. } = self.phase else { return };
        let from = core::mem::replace(&mut self.at, to);
        self.seek.arrive(now);
        self.noise.forget(view, now);
        match next {
            Next::Trial { leads } => self.phase = Phase::Trial(Trial::new(leads, from, view.rtt_us, now)),
            Next::Rest => self.rest(),
        }
    }
    /// It cannot have the rate.
    pub(crate) fn refused(&mut self, now: Instant) {
        let Phase::Leaving { to, .. } = self.phase else { return };
        self.rates = Rates::of(|rate| rate != baud(to) && self.rates.rungs().any(|rung| baud(rung) == rate));
        self.ladder.failed(to, now);
        self.tell(RateNews::Failed(baud(to)));
        self.rest();
    }
    /// The port was opened again, with these rates, and is at this one.
    pub(crate) fn reopened(&mut self, rates: Rates, now_at: u32, view: &View, now: Instant) {
        if rates != self.rates {
            (self.rates, self.ladder) = (rates, Ladder::new());
        }
        self.at = rates.rungs().rfind(|&rung| baud(rung) <= now_at).unwrap_or(BASE);
        self.proven = self.at;
        self.seek.arrive(now);
        self.noise.forget(view, now);
        self.rest();
    }

    // ---- what is said -------------------------------------------------------------------------

    /// Whether the session has to be silent, and its timers stand still.
    pub(crate) fn is_busy(&self) -> bool {
        !matches!(self.phase, Phase::Steady)
    }
    /// Whether the peer may not be at this rate, or not yet again.
    pub(crate) fn is_unsure(&self) -> bool {
        self.is_busy() || !self.met
    }
    /// The session may speak again: it has to ask where it stands.
    pub(crate) fn take_resumed(&mut self) -> bool {
        self.met &= !self.resumed;
        core::mem::take(&mut self.resumed)
    }
    pub(crate) fn take_news(&mut self) -> Option<RateNews> {
        self.news.pop_front()
    }
    fn tell(&mut self, news: RateNews) {
        if self.news.is_full() {
            self.news.pop_front();
        }
        let _ = self.news.push_back(news);
    }
    fn rest(&mut self) {
        self.phase = Phase::Steady;
        self.resumed = true;
    }

    /// What may be sent now; a rate record is taken to be sent.
    pub(crate) fn poll(&mut self, view: &View, now: Instant) -> Say {
        match &mut self.phase {
            Phase::Steady => {
                if let Some(step) = self.owed.take() {
                    return self.say(step, self.at);
                }
                match self.candidate(view, now) {
                    Some(rung) => self.propose(rung, view, now),
                    None => Say::Session,
                }
            }
            Phase::Proposed { rung, again, copies, .. } if *again <= now && *copies > 0 => {
                (*again, *copies) = (now.after(AGAIN_US + view.rtt_us), *copies - 1);
                let rung = *rung;
                self.say(RateStep::Propose, rung)
            }
            &mut Phase::Agreed { rung } => {
                self.leave(rung, Next::Trial { leads: false }, view, now);
                self.say(RateStep::Agree, rung)
            }
            Phase::Trial(trial) if trial.say_at <= now => {
                let (index, pad) = trial.next(self.at, now);
                let Report { span, good, wrong, slips } = trial.report();
                match self.say(RateStep::Test, self.at) {
                    Say::Rate(rate, _) => Say::Rate(Rate { index, span, good, wrong, slips, ..rate }, pad),
                    other => other,
                }
            }
            Phase::Keeping { again, .. } if *again <= now => {
                *again = now.after(KEEP_AGAIN_US);
                self.say(RateStep::Keep, self.at)
            }
            &mut Phase::Backing { from, left } => {
                self.phase = Phase::Backing { from, left: left.saturating_sub(1) };
                if left <= 1 {
                    self.leave(from, Next::Rest, view, now);
                }
                self.say(RateStep::Back, self.at)
            }
            _ => Say::Nothing,
        }
    }
    fn say(&self, step: RateStep, rung: u8) -> Say {
        Say::Rate(Rate { step, attempt: self.attempt, rung, rates: self.rates.to_wire(), ..Rate::default() }, 0)
    }
    /// A rate record went out; its last byte leaves at `left`.
    pub(crate) fn sent(&mut self, left: Instant) {
        if let Phase::Leaving { ready, .. } = &mut self.phase {
            *ready = (*ready).max(left.after(CHIP_US));
        }
    }
    /// Silence, until what was said has left and the port has its new rate.
    fn leave(&mut self, to: u8, next: Next, view: &View, now: Instant) {
        let ready = if view.free > now { view.free.after(CHIP_US) } else { now };
        self.phase = Phase::Leaving { to, next, ready };
    }
    /// Whether a rate record could be sent now.
    pub(crate) fn is_due(&self, view: &View, now: Instant) -> bool {
        match self.phase {
            Phase::Steady => self.owed.is_some() || self.candidate(view, now).is_some(),
            Phase::Proposed { again, copies, .. } => copies > 0 && again <= now,
            Phase::Agreed { .. } | Phase::Backing { .. } => true,
            Phase::Leaving { .. } => false,
            Phase::Trial(trial) => trial.say_at <= now,
            Phase::Keeping { again, .. } => again <= now,
        }
    }

    // ---- time ---------------------------------------------------------------------------------

    pub(crate) fn handle_timeout(&mut self, view: &View, now: Instant) {
        match self.phase {
            _ if matches!(view.state, State::Finished | State::Ended) && self.is_busy() => self.rest(),
            Phase::Proposed { rung, until, .. } if until <= now => self.give_up_proposal(rung, REFUSED_US, now),
            Phase::Trial(trial) if trial.is_late(now) => {
                self.not_kept(trial.from, now);
                self.leave(trial.from, Next::Rest, view, now);
            }
            Phase::Keeping { from, until, .. } if until <= now => {
                self.not_kept(from, now);
                self.leave(from, Next::Rest, view, now);
            }
            Phase::Steady => self.watch(view, now),
            _ => {}
        }
    }

    /// Whether the peer is heard, and how well.
    fn watch(&mut self, view: &View, now: Instant) {
        let open = view.state == State::Open;
        if open && self.with != view.peer {
            (self.with, self.proven, self.peer) = (view.peer, self.at, Rates::of(|_| true));
            self.next_try = now.after(NEXT_US);
        }
        if open && view.silence_us < FRESH_US {
            self.seek.rest();
            self.proven = self.at;
            self.ladder.held(self.at, now.since(self.seek.arrived));
        }
        if open && view.capable && view.silence_us >= SILENCE_US && self.at == self.proven && self.at != BASE {
            self.ladder.failed(self.at, now);
            self.tell(RateNews::Silent(baud(self.at)));
            (self.proven, self.next_try) = (BASE, now);
            return self.leave(BASE, Next::Rest, view, now);
        }
        let home = self.home(view);
        if self.seek_until(view, now).is_some_and(|until| until <= now)
            && let Some(next) = self.seek.next(self.at, home, self.rates, view)
        {
            self.tell(RateNews::Seeking(baud(next)));
            return self.leave(next, Next::Rest, view, now);
        }
        if self.noise.tick <= now {
            self.compare(view, now);
        }
    }
    /// Until when the port stays where it is; for ever where there is nowhere to go.
    fn seek_until(&self, view: &View, now: Instant) -> Option<Instant> {
        let alone = self.rates.rungs().count() < 2;
        self.seek.until(self.at, self.home(view), view, now).filter(|_| !alone)
    }
    /// Where the peer should be.
    fn home(&self, view: &View) -> u8 {
        if view.state == State::Open { self.proven } else { BASE }
    }

    /// Whether the next rate below would deliver more.
    fn compare(&mut self, view: &View, now: Instant) {
        self.noise.count(view, now);
        if !Climb::is_calm(view) {
            return;
        }
        let worth = self.noise.worth(view) as f32;
        self.ladder.measured(self.at, worth);
        let better =
            Ladder::below(self.at, self.common()).is_some_and(|low| self.ladder.value(low) > BETTER * value(self.at, worth));
        self.noise.judge(better, now);
    }

    /// When [`Climb::handle_timeout`] or [`Climb::poll`] has something to do.
    pub(crate) fn poll_timeout(&self, view: &View, now: Instant) -> Option<Instant> {
        match self.phase {
            Phase::Steady => {
                let seek = self.seek_until(view, now);
                let open = view.state == State::Open;
                let falls = open && view.capable && self.at == self.proven && self.at != BASE;
                let silence = falls.then(|| now.after(SILENCE_US.saturating_sub(view.silence_us)));
                let up = self.ladder.above_at(self.at, self.common()).map(|at| at.max(self.next_try));
                let climb = up.filter(|_| open && view.leads && view.capable);
                let tick = (open && view.leads && view.capable).then_some(self.noise.tick);
                [seek, silence, climb.filter(|at| *at > now), tick].into_iter().flatten().min()
            }
            Phase::Proposed { again, copies, until, .. } => Some(if copies > 0 { again.min(until) } else { until }),
            Phase::Agreed { .. } | Phase::Backing { .. } => Some(now),
            // the port says when it is ready, not the clock
            Phase::Leaving { ready, .. } => Some(ready).filter(|ready| *ready > now),
            Phase::Trial(trial) => Some(trial.say_at.min(trial.deadline())),
            Phase::Keeping { again, until, .. } => Some(again.min(until)),
        }
    }
}
