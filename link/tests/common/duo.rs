//! Two ends of one wire or of a bond, whose wires are cut and whose peers die when a test says so. Every end must keep
//! some rules whatever happens: see [`User::act`] and [`Duo::busy`].

use std::collections::BTreeMap;

use link::sim::NoiseConfig;
use link::{Class, Config, Event, FRAME_MAX, Instant, Link, Noise, Path, State};

use super::Line;

pub type End = Link<Vec<u8>, 64, 8, Option<Noise>, Vec<Path<64, Option<Noise>>>>;

/// How two ends are joined.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    pub paths: usize,
    pub sealed: bool,
    pub channels: bool,
}

pub const SOLE: [Kind; 4] = [kind(1, false), kind(1, true), kind(2, false), kind(2, true)];
pub const ALL: [Kind; 8] = [
    kind(1, false),
    kind(1, true),
    kind(2, false),
    kind(2, true),
    with_channels(1, false),
    with_channels(1, true),
    with_channels(2, false),
    with_channels(2, true),
];

pub const fn kind(paths: usize, sealed: bool) -> Kind {
    Kind { paths, sealed, channels: false }
}
const fn with_channels(paths: usize, sealed: bool) -> Kind {
    Kind { paths, sealed, channels: true }
}

pub const WINDOW: usize = 16_384;

/// One end and who uses it.
pub struct User {
    pub link: End,
    /// What it writes, as fast as it may, and then ends its stream if that is wanted.
    pub text: Vec<u8>,
    written: usize,
    pub finishes: bool,
    pub confirms: bool,
    pub read: Vec<u8>,
    pub events: Vec<Event>,
    /// A process that has ended: it neither hears nor speaks.
    pub gone: bool,
    ended: bool,
    /// The channel it uses, where there are channels.
    pub channel: Option<u16>,
    asks: bool,
}

impl User {
    pub fn new(kind: Kind, config: Config, id: u64, text: &[u8], now: Instant) -> User {
        let handshake = |at: u64| kind.sealed.then(|| Noise::psk([7; 32]).seeded(id ^ (at << 32)));
        let path = |at: usize| Path::new(config, now, kind.channels).sealed(handshake(at as u64));
        let buffers = (!kind.channels).then(|| (vec![0; WINDOW], vec![0; WINDOW]));
        User {
            link: Link::bonded(config.rate, id, now, (0..kind.paths).map(path).collect(), buffers),
            text: text.to_vec(),
            written: 0,
            finishes: true,
            confirms: true,
            read: Vec::new(),
            events: Vec::new(),
            gone: false,
            ended: false,
            channel: (!kind.channels).then_some(0),
            asks: false,
        }
    }
    pub fn asking(mut self) -> User {
        self.asks = true;
        self
    }
    pub fn has(&self, event: Event) -> bool {
        self.events.contains(&event)
    }
    /// Whether the last event was said.
    pub fn is_over(&self) -> bool {
        self.events.iter().any(|event| matches!(event, Event::Finished | Event::Lost(_)))
    }
    fn events(&mut self) {
        while let Some(event) = self.link.poll_event() {
            assert!(!self.is_over(), "{event:?} behind the last of {:?}", self.events);
            if let Event::Asked(id) = event {
                self.link.accept(id, Class::Bulk, vec![0; WINDOW], vec![0; WINDOW]).expect("room for a channel");
                self.channel = Some(id);
            }
            self.events.push(event);
        }
    }
    fn act(&mut self, now: Instant) {
        self.events();
        if self.asks && self.channel.is_none() && self.link.state() == State::Open {
            self.channel = self.link.open(b"it", Class::Bulk, vec![0; WINDOW], vec![0; WINDOW]).ok();
        }
        let opened = self.events.iter().any(|event| matches!(event, Event::Opened { .. }));
        let Some(channel) = self.channel.and_then(|id| self.link.channel(id)) else { return };
        self.written += channel.write(&self.text[self.written..]);
        if self.written == self.text.len() && self.finishes {
            channel.finish();
        }
        let mut buffer = [0; 4096];
        loop {
            let n = channel.read(&mut buffer);
            if n == 0 {
                break;
            }
            assert!(!self.ended, "bytes behind the end");
            assert!(opened, "bytes before Opened");
            self.read.extend(&buffer[..n]);
        }
        assert!(opened || !(channel.at_end() || channel.is_delivered()), "an end before Opened");
        self.ended |= channel.at_end();
        if self.confirms && channel.at_end() {
            channel.confirm();
            self.link.handle_timeout(now);
        }
        self.events();
    }
}

pub struct Duo {
    pub kind: Kind,
    pub config: Config,
    pub ends: [User; 2],
    /// From end 0 to 1, and back; by path.
    lines: [Vec<Line>; 2],
    /// What is given to these goes nowhere, by direction and path.
    pub cut: [[bool; 2]; 2],
    /// The next so many frames are lost, by direction.
    pub lose: [u32; 2],
    pub frames: [u64; 2],
    pub now: Instant,
    /// Hosts that are late look only this often (µs).
    pub grain_us: u64,
}

