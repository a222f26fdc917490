//! [`Link`]: deframer, session and pacing in one; the type most users touch.

mod rates;

use crate::arq::climb::Climb;
use crate::arq::endpoint::{Damage, Endpoint, Outgoing, SURE, Unsealed};
use crate::arq::{Event, State};
use crate::config::Config;
use crate::hello::{Door, Handshake, Heard, Plain};
use crate::mux::{Asked, CannotOpen, Channel, Class, HOLD_US};
use crate::pace::Pace;
use crate::stats::Stats;
use crate::time::Instant;
use crate::wire::frame::body_at;
use crate::wire::segment::{CloseCode, Record, ResetCode};
use crate::wire::{BODY_MAX, Deframer, FRAME_MAX, Head, Level, Segment, write_frame};

/// Silence inside a frame after which its head is doubted: longer than any adapter's timer (µs).
const PAUSE_US: u64 = 60_000;

/// A hello above this (the answer to a first contact) has less armour, so that both take 250 bytes at most.
const HELLO_LONG: usize = 100;

/// How far ahead of the wire the sender may run while somebody types (µs).
const TYPING_SLACK_US: u32 = 300;

/// One end of a wire.
///
/// `B` holds a stream on its way out or on its way in (an array, a boxed slice; 1 byte to
/// 4 MiB; 64 KiB and more serve fast wires, twice the longest frame is the least that makes sense);
/// `N` is the most transmissions under way at once, 17 or more; `C` the most channels, 1 for a
/// session with but one stream. `H` is how the ends prove who they are: [`Link::sealed`].
#[derive(Debug)]
pub struct Link<B, const N: usize = 1024, const C: usize = 1, H = Plain> {
    deframer: Deframer,
    endpoint: Endpoint<B, N, C>,
    door: Door<H>,
    pace: Pace,
    /// The rate of the port, where it can change.
    climb: Option<Climb>,
    slack_us: u32,
    pause: Option<Instant>,
    /// When the last bytes of a frame that is not whole yet came.
    coming: Option<Instant>,
    /// The last time that was told.
    now: Instant,
    body: [u8; BODY_MAX],
}

impl<B: AsRef<[u8]> + AsMut<[u8]>, const N: usize, const C: usize> Link<B, N, C> {
    /// A link with one stream, that begins calling at once. `session` is the random number that tells
    /// this session from every other on this wire.
    ///
    /// # Panics
    /// When a buffer is empty or above 4 MiB.
    pub fn new(config: Config, session: u64, now: Instant, send: B, recv: B) -> Self {
        Link::build(config, session, now, Some((send, recv)))
    }
    /// A link with channels: see [`Link::open`].
    pub fn with_channels(config: Config, session: u64, now: Instant) -> Self {
        Link::build(config, session, now, None)
    }
    fn build(config: Config, session: u64, now: Instant, sole: Option<(B, B)>) -> Self {
        let payload_max = config.payload_max.clamp(1, crate::wire::PAYLOAD_MAX as u16);
        let config = Config { payload_max, ..config };
        Link {
            deframer: Deframer::default(),
            pace: Pace::new(config.rate, config.slack_us),
            endpoint: Endpoint::new(config, session, now, sole),
            door: Door::new(Plain, &config, now),
            climb: None,
            slack_us: config.slack_us,
            pause: None,
            coming: None,
            now,
            body: [0; BODY_MAX],
        }
    }

    /// The same link, before it was used, with frames sealed under the keys this handshake comes to.
    pub fn sealed<H: Handshake>(mut self, handshake: H) -> Link<B, N, C, H> {
        if handshake.is_sealed() {
            self.endpoint.set_sealed();
        }
        Link {
            deframer: self.deframer,
            endpoint: self.endpoint,
            door: self.door.with(handshake),
            pace: self.pace,
            climb: self.climb,
            slack_us: self.slack_us,
            pause: self.pause,
            coming: self.coming,
            now: self.now,
            body: self.body,
        }
    }
}

impl<B: AsRef<[u8]> + AsMut<[u8]>, const N: usize, const C: usize, H: Handshake> Link<B, N, C, H> {
    // ---- the one stream -----------------------------------------------------------------------

