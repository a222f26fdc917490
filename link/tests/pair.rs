//! Two links on a virtual line: whatever the noise, what is delivered is byte-exact and nothing
//! stalls. `HARDLINE_SEED=n` runs one seed alone; the seed is part of every failure.
#![allow(missing_docs)]

mod common;

use std::sync::atomic::{AtomicU32, Ordering};

use common::{End, Fault, Line, for_seeds, random_noise, run};
use link::sim::{NoiseConfig, Random};
use link::{Config, Event, Loss};

/// Thousands of wires, each with its own rate, latency, timer, noise, outage, stalls and write
/// sizes: all of them deliver.
#[test]
fn any_wire_delivers() {
    for_seeds(3000, |seed| {
        let mut random = Random::new(seed);
        let baud = [9600, 115_200, 921_600, 2_000_000, 10_000_000][random.below(5) as usize];
        let noise = random_noise(&mut random);
        let (latency, timer) = (random.below(3_000), [0, 1_000, 16_000][random.below(3) as usize]);
        let mut ab = Line::new(baud, latency, timer, noise, seed * 2);
        let mut ba = Line::new(baud, latency, timer, noise, seed * 2 + 1);
        let bytes = (random.below(u64::from(baud) / 20), random.below(u64::from(baud) / 40));
        let config = Config::for_baud(baud);
        let window = 4096 << random.below(5);
        let mut a = End::new(config, random.bits(), window, (seed, !seed), bytes);
        let mut b = End::new(config, random.bits(), window, (!seed, seed), (bytes.1, bytes.0));
        if random.chance(0.5) {
            a.burst = 60 + random.below(500);
        }
        if random.chance(0.2) {
            b.stalled_until = random.below(3_000_000);
        }
        if random.chance(0.2) {
            let start = random.below(500_000);
            ab.outages.push((start, start + random.below(3_000_000)));
        }
        if random.chance(0.2) {
            let start = random.below(500_000);
            ba.outages.push((start, start + random.below(3_000_000)));
        }
        run(&mut a, &mut b, &mut ab, &mut ba, seed, 120_000_000);
        assert!(a.lost.is_none() && b.lost.is_none(), "{:?} {:?}", a.lost, b.lost);
    });
}

/// Junk and text before the first frame are passed over, whichever end starts first.
#[test]
fn boot_text_is_passed_over() {
    for_seeds(200, |seed| {
        let mut random = Random::new(seed);
        let mut ab = Line::new(115_200, 500, 0, NoiseConfig::default(), seed);
        let mut ba = Line::new(115_200, 500, 0, NoiseConfig::default(), seed);
        let junk: Vec<u8> = (0..random.below(20_000)).map(|_| random.bits() as u8).collect();
        ab.send(&junk, link::Instant::default());
        ba.send(b"U-Boot 2026.01 (Nov 21 2026)\r\nlogin: ", link::Instant::default());
        let config = Config::for_baud(115_200);
        let mut a = End::new(config, 7, 8192, (1, 2), (5000, 3000));
        let mut b = End::new(config, 9, 8192, (2, 1), (3000, 5000));
        run(&mut a, &mut b, &mut ab, &mut ba, seed, 20_000_000);
        assert!(a.lost.is_none() && b.lost.is_none());
    });
}

/// An outage shorter than the grace time costs little more than itself; a longer one is told.
#[test]
fn outage_and_grace() {
    for outage_us in [500_000, 5_000_000, 50_000_000, 70_000_000] {
        let mut ab = Line::new(2_000_000, 300, 0, NoiseConfig::default(), 1);
        let mut ba = Line::new(2_000_000, 300, 0, NoiseConfig::default(), 2);
        let cut = (100_000, 100_000 + outage_us);
        ab.outages.push(cut);
        ba.outages.push(cut);
        let config = Config::for_baud(2_000_000);
        let mut a = End::new(config, 7, 65536, (1, 2), (100_000, 10));
        let mut b = End::new(config, 9, 65536, (2, 1), (10, 100_000));
        let took = run(&mut a, &mut b, &mut ab, &mut ba, 3, 200_000_000);
        if outage_us < 60_000_000 {
            assert!(a.lost.is_none() && b.lost.is_none());
            assert!(
                took < 600_000 + outage_us + 500_000,
                "{outage_us}: {took} {:?} {:?} {:?}",
                a.finished_at,
                b.finished_at,
                a.link.stats()
            );
        } else {
            assert_eq!((a.lost, b.lost), (Some(Event::Lost(Loss::Silence)), Some(Event::Lost(Loss::Silence))));
        }
    }
}

/// A stalled reader holds back the data, not the session; memory stays what it was.
#[test]
fn a_reader_may_stall_longer_than_the_grace_time() {
    let mut ab = Line::new(2_000_000, 300, 0, NoiseConfig::default(), 1);
    let mut ba = Line::new(2_000_000, 300, 0, NoiseConfig::default(), 2);
    let config = Config { grace_us: 5_000_000, ..Config::for_baud(2_000_000) };
    let mut a = End::new(config, 7, 65536, (1, 2), (300_000, 10));
    let mut b = End::new(config, 9, 65536, (2, 1), (10, 300_000));
    b.stalled_until = 61_000_000;
    run(&mut a, &mut b, &mut ab, &mut ba, 3, 70_000_000);
    assert!(a.lost.is_none() && b.lost.is_none());
    // keep-alives only: the wire was all but silent for a minute
    assert!(ab.carried < 400_000, "{}", ab.carried);
}

