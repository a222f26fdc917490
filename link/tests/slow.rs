//! A wire of 300 baud is a good wire.
#![allow(missing_docs)]

mod common;

use common::{End, Line, run};
use link::sim::NoiseConfig;
use link::{Config, Noise};

/// A transfer of an hour: no frame takes so long that the other end thinks its peer is gone.
#[test]
fn a_long_transfer_lives() {
    for (grace_us, least) in [(60_000_000, 0.8), (20_000_000, 0.65)] {
        let mut ab = Line::new(300, 500, 0, NoiseConfig::default(), 1);
        let mut ba = Line::new(300, 500, 0, NoiseConfig::default(), 2);
        let config = Config { grace_us, ..Config::for_baud(300) };
        let bytes = 100_000;
        let mut a = End::new(config, 7, 8192, (1, 2), (bytes, 50));
        let mut b = End::new(config, 9, 8192, (2, 1), (50, bytes));
        let took = run(&mut a, &mut b, &mut ab, &mut ba, 3, 20_000_000_000);
        let share = bytes as f64 / (took as f64 / 1e6 * 30.0);
        println!("300 baud, grace of {} s: {share:.4} of the wire; {:?} {:?}", grace_us / 1_000_000, a.lost, b.lost);
        assert!(a.lost.is_none() && b.lost.is_none(), "{:?} {:?}", a.lost, b.lost);
        assert!(share >= least, "{share}");
    }
}

/// The same where the ends have to prove themselves, both ways at once, at the slowest rates there are.
#[test]
fn sealed_ends_meet_and_deliver() {
    for baud in [50, 110, 300] {
        let mut ab = Line::new(baud, 500, 0, NoiseConfig::default(), 1);
        let mut ba = Line::new(baud, 500, 0, NoiseConfig::default(), 2);
        let config = Config { grace_us: 600_000_000, ..Config::for_baud(baud) };
        let bytes = 3_000;
        let proof = |seed| Some(Noise::psk([7; 32]).seeded(seed));
        let mut a = End::sealed(proof(1), config, 7, 8192, (1, 2), (bytes, bytes));
        let mut b = End::sealed(proof(2), config, 9, 8192, (2, 1), (bytes, bytes));
        let took = run(&mut a, &mut b, &mut ab, &mut ba, 3, 20_000_000_000);
        println!("{baud} baud, sealed: {:.1} s", took as f64 / 1e6);
        assert!(a.lost.is_none() && b.lost.is_none(), "{baud}: {:?} {:?}", a.lost, b.lost);
    }
}
