//! Sealed frames: every one encrypted and authenticated by itself (PROTOCOL 5.6). No heap.
//!
//! ```text
//! plain    counter, low 16 bits (2) | tag (1) | session tag (4) | fields
//! sealed   counter, low 24 bits (3) | tag (1) | session tag (4) | fields, encrypted | seal (16)
//! BEACON   .. session tag (4) | version (1) | session (8) | counter (6) | form (1) | message (0 or 80)
//!          | the other fields, encrypted | seal (16)
//! associated data: head word | everything that is not encrypted
//! ```

use link::wire::frame::body_at;
use link::wire::seal::{Key, TAG};
use link::wire::{Binding, Head, Level, write_frame};

use crate::wire::{self, BEACON_HEAD, HEAD, Record, VERSION, Writer};

/// Bytes of a sealed body before its fields.
pub const SEALED_HEAD: usize = HEAD + 1;
/// Bytes by which sealing makes a frame longer; a beacon by its form and message more.
pub const SEAL: usize = 1 + TAG;
/// Bytes of the message of a Noise K handshake that carries a seed: ephemeral key, seed, tag.
pub const MESSAGE: usize = 32 + 32 + TAG;
/// What the keys of sessions are derived under: see [`Key::derive`].
const LABEL: [u8; 4] = *b"dio1";
/// Most that is authenticated and not encrypted.
const ASSOCIATED: usize = 2 + SEALED_HEAD + BEACON_HEAD + 1 + MESSAGE;

/// By what a beacon lets the receiver have the seed of its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Form {
    /// The seed is a secret that both ends share.
    Psk = 1,
    /// Noise K: both ends know each other's public key.
    K = 2,
    /// The same, and a shared secret beside it.
    Kpsk0 = 3,
}

impl Form {
    /// The form with this wire number.
    pub fn from_wire(n: u8) -> Option<Form> {
        [Form::Psk, Form::K, Form::Kpsk0].into_iter().find(|form| *form as u8 == n)
    }
    const fn message_len(self) -> usize {
        match self {
            Form::Psk => 0,
            Form::K | Form::Kpsk0 => MESSAGE,
        }
    }
}

/// The key of session `session` with this seed.
pub fn session_key(seed: &Key, session: u64) -> Key {
    seed.derive(LABEL, session)
}

/// What a sender needs to seal one session. Its key must never seal another one: give every session a
/// number that was never used before, also after a restart.
#[derive(Clone, Debug)]
pub struct Sealing {
    key: Key,
    form: Form,
    message: heapless::Vec<u8, MESSAGE>,
}

impl Sealing {
    /// By a secret that both ends share.
    pub fn psk(psk: &Key, session: u64) -> Sealing {
        Sealing { key: session_key(psk, session), form: Form::Psk, message: heapless::Vec::new() }
    }
    /// By a seed that `message` carries to the receiver; none when the message has another length than its form.
    pub fn seed(seed: &Key, session: u64, form: Form, message: &[u8]) -> Option<Sealing> {
        let message = heapless::Vec::from_slice(message).ok().filter(|m| m.len() == form.message_len())?;
        Some(Sealing { key: session_key(seed, session), form, message })
    }
    /// Bytes by which a beacon is longer than a plain one.
    pub fn beacon_len(&self) -> usize {
        SEAL + 1 + self.message.len()
    }
}

/// Writes one frame with `record` into `out`, sealed if there is something to seal it with; returns its length.
///
/// # Panics
/// When `out` is shorter than [`link::FRAME_MAX`] or a payload is longer than a body can be.
pub fn write(out: &mut [u8], counter: u64, session: u64, record: &Record<'_>, level: Level, sealing: Option<&Sealing>) -> usize {
    let Some(sealing) = sealing else { return wire::write(out, counter, session, record, level) };
    let body = &mut out[body_at(level)..];
    let mut writer = Writer::new(body);
    writer.put(&counter.to_le_bytes()[..3]);
    writer.put(&[record.tag()]);
    writer.put(&(session as u32).to_le_bytes());
    if let Record::Beacon(beacon) = record {
        writer.beacon_head(beacon);
        writer.put(&[sealing.form as u8]);
        writer.put(&sealing.message);
    }
    let open = writer.len();
    writer.record(record);
    let end = writer.len();
    let head = Head { len: end + TAG, level, sealed: true };
    let associated = Associated::new(head, &body[..open]);
    let tag = sealing.key.seal(counter, associated.bytes(), &mut body[open..end]);
    body[end..end + TAG].copy_from_slice(&tag);
    write_frame(out, head, Binding::NONE)
}

struct Associated {
    bytes: [u8; ASSOCIATED],
    len: usize,
}

