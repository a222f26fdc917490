//! ssh by way of a forward, and what rides on ssh: rsync, git, borg.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use super::common::{Running, Wire, assert_carried, bytes, command, free_port, shell_line, ssh};

/// ssh's options, and the link: a TCP port at `a` leads to sshd at `b`.
struct FarBox {
    wire: Wire,
    line: String,
    _ends: [Running; 2],
}

impl FarBox {
    fn new(seed: &str) -> FarBox {
        let wire = Wire::new("1e-5", seed);
        ssh::prepare(&wire);
        let port = free_port();
        let (forward, service) =
            (format!("tcp:127.0.0.1:{port}=ssh"), format!("ssh=exec:exec {}", shell_line(&ssh::sshd(&wire))));
        let ends = wire.linked(&["--forward", &forward], &["--service", &service]);
        let line = ssh::line(&wire, port);
        FarBox { wire, line, _ends: ends }
    }
    fn ssh(&self, remote: &str) -> Command {
        let mut words = self.line.split(' ');
        let mut ssh = command(words.next().expect("ssh"));
        ssh.args(words).args(["root@127.0.0.1", remote]);
        ssh
    }
    /// Runs something that runs ssh.
    #[track_caller]
    fn run(&self, name: &str, command: &mut Command) -> String {
        self.wire.run(name, command.current_dir(self.wire.rig().dir()))
    }
}

#[test]
fn three_shells_beside_rsync() {
    let far = FarBox::new("21");
    let sent = bytes(400_000, 21);
    fs::create_dir(far.wire.path("tree")).unwrap();
    fs::write(far.wire.path("tree/big"), &sent).unwrap();
    fs::write(far.wire.path("tree/small"), "small").unwrap();
    let mut rsync = command("rsync");
    rsync.arg("-a").arg("-e").arg(&far.line).arg(far.wire.path("tree"));
    rsync.arg(format!("root@127.0.0.1:{}", far.wire.text("copy")));
    let rsync = far.wire.start("rsync", &mut rsync);

    let shells: Vec<_> = (1..=3)
        .map(|n| {
            let printed = File::create(far.wire.path(&format!("ssh{n}.out"))).unwrap();
            far.wire.start(&format!("ssh{n}"), far.ssh(&format!("echo shell $(({n} * 7)); exit {n}")).stdout(printed))
        })
        .collect();
    for (n, shell) in (1..=3).zip(&shells) {
        assert_eq!(shell.wait(), n, "exit status of the remote command");
        let printed = fs::read_to_string(far.wire.path(&format!("ssh{n}.out"))).unwrap();
        assert_eq!(printed, format!("shell {}\n", n * 7));
    }
    assert_eq!(rsync.wait(), 0, "exit status of rsync");
    assert_carried(&far.wire.path("copy/tree/big"), &sent);
    assert_carried(&far.wire.path("copy/tree/small"), b"small");
    far.wire.await_channels(0);
    far.wire.finish();
}

/// git as nobody has set it up.
fn git(home: &Path) -> Command {
    let mut git = command("git");
    git.env("HOME", home).env("GIT_CONFIG_NOSYSTEM", "1");
    for (key, value) in [("NAME", "a"), ("EMAIL", "a@b")] {
        git.env(format!("GIT_AUTHOR_{key}"), value).env(format!("GIT_COMMITTER_{key}"), value);
    }
    git
}

#[test]
fn git_clones_and_pushes() {
    let far = FarBox::new("22");
    let home = far.wire.rig().dir();
    far.run("git-init", git(home).args(["init", "-q", "origin", "-b", "main"]));
    fs::write(far.wire.path("origin/data"), bytes(150_000, 22)).unwrap();
    far.run("git-add", git(&far.wire.path("origin")).args(["-C", "origin", "add", "data"]));
    far.run("git-commit", git(home).args(["-C", "origin", "commit", "-q", "-m", "data"]));

    let url = format!("ssh://root@127.0.0.1{}", far.wire.text("origin"));
    far.run("git-clone", git(home).env("GIT_SSH_COMMAND", &far.line).args(["clone", "-q", &url, "clone"]));
    assert_carried(&far.wire.path("clone/data"), &bytes(150_000, 22));
    fs::write(far.wire.path("clone/more"), "more").unwrap();
    far.run("git-add", git(home).args(["-C", "clone", "add", "more"]));
    far.run("git-commit", git(home).args(["-C", "clone", "commit", "-q", "-m", "more"]));
    far.run("git-push", git(home).env("GIT_SSH_COMMAND", &far.line).args(["-C", "clone", "push", "-q", "origin", "main:back"]));
    let head = |of: &str, at: &str| far.run("git-head", git(home).args(["-C", of, "rev-parse", at]));
    assert_eq!(head("clone", "main"), head("origin", "back"));
    far.wire.finish();
}

#[test]
fn borg_backs_up_and_restores() {
    let far = FarBox::new("23");
    let sent = bytes(150_000, 23);
    fs::write(far.wire.path("precious"), &sent).unwrap();
    let repository = format!("ssh://root@127.0.0.1{}", far.wire.text("repository"));
    let borg = |args: &[&str]| {
        let mut borg = command("borg");
        borg.args(args).env("BORG_RSH", &far.line).env("BORG_BASE_DIR", far.wire.path("borg")).env("BORG_REPO", &repository);
        borg.env("BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK", "yes");
        borg
    };
    far.run("borg-init", &mut borg(&["init", "-e", "none"]));
    far.run("borg-create", &mut borg(&["create", "::one", "precious"]));
    fs::remove_file(far.wire.path("precious")).unwrap();
    far.run("borg-extract", &mut borg(&["extract", "::one"]));
    assert_carried(&far.wire.path("precious"), &sent);
    far.wire.finish();
}
