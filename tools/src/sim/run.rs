//! The loop: pseudo-terminals on both ends of two modelled directions.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use link::sim::NoiseConfig;
use nix::poll::PollFlags;
use serde_json::json;

use super::model::{Counters, Direction, Settings};
use super::pty::Pty;
use crate::cli::{SimArgs, Span};
use crate::drive::wait;
use crate::error::{Doing, Failure, kinds};

/// How often an end that nobody has open is looked at.
const LOOK: Duration = Duration::from_millis(5);

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
    ends: [End; 2],
    unplugs: Vec<Span>,
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
    /// Makes both ends.
    pub fn new(args: &SimArgs) -> Result<Simulation, Failure> {
        let end = |path: &PathBuf, seed, cut| -> Result<End, Failure> {
            let settings = Settings {
                baud: args.baud,
                latency: args.latency,
                timer: args.timer,
                noise: noise(args),
                outages: args.outage.clone(),
                cut,
            };
            let pty = Pty::new(path).doing(kinds::SIM_PATH, || format!("make a pseudo-terminal at {}", path.display()))?;
            Ok(End { path: path.clone(), pty: Some(pty), away: Direction::new(settings, seed), open: false })
        };
        let seed = args.seed.wrapping_mul(2);
        let ends = [end(&args.a, seed, false)?, end(&args.b, seed.wrapping_add(1), args.one_way)?];
        let (began, unplugs, follow_baud) = (Instant::now(), args.unplug.clone(), args.follow_baud);
        let mut limits: Vec<(Duration, u32)> = args.max_baud.iter().map(|limit| (limit.from, limit.baud)).collect();
        limits.sort();
        Ok(Simulation { began, ends, unplugs, follow_baud, limits, buffer: vec![0; 4096] })
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
        let [a, b] = &mut self.ends;
        let mut out = Vec::new();
        for (from, to) in [(&mut a.away, (&b.pty, b.open)), (&mut b.away, (&a.pty, a.open))] {
            out.clear();
            from.deliver(now, &mut out);
            let taken = match to {
                (Some(pty), true) if !out.is_empty() => pty.write(&out)?,
                _ => 0,
            };
            from.unread(out.len() - taken);
        }
        Ok(())
    }

    /// What is heard where the ends have different rates, and what the wire can do by now.
    fn set_rates(&mut self, now: u64) {
        let limit = self.limits.iter().rfind(|limit| limit.0.as_nanos() as u64 <= now).map(|limit| limit.1);
        let set = self.ends.each_ref().map(|end| end.pty.as_ref().filter(|_| self.follow_baud).and_then(Pty::set_baud));
        let [a, b] = &mut self.ends;
        // an end that has set none hears all
        for (from, [sent, heard]) in [(a, [set[0], set[1]]), (b, [set[1], set[0]])] {
            from.away.set_heard(sent.and(heard), now);
            from.away.set_limit(limit, now);
        }
    }

    fn unplugged(&self, at: Duration) -> bool {
        self.unplugs.iter().any(|s| s.start <= at && at < s.start + s.length)
    }

    fn next_unplug(&self) -> Option<Duration> {
        let now = self.began.elapsed();
        let changes = self.unplugs.iter().flat_map(|s| [s.start, s.start + s.length]);
        changes.filter(|&t| t > now).min().map(|t| t - now)
    }

    fn plug(&mut self) -> io::Result<()> {
        let unplugged = self.unplugged(self.began.elapsed());
        for end in &mut self.ends {
            match (&end.pty, unplugged) {
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

    /// Other noise in both directions from now on.
    pub fn set_noise(&mut self, noise: NoiseConfig) {
        let now = self.now_ns();
        self.ends.iter_mut().for_each(|e| e.away.set_noise(noise, now));
    }

    /// Another latency timer of both adapters from now on; zero for none.
    pub fn set_timer(&mut self, timer: Duration) {
        self.ends.iter_mut().for_each(|e| e.away.set_timer(timer));
    }

    /// Nothing passes either way from now on, for so long.
    pub fn begin_outage(&mut self, length: Duration) {
        let now = self.now_ns();
        self.ends.iter_mut().for_each(|e| e.away.begin_outage(length, now));
    }

    /// Both adapters vanish now, for so long; they come back at the same paths.
    pub fn begin_unplug(&mut self, length: Duration) {
        let start = self.began.elapsed();
        self.unplugs.retain(|s| s.start + s.length > start);
        self.unplugs.push(Span { start, length });
    }

    /// The counters: from a to b, from b to a.
    pub fn counters(&self) -> [Counters; 2] {
        [self.ends[0].away.counters(), self.ends[1].away.counters()]
    }

    /// The counters of both directions as JSON.
    pub fn stats(&self) -> serde_json::Value {
        let one = |c: Counters| {
            json!({
                "carried": c.carried, "outage": c.outage, "unread": c.unread,
                "flipped": c.noise.flipped, "dropped": c.noise.dropped, "inserted": c.noise.inserted,
            })
        };
        let [a_to_b, b_to_a] = self.counters().map(one);
        json!({ "seconds": self.began.elapsed().as_secs_f64(), "a_to_b": a_to_b, "b_to_a": b_to_a })
    }
}
