//! A handshake with the messages of a shared secret, cheap and the same in every run: an answer is to one call alone, and
//! keys are fresh.

use std::hash::{DefaultHasher, Hash, Hasher};

use link::hello::{ANSWER_TEXT, Answer, CALL_TEXT, Handshake, Keys, Message};
use link::wire::seal::Key;

const PATTERN: u8 = 3;
const NONCE: usize = 8;

/// One end's.
#[derive(Clone, Debug)]
pub struct Mock {
    seed: u64,
    drawn: u64,
    /// The call that was not answered yet: who called, and its nonce.
    call: Option<(u64, u64, Message)>,
    /// Every key this end may send with.
    pub made: Vec<Key>,
}

fn mix(parts: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    hasher.finish()
}

fn key(caller: u64, call: u64, answer: u64, of_caller: bool) -> Key {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&mix((caller, call, answer, of_caller)).to_le_bytes());
    Key::from(bytes)
}

fn number(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(..NONCE)?.try_into().ok()?))
}

impl Mock {
    pub fn new(seed: u64) -> Mock {
        Mock { seed, drawn: 0, call: None, made: Vec::new() }
    }
    /// Tells it from other states of the same end.
    pub fn state(&self) -> (u64, Option<u64>) {
        (self.drawn, self.call.as_ref().map(|call| call.1))
    }
    fn draw(&mut self) -> u64 {
        self.drawn += 1;
        mix((self.seed, self.drawn))
    }
    fn keys(&mut self, caller: u64, call: u64, answer: u64, calls: bool) -> Keys {
        let (send, recv) = (key(caller, call, answer, calls), key(caller, call, answer, !calls));
        self.made.push(send.clone());
        Keys { send, recv, peer: None }
    }
}

impl Handshake for Mock {
    fn is_sealed(&self) -> bool {
        true
    }
    fn call(&mut self, caller: u64, text: &[u8; CALL_TEXT]) -> Option<(u8, Message)> {
        if let Some((_, _, message)) = &self.call {
            return Some((PATTERN, message.clone()));
        }
        let nonce = self.draw();
        let message = Message::from_slice(&[&nonce.to_le_bytes()[..], text].concat()).ok()?;
        self.call = Some((caller, nonce, message.clone()));
        Some((PATTERN, message))
    }
    fn forget(&mut self) {
        self.call = None;
    }
    fn is_calling(&self, _: u8) -> bool {
        self.call.is_some()
    }
    fn answered(&mut self, _: u8, message: &[u8]) -> Option<(Keys, [u8; ANSWER_TEXT])> {
        let (caller, call, _) = self.call.clone()?;
        let answer = number(message)?;
        let proof = number(&message[NONCE..])?;
        if proof != mix((caller, call, answer)) {
            return None;
        }
        let text = message[2 * NONCE..].try_into().ok()?;
        self.call = None;
        Some((self.keys(caller, call, answer, true), text))
    }
    fn answer(&mut self, _: u8, caller: u64, call: &[u8], text: &[u8; ANSWER_TEXT]) -> Option<Answer> {
        let said = call.get(NONCE..)?.try_into().ok()?;
        let (call, answer) = (number(call)?, self.draw());
        let proof = mix((caller, call, answer)).to_le_bytes();
        let message = Message::from_slice(&[&answer.to_le_bytes()[..], &proof, text].concat()).ok()?;
        Some(Answer { message, keys: self.keys(caller, call, answer, false), text: said })
    }
}
