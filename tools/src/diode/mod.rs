//! The one-way mode with its side effects: a line that can only be written, a line that can only be
//! read, files, and what the receiver keeps on disk.

mod away;
mod ending;
pub mod files;
mod guard;
pub mod hooks;
pub mod lines;
pub mod numbers;
pub mod objects;
pub mod port;
pub mod receive;
pub mod report;
pub mod sealing;
pub mod send;
pub mod source;
pub mod spool;
pub mod state;
mod stdin;
pub mod stdout;
mod strange;
pub mod streams;
mod taking;
pub mod target;
pub mod transfers;
pub mod watch;
