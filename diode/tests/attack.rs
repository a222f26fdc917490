//! A man in the middle of a sealed line, thousands of times: what is delivered is what was sent, in its
//! place and once, or it is named as missing. `HARDLINE_SEED=n` runs one of them alone.
#![allow(missing_docs)]

use std::collections::{BTreeMap, BTreeSet};

use diode::datagrams::Datagrams;
use diode::object::{self, Description, ObjectSender, Piece, Source};
use diode::receiver::{Event, Receiver};
use diode::seal::{Sealing, write};
use diode::stream::{Out, StreamReceiver, StreamSender, shape};
use diode::unseal::{Heard, Psk, Sender};
use diode::wire::{Beacon, Body, Manifest, OPEN_END, Record, VERSION};
use link::sim::Random;
use link::wire::frame::body_at;
use link::wire::seal::Key;
use link::wire::{Binding, Deframer, Head, Level, write_frame};
use link::{FRAME_MAX, Instant};

const SEEDS: u64 = 4000;
const SYMBOL: u16 = 40;

fn random_bytes(random: &mut Random, len: usize) -> Vec<u8> {
    (0..len).map(|_| random.bits() as u8).collect()
}

/// What a session carries.
struct Content {
    session: u64,
    data: Vec<Vec<u8>>,
    stream: Vec<u8>,
    object: Vec<u8>,
}

impl Content {
    fn new(session: u64, random: &mut Random) -> Content {
        let data = (0..1 + random.below(12)).map(|_| {
            let len = 1 + random.below(30) as usize;
            random_bytes(random, len)
        });
        let data = data.collect();
        let (stream, object) = (random.below(900) as usize, 1 + random.below(500) as usize);
        Content { session, data, stream: random_bytes(random, stream), object: random_bytes(random, object) }
    }
}

struct Memory(Vec<u8>);
impl Source for Memory {
    type Error = std::convert::Infallible;
    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> Result<(), Self::Error> {
        out.copy_from_slice(&self.0[offset as usize..offset as usize + out.len()]);
        Ok(())
    }
}

/// A frame before its check is put around it.
type Frame = (Head, Vec<u8>);

fn wire_of((head, body): &Frame) -> Vec<u8> {
    let mut out = vec![0; FRAME_MAX];
    out[body_at(head.level)..][..body.len()].copy_from_slice(body);
    let len = write_frame(&mut out, Head { len: body.len(), ..*head }, Binding::NONE);
    out.truncate(len);
    out
}

/// A sending end.
struct Line<'a> {
    content: &'a Content,
    sealing: Option<Sealing>,
    level: Level,
    frames: Vec<Frame>,
    made: u32,
}

impl Line<'_> {
    fn send(&mut self, record: &Record<'_>) {
        let (mut out, counter) = (vec![0; FRAME_MAX], self.frames.len() as u64);
        let len = write(&mut out, counter, self.content.session, record, self.level, self.sealing.as_ref());
        let mut deframer = Deframer::default();
        deframer.push(&out[..len]);
        let found = deframer.next_frame().unwrap();
        self.frames.push((found.head, found.body.to_vec()));
    }
    fn beacon(&mut self, stream_len: u64, end: bool) {
        self.send(&Record::Beacon(Beacon {
            version: VERSION,
            session: self.content.session,
            counter: self.frames.len() as u64,
            period_ms: 1000,
            survive_ms: 0,
            shape: stream_shape(),
            stream_len,
            datagrams: self.made,
            objects: 1,
            end,
            broken: false,
        }));
    }
}

fn stream_shape() -> diode::wire::Shape {
    shape(4, 2, 40, 2)
}

