//! Processes under test: always with a limit, ended with the test, their words kept for a failure.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use link::sim::Random;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::rig::Rig;

const STEP: Duration = Duration::from_millis(10);

/// Waits until there is something; says what there never was.
pub(crate) fn until<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> Result<T, String> {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if Instant::now() > end {
            return Err(format!("not within {} s: {what}", limit.as_secs_f64()));
        }
        std::thread::sleep(STEP);
    }
}

/// A folder for one test.
#[derive(Debug)]
pub(crate) struct Scratch(TempDir);

impl Scratch {
    pub(crate) fn new() -> Result<Scratch, String> {
        let dir = tempfile::Builder::new().prefix("hil-").tempdir().map_err(|e| format!("no folder: {e}"))?;
        // also for tests that run as somebody else
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(dir.path(), mode).map_err(|e| e.to_string())?;
        Ok(Scratch(dir))
    }
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
    /// A file of random bytes.
    pub(crate) fn random(&self, name: &str, len: usize, seed: u64) -> Result<PathBuf, String> {
        let mut random = Random::new(seed);
        let bytes: Vec<u8> = (0..len).map(|_| random.bits() as u8).collect();
        self.write(name, &bytes)
    }
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, String> {
        let path = self.path(name);
        std::fs::write(&path, bytes).map_err(|e| format!("cannot write {name}: {e}"))?;
        Ok(path)
    }
    /// `hardline` with these arguments; its stdout goes to NAME.out, its stderr to NAME.log.
    pub(crate) fn start(&self, rig: &Rig, name: &str, args: &[&str], input: Input<'_>) -> Result<Process, String> {
        self.start_as(rig, name, args, input, None)
    }
    /// The same as another user.
    pub(crate) fn start_as(
        &self,
        rig: &Rig,
        name: &str,
        args: &[&str],
        input: Input<'_>,
        user: Option<u32>,
    ) -> Result<Process, String> {
        let mut command = Command::new(&rig.hardline);
        let made = |end: &str| File::create(self.path(&format!("{name}.{end}"))).map_err(|e| e.to_string());
        let stdin = match input {
            Input::Nothing => Stdio::null(),
            Input::Pipe => Stdio::piped(),
            Input::File(path) => File::open(path).map_err(|e| e.to_string())?.into(),
        };
        command.args(args).stdin(stdin).stdout(made("out")?).stderr(made("log")?);
        if let Some(user) = user {
            command.uid(user).gid(user);
        }
        let child = command.spawn().map_err(|e| format!("{name} does not start: {e}"))?;
        Ok(Process { name: name.to_owned(), child, log: self.path(&format!("{name}.log")) })
    }
    /// Whether NAME.out has exactly the bytes of a file.
    pub(crate) fn same(&self, name: &str, expected: &Path) -> Result<(), String> {
        let read = |path: &Path| std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()));
        let (got, expected) = (read(&self.path(&format!("{name}.out")))?, read(expected)?);
        if got == expected {
            return Ok(());
        }
        let first = got.iter().zip(&expected).position(|(a, b)| a != b).unwrap_or(got.len().min(expected.len()));
        Err(format!("{name} got {} bytes of {}, different from byte {first} on", got.len(), expected.len()))
    }
}

/// What a process reads.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Input<'a> {
    Nothing,
    Pipe,
    File(&'a Path),
}

/// A running process; killed when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    pub(crate) child: Child,
    log: PathBuf,
}

impl Process {
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
    /// What it said on stderr.
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default().trim().to_owned()
    }
    pub(crate) fn signal(&self, signal: Signal) {
        let _ = kill(Pid::from_raw(self.child.id() as i32), signal);
    }
    /// Its end, within `limit`.
    pub(crate) fn end(&mut self, limit: Duration) -> Result<ExitStatus, String> {
        let what = format!("the end of {}", self.name);
        let over = until(&what, limit, || self.child.try_wait().ok().flatten());
        over.map_err(|e| format!("{e}; it said: {}", self.said()))
    }
    /// Its end with this exit code.
    pub(crate) fn ends_with(&mut self, code: i32, limit: Duration) -> Result<(), String> {
        let status = self.end(limit)?;
        if status.code() == Some(code) { Ok(()) } else { Err(format!("{} ended with {status}: {}", self.name, self.said())) }
    }
    /// Waits until it has the port open.
    pub(crate) fn holds(&self, port: &str, limit: Duration) -> Result<u32, String> {
        let port = std::fs::canonicalize(port).map_err(|e| format!("{port}: {e}"))?;
        let folder = format!("/proc/{}/fd", self.id());
        until(&format!("{} opens {}", self.name, port.display()), limit, || {
            let held = std::fs::read_dir(&folder).ok()?.flatten();
            let mut fds = held.filter(|fd| std::fs::read_link(fd.path()).is_ok_and(|to| to == port));
            fds.next()?.file_name().to_str()?.parse().ok()
        })
        .map_err(|e| format!("{e}; it said: {}", self.said()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
