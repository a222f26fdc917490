//! Many channels on a virtual line: each byte-exact whatever the noise, a stalled one stalls only
//! itself, and what is urgent goes first.
#![allow(missing_docs)]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{Line, Station, for_seeds, on_a_big_stack, run, stream_byte};
use link::sim::{NoiseConfig, Random};
use link::{Class, Config, Event, FRAME_MAX, Instant, Link, Note, ResetCode, State};

type Wire = Box<Link<Vec<u8>, 1024, 260>>;

/// What the client does on one channel.
#[derive(Clone)]
struct Job {
    service: &'static str,
    class: Class,
    bytes: u64,
    window: usize,
    /// Resets the channel once so much was read.
    abort_at: u64,
    written: u64,
    read: u64,
    outcome: Option<&'static str>,
}

/// Opens channels and checks that all of each comes back.
struct Client {
    wire: Wire,
    jobs: Vec<Job>,
    open: BTreeMap<u16, usize>,
    begun: usize,
    /// Most channels at a time.
    most: usize,
    noted: BTreeSet<u16>,
}

/// Offers `echo`, and `stall`, which never reads.
struct Server {
    wire: Wire,
    pending: BTreeMap<u16, Vec<u8>>,
    accepted: usize,
    refused: usize,
    window: usize,
    quiet: bool,
    noted: BTreeSet<u16>,
}

fn job(service: &'static str, class: Class, bytes: u64) -> Job {
    Job { service, class, bytes, window: 8192, abort_at: u64::MAX, written: 0, read: 0, outcome: None }
}

fn pair(baud: u32, jobs: Vec<Job>, most: usize, ids: (u64, u64)) -> (Client, Server) {
    let wire = |id| Box::new(Link::with_channels(Config::for_baud(baud), id, Instant::default()));
    (
        Client { wire: wire(ids.0), jobs, open: BTreeMap::new(), begun: 0, most, noted: BTreeSet::new() },
        Server {
            wire: wire(ids.1),
            pending: BTreeMap::new(),
            accepted: 0,
            refused: 0,
            window: 8192,
            quiet: false,
            noted: BTreeSet::new(),
        },
    )
}

impl Client {
    fn begin(&mut self) {
        while self.wire.state() == State::Open && self.begun < self.jobs.len() && self.open.len() < self.most {
            let job = &self.jobs[self.begun];
            let buffers = (vec![0; job.window], vec![0; job.window]);
            let id = self.wire.open(job.service.as_bytes(), job.class, buffers.0, buffers.1).unwrap();
            self.open.insert(id, self.begun);
            self.begun += 1;
        }
    }
    fn serve(&mut self, id: u16, at: usize, random: &mut Random) {
        let (job, seed) = (&mut self.jobs[at], at as u64 * 77);
        let Some(channel) = self.wire.channel(id) else { return };
        let room = (channel.writable() as u64).min(job.bytes - job.written).min(1 + random.below(9000));
        let piece: Vec<u8> = (job.written..job.written + room).map(|i| stream_byte(seed, i)).collect();
        job.written += channel.write(&piece) as u64;
        if job.written == job.bytes {
            channel.finish();
        }
        let mut buffer = [0; 5000];
        let n = channel.read(&mut buffer);
        for (i, &byte) in buffer[..n].iter().enumerate() {
            assert_eq!(byte, stream_byte(seed, job.read + i as u64), "channel {id}");
        }
        job.read += n as u64;
        if channel.at_end() {
            assert_eq!(job.read, job.bytes);
            channel.confirm();
        }
        if job.read >= job.abort_at {
            job.outcome = Some("aborted");
            self.wire.reset(id, ResetCode::Aborted);
            self.open.remove(&id);
        }
    }
    fn ended(&mut self, id: u16, outcome: &'static str) {
        if let Some(at) = self.open.remove(&id) {
            assert!(outcome != "closed" || self.jobs[at].read == self.jobs[at].bytes, "closed too early");
            self.jobs[at].outcome = Some(outcome);
        }
    }
}

