//! Who is there: how two ends prove it to each other and come to keys (PROTOCOL 2.2). Knows frames'
//! bodies and time; what is computed is a [`Handshake`]'s.

mod door;
#[cfg(feature = "noise")]
mod noise;

pub(crate) use door::{CALL_FRAME, Door, Heard, Opened, introduce};
#[cfg(feature = "noise")]
pub use noise::{Noise, PATTERN_IX, PATTERN_KK, PATTERN_PSK};

pub use crate::wire::record::MESSAGE_MAX;
use crate::wire::seal::{KEY, Key};

/// A message of the handshake.
pub type Message = heapless::Vec<u8, MESSAGE_MAX>;
/// Bytes of what a call says under its handshake: receive limit, most payload, features.
pub const CALL_TEXT: usize = 7;
/// Bytes of what an answer says: the answering end's session id, then the same.
pub const ANSWER_TEXT: usize = 8 + CALL_TEXT;

/// What a handshake comes to.
#[derive(Clone, Debug)]
pub struct Keys {
    /// For what this end sends.
    pub send: Key,
    /// For what the peer sends.
    pub recv: Key,
    /// The peer's public key, where it has one.
    pub peer: Option<[u8; KEY]>,
}

/// A call that was answered: the message to send, what it comes to, and what the call said.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The message for the caller.
    pub message: Message,
    /// The keys, if the caller can use them.
    pub keys: Keys,
    /// What the call said.
    pub text: [u8; CALL_TEXT],
}

/// What a call is worth, before anything costly is computed for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Screen {
    /// It may be from a known peer.
    Pass,
    /// It is of a kind this end cannot read: the peer will try another.
    Ignore,
    /// It is not from a known peer.
    Refuse,
}

/// A key agreement of two messages; the second proves the answering end, the first sealed frame
/// proves the calling one. The feature `noise` has one.
pub trait Handshake {
    /// Whether there is one; else the session is plain.
    fn is_sealed(&self) -> bool;
    /// A call that says `text`, and its pattern. May be one that was made before and was not answered yet.
    /// `caller` is this end's session id.
    fn call(&mut self, caller: u64, text: &[u8; CALL_TEXT]) -> Option<(u8, Message)>;
    /// Calls made before are for a session that is no more wanted.
    fn forget(&mut self) {}
    /// A call that is not answered, because this end calls: whether it shows the key of a peer that is not known.
    fn glance(&mut self, _pattern: u8, _call: &[u8]) -> bool {
        false
    }
    /// A look at a call that is to be answered; must be cheap.
    fn screen(&mut self, _pattern: u8, _caller: u64, _call: &[u8]) -> Screen {
        Screen::Pass
    }
    /// Whether an answer of this pattern is waited for: of a repeated call the second answer comes too late.
    fn is_calling(&self, _pattern: u8) -> bool {
        true
    }
    /// The answer to a call: the keys and what it said; none when it is not from a known peer. Calls made
    /// before are forgotten.
    fn answered(&mut self, pattern: u8, message: &[u8]) -> Option<(Keys, [u8; ANSWER_TEXT])>;
    /// Answers the call of `caller`, saying `text`; none when it is not from a known peer.
    fn answer(&mut self, pattern: u8, caller: u64, call: &[u8], text: &[u8; ANSWER_TEXT]) -> Option<Answer>;
}

/// No handshake: a plain session.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plain;

impl Handshake for Plain {
    fn is_sealed(&self) -> bool {
        false
    }
    fn call(&mut self, _: u64, _: &[u8; CALL_TEXT]) -> Option<(u8, Message)> {
        None
    }
    fn answered(&mut self, _: u8, _: &[u8]) -> Option<(Keys, [u8; ANSWER_TEXT])> {
        None
    }
    fn answer(&mut self, _: u8, _: u64, _: &[u8], _: &[u8; ANSWER_TEXT]) -> Option<Answer> {
        None
    }
}

/// A handshake, or none: then the session is plain.
impl<H: Handshake> Handshake for Option<H> {
    fn is_sealed(&self) -> bool {
        self.as_ref().is_some_and(H::is_sealed)
    }
    fn call(&mut self, caller: u64, text: &[u8; CALL_TEXT]) -> Option<(u8, Message)> {
        self.as_mut()?.call(caller, text)
    }
    fn forget(&mut self) {
        self.iter_mut().for_each(H::forget);
    }
    fn glance(&mut self, pattern: u8, call: &[u8]) -> bool {
        self.as_mut().is_some_and(|handshake| handshake.glance(pattern, call))
    }
    fn screen(&mut self, pattern: u8, caller: u64, call: &[u8]) -> Screen {
        self.as_mut().map_or(Screen::Refuse, |handshake| handshake.screen(pattern, caller, call))
    }
    fn is_calling(&self, pattern: u8) -> bool {
        self.as_ref().is_some_and(|handshake| handshake.is_calling(pattern))
    }
    fn answered(&mut self, pattern: u8, message: &[u8]) -> Option<(Keys, [u8; ANSWER_TEXT])> {
        self.as_mut()?.answered(pattern, message)
    }
    fn answer(&mut self, pattern: u8, caller: u64, call: &[u8], text: &[u8; ANSWER_TEXT]) -> Option<Answer> {
        self.as_mut()?.answer(pattern, caller, call, text)
    }
}
