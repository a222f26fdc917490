//! An ARM MPS2 with the AN385 image, as QEMU has it: Cortex-M3 at 25 MHz, a CMSDK UART, the system timer.
#![allow(unsafe_code)] // registers and the first instructions after reset

use core::mem::MaybeUninit;
use core::ptr::{addr_of, addr_of_mut, read_volatile, write_volatile};

use link::Instant;

use crate::telemetry::{BAUD, Telemetry};

const CLOCK_HZ: u32 = 25_000_000;
const TICK_US: u32 = 500;

// CMSDK UART 0
const UART_DATA: *mut u32 = 0x4000_4000 as *mut u32;
const UART_STATE: *mut u32 = 0x4000_4004 as *mut u32;
const UART_CTRL: *mut u32 = 0x4000_4008 as *mut u32;
const UART_BAUDDIV: *mut u32 = 0x4000_4010 as *mut u32;
const TX_FULL: u32 = 1;
// the timer of every Cortex-M
const SYST_CSR: *mut u32 = 0xE000_E010 as *mut u32;
const SYST_RVR: *mut u32 = 0xE000_E014 as *mut u32;
const SYST_CVR: *mut u32 = 0xE000_E018 as *mut u32;

/// Ticks since the start; 32 bits are read in one piece, and last for 24 days.
static mut TICKS: u32 = 0;

/// The hardware; there is one.
pub(crate) struct Board(());

impl Board {
    fn new() -> Board {
        // SAFETY: these are the registers of this board, and nothing else uses them
        unsafe {
            write_volatile(UART_BAUDDIV, CLOCK_HZ / BAUD);
            write_volatile(UART_CTRL, 1); // sends only: nothing can come in
            write_volatile(SYST_RVR, CLOCK_HZ / 1_000_000 * TICK_US - 1);
            write_volatile(SYST_CVR, 0);
            write_volatile(SYST_CSR, 7);
        }
        Board(())
    }
    pub(crate) fn now(&self) -> Instant {
        // SAFETY: an aligned word, written by the interrupt alone
        let ticks = unsafe { read_volatile(addr_of!(TICKS)) };
        Instant::from_micros(u64::from(ticks) * u64::from(TICK_US))
    }
    pub(crate) fn send(&mut self, frame: &[u8]) {
        for byte in frame {
            // SAFETY: registers of the UART
            unsafe {
                while read_volatile(UART_STATE) & TX_FULL != 0 {}
                write_volatile(UART_DATA, u32::from(*byte));
            }
        }
    }
    /// Until the next interrupt.
    pub(crate) fn sleep(&self) {
        // SAFETY: waits, and touches nothing
        unsafe { core::arch::asm!("wfi", options(nomem, nostack)) };
    }
}

extern "C" fn tick() {
    // SAFETY: only this writes it, and it does not interrupt itself
    unsafe { write_volatile(addr_of_mut!(TICKS), read_volatile(addr_of!(TICKS)).wrapping_add(1)) };
}

extern "C" fn fault() -> ! {
    // silent: whoever misses readings looks here with a debugger
    loop {
        core::hint::spin_loop();
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    fault()
}

/// Not on the stack, so that the linker counts it.
static mut TELEMETRY: MaybeUninit<Telemetry> = MaybeUninit::uninit();

/// After the variables have their values.
extern "C" fn start() -> ! {
    let mut board = Board::new();
    // SAFETY: this runs once, and nothing else refers to it
    let telemetry = unsafe { (*addr_of_mut!(TELEMETRY)).write(Telemetry::new(&board)) };
    telemetry.run(&mut board);
    loop {
        board.sleep();
    }
}

core::arch::global_asm!(
    ".section .text.reset, \"ax\"",
    ".global reset",
    ".thumb_func",
    "reset:",
    "ldr r0, =_data_start",
    "ldr r1, =_data_end",
    "ldr r2, =_data_load",
    "1: cmp r0, r1",
    "bhs 2f",
    "ldr r3, [r2], #4",
    "str r3, [r0], #4",
    "b 1b",
    "2: ldr r0, =_bss_start",
    "ldr r1, =_bss_end",
    "movs r3, #0",
    "3: cmp r0, r1",
    "bhs 4f",
    "str r3, [r0], #4",
    "b 3b",
    "4: bl {start}",
    ".pool",
    start = sym start,
);

unsafe extern "C" {
    fn reset() -> !;
    static _stack_top: u32;
}

/// What the hardware reads at address 0: stack and entries.
#[repr(C)]
struct Vectors {
    stack: &'static u32,
    reset: unsafe extern "C" fn() -> !,
    faults: [extern "C" fn() -> !; 13],
    tick: extern "C" fn(),
}

#[used]
#[unsafe(link_section = ".vectors")]
static VECTORS: Vectors = Vectors {
    // SAFETY: only its address is used
    stack: unsafe { &_stack_top },
    reset,
    faults: [fault; 13],
    tick,
};