/// On a virtual clock the share of the line is exact and the same everywhere, so it can be held to.
#[test]
fn goodput_is_near_the_wire() {
    for (ber, least) in [(0.0, 0.99), (1e-6, 0.98), (1e-5, 0.945), (1e-4, 0.91), (1e-3, 0.8)] {
        let noise = NoiseConfig { ber, ..NoiseConfig::default() };
        let mut ab = Line::new(2_000_000, 300, 1_000, noise, 11);
        let mut ba = Line::new(2_000_000, 300, 1_000, noise, 12);
        let config = Config::for_baud(2_000_000);
        let bytes = 2_000_000;
        let mut a = End::new(config, 7, 262_144, (1, 2), (bytes, 0));
        let mut b = End::new(config, 9, 262_144, (2, 1), (0, bytes));
        let took = run(&mut a, &mut b, &mut ab, &mut ba, 3, 200_000_000);
        let share = bytes as f64 / (took as f64 / 1e6 * 200_000.0);
        println!("BER {ber:e}: {share:.4} of the wire; {:?} {:?}", a.link.stats(), b.link.stats());
        assert!(share >= least, "BER {ber:e}: {share}");
    }
}

/// Whatever happens once to the wire costs a frame at most, mostly far less, and never a stall.
#[test]
fn a_fault_costs_a_frame() {
    let transfer = |fault: Option<(u64, Fault)>| {
        let mut ab = Line::new(2_000_000, 300, 0, NoiseConfig::default(), 1);
        let mut ba = Line::new(2_000_000, 300, 0, NoiseConfig::default(), 2);
        ab.fault = fault;
        let config = Config::for_baud(2_000_000);
        let mut a = End::new(config, 7, 65_536, (1, 2), (300_000, 0));
        let mut b = End::new(config, 9, 65_536, (2, 1), (0, 300_000));
        let took = run(&mut a, &mut b, &mut ab, &mut ba, 3, 20_000_000);
        assert!(a.lost.is_none() && b.lost.is_none());
        took
    };
    let clean = transfer(None);
    let faults = [
        Fault::Flip,
        Fault::Burst(20),
        Fault::Burst(200),
        Fault::Lose(1),
        Fault::Lose(64),
        Fault::Lose(3_000),
        Fault::Insert(0x00),
        Fault::Insert(0xB5),
        Fault::Insert(0x1A),
        Fault::FalseHead,
    ];
    let (patched, patchable) = (AtomicU32::new(0), AtomicU32::new(0));
    for_seeds(60, |seed| {
        let mut random = Random::new(seed);
        for fault in faults {
            let at = 10_000 + random.below(250_000);
            let extra = transfer(Some((at, fault))).saturating_sub(clean);
            // a frame takes 20 ms; a long fault may meet the next one too
            let frames = if matches!(fault, Fault::Burst(200) | Fault::Lose(3_000)) { 2 } else { 1 };
            assert!(extra <= frames * 20_000 + 10_000, "{fault:?} at {at}: {extra} us");
            if frames == 1 {
                patchable.fetch_add(1, Ordering::Relaxed);
                patched.fetch_add(u32::from(extra < 3_000), Ordering::Relaxed);
            }
        }
    });
    // all but those that meet a head or a check
    let (patched, patchable) = (patched.into_inner(), patchable.into_inner());
    assert!(patched * 10 >= patchable * 9, "{patched} of {patchable} were patched");
}

/// Bytes lost once in 10,000, and a long way: several frames of one round trip come damaged, and most are patched.
#[test]
fn damaged_frames_of_one_round_trip_are_patched() {
    let noise = NoiseConfig { drop: 1e-4, drop_len: 1, ..NoiseConfig::default() };
    let (shares, patched) = (AtomicU32::new(0), AtomicU32::new(0));
    let runs = 6;
    for_seeds(runs, |seed| {
        let mut ab = Line::new(2_000_000, 45_000, 0, noise, seed);
        let mut ba = Line::new(2_000_000, 45_000, 0, NoiseConfig::default(), 100 + seed);
        let config = Config::for_baud(2_000_000);
        let bytes = 2_000_000;
        let mut a = End::new(config, 7, 262_144, (1, 2), (bytes, 0));
        let mut b = End::new(config, 9, 262_144, (2, 1), (0, bytes));
        let took = run(&mut a, &mut b, &mut ab, &mut ba, seed, 200_000_000);
        assert!(a.lost.is_none() && b.lost.is_none());
        let share = bytes as f64 / (took as f64 / 1e6 * 200_000.0);
        println!("{share:.4}: {} patched, {} sent again", b.link.stats().patched, a.link.stats().resends);
        shares.fetch_add((share * 1e4) as u32, Ordering::Relaxed);
        patched.fetch_add(b.link.stats().patched as u32, Ordering::Relaxed);
    });
    let (share, patched) = (f64::from(shares.into_inner()) / 1e4 / runs as f64, patched.into_inner() / runs as u32);
    println!("share {share:.4}, {patched} patched of about 200");
    assert!(share > 0.89 && patched >= 110, "{share} {patched}");
}
