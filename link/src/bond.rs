//! Several wires as one link (PROTOCOL 4.9). Each path has its own session, numbers, keys and timers, for each
//! wire is first-in first-out by itself; all of them send and fill the same streams. What a silent path has
//! under way goes to the others, and it is asked for a sign of life until it gives one.

#[cfg(feature = "explore")]
mod digest;

use crate::arq::endpoint::{Endpoint, Skip};
use crate::arq::{Event, Loss, State};
use crate::hello::Handshake;
use crate::link::Link;
use crate::mux::{Bytes, Mux};
use crate::path::Path;
use crate::time::Instant;
use crate::wire::Segment;
use crate::wire::segment::Record;

/// Most paths of a link.
pub const PATHS_MAX: usize = 8;
/// While another path was heard so lately, one that leads elsewhere is wired wrongly; else the peer was
/// restarted (µs).
const OTHERS_US: u64 = 3_000_000;
/// How long a path waits before it calls again for somebody who does not fit (µs).
const PAUSE_US: u64 = 1_000_000;
/// Another path is quicker only if it is so by a quarter, and by this (µs).
const QUICKER_US: u64 = 500;

/// What the paths of a link know together.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    /// Our id and the peer's, 0 while there is none.
    me: u64,
    peer: u64,
    key: Option<[u8; 32]>,
    /// When anything was heard of the peer.
    heard_at: Instant,
    /// Another path than the one that is served has been heard lately.
    others: bool,
    /// A new peer took the place of one with whom nothing had passed: paths to that one are of no use.
    replaced: bool,
    over: Option<State>,
    /// The peer has acknowledged something: it takes us for the other end of its bond.
    settled: bool,
    fast: u8,
    /// Session ids of paths come from here.
    seed: u64,
    skips: heapless::Vec<(u32, u16), PATHS_MAX>,
    pub(crate) events: heapless::Deque<Event, 8>,
}

impl Group {
    pub(crate) fn new(me: u64, now: Instant) -> Group {
        Group {
            me: me.max(1),
            peer: 0,
            key: None,
            heard_at: now,
            others: false,
            replaced: false,
            over: None,
            settled: false,
            fast: 0,
            seed: me,
            skips: heapless::Vec::new(),
            events: heapless::Deque::new(),
        }
    }
    /// The next session id (splitmix64): an id has to be unlike others, not secret.
    fn next_id(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)).max(1)
    }
    /// The link is over.
    pub(crate) fn end(&mut self, loss: Loss) {
        if self.over.is_none() {
            self.over = Some(State::Ended);
            self.event(Event::Lost(loss));
        }
    }
    fn finished(&mut self) {
        if self.over.is_none() {
            self.over = Some(State::Finished);
            self.event(Event::Finished);
        }
    }
    /// The link ends by the peer, or by its silence: a loss, unless everything was delivered both ways before.
    fn end_early<B: Bytes, const C: usize>(&mut self, mux: &Mux<B, C>, loss: Loss) {
        if mux.is_delivered() { self.finished() } else { self.end(loss) }
    }
    /// The path that takes what is urgent.
    pub(crate) fn fast(&self) -> usize {
        usize::from(self.fast)
    }
    /// How long nothing was heard on any path (µs).
    pub(crate) fn silence_us(&self, now: Instant) -> Option<u64> {
        (self.state() == Some(State::Open)).then(|| now.since(self.heard_at))
    }
    fn event(&mut self, event: Event) {
        if self.events.is_full() {
            self.events.pop_front();
        }
        let _ = self.events.push_back(event);
    }
    pub(crate) fn state(&self) -> Option<State> {
        self.over.or(self.settled.then_some(State::Open))
    }
    pub(crate) fn key(&self) -> Option<[u8; 32]> {
        self.key
    }

    /// A segment came by a path; whether that may take it.
    pub(crate) fn hear<B: Bytes, const N: usize, const C: usize>(
        &mut self,
        endpoint: &mut Endpoint<N>,
        mux: &mut Mux<B, C>,
        segment: &Segment<'_>,
        now: Instant,
    ) -> bool {
        if self.over.is_some() || segment.is_of_no_session() {
            return true;
        }
        endpoint.hear_join(segment);
        let key = endpoint.peer_key;
        let Some(member) = endpoint.member.as_mut() else { return true };
        if let (false, Some(told)) = (member.admitted, member.told) {
            self.admit(told, key, mux);
            member.admitted = self.peer == told && self.key == key && self.over.is_none();
            member.foreign = !member.admitted;
            if member.admitted {
                mux.sole_limit(u64::from(member.limit));
            }
        }
        if member.admitted && endpoint.state() == State::Open {
            for record in segment.records() {
                // not kept, hence not heard
                if let Record::Skip { token, tx } = record
                    && self.skips.push((token, tx)).is_err()
                {
                    return false;
                }
            }
            self.heard_at = now;
        }
        true
    }

    /// A path leads to an end that calls the bond by this id.
    fn admit<B: Bytes, const C: usize>(&mut self, told: u64, key: Option<[u8; 32]>, mux: &mut Mux<B, C>) {
        if told == self.me {
            return self.event(Event::Echo);
        }
        if self.peer == told || (self.settled && self.others) {
            return;
        }
        if self.peer != 0 {
            if mux.is_used() {
                return self.end_early(mux, Loss::PeerRestarted);
            }
            mux.restart();
            self.replaced = true;
        }
        (self.peer, self.key, self.settled) = (told, key, false);
        mux.opened(self.me > told);
    }
}

