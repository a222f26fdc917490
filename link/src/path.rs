//! [`Path`]: one wire of a link: deframer, session, handshake and pacing in one. The streams on it are the
//! link's, for several paths may share them.

#[cfg(feature = "explore")]
mod digest;
mod rates;

use crate::arq::climb::Climb;
use crate::arq::endpoint::{Damage, Endpoint, Outgoing, SURE, Unsealed};
use crate::arq::{Event, State};
use crate::bond::Group;
use crate::config::Config;
use crate::hello::{Door, Handshake, Heard, Plain};
use crate::mux::{Bytes, HOLD_US, Mux};
use crate::pace::Pace;
use crate::stats::Stats;
use crate::time::Instant;
use crate::wire::deframe::Found;
use crate::wire::frame::body_at;
use crate::wire::segment::Record;
use crate::wire::{BODY_MAX, Binding, Deframer, FRAME_MAX, Head, Level, Segment, Whose, write_frame};

/// Silence inside a frame after which its head is doubted: longer than any adapter's timer (µs), and than it takes for so
/// many bytes to come.
const PAUSE_US: u64 = 60_000;
const PAUSE_BYTES: usize = 4;

/// A hello above this (the answer to a first contact) has less armour, so that both take 250 bytes at most.
const HELLO_LONG: usize = 100;

/// How far ahead of the wire the sender may run while somebody types (µs).
const TYPING_SLACK_US: u32 = 300;

/// One wire of a link; see [`Link::bonded`](crate::Link::bonded). `N` and `H` are those of
/// [`Link`](crate::Link).
#[derive(Clone, Debug)]
pub struct Path<const N: usize = 1024, H = Plain> {
    deframer: Deframer,
    pub(crate) endpoint: Endpoint<N>,
    pub(crate) door: Door<H>,
    pace: Pace,
    /// The rate of the port, where it can change.
    climb: Option<Climb>,
    slack_us: u32,
    pause: Option<Instant>,
    /// When the last bytes of a frame that is not whole yet came.
    coming: Option<Instant>,
    /// The last frame that came was not the peer's: what is coming may not be, either.
    strange: bool,
    /// The last time that was told.
    now: Instant,
    body: [u8; BODY_MAX],
}

impl<const N: usize> Path<N> {
    pub(crate) fn with_id(config: Config, session: u64, now: Instant, channels: bool) -> Self {
        let payload_max = config.payload_max.clamp(1, crate::wire::PAYLOAD_MAX as u16);
        let config = Config { payload_max, ..config };
        Path {
            deframer: Deframer::default(),
            pace: Pace::new(config.rate, config.slack_us),
            endpoint: Endpoint::new(config, session, now, channels),
            door: Door::new(Plain, &config, now),
            climb: None,
            slack_us: config.slack_us,
            pause: None,
            coming: None,
            strange: false,
            now,
            body: [0; BODY_MAX],
        }
    }
    /// A wire for [`Link::bonded`](crate::Link::bonded), of a session with channels or with one stream.
    pub fn new(config: Config, now: Instant, channels: bool) -> Self {
        Path::with_id(config, 1, now, channels)
    }

    /// The same path, before it was used, with frames sealed under the keys this handshake comes to.
    pub fn sealed<H: Handshake>(mut self, handshake: H) -> Path<N, H> {
        if handshake.is_sealed() {
            self.endpoint.set_sealed();
        }
        Path {
            deframer: self.deframer,
            endpoint: self.endpoint,
            door: self.door.with(handshake),
            pace: self.pace,
            climb: self.climb,
            slack_us: self.slack_us,
            pause: self.pause,
            coming: self.coming,
            strange: self.strange,
            now: self.now,
            body: self.body,
        }
    }
}

impl<const N: usize, H: Handshake> Path<N, H> {
    // ---- what can be seen of it ---------------------------------------------------------------

