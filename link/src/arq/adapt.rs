//! The noise of both directions, as acknowledgements and the deframer tell it, and how to send
//! accordingly (PROTOCOL 4.5; not part of the wire format).

use fec::byte_rs::CODEWORD_MAX;

use super::plan::{Noise, Plan};
use crate::config::Config;
use crate::mux::Traffic;
use crate::wire::Level;

/// Bytes over which the shortest estimate looks back: 80 ms of the wire, within these bounds.
const GLANCE_MIN: f64 = 2_000.0;
const GLANCE_MAX: f64 = 16_000.0;
/// How many times as far the others look.
const SPANS: [f64; 3] = [1.0, 8.0, 64.0];
/// What is believed before anything was seen.
const PRIOR_BYTES: f64 = 8_000.0;
const PRIOR_ERRORS: f64 = 0.1;
/// Bytes sent with care at first, at most: their repaired bytes show the noise, and armour for so
/// few costs nothing.
const CAREFUL_BYTES: u32 = 6_000;
const CAREFUL: Plan = Plan { level: Level::Four, payload: 1_000 };
/// A transfer of so many bytes is cut into frames of one.
const GROWTH: u64 = 8;
/// Data that were lost in vain so often, and so many frames of them, show that frames are too long; and then slips of bytes are
/// taken for as likely as that, at least.
const VAIN_TIMES: u16 = 3;
const VAIN_FRAMES: u16 = 4;
const VAIN_LEAST: f64 = 1e-3;
/// What no plan was made for.
const UNKNOWN: Noise = Noise { wrong: 1.0, slips: 1.0 };
/// An estimate that moved by less is no reason for a new plan.
const SAME: f64 = 1.2;

#[derive(Clone, Copy, Debug, Default)]
struct Rate {
    bytes: f64,
    errors: f64,
}

impl Rate {
    /// Adds errors, and forgets what lies more than `memory` bytes back.
    fn add(&mut self, bytes: f64, errors: f64, memory: f64) {
        self.bytes += bytes;
        self.errors += errors;
        if self.bytes > memory {
            let keep = memory / self.bytes;
            (self.bytes, self.errors) = (memory, self.errors * keep);
        }
    }
    fn per_byte(&self) -> f64 {
        ((self.errors + PRIOR_ERRORS) / (self.bytes + PRIOR_BYTES)).min(0.5)
    }
}

/// A rate seen over a short, a middle and a long while. The longest is the best estimate, until a
/// shorter one contradicts it: then it starts again from there.
#[derive(Clone, Copy, Debug)]
struct Track {
    glance: f64,
    rates: [Rate; SPANS.len()],
}

impl Track {
    fn new(glance: f64) -> Track {
        Track { glance, rates: [Rate::default(); SPANS.len()] }
    }
    fn add(&mut self, bytes: f64, errors: f64) {
        for (rate, span) in self.rates.iter_mut().zip(SPANS) {
            rate.add(bytes, errors, span * self.glance);
        }
        for long in 1..SPANS.len() {
            for (short, span) in SPANS.iter().enumerate().take(long) {
                let (rate, span) = (self.rates[short], span * self.glance);
                let expected = self.rates[long].per_byte() * rate.bytes;
                let risen = rate.errors > 4.0 + 3.0 * expected;
                let fallen = rate.bytes >= span && expected > 4.0 + 3.0 * rate.errors;
                if risen || fallen {
                    self.rates[long] = rate;
                }
            }
        }
    }
    /// Errors per byte.
    fn now(&self) -> f64 {
        self.best().per_byte()
    }
    fn best(&self) -> Rate {
        self.rates[SPANS.len() - 1]
    }
    /// Nothing is known but this.
    fn restart(&mut self, rate: Rate) {
        self.rates = [rate; SPANS.len()];
    }
}

/// What one ACK says of transmissions that were still open.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Batch {
    /// Wrong bytes and slips the peer saw since its last ACK.
    damage: u16,
    slips: u8,
    arrived: u32,
    lost: u32,
    frames_arrived: u16,
    frames_lost: u16,
    /// Of those the ones with data.
    data_arrived: u16,
    data_lost: u16,
}

