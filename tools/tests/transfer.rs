//! The engine of file transfer by itself: cuts at any byte, and peers that lie.
#![allow(missing_docs)]

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;

use link::sim::Random;
use tempfile::TempDir;
use tools::error::{Exit, Failure};
use tools::files::folder::Folder;
use tools::files::progress::{Progress, Show};
use tools::files::sources::Sources;
use tools::files::wire::{self, AHEAD, Code, MESSAGE_MAX, Message, Stamp, VERSION};
use tools::files::{Summary, receiver, sender};

fn bytes(len: usize, seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    (0..len).map(|_| random.bits() as u8).collect()
}

/// Lets so many bytes pass, then the connection is gone.
struct Cut {
    stream: UnixStream,
    left: usize,
}

impl Read for Cut {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let want = out.len().min(self.left);
        let n = self.stream.read(&mut out[..want])?;
        self.left -= n;
        if self.left == 0 {
            let _ = self.stream.shutdown(Shutdown::Both);
        }
        Ok(n)
    }
}

const QUIET: Show = Show { quiet: true, json: false };

type Ends = (Result<Summary, Failure>, Result<Summary, Failure>);

/// One transfer; the way there and the way back are cut after so many bytes.
fn transfer(sources: &[PathBuf], out: &Path, there: usize, back: usize) -> Ends {
    carry(Sources::gather(sources).unwrap(), out, there, back)
}

/// The same of what was looked at before.
fn carry(sources: Sources, out: &Path, there: usize, back: usize) -> Ends {
    let (a, b) = UnixStream::pair().unwrap();
    let sending = thread::spawn(move || {
        let input = Cut { stream: a.try_clone().unwrap(), left: back };
        let sent = sender::send(input, &a, &sources, &mut Progress::new(QUIET));
        let _ = a.shutdown(Shutdown::Write);
        sent
    });
    let folder = Folder::open(out).unwrap();
    let input = Cut { stream: b.try_clone().unwrap(), left: there };
    let received = receiver::receive(input, &b, &folder, &mut Progress::new(QUIET));
    let _ = b.shutdown(Shutdown::Both);
    (sending.join().unwrap(), received)
}

/// A small tree: empty, small, and larger than a message; a folder in a folder.
fn tree() -> (TempDir, Vec<PathBuf>) {
    let dir = tempfile::tempdir().unwrap();
    let top = dir.path().join("top");
    fs::create_dir_all(top.join("in/deep")).unwrap();
    for (name, len) in [("empty", 0), ("in/a", 10), ("in/b", 5_000), ("in/deep/c", 40_000), ("z", 300)] {
        fs::write(top.join(name), bytes(len, len as u64)).unwrap();
    }
    fs::set_permissions(top.join("in"), fs::Permissions::from_mode(0o550)).unwrap();
    (dir, vec![top])
}

/// Paths below a folder, and what is in them.
fn content(root: &Path) -> Vec<(PathBuf, Option<Vec<u8>>)> {
    let (mut found, mut todo) = (Vec::new(), vec![root.to_owned()]);
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_owned();
            if path.symlink_metadata().unwrap().is_dir() {
                found.push((name, None));
                todo.push(path);
            } else {
                found.push((name, Some(fs::read(path).unwrap())));
            }
        }
    }
    found.sort();
    found
}

fn is_part(path: &Path) -> bool {
    path.to_string_lossy().ends_with(".hardline-part")
}

