//! The noise of a day, hour by hour, and what happens in between: outages, unplugged adapters,
//! spells of heavy noise. All of it follows from a seed.

use std::time::Duration;

use link::sim::NoiseConfig;

use super::chance::Chance;

/// Hours of the day a run stands for.
pub const HOURS: u32 = 24;
/// The latency timer of a USB adapter in its default state.
const TIMER: Duration = Duration::from_millis(16);
/// Hours in which the adapters have one.
const TIMER_HOURS: [u32; 4] = [2, 9, 14, 20];

/// Noise with a name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weather {
    /// For people.
    pub name: &'static str,
    /// What it does to bytes.
    pub noise: NoiseConfig,
}

/// What becomes of the wire.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    /// Other noise.
    Noise(Weather),
    /// Another latency timer; zero for none.
    Timer(Duration),
    /// Nothing passes for so long.
    Outage(Duration),
    /// The adapters vanish for so long.
    Unplug(Duration),
}

#[derive(Clone, Copy)]
enum Hour {
    Night,
    Starting,
    Running,
    Bursts,
    Rush,
    Slips,
}

use Hour::{Bursts, Night, Running, Rush, Slips, Starting};
const DAY: [Hour; HOURS as usize] = [
    Night, Night, Night, Slips, Night, Starting, Running, Rush, Rush, Bursts, Running, Slips, //
    Starting, Bursts, Running, Slips, Rush, Rush, Bursts, Running, Starting, Slips, Night, Running,
];
const QUARTERS: u32 = 4;

fn quiet(name: &'static str, ber: f64) -> Weather {
    Weather { name, noise: NoiseConfig { ber, ..NoiseConfig::default() } }
}

fn weather(hour: Hour, chance: &mut Chance) -> Weather {
    let scale = (1 + chance.below(4)) as f64 / 2.0;
    match hour {
        Night => quiet("quiet night (BER to 1e-7)", chance.below(101) as f64 * 1e-9),
        Starting => quiet("machines start (BER 1e-6)", 1e-6 * scale),
        Running => quiet("machines run (BER 1e-5)", 1e-5 * scale),
        Rush => quiet("rush hour (BER 1e-4)", 1e-4 * scale),
        Bursts => {
            let bursts =
                NoiseConfig { ber: 1e-6, burst: 1e-4 * scale, burst_len: 20.0, burst_ber: 0.3, ..NoiseConfig::default() };
            Weather { name: "bursts (1e-4:20:0.3)", noise: bursts }
        }
        Slips => {
            let slips =
                NoiseConfig { ber: 1e-6, drop: 2e-5 * scale, drop_len: 64, insert: 2e-5 * scale, ..NoiseConfig::default() };
            Weather { name: "lost and inserted bytes (2e-5:64, 2e-5)", noise: slips }
        }
    }
}

/// What happens when, in order, in a run of `length`.
pub fn day(seed: u64, length: Duration) -> Vec<(Duration, Change)> {
    let mut chance = Chance::new(seed, length);
    let mut all = Vec::new();
    let parts = HOURS * QUARTERS;
    for part in 0..parts {
        let (hour, at) = (part / QUARTERS, length * part / parts);
        all.push((at, Change::Noise(weather(DAY[hour as usize], &mut chance))));
        if part % QUARTERS == 0 {
            all.push((at, Change::Timer(if TIMER_HOURS.contains(&hour) { TIMER } else { Duration::ZERO })));
        }
    }
    add_spells(&mut all, &mut chance, length);
    for (at, duration) in incidents(&mut chance, length, 10..90, 0.2..8.0) {
        all.push((at, Change::Outage(duration)));
    }
    for (at, duration) in incidents(&mut chance, length, 20..150, 0.5..5.0) {
        all.push((at, Change::Unplug(duration)));
    }
    all.sort_by_key(|(at, _)| *at);
    all
}

/// Short spells of a bit error in every thousand; after one the noise is what it was (a new
/// quarter of an hour ends it early).
fn add_spells(all: &mut Vec<(Duration, Change)>, chance: &mut Chance, length: Duration) {
    let usual: Vec<_> = all.iter().copied().filter(|(_, change)| matches!(change, Change::Noise(_))).collect();
    for (at, duration) in incidents(chance, length, 30..180, 0.5..8.0) {
        all.push((at, Change::Noise(quiet("spell (BER 1e-3)", 1e-3))));
        let before = usual.iter().rev().find(|(began, _)| *began <= at + duration);
        all.extend(before.map(|(_, noise)| (at + duration, *noise)));
    }
}

/// Moments with gaps of so many seconds (at most a quarter of the run) and lengths in seconds.
fn incidents(
    chance: &mut Chance,
    length: Duration,
    gaps: std::ops::Range<u64>,
    lengths: std::ops::Range<f64>,
) -> Vec<(Duration, Duration)> {
    let most = Duration::from_secs(gaps.end).min(length / 4).as_millis() as u64;
    let least = Duration::from_secs(gaps.start).as_millis() as u64;
    let least = least.min(most / 4);
    let gap = |chance: &mut Chance| Duration::from_millis((least + chance.below(most - least)).max(1));
    let (mut all, mut at) = (Vec::new(), gap(chance));
    while at < length {
        let duration = chance.time(Duration::from_secs_f64(lengths.start), Duration::from_secs_f64(lengths.end));
        all.push((at, duration));
        at += duration + gap(chance);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_has_everything_in_order() {
        for (seed, seconds) in [(1, 1), (2, 10), (3, 300), (4, 3600), (5, 86_400)] {
            let day = day(seed, Duration::from_secs(seconds));
            assert!(day.is_sorted_by_key(|(at, _)| *at));
            assert!(matches!(day[0], (Duration::ZERO, Change::Noise(_))), "{:?}", day[0]);
            let count = |f: fn(&Change) -> bool| day.iter().filter(|(_, change)| f(change)).count();
            assert!(count(|c| matches!(c, Change::Outage(_))) >= 2);
            assert!(count(|c| matches!(c, Change::Unplug(_))) >= 2);
            assert!(count(|c| matches!(c, Change::Timer(t) if !t.is_zero())) == TIMER_HOURS.len());
            assert!(count(|c| matches!(c, Change::Noise(w) if w.noise.ber == 1e-3)) >= 2);
        }
    }

    #[test]
    fn a_day_follows_from_its_seed() {
        let length = Duration::from_secs(3600);
        assert_eq!(day(1, length), day(1, length));
        assert_ne!(day(1, length), day(2, length));
    }
}
