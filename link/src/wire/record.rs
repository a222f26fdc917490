//! What a segment can say: the records, their fields and the codes in them (PROTOCOL 3).

use super::frame::BODY_MAX;

/// Version of this protocol.
pub const VERSION: u8 = 2;
/// Bytes of a segment before its first record.
pub const SEGMENT_HEAD: usize = 2;
/// Bytes of a DATA record of the one stream before its payload; of a channel it has up to two more.
pub const DATA_HEAD: usize = 4;
/// Most bytes in the name of a service.
pub const SERVICE_MAX: usize = 64;
/// Most gap and run pairs in an ACK after the first run.
pub const ACK_PAIRS: usize = 8;
/// Longest PARTS record.
pub const PARTS_RECORD_MAX: usize = 4 + 2 * PARTS_MAX;
/// Longest ACK record.
pub const ACK_MAX: usize = 6 + 2 + ACK_PAIRS * 4;
/// Most user bytes in one segment: what a body holds beside the largest ACK and a WINDOW.
pub const PAYLOAD_MAX: usize = BODY_MAX - SEGMENT_HEAD - (DATA_HEAD + 2) - ACK_MAX - 6;
/// Largest number (v) can carry.
pub const VARINT_MAX: u16 = 0x7FFF;
/// Offsets and limits travel modulo 2^24.
pub const OFFSET_BITS: u32 = 24;
/// Transmission numbers travel modulo 2^16.
pub const TX_BITS: u32 = 16;

/// Why a session was closed before its end (wire numbers; unknown ones are kept).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseCode {
    /// 1: the protocol versions differ.
    Version,
    /// 2: the far reader went away with data undelivered.
    OutputClosed,
    /// 3: the far end was interrupted by a signal.
    Interrupted,
    /// 4: the far end failed.
    Failed,
    /// 5: one end has channels and the other one stream: `link` and `pipe` do not fit.
    Mode,
    /// 6: the far end has left in order: everything was delivered.
    Left,
    /// 7: one end has several ports for one link and the other has not.
    Bond,
    /// A code of a later version.
    Other(u8),
}

impl CloseCode {
    /// The number on the wire.
    pub const fn to_wire(self) -> u8 {
        match self {
            CloseCode::Version => 1,
            CloseCode::OutputClosed => 2,
            CloseCode::Interrupted => 3,
            CloseCode::Failed => 4,
            CloseCode::Mode => 5,
            CloseCode::Left => 6,
            CloseCode::Bond => 7,
            CloseCode::Other(n) => n,
        }
    }
    /// The code with this number.
    pub const fn from_wire(n: u8) -> CloseCode {
        match n {
            1 => CloseCode::Version,
            2 => CloseCode::OutputClosed,
            3 => CloseCode::Interrupted,
            4 => CloseCode::Failed,
            5 => CloseCode::Mode,
            6 => CloseCode::Left,
            7 => CloseCode::Bond,
            n => CloseCode::Other(n),
        }
    }
}

/// Why a channel ended at once, or was never opened (wire numbers; unknown ones are kept).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResetCode {
    /// 1: there is no service of this name.
    NoService,
    /// 2: the service could not be reached or started.
    Unreachable,
    /// 3: no room for another channel.
    Busy,
    /// 4: the user at that end went away or failed with data undelivered.
    Aborted,
    /// A code of a later version.
    Other(u8),
}

impl ResetCode {
    /// The number on the wire.
    pub const fn to_wire(self) -> u8 {
        match self {
            ResetCode::NoService => 1,
            ResetCode::Unreachable => 2,
            ResetCode::Busy => 3,
            ResetCode::Aborted => 4,
            ResetCode::Other(n) => n,
        }
    }
    /// The code with this number.
    pub const fn from_wire(n: u8) -> ResetCode {
        match n {
            1 => ResetCode::NoService,
            2 => ResetCode::Unreachable,
            3 => ResetCode::Busy,
            4 => ResetCode::Aborted,
            n => ResetCode::Other(n),
        }
    }
}

