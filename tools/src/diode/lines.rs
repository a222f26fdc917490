//! `--lines`: each line of stdin is a datagram.

use std::io::{self, IsTerminal};
use std::time::Duration;

use diode::emitter::{Config, Emitter, sealed_frame_max};
use diode::seal::Sealing;
use link::{FRAME_MAX, Instant};
use nix::poll::PollFlags;

use super::sealing::Session;
use super::send::{BROKEN_OFF, FAREWELLS, Sent, Settings, check, farewell_gap, farewell_in_haste, is_told, pause};
use super::stdin::Stdin;
use super::target::Target;
use crate::clock::Clock;
use crate::drive::wait;
use crate::error::{Doing, Failure, kinds};
use crate::progress::{self, Meter};
use crate::signal::Signals;

/// Longest line: what a datagram can be.
const LINE_MAX: usize = 2048;
/// Lines kept for their copies.
const LINES: usize = 4096;
/// Lines that are too long and named; what follows is only counted.
const NAMED_MAX: u64 = 8;

type LineEmitter = Emitter<LINES, LINE_MAX>;

/// Sends lines until the input ends and every copy has gone.
pub fn run(target: Target, settings: &Settings, session: Session, signals: &Signals) -> Result<Sent, Failure> {
    let began = std::time::Instant::now();
    let clock = Clock::new();
    let rate = [settings.rate, target.rate(), 100_000_000].into_iter().find(|r| *r > 0).unwrap_or(1);
    let config = Config {
        survive_us: settings.survive.as_micros().min(u128::from(u32::MAX)) as u32,
        level: settings.profile.level,
        ..Config::for_baud(rate.saturating_mul(10), session.number)
    };
    let frame = vec![0u8; sealed_frame_max(LINE_MAX, config.level).max(FRAME_MAX)];
    let emitter = build(config, session.sealing, clock.now())?;
    let input = Stdin::open()?;
    let mut sending = Sending { target, signals, clock, emitter, frame, input, lines: Lines::new() };
    let ended = sending.all(settings).and_then(|()| sending.end(settings.survive)).and_then(|()| sending.target.drain(signals));
    let ended = ended.map_err(|failure| sending.break_off(failure));
    let (stats, lines) = (sending.emitter.stats(), &sending.lines);
    let verdict = ended.and_then(|()| match lines.cut {
        0 => Ok(()),
        1 => Err(Failure::new(kinds::LINES_CUT, format!("one line was longer than {LINE_MAX} bytes: its end was not sent"))),
        n => {
            Err(Failure::new(kinds::LINES_CUT, format!("{n} lines were longer than {LINE_MAX} bytes: their ends were not sent")))
        }
    });
    let counted =
        link::Stats { bytes_out: lines.bytes, wire_out: stats.bytes, frames_out: stats.frames, ..link::Stats::default() };
    Ok(Sent { stats: crate::stats::as_json(&counted, began), verdict })
}

