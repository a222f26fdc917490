//! `/sys/class/tty` and `/dev/serial`, as in the kernel's Documentation/ABI/testing/sysfs-tty and sysfs-bus-usb.

use std::fs;
use std::path::{Path, PathBuf};

/// Drivers of the kernel's serial bus (since 6.5), which stand between a UART and its own driver.
const BUS_DRIVERS: [&str; 2] = ["port", "ctrl"];

/// What an adapter says of itself on USB: the maker's texts, to be made printable before they are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usb {
    /// Vendor id, four hexadecimal digits.
    pub vendor: String,
    /// Product id, four hexadecimal digits.
    pub product: String,
    /// Serial number; none where the adapter has none.
    pub serial: Option<String>,
    /// The maker.
    pub manufacturer: Option<String>,
    /// The model.
    pub model: Option<String>,
    /// The socket it is plugged into, and its interface: BUS-PORT.PORT..:CONFIGURATION.INTERFACE, such as `1-1.4:1.0`.
    pub topology: String,
}

/// A terminal with hardware behind it.
#[derive(Debug)]
pub(super) struct Tty {
    pub(super) kernel: String,
    pub(super) driver: Option<String>,
    pub(super) usb: Option<Usb>,
    pub(super) latency_timer_ms: Option<u32>,
}

/// All of them, in the order of kernel names.
pub(super) fn ttys(root: &Path) -> Vec<Tty> {
    let entries = fs::read_dir(root.join("sys/class/tty")).into_iter().flatten().flatten();
    let mut ttys: Vec<Tty> = entries.filter_map(|e| tty(&e.path(), e.file_name().to_str()?)).collect();
    ttys.sort_by(|a, b| (a.kernel.len(), &a.kernel).cmp(&(b.kernel.len(), &b.kernel)));
    ttys
}

/// None of consoles and pseudo-terminals, which have no device.
fn tty(dir: &Path, kernel: &str) -> Option<Tty> {
    let device = fs::canonicalize(dir.join("device")).ok()?;
    // the 8250 driver makes ports in advance; of the type 0 (PORT_UNKNOWN) it found no hardware
    if text(&dir.join("type")).as_deref() == Some("0") {
        return None;
    }
    let latency_timer_ms = text(&device.join("latency_timer")).and_then(|t| t.parse().ok());
    Some(Tty { kernel: kernel.to_owned(), driver: driver(&device), usb: usb(&device), latency_timer_ms })
}

fn driver(device: &Path) -> Option<String> {
    let drivers = device.ancestors().filter_map(|dir| fs::read_link(dir.join("driver")).ok());
    let mut names = drivers.filter_map(|link| Some(link.file_name()?.to_str()?.to_owned()));
    names.find(|name| !BUS_DRIVERS.contains(&name.as_str()))
}

/// Of the nearest USB device above; a hub further up has a serial number too, but it is not the adapter's.
fn usb(device: &Path) -> Option<Usb> {
    let dir = device.ancestors().find(|dir| dir.join("idVendor").exists())?;
    let interface = device.ancestors().take_while(|d| *d != dir).find(|d| d.join("bInterfaceNumber").exists());
    let topology = interface.unwrap_or(dir).file_name()?.to_string_lossy().into_owned();
    let of = |name: &str| text(&dir.join(name)).filter(|t| !t.is_empty());
    Some(Usb {
        vendor: of("idVendor").unwrap_or_default(),
        product: of("idProduct").unwrap_or_default(),
        serial: of("serial"),
        manufacturer: of("manufacturer"),
        model: of("product"),
        topology,
    })
}

/// Bytes that are no UTF-8 become the replacement character: a device may say anything.
fn text(path: &Path) -> Option<String> {
    Some(String::from_utf8_lossy(&fs::read(path).ok()?).trim().to_owned())
}

/// Links in `/dev/serial/KIND`: the kernel name each leads to, and its path.
pub(super) fn links(root: &Path, kind: &str) -> Vec<(String, PathBuf)> {
    let folder = Path::new("dev/serial").join(kind);
    let entries = fs::read_dir(root.join(&folder)).into_iter().flatten().flatten();
    let mut links: Vec<(String, PathBuf)> = entries
        .filter_map(|entry| {
            let to = fs::read_link(entry.path()).ok()?.file_name()?.to_str()?.to_owned();
            Some((to, Path::new("/").join(&folder).join(entry.file_name())))
        })
        .collect();
    // newer udev has a second link in by-path, with the version of USB in it; the shorter one is in both
    links.sort_by_key(|(_, link)| (link.as_os_str().len(), link.clone()));
    links
}
