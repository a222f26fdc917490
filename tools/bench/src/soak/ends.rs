//! One end of the wire: a real `hardline pipe`.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::memory::{Memory, rss_kb};

/// Lines of what a process said that are worth keeping.
const TAIL: usize = 30;

/// A running `hardline pipe`; it is killed when this is dropped.
#[derive(Debug)]
pub struct End {
    child: Child,
    stats: PathBuf,
    log: PathBuf,
    /// What it used so far.
    pub memory: Memory,
}

impl End {
    /// Starts it on the port `dir/name`; gives its stdin and stdout too.
    pub fn start(hardline: &Path, dir: &Path, name: &str, baud: u32) -> io::Result<(End, ChildStdin, ChildStdout)> {
        let (stats, log) = (dir.join(format!("{name}.json")), dir.join(format!("{name}.log")));
        let mut command = Command::new(hardline);
        command.arg("pipe").arg(dir.join(name)).arg("-b").arg(baud.to_string()).arg("--stats").arg(&stats);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(File::create(&log)?);
        let child = command.spawn().map_err(|e| io::Error::new(e.kind(), format!("cannot run {}: {e}", hardline.display())))?;
        let mut end = End { child, stats, log, memory: Memory::default() };
        let missing = || io::Error::other("no pipe to the process");
        let input = end.child.stdin.take().ok_or_else(missing)?;
        let output = end.child.stdout.take().ok_or_else(missing)?;
        Ok((end, input, output))
    }

    /// Looks at its memory, at a moment of a run of `length`.
    pub fn sample(&mut self, at: Duration, length: Duration) {
        if let Some(kb) = rss_kb(self.child.id()) {
            self.memory.sample(kb, at, length);
        }
    }

    /// Asks for its statistics, which come soon after; only once it listens to signals, and before
    /// [`End::wait`].
    pub fn ask(&self) {
        let _ = kill(Pid::from_raw(self.child.id() as i32), Signal::SIGUSR1);
    }

    /// The statistics it said last.
    pub fn stats(&self) -> Option<serde_json::Value> {
        serde_json::from_str(&std::fs::read_to_string(&self.stats).ok()?).ok()
    }

    /// One of its counters; 0 before it has said anything.
    pub fn count(&self, name: &str) -> u64 {
        self.stats().and_then(|s| s.get(name)?.as_u64()).unwrap_or(0)
    }

    /// The last of what it had to say to people.
    pub fn log(&self) -> Vec<String> {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let lines: Vec<String> = String::from_utf8_lossy(&text).lines().map(str::to_owned).collect();
        lines[lines.len().saturating_sub(TAIL)..].to_vec()
    }

    /// Waits for it to end, at most so long; then it is killed, and there is no status.
    pub fn wait(&mut self, most: Duration) -> io::Result<Option<ExitStatus>> {
        let until = Instant::now() + most;
        while Instant::now() < until {
            match self.child.try_wait()? {
                None => std::thread::sleep(Duration::from_millis(2)),
                status => return Ok(status),
            }
        }
        self.child.kill()?;
        self.child.wait()?;
        Ok(None)
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
