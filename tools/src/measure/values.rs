//! Which bytes a wire does not carry as they are: XON and XOFF that somebody takes for flow control, 0xFF that a terminal server
//! in telnet mode doubles, the eighth bit. Noise hits all alike; what is hit by its value is found by how sure that is.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// So sure it must be that it is no chance (nats; that any of 256 values is named by chance, 256 times e to the power of minus this).
const SURE: f64 = 16.0;
/// So much of the occurrences of a value is hit at least.
const MOST: f64 = 0.5;
/// A bit of every byte that is wrong so often is not carried at all: of random ones half are.
const SPOILED: f64 = 0.25;
/// And so sure it is that others are carried.
const CARRIED: f64 = 0.05;
/// Fewer bytes say nothing of bits.
const BYTES: u64 = 100;
/// Longest loss or insertion that is taken for something done to single bytes.
const SINGLE: u64 = 4;
/// Values that are told of: of more, a wire is nothing to repair.
pub const HITS_MAX: usize = 8;

/// What becomes of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fate {
    /// It never arrives.
    Lost,
    /// It arrives twice.
    Doubled,
    /// Another value arrives before or behind it.
    Joined(u8),
    /// Another value arrives in its place.
    Changed(u8),
}

/// A value that does not arrive as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hit {
    /// The value.
    pub byte: u8,
    /// What becomes of it.
    pub fate: Fate,
}

/// The most frequent value, if one is more frequent than all others together (Boyer and Moore), and by how much at least.
#[derive(Clone, Copy, Debug, Default)]
struct Frequent {
    byte: u8,
    lead: u64,
}

impl Frequent {
    fn note(&mut self, byte: u8) {
        match *self {
            Frequent { lead: 0, .. } => *self = Frequent { byte, lead: 1 },
            Frequent { byte: known, .. } if known == byte => self.lead += 1,
            _ => self.lead -= 1,
        }
    }
}

/// What became of one value.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    right: u64,
    wrong: u64,
    lost: u64,
    /// What came in its place.
    became: Frequent,
    /// Times another byte stood beside it, and which.
    joined: u64,
    partner: Frequent,
}

impl Counts {
    fn sent(&self) -> u64 {
        self.right + self.wrong + self.lost
    }
    fn hit(&self) -> u64 {
        self.wrong + self.lost
    }
}

/// What became of all values.
#[derive(Clone, Debug)]
pub struct Values {
    of: Box<[Counts; 256]>,
    /// Times each bit of a byte that was compared was wrong.
    bits: [u64; 8],
    compared: u64,
}

impl Default for Values {
    fn default() -> Values {
        Values { of: Box::new([Counts::default(); 256]), bits: [0; 8], compared: 0 }
    }
}

impl Values {
    /// A byte came where this one was awaited.
    pub fn compare(&mut self, awaited: u8, came: u8) {
        self.compared += 1;
        let counts = &mut self.of[usize::from(awaited)];
        let wrong = awaited ^ came;
        if wrong == 0 {
            counts.right += 1;
            return;
        }
        counts.wrong += 1;
        counts.became.note(came);
        self.bits.iter_mut().enumerate().for_each(|(bit, count)| *count += u64::from(wrong >> bit & 1));
    }
    /// These bytes were lost between two that came.
    pub fn lose(&mut self, lost: impl ExactSizeIterator<Item = u8>) {
        if lost.len() as u64 <= SINGLE {
            lost.for_each(|byte| self.of[usize::from(byte)].lost += 1);
        }
    }
    /// These bytes came in between two others.
    pub fn join(&mut self, before: Option<u8>, came: &[u8], behind: Option<u8>) {
        let (Some(&first), true) = (came.first(), came.len() as u64 <= SINGLE) else { return };
        let mut joined = |byte: u8| {
            self.of[usize::from(byte)].joined += 1;
            self.of[usize::from(byte)].partner.note(first);
        };
        before.into_iter().for_each(&mut joined);
        behind.filter(|byte| before != Some(*byte)).into_iter().for_each(&mut joined);
    }

