//! The port of a sender, which may go away and come back while a session goes on.

use std::time::Instant;

use super::away::Away;
use super::port::Output;
use super::send::pause;
use crate::error::{Failure, kinds};
use crate::port::{Options, Spec};
use crate::signal::Signals;

/// A port that is written, and opened again where that makes sense. What the kernel still held when it went is lost, as in
/// an outage; nothing is sent until it is back.
#[derive(Debug)]
pub struct Target {
    spec: Spec,
    options: Options,
    output: Option<Output>,
    /// It is waited for when it goes away.
    returns: bool,
    /// Something was written since it was opened.
    carried: bool,
}

impl Target {
    /// Of an open port; `waits`: a serial port, or a network, that goes away is waited for.
    pub fn new(spec: Spec, options: Options, mut output: Output, waits: bool) -> Target {
        let returns = waits && output.is_tty();
        if waits {
            output.wait_for_network();
        }
        Target { spec, options, output: Some(output), returns, carried: true }
    }
    /// Bytes per second, 0 when the port sets no rate.
    pub fn rate(&self) -> u32 {
        self.output.as_ref().map_or(0, |output| output.rate)
    }
    /// Whether every frame travels by itself, in a datagram.
    pub fn is_datagrams(&self) -> bool {
        self.output.as_ref().is_some_and(Output::is_datagrams)
    }
    /// Whether it is a pipe or socket whose reader is gone for good.
    pub fn is_closed(&self) -> bool {
        self.output.as_ref().is_some_and(Output::is_closed)
    }
    /// Writes a whole frame, waiting while the port takes nothing or is away, unless a signal asks for the end.
    pub fn write(&mut self, frame: &[u8], signals: &Signals) -> Result<(), Failure> {
        loop {
            let Some(output) = &mut self.output else {
                self.look(signals)?;
                continue;
            };
            match output.write(frame, signals) {
                Err(failure) if self.returns && failure.kind == kinds::LINE_FAILED => {}
                written => {
                    self.carried |= written.is_ok();
                    return written;
                }
            }
            // every descriptor must go, or the adapter comes back under another name
            self.output = None;
        }
    }
    /// Looks until it is back.
    fn look(&mut self, signals: &Signals) -> Result<(), Failure> {
        let mut away = Away::new(&self.spec, "hung up", std::mem::take(&mut self.carried));
        while self.output.is_none() {
            pause(signals, away.look_in())?;
            self.output = away.look(&self.spec, || Output::open(&self.spec, self.options)).map(|(output, _)| output);
        }
        Ok(())
    }
    /// Waits until everything has left, as long as something still does.
    pub fn drain(&self, signals: &Signals) -> Result<(), Failure> {
        self.output.as_ref().map_or(Ok(()), |output| output.drain(signals))
    }
    /// Writes a whole frame if that is possible until then; whether it was.
    pub fn write_until(&mut self, frame: &[u8], until: Instant) -> bool {
        self.output.as_mut().is_some_and(|output| output.write_until(frame, until))
    }
    /// Waits until everything has left, but no longer than that; whether it has.
    pub fn drain_until(&self, until: Instant) -> bool {
        self.output.as_ref().is_some_and(|output| output.drain_until(until))
    }
}
