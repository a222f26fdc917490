//! The loop: pseudo-terminals on both ends of two modelled directions, of one wire or two.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use link::sim::NoiseConfig;
use nix::poll::PollFlags;
use serde_json::json;

use super::bytes::Bytes;
use super::model::{Counters, Direction, Settings};
use super::pty::Pty;
use super::route::Route;
use crate::cli::{SimArgs, SimEnd, Span};
use crate::drive::wait;
use crate::error::{Doing, Failure, kinds};

/// How often an end that nobody has open is looked at.
const LOOK: Duration = Duration::from_millis(10);

#[derive(Debug)]
struct End {
    path: PathBuf,
    /// None while unplugged.
    pty: Option<Pty>,
    /// The wire away from here.
    away: Direction,
    open: bool,
}

/// A running simulation.
#[derive(Debug)]
pub struct Simulation {
    began: Instant,
    /// a and b of the first wire, then of the second if there is one.
    ends: Vec<End>,
    route: Route,
    /// When the adapters of which wire are away.
    unplugs: Vec<(usize, Span)>,
    follow_baud: bool,
    /// From when on which rate is the highest the wire can do.
    limits: Vec<(Duration, u32)>,
    buffer: Vec<u8>,
}

fn noise(args: &SimArgs) -> NoiseConfig {
    let (drop, drop_len) = args.drop.unwrap_or((0.0, 0));
    let mut noise = NoiseConfig { ber: args.ber, drop, drop_len, insert: args.insert, ..NoiseConfig::default() };
    if let Some(burst) = args.burst {
        (noise.burst, noise.burst_len, noise.burst_ber) = (burst.begin, burst.length, burst.ber);
    }
    noise
}

impl Simulation {
    /// Makes all ends.
    pub fn new(args: &SimArgs) -> Result<Simulation, Failure> {
        let end = |path: &PathBuf, seed, cut| -> Result<End, Failure> {
            let settings = Settings {
                baud: args.baud,
                latency: args.latency,
                timer: args.timer,
                noise: noise(args),
                framing: args.framing,
                bytes: Bytes { doubled: args.double.clone(), eaten: args.eat.clone() },
                outages: args.outage.clone(),
                cut,
            };
            let pty = Pty::new(path).doing(kinds::SIM_PATH, || format!("make a pseudo-terminal at {}", path.display()))?;
            Ok(End { path: path.clone(), pty: Some(pty), away: Direction::new(settings, seed), open: false })
        };
        let seed = args.seed.wrapping_mul(2);
        let mut ends = vec![end(&args.a, seed, false)?, end(&args.b, seed.wrapping_add(1), args.one_way)?];
        if let (Some(a), Some(b)) = (&args.a2, &args.b2) {
            let seed = seed ^ 1 << 63;
            ends.extend([end(a, seed, false)?, end(b, seed.wrapping_add(1), args.one_way)?]);
        }
        let (began, follow_baud, route) = (Instant::now(), args.follow_baud, Route::new(args));
        let unplugs = (0..ends.len() / 2).flat_map(|wire| args.unplug.iter().map(move |&span| (wire, span))).collect();
        let mut limits: Vec<(Duration, u32)> = args.max_baud.iter().map(|limit| (limit.from, limit.baud)).collect();
        limits.sort();
        Ok(Simulation { began, ends, route, unplugs, follow_baud, limits, buffer: vec![0; 4096] })
    }

    fn now_ns(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }

    /// Waits for something to do (or for `other` to be readable), and does it.
    pub fn step(&mut self, other: BorrowedFd<'_>) -> io::Result<()> {
        self.plug()?;
        let mut fds = vec![(other, PollFlags::POLLIN)];
        let mut timeout = None;
        let mut until = |t: Duration| timeout = Some(timeout.map_or(t, |old: Duration| old.min(t)));
        let now = self.now_ns();
        for end in &mut self.ends {
            end.open = end.pty.as_ref().is_some_and(Pty::is_open);
            if let Some(next) = end.away.next_ns() {
                until(Duration::from_nanos(next.saturating_sub(now)));
            }
        }
        for end in &self.ends {
            match &end.pty {
                Some(pty) if end.open && end.away.room() > 0 => fds.push((pty.fd(), PollFlags::POLLIN)),
                Some(_) if end.open => {}
                _ => until(LOOK),
            }
        }
        if let Some(change) = self.next_unplug() {
            until(change);
        }
        wait(&fds, timeout)?;
        drop(fds);
        self.carry()
    }

    fn carry(&mut self) -> io::Result<()> {
        let now = self.now_ns();
        for end in &mut self.ends {
            if let Some(baud) = end.pty.as_ref().filter(|_| self.follow_baud && end.open).and_then(Pty::baud) {
                end.away.set_baud(baud, now);
            }
            // also from an end that was just closed: what was written before still leaves
            if let Some(pty) = &end.pty {
                let room = end.away.room().min(self.buffer.len());
                if room > 0 {
                    let n = pty.read(&mut self.buffer[..room])?;
                    end.away.write(&self.buffer[..n], now);
                }
            }
        }
        self.set_rates(now);
        (0..self.ends.len()).try_for_each(|from| self.deliver(from, now))
    }

