//! `fixtures/session.txt`, and the same session field by field in `PROTOCOL.md`.

use std::fmt::Write;
use std::path::Path;

use link::{CloseCode, Config, State};

use super::annotate::annotate;
use super::pair::{Fixed, Pair};
use super::{compare, hex};

const IDS: [u64; 2] = [0x1111_1111_1111_1111, 0x2222_2222_2222_2222];
const NAMES: [&str; 2] = ["A", "B"];
/// What the dump stands between in the document.
const MARKS: [&str; 2] = ["<!-- session.txt, written by the test vectors -->\n", "<!-- end of session.txt -->\n"];

/// A session in which one end says five bytes and the other nothing: who speaks, and the frame.
fn session() -> Vec<(usize, Vec<u8>)> {
    let mut pair = Pair::new(Config::for_baud(115_200), IDS, Fixed(None));
    pair.ends[0].write(b"hello");
    let mut frames = Vec::new();
    let mut hear = |from: usize, frame: &[u8]| {
        frames.push((from, frame.to_vec()));
        frame.to_vec()
    };
    pair.ends.iter_mut().for_each(|end| end.finish());
    let mut read: Vec<u8> = Vec::new();
    for _ in 0..1000 {
        pair.settle(&mut hear);
        for end in &mut pair.ends {
            let mut piece = [0; 64];
            let n = end.read(&mut piece);
            read.extend(&piece[..n]);
        }
        let now = pair.now;
        pair.ends.iter_mut().for_each(|end| end.confirm(now));
        pair.settle(&mut hear);
        if pair.ends.iter().all(|end| end.state() == State::Finished && !end.is_transmit_due()) {
            break;
        }
        assert!(pair.wait());
    }
    assert_eq!(read, b"hello");
    assert!(pair.ends.iter().all(|end| end.state() == State::Finished));
    pair.ends.iter_mut().for_each(|end| end.close(CloseCode::Failed));
    pair.settle(&mut |_, _| panic!("a session that has finished says nothing of an end"));
    frames
}

#[test]
fn a_whole_session() {
    let frames = session();
    let mut text = String::from(
        "# A whole session between the ids 1111.. (A) and 2222.. (B): who says it, and the frame (PROTOCOL, appendix B).\n",
    );
    let mut dump = String::from("```text\n");
    for (number, (from, wire)) in frames.iter().enumerate() {
        let (number, to) = (number + 1, 1 - from);
        writeln!(text, "frame-{number}.says = from={} me={} peer={}", NAMES[*from], IDS[*from], IDS[to]).unwrap();
        writeln!(text, "frame-{number} = {}", hex(wire)).unwrap();
        writeln!(dump, "{number:2}  {} to {}", NAMES[*from], NAMES[to]).unwrap();
        for (bytes, what) in annotate(wire, IDS[*from], IDS[to]) {
            writeln!(dump, "    {bytes:<34}  {what}").unwrap();
        }
    }
    dump += "```\n";
    compare("session.txt", &text);

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../PROTOCOL.md");
    let document = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = document.split_once(MARKS[0]).expect("the mark before the dump");
    let (there, after) = rest.split_once(MARKS[1]).expect("the mark behind the dump");
    if std::env::var_os("HARDLINE_BLESS").is_some() {
        std::fs::write(&path, [before, MARKS[0], &dump, MARKS[1], after].concat()).unwrap();
    } else {
        assert_eq!(there, dump, "the session in PROTOCOL.md, appendix B");
    }
}