/// Between the look and the opening a file becomes a link, and so does a folder on the way, and the folder that was named.
#[test]
fn links_that_take_a_place_meanwhile_are_not_followed() {
    let (dir, paths) = tree();
    let (out, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for name in ["a", "c", "z"] {
        fs::write(outside.path().join(name), b"secret").unwrap();
    }
    let top = dir.path().join("top");
    let swap = |name: &str, to: &Path| {
        fs::rename(top.join(name), dir.path().join(name.replace('/', "-"))).unwrap();
        symlink(to, top.join(name)).unwrap();
    };
    fs::set_permissions(top.join("in"), fs::Permissions::from_mode(0o750)).unwrap();
    let sources = Sources::gather(&paths).unwrap();
    swap("z", &outside.path().join("z"));
    swap("in/deep", outside.path());
    let (sent, received) = carry(sources, out.path(), usize::MAX, usize::MAX);
    assert_eq!((sent.unwrap().failed, received.unwrap().failed), (2, 2));
    let there = content(out.path());
    assert!(there.iter().all(|(_, content)| content.as_deref() != Some(b"secret")), "{there:?}");
    assert_eq!(there.iter().filter(|(_, content)| content.is_some()).count(), 3, "all others came: {there:?}");

    let sources = Sources::gather(&paths).unwrap();
    fs::rename(&top, dir.path().join("moved")).unwrap();
    symlink(outside.path(), &top).unwrap();
    let out = tempfile::tempdir().unwrap();
    let (sent, _) = carry(sources, out.path(), usize::MAX, usize::MAX);
    assert_eq!(sent.unwrap().files, 0);
    assert!(content(out.path()).iter().all(|(_, content)| content.is_none()));
}

/// What has a name is whole, whatever was cut.
fn assert_whole(out: &Path, source: &Path) {
    for (path, content) in content(out).into_iter().filter(|(path, _)| !is_part(path)) {
        assert!(content.is_none_or(|content| fs::read(source.join(&path)).unwrap() == content), "{path:?} is not whole");
    }
}

fn assert_resumes(there: usize, back: usize) {
    let (dir, paths) = tree();
    let out = tempfile::tempdir().unwrap();
    let cut = transfer(&paths, out.path(), there, back);
    assert_whole(out.path(), dir.path());
    if cut.0.is_ok() {
        assert_eq!(content(out.path()), content(dir.path()), "the sender was told that all is there");
    }
    let (sent, received) = transfer(&paths, out.path(), usize::MAX, usize::MAX);
    let (sent, received) = (sent.unwrap(), received.unwrap());
    assert_eq!((sent.failed, received.failed), (0, 0), "cut at {there}, {back}");
    assert_eq!(sent.files + sent.there, 5);
    assert_eq!(content(out.path()), content(dir.path()), "cut at {there}, {back}");
}

#[test]
fn a_cut_at_any_byte_on_the_way_there_is_resumed() {
    for at in (1..700).step_by(3).chain((700..46_500).step_by(611)) {
        assert_resumes(at, usize::MAX);
    }
}

#[test]
fn a_cut_at_any_byte_on_the_way_back_is_resumed() {
    for at in (1..500).step_by(2) {
        assert_resumes(usize::MAX, at);
    }
}

#[test]
fn cuts_without_end_still_come_to_an_end() {
    let (dir, paths) = tree();
    let out = tempfile::tempdir().unwrap();
    let cuts = (0..40).take_while(|_| transfer(&paths, out.path(), 6_000, usize::MAX).0.is_err()).count();
    assert!((7..15).contains(&cuts), "{cuts} cuts: 4 kB at least came with each");
    assert_eq!(content(out.path()), content(dir.path()));
}

#[test]
fn a_part_of_something_else_is_not_gone_on_with() {
    let (dir, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = dir.path().join("f");
    fs::write(&path, bytes(30_000, 1)).unwrap();
    fs::write(out.path().join(".f.hardline-part"), bytes(20_000, 2)).unwrap();
    fs::write(out.path().join("f"), b"the old one").unwrap();
    let (sent, received) = transfer(&[path], out.path(), 25_000, usize::MAX);
    assert!(sent.is_err() && received.is_err());
    assert_eq!(fs::read(out.path().join("f")).unwrap(), b"the old one", "until the new one is whole");
    let (sent, _) = transfer(&[dir.path().join("f")], out.path(), usize::MAX, usize::MAX);
    assert!(sent.unwrap().bytes < 10_000);
    assert_eq!(content(out.path()), content(dir.path()));
}

#[test]
fn the_same_content_does_not_travel_again() {
    let (dir, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = dir.path().join("f");
    fs::write(&path, bytes(30_000, 1)).unwrap();
    for (name, time) in [("another time", 5), ("the same", 1_000)] {
        fs::write(out.path().join("f"), bytes(30_000, 1)).unwrap();
        let modified = std::time::UNIX_EPOCH + std::time::Duration::from_secs(time);
        File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
        let (sent, received) = transfer(std::slice::from_ref(&path), out.path(), usize::MAX, usize::MAX);
        let there = Summary { there: 1, ..Summary::default() };
        assert_eq!((sent.unwrap(), received.unwrap()), (there.clone(), there), "{name}");
        assert_eq!(fs::metadata(out.path().join("f")).unwrap().modified().unwrap(), modified);
    }
    // as long, but another content
    fs::write(out.path().join("f"), bytes(30_000, 2)).unwrap();
    transfer(&[path], out.path(), usize::MAX, usize::MAX).0.unwrap();
    assert_eq!(content(out.path()), content(dir.path()));
}

// ---- peers that lie -------------------------------------------------------------------------------

/// What a receiver makes of these messages, and what it answers.
fn forged(out: &Path, messages: &[Message]) -> (Result<Summary, Failure>, Vec<Message>) {
    let mut input = Message::Hello { version: VERSION, files: 1, bytes: u64::MAX }.to_bytes();
    input.extend(messages.iter().flat_map(Message::to_bytes));
    let mut output = Vec::new();
    let folder = Folder::open(out).unwrap();
    let result = receiver::receive(input.as_slice(), &mut output, &folder, &mut Progress::new(QUIET));
    let mut answers = output.as_slice();
    (result, std::iter::from_fn(|| wire::read(&mut answers).unwrap()).collect())
}

fn file(number: u32, size: u64, name: &[u8]) -> Message {
    Message::File { number, size, stamp: Stamp { mode: 0o7777, modified: (i64::MIN, u32::MAX) }, name: name.to_vec() }
}

#[test]
fn names_cannot_leave_the_folder() {
    let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let out = dir.path().join("out");
    fs::create_dir(&out).unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), out.join("way")).unwrap();
    let absolute = dir.path().join("evil").to_string_lossy().into_owned().into_bytes();
    let names: [&[u8]; 9] =
        [b"../evil", &absolute, b"way/evil", b"a/../../evil", b"", b".", b"x\x1b[2J", b"./evil", b".x.hardline-part"];
    for name in names {
        let dir_end = Message::DirEnd { number: 2, stamp: Stamp::default(), name: name.to_vec() };
        let messages = [file(0, 0, name), Message::Dir { number: 1, name: name.to_vec() }, dir_end, Message::End];
        let (result, answers) = forged(&out, &messages);
        assert_eq!(result.unwrap().failed, 3, "{name:?}");
        let failed = |m: &&Message| matches!(m, Message::Result { code: Code::Failed, .. });
        assert_eq!(answers.iter().filter(failed).count(), 3, "{name:?}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing beside the folder");
    assert_eq!(fs::read_dir(&out).unwrap().count(), 1, "nothing in it but the link");
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0, "nothing behind the link");
}

#[test]
fn what_breaks_the_protocol_ends_it() {
    let start = Message::Start { number: 0, offset: 0 };
    let finish = Message::Finish { sha256: [0; 32] };
    let many: Vec<_> = (0..=AHEAD as u32).map(|n| file(n, 1, format!("f{n}").as_bytes())).collect();
    let cases: [&[Message]; 12] = [
        &many,
        &[file(0, 5, b"f"), file(0, 5, b"g")],
        &[file(0, 5, b"f"), start.clone(), Message::Data(vec![0; 6])],
        &[file(0, 5, b"f"), start.clone(), Message::Hole { bytes: 6 }],
        &[file(0, 5, b"f"), start.clone(), Message::Data(vec![0; 3]), Message::Hole { bytes: 3 }],
        &[Message::Hole { bytes: 1 }],
        &[file(0, 5, b"f"), Message::Start { number: 0, offset: 3 }],
        std::slice::from_ref(&start),
        &[Message::Data(vec![0])],
        &[finish],
        &[file(0, 5, b"f"), start.clone(), Message::End],
        &[Message::Bye],
    ];
    for messages in cases {
        let out = tempfile::tempdir().unwrap();
        let (result, _) = forged(out.path(), messages);
        assert_eq!(result.unwrap_err().exit, Exit::Refused, "{messages:?}");
    }
}

#[test]
fn a_wrong_hash_gives_no_name_and_no_rights_are_lent() {
    let out = tempfile::tempdir().unwrap();
    let send = |sha256| {
        let start = Message::Start { number: 0, offset: 0 };
        forged(out.path(), &[file(0, 3, b"f"), start, Message::Data(b"abc".into()), Message::Finish { sha256 }, Message::End])
    };
    assert_eq!(send([0; 32]).0.unwrap().failed, 1);
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0, "begun anew next time");
    let mut abc = tempfile::tempfile().unwrap();
    abc.write_all(b"abc").unwrap();
    assert_eq!(send(tools::digest::of(&abc).unwrap()).0.unwrap().files, 1);
    assert_eq!(fs::metadata(out.path().join("f")).unwrap().permissions().mode() & 0o7777, 0o777);
}

