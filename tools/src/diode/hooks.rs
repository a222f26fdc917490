//! `--exec`: a command for each file that was delivered. It runs beside the receiver, one at a time, and is tried again when it
//! fails; what it has not done for a file is owed, and with `--state` done by the next run.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use super::report::Report;
use super::spool::{Owed, Spool};
use crate::error::{Doing, Failure, kinds};
use crate::names::shown;

/// When a command that failed is run again, after each try; then it is given up until the next run.
const AGAIN: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];
/// Files that may wait; for more, the command is not run before the next start.
const WAITING_MAX: usize = 1 << 16;

#[derive(Debug)]
struct Task {
    owed: Owed,
    path: PathBuf,
    tried: usize,
    due: Instant,
}

/// The commands that are to run.
#[derive(Debug)]
pub struct Hooks {
    command: String,
    waiting: VecDeque<Task>,
    running: Option<(Task, Child)>,
    /// Files for which it was given up.
    failed: u64,
}

impl Hooks {
    /// Runs `command`, at first for what an earlier run delivered to `out` and owes.
    pub fn new(command: &str, owed: Vec<Owed>, out: &Path) -> Hooks {
        let mut hooks = Hooks { command: command.to_owned(), waiting: VecDeque::new(), running: None, failed: 0 };
        for owed in owed {
            let path = out.join(&owed.name);
            // somebody took it away: nothing is owed to it any more
            if path.exists() {
                hooks.add(owed, path);
            }
        }
        hooks
    }
    /// A file was delivered.
    pub fn add(&mut self, owed: Owed, path: PathBuf) {
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
        if let Some((_, child)) = &mut self.running {
            let (done, status) = match child.try_wait() {
                Ok(None) => return Ok(()),
                Ok(Some(status)) => (status.success(), status.to_string()),
                Err(e) => (false, e.to_string()),
            };
            if let Some((task, _)) = self.running.take() {
                let what = format!("'{}' for {} ended with {status}", self.command, shown(&task.path));
                self.ended(task, done, (&status, &what), spool, report)?;
            }
        }
        let now = Instant::now();
        let Some(at) = self.waiting.iter().position(|task| task.due <= now) else { return Ok(()) };
        let Some(task) = self.waiting.remove(at) else { return Ok(()) };
        // with the path as its first argument: a name never reaches a shell
        let mut shell = crate::cleanse::shell(&format!("{} \"$1\"", self.command));
        // stdin may be the wire
        match shell.arg("hardline").arg(&task.path).stdin(Stdio::null()).spawn() {
            Ok(child) => self.running = Some((task, child)),
            Err(e) => {
                let what = format!("cannot run '{}': {e}", self.command);
                self.ended(task, false, (&e.to_string(), &what), spool, report)?;
            }
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
        let again = if done { None } else { AGAIN.get(task.tried) };
        task.tried += 1;
        let fields = json!({
            "name": task.owed.name, "path": task.path.to_string_lossy(), "status": status, "done": done,
            "try": task.tried, "again": again.is_some(),
        });
        if done {
            report.say("hook", fields);
            return spool.settle(&task.owed).doing(kinds::SPOOL_FAILED, || super::receive::keep(spool));
        }
        report.notice(kinds::HOOK_FAILED, what, "hook", fields);
        match again {
            Some(again) => {
                task.due = Instant::now() + *again;
                self.waiting.push_back(task);
            }
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
