//! A soak: two real `hardline pipe` on a wire with the noise of a day, both directions busy, every
//! byte verified, the memory watched.
//!
//! ```text
//! run.rs       starts everything, follows the day, ends it    schedule.rs  the day: noise, outages, unplugs
//! users.rs     who writes and who verifies                    ends.rs      the two processes
//! stream.rs    the bytes of a direction                       memory.rs    what a process uses
//! report.rs    what came of it                                chance.rs    seeded draws
//! ```

pub mod chance;
pub mod ends;
pub mod memory;
pub mod report;
pub mod run;
pub mod schedule;
pub mod stream;
pub mod users;
