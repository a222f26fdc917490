//! The measurement of echoes leaves nothing on stderr that is no result.
#![allow(missing_docs)]

use std::process::{Command, Stdio};

#[test]
fn echoes_are_measured_in_silence() {
    let mut bench = Command::new(env!("CARGO_BIN_EXE_hardline-bench"));
    let output = bench.args(["echo", "2000000", "3"]).stdin(Stdio::null()).output().unwrap();
    let (said, printed) = (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{said}");
    assert_eq!(said, "");
    assert_eq!(printed.lines().count(), 3, "{printed}");
}
