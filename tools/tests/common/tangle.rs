//! Pseudo-terminals, and what leads from which to which: wires that echo, loop and change places.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::pty::openpty;
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
use tempfile::TempDir;

use super::{Ended, Fed, HARDLINE, Running, fed};

/// Bytes per second of every way.
const RATE: f64 = 100_000.0;
const STEP: Duration = Duration::from_millis(1);

/// From which port to which.
pub type Ways = &'static [(usize, usize)];

/// Ports, and the wires between them.
pub struct Tangle {
    dir: TempDir,
    ways: Arc<Mutex<Vec<(usize, usize)>>>,
    carried: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// The master, and the slave: while that is held, no program leaving the port hangs it up.
struct Port {
    master: File,
    _slave: File,
    /// What is on its way to it.
    queue: Vec<u8>,
}

fn port(path: &Path) -> Port {
    let pty = openpty(None, None).expect("a pseudo-terminal");
    let mut settings = tcgetattr(&pty.slave).unwrap();
    cfmakeraw(&mut settings);
    tcsetattr(&pty.slave, SetArg::TCSANOW, &settings).unwrap();
    fcntl(&pty.master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
    for end in [&pty.master, &pty.slave] {
        fcntl(end, FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC)).unwrap();
    }
    symlink(nix::unistd::ttyname(&pty.slave).unwrap(), path).unwrap();
    Port { master: pty.master.into(), _slave: pty.slave.into(), queue: Vec::new() }
}

impl Tangle {
    /// Ports `0`, `1`, .. and these ways between them.
    pub fn new(count: usize, ways: Ways) -> Tangle {
        let dir = tempfile::Builder::new().prefix("hardline-").tempdir().unwrap();
        let mut ports: Vec<Port> = (0..count).map(|at| port(&dir.path().join(at.to_string()))).collect();
        let (ways, over) = (Arc::new(Mutex::new(ways.to_vec())), Arc::new(AtomicBool::new(false)));
        let carried = Arc::new(AtomicU64::new(0));
        let shared = (ways.clone(), carried.clone(), over.clone());
        let carry = move || {
            let mut last = Instant::now();
            while !shared.2.load(Ordering::Relaxed) {
                std::thread::sleep(STEP);
                let most = (last.elapsed().as_secs_f64() * RATE) as usize + 1;
                last = Instant::now();
                shared.1.fetch_add(step(&mut ports, &shared.0.lock().unwrap(), most), Ordering::Relaxed);
            }
        };
        Tangle { dir, ways, carried, over, thread: Some(std::thread::spawn(carry)) }
    }
    /// From now on these lead from port to port.
    pub fn rewire(&self, ways: Ways) {
        *self.ways.lock().unwrap() = ways.to_vec();
    }
    /// Waits until so many bytes more have left all ports together.
    #[track_caller]
    pub fn await_bytes(&self, more: u64) {
        let from = self.carried.load(Ordering::Relaxed);
        super::until("bytes on the wires", || (self.carried.load(Ordering::Relaxed) >= from + more).then_some(()));
    }
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
    /// A command of hardline's at this port, in the folder, without keys.
    pub fn at(&self, port: usize, command: &str) -> Command {
        let mut all = Command::new(HARDLINE);
        all.arg(command).arg(self.path(&port.to_string())).args(["--plain", "-b", "1000000"]).current_dir(self.dir.path());
        all.stdin(Stdio::null()).stdout(Stdio::null());
        all
    }
    #[track_caller]
    pub fn start(&self, name: &str, command: &mut Command) -> Running {
        super::started(&self.path(&format!("{name}.log")), name, command)
    }
    /// The command reads these bytes, and what it writes is kept.
    #[track_caller]
    pub fn feed(&self, name: &str, command: &mut Command, input: &[u8]) -> Fed {
        fed(self.dir.path(), name, command, input)
    }
    #[track_caller]
    pub fn run(&self, name: &str, command: &mut Command, input: &[u8]) -> Ended {
        self.feed(name, command, input).end()
    }
}

/// What came from the ports goes on by these ways; says how much that was.
fn step(ports: &mut [Port], ways: &[(usize, usize)], most: usize) -> u64 {
    let mut carried = 0;
    for from in 0..ports.len() {
        let mut piece = vec![0; most];
        let n = ports[from].master.read(&mut piece).unwrap_or(0);
        carried += n as u64;
        for (_, to) in ways.iter().filter(|way| way.0 == from) {
            ports[*to].queue.extend(&piece[..n]);
        }
    }
    for port in ports {
        let n = port.master.write(&port.queue).unwrap_or(0);
        port.queue.drain(..n);
    }
    carried
}

impl Drop for Tangle {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
