//! Real programs over a noisy wire: ssh and scp, NNCP both ways, tar. What they carry is byte-exact,
//! and when they are done every process ends by itself.
#![allow(missing_docs)]

mod common;

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;

use common::nncp::{self, nncp};
use common::{BAUD, Running, Wire, assert_carried, bytes, command, program, ssh, until};

// ---- ssh ----------------------------------------------------------------------------------------

/// sshd reports 255 whenever the client says goodbye; nothing else may pass as success.
const SSHD: &str = r#""$0" "$@"; case $? in 0 | 255) ;; *) exit 1 ;; esac"#;
const GOODBYE: &str = "disconnected by user";

fn serve_ssh(wire: &Wire) -> Running {
    let sshd = ssh::sshd(wire);
    let words = std::iter::once(sshd.get_program()).chain(sshd.get_args()).map(|w| w.to_str().expect("a readable path"));
    wire.serve(&["/bin/sh", "-c", SSHD].into_iter().chain(words).collect::<Vec<_>>())
}

/// ssh or scp, by way of the near end.
fn client(wire: &Wire, name: &str) -> Command {
    ssh::client(wire, name, &wire.near())
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
    ssh::prepare(&wire);

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

/// Both nodes, each with a file for the other; returns the files.
fn prepare_nncp(wire: &Wire) -> [Vec<u8>; 2] {
    let (near, far) = (nncp::keys(wire), nncp::keys(wire));
    // NNCP does not wait for the command it runs, nor show what it says
    let (log, exit) = (wire.path("near.log"), wire.path("near.exit"));
    let (log, exit) = (log.display(), exit.display());
    let serial = format!("|{} 2>'{log}'; echo $? >'{exit}.new'; mv '{exit}.new' '{exit}'", wire.near());
    nncp::node(wire, "near", &near, &far, &json!({"serial": serial}));
    nncp::node(wire, "far", &far, &near, &json!({}));
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
    let deadline = format!("{}={}", nncp::DEADLINE.0, nncp::DEADLINE.1);
    let far = wire.serve(&["env", &deadline, &daemon, "-quiet", "-ucspi", "-cfg", &config]);

    // its group holds the near end too
    let call = wire.start("nncp-call", nncp(&wire, "nncp-call", "near").args(["-onlinedeadline", nncp::IDLE, "peer"]));
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
