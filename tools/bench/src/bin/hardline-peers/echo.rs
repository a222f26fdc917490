//! How long a single byte needs to the far end and back, for those tools that are a pipe.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::peers::{BAUD, Tool};
use crate::transfer::wire;

/// Bytes that are timed.
const ECHOES: usize = 1000;
/// Bytes before those, while the ends find each other.
const WARM_UP: usize = 20;
/// Silence between an echo and the next byte: an idle line.
const PAUSE: Duration = Duration::from_millis(3);
/// How long an echo is waited for, in milliseconds.
const PATIENCE: u16 = 10_000;

/// Milliseconds.
pub(crate) struct Latency {
    pub(crate) median: f64,
    pub(crate) p99: f64,
}

/// A process whose group ends with it.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        let group = Pid::from_raw(self.0.id() as i32);
        let _ = killpg(group, Signal::SIGTERM);
        std::thread::sleep(Duration::from_millis(200));
        let _ = killpg(group, Signal::SIGKILL);
        let _ = self.0.wait();
    }
}

fn start(mut command: Command) -> io::Result<Group> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    Ok(Group(command.process_group(0).spawn()?))
}

fn ping(to: &mut ChildStdin, from: &mut ChildStdout) -> io::Result<f64> {
    let began = Instant::now();
    to.write_all(b"x")?;
    to.flush()?;
    let mut fds = [PollFd::new(from.as_fd(), PollFlags::POLLIN)];
    if poll(&mut fds, PollTimeout::from(PATIENCE))? == 0 {
        return Err(io::Error::new(io::ErrorKind::TimedOut, "no echo"));
    }
    from.read_exact(&mut [0])?;
    Ok(began.elapsed().as_secs_f64() * 1e3)
}

/// On an idle, clean wire; None for what carries files only.
pub(crate) fn idle(tool: &Tool) -> Result<Option<Latency>, Box<dyn std::error::Error>> {
    let rig = wire(&[], 1)?;
    let Some(job) = tool.echo(&rig) else { return Ok(None) };
    let _far = start(job.far)?;
    std::thread::sleep(Duration::from_millis(300));
    let mut near = start(job.near)?;
    let (Some(mut to), Some(mut from)) = (near.0.stdin.take(), near.0.stdout.take()) else { return Err("no pipe".into()) };
    let mut times = Vec::with_capacity(ECHOES);
    for n in 0..WARM_UP + ECHOES {
        let time = ping(&mut to, &mut from)?;
        if n >= WARM_UP {
            times.push(time);
        }
        std::thread::sleep(PAUSE);
    }
    times.sort_by(f64::total_cmp);
    Ok(Some(Latency { median: times[times.len() / 2], p99: times[times.len() * 99 / 100] }))
}

/// The same while another channel sends as much as it can. Needs two channels in one session:
/// `gensiot` opens a `mux` with its first channel only (further ones are made by programs, gensio(5)).
pub(crate) fn under_bulk(tool: &Tool) -> Result<Option<Latency>, Box<dyn std::error::Error>> {
    if tool.name != "hardline" {
        return Ok(None);
    }
    let hardline = bench::hardline()?;
    let echo = bench::echo::loaded(&hardline, &["--latency", "300us"], BAUD, ECHOES, false)?.echo;
    Ok(Some(Latency { median: echo.median as f64 / 1e3, p99: echo.p99 as f64 / 1e3 }))
}
