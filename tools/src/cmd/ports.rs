//! `hardline ports`: the adapters that are plugged in.

use std::path::Path;

use serde_json::{Value, json};

use crate::adapters::{self, Adapter, Holder, Mark};
use crate::cli::{Common, PortsArgs};
use crate::error::Failure;
use crate::names::printable;
use crate::say::{answer, aside};

/// Titles of the columns of the text.
const TITLES: [&str; 7] = ["PORT", "DEVICE", "DRIVER", "USB", "TIMER", "STATE", "WHAT"];

/// Runs the command to its end; no adapter at all is no error.
///
/// # Errors
/// Stdout that takes nothing (1).
pub fn run(common: &Common, args: &PortsArgs) -> Result<(), Failure> {
    let adapters = adapters::list(Path::new("/"));
    if adapters.is_empty() && !common.quiet {
        aside(nothing());
    }
    match args.json {
        true => answer(as_json(&adapters)),
        false if adapters.is_empty() => Ok(()),
        false => answer(as_text(&adapters)),
    }
}

/// Where to look when there is none; one line.
pub fn nothing() -> &'static str {
    "no serial adapter is there: is it plugged in? 'lsusb' shows whether it is seen at all, 'dmesg' whether a driver took it; \
     a container or a virtual machine must be given the device"
}

/// A JSON array with an object for each adapter.
///
/// `port`, `stable`, `device`, `kernel`, `driver`, `by_id`, `by_path`, `topology`, `usb_vendor`, `usb_product` (four hexadecimal
/// digits), `serial`, `manufacturer`, `product`, `latency_timer_ms`, `permitted`, `group`, and `holders`, objects of
/// `pid`, `name` and `by` (`open`, `lock`, `lock-file`). What is not known is null.
pub fn as_json(adapters: &[Adapter]) -> Value {
    Value::from_iter(adapters.iter().map(|a| {
        let path = |p: &Option<std::path::PathBuf>| p.as_ref().map(|p| shown(&p.to_string_lossy()));
        let usb = a.usb.as_ref();
        let said = |text: Option<&String>| text.map(|t| shown(t));
        json!({
            "port": shown(&a.name),
            "stable": a.stable,
            "device": a.path.to_string_lossy(),
            "kernel": a.kernel,
            "driver": a.driver,
            "by_id": path(&a.by_id),
            "by_path": path(&a.by_path),
            "topology": said(usb.map(|u| &u.topology)),
            "usb_vendor": said(usb.map(|u| &u.vendor)),
            "usb_product": said(usb.map(|u| &u.product)),
            "serial": said(usb.and_then(|u| u.serial.as_ref())),
            "manufacturer": said(usb.and_then(|u| u.manufacturer.as_ref())),
            "product": said(usb.and_then(|u| u.model.as_ref())),
            "latency_timer_ms": a.latency_timer_ms,
            "permitted": a.permitted,
            "group": a.group,
            "holders": Value::from_iter(a.holders.iter().map(holder)),
        })
    }))
}

fn holder(holder: &Holder) -> Value {
    let by = match holder.by {
        Mark::Open => "open",
        Mark::Lock => "lock",
        Mark::LockFile => "lock-file",
    };
    json!({ "pid": holder.pid, "name": shown(&holder.name), "by": by })
}

/// A table for people, a line for each adapter under one of titles; no end of line.
pub fn as_text(adapters: &[Adapter]) -> String {
    let mut rows = vec![TITLES.map(str::to_owned)];
    rows.extend(adapters.iter().map(row));
    let widths: Vec<usize> = (0..TITLES.len()).map(|i| rows.iter().map(|r| r[i].chars().count()).max().unwrap_or(0)).collect();
    let line = |row: &[String; 7]| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn row(adapter: &Adapter) -> [String; 7] {
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".into());
    let usb = adapter.usb.as_ref();
    let what = usb.map(|u| [&u.manufacturer, &u.model].into_iter().flatten().map(|t| shown(t)).collect::<Vec<_>>().join(" "));
    [
        shown(&adapter.name),
        adapter.path.display().to_string(),
        or_none(adapter.driver.clone()),
        or_none(usb.map(|u| shown(&format!("{}:{}", u.vendor, u.product)))),
        or_none(adapter.latency_timer_ms.map(|ms| format!("{ms} ms"))),
        state(adapter),
        or_none(what.filter(|w| !w.is_empty())),
    ]
}

fn state(adapter: &Adapter) -> String {
    let held = adapter.holders.iter().map(|h| format!("{} (process {})", shown(&h.name), h.pid)).collect::<Vec<_>>().join(", ");
    match (&adapter.group, adapter.permitted) {
        (None, _) => "no device file".into(),
        (Some(group), false) => format!("not permitted (group {group}){}", if held.is_empty() { "" } else { ", held" }),
        _ if held.is_empty() => "free".into(),
        _ => format!("held by {held}"),
    }
}

fn shown(text: &str) -> String {
    printable(text.as_bytes())
}
