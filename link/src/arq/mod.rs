//! Sessions, repetition and timers: knows time, not bytes on the wire.
//!
//! States and events (PROTOCOL 4.1 has the table):
//!
//! ```text
//! Opening ─OPEN─→ Greeting ─OPEN with our id─→ Open ─both DONE─→ Finished
//!    └──────────OPEN with our id──────────────↗  └─silence, CLOSE, a new peer, close()─→ Ended
//! ```

mod adapt;
pub(crate) mod climb;
pub(crate) mod endpoint;
mod heard;
pub(crate) mod plan;
mod reach;
mod rtt;
mod timer;

pub use plan::goodput;

use crate::mux::Note;
use crate::wire::segment::{CloseCode, ResetCode};

/// Where a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Calling; no peer has been heard.
    Opening,
    /// A peer was heard, but has not shown that it hears us.
    Greeting,
    /// Both ends know each other; data flows.
    Open,
    /// Both directions are done, acknowledged and confirmed.
    Finished,
    /// Ended early.
    Ended,
}

/// Why a session ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Loss {
    /// Nothing was heard for the grace time.
    Silence,
    /// Another session called: the peer was restarted, and what was under way is lost.
    PeerRestarted,
    /// The peer closed with this code.
    PeerClosed(CloseCode),
    /// The peer speaks this other version of the protocol.
    Version(u8),
    /// One end has channels, the other one stream.
    Mode,
    /// One end has several ports for one link, the other has not.
    Bond,
    /// The peer is sealed, this end is not.
    Sealed,
    /// Closed here.
    Local,
}

/// News for the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// The session is open; the two ids.
    Opened {
        /// This end's session id.
        me: u64,
        /// The peer's.
        peer: u64,
    },
    /// The peer asks for this channel: see [`Link::asked`](crate::Link::asked).
    Asked(u16),
    /// The peer opened this channel.
    Accepted(u16),
    /// The peer tells something beside the stream of this channel.
    Noted(u16, Note, u32),
    /// Everything on this channel was delivered both ways; it is gone. Both ends know, unless the session ended before.
    Closed(u16),
    /// The peer ended or refused this channel; it is gone.
    Reset(u16, ResetCode),
    /// A sealed end: somebody who is not the known peer wants to open a session, or answers a call.
    Refused,
    /// A sealed end: somebody talks plain.
    Plain,
    /// A sealed end: somebody calls or answers in this other version of the protocol.
    Version(u8),
    /// Our own frames come back: a loopback plug, or the peer echoes (a terminal in echo mode).
    Echo,
    /// Frames of another session come in, and none of the peer: cables or adapters have changed places.
    Foreign,
    /// Everything was delivered both ways. The last event.
    Finished,
    /// The session ended early. The last event.
    Lost(Loss),
}
