//! A process at one end of the wire: fed, listened to, waited for and, if need be, killed with
//! everything it started.

use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// What a process reads.
pub(crate) enum Feed {
    /// What its command says; its output too.
    Own,
    /// These bytes through a pipe, then the end.
    Bytes(Vec<u8>),
    /// A pipe that says nothing and stays open.
    Hold,
}

/// A started process, the leader of a group of its own.
pub(crate) struct End {
    child: Child,
    group: Pid,
    held: Option<ChildStdin>,
    output: Option<JoinHandle<Vec<u8>>>,
}

impl End {
    /// Starts it. What it says is collected unless its command has an output already.
    pub(crate) fn start(mut command: Command, feed: Feed) -> io::Result<End> {
        if !matches!(feed, Feed::Own) {
            command.stdin(Stdio::piped()).stdout(Stdio::piped());
        }
        let mut child = command.process_group(0).spawn()?;
        let group = Pid::from_raw(child.id() as i32);
        let held = child.stdin.take();
        let output = child.stdout.take().map(|mut out| {
            std::thread::spawn(move || {
                let mut got = Vec::new();
                // what came before an error counts
                let _ = out.read_to_end(&mut got);
                got
            })
        });
        let mut end = End { child, group, held, output };
        if let Feed::Bytes(bytes) = feed {
            end.feed(bytes);
        }
        Ok(end)
    }
    fn feed(&mut self, bytes: Vec<u8>) {
        if let Some(mut stdin) = self.held.take() {
            // a process that dies closes its pipe, which ends this
            std::thread::spawn(move || stdin.write_all(&bytes));
        }
    }
    /// Its exit status, or None when it had to be killed at `limit`.
    pub(crate) fn wait(&mut self, limit: Instant) -> io::Result<Option<ExitStatus>> {
        if let Some(status) = self.wait_for(limit)? {
            return Ok(Some(status));
        }
        // politely first, so that it can remove its locks
        let _ = killpg(self.group, Signal::SIGTERM);
        self.wait_for(Instant::now() + Duration::from_secs(1))?;
        let _ = killpg(self.group, Signal::SIGKILL);
        self.child.wait()?;
        Ok(None)
    }
    fn wait_for(&mut self, limit: Instant) -> io::Result<Option<ExitStatus>> {
        loop {
            match self.child.try_wait()? {
                Some(status) => return Ok(Some(status)),
                None if Instant::now() > limit => return Ok(None),
                None => std::thread::sleep(Duration::from_millis(2)),
            }
        }
    }
    /// What it said; it must have ended.
    pub(crate) fn output(mut self) -> Vec<u8> {
        let _ = killpg(self.group, Signal::SIGKILL);
        self.output.take().and_then(|o| o.join().ok()).unwrap_or_default()
    }
}

impl Drop for End {
    fn drop(&mut self) {
        // also what it left behind
        let _ = killpg(self.group, Signal::SIGKILL);
        let _ = self.child.wait();
    }
}
