//! `--lines`: each line of stdin is a datagram.

use std::io::{self, IsTerminal};
use std::time::Duration;

use diode::emitter::{Config, Emitter, sealed_frame_max};
use diode::seal::Sealing;
use link::{FRAME_MAX, Instant};
use nix::poll::PollFlags;

use super::port::Output;
use super::sealing::Session;
use super::send::{Settings, check};
use crate::clock::Clock;
use crate::drive::user::User;
use crate::drive::wait;
use crate::error::{Doing, Failure, kinds};
use crate::progress::{self, Meter};
use crate::signal::Signals;

/// Longest line.
const LINE_MAX: usize = 1024;
/// Lines kept for their copies.
const LINES: usize = 4096;
/// Time for the closing beacons.
const FAREWELLS: u32 = 4;

/// Sends lines until the input ends and every copy has gone.
pub fn run(output: &Output, settings: &Settings, session: Session, signals: &Signals) -> Result<serde_json::Value, Failure> {
    let began = std::time::Instant::now();
    let clock = Clock::new();
    let rate = [settings.rate, output.rate, 100_000_000].into_iter().find(|r| *r > 0).unwrap_or(1);
    let config = Config {
        survive_us: settings.survive.as_micros().min(u128::from(u32::MAX)) as u32,
        level: settings.profile.level,
        ..Config::for_baud(rate.saturating_mul(10), session.number)
    };
    let mut emitter = build(config, session.sealing, clock.now())?;
    let mut frame = vec![0u8; sealed_frame_max(LINE_MAX, config.level).max(FRAME_MAX)];
    let mut user = User::stdio()?;
    let meter = Meter::new(settings.shown && !io::stdin().is_terminal());
    meter.total(progress::left_in(&io::stdin()));
    let (mut buffer, mut line, mut ended) = (vec![0u8; 4096], Vec::new(), false);
    let (mut farewells, mut before) = (0, 0);
    loop {
        check(signals)?;
        while let Some(n) = emitter.poll_transmit(&mut frame, clock.now()) {
            output.write(&frame[..n], signals)?;
        }
        // each closing beacon leaves before the next is asked for: a slow wire takes its time
        if ended && emitter.is_drained() && (farewells == 0 || emitter.stats().frames > before) {
            if farewells == FAREWELLS {
                break;
            }
            (farewells, before) = (farewells + 1, emitter.stats().frames);
            emitter.finish(clock.now());
            let gap = settings.survive.mul_f64(1.1) / (FAREWELLS - 1);
            if farewells > 1 {
                std::thread::sleep(gap);
            }
            continue;
        }
        let due = emitter.poll_timeout().since(clock.now());
        let fds: Vec<_> =
            user.input().into_iter().map(|fd| (fd, PollFlags::POLLIN)).chain([(signals.fd(), PollFlags::POLLIN)]).collect();
        let ready = wait(&fds, Some(Duration::from_micros(due.max(1)))).doing(kinds::SYSTEM, || "wait for input".into())?;
        if fds.len() == 2 && !ready[0].is_empty() {
            drop(fds);
            let read = user.read(&mut buffer).doing(kinds::INPUT_FAILED, || "read the input".into())?;
            ended |= read == Some(0);
            meter.add(read.unwrap_or(0) as u64);
            take(&buffer[..read.unwrap_or(0)], ended, &mut line, |datagram| {
                // a longer line is cut: better its beginning than nothing
                let _ = emitter.write(&datagram[..datagram.len().min(LINE_MAX)], clock.now());
            });
        }
    }
    output.drain(signals)?;
    let stats = emitter.stats();
    let counted = link::Stats { wire_out: stats.bytes, frames_out: stats.frames, ..link::Stats::default() };
    Ok(crate::stats::as_json(&counted, began))
}

/// The emitter has 4 MB and is on the stack, several times over where nothing is optimised, before it is in its
/// box: a thread with room for that builds it.
fn build(config: Config, sealing: Option<Sealing>, now: Instant) -> Result<Box<Emitter<LINES, LINE_MAX>>, Failure> {
    let make = || match sealing {
        Some(sealing) => Box::new(Emitter::sealed(config, sealing, now)),
        None => Box::new(Emitter::new(config, now)),
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(8 * size_of::<Emitter<LINES, LINE_MAX>>());
        let built = thread.spawn_scoped(scope, make).doing(kinds::SYSTEM, || "start a thread".into())?;
        Ok(built.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

/// Splits what was read into lines; the rest waits in `line`.
fn take(bytes: &[u8], ended: bool, line: &mut Vec<u8>, mut each: impl FnMut(&[u8])) {
    for piece in bytes.split_inclusive(|b| *b == b'\n') {
        line.extend_from_slice(piece);
        if line.ends_with(b"\n") {
            each(&line[..line.len() - 1]);
            line.clear();
        }
    }
    if ended && !line.is_empty() {
        each(line);
        line.clear();
    }
}
