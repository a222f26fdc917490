//! A console several people look at: one channel, at most one writer, any number of readers, none of
//! which can hold up another.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use link::Note;
use nix::errno::Errno;
use nix::poll::PollFlags;
use serde_json::{Value, json};

use super::local::Channel;

/// Most bytes that wait for one viewer; what comes beyond is skipped for it.
const QUEUE: usize = 256 * 1024;
/// A viewer that was skipped goes on once no more than this waits.
const RESUME: usize = QUEUE / 2;
/// What a new viewer sees of the past.
const TAIL: usize = 8 * 1024;

/// Somebody who wants to look, or to write.
#[derive(Debug)]
pub(super) struct Attach {
    /// One side of a pair of sockets; the client copies between the other and its terminal.
    pub(super) socket: OwnedFd,
    pub(super) read_only: bool,
    /// Takes the writing over.
    pub(super) force: bool,
    /// What others are told of it.
    pub(super) who: String,
    pub(super) term: String,
    /// Rows x 65536 + columns.
    pub(super) size: Option<u32>,
}

#[derive(Debug)]
struct Viewer {
    client: u64,
    with: Attach,
    queue: VecDeque<u8>,
    /// Bytes it did not get since the queue was full.
    skipped: u64,
    /// Its socket takes nothing now; nor ever again.
    blocked: bool,
    gone: bool,
    /// Its input has ended; that it was meant to.
    ended: bool,
    finish: bool,
    /// It has said what it had to say, and others go on.
    leaves: bool,
}

/// A channel and who is attached to it.
#[derive(Debug)]
pub(super) struct Shared {
    /// As the peer is asked for it: the terminal travels behind the name.
    pub(super) service: String,
    pub(super) channel: Option<u16>,
    accepted: bool,
    viewers: Vec<Viewer>,
    writer: Option<u64>,
    tail: VecDeque<u8>,
    resize: Option<u32>,
    /// The last words, once the channel is gone.
    last: Option<Value>,
    /// What clients are to be told.
    pub(super) tells: Vec<(u64, Value)>,
}

impl Shared {
    pub(super) fn new(service: String) -> Shared {
        Shared {
            service,
            channel: None,
            accepted: false,
            viewers: Vec::new(),
            writer: None,
            tail: VecDeque::new(),
            resize: None,
            last: None,
            tells: Vec::new(),
        }
    }
    /// Whether a console of this name can still be attached to.
    pub(super) fn is(&self, name: &str) -> bool {
        self.last.is_none() && self.service.split('\0').next() == Some(name)
    }
    /// The size of the writer's terminal, while the peer does not know it.
    pub(super) fn size(&self) -> Option<u32> {
        self.resize
    }
    /// Whether nobody is attached.
    pub(super) fn is_empty(&self) -> bool {
        self.viewers.is_empty()
    }
    /// Whether its channel is gone.
    pub(super) fn has_ended(&self) -> bool {
        self.last.is_some()
    }

    // ---- who comes and goes -------------------------------------------------------------------

    pub(super) fn attach(&mut self, client: u64, with: Attach) {
        let (force, reads, who) = (with.force, with.read_only, with.who.clone());
        let queue = self.recent();
        let viewer =
            Viewer { client, with, queue, skipped: 0, blocked: false, gone: false, ended: false, finish: false, leaves: false };
        self.viewers.push(viewer);
        match self.writer.filter(|_| force) {
            Some(old) => {
                self.writer = None;
                self.tell_role(old, Some(&format!("{who} has taken over; you read only")));
                self.make_writer(client, None);
            }
            None if self.writer.is_none() && !reads => self.make_writer(client, None),
            None => self.tell_role(client, None),
        }
    }
    /// The tail; a line that was cut is left out.
    fn recent(&self) -> VecDeque<u8> {
        let cut = self.tail.iter().position(|&b| b == b'\n').filter(|_| self.tail.len() == TAIL);
        self.tail.iter().skip(cut.map_or(0, |at| at + 1)).copied().collect()
    }
    fn make_writer(&mut self, client: u64, say: Option<&str>) {
        self.writer = Some(client);
        self.resize = self.viewer(client).and_then(|v| v.with.size).or(self.resize);
        self.tell_role(client, say);
    }
    /// Tells a client whether it writes, once there is somebody to write to.
    fn tell_role(&mut self, client: u64, say: Option<&str>) {
        if !self.accepted {
            return;
        }
        let reads = self.viewer(client).is_some_and(|v| v.with.read_only);
        let holder = self.writer.and_then(|w| self.viewer(w)).map(|v| v.with.who.clone());
        let say = match (say, holder) {
            (Some(say), _) => Some(say.to_owned()),
            (None, Some(who)) if !reads && self.writer != Some(client) => {
                Some(format!("{who} is writing; you read only (--force takes over)"))
            }
            _ => None,
        };
        self.tells.push((
            client,
            json!({ "console": self.service.split('\0').next(), "writes": self.writer == Some(client), "say": say }),
        ));
    }
    fn viewer(&self, client: u64) -> Option<&Viewer> {
        self.viewers.iter().find(|v| v.client == client)
    }
    fn viewer_mut(&mut self, client: u64) -> Option<&mut Viewer> {
        self.viewers.iter_mut().find(|v| v.client == client)
    }
    /// Whether this client is attached.
    pub(super) fn has(&self, client: u64) -> bool {
        self.viewer(client).is_some()
    }
    /// A client is gone; the next in line writes.
    pub(super) fn detach(&mut self, client: u64) {
        self.viewers.retain(|v| v.client != client);
        if self.writer == Some(client) {
            self.writer = None;
            self.pass_on();
        }
    }
    /// The next in line writes; says whether there is one.
    fn pass_on(&mut self) -> bool {
        let next = self.viewers.iter().find(|v| !v.with.read_only && !v.ended).map(|v| v.client);
        next.into_iter().for_each(|next| self.make_writer(next, Some("the writer has left; you write now")));
        next.is_some()
    }
    /// The peer has said yes.
    pub(super) fn accepted(&mut self) {
        self.accepted = true;
        for client in self.viewers.iter().map(|v| v.client).collect::<Vec<_>>() {
            self.tell_role(client, None);
        }
    }
    /// The channel is gone: everybody is told once it has what came before.
    pub(super) fn end(&mut self, last: Value) {
        (self.channel, self.last) = (None, Some(last));
    }
    /// The clients that have everything, their last words among them.
    pub(super) fn leavers(&mut self) -> Vec<u64> {
        let left = json!({ "ended": true });
        let word = |v: &Viewer| self.last.as_ref().or(v.leaves.then_some(&left)).cloned();
        let has_all = self.viewers.iter().filter(|v| v.queue.is_empty() && v.skipped == 0);
        let told: Vec<(u64, Value)> = has_all.filter_map(|v| Some((v.client, word(v)?))).collect();
        let done: Vec<u64> = told.iter().map(|(client, _)| *client).collect();
        self.tells.extend(told);
        self.viewers.retain(|v| !done.contains(&v.client));
        done
    }