    /// Where the session on this wire stands.
    pub fn state(&self) -> State {
        self.endpoint.state()
    }
    /// Whether it carries what the link has to say: there is a session, the peer is the one of the other
    /// paths, and it answers.
    pub fn is_up(&self) -> bool {
        self.endpoint.is_up()
    }
    /// Whether a session is open on it, but with somebody who is not the peer of the other paths.
    pub fn is_foreign(&self) -> bool {
        self.endpoint.member.as_ref().is_some_and(|member| member.foreign)
    }
    /// Its counters; user bytes are the link's.
    pub fn stats(&self) -> Stats {
        let mut stats = self.endpoint.stats();
        stats.frames_bad += self.deframer.bad;
        stats.junk = self.deframer.junk;
        stats.corrected = self.deframer.corrected;
        stats
    }
    /// How long nothing was heard from the peer, in microseconds; none without a session. A long frame
    /// on a slow wire is heard while it comes.
    pub fn silence_us(&self, now: Instant) -> Option<u64> {
        let coming = self.coming.map_or(u64::MAX, |at| now.since(at));
        self.endpoint.silence_us(now).map(|us| us.min(coming))
    }
    /// Whether that is longer than a peer that lives would be silent.
    pub fn is_silent(&self, now: Instant) -> bool {
        self.silence_us(now).is_some_and(|us| us > self.endpoint.silent_after_us())
    }
    /// Whether what comes is of somebody else, and nothing of this session has come for long. A frame that is only
    /// coming in does not count: it may be one of his.
    pub(crate) fn has_strayed(&self, now: Instant) -> bool {
        let silent = self.endpoint.silence_us(now).is_some_and(|us| us > self.endpoint.silent_after_us());
        silent && self.endpoint.has_strayed()
    }
    /// The handshake.
    pub fn handshake(&mut self) -> &mut H {
        &mut self.door.handshake
    }
    /// Bytes missing until the frame under way is whole; 0 when not known.
    pub fn missing(&self) -> usize {
        self.deframer.missing()
    }
    /// Sending time handed out and not gone yet (µs).
    pub(crate) fn backlog_us(&self, now: Instant) -> u64 {
        self.pace.backlog_us(now)
    }

    // ---- bytes in -----------------------------------------------------------------------------

    pub(crate) fn handle_bytes<B: Bytes, const C: usize>(
        &mut self,
        mux: &mut Mux<B, C>,
        group: &mut Group,
        bytes: &[u8],
        now: Instant,
    ) {
        if bytes.is_empty() {
            return;
        }
        self.now = now;
        self.endpoint.stats.wire_in += bytes.len() as u64;
        let bad = self.deframer.bad;
        let mut rest = bytes;
        while !rest.is_empty() {
            let taken = self.deframer.push(rest);
            rest = &rest[taken..];
            self.drain(mux, group, now);
            let damage = Damage { wrong: self.deframer.damage, slips: self.deframer.slips };
            self.endpoint.handle_damage(taken, damage, self.deframer.bad > bad, now);
        }
        let pause_us = PAUSE_US.max(self.endpoint.wire_us(PAUSE_BYTES));
        self.pause = self.deframer.is_partial().then(|| now.after(pause_us));
        if self.deframer.missing() > 0 && !self.strange {
            self.coming = Some(now);
        }
    }

    fn drain<B: Bytes, const C: usize>(&mut self, mux: &mut Mux<B, C>, group: &mut Group, now: Instant) {
        loop {
            let (me, peer) = self.endpoint.ids();
            self.deframer.bind(me, peer);
            let Some(frame) = self.deframer.next_frame() else { return };
            let (head, whose, endpoint, door) = (frame.head, frame.whose, &mut self.endpoint, &mut self.door);
            let echoes = endpoint.stats.echoes;
            match (door.handshake.is_sealed(), head.sealed) {
                (false, false) => take_plain(endpoint, mux, group, &frame, now),
                (false, true) => take(endpoint, mux, group, None, now),
                (true, false) => greet(endpoint, door, mux, frame.body, now),
                (true, true) => match unseal(endpoint, door, mux, head, frame.body, &mut self.body, now) {
                    Unsealed::Segment(len) => {
                        take(endpoint, mux, group, Segment::parse_sealed(&self.body[..len]).ok(), now);
                    }
                    Unsealed::Copy => {}
                    Unsealed::Wrong => endpoint.heard_stranger(),
                },
            }
            let echoed = self.endpoint.stats.echoes > echoes;
            self.strange = echoed || whose == Whose::Stranger;
            if !self.strange || (!echoed && self.endpoint.state() != State::Open) {
                self.serve_rate(mux, now);
            }
            // what is damaged is of whoever said the next
            if let Some(fragment) = self.deframer.take_fragment()
                && self.endpoint.state() == State::Open
                && (head.sealed || whose == Whose::Peer)
            {
                self.endpoint.handle_fragment(fragment.head, fragment.bytes);
            }
        }
    }

