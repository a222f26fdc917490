//! Sees to it that commands end with us, even where we are killed.
//!
//! The kernel tells only the first process of a command that its parent died, and a shell keeps that to itself. So a
//! second, small process of ours (`hardline guard`, not for users) knows every command we run, and ends them
//! when its socket to us closes. If it is the guard that is killed, SIGCHLD says so, and `tend` starts another.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{SigHandler, SigSet, Signal, kill};
use nix::sys::socket::{MsgFlags, send};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::{Pid, getpid, setsid};

/// How long commands may take to end after SIGTERM, and then after SIGKILL.
const END: Duration = Duration::from_millis(500);
/// How often they are looked at meanwhile.
const LOOK: Duration = Duration::from_millis(20);
/// Not ours in a list of processes, which is searched for `hardline` when all of it is to be killed.
const NAME: &std::ffi::CStr = c"hl-guard";

/// Which processes belong to a command. What has made a session of its own never does: it wants to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The session it is made the leader of.
    Session,
    /// The process group it leads: on a terminal, jobs have groups of their own, and hear of its end from the kernel.
    Group,
    /// It and its descendants: it shares our terminal, and so our session and group.
    Tree,
}

impl Reach {
    const ALL: [Reach; 3] = [Reach::Session, Reach::Group, Reach::Tree];

    fn kind(self) -> u8 {
        match self {
            Reach::Session => b'S',
            Reach::Group => b'G',
            Reach::Tree => b'T',
        }
    }
}

/// What the guard is told: a [`Reach`], or that the command has ended, and the process.
type Message = [u8; 5];
const ENDED: u8 = b'-';

fn message(kind: u8, id: i32) -> Message {
    let [a, b, c, d] = id.to_le_bytes();
    [kind, a, b, c, d]
}

// ---- our side -----------------------------------------------------------------------------------

struct Guard {
    child: Child,
    socket: UnixStream,
}

#[derive(Default)]
struct State {
    /// Set by the binary that can be the guard: a test or a benchmark cannot.
    enabled: bool,
    guard: Option<Guard>,
    watched: BTreeMap<i32, Reach>,
}

static STATE: Mutex<State> = Mutex::new(State { enabled: false, guard: None, watched: BTreeMap::new() });

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on commands have a guard; for the binary `hardline` alone, which is started again as one.
pub fn enable() {
    state().enabled = true;
}

/// Starts a command that ends with us.
#[allow(unsafe_code)]
pub(crate) fn spawn(command: &mut Command, reach: Reach) -> io::Result<Child> {
    let mut state = state();
    state.start();
    let socket = state.guard.as_ref().map(|guard| guard.socket.as_raw_fd());
    let kind = reach.kind();
    // SAFETY: setsid, sigaction, getpid and send are safe between fork and exec; the lock keeps the socket open until then
    unsafe {
        command.pre_exec(move || {
            if reach == Reach::Session {
                setsid()?;
            }
            if reach != Reach::Tree {
                // nohup is for us: on a terminal of its own a command hears that it hung up
                nix::sys::signal::signal(Signal::SIGHUP, SigHandler::SigDfl)?;
            }
            // told by the command itself: we may be killed as soon as it is there
            socket.into_iter().for_each(|fd| tell(fd, message(kind, getpid().as_raw())));
            Ok(())
        });
    }
    let child = command.spawn()?;
    state.watched.insert(child.id() as i32, reach);
    Ok(child)
}

/// A command has ended, or has been made to end.
fn forget(child: &Child) {
    let mut state = state();
    let id = child.id() as i32;
    if state.watched.remove(&id).is_some()
        && let Some(guard) = &state.guard
    {
        tell(guard.socket.as_raw_fd(), message(ENDED, id));
    }
}

/// A child of ours has ended: if it was the guard, another takes its place.
pub(crate) fn tend() {
    let mut state = state();
    if state.guard.is_some() {
        state.start();
    }
}

