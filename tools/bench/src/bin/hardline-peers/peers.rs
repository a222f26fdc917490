//! The tools that are compared and the command lines that make each do the same duty.
//!
//! Each peer is run as its own manual says for a direct serial line that is 8-bit clean. Where its
//! defaults are made for other lines, a second entry (`+`) has the settings that did better here.

use std::fs::File;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::termios::{BaudRate, SetArg, cfsetspeed, tcgetattr, tcsetattr};
use tools::rig::Rig;
use tools::sim::pty::open_raw;

use crate::ends::Feed;

/// Bits per second of the wire, 10 per byte.
pub(crate) const BAUD: u32 = 2_000_000;

/// A tool with its settings.
pub(crate) struct Tool {
    /// Column of the table.
    pub(crate) name: &'static str,
    /// What must be in the path; empty for our own.
    pub(crate) program: &'static str,
    /// The Debian package it is from; empty for our own.
    pub(crate) package: &'static str,
    /// Its settings, in words.
    pub(crate) about: &'static str,
    kind: Kind,
}

enum Kind {
    /// The filters above `serialdev`: of the caller, of the answerer.
    Gensio(&'static str, &'static str),
    /// Arguments of `sz`.
    Zmodem(&'static [&'static str]),
    /// Lines of the script beside those that every script has.
    Kermit(&'static str),
    /// The protocol's letter, and lines of the system file.
    Uucp(&'static str, &'static str),
    Hardline,
}

/// All tools, in the order of the columns.
pub(crate) const TOOLS: [Tool; 10] = [
    Tool {
        name: "gensio",
        program: "gensiot",
        package: "gensio-bin",
        about: "relpkt over msgdelim, defaults (16 packets of 123 bytes)",
        kind: Kind::Gensio("relpkt,msgdelim", "relpkt(mode=server),msgdelim"),
    },
    Tool {
        name: "gensio+",
        program: "gensiot",
        package: "gensio-bin",
        about: "the same with 64 packets of 1000 bytes",
        kind: Kind::Gensio(
            "relpkt(max_pktsize=1000,max_packets=64),msgdelim(readbuf=1010,writebuf=1010)",
            "relpkt(mode=server,max_pktsize=1000,max_packets=64),msgdelim(readbuf=1010,writebuf=1010)",
        ),
    },
    Tool {
        name: "zmodem",
        program: "sz",
        package: "lrzsz",
        about: "sz -b and rz -b, defaults (streams, subpackets of 1024 bytes)",
        kind: Kind::Zmodem(&[]),
    },
    Tool {
        name: "zmodem+",
        program: "sz",
        package: "lrzsz",
        about: "the same with -w 8192 -L 512: a fault rewinds less",
        kind: Kind::Zmodem(&["-w", "8192", "-L", "512"]),
    },
    Tool {
        name: "kermit",
        program: "kermit",
        package: "ckermit",
        about: "C-Kermit, window 31, packets of 4000 bytes, no streaming",
        kind: Kind::Kermit("set receive packet-length 4000\nset send packet-length 4000\n"),
    },
    Tool {
        name: "kermit+",
        program: "kermit",
        package: "ckermit",
        about: "the same with packets of 500 bytes and 90 retries",
        kind: Kind::Kermit("set receive packet-length 500\nset send packet-length 500\nset retry 90\n"),
    },
    Tool {
        name: "uucp-i",
        program: "uucico",
        package: "uucp",
        about: "Taylor UUCP, protocol i, defaults (window 16, packets of 1024 bytes)",
        kind: Kind::Uucp("i", ""),
    },
    Tool {
        name: "uucp-i+",
        program: "uucico",
        package: "uucp",
        about: "the same with packets of 256 bytes, timeout 2 s, 30 retries, errors without limit",
        kind: Kind::Uucp(
            "i",
            "protocol-parameter i packet-size 256\nprotocol-parameter i timeout 2\n\
             protocol-parameter i retries 30\nprotocol-parameter i errors 1000000\n",
        ),
    },
    Tool {
        name: "uucp-g+",
        program: "uucico",
        package: "uucp",
        about: "protocol g, window 7, packets of 1024 bytes, timeout 2 s, 30 retries, errors without limit",
        kind: Kind::Uucp(
            "g",
            "protocol-parameter g packet-size 1024\nprotocol-parameter g timeout 2\nprotocol-parameter g retries 30\n\
             protocol-parameter g errors 1000000\nprotocol-parameter g garbage 10000000\n",
        ),
    },
    Tool { name: "hardline", program: "", package: "", about: "hardline pipe, no flags", kind: Kind::Hardline },
];

