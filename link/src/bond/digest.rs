//! What tells one bond from another.

use super::Group;
use crate::explore::{Digest, Digested};

impl Digested for Group {
    fn digest(&self, to: &mut Digest) {
        let Group { me, peer, key, heard_at, others, replaced, over, settled, fast, seed, skips, events } = self;
        to.add((me, peer, key, others, replaced, over, settled, fast, seed, skips));
        // a link with one path never asks
        if *peer != 0 {
            to.time(*heard_at);
        }
        events.iter().for_each(|event| to.add(event));
    }
}
