//! What the object numbers of the present session stand for.

use std::collections::HashMap;

use diode::wire::Manifest;

use super::heard::Heard;
use super::partial::{Cut, Key, cut};

/// Numbers whose transfers are remembered; beyond, those that are settled are looked up anew.
const BOUND_MAX: usize = 1 << 17;

/// What became of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It is put together here.
    Slot(u32),
    Delivered,
    Refused,
}

#[derive(Debug)]
struct Bound {
    key: Key,
    cut: Cut,
    place: Place,
    /// That something else came under this number was told.
    contested: bool,
}

/// What a manifest says of its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// The first that is heard of it.
    New,
    /// What was said before.
    Again,
    /// Something else, for the first time.
    Contradiction,
}

/// What a session told of: its numbers, and what they stood for.
pub type Named = HashMap<u32, Key>;

/// Numbers of objects from first to last, and those of their transfers, as far as their neighbours tell them.
pub type Gap = ((u32, u32), Option<(u64, u64)>);

/// Objects of which no manifest came.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Unheard(pub Vec<Gap>);

impl Unheard {
    /// Of a session that told of these and had so many.
    pub fn of(named: &Named, objects: u32) -> Unheard {
        let mut heard = Heard::default();
        named.keys().for_each(|number| heard.insert(*number));
        let transfer = |number: u32| named.get(&number).map(|key| key.transfer);
        Unheard(heard.gaps(objects).into_iter().map(|gap| (gap, transfers_of(gap, transfer))).collect())
    }
}

/// A sender numbers the transfers that it begins one after the other. What it goes on with has an older number, and goes
/// first: so the neighbour behind knows better.
fn transfers_of((first, last): (u32, u32), transfer: impl Fn(u32) -> Option<u64>) -> Option<(u64, u64)> {
    let more = u64::from(last - first);
    let behind = last.checked_add(1).and_then(&transfer).map(|behind| behind.wrapping_sub(1));
    let before = || first.checked_sub(1).and_then(&transfer).map(|before| before.wrapping_add(1 + more));
    behind.or_else(before).map(|last| (last.wrapping_sub(more), last))
}

/// The numbers of one session.
#[derive(Debug, Default)]
pub(super) struct Bindings {
    session: u64,
    bound: HashMap<u32, Bound>,
    heard: Heard,
}

impl Bindings {
    /// Another session begins, of which these numbers were delivered already. Returns what the one before told of.
    pub(super) fn begin(&mut self, session: u64, delivered: Vec<u32>) -> Named {
        (self.session, self.heard) = (session, Heard::default());
        delivered.into_iter().for_each(|number| self.heard.insert(number));
        self.bound.drain().map(|(number, bound)| (number, bound.key)).collect()
    }
    pub(super) fn session(&self) -> u64 {
        self.session
    }
    /// Numbers of which a manifest came.
    pub(super) fn heard(&self) -> u32 {
        self.heard.count()
    }
    /// Of `objects` those of which no manifest came.
    pub(super) fn unheard(&self, objects: u32) -> Unheard {
        let transfer = |number: u32| self.bound.get(&number).map(|bound| bound.key.transfer);
        Unheard(self.heard.gaps(objects).into_iter().map(|gap| (gap, transfers_of(gap, transfer))).collect())
    }
    /// Whether this session goes on with all of one that told of `objects`, and of these by name. A sender that keeps its
    /// sequence goes on with a transfer under its number, and numbers those that it begins one after the other: so it shows for
    /// those whose name was not heard.
    pub(super) fn goes_on_with(&self, named: &Named, objects: u32) -> bool {
        let Some((first, key)) = named.iter().min_by_key(|(number, _)| **number) else { return false };
        let expected = |number: u32| match named.get(&number) {
            Some(key) => key.transfer,
            None => key.transfer.wrapping_sub(u64::from(*first)).wrapping_add(u64::from(number)),
        };
        let is_same = |number: u32| {
            let here = self.bound.get(&number).map(|bound| bound.key);
            here.is_some_and(|here| here.transfer == expected(number) && named.get(&number).is_none_or(|key| *key == here))
        };
        objects as usize <= self.bound.len() && (0..objects).all(is_same)
    }
    /// Whether this session has the transfer after the last of one that told of these: a sender that keeps its sequence had begun
    /// no other in between.
    pub(super) fn follows(&self, named: &Named) -> bool {
        let last = named.iter().max_by_key(|(number, _)| **number);
        last.is_some_and(|(_, key)| self.bound.values().any(|bound| bound.key.transfer == key.transfer.wrapping_add(1)))
    }
    /// A manifest came.
    pub(super) fn hear(&mut self, m: &Manifest<'_>, key: Key) -> Said {
        self.heard.insert(m.object);
        match self.bound.get_mut(&m.object) {
            None => Said::New,
            Some(bound) if (bound.key, bound.cut) == (key, cut(m)) => Said::Again,
            Some(bound) => match std::mem::replace(&mut bound.contested, true) {
                false => Said::Contradiction,
                true => Said::Again,
            },
        }
    }
    /// From now on the number stands for this.
    pub(super) fn bind(&mut self, number: u32, key: Key, cut: Cut, place: Place) {
        if self.bound.len() >= BOUND_MAX {
            self.bound.retain(|_, bound| matches!(bound.place, Place::Slot(_)));
        }
        self.bound.insert(number, Bound { key, cut, place, contested: false });
    }
    /// Its next manifest announces it again.
    pub(super) fn forget(&mut self, number: u32) {
        self.bound.remove(&number);
    }
    pub(super) fn place(&self, number: u32) -> Option<Place> {
        self.bound.get(&number).map(|bound| bound.place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transfers_are_told_by_their_neighbours() {
        let known = |number: u32| [(0, 7), (4, 100), (5, 101)].into_iter().find(|k| k.0 == number).map(|k| k.1);
        assert_eq!(transfers_of((1, 3), known), Some((97, 99)), "0 goes on from before");
        assert_eq!(transfers_of((6, 8), known), Some((102, 104)), "at the end");
        assert_eq!(transfers_of((2, 2), known), None, "nobody beside it");
        assert_eq!(transfers_of((u32::MAX, u32::MAX), known), None);
    }
}