#[test]
fn strangers_and_other_versions_are_told_apart() {
    let out = tempfile::tempdir().unwrap();
    let folder = Folder::open(out.path()).unwrap();
    let take = |bytes: &[u8]| receiver::receive(bytes, io::sink(), &folder, &mut Progress::new(QUIET)).unwrap_err();
    assert_eq!(take(b"GET / HTTP/1.0\r\n\r\n").exit, Exit::Refused);
    assert_eq!(take(&(MESSAGE_MAX as u32 + 1).to_le_bytes()).exit, Exit::Refused);
    assert_eq!(take(b"").exit, Exit::Lost);
    let mut newer = Message::Hello { version: VERSION + 1, files: 0, bytes: 0 }.to_bytes();
    newer.push(9);
    newer[0] += 1;
    assert!(take(&newer).message.contains(&format!("version {}", VERSION + 1)));
}

#[test]
fn a_receiver_that_lies_ends_the_sender() {
    let (_dir, paths) = tree();
    let sources = Sources::gather(&paths).unwrap();
    let welcome = Message::Welcome { version: VERSION };
    let answers = [
        Message::Have { number: 77, offset: 0, sha256: [0; 32] },
        Message::Have { number: u32::MAX, offset: 0, sha256: [0; 32] },
        Message::Result { number: 999, code: Code::Delivered, why: String::new() },
        Message::Result { number: 1, code: Code::Delivered, why: String::new() },
        Message::Bye,
    ];
    for answer in answers {
        let input: Vec<u8> = [&welcome, &answer].into_iter().flat_map(Message::to_bytes).collect();
        let failure = sender::send(io::Cursor::new(input), io::sink(), &sources, &mut Progress::new(QUIET)).unwrap_err();
        assert_eq!(failure.exit, Exit::Refused, "{answer:?}: {failure}");
    }
    // an offset behind the end of the file is only a wish
    let (a, b) = UnixStream::pair().unwrap();
    welcome.write(&mut &b).unwrap();
    Message::Have { number: 1, offset: u64::MAX, sha256: [0; 32] }.write(&mut &b).unwrap();
    let path = paths[0].join("z");
    let one = Sources::gather(&[path]).unwrap();
    let sending = thread::spawn(move || sender::send(a.try_clone().unwrap(), a, &one, &mut Progress::new(QUIET)));
    drop(b);
    assert!(sending.join().unwrap().is_err());
}
