//! The one-way mode on a virtual line: seeded noise and outages, no clock.
#![allow(missing_docs)]

use diode::datagrams::Datagrams;
use diode::emitter::{COPIES, Config, Emitter};
use diode::object::{self, Description, Ledger, ObjectSender, Piece, Source};
use diode::receiver::{Event, Receiver};
use diode::stream::{Out, StreamReceiver, StreamSender, shape};
use diode::wire::{Body, Record};
use link::sim::{Noise, NoiseConfig, Random};
use link::wire::Level;
use link::{FRAME_MAX, Instant};

/// What the line does to a frame: noise always, nothing at all during the outage.
fn carry(noise: &mut Noise, frame: &[u8], now: Instant, outage: (u64, u64)) -> Vec<u8> {
    let mut out = Vec::new();
    if now.as_micros() < outage.0 || now.as_micros() >= outage.1 {
        frame.iter().for_each(|&b| noise.pass(b, |b| out.push(b)));
    }
    out
}

/// Lines at a fixed rate; returns (delivered, gaps).
fn telemetry(seed: u64, ber: f64, outage: (u64, u64)) -> (u64, Vec<(u32, u32)>) {
    let mut noise = Noise::new(NoiseConfig { ber, ..NoiseConfig::default() }, seed);
    let mut now = Instant::from_micros(0);
    let mut emitter: Emitter<64, 64> = Emitter::new(Config::for_baud(115_200, seed + 1), now);
    let (mut receiver, mut numbers, mut frame) = (Receiver::new(now), Datagrams::default(), [0u8; 256]);
    let (mut made, mut end) = (0u32, 0);
    while end == 0 || now.as_micros() < end {
        if made < 200 && now.as_micros() >= u64::from(made) * 50_000 {
            emitter.write(format!("reading {made}").as_bytes(), now).unwrap();
            made += 1;
        }
        if made == 200 && end == 0 && emitter.is_drained() {
            emitter.finish(now);
            end = now.as_micros() + 3_500_000;
        }
        while let Some(n) = emitter.poll_transmit(&mut frame, now) {
            receiver.handle_bytes(&carry(&mut noise, &frame[..n], now, outage), now);
        }
        receiver.handle_timeout(now);
        while let Some(event) = receiver.poll_event() {
            if let Event::Body(bytes) = event
                && let Record::Datum { number, payload } = Body::parse(&bytes).unwrap().record
                && numbers.is_new(number)
            {
                assert_eq!(payload, format!("reading {number}").as_bytes());
            }
        }
        now = now.after(1_000);
    }
    let gaps = numbers.give_up(200);
    (numbers.delivered(), gaps)
}

#[test]
fn telemetry_survives_noise_and_an_outage() {
    for seed in 0..20 {
        assert_eq!(telemetry(seed, 1e-5, (3_000_000, 5_000_000)), (200, vec![]), "seed {seed}");
    }
}

#[test]
fn telemetry_says_what_it_lost() {
    // an outage far beyond what was asked for
    let (delivered, gaps) = telemetry(1, 0.0, (3_000_000, 9_000_000));
    let lost: u32 = gaps.iter().map(|g| g.1 - g.0 + 1).sum();
    assert!(lost > 30 && u64::from(lost) + delivered == 200, "{delivered} {gaps:?}");
}

