//! The tests, in the order in which they run: what disturbs the ports comes last.

mod diode;
mod drivers;
mod link;
mod measure;
mod pipe;
mod replug;
mod stuck;

pub(crate) use stuck::{FILL, fill};

use crate::Verdict;
use crate::rig::Rig;

/// A test and what the rig must be able to do for it.
pub(crate) struct Test {
    pub(crate) name: &'static str,
    pub(crate) needs: &'static [&'static str],
    pub(crate) run: fn(&Rig) -> Verdict,
}

macro_rules! test {
    ($module:ident :: $name:ident, $($need:literal),*) => {
        Test { name: stringify!($name), needs: &[$($need),*], run: $module::$name }
    };
}

/// All of them.
pub(crate) const ALL: [Test; 24] = [
    test!(pipe::both_ways, "pair"),
    test!(pipe::rates, "pair", "custom"),
    test!(pipe::too_fast, "capped"),
    test!(link::typing_beside_bulk, "pair"),
    test!(pipe::locked, "port"),
    test!(drivers::listed, "timer"),
    test!(drivers::latency_timer, "timer"),
    test!(drivers::latency_timer_of_others, "timer"),
    test!(drivers::counters, "pair", "clean", "icount"),
    test!(drivers::rts_reaches_cts, "pair", "rts"),
    test!(drivers::break_is_counted, "pair", "break"),
    test!(drivers::loop_back, "loop"),
    test!(pipe::hears_itself, "loop"),
    test!(measure::measured, "pair"),
    test!(measure::measured_alone, "loop"),
    test!(measure::measured_one_way, "oneway"),
    test!(diode::lines, "oneway"),
    test!(diode::file, "oneway"),
    test!(stuck::pipe_ends_at_once, "stuck"),
    test!(stuck::diode_ends_at_once, "stuck"),
    test!(replug::plugged_in_later, "pair", "replug"),
    test!(replug::same_name, "pair", "replug"),
    test!(replug::one_way, "pair", "replug"),
    test!(replug::another_name, "pair", "replug", "usb"),
];
