//! A command whose stdin and stdout are the wire, and our own stdin and stdout as the wire.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::{Port, Spec};
use crate::error::{Doing, Failure, kinds};
use crate::guard::{self, Reach};
use crate::stdio;

/// How long a command may take to end by itself, and then after SIGTERM.
const END: Duration = Duration::from_millis(500);

pub(super) fn open(spec: &Spec) -> Result<Port, Failure> {
    let opened = || -> io::Result<Port> {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(&spec.rest).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = guard::spawn(&mut command, Reach::Session)?;
        let missing = || io::Error::other("no pipe to the command");
        let reader = OwnedFd::from(child.stdout.take().ok_or_else(missing)?);
        let writer = OwnedFd::from(child.stdin.take().ok_or_else(missing)?);
        let mut port = Port::new(reader, writer)?;
        port.child = Some(Running { child, reach: Reach::Session });
        Ok(port)
    };
    opened().doing(kinds::PORT_COMMAND, || format!("run {spec}"))
}

pub(super) fn stdio() -> Result<Port, Failure> {
    let (reader, writer) = (stdio::input()?, stdio::output()?);
    let opened = || -> io::Result<Port> {
        let flags = |fd: &OwnedFd| -> io::Result<_> { Ok((fd.try_clone()?, super::set_nonblocking(fd.as_fd())?)) };
        let restore = vec![flags(&reader)?, flags(&writer)?];
        let mut port = Port::new(reader, writer)?;
        port.restore = restore;
        Ok(port)
    };
    opened().doing(kinds::PORT_FAILED, || "use stdin and stdout as the wire".into())
}

/// A command that is made to end when this is dropped, if it does not do so by itself.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) child: Child,
    /// What is to be ended with it.
    pub(crate) reach: Reach,
}

impl Running {
    /// Whether it is over. What a command leaves behind that ends by itself, it leaves on purpose.
    fn is_over(&mut self, told: bool) -> bool {
        match guard::ended(&self.child) {
            Ok(None) => false,
            Ok(Some(status)) if !told && status.signal().is_none() => true,
            Ok(Some(_)) => self.reach == Reach::Tree || !guard::signal(&self.child, self.reach, None),
            Err(_) => true,
        }
    }
    fn end(&mut self) {
        for signal in [None, Some(Signal::SIGTERM), Some(Signal::SIGKILL)] {
            if signal.is_some() {
                guard::signal(&self.child, self.reach, signal);
            }
            let until = Instant::now() + END;
            while Instant::now() < until {
                if self.is_over(signal.is_some()) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
        guard::reap(&mut self.child);
    }
}
