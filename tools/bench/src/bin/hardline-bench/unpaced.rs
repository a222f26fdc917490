//! Throughput where the wire is no limit: a Unix socket between two pipes.

use std::process::{Command, Stdio};
use std::time::Instant;

use crate::{Fallible, hardline};

const BYTES: usize = 500_000_000;

/// Zeros through a socket, from the start of the sender to its end.
pub(crate) fn run(keys: &[String]) -> Fallible<()> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("wire");
    let input = dir.path().join("in");
    std::fs::write(&input, vec![0u8; BYTES])?;
    let mut far = Command::new(hardline()?);
    far.args(["pipe", "-q"]).args(keys).arg(format!("unix-listen:{}", path.display())).stdin(Stdio::null()).stdout(Stdio::null());
    let mut far = far.spawn()?;
    while !path.exists() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let began = Instant::now();
    let mut near = Command::new(hardline()?);
    near.args(["pipe", "-q"])
        .args(keys)
        .arg(format!("unix:{}", path.display()))
        .stdin(std::fs::File::open(&input)?)
        .stdout(Stdio::null());
    let (sent, received) = (near.status()?, far.wait()?);
    println!("unpaced: {:.0} MB/s, {sent}, {received}", BYTES as f64 / 1e6 / began.elapsed().as_secs_f64());
    Ok(())
}
