//! Calls and answers on the wire: when to compute one, when to repeat one, and which peer has
//! proved itself. Nothing that comes here can end or alter a session before it has.

use heapless::Vec;

use super::{ANSWER_TEXT, CALL_TEXT, Handshake, Keys, Message, Screen};
use crate::config::Config;
use crate::time::Instant;
use crate::wire::frame::Head;
use crate::wire::record::{Hello, Open, VERSION};
use crate::wire::seal::Sealed;
use crate::wire::segment::Writer;

/// Handshakes computed at once, and the time after which one more may be (µs): five a second.
const BURST: u8 = 5;
const REFILL_US: u64 = 200_000;
/// About what a call takes on the wire, in bytes.
pub(crate) const CALL_FRAME: usize = 110;
/// Answered callers that have not proved themselves yet: at five a second each has two seconds for it,
/// however many copies of old calls come.
const CALLERS: usize = 10;

/// A peer that has proved itself.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) open: Open,
    pub(crate) keys: Keys,
    /// It answered our call, and does not know yet that we know.
    pub(crate) answered: bool,
}

/// A caller that was answered.
#[derive(Clone, Debug)]
struct Caller {
    id: u64,
    pattern: u8,
    /// All of it: what was changed on the way must not stand in for what was sent.
    call: Message,
    answer: Message,
    open: Open,
    keys: Keys,
}

/// What came of a hello.
#[derive(Debug)]
pub(crate) enum Heard {
    Nothing,
    /// It came from this end.
    Echo,
    /// It is of this other version of the protocol.
    Version(u8),
    /// It was not from a known peer.
    Refused,
    Opened(Opened),
}

#[derive(Clone, Debug)]
pub(crate) struct Door<H> {
    pub(crate) handshake: H,
    /// Number of the caller whose answer is due.
    answer_due: Option<u64>,
    call_due: bool,
    called: Option<Instant>,
    /// When the peer last asked for a call, and the shortest time between such calls.
    asked: Option<Instant>,
    gap_us: u64,
    /// A call that left so recently may cross that of the peer.
    crossing_us: u64,
    tokens: u8,
    refilled: Instant,
    /// The latest last.
    callers: Vec<Caller, CALLERS>,
}

fn to_text(open: &Open) -> [u8; CALL_TEXT] {
    let ([a, b, c, _], [d, e], [f, g]) = (open.limit.to_le_bytes(), open.payload_max.to_le_bytes(), open.features.to_le_bytes());
    [a, b, c, d, e, f, g]
}

fn from_text(text: &[u8], peer: u64, me: u64) -> Option<Open> {
    let &[a, b, c, d, e, f, g] = <&[u8; CALL_TEXT]>::try_from(text).ok()?;
    let open = Open {
        version: VERSION,
        answer: false,
        me: peer,
        you: me,
        limit: u32::from_le_bytes([a, b, c, 0]),
        payload_max: u16::from_le_bytes([d, e]),
        features: u16::from_le_bytes([f, g]),
    };
    (open.me != 0 && open.payload_max != 0).then_some(open)
}

impl<H: Handshake> Door<H> {
    pub(crate) fn new(handshake: H, config: &Config, now: Instant) -> Self {
        Door {
            handshake,
            answer_due: None,
            call_due: false,
            called: None,
            asked: None,
            gap_us: REFILL_US.max(4 * config.wire_us(CALL_FRAME)),
            crossing_us: 2 * config.wire_us(CALL_FRAME),
            tokens: BURST,
            refilled: now,
            callers: Vec::new(),
        }
    }

    /// The same with another handshake.
    pub(crate) fn with<G>(self, handshake: G) -> Door<G> {
        Door {
            handshake,
            answer_due: self.answer_due,
            call_due: self.call_due,
            called: self.called,
            asked: self.asked,
            gap_us: self.gap_us,
            crossing_us: self.crossing_us,
            tokens: self.tokens,
            refilled: self.refilled,
            callers: self.callers,
        }
    }

    /// Whether one more handshake may be computed.
    fn afford(&mut self, now: Instant) -> bool {
        let earned = now.since(self.refilled) / REFILL_US;
        self.refilled = if earned >= u64::from(BURST) { now } else { self.refilled.after(earned * REFILL_US) };
        self.tokens = (u64::from(self.tokens) + earned).min(u64::from(BURST)) as u8;
        let may = self.tokens > 0;
        self.tokens -= u8::from(may);
        may
    }

    /// Whether the peer may ask for a call: not too often, and not for one that is on its way.
    fn may_be_asked(&self, now: Instant) -> bool {
        let is_old = |at: Option<Instant>, us| at.is_none_or(|at| now.since(at) >= us);
        is_old(self.called, self.crossing_us) && is_old(self.asked, self.gap_us)
    }

    /// A call or an answer came; `ours` is what we say of ourselves.
    pub(crate) fn handle(&mut self, hello: &Hello<'_>, ours: &Open, now: Instant) -> Heard {
        if hello.version != VERSION {
            return Heard::Version(hello.version);
        }
        match (hello.answer, hello.caller == ours.me) {
            (false, true) => Heard::Echo,
            (false, false) if hello.caller < ours.me => {
                // the higher id calls: let it be soon
                if self.may_be_asked(now) {
                    (self.call_due, self.asked) = (true, Some(now));
                }
                if self.handshake.glance(hello.pattern, hello.message) { Heard::Refused } else { Heard::Nothing }
            }
            (false, false) => self.answer(hello, ours, now),
            (true, true) if !self.handshake.is_calling(hello.pattern) => Heard::Nothing,
            (true, true) if self.afford(now) => self.answered(hello, ours.me),
            (true, _) => Heard::Nothing,
        }
    }

