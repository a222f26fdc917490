//! Real OpenSSH with keys of its own.

use std::fs;
use std::process::Command;

use super::{Wire, command, program};

/// Makes keys, the server's configuration and the client's list of known hosts.
#[track_caller]
pub fn prepare(wire: &Wire) {
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
        wire.text("host"),
        wire.text("user.pub")
    );
    fs::write(wire.path("sshd_config"), config).unwrap();
    let host = fs::read_to_string(wire.path("host.pub")).unwrap();
    fs::write(wire.path("known_hosts"), format!("box {host}")).unwrap();
}

/// sshd for one connection on stdin and stdout, its log in `sshd.log`.
#[track_caller]
pub fn sshd(wire: &Wire) -> Command {
    let mut sshd = command("sshd");
    sshd.arg("-i").arg("-f").arg(wire.path("sshd_config")).arg("-E").arg(wire.path("sshd.log"));
    sshd
}

/// What ssh, scp and all that run ssh have to be told; how to reach the box is still missing.
pub fn options(wire: &Wire) -> Vec<String> {
    let mut options: Vec<String> =
        ["-F", "none", "-oBatchMode=yes", "-oIdentitiesOnly=yes", "-oStrictHostKeyChecking=yes"].map(String::from).to_vec();
    options.extend(["-oHostKeyAlias=box".into(), "-i".into(), wire.text("user")]);
    options.push(format!("-oUserKnownHostsFile={}", wire.text("known_hosts")));
    options
}

/// ssh or scp by way of a command line.
#[track_caller]
pub fn client(wire: &Wire, name: &str, proxy: &str) -> Command {
    let mut client = Command::new(program(name));
    client.args(options(wire)).arg(format!("-oProxyCommand={}", proxy.replace('%', "%%")));
    client.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null());
    client
}

/// `ssh` as one line, for programs that run it: to a TCP port on this machine.
#[track_caller]
pub fn line(wire: &Wire, port: u16) -> String {
    let mut ssh = Command::new(program("ssh"));
    ssh.args(options(wire)).args(["-p", &port.to_string()]);
    // no word has a space; rsync, git and borg split at spaces
    super::shell_line(&ssh).replace('\'', "")
}