impl Batch {
    /// An ACK that reports this much new damage and this many new slips.
    pub(crate) fn new(damage: u16, slips: u8) -> Batch {
        Batch { damage, slips, ..Batch::default() }
    }
    /// A transmission of `wire` bytes, with data in it or without, arrived, or did not.
    pub(crate) fn add(&mut self, level: Level, wire: u16, data: bool, arrived: bool) {
        // of an armoured frame beyond repair as much damage is counted as one codeword cannot repair
        let counted = if arrived || level == Level::Plain { wire } else { wire.min(CODEWORD_MAX as u16) };
        *(if arrived { &mut self.arrived } else { &mut self.lost }) += u32::from(counted);
        *(if arrived { &mut self.frames_arrived } else { &mut self.frames_lost }) += 1;
        *(if arrived { &mut self.data_arrived } else { &mut self.data_lost }) += u16::from(data);
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Adapt {
    careful: u32,
    /// Wrong bytes on the way out, as the peer reports them.
    wrong: Track,
    slips: Track,
    /// Wrong bytes on the way in: what is known of the other direction before anything is.
    heard: Track,
    /// Most payload while somebody types, while somebody might, of a transfer that has just begun, of
    /// a long one.
    most: [usize; 4],
    /// The plans of now for these, and for which noise they were made.
    plans: [Plan; 4],
    made_for: Noise,
    extra: usize,
    /// Acknowledgements in a row that told of lost data and of none that arrived, and how many frames were lost meanwhile.
    vain: (u16, u16),
}

impl Adapt {
    /// For a wire with these settings; `extra`: bytes of a body that are neither record nor number.
    pub(crate) fn new(config: &Config, extra: usize) -> Adapt {
        let rate = config.rate;
        let glance = if rate == 0 { GLANCE_MAX } else { (f64::from(rate) * 0.08).clamp(GLANCE_MIN, GLANCE_MAX) };
        let careful = if rate == 0 { CAREFUL_BYTES } else { (rate / 40).min(CAREFUL_BYTES) };
        let mut adapt = Adapt {
            careful,
            wrong: Track::new(glance),
            slips: Track::new(glance),
            heard: Track::new(glance),
            most: [config.typing_max(), config.shared_max(), config.brief_max(), u16::MAX]
                .map(|most| usize::from(most.min(config.long_max()))),
            plans: [CAREFUL; 4],
            made_for: UNKNOWN,
            extra,
            vain: (0, 0),
        };
        adapt.choose();
        adapt
    }
    /// The peer takes at most `max` bytes of payload.
    pub(crate) fn limit(&mut self, max: u16) {
        self.most = self.most.map(|most| most.min(usize::from(max)).max(1));
        self.made_for = UNKNOWN;
        self.choose();
    }
    /// So many bytes came in, so many of them wrong.
    pub(crate) fn heard(&mut self, bytes: usize, wrong: u64) {
        self.heard.add(bytes as f64, wrong as f64);
    }

    /// Takes in what an ACK says. What vanished without any trace at the other end fell into an
    /// outage and says nothing about noise.
    pub(crate) fn learn(&mut self, batch: Batch) {
        let noisy = batch.damage > 0 || batch.slips > 0;
        let bytes = batch.arrived + if noisy { batch.lost } else { 0 };
        self.careful = self.careful.saturating_sub(bytes);
        self.wrong.add(f64::from(bytes), f64::from(batch.damage));
        self.slips.add(f64::from(bytes), f64::from(batch.slips));
        if batch.damage > 0 && batch.frames_lost >= 2 && batch.frames_lost > batch.frames_arrived {
            // most of what was sent was destroyed, and destroyed frames do not tell how badly
            let errors = (self.wrong.now() * 3.0).max(1e-4) * PRIOR_BYTES;
            self.wrong.restart(Rate { bytes: PRIOR_BYTES, errors });
        }
        self.shrink(batch);
        self.choose();
    }

    /// The peer is heard and hears, and no data get through: the wire may destroy all but the shortest frames, for it loses, doubles
    /// or alters certain bytes. An outage is over before that is said so often.
    fn shrink(&mut self, batch: Batch) {
        if batch.data_arrived > 0 {
            self.vain = (0, 0);
        } else if batch.data_lost > 0 {
            self.vain = (self.vain.0.saturating_add(1), self.vain.1.saturating_add(batch.data_lost));
        }
        if self.vain.0 >= VAIN_TIMES && self.vain.1 >= VAIN_FRAMES {
            self.vain = (0, 0);
            // what was believed before counts for as many bytes
            let errors = (self.slips.now() * 3.0).clamp(VAIN_LEAST, 0.25) * 2.0 * PRIOR_BYTES;
            self.slips.restart(Rate { bytes: PRIOR_BYTES, errors });
        }
    }

    pub(crate) fn noise(&self) -> Noise {
        Noise { wrong: self.wrong.now(), slips: self.slips.now() }
    }

    fn choose(&mut self) {
        let (noise, made) = (self.noise(), self.made_for);
        let same = |a: f64, b: f64| a < b * SAME && b < a * SAME;
        if !same(noise.wrong, made.wrong) || !same(noise.slips, made.slips) {
            self.made_for = noise;
            self.plans = self.most.map(|max| Plan::best(noise, max, self.extra));
        }
    }

    /// How to send data. Whoever has waited for a transfer can wait an eighth longer for the end of
    /// a frame, so its frames grow with it, unless somebody else waits.
    pub(crate) fn plan(&self, traffic: Traffic) -> Plan {
        let [typing, shared, brief, long] = self.plans;
        let plan = match traffic {
            Traffic::Typing => typing,
            Traffic::Shared => shared,
            Traffic::Alone { busy } => match (busy / GROWTH).min(u64::from(u16::MAX)) as usize {
                grown if grown <= self.most[2] => brief,
                grown => Plan { payload: long.payload.min(grown), ..long },
            },
        };
        if self.careful == 0 {
            return plan;
        }
        Plan { level: CAREFUL.level.max(plan.level), payload: CAREFUL.payload.min(plan.payload) }
    }
    /// How to send something short: an end that only acknowledges learns of no loss, and goes by
    /// what comes in.
    pub(crate) fn short(&self, body: usize) -> Level {
        let out = self.noise();
        let known = self.wrong.best().bytes > PRIOR_BYTES;
        let wrong = if known { out.wrong } else { out.wrong.max(self.heard.now()) };
        Noise { wrong, ..out }.short(body)
    }
    /// Estimated bit error rate in 1e-9.
    pub(crate) fn ber_ppb(&self) -> u64 {
        let rate = self.wrong.best();
        if rate.errors < 0.01 { 0 } else { (rate.errors / rate.bytes.max(1.0) / 8.0 * 1e9) as u64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Traffic = Traffic::Alone { busy: 1 << 20 };

    fn learn(adapt: &mut Adapt, frames: u64, lost: u64, damage: u16) {
        let mut batch = Batch::new(damage, 0);
        for i in 0..frames {
            batch.add(Level::Plain, 1000, true, i >= lost);
        }
        adapt.learn(batch);
    }

    #[test]
    fn follows_the_noise_and_comes_back() {
        let mut adapt = Adapt::new(&Config { payload_max: 4000, ..Config::for_baud(2_000_000) }, 0);
        let first = adapt.plan(LONG);
        assert!(first.level == CAREFUL.level && first.payload <= CAREFUL.payload);
        for _ in 0..100 {
            learn(&mut adapt, 4, 0, 0);
        }
        assert_eq!(adapt.plan(LONG), Plan { level: Level::Plain, payload: 4000 });
        assert_eq!(adapt.plan(Traffic::Typing).payload, 120);
        learn(&mut adapt, 10, 1, 1);
        learn(&mut adapt, 10, 10, 20);
        assert!(adapt.plan(LONG).level > Level::Plain);
        for _ in 0..50 {
            learn(&mut adapt, 10, 0, 80);
        }
        assert!(adapt.plan(LONG).level >= Level::Eight, "{adapt:?}");
        // two seconds without an error
        for _ in 0..400 {
            learn(&mut adapt, 1, 0, 0);
        }
        assert!(adapt.plan(LONG).level <= Level::One, "{adapt:?}");
    }

    #[test]
    fn an_outage_is_not_noise() {
        let mut adapt = Adapt::new(&Config { payload_max: 4000, ..Config::for_baud(2_000_000) }, 0);
        learn(&mut adapt, 200, 0, 0);
        let before = adapt.plan(LONG);
        learn(&mut adapt, 200, 200, 0);
        assert_eq!(adapt.plan(LONG), before);
    }

    #[test]
    fn frames_that_never_arrive_get_shorter_until_some_do() {
        let mut adapt = Adapt::new(&Config { payload_max: 4000, ..Config::for_baud(2_000_000) }, 0);
        learn(&mut adapt, 200, 0, 0);
        let before = adapt.plan(LONG);
        for _ in 0..30 {
            // a sign of life is heard, the data before it are not
            let mut batch = Batch::new(0, 0);
            batch.add(Level::Plain, 500, true, false);
            batch.add(Level::Sixteen, 60, false, true);
            adapt.learn(batch);
        }
        assert!(adapt.plan(LONG).payload <= 40, "{before:?} {:?}", adapt.plan(LONG));
        for _ in 0..3000 {
            learn(&mut adapt, 1, 0, 0);
        }
        assert_eq!(adapt.plan(LONG), before);
    }

    #[test]
    fn acknowledgements_are_armoured_by_what_comes_in() {
        let mut adapt = Adapt::new(&Config { payload_max: 4000, ..Config::for_baud(2_000_000) }, 0);
        assert_eq!(adapt.short(16), Level::Plain);
        adapt.heard(100_000, 800);
        assert!(adapt.short(16) > Level::Plain);
    }
}
