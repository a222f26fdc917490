//! What is lost for good: the residual loss of a profile, by formula (`fixtures/loss.txt` is its table).
//!
//! Independent bit errors, every wrong bit spoils its frame unless armour repairs it (not counted).

use crate::emitter::COPIES;
use crate::profile::Profile;
use crate::wire::{DATUM_HEAD, SHARD_HEAD, SYMBOL_HEAD};
use link::wire::frame::frame_len;

/// Chance that a frame with so many bytes of body is spoiled at this bit error rate.
pub fn frame_loss(ber: f64, body: usize, profile: &Profile) -> f64 {
    -(8.0 * frame_len(body, profile.level) as f64 * (-ber).ln_1p()).exp_m1()
}

fn ln_factorial(n: u64) -> f64 {
    // Stirling's series: below 1e-10 from 10 on
    if n < 10 {
        return (1..=n).map(|i| (i as f64).ln()).sum();
    }
    let n = n as f64;
    n * n.ln() - n + 0.5 * (core::f64::consts::TAU * n).ln() + 1.0 / (12.0 * n) - 1.0 / (360.0 * n * n * n)
}

/// Chance that more than `most` of `n` are lost, each with chance `p`.
pub fn more_than(most: u64, n: u64, p: f64) -> f64 {
    if p <= 0.0 || most >= n {
        return 0.0;
    }
    let term = |i: u64| {
        let choose = ln_factorial(n) - ln_factorial(i) - ln_factorial(n - i);
        (choose + i as f64 * p.ln() + (n - i) as f64 * (-p).ln_1p()).exp()
    };
    // the smaller side of the sum keeps its digits
    let sum = if (most as f64) < n as f64 * p { 1.0 - (0..=most).map(term).sum::<f64>() } else { (most + 1..=n).map(term).sum() };
    sum.clamp(0.0, 1.0)
}

/// Chance that a stream block is lost, with an outage of the length the profile survives or without.
pub fn stream_block(ber: f64, profile: &Profile, outage: bool) -> f64 {
    let f = frame_loss(ber, usize::from(profile.payload) + SHARD_HEAD, profile);
    let (n, m) = (u64::from(profile.data) + u64::from(profile.parity), u64::from(profile.parity));
    // the depth is chosen so that the outage takes half of the parity
    let taken = if outage { m.div_ceil(2) } else { 0 };
    more_than(m - taken, n - taken, f)
}

/// Chance that an object of `size` bytes is not whole after one round; `rate` in bytes per second.
pub fn object(ber: f64, profile: &Profile, size: u64, rate: u32, outage: bool) -> f64 {
    let body = usize::from(profile.payload) + SYMBOL_HEAD;
    let f = frame_loss(ber, body, profile);
    let lost = u64::from(rate) * u64::from(profile.survive_ms) / 1000 / frame_len(body, profile.level) as u64;
    let symbols = size.div_ceil(u64::from(profile.payload));
    let repair = (symbols * u64::from(profile.overhead_percent)).div_ceil(100) + 5 + u64::from(profile.overhead_percent) / 7;
    // two symbols more than the source are needed, three to be sure; of one that is alone those for an outage come on top
    let spare = if outage { repair } else { repair + lost };
    more_than(spare - 3, symbols + spare, f)
}

/// Chance that a datagram of `len` bytes is lost.
pub fn datagram(ber: f64, profile: &Profile, len: usize, outage: bool) -> f64 {
    let f = frame_loss(ber, len + DATUM_HEAD, profile);
    // the outage leaves two copies
    f.powi(if outage { 2 } else { i32::from(COPIES) })
}
