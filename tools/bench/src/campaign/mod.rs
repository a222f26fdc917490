//! A campaign: many short runs of real processes over simulated wires, with faults at random moments, that check one
//! sentence. Exit 0 means that the far side is identical; who lost something says so; nobody hangs on a good wire, nobody spins.
//!
//! ```text
//! plan.rs     what a seed stands for: the way, the data, the faults      fault.rs    what can happen, and when
//! process.rs  a process under watch                                      users.rs    who writes, reads and serves in our own threads
//! flow.rs     what was sent and what came of it                          input.rs    where a process reads what it sends
//! stage.rs    who is on the stage: processes, users, flows               ways.rs     the parts of every way of carrying bytes
//! course.rs   what happens to the wires and the processes                calm.rs     who uses the CPU for nothing
//! play.rs     a run: who comes on, how it ends                           verdict.rs  what did not hold
//! report.rs   what came of all runs                                      all.rs      many runs at once
//! ```

pub mod all;
pub mod calm;
pub mod course;
pub mod fault;
pub mod flow;
pub mod input;
pub mod plan;
pub mod play;
pub mod process;
pub mod report;
pub mod stage;
pub mod users;
pub mod verdict;
pub mod ways;
