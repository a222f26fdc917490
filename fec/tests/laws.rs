//! What every erasure code must keep to, for every code in the list.
#![allow(missing_docs)]

use fec::raptor::RaptorQ;
use fec::reed_solomon::ReedSolomon;
use fec::repeat::Repeat;
use fec::{Block, Code, TooFew};

fn codes() -> Vec<Box<dyn Code>> {
    let mut codes: Vec<Box<dyn Code>> = Vec::new();
    for copies in [0, 1, 7] {
        codes.push(Box::new(Repeat::new(copies).unwrap()));
    }
    for (data, parity) in [(1, 1), (3, 2), (10, 5), (64, 24), (200, 55)] {
        codes.push(Box::new(ReedSolomon::new(data, parity).unwrap()));
    }
    for (data, parity) in [(1, 6), (10, 8), (64, 24)] {
        codes.push(Box::new(RaptorQ::new(data, parity).unwrap()));
    }
    codes
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }
}

fn encoded(code: &dyn Code, len: usize, random: &mut Random) -> (Vec<u8>, Vec<bool>) {
    let shards = code.data_shards() + code.parity_shards();
    let (mut bytes, mut present) = (vec![0u8; shards * len], vec![false; shards]);
    for byte in &mut bytes[..code.data_shards() * len] {
        *byte = random.below(256) as u8;
    }
    present[..code.data_shards()].fill(true);
    code.encode(&mut Block::new(&mut bytes, &mut present));
    assert!(present.iter().all(|p| *p));
    (bytes, present)
}

/// Takes away all but `keep` shards, and overwrites what is gone.
fn lose(bytes: &mut [u8], present: &mut [bool], len: usize, keep: usize, random: &mut Random) {
    let mut left = present.len();
    while left > keep {
        let i = random.below(present.len());
        if present[i] {
            present[i] = false;
            bytes[i * len..(i + 1) * len].fill(0xEE);
            left -= 1;
        }
    }
}

#[test]
fn any_allowed_loss_is_repaired() {
    let mut random = Random(1);
    for code in codes() {
        for len in [1, 16, 301] {
            for _ in 0..10 {
                let (good, all) = encoded(&*code, len, &mut random);
                let (mut bytes, mut present) = (good.clone(), all);
                let keep = (code.data_shards() + code.surplus()).min(present.len());
                lose(&mut bytes, &mut present, len, keep, &mut random);
                code.recover(&mut Block::new(&mut bytes, &mut present)).unwrap();
                let data = code.data_shards() * len;
                assert!(bytes[..data] == good[..data], "code {} {}+{}", code.id(), code.data_shards(), code.parity_shards());
            }
        }
    }
}

#[test]
fn one_loss_too_many_is_refused_and_alters_nothing() {
    let mut random = Random(2);
    for code in codes() {
        let len = 33;
        let (good, all) = encoded(&*code, len, &mut random);
        let (mut bytes, mut present) = (good, all);
        lose(&mut bytes, &mut present, len, code.data_shards() - 1, &mut random);
        let (before, there) = (bytes.clone(), present.clone());
        assert_eq!(code.recover(&mut Block::new(&mut bytes, &mut present)), Err(TooFew));
        for i in (0..present.len()).filter(|&i| there[i]) {
            assert!(bytes[i * len..(i + 1) * len] == before[i * len..(i + 1) * len]);
        }
        assert_eq!(present, there);
    }
}

#[test]
fn what_no_code_can_do_is_refused() {
    assert!(Repeat::new(255).is_err());
    assert!(ReedSolomon::new(0, 1).is_err() && ReedSolomon::new(1, 0).is_err() && ReedSolomon::new(200, 56).is_err());
    assert!(RaptorQ::new(0, 1).is_err() && RaptorQ::new(255, 1).is_err());
    assert!(fec::raptor::Encoder::new(vec![0; 56_404], 1).is_err() && fec::raptor::Encoder::new(vec![], 1).is_err());
}

#[test]
fn a_rateless_block_is_recovered_from_repair_symbols_alone() {
    let mut random = Random(3);
    for symbols in [1usize, 2, 50, 1000] {
        let data: Vec<u8> = (0..symbols * 16 - 5).map(|_| random.below(256) as u8).collect();
        let encoder = fec::raptor::Encoder::new(data.clone(), 16).unwrap();
        let mut decoder = fec::raptor::Decoder::new(symbols, 16).unwrap();
        let (mut symbol, mut esi, mut whole) = ([0u8; 16], symbols as u32, None);
        while whole.is_none() {
            encoder.symbol(esi, &mut symbol);
            assert!(decoder.add(esi, &symbol[..15]).is_none(), "a wrong length is ignored");
            whole = decoder.add(esi, &symbol);
            assert!(whole.is_some() || decoder.add(esi, &symbol).is_none(), "a copy is ignored");
            esi += 1;
            assert!(esi < 2 * symbols as u32 + 10);
        }
        assert!(whole.unwrap()[..data.len()] == data);
    }
}
