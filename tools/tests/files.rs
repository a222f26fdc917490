//! `hardline send` and `hardline recv` as shipped, over simulated wires: a tree arrives as it was, what
//! was broken off goes on, and what went wrong is said at both ends.
#![allow(missing_docs)]

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant, UNIX_EPOCH};

use link::sim::Random;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tools::files::wire::{Message, Stamp, VERSION};
use tools::rig::Rig;

const HARDLINE: &str = env!("CARGO_BIN_EXE_hardline");
const BAUD: &str = "2000000";
/// What the transfers are about where they are to be broken off: 2.5 s of the wire.
const BIG: usize = 500_000;

fn bytes(len: usize, seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    (0..len).map(|_| random.bits() as u8).collect()
}

fn rig() -> Rig {
    Rig::start(Path::new(HARDLINE), &["--baud", BAUD, "--latency", "200us", "--ber", "1e-5"]).expect("the simulated wire starts")
}

/// A process that does not outlive its test; what it says goes to a file.
struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    /// `hardline VERB` on an end of the wire, or on a socket.
    fn start(rig: &Rig, name: &str, verb: &str, on: &str, args: &[&str]) -> Running {
        let mut command = Command::new(HARDLINE);
        command.arg(verb).arg(rig.path(on)).args(["-b", BAUD]).args(args).current_dir(rig.dir());
        if !on.ends_with("ctl") {
            command.arg("--stats").arg(rig.path(&format!("{name}.json")));
        }
        Running::spawn(rig, name, &mut command)
    }
    fn spawn(rig: &Rig, name: &str, command: &mut Command) -> Running {
        let log = rig.path(&format!("{name}.log"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log).unwrap());
        Running { child: command.spawn().expect("the command starts"), log }
    }
    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }
    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).expect("the process is there");
    }
    fn kill(mut self) {
        self.signal(Signal::SIGKILL);
        self.child.wait().unwrap();
    }
    /// Waits for its end; what it said.
    #[track_caller]
    fn ends(&mut self, code: i32) -> String {
        let mut ended = None;
        until(&format!("the end; it says: {}", self.said()), || {
            ended = self.child.try_wait().unwrap();
            ended.is_some()
        });
        assert_eq!(ended.unwrap().code(), Some(code), "{}", self.said());
        self.said()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until `done`, at most a minute.
#[track_caller]
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < limit, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// User bytes a process says it has sent.
fn bytes_out(rig: &Rig, name: &str) -> u64 {
    let stats: serde_json::Value = serde_json::from_str(&fs::read_to_string(rig.path(&format!("{name}.json"))).unwrap()).unwrap();
    stats["bytes_out"].as_u64().unwrap()
}

fn set_time(path: &Path, seconds: u64) {
    File::open(path).unwrap().set_modified(UNIX_EPOCH + Duration::new(seconds, 123_456_789)).unwrap();
}

/// `top` in the folder of the rig: files and folders with modes and times of their own.
fn tree(rig: &Rig) {
    let top = rig.path("top");
    fs::create_dir_all(top.join("in/deep")).unwrap();
    fs::create_dir(top.join("nothing in it")).unwrap();
    for (name, len, mode) in [("empty", 0, 0o600), ("in/a", 10, 0o444), ("in/deep/ü", 70_000, 0o755), ("z", 300, 0o640)] {
        fs::write(top.join(name), bytes(len, len as u64)).unwrap();
        fs::set_permissions(top.join(name), fs::Permissions::from_mode(mode)).unwrap();
        set_time(&top.join(name), 1_000_000 + len as u64);
    }
    for (at, name) in ["in/deep", "in", "nothing in it", ""].into_iter().enumerate() {
        fs::set_permissions(top.join(name), fs::Permissions::from_mode(0o550)).unwrap();
        set_time(&top.join(name), 2_000_000 + at as u64);
    }
}

/// A path with everything that is to be the same: mode, time, content.
type Listed = (PathBuf, u32, (i64, i64), Option<Vec<u8>>);

/// Everything below a folder.
fn listed(root: &Path) -> Vec<Listed> {
    let (mut found, mut todo) = (Vec::new(), vec![root.to_owned()]);
    while let Some(path) = todo.pop() {
        let meta = path.symlink_metadata().unwrap();
        let content = meta.is_file().then(|| fs::read(&path).unwrap());
        if meta.is_dir() {
            todo.extend(fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
        }
        found.push((path.strip_prefix(root).unwrap().to_owned(), meta.mode(), (meta.mtime(), meta.mtime_nsec()), content));
    }
    found.sort();
    found
}

#[track_caller]
fn assert_same(rig: &Rig, name: &str) {
    assert_eq!(listed(&rig.path("out").join(name)), listed(&rig.path(name)));
}

#[test]
fn a_tree_over_ports() {
    let rig = rig();
    tree(&rig);
    let mut send = Running::start(&rig, "send", "send", "a", &["top"]);
    let mut recv = Running::start(&rig, "recv", "recv", "b", &["--out", "out"]);
    let (sent, received) = (send.ends(0), recv.ends(0));
    assert!(sent.contains("sent 4 files, 70310 bytes"), "{sent}");
    assert!(received.contains("received 4 files, 70310 bytes"), "{received}");
    assert_same(&rig, "top");
    // once more, the other way round: it is there
    let mut recv = Running::start(&rig, "recv", "recv", "a", &["--out", "out"]);
    let mut send = Running::start(&rig, "send", "send", "b", &["top", "-q"]);
    assert_eq!((send.ends(0), recv.ends(0).contains("4 were there already")), (String::new(), true));
    assert_same(&rig, "top");
    assert!(bytes_out(&rig, "send") < 5_000);
}

/// Two held wires; their control sockets are `a.ctl` and `b.ctl`.
fn links(rig: &Rig) -> [Running; 2] {
    let links = ["a", "b"].map(|end| {
        let control = format!("{end}.ctl");
        Running::start(rig, &format!("link-{end}"), "link", end, &["--control", &control])
    });
    until("the control sockets", || rig.path("a.ctl").exists() && rig.path("b.ctl").exists());
    links
}

/// What `--wait` is for sockets: until the offer stands, a sender is refused.
fn send_until_taken(rig: &Rig, on: &str, file: &str) -> String {
    let limit = Instant::now() + Duration::from_secs(30);
    loop {
        let mut send = Running::start(rig, "send", "send", on, &[file]);
        until("the end of send", || send.child.try_wait().unwrap().is_some());
        let said = send.said();
        if !said.contains("is 'hardline recv' running there?") {
            send.ends(0);
            return said;
        }
        send.ends(5);
        assert!(Instant::now() < limit, "never taken: {said}");
    }
}

#[test]
fn a_tree_over_held_wires() {
    let rig = rig();
    tree(&rig);
    let _links = links(&rig);
    let said = Running::start(&rig, "early", "send", "a.ctl", &["top"]).ends(5);
    assert!(said.contains("is 'hardline recv' running there?"), "{said}");
    let mut recv = Running::start(&rig, "recv", "recv", "b.ctl", &["--out", "out"]);
    send_until_taken(&rig, "a.ctl", "top");
    recv.ends(0);
    assert_same(&rig, "top");
    // the same end the other way, and one that stays
    let mut recv = Running::start(&rig, "recv", "recv", "a.ctl", &["--out", "out", "--forever"]);
    assert!(send_until_taken(&rig, "b.ctl", "top").contains("4 were there already"));
    let said = Running::start(&rig, "second", "recv", "a.ctl", &["--out", "other"]).ends(5);
    assert!(said.contains("'files' is offered on this wire already"), "{said}");
    fs::write(rig.path("new"), b"new").unwrap();
    Running::start(&rig, "again", "send", "b.ctl", &["new"]).ends(0);
    assert_same(&rig, "new");
    recv.signal(Signal::SIGTERM);
    recv.ends(143);
}

#[test]
fn one_end_holds_the_wire_the_other_has_a_port() {
    let rig = rig();
    tree(&rig);
    let _link = Running::start(&rig, "link", "link", "a", &["--control", "a.ctl"]);
    until("the control socket", || rig.path("a.ctl").exists());
    let mut recv = Running::start(&rig, "recv", "recv", "b", &["--out", "out"]);
    let mut send = Running::start(&rig, "send", "send", "a.ctl", &["top"]);
    send.ends(0);
    recv.ends(0);
    assert_same(&rig, "top");
    let said = Running::start(&rig, "refused", "send", "b", &["top"]).ends(5);
    assert!(said.contains("is 'hardline recv' running there?"), "{said}");
}

// ---- killed -----------------------------------------------------------------------------------

fn big(rig: &Rig) {
    big_of(rig, 1);
}

fn big_of(rig: &Rig, seed: u64) {
    let mut file = File::options().create(true).truncate(false).write(true).open(rig.path("big")).unwrap();
    file.write_all(&bytes(BIG, seed)).unwrap();
}

fn part_len(rig: &Rig) -> u64 {
    fs::metadata(rig.path("out/.big.hardline-part")).map_or(0, |m| m.len())
}

fn until_half(rig: &Rig) -> u64 {
    until("half of the file", || part_len(rig) > BIG as u64 / 2);
    part_len(rig)
}

#[track_caller]
fn assert_resumed(rig: &Rig, came: u64) {
    assert_same(rig, "big");
    assert!(!rig.path("out/.big.hardline-part").exists());
    let again = bytes_out(rig, "again");
    assert!(again < BIG as u64 - came + 50_000, "{came} of {BIG} bytes were there, and {again} were sent again");
}

#[test]
fn a_killed_sender_goes_on_where_it_was() {
    let rig = rig();
    big(&rig);
    let recv = Running::start(&rig, "recv", "recv", "b", &["--out", "out", "--forever"]);
    let send = Running::start(&rig, "send", "send", "a", &["big"]);
    let came = until_half(&rig);
    send.kill();
    Running::start(&rig, "again", "send", "a", &["big"]).ends(0);
    assert_resumed(&rig, came);
    assert!(recv.said().contains("what has come is kept"), "{}", recv.said());
}

#[test]
fn a_killed_receiver_goes_on_where_it_was() {
    let rig = rig();
    big(&rig);
    let recv = Running::start(&rig, "recv", "recv", "b", &["--out", "out"]);
    let mut send = Running::start(&rig, "send", "send", "a", &["big"]);
    let came = until_half(&rig);
    recv.kill();
    let mut recv = Running::start(&rig, "recv", "recv", "b", &["--out", "out"]);
    let said = send.ends(3);
    assert!(said.contains("restarted"), "{said}");
    Running::start(&rig, "again", "send", "a", &["big"]).ends(0);
    recv.ends(0);
    assert_resumed(&rig, came);
}

#[test]
fn without_forever_a_lost_sender_is_an_error_and_the_next_sender_waits() {
    let rig = rig();
    big(&rig);
    let mut recv = Running::start(&rig, "recv", "recv", "b", &["--out", "out"]);
    let send = Running::start(&rig, "send", "send", "a", &["big"]);
    let came = until_half(&rig);
    send.kill();
    let mut again = Running::start(&rig, "again", "send", "a", &["big"]);
    let said = recv.ends(3);
    assert!(said.contains("restarted"), "{said}");
    Running::start(&rig, "recv", "recv", "b", &["--out", "out"]).ends(0);
    again.ends(0);
    assert_resumed(&rig, came);
}

#[test]
fn killed_clients_of_held_wires_go_on_where_they_were() {
    let rig = rig();
    big(&rig);
    let mut links = links(&rig);
    let recv = Running::start(&rig, "recv", "recv", "b.ctl", &["--out", "out"]);
    let mut send = None;
    until("a sender is taken", || {
        let running: &mut Running = send.get_or_insert_with(|| Running::start(&rig, "send", "send", "a.ctl", &["big"]));
        if running.child.try_wait().unwrap().is_some() {
            send = None;
        }
        part_len(&rig) > BIG as u64 / 4
    });
    // the receiver first, then, with the next one, the sender
    recv.kill();
    send.unwrap().ends(3);
    let mut recv = Running::start(&rig, "recv", "recv", "b.ctl", &["--out", "out"]);
    let mut send = Running::start(&rig, "send", "send", "a.ctl", &["big"]);
    until("half of the file", || {
        if send.child.try_wait().unwrap().is_some() {
            send = Running::start(&rig, "send", "send", "a.ctl", &["big"]);
        }
        part_len(&rig) > BIG as u64 / 2
    });
    send.kill();
    let said = recv.ends(3);
    assert!(said.contains("what has come is kept"), "{said}");
    let mut recv = Running::start(&rig, "recv", "recv", "b.ctl", &["--out", "out"]);
    send_until_taken(&rig, "a.ctl", "big");
    recv.ends(0);
    assert_same(&rig, "big");
    links.iter_mut().for_each(|link| {
        link.signal(Signal::SIGTERM);
        link.ends(143);
    });
    let sent = bytes_out(&rig, "link-a");
    assert!(sent < BIG as u64 * 3 / 2, "{sent} bytes for {BIG}, three times begun");
}

// ---- what goes wrong ----------------------------------------------------------------------------

#[test]
fn names_that_try_to_leave_are_refused() {
    let rig = rig();
    let evil = rig.path("evil").to_string_lossy().into_owned();
    let mut forged = Message::Hello { version: VERSION, files: 2, bytes: 0 }.to_bytes();
    for (number, name) in ["../evil", &evil, "a/../../evil", "fine"].into_iter().enumerate() {
        let number = number as u32;
        forged.extend(Message::File { number, size: 0, stamp: Stamp::default(), name: name.into() }.to_bytes());
    }
    forged.extend(Message::Start { number: 3, offset: 0 }.to_bytes());
    let sha256 = tools::digest::of(&File::open("/dev/null").unwrap()).unwrap();
    forged.extend(Message::Finish { sha256 }.to_bytes());
    forged.extend(Message::End.to_bytes());
    fs::write(rig.path("forged"), forged).unwrap();
    let mut recv = Running::start(&rig, "recv", "recv", "b", &["--out", "out"]);
    let mut open = Command::new(HARDLINE);
    open.arg("open").arg(rig.path("a")).args(["-b", BAUD, "files"]);
    let open: Output = open.stdin(File::open(rig.path("forged")).unwrap()).output().unwrap();
    assert!(open.status.success(), "{open:?}");
    let said = recv.ends(1);
    assert!(said.contains("../evil: this name would leave the folder"), "{said}");
    assert!(!rig.path("evil").exists());
    let there: Vec<_> = fs::read_dir(rig.path("out")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(there, ["fine"]);
}

/// The far disk takes no more than a limit: the limit on the size of a file stands for a full disk.
#[test]
fn a_full_disk_is_said_at_both_ends() {
    let rig = rig();
    big(&rig);
    fs::write(rig.path("small"), bytes(1_000, 2)).unwrap();
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 200; exec \"$@\"", "sh", HARDLINE, "recv"]).arg(rig.path("b"));
    limited.args(["-b", BAUD, "--out"]).arg(rig.path("out"));
    let mut recv = Running::spawn(&rig, "recv", &mut limited);
    let mut send = Running::start(&rig, "send", "send", "a", &["big", "small"]);
    let (sent, received) = (send.ends(1), recv.ends(1));
    assert!(sent.contains("big: the other end could not take it: File too large"), "{sent}");
    assert!(received.contains("big: File too large"), "{received}");
    assert!(bytes_out(&rig, "send") < BIG as u64 * 3 / 4, "the rest of it is not sent");
    assert_same(&rig, "small");
    assert!(!rig.path("out/big").exists());
    // with room it goes on
    let mut recv = Running::start(&rig, "recv", "recv", "b", &["--out", "out"]);
    Running::start(&rig, "again", "send", "a", &["big", "small"]).ends(0);
    recv.ends(0);
    assert_resumed(&rig, 100_000);
}

/// `hardline send a` without the rights of root, who reads everything unless he gives that up.
fn as_nobody_special(rig: &Rig) -> Command {
    let mut command = match nix::unistd::geteuid().is_root() {
        true => {
            let mut command = Command::new("setpriv");
            let caps = "-dac_override,-dac_read_search";
            command.args(["--inh-caps", caps, "--bounding-set", caps]);
            command.arg(HARDLINE);
            command
        }
        false => Command::new(HARDLINE),
    };
    command.arg("send").arg(rig.path("a")).args(["-b", BAUD]).current_dir(rig.dir());
    command
}

#[test]
fn what_cannot_be_read_is_said_at_both_ends() {
    let rig = rig();
    fs::write(rig.path("fine"), b"fine").unwrap();
    fs::write(rig.path("locked"), b"locked").unwrap();
    fs::set_permissions(rig.path("locked"), fs::Permissions::from_mode(0o000)).unwrap();
    let mut recv = Running::start(&rig, "recv", "recv", "b", &["--out", "out"]);
    let mut send = Running::spawn(&rig, "send", as_nobody_special(&rig).args(["fine", "locked", "not there"]));
    let (sent, received) = (send.ends(1), recv.ends(1));
    for name in ["locked: Permission denied", "not there: No such file"] {
        assert!(sent.contains(name), "{sent}");
    }
    for name in ["locked: the other end cannot read it: Permission denied", "not there: the other end cannot read it"] {
        assert!(received.contains(name), "{received}");
    }
    assert_same(&rig, "fine");
    assert_eq!(fs::read_dir(rig.path("out")).unwrap().count(), 1);
}

#[test]
fn nothing_to_send_is_said_before_the_port_is_opened() {
    let rig = rig();
    let said = Running::start(&rig, "send", "send", "none", &["not there"]).ends(1);
    assert!(said.contains("not there: No such file"), "{said}");
    nix::unistd::mkfifo(&rig.path("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    symlink("f", rig.path("link")).unwrap();
    let said = Running::start(&rig, "send", "send", "none", &["pipe", "link", "/dev/null"]).ends(1);
    let named =
        "nothing to send; pipe: it is a named pipe; link: No such file or directory (os error 2); /dev/null: it is a device";
    assert!(said.contains(named), "{said}");
    fs::write(rig.path("f"), b"f").unwrap();
    Running::start(&rig, "send", "send", "none", &["f"]).ends(6);
    Running::start(&rig, "recv", "recv", "none", &["--out", "out"]).ends(6);
    let said = Running::start(&rig, "send", "send", "none", &["f", "./f"]).ends(2);
    assert!(said.contains("two of the files"), "{said}");
}

/// Each in a run of its own beside a file that is fine, and without a word that is not an error.
#[test]
fn what_was_named_and_did_not_travel_is_never_a_success() {
    let rig = rig();
    fs::write(rig.path("fine"), b"fine").unwrap();
    for (name, mode) in [("locked", 0o000), ("bad\nname", 0o600)] {
        fs::write(rig.path(name), b"secret").unwrap();
        fs::set_permissions(rig.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    fs::create_dir(rig.path("closed")).unwrap();
    fs::set_permissions(rig.path("closed"), fs::Permissions::from_mode(0o000)).unwrap();
    nix::unistd::mkfifo(&rig.path("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(rig.path("socket")).unwrap();
    symlink("pipe", rig.path("to-pipe")).unwrap();
    symlink("gone", rig.path("dangling")).unwrap();
    symlink("round", rig.path("round")).unwrap();
    let named = [
        ("pipe", "pipe: ", "it is a named pipe"),
        ("to-pipe", "to-pipe: ", "it is a named pipe"),
        ("socket", "socket: ", "it is a socket"),
        ("/dev/null", "null: ", "it is a device"),
        ("dangling", "dangling: ", "No such file"),
        ("round", "round: ", "Too many levels of symbolic links"),
        ("locked", "locked: ", "Permission denied"),
        ("closed", "closed: ", "Permission denied"),
        ("bad\nname", "bad?name: ", "its name has control characters"),
        ("not there", "not there: ", "No such file"),
    ];
    let mut recv = Running::start(&rig, "recv", "recv", "b", &["--out", "out", "--forever"]);
    for (at, (path, shown, why)) in named.into_iter().enumerate() {
        let (log, mut command) = (format!("send-{at}"), as_nobody_special(&rig));
        let sent = Running::spawn(&rig, &log, command.args(["-q", "fine", path])).ends(1);
        assert!(sent.contains(&format!("{shown}{why}")), "{path}: {sent}");
        let told = format!("{shown}the other end cannot read it: {why}");
        until(&format!("{told}: {}", recv.said()), || recv.said().contains(&told));
    }
    for twice in [["-q", "fine", "./fine"], ["fine", "closed/../fine", "-q"]] {
        Running::start(&rig, "twice", "send", "a", &twice).ends(2);
    }
    recv.signal(Signal::SIGTERM);
    recv.ends(143);
    let there: Vec<_> = fs::read_dir(rig.path("out")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(there, ["fine"]);
}

/// A link that was typed is the file or the folder it leads to; those inside of folders stay behind.
#[test]
fn a_link_that_was_named_is_followed() {
    let rig = rig();
    fs::write(rig.path("backup-1"), b"latest").unwrap();
    fs::create_dir_all(rig.path("real/deep")).unwrap();
    fs::write(rig.path("real/deep/file"), b"file").unwrap();
    symlink("../backup-1", rig.path("real/inside")).unwrap();
    symlink("backup-1", rig.path("latest")).unwrap();
    symlink("real", rig.path("folder")).unwrap();
    let mut recv = Running::start(&rig, "recv", "recv", "b", &["--out", "out"]);
    let said = Running::start(&rig, "send", "send", "a", &["latest", "folder"]).ends(0);
    assert!(said.contains("skipped folder/inside: a symbolic link"), "{said}");
    assert!(said.contains("sent 2 files, 10 bytes"), "{said}");
    recv.ends(0);
    let got = rig.path("out");
    assert!(got.join("latest").symlink_metadata().unwrap().is_file());
    assert_eq!(fs::read(got.join("latest")).unwrap(), b"latest");
    assert_eq!(fs::read(got.join("folder/deep/file")).unwrap(), b"file");
    assert!(!got.join("folder/inside").exists());
}

// ---- files that are not what they say ------------------------------------------------------------

/// `stat` says 0 bytes, or a page, and reading says otherwise.
#[test]
fn files_that_do_not_know_their_size_arrive_whole() {
    let rig = rig();
    let files = ["/proc/version", "/proc/filesystems", "/sys/class/net/lo/mtu"];
    let mut recv = Running::start(&rig, "recv", "recv", "b", &["--out", "out"]);
    let args: Vec<&str> = files.into_iter().chain(["--json"]).collect();
    Running::start(&rig, "send", "send", "a", &args).ends(0);
    recv.ends(0);
    for file in files.map(Path::new) {
        let (here, there) = (fs::read(file).unwrap(), fs::read(rig.path("out").join(file.file_name().unwrap())).unwrap());
        assert!(!here.is_empty() && here == there, "{}: {} bytes of {}", file.display(), there.len(), here.len());
    }
}

/// The file has the same size and the same time as before: only its bytes tell.
#[test]
fn a_file_that_is_rewritten_behind_the_sender_is_named() {
    let rig = rig();
    big(&rig);
    set_time(&rig.path("big"), 1_000_000);
    let mut recv = Running::start(&rig, "recv", "recv", "b", &["--out", "out"]);
    let mut send = Running::start(&rig, "send", "send", "a", &["big"]);
    until_half(&rig);
    big_of(&rig, 2);
    set_time(&rig.path("big"), 1_000_000);
    let (sent, received) = (send.ends(1), recv.ends(1));
    assert!(sent.contains("big: it was changed while it was sent"), "{sent}");
    assert!(received.contains("big: the other end gave up: it was changed while it was sent"), "{received}");
    assert!(!rig.path("out/big").exists());
    // what came of the mixture does no harm to the next
    let mut recv = Running::start(&rig, "recv", "recv", "b", &["--out", "out"]);
    Running::start(&rig, "again", "send", "a", &["big"]).ends(0);
    recv.ends(0);
    assert_same(&rig, "big");
}

// ---- names that hide --------------------------------------------------------------------------------

#[test]
fn names_that_hide_are_shown_as_they_are() {
    let rig = rig();
    let name = "invoice\u{202e}fdp.exe\u{200b}";
    fs::write(rig.path(name), b"content").unwrap();
    let mut recv = Running::start(&rig, "recv", "recv", "b", &["--out", "out", "-v"]);
    let sent = Running::start(&rig, "send", "send", "a", &[name, "not\u{2066} there", "-v"]).ends(1);
    let received = recv.ends(1);
    for said in [&sent, &received] {
        assert!(said.contains(r"invoice\u{202e}fdp.exe\u{200b}") && said.contains(r"not\u{2066} there: "), "{said}");
        assert!(!said.contains(['\u{202e}', '\u{200b}', '\u{2066}']), "{said}");
    }
    assert_same(&rig, name);
}

// ---- what stands nowhere, and what takes no room -----------------------------------------------

/// Nothing of a receiver is in a temporary folder: that may have a long name, may not be there, and keeps nothing of who is killed.
#[test]
fn a_receiver_needs_no_temporary_folder() {
    let rig = rig();
    big(&rig);
    let _links = links(&rig);
    let long = rig.path(&"long-".repeat(25));
    fs::create_dir(&long).unwrap();
    let recv = |name: &str, on: &str, temporary: &Path| {
        let mut command = Command::new(HARDLINE);
        command.arg("recv").arg(rig.path(on)).args(["-b", BAUD, "--out", "out"]).current_dir(rig.dir()).env("TMPDIR", temporary);
        Running::spawn(&rig, name, &mut command)
    };
    let killed = recv("killed", "b.ctl", &long);
    let mut send = None;
    until("a sender is taken", || {
        let running: &mut Running = send.get_or_insert_with(|| Running::start(&rig, "send", "send", "a.ctl", &["big"]));
        if running.child.try_wait().unwrap().is_some() {
            send = None;
        }
        part_len(&rig) > BIG as u64 / 4
    });
    killed.kill();
    send.unwrap().ends(3);
    assert_eq!(fs::read_dir(&long).unwrap().count(), 0, "it leaves something behind");
    let mut last = recv("recv", "b.ctl", &rig.path("not-there"));
    send_until_taken(&rig, "a.ctl", "big");
    last.ends(0);
    assert_same(&rig, "big");
}

/// A file of 30 MB on a wire that takes two minutes for so much.
#[test]
fn holes_are_not_sent_and_stay_holes() {
    use std::os::unix::fs::FileExt;
    const SIZE: u64 = 30_000_000;
    let rig = rig();
    let (begin, middle) = (bytes(5_000, 5), bytes(70_000, 6));
    for name in ["big", "again"] {
        let file = File::create(rig.path(name)).unwrap();
        for (at, part) in [(0, &begin), (20_000_003, &middle)] {
            file.write_all_at(part, at).unwrap();
        }
        file.set_len(SIZE).unwrap();
    }
    let blocks = |path: &str| fs::metadata(rig.path(path)).unwrap().blocks();
    assert!(blocks("big") * 512 < 1_000_000, "the file system of the test knows no holes");
    let mut recv = Running::start(&rig, "recv", "recv", "b", &["--out", "out"]);
    let mut send = Running::start(&rig, "send", "send", "a", &["big"]);
    let (sent, received) = (send.ends(0), recv.ends(0));
    assert!(bytes_out(&rig, "send") < 200_000, "{} bytes travelled", bytes_out(&rig, "send"));
    assert!(sent.contains("sent 1 file") && received.contains("received 1 file"), "{sent}{received}");
    assert_same(&rig, "big");
    assert!(blocks("out/big") * 512 < 1_000_000, "{} blocks", blocks("out/big"));
    // what was broken off in a hole goes on there: the part that is kept ends before it
    fs::write(rig.path("out/.again.hardline-part"), &begin).unwrap();
    let mut recv = Running::start(&rig, "recv", "recv", "b", &["--out", "out"]);
    let mut send = Running::start(&rig, "send", "send", "a", &["again"]);
    send.ends(0);
    recv.ends(0);
    assert_same(&rig, "again");
}

/// A file that could not be put into its place is named, and the others come.
#[test]
fn what_cannot_be_put_into_its_place_ends_nothing() {
    let rig = rig();
    let long = "x".repeat(255);
    fs::create_dir_all(rig.path("top")).unwrap();
    fs::create_dir_all(rig.path("out/top/taken/by a folder")).unwrap();
    fs::write(rig.path("out/top/free.part"), b"the user's own").unwrap();
    for name in ["taken", "free", long.as_str()] {
        fs::write(rig.path("top").join(name), name).unwrap();
    }
    let mut recv = Running::start(&rig, "recv", "recv", "b", &["--out", "out"]);
    let mut send = Running::start(&rig, "send", "send", "a", &["top"]);
    let (sent, received) = (send.ends(1), recv.ends(1));
    assert!(sent.contains("top/taken") && received.contains("top/taken"), "{sent}{received}");
    for (name, content) in [("free", "free"), ("free.part", "the user's own"), (long.as_str(), long.as_str())] {
        assert_eq!(fs::read_to_string(rig.path("out/top").join(name)).unwrap(), content);
    }
}