    fn answer(&mut self, hello: &Hello<'_>, ours: &Open, now: Instant) -> Heard {
        let known = |c: &Caller| c.id == hello.caller && c.pattern == hello.pattern && c.call == hello.message;
        if let Some(at) = self.callers.iter().position(known) {
            let caller = self.callers.remove(at);
            let _ = self.callers.push(caller);
            self.answer_due = Some(hello.caller);
            return Heard::Nothing;
        }
        match self.handshake.screen(hello.pattern, hello.caller, hello.message) {
            Screen::Pass if self.afford(now) => {}
            Screen::Pass | Screen::Ignore => return Heard::Nothing,
            Screen::Refuse => return Heard::Refused,
        }
        let mut text = [0; ANSWER_TEXT];
        text[..8].copy_from_slice(&ours.me.to_le_bytes());
        text[8..].copy_from_slice(&to_text(ours));
        let Some(answer) = self.handshake.answer(hello.pattern, hello.caller, hello.message, &text) else {
            return Heard::Refused;
        };
        let (Some(open), Ok(call)) = (from_text(&answer.text, hello.caller, ours.me), Message::from_slice(hello.message)) else {
            return Heard::Refused;
        };
        if self.callers.is_full() {
            self.callers.remove(0);
        }
        let caller = Caller { id: hello.caller, pattern: hello.pattern, call, answer: answer.message, open, keys: answer.keys };
        let _ = self.callers.push(caller);
        self.answer_due = Some(hello.caller);
        Heard::Nothing
    }

    fn answered(&mut self, hello: &Hello<'_>, me: u64) -> Heard {
        let Some((keys, text)) = self.handshake.answered(hello.pattern, hello.message) else { return Heard::Refused };
        let (id, rest) = text.split_at(8);
        let peer = id.try_into().map_or(0, u64::from_le_bytes);
        match from_text(rest, peer, me).filter(|open| open.me != me) {
            Some(open) => Heard::Opened(Opened { open, keys, answered: true }),
            None => Heard::Refused,
        }
    }

    /// A sealed frame that is not of the session: the caller whose key opens it has proved itself.
    /// `text` gets the segment.
    pub(crate) fn prove(&mut self, head: Head, body: &[u8], text: &mut [u8]) -> Option<Opened> {
        let sealed = Sealed::parse(body).filter(|sealed| sealed.epoch == 0)?;
        let opens = |caller: &Caller| sealed.open(&caller.keys.recv, head, u64::from(sealed.tx), text).is_some();
        let proved = self.callers.iter().position(opens)?;
        let caller = self.callers.swap_remove(proved);
        self.callers.clear();
        self.answer_due = None;
        Some(Opened { open: caller.open, keys: caller.keys, answered: false })
    }

    /// Another session is called for: what was said for the one before is of no more use.
    pub(crate) fn forget(&mut self) {
        (self.answer_due, self.call_due) = (None, false);
        self.callers.clear();
        self.handshake.forget();
    }
    /// The session calls.
    pub(crate) fn call(&mut self) {
        self.call_due = true;
    }
    /// Whether [`Door::poll`] has something to send.
    pub(crate) fn is_due(&self) -> bool {
        self.call_due || self.answer_due.is_some()
    }

    /// An answer or a call, written to `out`; its length.
    pub(crate) fn poll(&mut self, out: &mut [u8], ours: &Open, now: Instant) -> Option<usize> {
        let mut writer = Writer::new(out, 0);
        if let Some(id) = self.answer_due.take() {
            let caller = self.callers.iter().rev().find(|caller| caller.id == id)?;
            let (pattern, message) = (caller.pattern, &caller.answer);
            writer.hello(&Hello { answer: true, version: VERSION, pattern, caller: id, message });
            return Some(writer.len());
        }
        if !core::mem::take(&mut self.call_due) {
            return None;
        }
        self.called = Some(now);
        let (pattern, message) = self.handshake.call(ours.me, &to_text(ours))?;
        writer.hello(&Hello { answer: false, version: VERSION, pattern, caller: ours.me, message: &message });
        Some(writer.len())
    }
}

/// What an end says of itself.
pub(crate) fn introduce(me: u64, limit: u64, payload_max: u16, features: u16) -> Open {
    Open { version: VERSION, answer: false, me, you: 0, limit: limit as u32 & 0xFF_FFFF, payload_max, features }
}

#[cfg(feature = "explore")]
impl<H> crate::explore::Digested for Door<H> {
    fn digest(&self, to: &mut crate::explore::Digest) {
        // what the handshake knows is the search's own
        let Door { handshake: _, answer_due, call_due, called, asked, gap_us, crossing_us, tokens, refilled, callers } = self;
        let is_old = |at: &Option<Instant>, us: &u64| at.is_none_or(|at| to.now().since(at) >= *us);
        to.add((answer_due, call_due, is_old(called, crossing_us), is_old(asked, gap_us)));
        let earned = to.now().since(*refilled) / REFILL_US;
        let tokens = (u64::from(*tokens) + earned).min(u64::from(BURST));
        to.add(tokens);
        if tokens < u64::from(BURST) {
            to.time(refilled.after(earned * REFILL_US));
        }
        for Caller { id, pattern, call, answer, open, keys } in callers {
            to.add((id, pattern, call, answer, open, keys.send.digest(), keys.recv.digest()));
        }
    }
}
