//! A link whose ports can change their rates (PROTOCOL 4.8), each by itself.

use super::Link;
use crate::arq::climb::{RateNews, Rates};
use crate::hello::Handshake;
use crate::path::Path;
use crate::time::Instant;

impl<B: AsRef<[u8]> + AsMut<[u8]>, const N: usize, const C: usize, H: Handshake, S> Link<B, N, C, H, S>
where
    S: AsRef<[Path<N, H>]> + AsMut<[Path<N, H>]>,
{
    /// Before the link is used: the port of a path has these rates, begins at the lowest of the [`LADDER`](crate::LADDER), and
    /// does what [`Link::port_rate_of`] says. The [`Config::rate`](crate::Config::rate) it was made with counts no more.
    pub fn set_rates_of(&mut self, path: usize, rates: Rates, now: Instant) {
        self.paths.as_mut()[path].set_rates(&self.mux, rates, now);
        self.adopt_rates();
    }
    /// The rate, in bits per second, that the port of a path is to be set to now, once everything it was given has left
    /// it: then call [`Link::handle_rate_of`], or [`Link::handle_rate_refused_of`]. Until then nothing is sent by it.
    pub fn port_rate_of(&self, path: usize, now: Instant) -> Option<u32> {
        self.paths.as_ref()[path].port_rate(now)
    }
    /// The port has the rate that was asked for.
    pub fn handle_rate_of(&mut self, path: usize, now: Instant) {
        self.paths.as_mut()[path].handle_rate(&self.mux, now);
        self.adopt_rates();
        self.tend(now);
    }
    /// The port cannot have the rate that was asked for, and has the one of before.
    pub fn handle_rate_refused_of(&mut self, path: usize, now: Instant) {
        self.paths.as_mut()[path].handle_rate_refused(&self.mux, now);
        self.tend(now);
    }
    /// The port is open again, maybe another one: it has these rates, and now this one. Call it before
    /// [`Link::handle_reopen_of`].
    pub fn handle_port_of(&mut self, path: usize, rates: Rates, baud: u32, now: Instant) {
        self.paths.as_mut()[path].handle_port(&self.mux, rates, baud, now);
        self.adopt_rates();
    }
    /// Bits per second of the port of a path, where that can change.
    pub fn baud_of(&self, path: usize) -> Option<u32> {
        self.paths.as_ref()[path].baud()
    }
    /// What became of the rate of a path.
    pub fn poll_rate_news_of(&mut self, path: usize) -> Option<RateNews> {
        self.paths.as_mut()[path].poll_rate_news()
    }
    /// Streams are reckoned with the fastest path.
    fn adopt_rates(&mut self) {
        let rate = self.paths.as_ref().iter().filter_map(Path::baud).max().map(|baud| baud / 10);
        rate.into_iter().for_each(|rate| self.mux.set_rate(rate));
    }
}

/// With one path there is no need to say which.
impl<B: AsRef<[u8]> + AsMut<[u8]>, const N: usize, const C: usize, H: Handshake> Link<B, N, C, H> {
    /// See [`Link::set_rates_of`].
    pub fn set_rates(&mut self, rates: Rates, now: Instant) {
        self.set_rates_of(0, rates, now);
    }
    /// See [`Link::port_rate_of`].
    pub fn port_rate(&self, now: Instant) -> Option<u32> {
        self.port_rate_of(0, now)
    }
    /// See [`Link::handle_rate_of`].
    pub fn handle_rate(&mut self, now: Instant) {
        self.handle_rate_of(0, now);
    }
    /// See [`Link::handle_rate_refused_of`].
    pub fn handle_rate_refused(&mut self, now: Instant) {
        self.handle_rate_refused_of(0, now);
    }
    /// See [`Link::handle_port_of`].
    pub fn handle_port(&mut self, rates: Rates, baud: u32, now: Instant) {
        self.handle_port_of(0, rates, baud, now);
    }
    /// See [`Link::baud_of`].
    pub fn baud(&self) -> Option<u32> {
        self.baud_of(0)
    }
    /// See [`Link::poll_rate_news_of`].
    pub fn poll_rate_news(&mut self) -> Option<RateNews> {
        self.poll_rate_news_of(0)
    }
}
