//! One direction of a serial wire, as a function of time.

use std::collections::VecDeque;
use std::time::Duration;

use link::sim::{Noise, NoiseConfig, NoiseStats};

use super::bytes::Bytes;
use super::mismatch::Mismatch;
use super::uart::Uart;
use crate::cli::Span;

/// What the driver and the UART hold on the way out (Linux tty buffer).
const TRANSMIT_BUFFER: usize = 4096;
/// The sender is looked at again once no more than this is left of what it wrote.
const ROOM_SOON: u64 = 2048;
/// Payload of a full USB packet of an FTDI adapter.
const USB_PACKET: usize = 62;
/// Under load, deliveries are gathered for this long.
const GATHER_NS: u64 = 400_000;

/// What a direction does to bytes.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Bits per second, 10 per byte.
    pub baud: u32,
    /// Delay of each byte beside its own length.
    pub latency: Duration,
    /// Latency timer of the receiving adapter; zero for none.
    pub timer: Duration,
    /// Noise on the wire.
    pub noise: NoiseConfig,
    /// The noise hits start and stop bits as well.
    pub framing: bool,
    /// What becomes of certain bytes.
    pub bytes: Bytes,
    /// Stretches in which nothing passes.
    pub outages: Vec<Span>,
    /// Never anything passes: the missing direction of a diode.
    pub cut: bool,
}

/// Counters of one direction.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counters {
    /// Bytes that left the sender.
    pub carried: u64,
    /// Bytes lost to outages.
    pub outage: u64,
    /// Bytes the receiver was too slow to take, or that came while nobody had its port open.
    pub unread: u64,
    /// Flips, losses and insertions.
    pub noise: NoiseStats,
}

/// One direction of the wire. Times are nanoseconds since the start.
#[derive(Debug)]
pub struct Direction {
    settings: Settings,
    noise: Noise,
    mismatch: Mismatch,
    /// The receiver's, where start and stop bits are hit.
    uart: Option<Uart>,
    /// Waiting in the sender's driver.
    queue: VecDeque<u8>,
    /// Busy since then, with so many bytes sent: exact, so the rate does not drift.
    busy_since_ns: u64,
    sent_in_row: u64,
    flight: VecDeque<(u64, u8)>,
    timer_began_ns: u64,
    delivered_ns: u64,
    counters: Counters,
}

