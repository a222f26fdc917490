//! The main loop, as any board would have it.

use diode::Sealing;
use diode::emitter::{Config, Emitter, sealed_frame_max};
use link::wire::Level;
use link::wire::seal::Key;

use crate::board::Board;

/// What it shares with its receiver: a real board has one of its own.
const PSK: [u8; 32] = *b"for a test alone, and no secret!";
/// Of the wire.
pub(crate) const BAUD: u32 = 460_800;
/// How many readings there are, and the time between them.
const READINGS: u32 = 1000;
const PERIOD_US: u64 = 8_000;
/// Longest reading, and how many wait for their copies.
const LEN: usize = 24;
const SLOTS: usize = 64;
/// Closing beacons, and the time between them.
const FAREWELLS: u32 = 4;
const FAREWELL_US: u64 = 100_000;

/// All there is to keep.
pub(crate) struct Telemetry {
    emitter: Emitter<SLOTS, LEN>,
    frame: [u8; sealed_frame_max(LEN, Level::Plain)],
}

impl Telemetry {
    pub(crate) fn new(board: &Board) -> Telemetry {
        // never used again: a real board counts in flash
        let session = 1;
        let config = Config { survive_us: 200_000, ..Config::for_baud(BAUD, session) };
        let sealing = Sealing::psk(&Key::from(PSK), session);
        Telemetry { emitter: Emitter::sealed(config, sealing, board.now()), frame: [0; sealed_frame_max(LEN, Level::Plain)] }
    }

    /// Sends all readings, then says that there are no more.
    pub(crate) fn run(&mut self, board: &mut Board) {
        let (mut made, mut farewells, mut farewell_us) = (0, 0, 0);
        while farewells < FAREWELLS {
            let now = board.now();
            if made < READINGS && now.as_micros() >= u64::from(made) * PERIOD_US {
                let _ = self.emitter.write(&reading(made), now);
                made += 1;
            }
            if made == READINGS && self.emitter.is_drained() && now.as_micros() >= farewell_us {
                self.emitter.finish(now);
                farewells += 1;
                farewell_us = now.as_micros() + FAREWELL_US;
            }
            while let Some(len) = self.emitter.poll_transmit(&mut self.frame, board.now()) {
                board.send(&self.frame[..len]);
            }
            board.sleep();
        }
    }
}

/// `reading 0042: 242 mV`: text, without the machinery of `core::fmt`.
fn reading(number: u32) -> [u8; 20] {
    let mut text = *b"reading 0000: 000 mV";
    digits(&mut text[8..12], number);
    digits(&mut text[14..17], 200 + number % 97);
    text
}

fn digits(text: &mut [u8], mut value: u32) {
    for digit in text.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}
