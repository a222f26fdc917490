//! [`Link`]: streams and the paths they travel by; the type most users touch.

mod rates;

use core::marker::PhantomData;

use crate::arq::{Event, Loss, State};
use crate::bond::{Group, PATHS_MAX};
use crate::config::Config;
use crate::hello::{Handshake, Plain};
use crate::mux::{Asked, CannotOpen, Channel, Class, Mux, News};
use crate::path::Path;
use crate::stats::Stats;
use crate::time::Instant;
use crate::wire::segment::{CloseCode, ResetCode};

/// One end of a wire, or of several that carry the same streams together.
///
/// `B` holds a stream on its way out or on its way in (an array, a boxed slice; 1 byte to
/// 4 MiB; 64 KiB and more serve fast wires, twice the longest frame is the least that makes sense);
/// `N` is the most transmissions under way at once, 17 or more; `C` the most channels, 1 for a
/// session with but one stream. `H` is how the ends prove who they are: [`Link::sealed`]. `S` holds
/// the paths: one of them inline, or as many as [`Link::bonded`] was given.
#[derive(Clone, Debug)]
pub struct Link<B, const N: usize = 1024, const C: usize = 1, H = Plain, S = [Path<N, H>; 1]> {
    pub(crate) mux: Mux<B, C>,
    pub(crate) paths: S,
    pub(crate) group: Group,
    handshakes: PhantomData<H>,
}

impl<B: AsRef<[u8]> + AsMut<[u8]>, const N: usize, const C: usize> Link<B, N, C> {
    /// A link with one stream, that begins calling at once. `session` is the random number that tells
    /// this session from every other on this wire.
    ///
    /// # Panics
    /// When a buffer is empty or above 4 MiB.
    pub fn new(config: Config, session: u64, now: Instant, send: B, recv: B) -> Self {
        let paths = [Path::with_id(config, session, now, false)];
        Link { mux: Mux::sole(config.rate, send, recv), paths, group: Group::new(session, now), handshakes: PhantomData }
    }
    /// A link with channels: see [`Link::open`].
    pub fn with_channels(config: Config, session: u64, now: Instant) -> Self {
        let paths = [Path::with_id(config, session, now, true)];
        Link { mux: Mux::new(config.rate), paths, group: Group::new(session, now), handshakes: PhantomData }
    }

    /// The same link, before it was used, with frames sealed under the keys this handshake comes to.
    pub fn sealed<H: Handshake>(self, handshake: H) -> Link<B, N, C, H> {
        let [path] = self.paths;
        Link { mux: self.mux, paths: [path.sealed(handshake)], group: self.group, handshakes: PhantomData }
    }
}

