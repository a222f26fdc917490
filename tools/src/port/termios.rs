//! Terminal settings that `serialport` cannot do: for ports opened in one direction only, and for odd drivers.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

nix::ioctl_read_bad!(tcgets2, libc::TCGETS2, libc::termios2);
nix::ioctl_write_ptr_bad!(tcsets2, libc::TCSETS2, libc::termios2);
nix::ioctl_none_bad!(tiocexcl, libc::TIOCEXCL);
nix::ioctl_none_bad!(tiocnxcl, libc::TIOCNXCL);
nix::ioctl_read_bad!(tiocmget, libc::TIOCMGET, libc::c_int);
nix::ioctl_write_ptr_bad!(tiocmbis, libc::TIOCMBIS, libc::c_int);
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
pub(crate) fn overruns(fd: BorrowedFd<'_>) -> u64 {
    errors(fd).0
}

/// Overruns, and bytes whose stop bit was not where it belongs; 0 where the driver does not count.
#[allow(unsafe_code)]
pub(crate) fn errors(fd: BorrowedFd<'_>) -> (u64, u64) {
    let mut counters = Counters::default();
    // SAFETY: TIOCGICOUNT writes one struct of this layout
    match unsafe { tiocgicount(fd.as_raw_fd(), &raw mut counters) } {
        Ok(_) => {
            let count = |n: libc::c_int| u64::from(n.max(0) as u32);
            (count(counters.overrun) + count(counters.buf_overrun), count(counters.frame))
        }
        Err(_) => (0, 0),
    }
}

/// Raw, 8N1, no flow control of any kind, modem lines ignored, at any rate the driver can do.
pub(crate) fn set_up(tty: &File, baud: u32) -> io::Result<()> {
    let mut settings = settings(tty.as_fd())?;
    settings.c_iflag = 0;
    settings.c_oflag = 0;
    settings.c_lflag = 0;
    settings.c_cflag = libc::CS8 | libc::CREAD | libc::CLOCAL | libc::BOTHER;
    settings.c_ispeed = baud;
    settings.c_ospeed = baud;
    settings.c_cc[libc::VMIN] = 1;
    settings.c_cc[libc::VTIME] = 0;
    set(tty.as_fd(), &settings)
}

#[allow(unsafe_code)]
fn settings(tty: BorrowedFd<'_>) -> io::Result<libc::termios2> {
    // SAFETY: all-zero is a valid termios2, and the call gets a valid pointer to one
    let mut settings: libc::termios2 = unsafe { std::mem::zeroed() };
    // SAFETY: as above
    unsafe { tcgets2(tty.as_raw_fd(), &raw mut settings) }?;
    Ok(settings)
}

#[allow(unsafe_code)]
fn set(tty: BorrowedFd<'_>, settings: &libc::termios2) -> io::Result<()> {
    // SAFETY: the call gets a valid pointer to a termios2
    unsafe { tcsets2(tty.as_raw_fd(), settings) }?;
    Ok(())
}

/// The rate a terminal is set to.
pub(crate) fn baud(tty: BorrowedFd<'_>) -> io::Result<u32> {
    settings(tty).map(|settings| settings.c_ospeed)
}

/// Sets another rate, and nothing else; the error says what the driver made of it.
pub(crate) fn set_rate(tty: BorrowedFd<'_>, baud: u32) -> io::Result<()> {
    put_rate(tty, baud)?;
    keep_rate(tty, baud).map_err(|real| io::Error::other(format!("the port cannot do {baud} baud (it chose {real})")))
}
fn put_rate(tty: BorrowedFd<'_>, baud: u32) -> io::Result<()> {
    let mut settings = settings(tty)?;
    settings.c_cflag = settings.c_cflag & !libc::CBAUD | libc::BOTHER;
    (settings.c_ispeed, settings.c_ospeed) = (baud, baud);
    set(tty, &settings)
}

/// How often it is looked whether a port has the rate it was set to, and set to that again where it has not: another program may have
/// set its own in the same moment.
const TRIES: usize = 4;

/// Sees to it that a terminal that was set to this rate has it; else the rate its driver chose instead. One without any rate (a USB
/// gadget's end) can do all of them.
pub(crate) fn keep_rate(tty: BorrowedFd<'_>, asked: u32) -> Result<(), u32> {
    insist(|| check_rate(tty, asked), || put_rate(tty, asked))
}
fn insist(mut check: impl FnMut() -> Result<(), u32>, mut put: impl FnMut() -> io::Result<()>) -> Result<(), u32> {
    let mut outcome = check();
    for _ in 1..TRIES {
        if outcome.is_ok() || put().is_err() {
            break;
        }
        outcome = check();
    }
    outcome
}

/// Largest difference between the rate asked for and the rate the driver reports, in percent.
const BAUD_TOLERANCE: u64 = 2;

/// Whether a terminal has this rate, or no other can be set; else the rate it has.
fn check_rate(tty: BorrowedFd<'_>, asked: u32) -> Result<(), u32> {
    let Ok(real) = baud(tty) else { return Ok(()) };
    let is_near = u64::from(real.abs_diff(asked)) * 100 <= u64::from(asked) * BAUD_TOLERANCE;
    if is_near || is_fixed(tty, real) { Ok(()) } else { Err(real) }
}

