//! A simulated wire and the processes on it: what the tests with real programs share.
#![allow(dead_code, missing_docs, unreachable_pub)]

pub mod nncp;
pub mod ssh;
pub mod tangle;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::net::{Shutdown, TcpListener};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use link::sim::Random;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use serde_json::Value;
use tools::rig::Rig;

pub const HARDLINE: &str = env!("CARGO_BIN_EXE_hardline");
pub const BAUD: u32 = 2_000_000;
/// Long: the machine may be busy with other tests.
pub const LIMIT: Duration = Duration::from_secs(120);
const STEP: Duration = Duration::from_millis(5);

/// Polls until there is something.
#[track_caller]
pub fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    until_within(LIMIT, what, look)
}

/// Whether a process has ended; one that nobody waits for (the first process of a container may not) has ended, too.
pub fn is_gone(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_none_or(|(_, fields)| fields.trim_start().starts_with(['Z', 'X']))
}

/// The same with a limit of one's own.
#[track_caller]
pub fn until_within<T>(time: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let limit = Instant::now() + time;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < limit, "not within {} s: {what}", time.as_secs());
        std::thread::sleep(STEP);
    }
}

/// What a receiver has reported of this kind so far: whole lines.
#[track_caller]
pub fn reported(report: &Path, event: &str) -> Vec<Value> {
    let text = fs::read_to_string(report).unwrap_or_default();
    let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    let lines = lines.map(|line| serde_json::from_str::<Value>(line).unwrap_or_else(|e| panic!("{e}: {line}")));
    lines.filter(|line| line["event"] == event).collect()
}

// ---- the wire -----------------------------------------------------------------------------------

/// A wire and a folder; a failed test prints the logs in it.
pub struct Wire(Option<Rig>);

impl Wire {
    /// 2 Mbps with noise.
    pub fn new(ber: &str, seed: &str) -> Wire {
        Wire::with(&["--ber", ber, "--seed", seed])
    }
    /// 2 Mbps, and what the arguments of `hardline sim` say.
    pub fn with(args: &[&str]) -> Wire {
        Wire::at("2000000", args)
    }
    /// The same at another rate.
    pub fn at(baud: &str, args: &[&str]) -> Wire {
        let all = [&["--baud", baud, "--latency", "300us"], args].concat();
        Wire(Some(Rig::start(Path::new(HARDLINE), &all).expect("the simulated wire starts")))
    }
    pub fn rig(&self) -> &Rig {
        self.0.as_ref().expect("the wire is there until the end")
    }
    pub fn path(&self, name: &str) -> PathBuf {
        self.rig().path(name)
    }
    /// The same as text.
    pub fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("a readable path").to_owned()
    }
    pub fn log(&self, name: &str) -> String {
        fs::read_to_string(self.path(&format!("{name}.log"))).unwrap_or_default()
    }
    /// Starts a process that says what is wrong in `NAME.log`.
    #[track_caller]
    pub fn start(&self, name: &str, command: &mut Command) -> Running {
        started(&self.path(&format!("{name}.log")), name, command)
    }
    /// Starts a process as it is.
    #[track_caller]
    pub fn spawn(&self, name: &str, command: &mut Command) -> Running {
        let child = command.process_group(0).spawn().unwrap_or_else(|e| panic!("{name} does not start: {e}"));
        Running { name: name.to_owned(), child }
    }
    /// Runs a program to its end; returns what it printed.
    #[track_caller]
    pub fn run(&self, name: &str, command: &mut Command) -> String {
        let printed = self.path(&format!("{name}.out"));
        let running = self.start(name, command.stdout(File::create(&printed).unwrap()));
        assert_eq!(running.wait(), 0, "exit status of {name}");
        fs::read_to_string(printed).unwrap()
    }
    /// Starts a process that reads these bytes and writes to a file.
    #[track_caller]
    pub fn feed(&self, name: &str, command: &mut Command, input: &[u8]) -> Fed {
        fed(self.rig().dir(), name, command, input)
    }
    /// A command in the place of the far stdin and stdout of `hardline pipe`.
    #[track_caller]
    pub fn serve(&self, command: &[&str]) -> Running {
        self.start("far", self.rig().pipe("b", BAUD).arg("--").args(command).stdin(Stdio::null()))
    }
    /// A command line for a shell that runs the near end of `hardline pipe`.
    pub fn near(&self) -> String {
        shell_line(&self.rig().pipe("a", BAUD))
    }
    /// Without noise the test would prove little.
    pub fn finish(mut self) {
        let did = self.0.take().expect("the wire is there until the end").stop().expect("the wire tells what it did");
        assert!(did["a_to_b"]["flipped"].as_u64() > Some(0), "no noise: {did}");
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let Some(rig) = self.0.as_ref().filter(|_| std::thread::panicking()) else { return };
        for entry in fs::read_dir(rig.dir()).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|e| e == "log" || e == "json") {
                eprintln!("---- {}\n{}", path.display(), String::from_utf8_lossy(&fs::read(&path).unwrap_or_default()));
            }
        }
    }
}

