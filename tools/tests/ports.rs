//! `hardline ports`: what is read from a made-up `/sys`, `/dev` and `/proc`.
#![allow(missing_docs)]

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;
use tools::adapters;
use tools::cmd::ports;

const HARDLINE: &str = env!("CARGO_BIN_EXE_hardline");

/// A machine with adapters that are not there.
struct Machine(TempDir);

impl Machine {
    fn new() -> Machine {
        let machine = Machine(tempfile::tempdir().unwrap());
        // a hub, whose serial number is none of an adapter's
        machine.write("sys/devices/pci/usb1/idVendor", "1d6b");
        machine.write("sys/devices/pci/usb1/serial", "0000:00:14.0");
        machine.write("sys/class/tty/tty0/dev", "4:0");
        machine
    }
    fn root(&self) -> &Path {
        self.0.path()
    }
    fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    fn link(&self, path: &str, to: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(to, path).unwrap();
    }
    /// A USB device at a socket, with texts of its own; returns its folder.
    fn usb(&self, socket: &str, ids: &str, texts: &[(&str, &[u8])]) -> String {
        let dir = format!("sys/devices/pci/usb1/{socket}");
        let (vendor, product) = ids.split_once(':').unwrap();
        self.write(&format!("{dir}/idVendor"), format!("{vendor}\n"));
        self.write(&format!("{dir}/idProduct"), format!("{product}\n"));
        for (name, text) in texts {
            self.write(&format!("{dir}/{name}"), text);
        }
        self.write(&format!("{dir}/{socket}:1.0/bInterfaceNumber"), "00");
        format!("{dir}/{socket}:1.0")
    }
    /// A terminal whose device is this folder.
    fn tty(&self, kernel: &str, device: &str, driver: &str) {
        let tty = format!("sys/class/tty/{kernel}");
        fs::create_dir_all(self.root().join(device)).unwrap();
        self.link(&format!("{tty}/device"), &format!("../../../../{device}"));
        self.link(&format!("{device}/driver"), &format!("/nowhere/drivers/{driver}"));
        self.write(&format!("dev/{kernel}"), "");
    }
    fn ftdi(&self, kernel: &str, socket: &str, texts: &[(&str, &[u8])]) {
        let device = format!("{}/{kernel}", self.usb(socket, "0403:6001", texts));
        self.tty(kernel, &device, "ftdi_sio");
        self.write(&format!("{device}/latency_timer"), "16\n");
        self.by_path(kernel, socket);
    }
    fn by_path(&self, kernel: &str, socket: &str) {
        let name = |usb: &str| format!("dev/serial/by-path/pci-0000:00:14.0-{usb}-0:{}:1.0-port0", socket.replace("1-", ""));
        self.link(&name("usb"), &format!("../../{kernel}"));
        self.link(&name("usbv2"), &format!("../../{kernel}"));
    }
    fn json(&self) -> Vec<Value> {
        ports::as_json(&adapters::list(self.root())).as_array().unwrap().clone()
    }
    fn text(&self) -> Vec<String> {
        ports::as_text(&adapters::list(self.root())).lines().map(str::to_owned).collect()
    }
}

const FT123: &[(&str, &[u8])] = &[("serial", b"FT123\n"), ("manufacturer", b"FTDI\n"), ("product", b"FT232R USB UART\n")];

#[test]
fn an_adapter_with_a_serial_number() {
    let machine = Machine::new();
    machine.ftdi("ttyUSB0", "1-1", FT123);
    machine.link("dev/serial/by-id/usb-FTDI_FT232R_USB_UART_FT123-if00-port0", "../../ttyUSB0");
    let [adapter] = &machine.json()[..] else { panic!("one adapter") };
    for (key, value) in [
        ("port", "usb:FT123"),
        ("device", "/dev/ttyUSB0"),
        ("kernel", "ttyUSB0"),
        ("driver", "ftdi_sio"),
        ("by_id", "/dev/serial/by-id/usb-FTDI_FT232R_USB_UART_FT123-if00-port0"),
        ("by_path", "/dev/serial/by-path/pci-0000:00:14.0-usb-0:1:1.0-port0"),
        ("topology", "1-1:1.0"),
        ("usb_vendor", "0403"),
        ("usb_product", "6001"),
        ("serial", "FT123"),
        ("manufacturer", "FTDI"),
        ("product", "FT232R USB UART"),
    ] {
        assert_eq!(adapter[key], value, "{key}");
    }
    assert_eq!((&adapter["latency_timer_ms"], &adapter["stable"]), (&16.into(), &true.into()));
    assert_eq!((&adapter["permitted"], &adapter["holders"]), (&true.into(), &Value::Array(vec![])));
    let line = "usb:FT123  /dev/ttyUSB0  ftdi_sio  0403:6001  16 ms  free   FTDI FT232R USB UART";
    assert_eq!(machine.text()[1], line);
    assert!(machine.text()[0].starts_with("PORT       DEVICE        DRIVER    USB        TIMER  STATE  WHAT"));
}

#[test]
fn what_serial_numbers_cannot_tell_apart_goes_by_topology() {
    let machine = Machine::new();
    machine.ftdi("ttyUSB10", "1-3", &[]);
    machine.ftdi("ttyUSB0", "1-1", FT123);
    machine.ftdi("ttyUSB2", "1-2", FT123);
    let ports: Vec<Value> = machine.json().iter().map(|a| a["port"].clone()).collect();
    let by_path = |n: u8| format!("/dev/serial/by-path/pci-0000:00:14.0-usb-0:{n}:1.0-port0");
    assert_eq!(ports, [by_path(1), by_path(2), by_path(3)], "two of the same number, one without");
    assert_eq!(machine.json()[2]["serial"], Value::Null, "that of the hub is not the adapter's");

    fs::remove_dir_all(machine.root().join("dev/serial")).unwrap();
    let last = &machine.json()[2];
    let known = (&last["port"], &last["stable"], &last["topology"]);
    assert_eq!(known, (&"/dev/ttyUSB10".into(), &false.into(), &"1-3:1.0".into()), "without udev");
}