/// The emitter has 8 MB and is on the stack, several times over where nothing is optimised, before it is in its
/// box: a thread with room for that builds it.
fn build(config: Config, sealing: Option<Sealing>, now: Instant) -> Result<Box<LineEmitter>, Failure> {
    let make = || match sealing {
        Some(sealing) => Box::new(Emitter::sealed(config, sealing, now)),
        None => Box::new(Emitter::new(config, now)),
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(8 * size_of::<LineEmitter>());
        let built = thread.spawn_scoped(scope, make).doing(kinds::SYSTEM, || "start a thread".into())?;
        Ok(built.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

/// Lines on their way from stdin to the wire.
struct Sending<'a> {
    target: Target,
    signals: &'a Signals,
    clock: Clock,
    emitter: Box<LineEmitter>,
    frame: Vec<u8>,
    input: Stdin,
    lines: Lines,
}

impl Sending<'_> {
    /// Everything that is read, and its copies.
    fn all(&mut self, settings: &Settings) -> Result<(), Failure> {
        let meter = Meter::new(settings.shown && !io::stdin().is_terminal());
        meter.total(progress::left_in(&io::stdin()));
        let mut buffer = vec![0u8; 4096];
        loop {
            self.move_on()?;
            if self.lines.is_done() && self.emitter.is_drained() {
                return Ok(());
            }
            let due = self.emitter.poll_timeout().since(self.clock.now());
            // what finds no room here waits where it comes from
            let reading = self.lines.is_empty() && self.emitter.is_writable();
            let mut fds = vec![(self.signals.fd(), PollFlags::POLLIN)];
            fds.extend(self.input.fd().filter(|_| reading).map(|fd| (fd, PollFlags::POLLIN)));
            let ready = wait(&fds, Some(Duration::from_micros(due.max(1)))).doing(kinds::SYSTEM, || "wait for input".into())?;
            if ready.len() == 2 && !ready[1].is_empty() {
                drop(fds);
                let read = self.input.read(&mut buffer).doing(kinds::INPUT_FAILED, || "read the input".into())?;
                meter.add(read.unwrap_or(0) as u64);
                if let Some(n) = read {
                    self.lines.put(&buffer[..n]);
                }
            }
        }
    }

    /// All frames that may leave now, and lines as they find room.
    fn move_on(&mut self) -> Result<(), Failure> {
        loop {
            check(self.signals)?;
            let now = self.clock.now();
            if let Some(n) = self.emitter.poll_transmit(&mut self.frame, now) {
                self.target.write(&self.frame[..n], self.signals)?;
            } else if !(self.emitter.is_writable() && self.lines.take(|line| _ = self.emitter.write(line, now))) {
                return Ok(());
            }
        }
    }

    /// Told to end, or without its input, it says so, and how many lines there were: the receiver names what is missing
    /// instead of waiting. Where something is left unread, or half a line was read, there should have been more; an input that
    /// goes on some day, and of which every line was taken, has lost nothing.
    fn break_off(&mut self, failure: Failure) -> Failure {
        if !is_told(&failure) {
            return failure;
        }
        let now = self.clock.now();
        // what was read is gone where it came from
        while self.lines.take(|line| _ = self.emitter.write(line, now)) {}
        let broken = failure.kind == kinds::INPUT_FAILED || self.lines.has_half() || self.input.has_more();
        let mut frames = Vec::new();
        for _ in 0..BROKEN_OFF {
            self.finish(broken, now);
            // the wire is free by then
            let then = self.emitter.poll_timeout().max(now);
            frames.extend(self.emitter.poll_transmit(&mut self.frame, then).map(|n| self.frame[..n].to_vec()));
        }
        farewell_in_haste(&mut self.target, &frames, failure, broken)
    }

    /// No line will follow; where one was cut, or more was to come (`broken`), not all is there.
    fn finish(&mut self, broken: bool, now: Instant) {
        if broken || self.lines.cut > 0 {
            self.emitter.break_off(now);
        } else {
            self.emitter.finish(now);
        }
    }

    /// Says that the session ends, apart in time so that an outage cannot swallow all of it.
    fn end(&mut self, survive: Duration) -> Result<(), Failure> {
        for i in 0..FAREWELLS {
            pause(self.signals, farewell_gap(i, survive))?;
            self.finish(false, self.clock.now());
            loop {
                let now = self.clock.now();
                if let Some(n) = self.emitter.poll_transmit(&mut self.frame, now) {
                    self.target.write(&self.frame[..n], self.signals)?;
                    break;
                }
                pause(self.signals, Duration::from_micros(self.emitter.poll_timeout().since(now)))?;
            }
        }
        Ok(())
    }
}

/// Splits what was read into lines; keeps of a line no more than can be sent.
#[derive(Debug)]
struct Lines {
    read: Vec<u8>,
    at: usize,
    line: Vec<u8>,
    /// Bytes of the line so far.
    len: u64,
    ended: bool,
    /// Lines taken, those of them that were cut, and the bytes that were sent of them.
    number: u64,
    cut: u64,
    bytes: u64,
}

impl Lines {
    fn new() -> Lines {
        Lines { read: Vec::new(), at: 0, line: Vec::new(), len: 0, ended: false, number: 0, cut: 0, bytes: 0 }
    }
    /// What was read when [`Lines::is_empty`]; nothing at the end of the input.
    fn put(&mut self, read: &[u8]) {
        (self.read, self.at) = (read.to_vec(), 0);
        self.ended |= read.is_empty();
    }
    /// Whether more has to be read for the next line.
    fn is_empty(&self) -> bool {
        self.at == self.read.len() && !self.ended
    }
    fn is_done(&self) -> bool {
        self.ended && self.at == self.read.len() && self.len == 0
    }
    /// Whether the beginning of a line was read, and not its end.
    fn has_half(&self) -> bool {
        self.len > 0
    }
    /// Hands out the next line, if there is one.
    fn take(&mut self, each: impl FnOnce(&[u8])) -> bool {
        let rest = &self.read[self.at..];
        let found = rest.iter().position(|b| *b == b'\n');
        let piece = &rest[..found.unwrap_or(rest.len())];
        let room = LINE_MAX - self.line.len();
        self.line.extend_from_slice(&piece[..piece.len().min(room)]);
        self.len += piece.len() as u64;
        self.at += piece.len() + usize::from(found.is_some());
        if found.is_none() && (!self.ended || self.len == 0) {
            return false;
        }
        each(&self.line);
        if self.len > LINE_MAX as u64 {
            self.cut += 1;
            if self.cut <= NAMED_MAX {
                let (number, len) = (self.number, self.len);
                tracing::warn!(code = %kinds::LINE_CUT, "line {number} has {len} bytes: only the first {LINE_MAX} are sent");
            }
        }
        self.number += 1;
        self.bytes += self.line.len() as u64 + 1;
        self.line.clear();
        self.len = 0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(pieces: &[&[u8]]) -> (Vec<Vec<u8>>, u64) {
        let (mut lines, mut all) = (Lines::new(), Vec::new());
        for piece in pieces.iter().copied().chain([&b""[..]]) {
            assert!(lines.is_empty());
            lines.put(piece);
            while lines.take(|line| all.push(line.to_vec())) {}
        }
        assert!(lines.is_done());
        (all, lines.cut)
    }

    #[test]
    fn lines_are_split_wherever_they_were_read() {
        let text = b"one\n\nthree\nno newline at the end";
        let whole: Vec<Vec<u8>> = text.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
        for at in 1..text.len() {
            assert_eq!(split(&[&text[..at], &text[at..]]), (whole.clone(), 0));
        }
        assert_eq!(split(&[b"ends\n"]), (vec![b"ends".to_vec()], 0));
        assert_eq!(split(&[]), (vec![], 0));
    }

    /// `fixtures/cut.txt` has the datagrams of a text; the diode's own test makes the frames of them.
    #[test]
    fn a_text_makes_the_datagrams_of_the_vectors() {
        let vectors = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/cut.txt")).unwrap();
        let value = |name: &str| vectors.lines().find_map(|line| line.strip_prefix(&format!("{name} = "))).unwrap();
        let bytes = |hex: &str| -> Vec<u8> {
            (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
        };
        for name in ["text", "text-ended"] {
            let text = bytes(value(&format!("{name}.says")).strip_prefix("text=").unwrap());
            let wanted: Vec<Vec<u8>> =
                value(name).split(' ').map(|body| bytes(body)[diode::wire::DATUM_HEAD..].to_vec()).collect();
            assert_eq!(split(&[&text]), (wanted, 0), "{name}");
        }
    }

    #[test]
    fn what_is_too_long_is_cut_and_counted() {
        let (just, long) = (vec![b'a'; LINE_MAX], vec![b'b'; 3 * LINE_MAX]);
        let (lines, cut) = split(&[&just, b"\n", &long, b"\nnext\n", &long]);
        assert_eq!(cut, 2);
        assert_eq!(lines, [just, long[..LINE_MAX].to_vec(), b"next".to_vec(), long[..LINE_MAX].to_vec()]);
    }
}
