//! Progress of what takes long: one bar, the same everywhere, and only where it disturbs nobody.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, IsTerminal, Seek};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::names::printable;
use crate::{say, stderr};

/// Bytes, rate and time left; without a total what is known of that.
const WHOLE: &str = "{bar:30} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta} left {wide_msg}";
const OPEN_END: &str = "{spinner} {decimal_bytes} {decimal_bytes_per_sec} {wide_msg}";
/// How often it is drawn while nothing moves.
const TICK: Duration = Duration::from_millis(250);

/// The bar that is shown, which lines on stderr have to step around.
static SHOWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// How far something has come.
#[derive(Debug)]
pub struct Meter {
    bar: ProgressBar,
    /// When it was last worth the search for how far things are.
    looked: Cell<Option<Instant>>,
}

impl Meter {
    /// Shows a bar if `wanted`, and if stderr is a terminal that can move its cursor.
    pub fn new(wanted: bool) -> Meter {
        if !wanted || !io::stderr().is_terminal() || say::is_dumb() {
            return Meter { bar: ProgressBar::hidden(), looked: Cell::default() };
        }
        let bar = ProgressBar::with_draw_target(None, stderr::canvas());
        bar.set_style(style(OPEN_END));
        bar.enable_steady_tick(TICK);
        *shown() = Some(bar.clone());
        Meter { bar, looked: Cell::default() }
    }
    /// So many bytes in all, if that is known; the time left is reckoned from now on.
    pub fn total(&self, bytes: Option<u64>) {
        match bytes {
            Some(bytes) => {
                self.bar.set_style(style(WHOLE));
                self.bar.set_length(bytes);
            }
            None => {
                self.bar.set_style(style(OPEN_END));
                self.bar.unset_length();
            }
        }
        self.bar.reset_eta();
    }
    /// So many bytes in all, as far as is known by now.
    pub fn grow(&self, bytes: u64) {
        match self.bar.length() {
            Some(_) => self.bar.set_length(bytes),
            None => self.total(Some(bytes)),
        }
    }
    /// Bytes need not travel.
    pub fn spare(&self, bytes: u64) {
        self.bar.dec_length(bytes);
    }
    /// Bytes have travelled.
    pub fn add(&self, bytes: u64) {
        self.bar.inc(bytes);
    }
    /// So many bytes have travelled by now.
    pub fn set(&self, bytes: u64) {
        self.bar.set_position(bytes);
    }
    /// Whether to look how far things are, where that takes time: a few times a second, and never without a bar.
    pub fn is_due(&self) -> bool {
        let due = !self.bar.is_hidden() && self.looked.get().is_none_or(|at| at.elapsed() >= TICK);
        if due {
            self.looked.set(Some(Instant::now()));
        }
        due
    }
    /// What is under way.
    pub fn name(&self, name: &str) {
        self.bar.set_message(printable(name.as_bytes()));
    }
    /// Takes the bar away.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if !self.bar.is_hidden() {
            *shown() = None;
        }
        self.clear();
    }
}

/// A bar for stdin and stdout while another process uses them: where one is a file, its position tells how far
/// that has come.
#[derive(Debug)]
pub struct Follower(Option<(Sender<()>, JoinHandle<()>)>);

impl Follower {
    /// Follows from now on until it is dropped, if there is a file among them.
    pub fn new(wanted: bool) -> Follower {
        let (stdin, stdout) = (io::stdin(), io::stdout());
        let total = left_in(&stdin);
        let from: Option<OwnedFd> = match total {
            Some(_) => stdin.as_fd().try_clone_to_owned().ok(),
            None if is_file(&stdout) => stdout.as_fd().try_clone_to_owned().ok(),
            None => None,
        };
        let Some(file) = from.filter(|_| wanted && io::stderr().is_terminal()).map(File::from) else { return Follower(None) };
        let (stop, stopped) = channel();
        let began = position(&file);
        let follow = move || {
            let meter = Meter::new(true);
            meter.total(total);
            while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                meter.set(position(&file).saturating_sub(began));
            }
        };
        // no bar is no reason to fail
        Follower(std::thread::Builder::new().spawn(follow).ok().map(|thread| (stop, thread)))
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.0.take() {
            drop(stop);
            let _ = thread.join();
        }
    }
}

fn position(mut file: &File) -> u64 {
    file.stream_position().unwrap_or(0)
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn shown() -> MutexGuard<'static, Option<ProgressBar>> {
    SHOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes to stderr while no bar is in the way.
pub fn beside<T>(write: impl FnOnce() -> T) -> T {
    let bar = shown().clone();
    match bar {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// Bytes that are still to be read of a stream which is a file; none of anything else.
pub fn left_in(stream: &impl AsFd) -> Option<u64> {
    let mut file = File::from(stream.as_fd().try_clone_to_owned().ok()?);
    let meta = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
    Some(meta.len().saturating_sub(file.stream_position().ok()?))
}

/// Whether a stream is a file.
pub fn is_file(stream: &impl AsFd) -> bool {
    left_in(stream).is_some()
}
