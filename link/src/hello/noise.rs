//! The handshakes of the Noise Protocol Framework (revision 34), computed by `snow`.

extern crate alloc;
use alloc::boxed::Box;
use alloc::vec::Vec;

use snow::{Builder, HandshakeState};
use zeroize::{Zeroize, Zeroizing};

use super::{ANSWER_TEXT, Answer, CALL_TEXT, Handshake, Keys, MESSAGE_MAX, Message, Screen};
use crate::wire::seal::KEY;

/// Both ends know each other's key.
pub const PATTERN_KK: u8 = 1;
/// Both ends tell their keys: the first contact, and whenever one end does not know the other's.
pub const PATTERN_IX: u8 = 2;
/// Both ends have the same secret.
pub const PATTERN_PSK: u8 = 3;

/// Who knows the peer's key also calls this often without it, lest the peer has forgotten ours.
const FORGOTTEN_EVERY: u32 = 4;

/// Noise, by a pair of keys or a shared secret.
pub struct Noise {
    identity: Identity,
    /// Calls that were not answered yet.
    calls: Vec<Call>,
    turn: u32,
    stranger: Option<[u8; KEY]>,
    /// Ephemeral keys of a simulation.
    #[cfg(feature = "sim")]
    seed: Option<crate::sim::Random>,
}

enum Identity {
    Pair { secret: Zeroizing<[u8; KEY]>, peer: Option<[u8; KEY]>, accept_new: bool },
    Psk(Zeroizing<[u8; KEY]>),
}

struct Call {
    pattern: u8,
    state: Box<HandshakeState>,
    message: Message,
}

impl core::fmt::Debug for Noise {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Noise")
    }
}

impl Noise {
    /// By key pairs (X25519). `peer` is the key the peer must have; none when it is not known yet: then
    /// any is taken if `accept_new`, else [`Noise::stranger`] tells which was refused.
    pub fn pair(secret: [u8; KEY], peer: Option<[u8; KEY]>, accept_new: bool) -> Noise {
        Noise::new(Identity::Pair { secret: Zeroizing::new(secret), peer, accept_new })
    }
    /// By a secret of 32 random bytes that both ends share.
    pub fn psk(secret: [u8; KEY]) -> Noise {
        Noise::new(Identity::Psk(Zeroizing::new(secret)))
    }
    fn new(identity: Identity) -> Noise {
        Noise {
            identity,
            calls: Vec::new(),
            turn: 0,
            stranger: None,
            #[cfg(feature = "sim")]
            seed: None,
        }
    }
    /// Takes its ephemeral keys from a seed: for simulations and vectors alone.
    #[cfg(feature = "sim")]
    pub fn seeded(mut self, seed: u64) -> Noise {
        self.seed = Some(crate::sim::Random::new(seed));
        self
    }
    /// From now on the peer must have this key.
    pub fn trust(&mut self, key: [u8; KEY]) {
        if let Identity::Pair { peer, .. } = &mut self.identity {
            *peer = Some(key);
            self.calls.clear();
        }
    }
    /// The last key that was presented and refused, once.
    pub fn stranger(&mut self) -> Option<[u8; KEY]> {
        self.stranger.take()
    }

    fn state(&mut self, pattern: u8, caller: u64, calls: bool) -> Option<HandshakeState> {
        let name = match pattern {
            PATTERN_KK => "Noise_KK_25519_ChaChaPoly_BLAKE2s",
            PATTERN_IX => "Noise_IX_25519_ChaChaPoly_BLAKE2s",
            PATTERN_PSK => "Noise_NNpsk0_25519_ChaChaPoly_BLAKE2s",
            _ => return None,
        };
        let mut prologue = *b"hardline 2 ........";
        prologue[11..].copy_from_slice(&caller.to_le_bytes());
        let mut builder = Builder::new(name.parse().ok()?).prologue(&prologue).ok()?;
        #[cfg(feature = "sim")]
        let ephemeral: Option<[u8; KEY]> = self.seed.as_mut().map(|random| core::array::from_fn(|_| random.below(256) as u8));
        #[cfg(feature = "sim")]
        if let Some(ephemeral) = &ephemeral {
            builder = builder.fixed_ephemeral_key_for_testing_only(ephemeral);
        }
        builder = match (&self.identity, pattern) {
            (Identity::Psk(psk), PATTERN_PSK) => builder.psk(0, psk).ok()?,
            (Identity::Pair { secret, .. }, PATTERN_IX) => builder.local_private_key(&secret[..]).ok()?,
            (Identity::Pair { secret, peer: Some(peer), .. }, PATTERN_KK) => {
                builder.local_private_key(&secret[..]).ok()?.remote_public_key(peer).ok()?
            }
            _ => return None,
        };
        if calls { builder.build_initiator().ok() } else { builder.build_responder().ok() }
    }

