//! Two ends that measure the wire between them. They meet at a rate both have; the one with the higher id leads: it
//! asks for one thing after the other, and asks again until it is answered.

use std::collections::VecDeque;

use link::Instant;
use link::wire::Level;

use super::lines::{Outputs, Wiring};
use super::message::{Ear, Heard, Introduction, Message, Reply, Request, frame_again};
use super::report::Row;
use super::trial::{Counted, Course, Echoes, MS_MAX, Reading, Setup as TrialSetup, pattern_ms};
use super::{Alone, Ending, Measuring, News, Order};

/// Between two hellos, or two repetitions of what is asked, beside the time it takes on the wire (µs).
const AGAIN_US: u64 = 250_000;
/// Hellos after which those of both ends are taken for being said at the same time.
const PATIENT: u32 = 4;
/// Bytes of the longest usual message.
const LONG: u64 = 700;
/// When it is said that nobody answers (µs).
const ALONE_US: u64 = 3_000_000;
/// A peer that is silent for longer, beside the time a trial takes, is lost (µs).
const LOST_US: u64 = 15_000_000;
/// The other end may come home so much later (µs).
const HOME_US: u64 = 200_000;
/// How long the last answer is given again (µs), and how long it is waited for.
const FAREWELL_US: u64 = 1_500_000;
/// So many rates without a readable byte in either direction: higher ones are left out.
const DEAD: u32 = 2;

/// What an end must be told.
#[derive(Clone, Debug)]
pub struct Setup {
    /// A random id, not 0.
    pub me: u64,
    /// Where both ends meet, in bits per second.
    pub base: u32,
    /// What this end is.
    pub what: Introduction,
    /// Milliseconds of pattern at each rate, if this end leads.
    pub ms: u32,
    /// How long a peer is waited for (µs).
    pub patience_us: u64,
}

/// Something the leading end has yet to do.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Job {
    /// Our outputs so; what are the inputs?
    OurLines(usize),
    /// The peer's outputs so; what are the inputs?
    TheirLines(usize),
    /// Try a rate.
    Try(u32),
    /// Exchange what was read.
    Read,
    /// Done.
    Bye,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Not met yet.
    None,
    Leading,
    Following,
}

/// One of two ends.
#[derive(Debug)]
pub struct Pair {
    setup: Setup,
    role: Role,
    course: Course,
    over: bool,
    ear: Ear,
    out: Vec<u8>,
    orders: VecDeque<Order>,
    peer: u64,
    peer_what: Introduction,
    began: Instant,
    /// When the peer was heard last, and first while it did not hear us.
    heard_at: Instant,
    unheard_since: Option<Instant>,
    heard_ourselves: bool,
    heard_foreign: bool,
    told: Option<Alone>,
    hello_at: Instant,
    /// Hellos said so far, and all that was said.
    hellos: u32,
    said: u32,
    /// The leading end: what is left to do, what is asked.
    jobs: VecDeque<Job>,
    number: u32,
    asked: Option<(Request, Instant)>,
    /// The following end: the last answer; one that waits for the inputs.
    answered: Option<Reply>,
    owes_lines: bool,
    reading: Option<Reading>,
    dead: u32,
    wiring: Option<Wiring>,
    /// The end that follows has been told goodbye.
    over_at: Option<Instant>,
}

impl Pair {
    /// Begins to call.
    pub fn new(setup: Setup, now: Instant) -> Pair {
        Pair {
            setup,
            role: Role::None,
            course: Course::Home,
            over: false,
            ear: Ear::default(),
            out: Vec::new(),
            orders: VecDeque::new(),
            peer: 0,
            peer_what: Introduction::default(),
            began: now,
            heard_at: now,
            unheard_since: None,
            heard_ourselves: false,
            heard_foreign: false,
            told: None,
            hello_at: now,
            hellos: 0,
            said: 0,
            jobs: VecDeque::new(),
            number: 0,
            asked: None,
            answered: None,
            owes_lines: false,
            reading: None,
            dead: 0,
            wiring: None,
            over_at: None,
        }
    }

