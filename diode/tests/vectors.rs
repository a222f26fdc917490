//! `fixtures/diode.txt`: records of the one-way mode. `HARDLINE_BLESS=1` writes them anew; what they
//! say is checked a second time by `fixtures/check.py`.
#![allow(missing_docs)]

use std::fmt::Write;

use diode::emitter::{self, Emitter};
use diode::noise::Pair;
use diode::object::{Config, Description, ObjectSender, Piece, Source};
use diode::receiver::{Event, Receiver};
use diode::seal::Sealing;
use diode::stream::StreamSender;
use diode::unseal::{Heard, Psk, Sender, Unlock};
use diode::wire::{Beacon, Body, Manifest, OPEN_END, Record, Shape, VERSION, write};
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
            u8::from(b.end) | u8::from(b.broken) << 1, b.version, b.session, b.counter, b.period_ms, b.survive_ms, b.shape.data, b.shape.parity, b.shape.depth, b.shape.len,
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
            "MANIFEST argument={} object={} transfer={} size={} symbol={} block={} repair={} modified={} sha256={} name={}",
            u8::from(m.message), m.object, m.transfer, m.size, m.symbol_len, m.block_symbols, m.repair, m.modified, hex(&m.sha256), hex(m.name.as_bytes())
        ),
    }
    .unwrap();
    text
}

/// The bytes 1 to 5.
struct Five;

impl Source for Five {
    type Error = std::convert::Infallible;
    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> Result<(), Self::Error> {
        out.copy_from_slice(&[1, 2, 3, 4, 5][offset as usize..][..out.len()]);
        Ok(())
    }
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
        version: VERSION,
        session,
        counter: 0x12_3456,
        period_ms: 1000,
        survive_ms: 2000,
        shape,
        stream_len: OPEN_END,
        datagrams: 7,
        objects: 3,
        end: false,
        broken: false,
    };
    add("beacon", &body(Record::Beacon(beacon)));
    add("beacon-end", &body(Record::Beacon(Beacon { end: true, stream_len: 5, shape: Shape::default(), ..beacon })));
    add("datum", &body(Record::Datum { number: 9, payload: b"21.5 C" }));
    add("shard", &body(Record::Shard { group: 1, place: 300, pieces: 0, offset: 143_400, payload: &[3, 0, 1, 2, 3] }));
    add("shard-parity", &body(Record::Shard { group: 1, place: 4161, pieces: 12, offset: 1, payload: &[9; 16] }));
    add("symbol", &body(Record::Symbol { object: 0xDEAD_BEEF, block: 2, symbol: 0x12_3456, payload: &[1, 2, 3, 4] }));
    // five bytes in symbols of four: the last is filled up
    let mut sender = ObjectSender::new(Config { symbol_len: 4, overhead_percent: 0, outage_symbols: 0, rounds: 1, start: 0 });
    let what = Description { name: "a".into(), size: 5, modified: 0, sha256: [0; 32], priority: 0 };
    sender.add(what, 1, Five);
    let mut payload = Vec::new();
    sender.symbol(0, 0, 1, &mut payload).unwrap();
    add("symbol-padded", &body(Record::Symbol { object: 0, block: 0, symbol: 1, payload: &payload }));
    let manifest = Manifest {
        object: 0xDEAD_BEEF,
        transfer: 0x0102_0304_0506_0708,
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
    add("beacon-broken", &body(Record::Beacon(Beacon { end: true, broken: true, ..beacon })));
    // what the frame says of the session, and what the beacon says
    let mut other = body(Record::Beacon(beacon));
    other[3] ^= 1;
    add("bad-session", &other);
    let mut long = body(Record::Beacon(beacon));
    long.push(0);
    add("bad-long", &long);
    let mut unended = body(Record::Beacon(beacon));
    unended[2] |= 2;
    add("bad-broken", &unended);
    add("bad-kind", &[0, 0, 0xD0, 1, 2, 3, 4, 5]);
    add("bad-cut", &body(Record::Beacon(beacon))[..40]);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/diode.txt");
    if std::env::var_os("HARDLINE_BLESS").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), text);
}

