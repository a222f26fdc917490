//! The messages of a file transfer as bytes (PROTOCOL 10): a length, a kind, fields, little-endian.
//! Nothing read here makes room for more than [`MESSAGE_MAX`] bytes.

use std::io::{self, Read, Write};

/// The version of these messages.
pub const VERSION: u8 = 2;
/// Longest message behind its length, in bytes.
pub const MESSAGE_MAX: usize = 65_536;
/// Longest name, in bytes.
pub const NAME_MAX: usize = 4_096;
/// Longest hole of one message, in bytes: who takes it has to hash as many zeros.
pub const HOLE_MAX: u64 = 1 << 20;
/// Longest text that says why something failed, in bytes.
pub const TEXT_MAX: usize = 512;
/// Files and folders a sender may have under way: announced, and without a last answer.
pub const AHEAD: usize = 64;

/// What the first message begins with.
const MAGIC: &[u8; 8] = b"hl-files";

/// The mode and the time of a file or folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Permissions, the lower nine bits.
    pub mode: u16,
    /// When it was modified: seconds since 1970, and nanoseconds.
    pub modified: (i64, u32),
}

/// How it went with a file or folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// It is whole, verified, on disk and has its name.
    Delivered,
    /// The same content was there already.
    There,
    /// It could not be; the text says why.
    Failed,
}

/// A message; its fields are those of PROTOCOL 10. The number of a file or folder is its place in the
/// transfer, from 0.
#[allow(missing_docs)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Sender, first: how much is to come, as far as is known.
    Hello { version: u8, files: u64, bytes: u64 },
    /// Sender: make this folder.
    Dir { number: u32, name: Vec<u8> },
    /// Sender: this file is to come.
    File { number: u32, size: u64, stamp: Stamp, name: Vec<u8> },
    /// Sender: the bytes of this file follow, from this offset on.
    Start { number: u32, offset: u64 },
    /// Sender: bytes of the file that was started.
    Data(Vec<u8>),
    /// Sender: so many zeros of the file that was started, 1 to [`HOLE_MAX`].
    Hole { bytes: u64 },
    /// Sender: the file that was started is at its end; the SHA-256 of all of it.
    Finish { sha256: [u8; 32] },
    /// Sender: this file will not be whole.
    Abandon { number: u32, why: String },
    /// Sender: something that was asked for cannot be read.
    Missing { name: Vec<u8>, why: String },
    /// Sender: everything in this folder has come.
    DirEnd { number: u32, stamp: Stamp, name: Vec<u8> },
    /// Sender: that was all.
    End,
    /// Receiver, first.
    Welcome { version: u8 },
    /// Receiver: so much of the file is there, and its SHA-256.
    Have { number: u32, offset: u64, sha256: [u8; 32] },
    /// Receiver: how it went.
    Result { number: u32, code: Code, why: String },
    /// Receiver, last: everything was answered.
    Bye,
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a message that makes no sense")
}

/// What is left of a message.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or_else(malformed)?;
        self.0 = rest;
        Ok(*head)
    }
    fn u8(&mut self) -> io::Result<u8> {
        Ok(self.array::<1>()?[0])
    }
    fn u32(&mut self) -> io::Result<u32> {
        self.array().map(u32::from_le_bytes)
    }
    fn u64(&mut self) -> io::Result<u64> {
        self.array().map(u64::from_le_bytes)
    }
    fn stamp(&mut self) -> io::Result<Stamp> {
        let mode = self.array().map(u16::from_le_bytes)?;
        let modified = (self.array().map(i64::from_le_bytes)?, self.u32()?);
        Ok(Stamp { mode, modified })
    }
    fn name(&mut self) -> io::Result<Vec<u8>> {
        let name = std::mem::take(&mut self.0);
        if name.len() > NAME_MAX { Err(malformed()) } else { Ok(name.to_vec()) }
    }
    fn text(&mut self) -> io::Result<String> {
        let text = std::mem::take(&mut self.0);
        if text.len() > TEXT_MAX { Err(malformed()) } else { Ok(crate::names::printable(text)) }
    }
    fn missing(&mut self) -> io::Result<Message> {
        let len = self.array().map(u16::from_le_bytes)?;
        let (name, rest) = self.0.split_at_checked(usize::from(len)).ok_or_else(malformed)?;
        let name = Fields(name).name()?;
        self.0 = rest;
        Ok(Message::Missing { name, why: self.text()? })
    }
}

