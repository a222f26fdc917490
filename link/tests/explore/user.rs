//! An end: the real link, and a user who writes, reads, and believes what it is told.

use link::{Class, Config, Event, Instant, Link, Path, State};

use crate::case::Case;
use crate::mock::Mock;

/// Most transmissions under way, the least there may be.
const TABLE: usize = 17;
/// Room for one channel and one more.
const CHANNELS: usize = 2;

pub type Real = Link<Vec<u8>, TABLE, CHANNELS, Option<Mock>, Vec<Path<TABLE, Option<Mock>>>>;

/// How it ended for the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Over {
    No,
    Finished,
    Lost,
}

/// What a user did and knows. Bytes are counted, and each names its end, its run, and which frame of data it is of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct User {
    /// Which end, and how often that was started before.
    pub end: usize,
    pub run: u8,
    pub to_write: u16,
    pub written: u16,
    pub finished: bool,
    /// It waits: with everything, with the end of its stream, with reading.
    pub held: bool,
    pub late: bool,
    pub stalled: bool,
    /// Whose bytes it read, how many, and how many its link had for it.
    pub from: Option<u8>,
    pub read: u16,
    pub received: u16,
    pub at_end: bool,
    pub confirmed: bool,
    /// What it was told.
    pub opened: bool,
    pub delivered: bool,
    pub over: Over,
    /// Its channel, where there are some, and whether that was reset.
    pub channel: Option<u16>,
    pub reset: bool,
}

/// A byte of unit `at` of the stream of a run of an end.
fn byte(end: usize, run: u8, at: u16) -> u8 {
    (end as u8) << 7 | (run & 7) << 4 | (at & 15) as u8
}

/// A process.
#[derive(Clone)]
pub struct End {
    pub link: Box<Real>,
    pub user: User,
    /// It has gone away, and nobody is there.
    pub gone: bool,
}

impl End {
    /// The process of an end that was started `run` times before. Ids are such that the order of both turns around with
    /// each start.
    pub fn new(case: &Case, end: usize, run: u8, now: Instant) -> End {
        let config = Config {
            payload_max: case.unit,
            keepalive_us: case.keepalive_us(),
            grace_us: case.grace_us(),
            ..Config::for_baud(0)
        };
        let id = 10 + 10 * end as u64 + 20 * u64::from(run);
        let path = |at| {
            let handshake = case.sealed.then(|| Mock::new(100 * id + at as u64));
            Path::new(config, now, case.channels).sealed(handshake)
        };
        let sole = (!case.channels).then(|| (vec![0; case.window], vec![0; case.window]));
        let link = Link::bonded(0, id, now, (0..case.paths).map(path).collect(), sole);
        let to_write = case.unit * u16::from(if run == 0 { case.bytes[end] } else { case.next[end] });
        let user = User {
            end,
            run,
            to_write,
            written: 0,
            finished: false,
            held: false,
            late: case.late,
            stalled: false,
            from: None,
            read: 0,
            received: 0,
            at_end: false,
            confirmed: false,
            opened: false,
            delivered: false,
            over: Over::No,
            channel: (!case.channels).then_some(0),
            reset: false,
        };
        End { link: Box::new(link), user, gone: false }
    }

    /// The user does what can be done now.
    pub fn act(&mut self, case: &Case, now: Instant) -> Result<(), String> {
        self.hear(case)?;
        if !self.user.held {
            if case.channels && self.user.end == 0 && self.user.channel.is_none() {
                self.user.channel = self.link.open(b"x", Class::Bulk, vec![0; case.window], vec![0; case.window]).ok();
            }
            self.write(case.unit);
            if !self.user.stalled {
                self.read(case.unit, now)?;
            }
            self.hear(case)?;
        }
        Ok(())
    }