impl<B: AsRef<[u8]> + AsMut<[u8]>, const N: usize, const C: usize, H: Handshake, S> Link<B, N, C, H, S>
where
    S: AsRef<[Path<N, H>]> + AsMut<[Path<N, H>]>,
{
    /// A link by these paths (1 to [`PATHS_MAX`]; [`Path::new`]) with one stream between these buffers,
    /// or with channels. `rate` is that of one path, in bytes per second. With one path this is the same as
    /// [`Link::new`] or [`Link::with_channels`]; with more, the peer must have more than one, too.
    ///
    /// The methods with a `path` say which of them it is about; the others are about the link.
    ///
    /// # Panics
    /// When there are no paths, or too many; when a buffer is empty or above 4 MiB.
    pub fn bonded(rate: u32, session: u64, now: Instant, paths: S, sole: Option<(B, B)>) -> Self {
        let count = paths.as_ref().len();
        assert!((1..=PATHS_MAX).contains(&count), "a link has 1 to {PATHS_MAX} paths");
        let mux = match sole {
            Some((send, recv)) => Mux::sole(rate, send, recv),
            None => Mux::new(rate),
        };
        let mut link = Link { mux, paths, group: Group::new(session, now), handshakes: PhantomData };
        match link.paths.as_mut() {
            [path] => path.endpoint.set_id(session),
            _ => link.bind(),
        }
        link
    }

    // ---- the one stream -----------------------------------------------------------------------

    /// A channel of a session that is not over.
    fn live(&mut self, id: u16) -> Option<&mut Channel<B>> {
        if self.is_over() { None } else { self.mux.get_mut(id) }
    }
    fn is_over(&self) -> bool {
        matches!(self.state(), State::Finished | State::Ended)
    }
    fn first(&self) -> &Path<N, H> {
        &self.paths.as_ref()[0]
    }
    /// Adds to the outgoing stream; returns how much was taken (see [`Link::writable`]).
    pub fn write(&mut self, bytes: &[u8]) -> usize {
        self.live(0).map_or(0, |sole| sole.write(bytes))
    }
    /// Bytes [`Link::write`] would take now.
    pub fn writable(&self) -> usize {
        if self.is_over() { 0 } else { self.mux.get(0).map_or(0, Channel::writable) }
    }
    /// Ends the outgoing stream; the incoming one goes on (half close).
    pub fn finish(&mut self) {
        if let Some(sole) = self.live(0) {
            sole.finish();
        }
    }
    /// Takes from the incoming stream; 0 when nothing is there now.
    pub fn read(&mut self, out: &mut [u8]) -> usize {
        self.mux.get_mut(0).map_or(0, |sole| sole.read(out))
    }
    /// Bytes [`Link::read`] could take now.
    pub fn readable(&self) -> usize {
        self.mux.get(0).map_or(0, Channel::readable)
    }
    /// The peer has ended its stream and all of it was read.
    pub fn at_end(&self) -> bool {
        self.mux.get(0).is_some_and(Channel::at_end)
    }
    /// Says that everything read, the end included, has reached its destination. Only then does
    /// the peer learn that its stream was delivered; does nothing before [`Link::at_end`].
    pub fn confirm(&mut self, now: Instant) {
        if let Some(sole) = self.live(0) {
            sole.confirm();
        }
        self.handle_timeout(now);
    }
    /// Everything was delivered both ways; at most the peer does not know yet.
    pub fn is_delivered(&self) -> bool {
        self.mux.is_delivered()
    }
    /// The outgoing stream, its end included, is acknowledged.
    pub fn is_sent(&self) -> bool {
        self.mux.get(0).is_some_and(Channel::is_sent)
    }
    /// User bytes given to the wire so far, each counted once.
    pub fn sent(&self) -> u64 {
        self.mux.get(0).map_or(0, |sole| sole.sent_end())
    }

    // ---- channels -----------------------------------------------------------------------------

    /// Asks the peer for a channel to this service, with these stream buffers; returns its number.
    /// [`Event::Accepted`] or [`Event::Reset`] follows; what is written before waits.
    pub fn open(&mut self, service: &[u8], class: Class, send: B, recv: B) -> Result<u16, CannotOpen> {
        if self.state() != State::Open || !self.first().endpoint.is_channels() {
            return Err(CannotOpen::NoSession);
        }
        self.mux.open(service, class, send, recv)
    }
    /// What the peer asks for with [`Event::Asked`].
    pub fn asked(&self, id: u16) -> Option<&Asked> {
        self.mux.asked(id)
    }
    /// Says yes to a request; `class` is that of what this end sends. Hands the buffers back when the
    /// peer has given it up, or when there is no room: then say no.
    pub fn accept(&mut self, id: u16, class: Class, send: B, recv: B) -> Result<(), (B, B)> {
        self.mux.accept(id, class, send, recv)
    }
    /// Says no to a request, or ends a channel at once, undelivered data and all.
    pub fn reset(&mut self, id: u16, code: ResetCode) {
        self.mux.reset(id, code.to_wire());
    }
    /// A channel that is open or opening.
    pub fn channel(&mut self, id: u16) -> Option<&mut Channel<B>> {
        self.mux.get_mut(id)
    }
    /// All of them.
    pub fn channels(&self) -> impl Iterator<Item = &Channel<B>> {
        self.mux.iter()
    }
    /// All of them.
    pub fn channels_mut(&mut self) -> impl Iterator<Item = &mut Channel<B>> {
        self.mux.iter_mut()
    }

    // ---- the session --------------------------------------------------------------------------

    /// Ends the session at once, undelivered data and all, and tells the peer why: send what
    /// [`Link::poll_transmit`] still yields.
    pub fn close(&mut self, code: CloseCode) {
        let over = self.is_over();
        for path in self.paths.as_mut() {
            path.endpoint.close(code);
        }
        if self.is_bond() && !over {
            self.group.end(Loss::Local);
            self.end_paths();
        }
    }
    /// News.
    pub fn poll_event(&mut self) -> Option<Event> {
        let last = matches!(self.events().front(), Some(Event::Lost(_)));
        // what had ended before the session did, did end
        let news = if last { self.mux.poll_news(last) } else { None };
        let event = if news.is_none() { self.events().pop_front() } else { None };
        event.or_else(|| {
            Some(match news.or_else(|| self.mux.poll_news(false))? {
                News::Asked(id) => Event::Asked(id),
                News::Accepted(id) => Event::Accepted(id),
                News::Noted(id, note, value) => Event::Noted(id, note, value),
                News::Closed(id) => Event::Closed(id),
                News::Reset(id, reason) => Event::Reset(id, ResetCode::from_wire(reason)),
            })
        })
    }
    fn events(&mut self) -> &mut heapless::Deque<Event, 8> {
        if self.is_bond() { &mut self.group.events } else { self.paths.as_mut()[0].endpoint.events() }
    }
    /// Where the session stands; of a link with several paths the first of them counts that leads to the peer.
    pub fn state(&self) -> State {
        if !self.is_bond() {
            let state = self.first().state();
            return if state == State::Open && !self.first().endpoint.is_settled() { State::Greeting } else { state };
        }
        self.group.state().unwrap_or_else(|| {
            let greets = |path: &Path<N, H>| matches!(path.state(), State::Greeting | State::Open);
            if self.paths.as_ref().iter().any(greets) { State::Greeting } else { State::Opening }
        })
    }
    /// The public key the peer of this session has proved to have; none in a plain one, or by a shared secret.
    pub fn peer_key(&self) -> Option<[u8; 32]> {
        if self.is_bond() { self.group.key() } else { self.first().endpoint.peer_key }
    }
    /// How long nothing was heard from the peer, in microseconds; none without a session. A long frame
    /// on a slow wire is heard while it comes.
    pub fn silence_us(&self, now: Instant) -> Option<u64> {
        if !self.is_bond() {
            return self.first().silence_us(now);
        }
        let coming = self.paths.as_ref().iter().filter_map(|path| path.silence_us(now)).min();
        self.group.silence_us(now).map(|us| us.min(coming.unwrap_or(u64::MAX)))
    }
    /// Whether that is longer than a peer that lives would be silent; the session goes on until the
    /// grace time is over.
    pub fn is_silent(&self, now: Instant) -> bool {
        self.silence_us(now).is_some_and(|us| us > self.first().endpoint.silent_after_us())
    }
    /// What is filled of the way there and back, without what waits for a wire (µs): the longest of all paths; 0 before it is known. A stream that is
    /// to keep the wire busy holds what goes out in that time, at either end: see [`Channel::widen_out`].
    pub fn way_us(&self) -> u64 {
        self.paths.as_ref().iter().map(|path| path.endpoint.way_us()).max().unwrap_or(0)
    }
    /// User bytes a frame of bulk would carry now, on the path that carries most.
    pub fn frame_payload(&self) -> usize {
        self.paths.as_ref().iter().map(|path| path.frame_payload(&self.mux)).max().unwrap_or(0)
    }
    /// The counters, of all paths together; of round trip and noise those of the path that is quickest.
    pub fn stats(&self) -> Stats {
        let paths = self.paths.as_ref();
        let mut stats = paths.iter().map(Path::stats).fold(Stats::default(), Stats::plus);
        let first = if self.is_bond() { &paths[self.group.fast()] } else { self.first() }.stats();
        (stats.rtt_us, stats.ber_ppb) = (first.rtt_us, first.ber_ppb);
        (stats.bytes_in, stats.bytes_out) = self.mux.bytes();
        stats
    }

    // ---- the paths ----------------------------------------------------------------------------

    /// All of them, in the order they were given in.
    pub fn paths(&self) -> &[Path<N, H>] {
        self.paths.as_ref()
    }
    /// The handshake of a path.
    pub fn handshake_of(&mut self, path: usize) -> &mut H {
        self.paths.as_mut()[path].handshake()
    }
    /// Bytes came from the wire of a path; any cut, any junk.
    pub fn handle_bytes_of(&mut self, path: usize, bytes: &[u8], now: Instant) {
        if self.is_bond() {
            self.look_at_others(path, now);
        }
        self.paths.as_mut()[path].handle_bytes(&mut self.mux, &mut self.group, bytes, now);
        self.tend(now);
    }
    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        for path in self.paths.as_mut() {
            path.handle_timeout(&mut self.mux, &mut self.group, now);
        }
        self.tend(now);
    }
    /// The port of a path was lost and is open again: bytes of before do not go on, and the peer is asked at
    /// once where it stands.
    pub fn handle_reopen_of(&mut self, path: usize, now: Instant) {
        let path = &mut self.paths.as_mut()[path];
        path.handle_reopen(now);
        path.endpoint.doubt_wire();
        self.tend(now);
    }
    /// At most one frame for the wire of a path, written to the beginning of `out`; none when there is
    /// nothing to send, or when the wire must first take what it has.
    ///
    /// # Panics
    /// When `out` is shorter than [`FRAME_MAX`](crate::FRAME_MAX).
    pub fn poll_transmit_of(&mut self, path: usize, out: &mut [u8], now: Instant) -> Option<usize> {
        if self.is_bond() {
            self.share(now);
        }
        self.paths.as_mut()[path].poll_transmit(&mut self.mux, out, now)
    }
    /// Whether anything waits to be sent by a path, now or once its wire is free.
    pub fn is_transmit_due_of(&self, path: usize) -> bool {
        self.paths.as_ref()[path].is_transmit_due(&self.mux)
    }
    /// When a path has something to do, if nothing happens before.
    pub fn poll_timeout_of(&self, path: usize) -> Option<Instant> {
        self.paths.as_ref()[path].poll_timeout(&self.mux)
    }
    /// When to call [`Link::handle_timeout`] and [`Link::poll_transmit`] again, if nothing happens before.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let paths = self.paths.as_ref().iter().filter_map(|path| path.poll_timeout(&self.mux));
        paths.chain(self.is_bond().then(|| self.lost_at()).flatten()).min()
    }
}

