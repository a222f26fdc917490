//! `fixtures/patch.txt`: a damaged frame, what is told of it, what fills it, and the segment that comes of it.

use std::fmt::Write;

use link::Config;
use link::wire::Deframer;
use link::wire::deframe::Found;
use link::wire::frame::PLAIN_SYNC;
use link::wire::seal::{Key, Sealed};

use super::pair::{Fixed, Pair};
use super::says::says;
use super::{compare, hex, pattern};

const SENDER: u64 = 9;
const RECEIVER: u64 = 6;
/// Of the end that calls, which is the one with the higher id, and of the one that answers.
const KEYS: [[u8; 32]; 2] = [[0x4B; 32], [0x52; 32]];

/// The segment in a frame that is whole; of a sealed one under this key.
fn segment(wire: &[u8], (from, to): (u64, u64), key: &Key) -> Option<Vec<u8>> {
    let mut deframer = Deframer::default();
    deframer.bind(to, from);
    deframer.push(wire);
    let Found { body, head, .. } = deframer.next_frame()?;
    if !head.sealed {
        return Some(body.to_vec());
    }
    let (sealed, mut out) = (Sealed::parse(body)?, vec![0; body.len()]);
    let len = sealed.open(key, head, sealed.tx.into(), &mut out)?;
    out.truncate(len);
    Some(out)
}

/// The words of one record of what an end said.
fn word(said: &str, name: &str) -> Option<String> {
    let words: Vec<&str> = said.split(' ').collect();
    let at = words.iter().position(|word| *word == name)?;
    let end = words[at + 1..].iter().position(|word| !word.contains('=')).map_or(words.len(), |n| at + 1 + n);
    Some(words[at..end].join(" "))
}

/// Lets the sender learn that the wire is good: then its frames are plain.
fn warm(pair: &mut Pair) {
    let (mut plain, mut read) = (false, vec![0; 4096]);
    for _ in 0..1000 {
        pair.ends[0].write(&pattern(600));
        pair.settle(&mut |from, frame| {
            plain |= from == 0 && frame.len() > 600 && frame[0] == PLAIN_SYNC;
            frame.to_vec()
        });
        pair.ends[1].read(&mut read);
        if plain && pair.ends[0].channels().all(|sole| sole.queued() == 0) {
            return;
        }
        pair.wait();
    }
    panic!("frames stay armoured");
}

/// A transfer whose first piece of data `spoil` makes something else of: what the receiver heard from then on up to
/// the FILL, and both segments that are about it, as they were before they were sealed.
fn patched(sealed: bool, spoil: &dyn Fn(&[u8]) -> Vec<u8>) -> (Vec<u8>, String) {
    let keys = sealed.then_some(KEYS);
    let mut pair = Pair::new(Config::for_baud(0), [SENDER, RECEIVER], Fixed(keys));
    let pass = &mut |_: usize, frame: &[u8]| frame.to_vec();
    pair.run_until(pass, |pair| pair.ends.iter().all(|end| end.state() == link::State::Open));
    warm(&mut pair);
    let text = pattern(700);
    let (mut heard, mut all) = (Vec::new(), Vec::new());
    let mut first = true;
    for piece in [&text[..600], &text[600..]] {
        pair.ends[0].write(piece);
        pair.settle(&mut |from, frame| {
            all.push((from, frame.to_vec()));
            let came = if from == 0 && core::mem::take(&mut first) { spoil(frame) } else { frame.to_vec() };
            if from == 0 {
                heard.extend(&came);
            }
            came
        });
    }
    while pair.ends[1].readable() < text.len() {
        pair.wait();
        pair.settle(&mut |from, frame| {
            all.push((from, frame.to_vec()));
            if from == 0 {
                heard.extend(frame);
            }
            frame.to_vec()
        });
    }
    let mut read = vec![0; text.len()];
    assert_eq!((pair.ends[1].read(&mut read), read), (text.len(), text));
    assert_eq!(pair.ends[1].stats().patched, 1, "it was a patch that made it whole");
    let read_by = |(from, frame): &(usize, Vec<u8>)| {
        let ids = if *from == 0 { (SENDER, RECEIVER) } else { (RECEIVER, SENDER) };
        segment(frame, ids, &Key::from(KEYS[*from])).map(|segment| says(&segment))
    };
    let of = |from, name| all.iter().filter(|said| said.0 == from).find_map(|said| word(&read_by(said)?, name)).unwrap();
    let whole = all.iter().find(|said| said.0 == 0).and_then(read_by).unwrap();
    let given = if sealed { format!("key={}", hex(&KEYS[0])) } else { format!("sender={SENDER} receiver={RECEIVER}") };
    (heard, format!("{given} : {} : {} : {whole}", of(1, "PARTS"), of(0, "FILL")))
}

#[test]
fn patches() {
    let mut text = String::from(
        "# A frame that came damaged, those behind it up to its FILL; and what is told of it, what fills it, and what it is (PROTOCOL 4.7).\n",
    );
    for (name, spoil) in [
        ("flipped", (&|frame: &[u8]| [&frame[..300], &[frame[300] ^ 4], &frame[301..]].concat()) as &dyn Fn(&[u8]) -> Vec<u8>),
        ("lost", &|frame| [&frame[..300], &frame[307..]].concat()),
        ("inserted", &|frame| [&frame[..300], &[1, 2, 3], &frame[300..]].concat()),
    ] {
        for sealed in [false, true] {
            let (wire, says) = patched(sealed, spoil);
            let name = if sealed { format!("sealed-{name}") } else { name.to_owned() };
            writeln!(text, "{name}.says = {says}").unwrap();
            writeln!(text, "{name} = {}", hex(&wire)).unwrap();
        }
    }
    compare("patch.txt", &text);
}