    /// Bits of every byte that are not carried, as a mask.
    pub fn spoiled(&self) -> u8 {
        if self.compared < BYTES {
            return 0;
        }
        let share = |bit: usize| self.bits[bit] as f64 / self.compared as f64;
        let spoiled: Vec<usize> = (0..8).filter(|&bit| share(bit) >= SPOILED).collect();
        let carried = (0..8).filter(|&bit| share(bit) <= CARRIED).count();
        // where all are bad it is noise
        if spoiled.len() + carried == 8 && carried >= 4 { spoiled.iter().fold(0, |mask, bit| mask | 1 << bit) } else { 0 }
    }
    /// Values that do not arrive as they are, lowest first; no more than are told of.
    pub fn hits(&self) -> Vec<Hit> {
        let wrong: fn(&Counts) -> u64 = if self.spoiled() == 0 { Counts::hit } else { |counts: &Counts| counts.lost };
        let all = |of: fn(&Counts) -> u64| self.of.iter().map(of).sum::<u64>();
        let (sent, hit, joined) = (all(Counts::sent), all(wrong), all(|counts| counts.joined));
        let found = self.of.iter().zip(0..=u8::MAX).filter_map(|(counts, byte)| {
            let others = sent - counts.sent();
            let fate = if is_hit(wrong(counts), counts.sent(), hit - wrong(counts), others) {
                // one that is lost makes others behind it wrong where two are near
                let changed = counts.wrong > counts.lost && 2 * counts.became.lead >= counts.wrong;
                if changed { Fate::Changed(counts.became.byte) } else { Fate::Lost }
            } else if is_hit(counts.joined, counts.sent(), joined - counts.joined, others) {
                let partner = counts.partner.byte;
                if partner == byte { Fate::Doubled } else { Fate::Joined(partner) }
            } else {
                return None;
            };
            Some(Hit { byte, fate })
        });
        found.take(HITS_MAX).collect()
    }
}

/// Whether so many of the occurrences of a value being hit is no chance, where so many of all others were.
fn is_hit(hit: u64, of: u64, others_hit: u64, others: u64) -> bool {
    if hit == 0 || others == 0 {
        return false;
    }
    let share = (hit as f64 / of.max(1) as f64).min(1.0);
    let usual = (others_hit.max(1) as f64 / others as f64).min(1.0);
    share >= MOST && share > usual && of as f64 * divergence(share, usual) >= SURE
}

/// By which a share that is seen differs from the one that is usual (Kullback and Leibler): e to the power of minus this, for
/// each occurrence, bounds the probability of that by chance (Chernoff).
fn divergence(seen: f64, usual: f64) -> f64 {
    let part = |seen: f64, usual: f64| if seen <= 0.0 { 0.0 } else { seen * (seen / usual.max(1e-12)).ln() };
    part(seen, usual) + part(1.0 - seen, 1.0 - usual)
}

impl Hit {
    /// Whether a session gets through all the same: what is changed in its place is repaired like noise.
    pub fn is_harmless(&self) -> bool {
        matches!(self.fate, Fate::Changed(_))
    }
    /// `byte`, `fate` and the `other` byte, if there is one.
    pub fn to_json(&self) -> Value {
        let (fate, other) = match self.fate {
            Fate::Lost => ("lost", None),
            Fate::Doubled => ("doubled", None),
            Fate::Joined(other) => ("joined", Some(other)),
            Fate::Changed(other) => ("changed", Some(other)),
        };
        json!({ "byte": self.byte, "fate": fate, "other": other })
    }
    /// Who does such a thing.
    fn cause(&self) -> Option<&'static str> {
        Some(match (self.byte, self.fate) {
            (0x11 | 0x13, Fate::Lost) => {
                "software flow control (XON/XOFF): turn it off in the terminal server, modem or radio between the ends"
            }
            (0xFF, Fate::Doubled | Fate::Lost | Fate::Joined(_)) | (0x0D, Fate::Joined(0x00)) => {
                "a terminal server in telnet mode: give it a raw TCP port"
            }
            (0x00, Fate::Lost) => "a port or terminal server that takes NUL for padding or a break: make it raw, or binary",
            (0x0A | 0x0D, _) => {
                "a terminal on the way that turns ends of lines into others: make it raw ('stty raw', no onlcr or icrnl)"
            }
            (0x03 | 0x04 | 0x1A | 0x1C | 0x7F, Fate::Lost) => {
                "a terminal on the way that takes keys for signals: make it raw ('stty raw -echo')"
            }
            _ => return None,
        })
    }
}