/// Everything a session sends, as bodies.
fn session(content: &Content, key: Option<u8>, level: Level) -> Vec<Frame> {
    let sealing = key.map(|key| Sealing::psk(&Key::from([key; 32]), content.session));
    let mut line = Line { content, sealing, level, frames: Vec::new(), made: 0 };
    let mut now = Instant::from_micros(0);
    let mut stream = StreamSender::new(stream_shape(), 1000, now);
    let mut objects =
        ObjectSender::new(object::Config { symbol_len: SYMBOL, overhead_percent: 30, outage_symbols: 2, rounds: 1, start: 0 });
    let description =
        Description { name: "o".into(), size: content.object.len() as u64, modified: 0, sha256: [0; 32], priority: 0 };
    objects.add(description, 1, Memory(content.object.clone()));
    let (mut at, mut symbol, mut turn) = (0, Vec::new(), 0u32);
    (0..3).for_each(|_| line.beacon(OPEN_END, false));
    loop {
        turn += 1;
        now = now.after(500);
        let mut idle = true;
        // three copies of each datagram, apart
        for copy in [0, 4, 9] {
            if let Some(number) = turn.checked_sub(1 + copy).filter(|n| (*n as usize) < content.data.len()) {
                line.made = line.made.max(number + 1);
                line.send(&Record::Datum { number, payload: &content.data[number as usize] });
                idle = false;
            }
        }
        at += stream.write(&content.stream[at..(at + 60).min(content.stream.len())], now);
        if at == content.stream.len() && !stream.is_finished() {
            stream.finish(now);
        }
        while let Some(s) = stream.poll_shard(now) {
            line.send(&Record::Shard { group: s.group, place: s.place, pieces: s.pieces, offset: s.offset, payload: &s.payload });
        }
        match objects.next_piece() {
            Some(Piece::Manifest(i)) => line.send(&Record::Manifest(objects.manifest(i))),
            Some(Piece::Symbol { index, block, symbol: number }) => {
                objects.symbol(index, block, number, &mut symbol).unwrap();
                line.send(&Record::Symbol { object: objects.manifest(index).object, block, symbol: number, payload: &symbol });
            }
            None if idle && stream.is_finished() && stream.is_drained() => break,
            None => {}
        }
        if turn.is_multiple_of(6) {
            line.beacon(OPEN_END, false);
        }
    }
    (0..4).for_each(|_| line.beacon(content.stream.len() as u64, true));
    line.frames
}

/// The receiving end, as a user of it would be.
#[derive(Default)]
struct Sink {
    session: Option<u64>,
    numbers: Option<Datagrams>,
    floor: u32,
    lines: BTreeSet<u32>,
    stream: Option<StreamReceiver>,
    at: Option<usize>,
    named: Vec<(u64, u64)>,
    object: Option<(u64, fec::raptor::Decoder)>,
    early: Vec<(u32, Vec<u8>)>,
    whole: bool,
    ended: bool,
    beacon: Option<Beacon>,
}

impl Sink {
    fn take(&mut self, receiver: &mut Receiver, contents: &BTreeMap<u64, Content>) {
        while let Some(event) = receiver.poll_event() {
            match event {
                Event::Session(beacon) => {
                    if self.session != Some(beacon.session) {
                        *self = Sink { session: Some(beacon.session), floor: beacon.datagrams, ..Sink::default() };
                        self.numbers = Some(Datagrams::new(beacon.datagrams));
                        self.stream = Some(StreamReceiver::new(beacon.shape));
                    }
                    self.beacon = Some(beacon);
                }
                Event::End => self.ended = true,
                Event::Body(bytes) => {
                    let content = &contents[&self.session.expect("a session was announced")];
                    let body = Body::parse(&bytes).unwrap();
                    assert_eq!(body.session_tag, content.session as u32);
                    self.body(body.record, content);
                }
                _ => {}
            }
        }
    }

