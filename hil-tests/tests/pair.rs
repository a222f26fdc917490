//! Two adapters joined by a null-modem cable, named by `HIL_PORTS=A,B` (see README.md).
#![allow(missing_docs)]

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use link::sim::Random;

/// The binary built beside this test.
fn hardline() -> PathBuf {
    let mut path = std::env::current_exe().expect("a test has a path");
    path.pop();
    path.pop();
    path.join("hardline")
}

fn ports() -> (String, String) {
    let ports = std::env::var("HIL_PORTS").expect("HIL_PORTS=A,B names two adapters");
    let (a, b) = ports.split_once(',').expect("HIL_PORTS has a comma");
    (a.to_owned(), b.to_owned())
}

fn baud() -> u32 {
    std::env::var("HIL_BAUD").map_or(115_200, |b| b.parse().expect("HIL_BAUD is a number"))
}

#[test]
#[ignore = "needs two adapters: HIL_PORTS=A,B"]
fn both_ways() {
    let (a, b) = ports();
    let mut random = Random::new(1);
    let bytes: Vec<u8> = (0..1_000_000).map(|_| random.bits() as u8).collect();
    let file = std::env::temp_dir().join(format!("hardline-hil-{}", std::process::id()));
    std::fs::write(&file, &bytes).unwrap();
    let began = Instant::now();
    let start = |port: &str| {
        let input = std::fs::File::open(&file).unwrap();
        let mut command = Command::new(hardline());
        command.args(["pipe", port, "-b", &baud().to_string()]).stdin(input).stdout(Stdio::piped());
        command.spawn().unwrap()
    };
    let (one, other) = (start(&a), start(&b));
    let reader = std::thread::spawn(move || one.wait_with_output().unwrap());
    for output in [other.wait_with_output().unwrap(), reader.join().unwrap()] {
        assert!(output.status.success());
        assert!(output.stdout == bytes, "byte-exact");
    }
    let share = 1e6 / began.elapsed().as_secs_f64() / f64::from(baud() / 10);
    println!("{share:.3} of the line, both ways at once");
    std::fs::remove_file(file).unwrap();
}

#[test]
#[ignore = "needs two adapters: HIL_PORTS=A,B"]
fn locked() {
    let (a, _) = ports();
    let mut first = Command::new(hardline()).args(["pipe", &a]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut busy = false;
    for _ in 0..100 {
        let holds = std::fs::read_dir(format!("/proc/{}/fd", first.id())).unwrap().flatten();
        let port = std::fs::canonicalize(&a).unwrap();
        busy = holds.into_iter().any(|fd| std::fs::read_link(fd.path()).is_ok_and(|to| to == port));
        if busy {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let second = Command::new(hardline()).args(["pipe", &a]).stdin(Stdio::null()).output().unwrap();
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(busy && second.status.code() == Some(6), "{}", String::from_utf8_lossy(&second.stderr));
}
