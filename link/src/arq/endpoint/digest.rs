//! What tells one session from another.

use super::{Endpoint, Sent, State};
use crate::explore::{Digest, Digested};

impl<const N: usize> Endpoint<N> {
    pub(crate) fn next_tx(&self) -> u64 {
        self.next_tx
    }
}

impl<const N: usize> Digested for Endpoint<N> {
    fn digest(&self, to: &mut Digest) {
        // settings, counters, and estimates of noise: they choose armour, which says nothing to an end that can read it;
        // how far the calls to come stray says little, when the next is due is a timer;
        // and no search sends so many that it needs a plea
        #[rustfmt::skip]
        let Endpoint {
            config: _, stats, adapt: _, rates: _, next_tx: _, in_flight: _, state, me, peer, channels, sealed, seal,
            peer_key, unsure, member, heard, damaged, asked, damage, sent, newest_acked, last_left, peer_damage,
            unacked, unacked_bytes, ack_now, call_us, calls: _, owe_open, probe, farewells, closing, echo_told, rtt, reach: _, timers, events,
            strays, strays_told, plea: _,
        } = self;
        to.add((state, me, peer, channels, sealed, farewells, closing, echo_told));
        events.iter().for_each(|event| to.add(event));
        seal.iter().for_each(|seal| seal.digest(to));
        member.iter().for_each(|member| member.digest(to));
        heard.digest(to);
        sent.iter().for_each(|sent| sent.digest(to));
        if self.is_over() {
            // it answers what comes, and that is all
            return;
        }
        to.add((peer_key, unsure, damage, peer_damage));
        to.add((unacked, unacked_bytes, ack_now, owe_open, probe));
        // how long it called is of the past once somebody answered; but a sealed session that begins again goes on with it
        to.add((*state == State::Opening || *sealed).then_some(call_us));
        to.add(newest_acked.is_some());
        newest_acked.iter().for_each(|tx| to.ours(*tx));
        // nobody asks when there is nothing under way
        to.maybe((!sent.is_empty()).then_some(*last_left));
        to.add(((stats.forged - strays).min(8), strays_told));
        asked.oldest_ordered().for_each(|asked| asked.digest(to));
        damaged.digest(to);
        rtt.digest(to);
        timers.digest(to);
    }
}

impl Digested for Sent {
    fn digest(&self, to: &mut Digest) {
        // the round trip is known by what follows from it, and what is in flight by the table
        let Sent { tx, left: _, wire: _, level: _, load } = self;
        to.ours(*tx);
        to.add(load);
    }
}