/// Bodies as they stand on a wire that carries nothing else: the frame counter goes from 0.
#[derive(Default)]
struct Bodies(Vec<String>);

impl Bodies {
    fn add(&mut self, record: &Record<'_>) {
        let mut out = vec![0; link::FRAME_MAX];
        let n = write(&mut out, self.0.len() as u64, SESSION, record, Level::Plain);
        self.0.push(hex(&out[4..n - 4]));
    }
}

/// The first copy of each datagram.
fn datagrams(lines: &[&[u8]]) -> Bodies {
    let (mut bodies, mut out) = (Bodies::default(), vec![0; link::FRAME_MAX]);
    let mut emitter = Emitter::<8, 64>::new(emitter::Config::for_baud(10_000_000, SESSION), NOW);
    let mut frame = |emitter: &mut Emitter<8, 64>, now| emitter.poll_transmit(&mut out, now).map(|n| out[4..n - 4].to_vec());
    assert!(frame(&mut emitter, NOW).is_some_and(|body| matches!(Body::parse(&body).unwrap().record, Record::Beacon(_))));
    for (number, line) in lines.iter().enumerate() {
        let now = link::Instant::from_micros(1000 * (number as u64 + 1));
        emitter.write(line, now).unwrap();
        let body = frame(&mut emitter, now).unwrap();
        bodies.add(&Body::parse(&body).unwrap().record);
    }
    bodies
}

/// Every shard of a stream: data in order, and the parity of each group behind it.
fn shards(shape: Shape, bytes: &[u8]) -> Bodies {
    let (mut bodies, mut taken) = (Bodies::default(), 0);
    let mut sender = StreamSender::new(shape, 0, NOW);
    while !sender.is_finished() || !sender.is_drained() {
        taken += sender.write(&bytes[taken..], NOW);
        if taken == bytes.len() && !sender.is_finished() {
            sender.finish(NOW);
        }
        while let Some(s) = sender.poll_shard(NOW) {
            let (group, place, pieces, offset) = (s.group, s.place, s.pieces, s.offset);
            bodies.add(&Record::Shard { group, place, pieces, offset, payload: &s.payload });
        }
    }
    bodies
}

