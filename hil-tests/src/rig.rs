//! What the rig has and can do, from the environment.

use std::path::{Path, PathBuf};

/// What a rig may be able to do (`HIL_CAPS`), and what to say where it cannot.
const CAPS: [(&str, &str); 14] = [
    ("port", "needs a port: HIL_PORTS=A or HIL_PORTS=A,B"),
    ("pair", "needs two ports joined both ways: HIL_PORTS=A,B"),
    ("oneway", "needs two ports, the first one's TX at the second one's RX: HIL_PORTS=A,B"),
    ("loop", "needs one port whose TX is at its own RX: HIL_PORTS=A"),
    ("clean", "compares bytes that hardline does not protect, and this wire is noisy"),
    ("custom", "needs ports that can do any rate: custom in HIL_CAPS"),
    ("capped", "needs a port that cannot do 2000000 baud: capped in HIL_CAPS"),
    ("icount", "needs drivers that count bytes: icount in HIL_CAPS"),
    ("rts", "needs RTS of the first port at CTS of the second: rts in HIL_CAPS"),
    ("break", "needs a wire and drivers that carry a break: break in HIL_CAPS"),
    ("stuck", "needs a port that cannot send: its path in HIL_STUCK"),
    ("replug", "needs a command that unplugs the first adapter: HIL_REPLUG='CMD', run as CMD off and CMD on"),
    ("usb", "needs a USB adapter with a serial number as the first port"),
    ("timer", "needs root, and an FTDI adapter as the first port: the latency timer can be neither set nor seen"),
];

/// Ports, what they can do, and the program under test.
#[derive(Debug)]
pub(crate) struct Rig {
    ports: Vec<String>,
    caps: Vec<String>,
    /// Bits per second, where a test does not choose.
    pub(crate) baud: u32,
    pub(crate) hardline: PathBuf,
    /// Unplugs and plugs in, with `off` and `on`.
    pub(crate) replug: String,
    /// A port whose transmitter is stuck.
    pub(crate) stuck: String,
}

fn env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|v| !v.is_empty())
}

fn words(name: &str) -> Vec<String> {
    env(name).map_or(Vec::new(), |v| v.split(',').map(str::to_owned).collect())
}

impl Rig {
    pub(crate) fn from_env() -> Result<Rig, String> {
        let beside = std::env::current_exe().map_err(|e| e.to_string())?.with_file_name("hardline");
        let baud = env("HIL_BAUD").unwrap_or_else(|| "115200".into());
        let mut rig = Rig {
            ports: words("HIL_PORTS"),
            caps: words("HIL_CAPS"),
            baud: baud.parse().map_err(|_| format!("HIL_BAUD={baud} is no number"))?,
            hardline: env("HARDLINE").map_or(beside, PathBuf::from),
            replug: env("HIL_REPLUG").unwrap_or_default(),
            stuck: env("HIL_STUCK").unwrap_or_default(),
        };
        if let Some(cap) = rig.caps.iter().find(|c| CAPS.iter().all(|k| k.0 != c.as_str() && *c != "noise")) {
            let known = CAPS.map(|k| k.0).join(", ");
            return Err(format!("HIL_CAPS has '{cap}'; known are noise, {known}"));
        }
        if !rig.ports.is_empty() && !rig.hardline.exists() {
            return Err(format!("there is no {}: build it, or name it by HARDLINE", rig.hardline.display()));
        }
        rig.look();
        Ok(rig)
    }
    /// What need not be said, since it can be seen.
    fn look(&mut self) {
        let one_way = self.has("oneway");
        let wiring: &[&str] = match (self.ports.len(), one_way) {
            (2, false) => &["port", "pair", "oneway"],
            (2, true) => &["port"],
            (1, _) => &["port", "loop"],
            _ => &[],
        };
        let mut seen = wiring.to_vec();
        let lacks = |what: &str| what.is_empty();
        let root = nix::unistd::geteuid().is_root();
        for (cap, there) in [
            ("clean", !self.has("noise")),
            ("stuck", !lacks(&self.stuck)),
            ("replug", !lacks(&self.replug)),
            ("usb", self.ports.first().is_some_and(|p| usb_serial(p).is_some())),
            ("timer", root && self.ports.first().is_some_and(|p| latency_timer(p).exists())),
        ] {
            if there {
                seen.push(cap);
            }
        }
        self.caps.extend(seen.into_iter().map(str::to_owned));
        if self.ports.len() != 2 {
            self.caps.retain(|c| c != "oneway");
        }
    }
    pub(crate) fn has(&self, cap: &str) -> bool {
        self.caps.iter().any(|c| c == cap)
    }
    /// Why a test with these needs cannot run here.
    pub(crate) fn lacks(&self, needs: &[&str]) -> Option<&'static str> {
        let missing = needs.iter().find(|n| !self.has(n))?;
        CAPS.iter().find(|k| k.0 == *missing).map(|k| k.1)
    }
    pub(crate) fn a(&self) -> &str {
        self.ports.first().map_or("", String::as_str)
    }
    pub(crate) fn b(&self) -> &str {
        self.ports.get(1).map_or("", String::as_str)
    }
    /// Bytes the wire carries in so many seconds.
    pub(crate) fn bytes_in(&self, seconds: f64) -> usize {
        (f64::from(self.baud) / 10.0 * seconds) as usize
    }
}

/// The folder of a port's driver.
fn device(port: &str) -> PathBuf {
    let real = std::fs::canonicalize(port).unwrap_or_else(|_| PathBuf::from(port));
    Path::new("/sys/class/tty").join(real.file_name().unwrap_or_default()).join("device")
}

/// Where the driver of an FTDI adapter has its latency timer.
pub(crate) fn latency_timer(port: &str) -> PathBuf {
    device(port).join("latency_timer")
}

/// The serial number of the adapter, from the device itself or one it is plugged into.
pub(crate) fn usb_serial(port: &str) -> Option<String> {
    let device = std::fs::canonicalize(device(port)).ok()?;
    let found = device.ancestors().find_map(|dir| std::fs::read_to_string(dir.join("serial")).ok())?;
    Some(found.trim().to_owned())
}
