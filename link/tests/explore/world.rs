//! Both ends, the wires between them, and what can happen next.

use std::collections::VecDeque;

use link::explore::Digest;
use link::{CloseCode, FRAME_MAX, Instant, ResetCode, State};

use crate::case::{Case, Faults};
use crate::frame::Frame;
use crate::user::{End, Over, User};

/// A timer waits while more frames than this are under way.
const CROWD: usize = 4;
/// A frame of more bytes is long.
const LONG: usize = 280;
/// Frames an end may send at a time; turns it may say that it is due at the same moment.
const BURST: usize = 64;
const TURNS: usize = 8;

/// What noise does to a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    Turn,
    Miss,
    Extra,
}

/// What can happen; 0 is end A, and frames are named by the end they go to and the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    Deliver(u8, u8),
    Lose(u8, u8),
    /// A long frame arrives, but a bit of its payload has turned, some bytes of it are missing, or some have come in.
    Damage(u8, u8, Harm),
    /// The clock jumps to the next timer of an end, and that runs out. Those of the other may be late.
    Fire(u8),
    Crash(u8),
    /// A process dies, and is started anew half a grace time later; meanwhile the wire is good, and nobody hears.
    Replace(u8),
    Stall(u8),
    Resume(u8),
    /// The user ends its stream.
    Finish(u8),
    Close(u8),
    Reset(u8),
    Kill(u8),
    Revive(u8),
    Sleep,
    Leave(u8),
}

/// A state.
#[derive(Clone)]
pub struct World {
    pub case: &'static Case,
    pub now: Instant,
    pub ends: [End; 2],
    /// Under way to an end by a path.
    pub wires: [Vec<VecDeque<Frame>>; 2],
    pub dead: [bool; 2],
    pub left: Faults,
    /// Users of processes that died.
    pub past: Vec<User>,
}

impl World {
    pub fn new(case: &'static Case) -> World {
        let now = Instant::from_micros(60_000_000);
        let wires = || vec![VecDeque::new(); case.paths];
        let ends = [0, 1].map(|end| End::new(case, end, 0, now));
        let mut world =
            World { case, now, ends, wires: [wires(), wires()], dead: [false; 2], left: case.faults, past: Vec::new() };
        if case.warm {
            world.warm();
        }
        world
    }
    /// Both ends meet before their users begin.
    fn warm(&mut self) {
        let all = self.ends.each_ref().map(|end| end.user.to_write);
        for End { user, .. } in &mut self.ends {
            (user.held, user.late) = (true, true);
            user.to_write = self.case.unit * u16::from(self.case.before);
        }
        while !(self.is_quiet() && self.ends.iter().all(|end| end.user.opened)) {
            self.go_on().expect("ends that do nothing meet");
        }
        self.ends.iter_mut().for_each(|end| end.user.held = false);
        (0..2).for_each(|end| self.serve(end).map(drop).expect("users begin"));
        while self.case.before > 0 && !(self.is_quiet() && self.ends.iter().all(|end| end.user.read == end.user.written)) {
            self.go_on().expect("data pass");
        }
        for (End { user, .. }, all) in self.ends.iter_mut().zip(all) {
            (user.to_write, user.late) = (all, self.case.late);
        }
        (0..2).for_each(|end| self.serve(end).map(drop).expect("users begin"));
    }

    /// Nothing is under way.
    pub fn is_quiet(&self) -> bool {
        self.wires.iter().flatten().all(VecDeque::is_empty)
    }

    // ---- what can happen ----------------------------------------------------------------------

    pub fn choices(&self) -> Vec<Choice> {
        let mut list = Vec::new();
        for (to, path) in (0..2).flat_map(|to| (0..self.case.paths).map(move |path| (to, path))) {
            if !self.wires[to][path].is_empty() {
                list.push(Choice::Deliver(to as u8, path as u8));
                if self.left.lose > 0 {
                    list.push(Choice::Lose(to as u8, path as u8));
                }
                if self.left.damage > 0 && self.wires[to][path][0].bytes.len() > LONG {
                    let harms = [Harm::Turn, Harm::Miss, Harm::Extra];
                    list.extend(harms.map(|harm| Choice::Damage(to as u8, path as u8, harm)));
                }
            }
        }
        let quiet = self.is_quiet();
        for end in 0..2 {
            let crowd = self.wires[1 - end].iter().any(|wire| wire.len() > CROWD);
            let waits = !self.ends[end].gone && self.ends[end].link.poll_timeout().is_some();
            if waits && (quiet || (self.left.delay > 0 && !crowd)) {
                list.push(Choice::Fire(end as u8));
            }
            self.user_choices(end, &mut list);
        }
        let paths = || (0..self.case.paths).filter(|_| self.case.paths > 1);
        if self.left.kill > 0 && !self.dead.contains(&true) {
            list.extend(paths().map(|path| Choice::Kill(path as u8)));
        }
        if self.left.revive > 0 {
            list.extend(paths().filter(|path| self.dead[*path]).map(|path| Choice::Revive(path as u8)));
        }
        if self.left.sleep > 0 {
            list.push(Choice::Sleep);
        }
        list
    }

