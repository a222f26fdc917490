//! A modelled wire: the model itself (a pure function of time and seed), pseudo-terminals, and the
//! loop that joins them.

mod mismatch;
pub mod model;
pub mod pty;
pub mod run;
