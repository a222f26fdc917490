//! The loss table is what the formulas say, and the formulas are what simulation says.
#![allow(missing_docs)]

#[allow(unreachable_pub)]
#[path = "../examples/loss.rs"]
mod table;

use diode::{loss, profile};
use link::sim::Random;

#[test]
fn the_table_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/loss.txt");
    assert_eq!(
        std::fs::read_to_string(path).unwrap(),
        table::table(),
        "cargo run -p diode --example loss --features alloc,std > fixtures/loss.txt"
    );
}

/// At noise far above the profiles', where losses are frequent enough to be counted.
#[test]
fn simulation_agrees_with_the_formula() {
    let mut random = Random::new(1);
    for profile in profile::ALL {
        let (n, m) = (u64::from(profile.data) + u64::from(profile.parity), u64::from(profile.parity));
        // a bit error rate at which about one block in fifty is lost
        let mut ber = 1e-6;
        while loss::stream_block(ber, &profile, false) < 0.02 {
            ber *= 1.05;
        }
        let f = loss::frame_loss(ber, usize::from(profile.payload) + diode::wire::SHARD_HEAD, &profile);
        let expected = loss::stream_block(ber, &profile, false);
        let blocks = 20_000;
        let lost = (0..blocks).filter(|_| (0..n).filter(|_| random.chance(f)).count() as u64 > m).count();
        let sigma = (expected * (1.0 - expected) / f64::from(blocks)).sqrt();
        let measured = lost as f64 / f64::from(blocks);
        assert!((measured - expected).abs() < 5.0 * sigma, "{}: {measured} for {expected}", profile.name);
    }
}
