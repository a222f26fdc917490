//! `--stream`: stdin to the far stdout.

use std::io::{self, IsTerminal};
use std::time::Duration;

use diode::stream::{StreamSender, shape};
use diode::wire::{OPEN_END, Record, Shape};
use nix::poll::PollFlags;

use super::sealing::Session;
use super::send::{Line, Sent, Settings, Told, check};
use super::stdin::Stdin;
use super::target::Target;
use crate::drive::wait;
use crate::error::{Doing, Failure, kinds};
use crate::progress::{self, Meter};
use crate::signal::Signals;

/// The rate a stream is shaped for when neither port nor user says one (bytes per second).
const UNKNOWN_RATE: u32 = 1_000_000;

/// Sends stdin until it ends and all its parity has gone. Ended by a signal before, it says that
/// there should have been more: the end of what came is not the end of the stream.
pub fn run(target: Target, settings: &Settings, session: Session, signals: &Signals) -> Result<Sent, Failure> {
    let rate = [settings.rate, target.rate(), UNKNOWN_RATE].into_iter().find(|r| *r > 0).unwrap_or(UNKNOWN_RATE);
    let p = settings.profile;
    let shape = shape(p.data, p.parity, p.payload, settings.outage_frames(usize::from(p.payload), rate));
    let mut line = Line::new(target, &Settings { rate, ..*settings }, session, signals);
    let mut sender = StreamSender::new(shape, settings.survive.as_micros() as u64, line.clock.now());
    let mut input = Stdin::open()?;
    let meter = Meter::new(settings.shown && !io::stdin().is_terminal());
    meter.total(progress::left_in(&io::stdin()));
    let verdict = all(&mut line, &mut sender, &mut input, &meter, (shape, signals)).map_err(|failure| {
        let told = Told { shape, stream_len: length(&sender), ..Told::default() };
        line.break_off(failure, &told, !sender.is_finished())
    });
    Ok(Sent { stats: line.stats(sender.written()), verdict })
}

/// What the beacons say of its length.
fn length(sender: &StreamSender) -> u64 {
    if sender.is_finished() { sender.written() } else { OPEN_END }
}

fn all(
    line: &mut Line<'_>,
    sender: &mut StreamSender,
    input: &mut Stdin,
    meter: &Meter,
    (shape, signals): (Shape, &Signals),
) -> Result<(), Failure> {
    let (mut buffer, mut pending) = (vec![0u8; 16_384], Vec::new());
    loop {
        check(signals)?;
        let told = Told { shape, stream_len: length(sender), ..Told::default() };
        line.beacon(&told)?;
        let n = sender.write(&pending, line.clock.now());
        pending.drain(..n);
        meter.set(sender.written());
        while line.is_ready() {
            let Some(s) = sender.poll_shard(line.clock.now()) else { break };
            line.send(&Record::Shard {
                group: s.group,
                place: s.place,
                pieces: s.pieces,
                offset: s.offset,
                payload: &s.payload,
            })?;
        }
        if sender.is_finished() && sender.is_drained() {
            return line.finish(&told);
        }
        let due = sender.poll_timeout().map_or(Duration::from_secs(1), |at| Duration::from_micros(at.since(line.clock.now())));
        let timeout = due.max(line.wait()).min(line.beacon_in().max(line.wait())).max(Duration::from_micros(100));
        let reading = pending.is_empty() && sender.is_writable();
        let mut fds = vec![(signals.fd(), PollFlags::POLLIN)];
        fds.extend(input.fd().filter(|_| reading).map(|fd| (fd, PollFlags::POLLIN)));
        let ready = wait(&fds, Some(timeout)).doing(kinds::SYSTEM, || "wait for input".into())?;
        if ready.len() == 2 && !ready[1].is_empty() {
            drop(fds);
            match input.read(&mut buffer).doing(kinds::INPUT_FAILED, || "read the input".into())? {
                Some(0) => sender.finish(line.clock.now()),
                Some(n) => pending.extend_from_slice(&buffer[..n]),
                None => {}
            }
        }
    }
}
