//! Terminal settings for ports that are opened in one direction only, which `serialport` cannot do.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

nix::ioctl_read_bad!(tcgets2, libc::TCGETS2, libc::termios2);
nix::ioctl_write_ptr_bad!(tcsets2, libc::TCSETS2, libc::termios2);
nix::ioctl_none_bad!(tiocexcl, libc::TIOCEXCL);
nix::ioctl_write_ptr_bad!(tiocmbic, libc::TIOCMBIC, libc::c_int);

/// `struct serial_icounter_struct` of the kernel.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    lines: [libc::c_int; 4],
    rx_tx: [libc::c_int; 2],
    frame: libc::c_int,
    overrun: libc::c_int,
    parity: libc::c_int,
    brk: libc::c_int,
    buf_overrun: libc::c_int,
    reserved: [libc::c_int; 9],
}

nix::ioctl_read_bad!(tiocgicount, libc::TIOCGICOUNT, Counters);

/// Bytes lost because the UART or the driver had no room; 0 where the driver does not count (a pty).
#[allow(unsafe_code)]
pub(crate) fn overruns(fd: BorrowedFd<'_>) -> u64 {
    let mut counters = Counters::default();
    // SAFETY: TIOCGICOUNT writes one struct of this layout
    match unsafe { tiocgicount(fd.as_raw_fd(), &raw mut counters) } {
        Ok(_) => (counters.overrun.max(0) + counters.buf_overrun.max(0)) as u64,
        Err(_) => 0,
    }
}

/// Raw, 8N1, no flow control of any kind, modem lines ignored, at any rate the driver can do.
#[allow(unsafe_code)]
pub(crate) fn set_up(tty: &File, baud: u32) -> io::Result<()> {
    let fd = tty.as_raw_fd();
    // SAFETY: all-zero is a valid termios2, and both calls get a valid pointer to one
    let mut settings: libc::termios2 = unsafe { std::mem::zeroed() };
    // SAFETY: as above
    unsafe { tcgets2(fd, &raw mut settings) }?;
    settings.c_iflag = 0;
    settings.c_oflag = 0;
    settings.c_lflag = 0;
    settings.c_cflag = libc::CS8 | libc::CREAD | libc::CLOCAL | libc::BOTHER;
    settings.c_ispeed = baud;
    settings.c_ospeed = baud;
    settings.c_cc[libc::VMIN] = 1;
    settings.c_cc[libc::VTIME] = 0;
    // SAFETY: as above
    unsafe { tcsets2(fd, &raw const settings) }?;
    Ok(())
}

/// The rate a terminal is set to.
#[allow(unsafe_code)]
pub(crate) fn baud(tty: BorrowedFd<'_>) -> io::Result<u32> {
    // SAFETY: all-zero is a valid termios2, and the call gets a valid pointer to one
    let mut settings: libc::termios2 = unsafe { std::mem::zeroed() };
    // SAFETY: as above
    unsafe { tcgets2(tty.as_raw_fd(), &raw mut settings) }?;
    Ok(settings.c_ospeed)
}

/// Locks the port against other programs: TIOCEXCL and flock.
#[allow(unsafe_code)]
pub(crate) fn lock(tty: &File) -> io::Result<()> {
    tty.try_lock().map_err(io::Error::other)?;
    // SAFETY: no argument
    unsafe { tiocexcl(tty.as_raw_fd()) }?;
    Ok(())
}

/// The kernel raises DTR and RTS when a port is opened; a receiver takes them back at once. A port
/// without such lines does not matter.
#[allow(unsafe_code)]
pub(crate) fn drop_modem_lines(tty: &File) {
    let lines = libc::TIOCM_DTR | libc::TIOCM_RTS;
    // SAFETY: TIOCMBIC reads one int
    let _ = unsafe { tiocmbic(tty.as_raw_fd(), &raw const lines) };
}
