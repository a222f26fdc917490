//! Everything of hardline with a side effect: ports, drive loops, the wire simulator, commands.
//!
//! ```text
//! cmd/    one file per command        drive/  the loop that joins a port, a link and a user
//! port/   one file per kind of port   sim/    a modelled wire between two pseudo-terminals
//! adapters/  serial ports as the kernel shows them, without opening one
//! diode/  the one-way mode: senders, receiver, what is kept on disk
//! files/  file transfer over a channel: messages, sender, receiver
//! config/ files that stand for command lines
//! measure/  what a wire does to bytes, at which rate
//! lent    the terminal of a login, while it is the wire
//! keys/   secret and public keys, their files, known peers
//! ```

pub mod adapters;
pub mod beneath;
mod chatter;
mod cleanse;
pub mod cli;
pub mod clock;
pub mod cmd;
pub mod config;
pub mod digest;
pub mod diode;
mod disk;
pub mod drive;
pub mod error;
pub mod files;
pub mod guard;
pub mod keys;
pub mod lent;
mod limit;
pub mod log;
pub mod measure;
pub mod names;
pub mod notify;
pub mod port;
pub mod progress;
pub mod rig;
pub mod say;
pub mod signal;
pub mod sim;
pub mod stats;
pub mod stderr;
pub mod stdio;
pub mod whole;
