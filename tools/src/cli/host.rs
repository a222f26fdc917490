//! What can be typed about this machine: its adapters, its configuration, how commands ended.

use std::path::PathBuf;

use clap::Args;

/// `hardline ports`
#[derive(Args, Clone, Debug)]
#[command(after_help = concat!(
    "PORT is what to give to the other commands: by the adapter's serial number, or, where it has none or another one has ",
    "the same, by the socket it is plugged into. TIMER is how long an FTDI adapter holds what it receives; hardline sets ",
    "it to 1 ms where it may. Nothing is opened. Of other users' processes only locks are seen, unless you are root.\n",
    "\n",
    "Examples:\n",
    "  hardline ports\n",
    "  hardline ports --json | jq -r '.[] | select(.permitted) | .port'",
))]
pub struct PortsArgs {
    /// A JSON array, an object for each adapter
    #[arg(long)]
    pub json: bool,
}

/// `hardline check`
#[derive(Args, Clone, Debug)]
#[command(after_help = concat!(
    "Prints the command line that the file stands for, and opens no port; key files are read. What is wrong is told with ",
    "line and column (2). 'hardline --config FILE' runs it.\n",
    "\n",
    "Examples:\n",
    "  hardline check ./wire.toml\n",
    "  hardline check box\n",
    "\n",
    "A file:\n",
    "  command = \"link\"\n",
    "  port = \"usb:FT123\"\n",
    "  baud = 2000000\n",
    "  psk = \"/etc/hardline/wire.psk\"\n",
    "  service = [\"ssh=tcp:127.0.0.1:22\"]",
))]
pub struct CheckArgs {
    /// A file (with a slash or ending in .toml), or NAME for /etc/hardline/NAME.toml
    #[arg(value_name = "NAME-or-FILE")]
    pub file: PathBuf,
    /// One JSON object: the words of the command line
    #[arg(long)]
    pub json: bool,
}

/// `hardline explain`
#[derive(Args, Clone, Debug)]
#[command(after_help = concat!(
    "Examples:\n",
    "  hardline explain port-busy\n",
    "  hardline explain no answer\n",
    "  hardline explain $?\n",
    "  hardline explain --json | jq -r '.messages[].code'",
))]
pub struct ExplainArgs {
    /// What stands in brackets behind a message, the message itself or words of it, or an exit code, 0 to 6 or 128 + the number of
    /// a signal [default: a list of all]
    #[arg(value_name = "CODE-or-WORDS")]
    pub what: Vec<String>,
    /// A JSON object
    #[arg(long)]
    pub json: bool,
}
