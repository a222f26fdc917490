//! Programs of hardline's developers, and what they share. They run the real `hardline`, which is built beside them.
//!
//! ```text
//! campaign/  many short runs with faults at random moments: no loss without a word, no hang, no spin
//! soak/      a day of noise on two real processes, every byte verified
//! echo       one-byte echoes, timed
//! ```

pub mod campaign;
pub mod echo;
pub mod soak;

use std::io;
use std::path::PathBuf;

/// The `hardline` beside this program; of tests and examples, in the folder above.
///
/// # Errors
/// It was not built.
pub fn hardline() -> io::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let mut folders = own.ancestors().skip(1).take(2).map(|folder| folder.join("hardline"));
    let missing = || {
        io::Error::other(format!(
            "there is no hardline beside {}: build it by `cargo build`, or test the workspace",
            own.display()
        ))
    };
    folders.find(|path| path.is_file()).ok_or_else(missing)
}