    // ---- time ---------------------------------------------------------------------------------

    pub(crate) fn handle_timeout<B: Bytes, const C: usize>(&mut self, mux: &mut Mux<B, C>, group: &mut Group, now: Instant) {
        self.now = now;
        if self.pause.take_if(|at| *at <= now).is_some() {
            self.deframer.doubt();
            self.drain(mux, group, now);
        }
        if !self.serve_climb(mux, now) {
            self.endpoint.handle_timeout(mux, now);
        }
    }

    pub(crate) fn handle_reopen(&mut self, now: Instant) {
        self.deframer.reset();
        self.pause = None;
        self.endpoint.handle_reopen(now);
    }

    /// Begins another session, and calls from then on.
    pub(crate) fn renew<B: Bytes, const C: usize>(&mut self, mux: &mut Mux<B, C>, session: u64, calls_at: Instant) {
        self.endpoint.renew(mux, session, calls_at);
        self.door.forget();
        self.coming = None;
    }

    // ---- bytes out ----------------------------------------------------------------------------

    pub(crate) fn poll_transmit<B: Bytes, const C: usize>(
        &mut self,
        mux: &mut Mux<B, C>,
        out: &mut [u8],
        now: Instant,
    ) -> Option<usize> {
        assert!(out.len() >= FRAME_MAX, "a frame needs up to {FRAME_MAX} bytes");
        self.now = now;
        let slack = self.slack_us;
        self.pace.set_slack(if self.endpoint.is_typing(mux, now) { slack.min(TYPING_SLACK_US) } else { slack });
        if let Some(lag) = self.endpoint.lag_us(mux, now) {
            self.pace.delay(lag);
        }
        if !self.pace.ready(now) {
            return None;
        }
        if let Some(sent) = self.transmit_rate(mux, out, now) {
            return sent;
        }
        if self.endpoint.take_call(now) {
            self.door.call();
        }
        let outgoing = match self.door.poll(&mut self.body, &self.endpoint.introduce(mux), now) {
            Some(len) => {
                let level = if len > HELLO_LONG { Level::Two } else { SURE };
                let start = body_at(level);
                out[start..start + len].copy_from_slice(&self.body[..len]);
                let wire = write_frame(out, Head::open(len, level), Binding::NONE);
                self.pace.take(wire, now);
                return Some(self.count_sent(wire));
            }
            None => self.endpoint.poll_segment(mux, &mut self.body, self.pace.backlog_us(now), now)?,
        };
        Some(self.transmit_segment(outgoing, out, now))
    }

    fn transmit_segment(&mut self, outgoing: Outgoing, out: &mut [u8], now: Instant) -> usize {
        let Outgoing { tx, len, level, bound } = outgoing;
        let head = self.endpoint.seal(tx, Head::open(len, level), &self.body[..len], &mut out[body_at(level)..], now);
        let binding = if bound && !head.sealed { self.endpoint.binding() } else { Binding::NONE };
        let wire = write_frame(out, head, binding);
        let left = self.pace.take(wire, now);
        self.endpoint.handle_sent(wire, left, now);
        self.count_sent(wire)
    }

    fn count_sent(&mut self, wire: usize) -> usize {
        self.endpoint.stats.wire_out += wire as u64;
        self.endpoint.stats.frames_out += 1;
        wire
    }

    pub(crate) fn is_transmit_due<B: Bytes, const C: usize>(&self, mux: &Mux<B, C>) -> bool {
        self.is_rate_due(mux) || self.door.is_due() || self.endpoint.is_due(mux, 0, self.now)
    }