#[test]
fn other_drivers() {
    let machine = Machine::new();
    let acm = machine.usb("1-4", "2341:0043", &[("serial", b"75735")]);
    machine.tty("ttyACM0", &acm, "cdc_acm");
    // a UART of the kernel's serial bus, and one that the driver has found no hardware for
    fs::create_dir_all(machine.root().join("sys/devices/pnp/00:01")).unwrap();
    machine.link("sys/devices/pnp/00:01/driver", "/nowhere/drivers/serial");
    machine.tty("ttyS0", "sys/devices/pnp/00:01/00:01:0.0", "port");
    machine.write("sys/class/tty/ttyS0/type", "4\n");
    machine.tty("ttyS1", "sys/devices/platform/serial8250", "serial8250");
    machine.write("sys/class/tty/ttyS1/type", "0\n");
    let found = machine.json();
    let of = |key: &str| found.iter().map(|a| a[key].clone()).collect::<Vec<_>>();
    assert_eq!(of("kernel"), ["ttyS0", "ttyACM0"]);
    assert_eq!(of("driver"), ["serial", "cdc_acm"]);
    assert_eq!(of("port"), ["/dev/ttyS0", "usb:75735"]);
    assert_eq!(of("latency_timer_ms"), [Value::Null, Value::Null]);
    assert_eq!(of("usb_vendor"), [Value::Null, "2341".into()]);
}

#[test]
fn who_holds_it() {
    let machine = Machine::new();
    machine.ftdi("ttyUSB0", "1-1", FT123);
    machine.write("proc/41/comm", "minicom\n");
    machine.link("proc/41/fd/7", "/dev/ttyUSB0");
    machine.write("proc/42/comm", "cat\x1b[2J\n");
    machine.link("proc/42/fd/3", "/dev/ttyUSB1");
    let meta = fs::metadata(machine.root().join("dev/ttyUSB0")).unwrap();
    let (major, minor) = (nix::sys::stat::major(meta.dev()), nix::sys::stat::minor(meta.dev()));
    let place = format!("{major:02x}:{minor:02x}:{}", meta.ino());
    let locks = format!("1: FLOCK  ADVISORY  WRITE 42 {place} 0 EOF\n1: -> FLOCK  ADVISORY  WRITE 43 {place} 0 EOF\n2: x\n");
    machine.write("proc/locks", locks);
    machine.write("proc/44/comm", "pppd\n");
    machine.write("var/lock/LCK..ttyUSB0", "        44\n");
    let holder = |pid: u32, name: &str, by: &str| serde_json::json!({ "pid": pid, "name": name, "by": by });
    let all = vec![holder(41, "minicom", "open"), holder(42, "cat?[2J", "lock"), holder(44, "pppd", "lock-file")];
    assert_eq!(machine.json()[0]["holders"], Value::Array(all));
    assert!(machine.text()[1].contains("  held by minicom (process 41), cat?[2J (process 42), pppd (process 44)  "));
    fs::remove_dir_all(machine.root().join("proc/44")).unwrap();
    assert_eq!(machine.json()[0]["holders"].as_array().unwrap().len(), 2, "a stale lock file holds nothing");
}

#[test]
fn without_a_device_file() {
    let machine = Machine::new();
    machine.ftdi("ttyUSB0", "1-1", FT123);
    fs::remove_file(machine.root().join("dev/ttyUSB0")).unwrap();
    assert_eq!((&machine.json()[0]["permitted"], &machine.json()[0]["group"]), (&false.into(), &Value::Null));
    assert!(machine.text()[1].contains("  no device file  "));
}

#[test]
fn what_a_device_says_cannot_move_the_cursor() {
    let machine = Machine::new();
    let bad: &[(&str, &[u8])] =
        &[("serial", b"FT\x1b]0;x\x07"), ("manufacturer", b"\xff\x9b2J"), ("product", "a\nb\u{202e}c\u{9b}".as_bytes())];
    machine.ftdi("ttyUSB0", "1-1", bad);
    machine.ftdi("ttyUSB1", "1-2", &[("serial", b"with blanks")]);
    let found = machine.json();
    assert!(found.iter().all(|a| a["port"].as_str().unwrap().starts_with("/dev/serial/by-path/")), "these cannot be typed");
    assert_eq!((&found[0]["serial"], &found[0]["product"]), (&"FT?]0;x?".into(), &r"a?b\u{202e}c?".into()));
    let text = machine.text().concat() + &found[0].to_string();
    assert!(!text.chars().any(|c| c.is_control() || c == '\u{202e}'), "{text:?}");
    assert_eq!(machine.text().len(), 3);
}

#[test]
fn none_at_all() {
    let empty = tempfile::tempdir().unwrap();
    assert!(adapters::list(empty.path()).is_empty() && ports::nothing().contains("dmesg"));
    let run = |args: &[&str]| Command::new(HARDLINE).arg("ports").args(args).output().unwrap();
    let (text, json) = (run(&[]), run(&["--json"]));
    assert!(text.status.success() && json.status.success());
    let found: Vec<Value> = serde_json::from_slice(&json.stdout).unwrap();
    // this machine may have some
    assert_eq!(text.stdout.is_empty(), found.is_empty());
    assert_eq!(String::from_utf8_lossy(&text.stderr).starts_with("no serial adapter is there"), found.is_empty());
}
