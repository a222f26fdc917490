//! One-byte echoes through two real `hardline pipe` on a quiet wire.

use std::io::{Read, Write};
use std::process::{ChildStdin, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use link::sim::Random;
use tools::rig::Rig;

use crate::{Fallible, hardline};

/// Median and 99th percentile of round trips, in microseconds.
#[derive(Clone, Copy)]
pub(crate) struct Echo {
    pub(crate) median: u64,
    pub(crate) p99: u64,
}

impl Echo {
    /// Types `count` bytes at irregular moments and waits for each to come back.
    pub(crate) fn measure(input: &mut ChildStdin, output: &mut ChildStdout, count: usize) -> Fallible<Echo> {
        let mut random = Random::new(7);
        let mut times = Vec::with_capacity(count);
        for i in 0..count {
            std::thread::sleep(Duration::from_micros(10_000 + random.below(20_000)));
            let (sent, mut byte) = ([i as u8], [0u8]);
            let began = Instant::now();
            input.write_all(&sent)?;
            output.read_exact(&mut byte)?;
            times.push(began.elapsed().as_micros() as u64);
            if byte != sent {
                return Err("another byte came back".into());
            }
        }
        times.sort_unstable();
        Ok(Echo { median: times[count / 2], p99: times[count * 99 / 100] })
    }
}

/// Echo through `cat` behind the far pipe, nothing else on the wire.
pub(crate) fn idle(baud: u32, count: usize) -> Fallible<Echo> {
    let rig = Rig::start(&hardline()?, &["--baud", &baud.to_string(), "--latency", "0us"])?;
    let mut far = rig.pipe("b", baud).arg("-q").args(["--", "cat"]).stdin(Stdio::null()).spawn()?;
    let mut near = rig.pipe("a", baud).arg("-q").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut input = near.stdin.take().ok_or("no pipe")?;
    let mut output = near.stdout.take().ok_or("no pipe")?;
    let echo = Echo::measure(&mut input, &mut output, count)?;
    drop(input);
    near.wait()?;
    far.wait()?;
    Ok(echo)
}