    fn user_choices(&self, end: usize, list: &mut Vec<Choice>) {
        let (left, e, End { user, gone, .. }) = (&self.left, end as u8, &self.ends[end]);
        let busy = !gone && user.over == Over::No;
        let mut may = |when: bool, choice| when.then(|| list.push(choice));
        may(left.crash > 0, Choice::Crash(e));
        may(left.crash > 0, Choice::Replace(e));
        may(left.stall > 0 && busy && !user.stalled, Choice::Stall(e));
        may(user.stalled && busy, Choice::Resume(e));
        may(user.late && busy && user.written == user.to_write, Choice::Finish(e));
        may(left.close > 0 && busy, Choice::Close(e));
        may(left.reset > 0 && busy && user.channel.is_some() && !user.reset, Choice::Reset(e));
        may(left.leave > 0 && !gone && user.over == Over::Finished, Choice::Leave(e));
    }

    /// It happens.
    pub fn apply(&mut self, choice: Choice) -> Result<(), String> {
        match choice {
            Choice::Deliver(to, path) => self.deliver(to.into(), path.into()),
            Choice::Lose(to, path) => {
                self.left.lose -= 1;
                self.wires[usize::from(to)][usize::from(path)].pop_front();
                Ok(())
            }
            Choice::Damage(to, path, harm) => {
                self.left.damage -= 1;
                if let Some(frame) = self.wires[usize::from(to)][usize::from(path)].front_mut() {
                    *frame = frame.harmed(harm);
                }
                self.deliver(to.into(), path.into())
            }
            Choice::Fire(end) => {
                self.left.delay -= u8::from(!self.is_quiet());
                self.fire(end.into())
            }
            Choice::Crash(end) => {
                self.left.crash -= 1;
                self.restart(end.into());
                Ok(())
            }
            Choice::Replace(end) => {
                self.left.crash -= 1;
                self.replace(end.into())
            }
            Choice::Kill(path) => {
                (self.left.kill, self.dead[usize::from(path)]) = (self.left.kill - 1, true);
                self.wires.iter_mut().for_each(|wires| wires[usize::from(path)].clear());
                Ok(())
            }
            Choice::Revive(path) => {
                (self.left.revive, self.dead[usize::from(path)]) = (self.left.revive - 1, false);
                Ok(())
            }
            Choice::Sleep => {
                self.left.sleep -= 1;
                self.now = self.now.after(self.case.grace_us() + 1_000_000);
                Ok(())
            }
            other => self.use_it(other),
        }
    }

    /// A user does something.
    fn use_it(&mut self, choice: Choice) -> Result<(), String> {
        let (Choice::Stall(e) | Choice::Resume(e) | Choice::Finish(e) | Choice::Close(e) | Choice::Reset(e) | Choice::Leave(e)) =
            choice
        else {
            return Ok(());
        };
        let end = usize::from(e);
        let End { link, user, gone } = &mut self.ends[end];
        match choice {
            Choice::Stall(_) => (self.left.stall, user.stalled) = (self.left.stall - 1, true),
            Choice::Resume(_) => user.stalled = false,
            Choice::Finish(_) => user.late = false,
            Choice::Close(_) => {
                self.left.close -= 1;
                link.close(CloseCode::Interrupted);
                (user.over, user.delivered) = (Over::Lost, false);
                while link.poll_event().is_some() {}
            }
            Choice::Reset(_) => {
                self.left.reset -= 1;
                link.reset(user.channel.unwrap_or(0), ResetCode::Aborted);
                (user.over, user.reset) = (Over::Lost, true);
            }
            _ => (self.left.leave, *gone) = (self.left.leave - 1, true),
        }
        self.serve(end).map(drop)
    }

    /// A process is started anew; what is under way stays so.
    pub fn restart(&mut self, end: usize) {
        let old = std::mem::replace(&mut self.ends[end], End::new(self.case, end, 0, self.now));
        self.ends[end] = End::new(self.case, end, old.user.run + 1, self.now);
        self.past.push(old.user);
    }

