//! Climbing: which rate is proposed, tried, kept or left.

use super::ladder::{Ladder, baud, value};
use super::trial::{KEEP_US, Trial};
use super::{
    AGAIN_US, BACKS, BETTER, CALM_US, COPIES, Climb, FRESH_US, NEXT_US, Next, Phase, REFUSED_US, RateNews, Rates, Say, View,
};
use crate::arq::State;
use crate::time::Instant;
use crate::wire::record::{Rate, RateStep};

impl Climb {
    pub(super) fn common(&self) -> Rates {
        self.rates.and(self.peer)
    }
    pub(super) fn is_calm(view: &View) -> bool {
        view.state == State::Open && view.leads && view.capable && view.silence_us < FRESH_US
    }
    /// The rung to propose now.
    pub(super) fn candidate(&self, view: &View, now: Instant) -> Option<u8> {
        if !Climb::is_calm(view) || view.ending || !view.turn || self.next_try > now {
            return None;
        }
        if self.noise.is_worse() {
            return Ladder::below(self.at, self.common());
        }
        self.ladder.above(self.at, self.common(), now)
    }
    pub(super) fn propose(&mut self, rung: u8, view: &View, now: Instant) -> Say {
        let worth = self.noise.worth(view) as f32;
        self.ladder.measured(self.at, worth);
        self.before = value(self.at, worth);
        self.attempt = self.attempt.wrapping_add(1);
        let again = now.after(AGAIN_US + view.rtt_us);
        // what the peer has begun to say comes first
        let until = now.after(u64::from(COPIES) * (AGAIN_US + view.rtt_us) + view.rtt_us + view.frame_us);
        self.phase = Phase::Proposed { rung, again, copies: COPIES - 1, until };
        self.say(RateStep::Propose, rung)
    }

    /// A rate record came.
    pub(crate) fn handle(&mut self, rate: &Rate<'_>, view: &View, now: Instant) {
        self.peer = Rates::from_wire(rate.rates);
        let ours = rate.attempt == self.attempt;
        match (rate.step, self.phase) {
            (RateStep::Propose, Phase::Steady | Phase::Agreed { .. }) if !view.leads => {
                self.attempt = rate.attempt;
                if self.rates.has(rate.rung) && rate.rung != self.at {
                    self.phase = Phase::Agreed { rung: rate.rung };
                } else {
                    self.owed = Some(RateStep::Refuse);
                }
            }
            (RateStep::Agree, Phase::Proposed { rung, .. }) if ours => {
                self.leave(rung, Next::Trial { leads: true }, view, now);
            }
            (RateStep::Refuse, Phase::Proposed { rung, .. }) if ours => {
                // one that the peer does not have is not proposed again
                let pause = if self.peer.has(rung) { REFUSED_US } else { NEXT_US };
                self.give_up_proposal(rung, pause, now);
            }
            (RateStep::Test, Phase::Trial(mut trial)) if ours => {
                trial.note(rate, view.damage);
                self.phase = Phase::Trial(trial);
                if trial.leads && trial.is_complete() {
                    self.decide(trial, view, now);
                }
            }
            (RateStep::Keep, Phase::Trial(Trial { leads: false, .. })) if ours => {
                self.settle(now);
                self.owed = Some(RateStep::Kept);
            }
            (RateStep::Keep, Phase::Steady) if ours && rate.rung == self.at => self.owed = Some(RateStep::Kept),
            (RateStep::Kept, Phase::Keeping { .. }) if ours => self.settle(now),
            (RateStep::Back, Phase::Trial(Trial { leads: false, from, .. })) if ours => {
                self.tell(RateNews::Failed(baud(self.at)));
                self.leave(from, Next::Rest, view, now);
            }
            _ => {}
        }
    }
    /// Something else of the session came: the peer has settled.
    pub(crate) fn handle_other(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Keeping { .. }) {
            self.settle(now);
        }
    }
    /// A frame came that makes sense.
    pub(crate) fn handle_frame(&mut self, now: Instant) {
        self.met = true;
        self.seek.heard(now);
    }

    fn decide(&mut self, trial: Trial, view: &View, now: Instant) {
        let (mine, theirs) = (trial.report(), trial.peer);
        let worth = ((view.share)(mine.noise(self.at)) + (view.share)(theirs.noise(self.at))) as f32;
        self.ladder.measured(self.at, worth);
        if mine.is_fair() && theirs.is_fair() && value(self.at, worth) > self.before * BETTER {
            let until = now.after(KEEP_US + 2 * view.rtt_us);
            self.phase = Phase::Keeping { from: trial.from, again: now, until };
        } else {
            self.not_kept(trial.from, now);
            self.phase = Phase::Backing { from: trial.from, left: BACKS };
        }
    }
    /// The rung on trial is the one in use.
    fn settle(&mut self, now: Instant) {
        if self.at < self.proven {
            self.ladder.failed(self.proven, now);
        }
        self.proven = self.at;
        self.next_try = now.after(NEXT_US);
        self.tell(RateNews::Kept(baud(self.at)));
        self.rest();
    }
    /// The rung on trial is not kept; `from` was before.
    pub(super) fn not_kept(&mut self, from: u8, now: Instant) {
        self.tell(RateNews::Failed(baud(self.at)));
        if self.at > from {
            self.ladder.failed(self.at, now);
        }
        self.noise.rest(now);
        self.next_try = now.after(CALM_US);
    }
    pub(super) fn give_up_proposal(&mut self, rung: u8, pause_us: u64, now: Instant) {
        self.tell(RateNews::Refused(baud(rung)));
        self.next_try = now.after(pause_us);
        self.rest();
    }
}
