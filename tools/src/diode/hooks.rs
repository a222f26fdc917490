//! `--exec`: a command for each file that was delivered. It runs beside the receiver, one at a time, and is tried again when it
//! fails; what it has not done for a file is owed, and with `--state` done by the next run. It ends with the receiver.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::report::Report;
use super::spool::{Owed, Spool};
use crate::error::{Doing, Failure, kinds};
use crate::guard::{self, Orphans, Reach};
use crate::names::shown;

/// When a command that failed is run again, after each try; then it is given up until the next run.
const AGAIN: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];
/// How long a command may take to end when the receiver does; then it is killed.
const END: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(20);
/// Files that may wait; for more, the command is not run before the next start.
const WAITING_MAX: usize = 1 << 16;

#[derive(Debug)]
struct Task {
    owed: Owed,
    path: PathBuf,
    tried: usize,
    due: Instant,
}

impl Task {
    fn fields(&self, status: &str, done: bool, again: bool) -> Value {
        json!({
            "name": self.owed.name, "transfer": self.owed.transfer(), "path": self.path.to_string_lossy(), "status": status,
            "done": done, "try": self.tried, "again": again,
        })
    }
}

/// The commands that are to run.
#[derive(Debug)]
pub struct Hooks {
    command: String,
    waiting: VecDeque<Task>,
    running: Option<(Task, Child)>,
    /// For whose file there is a newer one.
    superseded: Vec<Owed>,
    out: PathBuf,
    /// Files for which it was given up.
    failed: u64,
}

