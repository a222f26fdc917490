//! A link whose port can change its rate (PROTOCOL 4.8).

use super::Link;
use crate::arq::climb::{RateNews, Rates};
use crate::hello::Handshake;
use crate::path::Path;
use crate::time::Instant;

/// Of a link with one path; with several, the rates stay.
impl<B: AsRef<[u8]> + AsMut<[u8]>, const N: usize, const C: usize, H: Handshake, S> Link<B, N, C, H, S>
where
    S: AsRef<[Path<N, H>]> + AsMut<[Path<N, H>]>,
{
    /// Before the link is used: its port has these rates, begins at the lowest of the [`LADDER`](crate::LADDER), and does what
    /// [`Link::port_rate`] says. The [`Config::rate`](crate::Config::rate) it was made with counts no more.
    ///
    /// # Panics
    /// When the link has several paths.
    pub fn set_rates(&mut self, rates: Rates, now: Instant) {
        assert!(!self.is_bond(), "the rates of a link with several paths cannot change");
        self.paths.as_mut()[0].set_rates(&mut self.mux, rates, now);
    }
    /// The rate, in bits per second, that the port is to be set to now, once everything it was given has left
    /// it: then call [`Link::handle_rate`], or [`Link::handle_rate_refused`]. Until then nothing is sent.
    pub fn port_rate(&self, now: Instant) -> Option<u32> {
        self.first().port_rate(now)
    }
    /// The port has the rate that was asked for.
    pub fn handle_rate(&mut self, now: Instant) {
        self.paths.as_mut()[0].handle_rate(&mut self.mux, now);
    }
    /// The port cannot have the rate that was asked for, and has the one of before.
    pub fn handle_rate_refused(&mut self, now: Instant) {
        self.paths.as_mut()[0].handle_rate_refused(&self.mux, now);
    }
    /// The port is open again, maybe another one: it has these rates, and now this one. Call it before
    /// [`Link::handle_reopen`] or [`Link::handle_reopen_of`].
    pub fn handle_port(&mut self, rates: Rates, baud: u32, now: Instant) {
        self.paths.as_mut()[0].handle_port(&mut self.mux, rates, baud, now);
    }
    /// Bits per second of the port, where that can change.
    pub fn baud(&self) -> Option<u32> {
        self.first().baud()
    }
    /// What became of the rate.
    pub fn poll_rate_news(&mut self) -> Option<RateNews> {
        self.paths.as_mut()[0].poll_rate_news()
    }
}
