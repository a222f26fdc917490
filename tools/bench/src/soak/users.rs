//! The users of a wire: for each direction one that writes a stream and one that verifies it, each
//! with moods of its own.

use std::convert::Infallible;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::time::{Duration, Instant};

use super::chance::Chance;
use super::stream::Stream;

/// Most bytes written or read at once.
const PIECE: usize = 16_384;
/// Most bytes of a small write.
const SMALL: u64 = 200;
const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// The end of the day, as a user sees it: it comes when the other half is dropped.
#[derive(Debug)]
pub struct Evening(Receiver<Infallible>);

impl Evening {
    /// The day of one user; it ends when the first of these is dropped.
    pub fn new() -> (Sender<Infallible>, Evening) {
        let (day, evening) = channel();
        (day, Evening(evening))
    }
    fn has_come(&self) -> bool {
        matches!(self.0.try_recv(), Err(TryRecvError::Disconnected))
    }
    /// Waits so long, or until the evening.
    fn pause(&self, length: Duration) {
        match self.0.recv_timeout(length) {
            Ok(never) => match never {},
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
    }
}

/// What a user needs to know.
#[derive(Debug)]
pub struct User {
    /// What is written, and what must arrive.
    pub stream: Stream,
    /// Its moods.
    pub chance: Chance,
    /// How long it has them.
    pub evening: Evening,
}

impl User {
    /// Writes until the evening, then ends the stream; counts the bytes in `written`.
    pub fn write(mut self, mut out: impl Write, written: &AtomicU64) -> io::Result<()> {
        while !self.evening.has_come() {
            match self.chance.below(5) {
                0 => self.evening.pause(self.chance.time(100 * MS, 10 * SECOND)),
                1 => self.write_small(&mut out, written)?,
                _ => self.write_much(&mut out, written)?,
            }
        }
        Ok(())
    }
    fn write_much(&mut self, out: &mut impl Write, written: &AtomicU64) -> io::Result<()> {
        let until = Instant::now() + self.chance.time(SECOND, 20 * SECOND);
        while Instant::now() < until && !self.evening.has_come() {
            self.put(PIECE, out, written)?;
        }
        Ok(())
    }
    fn write_small(&mut self, out: &mut impl Write, written: &AtomicU64) -> io::Result<()> {
        let until = Instant::now() + self.chance.time(500 * MS, 10 * SECOND);
        while Instant::now() < until && !self.evening.has_come() {
            let n = 1 + self.chance.below(SMALL) as usize;
            self.put(n, out, written)?;
            self.evening.pause(self.chance.time(MS / 10, 20 * MS));
        }
        Ok(())
    }
    fn put(&mut self, n: usize, out: &mut impl Write, written: &AtomicU64) -> io::Result<()> {
        let mut bytes = [0u8; PIECE];
        let at = written.load(Ordering::Relaxed);
        self.stream.fill(at, &mut bytes[..n]);
        out.write_all(&bytes[..n])?;
        written.store(at + n as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Reads and verifies until the end of the stream, with stalls until the evening; counts the
    /// bytes that were right in `read`.
    pub fn read(mut self, mut from: impl Read, read: &AtomicU64) -> io::Result<()> {
        let (mut bytes, mut scratch) = (vec![0u8; PIECE], Vec::new());
        let mut until = Instant::now() + self.chance.time(SECOND, 40 * SECOND);
        loop {
            if Instant::now() >= until && !self.evening.has_come() {
                self.evening.pause(self.chance.time(100 * MS, 10 * SECOND));
                until = Instant::now() + self.chance.time(SECOND, 40 * SECOND);
            }
            let most = if self.chance.one_in(4) { 1 + self.chance.below(PIECE as u64) as usize } else { PIECE };
            let n = match from.read(&mut bytes[..most]) {
                Ok(0) => return Ok(()),
                Ok(n) => n,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            let at = read.load(Ordering::Relaxed);
            if let Some(wrong) = self.stream.first_wrong(at, &bytes[..n], &mut scratch) {
                return Err(io::Error::new(ErrorKind::InvalidData, describe(wrong, at, &bytes[..n], &scratch)));
            }
            read.store(at + n as u64, Ordering::Relaxed);
        }
    }
}

fn describe(wrong: u64, at: u64, got: &[u8], right: &[u8]) -> String {
    let from = (wrong - at) as usize;
    let to = got.len().min(from + 16);
    format!("the byte at {wrong} is wrong: {:02x?} for {:02x?}", &got[from..to], &right[from..to])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(evening: Evening) -> User {
        User { stream: Stream::new(1), chance: Chance::new(1, SECOND), evening }
    }

    #[test]
    fn a_reader_sees_a_missing_and_a_wrong_byte() {
        let mut bytes = vec![0; 50_000];
        Stream::new(1).fill(0, &mut bytes);
        let read = |bytes: &[u8]| {
            let (day, evening) = Evening::new();
            drop(day);
            let count = AtomicU64::new(0);
            user(evening).read(bytes, &count).map(|()| count.into_inner())
        };
        assert_eq!(read(&bytes).unwrap(), 50_000);
        bytes[40_000] ^= 1;
        assert!(read(&bytes).unwrap_err().to_string().contains("40000"));
        bytes[40_000] ^= 1;
        bytes.remove(30_000);
        assert!(read(&bytes).is_err());
    }

    #[test]
    fn a_writer_ends_in_the_evening() {
        let (day, evening) = Evening::new();
        drop(day);
        let count = AtomicU64::new(0);
        user(evening).write(Vec::new(), &count).unwrap();
        assert_eq!(count.into_inner(), 0);
    }
}
