//! Who types is told from who sends much: short packets at the beginning of a transfer (the handshake of ssh, the talk of rsync)
//! are no typing.
#![allow(missing_docs)]

mod common;

use common::{Line, Station, run};
use link::sim::{NoiseConfig, Random};
use link::{Class, Config, Event, Instant, Link, State};

/// Bytes of a packet of the handshake, and how many each end says.
const PACKET: usize = 40;
const PACKETS: usize = 12;

/// One end of the talk. The client says a packet, the server answers, and so on; then `bytes` follow at once.
struct Talker {
    wire: Box<Link<Vec<u8>, 1024, 4>>,
    asks: bool,
    channel: Option<u16>,
    bytes: usize,
    said: usize,
    heard: usize,
    written: usize,
    read: usize,
    expected: usize,
    next: u64,
    over: bool,
}

impl Talker {
    fn new(asks: bool, baud: u32, bytes: usize, expected: usize) -> Talker {
        let id = if asks { 5 } else { 9 };
        Talker {
            wire: Box::new(Link::with_channels(Config::for_baud(baud), id, Instant::default())),
            asks,
            channel: None,
            bytes,
            said: 0,
            heard: 0,
            written: 0,
            read: 0,
            expected,
            next: 0,
            over: false,
        }
    }
    fn buffers() -> (Vec<u8>, Vec<u8>) {
        (vec![0; 1 << 16], vec![0; 1 << 16])
    }
    /// How many packets this end may have said by now.
    fn turn(&self) -> usize {
        (self.heard + usize::from(self.asks)).min(PACKETS)
    }
}

impl Station for Talker {
    fn handle(&mut self, bytes: &[u8], now: Instant) {
        self.wire.handle_bytes(bytes, now);
        self.wire.handle_timeout(now);
    }
    fn user(&mut self, now: Instant, _: &mut Random) {
        if self.asks && self.channel.is_none() && self.wire.state() == State::Open {
            let (out, into) = Talker::buffers();
            self.channel = self.wire.open(b"ssh", Class::Learnt, out, into).ok();
        }
        while let Some(event) = self.wire.poll_event() {
            if let Event::Asked(id) = event {
                let (out, into) = Talker::buffers();
                self.wire.accept(id, Class::Learnt, out, into).expect("room");
                self.channel = Some(id);
            }
        }
        let turn = self.turn();
        let Some(channel) = self.channel.and_then(|id| self.wire.channel(id)) else { return };
        let mut buffer = [0; 4096];
        loop {
            let n = channel.read(&mut buffer);
            self.read += n;
            if n == 0 {
                break;
            }
        }
        if self.heard < (self.read / PACKET).min(PACKETS) {
            self.heard = (self.read / PACKET).min(PACKETS);
            // who reckons, and whoever is behind it, takes a moment
            self.next = now.as_micros() + 15_000;
        }
        if now.as_micros() >= self.next && self.said < turn {
            assert_eq!(channel.write(&[1; PACKET]), PACKET);
            self.said += 1;
        }
        if self.said == PACKETS && self.heard == PACKETS {
            let n = channel.writable().min(self.bytes - self.written);
            self.written += channel.write(&vec![2; n]);
        }
        self.over = self.read == PACKETS * PACKET + self.expected && self.written == self.bytes && channel.queued() == 0;
    }
    fn transmit(&mut self, out: &mut [u8], now: Instant) -> Option<usize> {
        self.wire.poll_transmit(out, now)
    }
    fn wake(&self, now: Instant) -> Option<u64> {
        let word = Some(self.next).filter(|&t| self.said < self.turn() && t > now.as_micros());
        self.wire.poll_timeout().map(Instant::as_micros).into_iter().chain(word).min()
    }
    fn is_over(&self) -> bool {
        self.over
    }
    fn describe(&self) -> String {
        format!("said {} heard {} written {} read {} {:?}", self.said, self.heard, self.written, self.read, self.wire.stats())
    }
}

/// Bulk behind a handshake, up or down, takes the wire as if there had been none.
#[test]
fn a_handshake_is_no_typing() {
    for (baud, bytes, least) in [(2_000_000, 1_500_000, 0.95), (115_200, 200_000, 0.94), (9600, 20_000, 0.85)] {
        for up in [true, false] {
            let (there, back) = if up { (bytes, 0) } else { (0, bytes) };
            let mut ab = Line::new(baud, 300, 0, NoiseConfig::default(), 1);
            let mut ba = Line::new(baud, 300, 0, NoiseConfig::default(), 2);
            let (mut a, mut b) = (Talker::new(true, baud, there, back), Talker::new(false, baud, back, there));
            let took = run(&mut a, &mut b, &mut ab, &mut ba, 3, 200_000_000);
            // the handshake takes its time: what it takes alone
            let (mut a, mut b) = (Talker::new(true, baud, 0, 0), Talker::new(false, baud, 0, 0));
            let mut ab = Line::new(baud, 300, 0, NoiseConfig::default(), 1);
            let mut ba = Line::new(baud, 300, 0, NoiseConfig::default(), 2);
            let alone = run(&mut a, &mut b, &mut ab, &mut ba, 3, 200_000_000);
            let share = bytes as f64 / ((took - alone) as f64 / 1e6 * f64::from(baud / 10));
            println!("{baud}, {}: handshake {alone} µs, then {share:.4} of the wire", if up { "up" } else { "down" });
            assert!(share >= least, "{baud} {up}: {share}");
        }
    }
}