impl Associated {
    fn new(head: Head, open: &[u8]) -> Associated {
        let (mut bytes, len) = ([0; ASSOCIATED], 2 + open.len());
        bytes[..2].copy_from_slice(&head.word().to_le_bytes());
        bytes[2..len].copy_from_slice(open);
        Associated { bytes, len }
    }
    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// What a sealed body says before its seal is checked: enough to find the key, and not to be believed.
#[derive(Clone, Copy, Debug)]
pub struct Sealed<'a> {
    head: Head,
    /// Lowest 24 bits of the frame counter.
    pub low: u32,
    /// Low half of the session id.
    pub session_tag: u32,
    /// What stands open in a beacon.
    pub beacon: Option<OpenBeacon<'a>>,
    open: &'a [u8],
    text: &'a [u8],
    tag: &'a [u8; TAG],
}

/// The open part of a sealed beacon.
#[derive(Clone, Copy, Debug)]
pub struct OpenBeacon<'a> {
    /// Session id.
    pub session: u64,
    /// Frames sent before this one.
    pub counter: u64,
    /// How the seed is had.
    pub form: Form,
    /// The message that carries it.
    pub message: &'a [u8],
}

/// Why a sealed body cannot be read, whatever the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It is none.
    Malformed,
    /// A beacon of another version.
    Version(u8),
}

impl<'a> Sealed<'a> {
    /// Reads the open part of a sealed body.
    pub fn parse(head: Head, body: &'a [u8]) -> Result<Sealed<'a>, Unreadable> {
        let (fixed, rest) = body.split_first_chunk::<SEALED_HEAD>().ok_or(Unreadable::Malformed)?;
        let low = u32::from_le_bytes([fixed[0], fixed[1], fixed[2], 0]);
        let session_tag = u32::from_le_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]);
        let beacon = match fixed[3] >> 4 {
            8 => Some(OpenBeacon::parse(rest)?),
            _ => None,
        };
        if beacon.is_some_and(|b| b.counter as u32 & 0xFF_FFFF != low || b.session as u32 != session_tag) {
            return Err(Unreadable::Malformed);
        }
        let open = SEALED_HEAD + beacon.map_or(0, |b| BEACON_HEAD + 1 + b.message.len());
        let (open, rest) = body.split_at_checked(open).ok_or(Unreadable::Malformed)?;
        let (text, tag) = rest.split_last_chunk::<TAG>().ok_or(Unreadable::Malformed)?;
        Ok(Sealed { head, low, session_tag, beacon, open, text, tag })
    }

    /// Bytes of the plain body.
    pub fn plain_len(&self) -> usize {
        self.plain_head().len() + 2 + self.text.len()
    }
    /// What stands open in a plain body too, behind the counter: the form and the message do not.
    fn plain_head(&self) -> &'a [u8] {
        let end = if self.beacon.is_some() { SEALED_HEAD + BEACON_HEAD } else { SEALED_HEAD };
        &self.open[3..end]
    }
    /// The plain body, at the beginning of `out`, if frame `counter` of the session with this key was sealed
    /// so; if not, what stands there is worth nothing.
    ///
    /// # Panics
    /// When `out` is shorter than [`Sealed::plain_len`].
    pub fn open(&self, key: &Key, counter: u64, out: &mut [u8]) -> bool {
        let (head, len) = (self.plain_head(), self.plain_len());
        let start = 2 + head.len();
        out[..2].copy_from_slice(&self.open[..2]);
        out[2..start].copy_from_slice(head);
        out[start..len].copy_from_slice(self.text);
        key.open(counter, Associated::new(self.head, self.open).bytes(), &mut out[start..len], self.tag)
    }
}

impl<'a> OpenBeacon<'a> {
    fn parse(rest: &'a [u8]) -> Result<OpenBeacon<'a>, Unreadable> {
        let (head, rest) = rest.split_first_chunk::<BEACON_HEAD>().ok_or(Unreadable::Malformed)?;
        if head[0] != VERSION {
            return Err(Unreadable::Version(head[0]));
        }
        let number = |at: usize, len: usize| {
            let mut wide = [0; 8];
            wide[..len].copy_from_slice(&head[at..at + len]);
            u64::from_le_bytes(wide)
        };
        let (&form, rest) = rest.split_first().ok_or(Unreadable::Malformed)?;
        let form = Form::from_wire(form).ok_or(Unreadable::Malformed)?;
        let message = rest.get(..form.message_len()).ok_or(Unreadable::Malformed)?;
        Ok(OpenBeacon { session: number(1, 8), counter: number(9, 6), form, message })
    }
}
