//! The session's side of the user: input until its end, output until it takes nothing more.

use std::io;

use link::{CloseCode, State};
use nix::poll::PollFlags;

use super::super::wait;
use super::{HAND_OVER, HANGUP_SIGNAL, Session};
use crate::drive::user::unwritten;
use crate::error::kinds;

impl Session {
    pub(super) fn serve_input(&mut self, ready: PollFlags, buffer: &mut [u8]) {
        if ready.is_empty() || self.input_ended {
            return;
        }
        let room = self.takes().min(buffer.len());
        if room == 0 {
            // nothing read would be taken for the end
            return;
        }
        match self.user.read(&mut buffer[..room]) {
            Ok(Some(0)) => {
                self.serve_signals();
                if self.user.is_cut_off(self.hung_up.is_some()) {
                    return self.interrupted(HANGUP_SIGNAL);
                }
                self.input_ended = true;
                // half of what it had to say is not the whole
                let why = match self.user.killed_by() {
                    Ok(None) => return self.wire.link.finish(),
                    Ok(Some(signal)) => format!("the command was killed by signal {signal}"),
                    Err(why) => format!("cannot wait for the command: {why}"),
                };
                self.wire.link.close(CloseCode::Failed);
                self.wire.fail(kinds::COMMAND_FAILED, why);
            }
            Ok(Some(n)) => {
                self.wire.link.write(&buffer[..n]);
            }
            Ok(None) => {}
            Err(e) => {
                self.wire.link.close(CloseCode::Failed);
                self.wire.fail(kinds::INPUT_FAILED, format!("cannot read the input: {e}"));
            }
        }
    }

    pub(super) fn serve_output(&mut self, ready: PollFlags) {
        if self.output_error.is_none() && !ready.contains(PollFlags::POLLOUT) && ready.contains(PollFlags::POLLERR) {
            // the reader is gone; that matters if it left something, or if something more comes
            self.left_unread = self.user.unread();
            self.output_error = Some(nix::errno::Errno::EPIPE.into());
            self.user.close_output();
        }
        if self.pending.is_empty() && self.wire.link.readable() > 0 {
            self.pending.resize(self.user.piece(), 0);
            let n = self.wire.link.read(&mut self.pending);
            self.pending.truncate(n);
        }
        if !self.pending.is_empty() && (ready.contains(PollFlags::POLLOUT) || self.output_error.is_some()) {
            match self.user.write(&self.pending) {
                Ok(n) => {
                    self.pending.drain(..n);
                }
                Err(e) => return self.output_failed(e),
            }
        }
        if self.left_unread > 0 {
            self.output_failed(nix::errno::Errno::EPIPE.into());
        } else if self.pending.is_empty() && self.wire.link.at_end() && self.user.unread() == 0 {
            match self.user.end_output() {
                Some(Ok(())) => self.wire.link.confirm(self.wire.clock.now()),
                Some(Err(e)) => self.output_failed(e),
                None => {}
            }
        }
    }

    /// The output takes nothing more. What a command still has to say is delivered first; our own
    /// stdin could go on for ever.
    pub(super) fn output_failed(&mut self, e: io::Error) {
        let e = self.output_error.get_or_insert(e);
        if self.user.is_command() && !(self.input_ended && self.wire.link.is_sent()) && self.wire.link.state() == State::Open {
            self.left_unread += self.pending.len().max(1);
            self.pending.clear();
            return;
        }
        self.wire.link.close(CloseCode::OutputClosed);
        let left = self.left_unread.max(self.pending.len() + self.wire.link.readable());
        let failure = unwritten(e, left);
        self.wire.end(failure);
    }

    /// The session was lost: what came before still goes to whoever reads at once.
    pub(super) fn hand_over(&mut self) {
        while self.output_error.is_none() && (self.wire.link.readable() > 0 || !self.pending.is_empty()) {
            if self.pending.is_empty() {
                self.pending.resize(self.user.piece(), 0);
                let n = self.wire.link.read(&mut self.pending);
                self.pending.truncate(n);
            }
            let Some(output) = self.user.output() else { return };
            let takes = wait(&[(output, PollFlags::POLLOUT)], Some(HAND_OVER)).is_ok_and(|r| r[0].contains(PollFlags::POLLOUT));
            match if takes { self.user.write(&self.pending) } else { Ok(0) } {
                Ok(n) if n > 0 => drop(self.pending.drain(..n)),
                _ => return,
            }
        }
    }
}
