//! Streams: ordered bytes in groups of interleaved Reed-Solomon blocks.
//!
//! Piece p of a group belongs to block p mod depth, so frames that follow each other on the wire belong
//! to different blocks: an outage takes a little of each. Data leave at once; parity follows when the
//! group is full, or was closed because the stream rests.

mod recv;
mod send;

pub(crate) use recv::GROUPS;
pub use recv::{Out, StreamReceiver};
pub use send::{Shard, StreamSender};

use crate::wire::Shape;

/// A shape that survives an outage of `outage_frames` frames anywhere, with half of the parity
/// left for noise.
pub fn shape(data: u8, parity: u8, len: u16, outage_frames: u32) -> Shape {
    let usable = (u32::from(parity) / 2).max(1);
    let most = 0xFFFF / (u32::from(data) + u32::from(parity));
    let depth = outage_frames.div_ceil(usable).clamp(1, most) as u16;
    Shape { data, parity, depth, len }
}