    fn hear(&mut self, case: &Case) -> Result<(), String> {
        while let Some(event) = self.link.poll_event() {
            let user = &mut self.user;
            if user.over != Over::No && !case.channels {
                return Err(format!("news behind the last: {event:?} at {}", user.name()));
            }
            match event {
                Event::Opened { .. } => user.opened = true,
                Event::Asked(id) => {
                    let accepted = self.link.accept(id, Class::Bulk, vec![0; case.window], vec![0; case.window]);
                    user.channel = accepted.is_ok().then_some(id);
                }
                Event::Finished | Event::Closed(_) => user.over = Over::Finished,
                Event::Reset(..) => (user.over, user.reset) = (Over::Lost, true),
                Event::Lost(loss) if user.over == Over::No => {
                    user.over = Over::Lost;
                    if user.delivered {
                        return Err(format!("FALSE LOSS: {} knows that all was delivered and says {loss:?}", user.name()));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn write(&mut self, unit: u16) {
        let (link, user) = (&mut self.link, &mut self.user);
        let Some(id) = user.channel.filter(|_| !user.reset) else { return };
        while user.written < user.to_write {
            let next = [byte(user.end, user.run, user.written / unit)];
            let taken = if id == 0 { link.write(&next) } else { link.channel(id).map_or(0, |channel| channel.write(&next)) };
            if taken == 0 {
                return;
            }
            user.written += 1;
        }
        if !user.finished && !user.late {
            user.finished = true;
            if id == 0 { link.finish() } else { link.channel(id).into_iter().for_each(|channel| channel.finish()) }
        }
    }

    fn read(&mut self, unit: u16, now: Instant) -> Result<(), String> {
        let (link, user) = (&mut self.link, &mut self.user);
        let Some(id) = user.channel else { return Ok(()) };
        let mut got = [0; 1024];
        let n = if id == 0 { link.read(&mut got) } else { link.channel(id).map_or(0, |channel| channel.read(&mut got)) };
        if n > 0 && user.at_end {
            return Err(format!("BYTES BEHIND THE END at {}", user.name()));
        }
        for got in &got[..n] {
            let run = got >> 4 & 7;
            if usize::from(got >> 7) == user.end {
                return Err(format!("OWN BYTES: {} reads what it wrote", user.name()));
            }
            if *user.from.get_or_insert(run) != run || *got != byte(1 - user.end, run, user.read / unit) {
                return Err(format!(
                    "NOT A PREFIX: {} reads of unit {} of run {run} as byte {}",
                    user.name(),
                    got & 15,
                    user.read
                ));
            }
            user.read += 1;
        }
        let end = if id == 0 { link.at_end() } else { link.channel(id).is_some_and(|channel| channel.at_end()) };
        if (n > 0 || end) && !user.opened {
            return Err(format!("NOT OPENED: {} has news of a peer it was not told of", user.name()));
        }
        if end && !user.at_end {
            (user.at_end, user.confirmed) = (true, true);
            if id == 0 { link.confirm(now) } else { link.channel(id).into_iter().for_each(|channel| channel.confirm()) }
        }
        Ok(())
    }

    /// What its link says of its stream: delivered, sent; and how much it has for the user.
    pub fn claims(&mut self) -> (bool, bool) {
        let (link, user) = (&mut self.link, &mut self.user);
        let (delivered, sent, readable) = match user.channel {
            Some(0) => (link.is_delivered(), link.is_sent(), link.readable()),
            Some(id) => link
                .channel(id)
                .map_or((false, false, 0), |channel| (channel.is_delivered(), channel.is_sent(), channel.readable())),
            None => (false, false, 0),
        };
        user.received = user.received.max(user.read + readable as u16);
        user.delivered |= delivered;
        (delivered || (user.over == Over::Finished), sent)
    }

    /// Whether its session has ended early.
    pub fn has_ended(&self) -> bool {
        self.link.state() == State::Ended
    }
}

impl User {
    pub fn name(&self) -> String {
        format!("{}{}", ["A", "B"][self.end], self.run + 1)
    }
}
