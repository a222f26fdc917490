//! What must hold in every state.

use crate::user::{Over, User};
use crate::world::World;

impl World {
    /// Holds what an end says against what its peer has done.
    pub fn check(&mut self, end: usize) -> Result<(), String> {
        let (delivered, sent) = self.ends[end].claims();
        let me = &self.ends[end].user;
        let peers = || self.past.iter().chain([&self.ends[1 - end].user]).filter(|peer| peer.end != end);
        let word = if me.over == Over::Finished { "FINISHED" } else { "DELIVERED" };
        if delivered && !peers().any(|peer| exchanged(me, peer)) {
            return Err(format!("UNTRUE {word}: {} says so; {me:?}; peers {:?}", me.name(), peers().collect::<Vec<_>>()));
        }
        if sent && !peers().any(|peer| received(me, peer)) {
            return Err(format!("UNTRUE SENT: {} says so; {me:?}; peers {:?}", me.name(), peers().collect::<Vec<_>>()));
        }
        Ok(())
    }
}

/// Each has read all the other wrote, and passed it on.
fn exchanged(me: &User, peer: &User) -> bool {
    let has = |reader: &User, writer: &User| {
        let of_it = reader.from == (writer.to_write > 0).then_some(writer.run & 7);
        of_it && reader.read == writer.to_write && reader.confirmed && writer.finished
    };
    has(me, peer) && has(peer, me)
}

/// The link of the peer has all of it; what comes for a channel that was reset it may drop.
fn received(me: &User, peer: &User) -> bool {
    peer.reset || peer.received >= me.to_write && peer.from.is_none_or(|run| run == me.run & 7)
}
