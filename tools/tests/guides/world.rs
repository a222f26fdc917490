//! Two machines at the ends of a wire: folders, programs, and what the words of the guides stand for there.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::common::{HARDLINE, free_port, program};
use crate::page::Place;

/// Ports of the guides; each becomes one that is free here.
const PORTS: &[&str] = &["127.0.0.1:22", "2222", "1883", "7000", "4000", "5400", "5401"];
/// Serial ports of either machine, and which wire they are at.
const WIRES: &[(&str, usize)] =
    &[("/dev/ttyUSB0", 0), ("usb:FT4XQ1ZA", 0), ("/dev/ttyUSB1", 1), ("/dev/ttyUSB2", 2), ("/dev/ttyUSB3", 3)];
/// Folders outside the home that the guides use; they are below the machine's own root here.
const FOLDERS: &[&str] =
    &["/etc/", "/srv/", "/var/lib/", "/var/spool/", "/var/log/", "/run/user/1000/", "/run/hardline", "/usr/local/"];
/// What of this machine the guides may use as it is.
const REAL: &[&str] = &["/dev/null", "/dev/zero", "/dev/urandom", "/proc/net/udp", "/bin/sh", "/bin/bash"];
/// Programs that are told where this machine's configuration is, and what they are told.
const TOLD: &[(&str, &str)] = &[
    ("ssh", "-F \"$HOME/../etc/ssh/ssh_config\""),
    ("scp", "-F \"$HOME/../etc/ssh/ssh_config\""),
    ("sshd", "-f \"$HOME/../etc/ssh/sshd_config\" -E \"$HOME/../sshd.log\""),
    ("sudo", ""),
    ("nncp-file", "-cfg \"$HOME/../etc/nncp.hjson\""),
    ("nncp-call", "-cfg \"$HOME/../etc/nncp.hjson\""),
    ("nncp-daemon", "-cfg \"$HOME/../etc/nncp.hjson\""),
    ("nncp-toss", "-cfg \"$HOME/../etc/nncp.hjson\""),
    ("nncp-bundle", "-cfg \"$HOME/../etc/nncp.hjson\""),
];
/// What stands for what the reader has and we have not.
const STAND_INS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/guides/stand-ins");

/// What there is beside the wire.
pub(crate) struct World {
    dir: TempDir,
    ports: Vec<(String, String)>,
    /// How often there were new wires.
    wires: usize,
}

