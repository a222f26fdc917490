//! A long way (a satellite, a radio with a modem at each end): what is under way follows the round trip, and a queue that is
//! our own making is not taken for one.
#![allow(missing_docs)]

mod common;

use common::{End, Line, Station, read_known, write_known};
use link::sim::{NoiseConfig, Random};
use link::{Config, FRAME_MAX, Instant, State};

/// Sends one way without an end, and looks at what stands before the wire.
struct Far {
    ends: [End; 2],
    lines: [Line; 2],
    now: Instant,
    random: Random,
    written: u64,
    read: u64,
}

impl Far {
    /// Ports of `baud`, a wire that really has `real_baud`, and a way of so long one way.
    fn new(baud: u32, real_baud: u32, way_us: u64, window: usize) -> Far {
        let end = |id| End::new(Config::for_baud(baud), id, window, (1, 1), (0, 0));
        let line = |seed| Line::new(real_baud, way_us, 0, NoiseConfig::default(), seed);
        Far {
            ends: [end(7), end(9)],
            lines: [line(1), line(2)],
            now: Instant::default(),
            random: Random::new(3),
            written: 0,
            read: 0,
        }
    }
    /// Goes on for so long; says how many bytes were read, and how long the queue before the wire was at most (µs).
    fn go(&mut self, us: u64) -> (u64, u64) {
        let (until, before, mut longest) = (self.now.after(us), self.read, 0);
        let (mut wire, mut bytes) = (vec![0; FRAME_MAX], Vec::new());
        while self.now < until {
            let ([a, b], [ab, ba]) = (&mut self.ends, &mut self.lines);
            for (end, into) in [(&mut *a, &mut *ba), (&mut *b, &mut *ab)] {
                into.take(self.now, &mut bytes);
                end.handle(&bytes, self.now);
            }
            if a.link.state() == State::Open {
                write_known(&mut a.link, 1, &mut self.written, u64::MAX);
            }
            read_known(&mut b.link, 1, &mut self.read);
            for (end, out) in [(&mut *a, &mut *ab), (&mut *b, &mut *ba)] {
                while let Some(n) = end.transmit(&mut wire, self.now) {
                    out.send(&wire[..n], self.now);
                }
            }
            longest = longest.max(ab.queue_us(self.now));
            let next = [a.wake(self.now), b.wake(self.now), ab.next(), ba.next()].into_iter().flatten().min();
            let next = next.unwrap_or(0).max(self.now.as_micros() + 1 + self.random.below(300));
            self.now = Instant::from_micros(next.min(until.as_micros()));
        }
        (self.read - before, longest)
    }
    fn widen(&mut self, len: usize) {
        for end in &mut self.ends {
            let channel = end.link.channel(0).expect("the one stream");
            let (old_out, old_in) = (channel.widen_out(vec![0; len]), channel.widen_in(vec![0; len]));
            assert!(old_out.len() < len && old_in.len() < len);
        }
    }
}

/// The share of the line a transfer of so long takes, from its start to its end.
fn transfer(baud: u32, way_us: u64, seconds: u64, ber: f64, window: usize) -> f64 {
    let noise = NoiseConfig { ber, ..NoiseConfig::default() };
    let mut ab = Line::new(baud, way_us, 0, noise, 11);
    let mut ba = Line::new(baud, way_us, 0, noise, 12);
    let bytes = u64::from(baud / 10) * seconds;
    let mut a = End::new(Config::for_baud(baud), 7, window, (1, 2), (bytes, 0));
    let mut b = End::new(Config::for_baud(baud), 9, window, (2, 1), (0, bytes));
    let took = common::run(&mut a, &mut b, &mut ab, &mut ba, 3, 1_000_000_000);
    assert!(a.lost.is_none() && b.lost.is_none());
    seconds as f64 * 1e6 / took as f64
}

