//! A modelled wire: the model itself (a pure function of time and seed), pseudo-terminals, and the
//! loop that joins them.
//!
//! ```text
//! model.rs     one direction: rate, delay, noise           route.rs   who hears what an end sends
//! uart.rs      start and stop bits                         bytes.rs   bytes that come twice or never
//! mismatch.rs  rates that differ or are too high           pty.rs     the pseudo-terminals
//! run.rs       the loop                                    live.rs    the loop on a thread, changed while it runs
//! ```

pub mod bytes;
pub mod live;
mod mismatch;
pub mod model;
pub mod pty;
pub mod route;
pub mod run;
mod uart;
