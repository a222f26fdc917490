//! A process under watch.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

/// A running process; it and its group are killed when this is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
    /// What was in it before, in bytes.
    before: usize,
    /// How it ended, once it has.
    ended: Option<ExitStatus>,
}

/// What a process had of the CPU, in ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// It ran.
    pub ran: u64,
    /// It would have run, had others not.
    pub waited: u64,
}

/// Of the main thread of a process, in which the loop is.
fn share(pid: u32) -> Option<Share> {
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).ok()?;
    let mut fields = text.split_whitespace().map(str::parse);
    Some(Share { ran: fields.next()?.ok()?, waited: fields.next()?.ok()? })
}

impl Process {
    /// Starts it in a group of its own; what it says to people is appended to the file `log`.
    pub fn start(command: &mut Command, log: &Path) -> io::Result<Process> {
        let stderr = File::options().create(true).append(true).open(log)?;
        let before = stderr.metadata()?.len() as usize;
        let child = command.stderr(stderr).process_group(0).spawn()?;
        Ok(Process { child, log: log.to_owned(), before, ended: None })
    }
    /// Its stdin and stdout, where these are pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }
    /// How it ended; none as long as it runs.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait()?;
        }
        Ok(self.ended)
    }
    /// Its exit code, 128 + N for a signal; none as long as it runs.
    pub fn code(&mut self) -> io::Result<Option<i32>> {
        Ok(self.ended()?.map(|status| status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))))
    }
    /// Sends a signal to it alone, if it runs; whether it does.
    pub fn signal(&mut self, signal: Signal) -> io::Result<bool> {
        let runs = self.ended()?.is_none();
        if runs {
            kill(Pid::from_raw(self.child.id() as i32), signal)?;
        }
        Ok(runs)
    }
    /// What its main thread had of the CPU so far; none once it has ended.
    pub fn share(&self) -> Option<Share> {
        share(self.child.id()).filter(|_| self.ended.is_none())
    }
    /// What it said so far.
    pub fn says(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(log.get(self.before..).unwrap_or_default()).into_owned()
    }
    /// Whether it has this file open.
    pub fn has_open(&self, path: &Path) -> bool {
        let Ok(path) = fs::canonicalize(path) else { return false };
        let open = fs::read_dir(format!("/proc/{}/fd", self.child.id())).into_iter().flatten().flatten();
        open.filter_map(|entry| fs::read_link(entry.path()).ok()).any(|to| to == path)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // its group may outlive it
        let _ = killpg(Pid::from_raw(self.child.id() as i32), Signal::SIGKILL);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn its_cpu_time_its_end_and_its_words_are_known() {
        let dir = tempfile::tempdir().unwrap();
        let mut busy = Command::new("sh");
        let mut busy = Process::start(busy.args(["-c", "echo here >&2; while :; do :; done"]), &dir.path().join("log")).unwrap();
        let limit = Instant::now() + Duration::from_secs(60);
        while busy.share().unwrap().ran < 50_000_000 {
            assert!(Instant::now() < limit && busy.ended().unwrap().is_none());
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(busy.says(), "here\n");
        assert!(busy.has_open(&dir.path().join("log")) && !busy.has_open(dir.path()));
        busy.signal(Signal::SIGTERM).unwrap();
        while busy.code().unwrap() != Some(143) {
            assert!(Instant::now() < limit);
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(!busy.signal(Signal::SIGTERM).unwrap() && busy.share().is_none());
    }
}