    /// Adds to the outgoing stream; returns how much was taken (see [`Link::writable`]).
    pub fn write(&mut self, bytes: &[u8]) -> usize {
        self.endpoint.live(0).map_or(0, |sole| sole.write(bytes))
    }
    /// Bytes [`Link::write`] would take now.
    pub fn writable(&self) -> usize {
        if self.endpoint.is_over() { 0 } else { self.endpoint.sole().map_or(0, Channel::writable) }
    }
    /// Ends the outgoing stream; the incoming one goes on (half close).
    pub fn finish(&mut self) {
        if let Some(sole) = self.endpoint.live(0) {
            sole.finish();
        }
    }
    /// Takes from the incoming stream; 0 when nothing is there now.
    pub fn read(&mut self, out: &mut [u8]) -> usize {
        self.endpoint.mux.get_mut(0).map_or(0, |sole| sole.read(out))
    }
    /// Bytes [`Link::read`] could take now.
    pub fn readable(&self) -> usize {
        self.endpoint.sole().map_or(0, Channel::readable)
    }
    /// The peer has ended its stream and all of it was read.
    pub fn at_end(&self) -> bool {
        self.endpoint.sole().is_some_and(Channel::at_end)
    }
    /// Says that everything read, the end included, has reached its destination. Only then does
    /// the peer learn that its stream was delivered; does nothing before [`Link::at_end`].
    pub fn confirm(&mut self, now: Instant) {
        if let Some(sole) = self.endpoint.live(0) {
            sole.confirm();
        }
        self.handle_timeout(now);
    }
    /// Everything was delivered both ways; at most the peer does not know yet.
    pub fn is_delivered(&self) -> bool {
        self.endpoint.sole().is_some_and(Channel::is_delivered)
    }
    /// The outgoing stream, its end included, is acknowledged.
    pub fn is_sent(&self) -> bool {
        self.endpoint.sole().is_some_and(Channel::is_sent)
    }
    /// User bytes given to the wire so far, each counted once.
    pub fn sent(&self) -> u64 {
        self.endpoint.sent_end()
    }

    // ---- channels -----------------------------------------------------------------------------

    /// Asks the peer for a channel to this service, with these stream buffers; returns its number.
    /// [`Event::Accepted`] or [`Event::Reset`] follows; what is written before waits.
    pub fn open(&mut self, service: &[u8], class: Class, send: B, recv: B) -> Result<u16, CannotOpen> {
        if self.endpoint.state() != State::Open || !self.endpoint.is_channels() {
            return Err(CannotOpen::NoSession);
        }
        self.endpoint.mux.open(service, class, send, recv)
    }
    /// What the peer asks for with [`Event::Asked`].
    pub fn asked(&self, id: u16) -> Option<&Asked> {
        self.endpoint.mux.asked(id)
    }
    /// Says yes to a request; `class` is that of what this end sends. Hands the buffers back when the
    /// peer has given it up, or when there is no room: then say no.
    pub fn accept(&mut self, id: u16, class: Class, send: B, recv: B) -> Result<(), (B, B)> {
        self.endpoint.mux.accept(id, class, send, recv)
    }
    /// Says no to a request, or ends a channel at once, undelivered data and all.
    pub fn reset(&mut self, id: u16, code: ResetCode) {
        self.endpoint.mux.reset(id, code.to_wire());
    }
    /// A channel that is open or opening.
    pub fn channel(&mut self, id: u16) -> Option<&mut Channel<B>> {
        self.endpoint.mux.get_mut(id)
    }
    /// All of them.
    pub fn channels(&self) -> impl Iterator<Item = &Channel<B>> {
        self.endpoint.mux.iter()
    }
    /// All of them.
    pub fn channels_mut(&mut self) -> impl Iterator<Item = &mut Channel<B>> {
        self.endpoint.mux.iter_mut()
    }

    // ---- the session --------------------------------------------------------------------------

    /// Ends the session at once, undelivered data and all, and tells the peer why: send what
    /// [`Link::poll_transmit`] still yields.
    pub fn close(&mut self, code: CloseCode) {
        self.endpoint.close(code);
    }

