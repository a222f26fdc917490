//! Our own stderr, where nobody may read: a pipe that is full, a terminal that is stopped (Ctrl-S). Whoever has something to say
//! there often has a wire to read, and so waits a moment, and not for ever: what finds no reader is left out and counted.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressDrawTarget, TermLike};
use nix::errno::Errno;
use nix::poll::PollFlags;
use serde_json::json;

use crate::drive::console::terminal::window_size;
use crate::drive::user::piece_of;
use crate::drive::wait;
use crate::error::kinds;

/// How long a reader is waited for, from the last time he took something.
const PATIENCE: Duration = Duration::from_millis(300);
/// Most pictures of a bar in a second.
const PICTURES: u8 = 20;
/// Rows and columns of a terminal that does not know.
const UNKNOWN: (u16, u16) = (24, 80);

/// Whether lines are JSON objects.
static JSON: AtomicBool = AtomicBool::new(false);

/// From now on programs read along.
pub fn set_json(json: bool) {
    JSON.store(json, Ordering::Relaxed);
}
/// Whether programs read along.
pub fn is_json() -> bool {
    JSON.load(Ordering::Relaxed)
}

/// What nobody took.
#[derive(Debug, Default)]
struct Lost {
    /// Since the last line that was written.
    lines: u64,
    /// The last one was not written to its end.
    torn: bool,
}

static LOST: Mutex<Lost> = Mutex::new(Lost { lines: 0, torn: false });

fn lost() -> MutexGuard<'static, Lost> {
    LOST.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes a line, or several, which end in a line feed.
///
/// # Errors
/// There is nobody who could ever read it.
pub fn write(lines: &[u8]) -> io::Result<()> {
    let mut lost = lost();
    // who has left out something once does not hold the others up again
    let patience = if lost.lines > 0 || lost.torn { Duration::ZERO } else { PATIENCE };
    let mut text = Vec::with_capacity(lines.len() + 128);
    if lost.torn {
        text.push(b'\n');
    }
    if lost.lines > 0 {
        text.extend_from_slice(missing(lost.lines).as_bytes());
    }
    let own = text.len();
    text.extend_from_slice(lines);
    let written = put(&text, patience)?;
    if written == text.len() {
        *lost = Lost::default();
    } else {
        let (_, left) = text.split_at(written);
        let count = lines.iter().filter(|&&b| b == b'\n').count() as u64;
        // lines that were begun are torn, and count as those that were not
        lost.lines = if written < own { lost.lines + count } else { left.iter().filter(|&&b| b == b'\n').count() as u64 };
        lost.torn |= written > 0;
    }
    Ok(())
}

/// Writes as much as is taken without a longer pause than `patience`; how much that is.
fn put(bytes: &[u8], patience: Duration) -> io::Result<usize> {
    // itself, not a copy: there may be no descriptors left, which is to be told
    let stderr = io::stderr();
    let (fd, piece, mut written, mut taken) = (stderr.as_fd(), piece_of(&stderr), 0, Instant::now());
    while written < bytes.len() {
        let ready = wait(&[(fd, PollFlags::POLLOUT)], Some(patience.saturating_sub(taken.elapsed())))?;
        if ready[0].is_empty() {
            if taken.elapsed() >= patience {
                break;
            }
            continue;
        }
        let end = bytes.len().min(written + piece);
        match nix::unistd::write(fd, &bytes[written..end]) {
            Ok(n) => (written, taken) = (written + n, Instant::now()),
            Err(Errno::EAGAIN | Errno::EINTR) if taken.elapsed() >= patience => break,
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(written)
}

/// Says that lines are missing, in one.
fn missing(lines: u64) -> String {
    let count = if lines == 1 { "1 line is".into() } else { format!("{lines} lines are") };
    let (words, code) = (format!("{count} missing here: nobody took what is written to stderr"), kinds::LINES_LOST.code);
    match is_json() {
        true => format!("{}\n", json!({ "level": "WARN", "fields": { "message": words, "code": code } })),
        false => format!(" WARN {words} [{code}]\n"),
    }
}

/// Where bars are drawn: on stderr, but for pictures that a stopped terminal does not take at once.
pub fn canvas() -> ProgressDrawTarget {
    ProgressDrawTarget::term_like_with_hz(Box::new(Canvas::default()), PICTURES)
}

/// What is drawn, until it is a whole picture.
#[derive(Debug, Default)]
struct Canvas(Mutex<String>);

impl Canvas {
    fn add(&self, text: impl std::fmt::Display) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_str(&text.to_string());
        Ok(())
    }
    /// An order to the terminal about `n` lines or columns.
    fn order(&self, n: usize, letter: char) -> io::Result<()> {
        if n == 0 { Ok(()) } else { self.add(format_args!("\x1b[{n}{letter}")) }
    }
}

impl TermLike for Canvas {
    fn width(&self) -> u16 {
        window_size(io::stderr()).unwrap_or(UNKNOWN).1
    }
    fn height(&self) -> u16 {
        window_size(io::stderr()).unwrap_or(UNKNOWN).0
    }
    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.order(n, 'A')
    }
    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.order(n, 'B')
    }
    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.order(n, 'C')
    }
    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.order(n, 'D')
    }
    fn write_line(&self, text: &str) -> io::Result<()> {
        self.add(format_args!("{text}\n"))
    }
    fn write_str(&self, text: &str) -> io::Result<()> {
        self.add(text)
    }
    fn clear_line(&self) -> io::Result<()> {
        self.add("\r\x1b[2K")
    }
    fn flush(&self) -> io::Result<()> {
        let picture = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        if !picture.is_empty() {
            // half of one is drawn over by the next
            put(picture.as_bytes(), Duration::ZERO)?;
        }
        Ok(())
    }
}