/// A guard that is gone is noticed elsewhere.
fn tell(socket: RawFd, message: Message) {
    let _ = send(socket, &message, MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT);
}

impl State {
    /// Starts a guard, unless there is one.
    fn start(&mut self) {
        let lives = self.guard.as_mut().is_some_and(|guard| matches!(guard.child.try_wait(), Ok(None)));
        if lives || !self.enabled {
            return;
        }
        match Guard::start() {
            Ok(guard) => {
                for (&id, reach) in &self.watched {
                    tell(guard.socket.as_raw_fd(), message(reach.kind(), id));
                }
                self.guard = Some(guard);
            }
            Err(e) => {
                tracing::warn!("cannot start the process that ends commands should this one be killed: {e}");
                self.guard = None;
            }
        }
    }
}

impl Guard {
    fn start() -> io::Result<Guard> {
        let (socket, theirs) = UnixStream::pair()?;
        let mut command = Command::new("/proc/self/exe");
        // a group of its own: what the terminal tells us is not for it
        command.arg0("hl-guard").arg("guard").env_clear().current_dir("/").process_group(0);
        let child = command.stdin(OwnedFd::from(theirs)).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        Ok(Guard { child, socket })
    }
}

// ---- the guard's side ---------------------------------------------------------------------------

/// Is the guard: remembers what it is told on stdin until that ends, and then ends what is left.
pub fn run() {
    // it ends after us, not before, whoever else is told to end
    let _ = SigSet::all().thread_block();
    let _ = nix::sys::prctl::set_name(NAME);
    let mut watched = BTreeMap::new();
    let mut heard = Message::default();
    while io::stdin().read_exact(&mut heard).is_ok() {
        let id = i32::from_le_bytes([heard[1], heard[2], heard[3], heard[4]]);
        let reach = Reach::ALL.into_iter().find(|r| r.kind() == heard[0]);
        match (reach, Process::read(id)) {
            (Some(reach), Some(process)) => drop(watched.insert(id, Family { reach, leader: process })),
            _ => drop(watched.remove(&id)),
        }
    }
    end_all(watched.into_values().collect());
}

/// How a command has ended; none while it runs. It is not reaped: its number, which is that of its group and session, is no
/// other's before [`reap`].
///
/// # Errors
/// It was reaped.
pub(crate) fn ended(child: &Child) -> io::Result<Option<ExitStatus>> {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    match waitid(Id::Pid(Pid::from_raw(child.id() as i32)), flags) {
        Ok(WaitStatus::Exited(_, code)) => Ok(Some(ExitStatus::from_raw((code & 0xFF) << 8))),
        Ok(WaitStatus::Signaled(_, signal, _)) => Ok(Some(ExitStatus::from_raw(signal as i32))),
        Ok(_) => Ok(None),
        // a real-time signal, which has no name
        Err(Errno::EINVAL) => Ok(Some(ExitStatus::from_raw(libc::SIGRTMIN()))),
        Err(e) => Err(e.into()),
    }
}

/// Whether a command is on its way out: the kernel has closed what it had open before anybody can learn how it ended.
pub(crate) fn is_ending(child: &Child) -> bool {
    /// PF_EXITING of the kernel.
    const EXITING: u32 = 4;
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap_or_default();
    // the name, in brackets, may have any character in it
    let flags = stat.rsplit_once(')').and_then(|(_, fields)| fields.split_whitespace().nth(6)?.parse().ok());
    flags.is_some_and(|flags: u32| flags & EXITING != 0)
}

/// Gives up the number of a command that has ended: nothing is signalled by it from now on.
pub(crate) fn reap(child: &mut Child) {
    forget(child);
    let _ = child.try_wait();
}

