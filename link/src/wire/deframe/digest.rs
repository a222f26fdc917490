//! What tells what was collected of a wire from something else.

use super::Deframer;
use crate::explore::{Digest, Digested};

impl Digested for Deframer {
    fn digest(&self, to: &mut Digest) {
        // counters; it is told of the session before each frame
        #[rustfmt::skip]
        let Deframer {
            bad: _, junk: _, corrected: _, damage: _, slips: _, buffer, start, end, synced, searched, open, expected,
            doubtful, failed, failed_head, came, session: _, strangers,
        } = self;
        to.add((&buffer[*start..*end], synced, searched, open));
        to.add((expected, doubtful, failed_head, came));
        strangers.digest(to);
        if failed_head.is_some() {
            to.add(failed);
        }
    }
}
