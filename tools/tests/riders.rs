//! Real programs over a noisy wire: ssh and scp, NNCP both ways, tar. What they carry is byte-exact,
//! and when they are done every process ends by itself.
#![allow(missing_docs)]

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use link::sim::Random;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tools::rig::Rig;

const BAUD: u32 = 2_000_000;
/// Long: the machine may be busy with other tests.
const LIMIT: Duration = Duration::from_secs(120);
const STEP: Duration = Duration::from_millis(5);

// ---- the wire and the processes on it -----------------------------------------------------------

/// Polls until there is something.
#[track_caller]
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let limit = Instant::now() + LIMIT;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < limit, "not within {} s: {what}", LIMIT.as_secs());
        std::thread::sleep(STEP);
    }
}

/// A noisy wire and a folder; a failed test prints the logs in it.
struct Wire(Option<Rig>);

impl Wire {
    fn new(ber: &str, seed: &str) -> Wire {
        let hardline = Path::new(env!("CARGO_BIN_EXE_hardline"));
        let args = ["--baud", "2000000", "--latency", "300us", "--ber", ber, "--seed", seed];
        Wire(Some(Rig::start(hardline, &args).expect("the simulated wire starts")))
    }
    fn rig(&self) -> &Rig {
        self.0.as_ref().expect("the wire is there until the end")
    }
    fn path(&self, name: &str) -> PathBuf {
        self.rig().path(name)
    }
    /// Starts a process that says what is wrong in `NAME.log`.
    #[track_caller]
    fn start(&self, name: &str, command: &mut Command) -> Running {
        command.stderr(File::create(self.path(&format!("{name}.log"))).unwrap()).process_group(0);
        let child = command.spawn().unwrap_or_else(|e| panic!("{name} does not start: {e}"));
        Running { name: name.to_owned(), child }
    }
    /// Runs a program to its end; returns what it printed.
    #[track_caller]
    fn run(&self, name: &str, command: &mut Command) -> String {
        let printed = self.path(&format!("{name}.out"));
        let running = self.start(name, command.stdout(File::create(&printed).unwrap()));
        assert_eq!(running.wait(), 0, "exit status of {name}");
        fs::read_to_string(printed).unwrap()
    }
    /// The far end: a command in the place of stdin and stdout.
    #[track_caller]
    fn serve(&self, command: &[&str]) -> Running {
        self.start("far", self.rig().pipe("b", BAUD).arg("--").args(command).stdin(Stdio::null()))
    }
    /// A command line for a shell that runs the near end.
    fn near(&self) -> String {
        let command = self.rig().pipe("a", BAUD);
        let quoted = |word: &std::ffi::OsStr| format!("'{}'", word.to_str().expect("a readable path"));
        std::iter::once(command.get_program()).chain(command.get_args()).map(quoted).collect::<Vec<_>>().join(" ")
    }
    /// Without noise the test would prove little.
    fn finish(mut self) {
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

/// A process and all it started; none of them outlives the test.
struct Running {
    name: String,
    child: Child,
}

impl Running {
    fn id(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }
    /// The exit status once it has ended by itself; 128 + N for a signal.
    #[track_caller]
    fn wait(&self) -> i32 {
        // left unreaped: its id names the group until the drop
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        until(&format!("{} ends", self.name), || match waitid(Id::Pid(self.id()), flags).expect("a child can be waited for") {
            WaitStatus::Exited(_, code) => Some(code),
            WaitStatus::Signaled(_, signal, _) => Some(128 + signal as i32),
            _ => None,
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = killpg(self.id(), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

/// A program that must be installed.
fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/bin".into(), "/bin".into()]);
    let found = places.map(|place| place.join(name)).find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("{name} is missing: apt-get install openssh-server openssh-client nncp tar"))
}

fn command(name: &str) -> Command {
    let mut command = Command::new(program(name));
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

fn bytes(len: usize, seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    (0..len).map(|_| random.bits() as u8).collect()
}

#[track_caller]
fn assert_carried(got: &Path, sent: &[u8]) {
    let read = fs::read(got).unwrap_or_else(|e| panic!("{}: {e}", got.display()));
    assert!(read == sent, "{}: {} bytes arrived, not the {} that were sent", got.display(), read.len(), sent.len());
}

// ---- ssh ----------------------------------------------------------------------------------------

/// sshd reports 255 whenever the client says goodbye; nothing else may pass as success.
const SSHD: &str = r#""$0" "$@"; case $? in 0 | 255) ;; *) exit 1 ;; esac"#;
const GOODBYE: &str = "disconnected by user";

/// Makes keys, the server's configuration and the client's list of known hosts.
fn prepare_ssh(wire: &Wire) {
    assert!(nix::unistd::geteuid().is_root(), "run this test as root: sshd needs it to let root in");
    match fs::create_dir("/run/sshd") {
        Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => panic!("/run/sshd: {e}"),
        _ => {}
    }
    for key in ["host", "user"] {
        wire.run("keygen", command("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(wire.path(key)));
    }
    let config = format!(
        "HostKey {}\nAuthorizedKeysFile {}\nPermitRootLogin prohibit-password\nStrictModes no\nUsePAM no\nPidFile none\n\
        LogLevel VERBOSE\nSubsystem sftp internal-sftp\n",
        wire.path("host").display(),
        wire.path("user.pub").display()
    );
    fs::write(wire.path("sshd_config"), config).unwrap();
    let host = fs::read_to_string(wire.path("host.pub")).unwrap();
    fs::write(wire.path("known_hosts"), format!("box {host}")).unwrap();
}

fn serve_ssh(wire: &Wire) -> Running {
    let path = |name: &str| wire.path(name).to_str().expect("a readable path").to_owned();
    let sshd = program("sshd");
    let sshd = sshd.to_str().expect("a readable path");
    wire.serve(&["/bin/sh", "-c", SSHD, sshd, "-i", "-f", &path("sshd_config"), "-E", &path("sshd.log")])
}

/// ssh or scp, by way of the near end.
fn client(wire: &Wire, name: &str) -> Command {
    let mut client = command(name);
    let option = |key: &str, value: &dyn std::fmt::Display| format!("-o{key}={value}");
    client.args(["-F", "none", "-oBatchMode=yes", "-oIdentitiesOnly=yes", "-oStrictHostKeyChecking=yes", "-oHostKeyAlias=box"]);
    client.arg("-i").arg(wire.path("user"));
    client.arg(option("UserKnownHostsFile", &wire.path("known_hosts").display()));
    client.arg(option("ProxyCommand", &wire.near().replace('%', "%%")));
    client
}

/// Both ends of hardline end, the far one well: the near one has no exit status to look at, ssh hangs
/// up on it and does not wait. It is in the client's group, so that must live until here.
#[track_caller]
fn assert_ended(wire: &Wire, far: &Running, what: &str) {
    assert_eq!(far.wait(), 0, "exit status of the far end after {what}");
    until("the near end ends", || wire.rig().stats("a").ok());
    fs::remove_file(wire.path("a.json")).unwrap();
    let goodbye = fs::read_to_string(wire.path("sshd.log")).unwrap().contains(GOODBYE);
    assert!(goodbye, "the client's last words did not arrive after {what}");
    fs::rename(wire.path("sshd.log"), wire.path(&format!("sshd-{what}.log"))).unwrap();
}

#[test]
fn ssh_runs_a_command_and_scp_carries_a_megabyte() {
    let wire = Wire::new("1e-5", "11");
    prepare_ssh(&wire);

    let far = serve_ssh(&wire);
    let printed = wire.path("ssh.out");
    let mut ssh = client(&wire, "ssh");
    ssh.args(["root@box", "echo carried over $((6 * 7)) wires; exit 7"]).stdout(File::create(&printed).unwrap());
    let ssh = wire.start("ssh", &mut ssh);
    assert_eq!(ssh.wait(), 7, "exit status of the remote command");
    assert_eq!(fs::read_to_string(printed).unwrap(), "carried over 42 wires\n");
    assert_ended(&wire, &far, "ssh");

    // sshd -i serves one connection
    let far = serve_ssh(&wire);
    let sent = bytes(1_000_000, 1);
    let (from, to) = (wire.path("sent"), wire.path("received"));
    fs::write(&from, &sent).unwrap();
    let scp = wire.start("scp", client(&wire, "scp").arg(&from).arg(format!("root@box:{}", to.display())));
    assert_eq!(scp.wait(), 0, "exit status of scp");
    assert_carried(&to, &sent);
    assert_ended(&wire, &far, "scp");
    wire.finish();
}

// ---- NNCP ---------------------------------------------------------------------------------------

/// Time for one message, in seconds.
const NNCP_DEADLINE: (&str, &str) = ("NNCPDEADLINE", "60");
/// The call ends after so many seconds without a file.
const NNCP_IDLE: &str = "5";

/// A node's keys by name.
fn nncp_keys(wire: &Wire) -> BTreeMap<String, String> {
    let made = wire.run("nncp-cfgnew", command("nncp-cfgnew").arg("-nocomments"));
    let names = ["id", "exchpub", "exchprv", "signpub", "signprv", "noisepub", "noiseprv"];
    let pairs = made.lines().filter_map(|line| line.trim().split_once(": "));
    let keys: BTreeMap<_, _> = pairs.filter(|p| names.contains(&p.0)).map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    assert_eq!(keys.len(), names.len(), "nncp-cfgnew made other keys: {made}");
    keys
}

/// Writes the configuration of a node, whose one neighbour is called `peer`.
fn nncp_node(wire: &Wire, name: &str, own: &BTreeMap<String, String>, other: &BTreeMap<String, String>, addrs: &Value) {
    let public = |keys: &BTreeMap<String, String>| {
        let names = ["id", "exchpub", "signpub", "noisepub"];
        names.iter().map(|&name| (name.to_owned(), json!(keys[name]))).collect::<Value>()
    };
    let (spool, incoming) = (wire.path(&format!("{name}.spool")), wire.path(&format!("{name}.incoming")));
    fs::create_dir(&spool).unwrap();
    fs::create_dir(&incoming).unwrap();
    let mut peer = public(other);
    peer["incoming"] = json!(incoming);
    peer["addrs"] = addrs.clone();
    // not the one to end the call: the caller holds both ends of its pipes and would not notice
    peer["onlinedeadline"] = json!(60);
    let log = wire.path(&format!("{name}.nncp.log"));
    let config = json!({"spool": spool, "log": log, "self": own, "neigh": {"self": public(own), "peer": peer}});
    fs::write(wire.path(&format!("{name}.hjson")), config.to_string()).unwrap();
}

/// One of NNCP's programs as a node.
fn nncp(wire: &Wire, program: &str, node: &str) -> Command {
    let mut command = command(program);
    command.arg("-quiet").arg("-cfg").arg(wire.path(&format!("{node}.hjson"))).env(NNCP_DEADLINE.0, NNCP_DEADLINE.1);
    command
}

/// Both nodes, each with a file for the other; returns the files.
fn prepare_nncp(wire: &Wire) -> [Vec<u8>; 2] {
    let (near, far) = (nncp_keys(wire), nncp_keys(wire));
    // NNCP does not wait for the command it runs, nor show what it says
    let (log, exit) = (wire.path("near.log"), wire.path("near.exit"));
    let (log, exit) = (log.display(), exit.display());
    let serial = format!("|{} 2>'{log}'; echo $? >'{exit}.new'; mv '{exit}.new' '{exit}'", wire.near());
    nncp_node(wire, "near", &near, &far, &json!({"serial": serial}));
    nncp_node(wire, "far", &far, &near, &json!({}));
    let sent = [bytes(300_000, 2), bytes(200_000, 3)];
    for (node, sent) in ["near", "far"].iter().zip(&sent) {
        let file = wire.path(&format!("{node}.file"));
        fs::write(&file, sent).unwrap();
        wire.run("nncp-file", nncp(wire, "nncp-file", node).arg(file).arg("peer:received"));
    }
    sent
}

#[test]
fn nncp_carries_a_file_each_way() {
    let wire = Wire::new("1e-5", "12");
    let [from_near, from_far] = prepare_nncp(&wire);
    let daemon = program("nncp-daemon");
    let (daemon, config) = (daemon.display().to_string(), wire.path("far.hjson").display().to_string());
    let deadline = format!("{}={}", NNCP_DEADLINE.0, NNCP_DEADLINE.1);
    let far = wire.serve(&["env", &deadline, &daemon, "-quiet", "-ucspi", "-cfg", &config]);

    // its group holds the near end too
    let call = wire.start("nncp-call", nncp(&wire, "nncp-call", "near").args(["-onlinedeadline", NNCP_IDLE, "peer"]));
    assert_eq!(call.wait(), 0, "exit status of nncp-call");
    let near = until("the near end ends", || fs::read_to_string(wire.path("near.exit")).ok());
    assert_eq!(near.trim(), "0", "exit status of the near end");
    assert_eq!(far.wait(), 0, "exit status of the far end");

    for node in ["near", "far"] {
        wire.run("nncp-toss", &mut nncp(&wire, "nncp-toss", node));
    }
    assert_carried(&wire.path("far.incoming/received"), &from_near);
    assert_carried(&wire.path("near.incoming/received"), &from_far);
    wire.finish();
}

// ---- tar ----------------------------------------------------------------------------------------

/// A tree with what trees have: folders, an empty one, files of all sizes, a program, a link.
fn plant(root: &Path) {
    fs::create_dir_all(root.join("deep/er/still")).unwrap();
    fs::create_dir(root.join("empty")).unwrap();
    for (i, len) in [0, 1, 511, 512, 4096, 70_000, 300_000].into_iter().enumerate() {
        fs::write(root.join(["", "deep", "deep/er"][i % 3]).join(format!("file {i}")), bytes(len, i as u64)).unwrap();
    }
    fs::write(root.join("deep/er/still/run"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(root.join("deep/er/still/run"), Permissions::from_mode(0o750)).unwrap();
    symlink("deep/er/still/run", root.join("link")).unwrap();
}

/// Every path below: its mode and its content, the target for a link.
fn survey(root: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let content = if meta.is_dir() {
                folders.push(path.clone());
                Vec::new()
            } else if meta.is_symlink() {
                fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
            } else {
                fs::read(&path).unwrap()
            };
            found.insert(path.strip_prefix(root).unwrap().to_owned(), (meta.permissions().mode(), content));
        }
    }
    found
}

#[test]
fn tar_over_pipe() {
    let wire = Wire::new("1e-4", "13");
    let (tree, copy) = (wire.path("tree"), wire.path("copy"));
    plant(&tree);
    fs::create_dir(&copy).unwrap();

    let mut pack = wire.start("pack", command("tar").args(["-c", "-C"]).arg(&tree).arg(".").stdout(Stdio::piped()));
    let packed = pack.child.stdout.take().expect("a pipe");
    let near = wire.start("near", wire.rig().pipe("a", BAUD).stdin(packed).stdout(Stdio::null()));
    let mut far = wire.start("far", wire.rig().pipe("b", BAUD).stdin(Stdio::null()).stdout(Stdio::piped()));
    let arrived = far.child.stdout.take().expect("a pipe");
    let unpack = wire.start("unpack", command("tar").args(["-x", "-p", "-C"]).arg(&copy).stdin(arrived));
    for running in [&pack, &near, &far, &unpack] {
        assert_eq!(running.wait(), 0, "exit status of {}", running.name);
    }

    let (sent, got) = (survey(&tree), survey(&copy));
    assert!(sent.keys().eq(got.keys()), "other files: {:?}, not {:?}", got.keys(), sent.keys());
    for (path, what) in &sent {
        assert!(got[path] == *what, "{} differs", path.display());
    }
    wire.finish();
}
