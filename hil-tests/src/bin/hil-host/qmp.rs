//! The monitor of an emulated machine: adapters are pulled and put back through it.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(15);

/// A connection to it.
#[derive(Debug)]
pub(crate) struct Qmp {
    lines: BufReader<UnixStream>,
}

impl Qmp {
    /// Connects as soon as the machine listens.
    pub(crate) fn connect(path: &Path) -> Result<Qmp, String> {
        let end = Instant::now() + LIMIT;
        let stream = loop {
            match UnixStream::connect(path) {
                Ok(stream) => break stream,
                Err(e) if Instant::now() > end => return Err(format!("no monitor: {e}")),
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        stream.set_read_timeout(Some(LIMIT)).map_err(|e| e.to_string())?;
        let mut qmp = Qmp { lines: BufReader::new(stream) };
        qmp.wait("QMP")?;
        qmp.command("qmp_capabilities", json!({}))?;
        Ok(qmp)
    }
    /// Reads up to a message that has this key.
    fn wait(&mut self, key: &str) -> Result<Value, String> {
        loop {
            let mut line = String::new();
            let read = self.lines.read_line(&mut line).map_err(|e| format!("no {key} from the monitor: {e}"))?;
            if read == 0 {
                return Err(format!("no {key} from the monitor: it is gone"));
            }
            let message: Value = serde_json::from_str(&line).map_err(|e| e.to_string())?;
            if let Some(error) = message.get("error") {
                return Err(format!("the monitor refuses: {error}"));
            }
            if message.get(key).is_some() {
                return Ok(message);
            }
        }
    }
    fn command(&mut self, name: &str, arguments: Value) -> Result<(), String> {
        let line = json!({ "execute": name, "arguments": arguments }).to_string() + "\n";
        self.lines.get_mut().write_all(line.as_bytes()).map_err(|e| e.to_string())?;
        self.wait("return").map(drop)
    }
    /// Stops the machine's processors, or lets them go on.
    pub(crate) fn halt(&mut self, on: bool) -> Result<(), String> {
        self.command(if on { "stop" } else { "cont" }, json!({}))
    }
    /// Pulls a device; it is gone when this returns (before, it could not be added again).
    pub(crate) fn unplug(&mut self, id: &str) -> Result<(), String> {
        let line = json!({ "execute": "device_del", "arguments": { "id": id } }).to_string() + "\n";
        self.lines.get_mut().write_all(line.as_bytes()).map_err(|e| e.to_string())?;
        // the event may come before the answer
        loop {
            let message = self.wait("event")?;
            if message["event"] == "DEVICE_DELETED" && message["data"]["device"] == id {
                return Ok(());
            }
        }
    }
    pub(crate) fn plug_in(&mut self, device: Value) -> Result<(), String> {
        self.command("device_add", device)
    }
}