impl World {
    pub(crate) fn new() -> World {
        let dir = tempfile::Builder::new().prefix("guide-").tempdir().unwrap();
        let ports = PORTS.iter().map(|&port| {
            let free = free_port();
            (port.to_owned(), if port.contains(':') { format!("127.0.0.1:{free}") } else { free.to_string() })
        });
        let world = World { ports: ports.collect(), dir, wires: 0 };
        for place in [Place::Near, Place::Far] {
            for folder in FOLDERS.iter().chain(&["/home/", "/etc/hardline/keys", "/etc/systemd/system", "/etc/ssh"]) {
                fs::create_dir_all(world.root(place).join(&folder[1..])).unwrap();
            }
        }
        world.install();
        world.prepare_ssh();
        world
    }
    fn install(&self) {
        let bin = self.dir.path().join("bin");
        fs::create_dir(&bin).unwrap();
        symlink(HARDLINE, bin.join("hardline")).unwrap();
        let script = |name: &str, text: &str| {
            fs::write(bin.join(name), text).unwrap();
            fs::set_permissions(bin.join(name), Permissions::from_mode(0o755)).unwrap();
        };
        for (name, words) in TOLD {
            let real = if *name == "sudo" { String::new() } else { program(name).display().to_string() };
            script(name, &format!("#!/bin/sh\nexec {real} {words} \"$@\"\n"));
        }
        for entry in fs::read_dir(STAND_INS).unwrap().flatten() {
            let name = entry.file_name().into_string().expect("a readable name");
            script(&name, &fs::read_to_string(entry.path()).unwrap());
        }
    }
    /// What the reader has: an sshd at the far machine that lets him in, and whose key he knows.
    fn prepare_ssh(&self) {
        let (near, far) = (self.root(Place::Near), self.root(Place::Far));
        for key in [far.join("etc/ssh/host_key"), self.home(Place::Near).join("user_key")] {
            let made =
                Command::new(program("ssh-keygen")).args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status().unwrap();
            assert!(made.success(), "ssh-keygen makes {}", key.display());
        }
        let server = format!(
            "HostKey {0}/etc/ssh/host_key\nAuthorizedKeysFile {1}/home/user_key.pub\nPermitRootLogin prohibit-password\nStrictModes no\n\
             UsePAM no\nPidFile none\nSubsystem sftp internal-sftp\n",
            far.display(),
            near.display()
        );
        fs::write(far.join("etc/ssh/sshd_config"), server).unwrap();
        let client = format!(
            "Include {0}/home/.ssh/config\nHost *\n  IdentityFile {0}/home/user_key\n  IdentitiesOnly yes\n  BatchMode yes\n  StrictHostKeyChecking yes\n  \
             UserKnownHostsFile {0}/home/known_hosts\n  LogLevel ERROR\n",
            near.display()
        );
        fs::write(near.join("etc/ssh/ssh_config"), client).unwrap();
        let host = fs::read_to_string(far.join("etc/ssh/host_key.pub")).unwrap();
        fs::write(near.join("home/known_hosts"), format!("box {host}")).unwrap();
        // sshd wants it, wherever its configuration is
        match fs::create_dir("/run/sshd") {
            Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => panic!("/run/sshd: {e}: run this test as root"),
            _ => {}
        }
    }
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }
    pub(crate) fn root(&self, place: Place) -> PathBuf {
        self.dir.path().join(if place == Place::Near { "near" } else { "far" })
    }
    pub(crate) fn home(&self, place: Place) -> PathBuf {
        self.root(place).join("home")
    }
    /// There will be others.
    pub(crate) fn next_wires(&mut self) {
        self.wires += 1;
    }
    /// An end of one of the wires that there are.
    pub(crate) fn end(&self, place: Place, which: usize) -> PathBuf {
        self.dir.path().join(format!("{}{}-{which}", if place == Place::Near { 'a' } else { 'b' }, self.wires))
    }
    /// What each word of the guides stands for at this machine.
    fn table(&self, place: Place) -> Vec<(String, String)> {
        let end = |&(word, which): &(&str, usize)| (word.to_owned(), self.end(place, which).display().to_string());
        let mut table: Vec<(String, String)> = WIRES.iter().map(end).collect();
        let root = self.root(place).display().to_string();
        // where scp and rsync go to, and what they are told there
        let far = self.root(Place::Far).display().to_string();
        table.extend(FOLDERS.iter().map(|&folder| (format!("box:{folder}"), format!("box:{far}{folder}"))));
        table.extend(FOLDERS.iter().map(|&folder| (folder.to_owned(), format!("{root}{folder}"))));
        for name in ["hardline", "sshd", "ssh"] {
            let real = self.dir.path().join("bin").join(name).display().to_string();
            table.push((format!("/usr/{}bin/{name}", if name == "sshd" { "s" } else { "" }), real));
        }
        table.extend(self.ports.clone());
        table
    }
    /// The text as it must be here.
    pub(crate) fn here(&self, place: Place, text: &str) -> String {
        let table = self.table(place);
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while !rest.is_empty() {
            let hit =
                table.iter().find(|(word, _)| rest.starts_with(word.as_str()) && stands_alone(&out, word, &rest[word.len()..]));
            let taken = match hit {
                Some((word, real)) => {
                    out.push_str(real);
                    word.len()
                }
                None => {
                    let first = rest.chars().next().expect("not empty");
                    out.push(first);
                    first.len_utf8()
                }
            };
            rest = &rest[taken..];
        }
        out
    }
    /// A path in a script that is really here which is not ours: whoever runs it could change this machine.
    pub(crate) fn stray<'a>(&self, script: &'a str) -> Option<&'a str> {
        let ours = self.dir.path().to_str().expect("a readable path");
        let words = script.split(|c: char| c.is_whitespace() || "'\"`;|&<>()=:{}".contains(c));
        words.filter(|word| word.starts_with('/') && word.len() > 1).find(|word| !word.starts_with(ours) && !REAL.contains(word))
    }
    /// What was printed, in the words of the guides.
    pub(crate) fn there(&self, place: Place, text: &str) -> String {
        let mut table = self.table(place);
        table.push((String::from("/home/"), format!("{}/", self.home(place).display())));
        // the name that comes first stands for all of one thing; longer things before what they begin with
        table.sort_by_key(|(_, real)| std::cmp::Reverse(real.len()));
        table.iter().fold(text.to_owned(), |text, (word, real)| text.replace(real, word))
    }
    /// A shell at this machine.
    pub(crate) fn shell(&self, place: Place, script: &str) -> Command {
        let mut shell = Command::new("/bin/bash");
        shell.args(["-uo", "pipefail", "-c"]).arg(script).current_dir(self.home(place));
        shell
            .env_clear()
            .env("HOME", self.home(place))
            .env("ROOT", self.root(place))
            .env("LC_ALL", "C.UTF-8")
            .env("TERM", "xterm");
        let bins = [self.dir.path().join("bin"), self.home(place).join("bin")].map(|bin| bin.display().to_string());
        shell.env("PATH", format!("{}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", bins.join(":")));
        shell.env("USER", "root").env("LOGNAME", "root");
        // for the stand-ins
        shell.env("UNITS", concat!(env!("CARGO_MANIFEST_DIR"), "/../contrib/systemd"));
        shell.env("REPOSITORY", concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        shell.env("EXAMPLES", Path::new(HARDLINE).with_file_name("examples"));
        for (ours, real) in [("REAL_PATH", "PATH"), ("REAL_HOME", "HOME")] {
            shell.env(ours, std::env::var_os(real).unwrap_or_default());
        }
        shell
    }
}