/// A file to be carried from end `a` to end `b`, ready to start.
pub(crate) struct Job {
    pub(crate) sender: Command,
    pub(crate) send_feed: Feed,
    pub(crate) receiver: Command,
    pub(crate) receive_feed: Feed,
    /// The sender must be there before the receiver speaks.
    pub(crate) sender_first: bool,
    /// Where the bytes arrive; the receiver's output when there is none.
    pub(crate) got: Option<PathBuf>,
    /// Where the sender says why it failed; its standard error when there is none.
    pub(crate) log: Option<PathBuf>,
}

/// Two ends that carry single bytes there and back: ours, and one that echoes.
pub(crate) struct EchoJob {
    pub(crate) near: Command,
    pub(crate) far: Command,
}

impl Tool {
    /// Whether the program can be found.
    pub(crate) fn installed(&self) -> bool {
        self.program.is_empty() || find(self.program).is_some()
    }
    /// Prepares to carry `bytes`, which also lie in the file `in` of the rig.
    pub(crate) fn job(&self, rig: &Rig, bytes: &[u8]) -> io::Result<Job> {
        match self.kind {
            Kind::Gensio(caller, answerer) => Ok(Job {
                sender: gensio(rig, "a", caller),
                send_feed: Feed::Bytes(bytes.to_vec()),
                receiver: gensio(rig, "b", answerer),
                receive_feed: Feed::Hold,
                sender_first: false,
                got: None,
                log: None,
            }),
            Kind::Zmodem(args) => zmodem(rig, args),
            Kind::Kermit(settings) => kermit(rig, settings),
            Kind::Uucp(protocol, parameters) => uucp(rig, protocol, parameters),
            Kind::Hardline => Ok(Job {
                sender: hardline(rig, "a"),
                send_feed: Feed::Bytes(bytes.to_vec()),
                receiver: hardline(rig, "b"),
                receive_feed: Feed::Bytes(Vec::new()),
                sender_first: false,
                got: None,
                log: None,
            }),
        }
    }
    /// Both ends of an echo; None for what carries files only.
    pub(crate) fn echo(&self, rig: &Rig) -> Option<EchoJob> {
        match self.kind {
            Kind::Gensio(caller, answerer) => {
                let mut far = Command::new("gensiot");
                far.arg("-i").arg("stdio,cat").args(gensio(rig, "b", answerer).get_args());
                Some(EchoJob { near: gensio(rig, "a", caller), far })
            }
            Kind::Hardline => {
                let mut far = hardline(rig, "b");
                far.args(["--", "cat"]);
                Some(EchoJob { near: hardline(rig, "a"), far })
            }
            _ => None,
        }
    }
}

/// Looks into the path, and where programs for root are.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders.map(|f| f.join(program)).find(|p| p.is_file())
}

fn hardline(rig: &Rig, end: &str) -> Command {
    let mut command = rig.pipe(end, BAUD);
    command.arg("-q");
    command
}

/// Its input and output must be pipes: it aborts on files and on the null device.
fn gensio(rig: &Rig, end: &str, filters: &str) -> Command {
    let mut command = Command::new("gensiot");
    command.arg(format!("{filters},serialdev,{},{BAUD}N81,local", rig.path(end).display()));
    command
}

/// Makes the wire the program's input and output, with the right speed.
fn on_wire(command: &mut Command, end: &Path) -> io::Result<()> {
    let port: File = open_raw(end)?;
    let mut settings = tcgetattr(&port)?;
    cfsetspeed(&mut settings, BaudRate::B2000000)?;
    tcsetattr(&port, SetArg::TCSANOW, &settings)?;
    command.stdout(port.try_clone()?).stdin(port);
    Ok(())
}

fn zmodem(rig: &Rig, args: &[&str]) -> io::Result<Job> {
    let into = rig.path("got");
    std::fs::create_dir(&into)?;
    let mut sender = Command::new("sz");
    sender.args(["-b", "-q"]).args(args).arg(rig.path("in"));
    on_wire(&mut sender, &rig.path("a"))?;
    let mut receiver = Command::new("rz");
    receiver.args(["-b", "-y", "-q"]).current_dir(&into);
    on_wire(&mut receiver, &rig.path("b"))?;
    let got = Some(into.join("in"));
    Ok(Job { sender, send_feed: Feed::Own, receiver, receive_feed: Feed::Own, sender_first: false, got, log: None })
}