/// Sends `len` bytes as a stream; returns what came out.
fn stream(seed: u64, ber: f64, outage: (u64, u64), len: usize) -> (Vec<u8>, Vec<Out>) {
    let rate = 200_000u32;
    let survive_us = 1_000_000;
    let shape = shape(64, 24, 480, rate / 500);
    let mut noise = Noise::new(NoiseConfig { ber, ..NoiseConfig::default() }, seed);
    let (mut now, mut frame) = (Instant::from_micros(0), vec![0u8; FRAME_MAX]);
    let mut sender = StreamSender::new(shape, survive_us, now);
    let (mut receiver, mut taken) = (StreamReceiver::new(shape), Receiver::new(now));
    let mut pace = link::Pace::new(rate, 2_000);
    let mut random = Random::new(7);
    let data: Vec<u8> = (0..len).map(|_| random.bits() as u8).collect();
    let (mut at, mut counter, mut out) = (0, 0, Vec::new());
    // a beacon, so that the receiver knows the session
    let beacon = Record::Beacon(diode::wire::Beacon {
        version: diode::wire::VERSION,
        session: 9,
        counter: 0,
        period_ms: 60_000,
        survive_ms: 1000,
        shape,
        stream_len: u64::MAX,
        datagrams: 0,
        objects: 0,
        end: false,
        broken: false,
    });
    let n = diode::wire::write(&mut frame, 0, 9, &beacon, Level::Plain);
    taken.handle_bytes(&frame[..n], now);
    while !(sender.is_finished() && sender.is_drained()) {
        at += sender.write(&data[at..], now);
        if at == len && !sender.is_finished() {
            sender.finish(now);
        }
        while pace.ready(now) {
            let Some(shard) = sender.poll_shard(now) else { break };
            counter += 1;
            let record = Record::Shard {
                group: shard.group,
                place: shard.place,
                pieces: shard.pieces,
                offset: shard.offset,
                payload: &shard.payload,
            };
            let n = diode::wire::write(&mut frame, counter, 9, &record, Level::Plain);
            pace.take(n, now);
            taken.handle_bytes(&carry(&mut noise, &frame[..n], now, outage), now);
        }
        while let Some(event) = taken.poll_event() {
            if let Event::Body(bytes) = event
                && let Record::Shard { group, place, pieces, offset, payload } = Body::parse(&bytes).unwrap().record
            {
                receiver.handle_shard(group, place, pieces, offset, payload);
            }
        }
        now = now.after(500);
    }
    receiver.finish(Some(len as u64));
    while let Some(one) = receiver.poll_out() {
        out.push(one);
    }
    (data, out)
}

fn bytes(out: &[Out]) -> Vec<u8> {
    out.iter().flat_map(|o| if let Out::Bytes(b) = o { b.clone() } else { vec![] }).collect()
}

#[test]
fn streams_survive_noise_and_an_outage_anywhere() {
    for seed in 0..10u64 {
        let start = 300_000 + seed * 400_000;
        let (data, out) = stream(seed, 1e-5, (start, start + 1_000_000), 600_000);
        assert!(bytes(&out) == data, "seed {seed}: {} of {}", bytes(&out).len(), data.len());
    }
    for len in [0, 1, 500, 10_000] {
        let (data, out) = stream(1, 1e-5, (10_000, 900_000), len);
        assert!(bytes(&out) == data, "{len} bytes");
    }
}

#[test]
fn streams_tell_their_gaps() {
    let (data, out) = stream(1, 0.0, (300_000, 2_800_000), 600_000);
    assert!(out.iter().any(|o| matches!(o, Out::Gap { .. })));
    // what is there and what is told as lost make up the whole, each byte in its place
    let mut at = 0;
    for one in &out {
        match one {
            Out::Bytes(b) => {
                assert!(*b == data[at..at + b.len()]);
                at += b.len();
            }
            Out::Gap { offset, bytes } => {
                assert_eq!(*offset, at as u64);
                at += *bytes as usize;
            }
        }
    }
    assert_eq!(at, data.len());
}

struct Memory(Vec<u8>);

impl Source for Memory {
    type Error = core::convert::Infallible;
    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> Result<(), Self::Error> {
        out.copy_from_slice(&self.0[offset as usize..offset as usize + out.len()]);
        Ok(())
    }
}

fn config(symbol_len: u16, rounds: u32) -> object::Config {
    object::Config { symbol_len, overhead_percent: 15, outage_symbols: 100, rounds, start: 0 }
}

/// Who asks before it writes loses nothing, keeps the order, and no copy is given up, whatever the wire carries.
#[test]
fn an_emitter_that_is_asked_gives_nothing_up() {
    for (baud, survive_us) in [(2_400, 2_000_000), (115_200, 50_000), (2_000_000, 2_000_000)] {
        let mut now = Instant::from_micros(0);
        let config = Config { survive_us, ..Config::for_baud(baud, 1) };
        let mut emitter: Emitter<16, 8> = Emitter::new(config, now);
        let (mut made, mut copies, mut newest, mut frame) = (0u32, vec![0u8; 300], None, [0u8; 256]);
        while made < 300 || !emitter.is_drained() {
            while made < 300 && emitter.is_writable() {
                assert_eq!(emitter.write(&made.to_le_bytes(), now), Ok(made));
                assert!(!emitter.is_writable(), "it has not been sent once");
                made += 1;
            }
            if let Some(n) = emitter.poll_transmit(&mut frame, now) {
                let mut deframer = link::wire::Deframer::default();
                deframer.push(&frame[..n]);
                let body = deframer.next_frame().unwrap();
                if let Record::Datum { number, payload } = Body::parse(body.body).unwrap().record {
                    assert_eq!(payload, number.to_le_bytes());
                    let first = copies[number as usize] == 0;
                    copies[number as usize] += 1;
                    assert!(!first || newest.replace(number).is_none_or(|n| n + 1 == number), "the order is kept");
                }
            } else {
                now = emitter.poll_timeout().max(now.after(1));
            }
        }
        assert!(copies.iter().all(|n| *n == COPIES), "{baud} baud: {copies:?}");
        assert_eq!(emitter.stats().cut_short, 0);
    }
}