/// Reads the next message; none at an end between two messages.
pub fn read(input: &mut impl Read) -> io::Result<Option<Message>> {
    let mut len = [0u8; 4];
    loop {
        match input.read(&mut len[..1]) {
            Ok(0) => return Ok(None),
            Ok(_) => break,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    input.read_exact(&mut len[1..])?;
    let len = u32::from_le_bytes(len) as usize;
    if !(1..=MESSAGE_MAX).contains(&len) {
        return Err(malformed());
    }
    let mut bytes = vec![0u8; len];
    input.read_exact(&mut bytes)?;
    parse(&bytes).map(Some)
}

fn parse(bytes: &[u8]) -> io::Result<Message> {
    let mut f = Fields(bytes);
    let message = match f.u8()? {
        1 => {
            if f.array::<8>()? != *MAGIC {
                return Err(malformed());
            }
            let version = f.u8()?;
            if version != VERSION {
                return Ok(Message::Hello { version, files: 0, bytes: 0 });
            }
            Message::Hello { version, files: f.u64()?, bytes: f.u64()? }
        }
        2 => Message::Dir { number: f.u32()?, name: f.name()? },
        3 => Message::File { number: f.u32()?, size: f.u64()?, stamp: f.stamp()?, name: f.name()? },
        4 => Message::Start { number: f.u32()?, offset: f.u64()? },
        5 => Message::Data(std::mem::take(&mut f.0).to_vec()),
        6 => Message::Finish { sha256: f.array()? },
        7 => Message::Abandon { number: f.u32()?, why: f.text()? },
        8 => f.missing()?,
        9 => Message::DirEnd { number: f.u32()?, stamp: f.stamp()?, name: f.name()? },
        10 => Message::End,
        11 => match f.u64()? {
            bytes @ 1..=HOLE_MAX => Message::Hole { bytes },
            _ => return Err(malformed()),
        },
        65 => {
            let version = f.u8()?;
            if version != VERSION {
                return Ok(Message::Welcome { version });
            }
            Message::Welcome { version }
        }
        66 => Message::Have { number: f.u32()?, offset: f.u64()?, sha256: f.array()? },
        67 => Message::Result { number: f.u32()?, code: code(f.u8()?)?, why: f.text()? },
        68 => Message::Bye,
        _ => return Err(malformed()),
    };
    if f.0.is_empty() { Ok(message) } else { Err(malformed()) }
}

fn code(byte: u8) -> io::Result<Code> {
    match byte {
        0 => Ok(Code::Delivered),
        1 => Ok(Code::There),
        2 => Ok(Code::Failed),
        _ => Err(malformed()),
    }
}

/// Cuts a text to what a message takes.
fn text(why: &str) -> &[u8] {
    let end = (0..=why.len().min(TEXT_MAX)).rev().find(|&i| why.is_char_boundary(i)).unwrap_or(0);
    &why.as_bytes()[..end]
}

fn stamp(out: &mut Vec<u8>, stamp: &Stamp) {
    out.extend(stamp.mode.to_le_bytes());
    out.extend(stamp.modified.0.to_le_bytes());
    out.extend(stamp.modified.1.to_le_bytes());
}

impl Message {
    /// The bytes, their length in front.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![0u8; 4];
        self.put(&mut out);
        let len = (out.len() - 4) as u32;
        out[..4].copy_from_slice(&len.to_le_bytes());
        out
    }
    fn put(&self, out: &mut Vec<u8>) {
        let head = |out: &mut Vec<u8>, kind: u8, number: &u32| {
            out.push(kind);
            out.extend(number.to_le_bytes());
        };
        match self {
            Message::Hello { version, files, bytes } => {
                out.push(1);
                out.extend(MAGIC);
                out.push(*version);
                out.extend(files.to_le_bytes());
                out.extend(bytes.to_le_bytes());
            }
            Message::Dir { number, name } => {
                head(out, 2, number);
                out.extend(name);
            }
            Message::File { number, size, stamp: s, name } => {
                head(out, 3, number);
                out.extend(size.to_le_bytes());
                stamp(out, s);
                out.extend(name);
            }
            Message::Start { number, offset } => {
                head(out, 4, number);
                out.extend(offset.to_le_bytes());
            }
            Message::Data(bytes) => {
                out.push(5);
                out.extend(bytes);
            }
            Message::Hole { bytes } => {
                out.push(11);
                out.extend(bytes.to_le_bytes());
            }
            Message::Finish { sha256 } => {
                out.push(6);
                out.extend(sha256);
            }
            Message::Abandon { number, why } => {
                head(out, 7, number);
                out.extend(text(why));
            }
            Message::Missing { name, why } => {
                out.push(8);
                out.extend((name.len() as u16).to_le_bytes());
                out.extend(name);
                out.extend(text(why));
            }
            Message::DirEnd { number, stamp: s, name } => {
                head(out, 9, number);
                stamp(out, s);
                out.extend(name);
            }
            Message::End => out.push(10),
            Message::Welcome { .. } | Message::Have { .. } | Message::Result { .. } | Message::Bye => self.put_answer(out),
        }
    }
    fn put_answer(&self, out: &mut Vec<u8>) {
        match self {
            Message::Welcome { version } => out.extend([65, *version]),
            Message::Have { number, offset, sha256 } => {
                out.push(66);
                out.extend(number.to_le_bytes());
                out.extend(offset.to_le_bytes());
                out.extend(sha256);
            }
            Message::Result { number, code, why } => {
                out.push(67);
                out.extend(number.to_le_bytes());
                out.push(*code as u8);
                out.extend(text(why));
            }
            _ => out.push(68),
        }
    }
    /// Writes it at once.
    pub fn write(&self, output: &mut impl Write) -> io::Result<()> {
        output.write_all(&self.to_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Message> {
        let (number, name, why) = (7, b"a/b".to_vec(), "disk full".to_owned());
        let stamp = Stamp { mode: 0o640, modified: (-1, 999_999_999) };
        vec![
            Message::Hello { version: VERSION, files: 3, bytes: 1 << 40 },
            Message::Dir { number, name: name.clone() },
            Message::File { number, size: 1 << 40, stamp, name: name.clone() },
            Message::Start { number, offset: 5 },
            Message::Data(vec![1, 2, 3]),
            Message::Hole { bytes: HOLE_MAX },
            Message::Finish { sha256: [9; 32] },
            Message::Abandon { number, why: why.clone() },
            Message::Missing { name: name.clone(), why: why.clone() },
            Message::DirEnd { number, stamp, name },
            Message::End,
            Message::Welcome { version: VERSION },
            Message::Have { number, offset: 5, sha256: [8; 32] },
            Message::Result { number, code: Code::Failed, why },
            Message::Bye,
        ]
    }

    #[test]
    fn messages_come_back() {
        let bytes: Vec<u8> = all().iter().flat_map(Message::to_bytes).collect();
        let mut input = bytes.as_slice();
        for message in all() {
            assert_eq!(read(&mut input).unwrap(), Some(message));
        }
        assert_eq!(read(&mut input).unwrap(), None);
    }

    #[test]
    fn what_is_cut_or_too_long_is_refused() {
        for message in all() {
            let bytes = message.to_bytes();
            for cut in 1..bytes.len() {
                assert!(read(&mut &bytes[..cut]).is_err(), "{message:?} cut at {cut}");
            }
        }
        let long = [(MESSAGE_MAX as u32 + 1).to_le_bytes().as_slice(), &[5; 10]].concat();
        assert_eq!(read(&mut long.as_slice()).unwrap_err().kind(), io::ErrorKind::InvalidData);
        let name = Message::Dir { number: 0, name: vec![b'a'; NAME_MAX + 1] };
        assert!(read(&mut name.to_bytes().as_slice()).is_err());
        assert!(read(&mut [0u8; 4].as_slice()).is_err());
        for bytes in [0, HOLE_MAX + 1, u64::MAX] {
            assert!(read(&mut Message::Hole { bytes }.to_bytes().as_slice()).is_err(), "{bytes}");
        }
    }

    #[test]
    fn texts_are_cut_and_cannot_move_the_cursor() {
        let why = format!("\x1b[2J{}", "ü".repeat(TEXT_MAX));
        let bytes = Message::Abandon { number: 0, why }.to_bytes();
        let Some(Message::Abandon { why, .. }) = read(&mut bytes.as_slice()).unwrap() else { panic!() };
        assert!(why.len() <= TEXT_MAX && why.starts_with("?[2J"));
    }
}
