//! The port of a receiver, which may go away and come back while a session goes on.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use super::away::Away;
use super::port::Input;
use crate::drive::user::is_hung_up_terminal;
use crate::port::{Options, Spec};

/// What a read brought.
#[derive(Debug, PartialEq, Eq)]
pub enum Came {
    /// Nothing at present.
    Nothing,
    /// So many bytes.
    Bytes(usize),
    /// The end, and why: nothing more will come, unless the port comes back.
    End(String),
}

/// A port that is read until it ends, and opened again where that makes sense.
#[derive(Debug)]
pub struct Source {
    spec: Spec,
    options: Options,
    input: Option<Input>,
    /// It is waited for when it goes away.
    returns: bool,
    away: Option<Away>,
    /// Something came since it was opened.
    carried: bool,
    /// Of the times it was open before.
    overruns: u64,
}

impl Source {
    /// Of an open port; `waits`: a serial port that goes away is waited for.
    pub fn new(spec: Spec, options: Options, input: Input, waits: bool) -> Source {
        let returns = waits && input.is_tty();
        Source { spec, options, input: Some(input), returns, away: None, carried: true, overruns: 0 }
    }
    /// Its name.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }
    /// Bits per second of a serial port that is there; 0 of anything else.
    pub fn baud(&self) -> u32 {
        self.input.as_ref().filter(|input| input.is_tty()).map_or(0, |_| self.options.baud)
    }
    /// What to poll, while it is there.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.input.as_ref().map(Input::fd)
    }
    /// Whether every read is a datagram of its own.
    pub fn is_datagrams(&self) -> bool {
        self.input.as_ref().is_some_and(Input::is_datagrams)
    }
    /// Bytes the driver had no room for.
    pub fn overruns(&self) -> u64 {
        self.overruns + self.input.as_ref().map_or(0, Input::overruns)
    }
    /// Whether it is waited for when it goes away.
    pub fn returns(&self) -> bool {
        self.returns
    }
    /// Why it is not there.
    pub fn why_away(&self) -> Option<&str> {
        self.away.as_ref().map(Away::why)
    }

    /// Reads what is there.
    pub fn read(&mut self, buffer: &mut [u8]) -> Came {
        let Some(input) = &self.input else { return Came::Nothing };
        let why = match input.read(buffer) {
            Ok(Some(0)) if !input.is_datagrams() => input.at_end().to_owned(),
            Ok(Some(n)) => {
                self.carried = true;
                return Came::Bytes(n);
            }
            Ok(None) => return Came::Nothing,
            // what an unplugged adapter may say; of anything else it is a disk that fails
            Err(e) if e.raw_os_error() == Some(libc::EIO) && is_hung_up_terminal(input.fd()) => input.at_end().to_owned(),
            Err(e) => e.to_string(),
        };
        self.close(&why);
        Came::End(why)
    }

    /// Every descriptor must go, or the adapter comes back under another name.
    fn close(&mut self, why: &str) {
        self.overruns = self.overruns();
        self.input = None;
        let told = self.returns && std::mem::take(&mut self.carried);
        self.away = Some(Away::new(&self.spec, why, told));
    }

    /// How long until it is to be looked for again.
    pub fn look_in(&self) -> Option<Duration> {
        self.away.as_ref().filter(|_| self.returns).map(Away::look_in)
    }

    /// Looks for a port that went away, when that is due; how long it was away once it is back.
    pub fn look(&mut self) -> Option<Duration> {
        if self.look_in()? > Duration::ZERO {
            return None;
        }
        let (input, lasted) = self.away.as_mut()?.look(&self.spec, || Input::open(&self.spec, self.options))?;
        (self.input, self.away) = (Some(input), None);
        Some(lasted)
    }
}
