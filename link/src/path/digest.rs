//! What tells one path from another.

use super::Path;
use crate::explore::{Digest, Digested};

impl<const N: usize, H> Path<N, H> {
    /// Number of the next transmission: by it those of one state are compared with those of another.
    pub fn next_tx(&self) -> u64 {
        self.endpoint.next_tx()
    }
}

impl<const N: usize, H> Digested for Path<N, H> {
    fn digest(&self, to: &mut Digest) {
        // no state of its own: `body` is written before it is read; settings; the wires of the search are as fast as can be
        // and keep their rates
        let Path { body: _, slack_us: _, pace: _, climb: _, now: _, deframer, endpoint, door, pause, coming, strange } = self;
        deframer.digest(to);
        endpoint.digest(to);
        door.digest(to);
        to.maybe(*pause);
        to.maybe(*coming);
        to.add(strange);
    }
}