    /// Something a client tells beside the stream; returned if it is for the peer.
    pub(super) fn note(&mut self, client: u64, note: Note, value: u32) -> Option<(Note, u32)> {
        let writes = self.writer == Some(client);
        if note == Note::Size {
            self.viewer_mut(client)?.with.size = Some(value);
            self.resize = if writes { Some(value) } else { self.resize };
            return None;
        }
        writes.then_some((note, value))
    }
    /// The input of a client has ended, and is meant to.
    pub(super) fn finish(&mut self, client: u64) {
        if let Some(viewer) = self.viewer_mut(client) {
            viewer.finish = true;
        }
    }

    // ---- the bytes ----------------------------------------------------------------------------

    /// What to wait for.
    pub(super) fn fds(&self, channel: Option<&Channel>) -> impl Iterator<Item = (u64, BorrowedFd<'_>, PollFlags)> {
        let room = channel.is_some_and(has_room);
        self.viewers.iter().map(move |viewer| {
            let mut flags = PollFlags::empty();
            // what a reader writes is thrown away
            let takes = channel.is_some() && (room || self.writer != Some(viewer.client));
            flags.set(PollFlags::POLLIN, takes && !viewer.ended);
            flags.set(PollFlags::POLLOUT, viewer.blocked);
            (viewer.client, viewer.with.socket.as_fd(), flags)
        })
    }

    /// Moves what there is to move; returns the clients that are gone.
    pub(super) fn serve(&mut self, channel: Option<&mut Channel>, ready: &[(u64, PollFlags)], buffer: &mut [u8]) -> Vec<u64> {
        for viewer in &mut self.viewers {
            let flags = ready.iter().find(|r| r.0 == viewer.client).map_or(PollFlags::empty(), |r| r.1);
            viewer.blocked &= !flags.contains(PollFlags::POLLOUT);
            viewer.gone |= flags.contains(PollFlags::POLLHUP);
        }
        if let Some(channel) = channel {
            if let Some(size) = self.resize.take() {
                channel.note(Note::Size, size);
            }
            self.take_input(channel, ready, buffer);
            self.fan_out(channel, buffer);
            self.settle(channel);
        }
        self.viewers.iter_mut().for_each(Viewer::flush);
        self.viewers.iter().filter(|v| v.gone).map(|v| v.client).collect()
    }
    fn take_input(&mut self, channel: &mut Channel, ready: &[(u64, PollFlags)], buffer: &mut [u8]) {
        for &(client, _) in ready.iter().filter(|r| r.1.contains(PollFlags::POLLIN)) {
            let writes = self.writer == Some(client);
            let Some(viewer) = self.viewer_mut(client).filter(|v| !v.ended) else { continue };
            let room = if writes { channel.writable().min(buffer.len()) } else { buffer.len() };
            if room == 0 {
                continue;
            }
            match nix::unistd::read(&viewer.with.socket, &mut buffer[..room]) {
                Ok(n) if n > 0 && writes => drop(channel.write(&buffer[..n])),
                Ok(0) => viewer.ended = true,
                _ => {}
            }
        }
        if let Some(writer) = self.writer.filter(|&w| self.viewer(w).is_some_and(|v| v.ended && v.finish)) {
            self.has_written(writer, channel);
        }
    }
    /// The input of the writer has ended: that is the end for the far shell, unless somebody else goes on.
    fn has_written(&mut self, writer: u64, channel: &mut Channel) {
        if self.pass_on() {
            self.viewer_mut(writer).into_iter().for_each(|viewer| viewer.leaves = true);
        } else {
            channel.finish();
        }
    }
    /// From the channel to everybody. Only who is alone is waited for.
    fn fan_out(&mut self, channel: &mut Channel, buffer: &mut [u8]) {
        loop {
            self.viewers.iter_mut().for_each(Viewer::flush);
            let room = match &self.viewers[..] {
                [alone] => QUEUE.saturating_sub(alone.queue.len()).min(buffer.len()),
                _ => buffer.len(),
            };
            if room == 0 || channel.readable() == 0 {
                return;
            }
            let n = channel.read(&mut buffer[..room]);
            self.show(&buffer[..n]);
        }
    }
    fn show(&mut self, bytes: &[u8]) {
        self.tail.extend(&bytes[bytes.len().saturating_sub(TAIL)..]);
        self.tail.drain(..self.tail.len().saturating_sub(TAIL));
        self.viewers.iter_mut().for_each(|viewer| viewer.show(bytes));
    }
    /// Ends what has ended.
    fn settle(&self, channel: &mut Channel) {
        if channel.at_end() {
            channel.finish();
            // a reader that stands still does not keep the far end waiting, unless it is the only one
            if self.viewers.len() > 1 || self.viewers.iter().all(|v| v.queue.is_empty()) {
                channel.confirm();
            }
        }
    }
}

