//! What tells one channel from another.

use super::Channel;
use crate::explore::{Digest, Digested};

impl<B: AsRef<[u8]> + AsMut<[u8]>> Digested for Channel<B> {
    fn digest(&self, to: &mut Digest) {
        // the order among interactive channels is left out: the class is not learnt in the search
        #[rustfmt::skip]
        let Channel {
            id, class, service, stage, send, recv, due, reason, notes_open, notes_flying, notes_out, notes_in, confirmed,
            done_acked, peer_done, accepted_news, reset_news, allowance: _, allowance_at: _, typing: _,
        } = self;
        to.add((id, class, service, stage, due, reason));
        to.add((notes_open, notes_flying, notes_out, notes_in));
        to.add((confirmed, done_acked, peer_done, accepted_news, reset_news));
        send.digest(to);
        recv.digest(to);
    }
}