impl Duo {
    pub fn new(kind: Kind, config: Config, texts: [&[u8]; 2]) -> Duo {
        let now = Instant::from_micros(1_000_000);
        let [a, b] = texts;
        let ends = [User::new(kind, config, 71, a, now).asking(), User::new(kind, config, 50, b, now)];
        let line = |at: usize| Line::new(config.rate.max(10_000_000) * 10, 300, 0, NoiseConfig::default(), at as u64);
        let lines = || (0..kind.paths).map(line).collect();
        Duo {
            kind,
            config,
            ends,
            lines: [lines(), lines()],
            cut: [[false; 2]; 2],
            lose: [0; 2],
            frames: [0; 2],
            now,
            grain_us: 1,
        }
    }
    /// The second end dies, and another one is started in its place.
    pub fn restart(&mut self, id: u64, text: &[u8]) {
        for line in self.lines.iter_mut().flatten() {
            line.take(Instant::from_micros(u64::MAX), &mut Vec::new());
        }
        self.ends[1] = User::new(self.kind, self.config, id, text, self.now);
    }
    pub fn cut(&mut self, cut: bool) {
        self.cut = [[cut; 2]; 2];
    }
    /// Goes on until this holds; panics after `limit_us`.
    #[track_caller]
    pub fn until(&mut self, what: &str, limit_us: u64, holds: impl Fn(&Duo) -> bool) {
        let limit = self.now.after(limit_us);
        self.go(limit, &holds);
        assert!(holds(self), "{:?}: not within {limit_us} us: {what}\n{}\n{}", self.kind, self.describe(0), self.describe(1));
    }
    pub fn run(&mut self, us: u64) {
        let limit = self.now.after(us);
        self.go(limit, &|_| false);
    }
    pub fn describe(&self, end: usize) -> String {
        let User { link, events, read, text, .. } = &self.ends[end];
        let now = self.now;
        let paths: BTreeMap<_, _> = link.paths().iter().map(|p| (p.state(), p.is_up(), p.silence_us(now))).enumerate().collect();
        let (out, read) = (text.len(), read.len());
        let due = (0..self.kind.paths).map(|p| (link.is_transmit_due_of(p), link.poll_timeout_of(p).map(|at| at.since(now))));
        let due: Vec<_> = due.collect();
        format!(
            "{:?} {events:?} of {out} sent {}, read {read} {:?} {paths:?} {due:?} {:?}",
            link.state(),
            link.sent(),
            link.stats(),
            link.poll_timeout().map(|at| at.since(now))
        )
    }
    fn go(&mut self, limit: Instant, holds: &dyn Fn(&Duo) -> bool) {
        let (mut wire, mut bytes) = (vec![0; FRAME_MAX], Vec::new());
        loop {
            self.carry(&mut bytes);
            // what one thing leads to may be due at once
            for _ in 0..3 {
                for user in self.ends.iter_mut().filter(|user| !user.gone) {
                    user.link.handle_timeout(self.now);
                    user.act(self.now);
                }
                self.collect(&mut wire);
                if self.busy().is_none() {
                    break;
                }
            }
            let busy = self.busy();
            assert!(busy.is_none(), "due, and sends nothing: {}", self.describe(busy.unwrap_or(0)));
            if self.now >= limit || holds(self) {
                return;
            }
            let timers = self.ends.iter().filter(|user| !user.gone).filter_map(|user| user.link.poll_timeout());
            let lines = self.lines.iter().flatten().filter_map(Line::next).map(Instant::from_micros);
            let next = timers.chain(lines).chain([limit]).min().unwrap_or(limit);
            let earliest = self.now.after(self.grain_us);
            self.now = next.max(earliest).min(limit.max(earliest));
        }
    }
    fn carry(&mut self, bytes: &mut Vec<u8>) {
        for (from, lines) in self.lines.iter_mut().enumerate() {
            for (path, line) in lines.iter_mut().enumerate() {
                line.take(self.now, bytes);
                let to = &mut self.ends[1 - from];
                if !to.gone {
                    to.link.handle_bytes_of(path, bytes, self.now);
                }
            }
        }
    }
    fn collect(&mut self, wire: &mut [u8]) {
        for (from, user) in self.ends.iter_mut().enumerate().filter(|(_, user)| !user.gone) {
            for path in 0..self.kind.paths {
                while let Some(n) = user.link.poll_transmit_of(path, wire, self.now) {
                    self.frames[from] += 1;
                    let lost = self.lose[from] > 0;
                    self.lose[from] -= u32::from(lost);
                    if !lost && !self.cut[from][path] {
                        self.lines[from][path].send(&wire[..n], self.now);
                    }
                }
            }
        }
    }
    /// An end that has said what it could, and yet waits for nothing that lies ahead.
    fn busy(&self) -> Option<usize> {
        let due = |user: &User| !user.gone && user.link.poll_timeout().is_some_and(|next| next <= self.now);
        self.ends.iter().position(due)
    }
}
