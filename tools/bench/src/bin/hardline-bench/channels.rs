//! What many channels carry together, beside one alone: two real `hardline link`, a Unix socket as the
//! service and one as the forward.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use tools::rig::Rig;

use crate::{Fallible, hardline};

/// Seconds of a full line for each measurement.
const SECONDS: usize = 5;

/// Prints the share of the line for one channel and for `count`, and the ratio.
pub(crate) fn run(baud: u32, count: usize) -> Fallible<()> {
    let hardline = hardline()?;
    let rig = Rig::start(&hardline, &["--baud", &baud.to_string(), "--latency", "300us"])?;
    let (from, to) = (rig.path("in"), rig.path("source"));
    let len = baud as usize / 10 * SECONDS;
    serve(UnixListener::bind(&to)?);
    let link = |end: &str, flag: &str, what: String| {
        let mut command = Command::new(&hardline);
        command.args(["link", "-q", "--plain"]).arg(rig.path(end)).args(["-b", &baud.to_string(), flag, &what]);
        command.spawn().map(Link)
    };
    let _far = link("b", "--service", format!("source=unix:{}", to.display()))?;
    let _near = link("a", "--forward", format!("unix:{}=source", from.display()))?;
    while !from.exists() {
        std::thread::sleep(Duration::from_millis(2));
    }
    let line = f64::from(baud / 10);
    let one = len as f64 / fetch(&from, 1, len)?.as_secs_f64() / line;
    let all = (len / count * count) as f64 / fetch(&from, count, len / count)?.as_secs_f64() / line;
    println!("{baud} baud: one channel has {one:.3} of the line, {count} have {all:.3} together, ratio {:.3}", all / one);
    Ok(())
}

/// Answers each connection with a byte, then with as many bytes as are asked for.
fn serve(listener: UnixListener) {
    let answer = |mut stream: UnixStream| -> std::io::Result<()> {
        stream.write_all(b"!")?;
        let mut len = [0; 8];
        stream.read_exact(&mut len)?;
        stream.write_all(&vec![0x55; u64::from_le_bytes(len) as usize])
    };
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream));
        }
    });
}

/// From the first byte asked for, once all channels are there, to the last that came.
fn fetch(socket: &Path, count: usize, len: usize) -> Fallible<Duration> {
    let mut streams = (0..count).map(|_| UnixStream::connect(socket)).collect::<Result<Vec<_>, _>>()?;
    for stream in &mut streams {
        stream.read_exact(&mut [0])?;
    }
    let began = Instant::now();
    for stream in &mut streams {
        stream.write_all(&(len as u64).to_le_bytes())?;
        stream.shutdown(std::net::Shutdown::Write)?;
    }
    for stream in &mut streams {
        if std::io::copy(stream, &mut std::io::sink())? != len as u64 {
            return Err("a channel ended early".into());
        }
    }
    Ok(began.elapsed())
}

struct Link(Child);

impl Drop for Link {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
