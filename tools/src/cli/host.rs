//! What can be typed about this machine: its adapters.

use clap::Args;

/// `hardline ports`
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "PORT is what to give to the other commands: by the adapter's serial number, or, where it has none or another one has \
the same, by the socket it is plugged into. TIMER is how long an FTDI adapter holds what it receives; hardline sets it to 1 ms where it may. \
Nothing is opened. Of other users' processes only locks are seen, unless you are root.\n\n  \
hardline ports --json | jq -r '.[] | select(.permitted and .holders == []) | .port'"
)]
pub struct PortsArgs {
    /// A JSON array, an object for each adapter
    #[arg(long)]
    pub json: bool,
}
