//! What can be typed about sealing the one-way mode.

use std::path::PathBuf;

use clap::Args;

use super::{KEPT, KEYS};

/// Keys of `hardline diode send`
///
/// Where none is named, the credentials `hardline.key` and `peer.pub` (never one alone), and `hardline.psk`, of the service manager count.
#[derive(Args, Clone, Debug)]
pub struct DiodeSendKeys {
    /// Seal by a key that both ends share ('hardline keygen --psk'); with --key and --peer, by all three
    #[arg(long, value_name = "FILE", help_heading = KEYS)]
    pub psk: Option<PathBuf>,
    /// Seal by our secret key ('hardline keygen'), for --peer
    #[arg(long, value_name = "FILE", requires = "peer", help_heading = KEYS)]
    pub key: Option<PathBuf>,
    /// The receiver's public key: a file, or 'hardline-pub-1 BASE64'
    #[arg(long, value_name = "KEY", requires = "key", help_heading = KEYS)]
    pub peer: Option<String>,
    /// Where the number of the last sealed session is kept [default: $XDG_STATE_HOME/hardline or ~/.local/state/hardline]; and,
    /// if given, which files were broken off: sent again they count as the same transfer, which is delivered once
    #[arg(long, value_name = "DIR", help_heading = KEPT)]
    pub state: Option<PathBuf>,
}

/// Keys of `hardline diode recv`; credentials as for `send`.
#[derive(Args, Clone, Debug)]
pub struct DiodeRecvKeys {
    /// Take nothing but what is sealed by this key; may be given several times, while keys change
    #[arg(long, value_name = "FILE", help_heading = KEYS)]
    pub psk: Vec<PathBuf>,
    /// Our secret key, for --peer; may be given several times
    #[arg(long, value_name = "FILE", requires = "peer", help_heading = KEYS)]
    pub key: Vec<PathBuf>,
    /// Take nothing but what the owner of this public key sealed for --key: a file, or 'hardline-pub-1 BASE64'; may be given
    /// several times
    #[arg(long, value_name = "KEY", requires = "key", help_heading = KEYS)]
    pub peer: Vec<String>,
}
