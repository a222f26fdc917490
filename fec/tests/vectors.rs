//! `fixtures/fec.txt`: known answers of the erasure codes. `HARDLINE_BLESS=1` writes them anew, which
//! would be a change of the wire format.
#![allow(missing_docs)]

use std::fmt::Write;

use fec::raptor::Encoder;
use fec::reed_solomon::ReedSolomon;
use fec::{Block, Code};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn known_answers() {
    let mut text =
        String::from("# Data and parity shards (PROTOCOL 6.2), source and repair symbols (6.3); one after the other.\n");
    for (data, parity, len) in [(3, 2, 4), (64, 24, 2)] {
        let mut bytes: Vec<u8> = (0..(data + parity) * len).map(|i| (i * 29 + 3) as u8).collect();
        let mut present = vec![true; data + parity];
        ReedSolomon::new(data, parity).unwrap().encode(&mut Block::new(&mut bytes, &mut present));
        writeln!(text, "reed-solomon-{data}-{parity}.data = {}", hex(&bytes[..data * len])).unwrap();
        writeln!(text, "reed-solomon-{data}-{parity} = {}", hex(&bytes[data * len..])).unwrap();
    }
    let source: Vec<u8> = (0..80u32).map(|i| (i * 29 + 3) as u8).collect();
    let encoder = Encoder::new(source.clone(), 8).unwrap();
    let mut repair = vec![0u8; 4 * 8];
    for (esi, out) in (10..).zip(repair.chunks_mut(8)) {
        encoder.symbol(esi, out);
    }
    writeln!(text, "raptorq-10.data = {}", hex(&source)).unwrap();
    writeln!(text, "raptorq-10 = {}", hex(&repair)).unwrap();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/fec.txt");
    if std::env::var_os("HARDLINE_BLESS").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), text);
}