/// What reaches a receiver of one frame after the other.
#[derive(Default)]
struct Came {
    manifests: std::collections::BTreeSet<u32>,
    /// Different symbols of each block.
    symbols: std::collections::BTreeMap<(u32, u16), std::collections::BTreeSet<u32>>,
}

/// Sends objects of these sizes on a wire that loses a frame with chance `loss`, and all of `outage` (frames of a symbol);
/// returns what did not come whole, and the length of the sending in frames of a symbol.
fn objects(sizes: &[usize], config: object::Config, random: &mut Random, loss: f64, outage: (u64, u64)) -> (Vec<usize>, u64) {
    let mut sender = ObjectSender::new(config);
    let numbers: Vec<_> =
        sizes.iter().enumerate().map(|(i, n)| sender.add(describe(&i.to_string(), *n), i as u64, Memory(Vec::new()))).collect();
    let (mut came, mut at) = (Came::default(), 0u64);
    let symbol_len = link::wire::frame::frame_len(diode::wire::SYMBOL_HEAD + usize::from(config.symbol_len), Level::Plain) as u64;
    while let Some(piece) = sender.next_piece() {
        let (index, len) = match &piece {
            Piece::Manifest(index) => (*index, diode::wire::MANIFEST_HEAD as u64 + 10),
            Piece::Symbol { index, .. } => (*index, symbol_len),
        };
        let (from, to) = (outage.0 * symbol_len, outage.1 * symbol_len);
        let lost = (at < to && at + len > from) || random.chance(loss);
        at += len;
        let object = sender.manifest(index).object;
        match piece {
            _ if lost => {}
            Piece::Manifest(_) => drop(came.manifests.insert(object)),
            Piece::Symbol { block, symbol, .. } => drop(came.symbols.entry((object, block)).or_default().insert(symbol)),
        }
        while sender.take_done().is_some() {}
    }
    let whole = |object: u32, size: usize| {
        let symbols = size.div_ceil(usize::from(config.symbol_len)) as u32;
        let mut ledger = Ledger::default();
        came.symbols.get(&(object, 0)).into_iter().flatten().for_each(|s| _ = ledger.note(*s, symbols));
        came.manifests.contains(&object) && (size == 0 || ledger.is_enough(symbols))
    };
    let missing = numbers.iter().zip(sizes).filter(|(object, size)| !whole(**object, **size)).map(|(_, size)| *size);
    (missing.collect(), at / symbol_len)
}

/// Whatever is sent together, an outage of the length that is to be survived takes nothing, wherever it falls; noise
/// on top of it takes nothing either.
#[test]
fn objects_of_any_size_survive_an_outage_anywhere() {
    let mut lost = 0;
    for seed in 0..1_000u64 {
        let mut random = Random::new(seed);
        let some = 1 + random.below(40) as usize;
        let sizes: Vec<usize> = (0..some).map(|_| [0, 1, 8, 480, 5_000, 60_000, 200_000][random.below(7) as usize]).collect();
        let config = object::Config { outage_symbols: 20 + random.below(800) as u32, ..config(480, 1 + random.below(2) as u32) };
        let (missing, len) = objects(&sizes, config, &mut random, 0.0, (0, 0));
        assert!(missing.is_empty(), "seed {seed}: {missing:?} without any loss");
        let outage = u64::from(config.outage_symbols);
        let from = random.below(len.saturating_sub(outage / 2).max(1));
        let (missing, _) = objects(&sizes, config, &mut random, 0.0, (from, from + outage));
        assert!(missing.is_empty(), "seed {seed}: {missing:?} of {sizes:?}, outage of {outage} at {from} of {len}");
        // 1e-5
        lost += objects(&sizes, config, &mut random, 0.04, (from, from + outage)).0.len();
    }
    assert_eq!(lost, 0, "of some 20,000 objects");
}

