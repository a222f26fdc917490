//! The status as Prometheus' text format, in a file for the textfile collector of node_exporter.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::paths;
use crate::cli::StatusArgs;
use crate::drive::client::Client;
use crate::error::{Doing, Failure, kinds};
use crate::stats;

/// The collector runs as another user.
const MODE: u32 = 0o644;

/// Counters and gauges: name, kind, help, further label, field of the status, factor to the base unit.
type Row = (&'static str, &'static str, &'static str, &'static str, &'static str, f64);
const ROWS: [Row; 17] = [
    ("bytes_total", "counter", "User bytes delivered here, and acknowledged by the peer.", "direction=\"in\"", "bytes_in", 1.0),
    ("bytes_total", "", "", "direction=\"out\"", "bytes_out", 1.0),
    ("wire_bytes_total", "counter", "Bytes from and to the wire.", "direction=\"in\"", "wire_in", 1.0),
    ("wire_bytes_total", "", "", "direction=\"out\"", "wire_out", 1.0),
    ("frames_total", "counter", "Good frames received, and frames sent.", "direction=\"in\"", "frames_in", 1.0),
    ("frames_total", "", "", "direction=\"out\"", "frames_out", 1.0),
    ("bad_frames_total", "counter", "Frames damaged beyond repair.", "", "frames_bad", 1.0),
    ("resends_total", "counter", "Pieces of streams sent again.", "", "resends", 1.0),
    ("junk_bytes_total", "counter", "Bytes passed over while looking for a frame.", "", "junk", 1.0),
    ("corrected_bytes_total", "counter", "Wrong bytes repaired inside frames.", "", "corrected", 1.0),
    ("forged_frames_total", "counter", "Good frames that were not of the session.", "", "forged", 1.0),
    ("echoed_frames_total", "counter", "Frames of this end that came back.", "", "echoes", 1.0),
    ("refused_handshakes_total", "counter", "Handshakes of strangers, and plain calls.", "", "refused", 1.0),
    ("round_trip_seconds", "gauge", "Smoothed round-trip time.", "", "rtt_us", 1e-6),
    ("bit_error_ratio", "gauge", "Estimated bit error rate of the direction sent to.", "", "ber", 1.0),
    ("frame_payload_bytes", "gauge", "Size of frames at present.", "", "frame_payload", 1.0),
    ("baud", "gauge", "Bits per second of the port.", "", "baud", 1.0),
];

/// The same for each port of a bond, with `port` for a label.
const PATH_ROWS: [Row; 9] = [
    ("path_up", "gauge", "Whether the peer answers on this port.", "", "up", 1.0),
    ("path_baud", "gauge", "Bits per second this port is set to.", "", "baud", 1.0),
    ("path_silent_seconds", "gauge", "How long nothing was heard from the peer on this port.", "", "silent_seconds", 1.0),
    ("path_wire_bytes_total", "counter", "Bytes from and to this port.", "direction=\"in\"", "wire_in", 1.0),
    ("path_wire_bytes_total", "", "", "direction=\"out\"", "wire_out", 1.0),
    ("path_bad_frames_total", "counter", "Frames on this port damaged beyond repair.", "", "frames_bad", 1.0),
    ("path_resends_total", "counter", "Pieces of streams sent again that this port had lost.", "", "resends", 1.0),
    ("path_round_trip_seconds", "gauge", "Smoothed round-trip time of this port.", "", "rtt_us", 1e-6),
    ("path_bit_error_ratio", "gauge", "Estimated bit error rate of the direction sent to on this port.", "", "ber", 1.0),
];

/// Writes the file once, or again and again. What it says when nobody answers is that it is down.
pub(super) fn run(args: &StatusArgs, file: &Path) -> Result<(), Failure> {
    loop {
        let status = Client::connect(&args.socket).and_then(|mut c| c.status());
        let text = as_metrics(&args.socket.display().to_string(), status.as_ref().ok());
        stats::replace(file, &text, Some(MODE))
            .doing(kinds::STATS_UNWRITABLE, || format!("write metrics to {}", file.display()))?;
        match args.interval {
            None => return status.map(drop),
            Some(time) => {
                if let Err(failure) = status {
                    tracing::warn!("{failure}");
                }
                std::thread::sleep(time);
            }
        }
    }
}

/// A page of metrics; `wire` is the label that tells wires apart.
fn as_metrics(wire: &str, status: Option<&Value>) -> String {
    let mut page = Page { wire: format!("wire=\"{}\"", escaped(wire)), text: String::new() };
    page.head("up", "gauge", "Whether 'hardline link' answers.");
    page.sample("up", "", f64::from(u8::from(status.is_some())));
    let Some(status) = status else { return page.text };
    page.head("info", "gauge", "Which port it is, which hardline, and the version of its protocol.");
    let text = |name: &str| escaped(status[name].as_str().unwrap_or_default());
    let (port, version, protocol) = (text("port"), text("version"), status["protocol"].as_u64().unwrap_or(0));
    page.sample("info", &format!("port=\"{port}\",version=\"{version}\",protocol=\"{protocol}\""), 1.0);
    page.head("session_open", "gauge", "Whether there is a session with the peer.");
    page.sample("session_open", "", f64::from(u8::from(status["state"] == "open")));
    page.head("port_open", "gauge", "Whether the port is there.");
    page.sample("port_open", "", f64::from(u8::from(status["port_open"] == true)));
    if let Some(seconds) = status["silent_seconds"].as_f64() {
        page.head("silent_seconds", "gauge", "How long nothing was heard from the peer of the session.");
        page.sample("silent_seconds", "", seconds);
    }
    for (name, kind, help, label, field, factor) in ROWS {
        if !kind.is_empty() {
            page.head(name, kind, help);
        }
        page.sample(name, label, status[field].as_f64().unwrap_or(0.0) * factor);
    }
    page.paths(status);
    page.channels(status);
    page.text
}

struct Page {
    wire: String,
    text: String,
}

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.text.push_str(&format!("# HELP hardline_{name} {help}\n# TYPE hardline_{name} {kind}\n"));
    }
    fn sample(&mut self, name: &str, label: &str, value: f64) {
        let comma = if label.is_empty() { "" } else { "," };
        self.text.push_str(&format!("hardline_{name}{{{}{comma}{label}}} {value}\n", self.wire));
    }
    /// Of a wire with several ports.
    fn paths(&mut self, status: &Value) {
        let paths = paths(status);
        for (name, kind, help, label, field, factor) in PATH_ROWS.into_iter().filter(|_| !paths.is_empty()) {
            if !kind.is_empty() {
                self.head(name, kind, help);
            }
            for path in paths {
                let value = path[field].as_f64().or(path[field].as_bool().map(|up| f64::from(u8::from(up))));
                let comma = if label.is_empty() { "" } else { "," };
                let port = format!("port=\"{}\"{comma}{label}", escaped(path["port"].as_str().unwrap_or_default()));
                // how long a port that never answered is silent, nobody knows
                value.into_iter().for_each(|value| self.sample(name, &port, value * factor));
            }
        }
    }
    /// By service: channels come and go, and each would be a series of its own.
    fn channels(&mut self, status: &Value) {
        let mut services: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
        for channel in status["channels"].as_array().into_iter().flatten().filter(|c| c["closing"] != true) {
            let sums = services.entry(channel["service"].as_str().unwrap_or_default()).or_default();
            sums.0 += 1.0;
            sums.1 += channel["queued"].as_f64().unwrap_or(0.0);
        }
        self.head("channels", "gauge", "Channels at present, but for those that are closing.");
        for (service, sums) in &services {
            self.sample("channels", &format!("service=\"{}\"", escaped(service)), sums.0);
        }
        self.head("queued_bytes", "gauge", "Bytes that wait to be sent and acknowledged.");
        for (service, sums) in &services {
            self.sample("queued_bytes", &format!("service=\"{}\"", escaped(service)), sums.1);
        }
    }
}