    /// Bytes came from the wire; any cut, any junk.
    pub fn handle_bytes(&mut self, bytes: &[u8], now: Instant) {
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
            self.drain(now);
            let damage = Damage { wrong: self.deframer.damage, slips: self.deframer.slips };
            self.endpoint.handle_damage(taken, damage, self.deframer.bad > bad, now);
        }
        self.pause = self.deframer.is_partial().then(|| now.after(PAUSE_US));
        if self.deframer.missing() > 0 {
            self.coming = Some(now);
        }
    }

    fn drain(&mut self, now: Instant) {
        while let Some(frame) = self.deframer.next_frame() {
            let (head, endpoint, door) = (frame.head, &mut self.endpoint, &mut self.door);
            match (door.handshake.is_sealed(), head.sealed) {
                (false, false) => take(endpoint, Segment::parse(frame.body).ok(), now),
                (false, true) => take(endpoint, None, now),
                (true, false) => greet(endpoint, door, frame.body, now),
                (true, true) => match unseal(endpoint, door, head, frame.body, &mut self.body, now) {
                    Unsealed::Segment(len) => take(endpoint, Segment::parse_sealed(&self.body[..len]).ok(), now),
                    Unsealed::Copy => {}
                    Unsealed::Wrong => endpoint.stats.forged += 1,
                },
            }
            self.serve_rate(now);
            if let Some(fragment) = self.deframer.take_fragment()
                && self.endpoint.state() == State::Open
            {
                self.endpoint.handle_fragment(fragment.head, fragment.bytes);
            }
        }
    }

    /// Bytes missing until the frame under way is whole; 0 when not known. On a paced wire nothing
    /// can be done before they have come, so a host may sleep that long (but not longer: the
    /// estimate is wrong when a head was damaged).
    pub fn missing(&self) -> usize {
        self.deframer.missing()
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        if self.pause.take_if(|at| *at <= now).is_some() {
            self.deframer.doubt();
            self.drain(now);
        }
        if !self.serve_climb(now) {
            self.endpoint.handle_timeout(now);
        }
    }

    /// The port was lost and is open again: bytes of before do not go on, and the peer is asked at
    /// once where it stands.
    pub fn handle_reopen(&mut self, now: Instant) {
        self.deframer.reset();
        self.pause = None;
        self.endpoint.handle_reopen(now);
    }

    /// At most one frame for the wire, written to the beginning of `out`; none when there is
    /// nothing to send, or when the wire must first take what it has.
    ///
    /// # Panics
    /// When `out` is shorter than [`FRAME_MAX`].
    pub fn poll_transmit(&mut self, out: &mut [u8], now: Instant) -> Option<usize> {
        assert!(out.len() >= FRAME_MAX, "a frame needs up to {FRAME_MAX} bytes");
        self.now = now;
        let slack = self.slack_us;
        self.pace.set_slack(if self.endpoint.is_typing(now) { slack.min(TYPING_SLACK_US) } else { slack });
        if let Some(lag) = self.endpoint.lag_us(now) {
            self.pace.delay(lag);
        }
        if !self.pace.ready(now) {
            return None;
        }
        if let Some(sent) = self.transmit_rate(out, now) {
            return sent;
        }
        if self.endpoint.take_call(now) {
            self.door.call();
        }
        let outgoing = match self.door.poll(&mut self.body, &self.endpoint.introduce(), now) {
            Some(len) => {
                let level = if len > HELLO_LONG { Level::Two } else { SURE };
                let start = body_at(level);
                out[start..start + len].copy_from_slice(&self.body[..len]);
                let wire = write_frame(out, Head::open(len, level));
                self.pace.take(wire, now);
                return Some(self.count_sent(wire));
            }
            None => self.endpoint.poll_segment(&mut self.body, self.pace.backlog_us(now), now)?,
        };
        Some(self.transmit_segment(outgoing, out, now))
    }

    fn transmit_segment(&mut self, outgoing: Outgoing, out: &mut [u8], now: Instant) -> usize {
        let Outgoing { tx, len, level } = outgoing;
        let head = self.endpoint.seal(tx, Head::open(len, level), &self.body[..len], &mut out[body_at(level)..], now);
        let wire = write_frame(out, head);
        let left = self.pace.take(wire, now);
        self.endpoint.handle_sent(wire, left, now);
        self.count_sent(wire)
    }

    fn count_sent(&mut self, wire: usize) -> usize {
        self.endpoint.stats.wire_out += wire as u64;
        self.endpoint.stats.frames_out += 1;
        wire
    }

    /// Whether anything waits to be sent, now or once the wire is free.
    pub fn is_transmit_due(&self) -> bool {
        self.is_rate_due() || self.door.is_due() || self.endpoint.is_due(0, self.now)
    }

    /// When to call [`Link::handle_timeout`] and [`Link::poll_transmit`] again, if nothing happens before.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if let Some(timeout) = self.rate_timeout() {
            return [timeout, self.pause].into_iter().flatten().min();
        }
        // what is due waits for the wire; a short piece waits until the wire is all but free
        let ready = self.pace.ready_at();
        let wire = if self.door.is_due() || self.endpoint.is_due(u64::MAX, self.now) {
            Some(ready)
        } else if self.endpoint.is_due(0, self.now) {
            Some(ready.max(self.pace.free_at(HOLD_US)))
        } else {
            None
        };
        [self.endpoint.poll_timeout(), wire, self.pause, self.climb_timeout()].into_iter().flatten().min()
    }

    /// How long nothing was heard from the peer, in microseconds; none without a session. A long frame
    /// on a slow wire is heard while it comes.
    pub fn silence_us(&self, now: Instant) -> Option<u64> {
        let coming = self.coming.map_or(u64::MAX, |at| now.since(at));
        self.endpoint.silence_us(now).map(|us| us.min(coming))
    }
    /// Whether that is longer than a peer that lives would be silent; the session goes on until the
    /// grace time is over.
    pub fn is_silent(&self, now: Instant) -> bool {
        self.silence_us(now).is_some_and(|us| us > self.endpoint.silent_after_us())
    }

    /// User bytes a frame of bulk would carry now.
    pub fn frame_payload(&self) -> usize {
        self.endpoint.frame_payload(self.now)
    }
    /// News.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.endpoint.poll_event()
    }
    /// Where the session stands.
    pub fn state(&self) -> State {
        self.endpoint.state()
    }
    /// The public key the peer of this session has proved to have; none in a plain one, or by a shared secret.
    pub fn peer_key(&self) -> Option<[u8; 32]> {
        self.endpoint.peer_key
    }
    /// The handshake.
    pub fn handshake(&mut self) -> &mut H {
        &mut self.door.handshake
    }
    /// The counters.
    pub fn stats(&self) -> Stats {
        let mut stats = self.endpoint.stats();
        stats.frames_bad += self.deframer.bad;
        stats.junk = self.deframer.junk;
        stats.corrected = self.deframer.corrected;
        stats
    }
}

