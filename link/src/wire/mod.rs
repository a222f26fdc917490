//! The wire: bytes, frames, segments. Knows nothing of time or repetition.
//!
//! Nothing here can panic, whatever bytes come in, and nothing allocates. All multi-byte numbers
//! are little-endian (PROTOCOL 0).

pub mod armour;
pub mod check;
pub mod deframe;
pub mod frame;
pub mod record;
pub mod seal;
pub mod segment;
pub mod seq;
mod strangers;
mod writer;

pub use check::Binding;
pub use deframe::{Deframer, Whose};
pub use frame::{BODY_MAX, FRAME_MAX, Head, Level, write_frame};
pub use segment::{PAYLOAD_MAX, Segment};
