//! The session's side of the port: reading, writing, losing it and finding it again.

use std::time::{Duration, Instant};

use link::State;
use nix::poll::PollFlags;

use super::{FAREWELL, GATHER_BYTES, GATHER_MORE_US, GATHER_US, Session};
use crate::error::Exit;
use crate::port::Port;

impl Session {
    pub(super) fn serve_port(&mut self, ready: PollFlags, buffer: &mut [u8]) {
        let Some(port) = &self.port else { return self.look_for_port() };
        if ready.intersects(PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL) {
            match port.read(buffer) {
                Ok(Some(n)) => {
                    let now = self.clock.now();
                    self.link.handle_bytes(&buffer[..n], now);
                    if self.opener.baud() > 0 {
                        let bytes = self.link.missing().min(GATHER_BYTES) as u64;
                        let wait = bytes * 10_000_000 / u64::from(self.opener.baud());
                        self.gather_until = (bytes > 0).then(|| now.after(wait.min(GATHER_US) + GATHER_MORE_US));
                    }
                }
                Ok(None) if ready.intersects(PollFlags::POLLHUP | PollFlags::POLLNVAL) => self.port_lost("hung up"),
                Ok(None) => {}
                Err(e) => self.port_lost(&e.to_string()),
            }
        }
    }

    pub(super) fn port_lost(&mut self, why: &str) {
        // every descriptor must go, or the adapter comes back under another name
        self.port = None;
        (self.frame_at, self.frame_len) = (0, 0);
        let spec = self.opener.spec().clone();
        if self.link.is_delivered() && self.opener.closes_with_peer() {
            self.outcome.get_or_insert(Ok(()));
        } else if !self.opener.can_reopen() {
            self.fail(Exit::Lost, format!("{spec} was closed ({why}) before everything was delivered; {}", self.undelivered()));
        } else {
            // a port that comes and goes without a frame in between never came back
            if self.lost_at.is_none() || self.link.stats().frames_in > self.lost_frames {
                tracing::warn!("{spec} is gone ({why}); looking for it for {} s", self.settings.grace.as_secs());
                self.lost_at = Some(Instant::now());
                self.lost_frames = self.link.stats().frames_in;
            }
            self.check_grace(&format!("{spec} went away ({why})"));
        }
    }

    pub(super) fn check_grace(&mut self, why: &str) {
        if self.lost_at.is_some_and(|at| at.elapsed() >= self.settings.grace) {
            let exit = if self.link.state() == State::Open { Exit::Lost } else { Exit::Port };
            let undelivered = self.undelivered();
            self.fail(exit, format!("{why} and did not come back for {} s; {undelivered}", self.settings.grace.as_secs()));
        }
    }

    pub(super) fn look_for_port(&mut self) {
        if self.looked.is_some_and(|at| at.elapsed() < self.opener.pause()) {
            return;
        }
        self.looked = Some(Instant::now());
        match self.opener.open() {
            Ok(Some(port)) => {
                tracing::info!("{} is open", self.opener.spec());
                self.port = Some(port);
                self.link.handle_reopen(self.clock.now());
            }
            Ok(None) => {}
            Err(failure) if self.lost_at.is_none() && failure.exit != Exit::Port => self.fail(failure.exit, failure.message),
            Err(failure) => self.check_grace(&failure.message),
        }
    }

    /// A lost port is back once a frame has come through it.
    pub(super) fn watch_return(&mut self) {
        if let Some(at) = self.lost_at
            && self.port.is_some()
            && self.link.stats().frames_in > self.lost_frames
        {
            tracing::warn!("{} is back after {:.1} s", self.opener.spec(), at.elapsed().as_secs_f64());
            self.lost_at = None;
        }
    }

    pub(super) fn transmit(&mut self) {
        while let Some(port) = &self.port {
            if self.frame_at == self.frame_len {
                let Some(len) = self.link.poll_transmit(&mut self.frame[..], self.clock.now()) else { return };
                (self.frame_at, self.frame_len) = (0, len);
            }
            match port.write(&self.frame[self.frame_at..self.frame_len]) {
                Ok(0) => return,
                Ok(n) => self.frame_at += n,
                Err(e) => return self.port_lost(&e.to_string()),
            }
        }
    }

    /// Lets a last message leave, and what was written before it.
    pub(super) fn farewell(&mut self) {
        let until = Instant::now() + FAREWELL;
        while self.port.is_some() && Instant::now() < until {
            self.transmit();
            let busy = self.frame_at < self.frame_len || self.link.is_transmit_due();
            let queued = self.port.as_ref().map_or(0, Port::queued);
            if !busy && queued == 0 {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
