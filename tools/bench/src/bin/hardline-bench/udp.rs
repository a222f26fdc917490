//! The one-way mode over UDP with 1 % loss.

use std::time::Instant;

use link::sim::Random;

use crate::{Fallible, hardline};

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

/// 300 MB through UDP on loopback with 1 % loss.
pub(crate) fn run() -> Fallible<()> {
    let hardline = hardline()?;
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
