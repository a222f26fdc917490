//! What tells what was collected of a wire from something else.

use super::Deframer;
use crate::explore::{Digest, Digested};

impl Digested for Deframer {
    fn digest(&self, to: &mut Digest) {
        // counters are left out
        #[rustfmt::skip]
        let Deframer {
            bad: _, junk: _, corrected: _, damage: _, slips: _, buffer, start, end, synced, searched, open, expected,
            doubtful, failed, failed_head, came, parties,
        } = self;
        to.add((&buffer[*start..*end], synced, searched, open));
        to.add((expected, doubtful, failed_head, came));
        parties.digest(to);
        if failed_head.is_some() {
            to.add(failed);
        }
    }
}
