//! What can be typed to measure a wire.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::{WIRE, duration, rounds};
use crate::port::{Flow, Options, Spec};

/// Which end of a wire without a way back this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OneWay {
    /// Hears, and never writes to the line.
    Recv,
    /// Sends, and never reads it.
    Send,
}

/// `hardline test`
#[derive(Args, Clone, Debug)]
#[command(after_help = concat!(
    "Start it on both ends, in any order. They meet at --baud, then send a known pattern both ways at every rate that both ",
    "ports can do, until nothing readable comes through. WAY is 'to' the peer, 'from' it, or 'in' alone; BIT ERRORS and ",
    "BYTE ERRORS are the shares that were wrong, or a bound with 95 % confidence where none was seen; SLIPS are places ",
    "where bytes went or came. Bytes that never arrive as they were sent (XON, XOFF, NUL, 0xFF) are named, and such a wire ",
    "is not recommended. Also told: echoes, latency timers, overruns, which modem lines are joined and which are missing or ",
    "swapped, and the flags to use. Nothing is sealed, and no other command may run at either end.\n",
    "\n",
    "Ends with 0 when some rate can be used, 1 when none can, 3 when no peer answers (and says what is heard instead), 5 ",
    "when another hardline command does.\n",
    "\n",
    "At both ends:\n",
    "  hardline test /dev/ttyUSB0\n",
    "\n",
    "At one end, TX joined to RX (and RTS to CTS):\n",
    "  hardline test /dev/ttyUSB0 --loopback\n",
    "\n",
    "A diode, at its sending end and at the other one (which writes nothing):\n",
    "  hardline test /dev/ttyUSB0 --one-way=send\n",
    "  hardline test /dev/ttyUSB0 --one-way",
))]
pub struct TestArgs {
    /// /dev/ttyUSB0, usb:SERIAL-NUMBER, or another PORT, which has one rate only
    #[arg(value_name = "PORT")]
    pub port: Spec,
    /// Rate at which both ends meet
    #[arg(short, long, default_value_t = 115_200, value_parser = clap::value_parser!(u32).range(50..=100_000_000), help_heading = WIRE)]
    pub baud: u32,
    /// Rates to try [default: --baud and the usual ones above it, to 12000000]
    #[arg(long, value_name = "BAUD,..", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(50..=100_000_000), help_heading = WIRE)]
    pub rates: Vec<u32>,
    /// Flow control; with rtscts modem lines are not tried
    #[arg(long, default_value = "none", help_heading = WIRE)]
    pub flow: Flow,
    /// Wait for the port to appear
    #[arg(long, help_heading = WIRE)]
    pub wait: bool,
    /// How long the pattern is sent at each rate, 100ms to 10m; of two ends one's is taken
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = length)]
    pub time: Duration,
    /// How long a peer that is not heard is waited for
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = duration, help_heading = WIRE)]
    pub grace: Duration,
    /// There is no other end: TX is joined to RX
    #[arg(long)]
    pub loopback: bool,
    /// There is no way back: this end hears (and writes nothing), or with =send it sends
    #[arg(long, value_name = "END", conflicts_with_all = ["loopback", "flow"], num_args = 0..=1, require_equals = true, default_missing_value = "recv")]
    pub one_way: Option<OneWay>,
    /// With --one-way=send: how often to go through the rates, or forever
    #[arg(long, value_name = "N", default_value = "forever", value_parser = rounds, requires = "one_way")]
    pub rounds: u32,
    /// Draw the error rate over time into this file (SVG)
    #[arg(long, value_name = "FILE")]
    pub plot: Option<PathBuf>,
    /// One JSON object on stdout
    #[arg(long)]
    pub json: bool,
}

impl TestArgs {
    /// How to open the port.
    pub fn options(&self) -> Options {
        Options { baud: self.baud, auto: false, flow: self.flow }
    }
}

fn length(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        time if (Duration::from_millis(100)..=Duration::from_secs(600)).contains(&time) => Ok(time),
        _ => Err("between 100ms and 10m".into()),
    }
}
