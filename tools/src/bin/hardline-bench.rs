//! The table of goodput promises, measured: two real `hardline pipe` over `hardline sim`.
//!
//! `cargo run --release -p tools --bin hardline-bench [ROUNDS]` prints, per condition, the median
//! share of the line that user bytes took (bytes over baud / 10, from the first to the last
//! instant of the sending process), and the CPU seconds per megabyte of both pipes together.
//! `hardline-bench udp` measures the one-way mode over UDP with 1 % loss.

use std::fs::File;
use std::io::{Read, Write};
use std::process::Stdio;
use std::time::Instant;

use link::sim::Random;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use tools::rig::Rig;

const BAUD: u32 = 2_000_000;
const BYTES: usize = 2_000_000;

/// Name, arguments of the wire, least share of the line.
const CONDITIONS: [(&str, &[&str], f64); 9] = [
    ("clean", &[], 0.985),
    ("BER 1e-6", &["--ber", "1e-6"], 0.975),
    ("BER 1e-5", &["--ber", "1e-5"], 0.93),
    ("16 ms timer", &["--timer", "16ms"], 0.97),
    ("16 ms timer, 1e-5", &["--timer", "16ms", "--ber", "1e-5"], 0.0),
    ("BER 1e-4", &["--ber", "1e-4"], 0.0),
    ("BER 1e-3", &["--ber", "1e-3"], 0.0),
    ("5 s outage", &["--outage", "2:5"], 0.0),
    ("3 s unplug", &["--unplug", "2:3"], 0.0),
];

struct Run {
    share: f64,
    cpu: f64,
    exact: bool,
}

fn children_cpu() -> f64 {
    getrusage(UsageWho::RUSAGE_CHILDREN)
        .map_or(0.0, |u| (u.user_time().num_microseconds() + u.system_time().num_microseconds()) as f64 / 1e6)
}

fn run(args: &[&str], seed: usize) -> Result<Run, Box<dyn std::error::Error>> {
    let hardline = std::env::current_exe()?.with_file_name("hardline");
    let (baud, seed_text) = (BAUD.to_string(), seed.to_string());
    let mut all = vec!["--baud", &baud, "--seed", &seed_text, "--latency", "300us"];
    all.extend(args);
    let rig = Rig::start(&hardline, &all)?;
    let mut random = Random::new(seed as u64);
    let bytes: Vec<u8> = (0..BYTES).map(|_| random.bits() as u8).collect();
    File::create(rig.path("in"))?.write_all(&bytes)?;
    let before = children_cpu();
    let mut receiver = rig.pipe("b", BAUD).arg("-q").stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let mut out = receiver.stdout.take().ok_or("no pipe")?;
    let reader = std::thread::spawn(move || {
        let mut got = Vec::new();
        out.read_to_end(&mut got).map(|_| got)
    });
    let began = Instant::now();
    let sent = rig.pipe("a", BAUD).arg("-q").stdin(File::open(rig.path("in"))?).stdout(Stdio::null()).status()?;
    let seconds = began.elapsed().as_secs_f64();
    let received = receiver.wait()?;
    let cpu = children_cpu() - before;
    let got = reader.join().map_err(|_| "the reader failed")??;
    Ok(Run {
        share: BYTES as f64 / seconds / f64::from(BAUD / 10),
        cpu: cpu / (BYTES as f64 / 1e6),
        exact: got == bytes && sent.success() && received.success(),
    })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Forwards datagrams to `to`, all but one in a hundred, until it is told to stop.
fn lossy(from: &std::net::UdpSocket, to: &str, stop: &std::sync::atomic::AtomicBool) -> std::io::Result<()> {
    let out = std::net::UdpSocket::bind("127.0.0.1:0")?;
    let (mut random, mut buffer) = (Random::new(1), vec![0u8; 65_536]);
    from.set_read_timeout(Some(std::time::Duration::from_millis(100)))?;
    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
        if let Ok(n) = from.recv(&mut buffer)
            && !random.chance(0.01)
        {
            let _ = out.send_to(&buffer[..n], to);
        }
    }
    Ok(())
}

/// `hardline-bench udp`: 300 MB through UDP on loopback with 1 % loss.
fn udp() -> Result<(), Box<dyn std::error::Error>> {
    let hardline = std::env::current_exe()?.with_file_name("hardline");
    let dir = tempfile::tempdir()?;
    let (input, out) = (dir.path().join("file"), dir.path().join("out"));
    let mut random = Random::new(1);
    let bytes: Vec<u8> = (0..300_000_000 / 8).flat_map(|_| random.bits().to_le_bytes()).collect();
    std::fs::write(&input, &bytes)?;
    let port = std::net::UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port();
    let to = format!("127.0.0.1:{port}");
    let middle = std::net::UdpSocket::bind("127.0.0.1:0")?;
    let _ = nix::sys::socket::setsockopt(&middle, nix::sys::socket::sockopt::RcvBufForce, &(16 << 20));
    let via = middle.local_addr()?;
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let proxy = {
        let (stop, to) = (stop.clone(), to.clone());
        std::thread::spawn(move || lossy(&middle, &to, &stop))
    };
    let mut recv = std::process::Command::new(&hardline);
    recv.args(["diode", "recv", &format!("udp-listen:{to}"), "--out"]).arg(&out);
    let mut recv = recv.spawn()?;
    std::thread::sleep(std::time::Duration::from_millis(300));
    let began = Instant::now();
    let mut send = std::process::Command::new(&hardline);
    send.args(["diode", "send", &format!("udp:{via}"), "--rate", "150M", "--survive", "50ms", "--overhead", "3"]).arg(&input);
    let sent = send.status()?;
    let seconds = began.elapsed().as_secs_f64();
    let received = recv.wait()?;
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    proxy.join().map_err(|_| "the proxy failed")??;
    let exact = std::fs::read(out.join("file")).is_ok_and(|got| got == bytes);
    println!("UDP, 1 % lost: {:.1} MB/s, byte-exact {exact}, {sent}, {received}", bytes.len() as f64 / 1e6 / seconds);
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    if std::env::args().nth(1).as_deref() == Some("udp") {
        return udp();
    }
    let rounds = std::env::args().nth(1).map_or(Ok(3), |n| n.parse())?;
    println!("{BYTES} random bytes over two pseudo-terminals at {BAUD} baud, median of {rounds}");
    println!("{:<20} {:>8} {:>8} {:>10}  byte-exact", "wire", "share", "asked", "CPU s/MB");
    for (name, args, least) in CONDITIONS {
        let runs = (1..=rounds).map(|seed| run(args, seed)).collect::<Result<Vec<_>, _>>()?;
        let share = median(runs.iter().map(|r| r.share).collect());
        let cpu = median(runs.iter().map(|r| r.cpu).collect());
        let asked = if least > 0.0 { format!("{least:.3}") } else { "-".into() };
        let exact = runs.iter().filter(|r| r.exact).count();
        println!("{name:<20} {share:>8.4} {asked:>8} {cpu:>10.3}  {exact} of {rounds}");
    }
    Ok(())
}