/// The empty file among others, and the last one of all, in the noise of the harsh profile.
#[test]
fn the_empty_object_is_as_safe_as_the_others() {
    let profile = diode::profile::HARSH;
    let config = object::Config {
        symbol_len: profile.payload,
        overhead_percent: profile.overhead_percent,
        outage_symbols: 200_000 * profile.survive_ms / 1000 / 240,
        rounds: 1,
        start: 0,
    };
    let mut lost = Vec::new();
    for seed in 0..50 {
        // a frame of 240 bytes at 1e-4
        lost.extend(objects(&[300, 0, 20_000, 0], config, &mut Random::new(seed), 0.18, (0, 0)).0);
    }
    assert!(lost.is_empty(), "{lost:?}");
}

/// Small files share the time an outage could take; alone or together they are done in about that.
#[test]
fn small_objects_share_the_outage() {
    let config = object::Config { outage_symbols: 800, ..config(480, 1) };
    let alone = objects(&[8], config, &mut Random::new(1), 0.0, (0, 0)).1;
    let thirty = objects(&[8; 30], config, &mut Random::new(1), 0.0, (0, 0)).1;
    let thousand = objects(&[8; 1000], config, &mut Random::new(1), 0.0, (0, 0)).1;
    println!("frames of a symbol: 1 file {alone}, 30 files {thirty}, 1000 files {thousand}");
    assert!((800..900).contains(&alone) && thirty < 1_300 && thousand < 20_000, "{alone} {thirty} {thousand}");
}

/// In every round all objects are announced and sent again, one round after the other.
#[test]
fn a_later_round_has_everything_again() {
    let sizes = [0, 8, 100_000];
    let config = object::Config { outage_symbols: 50, ..config(480, 3) };
    let (missing, len) = objects(&sizes, config, &mut Random::new(1), 0.0, (0, 0));
    assert!(missing.is_empty());
    // the receiver comes when two thirds are over
    let (missing, _) = objects(&sizes, config, &mut Random::new(1), 0.0, (0, len * 2 / 3));
    assert!(missing.is_empty(), "{missing:?}");
}

fn describe(name: &str, size: usize) -> Description {
    Description { name: name.into(), size: size as u64, modified: 0, sha256: [size as u8; 32], priority: 0 }
}

/// Objects of several sizes at once, a quarter of all frames lost: all of them are recovered.
#[test]
fn objects_are_recovered_from_what_comes() {
    let mut random = Random::new(3);
    let mut sender = ObjectSender::new(config(100, 2));
    let mut data = std::collections::BTreeMap::new();
    for (name, size) in [("empty", 0), ("one", 1), ("small", 5_000), ("large", 700_000)] {
        let bytes: Vec<u8> = (0..size).map(|_| random.bits() as u8).collect();
        data.insert(sender.add(describe(name, size), 7, Memory(bytes.clone())), bytes);
    }
    let mut decoders = std::collections::BTreeMap::new();
    let (mut done, mut manifests, mut symbol) = (std::collections::BTreeMap::new(), 0, Vec::new());
    while let Some(piece) = sender.next_piece() {
        match piece {
            Piece::Manifest(_) => manifests += 1,
            Piece::Symbol { index, block, symbol: number } => {
                let manifest = sender.manifest(index);
                let (object, symbols) = (manifest.object, manifest.symbols(u64::from(block)) as usize);
                sender.symbol(index, block, number, &mut symbol).unwrap();
                if random.chance(0.75) && !done.contains_key(&object) {
                    let decoder = decoders.entry(object).or_insert_with(|| fec::raptor::Decoder::new(symbols, 100).unwrap());
                    if let Some(whole) = decoder.add(number, &symbol) {
                        done.insert(object, whole);
                    }
                }
            }
        }
        while sender.take_done().is_some() {}
    }
    assert!(manifests > 4);
    for (object, bytes) in data {
        let whole = done.get(&object).map_or(&[][..], |w| &w[..bytes.len()]);
        assert!(whole == bytes, "{} bytes", bytes.len());
    }
}

