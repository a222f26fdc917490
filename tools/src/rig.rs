//! A simulated wire and the processes on it, as the demo, the benchmark and the tests use them:
//! always the real binary.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// A running `hardline sim` in a folder of its own.
#[derive(Debug)]
pub struct Rig {
    hardline: PathBuf,
    dir: TempDir,
    sim: Child,
}

impl Rig {
    /// Starts a wire with these arguments of `hardline sim`; `hardline` is the binary.
    pub fn start(hardline: &Path, args: &[&str]) -> io::Result<Rig> {
        let dir = tempfile::Builder::new().prefix("hardline-").tempdir()?;
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        let stats = dir.path().join("sim.json");
        let mut command = Command::new(hardline);
        command.arg("sim").arg("-a").arg(&a).arg("-b").arg(&b).arg("--stats").arg(stats).args(args);
        let sim = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
        let mut rig = Rig { hardline: hardline.to_owned(), dir, sim };
        let until = Instant::now() + Duration::from_secs(10);
        while !(a.exists() && b.exists()) {
            if let Some(status) = rig.sim.try_wait()? {
                return Err(io::Error::other(format!("hardline sim ended with {status}")));
            }
            if Instant::now() > until {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "hardline sim made no wire"));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(rig)
    }
    /// The folder; everything in it goes with the rig.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
    /// A file in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
    /// `hardline pipe` on end `a` or `b`, at this rate or `auto`; statistics go to `END.json`.
    pub fn pipe(&self, end: &str, baud: impl std::fmt::Display) -> Command {
        let mut command = Command::new(&self.hardline);
        command.arg("pipe").arg(self.path(end)).arg("-b").arg(baud.to_string());
        command.arg("--stats").arg(self.path(&format!("{end}.json")));
        command
    }
    /// The statistics an end wrote.
    pub fn stats(&self, end: &str) -> io::Result<serde_json::Value> {
        Ok(serde_json::from_str(&std::fs::read_to_string(self.path(&format!("{end}.json")))?)?)
    }
    /// Stops the wire and returns what it did.
    pub fn stop(mut self) -> io::Result<serde_json::Value> {
        self.end();
        self.stats("sim")
    }
    fn end(&mut self) {
        let _ = kill(Pid::from_raw(self.sim.id() as i32), Signal::SIGTERM);
        let _ = self.sim.wait();
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.end();
    }
}
