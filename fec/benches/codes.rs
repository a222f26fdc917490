//! MB/s of source data per code: `cargo bench -p fec`. Decoding repairs as much as the code can.
#![allow(missing_docs)]

use std::hint::black_box;
use std::time::Instant;

use fec::byte_rs::{self, Parity};
use fec::raptor::{Decoder, Plans};
use fec::reed_solomon::ReedSolomon;
use fec::{Block, Code};

/// Median of 5 windows of at least 100 ms, in MB/s.
fn rate(bytes: usize, mut one: impl FnMut()) -> f64 {
    let mut rates: Vec<f64> = (0..5)
        .map(|_| {
            let (began, mut n) = (Instant::now(), 0);
            while began.elapsed().as_millis() < 100 {
                one();
                n += 1;
            }
            (n * bytes) as f64 / began.elapsed().as_secs_f64() / 1e6
        })
        .collect();
    rates.sort_by(f64::total_cmp);
    rates[2]
}

fn block(data: usize, parity: usize, len: usize) {
    let code = ReedSolomon::new(data, parity).unwrap();
    let (mut bytes, mut present) = (vec![0x5A; (data + parity) * len], vec![true; data + parity]);
    let encode = rate(data * len, || code.encode(&mut Block::new(black_box(&mut bytes), &mut present)));
    let decode = rate(data * len, || {
        present[..parity.min(data)].fill(false);
        code.recover(&mut Block::new(black_box(&mut bytes), &mut present)).unwrap();
    });
    println!("Reed-Solomon {data}+{parity} x {len:<12} {encode:>8.0} {decode:>8.0}");
}

fn raptor(symbols: usize, len: u16) {
    let data = vec![0x5A; symbols * usize::from(len)];
    let mut plans = Plans::default();
    let encode = rate(data.len(), || {
        black_box(plans.encoder(black_box(data.clone()), len).unwrap());
    });
    let encoder = plans.encoder(data.clone(), len).unwrap();
    let lost = symbols / 10;
    let packets: Vec<Vec<u8>> = (lost..symbols + lost + 3)
        .map(|esi| {
            let mut out = vec![0; usize::from(len)];
            encoder.symbol(esi as u32, &mut out);
            out
        })
        .collect();
    let decode = rate(data.len(), || {
        let mut decoder = Decoder::new(symbols, len).unwrap();
        let whole = packets.iter().zip(lost..).find_map(|(p, esi)| decoder.add(esi as u32, p));
        black_box(whole.unwrap());
    });
    println!("RaptorQ {symbols} x {len}, 10 % lost {encode:>12.0} {decode:>8.0}");
}

fn inner(code: Parity) {
    let data = 255 - code.bytes();
    let mut word = [0x5Au8; 255];
    let encode = rate(data, || {
        let (data, parity) = word.split_at_mut(255 - code.bytes());
        byte_rs::encode(code, black_box(&*data).iter().copied(), parity);
    });
    let good = word;
    let decode = rate(data, || {
        let mut bad = good;
        for i in 0..code.repairs() {
            bad[i * 11] ^= 0xFF;
        }
        byte_rs::correct(code, black_box(&mut bad)).unwrap();
    });
    println!("byte Reed-Solomon, {:>2} wrong of 255 {encode:>8.0} {decode:>8.0}", code.repairs());
}

fn main() {
    println!("{:<34} {:>8} {:>8}", "MB/s of source data", "encode", "decode");
    for (data, parity, len) in [(64, 12, 1024), (64, 24, 512), (64, 64, 256)] {
        block(data, parity, len);
    }
    raptor(1000, 1024);
    raptor(16_000, 512);
    for code in [Parity::P2, Parity::P8, Parity::P32] {
        inner(code);
    }
}