/// `clear-channel on` is not used: with it, a window and noise, C-Kermit 10.0 beta.08 said 0 for files
/// it had cut short.
fn kermit(rig: &Rig, settings: &str) -> io::Result<Job> {
    let into = rig.path("got");
    std::fs::create_dir(&into)?;
    let script = |end: &str, verb: &str| -> io::Result<Command> {
        let path = rig.path(&format!("{end}.ksc"));
        let text = format!(
            "set exit warning off\nset carrier-watch off\nset line {}\nset speed {BAUD}\nset flow-control none\n\
             set parity none\nset file type binary\nset file names literal\nset transfer display none\n\
             set streaming off\nset reliable off\nset window 31\nset block 3\nset prefixing cautious\n\
             {settings}{verb}\nexit \\v(status)\n",
            rig.path(end).display()
        );
        std::fs::write(&path, text)?;
        let mut command = Command::new("kermit");
        command.arg(path).args(["-Y", "-H", "-B"]).current_dir(&into);
        command.stdin(File::open("/dev/null")?).stdout(File::create(rig.path(&format!("{end}.says")))?);
        Ok(command)
    };
    Ok(Job {
        sender: script("a", &format!("send {}", rig.path("in").display()))?,
        send_feed: Feed::Own,
        receiver: script("b", "receive")?,
        receive_feed: Feed::Own,
        sender_first: false,
        got: Some(into.join("in")),
        log: Some(rig.path("a.says")),
    })
}

/// Two systems, `ua` that calls and `ub` that answers, each with its own folders. The caller throws
/// away what came before it listens, so it must be there first.
fn uucp(rig: &Rig, protocol: &str, parameters: &str) -> io::Result<Job> {
    // installed set-uid: it may run as a user of its own
    for folder in ["", "spool-a", "spool-b", "public-a", "public-b"] {
        let path = if folder.is_empty() { rig.dir().to_owned() } else { rig.path(folder) };
        std::fs::create_dir_all(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777))?;
    }
    for (end, other) in [("a", "b"), ("b", "a")] {
        uucp_config(rig, end, other, protocol, parameters)?;
    }
    let got = rig.path("public-b").join("in");
    let mut queue = Command::new("uucp");
    queue.arg("-r").arg("-I").arg(rig.path("config-a")).arg(rig.path("in")).arg(format!("ub!{}", got.display()));
    if !queue.status()?.success() {
        return Err(io::Error::other("uucp cannot queue the file"));
    }
    let uucico = |end: &str| -> io::Result<Command> {
        let mut command = Command::new(find("uucico").ok_or_else(|| io::Error::other("no uucico"))?);
        command.arg("-I").arg(rig.path(&format!("config-{end}"))).args(["-D", "-q"]);
        on_wire(&mut command, &rig.path(end))?;
        Ok(command)
    };
    let (mut sender, mut receiver) = (uucico("a")?, uucico("b")?);
    sender.args(["-s", "ub", "-p", "wire"]);
    receiver.arg("-r0");
    let log = Some(rig.path("log-a"));
    Ok(Job { sender, send_feed: Feed::Own, receiver, receive_feed: Feed::Own, sender_first: true, got: Some(got), log })
}

fn uucp_config(rig: &Rig, end: &str, other: &str, protocol: &str, parameters: &str) -> io::Result<()> {
    let path = |name: &str| rig.path(&format!("{name}-{end}")).display().to_string();
    let config = format!(
        "nodename u{end}\nspool {}\npubdir {}\nlockdir {}\nlogfile {}\nstatfile {}\ndebugfile {}\nsysfile {}\n\
         portfile {}\ndialfile {none}\ncallfile {none}\npasswdfile {none}\nrun-uuxqt never\n",
        path("spool"),
        path("public"),
        rig.dir().display(),
        path("log"),
        path("stat"),
        path("debug"),
        path("sys"),
        path("port"),
        none = path("none"),
    );
    let system = format!(
        "system u{other}\ntime any\nport wire\nchat \"\"\nprotocol {protocol}\n\
         local-send /\nremote-send /\nlocal-receive /\nremote-receive /\n{parameters}"
    );
    for (name, text) in [("config", &*config), ("sys", &*system), ("port", "port wire\ntype stdin\n"), ("none", "")] {
        std::fs::write(path(name), text)?;
    }
    Ok(())
}
