//! The parts of every way of carrying bytes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::flow::{Files, Place, Sent};
use super::plan::{Input, Way};
use super::stage::{BAUD, GRACE, Guest, Part, Stage, Stdin};
use super::users::User;

/// What the far end of a console says when keys may be typed.
pub const READY: &str = "ready to be typed at";
/// What is there soon is waited for so long.
const SOON: Duration = Duration::from_secs(20);
/// Names of the ends of both pairs.
const ENDS: [[&str; 2]; 2] = [["a", "b"], ["c", "d"]];
/// Files of a transfer.
const FILES: u64 = 3;

/// Polls until it is so, but not for ever.
fn wait(mut is: impl FnMut() -> bool) {
    let limit = Instant::now() + SOON;
    while !is() && Instant::now() < limit {
        std::thread::sleep(Duration::from_millis(3));
    }
}

fn part(stage: &Stage, pair: usize, side: usize, command: &str, behind: &[String]) -> Part {
    let mut args = vec![command.to_owned()];
    args.extend(stage.wired(pair, side));
    args.extend(behind.iter().cloned());
    Part {
        name: format!("{}-{command}", ENDS[pair][side]),
        args,
        stdin: Stdin::Null,
        shows: None,
        vouches: Vec::new(),
        ends: true,
        side,
        pair,
        holds: true,
        writes: false,
    }
}

/// Puts a pair on the stage.
pub fn enter(stage: &mut Stage, pair: usize) -> io::Result<()> {
    match stage.plan.way {
        Way::PipeThere | Way::PipeBoth | Way::PipeCommand => pipe(stage, pair),
        Way::SendFiles | Way::SendFolder => files(stage, pair),
        Way::OpenExec | Way::OpenTcp | Way::OpenUnix | Way::Console => open(stage, pair),
        Way::ForwardTcp | Way::ForwardUnix => forward(stage, pair),
        Way::DiodeFiles | Way::DiodeLines | Way::DiodeStream | Way::DiodeMessage => diode(stage, pair),
    }
}

/// Both, one of them later if the plan has it so.
fn enter_both(stage: &mut Stage, first: Part, second: Part) -> io::Result<()> {
    let parts = if stage.draw.below(2) == 0 { [first, second] } else { [second, first] };
    for (i, part) in parts.into_iter().enumerate() {
        if i == 1 {
            std::thread::sleep(stage.plan.late);
        }
        stage.enter(part)?;
    }
    Ok(())
}

fn fed(sent: &Sent) -> Stdin {
    match sent {
        Sent::Bytes(bytes) | Sent::Failing(bytes) => Stdin::Fed(bytes.clone()),
        Sent::Files(_) => Stdin::Null,
    }
}

fn pipe(stage: &mut Stage, pair: usize) -> io::Result<()> {
    let way = stage.plan.way;
    let sent = stage.content()?;
    let stdin = fed(&sent);
    let out = stage.dir.join(format!("{pair}.command"));
    let (back_sent, back_stdin) = match way {
        Way::PipeBoth => {
            let back = stage.content()?;
            let stdin = fed(&back);
            (back, stdin)
        }
        Way::PipeCommand => (sent.clone(), Stdin::Null),
        _ => (Sent::Bytes(Vec::new()), Stdin::Null),
    };
    let places = if way == Way::PipeCommand { vec![Place::Numbered(out.clone())] } else { Vec::new() };
    let there = stage.flow(&format!("{pair} there"), sent, places);
    let back = stage.flow(&format!("{pair} back"), back_sent, Vec::new());
    let mut a = part(stage, pair, 0, "pipe", &[]);
    (a.stdin, a.shows, a.vouches) = (stdin, Some(back), vec![there, back]);
    let command = ["--", "sh", "-c", &format!("tee {}.$$", out.display())].map(String::from);
    let mut b = part(stage, pair, 1, "pipe", if way == Way::PipeCommand { &command } else { &[] });
    (b.stdin, b.vouches, b.writes) = (back_stdin, vec![there, back], true);
    b.shows = Some(there).filter(|_| way != Way::PipeCommand);
    enter_both(stage, a, b)
}

/// Files below `dir`; returns what to name on the command line, and what has to come.
fn make_files(stage: &mut Stage, dir: &Path) -> io::Result<(Vec<String>, Files)> {
    let folder = stage.plan.way == Way::SendFolder;
    let (mut named, mut sent) = (Vec::new(), Files::new());
    for i in 0..FILES {
        let name = if folder { format!("tree/{}/file {i}", ["x", "y"][i as usize % 2]) } else { format!("file{i}") };
        let path = dir.join(&name);
        fs::create_dir_all(path.parent().unwrap_or(dir))?;
        let content = stage.draw.bytes(stage.plan.size / FILES + i * 7);
        fs::write(&path, &content)?;
        sent.insert(name.into(), content);
        if !folder {
            named.push(path.to_string_lossy().into_owned());
        }
    }
    if folder {
        named.push(dir.join("tree").to_string_lossy().into_owned());
    }
    Ok((named, sent))
}