/// As the value of a label.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn labels_are_escaped_and_services_are_summed() {
        let channel = |queued| json!({ "service": "ssh", "queued": queued });
        let closing = json!({ "service": "ssh", "queued": 9, "closing": true });
        let status = json!({ "port": "exec:a \"b\"", "version": "0.1.0", "protocol": 2, "state": "open", "rtt_us": 1500, "silent_seconds": 0.25, "port_open": true,
            "channels": [channel(1), channel(2), closing] });
        let text = as_metrics("/run/w", Some(&status));
        for line in [
            "hardline_info{wire=\"/run/w\",port=\"exec:a \\\"b\\\"\",version=\"0.1.0\",protocol=\"2\"} 1",
            "hardline_session_open{wire=\"/run/w\"} 1",
            "hardline_port_open{wire=\"/run/w\"} 1",
            "hardline_silent_seconds{wire=\"/run/w\"} 0.25",
            "hardline_round_trip_seconds{wire=\"/run/w\"} 0.0015",
            "hardline_channels{wire=\"/run/w\",service=\"ssh\"} 2",
            "hardline_queued_bytes{wire=\"/run/w\",service=\"ssh\"} 3",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in:\n{text}");
        }
        assert!(!text.contains("hardline_path_"), "one port needs no paths");
        let status = json!({ "paths": [
            { "port": "/dev/a", "up": true, "silent_seconds": 0.5, "wire_in": 7, "wire_out": 8, "rtt_us": 2000 },
            { "port": "/dev/b", "up": false, "silent_seconds": null, "wire_in": 0, "wire_out": 9 },
        ] });
        let text = as_metrics("w", Some(&status));
        for line in [
            "hardline_path_up{wire=\"w\",port=\"/dev/a\"} 1",
            "hardline_path_up{wire=\"w\",port=\"/dev/b\"} 0",
            "hardline_path_silent_seconds{wire=\"w\",port=\"/dev/a\"} 0.5",
            "hardline_path_wire_bytes_total{wire=\"w\",port=\"/dev/b\",direction=\"out\"} 9",
            "hardline_path_round_trip_seconds{wire=\"w\",port=\"/dev/a\"} 0.002",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in:\n{text}");
        }
        assert!(!text.contains("hardline_path_silent_seconds{wire=\"w\",port=\"/dev/b\""));
        assert_eq!(text.matches("# TYPE hardline_path_wire_bytes_total").count(), 1);
        assert!(as_metrics("w", None).ends_with("hardline_up{wire=\"w\"} 0\n"));
    }
}
