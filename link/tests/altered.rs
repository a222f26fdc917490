//! A wire that is not transparent: it doubles certain bytes, or swallows them. What is sealed is other bytes each time it is sent,
//! so what is short enough gets through some time; plain frames get through that have no such byte in them.
#![allow(missing_docs)]

mod common;

use common::{Alters, End, Line, Station, for_seeds, run, step};
use link::sim::{NoiseConfig, Random};
use link::{Config, FRAME_MAX, Instant, Noise, State};
use std::sync::atomic::{AtomicU32, Ordering};

const XON_XOFF: &[u8] = &[0x11, 0x13];
const BYTES: u64 = 3_000;

fn wire(alters: Alters, seed: u64) -> [Line; 2] {
    [1, 2].map(|at| {
        let mut line = Line::new(115_200, 300, 0, NoiseConfig::default(), seed * 2 + at);
        line.alters = Some(alters);
        line
    })
}

/// Whether a session opens between these in 20 s: a call that has such a byte in it has it each time.
fn opens(a: &mut End, b: &mut End, [ab, ba]: &mut [Line; 2]) -> bool {
    let (mut now, mut random) = (Instant::default(), Random::new(1));
    let (mut wire, mut bytes) = (vec![0; FRAME_MAX], Vec::new());
    while now.as_micros() < 20_000_000 {
        step(a, ab, ba, now, &mut random, &mut wire, &mut bytes);
        step(b, ba, ab, now, &mut random, &mut wire, &mut bytes);
        if [&a.link, &b.link].iter().all(|link| link.state() == State::Open) {
            return true;
        }
        let next = [a.wake(now), b.wake(now), ab.next(), ba.next()].into_iter().flatten().min().unwrap_or(0);
        now = Instant::from_micros(next.max(now.as_micros() + 100));
    }
    false
}

#[test]
fn sealed_frames_get_through_once_they_are_short() {
    for alters in [Alters::Doubles(0xFF), Alters::Eats(XON_XOFF)] {
        let (opened, slowest) = (AtomicU32::new(0), AtomicU32::new(0));
        for_seeds(24, |seed| {
            let config = Config::for_baud(115_200);
            let ends = || {
                let proof = |at| Some(Noise::psk([7; 32]).seeded(seed * 2 + at));
                let mut ids = Random::new(seed);
                let a = End::sealed(proof(0), config, ids.bits(), 8192, (1, 2), (BYTES, 100));
                (a, End::sealed(proof(1), config, ids.bits(), 8192, (2, 1), (100, BYTES)))
            };
            let (mut a, mut b) = ends();
            if opens(&mut a, &mut b, &mut wire(alters, seed)) {
                opened.fetch_add(1, Ordering::Relaxed);
                let ((mut a, mut b), [mut ab, mut ba]) = (ends(), wire(alters, seed));
                let took = run(&mut a, &mut b, &mut ab, &mut ba, seed, 120_000_000);
                assert!(a.lost.is_none() && b.lost.is_none(), "{:?} {:?}", a.lost, b.lost);
                slowest.fetch_max((took / 1000) as u32, Ordering::Relaxed);
            }
        });
        let (opened, slowest) = (opened.into_inner(), slowest.into_inner());
        println!("{alters:?}: {opened} of 24 sessions opened; {BYTES} bytes took {slowest} ms at most");
        assert!(opened >= 2, "{alters:?}: {opened}");
    }
}
