//! A command on a pseudo-terminal of its own.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use crate::guard::{self, Reach};
use link::wire::record::SERVICE_MAX;
use nix::pty::{Winsize, openpty};
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::sys::termios::{InputFlags, LocalFlags, SpecialCharacterIndices, tcgetattr};

/// Of a terminal whose size nobody tells: rows x 65536 + columns.
const SIZE: u32 = 24 << 16 | 80;

#[allow(missing_docs)]
mod ioctl {
    nix::ioctl_write_ptr_bad!(tiocswinsz, libc::TIOCSWINSZ, libc::winsize);
    nix::ioctl_write_int_bad!(tiocsctty, libc::TIOCSCTTY);
    // of the kernel, asm-generic/ioctls.h
    nix::ioctl_write_int_bad!(tiocsig, nix::request_code_write!(b'T', 0x36, size_of::<libc::c_int>()));
}

/// The name of a service as it travels: behind it the terminal of whoever asks.
pub(super) fn with_term(name: &str, term: &str) -> String {
    format!("{name}\0{}", term_of(term))
}

/// And behind that the size of the terminal, as far as there is room.
pub(super) fn with_size(service: &str, size: Option<u32>) -> String {
    let with = size.map(|n| format!("{service}\0{}x{}", n >> 16, n & 0xFFFF));
    with.filter(|with| with.len() <= SERVICE_MAX).unwrap_or_else(|| service.to_owned())
}

/// The name of a service, the name of a terminal and its size, if it came along.
pub(super) fn parts_of(service: &str) -> (&str, String, Option<u32>) {
    let mut parts = service.split('\0');
    let name = parts.next().unwrap_or_default();
    let term = term_of(parts.next().unwrap_or("dumb"));
    let size = parts.next().and_then(|size| {
        let (rows, columns) = size.split_once('x')?;
        Some(u32::from(rows.parse::<u16>().ok()?) << 16 | u32::from(columns.parse::<u16>().ok()?))
    });
    (name, term, size)
}

/// The name of a terminal, as far as it is one.
fn term_of(text: &str) -> String {
    let fine = |c: char| c.is_ascii_alphanumeric() || "-+._".contains(c);
    if (1..=30).contains(&text.len()) && text.chars().all(fine) { text.to_owned() } else { "dumb".into() }
}

/// Starts a command as the leader of a session on a new terminal of this size (rows x 65536 + columns);
/// returns it and the master.
#[allow(unsafe_code)]
pub(super) fn spawn(mut command: Command, size: Option<u32>) -> io::Result<(Child, OwnedFd)> {
    let pty = openpty(&winsize(size.unwrap_or(SIZE)), None)?;
    for fd in [&pty.master, &pty.slave] {
        nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC))?;
    }
    command.stdin(Stdio::from(pty.slave.try_clone()?)).stdout(Stdio::from(pty.slave.try_clone()?)).stderr(Stdio::from(pty.slave));
    // SAFETY: setsid, signal and an ioctl are safe between fork and exec
    unsafe {
        command.pre_exec(|| {
            // nohup, or a script that starts us in the background, has them ignored; keys are to work all the same
            for ignored in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT] {
                signal(ignored, SigHandler::SigDfl)?;
            }
            nix::unistd::setsid()?;
            ioctl::tiocsctty(0, 0)?;
            Ok(())
        });
    }
    Ok((guard::spawn(&mut command, Reach::Group)?, pty.master))
}

fn winsize(value: u32) -> Winsize {
    Winsize { ws_row: (value >> 16) as u16, ws_col: value as u16, ws_xpixel: 0, ws_ypixel: 0 }
}

/// Sets the size of a terminal: rows x 65536 + columns.
#[allow(unsafe_code)]
pub(super) fn resize(master: BorrowedFd<'_>, value: u32) {
    let size = winsize(value);
    // SAFETY: reads one winsize
    let _ = unsafe { ioctl::tiocswinsz(master.as_raw_fd(), &raw const size) };
}

/// What a break does on a terminal that has none: it types the character that interrupts. Where the
/// terminal's settings ignore breaks, nothing.
#[allow(unsafe_code)]
pub(super) fn interrupt(master: BorrowedFd<'_>) {
    let Ok(settings) = tcgetattr(master) else { return };
    let character = settings.control_chars[SpecialCharacterIndices::VINTR as usize];
    if settings.input_flags.contains(InputFlags::IGNBRK) || character == 0 {
        return;
    }
    let typed = nix::unistd::write(master, &[character]);
    if typed.is_err() && settings.local_flags.contains(LocalFlags::ISIG) {
        // nobody reads what was typed before: past it
        // SAFETY: takes an int
        let _ = unsafe { ioctl::tiocsig(master.as_raw_fd(), libc::SIGINT) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::os::unix::process::ExitStatusExt;

    #[test]
    fn terminals_travel_behind_the_name() {
        let service = with_size(&with_term("console", "vt220"), Some(40 << 16 | 100));
        assert_eq!(parts_of(&service), ("console", "vt220".into(), Some(40 << 16 | 100)));
        // as the vector has it, which another end wrote that says more
        let vectors = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/segment.txt")).unwrap();
        let vector = vectors.lines().find_map(|line| line.strip_prefix("begin-terminal = ")).unwrap();
        let written = with_size(&with_term("console", "xterm"), Some(24 << 16 | 80));
        let hex: String = written.bytes().map(|byte| format!("{byte:02x}")).collect();
        assert!(vector.contains(&hex), "{vector}: {hex}");
        assert_eq!(parts_of(&format!("{written}\0later")), ("console", "xterm".into(), Some(24 << 16 | 80)));
        // no room is no reason to fail, and nor is nonsense of the peer's
        let long = with_term(&"n".repeat(32), &"t".repeat(30));
        assert_eq!(with_size(&long, Some(1)), long);
        for bad in ["x", "x\0", "x\0a b\0x", "x\0\x1b\099999x1", "x\0dumb\0-1x5\0more"] {
            assert_eq!(parts_of(bad), ("x", "dumb".into(), None), "{bad:?}");
        }
    }

    #[test]
    fn a_break_gets_past_what_nobody_reads() {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "stty -icanon -echo; echo; exec sleep 1000"]);
        let (mut child, master) = spawn(command, None).unwrap();
        nix::unistd::read(&master, &mut [0u8; 64]).unwrap();
        crate::port::set_nonblocking(master.as_fd()).unwrap();
        // what was written may still move on, and make room
        let fills = || nix::unistd::write(&master, &[b'x'; 4096]).is_ok();
        while fills() || (0..20).any(|_| (std::thread::sleep(std::time::Duration::from_millis(5)), fills()).1) {}
        interrupt(master.as_fd());
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGINT));
    }
}
