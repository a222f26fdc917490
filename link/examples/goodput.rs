//! The sweep `fixtures/goodput.txt` and its drawing `docs/goodput.svg`, both written by
//! `cargo run --release -p link --example goodput`.
//!
//! Two links on a virtual line, so the figures are exact and the same everywhere: user bytes over
//! baud / 10, from the first call to the end of the session, median of three seeds.

#[path = "../tests/common/mod.rs"]
mod common;

use std::fmt::Write as _;

use common::{End, Line, run};
use link::Config;
use link::sim::NoiseConfig;

/// Bit error rates of the sweep.
const BERS: [f64; 10] = [0.0, 1e-6, 3e-6, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2];
/// Baud rates, and seconds of the wire to fill.
const WIRES: [(u32, u64); 3] = [(9_600, 120), (115_200, 60), (2_000_000, 20)];
/// Timers of the receiving adapters, in ms.
const TIMERS: [u64; 2] = [1, 16];
const SEEDS: u64 = 3;
/// Overhead of a plain frame of the one stream: frame 8, segment 6.
const PLAIN_OVERHEAD: f64 = 14.0;

/// Share of the line that the user bytes of one transfer took.
fn share(baud: u32, seconds: u64, timer_ms: u64, ber: f64, seed: u64) -> f64 {
    let noise = NoiseConfig { ber, ..NoiseConfig::default() };
    let mut ab = Line::new(baud, 300, timer_ms * 1000, noise, seed * 2);
    let mut ba = Line::new(baud, 300, timer_ms * 1000, noise, seed * 2 + 1);
    let config = Config::for_baud(baud);
    let bytes = u64::from(baud / 10) * seconds;
    let out = (baud as usize / 20).max(8192);
    let mut a = End::new(config, 7, out, (1, 2), (bytes, 0));
    let mut b = End::new(config, 9, 262_144, (2, 1), (0, bytes));
    let took = run(&mut a, &mut b, &mut ab, &mut ba, seed, 10_000_000_000);
    assert!(a.lost.is_none() && b.lost.is_none(), "the session was lost");
    bytes as f64 / (took as f64 / 1e6 * f64::from(baud / 10))
}

fn median(baud: u32, seconds: u64, timer_ms: u64, ber: f64) -> f64 {
    let mut shares: Vec<f64> = (1..=SEEDS).map(|seed| share(baud, seconds, timer_ms, ber, seed)).collect();
    shares.sort_by(f64::total_cmp);
    shares[shares.len() / 2]
}

/// Goodput of ideal selective repeat with plain frames of the best size, 8 bits at risk per byte.
fn selective_repeat(ber: f64) -> f64 {
    let payload = |n: i32| f64::from(n) / (f64::from(n) + PLAIN_OVERHEAD);
    (8..=4041).map(|n| payload(n) * (1.0 - ber).powf(8.0 * (f64::from(n) + PLAIN_OVERHEAD))).fold(0.0, f64::max)
}

/// Capacity of a wire that flips bits: 1 - H(p).
fn capacity(p: f64) -> f64 {
    if p == 0.0 { 1.0 } else { 1.0 + p * p.log2() + (1.0 - p) * (1.0 - p).log2() }
}

/// One row of the table: goodput per baud and timer, then the two limits.
pub(crate) fn row(ber: f64) -> Vec<f64> {
    let wires = WIRES.iter().flat_map(|&(baud, seconds)| TIMERS.map(|timer| median(baud, seconds, timer, ber)));
    wires.chain([selective_repeat(ber), capacity(ber)]).collect()
}

/// A row as it stands in the file.
pub(crate) fn line(ber: f64, row: &[f64]) -> String {
    let cells: String = row.iter().map(|share| format!(" {share:>8.4}")).collect();
    format!("{ber:<6e} |{cells}\n")
}

fn table(rows: &[Vec<f64>]) -> String {
    let mut text = String::from(
        "# Share of the line that user bytes take, simulated (link/examples/goodput.rs says how), beside two limits: ideal\n\
         # selective repeat of plain frames of the best size, and the capacity of a wire that flips bits, 1 - H(p).\n\
         # 9600 baud for 120 s of the wire, 115200 for 60 s, 2 Mbps for 20 s; adapters with 1 ms and 16 ms timers.\n\
         # BER  |     9600    16 ms   115200    16 ms   2 Mbps    16 ms | repeat   1-H(p)\n",
    );
    rows.iter().zip(BERS).for_each(|(row, ber)| text.push_str(&line(ber, row)));
    text
}