#[test]
fn a_transfer_fills_a_long_way() {
    // 300 ms each way, from the first call to the last acknowledgement of a minute
    let share = transfer(2_000_000, 300_000, 60, 0.0, 1 << 20);
    println!("2 Mbps, 300 ms each way: {share:.4}");
    assert!(share >= 0.96, "{share}");
    for (ber, least) in [(1e-5, 0.89), (1e-4, 0.87)] {
        let share = transfer(2_000_000, 300_000, 20, ber, 1 << 20);
        println!("2 Mbps, 300 ms each way, BER {ber:e}: {share:.4}");
        assert!(share >= least, "{ber:e}: {share}");
    }
}

#[test]
fn a_satellite_is_filled_once_its_way_is_known() {
    let mut far = Far::new(115_200, 115_200, 2_000_000, 1 << 17);
    far.go(30_000_000);
    let (bytes, queue_us) = far.go(60_000_000);
    let share = bytes as f64 / (60.0 * 11_520.0);
    println!("115200, 2 s each way: {share:.4} of the wire, a queue of {queue_us} µs at most");
    assert!(share >= 0.95, "{share}");
    // the frame that is being handed out, and what is kept ahead of the wire
    assert!(queue_us < 600_000, "{queue_us}");
}

/// What is behind the port carries half of what the port claims: there waits no more than on a short way.
#[test]
fn a_queue_of_our_own_is_not_taken_for_a_long_way() {
    for way_us in [500, 50_000, 300_000, 1_000_000] {
        let mut far = Far::new(2_000_000, 1_000_000, way_us, 1 << 20);
        far.go(20_000_000);
        let (bytes, queue_us) = far.go(60_000_000);
        let share = bytes as f64 / (60.0 * 100_000.0);
        println!("half the rate, {way_us} µs each way: {share:.4} of it, a queue of {queue_us} µs");
        assert!(share >= 0.85, "{way_us}: {share}");
        // .4 s of what the port claims are .8 s of this wire
        assert!(queue_us <= 1_200_000, "{way_us}: {queue_us}");
    }
}

/// Buffers that are too short for the way hold it up, and do so no more once they are longer, in the middle of a stream.
#[test]
fn buffers_grow_under_way() {
    let mut far = Far::new(115_200, 115_200, 1_000_000, 8192);
    far.go(20_000_000);
    let (short, _) = far.go(20_000_000);
    far.widen(1 << 16);
    far.go(5_000_000);
    let (long, _) = far.go(20_000_000);
    let share = |bytes: u64| bytes as f64 / (20.0 * 11_520.0);
    println!("8 KiB: {:.3} of the wire, 64 KiB: {:.3}", share(short), share(long));
    assert!(share(short) < 0.5 && share(long) > 0.95, "{short} {long}");
    let way_us = far.ends[0].link.way_us();
    assert!((2_000_000..2_500_000).contains(&way_us), "{way_us}");
    assert_eq!(far.ends[1].link.channel(0).map(|c| c.window()), Some(1 << 16));
}

/// Acknowledgements that wait behind the other direction's frames are no queue.
#[test]
fn both_ways_at_once_over_a_long_way() {
    let bytes = 2_000_000;
    let mut ab = Line::new(2_000_000, 300_000, 0, NoiseConfig::default(), 1);
    let mut ba = Line::new(2_000_000, 300_000, 0, NoiseConfig::default(), 2);
    let mut a = End::new(Config::for_baud(2_000_000), 7, 1 << 20, (1, 2), (bytes, bytes));
    let mut b = End::new(Config::for_baud(2_000_000), 9, 1 << 20, (2, 1), (bytes, bytes));
    let took = common::run(&mut a, &mut b, &mut ab, &mut ba, 3, 100_000_000);
    let share = bytes as f64 / (took as f64 / 1e6 * 200_000.0);
    println!("both ways at once, 300 ms each way: {share:.4}");
    assert!(share >= 0.75, "{share}");
}
