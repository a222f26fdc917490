//! `fixtures/files.txt`: messages of file transfer. `HARDLINE_BLESS=1` writes them anew; what they say
//! is checked a second time by `fixtures/check.py`.
#![allow(missing_docs)]

use std::fmt::Write;

use tools::files::wire::{Code, HOLE_MAX, Message, Stamp, VERSION, read};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn says(bytes: &[u8]) -> String {
    let stamp = |s: Stamp| format!("mode={} seconds={} nanoseconds={}", s.mode, s.modified.0, s.modified.1);
    let Ok(Some(message)) = read(&mut &bytes[..]) else { return "malformed".into() };
    match message {
        Message::Hello { version: VERSION, files, bytes } => {
            format!("HELLO magic={} version={VERSION} files={files} bytes={bytes}", hex(b"hl-files"))
        }
        Message::Hello { version, .. } => format!("HELLO magic={} version={version}", hex(b"hl-files")),
        Message::Dir { number, name } => format!("DIR number={number} name={}", hex(&name)),
        Message::File { number, size, stamp: s, name } => {
            format!("FILE number={number} size={size} {} name={}", stamp(s), hex(&name))
        }
        Message::Start { number, offset } => format!("START number={number} offset={offset}"),
        Message::Data(bytes) => format!("DATA payload={}", hex(&bytes)),
        Message::Hole { bytes } => format!("HOLE bytes={bytes}"),
        Message::Finish { sha256 } => format!("FINISH sha256={}", hex(&sha256)),
        Message::Abandon { number, why } => format!("ABANDON number={number} text={}", hex(why.as_bytes())),
        Message::Missing { name, why } => format!("MISSING name={} text={}", hex(&name), hex(why.as_bytes())),
        Message::DirEnd { number, stamp: s, name } => format!("DIREND number={number} {} name={}", stamp(s), hex(&name)),
        Message::End => "END".into(),
        Message::Welcome { version } => format!("WELCOME version={version}"),
        Message::Have { number, offset, sha256 } => format!("HAVE number={number} offset={offset} sha256={}", hex(&sha256)),
        Message::Result { number, code, why } => {
            format!("RESULT number={number} code={} text={}", code as u8, hex(why.as_bytes()))
        }
        Message::Bye => "BYE".into(),
    }
}

fn messages() -> [(&'static str, Message); 17] {
    let (number, name, why) = (0x0102_0304, "a/Ä b".as_bytes().to_vec(), "Permission denied".to_owned());
    let stamp = Stamp { mode: 0o640, modified: (1_795_000_000, 999_999_999) };
    let old = Stamp { mode: 0o777, modified: (-1, 0) };
    [
        ("hello", Message::Hello { version: VERSION, files: 3, bytes: 1 << 40 }),
        ("dir", Message::Dir { number, name: name.clone() }),
        ("file", Message::File { number, size: 1 << 40, stamp, name: name.clone() }),
        ("file-old", Message::File { number, size: 0, stamp: old, name: name.clone() }),
        ("start", Message::Start { number, offset: 4096 }),
        ("data", Message::Data(vec![1, 2, 3])),
        ("hole", Message::Hole { bytes: HOLE_MAX }),
        ("finish", Message::Finish { sha256: [0x5A; 32] }),
        ("abandon", Message::Abandon { number, why: why.clone() }),
        ("missing", Message::Missing { name: name.clone(), why: why.clone() }),
        ("dir-end", Message::DirEnd { number, stamp, name }),
        ("end", Message::End),
        ("welcome", Message::Welcome { version: VERSION }),
        ("have", Message::Have { number, offset: 4096, sha256: [0xA5; 32] }),
        ("result", Message::Result { number, code: Code::Delivered, why: String::new() }),
        ("result-failed", Message::Result { number, code: Code::Failed, why }),
        ("bye", Message::Bye),
    ]
}

fn framed(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_le_bytes(), bytes].concat()
}

#[test]
fn messages_are_as_written_down() {
    let mut text = String::from("# Messages of file transfer and what they say (PROTOCOL 10).\n");
    let mut add = |name: &str, bytes: &[u8]| {
        writeln!(text, "{name}.says = {}", says(bytes)).unwrap();
        writeln!(text, "{name} = {}", hex(bytes)).unwrap();
    };
    for (name, message) in messages() {
        add(name, &message.to_bytes());
    }
    add("hello-newer", &framed(b"\x01hl-files\x03whatever"));
    add("welcome-newer", &framed(&[65, 3, 1, 2, 3]));
    add("bad-magic", &framed(b"\x01hl-filez\x020123456789abcdef"));
    add("bad-kind", &framed(&[12]));
    add("bad-hole", &framed(&[&[11], (HOLE_MAX + 1).to_le_bytes().as_slice()].concat()));
    add("bad-hole-empty", &framed(&[11, 0, 0, 0, 0, 0, 0, 0, 0]));
    add("bad-code", &framed(&[67, 0, 0, 0, 0, 3]));
    add("bad-empty", &framed(&[]));
    add("bad-longer", &framed(&[10, 0]));
    add("bad-shorter", &framed(&[4, 0, 0, 0, 0, 1]));
    add("bad-missing", &framed(&[8, 5, 0, b'a']));
    add("bad-name", &framed(&[[2, 0, 0, 0, 0].as_slice(), &[b'a'; 4097]].concat()));
    add("bad-text", &framed(&[[7, 0, 0, 0, 0].as_slice(), &[b'a'; 513]].concat()));
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/files.txt");
    if std::env::var_os("HARDLINE_BLESS").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), text);
}

/// Nothing that comes from the wire can panic.
#[test]
fn random_messages_are_read_or_refused() {
    let mut random = link::sim::Random::new(5);
    for _ in 0..200_000 {
        let mut bytes: Vec<u8> = (0..random.below(120)).map(|_| random.bits() as u8).collect();
        if let Some(kind) = bytes.first_mut() {
            *kind = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 65, 66, 67, 68][random.below(15) as usize];
        }
        let _ = read(&mut framed(&bytes).as_slice());
    }
}
