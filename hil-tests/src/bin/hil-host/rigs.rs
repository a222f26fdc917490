//! The emulated rigs: what is in each machine, what it can do, and which tests have to run.

/// Which serial hardware, and so which drivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hardware {
    /// Two FT232 (`ftdi_sio`), joined by `hardline sim`.
    Ftdi,
    /// One FT232 with a loopback plug.
    Loop,
    /// Two 16550A (`8250`), joined by `hardline sim`, and a third one that cannot send.
    Uart,
    /// Both ends of a USB cable (`cdc_acm` and the gadget's `u_serial`) in the same kernel.
    Gadget,
}

/// A machine and the tests in it.
#[derive(Debug)]
pub(crate) struct Rig {
    pub(crate) name: &'static str,
    pub(crate) hardware: Hardware,
    /// More arguments of `hardline sim`.
    pub(crate) wire: &'static [&'static str],
    /// For the tests (`HIL_CAPS` and the like).
    pub(crate) env: &'static [&'static str],
    /// What runs, and must; empty: all, and `must` of them must.
    pub(crate) only: &'static [&'static str],
    pub(crate) must: &'static [&'static str],
    /// Seconds until it is ended.
    pub(crate) limit: u64,
}

const NOISY: [&str; 6] = ["--ber", "1e-5", "--drop", "1e-5:3", "--timer", "16ms"];

/// All of them.
pub(crate) const ALL: [Rig; 7] = [
    Rig {
        name: "ftdi",
        hardware: Hardware::Ftdi,
        wire: &[],
        env: &["HIL_BAUD=2000000", "HIL_CAPS=custom,icount"],
        only: &[],
        must: &[
            "both_ways",
            "rates",
            "typing_beside_bulk",
            "locked",
            "listed",
            "latency_timer",
            "latency_timer_of_others",
            "counters",
            "measured",
            "measured_one_way",
            "lines",
            "file",
        ],
        limit: 120,
    },
    Rig {
        name: "ftdi-noise",
        hardware: Hardware::Ftdi,
        wire: &NOISY,
        env: &["HIL_BAUD=2000000", "HIL_CAPS=custom,noise"],
        only: &["both_ways", "typing_beside_bulk", "measured", "lines"],
        must: &["both_ways", "typing_beside_bulk", "measured", "lines"],
        limit: 100,
    },
    Rig {
        name: "ftdi-replug",
        hardware: Hardware::Ftdi,
        wire: &[],
        env: &["HIL_BAUD=2000000", "HIL_REPLUG=replug"],
        only: &["plugged_in_later", "same_name", "one_way", "another_name"],
        must: &["plugged_in_later", "same_name", "one_way", "another_name"],
        limit: 100,
    },
    Rig {
        name: "ftdi-diode",
        hardware: Hardware::Ftdi,
        wire: &["--one-way", "--ber", "1e-5"],
        env: &["HIL_BAUD=921600", "HIL_CAPS=oneway,noise"],
        only: &[],
        must: &["locked", "measured_one_way", "lines", "file"],
        limit: 100,
    },
    Rig {
        name: "ftdi-loop",
        hardware: Hardware::Loop,
        wire: &[],
        env: &["HIL_BAUD=2000000"],
        only: &[],
        must: &["locked", "latency_timer", "latency_timer_of_others", "loop_back", "hears_itself", "measured_alone"],
        limit: 80,
    },
    Rig {
        name: "16550a",
        hardware: Hardware::Uart,
        wire: &[],
        env: &["HIL_BAUD=115200", "HIL_CAPS=capped,icount"],
        only: &[],
        must: &[
            "both_ways",
            "too_fast",
            "typing_beside_bulk",
            "locked",
            "counters",
            "measured",
            "measured_one_way",
            "lines",
            "file",
            "pipe_ends_at_once",
            "diode_ends_at_once",
        ],
        limit: 120,
    },
    Rig {
        name: "gadget",
        hardware: Hardware::Gadget,
        wire: &[],
        env: &["HIL_BAUD=4000000", "HIL_CAPS=custom,break", "HIL_REPLUG=replug"],
        only: &[],
        must: &[
            "both_ways",
            "rates",
            "typing_beside_bulk",
            "locked",
            "break_is_counted",
            "measured",
            "measured_one_way",
            "lines",
            "file",
            "pipe_ends_at_once",
            "diode_ends_at_once",
            "plugged_in_later",
            "same_name",
            "one_way",
            "another_name",
        ],
        limit: 150,
    },
];
