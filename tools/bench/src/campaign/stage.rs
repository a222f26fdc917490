//! Who is on the stage: processes, users, and what flows between them.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::pty::openpty;
use nix::sys::signal::Signal;

use super::flow::{Flow, Gathered, Place, Sent};
use super::input::{Failing, trickle};
use super::plan::{Draw, Input, Output, Plan, Way};
use super::process::Process;
use super::users::{Ended, User};
use super::ways::READY;

/// Rate of the wires.
pub const BAUD: &str = "2000000";
/// How long a process waits for a peer that fell silent, or for its port.
pub const GRACE: &str = "3s";
/// No file of a limited process grows beyond so many blocks of 512 bytes.
const BLOCKS: &str = "32";

/// Where a process reads.
#[derive(Clone, Debug)]
pub enum Stdin {
    /// Nothing.
    Null,
    /// These bytes, as the plan has it.
    Fed(Vec<u8>),
    /// A terminal, as its output, in which these bytes are typed once the far end is ready.
    Terminal(Vec<u8>),
}

/// What a process is, to start it again as well.
#[derive(Clone, Debug)]
pub struct Part {
    /// For people.
    pub name: String,
    /// The command line behind the program.
    pub args: Vec<String>,
    /// Where it reads.
    pub stdin: Stdin,
    /// The flow (counted) that comes out of its stdout; none is thrown away.
    pub shows: Option<usize>,
    /// The flows its 0 vouches for.
    pub vouches: Vec<usize>,
    /// It has to end by itself.
    pub ends: bool,
    /// Which end of the wires it is at, a (0) or b (1).
    pub side: usize,
    /// Which pair it belongs to.
    pub pair: usize,
    /// It holds the wire itself.
    pub holds: bool,
    /// The limit of file sizes of the plan is about it.
    pub writes: bool,
}

/// A part that is played.
#[derive(Debug)]
pub struct Actor {
    /// What it is.
    pub part: Part,
    /// The process.
    pub process: Process,
    /// It was told to end or killed.
    pub struck: bool,
    /// It is not the first that plays this part.
    pub again: bool,
    /// The most it ran in a calm stretch, of the time others left it.
    pub busy: f64,
}

/// A user of a connection, and what its clean end vouches for.
#[derive(Debug)]
pub struct Guest {
    /// For people.
    pub name: String,
    /// Who.
    pub user: User,
    /// The flows its clean end vouches for.
    pub vouches: Vec<usize>,
    /// It has to end by itself.
    pub ends: bool,
}

/// All that is on the stage.
#[derive(Debug)]
pub struct Stage {
    /// The binary.
    pub hardline: PathBuf,
    /// The folder of the run.
    pub dir: PathBuf,
    /// What is played.
    pub plan: Plan,
    /// The shared key of each pair.
    pub psk: [PathBuf; 2],
    /// Who has come on.
    pub actors: Vec<Actor>,
    /// Users in our threads.
    pub guests: Vec<Guest>,
    /// What flows.
    pub flows: Vec<Flow>,
    /// Draws of things that are not in the plan.
    pub draw: Draw,
    failing: Vec<Failing>,
    /// Readers of pipes.
    readers: Vec<User>,
    outputs: usize,
}