impl<B: AsRef<[u8]> + AsMut<[u8]>, const N: usize, const C: usize, H: Handshake, S> Link<B, N, C, H, S>
where
    S: AsRef<[Path<N, H>]> + AsMut<[Path<N, H>]>,
{
    pub(crate) fn is_bond(&self) -> bool {
        self.paths.as_ref().len() > 1
    }
    /// Makes all paths those of one bond.
    pub(crate) fn bind(&mut self) {
        for (at, path) in self.paths.as_mut().iter_mut().enumerate() {
            let id = self.group.next_id();
            path.endpoint.join(at as u8, self.group.me, id);
        }
    }

    /// The port of a path is gone: what it has under way goes to the others at once.
    pub fn handle_lost(&mut self, path: usize, now: Instant) {
        if let Some(member) = &mut self.paths.as_mut()[path].endpoint.member {
            member.away = true;
        }
        self.tend(now);
    }

    /// Whether other paths than this have been heard lately.
    pub(crate) fn look_at_others(&mut self, path: usize, now: Instant) {
        let heard = |other: &Path<N, H>| {
            let admitted = other.endpoint.member.as_ref().is_some_and(|member| member.admitted);
            admitted && other.silence_us(now).is_some_and(|us| us < OTHERS_US)
        };
        let paths = self.paths.as_ref().iter().enumerate();
        self.group.others = paths.filter(|(at, _)| *at != path).any(|(_, other)| heard(other));
    }

    /// Draws the conclusions of what came, or of time.
    pub(crate) fn tend(&mut self, now: Instant) {
        if !self.is_bond() {
            return;
        }
        self.settle();
        self.take_news(now);
        if self.group.over.is_some() {
            return self.end_paths();
        }
        self.renew_paths(now);
        self.take_skips();
        self.hand_over();
        self.share(now);
    }

    /// What the sessions of the paths tell of themselves.
    fn take_news(&mut self, now: Instant) {
        let group = &mut self.group;
        for path in self.paths.as_mut() {
            let endpoint = &mut path.endpoint;
            while let Some(event) = endpoint.events().pop_front() {
                let Some(member) = endpoint.member.as_mut() else { continue };
                match event {
                    // it is told once it is known whose it is
                    Event::Opened { .. } => {}
                    Event::Finished => group.finished(),
                    Event::Lost(loss) if member.admitted || group.peer == 0 => group.end(loss),
                    Event::Lost(_) => (member.over, member.foreign) = (true, true),
                    other => group.event(other),
                }
            }
            // whatever came before this session is out of the wire
            if let Some(member) = endpoint.member.as_mut().filter(|member| member.opened) {
                (member.opened, member.skip) = (false, None);
            }
        }
        if core::mem::take(&mut group.replaced) {
            self.leave_old_peer();
        }
        let grace = self.paths.as_ref().first().map_or(u64::MAX, |path| path.endpoint.grace_us());
        if self.group.peer != 0 && self.group.over.is_none() && now.since(self.group.heard_at) >= grace {
            self.group.end_early(&self.mux, Loss::Silence);
        }
    }

    /// Another peer has taken the place of the one before. What was under way for that one is nothing to this one, on
    /// whichever path it was, and must not come back as lost.
    fn leave_old_peer(&mut self) {
        let peer = self.group.peer;
        for endpoint in self.paths.as_mut().iter_mut().map(|path| &mut path.endpoint) {
            let Some(member) = &mut endpoint.member else { continue };
            (member.skip, member.skip_due) = (None, None);
            if member.told != Some(peer) {
                member.over |= member.admitted;
                endpoint.forget();
            }
        }
    }

    /// A bond is open once the peer has acknowledged something of it: one that has a peer already takes nothing.
    fn settle(&mut self) {
        let peer = Some(self.group.peer);
        let leads = |path: &Path<N, H>| path.endpoint.member.as_ref().is_some_and(|m| m.admitted && m.told == peer);
        let settled = |path: &Path<N, H>| path.endpoint.is_settled() && leads(path);
        if self.group.peer != 0 && !self.group.settled && self.paths.as_ref().iter().any(settled) {
            self.group.settled = true;
            self.group.event(Event::Opened { me: self.group.me, peer: self.group.peer });
        }
    }

    /// The link is over, and so is every path.
    pub(crate) fn end_paths(&mut self) {
        let finished = self.group.over == Some(State::Finished);
        for path in self.paths.as_mut() {
            let endpoint = &mut path.endpoint;
            match endpoint.state() {
                State::Finished | State::Ended => {}
                // an end that is not the peer is told nothing of its streams
                State::Open if finished && endpoint.is_admitted() => endpoint.finished(),
                _ => endpoint.end(Loss::Local),
            }
            endpoint.events().clear();
        }
    }

    /// Sessions that are of no more use give way to new ones.
    fn renew_paths(&mut self, now: Instant) {
        for path in self.paths.as_mut() {
            let strayed = path.has_strayed(now);
            let endpoint = &mut path.endpoint;
            let Some(member) = endpoint.member.as_mut() else { continue };
            if member.over || strayed {
                let calls_at = if member.foreign { now.after(PAUSE_US) } else { now };
                let skip = endpoint.hand_over(&mut self.mux);
                let id = self.group.next_id();
                path.renew(&mut self.mux, id, calls_at);
                if let (Some(member), Some(skip)) = (path.endpoint.member.as_mut(), skip) {
                    member.skip = Some((skip, false));
                }
            }
        }
    }

    /// SKIPs that came, and what became of ours.
    fn take_skips(&mut self) {
        for (token, tx) in core::mem::take(&mut self.group.skips) {
            self.paths.as_mut().iter_mut().for_each(|path| path.endpoint.skip(token, tx));
        }
        let (arrived, lost) = self.mux.skips.take();
        for (at, path) in self.paths.as_mut().iter_mut().enumerate() {
            let Some(member) = path.endpoint.member.as_mut() else { continue };
            if arrived & 1 << at != 0
                && let Some((skip, _)) = member.skip.take_if(|skip| skip.1)
            {
                path.endpoint.release(&mut self.mux, skip.upto);
            } else if lost & 1 << at != 0
                && let Some(skip) = &mut member.skip
            {
                skip.1 = false;
            }
        }
    }

    /// What is under way on a path that is down goes to those that are up.
    fn hand_over(&mut self) {
        let Some(carrier) = self.paths.as_ref().iter().position(Path::is_up) else { return };
        for path in self.paths.as_mut().iter_mut().filter(|path| !path.is_up() && path.state() == State::Open) {
            let skip = path.endpoint.hand_over(&mut self.mux);
            let Some(member) = path.endpoint.member.as_mut() else { continue };
            // it cannot tell of others either
            if let Some((order, _)) = member.skip_due.take() {
                self.mux.skips.answer(order, false);
            }
            if let Some(skip) = skip {
                match &member.skip {
                    Some((before, _)) if *before == skip => {}
                    _ => member.skip = Some((skip, false)),
                }
            }
        }
        self.give_skips(carrier);
    }

    fn give_skips(&mut self, carrier: usize) {
        let carrier =
            if self.paths.as_ref()[usize::from(self.group.fast)].is_up() { usize::from(self.group.fast) } else { carrier };
        let free = |paths: &[Path<N, H>]| paths[carrier].endpoint.member.as_ref().is_some_and(|m| m.skip_due.is_none());
        for at in 0..self.paths.as_ref().len() {
            if at == carrier || !free(self.paths.as_ref()) {
                continue;
            }
            let member = self.paths.as_mut()[at].endpoint.member.as_mut();
            let Some(skip) = member.and_then(|member| member.skip.as_mut()).filter(|skip| !skip.1) else { continue };
            skip.1 = true;
            let due: Skip = skip.0;
            let order = self.mux.skips.order(at);
            if let Some(member) = self.paths.as_mut()[carrier].endpoint.member.as_mut() {
                member.skip_due = Some((order, due));
            }
        }
    }

    /// Which path may carry what.
    pub(crate) fn share(&mut self, now: Instant) {
        self.choose_fast();
        let progress = self.mux.progress;
        let late =
            self.paths.as_mut().iter_mut().filter_map(|path| path.endpoint.is_overtaken(progress).then_some(())).count() > 0;
        let fast = usize::from(self.group.fast);
        let queue = |path: &Path<N, H>| path.backlog_us(now) + path.endpoint.delay_us() / 2;
        let before = queue(&self.paths.as_ref()[fast]);
        let typing = self.mux.is_typing(now);
        let up = self.paths.as_ref().iter().filter(|path| path.is_up());
        let (ups, changing) = up.fold((0, 0), |(n, m), path| (n + 1, m + usize::from(path.is_changing())));
        // half of them at a time, and one of two
        let turn = changing == 0 || 2 * (changing + 1) <= ups;
        for (at, path) in self.paths.as_mut().iter_mut().enumerate() {
            // what is given to one that falls silent has to wait
            let up = path.is_up() && !path.is_changing();
            // one that is free helps one that has much to do
            let free = !typing && !path.endpoint.is_doubtful() && queue(path) + QUICKER_US < before;
            if let Some(member) = &mut path.endpoint.member {
                (member.data, member.fresh, member.urgent) = (up, !late, up && (at == fast || free));
                member.turn = turn;
            }
        }
    }

    /// What is urgent goes by the quickest path.
    fn choose_fast(&mut self) {
        let paths = self.paths.as_ref();
        let silent = |path: &Path<N, H>| !path.is_up() || path.is_changing();
        let score = |path: &Path<N, H>| (silent(path), path.endpoint.is_doubtful(), path.endpoint.delay_us());
        let present = score(&paths[usize::from(self.group.fast)]);
        let Some((best, other)) = paths.iter().enumerate().min_by_key(|(_, path)| score(path)) else { return };
        let other = score(other);
        let quicker = other.2 + QUICKER_US < present.2 - present.2 / 4;
        if (other.0, other.1) < (present.0, present.1) || ((other.0, other.1) == (present.0, present.1) && quicker) {
            self.group.fast = best as u8;
        }
    }

    /// When the peer counts as lost, if nothing is heard before.
    pub(crate) fn lost_at(&self) -> Option<Instant> {
        let grace = self.paths.as_ref().first()?.endpoint.grace_us();
        (self.group.peer != 0 && self.group.over.is_none()).then(|| self.group.heard_at.after(grace))
    }
}
