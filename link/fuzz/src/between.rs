//! Two ends that wish each other well, and somebody between them who does what the data say: lets frames pass, keeps,
//! repeats, alters and invents them with right checks, moves them to other wires.

use link::wire::frame::{PLAIN_SYNC, body_at};
use link::wire::{Binding, Head, Level, Segment, check, write_frame};
use link::{Class, Config, FRAME_MAX, Instant, LADDER, Link, Path, Plain, Rates};

use super::serve;

/// Head, binding and body of a frame as it was sent.
fn parts(frame: &[u8]) -> Option<(Head, Binding, &[u8])> {
    let word = if frame.first() == Some(&PLAIN_SYNC) { frame.get(1..3) } else { frame.get(4..6) };
    let word = u16::from_le_bytes(word?.try_into().ok()?);
    let head = Head::parse(word)?;
    let (body, rest) = frame.get(body_at(head.level)..)?.split_at_checked(head.len)?;
    let sum = u32::from_le_bytes(*rest.first_chunk()?);
    Some((head, Binding::from_wire(sum ^ check::body(word, body)), body))
}
/// A frame with this body in place of its own.
fn with_body(frame: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let Some((head, binding, body)) = parts(frame) else { return frame.to_vec() };
    let mut body = body.to_vec();
    change(&mut body);
    checked(head.level, binding, &body)
}
fn checked(level: Level, binding: Binding, body: &[u8]) -> Vec<u8> {
    let mut wire = vec![0u8; FRAME_MAX];
    wire[body_at(level)..][..body.len()].copy_from_slice(body);
    let n = write_frame(&mut wire, Head::open(body.len(), level), binding);
    wire.truncate(n);
    wire
}
/// What is invented goes for a frame of the session of another one, where it has to be of a session.
fn invented(body: &[u8], like: Option<&Vec<u8>>) -> Vec<u8> {
    let free = Segment::parse(body).is_ok_and(|segment| segment.is_of_no_session());
    let like = like.and_then(|frame| parts(frame)).map_or(Binding::NONE, |(_, binding, _)| binding);
    checked(Level::Plain, if free { Binding::NONE } else { like }, body)
}
/// Bytes of a body at a place, and whatever stands behind them.
fn alter(body: &mut Vec<u8>, piece: &[u8]) {
    let Some((&place, new)) = piece.split_first() else { return };
    let at = usize::from(place) % body.len().max(1);
    match new {
        [] => body.truncate(at.max(2)),
        [bit] => body[at] ^= 1 << (bit % 8),
        _ => {
            let new = &new[..new.len().min(body.len() - at)];
            body[at..][..new.len()].copy_from_slice(new);
        }
    }
}

/// What is on its way: whether it is for the near end, by which path, and what.
type Passing = Vec<(bool, usize, Vec<u8>)>;

/// A piece of the data: what is done, to whom, with what.
struct Deed<'a> {
    op: u8,
    path: usize,
    to_near: bool,
    len: u8,
    piece: &'a [u8],
}

fn deeds(data: &[u8], paths: usize) -> impl Iterator<Item = Deed<'_>> {
    let mut rest = data;
    std::iter::from_fn(move || {
        let (&[op, len], tail) = rest.split_first_chunk::<2>()?;
        let what = op % 8;
        let takes = if what < 3 { usize::from(len % 64).min(tail.len()) } else { 0 };
        let (piece, tail) = tail.split_at(takes);
        rest = tail;
        Some(Deed { op: what, path: usize::from(op >> 3 & 3) % paths, to_near: op & 0x80 != 0, len, piece })
    })
}

/// What comes of a deed that is about frames alone: something for an end.
fn frame_of(deed: &Deed<'_>, kept: &[Vec<u8>]) -> Option<Vec<u8>> {
    let some = || kept.get(usize::from(deed.len) % kept.len().max(1));
    match deed.op {
        0 => Some(deed.piece.to_vec()),
        1 if deed.piece.len() >= 2 => Some(invented(deed.piece, some())),
        2 => some().map(|frame| with_body(frame, |body| alter(body, deed.piece))),
        4 => some().cloned(),
        _ => None,
    }
}

type Bond = Link<Vec<u8>, 32, 6, Plain, Vec<Path<32>>>;

