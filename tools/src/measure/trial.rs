//! One trial: some echoes, then a pattern for some time, at one rate.

use link::Instant;
use link::wire::Level;
use serde::{Deserialize, Serialize};

use super::message::{Ear, Heard, Message, frame};
use super::pattern::{Checker, Pattern, Tally};
use super::values::Hit;

/// After the change of rate both ends are quiet for so long: the other one may be late (µs).
const QUIET_US: u64 = 200_000;
/// Time for echoes (µs).
const ECHOES_US: u64 = 500_000;
/// An echo that is not there by then, beside the time of its frames, is lost (µs).
const ECHO_US: u64 = 150_000;
/// So many are asked for at most.
const ECHOES: u32 = 50;
/// Between echoes and pattern, and behind the pattern (µs).
const GAP_US: u64 = 300_000;
/// How far ahead of the wire the pattern is handed out (µs).
const AHEAD_US: u64 = 20_000;
/// Longest time of a pattern, in milliseconds.
pub const MS_MAX: u32 = 600_000;
/// Fewest bytes of a pattern: fewer tell nothing.
const LEAST: u64 = 300;
/// Parts into which the pattern's time is cut for the picture.
pub const PARTS: usize = 20;

/// Milliseconds of pattern at a rate, where so many are wished for: on a slow wire, as many as the fewest bytes take.
pub fn pattern_ms(wished: u32, baud: u32) -> u32 {
    let least = (LEAST * 10_000 / u64::from(baud.max(1))).min(u64::from(MS_MAX));
    wished.max(least as u32)
}

/// What is done about echoes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Echoes {
    /// Nothing: there is no way back.
    None,
    /// Asked for.
    Ask,
    /// Given.
    Give,
    /// Our own frames come back.
    Loop,
}

/// What a trial is to do.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Who we are.
    pub me: u64,
    /// Whose echoes count; 0: nobody's.
    pub peer: u64,
    /// Bits per second.
    pub baud: u32,
    /// Milliseconds of pattern.
    pub ms: u32,
    /// Seed of the pattern that is sent.
    pub send: Option<u64>,
    /// Seed of the pattern that is awaited.
    pub hear: Option<u64>,
    /// Echoes.
    pub echoes: Echoes,
}

/// What the driver has counted during a trial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// Bytes the UART or the driver had no room for.
    pub overruns: u64,
    /// Bytes whose stop bit was not where it belongs.
    pub framing: u64,
}

/// What an end has read of a trial, and has sent in it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// The rate.
    pub baud: u32,
    /// Bytes of pattern given to the port.
    pub sent: u64,
    /// Bytes that came.
    pub received: u64,
    /// The place in the pattern behind the last of them.
    pub place: u64,
    /// Of those: compared, wrong, wrong bits.
    pub bytes: u64,
    /// Bytes with a wrong bit.
    pub wrong_bytes: u64,
    /// Wrong bits.
    pub wrong_bits: u64,
    /// Times that bytes went or came, and how many did.
    pub slips: u64,
    /// Bytes that went at slips.
    pub lost: u64,
    /// Bytes that came in at slips.
    pub inserted: u64,
    /// Bytes per second, from the first to the last.
    pub per_second: f64,
    /// Bits compared and bits wrong in each part of the time.
    pub series: Vec<[u64; 2]>,
    /// Microseconds each echo took beside the time of its bits, sorted.
    pub echoes_us: Vec<u32>,
    /// Echoes asked for.
    pub asked: u32,
    /// What the driver counted.
    pub counted: Counted,
    /// Why nothing was done at this rate.
    pub refused: Option<String>,
    /// Bytes that do not arrive as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hits: Vec<Hit>,
    /// Bits of every byte that are not carried, as a mask.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub spoiled: u8,
}

fn is_zero(mask: &u8) -> bool {
    *mask == 0
}