/// A segment came, or something that is none.
fn take<B: AsRef<[u8]> + AsMut<[u8]>, const N: usize, const C: usize>(
    endpoint: &mut Endpoint<B, N, C>,
    segment: Option<Segment<'_>>,
    now: Instant,
) {
    match segment {
        Some(segment) => {
            endpoint.stats.frames_in += 1;
            endpoint.handle_segment(&segment, now);
        }
        None => endpoint.stats.frames_bad += 1,
    }
}

/// Something plain came to a sealed end.
fn greet<B: AsRef<[u8]> + AsMut<[u8]>, const N: usize, const C: usize, H: Handshake>(
    endpoint: &mut Endpoint<B, N, C>,
    door: &mut Door<H>,
    body: &[u8],
    now: Instant,
) {
    let Ok(segment) = Segment::parse(body) else { return endpoint.stats.frames_bad += 1 };
    endpoint.stats.frames_in += 1;
    let hello = match segment.records().next() {
        Some(Record::Hello(hello)) => hello,
        Some(Record::Open(_)) => return endpoint.refused(Event::Plain),
        _ => return endpoint.stats.forged += 1,
    };
    let ours = endpoint.introduce();
    // an answer is to our own call, and says only inside from whom it is
    if !hello.answer && hello.caller != ours.me && !endpoint.is_stranger(hello.caller) {
        return;
    }
    match door.handle(&hello, &ours, now) {
        Heard::Nothing => {}
        Heard::Echo => endpoint.handle_echo(),
        Heard::Refused => endpoint.refused(Event::Refused),
        Heard::Opened(opened) => endpoint.handle_opened(opened, now),
    }
}

/// A sealed body: of the session, or the first of a caller that was answered.
fn unseal<B: AsRef<[u8]> + AsMut<[u8]>, const N: usize, const C: usize, H: Handshake>(
    endpoint: &mut Endpoint<B, N, C>,
    door: &mut Door<H>,
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
    endpoint.handle_opened(opened, now);
    endpoint.unseal(head, body, text)
}
