//! What two ends of a measurement say to each other, at a rate that both have: JSON in the strongest armour there is,
//! so that it passes where nothing else would.

use link::wire::frame::body_at;
use link::wire::{BODY_MAX, Binding, Deframer, FRAME_MAX, Head, Level, Whose, write_frame};
use serde::{Deserialize, Serialize};

use super::Alone;
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
    frame_again(me, message, level, 0)
}

/// Blanks behind a message that is said again, at most.
const BLANKS: u32 = 16;
/// So many messages that began, and of which the rest was not heard, are no chance.
const ALTERED: u32 = 4;

/// The same for what is said again, the `n`th time: with other bytes, by blanks behind it. On a wire that does not carry some
/// value, a frame that has it in its check or armour would never arrive.
pub fn frame_again(me: u64, message: &Message, level: Level, n: u32) -> Vec<u8> {
    let mut body = MARK.to_vec();
    body.push(VERSION);
    body.extend(me.to_le_bytes());
    body.extend(serde_json::to_vec(message).unwrap_or_default());
    let blanks = BODY_MAX.saturating_sub(body.len()).min((n % BLANKS) as usize);
    body.extend(std::iter::repeat_n(b' ', blanks));
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
    /// Of these, those whose highest bit was set.
    high: u64,
    /// Messages that began and were not heard to their end, those that were, and how much of a mark has come.
    begun: u32,
    whole: u32,
    mark_at: usize,
}

impl Default for Ear {
    fn default() -> Ear {
        let mut deframer = Deframer::default();
        // frames of a session are to be told from noise
        deframer.bind(0, 0);
        Ear { deframer, heard: 0, high: 0, begun: 0, whole: 0, mark_at: 0 }
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
        self.note(bytes);
        while !bytes.is_empty() {
            let taken = self.deframer.push(bytes);
            bytes = &bytes[taken..];
            while let Some(frame) = self.deframer.next_frame() {
                found.push(if frame.whose == Whose::Nobody { read(frame.body) } else { Heard::Foreign });
                self.whole = self.whole.saturating_add(1);
            }
            if taken == 0 {
                self.deframer.reset();
            }
        }
        found
    }
    fn note(&mut self, bytes: &[u8]) {
        self.heard += bytes.len() as u64;
        for &byte in bytes {
            self.high += u64::from(byte >= 0x80);
            // no begin of the mark is in it twice
            self.mark_at = if byte == MARK[self.mark_at] { self.mark_at + 1 } else { usize::from(byte == MARK[0]) };
            if self.mark_at == MARK.len() {
                (self.begun, self.mark_at) = (self.begun.saturating_add(1), 0);
            }
        }
    }
    /// What is heard while no peer is: nothing, noise, or what is left of a test's messages, most of which do not arrive.
    pub fn alone(&self) -> Alone {
        let broken = self.begun.saturating_sub(self.whole);
        match () {
            () if self.heard == 0 => Alone::Silence,
            () if broken < ALTERED || broken <= self.whole => Alone::Noise,
            () if self.high == 0 => Alone::SevenBits,
            () => Alone::Altered,
        }
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
    fn what_is_said_again_has_other_bytes() {
        let message = Message::Hello { heard: 7, what: Introduction::default() };
        let said: Vec<Vec<u8>> = (0..2 * BLANKS).map(|n| frame_again(5, &message, Level::Sixteen, n)).collect();
        assert_eq!(said[0], frame(5, &message, Level::Sixteen));
        assert_eq!((said[BLANKS as usize] == said[0], said[1..BLANKS as usize].contains(&said[0])), (true, false));
        let mut ear = Ear::default();
        assert!(said.iter().all(|bytes| ear.listen(bytes) == [Heard::Message(5, message.clone())]));
    }

    #[test]
    fn what_is_left_of_a_message_is_told_from_noise() {
        // a short one may be repaired even where each byte has lost a bit
        let message = Message::Hello { heard: 7, what: Introduction { rates: vec![115_200; 150], ..Introduction::default() } };
        let alone = |alter: fn(u8) -> Option<u8>| {
            let mut ear = Ear::default();
            for n in 0..8 {
                let bytes: Vec<u8> = frame_again(5, &message, Level::Sixteen, n).into_iter().filter_map(alter).collect();
                assert_eq!(ear.listen(&bytes), []);
            }
            ear.alone()
        };
        assert_eq!(alone(|byte| Some(byte & 0x7F)), Alone::SevenBits);
        assert_eq!(alone(|byte| Some(byte).filter(|byte| *byte != b'"')), Alone::Altered);
        assert_eq!((alone(|byte| Some(byte ^ 1)), Ear::default().alone()), (Alone::Noise, Alone::Silence));
    }

    #[test]
    fn other_frames_are_foreign() {
        let mut out = vec![0; 100];
        out[body_at(Level::Plain)] = 7;
        let n = write_frame(&mut out, Head::open(20, Level::Plain), Binding::NONE);
        assert_eq!(Ear::default().listen(&out[..n]), [Heard::Foreign]);
    }
}