    pub(crate) fn poll_timeout<B: Bytes, const C: usize>(&self, mux: &Mux<B, C>) -> Option<Instant> {
        if let Some(timeout) = self.rate_timeout(mux) {
            return [timeout, self.pause].into_iter().flatten().min();
        }
        // what is due waits for the wire; a short piece waits until the wire is all but free
        let ready = self.pace.ready_at();
        let wire = if self.door.is_due() || self.endpoint.is_due(mux, u64::MAX, self.now) {
            Some(ready)
        } else if self.endpoint.is_due(mux, 0, self.now) {
            Some(ready.max(self.pace.free_at(HOLD_US)))
        } else {
            None
        };
        [self.endpoint.poll_timeout(), wire, self.pause, self.climb_timeout(mux)].into_iter().flatten().min()
    }

    /// User bytes a frame of bulk would carry now.
    pub(crate) fn frame_payload<B: Bytes, const C: usize>(&self, mux: &Mux<B, C>) -> usize {
        self.endpoint.frame_payload(mux, self.now)
    }
}

/// A plain frame came to a plain end. What begins and what ends a session is of none, all else is of one.
fn take_plain<B: Bytes, const N: usize, const C: usize>(
    endpoint: &mut Endpoint<N>,
    mux: &mut Mux<B, C>,
    group: &mut Group,
    frame: &Found<'_>,
    now: Instant,
) {
    let segment = Segment::parse(frame.body).ok();
    let fits = |segment: &Segment<'_>| segment.is_of_no_session() == (frame.whose == Whose::Nobody);
    match frame.whose {
        Whose::Own => endpoint.handle_echo(),
        Whose::Nobody | Whose::Peer if segment.as_ref().is_none_or(fits) => take(endpoint, mux, group, segment, now),
        _ => {
            endpoint.stats.frames_in += 1;
            endpoint.heard_stranger();
        }
    }
}

/// A segment came, or something that is none.
fn take<B: Bytes, const N: usize, const C: usize>(
    endpoint: &mut Endpoint<N>,
    mux: &mut Mux<B, C>,
    group: &mut Group,
    segment: Option<Segment<'_>>,
    now: Instant,
) {
    match segment {
        Some(segment) => {
            endpoint.stats.frames_in += 1;
            if endpoint.member.is_some() && !group.hear(endpoint, mux, &segment, now) {
                return;
            }
            endpoint.handle_segment(mux, &segment, now);
        }
        None => endpoint.heard_alien(),
    }
}

/// Something plain came to a sealed end.
fn greet<B: Bytes, const N: usize, const C: usize, H: Handshake>(
    endpoint: &mut Endpoint<N>,
    door: &mut Door<H>,
    mux: &mut Mux<B, C>,
    body: &[u8],
    now: Instant,
) {
    let Ok(segment) = Segment::parse(body) else { return endpoint.heard_alien() };
    endpoint.stats.frames_in += 1;
    let hello = match segment.records().next() {
        Some(Record::Hello(hello)) => hello,
        Some(Record::Open(_) | Record::Close(_)) => return endpoint.refused(Event::Plain),
        _ => return endpoint.heard_stranger(),
    };
    let ours = endpoint.introduce(mux);
    // an answer is to our own call, and says only inside from whom it is
    if !hello.answer && hello.caller != ours.me && !endpoint.is_stranger(hello.caller) {
        return;
    }
    match door.handle(&hello, &ours, now) {
        // who calls is there, though not proved yet
        Heard::Nothing => endpoint.stats.frames_taken += u64::from(!hello.answer && endpoint.state() != State::Open),
        Heard::Echo => endpoint.handle_echo(),
        Heard::Version(version) => endpoint.refused(Event::Version(version)),
        Heard::Refused => endpoint.refused(Event::Refused),
        Heard::Opened(opened) => endpoint.handle_opened(mux, opened, now),
    }
}

/// A sealed body: of the session, or the first of a caller that was answered.
fn unseal<B: Bytes, const N: usize, const C: usize, H: Handshake>(
    endpoint: &mut Endpoint<N>,
    door: &mut Door<H>,
    mux: &mut Mux<B, C>,
    head: Head,
    body: &[u8],
    text: &mut [u8],
    now: Instant,
) -> Unsealed {
    let of_session = endpoint.unseal(head, body, text);
    if of_session != Unsealed::Wrong || endpoint.is_over() {
        return of_session;
    }
    let Some(opened) = door.prove(head, body, text) else { return Unsealed::Wrong };
    endpoint.handle_opened(mux, opened, now);
    endpoint.unseal(head, body, text)
}
