//! Two ends on a wire that takes no time: every frame is seen, and may be altered, before it is heard.

use link::hello::{ANSWER_TEXT, Answer, CALL_TEXT, Handshake, Keys, Message};
use link::wire::seal::Key;
use link::{Config, FRAME_MAX, Instant, Link};

/// Keys without a handshake; none: the session is plain.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fixed(pub(super) Option<[[u8; 32]; 2]>);

impl Fixed {
    /// Of the end that calls, or of the one that answers.
    fn keys(&self, calls: bool) -> Option<Keys> {
        let [caller, answering] = self.0?.map(Key::from);
        let (send, recv) = if calls { (caller, answering) } else { (answering, caller) };
        Some(Keys { send, recv, peer: None })
    }
}

impl Handshake for Fixed {
    fn is_sealed(&self) -> bool {
        self.0.is_some()
    }
    fn call(&mut self, _: u64, text: &[u8; CALL_TEXT]) -> Option<(u8, Message)> {
        Some((3, Message::from_slice(text).ok()?))
    }
    fn answered(&mut self, _: u8, message: &[u8]) -> Option<(Keys, [u8; ANSWER_TEXT])> {
        Some((self.keys(true)?, message.try_into().ok()?))
    }
    fn answer(&mut self, _: u8, _: u64, call: &[u8], text: &[u8; ANSWER_TEXT]) -> Option<Answer> {
        Some(Answer { message: Message::from_slice(text).ok()?, keys: self.keys(false)?, text: call.try_into().ok()? })
    }
}

/// Both ends, and their time.
pub(super) struct Pair {
    pub(super) ends: [Link<Vec<u8>, 64, 1, Fixed>; 2],
    pub(super) now: Instant,
}

impl Pair {
    pub(super) fn new(config: Config, ids: [u64; 2], handshake: Fixed) -> Pair {
        let now = Instant::from_micros(1_000_000);
        let end = |id| Link::new(config, id, now, vec![0; 4096], vec![0; 4096]).sealed(handshake);
        Pair { ends: ids.map(end), now }
    }
    /// Lets both speak in turn until neither has anything to say now. `wire` has the number of the end that speaks and its
    /// frame, and gives what the other one hears.
    pub(super) fn settle(&mut self, wire: &mut impl FnMut(usize, &[u8]) -> Vec<u8>) {
        let mut out = vec![0; FRAME_MAX];
        while let Some((from, n)) = (0..2).find_map(|i| Some((i, self.ends[i].poll_transmit(&mut out, self.now)?))) {
            let heard = wire(from, &out[..n]);
            self.ends[1 - from].handle_bytes(&heard, self.now);
        }
    }
    /// To the next moment at which one of them has something to do; false when there is none.
    pub(super) fn wait(&mut self) -> bool {
        let Some(next) = self.ends.iter().filter_map(|end| end.poll_timeout()).min() else { return false };
        self.now = next.max(self.now);
        self.ends.iter_mut().for_each(|end| end.handle_timeout(self.now));
        true
    }
    /// Until `done`, at most a second.
    pub(super) fn run_until(&mut self, wire: &mut impl FnMut(usize, &[u8]) -> Vec<u8>, done: impl Fn(&Pair) -> bool) {
        let end = self.now.after(1_000_000);
        loop {
            self.settle(wire);
            if done(self) || !self.wait() {
                return;
            }
            assert!(self.now <= end, "it should have been over");
        }
    }
}
