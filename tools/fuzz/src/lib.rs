//! What the fuzz targets do, and the plain tests that run their corpus: whatever a peer, a client of
//! the control socket or a file says, nothing panics, and what was understood means the same again.
#![allow(missing_docs)]

use std::io::Write;
use std::os::unix::net::UnixStream;

use tools::files::wire;
use tools::keys::PublicKey;
use tools::keys::peers::{KnownPeers, port_word};

/// Messages of a file transfer (PROTOCOL 10).
pub fn files(data: &[u8]) {
    let mut rest = data;
    while let Ok(Some(message)) = wire::read(&mut rest) {
        let bytes = message.to_bytes();
        let again = wire::read(&mut &bytes[..]).expect("it is readable").expect("it is there");
        assert_eq!(again.to_bytes(), bytes);
    }
}

/// Lines of a client, in two parts.
pub fn control(data: &[u8]) {
    let (ours, mut theirs) = UnixStream::pair().expect("a pair of sockets");
    ours.set_nonblocking(true).expect("a socket");
    let at = data.first().map_or(0, |&b| usize::from(b) * 8).min(data.len());
    let cuts = data.split_at(at);
    // more than this waits in no socket
    let parts: Vec<&[u8]> = [cuts.0, cuts.1].into_iter().flat_map(|part| part.chunks(1024)).take(16).collect();
    tools::drive::hub::read_requests(ours, |i| parts.get(i).is_some_and(|part| theirs.write_all(part).is_ok()));
}

/// Keys and known peers, as text.
pub fn keys(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for line in text.lines() {
        if let Ok(key) = line.parse::<PublicKey>() {
            assert_eq!(key.to_string().parse::<PublicKey>().expect("its own text"), key);
        }
        if let Ok(port) = port_word(line) {
            assert_eq!(port_word(&port).expect("its own text"), port);
        }
    }
    if let Ok(peers) = KnownPeers::parse(&text) {
        for peer in peers {
            let line = format!("{} {}", peer.port, peer.key);
            assert_eq!(KnownPeers::parse(&line).expect("its own text").len(), 1, "{line}");
        }
    }
}