impl Station for Client {
    fn handle(&mut self, bytes: &[u8], now: Instant) {
        self.wire.handle_bytes(bytes, now);
        self.wire.handle_timeout(now);
    }
    fn user(&mut self, _: Instant, random: &mut Random) {
        self.begin();
        for (id, at) in self.open.clone() {
            self.serve(id, at, random);
        }
        while let Some(event) = self.wire.poll_event() {
            match event {
                Event::Noted(id, note, value) => {
                    assert_eq!((note, value), (Note::Status, u32::from(id)));
                    self.noted.insert(id);
                }
                Event::Closed(id) => {
                    assert!(self.noted.remove(&id), "a status comes before the end");
                    self.ended(id, "closed");
                }
                Event::Reset(id, ResetCode::NoService) => self.ended(id, "refused"),
                Event::Reset(id, _) => self.ended(id, "reset"),
                Event::Lost(loss) => panic!("{loss:?}"),
                _ => {}
            }
        }
    }
    fn transmit(&mut self, out: &mut [u8], now: Instant) -> Option<usize> {
        self.wire.poll_transmit(out, now)
    }
    fn wake(&self, _: Instant) -> Option<u64> {
        self.wire.poll_timeout().map(Instant::as_micros)
    }
    fn is_over(&self) -> bool {
        self.jobs.iter().all(|j| j.outcome.is_some()) && self.wire.channels().count() == 0
    }
    fn describe(&self) -> String {
        let left: Vec<_> = self.wire.channels().map(|c| (c.id(), c.bytes_in(), c.bytes_out())).collect();
        format!("{:?} {:?} {left:?}", self.wire.state(), self.wire.stats())
    }
}

impl Station for Server {
    fn handle(&mut self, bytes: &[u8], now: Instant) {
        self.wire.handle_bytes(bytes, now);
        self.wire.handle_timeout(now);
    }
    fn user(&mut self, _: Instant, _: &mut Random) {
        while let Some(event) = self.wire.poll_event() {
            match event {
                Event::Asked(id) => match self.wire.asked(id).map(|a| a.service().to_vec()).as_deref() {
                    Some(b"echo") => {
                        self.accepted +=
                            usize::from(self.wire.accept(id, Class::Learnt, vec![0; self.window], vec![0; self.window]).is_ok());
                        self.pending.insert(id, Vec::new());
                    }
                    Some(b"stall") => drop(self.wire.accept(id, Class::Learnt, vec![0; 4096], vec![0; 4096])),
                    Some(_) => {
                        self.refused += 1;
                        self.wire.reset(id, ResetCode::NoService);
                    }
                    None => {}
                },
                Event::Lost(loss) => panic!("{loss:?}"),
                _ => {}
            }
        }
        self.pending.retain(|&id, pending| {
            let Some(channel) = self.wire.channel(id) else {
                self.noted.remove(&id);
                return false;
            };
            if pending.is_empty() {
                let mut buffer = [0; 4096];
                let n = channel.read(&mut buffer);
                pending.extend(&buffer[..n]);
            }
            let n = channel.write(pending);
            pending.drain(..n);
            if pending.is_empty() && channel.at_end() {
                channel.finish();
                if self.noted.insert(id) {
                    channel.note(Note::Status, u32::from(id));
                }
                channel.confirm();
            }
            true
        });
    }
    fn transmit(&mut self, out: &mut [u8], now: Instant) -> Option<usize> {
        self.wire.poll_transmit(out, now)
    }
    fn wake(&self, _: Instant) -> Option<u64> {
        self.wire.poll_timeout().map(Instant::as_micros)
    }
    fn is_over(&self) -> bool {
        self.quiet || self.wire.channels().count() == 0
    }
    fn describe(&self) -> String {
        let left: Vec<_> = self.wire.channels().map(|c| (c.id(), c.bytes_in(), c.bytes_out())).collect();
        format!("{:?} {:?} {left:?}", self.wire.state(), self.wire.stats())
    }
}

/// Channels of all sizes and classes, some refused, some aborted, on wires with any noise and
/// outages: each is delivered whole or ends as its user ended it, and nothing is left over.
#[test]
fn any_mix_of_channels_is_delivered() {
    for_seeds(1000, |seed| {
        let mut random = Random::new(seed);
        let baud = [115_200, 2_000_000][random.below(2) as usize];
        let noise = common::random_noise(&mut random);
        let mut ab = Line::new(baud, random.below(3_000), [0, 16_000][random.below(2) as usize], noise, seed * 2);
        let mut ba = Line::new(baud, random.below(3_000), 0, noise, seed * 2 + 1);
        if random.chance(0.3) {
            let start = random.below(500_000);
            ab.outages.push((start, start + random.below(2_000_000)));
        }
        let jobs: Vec<Job> = (0..1 + random.below(60))
            .map(|_| {
                let service = if random.chance(0.1) { "nobody" } else { "echo" };
                let class = [Class::Learnt, Class::Interactive, Class::Bulk][random.below(3) as usize];
                let mut job = job(service, class, random.below(u64::from(baud) / 400));
                job.window = 64 << random.below(8);
                if random.chance(0.1) {
                    job.abort_at = random.below(job.bytes + 1);
                }
                job
            })
            .collect();
        let ids = (random.bits(), random.bits());
        let (mut a, mut b) = pair(baud, jobs, 1 + random.below(20) as usize, ids);
        run(&mut a, &mut b, &mut ab, &mut ba, seed, 200_000_000);
        for job in &a.jobs {
            let expected = if job.service == "nobody" { "refused" } else { "closed" };
            assert!(job.outcome == Some(expected) || (job.abort_at != u64::MAX && job.outcome == Some("aborted")));
        }
    });
}