    fn body(&mut self, record: Record<'_>, content: &Content) {
        match record {
            Record::Datum { number, payload } => {
                assert!(payload == content.data[number as usize], "another datagram");
                if self.numbers.as_mut().unwrap().is_new(number) {
                    assert!(self.lines.insert(number), "a datagram twice");
                }
            }
            Record::Shard { group, place, pieces, offset, payload } => {
                self.stream.as_mut().unwrap().handle_shard(group, place, pieces, offset, payload);
                self.hand_out(content);
            }
            Record::Manifest(m) => {
                assert_eq!(m.size, content.object.len() as u64);
                if self.object.is_none() {
                    self.object = Some((m.size, decoder(&m)));
                    for (number, payload) in core::mem::take(&mut self.early) {
                        self.symbol(number, &payload, content);
                    }
                }
            }
            Record::Symbol { symbol, payload, .. } => self.symbol(symbol, payload, content),
            Record::Beacon(_) => unreachable!(),
        }
    }

    fn symbol(&mut self, number: u32, payload: &[u8], content: &Content) {
        let Some((size, decoder)) = &mut self.object else { return self.early.push((number, payload.to_vec())) };
        if !self.whole
            && !decoder.has(number)
            && let Some(bytes) = decoder.add(number, payload)
        {
            assert!(bytes[..*size as usize] == content.object, "another object");
            self.whole = true;
        }
    }

    fn hand_out(&mut self, content: &Content) {
        while let Some(out) = self.stream.as_mut().unwrap().poll_out() {
            match out {
                Out::Bytes(bytes) => {
                    // who joins in the middle is not told where that is
                    let find = || content.stream.windows(bytes.len()).position(|w| w == bytes);
                    let at = self.at.or_else(find).expect("bytes that were sent");
                    assert!(content.stream[at..].starts_with(&bytes), "other bytes");
                    self.at = Some(at + bytes.len());
                }
                Out::Gap { offset, bytes } => {
                    assert!(self.at.is_none_or(|at| at as u64 == offset), "a gap in its place");
                    self.named.push((offset, bytes));
                    self.at = Some((offset + bytes) as usize);
                }
            }
        }
    }

    /// The session has ended: what did not come must be named.
    fn settle(&mut self, content: &Content) {
        let made = self.beacon.unwrap().datagrams;
        let gaps = self.numbers.as_mut().unwrap().give_up(made);
        let named: BTreeSet<u32> = gaps.iter().flat_map(|g| g.0..=g.1).collect();
        assert!((self.floor..made).all(|n| self.lines.contains(&n) != named.contains(&n)), "{:?} {gaps:?}", self.lines);
        self.stream.as_mut().unwrap().finish(Some(content.stream.len() as u64));
        self.hand_out(content);
        assert!(content.stream.is_empty() || self.at == Some(content.stream.len()), "the stream is told to its end");
    }
}

fn decoder(m: &Manifest<'_>) -> fec::raptor::Decoder {
    fec::raptor::Decoder::new(m.symbols(0) as usize, m.symbol_len).unwrap()
}

/// Puts `genuine` on the wire in his own way, with frames from `stock` between.
fn attack(random: &mut Random, genuine: &[Frame], stock: &[Frame]) -> Vec<Vec<u8>> {
    let mut wire: Vec<Vec<u8>> = Vec::new();
    let mut held: Vec<Vec<u8>> = Vec::new();
    // from nearly nothing to one frame in three
    let appetite = [60, 20, 8, 3][random.below(4) as usize];
    for frame in genuine {
        if random.below(appetite) > 0 {
            wire.push(wire_of(frame));
        } else {
            match random.below(7) {
                0 => {}
                1 => wire.extend([wire_of(frame), wire_of(&flipped(random, frame))]),
                2 => wire.push(wire_of(&flipped(random, frame))),
                3 => held.push(wire_of(frame)),
                4 => wire.extend([wire_of(frame), wire_of(&genuine[random.below(genuine.len() as u64) as usize])]),
                5 => wire.extend([wire_of(&stock[random.below(stock.len() as u64) as usize]), wire_of(frame)]),
                _ => wire.extend([wire_of(&invented(random, frame)), wire_of(frame)]),
            }
        }
        if random.below(4) == 0 {
            wire.extend(held.pop());
        }
    }
    wire.extend(held);
    wire
}

