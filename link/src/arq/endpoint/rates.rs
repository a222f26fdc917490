//! What a session has to do with the rate of its port (PROTOCOL 4.8): it carries the records, and begins its
//! estimates anew at a new rate. Which rate is [`Climb`](super::super::climb::Climb)'s business.

use super::super::State;
use super::super::adapt::Adapt;
use super::super::climb::View;
use super::super::plan::share;
use super::super::reach::Reach;
use super::super::rtt::Rtt;
use super::super::timer::Timer;
use super::{Damage, Endpoint, Outgoing};
use crate::mux::{Bytes, Mux};
use crate::time::Instant;
use crate::wire::Level;
use crate::wire::record::{FEATURE_RATES, Open, Rate, RateStep};
use crate::wire::seal::SEAL;
use crate::wire::segment::Writer;

/// Idle time after which a sign of life is sent where a lost rate must be noticed soon (µs).
const KEEPALIVE_US: u32 = 300_000;
/// An end that calls and hears a session that is not its own calls again after this time (µs): a peer that
/// lost it is there to be told.
const CALL_US: u64 = 100_000;
/// Armour of what decides, and of the tests: it shows how many bytes were wrong.
const WORD: Level = Level::Sixteen;
const TEST: Level = Level::Eight;
/// Beyond this round trip nothing is waited for (µs).
const RTT_MAX_US: u64 = 2_000_000;

/// What came, and what is known.
#[derive(Clone, Debug, Default)]
pub(super) struct Heard {
    /// This end can change its rate; the peer can, too.
    ours: bool,
    theirs: bool,
    payload_max: u16,
    /// The shortest round trip of all rates (µs).
    floor_us: Option<u64>,
    rate: Option<Rate<'static>>,
    /// Something of the session came that is no word about the rate.
    other: bool,
    /// The rate is a new one: damage that is told of the change counts for nothing.
    changed: bool,
}

impl Heard {
    pub(super) fn hear(&mut self, rate: &Rate<'_>) {
        // of the padding only counts whether there is any
        let padding: &[u8] = if rate.padding.is_empty() { &[] } else { &[0] };
        self.rate = Some(Rate { padding, ..*rate });
    }
    pub(super) fn taken(&mut self, wants_ack: bool) {
        self.other |= wants_ack;
    }
    pub(super) fn opened(&mut self, open: &Open) {
        (self.theirs, self.payload_max) = (open.features & FEATURE_RATES != 0, open.payload_max);
    }
    pub(super) fn take_changed(&mut self) -> bool {
        core::mem::take(&mut self.changed)
    }
    pub(super) fn feature(&self) -> u16 {
        if self.ours { FEATURE_RATES } else { 0 }
    }
}

impl<const N: usize> Endpoint<N> {
    /// The rate of the port can change.
    pub(crate) fn set_rates(&mut self) {
        self.rates.ours = true;
        self.config.keepalive_us = self.config.keepalive_us.min(KEEPALIVE_US);
    }
    /// The port has this rate now, in bytes per second.
    pub(crate) fn set_rate(&mut self, rate: u32, now: Instant) {
        self.config.rate = rate;
        let known = self.rtt.smoothed_us();
        self.rates.floor_us = self.floor_us();
        self.rtt = Rtt::new(if known > 0 { known } else { (super::HOST_US + 4 * self.config.frame_us()) / 2 });
        self.reach = Reach::default();
        self.adapt = Adapt::new(&self.config, if self.sealed { SEAL } else { 0 });
        if self.rates.payload_max > 0 {
            self.adapt.limit(self.rates.payload_max);
        }
        self.rates.changed = self.state == State::Open;
        self.last_left = now;
    }
    /// What came of the rate since this was asked last; and whether anything else of the session came.
    pub(crate) fn take_rate(&mut self) -> (Option<Rate<'static>>, bool) {
        (self.rates.rate.take(), core::mem::take(&mut self.rates.other))
    }
    /// A segment that says this, with what was to be acknowledged.
    pub(crate) fn rate_segment(&mut self, rate: &Rate<'_>, padding: usize, out: &mut [u8]) -> Outgoing {
        let tx = self.next_tx;
        let mut writer = Writer::new(out, tx);
        self.write_member(&mut writer);
        if matches!(rate.step, RateStep::Propose | RateStep::Agree)
            && let Some(ack) = self.heard.ack(self.damage)
        {
            writer.ack(&ack);
            (self.unacked, self.unacked_bytes, self.ack_now) = (0, 0, false);
            self.timers.clear(Timer::AckDelay);
        }
        writer.rate(rate, padding);
        self.next_tx += 1;
        Outgoing { tx, len: writer.len(), level: if rate.step == RateStep::Test { TEST } else { WORD }, bound: true }
    }
    /// A frame came that may be of a session before this one.
    pub(crate) fn heard_frame(&mut self, now: Instant) {
        if self.state == State::Opening {
            self.timers.set_earlier(Timer::Open, now.after(CALL_US));
        }
    }
    fn floor_us(&self) -> Option<u64> {
        self.rtt.floor_us().into_iter().chain(self.rates.floor_us).min()
    }
    /// What the rate depends on.
    pub(crate) fn view<B: Bytes, const C: usize>(
        &self,
        mux: &Mux<B, C>,
        free: Instant,
        came: u64,
        damage: Damage,
        now: Instant,
    ) -> View {
        let ending = mux.get(0).is_some_and(|sole| sole.is_delivered() || (sole.at_end() && sole.is_sent()));
        View {
            state: self.state,
            peer: self.peer,
            leads: self.me < self.peer,
            capable: self.rates.theirs,
            ending,
            turn: self.member.as_ref().is_none_or(|member| member.turn),
            silence_us: self.silence_us(now).unwrap_or(0),
            // without what acknowledgements are held back for
            rtt_us: self.floor_us().unwrap_or(0).min(RTT_MAX_US),
            frame_us: self.config.frame_us(),
            free,
            out: self.adapt.noise(),
            share,
            came,
            damage,
        }
    }
}
