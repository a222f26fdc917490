//! `fixtures/*.txt` against this implementation. `HARDLINE_BLESS=1` writes them anew; what they
//! say is checked a second time by `fixtures/check.py`, which knows only PROTOCOL.md.
#![allow(missing_docs)]

#[path = "vectors/annotate.rs"]
mod annotate;
#[path = "vectors/damage.rs"]
mod damage;
#[path = "vectors/pair.rs"]
mod pair;
#[path = "vectors/patch.rs"]
mod patch;
#[path = "vectors/says.rs"]
mod says;
#[path = "vectors/session.rs"]
mod session;

use std::fmt::Write;
use std::path::Path;

use fec::byte_rs::{self, Parity};
use link::hello::Handshake;
use link::sim::Random;
use link::wire::frame::{FRAME_MAX, body_at};
use link::wire::seal::{self, Key};
use link::wire::segment::{Ack, Close, Hello, Open, Parts, Rate, RateStep, VERSION, Writer};
use link::wire::{BODY_MAX, Binding, Deframer, Head, Level, Whose, check, seq, write_frame};
use link::{CloseCode, Noise, Note, ResetCode};
use says::{says, says_sealed};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn bytes_of(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 + i / 256 + 7) as u8).collect()
}

fn compare(file: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures").join(file);
    if std::env::var_os("HARDLINE_BLESS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap();
    for (line, (have, want)) in there.lines().zip(text.lines()).enumerate() {
        assert_eq!(have, want, "{file}:{}", line + 1);
    }
    assert_eq!(there.lines().count(), text.lines().count(), "{file}");
}

#[test]
fn checks_and_codes() {
    let mut text = String::from(
        "# crc32c-check: catalogue check value, over the ASCII digits 1 to 9 (PROTOCOL 1.1).\n\
         # crc8-head-XXXX: CRC-8 of the head word 0xXXXX (PROTOCOL 1.2). Values are numbers, highest digit first.\n\
         # binding-A-B: of what the end with the id A says to the one with B (PROTOCOL 1.1).\n",
    );
    let digits = b"123456789";
    // the check covers the head word first, so the digits are cut there
    let word = u16::from_le_bytes([digits[0], digits[1]]);
    writeln!(text, "crc32c-check = {:08x}", check::body(word, &digits[2..])).unwrap();
    for word in [0x0002, 0x0005, 0x0fff] {
        writeln!(text, "crc8-head-{word:04x} = {:02x}", check::head(word)).unwrap();
    }
    for (from, to) in IDS {
        for (from, to) in [(from, to), (to, from)] {
            writeln!(text, "binding-{from}-{to} = {:08x}", Binding::of(from, to).to_wire()).unwrap();
        }
    }
    compare("crc.txt", &text);

    let mut text = String::from("# Reed-Solomon parity (PROTOCOL 6.1): data, then parity.\n");
    for code in [Parity::P2, Parity::P4, Parity::P8, Parity::P16, Parity::P32] {
        let data = pattern(100);
        let mut parity = [0u8; 32];
        byte_rs::encode(code, data.iter().copied(), &mut parity);
        writeln!(text, "parity-{}.data = {}", code.bytes(), hex(&data)).unwrap();
        writeln!(text, "parity-{} = {}", code.bytes(), hex(&parity[..code.bytes()])).unwrap();
    }
    compare("rs.txt", &text);
}

/// Numbers that travel truncated: what is expected, and what is read.
#[test]
fn numbers() {
    let mut text = String::from("# A truncated number, what is expected, and the number that is meant (PROTOCOL 0).\n");
    for (name, bits, low, expected) in [
        ("same", 16, 5, 5),
        ("first", 16, 5, 0),
        ("not-below-zero", 16, 0xFFFF, 3),
        ("behind", 16, 0xFFFF, 0x1_0003),
        ("ahead", 16, 2, 0xFFFE),
        ("far-ahead", 16, 0x7FFF, 0x1_0000),
        ("far-behind", 16, 0x8001, 0x1_0000),
        ("offset-ahead", 24, 0x00_0010, 0x1FF_FFF0),
        ("offset-behind", 24, 0xFF_FFF0, 0x200_0000),
    ] {
        writeln!(text, "{name}.says = bits={bits} low={low} expected={expected}").unwrap();
        writeln!(text, "{name} = {}", seq::expand(low, bits, expected)).unwrap();
    }
    compare("number.txt", &text);
}

/// Session ids, of an end and of its peer.
const IDS: [(u64, u64); 3] = [(5, 6), (1, u64::MAX), (0x0123_4567_89AB_CDEF, 0xFEDC_BA98_7654_3210)];

fn frame(body: &[u8], level: Level) -> Vec<u8> {
    bound(body, level, Binding::NONE)
}

fn bound(body: &[u8], level: Level, binding: Binding) -> Vec<u8> {
    let mut out = vec![0; FRAME_MAX];
    out[body_at(level)..][..body.len()].copy_from_slice(body);
    let len = write_frame(&mut out, Head::open(body.len(), level), binding);
    out.truncate(len);
    out
}

#[test]
fn frames() {
    let mut text = String::from("# What stands on the wire, and the bodies a receiver finds in it, in order (PROTOCOL 1).\n");
    let mut add = |name: &str, wire: &[u8], bodies: &[&[u8]]| {
        let mut deframer = Deframer::default();
        let mut found = Vec::new();
        for piece in wire.chunks(700) {
            deframer.push(piece);
            while let Some(frame) = deframer.next_frame() {
                found.push(frame.body.to_vec());
            }
        }
        deframer.doubt();
        while let Some(frame) = deframer.next_frame() {
            found.push(frame.body.to_vec());
        }
        assert_eq!(found, bodies, "{name}");
        writeln!(text, "{name}.bodies = {}", bodies.iter().map(|b| hex(b)).collect::<Vec<_>>().join(" ")).unwrap();
        writeln!(text, "{name} = {}", hex(wire)).unwrap();
    };
    let (short, long, most) = (pattern(5), pattern(600), pattern(BODY_MAX));
    add("plain-short", &frame(&short, Level::Plain), &[&short]);
    let mut sealed = frame(&short, Level::Plain);
    sealed[body_at(Level::Plain)..][..short.len()].copy_from_slice(&short);
    write_frame(&mut sealed, Head { sealed: true, ..Head::open(short.len(), Level::Plain) }, Binding::NONE);
    add("plain-sealed-bit", &sealed, &[&short]);
    add("plain-max", &frame(&most, Level::Plain), &[&most]);
    add("armour-1", &frame(&short, Level::One), &[&short]);
    add("armour-3", &frame(&long, Level::Four), &[&long]);
    add("armour-5-two-codewords", &frame(&pattern(300), Level::Sixteen), &[&pattern(300)]);
    let mut damaged = frame(&long, Level::Four);
    for (at, mask) in
        [(0, 0x81), (2, 0x11), (4, 0xFF), (7, 0x55), (10, 1), (11, 2), (12, 4), (100, 0xFF), (400, 8), (612, 3), (620, 9)]
    {
        damaged[at] ^= mask;
    }
    add("armour-damaged", &damaged, &[&long]);
    let mut spoiled = frame(&short, Level::Plain);
    spoiled[6] ^= 1;
    add("plain-spoiled", &spoiled, &[]);
    for (name, word) in [("level-6", 0x6005u16), ("armour-level", 0x1005), ("length-1", 0x0001)] {
        // right in everything but the head word
        let body = &short[..usize::from(word & 0xFFF)];
        let mut wire = vec![0xB5, word as u8, (word >> 8) as u8, check::head(word)];
        wire.extend(body);
        wire.extend(check::body(word, body).to_le_bytes());
        add(&format!("plain-bad-{name}"), &wire, &[]);
    }
    let spoil = |hits: &[(usize, u8)]| {
        let mut wire = frame(&long, Level::Four);
        hits.iter().for_each(|&(at, mask)| wire[at] ^= mask);
        wire
    };
    add("spoiled-sync", &spoil(&[(0, 0x81), (2, 0x81), (3, 1)]), &[]);
    add("spoiled-head", &spoil(&[(4, 1), (6, 1), (9, 1)]), &[]);
    add("spoiled-codeword", &spoil(&[(10, 1), (13, 1), (16, 1), (19, 1), (22, 1)]), &[]);
    let mut parity_only = frame(&short, Level::One);
    let end = parity_only.len();
    parity_only[end - 2] ^= 1;
    parity_only[end - 1] ^= 1;
    add("spoiled-parity", &parity_only, &[&short]);
    let mut mixed = b"U-Boot\r\nlogin: \xb5\xb5\x1a\xcf".to_vec();
    mixed.extend(frame(&short, Level::Plain));
    mixed.extend(&frame(&long, Level::Four)[..300]); // cut short by a pulled cable
    mixed.extend(frame(&short, Level::One));
    mixed.extend(b"\0\0\xff");
    mixed.extend(frame(&long, Level::Plain));
    add("junk-around", &mixed, &[&short, &short, &long]);
    for (name, damage) in [("session", 0), ("session-damaged", 1)] {
        bound_frames(&mut text, name, damage);
    }
    compare("frame.txt", &text);
}

/// What an end hears of its peer, of itself, of nobody's session, and of two others.
fn bound_frames(text: &mut String, name: &str, damage: usize) {
    let (me, peer) = IDS[2];
    let sessions = [(peer, me), (me, peer), (5, me), (peer, 5)].map(|(from, to)| Binding::of(from, to));
    let mut wire = Vec::new();
    for (i, binding) in sessions.into_iter().chain([Binding::NONE]).enumerate() {
        for level in [Level::Plain, Level::Two] {
            let mut frame = bound(&[i as u8, level as u8, 0x60], level, binding);
            let (at, last) = (body_at(level), frame.len() - 1);
            // repaired where it can be
            frame[if level == Level::Plain { last } else { at }] ^= damage as u8;
            wire.extend(frame);
        }
    }
    let mut deframer = Deframer::default();
    deframer.bind(me, peer);
    deframer.push(&wire);
    let mut found = [const { Vec::new() }; 3];
    while let Some(frame) = deframer.next_frame() {
        match frame.whose {
            Whose::Nobody => found[0].push(hex(frame.body)),
            Whose::Peer => found[1].push(hex(frame.body)),
            Whose::Own => found[2].push(hex(frame.body)),
            Whose::Stranger => {}
        }
    }
    let [nobody, theirs, ours] = found.map(|bodies| bodies.join(" "));
    assert!(!nobody.is_empty() && !theirs.is_empty() && !ours.is_empty());
    writeln!(text, "{name}.bodies = me={me} peer={peer} : {nobody} : {theirs} : {ours}").unwrap();
    writeln!(text, "{name} = {}", hex(&wire)).unwrap();
}

#[test]
fn segments() {
    let mut text = String::from("# Segments and what they say (PROTOCOL 3). Of another version only the beginning is read.\n");
    let mut add = |name: &str, bytes: &[u8]| {
        writeln!(text, "{name}.says = {}", says(bytes)).unwrap();
        writeln!(text, "{name} = {}", hex(bytes)).unwrap();
    };
    let build = |tx: u64, fill: &dyn Fn(&mut Writer<'_>)| {
        let mut out = vec![0; 5000];
        let mut writer = Writer::new(&mut out, tx);
        fill(&mut writer);
        let len = writer.len();
        out.truncate(len);
        out
    };
    let open = Open {
        version: VERSION,
        answer: true,
        me: 0x0123_4567_89AB_CDEF,
        you: 0,
        limit: 0x40000,
        payload_max: 4045,
        features: 0,
    };
    add("open-call", &build(0, &|w| w.open(&open)));
    add("open-answer", &build(0, &|w| w.open(&Open { answer: false, you: 0xFEDC_BA98_7654_3210, ..open })));
    add("close", &build(0, &|w| w.close(&Close { version: VERSION, me: 5, you: 6, code: CloseCode::Interrupted })));
    let ack =
        |newest, run, pairs: &[(u16, u16)]| Ack { newest, damage: 1200, slips: 7, run, pairs: pairs.iter().copied().collect() };
    add("ack", &build(3, &|w| w.ack(&ack(7, 8, &[]))));
    add("ack-pairs", &build(65536 + 2, &|w| w.ack(&ack(65535, 1, &[(1, 127), (128, 300), (32767, 32767)]))));
    add("ack-long-run", &build(9, &|w| w.ack(&ack(40000, 32767, &[]))));
    add("window", &build(10, &|w| w.window(0, 0x1_2345_6789)));
    add("done", &build(11, &|w| w.done(0)));
    add("ping", &build(12, &|w| w.ping()));
    add("data", &build(13, &|w| w.data(0, 0x12_3456, false, 5, |out| out.copy_from_slice(b"hello"))));
    add("data-end", &build(14, &|w| w.data(0, 0xFF_FFFF, true, 1, |out| out[0] = 0xB5)));
    add("data-end-empty", &build(15, &|w| w.data(0, 0, true, 0, |_| {})));
    add(
        "ack-data",
        &build(16, &|w| {
            w.ack(&ack(1, 2, &[]));
            w.window(0, 4096);
            w.data(0, 77, false, 3, |out| out.copy_from_slice(&[1, 2, 3]));
        }),
    );
    let hello = |answer, len| Hello { answer, version: VERSION, pattern: 1, caller: 5, message: &[0xAB; 192][..len] };
    add("call", &build(0, &|w| w.hello(&hello(false, 1))));
    add("answer", &build(0, &|w| w.hello(&hello(true, 192))));
    add("begin", &build(17, &|w| w.begin(1, 1, 65536, b"console")));
    add("begin-terminal", &build(18, &|w| w.begin(1, 1, 65536, b"console\0xterm\x0024x80\0later")));
    add("begin-high", &build(18, &|w| w.begin(16384, 0, 1, &[b'n'; 64])));
    add(
        "accept-data",
        &build(19, &|w| {
            w.accept(130, 4096);
            w.data(130, 0, false, 2, |out| out.copy_from_slice(b"hi"));
        }),
    );
    add("reset", &build(20, &|w| w.reset(2, ResetCode::NoService.to_wire())));
    add("channel-window", &build(21, &|w| w.window(3, 0x20000)));
    add("channel-done", &build(22, &|w| w.done(200)));
    add("note", &build(23, &|w| w.note(5, Note::Size.to_wire(), 24 << 16 | 80)));
    add("channel-data-end", &build(23, &|w| w.data(5, 9, true, 0, |_| {})));
    let checks = |bytes: &[u8]| heapless::Vec::from_slice(bytes).unwrap();
    let parts = Parts { tx: 7, from_start: checks(&[1, 2, 3]), from_end: checks(&[4, 5, 6]) };
    add(
        "parts-ack",
        &build(24, &|w| {
            w.parts(&parts);
            w.ack(&ack(9, 1, &[(1, 7)]));
        }),
    );
    add("join", &build(29, &|w| w.join(0x0123_4567_89AB_CDEF)));
    add("skip", &build(31, &|w| w.skip(Binding::of(5, 6).to_wire(), 4660)));
    add("close-bond", &build(0, &|w| w.close(&Close { version: VERSION, me: 5, you: 6, code: CloseCode::Bond })));
    add("fill", &build(25, &|w| w.fill(7, 256, 3, |out| out.copy_from_slice(b"xyz"))));
    let rate = Rate { attempt: 3, rung: 6, rates: 0x01FF, ..Rate::default() };
    add("rate-propose", &build(26, &|w| w.rate(&rate, 0)));
    add(
        "rate-agree",
        &build(27, &|w| {
            w.ack(&ack(26, 27, &[]));
            w.rate(&Rate { step: RateStep::Agree, ..rate }, 0);
        }),
    );
    let test = Rate { step: RateStep::Test, index: 9, span: 8, good: 7, wrong: 513, slips: 1, ..rate };
    add("rate-test", &build(28, &|w| w.rate(&test, 16)));
    // as another version might write it: longer, with fields unknown here
    let mut other = build(0, &|w| w.open(&Open { version: 3, ..open }));
    other.extend([9, 9, 9]);
    add("open-version-3", &other);
    let mut other = build(0, &|w| w.close(&Close { version: 3, me: 5, you: 6, code: CloseCode::Failed }));
    other.extend([9, 9, 9]);
    add("close-version-3", &other);
    let changed = |at: usize, to: &[u8]| {
        let mut wire = build(0, &|w| w.open(&open));
        wire[at..at + to.len()].copy_from_slice(to);
        hex(&wire)
    };
    let ping_before_close = build(0, &|w| {
        w.ping();
        w.close(&Close { version: VERSION, me: 5, you: 6, code: CloseCode::Failed });
    });
    for (name, bad) in [
        ("bad-empty", "0500"),
        ("bad-one-byte", "05"),
        ("bad-kind-0", "050000"),
        ("bad-kind-8", "050080"),
        ("bad-argument", "050061"),
        ("bad-cut-window", "0500401234"),
        ("bad-zero-run", "0500300100c8000000"),
        ("bad-long-count", "0500300100c80000008100"),
        ("bad-nine-pairs", "0500390100000000010101010101010101010101010101010101"),
        ("bad-parts-cut", "0500f00700020102"),
        ("bad-parts-many", &format!("0500f0070021{}", "00".repeat(66))),
        ("bad-fill-empty", "0500f107000001"),
        ("bad-join-0", "0500f50000000000000000"),
        ("bad-join-cut", "0500f501000000000000"),
        ("bad-bond-argument", "0500f601020304"),
        ("bad-skip-cut", "0500f70102030405"),
        ("bad-damage-argument", "0500f8010203040506"),
        ("bad-channel-argument", "0500d601"),
        ("bad-channel-0", "0500e000010000ff"),
        ("bad-begin-without-name", "0500d001000000010000"),
        ("bad-begin-cut-name", "0500d001000000010002aa"),
        ("bad-begin-long-name", "0500d001000000010041"),
        ("bad-call-empty", "0000f202010500000000000000"),
        ("bad-call-caller-0", "0000f202010000000000000000ab"),
        ("bad-call-number", "0100f202010500000000000000ab"),
        ("bad-call-long", &format!("0000f202010500000000000000{}", "ab".repeat(193))),
        ("bad-rate-step-0", "0500f400030601ff010000000000000000"),
        ("bad-rate-step-8", "0500f408030601ff010000000000000000"),
        ("bad-rate-cut", "0500f401030601ff01000000"),
        ("bad-empty-data", "050070010000"),
        ("bad-open-id-0", &changed(4, &[0; 8])),
        ("bad-open-payload-0", &changed(23, &[0; 2])),
        ("bad-open-number", &changed(0, &[1])),
        ("bad-open-not-alone", &format!("{}60", changed(0, &[]))),
        ("bad-ping-before-close", &hex(&ping_before_close)),
    ] {
        assert_eq!(says(&bytes_of(bad)), "malformed", "{name}");
        add(name, &bytes_of(bad));
    }
    compare("segment.txt", &text);
}

/// Sealed frames and handshakes, with the keys of both ends.
#[test]
fn hellos() {
    let mut text = String::from("# Handshakes and sealed frames, and all keys they need (PROTOCOL 2).\n");
    let key: [u8; 32] = std::array::from_fn(|i| i as u8);
    let mut add = |name: &str, number: u64, epoch: u8, level: Level, records: &[u8], spoil: usize| {
        let sealing = (0..epoch).fold(Key::from(key), |key, _| key.next());
        let head = Head { sealed: true, ..Head::open(records.len() + 3 + 16, level) };
        let mut body = [&(number as u16).to_le_bytes()[..], &[epoch], records].concat();
        let tag = sealing.seal(number, &seal::associated(head, number as u16, epoch), &mut body[3..]);
        body.extend(tag);
        if let Some(byte) = body.get_mut(spoil) {
            *byte ^= 1;
        }
        let mut wire = vec![0; head.frame_len()];
        wire[body_at(level)..][..body.len()].copy_from_slice(&body);
        write_frame(&mut wire, head, Binding::NONE);
        let plain = [&(number as u16).to_le_bytes()[..], records].concat();
        let said = if spoil < body.len() { "refused".into() } else { says_sealed(&plain) };
        writeln!(text, "{name}.says = key={} number={number} epoch={epoch} : {said}", hex(&key)).unwrap();
        writeln!(text, "{name} = {}", hex(&wire)).unwrap();
    };
    add("sealed-ping", 0, 0, Level::Plain, &[0x60], 99);
    add("sealed-data", 70_000, 0, Level::Four, &[0x70, 1, 2, 3, b'h', b'i'], 99);
    add("sealed-epoch-1", 65_536, 1, Level::Plain, &[0x60], 99);
    let mut close = vec![0; 64];
    let mut writer = Writer::new(&mut close, 0);
    writer.close(&Close { version: VERSION, me: 9, you: 6, code: CloseCode::Left });
    let len = writer.len();
    add("sealed-close", 5, 0, Level::Four, &close[2..len], 99);
    // opens, and has no place there
    let mut open = vec![0; 64];
    let mut writer = Writer::new(&mut open, 0);
    writer.open(&Open { version: VERSION, answer: false, me: 9, you: 6, limit: 0, payload_max: 1, features: 0 });
    let len = writer.len();
    add("bad-open", 5, 0, Level::Plain, &open[2..len], 99);
    add("bad-number", 5, 0, Level::Plain, &[0x60], 0);
    add("bad-text", 5, 0, Level::Plain, &[0x60], 3);
    add("bad-tag", 5, 0, Level::Plain, &[0x60], 19);

    let secrets = ([0xA1; 32], [0xB2; 32]);
    let public = |secret| curve25519_dalek::MontgomeryPoint::mul_base_clamped(secret).to_bytes();
    let drawn = |seed| {
        let mut random = Random::new(seed);
        std::array::from_fn::<u8, 32, _>(|_| random.below(256) as u8)
    };
    for (name, pattern) in [("kk", 1), ("ix", 2), ("psk", 3)] {
        let (a, b) = match pattern {
            1 => (Noise::pair(secrets.0, Some(public(secrets.1)), false), Noise::pair(secrets.1, Some(public(secrets.0)), false)),
            2 => (Noise::pair(secrets.0, None, true), Noise::pair(secrets.1, None, true)),
            _ => (Noise::psk(key), Noise::psk(key)),
        };
        let (mut a, mut b) = (a.seeded(1), b.seeded(2));
        let (says1, says2) = ([1, 2, 3, 4, 5, 0, 0], [9, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 0, 0]);
        let (called, call) = a.call(5, &says1).unwrap();
        let answer = b.answer(called, 5, &call, &says2).unwrap();
        let (keys, _) = a.answered(called, &answer.message).unwrap();
        assert_eq!((called, answer.text), (pattern, says1));
        let head = Head { sealed: true, ..Head::open(20, Level::Plain) };
        let mut proof = [0x60];
        let tag = keys.send.seal(0, &seal::associated(head, 0, 0), &mut proof);
        let ends =
            if pattern == 3 { format!("psk={}", hex(&key)) } else { format!("a={} b={}", hex(&secrets.0), hex(&secrets.1)) };
        writeln!(
            text,
            "handshake-{name}.says = pattern={pattern} caller=5 {ends} ea={} eb={} says1={} says2={}",
            hex(&drawn(1)),
            hex(&drawn(2)),
            hex(&says1),
            hex(&says2)
        )
        .unwrap();
        let all = [&call[..], &answer.message, &[0, 0, 0], &proof, &tag].concat();
        writeln!(text, "handshake-{name} = {}", hex(&all)).unwrap();
    }
    compare("hello.txt", &text);
}