/// With one path there is no need to say which.
impl<B: AsRef<[u8]> + AsMut<[u8]>, const N: usize, const C: usize, H: Handshake> Link<B, N, C, H> {
    /// Bytes came from the wire; any cut, any junk.
    pub fn handle_bytes(&mut self, bytes: &[u8], now: Instant) {
        self.handle_bytes_of(0, bytes, now);
    }
    /// Bytes missing until the frame under way is whole; 0 when not known. On a paced wire nothing
    /// can be done before they have come, so a host may sleep that long (but not longer: the
    /// estimate is wrong when a head was damaged).
    pub fn missing(&self) -> usize {
        self.first().missing()
    }
    /// The port was lost and is open again: bytes of before do not go on, and the peer is asked at
    /// once where it stands.
    pub fn handle_reopen(&mut self, now: Instant) {
        self.handle_reopen_of(0, now);
    }
    /// At most one frame for the wire, written to the beginning of `out`; none when there is
    /// nothing to send, or when the wire must first take what it has.
    ///
    /// # Panics
    /// When `out` is shorter than [`FRAME_MAX`](crate::FRAME_MAX).
    pub fn poll_transmit(&mut self, out: &mut [u8], now: Instant) -> Option<usize> {
        self.poll_transmit_of(0, out, now)
    }
    /// Whether anything waits to be sent, now or once the wire is free.
    pub fn is_transmit_due(&self) -> bool {
        self.is_transmit_due_of(0)
    }
    /// The handshake.
    pub fn handshake(&mut self) -> &mut H {
        self.handshake_of(0)
    }
}

#[cfg(feature = "explore")]
impl<B: AsRef<[u8]> + AsMut<[u8]>, const N: usize, const C: usize, H, S: AsRef<[Path<N, H>]>> Link<B, N, C, H, S> {
    /// Takes in the state of a link whose peer makes these transmissions next, by path.
    pub fn digest(&self, theirs: impl Fn(usize) -> u64, to: &mut crate::explore::Digest) {
        use crate::explore::Digested;
        let Link { mux, paths, group, handshakes: PhantomData } = self;
        mux.digest(to);
        group.digest(to);
        for (at, path) in paths.as_ref().iter().enumerate() {
            to.count_from(path.next_tx(), theirs(at));
            path.digest(to);
        }
    }
}