/// Bytes in memory.
struct All(&'static [u8]);

impl Source for All {
    type Error = std::convert::Infallible;
    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> Result<(), Self::Error> {
        out.copy_from_slice(&self.0[offset as usize..][..out.len()]);
        Ok(())
    }
}

/// SHA-256 of an object: the second reader computes it anew.
fn sha256(bytes: &[u8]) -> [u8; 32] {
    let hash = match bytes.len() {
        0 => "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        5 => "74f81fe167d99b4cb41d6d0ccda82278caee9f3e2f25d5e5a3936ff3dcec60d0",
        8 => "66840dda154e8a113c31dd0ad32f7f3a366a80e8136979d8f5a101d3d29d6f72",
        _ => panic!("no such object"),
    };
    std::array::from_fn(|i| u8::from_str_radix(&hash[2 * i..2 * i + 2], 16).unwrap())
}

/// The manifest of an object and its source symbols.
fn object(bytes: &'static [u8], name: &str, symbol_len: u16) -> Bodies {
    let mut sender = ObjectSender::new(Config { symbol_len, overhead_percent: 0, outage_symbols: 0, rounds: 1, start: 0 });
    let what =
        Description { name: name.into(), size: bytes.len() as u64, modified: 1_795_000_000, sha256: sha256(bytes), priority: 0 };
    sender.add(what, 7, All(bytes));
    let (mut bodies, mut payload) = (Bodies::default(), Vec::new());
    bodies.add(&Record::Manifest(sender.manifest(0)));
    while let Some(piece) = sender.next_piece() {
        let Piece::Symbol { index, block, symbol } = piece else { continue };
        if u64::from(symbol) < (bytes.len() as u64).div_ceil(symbol_len.into()) {
            sender.symbol(index, block, symbol, &mut payload).unwrap();
            bodies.add(&Record::Symbol { object: 0, block, symbol, payload: &payload });
        }
    }
    bodies
}

/// `fixtures/cut.txt`: text, streams and objects, and the bodies that are made of them.
#[test]
fn cuts() {
    let mut text = String::from("# How text, a stream and an object are cut, and the bodies of it (PROTOCOL 5.2 to 5.4).\n");
    let mut add = |name: &str, says: &str, bodies: Bodies| {
        writeln!(text, "{name}.says = {says}").unwrap();
        writeln!(text, "{name} = {}", bodies.0.join(" ")).unwrap();
    };
    add("text", "text=6f6e650a0a74776f206c696e6573206f6e0a656e64", datagrams(&[b"one", b"", b"two lines on", b"end"]));
    add("text-ended", "text=6f6e650a", datagrams(&[b"one"]));
    let shape = Shape { data: 2, parity: 2, depth: 2, len: 6 };
    let bytes: Vec<u8> = (1..=18).collect();
    // a full group, and one that ends with half a piece in its first block
    add("stream", &format!("stream={} data=2 parity=2 depth=2 shard=6", hex(&bytes)), shards(shape, &bytes));
    add(
        "stream-one-block",
        &format!("stream={} data=2 parity=2 depth=1 shard=6", hex(&bytes)),
        shards(Shape { depth: 1, ..shape }, &bytes),
    );
    let given = |bytes: &[u8], name: &str| {
        format!("object={} name={} symbol=4 block=2 repair=5 modified=1795000000 transfer=7", hex(bytes), hex(name.as_bytes()))
    };
    add("object", &given(&[1, 2, 3, 4, 5], "a/b"), object(&[1, 2, 3, 4, 5], "a/b", 4));
    add("object-message", &given(&[1, 2, 3, 4, 5, 6, 7, 8], ""), object(&[1, 2, 3, 4, 5, 6, 7, 8], "", 4));
    add("object-empty", &given(&[], "e").replace("block=2", "block=1"), object(&[], "e", 4));
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/cut.txt");
    if std::env::var_os("HARDLINE_BLESS").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), text);
}

const NOW: link::Instant = link::Instant::from_micros(0);

/// What a receiver with these keys, that has heard frame `next - 1` of the session, says of a frame.
fn reads(unlock: Box<dyn Unlock + Send>, before: &[u8], wire: &[u8]) -> String {
    let mut receiver = Receiver::sealed(vec![Sender { unlock: vec![unlock], heard: Heard::default() }], NOW);
    receiver.handle_bytes(before, NOW);
    while receiver.poll_event().is_some() {}
    receiver.handle_bytes(wire, NOW);
    let counter = receiver.heard()[0].next.wrapping_sub(1);
    let mut body = None;
    while let Some(event) = receiver.poll_event() {
        match event {
            Event::Session(beacon) => {
                let mut out = vec![0; link::FRAME_MAX];
                let n = diode::wire::write(&mut out, beacon.counter, beacon.session, &Record::Beacon(beacon), Level::Plain);
                body = Some(out[4..n - 4].to_vec());
            }
            Event::Body(bytes) => body = Some(bytes),
            _ => {}
        }
    }
    body.map_or_else(|| "refused".into(), |body| format!("frame={counter} {}", says(&body)))
}

const SESSION: u64 = 0x0123_4567_89AB_CDEF;

fn sealed_beacon(counter: u64) -> Record<'static> {
    Record::Beacon(Beacon {
        version: VERSION,
        session: SESSION,
        counter,
        period_ms: 1000,
        survive_ms: 2000,
        shape: Shape { data: 64, parity: 24, depth: 65, len: 480 },
        stream_len: OPEN_END,
        datagrams: 7,
        objects: 3,
        end: false,
        broken: false,
    })
}