impl Stage {
    /// An empty one.
    pub fn new(hardline: &Path, psk: &[PathBuf; 2], dir: &Path, plan: &Plan) -> Stage {
        Stage {
            hardline: hardline.to_owned(),
            dir: dir.to_owned(),
            plan: plan.clone(),
            psk: psk.clone(),
            actors: Vec::new(),
            guests: Vec::new(),
            flows: Vec::new(),
            draw: Draw::new(plan.seed ^ 0x57A6E),
            failing: Vec::new(),
            readers: Vec::new(),
            outputs: 0,
        }
    }
    /// A path in the folder, as text.
    pub fn path(&self, name: &str) -> String {
        self.dir.join(name).to_string_lossy().into_owned()
    }
    /// The ports of an end of a pair: a and b, or c and d of the second wire.
    pub fn ports(&self, pair: usize, side: usize) -> Vec<String> {
        let names = [["a", "b"], ["c", "d"]];
        let wires = if self.plan.bond { vec![0, 1] } else { vec![pair] };
        wires.into_iter().map(|wire: usize| self.path(names[wire][side])).collect()
    }
    /// Words for a command of two-way wires at an end: the ports and what goes with them.
    pub fn wired(&self, pair: usize, side: usize) -> Vec<String> {
        let ports = self.ports(pair, side);
        let mut words = vec![ports[0].clone()];
        ports[1..].iter().for_each(|port| words.extend(["--also".into(), port.clone()]));
        words.extend(["-b", BAUD, "--grace", GRACE, "-v"].map(String::from));
        if self.plan.sealed {
            words.extend(["--psk".into(), self.psk[pair].to_string_lossy().into_owned()]);
        } else {
            words.push("--plain".into());
        }
        words
    }
    /// A new flow of these bytes; returns its number. What a failing input gives is what it is.
    pub fn flow(&mut self, name: &str, sent: Sent, places: Vec<Place>) -> usize {
        self.flows.push(Flow { name: name.to_owned(), sent, places, times: 1, joined: false });
        self.flows.len() - 1
    }
    /// Bytes for the input of a process, as the plan has it.
    pub fn content(&mut self) -> io::Result<Sent> {
        if self.plan.input == Input::Failing {
            let failing = Failing::new(self.plan.size.max(1), &mut self.draw)?;
            let content = failing.content().to_vec();
            self.failing.push(failing);
            return Ok(Sent::Failing(content));
        }
        Ok(Sent::Bytes(self.draw.bytes(self.plan.size)))
    }
    /// Whether all that was written into pipes has been read.
    pub fn has_read_all(&self) -> bool {
        self.readers.iter().all(|user| user.ended() != Ended::No)
    }
    /// Whether who holds the wires of a pair at an end has had a session.
    pub fn is_opened(&self, pair: usize, side: usize) -> bool {
        let here = |actor: &&Actor| actor.part.pair == pair && actor.part.side == side && actor.part.holds;
        self.actors.iter().filter(here).any(|actor| super::ways::is_open(&actor.process.says()))
    }
    /// All pairs have met, and know whom they talk to. Before that a plain end takes any peer.
    pub fn is_settled(&self) -> bool {
        (0..=usize::from(self.plan.twins)).all(|pair| {
            let flows = self.flows.iter().filter(|flow| flow.name.starts_with(['0', '1'][pair]));
            [0, 1].iter().all(|&side| self.is_opened(pair, side)) && flows.into_iter().any(Flow::has_begun)
        })
    }
    /// A process (counted modulo all) gets a signal.
    pub fn signal(&mut self, who: usize, signal: Signal) -> io::Result<()> {
        let who = who % self.actors.len();
        let actor = &mut self.actors[who];
        actor.struck |= actor.process.signal(signal)?;
        Ok(())
    }
    /// Kills a process that runs, and starts it again.
    pub fn restart(&mut self, who: usize) -> io::Result<()> {
        let who = who % self.actors.len();
        if !self.actors[who].process.signal(Signal::SIGKILL)? {
            return Ok(());
        }
        while self.actors[who].process.ended()?.is_none() {
            std::thread::sleep(Duration::from_millis(3));
        }
        let part = self.actors[who].part.clone();
        let again = self.enter(part)?;
        // the new one takes the place of the old one
        let actor = self.actors.swap_remove(again);
        self.actors[who] = actor;
        let actor = &mut self.actors[who];
        (actor.struck, actor.again) = (true, true);
        let (pair, sends) = (actor.part.pair, actor.part.side == 0);
        for flow in self.flows.iter_mut().filter(|flow| flow.name.starts_with(['0', '1'][pair])) {
            flow.times += i64::from(sends);
            flow.joined |= !sends && self.plan.way == Way::DiodeStream;
        }
        Ok(())
    }
    /// A process comes on; returns its number.
    pub fn enter(&mut self, part: Part) -> io::Result<usize> {
        let limited = self.plan.output == Output::Limited && part.writes;
        let mut command = if limited {
            let mut shell = Command::new("sh");
            shell.args(["-c", &format!("trap '' XFSZ; ulimit -f {BLOCKS}; exec \"$@\""), "sh"]).arg(&self.hardline);
            shell
        } else {
            Command::new(&self.hardline)
        };
        command.args(&part.args).current_dir(&self.dir);
        command.env("HOME", &self.dir).env("XDG_STATE_HOME", &self.dir).env("XDG_CONFIG_HOME", &self.dir);
        command.env("RUST_BACKTRACE", "0");
        let (master, slave) = self.terminal(&part)?;
        self.set_stdin(&part, slave.as_ref(), &mut command)?;
        let shown = self.set_stdout(&part, slave.as_ref(), &mut command)?;
        let log = self.dir.join(format!("{}.log", part.name));
        let mut process = Process::start(&mut command, &log)?;
        if let (Some(user), Some(stdout)) = (shown, process.child().stdout.take()) {
            user.read_slowly(stdout, Draw::new(self.draw.below(u64::MAX)));
            self.readers.push(user);
        }
        match (&part.stdin, process.child().stdin.take(), master) {
            (Stdin::Fed(bytes), Some(stdin), _) => trickle(bytes.clone(), stdin, Draw::new(self.draw.below(u64::MAX))),
            (Stdin::Terminal(bytes), _, Some(master)) => self.watch_terminal(&part, bytes.clone(), master)?,
            _ => {}
        }
        self.actors.push(Actor { part, process, struck: false, again: false, busy: 0.0 });
        Ok(self.actors.len() - 1)
    }
    fn terminal(&self, part: &Part) -> io::Result<(Option<OwnedFd>, Option<OwnedFd>)> {
        if !matches!(part.stdin, Stdin::Terminal(_)) {
            return Ok((None, None));
        }
        let pty = openpty(None, None)?;
        nix::fcntl::fcntl(&pty.master, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC))?;
        nix::fcntl::fcntl(&pty.slave, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC))?;
        Ok((Some(pty.master), Some(pty.slave)))
    }
    fn set_stdin(&mut self, part: &Part, slave: Option<&OwnedFd>, command: &mut Command) -> io::Result<()> {
        match (&part.stdin, slave) {
            (Stdin::Terminal(_), Some(slave)) => command.stdin(slave.try_clone()?),
            (Stdin::Fed(bytes), _) => match self.plan.input {
                Input::Pipe => command.stdin(Stdio::piped()),
                Input::Failing => match self.failing.iter().find(|failing| failing.content() == bytes) {
                    Some(failing) => command.stdin(failing.open()?),
                    None => return Err(io::Error::other("there is no such input")),
                },
                Input::File => {
                    let name = self.dir.join(format!("{}.in", part.name));
                    std::fs::write(&name, bytes)?;
                    command.stdin(File::open(name)?)
                }
            },
            _ => command.stdin(Stdio::null()),
        };
        Ok(())
    }
    /// Adds a place to the flow that is shown; returns who reads a pipe.
    fn set_stdout(&mut self, part: &Part, slave: Option<&OwnedFd>, command: &mut Command) -> io::Result<Option<User>> {
        self.outputs += 1;
        let name = self.dir.join(format!("{}.{}.out", part.name, self.outputs));
        if let Some(slave) = slave {
            command.stdout(slave.try_clone()?);
            return Ok(None);
        }
        let Some(flow) = part.shows.and_then(|flow| self.flows.get_mut(flow)) else {
            command.stdout(Stdio::null());
            return Ok(None);
        };
        let lines = self.plan.way == Way::DiodeLines;
        match self.plan.output {
            Output::Slow => {
                let user = User::default();
                let came = Arc::clone(&user.came);
                flow.places.push(if lines { Place::GatheredLines(came) } else { Place::Gathered(came) });
                command.stdout(Stdio::piped());
                Ok(Some(user))
            }
            Output::Full if part.writes => {
                command.stdout(File::options().write(true).open("/dev/full")?);
                // nothing ever comes there
                flow.places.push(if lines { Place::Lines(name) } else { Place::File(name) });
                Ok(None)
            }
            _ => {
                command.stdout(File::create(&name)?);
                flow.places.push(if lines { Place::Lines(name) } else { Place::File(name) });
                Ok(None)
            }
        }
    }
    /// Types what is to be typed as soon as the far end says that it is ready; keeps what is shown.
    fn watch_terminal(&mut self, part: &Part, bytes: Vec<u8>, master: OwnedFd) -> io::Result<()> {
        let shown: Gathered = Arc::new(Mutex::new(Vec::new()));
        if let Some(flow) = part.shows.and_then(|flow| self.flows.get_mut(flow)) {
            flow.places.push(Place::Within(Arc::clone(&shown)));
        }
        let (mut reader, keys) = (File::from(master.try_clone()?), File::from(master));
        std::thread::spawn(move || {
            let (mut piece, mut keys) = ([0; 4096], Some(keys));
            while let Ok(n @ 1..) = reader.read(&mut piece) {
                let Ok(mut shown) = shown.lock() else { return };
                shown.extend(&piece[..n]);
                let ready = shown.windows(READY.len()).any(|shown| shown == READY.as_bytes());
                if let Some(keys) = keys.take_if(|_| ready) {
                    super::users::typed(bytes.clone(), keys);
                }
            }
        });
        Ok(())
    }
}