    fn alone_us(&self) -> u64 {
        // a hello each, and one that answers
        ALONE_US.max(2 * self.long_us())
    }
    fn lost_us(&self) -> u64 {
        LOST_US + 4 * self.long_us() + 2_000 * u64::from(pattern_ms(self.setup.ms, self.setup.base))
    }
    fn farewell_us(&self) -> u64 {
        FAREWELL_US.max(2 * self.again_us())
    }
    /// What the longest usual message takes on the wire where ends meet.
    fn long_us(&self) -> u64 {
        LONG * 10_000_000 / u64::from(self.setup.base.max(1))
    }
    fn again_us(&self) -> u64 {
        AGAIN_US + self.long_us()
    }
    /// What is added to the wait for a hello, up to half of it, once some were said in vain: two ends must not speak together
    /// for ever, where what they say at once is mingled (the wire has an echo).
    fn stray_us(&self) -> u64 {
        if self.hellos < PATIENT {
            return 0;
        }
        let mixed = (self.setup.me ^ u64::from(self.hellos) << 32).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
        let mixed = (mixed ^ mixed >> 32).wrapping_mul(0xC4CE_B9FE_1A85_EC53);
        (self.again_us() / 2 * (mixed >> 54)) >> 10
    }
    /// Never with the same bytes twice in a row.
    fn say(&mut self, message: &Message) {
        self.out.extend(frame_again(self.setup.me, message, Level::Sixteen, self.said));
        self.said = self.said.wrapping_add(1);
    }
    fn answer(&mut self, n: u32, reply: Reply) {
        self.say(&Message::Answer { to: self.peer, n, reply });
    }
    fn end(&mut self, ending: Ending) {
        self.over = true;
        self.orders.push_back(Order::Done(ending));
    }
    /// The peer is heard no more, or nothing of what it says arrives: what was read here is told all the same.
    fn lost(&mut self) {
        if let Some(reading) = self.reading.take() {
            self.orders.push_back(Order::Say(News::Tried(Box::new(Row::of_one(reading, None)))));
        }
        self.end(match self.ear.alone() {
            alone @ (Alone::Altered | Alone::SevenBits) => Ending::Alone(alone),
            _ => Ending::Lost,
        });
    }
    fn whole(&mut self) {
        self.end(Ending::Whole { wiring: self.wiring, peer_timer_ms: self.peer_what.timer_ms });
    }
    /// From the seed that the leading end chose: what it sends, and what the other one does.
    fn trial(&self, baud: u32, ms: u32, seed: u64) -> TrialSetup {
        let (send, hear, echoes) = match self.role {
            Role::Leading => (seed, seed.wrapping_add(1), Echoes::Ask),
            _ => (seed.wrapping_add(1), seed, Echoes::Give),
        };
        TrialSetup { me: self.setup.me, peer: self.peer, baud, ms, send: Some(send), hear: Some(hear), echoes }
    }
    fn leave(&mut self, trial: TrialSetup) {
        self.orders.push_back(Order::Say(News::Trying(trial.baud, trial.ms)));
        self.orders.push_back(Order::Rate(trial.baud));
        self.course = Course::Leaving(trial);
    }

    // ---- meeting ------------------------------------------------------------------------------

    fn alone(&self, now: Instant) -> Alone {
        match () {
            () if self.unheard_since.is_some_and(|t| now.since(t) >= self.alone_us()) => Alone::Unheard,
            () if self.heard_ourselves => Alone::Ourselves,
            () if self.heard_foreign => Alone::Foreign,
            () => self.ear.alone(),
        }
    }
    fn handle_hello(&mut self, from: u64, heard: u64, what: Introduction, now: Instant) {
        // whoever still has to meet somebody does not know what we are at
        let is_new = match self.role {
            Role::None => false,
            Role::Leading => from != self.peer || heard != self.setup.me,
            Role::Following => true,
        };
        if is_new {
            *self = Pair { out: std::mem::take(&mut self.out), ..Pair::new(self.setup.clone(), now) };
            self.orders.push_back(Order::Say(News::Again));
            self.orders.push_back(Order::Lines(Outputs::ON));
        }
        self.heard_at = now;
        if self.role != Role::None {
            return;
        }
        (self.peer, self.peer_what) = (from, what);
        if heard != self.setup.me {
            self.unheard_since.get_or_insert(now);
            return;
        }
        self.unheard_since = None;
        if self.setup.me > from {
            // it has to hear that as well, or it would not know what follows
            self.hello();
            self.lead();
            self.orders.push_back(Order::Say(News::Met));
        }
    }
    fn hello(&mut self) {
        self.say(&Message::Hello { heard: self.peer, what: self.setup.what.clone() });
    }
    fn lead(&mut self) {
        self.role = Role::Leading;
        if self.setup.what.lines && self.peer_what.lines {
            self.wiring = Some(Wiring::default());
            self.jobs.extend((0..Outputs::ALL.len()).map(Job::OurLines));
            self.jobs.extend((0..Outputs::ALL.len()).map(Job::TheirLines));
        }
        for &baud in self.setup.what.rates.iter().filter(|b| self.peer_what.rates.contains(b)) {
            self.jobs.extend([Job::Try(baud), Job::Read]);
        }
        self.jobs.push_back(Job::Bye);
    }

