//! `fixtures/diode.txt`: records of the one-way mode. `HARDLINE_BLESS=1` writes them anew; what they
//! say is checked a second time by `fixtures/check.py`.
#![allow(missing_docs)]

use std::fmt::Write;

use diode::wire::{Beacon, Body, Manifest, OPEN_END, Record, Shape, write};
use link::wire::Level;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn says(bytes: &[u8]) -> String {
    let Some(body) = Body::parse(bytes) else { return "malformed".into() };
    let mut text = format!("counter={} session={} ", body.counter, body.session_tag);
    match body.record {
        Record::Beacon(b) => write!(
            text,
            "BEACON argument={} version={} session={} counter={} period={} survive={} data={} parity={} depth={} shard={} length={} datagrams={} objects={}",
            u8::from(b.end), b.version, b.session, b.counter, b.period_ms, b.survive_ms, b.shape.data, b.shape.parity, b.shape.depth, b.shape.len,
            b.stream_len, b.datagrams, b.objects),
        Record::Datum { number, payload } => write!(text, "DATUM argument=0 number={number} payload={}", hex(payload)),
        Record::Shard { group, place, pieces, offset, payload } => {
            write!(text, "SHARD argument=0 group={group} place={place} pieces={pieces} offset={offset} payload={}", hex(payload))
        }
        Record::Symbol { object, block, symbol, payload } => {
            write!(text, "SYMBOL argument=0 object={object} block={block} symbol={symbol} payload={}", hex(payload))
        }
        Record::Manifest(m) => write!(
            text,
            "MANIFEST argument={} object={} size={} symbol={} block={} repair={} modified={} sha256={} name={}",
            u8::from(m.message), m.object, m.size, m.symbol_len, m.block_symbols, m.repair, m.modified, hex(&m.sha256), hex(m.name.as_bytes())
        ),
    }
    .unwrap();
    text
}

#[test]
fn records() {
    let mut text = String::from("# Bodies of the one-way mode and what they say (PROTOCOL 5).\n");
    let mut add = |name: &str, body: &[u8]| {
        writeln!(text, "{name}.says = {}", says(body)).unwrap();
        writeln!(text, "{name} = {}", hex(body)).unwrap();
    };
    let session = 0x0123_4567_89AB_CDEF;
    let body = |record: Record<'_>| {
        let mut out = vec![0; link::FRAME_MAX];
        let n = write(&mut out, 0x12_3456, session, &record, Level::Plain);
        out[4..n - 4].to_vec()
    };
    let shape = Shape { data: 64, parity: 24, depth: 65, len: 480 };
    let beacon = Beacon {
        version: 1,
        session,
        counter: 0x12_3456,
        period_ms: 1000,
        survive_ms: 2000,
        shape,
        stream_len: OPEN_END,
        datagrams: 7,
        objects: 3,
        end: false,
    };
    add("beacon", &body(Record::Beacon(beacon)));
    add("beacon-end", &body(Record::Beacon(Beacon { end: true, stream_len: 5, shape: Shape::default(), ..beacon })));
    add("datum", &body(Record::Datum { number: 9, payload: b"21.5 C" }));
    add("shard", &body(Record::Shard { group: 1, place: 300, pieces: 0, offset: 143_400, payload: &[3, 0, 1, 2, 3] }));
    add("shard-parity", &body(Record::Shard { group: 1, place: 4161, pieces: 12, offset: 1, payload: &[9; 16] }));
    add("symbol", &body(Record::Symbol { object: 0xDEAD_BEEF, block: 2, symbol: 0x12_3456, payload: &[1, 2, 3, 4] }));
    let manifest = Manifest {
        object: 0xDEAD_BEEF,
        size: 1_000_000,
        symbol_len: 480,
        block_symbols: 2084,
        repair: 1100,
        modified: 1_795_000_000,
        sha256: [0x5A; 32],
        message: false,
        name: "backup/Ä.tar",
    };
    add("manifest", &body(Record::Manifest(manifest)));
    add("manifest-message", &body(Record::Manifest(Manifest { message: true, name: "", ..manifest })));
    add("bad-kind", &[0, 0, 0xD0, 1, 2, 3, 4, 5]);
    add("bad-cut", &body(Record::Beacon(beacon))[..40]);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/diode.txt");
    if std::env::var_os("HARDLINE_BLESS").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), text);
}

/// Nothing that comes from the wire can panic.
#[test]
fn random_bodies_are_read_or_refused() {
    let mut random = link::sim::Random::new(4);
    let mut records = diode::stream::StreamReceiver::new(Shape { data: 3, parity: 2, depth: 2, len: 20 });
    for _ in 0..200_000 {
        let mut bytes: Vec<u8> = (0..random.below(120)).map(|_| random.bits() as u8).collect();
        if bytes.len() > 2 {
            bytes[2] = [0x80, 0x81, 0x90, 0xA0, 0xB0, 0xC0, 0xC1][random.below(7) as usize];
        }
        if let Some(Body { record: Record::Shard { group, place, pieces, offset, payload }, .. }) = Body::parse(&bytes) {
            records.handle_shard(group % 8, place % 12, pieces % 8, offset, &payload[..payload.len().min(20)]);
            while records.poll_out().is_some() {}
        }
    }
}