/// 256 at once, and 3000 one after the other: none is lost, and numbers come round.
#[test]
fn many_channels_at_once_and_in_a_row() {
    on_a_big_stack(|| {
        for (count, most, bytes) in [(256, 256, 3_000), (20_000, 4, 1)] {
            let mut ab = Line::new(10_000_000, 100, 0, NoiseConfig::default(), 1);
            let mut ba = Line::new(10_000_000, 100, 0, NoiseConfig::default(), 2);
            let (mut a, mut b) = pair(10_000_000, vec![job("echo", Class::Learnt, bytes); count], most, (5, 9));
            run(&mut a, &mut b, &mut ab, &mut ba, 3, 100_000_000);
            assert_eq!(b.accepted, count);
            assert!(a.jobs.iter().all(|j| j.outcome == Some("closed")));
        }
    });
}

/// 256 channels together carry what one carries alone.
/// More to tell than transmissions may be under way: what has no room waits, and is not forgotten.
#[test]
fn control_waits_for_room() {
    type Small = Link<Vec<u8>, 24, 60>;
    let end = |id| Small::with_channels(Config::for_baud(0), id, Instant::default());
    let (mut a, mut b, mut out) = (end(7), end(9), vec![0; FRAME_MAX]);
    let (mut now, mut accepted) = (Instant::default(), 0);
    // all that one end has to say before the other hears any of it
    let mut turn = |from: &mut Small, to: &mut Small, now| {
        let mut bytes = Vec::new();
        while let Some(n) = from.poll_transmit(&mut out, now) {
            bytes.extend(&out[..n]);
        }
        to.handle_bytes(&bytes, now);
    };
    while accepted < 60 {
        a.handle_timeout(now);
        b.handle_timeout(now);
        if a.state() == State::Open && a.channels().count() == 0 {
            for _ in 0..60 {
                a.open(b"echo", Class::Learnt, vec![0; 64], vec![0; 64]).unwrap();
            }
        }
        turn(&mut a, &mut b, now);
        while let Some(event) = b.poll_event() {
            if let Event::Asked(id) = event {
                b.accept(id, Class::Learnt, vec![0; 64], vec![0; 64]).unwrap();
            }
        }
        turn(&mut b, &mut a, now);
        while let Some(event) = a.poll_event() {
            accepted += usize::from(matches!(event, Event::Accepted(_)));
        }
        now = now.after(1_000);
        assert!(now < Instant::from_micros(30_000_000), "{accepted} of 60 accepted");
    }
}

#[test]
fn the_sum_of_many_is_that_of_one() {
    on_a_big_stack(|| {
        let took = |count: usize| {
            let mut ab = Line::new(2_000_000, 300, 0, NoiseConfig::default(), 1);
            let mut ba = Line::new(2_000_000, 300, 0, NoiseConfig::default(), 2);
            let mut one = job("echo", Class::Learnt, 1_024_000 / count as u64);
            one.window = 65_536;
            let (mut a, mut b) = pair(2_000_000, vec![one; count], count, (5, 9));
            b.window = 65_536;
            run(&mut a, &mut b, &mut ab, &mut ba, 3, 100_000_000)
        };
        let (one, many) = (took(1), took(256));
        println!("one channel {one} us, 256 channels {many} us: {:.4}", one as f64 / many as f64);
        assert!(one as f64 / many as f64 >= 0.97, "{one} {many}");
    });
}

