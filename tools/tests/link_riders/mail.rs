//! Store and forward: NNCP's daemon as a service that is called again and again, UUCP.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::common::nncp::{self, nncp};
use super::common::{Wire, assert_carried, bytes, command, program, shell_line, until};

#[test]
fn nncp_calls_again_and_again() {
    let wire = Wire::new("1e-5", "31");
    let (near, far) = (nncp::keys(&wire), nncp::keys(&wire));
    let call = format!("|{}", shell_line(&wire.open("a", "nncp")));
    nncp::node(&wire, "near", &near, &far, &json!({ "serial": call }));
    nncp::node(&wire, "far", &far, &near, &json!({}));
    let mut daemon = command("env");
    daemon.arg(format!("{}={}", nncp::DEADLINE.0, nncp::DEADLINE.1)).arg(program("nncp-daemon"));
    daemon.args(["-quiet", "-ucspi", "-cfg"]).arg(wire.path("far.hjson"));
    let _ends = wire.linked(&[], &["--service", &format!("nncp=exec:exec {}", shell_line(&daemon))]);

    for round in 0..3 {
        let sent = [bytes(60_000, round), bytes(40_000, round + 100)];
        for (node, sent) in ["near", "far"].iter().zip(&sent) {
            let file = wire.path(&format!("{node}.file"));
            fs::write(&file, sent).unwrap();
            wire.run("nncp-file", nncp(&wire, "nncp-file", node).arg(file).arg(format!("peer:{round}")));
        }
        wire.run("nncp-call", nncp(&wire, "nncp-call", "near").args(["-onlinedeadline", "1", "peer"]));
        // nobody hangs: the next call finds no channel left over
        wire.await_channels(0);
        for node in ["near", "far"] {
            wire.run("nncp-toss", &mut nncp(&wire, "nncp-toss", node));
        }
        assert_carried(&wire.path(&format!("far.incoming/{round}")), &sent[0]);
        assert_carried(&wire.path(&format!("near.incoming/{round}")), &sent[1]);
    }
    wire.finish();
}

/// One system's configuration, whose one neighbour is `other`.
fn uucp_node(wire: &Wire, name: &str, other: &str, call: Option<&str>) {
    let path = |file: &str| wire.text(&format!("{name}.{file}"));
    for folder in ["spool", "public"] {
        fs::create_dir(path(folder)).unwrap();
        make_open(Path::new(&path(folder)));
    }
    let config = format!(
        "nodename {name}\nspool {}\npubdir {}\nlogfile {}\nstatfile {}\ndebugfile {}\nlockdir {}\nsysfile {}\nportfile {}\n\
        callfile {}\npasswdfile {}\nrun-uuxqt never\n",
        path("spool"),
        path("public"),
        path("uulog"),
        path("uustat"),
        path("uudebug"),
        path("spool"),
        path("sys"),
        path("port"),
        path("call"),
        path("passwd"),
    );
    let port = call.map(|c| format!("port wire\ntype pipe\ncommand {c}\nreliable true\n")).unwrap_or_default();
    let calling = if call.is_some() { "port wire\ncall-login *\ncall-password *\n" } else { "" };
    let system = format!(
        "protocol i\nsystem {other}\ntime any\n{calling}chat \"\"\nchat-timeout 20\nrequest yes\ntransfer yes\n\
        local-send /\nlocal-receive /\nremote-send /\nremote-receive /\n"
    );
    let files = [("config", &config[..]), ("port", &port), ("sys", &system), ("call", ""), ("passwd", "")];
    for (file, content) in files {
        fs::write(path(file), content).unwrap();
    }
}

/// uucico gives up being root.
fn make_open(path: &Path) {
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
}

fn uucp(wire: &Wire, name: &str, node: &str) -> Command {
    let mut uucp = command(name);
    uucp.arg("-I").arg(wire.path(&format!("{node}.config")));
    uucp
}

#[test]
fn uucp_carries_a_job_each_way() {
    let wire = Wire::new("1e-5", "32");
    make_open(wire.rig().dir());
    uucp_node(&wire, "near", "far", Some(&shell_line(&wire.open("a", "uucp")).replace('\'', "")));
    uucp_node(&wire, "far", "near", None);
    let answer = shell_line(uucp(&wire, "uucico", "far").args(["-u", "near"]));
    let _ends = wire.linked(&[], &["--service", &format!("uucp=exec:exec {answer}")]);
    make_open(&wire.path("a.sock"));
    let sent = [bytes(60_000, 32), bytes(40_000, 33)];
    for (from, to, sent) in [("near", "far", &sent[0]), ("far", "near", &sent[1])] {
        let file = wire.path(&format!("{from}.file"));
        fs::write(&file, sent).unwrap();
        let target = format!("{to}!{}", wire.text(&format!("{to}.public/received")));
        wire.run("uucp", uucp(&wire, "uucp", from).args(["-r", "-C"]).arg(file).arg(target));
    }
    wire.run("uucico", uucp(&wire, "uucico", "near").args(["-D", "-f", "-r1", "-s", "far"]));
    for (node, sent) in [("far", &sent[0]), ("near", &sent[1])] {
        let received = wire.path(&format!("{node}.public/received"));
        until("the job is done", || received.exists().then_some(()));
        assert_carried(&received, sent);
    }
    wire.await_channels(0);
    wire.finish();
}
