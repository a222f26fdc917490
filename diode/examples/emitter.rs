//! Telemetry from a machine without heap or operating system, as its main loop would be. Build it for
//! one: `cargo build -p diode --target thumbv7m-none-eabi`. Here stdout stands for the UART:
//!
//!     echo hardline-psk-1 BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc= >wire.psk; chmod 600 wire.psk
//!     cargo run -p diode --example emitter | hardline diode recv stdio: --lines --psk wire.psk
//!
//! With `Emitter::new` and `frame_max` instead it is plain: everybody at the wire can read it, and send the like.

use std::io::Write;
use std::time::Instant as Clock;

use diode::Sealing;
use diode::emitter::{Config, Emitter, sealed_frame_max};
use link::Instant;
use link::wire::Level;
use link::wire::seal::Key;

// ANCHOR: memory
/// Longest reading, and how many are kept for their copies: all the memory there is.
const LEN: usize = 48;
const SLOTS: usize = 64;
/// What the receiver knows too. Every board has its own, from a good source; this one is for show.
const PSK: [u8; 32] = [7; 32];

type Telemetry = Emitter<SLOTS, LEN>;

// 8 KiB of RAM for everything, the frame buffer included
const FRAME: usize = sealed_frame_max(LEN, Level::Plain);
const RAM: usize = size_of::<Telemetry>() + FRAME;
const _: () = assert!(RAM <= 8192);
// ANCHOR_END: memory

/// What a board has: a clock, a UART, a sensor.
struct Board(Clock);

impl Board {
    fn now(&self) -> Instant {
        Instant::from_micros(self.0.elapsed().as_micros() as u64)
    }
    fn uart(&self, frame: &[u8]) {
        let mut out = std::io::stdout().lock();
        // a UART does not know whether anybody listens: a receiver that has heard the end is gone
        let _ = out.write_all(frame).and_then(|()| out.flush());
    }
}

fn main() {
    let board = Board(Clock::now());
    // ANCHOR: loop
    // a number that rises and is never used again: here the clock; on a board a counter in flash, written
    // before the first frame leaves
    let session = std::time::UNIX_EPOCH.elapsed().map_or(1, |t| t.as_millis() as u64);
    let config = Config { survive_us: 200_000, ..Config::for_baud(115_200, session) };
    let mut telemetry = Telemetry::sealed(config, Sealing::psk(&Key::from(PSK), session), board.now());
    let mut frame = [0u8; FRAME];
    let (mut made, mut farewells) = (0u32, 0);
    eprintln!("{RAM} bytes of RAM");
    while farewells < 3 {
        let now = board.now();
        if made < 100 && now.as_micros() >= u64::from(made) * 10_000 {
            let reading = format!("reading {made}: 21.5 C");
            telemetry.write(reading.as_bytes(), now).expect("it fits a slot");
            made += 1;
        }
        let ends = made == 100 && telemetry.is_drained();
        if ends {
            telemetry.finish(now);
        }
        while let Some(len) = telemetry.poll_transmit(&mut frame, board.now()) {
            board.uart(&frame[..len]);
            farewells += u32::from(ends); // the closing beacon, three times
        }
        std::thread::sleep(std::time::Duration::from_millis(1)); // a board would wait for an interrupt
    }
    // ANCHOR_END: loop
}