/// OPEN: who is there, and what it can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Open {
    /// Protocol version.
    pub version: u8,
    /// The sender does not know yet that it is heard: answer with an OPEN.
    pub answer: bool,
    /// The sender's session id, not 0.
    pub me: u64,
    /// The receiver's session id as far as the sender knows it, else 0.
    pub you: u64,
    /// Receive limit: the offset up to which the sender can take data at once.
    pub limit: u32,
    /// Most payload the sender takes in one segment.
    pub payload_max: u16,
    /// Feature bits: [`FEATURE_CHANNELS`], [`FEATURE_BOND`]; unknown ones are ignored.
    pub features: u16,
}

/// Feature bit 0: the session has channels, and no stream of its own.
pub const FEATURE_CHANNELS: u16 = 1;
/// Feature bit 1: the rate of the port can change: see [`Rate`].
pub const FEATURE_RATES: u16 = 2;
/// Feature bit 2: the session is one path of a bond of several.
pub const FEATURE_BOND: u16 = 4;

/// BEGIN: a channel is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begin<'a> {
    /// Its number, not 0.
    pub channel: u16,
    /// How urgent its data are: 0 to be learnt, 1 interactive, 2 bulk; others count as 0.
    pub class: u8,
    /// Receive limit of the asking end.
    pub limit: u32,
    /// Name of the service, 1 to [`SERVICE_MAX`] bytes.
    pub service: &'a [u8],
}

/// CLOSE: the session ends here and now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close {
    /// Protocol version.
    pub version: u8,
    /// The sender's session id, not 0.
    pub me: u64,
    /// The receiver's session id.
    pub you: u64,
    /// Why.
    pub code: CloseCode,
}

/// CALL and ANSWER: the two messages by which sealed ends prove who they are (PROTOCOL 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello<'a> {
    /// ANSWER, else CALL.
    pub answer: bool,
    /// Protocol version.
    pub version: u8,
    /// Which Noise pattern the message belongs to.
    pub pattern: u8,
    /// Session id of the end that calls, not 0.
    pub caller: u64,
    /// The Noise message, 1 to [`MESSAGE_MAX`] bytes.
    pub message: &'a [u8],
}

/// Most bytes in a message of the handshake.
pub const MESSAGE_MAX: usize = 192;

/// ACK: which transmissions arrived.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Ack {
    /// Lowest 16 bits of the newest transmission that arrived.
    pub newest: u16,
    /// Wrong bytes seen so far, modulo 65536: those repaired, and per frame beyond repair one more
    /// than its armour repairs. It tells the sender noise from silence, and what armour hides.
    pub damage: u16,
    /// Frames in which bytes were lost or came in, modulo 256: against that, armour is no use.
    pub slips: u8,
    /// Transmissions that arrived in a row, ending with the newest; at least 1.
    pub run: u16,
    /// Then, going back: how many are missing, how many arrived in a row before those; each at least 1.
    pub pairs: heapless::Vec<(u16, u16), ACK_PAIRS>,
}

/// Most parts of a payload.
pub const PARTS_MAX: usize = 32;

/// PARTS: a transmission came damaged; which parts of its payload seem right.
#[derive(Clone, Debug, PartialEq, Eq, Default, Hash)]
pub struct Parts {
    /// Lowest 16 bits of its number, as far as it can be read.
    pub tx: u16,
    /// CRC-8 of the payload up to the end of each full part, from its beginning.
    pub from_start: heapless::Vec<u8, PARTS_MAX>,
    /// The same from its end backwards.
    pub from_end: heapless::Vec<u8, PARTS_MAX>,
}

