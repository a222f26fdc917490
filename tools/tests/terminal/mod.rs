//! Processes, and terminals with a process on them, for tests.
#![allow(dead_code)]

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{Termios, tcgetattr};
use nix::unistd::Pid;

/// Waits until `done`, at most a minute.
#[track_caller]
pub(super) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < limit, "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A process that does not outlive its test.
pub(super) struct Running(pub(super) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A terminal of 80 x 25 with a command on it.
pub(super) struct Terminal {
    pub(super) child: Running,
    pub(super) master: File,
    slave: OwnedFd,
    before: Termios,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    pub(super) fn start(command: &mut Command) -> Terminal {
        Terminal::start_with(command, None, None)
    }
    /// The same with something else as stdin, or as stdout.
    pub(super) fn start_with(command: &mut Command, input: Option<Stdio>, output: Option<Stdio>) -> Terminal {
        let size = Winsize { ws_row: 25, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(&size, None).unwrap();
        let end = || Stdio::from(pty.slave.try_clone().unwrap());
        let before = tcgetattr(&pty.slave).unwrap();
        let (input, output) = (input.unwrap_or_else(end), output.unwrap_or_else(end));
        let child = Running(command.stdin(input).stdout(output).stderr(end()).spawn().unwrap());
        let (master, seen) = (File::from(pty.master), Arc::new(Mutex::new(Vec::new())));
        let (mut reader, screen) = (master.try_clone().unwrap(), Arc::clone(&seen));
        std::thread::spawn(move || {
            let mut buffer = [0u8; 4096];
            while let Ok(n) = reader.read(&mut buffer) {
                screen.lock().unwrap().extend_from_slice(&buffer[..n]);
            }
        });
        Terminal { child, master, slave: pty.slave, before, seen }
    }
    pub(super) fn types(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).unwrap();
    }
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().unwrap()).into_owned()
    }
    #[track_caller]
    pub(super) fn sees(&self, what: &str) {
        let limit = Instant::now() + Duration::from_secs(60);
        while !self.text().contains(what) {
            let text = self.text();
            assert!(Instant::now() < limit, "'{what}' is not seen: {}", &text[text.len().saturating_sub(2000)..]);
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    /// The shell is there and answers; what it says differs from what is typed.
    #[track_caller]
    pub(super) fn greets(&mut self, number: u32) {
        self.types(&format!("echo greet-$(({number}+0)).\r"));
        self.sees(&format!("greet-{number}."));
    }
    pub(super) fn resize(&self, rows: u32, columns: u32) {
        let tty = nix::unistd::ttyname(&self.slave).unwrap();
        let (rows, columns) = (rows.to_string(), columns.to_string());
        assert!(Command::new("stty").arg("-F").arg(tty).args(["rows", &rows, "cols", &columns]).status().unwrap().success());
    }
    pub(super) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.0.id() as i32), signal).unwrap();
    }
    /// Waits for its end: the exit code and all that was seen. The terminal is as it was.
    #[track_caller]
    pub(super) fn ends(self, code: i32) -> String {
        self.ends_with(code, "")
    }
    /// The same, and it says this.
    #[track_caller]
    pub(super) fn ends_with(mut self, code: i32, says: &str) -> String {
        let mut status = None;
        until("the console ends", || {
            status = self.child.0.try_wait().unwrap();
            status.is_some()
        });
        assert_eq!(status.and_then(|s| s.code()), Some(code), "{}", self.text());
        self.sees(says);
        let flags = |t: &Termios| (t.input_flags, t.output_flags, t.local_flags, t.control_flags);
        assert_eq!(flags(&tcgetattr(&self.slave).unwrap()), flags(&self.before), "the terminal is restored");
        self.text()
    }
}