/// Signals a command and what belongs to it; says whether anybody was left who lives. Of a command that was reaped nobody:
/// its number may be another's.
pub(crate) fn signal(child: &Child, reach: Reach, signal: Option<Signal>) -> bool {
    if ended(child).is_err() {
        return false;
    }
    let id = child.id() as i32;
    match (reach, signal) {
        // without its leader nobody knows who belonged to it
        (Reach::Tree, _) => kill(Pid::from_raw(id), signal).is_ok(),
        (Reach::Group, Some(_)) => kill(Pid::from_raw(-id), signal).is_ok(),
        _ => {
            let mut members = Process::all();
            let of = |p: &Process| if reach == Reach::Group { p.group } else { p.session };
            members.retain(|p| of(p) == id && !p.dead);
            for process in &members {
                let _ = kill(Pid::from_raw(process.id), signal);
            }
            !members.is_empty()
        }
    }
}

/// What a command that has ended leaves behind.
pub(crate) struct Orphans(Family);

impl Orphans {
    /// Of a command that was not reaped yet.
    pub(crate) fn of(child: &Child, reach: Reach) -> Orphans {
        let id = child.id() as i32;
        Orphans(Family { reach, leader: Process::read(id).unwrap_or(Process { id, ..Process::default() }) })
    }
    /// Ends them.
    pub(crate) fn end(self) {
        end_all(vec![self.0]);
    }
}

fn end_all(families: Vec<Family>) {
    let mut left: Vec<Process> = Vec::new();
    for number in [Signal::SIGTERM, Signal::SIGKILL] {
        let until = Instant::now() + END;
        let mut told: Vec<Process> = Vec::new();
        loop {
            let all = Process::all();
            families.iter().for_each(|family| family.add_to(&mut left, &all));
            left.retain(|l| all.iter().any(|p| p.is(l) && !p.dead));
            if left.is_empty() {
                return;
            }
            for process in &left {
                if !told.iter().any(|t| t.is(process)) {
                    let _ = kill(Pid::from_raw(process.id), number);
                    // one that was stopped hears nothing else
                    let _ = kill(Pid::from_raw(process.id), Signal::SIGCONT);
                    told.push(*process);
                }
            }
            if Instant::now() > until {
                break;
            }
            std::thread::sleep(LOOK);
        }
    }
}

/// A command that was started, and what belongs to it.
struct Family {
    reach: Reach,
    /// As it was when it was started.
    leader: Process,
}

impl Family {
    /// Adds those of `all` that belong to it.
    fn add_to(&self, left: &mut Vec<Process>, all: &[Process]) {
        let id = self.leader.id;
        // the number is another's by now
        if all.iter().any(|p| p.id == id && !p.is(&self.leader)) {
            return;
        }
        loop {
            let before = left.len();
            for process in all.iter().filter(|p| !p.dead) {
                let belongs = match self.reach {
                    Reach::Session => process.session == id,
                    Reach::Group => process.group == id,
                    Reach::Tree => {
                        process.id == id || left.iter().any(|l| l.id == process.parent && l.session == process.session)
                    }
                };
                if belongs && !left.iter().any(|l| l.is(process)) {
                    left.push(*process);
                }
            }
            if left.len() == before || self.reach != Reach::Tree {
                return;
            }
        }
    }
}

/// A line of the kernel's list of processes.
#[derive(Clone, Copy, Debug, Default)]
struct Process {
    id: i32,
    parent: i32,
    group: i32,
    session: i32,
    /// When it was started, since the machine was: numbers are used again.
    born: u64,
    /// Nobody has waited for it yet, that is all.
    dead: bool,
}

impl Process {
    fn read(id: i32) -> Option<Process> {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // the name, in brackets, may have any character in it
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<i32>().ok();
        let born = fields.get(19)?.parse().ok()?;
        let dead = matches!(fields[0], "Z" | "X");
        Some(Process { id, parent: number(1)?, group: number(2)?, session: number(3)?, born, dead })
    }
    /// All but us and the first one.
    fn all() -> Vec<Process> {
        let numbers = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        numbers.filter(|&id| id > 1 && id != getpid().as_raw()).filter_map(Process::read).collect()
    }
    fn is(&self, other: &Process) -> bool {
        self.id == other.id && self.born == other.born
    }
}