fn files(stage: &mut Stage, pair: usize) -> io::Result<()> {
    let (from, to) = (stage.dir.join(format!("{pair}.from")), stage.dir.join(format!("{pair}.to")));
    let (named, sent) = make_files(stage, &from)?;
    let flow = stage.flow(&format!("{pair} files"), Sent::Files(sent), vec![Place::Folder(to.clone())]);
    let mut send = part(stage, pair, 0, "send", &named);
    send.vouches = vec![flow];
    let mut recv = part(stage, pair, 1, "recv", &["--out".into(), to.to_string_lossy().into_owned()]);
    (recv.vouches, recv.writes) = (vec![flow], true);
    enter_both(stage, send, recv)
}

/// Two links, once the first can be asked.
fn links(stage: &mut Stage, pair: usize, near: &[String], far: &[String]) -> io::Result<PathBuf> {
    let control = stage.dir.join(format!("{pair}.ctl"));
    let near = [&["--control".to_owned(), control.to_string_lossy().into_owned()], near].concat();
    let mut parts = [part(stage, pair, 0, "link", &near), part(stage, pair, 1, "link", far)];
    parts.iter_mut().for_each(|part| part.ends = false);
    let [near, far] = parts;
    enter_both(stage, near, far)?;
    wait(|| control.exists());
    Ok(control)
}

/// A command that keeps what comes in a file of its own and gives it back.
fn keeper(stage: &Stage, pair: usize) -> (String, Place) {
    let kept = stage.dir.join(format!("{pair}.kept"));
    (format!("tee {}.$$", kept.display()), Place::Numbered(kept))
}

fn open(stage: &mut Stage, pair: usize) -> io::Result<()> {
    let console = stage.plan.way == Way::Console;
    let sent = if console { Sent::Bytes(keys(stage)) } else { stage.content()? };
    let (command, kept) = keeper(stage, pair);
    let server = User::default();
    let (target, place) = match stage.plan.way {
        Way::OpenTcp => (format!("tcp:{}", server.serve_tcp()?), Place::Gathered(server.came.clone())),
        Way::OpenUnix => {
            let path = stage.dir.join(format!("{pair}.server"));
            server.serve_unix(&path)?;
            (format!("unix:{}", path.display()), Place::Gathered(server.came.clone()))
        }
        Way::Console => {
            let bytes = if let Sent::Bytes(bytes) = &sent { bytes.len() } else { 0 };
            (format!("pty:stty raw -echo; echo '{READY}'; head -c {bytes} | {command}"), kept)
        }
        _ => (format!("exec:{command}"), kept),
    };
    let stdin = if let (true, Sent::Bytes(bytes)) = (console, &sent) { Stdin::Terminal(bytes.clone()) } else { fed(&sent) };
    let there = stage.flow(&format!("{pair} there"), sent.clone(), vec![place]);
    let back = stage.flow(&format!("{pair} back"), sent, Vec::new());
    let control = links(stage, pair, &[], &["--service".into(), format!("console={target}")])?;
    if target.starts_with("tcp:") || target.starts_with("unix:") {
        stage.guests.push(Guest { name: format!("{pair} server"), user: server, vouches: vec![there], ends: false });
    }
    let word = if console { "console" } else { "open" };
    let args = [word.to_owned(), control.to_string_lossy().into_owned(), "console".into(), "-v".into()];
    let name = format!("{}-{word}", ENDS[pair][0]);
    let mut client = Part { name, args: args.into(), holds: false, ends: true, ..part(stage, pair, 0, word, &[]) };
    (client.stdin, client.shows, client.vouches) = (stdin, Some(back), vec![there, back]);
    stage.enter(client)?;
    Ok(())
}

/// Lines of text, which no terminal takes for anything else.
fn keys(stage: &mut Stage) -> Vec<u8> {
    (0..stage.plan.size).map(|i| if i % 61 == 60 { b'\n' } else { b'a' + stage.draw.below(26) as u8 }).collect()
}