/// What becomes of them, in a few words.
pub fn in_short(hits: &[Hit], spoiled: u8) -> String {
    let of = |fate: fn(&Fate) -> bool| {
        let bytes: Vec<String> = hits.iter().filter(|hit| fate(&hit.fate)).map(|hit| format!("{:02x}", hit.byte)).collect();
        (!bytes.is_empty()).then(|| bytes.join(" "))
    };
    let lost = of(|fate| *fate == Fate::Lost).map(|bytes| format!("eats {bytes}"));
    let doubled = of(|fate| *fate == Fate::Doubled).map(|bytes| format!("doubles {bytes}"));
    let mut said: Vec<String> = [lost, doubled].into_iter().flatten().collect();
    said.extend(hits.iter().filter_map(|hit| match hit.fate {
        Fate::Joined(other) => Some(format!("puts {other:02x} beside {:02x}", hit.byte)),
        Fate::Changed(other) => Some(format!("makes {other:02x} of {:02x}", hit.byte)),
        _ => None,
    }));
    let bits: Vec<String> = (0..8).filter(|bit| spoiled >> bit & 1 == 1).map(|bit| (bit + 1).to_string()).collect();
    if !bits.is_empty() {
        said.push(format!("does not carry bit {} of bytes", bits.join(", ")));
    }
    said.join(", ")
}

/// What it comes from, as far as that can be told.
fn causes(hits: &[Hit], spoiled: u8) -> impl Iterator<Item = &'static str> {
    let bits = (spoiled == 0x80).then_some("7 data bits, or parity, at one of the ports: set all of them to 8N1");
    hits.iter().filter_map(Hit::cause).chain(bits)
}

/// What a wire does on either way, by what was read at each rate, and what that comes from; none where it does nothing of the kind.
pub fn in_words(to_peer: &[(&[Hit], u8)], from_peer: &[(&[Hit], u8)]) -> Option<String> {
    // at other rates it is the same, or less of it was seen
    let most = |way: &[(&[Hit], u8)]| {
        let most = way.iter().max_by_key(|(hits, spoiled)| hits.len() as u32 + spoiled.count_ones());
        most.map(|(hits, spoiled)| in_short(hits, *spoiled)).filter(|words| !words.is_empty())
    };
    let what = match (most(to_peer), most(from_peer)) {
        (None, None) => return None,
        (Some(there), Some(back)) if there == back => format!("the wire {there}"),
        (None, Some(back)) if to_peer.is_empty() => format!("the wire {back}"),
        (there, back) => {
            let there = there.map(|words| format!("to the peer the wire {words}"));
            let back = back.map(|words| format!("on the way here the wire {words}"));
            [there, back].into_iter().flatten().collect::<Vec<_>>().join("; ")
        }
    };
    let mut why: Vec<&str> = Vec::new();
    for cause in to_peer.iter().chain(from_peer).flat_map(|(hits, spoiled)| causes(hits, *spoiled)) {
        if !why.contains(&cause) {
            why.push(cause);
        }
    }
    Some(if why.is_empty() { what } else { format!("{what}: {}", why.join("; ")) })
}

#[cfg(test)]
mod tests {
    use link::sim::{Noise, NoiseConfig};

    use super::*;
    use crate::measure::pattern::{Checker, Pattern};

    /// What is found of a wire that makes this of each byte, and then adds noise.
    fn found(wire: impl Fn(u8, &mut Vec<u8>), noise: NoiseConfig, bytes: usize, seed: u64) -> (Vec<Hit>, u8) {
        let (mut sent, mut passed, mut came) = (vec![0; bytes], Vec::new(), Vec::new());
        Pattern::new(seed).fill(0, &mut sent);
        sent.iter().for_each(|&byte| wire(byte, &mut passed));
        let mut noisy = Noise::new(noise, seed);
        passed.iter().for_each(|&byte| noisy.pass(byte, |byte| came.push(byte)));
        let mut checker = Checker::new(Pattern::new(seed));
        checker.push(&came);
        checker.finish();
        (checker.values().hits(), checker.values().spoiled())
    }
    fn hits(fate: Fate, bytes: &[u8]) -> Vec<Hit> {
        bytes.iter().map(|&byte| Hit { byte, fate }).collect()
    }
    fn clean() -> NoiseConfig {
        NoiseConfig::default()
    }

