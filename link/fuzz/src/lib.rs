//! What the fuzz targets do, and the plain tests that run their corpus: anything may come from the
//! wire, nothing may panic, and what is said of it stays true.
#![allow(missing_docs)]

mod between;

pub use between::{bond, rates};
use link::wire::frame::body_at;
use link::wire::segment::Record;
use link::wire::{BODY_MAX, Binding, Deframer, Head, Level, Segment, write_frame};
use link::{Class, Config, Event, FRAME_MAX, Instant, Link, Noise, Note, Path, Plain, ResetCode};

/// Bytes as they are, in cuts of a size given by the first byte.
pub fn deframe(data: &[u8]) {
    let Some((&cut, wire)) = data.split_first() else { return };
    let mut deframer = Deframer::default();
    deframer.bind(u64::from(cut % 3), 2);
    let mut found = 0;
    for piece in wire.chunks(usize::from(cut) + 1) {
        let mut rest = piece;
        while !rest.is_empty() {
            let n = deframer.push(rest);
            rest = &rest[n..];
            let mut yielded = false;
            while let Some(frame) = deframer.next_frame() {
                assert!(frame.body.len() >= 2 && frame.body.len() <= BODY_MAX);
                found += frame.head.frame_len();
                yielded = true;
                if let Ok(segment) = Segment::parse(frame.body) {
                    assert!(segment.records().count() > 0);
                }
            }
            assert!(n > 0 || yielded, "no progress");
        }
        let _ = deframer.missing();
    }
    deframer.doubt();
    while let Some(frame) = deframer.next_frame() {
        found += frame.head.frame_len();
    }
    assert!(found as u64 + deframer.junk <= wire.len() as u64, "more came out than went in");
}

/// Whose a frame is that the data bring: of the session with the peer whose OPEN they brought last.
#[derive(Default)]
struct Peer(u64);

impl Peer {
    fn binding(&mut self, body: &[u8], me: u64) -> Binding {
        let first = Segment::parse(body).ok().and_then(|segment| segment.records().next());
        if let Some(Record::Open(open)) = first {
            self.0 = open.me;
        }
        match first {
            Some(Record::Open(_) | Record::Close(_) | Record::Hello(_)) => Binding::NONE,
            _ => Binding::of(self.0, me),
        }
    }
}

/// A whole link, driven by the data: what the user does, how time passes, what the wire brings
/// (as it is, or with a right check around it so that it gets further in).
pub fn endpoint(data: &[u8]) {
    let (mut now, mut wire, mut buffer) = (Instant::from_micros(0), vec![0u8; FRAME_MAX], [0u8; 512]);
    let mut link: Link<Vec<u8>, 32> = Link::new(Config::for_baud(0), 1, now, vec![0; 4096], vec![0; 4096]);
    let mut rest = data;
    let (mut over, mut peer) = (0, Peer::default());
    while let Some((&[op, len], tail)) = rest.split_first_chunk::<2>() {
        let (piece, tail) = tail.split_at(usize::from(len).min(tail.len()));
        rest = tail;
        match op % 8 {
            0 => link.handle_bytes(piece, now),
            1 | 2 if piece.len() >= 2 => {
                let level = Level::ALL[usize::from(op / 8) % 6];
                wire[body_at(level)..][..piece.len()].copy_from_slice(piece);
                let n = write_frame(&mut wire, Head::open(piece.len(), level), peer.binding(piece, 1));
                link.handle_bytes(&wire[..n], now);
            }
            3 => now = now.after(u64::from(len) * 1000 * (1 + u64::from(op / 8))),
            4 => assert!(link.write(piece) <= piece.len()),
            5 => assert!(link.read(&mut buffer) <= buffer.len()),
            6 => link.finish(),
            _ => link.confirm(now),
        }
        link.handle_timeout(now);
        let mut frames = 0;
        while let Some(n) = link.poll_transmit(&mut wire, now) {
            assert!(n <= FRAME_MAX);
            frames += 1;
            assert!(frames < 1000, "talks without end");
        }
        assert!(link.readable() <= 4096 && link.writable() <= 4096);
        while let Some(event) = link.poll_event() {
            over += u32::from(matches!(event, Event::Finished | Event::Lost(_)));
        }
        assert!(over <= 1, "a session ends once");
    }
}

/// A link with channels, driven by the data in the same way.
pub fn channels(data: &[u8]) {
    let (mut now, mut wire, mut buffer) = (Instant::from_micros(0), vec![0u8; FRAME_MAX], [0u8; 512]);
    let mut link: Link<Vec<u8>, 32, 6> = Link::with_channels(Config::for_baud(0), 1, now);
    let (mut rest, mut peer) = (data, Peer::default());
    while let Some((&[op, len], tail)) = rest.split_first_chunk::<2>() {
        let (piece, tail) = tail.split_at(usize::from(len).min(tail.len()));
        rest = tail;
        let ids: Vec<u16> = link.channels().map(|c| c.id()).collect();
        let id = ids.get(usize::from(op / 16) % ids.len().max(1)).copied().unwrap_or(1);
        match op % 16 {
            0 => link.handle_bytes(piece, now),
            1..=6 if piece.len() >= 2 => {
                wire[body_at(Level::Plain)..][..piece.len()].copy_from_slice(piece);
                let n = write_frame(&mut wire, Head::open(piece.len(), Level::Plain), peer.binding(piece, 1));
                link.handle_bytes(&wire[..n], now);
            }
            7 => now = now.after(u64::from(len) * 1000),
            8 => drop(link.open(piece, Class::from_wire(op / 16), vec![0; 600], vec![0; 600])),
            9 => link.reset(id, ResetCode::from_wire(len)),
            op => {
                if let Some(channel) = link.channel(id) {
                    match op {
                        10 => assert!(channel.write(piece) <= piece.len()),
                        11 => assert!(channel.read(&mut buffer) <= 600),
                        12 => channel.finish(),
                        13 => channel.confirm(),
                        _ => channel.note(Note::Size, u32::from(len)),
                    }
                    assert!(channel.readable() <= 600 && channel.writable() <= 600);
                }
            }
        }
        link.handle_timeout(now);
        serve(&mut link);
        let mut frames = 0;
        while let Some(n) = link.poll_transmit(&mut wire, now) {
            assert!(n <= FRAME_MAX);
            frames += 1;
            assert!(frames < 1000, "talks without end");
        }
    }
}

