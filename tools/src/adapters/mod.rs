//! Serial adapters as the kernel shows them: names that stay, what they are, who holds them.
//!
//! Nothing is opened: that would raise the modem lines of a port somebody else may be using.

pub(crate) mod holders;
mod sysfs;

use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, Gid, Group, access};

pub use self::holders::{Holder, Mark};
pub use self::sysfs::Usb;

/// A serial port with hardware behind it. Texts are as the device and the kernel have them: not yet printable.
#[derive(Clone, Debug)]
pub struct Adapter {
    /// The PORT to give to every command: the best name that finds this adapter again.
    pub name: String,
    /// Whether that name stays the same when adapters are plugged in in another order.
    pub stable: bool,
    /// The kernel's name, such as `ttyUSB0`.
    pub kernel: String,
    /// Its device file.
    pub path: PathBuf,
    /// The driver, such as `ftdi_sio`; none where the kernel does not say.
    pub driver: Option<String>,
    /// What it says on USB; none of other ports.
    pub usb: Option<Usb>,
    /// How long an FTDI adapter holds what it receives, in milliseconds (1 to 255; 16 unless set).
    pub latency_timer_ms: Option<u32>,
    /// Link in `/dev/serial/by-id`: by maker, model and serial number.
    pub by_id: Option<PathBuf>,
    /// Link in `/dev/serial/by-path`: by the socket it is plugged into.
    pub by_path: Option<PathBuf>,
    /// Who has it open or locked, as far as it may be known.
    pub holders: Vec<Holder>,
    /// Whether this user may read and write it.
    pub permitted: bool,
    /// The group that owns the device file: its name, or its number; none without a device file.
    pub group: Option<String>,
}

/// Every adapter, in the order of kernel names (`ttyUSB2` before `ttyUSB10`).
///
/// `root` is the folder that `sys`, `dev`, `proc` and `run` are looked for in: `/`, or a copy. What cannot be read is
/// left out or none, never an error.
pub fn list(root: &Path) -> Vec<Adapter> {
    let ttys = sysfs::ttys(root);
    let numbers: Vec<&str> = ttys.iter().filter_map(|t| t.usb.as_ref()?.serial.as_deref()).collect();
    let alone = |serial: &str| numbers.iter().filter(|n| **n == serial).count() == 1;
    let links = |kind: &str| sysfs::links(root, kind);
    let (by_id, by_path) = (links("by-id"), links("by-path"));
    ttys.iter()
        .map(|tty| {
            let link = |of: &[(String, PathBuf)]| of.iter().find(|(to, _)| *to == tty.kernel).map(|(_, link)| link.clone());
            let mut adapter = adapter(root, tty, link(&by_id), link(&by_path));
            let serial = tty.usb.as_ref().and_then(|u| u.serial.as_deref()).filter(|s| alone(s));
            (adapter.name, adapter.stable) = name(&adapter, serial);
            adapter
        })
        .collect()
}

fn adapter(root: &Path, tty: &sysfs::Tty, by_id: Option<PathBuf>, by_path: Option<PathBuf>) -> Adapter {
    use std::os::unix::fs::MetadataExt;
    let path = Path::new("/dev").join(&tty.kernel);
    let file = root.join("dev").join(&tty.kernel);
    let group = std::fs::metadata(&file).ok().map(|meta| {
        let named = Group::from_gid(Gid::from_raw(meta.gid())).ok().flatten();
        named.map_or_else(|| meta.gid().to_string(), |group| group.name)
    });
    Adapter {
        name: String::new(),
        stable: false,
        kernel: tty.kernel.clone(),
        driver: tty.driver.clone(),
        usb: tty.usb.clone(),
        latency_timer_ms: tty.latency_timer_ms,
        by_id,
        by_path,
        holders: holders::of(root, &path),
        permitted: access(&file, AccessFlags::R_OK | AccessFlags::W_OK).is_ok(),
        group,
        path,
    }
}

/// By its serial number where no other has it (`serial`), else by where it is plugged in. Two of the same make without
/// a serial number share a link in by-id, so that one comes last.
fn name(adapter: &Adapter, serial: Option<&str>) -> (String, bool) {
    let typed = |s: &&str| !s.chars().any(|c| c.is_control() || c.is_whitespace() || c == char::REPLACEMENT_CHARACTER);
    if let Some(serial) = serial.filter(typed) {
        return (format!("usb:{serial}"), true);
    }
    match adapter.by_path.as_ref().or(adapter.by_id.as_ref()) {
        Some(link) => (link.display().to_string(), true),
        None => (adapter.path.display().to_string(), false),
    }
}

/// Adapters with this USB serial number: their device files, and the serial numbers of all that are plugged in.
pub(crate) fn with_serial(root: &Path, serial: &str) -> (Vec<PathBuf>, Vec<String>) {
    let ttys = sysfs::ttys(root);
    let number = |tty: &sysfs::Tty| tty.usb.as_ref().and_then(|u| u.serial.clone());
    let paths = ttys.iter().filter(|t| number(t).as_deref() == Some(serial)).map(|t| Path::new("/dev").join(&t.kernel));
    (paths.collect(), ttys.iter().filter_map(number).collect())
}