/// A trial under way.
#[derive(Debug)]
pub struct Trial {
    setup: Setup,
    /// Begin of echoes, begin and end of the pattern, end of the trial.
    echoes_at: Instant,
    pattern_at: Instant,
    pattern_end: Instant,
    end: Instant,
    ear: Ear,
    out: Vec<u8>,
    checker: Checker,
    sent: u64,
    first: Option<(Instant, u64)>,
    last: Instant,
    received: u64,
    series: Vec<[u64; 2]>,
    asked: u32,
    waiting: Option<Ping>,
    echoes_us: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Ping {
    n: u32,
    left: Instant,
    bytes: usize,
}

impl Trial {
    /// Begins now; the rate is set.
    pub fn new(setup: Setup, now: Instant) -> Trial {
        // a slow line gets time for some frames of echoes
        let frame_us = 120 * 10_000_000 / u64::from(setup.baud.max(1));
        let echoes_us = if setup.echoes == Echoes::None { 0 } else { ECHOES_US + 8 * frame_us };
        let echoes_at = now.after(QUIET_US);
        let pattern_at = echoes_at.after(echoes_us + GAP_US);
        let pattern_end = pattern_at.after(u64::from(setup.ms) * 1000);
        Trial {
            setup,
            echoes_at,
            pattern_at,
            pattern_end,
            end: pattern_end.after(GAP_US),
            ear: Ear::default(),
            out: Vec::new(),
            checker: Checker::new(Pattern::new(setup.hear.unwrap_or(0))),
            sent: 0,
            first: None,
            last: now,
            received: 0,
            series: vec![[0; 2]; PARTS],
            asked: 0,
            waiting: None,
            echoes_us: Vec::new(),
        }
    }
    /// When it ends.
    pub fn end(&self) -> Instant {
        self.end
    }
    /// When [`Trial::poll_transmit`] or time itself has something to do.
    pub fn poll_timeout(&self, now: Instant) -> Instant {
        let next = if now < self.echoes_at {
            self.echoes_at
        } else if now < self.pattern_at {
            now.after(2_000).min(self.pattern_at)
        } else if now < self.pattern_end && self.setup.send.is_some() {
            now.after(AHEAD_US / 2).min(self.pattern_end)
        } else {
            self.end
        };
        next.min(self.end)
    }

    /// Takes what came.
    pub fn handle_bytes(&mut self, bytes: &[u8], now: Instant) {
        if now < Instant::from_micros(self.pattern_at.as_micros() - GAP_US / 2) {
            for heard in self.ear.listen(bytes) {
                self.handle_echo(&heard, now);
            }
        } else if self.setup.hear.is_some() {
            self.handle_pattern(bytes, now);
        }
    }
    fn handle_echo(&mut self, heard: &Heard, now: Instant) {
        match (heard, self.setup.echoes) {
            (Heard::Message(from, Message::Ping(n)), Echoes::Give) if *from == self.setup.peer => {
                self.out.extend(frame(self.setup.me, &Message::Pong(*n), Level::Plain));
            }
            (Heard::Message(from, Message::Pong(n)), Echoes::Ask) if *from == self.setup.peer => self.echo(*n, 2, now),
            (Heard::Message(from, Message::Ping(n)), Echoes::Loop) if *from == self.setup.me => self.echo(*n, 1, now),
            _ => {}
        }
    }
    fn echo(&mut self, n: u32, frames: u64, now: Instant) {
        let Some(ping) = self.waiting.filter(|p| p.n == n) else { return };
        self.waiting = None;
        let bits_us = frames * ping.bytes as u64 * 10_000_000 / u64::from(self.setup.baud.max(1));
        self.echoes_us.push(now.since(ping.left).saturating_sub(bits_us).min(u64::from(u32::MAX)) as u32);
    }
    fn handle_pattern(&mut self, bytes: &[u8], now: Instant) {
        // what follows the pattern is of a peer that is home already
        let planned = u64::from(self.setup.baud) * u64::from(self.setup.ms) / 10_000;
        let left = planned.saturating_sub(self.checker.place()).min(bytes.len() as u64) as usize;
        if left == 0 {
            return;
        }
        let before = self.checker.tally();
        self.checker.push(&bytes[..left]);
        self.received += left as u64;
        self.first.get_or_insert((now, self.received));
        self.last = now;
        self.record(before, now);
    }
    fn record(&mut self, before: Tally, now: Instant) {
        let after = self.checker.tally();
        let whole = self.pattern_end.since(self.pattern_at).max(1);
        let part = (now.since(self.pattern_at) * PARTS as u64 / whole).min(PARTS as u64 - 1) as usize;
        self.series[part][0] += 8 * (after.bytes - before.bytes);
        self.series[part][1] += after.wrong_bits - before.wrong_bits;
    }

