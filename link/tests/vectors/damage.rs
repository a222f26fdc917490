//! `fixtures/damage.txt`: what came in, and what an ACK tells of it.

use std::fmt::Write;

use link::wire::{Deframer, Level};

use super::{compare, frame, hex, pattern};

/// A frame whose bytes at these places are wrong.
fn spoilt(mut wire: Vec<u8>, places: &[usize]) -> Vec<u8> {
    places.iter().for_each(|&at| wire[at] ^= 0x55);
    wire
}

#[test]
fn damage() {
    let mut text = String::from(
        "# What came in behind each other, and how much damage and how many slips an ACK tells of it (PROTOCOL 3.4).\n",
    );
    let mut add = |name: &str, damage: u64, slips: u64, pieces: &[&[u8]]| {
        let wire = pieces.concat();
        let mut deframer = Deframer::default();
        deframer.push(&wire);
        while deframer.next_frame().is_some() {}
        deframer.doubt();
        while deframer.next_frame().is_some() {}
        assert_eq!((deframer.damage, deframer.slips), (damage, slips), "{name}");
        writeln!(text, "{name}.says = damage={damage} slips={slips}").unwrap();
        writeln!(text, "{name} = {}", hex(&wire)).unwrap();
    };
    let good = frame(&pattern(5), Level::Plain);
    let plain = frame(&pattern(40), Level::Plain);
    let armoured = frame(&pattern(300), Level::Four);
    // two codewords: bytes 10, 12 .. are of the first, 314 and 316 of its parity
    let parity = 10 + 304;
    add("none", 0, 0, &[&good, &armoured, &good]);
    add("repaired-body-and-check", 3, 0, &[&good, &spoilt(armoured.clone(), &[10, 12, 311]), &good]);
    add("repaired-head", 2, 0, &[&good, &spoilt(armoured.clone(), &[4, 7]), &good]);
    add("repaired-with-parity", 3, 0, &[&good, &spoilt(armoured.clone(), &[10, 12, parity]), &good]);
    add("parity-alone", 0, 0, &[&good, &spoilt(armoured.clone(), &[parity, parity + 1]), &good]);
    let (bad, beyond) = (spoilt(plain.clone(), &[20]), spoilt(armoured.clone(), &[10, 12, 14, 16, 18]));
    add("beyond-repair-plain", 1, 0, &[&good, &bad, &good]);
    add("beyond-repair-armoured", 5, 0, &[&good, &beyond, &good]);
    add("beyond-repair-twice", 6, 0, &[&good, &bad, &beyond, &good]);
    add("beyond-repair-last", 0, 0, &[&good, &bad]);
    add("beyond-repair-first", 0, 0, &[&bad, &good]);
    add("no-head", 1, 0, &[&good, &[1, 2, 3], &good]);
    add("slip-lost", 0, 1, &[&good, &plain[..20], &plain[23..], &good]);
    add("slip-inserted", 0, 1, &[&good, &plain[..20], &[1, 2], &plain[20..], &good]);
    compare("damage.txt", &text);
}