    // ---- leading ------------------------------------------------------------------------------

    fn ask(&mut self, request: Request, now: Instant) {
        self.number += 1;
        self.asked = Some((request, now));
    }
    /// Begins the next job, if none is under way.
    fn work(&mut self, now: Instant) {
        if self.role != Role::Leading || self.asked.is_some() || self.owes_lines || !self.course.is_home() {
            return;
        }
        match self.jobs.front().copied() {
            Some(Job::OurLines(i)) => self.set_lines(Outputs::ALL[i]),
            Some(Job::TheirLines(i)) => self.ask(Request::Lines(Outputs::ALL[i]), now),
            Some(Job::Try(baud)) => {
                let seed = self.setup.me.wrapping_add(2 * u64::from(self.number));
                self.ask(Request::Try { baud, ms: pattern_ms(self.setup.ms, baud), seed }, now);
            }
            Some(Job::Read) => match self.reading.clone() {
                Some(reading) => self.ask(Request::Read(Box::new(reading)), now.after(HOME_US)),
                None => drop(self.jobs.pop_front()),
            },
            Some(Job::Bye) => {
                self.over_at = Some(now.after(self.farewell_us()));
                self.ask(Request::Bye(self.wiring), now);
            }
            None => {}
        }
    }
    fn set_lines(&mut self, outputs: Outputs) {
        self.owes_lines = true;
        self.orders.push_back(Order::Lines(outputs));
    }
    fn handle_answer(&mut self, n: u32, reply: Reply, now: Instant) {
        if self.role != Role::Leading || n != self.number || !self.course.is_home() {
            return;
        }
        let Some((request, _)) = self.asked.take() else { return };
        let job = self.jobs.front().copied();
        match (request, reply, job) {
            (Request::Try { baud, ms, seed }, Reply::Yes, _) => {
                self.jobs.pop_front();
                let trial = self.trial(baud, ms, seed);
                self.leave(trial);
            }
            (Request::Read(mine), Reply::Read(theirs), _) => {
                self.jobs.pop_front();
                self.tried(*mine, *theirs);
            }
            (Request::Lines(_), Reply::Lines(inputs), Some(Job::OurLines(i))) => {
                self.wiring.get_or_insert_default().to_peer[i] = inputs;
                self.jobs.pop_front();
            }
            (Request::Lines(_), Reply::Lines(inputs), Some(Job::TheirLines(i))) => {
                self.wiring.get_or_insert_default().peer_own[i] = inputs;
                self.set_lines(Outputs::ON);
            }
            (Request::Bye(_), ..) => return self.whole(),
            // an answer to another question: whoever gives it is out of order, and is asked again
            (request, ..) => self.asked = Some((request, now.after(self.again_us()))),
        }
        self.work(now);
    }
    fn tried(&mut self, mine: Reading, theirs: Reading) {
        // or no faster than a rate far below: what is between the ends has one of its own
        let useless = |read: &Reading| !read.is_readable() || read.per_second < f64::from(read.baud) / 20.0;
        let is_dead = useless(&mine) && useless(&theirs);
        self.dead = if is_dead { self.dead + 1 } else { 0 };
        if self.dead >= DEAD {
            self.jobs.retain(|job| *job == Job::Bye);
        }
        self.reading = None;
        self.orders.push_back(Order::Say(News::Tried(Box::new(Row::of_two(mine, theirs)))));
    }

    // ---- following ----------------------------------------------------------------------------

    fn handle_request(&mut self, from: u64, n: u32, request: Request, now: Instant) {
        if self.role == Role::None {
            (self.role, self.peer) = (Role::Following, from);
            self.orders.push_back(Order::Say(News::Met));
        }
        let is_absurd = matches!(request, Request::Try { baud, ms, .. } if baud == 0 || ms > MS_MAX);
        if self.role != Role::Following || from != self.peer || is_absurd {
            return;
        }
        if n == self.number && self.owes_lines {
            return;
        }
        if let (Some(reply), true) = (self.answered.clone(), n == self.number) {
            self.answer(n, reply);
            // it did not hear that we went: it is still there, and we go again
            if let Request::Try { baud, ms, seed } = request {
                self.leave(self.trial(baud, ms, seed));
            }
            return;
        }
        self.number = n;
        let reply = match request {
            Request::Lines(outputs) => return self.set_lines(outputs),
            Request::Try { baud, ms, seed } => {
                self.leave(self.trial(baud, ms, seed));
                Reply::Yes
            }
            Request::Read(theirs) => {
                let mine = self.reading.take().unwrap_or_else(|| Reading::refused(theirs.baud, "not tried"));
                self.orders.push_back(Order::Say(News::Tried(Box::new(Row::of_two(mine.clone(), *theirs)))));
                Reply::Read(Box::new(mine))
            }
            Request::Bye(wiring) => {
                self.wiring = wiring.map(Wiring::mirrored);
                self.over_at = Some(now.after(self.farewell_us()));
                Reply::Yes
            }
        };
        self.answered = Some(reply.clone());
        self.answer(n, reply);
    }