    /// What is to be sent now; the line takes `room` bytes.
    pub fn poll_transmit(&mut self, now: Instant, room: usize) -> Vec<u8> {
        let mut out = std::mem::take(&mut self.out);
        if (self.echoes_at..self.pattern_at).contains(&now) {
            self.ask(now, &mut out);
        }
        let Some(seed) = self.setup.send.filter(|_| (self.pattern_at..self.pattern_end).contains(&now)) else { return out };
        let time = now.since(self.pattern_at) + AHEAD_US;
        let length = self.pattern_end.since(self.pattern_at);
        let due = time.min(length) * u64::from(self.setup.baud) / 10_000_000;
        let n = due.saturating_sub(self.sent).min(room as u64) as usize;
        let start = out.len();
        out.resize(start + n, 0);
        Pattern::new(seed).fill(self.sent, &mut out[start..]);
        self.sent += n as u64;
        out
    }
    /// How long an echo is waited for: its frames take their time on the wire.
    fn echo_us(&self) -> u64 {
        const BOTH: u64 = 60;
        ECHO_US + BOTH * 10_000_000 / u64::from(self.setup.baud.max(1))
    }
    fn ask(&mut self, now: Instant, out: &mut Vec<u8>) {
        if !matches!(self.setup.echoes, Echoes::Ask | Echoes::Loop)
            || self.asked >= ECHOES
            || now.after(self.echo_us() + GAP_US) > self.pattern_at
        {
            return;
        }
        if self.waiting.is_some_and(|p| now.since(p.left) < self.echo_us()) {
            return;
        }
        let ping = frame(self.setup.me, &Message::Ping(self.asked), Level::Plain);
        self.waiting = Some(Ping { n: self.asked, left: now, bytes: ping.len() });
        self.asked += 1;
        out.extend(ping);
    }

