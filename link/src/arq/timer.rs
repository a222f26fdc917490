//! The deadlines of a session, one table.

use crate::time::Instant;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// Call again.
    Open,
    /// Nothing came back for the newest transmission: probe.
    Resend,
    /// An acknowledgement has been held back long enough.
    AckDelay,
    /// Give a sign of life.
    KeepAlive,
    /// Waited long enough for the last acknowledgement.
    Linger,
    /// The peer has been silent for the grace time.
    Silence,
}

impl Timer {
    /// In the order they are served in: an end that has waited long enough has nothing to lose to a silence.
    pub(crate) const ALL: [Timer; 6] =
        [Timer::Open, Timer::Resend, Timer::AckDelay, Timer::KeepAlive, Timer::Linger, Timer::Silence];
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Timers([Option<Instant>; 6]);

impl Timers {
    pub(crate) fn set(&mut self, timer: Timer, at: Instant) {
        self.0[timer as usize] = Some(at);
    }
    pub(crate) fn set_if_clear(&mut self, timer: Timer, at: Instant) {
        self.0[timer as usize].get_or_insert(at);
    }
    pub(crate) fn set_earlier(&mut self, timer: Timer, at: Instant) {
        let slot = &mut self.0[timer as usize];
        *slot = Some(slot.map_or(at, |old| old.min(at)));
    }
    pub(crate) fn clear(&mut self, timer: Timer) {
        self.0[timer as usize] = None;
    }
    pub(crate) fn clear_all(&mut self) {
        self.0 = [None; 6];
    }
    /// Takes the timer out when it has expired.
    pub(crate) fn expired(&mut self, timer: Timer, now: Instant) -> bool {
        self.0[timer as usize].take_if(|at| *at <= now).is_some()
    }
    pub(crate) fn get(&self, timer: Timer) -> Option<Instant> {
        self.0[timer as usize]
    }
    pub(crate) fn next(&self) -> Option<Instant> {
        self.0.iter().flatten().min().copied()
    }
}

#[cfg(feature = "explore")]
impl crate::explore::Digested for Timers {
    fn digest(&self, to: &mut crate::explore::Digest) {
        self.0.iter().for_each(|at| to.maybe(*at));
    }
}