// ---- `hardline link` on it ----------------------------------------------------------------------

impl Wire {
    /// `hardline link` on end `a` or `b`, with its control socket at `END.sock`.
    #[track_caller]
    pub fn link(&self, end: &str, args: &[&str]) -> Running {
        self.link_at(end, &BAUD.to_string(), args)
    }
    /// The same at another rate.
    #[track_caller]
    pub fn link_at(&self, end: &str, baud: &str, args: &[&str]) -> Running {
        let mut command = Command::new(HARDLINE);
        command.args(["link", "--plain"]).arg(self.path(end)).args(["-v", "-b", baud]).args(args);
        command.arg("--control").arg(self.path(&format!("{end}.sock"))).stdin(Stdio::null()).stdout(Stdio::null());
        self.start(&format!("link-{end}"), &mut command)
    }
    /// Both ends, once the session is open: what `a` and what `b` is started with.
    #[track_caller]
    pub fn linked(&self, a: &[&str], b: &[&str]) -> [Running; 2] {
        let both = [self.link("a", a), self.link("b", b)];
        self.await_session();
        both
    }
    #[track_caller]
    pub fn await_session(&self) {
        for end in ["a", "b"] {
            until("the session opens", || (self.status(end)?["state"] == "open").then_some(()));
        }
    }
    /// `hardline status --json`; none while nobody answers.
    pub fn status(&self, end: &str) -> Option<Value> {
        let mut command = Command::new(HARDLINE);
        let output = command.arg("status").arg(self.path(&format!("{end}.sock"))).arg("--json").output().ok()?;
        serde_json::from_slice(&output.stdout).ok().filter(|_| output.status.success())
    }
    pub fn channels(&self, end: &str) -> usize {
        self.status(end).map_or(0, |s| s["channels"].as_array().map_or(0, Vec::len))
    }
    #[track_caller]
    pub fn await_channels(&self, count: usize) {
        for end in ["a", "b"] {
            until(&format!("{count} channels at {end}"), || (self.channels(end) == count).then_some(()));
        }
    }
    /// `hardline open` by way of an end's control socket.
    pub fn open(&self, end: &str, name: &str) -> Command {
        let mut command = Command::new(HARDLINE);
        command.arg("open").arg(self.path(&format!("{end}.sock"))).arg(name);
        command
    }
    /// Opens a service from `a`, gives it these bytes and takes what comes back, to the end.
    #[track_caller]
    pub fn ask(&self, name: &str, input: &[u8]) -> Ended {
        self.feed(&format!("open-{name}"), &mut self.open("a", name), input).end()
    }
    /// Connects to a Unix socket in the folder.
    #[track_caller]
    pub fn connect(&self, name: &str) -> UnixStream {
        UnixStream::connect(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }
    /// Serves every connection to a Unix socket in the folder in a thread of its own.
    #[track_caller]
    pub fn listen(&self, name: &str, serve: impl Fn(UnixStream) + Clone + Send + 'static) {
        let listener = UnixListener::bind(self.path(name)).unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serve = serve.clone();
                std::thread::spawn(move || serve(stream));
            }
        });
    }
}

/// Sends back what comes, and its end.
pub fn echo(stream: UnixStream) {
    let _ = io::copy(&mut &stream, &mut &stream);
    let _ = stream.shutdown(Shutdown::Write);
}

