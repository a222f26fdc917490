//! A path whose port can change its rate (PROTOCOL 4.8): what the port is to do, and who may speak meanwhile.

use super::Path;
use crate::arq::climb::{Climb, RateNews, Rates, Say, View};
use crate::arq::endpoint::Damage;
use crate::hello::Handshake;
use crate::mux::{Bytes, Mux};
use crate::pace::Pace;
use crate::time::Instant;

impl<const N: usize, H: Handshake> Path<N, H> {
    // ---- the port: see the functions of Link by these names ----------------------------------

    pub(crate) fn set_rates<B: Bytes, const C: usize>(&mut self, mux: &Mux<B, C>, rates: Rates, now: Instant) {
        self.endpoint.set_rates();
        self.climb = Some(Climb::new(rates, now));
        self.adopt_rate(mux, now);
    }
    pub(crate) fn port_rate(&self, now: Instant) -> Option<u32> {
        self.climb.as_ref()?.wanted(now)
    }
    pub(crate) fn handle_rate<B: Bytes, const C: usize>(&mut self, mux: &Mux<B, C>, now: Instant) {
        let view = self.view(mux, now);
        if let Some(climb) = &mut self.climb {
            climb.set(&view, now);
        }
        self.adopt_rate(mux, now);
    }
    pub(crate) fn handle_rate_refused<B: Bytes, const C: usize>(&mut self, mux: &Mux<B, C>, now: Instant) {
        if let Some(climb) = &mut self.climb {
            climb.refused(now);
        }
        self.serve_climb(mux, now);
    }
    pub(crate) fn handle_port<B: Bytes, const C: usize>(&mut self, mux: &Mux<B, C>, rates: Rates, baud: u32, now: Instant) {
        let view = self.view(mux, now);
        if let Some(climb) = &mut self.climb {
            climb.reopened(rates, baud, &view, now);
        }
        self.adopt_rate(mux, now);
    }
    pub(crate) fn baud(&self) -> Option<u32> {
        self.climb.as_ref().map(Climb::baud)
    }
    pub(crate) fn poll_rate_news(&mut self) -> Option<RateNews> {
        self.climb.as_mut()?.take_news()
    }

    /// Everything that depends on the rate begins anew.
    fn adopt_rate<B: Bytes, const C: usize>(&mut self, mux: &Mux<B, C>, now: Instant) {
        let Some(climb) = &self.climb else { return };
        let rate = climb.baud() / 10;
        self.pace = Pace::new(rate, self.slack_us);
        self.endpoint.set_rate(rate, now);
        self.deframer.reset();
        (self.pause, self.coming) = (None, None);
        self.serve_climb(mux, now);
    }

    /// Whether the rate changes, or may change, or has changed and nothing was heard since.
    pub(crate) fn is_changing(&self) -> bool {
        self.climb.as_ref().is_some_and(Climb::is_unsure)
    }

    // ---- who may speak ------------------------------------------------------------------------

    fn view<B: Bytes, const C: usize>(&self, mux: &Mux<B, C>, now: Instant) -> View {
        let damage = Damage { wrong: self.deframer.damage, slips: self.deframer.slips };
        self.endpoint.view(mux, self.pace.free_at(0), self.endpoint.stats.wire_in, damage, now)
    }

    /// A frame came: what it says of the rate.
    pub(super) fn serve_rate<B: Bytes, const C: usize>(&mut self, mux: &Mux<B, C>, now: Instant) {
        if self.climb.is_none() {
            return;
        }
        let (rate, other) = self.endpoint.take_rate();
        let view = self.view(mux, now);
        let Some(climb) = &mut self.climb else { return };
        climb.handle_frame(now);
        self.endpoint.heard_frame(now);
        if let Some(rate) = rate {
            climb.handle(&rate, &view, now);
        }
        if other {
            climb.handle_other(now);
        }
        self.resume(now);
    }

    /// Time has passed; says whether the timers of the session stand still.
    pub(super) fn serve_climb<B: Bytes, const C: usize>(&mut self, mux: &Mux<B, C>, now: Instant) -> bool {
        if self.climb.is_none() {
            return false;
        }
        let view = self.view(mux, now);
        let Some(climb) = &mut self.climb else { return false };
        climb.handle_timeout(&view, now);
        self.resume(now);
        self.climb.as_ref().is_some_and(Climb::is_busy)
    }

    /// What was under way at a change of the rate is asked for.
    fn resume(&mut self, now: Instant) {
        if self.climb.as_mut().is_some_and(Climb::take_resumed) {
            self.endpoint.handle_reopen(now);
        }
    }

    /// A word about the rate, or none and nothing else either; nothing where the session may speak.
    pub(super) fn transmit_rate<B: Bytes, const C: usize>(
        &mut self,
        mux: &Mux<B, C>,
        out: &mut [u8],
        now: Instant,
    ) -> Option<Option<usize>> {
        self.climb.as_ref()?;
        let view = self.view(mux, now);
        match self.climb.as_mut()?.poll(&view, now) {
            Say::Session => None,
            Say::Nothing => Some(None),
            Say::Rate(rate, padding) => {
                let outgoing = self.endpoint.rate_segment(&rate, padding, &mut self.body);
                let wire = self.transmit_segment(outgoing, out, now);
                let left = self.pace.free_at(0);
                if let Some(climb) = &mut self.climb {
                    climb.sent(left);
                }
                Some(Some(wire))
            }
        }
    }

    pub(super) fn is_rate_due<B: Bytes, const C: usize>(&self, mux: &Mux<B, C>) -> bool {
        self.climb.as_ref().is_some_and(|climb| climb.is_due(&self.view(mux, self.now), self.now))
    }
    /// When to go on while the session is silent.
    pub(super) fn rate_timeout<B: Bytes, const C: usize>(&self, mux: &Mux<B, C>) -> Option<Option<Instant>> {
        let climb = self.climb.as_ref().filter(|climb| climb.is_busy())?;
        let due = self.is_rate_due(mux).then(|| self.pace.ready_at());
        // what may be said now waits for the wire
        let timeout = climb.poll_timeout(&self.view(mux, self.now), self.now).filter(|at| due.is_none() || *at > self.now);
        Some([due, timeout].into_iter().flatten().min())
    }
    /// When to look at the rate while the session goes on.
    pub(super) fn climb_timeout<B: Bytes, const C: usize>(&self, mux: &Mux<B, C>) -> Option<Instant> {
        let climb = self.climb.as_ref()?;
        let due = self.is_rate_due(mux).then(|| self.pace.ready_at());
        [due, climb.poll_timeout(&self.view(mux, self.now), self.now)].into_iter().flatten().min()
    }
}