/// A reader that never reads holds up its own channel and no other.
#[test]
fn a_stalled_channel_stalls_only_itself() {
    on_a_big_stack(|| {
        let mut ab = Line::new(2_000_000, 300, 0, NoiseConfig::default(), 1);
        let mut ba = Line::new(2_000_000, 300, 0, NoiseConfig::default(), 2);
        let mut jobs = vec![job("stall", Class::Learnt, 100_000)];
        jobs[0].abort_at = u64::MAX;
        jobs.extend(vec![job("echo", Class::Learnt, 50_000); 10]);
        let (mut a, mut b) = pair(2_000_000, jobs, 11, (5, 9));
        b.quiet = true;
        // the stalled one is over when the others are
        struct Others(Client);
        impl Station for Others {
            fn handle(&mut self, bytes: &[u8], now: Instant) {
                self.0.handle(bytes, now);
            }
            fn user(&mut self, now: Instant, random: &mut Random) {
                self.0.user(now, random);
            }
            fn transmit(&mut self, out: &mut [u8], now: Instant) -> Option<usize> {
                self.0.transmit(out, now)
            }
            fn wake(&self, now: Instant) -> Option<u64> {
                self.0.wake(now)
            }
            fn is_over(&self) -> bool {
                self.0.jobs[1..].iter().all(|j| j.outcome.is_some())
            }
            fn describe(&self) -> String {
                self.0.describe()
            }
        }
        a.most = 11;
        let mut a = Others(a);
        let took = run(&mut a, &mut b, &mut ab, &mut ba, 3, 20_000_000);
        assert!(a.0.jobs[1..].iter().all(|j| j.outcome == Some("closed")));
        assert_eq!(a.0.jobs[0].outcome, None);
        // 500 kB there and back at 200 kB/s
        assert!(took < 3_200_000, "{took}");
    });
}

/// Types a byte now and then, waits for its echo, while another channel saturates both directions.
struct Typist {
    client: Client,
    sent_at: Option<u64>,
    next: u64,
    echoes: Vec<u64>,
    id: Option<u16>,
    wanted: usize,
}

impl Station for Typist {
    fn handle(&mut self, bytes: &[u8], now: Instant) {
        self.client.handle(bytes, now);
    }
    fn user(&mut self, now: Instant, random: &mut Random) {
        self.client.user(now, random);
        let wire = &mut self.client.wire;
        if self.id.is_none() && wire.state() == State::Open {
            self.id = wire.open(b"echo", Class::Learnt, vec![0; 512], vec![0; 512]).ok();
        }
        let Some(channel) = self.id.and_then(|id| wire.channel(id)) else { return };
        let mut byte = [0];
        if channel.read(&mut byte) == 1 {
            self.echoes.push(now.as_micros() - self.sent_at.take().unwrap());
            self.next = now.as_micros() + 20_000 + random.below(100_000);
        }
        if self.sent_at.is_none() && now.as_micros() >= self.next {
            channel.write(b"x");
            self.sent_at = Some(now.as_micros());
        }
    }
    fn transmit(&mut self, out: &mut [u8], now: Instant) -> Option<usize> {
        self.client.transmit(out, now)
    }
    fn wake(&self, now: Instant) -> Option<u64> {
        let key = Some(self.next).filter(|&t| self.sent_at.is_none() && t > now.as_micros());
        self.client.wake(now).into_iter().chain(key).min()
    }
    fn is_over(&self) -> bool {
        self.echoes.len() >= self.wanted
    }
    fn describe(&self) -> String {
        format!("{} echoes; {}", self.echoes.len(), self.client.describe())
    }
}

/// A keystroke overtakes bulk in both directions, once it is known that somebody types.
#[test]
fn a_keystroke_overtakes_bulk() {
    on_a_big_stack(|| {
        for (baud, limit_us) in [(115_200, 20_000), (921_600, 5_000), (2_000_000, 4_000), (10_000_000, 4_000)] {
            let mut ab = Line::new(baud, 100, 0, NoiseConfig::default(), 1);
            let mut ba = Line::new(baud, 100, 0, NoiseConfig::default(), 2);
            let mut bulk = job("echo", Class::Learnt, u64::from(baud) * 100);
            bulk.window = 65536;
            let (client, mut b) = pair(baud, vec![bulk], 1, (5, 9));
            (b.quiet, b.window) = (true, 65536);
            let mut a = Typist { client, sent_at: None, next: 1_000_000, echoes: Vec::new(), id: None, wanted: 300 };
            let took = run(&mut a, &mut b, &mut ab, &mut ba, 3, 100_000_000);
            let mut late: Vec<u64> = a.echoes[1..].to_vec();
            late.sort_unstable();
            let (median, p99) = (late[late.len() / 2], late[late.len() * 99 / 100]);
            let share = a.client.wire.stats().bytes_out as f64 / (took as f64 / 1e6 * f64::from(baud / 10));
            println!("{baud}: first {} median {median} p99 {p99} µs; bulk meanwhile {share:.3} of the wire", a.echoes[0]);
            assert!(p99 <= limit_us, "{baud}: {p99}");
            assert!(share > 0.65, "{baud}: {share}");
        }
    });
}
