//! `--stats FILE`: one JSON object at the end and on SIGUSR1.

use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Instant;

use crate::error::{Doing, Failure, kinds};

/// Says that the statistics cannot be written now, and not after hours; what is there is left alone.
pub fn check(path: Option<&Path>) -> Result<(), Failure> {
    match path {
        // opening anything else could do something, or wait for somebody
        Some(path) if !path.exists() || path.is_file() || path.is_dir() => {
            let there = std::fs::File::options().create(true).append(true).open(path);
            there.map(drop).doing(kinds::STATS_UNWRITABLE, || format!("write statistics to {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Writes the counters of a link to `path`, replacing what was there in one step.
pub fn write(path: &Path, stats: &link::Stats, began: Instant) -> Result<(), Failure> {
    write_json(path, &as_json(stats, began))
}

/// The counters as the contract names them. `goodput` is user bytes per second, both ways together;
/// `ber` is the estimate for the direction sent to.
pub fn as_json(stats: &link::Stats, began: Instant) -> serde_json::Value {
    let seconds = began.elapsed().as_secs_f64();
    serde_json::json!({
        "bytes_in": stats.bytes_in,
        "bytes_out": stats.bytes_out,
        "wire_in": stats.wire_in,
        "wire_out": stats.wire_out,
        "frames_in": stats.frames_in,
        "frames_out": stats.frames_out,
        "frames_bad": stats.frames_bad,
        "resends": stats.resends,
        "rtt_us": stats.rtt_us,
        "ber": stats.ber_ppb as f64 / 1e9,
        "seconds": seconds,
        "goodput": (stats.bytes_in + stats.bytes_out) as f64 / seconds.max(1e-9),
        "junk": stats.junk,
        "corrected": stats.corrected,
        "forged": stats.forged,
        "echoes": stats.echoes,
        "refused": stats.refused,
    })
}

/// Writes one JSON object to a file.
pub fn write_json(path: &Path, value: &serde_json::Value) -> Result<(), Failure> {
    replace(path, &format!("{value}\n"), None)
        .doing(kinds::STATS_UNWRITABLE, || format!("write statistics to {}", path.display()))
}

/// Writes a file by way of a temporary name, with this mode if one is given; to anything else that
/// stands there (a device, a pipe) directly, for it must not be replaced.
pub(crate) fn replace(path: &Path, text: &str, mode: Option<u32>) -> io::Result<()> {
    let path = &std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if std::fs::metadata(path).is_ok_and(|m| !m.is_file()) {
        return std::fs::write(path, text);
    }
    let mut prefix = std::ffi::OsString::from(".");
    prefix.push(path.file_name().unwrap_or_default());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // beside it, under a name that is nobody's
    let mut new = tempfile::Builder::new().prefix(&prefix).permissions(Permissions::from_mode(0o666)).tempfile_in(folder)?;
    new.write_all(text.as_bytes())?;
    if let Some(mode) = mode {
        new.as_file().set_permissions(Permissions::from_mode(mode))?;
    }
    new.persist(path).map(drop).map_err(|e| e.error)
}