fn sealed_frame(counter: u64, record: &Record<'_>, level: Level, sealing: &Sealing) -> Vec<u8> {
    let mut out = vec![0; link::FRAME_MAX];
    let n = diode::seal::write(&mut out, counter, SESSION, record, level, Some(sealing));
    out.truncate(n);
    out
}

/// `fixtures/seal.txt`.
#[test]
fn sealed_frames() {
    let mut text =
        String::from("# Frames of sealed one-way sessions, and what who has these keys reads in them (PROTOCOL 5.6).\n");
    let mut add = |name: &str, given: &str, read: String, wire: &[u8]| {
        writeln!(text, "{name}.says = {given} : {read}").unwrap();
        writeln!(text, "{name} = {}", hex(wire)).unwrap();
    };
    let psk: [u8; 32] = std::array::from_fn(|i| i as u8);
    let key = || link::wire::seal::Key::from(psk);
    let by_psk = Sealing::psk(&key(), SESSION);
    let mut one = |name: &str, next: u64, wire: &[u8]| {
        let before = if next > 0 { sealed_frame(next - 1, &sealed_beacon(next - 1), Level::Plain, &by_psk) } else { Vec::new() };
        let given = format!("psk={} session={SESSION} next={next}", hex(&psk));
        add(name, &given, reads(Box::new(Psk(key())), &before, wire), wire);
    };
    let datum = Record::Datum { number: 9, payload: b"21.5 C" };
    let symbol = Record::Symbol { object: 0xDEAD_BEEF, block: 2, symbol: 0x12_3456, payload: &[1, 2, 3, 4] };
    let shard = Record::Shard { group: 1, place: 300, pieces: 0, offset: 143_400, payload: &[9; 100] };
    one("beacon-psk", 0, &sealed_frame(0x12_3456, &sealed_beacon(0x12_3456), Level::Plain, &by_psk));
    let good = sealed_frame(2, &datum, Level::Plain, &by_psk);
    one("datum", 1, &good);
    one("shard-late", 0xFF_FFFE, &sealed_frame(0x100_0005, &shard, Level::Plain, &by_psk));
    one("symbol-armoured", 1, &sealed_frame(5, &symbol, Level::Two, &by_psk));
    // the same with right checks: a wrong seal, another head word, another counter
    let again = |body: &[u8], sealed: bool, level: Level| {
        let mut out = vec![0; link::FRAME_MAX];
        let at = link::wire::frame::body_at(level);
        out[at..at + body.len()].copy_from_slice(body);
        let n = link::wire::write_frame(&mut out, link::wire::Head { len: body.len(), level, sealed }, link::wire::Binding::NONE);
        out[..n].to_vec()
    };
    let mut body = good[4..good.len() - 4].to_vec();
    one("bad-plain", 1, &again(&body, false, Level::Plain));
    one("bad-level", 1, &again(&body, true, Level::Two));
    *body.last_mut().unwrap() ^= 1;
    one("bad-seal", 1, &again(&body, true, Level::Plain));
    *body.last_mut().unwrap() ^= 1;
    body[0] += 1;
    one("bad-counter", 1, &again(&body, true, Level::Plain));
    let public = |secret: [u8; 32]| curve25519_dalek::MontgomeryPoint::mul_base_clamped(secret).to_bytes();
    let (a, b, seed, ephemeral) = ([0xA1; 32], [0xB2; 32], [0xC3; 32], [0xD4; 32]);
    for (name, with) in [("beacon-k", None), ("beacon-kpsk0", Some(psk))] {
        let sealing = Pair::new(a, public(b), with).sealing(SESSION, &seed, Some(&ephemeral)).unwrap();
        let wire = sealed_frame(7, &sealed_beacon(7), Level::Plain, &sealing);
        let psk = with.map_or_else(String::new, |psk| format!("psk={} ", hex(&psk)));
        let given = format!("{psk}secret={} peer={} session={SESSION} next=0", hex(&b), hex(&public(a)));
        add(name, &given, reads(Box::new(Pair::new(b, public(a), with)), &[], &wire), &wire);
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/seal.txt");
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