/// 16 MB at 2 Mbps and a bit error rate of 1e-5: what had to be sent until the object was whole,
/// above its own symbols. And the same with a 1 s outage anywhere, default profile.
#[test]
fn a_large_object_needs_little_more_than_itself() {
    let profile = diode::profile::INDUSTRIAL;
    let frame = diode::wire::SYMBOL_HEAD + usize::from(profile.payload) + 8;
    let spoiled = 1.0 - (1.0 - 1e-5f64).powi(8 * frame as i32);
    let symbols = 16_000_000u32.div_ceil(u32::from(profile.payload));
    let per_second = 200_000 / frame as u32;
    let config = object::Config {
        symbol_len: profile.payload,
        overhead_percent: profile.overhead_percent,
        outage_symbols: per_second * profile.survive_ms / 1000,
        rounds: 1,
        start: 0,
    };
    let mut worst = 0.0f64;
    for seed in 0..1000u64 {
        let mut random = Random::new(seed);
        let outage = random.below(u64::from(symbols)) as u32;
        for cut in [false, true] {
            let (mut ledger, mut sent) = (Ledger::default(), 0u32);
            while !ledger.is_enough(symbols) {
                assert!(sent < symbols + config.repair(symbols), "seed {seed}: not whole after a round");
                let out = cut && (outage..outage + per_second).contains(&sent);
                if !out && !random.chance(spoiled) {
                    ledger.note(sent, symbols);
                }
                sent += 1;
            }
            if !cut {
                worst = worst.max(f64::from(sent) / f64::from(symbols) - 1.0);
            }
        }
    }
    println!("frames above the source, worst of 1000: {:.2} %", worst * 100.0);
    assert!(worst <= 0.06, "{worst}");
}

/// Objects are told apart by their place in the session, whatever is in them, and keep the number of their transfer.
#[test]
fn equal_objects_have_numbers_of_their_own() {
    let mut sender = ObjectSender::new(config(100, 3));
    let numbers: Vec<_> = (0..50).map(|_| sender.add(describe("same", 300), 1 << 40, Memory(vec![0; 300]))).collect();
    assert_eq!(numbers, (0..50).collect::<Vec<_>>());
    let mut seen = std::collections::BTreeSet::new();
    while let Some(piece) = sender.next_piece() {
        if let Piece::Manifest(index) = piece {
            assert_eq!(sender.manifest(index).transfer, 1 << 40);
            seen.insert(sender.manifest(index).object);
        }
        while let Some((_, transfer, _)) = sender.take_done() {
            assert_eq!(transfer, 1 << 40);
        }
    }
    assert_eq!((seen.len(), sender.added()), (50, 50));
}

/// What a symbol costs in memory does not depend on how far its number is away.
#[test]
fn a_ledger_costs_what_came() {
    let mut far = Ledger::default();
    assert!(far.note(100_000, 1) && !far.note(100_000, 1) && !far.note(100_001, 1));
    assert!(far.memory() < 300, "{}", far.memory());
    let mut whole = Ledger::default();
    assert!((0..50_000).all(|symbol| whole.note(symbol, 50_000)));
    assert!(whole.is_enough(50_000) && whole.memory() < 50_000);
}

/// An emitter whose input failed says that there should have been more.
#[test]
fn an_emitter_that_breaks_off_says_so() {
    let (mut now, mut frame) = (Instant::from_micros(0), [0u8; 256]);
    let mut emitter: Emitter<4, 8> = Emitter::new(Config::for_baud(115_200, 1), now);
    for finished in [true, false] {
        if finished {
            emitter.finish(now);
        } else {
            emitter.break_off(now);
        }
        now = emitter.poll_timeout().max(now);
        let n = emitter.poll_transmit(&mut frame, now).unwrap();
        let mut deframer = link::wire::Deframer::default();
        deframer.push(&frame[..n]);
        let found = deframer.next_frame().unwrap();
        let Record::Beacon(beacon) = Body::parse(found.body).unwrap().record else { panic!("a beacon") };
        assert_eq!((beacon.end, beacon.broken, beacon.is_complete()), (true, !finished, finished));
    }
}

/// Shards that are nearly empty cost a receiver what came, not what their shape could hold.
#[test]
fn shards_cost_what_came() {
    let wide = diode::wire::Shape { data: 1, parity: 1, depth: 32_767, len: 4074 };
    assert!(wide.is_legal() && wide.memory() > 1 << 30, "{}", wide.memory());
    let usual = shape(64, 24, 480, 20_000_000 / 500);
    assert!(usual.memory() < 256 << 20, "what 2 s at 10 MB/s need: {}", usual.memory());
    // a piece that ends with zeros, and one that claims more than came
    let small = diode::wire::Shape { data: 2, parity: 1, depth: 1, len: 10 };
    let mut receiver = StreamReceiver::new(small);
    receiver.handle_shard(0, 0, 0, 0, &[3, 0, 7, 0, 0]);
    receiver.handle_shard(0, 1, 0, 3, &[4, 0, 8]);
    let mut out = Vec::new();
    while let Some(one) = receiver.poll_out() {
        out.push(one);
    }
    assert_eq!(bytes(&out), [7, 0, 0, 8, 0, 0, 0]);
}
