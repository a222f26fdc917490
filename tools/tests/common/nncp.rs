//! Real NNCP: two nodes that know each other.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use super::{Wire, command};

/// Time for one message, in seconds.
pub const DEADLINE: (&str, &str) = ("NNCPDEADLINE", "60");
/// The call ends after so many seconds without a file.
pub const IDLE: &str = "5";

/// A node's keys by name.
#[track_caller]
pub fn keys(wire: &Wire) -> BTreeMap<String, String> {
    let made = wire.run("nncp-cfgnew", command("nncp-cfgnew").arg("-nocomments"));
    let names = ["id", "exchpub", "exchprv", "signpub", "signprv", "noisepub", "noiseprv"];
    let pairs = made.lines().filter_map(|line| line.trim().split_once(": "));
    let keys: BTreeMap<_, _> = pairs.filter(|p| names.contains(&p.0)).map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    assert_eq!(keys.len(), names.len(), "nncp-cfgnew made other keys: {made}");
    keys
}

/// Writes the configuration of a node, whose one neighbour is called `peer`.
pub fn node(wire: &Wire, name: &str, own: &BTreeMap<String, String>, other: &BTreeMap<String, String>, addrs: &Value) {
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
#[track_caller]
pub fn nncp(wire: &Wire, program: &str, node: &str) -> Command {
    let mut command = command(program);
    command.arg("-quiet").arg("-cfg").arg(wire.path(&format!("{node}.hjson"))).env(DEADLINE.0, DEADLINE.1);
    command
}
