//! `hardline status`: how a held wire is doing.

mod metrics;
mod screen;
mod watch;

use serde_json::Value;

use crate::cli::StatusArgs;
use crate::drive::client::Client;
use crate::error::{Failure, kinds};
use crate::names::printable;
use crate::say;

/// Asks once and prints, or again and again as told.
pub fn run(args: &StatusArgs) -> Result<(), Failure> {
    if args.watch {
        return watch::run(args);
    }
    if let Some(file) = &args.metrics {
        return metrics::run(args, file);
    }
    if args.interval.is_some() {
        return Err(Failure::new(kinds::USAGE, "--interval goes with --watch or --metrics"));
    }
    let status = Client::connect(&args.socket)?.status()?;
    if args.json { say::answer(status) } else { say::answer(as_text(&status)) }
}

/// Whether the session is open, the port there and the peer heard.
fn is_well(status: &Value) -> bool {
    status["state"] == "open" && status["port_open"] != false && status["silent"] != true
}

/// The state, and what it does not say: that the port is away, that the peer is silent.
fn state_words(status: &Value) -> String {
    let mut words = status["state"].as_str().unwrap_or("?").to_owned();
    if words == "open" && status["port_open"] == false {
        words.push_str(", port gone");
    }
    words.push_str(if status["sealed"] == true { ", sealed" } else { ", plain" });
    if status["silent"] == true {
        words.push_str(&format!(", silent for {:.0} s", status["silent_seconds"].as_f64().unwrap_or(0.0)));
    }
    words
}

/// Why nothing comes from the peer, in a line of its own.
fn trouble(status: &Value) -> String {
    match status["trouble"].as_str() {
        Some(why) if status["state"] != "open" => format!("\n{}", printable(why.as_bytes())),
        _ => String::new(),
    }
}

/// The ports of a bond; none of a wire with one.
fn paths(status: &Value) -> &[Value] {
    status["paths"].as_array().filter(|paths| paths.len() > 1).map_or(&[][..], Vec::as_slice)
}

/// One of several ports, in a line.
fn path_words(path: &Value) -> String {
    let number = |name: &str| path[name].as_f64().unwrap_or(0.0);
    let state = if path["up"] == true {
        "up"
    } else if path["port_open"] == false {
        "port gone"
    } else if path["foreign"] == true {
        "not the peer"
    } else {
        "down"
    };
    format!(
        "path {:<23}  {state:<12} {:>8} baud {:>8.1} kB/s in {:>8.1} out, round trip {:.1} ms, bit error rate {:.1e}",
        printable(path["port"].as_str().unwrap_or("?").as_bytes()),
        number("baud"),
        number("rate_in") / 1000.0,
        number("rate_out") / 1000.0,
        number("rtt_us") / 1000.0,
        number("ber"),
    )
}

/// Which hardline holds the wire, and what the peer of an open session is known to speak.
fn version_words(status: &Value) -> String {
    let own = env!("CARGO_PKG_VERSION");
    let Some(version) = status["version"].as_str() else { return String::new() };
    let protocol = |name: &str| status[name].as_u64();
    let peer = match protocol("peer_protocol") {
        None => String::new(),
        peer if peer == protocol("protocol") => " at both ends".into(),
        Some(peer) => format!(", {peer} at the other end"),
    };
    let other = if version == own { String::new() } else { format!("; this is hardline {own}") };
    format!("\nhardline {}, protocol {}{peer}{other}", printable(version.as_bytes()), protocol("protocol").unwrap_or(0))
}

/// A few lines for people.
fn as_text(status: &Value) -> String {
    let number = |name: &str| status[name].as_f64().unwrap_or(0.0);
    let mut text = format!(
        "{} at {} baud: {}\n{:.0} bytes in, {:.0} out, {:.0} pieces sent again, {:.0} bad frames\nround trip {:.1} ms, bit error rate {:.1e}, {:.0} bytes a frame",
        printable(status["port"].as_str().unwrap_or("?").as_bytes()),
        number("baud"),
        state_words(status),
        number("bytes_in"),
        number("bytes_out"),
        number("resends"),
        number("frames_bad"),
        number("rtt_us") / 1000.0,
        number("ber"),
        number("frame_payload"),
    );
    text.push_str(&version_words(status));
    for path in paths(status) {
        text.push_str(&format!("\n{}", path_words(path)));
    }
    for channel in status["channels"].as_array().into_iter().flatten() {
        let number = |name: &str| channel[name].as_u64().unwrap_or(0);
        let line = format!(
            "\nchannel {:<5} {:<20} {:>12} in {:>12} out {:>9} queued{}",
            number("id"),
            printable(channel["service"].as_str().unwrap_or("?").as_bytes()),
            number("bytes_in"),
            number("bytes_out"),
            number("queued"),
            if channel["closing"] == true { ", closing" } else { "" }
        );
        text.push_str(&line);
    }
    text + &trouble(status)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn versions_are_told_and_where_they_differ() {
        let own = env!("CARGO_PKG_VERSION");
        let words =
            |version: &str, peer: Option<u8>| version_words(&json!({ "version": version, "protocol": 2, "peer_protocol": peer }));
        assert_eq!(words(own, Some(2)), format!("\nhardline {own}, protocol 2 at both ends"));
        assert_eq!(words(own, None), format!("\nhardline {own}, protocol 2"));
        assert_eq!(words("0.0.9", Some(1)), format!("\nhardline 0.0.9, protocol 2, 1 at the other end; this is hardline {own}"));
        assert_eq!(version_words(&json!({ "state": "open" })), "", "an older one does not say");
    }

    #[test]
    fn names_stay_on_their_lines_and_hide_nothing() {
        let channel = json!({ "id": 5, "service": "s\u{202e}s\u{1b}[2J\n" });
        let text = as_text(&json!({ "port": "p\u{200b}", "state": "no port", "trouble": "t\u{2066}", "channels": [channel] }));
        for shown in [r"p\u{200b} at", r" s\u{202e}s?[2J? ", r"t\u{2066}"] {
            assert!(text.contains(shown), "{text}");
        }
        assert!(text.lines().count() == 5 && !text.contains(['\u{202e}', '\u{1b}']), "{text:?}");
    }
}