/// Not a piece of a longer word.
fn stands_alone(before: &str, word: &str, behind: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-' || c == '.';
    let begins = before.chars().next_back().is_none_or(|c| !letter(c) && c != '/');
    begins && (word.ends_with('/') || behind.chars().next().is_none_or(|c| !(c.is_ascii_alphanumeric() || c == '_')))
}

#[test]
fn only_whole_words_are_replaced() {
    let world = World::new();
    let root = world.root(Place::Near).display().to_string();
    assert_eq!(world.here(Place::Near, "x /etc/hardline/a"), format!("x {root}/etc/hardline/a"));
    for same in ["/usr/etc/x", "x22221", "a/dev/ttyUSB0", "/dev/ttyUSB01"] {
        assert_eq!(world.here(Place::Near, same), same);
        assert_eq!(world.there(Place::Near, &world.here(Place::Near, "-p 2222 /etc/x")), "-p 2222 /etc/x");
    }
}

#[test]
fn what_is_of_this_machine_is_found() {
    let world = World::new();
    let root = world.root(Place::Near).display().to_string();
    for ours in ["cat < /dev/null", "ls ~/x a/b ./c", &format!("hardline recv --out {root}/srv/in"), "seq 1 / 2"] {
        assert_eq!(world.stray(ours), None, "{ours}");
    }
    for (script, stray) in [("cp a /usr/bin/b", "/usr/bin/b"), ("x=/opt/a true", "/opt/a"), ("echo >/etc/hosts", "/etc/hosts")] {
        assert_eq!(world.stray(script), Some(stray), "{script}");
    }
}
