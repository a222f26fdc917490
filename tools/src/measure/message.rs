//! What two ends of a measurement say to each other, at a rate that both have: JSON in the strongest armour there is,
//! so that it passes where nothing else would.

use link::wire::frame::body_at;
use link::wire::{BODY_MAX, Binding, Deframer, FRAME_MAX, Head, Level, Whose, write_frame};
use serde::{Deserialize, Serialize};

use super::lines::{Outputs, Wiring};
use super::trial::Reading;

/// Before every message: no segment of a link begins so.
const MARK: &[u8; 6] = b"HLtest";
/// Version of what is said here.
const VERSION: u8 = 1;

/// What an end is, told before anything else.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Introduction {
    /// Rates its port can do, lowest first.
    pub rates: Vec<u32>,
    /// Its adapter's latency timer, in milliseconds.
    pub timer_ms: Option<u32>,
    /// Whether its port has modem lines (a pseudo-terminal has none).
    pub lines: bool,
}

/// What the leading end asks for; each is answered, and asked again until then.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// Go to this rate as soon as the answer has left, send and listen for so long, and come back.
    Try {
        /// Bits per second.
        baud: u32,
        /// Milliseconds of pattern.
        ms: u32,
        /// Seed of the patterns: this one from the leading end, the next one from the other.
        seed: u64,
    },
    /// What was read of the last trial; the answer is the same of the other end.
    Read(Box<Reading>),
    /// Set your outputs so, and say what your inputs are.
    Lines(Outputs),
    /// That was all; how the modem lines are joined.
    Bye(Option<Wiring>),
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// Done, or about to be done.
    Yes,
    /// What was read.
    Read(Box<Reading>),
    /// The inputs, as bits.
    Lines(u8),
}

/// Everything that is said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Message {
    /// At the base rate until both ends have heard each other.
    Hello {
        /// Whom the sender has heard; 0: nobody.
        heard: u64,
        /// What it is.
        what: Introduction,
    },
    /// The `n`th thing asked for.
    Ask {
        /// Of whom: an end that was started anew is another one.
        to: u64,
        /// See above.
        n: u32,
        /// What.
        request: Request,
    },
    /// And answered.
    Answer {
        /// To whom.
        to: u64,
        /// Which of the things asked for.
        n: u32,
        /// The answer.
        reply: Reply,
    },
    /// To be echoed at once.
    Ping(u32),
    /// The echo.
    Pong(u32),
    /// One way: what comes next, and when.
    Next {
        /// Which trial of the round, from 0, and how many there are.
        n: u32,
        /// See `n`.
        of: u32,
        /// Its rate.
        baud: u32,
        /// Milliseconds of pattern.
        ms: u32,
        /// Seed of the pattern.
        seed: u64,
        /// Milliseconds from the end of this message to the change of rate.
        starts_ms: u32,
    },
    /// One way: that was a round, and another one follows or not.
    Over(bool),
}

/// A frame with a message from `me`; what nobody waits for may go unarmoured.
pub fn frame(me: u64, message: &Message, level: Level) -> Vec<u8> {
    let mut body = MARK.to_vec();
    body.push(VERSION);
    body.extend(me.to_le_bytes());
    body.extend(serde_json::to_vec(message).unwrap_or_default());
    debug_assert!(body.len() <= BODY_MAX, "messages are short");
    body.truncate(BODY_MAX);
    let mut out = vec![0; FRAME_MAX];
    let start = body_at(level);
    out[start..start + body.len()].copy_from_slice(&body);
    let n = write_frame(&mut out, Head::open(body.len(), level), Binding::NONE);
    out.truncate(n);
    out
}

/// What can be heard on a line.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// A message, and the id of the end that sent it.
    Message(u64, Message),
    /// A frame, of another command of hardline's (or of another version).
    Foreign,
}

/// Finds messages in what comes.
pub struct Ear {
    deframer: Deframer,
    /// Bytes that came, whatever they were.
    pub heard: u64,
}

impl Default for Ear {
    fn default() -> Ear {
        let mut deframer = Deframer::default();
        // frames of a session are to be told from noise
        deframer.bind(0, 0);
        Ear { deframer, heard: 0 }
    }
}

impl std::fmt::Debug for Ear {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ear").field("heard", &self.heard).finish_non_exhaustive()
    }
}

impl Ear {
    /// Takes what came; returns what was found in it.
    pub fn listen(&mut self, mut bytes: &[u8]) -> Vec<Heard> {
        let mut found = Vec::new();
        self.heard += bytes.len() as u64;
        while !bytes.is_empty() {
            let taken = self.deframer.push(bytes);
            bytes = &bytes[taken..];
            while let Some(frame) = self.deframer.next_frame() {
                found.push(if frame.whose == Whose::Nobody { read(frame.body) } else { Heard::Foreign });
            }
            if taken == 0 {
                self.deframer.reset();
            }
        }
        found
    }
    /// Forgets what was begun: the rate is another now.
    pub fn reset(&mut self) {
        self.deframer.reset();
    }
}

fn read(body: &[u8]) -> Heard {
    let parts = || {
        let rest = body.strip_prefix(MARK)?.strip_prefix(&[VERSION])?;
        let (from, text) = rest.split_first_chunk::<8>()?;
        let message = serde_json::from_slice(text).ok()?;
        Some(Heard::Message(u64::from_le_bytes(*from), message))
    };
    parts().unwrap_or(Heard::Foreign)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_heard() {
        let reading = Reading { baud: 115_200, series: vec![[1, 2]; 20], ..Reading::default() };
        let said = [
            Message::Hello { heard: u64::MAX, what: Introduction { rates: vec![115_200; 16], timer_ms: Some(16), lines: true } },
            Message::Ask { to: 9, n: 7, request: Request::Read(Box::new(reading)) },
            Message::Answer { to: 9, n: 7, reply: Reply::Lines(15) },
            Message::Ping(3),
            Message::Over(true),
        ];
        let mut ear = Ear::default();
        for message in said {
            let sent = frame(5, &message, Level::Sixteen);
            assert!(sent.len() < 1200, "{}", sent.len());
            assert_eq!(ear.listen(&sent), [Heard::Message(5, message)]);
        }
    }

    #[test]
    fn other_frames_are_foreign() {
        let mut out = vec![0; 100];
        out[body_at(Level::Plain)] = 7;
        let n = write_frame(&mut out, Head::open(20, Level::Plain), Binding::NONE);
        assert_eq!(Ear::default().listen(&out[..n]), [Heard::Foreign]);
    }
}
