//! What the object numbers of the present session stand for.

use std::collections::{HashMap, HashSet};

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

/// The numbers of one session.
#[derive(Debug, Default)]
pub(super) struct Bindings {
    session: u64,
    bound: HashMap<u32, Bound>,
    heard: Heard,
}

impl Bindings {
    /// Another session begins, of which these numbers were delivered already. Returns the contents that the one before told of.
    pub(super) fn begin(&mut self, session: u64, delivered: Vec<u32>) -> HashSet<[u8; 16]> {
        (self.session, self.heard) = (session, Heard::default());
        delivered.into_iter().for_each(|number| self.heard.insert(number));
        self.bound.drain().map(|(_, bound)| bound.key.content).collect()
    }
    pub(super) fn session(&self) -> u64 {
        self.session
    }
    /// Numbers of which a manifest came.
    pub(super) fn heard(&self) -> u32 {
        self.heard.count()
    }
    /// Whether the session told of all these contents.
    pub(super) fn told_of_all(&self, contents: &HashSet<[u8; 16]>) -> bool {
        let told: HashSet<_> = self.bound.values().map(|bound| bound.key.content).collect();
        contents.is_subset(&told)
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