    fn handle_message(&mut self, from: u64, message: Message, now: Instant) {
        if from == self.setup.me {
            self.heard_ourselves = true;
            return;
        }
        match message {
            Message::Hello { heard, what } => self.handle_hello(from, heard, what, now),
            Message::Ask { to, n, request } if to == self.setup.me && (self.role == Role::None || from == self.peer) => {
                self.heard_at = now;
                self.handle_request(from, n, request, now);
            }
            Message::Answer { to, n, reply } if from == self.peer && to == self.setup.me => {
                self.heard_at = now;
                self.handle_answer(n, reply, now);
            }
            _ => {}
        }
    }
}

impl Measuring for Pair {
    fn handle_bytes(&mut self, bytes: &[u8], now: Instant) {
        if self.over || self.course.handle_bytes(bytes, now) {
            return;
        }
        for heard in self.ear.listen(bytes) {
            match heard {
                Heard::Message(from, message) => self.handle_message(from, message, now),
                Heard::Foreign => self.heard_foreign = true,
            }
        }
    }

    fn handle_rate(&mut self, set: Result<(), String>, counted: Counted, now: Instant) {
        self.ear.reset();
        if let Some(reading) = self.course.handle_rate(set, counted, now) {
            self.reading = Some(reading);
        }
        self.heard_at = now;
        self.work(now);
    }

    fn handle_lines(&mut self, inputs: u8, now: Instant) {
        if !std::mem::take(&mut self.owes_lines) {
            return;
        }
        if self.role == Role::Following {
            self.answered = Some(Reply::Lines(inputs));
            return self.answer(self.number, Reply::Lines(inputs));
        }
        let wiring = self.wiring.get_or_insert_default();
        match self.jobs.front().copied() {
            Some(Job::OurLines(i)) => {
                wiring.own[i] = inputs;
                self.ask(Request::Lines(Outputs::ON), now);
            }
            Some(Job::TheirLines(i)) => {
                wiring.from_peer[i] = inputs;
                self.jobs.pop_front();
            }
            _ => {}
        }
        self.work(now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.course.is_due(now) {
            self.orders.push_back(Order::Rate(self.setup.base));
        }
        if self.over || !self.course.is_home() {
            return;
        }
        if self.role == Role::None {
            self.wait_for_peer(now);
        } else if self.over_at.is_some_and(|at| now >= at) {
            self.whole();
        } else if now.since(self.heard_at) > self.lost_us() {
            self.lost();
        } else {
            self.work(now);
        }
    }

    fn poll_timeout(&self, now: Instant) -> Instant {
        // hellos and repetitions are due at distances far above this
        self.course.poll_timeout(now).unwrap_or(now.after(20_000))
    }

    fn poll_transmit(&mut self, now: Instant, room: usize) -> Vec<u8> {
        if !self.course.is_home() && self.out.is_empty() {
            return self.course.poll_transmit(now, room);
        }
        let due = self.asked.as_ref().filter(|(_, at)| now >= *at && self.course.is_home());
        if let Some((request, _)) = due {
            let message = Message::Ask { to: self.peer, n: self.number, request: request.clone() };
            let next = now.after(self.again_us());
            if let Some(asked) = &mut self.asked {
                asked.1 = next;
            }
            self.say(&message);
        }
        std::mem::take(&mut self.out)
    }

    fn handle_closed(&mut self) -> bool {
        // goodbye was said
        let is_over = self.over || self.over_at.is_some();
        if is_over && !self.over {
            self.whole();
        }
        is_over
    }

    fn poll_order(&mut self) -> Option<Order> {
        self.orders.pop_front()
    }
}

impl Pair {
    fn wait_for_peer(&mut self, now: Instant) {
        if now >= self.hello_at {
            self.hello_at = now.after(self.again_us() + self.stray_us());
            self.hellos = self.hellos.wrapping_add(1);
            self.hello();
        }
        let alone = self.alone(now);
        if now.since(self.began) >= self.setup.patience_us {
            self.end(Ending::Alone(alone));
        } else if now.since(self.began) >= self.alone_us() && self.told != Some(alone) {
            self.told = Some(alone);
            self.orders.push_back(Order::Say(News::Alone(alone)));
        }
    }
}