impl Hooks {
    /// Runs `command`, at first for what an earlier run delivered to `out` and owes; it does not for what is superseded.
    pub fn new(command: &str, owed: Vec<Owed>, superseded: Vec<Owed>, out: &Path) -> Hooks {
        let (command, out_dir) = (command.to_owned(), out.to_owned());
        let mut hooks = Hooks { command, waiting: VecDeque::new(), running: None, superseded, out: out_dir, failed: 0 };
        for owed in owed {
            let path = out.join(&owed.name);
            // somebody took it away: nothing is owed to it any more
            if path.exists() {
                hooks.add(owed, path);
            }
        }
        hooks
    }
    /// A file was delivered. Where one waits that was at its place before, the command would get this one in its stead.
    pub fn add(&mut self, owed: Owed, path: PathBuf) {
        let (older, waiting) = std::mem::take(&mut self.waiting).into_iter().partition(|task| task.path == path);
        self.waiting = waiting;
        self.superseded.extend(VecDeque::into_iter(older).map(|task: Task| task.owed));
        if self.waiting.len() >= WAITING_MAX {
            self.failed += 1;
            return;
        }
        self.waiting.push_back(Task { owed, path, tried: 0, due: Instant::now() });
    }
    /// Whether a command runs, or is to run at once.
    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }
    /// Whether nothing is left to run.
    pub fn is_idle(&self) -> bool {
        self.running.is_none() && self.waiting.is_empty()
    }

    /// Sees what ended and begins what is due; waits for nobody.
    pub fn poll(&mut self, spool: &mut Spool, report: &mut Report) -> Result<(), Failure> {
        self.drop_superseded(spool, report)?;
        if let Some((_, child)) = &self.running {
            let (done, status) = match guard::ended(child) {
                Ok(None) => return Ok(()),
                Ok(Some(status)) => (status.success(), status.to_string()),
                Err(e) => (false, e.to_string()),
            };
            if let Some((task, mut child)) = self.running.take() {
                guard::reap(&mut child);
                let what = format!("'{}' for {} ended with {status}", self.command, shown(&task.path));
                self.ended(task, done, (&status, &what), spool, report)?;
                self.drop_superseded(spool, report)?;
            }
        }
        let now = Instant::now();
        let Some(at) = self.waiting.iter().position(|task| task.due <= now) else { return Ok(()) };
        let Some(task) = self.waiting.remove(at) else { return Ok(()) };
        // with the path as its first argument: a name never reaches a shell
        let mut shell = crate::cleanse::shell(&format!("{} \"$1\"", self.command));
        // stdin may be the wire
        match guard::spawn(shell.arg("hardline").arg(&task.path).stdin(Stdio::null()), Reach::Session) {
            Ok(child) => self.running = Some((task, child)),
            Err(e) => {
                let what = format!("cannot run '{}': {e}", self.command);
                self.ended(task, false, (&e.to_string(), &what), spool, report)?;
            }
        }
        Ok(())
    }

    /// Ends the command that runs: it, and what waits, is owed to the next start.
    pub fn stop(&mut self, spool: &mut Spool, report: &mut Report) -> Result<(), Failure> {
        self.drop_superseded(spool, report)?;
        let Some((mut task, mut child)) = self.running.take() else { return Ok(()) };
        let until = Instant::now() + END;
        guard::signal(&child, Reach::Session, Some(Signal::SIGTERM));
        while guard::signal(&child, Reach::Session, None) && Instant::now() < until {
            std::thread::sleep(LOOK);
        }
        let ended = guard::ended(&child);
        Orphans::of(&child, Reach::Session).end();
        guard::reap(&mut child);
        let (done, status) = match ended {
            Ok(Some(status)) => (status.success(), status.to_string()),
            Ok(None) => (false, "signal: 9 (SIGKILL)".to_owned()),
            Err(e) => (false, e.to_string()),
        };
        let what = format!("'{}' for {} ended with {status}", self.command, shown(&task.path));
        if done {
            return self.ended(task, true, (&status, &what), spool, report);
        }
        task.tried += 1;
        report.notice(kinds::HOOK_FAILED, &what, "hook", task.fields(&status, false, false));
        Ok(())
    }

    /// For an older file the command is owed to nobody.
    fn drop_superseded(&mut self, spool: &mut Spool, report: &mut Report) -> Result<(), Failure> {
        for owed in std::mem::take(&mut self.superseded) {
            let file = self.out.join(&owed.name);
            let what = format!("'{}' is not run for an older {}: a newer one came", self.command, shown(&file));
            let fields = json!({"name": owed.name, "transfer": owed.transfer(), "path": file.to_string_lossy()});
            report.notice(kinds::SUPERSEDED, &what, "superseded", fields);
            spool.settle(&owed).doing(kinds::SPOOL_FAILED, || super::receive::keep(spool))?;
        }
        Ok(())
    }

    fn ended(
        &mut self,
        mut task: Task,
        done: bool,
        (status, what): (&str, &str),
        spool: &mut Spool,
        report: &mut Report,
    ) -> Result<(), Failure> {
        task.tried += 1;
        if done {
            report.say("hook", task.fields(status, true, false));
            return spool.settle(&task.owed).doing(kinds::SPOOL_FAILED, || super::receive::keep(spool));
        }
        let is_older = self.waiting.iter().any(|newer| newer.path == task.path);
        let again = AGAIN.get(task.tried - 1).filter(|_| !is_older);
        let fields = task.fields(status, false, again.is_some());
        match again {
            None if !is_older => report.failure(kinds::HOOK_FAILED, what, "hook", fields),
            _ => report.notice(kinds::HOOK_FAILED, what, "hook", fields),
        }
        match again {
            Some(again) => {
                task.due = Instant::now() + *again;
                self.waiting.push_back(task);
            }
            None if is_older => self.superseded.push(task.owed),
            None => self.failed += 1,
        }
        Ok(())
    }

    /// How it went.
    pub fn verdict(&self) -> Result<(), Failure> {
        let command = &self.command;
        match self.failed {
            0 => Ok(()),
            1 => Err(Failure::new(
                kinds::HOOKS_FAILED,
                format!("'{command}' was not done for one file that was delivered, see above"),
            )),
            n => Err(Failure::new(
                kinds::HOOKS_FAILED,
                format!("'{command}' was not done for {n} files that were delivered, see above"),
            )),
        }
    }
}