    /// Gives what has come from an end to whoever hears it.
    fn deliver(&mut self, from: usize, now: u64) -> io::Result<()> {
        let mut out = Vec::new();
        self.ends[from].away.deliver(now, &mut out);
        if out.is_empty() {
            return Ok(());
        }
        let (mut taken, at) = (0, Duration::from_nanos(now));
        for (to, end) in self.ends.iter().enumerate().filter(|(to, _)| self.route.hears(from, *to, at)) {
            let written = match &end.pty {
                Some(pty) if end.open => pty.write(&out)?,
                _ => 0,
            };
            // an echo is heard beside the far end
            taken = if to == from { taken.max(written) } else { written };
        }
        self.ends[from].away.unread(out.len() - taken);
        Ok(())
    }

    /// What is heard where the ends have different rates, and what the wire can do by now.
    fn set_rates(&mut self, now: u64) {
        let limit = self.limits.iter().rfind(|limit| limit.0.as_nanos() as u64 <= now).map(|limit| limit.1);
        let rate = |end: &End| end.pty.as_ref().filter(|_| self.follow_baud).and_then(Pty::set_baud);
        let rates: Vec<Option<u32>> = self.ends.iter().map(rate).collect();
        for (from, end) in self.ends.iter_mut().enumerate() {
            let to = self.route.partner(from, Duration::from_nanos(now));
            // an end that has set none hears all
            end.away.set_heard(rates[from].and(rates.get(to).copied().flatten()), now);
            end.away.set_limit(limit, now);
        }
    }

    fn unplugged(&self, wire: usize, at: Duration) -> bool {
        self.unplugs.iter().any(|(w, s)| *w == wire && s.start <= at && at < s.start.saturating_add(s.length))
    }

    fn next_unplug(&self) -> Option<Duration> {
        let now = self.began.elapsed();
        let changes = self.unplugs.iter().flat_map(|(_, s)| [s.start, s.start.saturating_add(s.length)]);
        changes.filter(|&t| t > now).min().map(|t| t - now)
    }

    fn plug(&mut self) -> io::Result<()> {
        let at = self.began.elapsed();
        let unplugged = [0, 1].map(|wire| self.unplugged(wire, at));
        for (i, end) in self.ends.iter_mut().enumerate() {
            match (&end.pty, unplugged[i / 2]) {
                (Some(_), true) => {
                    end.pty = None;
                    end.away.cut_off();
                }
                (None, false) => {
                    let named = |e: io::Error| io::Error::new(e.kind(), format!("plug in {} again: {e}", end.path.display()));
                    end.pty = Some(Pty::new(&end.path).map_err(named)?);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Both directions of a wire (0 or 1), once for each, at a moment.
    fn each_way(&mut self, wire: usize, mut change: impl FnMut(&mut Direction, u64)) {
        let now = self.now_ns();
        self.ends.iter_mut().skip(2 * wire).take(2).for_each(|end| change(&mut end.away, now));
    }

    /// Other noise in both directions of a wire (0 or 1) from now on.
    pub fn set_noise(&mut self, wire: usize, noise: NoiseConfig) {
        self.each_way(wire, |away, now| away.set_noise(noise, now));
    }

    /// Another latency timer of both adapters of a wire from now on; zero for none.
    pub fn set_timer(&mut self, wire: usize, timer: Duration) {
        self.each_way(wire, |away, _| away.set_timer(timer));
    }

    /// Other treatment of certain bytes on a wire from now on.
    pub fn set_bytes(&mut self, wire: usize, bytes: &Bytes) {
        self.each_way(wire, |away, now| away.set_bytes(bytes.clone(), now));
    }

    /// Nothing passes either way from now on, for so long.
    pub fn begin_outage(&mut self, wire: usize, length: Duration) {
        self.each_way(wire, |away, now| away.begin_outage(length, now));
    }

    /// Both adapters of a wire vanish now, for so long; they come back at the same paths.
    pub fn begin_unplug(&mut self, wire: usize, length: Duration) {
        let start = self.began.elapsed();
        self.unplugs.retain(|(_, s)| s.start.saturating_add(s.length) > start);
        self.unplugs.push((wire, Span { start, length }));
    }

    /// Which ends of a wire (a, b) hear themselves as well from now on.
    pub fn set_echo(&mut self, wire: usize, sides: [bool; 2]) {
        self.route.set_echo(wire, sides);
    }

    /// An end of a wire, or each of them, hears nothing but itself from now on, for so long.
    pub fn begin_loop(&mut self, wire: usize, end: SimEnd, length: Duration) {
        self.route.turn(wire, end, Span { start: self.began.elapsed(), length });
    }

    /// The far ends of both wires are exchanged from now on, for so long.
    pub fn begin_swap(&mut self, length: Duration) {
        self.route.swap(Span { start: self.began.elapsed(), length });
    }

    /// The counters of a wire: from a to b, from b to a.
    pub fn counters(&self, wire: usize) -> [Counters; 2] {
        [2 * wire, 2 * wire + 1].map(|end| self.ends.get(end).map_or_else(Counters::default, |end| end.away.counters()))
    }

    /// The counters of all directions as JSON.
    pub fn stats(&self) -> serde_json::Value {
        let mut stats = json!({ "seconds": self.began.elapsed().as_secs_f64() });
        let names = ["a_to_b", "b_to_a", "a2_to_b2", "b2_to_a2"];
        for (end, name) in self.ends.iter().zip(names) {
            let c = end.away.counters();
            stats[name] = json!({
                "carried": c.carried, "outage": c.outage, "unread": c.unread,
                "flipped": c.noise.flipped, "dropped": c.noise.dropped, "inserted": c.noise.inserted,
            });
        }
        stats
    }
}
