//! Who is believed: what a sealed receiver remembers and says of what it does not take, and what a plain
//! one says of what it cannot read.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use diode::receiver::{Receiver, Stats};
use serde_json::json;

use super::report::Report;
use super::state::Memory;
use crate::error::{Failure, kinds};

/// Recordings that are told apart; with more, somebody only wants to fill the report.
const TOLD_MAX: usize = 64;

/// What is said is said once.
#[derive(Debug)]
pub(super) struct Guard {
    memory: Option<Memory>,
    replayed: BTreeSet<u64>,
    said: BTreeSet<&'static str>,
    /// When the first frame came that could not be read or believed.
    unread: Option<Instant>,
}

impl Guard {
    /// Of a sealed receiver, or, without a memory, of a plain one.
    pub(super) fn new(memory: Option<Memory>) -> Guard {
        Guard { memory, replayed: BTreeSet::new(), said: BTreeSet::new(), unread: None }
    }
    pub(super) fn is_sealed(&self) -> bool {
        self.memory.is_some()
    }

    /// A session begins: it is on disk before anything of it is used.
    pub(super) fn accepted(
        &mut self,
        sender: usize,
        session: u64,
        receiver: &Receiver,
        report: &mut Report,
    ) -> Result<(), Failure> {
        let Some(memory) = &mut self.memory else { return Ok(()) };
        memory.store(receiver.heard())?;
        tracing::info!("session {session} of {}", memory.id(sender));
        report.say("session", json!({"session": session, "key": memory.id(sender)}));
        Ok(())
    }

    /// Somebody plays back what was sent before.
    pub(super) fn replay(&mut self, sender: usize, session: u64, report: &mut Report) {
        let Some(memory) = &self.memory else { return };
        if self.replayed.len() >= TOLD_MAX || !self.replayed.insert(session) {
            return;
        }
        tracing::warn!(
            code = %kinds::REPLAY_REFUSED,
            "a replay is refused: frames of session {session} of {} that are older than what was received (a recording, or a second sender)",
            memory.id(sender)
        );
        report.say("replay", json!({"session": session, "key": memory.id(sender)}));
    }

    /// About once a second: how far the senders were heard goes to disk.
    pub(super) fn tick(&mut self, receiver: &Receiver) {
        if let Some(memory) = &mut self.memory {
            memory.note(receiver.heard());
        }
    }
    /// The same at the end.
    pub(super) fn close(&mut self, receiver: &Receiver) -> Result<(), Failure> {
        self.memory.as_mut().map_or(Ok(()), |memory| memory.store(receiver.heard()))
    }

    /// Says what kind of frames are not taken.
    pub(super) fn warn(&mut self, stats: &Stats, heard: bool) {
        let mut kind = kinds::NOT_AUTHENTIC;
        let what = match (self.is_sealed(), heard) {
            (false, _) if stats.sealed > 0 => {
                kind = kinds::SEALED_UNREADABLE;
                "sealed frames come and cannot be read: give --psk, or --key and --peer"
            }
            (true, false) if stats.refused > 0 => "frames come that no key here opens: are the keys those of the sender?",
            (true, true) if stats.refused > 0 => "frames come that no key here opens: somebody else sends on this line",
            (true, _) if stats.plain > 0 => {
                "plain frames come and are not taken: the sender has no key, or somebody else sends on this line"
            }
            _ => return,
        };
        if self.said.insert(what) {
            tracing::warn!(code = %kind, "{what}");
        }
    }

    /// Whether it is so long ago that the first frame came which could not be read or believed.
    pub(super) fn is_unread_for(&mut self, stats: &Stats, grace: Duration) -> bool {
        self.verdict(stats).is_err() && self.unread.get_or_insert_with(Instant::now).elapsed() >= grace
    }

    /// Why nothing at all could be taken, if that is so.
    pub(super) fn verdict(&self, stats: &Stats) -> Result<(), Failure> {
        let (kind, why) = match self.is_sealed() {
            false if stats.sealed > 0 => {
                let n = stats.sealed;
                (
                    kinds::SEALED_UNREADABLE,
                    format!("{n} sealed frames came, and this receiver has no key: give --psk, or --key and --peer"),
                )
            }
            true if stats.refused > 0 => {
                let n = stats.refused + stats.foreign;
                (
                    kinds::NOT_AUTHENTIC,
                    format!("nothing authentic came, but {n} frames that no key here opens: is it the sender's key?"),
                )
            }
            true if stats.replayed > 0 => {
                (kinds::NOTHING_NEW, "nothing new came: it is a recording of what was received before".into())
            }
            true if stats.foreign > 0 => {
                (kinds::NO_BEACON, format!("{} sealed frames came, and no beacon that says what they are", stats.foreign))
            }
            true if stats.plain > 0 => {
                let n = stats.plain;
                (kinds::NOT_AUTHENTIC, format!("nothing authentic came, but {n} plain frames: the sender has no key"))
            }
            _ => return Ok(()),
        };
        Err(Failure::new(kind, why))
    }
}