/// A TCP port nobody uses, outside of the range the kernel takes ports from.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let base = 20_000 + (std::process::id() % 600) as u16 * 20;
    loop {
        let port = base + NEXT.fetch_add(1, Ordering::Relaxed) % 700;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

// ---- processes ----------------------------------------------------------------------------------

/// A process and all it started; none of them outlives the test.
pub struct Running {
    pub name: String,
    pub child: Child,
}

impl Running {
    pub fn id(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        kill(self.id(), signal).unwrap_or_else(|e| panic!("{}: {e}", self.name));
    }
    /// The exit status, if it has ended; 128 + N for a signal.
    #[track_caller]
    pub fn ended(&self) -> Option<i32> {
        // left unreaped: its id names the group until the drop
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        match waitid(Id::Pid(self.id()), flags).expect("a child can be waited for") {
            WaitStatus::Exited(_, code) => Some(code),
            WaitStatus::Signaled(_, signal, _) => Some(128 + signal as i32),
            _ => None,
        }
    }
    /// The exit status once it has ended by itself.
    #[track_caller]
    pub fn wait(&self) -> i32 {
        until(&format!("{} ends", self.name), || self.ended())
    }
    /// Kills it alone, at once, and waits until it is gone.
    #[track_caller]
    pub fn kill(self) {
        self.signal(Signal::SIGKILL);
        assert_eq!(self.wait(), 137);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = killpg(self.id(), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

/// Starts a process that says what is wrong in this log.
#[track_caller]
fn started(log: &Path, name: &str, command: &mut Command) -> Running {
    command.stderr(File::options().create(true).append(true).open(log).unwrap()).process_group(0);
    let child = command.spawn().unwrap_or_else(|e| panic!("{name} does not start: {e}"));
    Running { name: name.to_owned(), child }
}

/// Starts a process that reads these bytes and writes to a file, in this folder.
#[track_caller]
fn fed(dir: &Path, name: &str, command: &mut Command, input: &[u8]) -> Fed {
    let [read, written, log] = ["in", "out", "log"].map(|kind| dir.join(format!("{name}.{kind}")));
    fs::write(&read, input).unwrap();
    command.stdin(File::open(read).unwrap()).stdout(File::create(&written).unwrap());
    let _ = fs::remove_file(&log);
    Fed { running: started(&log, name, command), written, log }
}

/// A process that reads from a file and writes to one.
pub struct Fed {
    pub running: Running,
    written: PathBuf,
    log: PathBuf,
}

/// How it ended.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub out: Vec<u8>,
    pub said: String,
}

impl Fed {
    /// What it wrote by now.
    pub fn out(&self) -> Vec<u8> {
        fs::read(&self.written).unwrap()
    }
    #[track_caller]
    pub fn end(self) -> Ended {
        let code = self.running.wait();
        Ended { code, out: self.out(), said: fs::read_to_string(&self.log).unwrap() }
    }
}

impl Ended {
    /// It ended with this code and said why.
    #[track_caller]
    pub fn assert(&self, code: i32, says: &str) {
        assert_eq!(self.code, code, "{}", self.said);
        assert!(self.said.contains(says), "'{says}' is not in: {}", self.said);
    }
    /// It ended well and wrote exactly this.
    #[track_caller]
    pub fn assert_wrote(&self, bytes: &[u8]) {
        self.assert(0, "");
        let short = |b: &[u8]| String::from_utf8_lossy(&b[..b.len().min(200)]).into_owned();
        assert!(self.out == bytes, "{} bytes: {}; not {}: {}", self.out.len(), short(&self.out), bytes.len(), short(bytes));
    }
}

/// Processes whose command line has this in it, without our own.
pub fn processes_with(text: &str) -> Vec<i32> {
    let processes = fs::read_dir("/proc").unwrap().flatten().filter_map(|p| p.file_name().to_str()?.parse::<i32>().ok());
    let has = |pid: &i32| fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|c| String::from_utf8_lossy(&c).contains(text));
    processes.filter(|&pid| pid != std::process::id() as i32).filter(has).collect()
}

/// A program that must be installed.
#[track_caller]
pub fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/bin".into(), "/bin".into()]);
    let found = places.map(|place| place.join(name)).find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("{name} is missing: `cargo xtask test packages` installs it"))
}

#[track_caller]
pub fn command(name: &str) -> Command {
    let mut command = Command::new(program(name));
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// A command as a line for a shell.
pub fn shell_line(command: &Command) -> String {
    let quoted = |word: &OsStr| format!("'{}'", word.to_str().expect("a readable path"));
    std::iter::once(command.get_program()).chain(command.get_args()).map(quoted).collect::<Vec<_>>().join(" ")
}

pub fn bytes(len: usize, seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    (0..len).map(|_| random.bits() as u8).collect()
}

#[track_caller]
pub fn assert_carried(got: &Path, sent: &[u8]) {
    let read = fs::read(got).unwrap_or_else(|e| panic!("{}: {e}", got.display()));
    assert!(read == sent, "{}: {} bytes arrived, not the {} that were sent", got.display(), read.len(), sent.len());
}

/// Writes and ends its direction, beside the caller.
pub fn write_all_beside(stream: &UnixStream, bytes: Vec<u8>) -> std::thread::JoinHandle<()> {
    let mut stream = stream.try_clone().unwrap();
    std::thread::spawn(move || {
        stream.write_all(&bytes).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
    })
}