/// Whether the rate stays what it is even where one is set that every UART can do.
fn is_fixed(tty: BorrowedFd<'_>, real: u32) -> bool {
    let other = if real == 9600 { 19_200 } else { 9600 };
    put_rate(tty, other).is_ok() && baud(tty).is_ok_and(|now| now == real)
}

/// `struct serial_struct` of the kernel.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Driver {
    kind_line: [libc::c_int; 2],
    port: libc::c_uint,
    irq: libc::c_int,
    flags: libc::c_int,
    fifo_divisor_base: [libc::c_int; 3],
    close_delay: libc::c_ushort,
    io_type: [libc::c_char; 2],
    hub6: libc::c_int,
    waits: [libc::c_ushort; 2],
    iomem_base: usize,
    iomem_shift_high: [libc::c_uint; 2],
    iomap_base: libc::c_ulong,
}

const ASYNC_LOW_LATENCY: libc::c_int = 1 << 13;
nix::ioctl_read_bad!(tiocgserial, libc::TIOCGSERIAL, Driver);
nix::ioctl_write_ptr_bad!(tiocsserial, libc::TIOCSSERIAL, Driver);

/// Asks the driver to hold back nothing: whoever may open the port may do that, while sysfs is root's.
#[allow(unsafe_code)]
pub(crate) fn low_latency(tty: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: all-zero is a valid serial_struct, and both calls get a valid pointer to one
    let mut driver: Driver = unsafe { std::mem::zeroed() };
    // SAFETY: as above
    unsafe { tiocgserial(tty.as_raw_fd(), &raw mut driver) }?;
    driver.flags |= ASYNC_LOW_LATENCY;
    // SAFETY: as above
    unsafe { tiocsserial(tty.as_raw_fd(), &raw const driver) }?;
    Ok(())
}

/// Locks the port against other programs: flock, and TIOCEXCL unless it is a pseudo-terminal (see [`share`]).
#[allow(unsafe_code)]
pub(crate) fn lock(tty: &File) -> io::Result<()> {
    tty.try_lock().map_err(io::Error::other)?;
    if !is_pseudo(tty.as_fd()) {
        // SAFETY: no argument
        unsafe { tiocexcl(tty.as_raw_fd()) }?;
    }
    Ok(())
}

/// Takes TIOCEXCL back. It ends with the last descriptor, whoever has that; of a pseudo-terminal that is the other side,
/// and until then nobody but root could open it again.
#[allow(unsafe_code)]
pub(crate) fn share(tty: BorrowedFd<'_>) {
    // SAFETY: no argument
    let _ = unsafe { tiocnxcl(tty.as_raw_fd()) };
}

/// Whether it is one side of a pseudo-terminal: the numbers 136 to 143 are theirs (the kernel's devices.txt).
pub(crate) fn is_pseudo(tty: BorrowedFd<'_>) -> bool {
    nix::sys::stat::fstat(tty).is_ok_and(|stat| (136..=143).contains(&nix::sys::stat::major(stat.st_rdev)))
}

/// The kernel raises DTR and RTS when a port is opened; a receiver takes them back at once. A port
/// without such lines does not matter.
#[allow(unsafe_code)]
pub(crate) fn drop_modem_lines(tty: &File) {
    let lines = libc::TIOCM_DTR | libc::TIOCM_RTS;
    // SAFETY: TIOCMBIC reads one int
    let _ = unsafe { tiocmbic(tty.as_raw_fd(), &raw const lines) };
}

/// The modem lines, as the bits TIOCM_..; none where there are no such lines (a pty).
#[allow(unsafe_code)]
pub(crate) fn modem_lines(tty: BorrowedFd<'_>) -> Option<libc::c_int> {
    let mut lines = 0;
    // SAFETY: TIOCMGET writes one int
    unsafe { tiocmget(tty.as_raw_fd(), &raw mut lines) }.ok().map(|_| lines)
}

/// Raises the outputs in `on` and lowers those in `off`, as the bits TIOCM_...
#[allow(unsafe_code)]
pub(crate) fn set_modem_lines(tty: BorrowedFd<'_>, on: libc::c_int, off: libc::c_int) -> io::Result<()> {
    // SAFETY: both calls read one int
    unsafe {
        tiocmbis(tty.as_raw_fd(), &raw const on)?;
        tiocmbic(tty.as_raw_fd(), &raw const off)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_rate_that_another_program_set_meanwhile_is_set_again() {
        let (rate, others) = (Cell::new(9600), Cell::new(2));
        // each time somebody else comes in between
        let put = || {
            rate.set(115_200);
            if others.get() > 0 {
                others.set(others.get() - 1);
                rate.set(9600);
            }
            Ok(())
        };
        put().unwrap();
        assert_eq!(insist(|| if rate.get() == 115_200 { Ok(()) } else { Err(rate.get()) }, put), Ok(()));
    }

    #[test]
    fn what_a_driver_chooses_again_and_again_is_its_answer() {
        let puts = Cell::new(0);
        let put = || {
            puts.set(puts.get() + 1);
            Ok(())
        };
        assert_eq!(insist(|| Err(1_000_000), put), Err(1_000_000));
        assert_eq!(puts.get(), TRIES - 1);
        assert_eq!(insist(|| Err(300), || Err(io::Error::other("gone"))), Err(300));
    }
}