/// Says yes to every other request.
fn serve<S>(link: &mut Link<Vec<u8>, 32, 6, Plain, S>)
where
    S: AsRef<[Path<32>]> + AsMut<[Path<32>]>,
{
    let mut news = 0;
    while let Some(event) = link.poll_event() {
        news += 1;
        assert!(news < 100, "news without end");
        if let Event::Asked(id) = event {
            assert!(!link.asked(id).expect("what was asked for is there").service().is_empty());
            if id % 4 < 2 {
                let _ = link.accept(id, Class::Learnt, vec![0; 600], vec![0; 600]);
            } else {
                link.reset(id, ResetCode::NoService);
            }
        }
    }
    assert!(link.channels().count() <= 6);
}

/// A sealed link, its peer, and somebody between them who does what the data say: lets frames pass, keeps,
/// repeats, alters and invents them, with right checks. Nothing wrong is ever read.
pub fn sealed(data: &[u8]) {
    type Wire = Link<Vec<u8>, 32, 1, Noise>;
    const TEXT: [u8; 4096] = [0x5A; 4096];
    let (mut now, mut wire, mut buffer) = (Instant::from_micros(0), vec![0u8; FRAME_MAX], [0u8; 512]);
    let end = |id, seed| -> Wire {
        let noise = if data.first().is_some_and(|b| b & 1 == 0) {
            Noise::psk([7; 32])
        } else {
            Noise::pair([seed as u8; 32], None, true)
        };
        let link: Link<Vec<u8>, 32> = Link::new(Config::for_baud(0), id, now, vec![0; 4096], vec![0; 4096]);
        link.sealed(noise.seeded(seed))
    };
    let (mut near, mut far) = (end(5, 1), end(7, 2));
    far.write(&TEXT);
    near.write(&TEXT);
    let (mut passing, mut kept) = (Vec::<(bool, Vec<u8>)>::new(), Vec::<Vec<u8>>::new());
    let mut rest = data.get(1..).unwrap_or_default();
    while let Some((&[op, len], tail)) = rest.split_first_chunk::<2>() {
        let (piece, tail) = tail.split_at(if op % 8 < 3 { usize::from(len).min(tail.len()) } else { 0 });
        rest = tail;
        let at = usize::from(len) % kept.len().max(1);
        let to_near = op & 0x80 == 0;
        match op % 8 {
            0 => near.handle_bytes(piece, now),
            1 | 2 if piece.len() >= 2 => {
                let head = Head { sealed: op & 0x40 != 0, ..Head::open(piece.len(), Level::ALL[usize::from(op / 8) % 6]) };
                wire[body_at(head.level)..][..piece.len()].copy_from_slice(piece);
                let n = write_frame(&mut wire, head, Binding::NONE);
                (if to_near { &mut near } else { &mut far }).handle_bytes(&wire[..n], now);
            }
            3 => now = now.after(u64::from(len) * 1000 * (1 + u64::from(op / 8))),
            4 if !kept.is_empty() => (if to_near { &mut near } else { &mut far }).handle_bytes(&kept[at], now),
            5 if !passing.is_empty() => drop(passing.remove(usize::from(len) % passing.len())),
            6 if !kept.is_empty() => {
                let mut altered = kept[at].clone();
                let place = (usize::from(op / 8) * 8 + usize::from(len)) % altered.len();
                altered[place] ^= 1 << (len % 8);
                (if to_near { &mut near } else { &mut far }).handle_bytes(&altered, now);
            }
            _ => {
                for (for_near, frame) in passing.drain(..) {
                    (if for_near { &mut near } else { &mut far }).handle_bytes(&frame, now);
                    kept.push(frame);
                    kept.truncate(64);
                }
            }
        }
        for (for_near, link) in [(false, &mut near), (true, &mut far)] {
            link.handle_timeout(now);
            let mut frames = 0;
            while let Some(n) = link.poll_transmit(&mut wire, now) {
                passing.push((for_near, wire[..n].to_vec()));
                frames += 1;
                assert!(frames < 1000, "talks without end");
            }
            let n = link.read(&mut buffer);
            assert!(buffer[..n].iter().all(|&b| b == 0x5A), "something wrong was read");
            while link.poll_event().is_some() {}
        }
    }
    assert!(near.stats().bytes_in <= 4096 && far.stats().bytes_in <= 4096, "something was read twice");
}