/// Where the plot lies in the picture, and its size.
const LEFT: f64 = 60.0;
const TOP: f64 = 30.0;
const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 300.0;
/// Columns of a row that are drawn: name, colour, dash.
const CURVES: [(usize, &str, &str, &str); 5] = [
    (7, "capacity 1 - H(p)", "#888888", "2 4"),
    (4, "hardline, 2 Mbps", "#0b6e4f", ""),
    (2, "hardline, 115200", "#3a86c8", ""),
    (0, "hardline, 9600", "#8a5cc2", ""),
    (6, "ideal selective repeat", "#c0392b", "6 4"),
];

/// Logarithmic from 1e-6 to 1e-2, with 0 in the place of 1e-7.
fn x(ber: f64) -> f64 {
    LEFT + (ber.max(1e-7).log10() + 7.0) / 5.0 * WIDTH
}
fn y(share: f64) -> f64 {
    TOP + (1.0 - share) * HEIGHT
}

fn axes(svg: &mut String) -> std::fmt::Result {
    for tenth in (0..=10).step_by(2) {
        let at = y(f64::from(tenth) / 10.0);
        writeln!(svg, r##"<path d="M{LEFT} {at:.1}h{WIDTH}" stroke="#dddddd"/>"##)?;
        writeln!(svg, r#"<text x="{}" y="{:.1}" text-anchor="end">{} %</text>"#, LEFT - 8.0, at + 4.0, tenth * 10)?;
    }
    for (ber, name) in [(1e-7, "0"), (1e-6, "1e-6"), (1e-5, "1e-5"), (1e-4, "1e-4"), (1e-3, "1e-3"), (1e-2, "1e-2")] {
        writeln!(svg, r##"<path d="M{:.1} {TOP}v{HEIGHT}" stroke="#eeeeee"/>"##, x(ber))?;
        writeln!(svg, r#"<text x="{:.1}" y="{}" text-anchor="middle">{name}</text>"#, x(ber), TOP + HEIGHT + 18.0)?;
    }
    writeln!(svg, r#"<text x="{}" y="{}" text-anchor="middle">bit error rate</text>"#, LEFT + WIDTH / 2.0, TOP + HEIGHT + 38.0)?;
    writeln!(svg, r#"<text x="{LEFT}" y="18">user bytes, share of the line</text>"#)
}

/// The table as a picture.
fn drawing(rows: &[Vec<f64>]) -> Result<String, std::fmt::Error> {
    let mut svg = String::from(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 640 380\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#333333\">\n\
         <rect width=\"640\" height=\"380\" fill=\"#ffffff\"/>\n",
    );
    axes(&mut svg)?;
    for (i, (column, name, colour, dash)) in CURVES.into_iter().enumerate() {
        let points: String = rows.iter().zip(BERS).map(|(row, ber)| format!("{:.1},{:.1} ", x(ber), y(row[column]))).collect();
        let points = points.trim_end();
        writeln!(
            svg,
            r#"<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}"/>"#
        )?;
        let at = TOP + HEIGHT - 100.0 + 18.0 * i as f64;
        let (from, text) = (LEFT + 16.0, LEFT + 52.0);
        writeln!(svg, r#"<path d="M{from} {at}h28" stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}"/>"#)?;
        writeln!(svg, r#"<text x="{text}" y="{}">{name}</text>"#, at + 4.0)?;
    }
    svg.push_str("</svg>\n");
    Ok(svg)
}

#[allow(dead_code)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rows: Vec<Vec<f64>> = BERS.into_iter().map(row).collect();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    std::fs::create_dir_all(root.join("docs"))?;
    std::fs::write(root.join("fixtures/goodput.txt"), table(&rows))?;
    std::fs::write(root.join("docs/goodput.svg"), drawing(&rows)?)?;
    print!("{}", table(&rows));
    Ok(())
}