impl Viewer {
    fn show(&mut self, bytes: &[u8]) {
        if self.skipped > 0 || self.queue.len() + bytes.len() > QUEUE {
            self.skipped += bytes.len() as u64;
        } else {
            self.queue.extend(bytes);
        }
    }
    /// Writes what its socket takes.
    fn flush(&mut self) {
        while !self.blocked && !self.gone {
            if self.skipped > 0 && self.queue.len() <= RESUME {
                self.queue.extend(format!("\r\n[hardline: {} bytes skipped]\r\n", self.skipped).as_bytes());
                self.skipped = 0;
            }
            if self.queue.is_empty() {
                return;
            }
            let (first, second) = self.queue.as_slices();
            match nix::sys::uio::writev(&self.with.socket, &[IoSlice::new(first), IoSlice::new(second)]) {
                Ok(n) => drop(self.queue.drain(..n)),
                Err(Errno::EAGAIN | Errno::EINTR) => self.blocked = true,
                Err(_) => self.gone = true,
            }
        }
    }
}

fn has_room(channel: &Channel) -> bool {
    channel.is_open() && channel.writable() >= channel.capacity() / 4
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    fn attach(shared: &mut Shared, client: u64, read_only: bool, force: bool) -> UnixStream {
        let (ours, theirs) = UnixStream::pair().unwrap();
        theirs.set_nonblocking(true).unwrap();
        let who = format!("user {client}");
        shared.attach(
            client,
            Attach { socket: theirs.into(), read_only, force, who, term: "vt100".into(), size: Some(client as u32) },
        );
        ours
    }

    #[test]
    fn writing_passes_on() {
        let mut shared = Shared::new("console\0vt100".into());
        shared.accepted();
        let _sockets = [(1, false, false), (2, true, false), (3, false, false)].map(|(c, r, f)| attach(&mut shared, c, r, f));
        assert_eq!(shared.writer, Some(1));
        let _fourth = attach(&mut shared, 4, false, true);
        assert_eq!((shared.writer, shared.resize), (Some(4), Some(4)));
        assert_eq!(shared.note(1, Note::Break, 1), None);
        shared.detach(4);
        assert_eq!((shared.writer, shared.resize), (Some(1), Some(1)));
        shared.detach(1);
        shared.detach(3);
        assert_eq!(shared.writer, None, "who only reads never writes");
    }

    #[test]
    fn a_slow_viewer_is_skipped_visibly() {
        let mut shared = Shared::new("console".into());
        let (mut slow, _other) = (attach(&mut shared, 1, false, false), attach(&mut shared, 2, true, false));
        (0..64).for_each(|_| shared.show(&[b'x'; 8192]));
        shared.viewers[0].flush();
        let mut seen = vec![0u8; 1 << 20];
        let mut text = Vec::new();
        slow.set_nonblocking(true).unwrap();
        while let Ok(n) = slow.read(&mut seen) {
            text.extend_from_slice(&seen[..n]);
            shared.viewers[0].blocked = false;
            shared.viewers[0].flush();
        }
        let shown = text.iter().filter(|&&b| b == b'x').count();
        let mark = format!("[hardline: {} bytes skipped]", 64 * 8192 - shown);
        assert!(shown <= QUEUE && String::from_utf8_lossy(&text).contains(&mark), "{shown} shown");
        assert_eq!(shared.tail.len(), TAIL);
    }
}
