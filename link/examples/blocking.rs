//! A link over blocking IO: both ends in one process, a megabyte each way over a noisy wire in memory.
//!
//!     cargo run -p link --example blocking
//!
//! [`run`] is all there is to it: give it the two halves of a serial port, a socket or a pipe instead.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant as Clock};

use link::sim::{Noise, NoiseConfig};
use link::wire::FRAME_MAX;
use link::{Config, Event, Instant, Link, Stats};

/// Of the wire; both ends pace themselves by it.
const BAUD: u32 = 20_000_000;
/// Bytes each way.
const LEN: usize = 1_000_000;

// ANCHOR: run
/// One end: sends all of `input`, writes what comes to `output`, and returns when both directions were delivered.
/// `session` is a random number that no other session on this wire has.
fn run(
    reader: impl Read + Send + 'static,
    mut writer: impl Write,
    session: u64,
    mut input: &[u8],
    mut output: impl Write,
) -> io::Result<Stats> {
    let (start, coming) = (Clock::now(), listen(reader));
    let now = || Instant::from_micros(start.elapsed().as_micros() as u64);
    let buffer = || vec![0; 65_536].into_boxed_slice();
    let mut link = <Link<Box<[u8]>>>::new(Config::for_baud(BAUD), session, now(), buffer(), buffer());
    let (mut frame, mut piece) = ([0; FRAME_MAX], [0; 4096]);
    loop {
        // from the user
        input = &input[link.write(input)..];
        if input.is_empty() {
            link.finish();
        }
        // to the user, who has it all once `output` says so: only then may the peer be told
        while let n @ 1.. = link.read(&mut piece) {
            output.write_all(&piece[..n])?;
        }
        if link.at_end() {
            output.flush()?;
            link.confirm(now());
        }
        // to the wire
        while let Some(len) = link.poll_transmit(&mut frame, now()) {
            writer.write_all(&frame[..len])?;
        }
        while let Some(event) = link.poll_event() {
            match event {
                Event::Finished => return Ok(link.stats()),
                Event::Lost(why) => return Err(io::Error::new(io::ErrorKind::ConnectionAborted, format!("{why:?}"))),
                _ => {}
            }
        }
        // from the wire, or until something is due
        let due = link.poll_timeout().map_or(u64::MAX, |at| at.since(now()));
        match coming.recv_timeout(Duration::from_micros(due.min(1_000_000))) {
            Ok(bytes) => link.handle_bytes(&bytes, now()),
            Err(RecvTimeoutError::Timeout) => link.handle_timeout(now()),
            Err(RecvTimeoutError::Disconnected) => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// Blocking reads have a thread of their own; it holds 16 pieces at most and then waits.
fn listen(mut reader: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (pieces, coming) = sync_channel(16);
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(n @ 1..) = reader.read(&mut buffer) {
            if pieces.send(buffer[..n].to_vec()).is_err() {
                break;
            }
        }
    });
    coming
}
// ANCHOR_END: run

/// A wire of which a bit in 10,000 is wrong: its two ends, each as a reader and a writer.
fn noisy_wire() -> io::Result<[(UnixStream, UnixStream); 2]> {
    let ((a, inner_a), (b, inner_b)) = (UnixStream::pair()?, UnixStream::pair()?);
    for (seed, mut from, mut to) in [(1, inner_a.try_clone()?, inner_b.try_clone()?), (2, inner_b, inner_a)] {
        thread::spawn(move || {
            let mut noise = Noise::new(NoiseConfig { ber: 1e-4, ..NoiseConfig::default() }, seed);
            let (mut buffer, mut noisy) = ([0; 4096], Vec::new());
            while let Ok(n @ 1..) = from.read(&mut buffer) {
                noisy.clear();
                buffer[..n].iter().for_each(|&byte| noise.pass(byte, |byte| noisy.push(byte)));
                if to.write_all(&noisy).is_err() {
                    break;
                }
            }
        });
    }
    Ok([(a.try_clone()?, a), (b.try_clone()?, b)])
}

fn main() -> io::Result<()> {
    let [near, far] = noisy_wire()?;
    let sent: [Vec<u8>; 2] = [7, 11].map(|step| (0..LEN).map(|i| (i * step) as u8).collect());
    let (there, back) = (sent[0].clone(), sent[1].clone());
    // ANCHOR: ends
    let other = thread::spawn(move || {
        let mut got = Vec::new();
        run(far.0, far.1, 0x5EED_0002, &back, &mut got).map(|_| got)
    });
    let mut got = Vec::new();
    let stats = run(near.0, near.1, 0x5EED_0001, &there, &mut got)?;
    let far_got = other.join().expect("the far end does not panic")?;
    // ANCHOR_END: ends
    assert!(got == sent[1] && far_got == sent[0], "byte for byte");
    println!("{} bytes each way, byte for byte; frames that came damaged: {}", got.len(), stats.frames_bad);
    Ok(())
}
