//! Plans: the same symbols with them as without, from a table that does not grow.
#![allow(missing_docs)]

use fec::raptor::{Encoder, PLANNED, Plans};

/// A block of `symbols` symbols of 4 bytes.
fn data(symbols: usize) -> Vec<u8> {
    (0..symbols * 4).map(|i| (i * 7) as u8).collect()
}

fn repair(encoder: &Encoder) -> Vec<[u8; 4]> {
    let symbols = encoder.symbols() as u32;
    (symbols..symbols + 5)
        .map(|esi| {
            let mut out = [0; 4];
            encoder.symbol(esi, &mut out);
            out
        })
        .collect()
}

/// What `Debug` of the plans lists.
fn kept(plans: &Plans) -> Vec<usize> {
    let text = format!("{plans:?}");
    text.trim_matches(['[', ']']).split(", ").map(|n| n.parse().unwrap()).collect()
}

#[test]
fn a_plan_in_use_again_gives_the_symbols_of_a_new_one() {
    let mut plans = Plans::default();
    for symbols in [10, 300, 10, 1, 300, 10] {
        let planned = plans.encoder(data(symbols), 4).unwrap();
        assert_eq!(repair(&planned), repair(&Encoder::new(data(symbols), 4).unwrap()), "{symbols} symbols");
    }
    assert_eq!(kept(&plans), [10, 300, 1]);
}

#[test]
fn plans_are_bounded_by_their_symbols_together() {
    let mut plans = Plans::default();
    let sizes: Vec<usize> = (1..16).map(|i| i * 1000).collect();
    for symbols in &sizes {
        plans.encoder(data(*symbols), 4).unwrap();
    }
    let kept = kept(&plans);
    assert!(kept.iter().sum::<usize>() <= PLANNED, "{kept:?}");
    // those used last, and no fewer than there is room for
    assert!(kept.iter().eq(sizes.iter().rev().take(kept.len())), "{kept:?}");
    assert!(kept.iter().sum::<usize>() + sizes[sizes.len() - kept.len() - 1] > PLANNED, "{kept:?}");
}
