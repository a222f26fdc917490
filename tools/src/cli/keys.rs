//! What can be typed about keys.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::keys::peers::port_word;

/// `hardline keygen`
#[derive(Args, Clone, Debug)]
#[command(after_help = concat!(
    "FILE is made for you alone (mode 0600), with its folder if there is none, and never overwritten. The public key goes ",
    "to stdout, its fingerprint to stderr; nothing secret is printed, unless FILE is -: then the key itself goes to ",
    "stdout, and what is public of it to stderr.\n",
    "\n",
    "Examples:\n",
    "  hardline keygen ~/.config/hardline/key --comment root@box > box.pub\n",
    "\n",
    "The same file at both ends, copied by a safe way:\n",
    "  hardline keygen --psk wire.psk",
))]
pub struct KeygenArgs {
    /// The key file to make; - is stdout
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// A key that both ends share, instead of one of this end
    #[arg(long)]
    pub psk: bool,
    /// What to write behind the key, up to 255 bytes
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true, value_parser = comment)]
    pub comment: String,
    /// One JSON object on stdout
    #[arg(long)]
    pub json: bool,
}

/// `hardline key`
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// The public key and the fingerprint of a key file
    Show(ShowArgs),
    /// Which key must answer on which port
    List(ListArgs),
    /// From now on, this key must answer on this port
    Trust(TrustArgs),
    /// No longer ask for a certain key on this port
    Forget(ForgetArgs),
}

/// `hardline key show`
#[derive(Args, Clone, Debug)]
#[command(after_help = concat!(
    "The public key goes to stdout, its fingerprint to stderr. Of a shared key (--psk) only the fingerprint is shown, on ",
    "stdout: it must be the same at both ends.\n",
    "\n",
    "Examples:\n",
    "  hardline key show ~/.config/hardline/key",
))]
pub struct ShowArgs {
    /// A key file of any kind, or credential:NAME under systemd (LoadCredential=NAME:FILE)
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// One JSON object on stdout
    #[arg(long)]
    pub json: bool,
}

/// Where the known peers are.
#[derive(Args, Clone, Debug)]
pub struct PeersFile {
    /// File of known peers [default: ~/.config/hardline/known-peers, for root without HOME /etc/hardline/known-peers]
    #[arg(long, value_name = "FILE", help_heading = super::KEYS)]
    pub known_peers: Option<PathBuf>,
}

/// `hardline key list`
#[derive(Args, Clone, Debug)]
#[command(after_help = concat!(
    "A line per port: PORT, fingerprint, comment. The port * is every port without a line of its own.\n",
    "\n",
    "Examples:\n",
    "  hardline key list --json",
))]
pub struct ListArgs {
    /// Where they are.
    #[command(flatten)]
    pub peers: PeersFile,
    /// One JSON array on stdout
    #[arg(long)]
    pub json: bool,
}

/// `hardline key trust`
#[derive(Args, Clone, Debug)]
#[command(after_help = concat!(
    "Get the peer's public key by a way you trust, or compare its fingerprint with what 'hardline key show' says there.\n",
    "\n",
    "Examples:\n",
    "  hardline key trust /dev/ttyUSB0 box.pub\n",
    "  hardline key trust usb:FT123 \"$(ssh root@box hardline key show box.key)\"\n",
    "  ssh root@box hardline key show box.key | hardline key trust usb:FT123 -\n",
    "  hardline key trust '*' hardline-pub-1 BASE64",
))]
pub struct TrustArgs {
    /// The port as it is given to `link` and the others; * is every port without a line of its own
    #[arg(value_name = "PORT", value_parser = port_word)]
    pub port: String,
    /// The peer's public key: a file with it (- is stdin), or hardline-pub-1 BASE64 itself
    #[arg(value_name = "KEY", required = true, num_args = 1..)]
    pub key: Vec<OsString>,
    /// Even if another key has been trusted there
    #[arg(long)]
    pub replace: bool,
    /// Where they are.
    #[command(flatten)]
    pub peers: PeersFile,
}

/// `hardline key forget`
#[derive(Args, Clone, Debug)]
#[command(after_help = concat!(
    "Ends with 1 when there was none.\n",
    "\n",
    "Examples:\n",
    "  hardline key forget /dev/ttyUSB0",
))]
pub struct ForgetArgs {
    /// The port as `key list` shows it
    #[arg(value_name = "PORT", value_parser = port_word)]
    pub port: String,
    /// Where they are.
    #[command(flatten)]
    pub peers: PeersFile,
}

fn comment(text: &str) -> Result<String, String> {
    match text.trim() {
        text if text.chars().any(char::is_control) => Err("it must be one line, without control characters".into()),
        text if text.len() > 255 => Err("it must have 255 bytes at most".into()),
        text => Ok(text.to_owned()),
    }
}
