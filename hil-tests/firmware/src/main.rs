//! Telemetry from a bare microcontroller: a reading every few milliseconds, each sent so that it survives noise.
//! All memory is one static emitter and one frame buffer; what knows the board is in `board.rs`.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod board;

#[cfg(target_os = "none")]
mod telemetry;

/// There is nothing to do on a host.
#[cfg(not(target_os = "none"))]
fn main() {
    println!("this is firmware: cargo build -p firmware --target thumbv7m-none-eabi");
}