/// Changed anywhere: body, seal, head word; its checks are right.
fn flipped(random: &mut Random, (head, body): &Frame) -> Frame {
    let (mut head, mut body) = (*head, body.clone());
    match random.below(8) {
        0 => head.sealed = false,
        1 => head.level = if head.level == Level::Plain { Level::Two } else { Level::Plain },
        2 => body.truncate(2 + random.below(body.len() as u64 - 2) as usize),
        3 => body.push(random.bits() as u8),
        4 if body.len() > 24 => {
            // a counter that has not been
            body[0] = body[0].wrapping_add(1 + random.below(5) as u8);
        }
        _ => {
            for _ in 0..=random.below(3) {
                let at = random.below(body.len() as u64) as usize;
                body[at] ^= 1 << random.below(8);
            }
        }
    }
    (head, body)
}

/// Looks like a frame of the session, and is none.
fn invented(random: &mut Random, (head, body): &Frame) -> Frame {
    let mut made = body.clone();
    let from = 8.min(made.len());
    made[from..].fill_with(|| random.bits() as u8);
    (Head { sealed: random.below(4) > 0, ..*head }, made)
}

struct Outcome {
    ended: bool,
    complete: bool,
}

fn one(seed: u64) -> Outcome {
    let mut random = Random::new(seed);
    let level = if random.below(4) == 0 { Level::Two } else { Level::Plain };
    let contents: BTreeMap<u64, Content> = [1000, 1001].map(|s| (s, Content::new(s, &mut random))).into();
    let (before, genuine) = (session(&contents[&1000], Some(1), level), session(&contents[&1001], Some(1), level));
    // what he has at hand: an old session, the same with another key, the present one told plainly
    let lies = Content::new(1001, &mut random);
    let mut stock = before.clone();
    stock.extend(session(&lies, Some(2), level));
    stock.extend(session(&lies, None, level));
    let heard = if random.below(2) == 0 { Heard::default() } else { Heard { session: 1000, next: 5 } };
    let sender = Sender { unlock: vec![Box::new(Psk(Key::from([1; 32])))], heard };
    let mut now = Instant::from_micros(0);
    let (mut receiver, mut sink) = (Receiver::sealed(vec![sender], now), Sink::default());
    let datagrams = random.below(3) == 0;
    let mut wire = attack(&mut random, &genuine, &stock);
    // the recording of a day before or behind
    match random.below(4) {
        0 => wire.splice(0..0, before.iter().map(wire_of)).for_each(drop),
        1 => wire.extend(before.iter().map(wire_of)),
        2 => wire.extend(genuine.iter().map(wire_of)),
        _ => {}
    }
    for frame in &wire {
        if datagrams {
            receiver.handle_datagram(frame, now);
        } else {
            receiver.handle_bytes(frame, now);
        }
        sink.take(&mut receiver, &contents);
        now = now.after(100);
    }
    now = now.after(100_000);
    receiver.handle_timeout(now);
    sink.take(&mut receiver, &contents);
    let content = sink.session.map(|s| &contents[&s]);
    if let Some(content) = content.filter(|_| sink.ended) {
        sink.settle(content);
    }
    let complete = content.is_some_and(|c| sink.lines.len() == c.data.len() && sink.named.is_empty()) && sink.whole;
    Outcome { ended: sink.ended, complete }
}

#[test]
fn what_is_delivered_was_sent() {
    if let Some(seed) = std::env::var("HARDLINE_SEED").ok().and_then(|s| s.parse().ok()) {
        one(seed);
        return;
    }
    let (mut ended, mut complete) = (0, 0);
    for seed in 0..SEEDS {
        let ran = std::panic::catch_unwind(|| one(seed));
        let outcome = ran.unwrap_or_else(|_| panic!("seed {seed}"));
        ended += u64::from(outcome.ended);
        complete += u64::from(outcome.complete);
    }
    println!("{SEEDS} sessions: {ended} ended, {complete} complete");
    assert!(ended > SEEDS * 9 / 10 && complete > SEEDS / 3, "{ended} ended, {complete} complete");
}