    /// The peer's key, if it is the right one or any will do.
    fn check_peer(&mut self, state: &HandshakeState) -> Option<Option<[u8; KEY]>> {
        let Identity::Pair { peer, accept_new, .. } = &self.identity else { return Some(None) };
        let presented: [u8; KEY] = state.get_remote_static()?.try_into().ok()?;
        if *peer == Some(presented) || (peer.is_none() && *accept_new) {
            return Some(Some(presented));
        }
        self.stranger = Some(presented);
        None
    }

    fn next_pattern(&mut self) -> u8 {
        self.turn = self.turn.wrapping_add(1);
        match &self.identity {
            Identity::Psk(_) => PATTERN_PSK,
            Identity::Pair { peer: Some(_), .. } if !self.turn.is_multiple_of(FORGOTTEN_EVERY) => PATTERN_KK,
            Identity::Pair { .. } => PATTERN_IX,
        }
    }
}

fn write(state: &mut HandshakeState, text: &[u8]) -> Option<Message> {
    let mut message = [0; MESSAGE_MAX];
    let len = state.write_message(text, &mut message).ok()?;
    Message::from_slice(&message[..len]).ok()
}

fn read<const N: usize>(state: &mut HandshakeState, message: &[u8]) -> Option<[u8; N]> {
    let mut text = [0; MESSAGE_MAX];
    let len = state.read_message(message, &mut text).ok()?;
    text[..len].try_into().ok()
}

fn keys(state: &mut HandshakeState, peer: Option<[u8; KEY]>) -> Keys {
    let mut split = state.dangerously_get_raw_split();
    let (send, recv) = if state.is_initiator() { split } else { (split.1, split.0) };
    let keys = Keys { send: send.into(), recv: recv.into(), peer };
    split.zeroize();
    keys
}

impl Handshake for Noise {
    fn is_sealed(&self) -> bool {
        true
    }

    fn call(&mut self, caller: u64, text: &[u8; CALL_TEXT]) -> Option<(u8, Message)> {
        let pattern = self.next_pattern();
        if let Some(call) = self.calls.iter().find(|call| call.pattern == pattern) {
            return Some((pattern, call.message.clone()));
        }
        let mut state = Box::new(self.state(pattern, caller, true)?);
        let message = write(&mut state, text)?;
        self.calls.push(Call { pattern, state, message: message.clone() });
        Some((pattern, message))
    }

    fn forget(&mut self) {
        self.calls.clear();
    }

    fn glance(&mut self, pattern: u8, call: &[u8]) -> bool {
        // of IX both keys of the caller stand open; whether they are its own is proved later
        let presented = call.get(KEY..2 * KEY).and_then(|key| <[u8; KEY]>::try_from(key).ok());
        match (&self.identity, presented) {
            (Identity::Pair { peer: None, accept_new: false, .. }, Some(presented)) if pattern == PATTERN_IX => {
                self.stranger = Some(presented);
                true
            }
            _ => false,
        }
    }

    fn screen(&mut self, pattern: u8, caller: u64, call: &[u8]) -> Screen {
        match (&self.identity, pattern) {
            // the first message is sealed by the secret alone: no curve is computed
            (Identity::Psk(_), PATTERN_PSK) => {
                let mut state = self.state(pattern, caller, false);
                let known = state.as_mut().and_then(|state| read::<CALL_TEXT>(state, call)).is_some();
                if known { Screen::Pass } else { Screen::Refuse }
            }
            (Identity::Pair { peer: None, .. }, PATTERN_KK) => Screen::Ignore,
            (Identity::Pair { .. }, PATTERN_KK | PATTERN_IX) => Screen::Pass,
            _ => Screen::Refuse,
        }
    }

    fn is_calling(&self, pattern: u8) -> bool {
        self.calls.iter().any(|call| call.pattern == pattern)
    }

    fn answered(&mut self, pattern: u8, message: &[u8]) -> Option<(Keys, [u8; ANSWER_TEXT])> {
        let at = self.calls.iter().position(|call| call.pattern == pattern)?;
        let text = read(&mut self.calls[at].state, message)?;
        // read to the end, this state is of no more use, whoever it was
        let mut call = self.calls.swap_remove(at);
        let peer = self.check_peer(&call.state)?;
        self.calls.clear();
        Some((keys(&mut call.state, peer), text))
    }

    fn answer(&mut self, pattern: u8, caller: u64, call: &[u8], text: &[u8; ANSWER_TEXT]) -> Option<Answer> {
        let mut state = self.state(pattern, caller, false)?;
        let theirs = read(&mut state, call)?;
        let peer = self.check_peer(&state)?;
        let message = write(&mut state, text)?;
        Some(Answer { message, keys: keys(&mut state, peer), text: theirs })
    }
}