/// Three wires between two ends that make one link of them.
pub fn bond(data: &[u8]) {
    const PATHS: usize = 3;
    let mut now = Instant::from_micros(0);
    let end = |id| -> Bond {
        let paths = (0..PATHS).map(|_| Path::new(Config::for_baud(2_000_000), now, true)).collect();
        Link::bonded(200_000, id, now, paths, None)
    };
    let (mut near, mut far) = (end(5), end(7));
    let (mut passing, mut kept) = (Passing::new(), Vec::<Vec<u8>>::new());
    for deed in deeds(data, PATHS) {
        let target = if deed.to_near { &mut near } else { &mut far };
        match deed.op {
            3 => now = now.after(u64::from(deed.len) * 2000),
            5 if deed.len >= 0x80 => target.handle_reopen_of(deed.path, now),
            5 if !passing.is_empty() => drop(passing.remove(usize::from(deed.len) % passing.len())),
            6 => use_it(target, deed.len),
            7 => {
                for (for_near, path, frame) in passing.drain(..) {
                    // some of them by another wire
                    let path = if deed.len == 0xFF { (path + 1) % PATHS } else { path };
                    (if for_near { &mut near } else { &mut far }).handle_bytes_of(path, &frame, now);
                    kept.push(frame);
                }
                kept.drain(..kept.len().saturating_sub(64));
            }
            _ => {
                if let Some(frame) = frame_of(&deed, &kept) {
                    target.handle_bytes_of(deed.path, &frame, now);
                }
            }
        }
        for (for_near, link) in [(false, &mut near), (true, &mut far)] {
            link.handle_timeout(now);
            serve(link);
            let mut wire = [0u8; FRAME_MAX];
            for path in 0..PATHS {
                let mut frames = 0;
                while let Some(n) = link.poll_transmit_of(path, &mut wire, now) {
                    passing.push((for_near, path, wire[..n].to_vec()));
                    frames += 1;
                    assert!(frames < 1000, "talks without end");
                }
            }
        }
        passing.drain(..passing.len().saturating_sub(512));
    }
}

/// What the user of a link does.
fn use_it(link: &mut Bond, what: u8) {
    let mut buffer = [0u8; 300];
    let ids: Vec<u16> = link.channels().map(|c| c.id()).collect();
    let id = ids.get(usize::from(what / 16) % ids.len().max(1)).copied().unwrap_or(1);
    match what % 8 {
        0 => drop(link.open(b"x", Class::from_wire(what / 16), vec![0; 600], vec![0; 600])),
        1 => link.reset(id, link::ResetCode::from_wire(what / 16)),
        _ => {
            let Some(channel) = link.channel(id) else { return };
            match what % 8 {
                2 => channel.finish(),
                3 => channel.note(link::Note::Size, u32::from(what)),
                4 => channel.confirm(),
                5 => assert!(channel.read(&mut buffer) <= 300),
                _ => assert!(channel.write(&[what; 290]) <= 290),
            }
            assert!(channel.readable() <= 600 && channel.writable() <= 600);
        }
    }
}

/// Two ends that look for a rate; what is sent at another than the hearing port has does not arrive.
pub fn rates(data: &[u8]) {
    let mut now = Instant::from_micros(0);
    let (&which, data) = data.split_first().unwrap_or((&0, &[]));
    let end = |id, every: usize| {
        let mut link: Link<Vec<u8>, 32> = Link::new(Config::for_baud(115_200), id, now, vec![0; 4096], vec![0; 4096]);
        let able = |rate| rate == 115_200 || LADDER.iter().position(|&r| r == rate).is_some_and(|i| i % every == 0);
        link.set_rates(Rates::of(able), now);
        link
    };
    let (mut near, mut far) = (end(5, 1), end(7, 1 + usize::from(which % 2)));
    near.write(&[0x5A; 4096]);
    let (mut passing, mut kept) = (Vec::<(bool, u32, Vec<u8>)>::new(), Vec::<Vec<u8>>::new());
    let mut bauds = [115_200u32; 2];
    for deed in deeds(data, 1) {
        let target = if deed.to_near { &mut near } else { &mut far };
        match deed.op {
            3 => now = now.after(u64::from(deed.len) * 1000),
            5 if deed.len >= 0xE0 => target.handle_rate_refused(now),
            5 if deed.len >= 0xC0 => target.handle_port(Rates::of(|_| true), bauds[usize::from(!deed.to_near)], now),
            5 if !passing.is_empty() => drop(passing.remove(usize::from(deed.len) % passing.len())),
            6 => drop(target.write(&[0x5A; 200])),
            7 => {
                for (for_near, baud, frame) in passing.drain(..) {
                    let (link, at) = if for_near { (&mut near, bauds[0]) } else { (&mut far, bauds[1]) };
                    if at == baud {
                        link.handle_bytes(&frame, now);
                    }
                    kept.push(frame);
                }
                kept.drain(..kept.len().saturating_sub(64));
            }
            _ => {
                if let Some(frame) = frame_of(&deed, &kept) {
                    target.handle_bytes(&frame, now);
                }
            }
        }
        for (i, link) in [&mut near, &mut far].into_iter().enumerate() {
            link.handle_timeout(now);
            if let Some(baud) = link.port_rate(now) {
                assert!(LADDER.contains(&baud), "a rate that nobody knows: {baud}");
                bauds[i] = baud;
                link.handle_rate(now);
                assert_eq!(link.baud(), Some(baud));
            }
            let (mut wire, mut frames) = ([0u8; FRAME_MAX], 0);
            while let Some(n) = link.poll_transmit(&mut wire, now) {
                passing.push((i == 1, bauds[i], wire[..n].to_vec()));
                frames += 1;
                assert!(frames < 1000, "talks without end");
            }
            while link.poll_rate_news().is_some() {}
            while link.poll_event().is_some() {}
            let _ = link.read(&mut [0; 512]);
        }
        passing.drain(..passing.len().saturating_sub(512));
    }
}