    /// It is over.
    pub fn finish(mut self, counted: Counted) -> Reading {
        let before = self.checker.tally();
        let place = if self.received > 0 { self.checker.place() } else { 0 };
        let tally = self.checker.finish();
        let last = self.last;
        self.record(before, last);
        let (first, early) = self.first.unwrap_or((last, 0));
        let seconds = last.since(first) as f64 / 1e6;
        self.echoes_us.sort_unstable();
        Reading {
            baud: self.setup.baud,
            sent: self.sent,
            received: self.received,
            place: if tally.bytes > 0 { place } else { 0 },
            bytes: tally.bytes,
            wrong_bytes: tally.wrong_bytes,
            wrong_bits: tally.wrong_bits,
            slips: tally.slips,
            lost: tally.lost,
            inserted: tally.inserted,
            per_second: if seconds > 0.0 { ((self.received - early) as f64 / seconds).round() } else { 0.0 },
            series: self.series,
            echoes_us: self.echoes_us,
            asked: self.asked,
            counted,
            refused: None,
            hits: self.checker.values().hits(),
            spoiled: self.checker.values().spoiled(),
        }
    }
}

impl Reading {
    /// Of a rate at which nothing could be done.
    pub fn refused(baud: u32, why: &str) -> Reading {
        Reading { baud, refused: Some(why.to_owned()), ..Reading::default() }
    }
    /// Wrong bits per bit; none where nothing was compared.
    pub fn ber(&self) -> Option<f64> {
        (self.bytes > 0).then(|| self.wrong_bits as f64 / (8.0 * self.bytes as f64))
    }
    /// The bit error rate is below this with 95 % confidence, if none was seen (the rule of three).
    pub fn ber_below(&self) -> f64 {
        3.0 / (8.0 * self.bytes.max(1) as f64)
    }
    /// Whether every byte gets through, or is only changed in its place, which is repaired.
    pub fn is_transparent(&self) -> bool {
        self.spoiled == 0 && self.hits.iter().all(Hit::is_harmless)
    }
    /// Whether what came can be used at all.
    pub fn is_readable(&self) -> bool {
        self.bytes >= 100 && self.ber().is_some_and(|b| b < 0.1)
    }
}

/// Where an end is: at home, at the base rate, or away for a trial.
#[derive(Debug, Default)]
pub enum Course {
    /// At the base rate.
    #[default]
    Home,
    /// The rate of a trial is being set.
    Leaving(Setup),
    /// In a trial.
    Away(Box<Trial>),
    /// The base rate is being set again.
    Returning(Box<Trial>),
}

impl Course {
    /// Whether messages can be heard and sent.
    pub fn is_home(&self) -> bool {
        matches!(self, Course::Home)
    }
    /// Bytes came; whether they belonged to a trial, or came while there was none to read them.
    pub fn handle_bytes(&mut self, bytes: &[u8], now: Instant) -> bool {
        if let Course::Away(trial) = self {
            trial.handle_bytes(bytes, now);
        }
        !self.is_home()
    }
    /// A rate was set, or not; returns what was read when that was the end of a trial.
    pub fn handle_rate(&mut self, set: Result<(), String>, counted: Counted, now: Instant) -> Option<Reading> {
        match (std::mem::take(self), set) {
            (Course::Leaving(setup), Ok(())) => *self = Course::Away(Box::new(Trial::new(setup, now))),
            (Course::Leaving(setup), Err(why)) => return Some(Reading::refused(setup.baud, &why)),
            (Course::Returning(trial), _) => return Some(trial.finish(counted)),
            (other, _) => *self = other,
        }
        None
    }
    /// Whether a trial is over: the base rate is to be set now.
    pub fn is_due(&mut self, now: Instant) -> bool {
        match std::mem::take(self) {
            Course::Away(trial) if now >= trial.end() => {
                *self = Course::Returning(trial);
                true
            }
            other => {
                *self = other;
                false
            }
        }
    }
    /// When a trial wants to go on; none outside of one.
    pub fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        match self {
            Course::Away(trial) => Some(trial.poll_timeout(now)),
            _ => None,
        }
    }
    /// What a trial sends now.
    pub fn poll_transmit(&mut self, now: Instant, room: usize) -> Vec<u8> {
        match self {
            Course::Away(trial) => trial.poll_transmit(now, room),
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a trial says to this message of this end, while echoes are given or asked for.
    fn said(echoes: Echoes, from: u64, message: &Message) -> (usize, usize) {
        let setup = Setup { me: 5, peer: 6, baud: 115_200, ms: 100, send: None, hear: None, echoes };
        let mut trial = Trial::new(setup, Instant::default());
        let now = trial.echoes_at;
        let asked = trial.poll_transmit(now, 4096).len();
        trial.handle_bytes(&frame(from, message, Level::Plain), now.after(1_000));
        let said = trial.poll_transmit(now.after(1_000), 4096).len();
        (if echoes == Echoes::Give { said } else { asked }, trial.echoes_us.len())
    }

    #[test]
    fn only_the_peer_is_echoed_and_echoes() {
        assert!(said(Echoes::Give, 6, &Message::Ping(0)).0 > 0);
        let (asked, came) = said(Echoes::Ask, 6, &Message::Pong(0));
        assert!(asked > 0 && came == 1);
        for other in [5, 7, 0] {
            assert_eq!(said(Echoes::Give, other, &Message::Ping(0)).0, 0, "{other}");
            assert_eq!(said(Echoes::Ask, other, &Message::Pong(0)).1, 0, "{other}");
            assert_eq!(said(Echoes::Ask, other, &Message::Ping(0)).1, 0, "{other}");
        }
    }
}