impl Direction {
    /// An idle wire.
    pub fn new(settings: Settings, seed: u64) -> Direction {
        Direction {
            noise: Noise::new(settings.noise, seed),
            mismatch: Mismatch::new(None, seed),
            uart: settings.framing.then(Uart::default),
            settings,
            queue: VecDeque::new(),
            busy_since_ns: 0,
            sent_in_row: 0,
            flight: VecDeque::new(),
            timer_began_ns: 0,
            delivered_ns: 0,
            counters: Counters::default(),
        }
    }
    /// Bytes the sender may write now.
    pub fn room(&self) -> usize {
        TRANSMIT_BUFFER - self.queue.len()
    }
    /// The sender writes; at most [`Direction::room`] bytes.
    pub fn write(&mut self, bytes: &[u8], now_ns: u64) {
        self.advance(now_ns);
        if self.queue.is_empty() && self.byte_done_ns(0) <= now_ns {
            (self.busy_since_ns, self.sent_in_row) = (now_ns, 0);
        }
        self.queue.extend(bytes);
    }
    /// When the byte that is `ahead` places behind the next has left.
    fn byte_done_ns(&self, ahead: u64) -> u64 {
        let bits = u128::from(self.sent_in_row + ahead) * 10_000_000_000;
        self.busy_since_ns + (bits / u128::from(self.settings.baud)) as u64
    }
    fn advance(&mut self, now_ns: u64) {
        while !self.queue.is_empty() && self.byte_done_ns(1) <= now_ns {
            let left = self.byte_done_ns(1);
            self.sent_in_row += 1;
            let Some(byte) = self.queue.pop_front() else { break };
            self.counters.carried += 1;
            let out = |s: &Span| s.start.as_nanos() as u64 <= left && left < (s.start + s.length).as_nanos() as u64;
            if self.settings.cut || self.settings.outages.iter().any(out) {
                self.counters.outage += 1;
                continue;
            }
            self.cross(byte, left);
        }
        self.rest(now_ns);
    }
    /// A byte that has left the sender crosses the wire.
    fn cross(&mut self, byte: u8, left: u64) {
        let arrival = left + self.settings.latency.as_nanos() as u64;
        let Direction { settings, noise, mismatch, uart, flight, .. } = self;
        if flight.is_empty() {
            self.timer_began_ns = self.timer_began_ns.max(arrival);
        }
        let mut out = |byte| settings.bytes.pass(byte, |byte| flight.push_back((arrival, byte)));
        match uart {
            None => mismatch.pass(byte, settings.baud, |byte| noise.pass(byte, &mut out)),
            Some(uart) => mismatch.pass(byte, settings.baud, |byte| {
                noise.strike(byte, Uart::BITS, |byte, mask| uart.take(byte, mask, left, settings.baud, &mut out));
            }),
        }
    }
    /// A line at rest completes the byte that the receiver believes it is in.
    fn rest(&mut self, now_ns: u64) {
        let Some(uart) = self.uart.as_mut().filter(|_| self.queue.is_empty()) else { return };
        let Some(due) = uart.due_ns(self.settings.baud).filter(|&due| due <= now_ns) else { return };
        let (flight, bytes) = (&mut self.flight, &self.settings.bytes);
        let arrival = due + self.settings.latency.as_nanos() as u64;
        uart.rest(|byte| bytes.pass(byte, |byte| flight.push_back((arrival, byte))));
    }
    /// Another rate from now on, for what has not left yet too.
    pub fn set_baud(&mut self, baud: u32, now_ns: u64) {
        if baud == self.settings.baud {
            return;
        }
        self.advance(now_ns);
        // a byte that is half out begins anew
        (self.busy_since_ns, self.sent_in_row) = (now_ns.max(self.byte_done_ns(0)), 0);
        self.settings.baud = baud;
    }
    /// The receiver listens at this rate from now on; none: at the sender's.
    pub fn set_heard(&mut self, baud: Option<u32>, now_ns: u64) {
        if baud != self.mismatch.heard {
            self.advance(now_ns);
            self.mismatch.heard = baud;
        }
    }
    /// Above this rate the wire is bad from now on; none: at no rate.
    pub fn set_limit(&mut self, baud: Option<u32>, now_ns: u64) {
        if baud != self.mismatch.limit {
            self.advance(now_ns);
            self.mismatch.limit = baud;
        }
    }
    /// Other noise from now on.
    pub fn set_noise(&mut self, noise: NoiseConfig, now_ns: u64) {
        self.advance(now_ns);
        self.settings.noise = noise;
        self.noise.set(noise);
    }
    /// Other treatment of certain bytes from now on.
    pub fn set_bytes(&mut self, bytes: Bytes, now_ns: u64) {
        self.advance(now_ns);
        self.settings.bytes = bytes;
    }
    /// Another latency timer of the receiving adapter from now on; zero for none.
    pub fn set_timer(&mut self, timer: Duration) {
        self.settings.timer = timer;
    }
    /// Nothing passes from now on, for so long.
    pub fn begin_outage(&mut self, length: Duration, now_ns: u64) {
        self.advance(now_ns);
        let now = Duration::from_nanos(now_ns);
        self.settings.outages.retain(|s| s.start + s.length > now);
        self.settings.outages.push(Span { start: now, length });
    }
    /// Everything on the way is lost (the adapter was unplugged).
    pub fn cut_off(&mut self) {
        self.counters.outage += (self.queue.len() + self.flight.len()) as u64;
        self.queue.clear();
        self.flight.clear();
    }
    /// Bytes that reach the receiver by now.
    pub fn deliver(&mut self, now_ns: u64, out: &mut Vec<u8>) {
        self.advance(now_ns);
        let arrived = self.flight.partition_point(|b| b.0 <= now_ns);
        let timer = self.settings.timer.as_nanos() as u64;
        let n = if timer == 0 || now_ns >= self.timer_began_ns + timer { arrived } else { arrived - arrived % USB_PACKET };
        if n > 0 {
            out.extend(self.flight.drain(..n).map(|b| b.1));
            self.delivered_ns = now_ns;
            self.timer_began_ns = self.flight.front().map_or(now_ns, |b| b.0.max(now_ns));
        }
    }
    /// The receiver did not take `n` of the bytes delivered last.
    pub fn unread(&mut self, n: usize) {
        self.counters.unread += n as u64;
    }
    /// When to call [`Direction::deliver`] again; none while the wire is idle.
    pub fn next_ns(&self) -> Option<u64> {
        let timer = self.settings.timer.as_nanos() as u64;
        if timer == 0 { self.next_at_once() } else { self.next_by_usb(timer) }
    }
    /// Bytes go on as they come; under load those of a while together, but never later than the last
    /// of what is on its way.
    fn next_at_once(&self) -> Option<u64> {
        let latency = self.settings.latency.as_nanos() as u64;
        let queued = self.queue.len() as u64;
        let leaves = |ahead: u64| (queued > 0).then(|| self.byte_done_ns(ahead) + latency);
        let rests = self.uart.as_ref().and_then(|uart| uart.due_ns(self.settings.baud)).map(|due| due + latency);
        let first = self.flight.front().map(|b| b.0).or(leaves(1)).or(rests)?;
        let last = leaves(queued).or(self.flight.back().map(|b| b.0)).or(rests)?;
        let next = last.min(first.max(self.delivered_ns) + GATHER_NS);
        // the sender may write on before anything arrives
        let room = (queued > ROOM_SOON).then(|| self.byte_done_ns(queued - ROOM_SOON));
        Some(next.min(room.unwrap_or(u64::MAX)))
    }
    /// Full packets go on when they are full, the rest when the timer ticks.
    fn next_by_usb(&self, timer: u64) -> Option<u64> {
        let gathered = self.delivered_ns + GATHER_NS;
        let Some(first) = self.flight.get(USB_PACKET - 1).or(self.flight.front()) else {
            let rests = self.uart.as_ref().and_then(|uart| uart.due_ns(self.settings.baud));
            let next = if self.queue.is_empty() { rests? } else { self.byte_done_ns(1) };
            return Some(next.max(gathered));
        };
        let tick = self.timer_began_ns + timer;
        let due = if self.flight.len() >= USB_PACKET { first.0.min(tick) } else { tick };
        let more = (!self.queue.is_empty()).then(|| gathered.max(self.byte_done_ns(USB_PACKET as u64)));
        Some(due.max(gathered).min(more.unwrap_or(u64::MAX)).max(self.delivered_ns + 1))
    }
    /// The counters.
    pub fn counters(&self) -> Counters {
        Counters { noise: self.noise.stats, ..self.counters }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(baud: u32) -> Settings {
        Settings {
            baud,
            latency: Duration::ZERO,
            timer: Duration::ZERO,
            noise: NoiseConfig::default(),
            framing: false,
            bytes: Bytes::default(),
            outages: Vec::new(),
            cut: false,
        }
    }

    /// Ten seconds of a saturated wire, served at irregular moments: within 0.1 % of its rate.
    #[test]
    fn keeps_its_rate() {
        for baud in [9600, 115_200, 2_000_000, 10_000_000] {
            let mut wire = Direction::new(settings(baud), 1);
            let (mut now, mut got, mut out, mut step) = (0u64, 0u64, Vec::new(), 7u64);
            // a pause first: an idle wire must not save up time
            now += 3_000_000_000;
            let began = now;
            while now < began + 10_000_000_000 {
                wire.write(&vec![0x55; wire.room()], now);
                step = step.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                now += 50_000 + (step >> 40) % 300_000;
                wire.deliver(now, &mut out);
                got += out.len() as u64;
                out.clear();
            }
            let expected = (now - began) as f64 / 1e9 * f64::from(baud) / 10.0;
            assert!((got as f64 / expected - 1.0).abs() < 1e-3, "{baud}: {got} of {expected}");
        }
    }

    #[test]
    fn the_usb_timer_holds_the_rest_of_a_packet() {
        let mut wire = Direction::new(Settings { timer: Duration::from_millis(16), ..settings(2_000_000) }, 1);
        let mut out = Vec::new();
        wire.write(&[1; 70], 0);
        wire.deliver(1_000_000, &mut out);
        assert_eq!(out.len(), 62);
        wire.deliver(16_000_000, &mut out);
        assert_eq!(out.len(), 62);
        let due = wire.next_ns().unwrap();
        assert!((16_000_000..18_000_000).contains(&due), "{due}");
        wire.deliver(due, &mut out);
        assert_eq!(out.len(), 70);
        assert_eq!(wire.next_ns(), None);
    }

    #[test]
    fn a_short_frame_arrives_with_its_last_byte() {
        let mut wire = Direction::new(settings(2_000_000), 1);
        let (mut out, sent) = (Vec::new(), 1_000_000_000);
        wire.write(&[1; 20], sent);
        let due = wire.next_ns().unwrap();
        assert_eq!(due, sent + 20 * 5_000);
        wire.deliver(due, &mut out);
        assert_eq!((out.len(), wire.next_ns()), (20, None));
    }

    #[test]
    fn an_outage_swallows_what_is_sent_in_it() {
        let outage = Span { start: Duration::from_millis(10), length: Duration::from_millis(10) };
        let mut wire = Direction::new(Settings { outages: vec![outage], ..settings(100_000) }, 1);
        let mut out = Vec::new();
        wire.write(&[1; 300], 0); // 30 ms
        wire.deliver(50_000_000, &mut out);
        assert!((198..=202).contains(&out.len()), "{}", out.len());
    }

    #[test]
    fn an_outage_may_begin_at_any_time() {
        let mut wire = Direction::new(settings(100_000), 1);
        let mut out = Vec::new();
        wire.write(&[1; 300], 0); // 30 ms
        wire.begin_outage(Duration::from_millis(5), 10_000_000);
        wire.begin_outage(Duration::from_millis(5), 20_000_000);
        wire.deliver(50_000_000, &mut out);
        assert!((198..=202).contains(&out.len()), "{}", out.len());
    }

    #[test]
    fn the_rate_may_change_at_any_time() {
        let mut wire = Direction::new(settings(10_000), 1);
        let mut out = Vec::new();
        wire.write(&[1; 300], 0); // 1 ms each
        wire.set_baud(100_000, 100_000_000);
        wire.deliver(100_000_000, &mut out);
        assert_eq!(out.len(), 100);
        wire.deliver(110_000_000, &mut out); // 0.1 ms each
        assert_eq!(out.len(), 200);
    }

    #[test]
    fn the_noise_may_change_at_any_time() {
        let mut wire = Direction::new(settings(100_000), 1);
        let mut out = Vec::new();
        wire.write(&[0; 300], 0); // 30 ms
        wire.set_noise(NoiseConfig { ber: 1.0, ..NoiseConfig::default() }, 10_000_000);
        wire.set_noise(NoiseConfig::default(), 20_000_000);
        wire.deliver(50_000_000, &mut out);
        let wrong = out.iter().filter(|&&b| b == 0xFF).count();
        assert!(out.len() == 300 && (98..=102).contains(&wrong), "{wrong} of {}", out.len());
    }

    /// Start and stop bits that are hit cost bytes, make some, and spoil those behind them; a line at rest brings back the
    /// place, and nothing stays in the receiver.
    #[test]
    fn a_uart_loses_its_place() {
        let ber = NoiseConfig { ber: 1e-3, ..NoiseConfig::default() };
        let carried = |framing, seed| {
            let mut wire = Direction::new(Settings { noise: ber, framing, ..settings(1_000_000) }, seed);
            let (mut now, mut came, mut out) = (0, Vec::new(), Vec::new());
            let sent: Vec<u8> = (0..40_000u32).map(|i| i.wrapping_mul(0x9E37_79B9).to_be_bytes()[0]).collect();
            for piece in sent.chunks(100) {
                wire.write(piece, now);
                while let Some(next) = wire.next_ns() {
                    now = next.max(now + 1);
                    wire.deliver(now, &mut out);
                }
                came.push((out.split_off(0), piece.to_vec()));
                now += 10_000;
            }
            came
        };
        let of_data = carried(false, 1);
        assert!(of_data.iter().all(|(came, sent)| came.len() == sent.len()), "no byte is lost or appears");
        let of_all = carried(true, 1);
        let count = |test: fn(usize, usize) -> bool| of_all.iter().filter(|(came, sent)| test(came.len(), sent.len())).count();
        let whole = of_all.iter().filter(|(came, sent)| came == sent).count();
        let (fewer, more) = (count(|came, sent| came < sent), count(|came, sent| came > sent));
        assert!(fewer > 0 && more > 0, "bytes are lost and appear: {fewer}, {more}");
        // a piece of 1000 bits is spared by e^-1 of all, and what went before does not reach it
        assert!((100..200).contains(&whole), "{whole} of 400 pieces are whole");
    }

    #[test]
    fn certain_bytes_come_twice_or_never() {
        let bytes = Bytes { doubled: vec![0xFF], eaten: vec![0x11, 0x13] };
        let mut wire = Direction::new(Settings { bytes, ..settings(1_000_000) }, 1);
        let mut out = Vec::new();
        wire.write(&[1, 0x11, 0xFF, 0x13, 0x12], 0);
        wire.deliver(1_000_000, &mut out);
        assert_eq!(out, [1, 0xFF, 0xFF, 0x12]);
    }
}
