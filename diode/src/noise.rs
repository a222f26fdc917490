//! The seed of a session in a Noise one-way message (PROTOCOL 5.6): K, or Kpsk0 with a shared secret
//! beside the keys. Made once per session, opened by everybody who joins it.

use alloc::boxed::Box;

use link::wire::seal::{KEY, Key};
use snow::{Builder, HandshakeState};
use zeroize::Zeroizing;

use crate::seal::{Form, MESSAGE, Sealing};
use crate::unseal::Unlock;

/// Our secret key, the peer's public key (X25519), and perhaps a secret that both share.
pub struct Pair {
    secret: Zeroizing<[u8; KEY]>,
    peer: [u8; KEY],
    psk: Option<Zeroizing<[u8; KEY]>>,
}

impl core::fmt::Debug for Pair {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Pair")
    }
}

impl Pair {
    /// Of these keys.
    pub fn new(secret: [u8; KEY], peer: [u8; KEY], psk: Option<[u8; KEY]>) -> Pair {
        Pair { secret: Zeroizing::new(secret), peer, psk: psk.map(Zeroizing::new) }
    }
    fn form(&self) -> Form {
        if self.psk.is_some() { Form::Kpsk0 } else { Form::K }
    }

    /// Seals a session with this seed of 32 random bytes. The ephemeral key is drawn from the system; only
    /// vectors give one. None when the system has no randomness.
    pub fn sealing(&self, session: u64, seed: &[u8; KEY], ephemeral: Option<&[u8; KEY]>) -> Option<Sealing> {
        let mut state = self.state(session, ephemeral, true)?;
        let mut message = [0; MESSAGE];
        let len = state.write_message(seed, &mut message).ok()?;
        Sealing::seed(&Key::from(*seed), session, self.form(), &message[..len])
    }

    fn state(&self, session: u64, ephemeral: Option<&[u8; KEY]>, sends: bool) -> Option<Box<HandshakeState>> {
        let name = match self.form() {
            Form::Kpsk0 => "Noise_Kpsk0_25519_ChaChaPoly_BLAKE2s",
            _ => "Noise_K_25519_ChaChaPoly_BLAKE2s",
        };
        let mut prologue = *b"hardline diode 1........";
        prologue[16..].copy_from_slice(&session.to_le_bytes());
        let mut builder = Builder::new(name.parse().ok()?).prologue(&prologue).ok()?;
        builder = builder.local_private_key(&self.secret[..]).ok()?.remote_public_key(&self.peer).ok()?;
        if let Some(psk) = &self.psk {
            builder = builder.psk(0, psk).ok()?;
        }
        if let Some(ephemeral) = ephemeral {
            builder = builder.fixed_ephemeral_key_for_testing_only(ephemeral);
        }
        if sends { builder.build_initiator() } else { builder.build_responder() }.ok().map(Box::new)
    }
}

impl Unlock for Pair {
    fn seed(&self, form: Form, session: u64, message: &[u8]) -> Option<Key> {
        if form != self.form() {
            return None;
        }
        let mut seed = Zeroizing::new([0; MESSAGE]);
        let len = self.state(session, None, false)?.read_message(message, &mut seed[..]).ok()?;
        <[u8; KEY]>::try_from(&seed[..len]).ok().map(Key::from)
    }
}