    fn replace(&mut self, end: usize) -> Result<(), String> {
        let until = self.now.after(self.case.grace_us() / 2);
        self.ends[end].gone = true;
        while !self.is_quiet() || self.ends[1 - end].link.poll_timeout().is_some_and(|at| at < until) {
            self.go_on()?;
        }
        self.now = self.now.max(until);
        self.restart(end);
        Ok(())
    }

    // ---- how it happens -----------------------------------------------------------------------

    fn deliver(&mut self, to: usize, path: usize) -> Result<(), String> {
        let Some(frame) = self.wires[to][path].pop_front() else { return Ok(()) };
        if self.ends[to].gone {
            return Ok(());
        }
        self.ends[to].link.handle_bytes_of(path, &frame.bytes, self.now);
        self.serve(to).map(drop)
    }

    fn fire(&mut self, end: usize) -> Result<(), String> {
        let due = |world: &World| world.ends[end].link.poll_timeout();
        self.now = due(self).map_or(self.now, |at| at.max(self.now));
        for _ in 0..TURNS {
            self.ends[end].link.handle_timeout(self.now);
            self.serve(end)?;
            if due(self).is_none_or(|at| at > self.now) {
                return Ok(());
            }
        }
        Err(format!("DUE WITHOUT SENDING: {} spins", self.ends[end].user.name()))
    }

    /// The user acts, the link sends what it has to say.
    fn serve(&mut self, end: usize) -> Result<(), String> {
        self.ends[end].act(self.case, self.now)?;
        self.check(end)?;
        let mut out = [0; FRAME_MAX];
        for path in 0..self.case.paths {
            let mut sent = 0;
            while let Some(len) = self.ends[end].link.poll_transmit_of(path, &mut out, self.now) {
                let frame = Frame::new(&out[..len], self.ends[end].link.handshake_of(path).as_ref());
                sent += 1;
                if sent > BURST {
                    return Err(format!("ENDLESS SENDING: {}", self.ends[end].user.name()));
                }
                if !self.dead[path] {
                    self.carry(end, path, frame);
                }
            }
        }
        Ok(())
    }

    fn carry(&mut self, from: usize, path: usize, frame: Frame) {
        if self.case.echo {
            self.wires[from][path].push_back(frame.clone());
        }
        self.wires[1 - from][path].push_back(frame);
    }

    /// The next that happens on a good wire, in true time.
    pub fn go_on(&mut self) -> Result<(), String> {
        let under_way = (0..2).flat_map(|to| (0..self.case.paths).map(move |path| (to, path)));
        if let Some((to, path)) = under_way.into_iter().find(|(to, path)| !self.wires[*to][*path].is_empty()) {
            return self.deliver(to, path);
        }
        let waits = |end: &usize| self.ends[*end].link.poll_timeout().filter(|_| !self.ends[*end].gone);
        match (0..2).filter(|end| waits(end).is_some()).min_by_key(waits) {
            Some(end) => self.fire(end),
            None => Ok(()),
        }
    }

    // ---- what it is ---------------------------------------------------------------------------

    /// The same for states that will behave alike.
    pub fn digest(&mut self) -> u64 {
        use std::hash::Hasher;
        let mut digest = Digest::new(self.now);
        for end in 0..2 {
            let (me, peer) = (&self.ends[end], &self.ends[1 - end]);
            let next = |end: &End, path: usize| end.link.paths()[path].next_tx();
            me.link.digest(|path| next(peer, path), &mut digest);
            digest.add((&me.user, me.gone));
            for (path, wire) in self.wires[1 - end].iter().enumerate() {
                digest.count_from(next(me, path), next(peer, path));
                digest.add(wire.len());
                wire.iter().for_each(|frame| frame.digest(&mut digest));
            }
        }
        for (end, path) in (0..2).flat_map(|end| (0..self.case.paths).map(move |path| (end, path))) {
            digest.add(self.ends[end].link.handshake_of(path).as_ref().map(|mock| mock.state()));
        }
        digest.add((&self.dead, &self.left, &self.past));
        digest.finish()
    }

    /// What is under way, for people.
    pub fn head(&self, choice: Choice) -> String {
        let (Choice::Deliver(to, path) | Choice::Lose(to, path) | Choice::Damage(to, path, _)) = choice else {
            return format!("{choice:?}");
        };
        let frame = self.wires[usize::from(to)][usize::from(path)].front();
        format!("{choice:?} [{}]", frame.map_or("", |frame| &frame.text))
    }
    /// Whether an end calls and nobody is there.
    pub fn is_alone(&self, end: usize) -> bool {
        matches!(self.ends[end].link.state(), State::Opening | State::Greeting)
    }
}