/// What a [`Rate`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum RateStep {
    /// 1: let us try this rate.
    #[default]
    Propose,
    /// 2: yes; nothing else is said before the rate is set.
    Agree,
    /// 3: no.
    Refuse,
    /// 4: a test at the new rate.
    Test,
    /// 5: the new rate is kept.
    Keep,
    /// 6: so it is.
    Kept,
    /// 7: the new rate is not kept.
    Back,
}

impl RateStep {
    const ALL: [RateStep; 7] =
        [RateStep::Propose, RateStep::Agree, RateStep::Refuse, RateStep::Test, RateStep::Keep, RateStep::Kept, RateStep::Back];
    /// The number on the wire.
    pub const fn to_wire(self) -> u8 {
        self as u8 + 1
    }
    /// The step with this number.
    pub fn from_wire(n: u8) -> Option<RateStep> {
        RateStep::ALL.get(usize::from(n).checked_sub(1)?).copied()
    }
}

/// RATE: the rate of both ports is agreed on (PROTOCOL 4.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Rate<'a> {
    /// What it is about.
    pub step: RateStep,
    /// Number of the proposal.
    pub attempt: u8,
    /// Number of the rate on the [`LADDER`](crate::LADDER).
    pub rung: u8,
    /// The rates the sender's port has: bit n is rung n.
    pub rates: u16,
    /// Number of the test.
    pub index: u8,
    /// From the first to the last test that was heard.
    pub span: u8,
    /// How many of these were heard.
    pub good: u8,
    /// Wrong bytes in between, as in [`Ack::damage`].
    pub wrong: u16,
    /// Slips in between.
    pub slips: u8,
    /// Bytes that make a test long.
    pub padding: &'a [u8],
}

/// One thing a segment says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// See [`Open`].
    Open(Open),
    /// See [`Close`].
    Close(Close),
    /// See [`Hello`].
    Hello(Hello<'a>),
    /// See [`Ack`].
    Ack(Ack),
    /// The sender's receive limit is now at this offset (modulo 2^24).
    Window {
        /// Of this channel; 0 is the one stream.
        channel: u16,
        /// The limit.
        limit: u32,
    },
    /// Everything the receiver sent on this channel was received and passed on to its destination.
    Done {
        /// Of this channel; 0 is the one stream.
        channel: u16,
    },
    /// Nothing, to be acknowledged.
    Ping,
    /// A piece of a stream.
    Data {
        /// Of this channel; 0 is the one stream.
        channel: u16,
        /// Offset of its first byte, modulo 2^24.
        offset: u32,
        /// The stream ends behind it.
        fin: bool,
        /// The bytes; empty only at the end of the stream.
        payload: &'a [u8],
    },
    /// See [`Parts`].
    Parts(Parts),
    /// What was missing of the payload of a transmission that came damaged.
    Fill {
        /// Lowest 16 bits of its number.
        tx: u16,
        /// Where in its payload these bytes belong.
        from: u16,
        /// The bytes, one at least.
        payload: &'a [u8],
    },
    /// See [`Rate`].
    Rate(Rate<'a>),
    /// See [`Begin`].
    Begin(Begin<'a>),
    /// The channel is open; the answering end's receive limit.
    Accept {
        /// The channel.
        channel: u16,
        /// The limit.
        limit: u32,
    },
    /// Something beside the stream; the latest of a kind counts.
    Note {
        /// The channel.
        channel: u16,
        /// What: a [`Note`](crate::Note).
        kind: u8,
        /// Its value.
        value: u32,
    },
    /// The channel ends at once, or was never opened.
    Reset {
        /// The channel.
        channel: u16,
        /// Why: a [`ResetCode`].
        reason: u8,
    },
    /// The bond this path is one of.
    Join {
        /// The sender's id of it, not 0.
        bond: u64,
    },
    /// What was sent by another path goes by others now: should it come there still, it is too late.
    Skip {
        /// Which: what the frames of its sender are bound to on that path (see [`Binding`](super::Binding)).
        token: u32,
        /// Lowest 16 bits of the last transmission this is about.
        tx: u16,
    },
}