    #[test]
    fn values_that_are_eaten_or_doubled_are_named() {
        for seed in 0..8 {
            // 2 s at 19200, and at 57600
            for bytes in [3_840, 11_520] {
                for set in [&[0x11, 0x13][..], &[0x00], &[0xFF], &[0x00, 0x03, 0x11, 0x13]] {
                    let eats = |byte: u8, out: &mut Vec<u8>| out.extend((!set.contains(&byte)).then_some(byte));
                    assert_eq!(found(eats, clean(), bytes, seed), (hits(Fate::Lost, set), 0), "seed {seed}, {bytes} bytes");
                    let doubles = |byte: u8, out: &mut Vec<u8>| out.extend(vec![byte; 1 + usize::from(set.contains(&byte))]);
                    assert_eq!(found(doubles, clean(), bytes, seed), (hits(Fate::Doubled, set), 0), "seed {seed}, {bytes} bytes");
                }
            }
        }
    }

    #[test]
    fn ends_of_lines_and_bits_are_named() {
        for seed in 0..8 {
            let onlcr = |byte: u8, out: &mut Vec<u8>| out.extend((byte == 0x0A).then_some(0x0D).into_iter().chain([byte]));
            assert_eq!(found(onlcr, clean(), 9_600, seed).0, hits(Fate::Joined(0x0D), &[0x0A]), "seed {seed}");
            let icrnl = |byte: u8, out: &mut Vec<u8>| out.push(if byte == 0x0D { 0x0A } else { byte });
            assert_eq!(found(icrnl, clean(), 9_600, seed).0, hits(Fate::Changed(0x0A), &[0x0D]), "seed {seed}");
            let seven = |byte: u8, out: &mut Vec<u8>| out.push(byte & 0x7F);
            assert_eq!(found(seven, clean(), 1_920, seed), (vec![], 0x80), "seed {seed}");
            let parity = |byte: u8, out: &mut Vec<u8>| out.push(byte & 0x7F | ((byte & 0x7F).count_ones() as u8 & 1) << 7);
            assert_eq!(found(parity, clean(), 1_920, seed), (vec![], 0x80), "seed {seed}");
        }
    }

    #[test]
    fn noise_hits_no_value() {
        for seed in 0..16 {
            let noises = [
                NoiseConfig { ber: 1e-3, ..clean() },
                NoiseConfig { ber: 3e-2, ..clean() },
                NoiseConfig { drop: 1e-3, insert: 1e-3, ..clean() },
                NoiseConfig { drop: 2e-4, drop_len: 40, ..clean() },
            ];
            for (i, noise) in noises.into_iter().enumerate() {
                for bytes in [500, 1_920, 9_600] {
                    let none = found(|byte, out| out.push(byte), noise, bytes, seed);
                    assert_eq!(none, (vec![], 0), "seed {seed}, noise {i}, {bytes} bytes");
                }
            }
            // beside noise, too
            let eats = |byte: u8, out: &mut Vec<u8>| out.extend((byte != 0x13).then_some(byte));
            let noise = NoiseConfig { ber: 1e-3, drop: 1e-4, ..clean() };
            assert_eq!(found(eats, noise, 9_600, seed).0, hits(Fate::Lost, &[0x13]), "seed {seed}");
        }
    }

    #[test]
    fn they_are_told_in_words() {
        let all = [hits(Fate::Lost, &[0x11, 0x13]), hits(Fate::Doubled, &[0xFF]), hits(Fate::Changed(0x0A), &[0x0D])].concat();
        assert_eq!(in_short(&all, 0x80), "eats 11 13, doubles ff, makes 0a of 0d, does not carry bit 8 of bytes");
        assert_eq!(causes(&all, 0x80).collect::<std::collections::HashSet<_>>().len(), 4);
        let (some, none) = ((&all[..1], 0), (&[][..], 0));
        assert_eq!(in_words(&[none], &[none, none]), None);
        let cause = "software flow control (XON/XOFF): turn it off in the terminal server, modem or radio between the ends";
        assert_eq!(in_words(&[none], &[none, some]).unwrap(), format!("on the way here the wire eats 11: {cause}"));
        assert_eq!(in_words(&[some], &[none]).unwrap(), format!("to the peer the wire eats 11: {cause}"));
        assert_eq!(in_words(&[some, none], &[some]).unwrap(), format!("the wire eats 11: {cause}"));
        assert_eq!(in_words(&[], &[some]).unwrap(), format!("the wire eats 11: {cause}"));
    }
}