fn forward(stage: &mut Stage, pair: usize) -> io::Result<()> {
    let sent = Sent::Bytes(stage.draw.bytes(stage.plan.size));
    let (command, kept) = keeper(stage, pair);
    let client = User::default();
    let there = stage.flow(&format!("{pair} there"), sent.clone(), vec![kept]);
    let back = stage.flow(&format!("{pair} back"), sent.clone(), vec![Place::Gathered(client.came.clone())]);
    let (path, address) = (stage.dir.join(format!("{pair}.listen")), own_address());
    let tcp = stage.plan.way == Way::ForwardTcp;
    let listen = if tcp { format!("tcp:{address}=keeper") } else { format!("unix:{}=keeper", path.display()) };
    links(stage, pair, &["--forward".into(), listen], &["--service".into(), format!("keeper=exec:{command}")])?;
    let Sent::Bytes(bytes) = sent else { return Ok(()) };
    let near = stage.actors.iter().find(|actor| actor.part.pair == pair && actor.part.side == 0);
    wait(|| near.is_none_or(|near| is_open(&near.process.says())));
    let asked = if tcp { client.ask_tcp(&address, bytes) } else { client.ask_unix(&path, bytes) };
    // a link that has ended by now listens no more
    if asked.is_ok() {
        stage.guests.push(Guest { name: format!("{pair} client"), user: client, vouches: vec![there, back], ends: true });
    }
    Ok(())
}

/// Whether a process has said that a session is open.
pub fn is_open(says: &str) -> bool {
    says.lines().any(|line| line.contains("session") && line.ends_with("is open"))
}

/// An address on this machine that nobody else uses.
fn own_address() -> String {
    use std::sync::atomic::{AtomicU16, Ordering};
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let (pid, n) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    format!("127.{}.{}.{}:{}", 1 + pid % 250, n / 250 % 250, 1 + n % 250, 20_000 + pid / 250 % 10_000)
}

fn diode(stage: &mut Stage, pair: usize) -> io::Result<()> {
    let way = stage.plan.way;
    let to = stage.dir.join(format!("{pair}.to"));
    let out = || ["--out".into(), to.to_string_lossy().into_owned()];
    let (sent, from, at, places): (Sent, Vec<String>, Vec<String>, Vec<Place>) = match way {
        Way::DiodeFiles => {
            let from = stage.dir.join(format!("{pair}.from"));
            let (named, sent) = make_files(stage, &from)?;
            (Sent::Files(sent), named, out().into(), vec![Place::Folder(to.clone())])
        }
        Way::DiodeMessage => (stage.content()?, vec!["-".into()], out().into(), vec![Place::Message(to.clone())]),
        Way::DiodeStream => (stage.content()?, vec!["--stream".into()], vec!["--stream".into()], vec![]),
        _ => {
            let sent = if stage.plan.input == Input::Failing { stage.content()? } else { Sent::Bytes(keys(stage)) };
            (sent, vec!["--lines".into()], vec!["--lines".into()], vec![])
        }
    };
    let stdin = fed(&sent);
    let read = matches!(sent, Sent::Failing(_)).then(|| stage.flow(&format!("{pair} what was read"), sent.clone(), vec![]));
    let flow = stage.flow(&format!("{pair} there"), sent, places);
    let wired = |stage: &Stage, side: usize, command: &str| {
        let mut args = vec!["diode".to_owned(), command.to_owned(), stage.ports(pair, side)[0].clone()];
        args.extend(["-b", BAUD, "-v"].map(String::from));
        if stage.plan.sealed {
            args.extend(["--psk".into(), stage.psk[pair].to_string_lossy().into_owned()]);
        }
        args
    };
    let mut recv = wired(stage, 1, "recv");
    let state = [stage.path(&format!("{pair}.state")), stage.path(&format!("{pair}.report"))];
    recv.extend(["--grace", GRACE, "--state", &state[0], "--report", &state[1]].map(String::from));
    recv.extend(at);
    let mut recv = Part { args: recv, ..part(stage, pair, 1, "recv", &[]) };
    recv.shows = matches!(way, Way::DiodeStream | Way::DiodeLines).then_some(flow);
    (recv.vouches, recv.writes) = (vec![flow], true);
    let actor = stage.enter(recv)?;
    let port = PathBuf::from(&stage.ports(pair, 1)[0]);
    wait(|| stage.actors[actor].process.has_open(&port));
    std::thread::sleep(stage.plan.late);
    let mut send = wired(stage, 0, "send");
    send.extend(["--survive".into(), "100ms".into()]);
    send.extend(from);
    let mut send = Part { args: send, ..part(stage, pair, 0, "send", &[]) };
    (send.stdin, send.vouches) = (stdin, read.into_iter().collect());
    stage.enter(send)?;
    Ok(())
}
