//! The one-way mode on a virtual line: seeded noise and outages, no clock.
#![allow(missing_docs)]

use diode::emitter::{Config, Emitter};
use diode::object::{self, Description, Ledger, ObjectSender, Piece, Source};
use diode::receiver::{Datagrams, Event, Receiver};
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
        version: 1,
        session: 9,
        counter: 0,
        period_ms: 60_000,
        survive_ms: 1000,
        shape,
        stream_len: u64::MAX,
        datagrams: 0,
        objects: 0,
        end: false,
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
        data.insert(sender.add(describe(name, size), Memory(bytes.clone())), bytes);
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
