//! The picture of the README: runs `hardline demo` on a terminal of its own, records what the screen shows, and writes that
//! as an animated drawing to `docs/demo.svg`. Where drawings do not move, the last screen is seen.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::pty::{Winsize, openpty};
use vt100::{Cell, Color, Parser, Screen};

const ROWS: u16 = 15;
const COLUMNS: u16 = 128;
const SIZE: [NonZero<u16>; 2] = [NonZero::new(ROWS).unwrap(), NonZero::new(COLUMNS).unwrap()];
/// Pixels of a cell, and around the screen.
const CELL: (f64, f64) = (8.4, 19.0);
const EDGE: f64 = 14.0;
const FONT: f64 = 14.0;
/// Screens are kept no closer than this.
const FRAME: Duration = Duration::from_millis(250);
/// How long the last screen stays before all begins again.
const HOLD: f64 = 6.0;
const FOREGROUND: &str = "#d4d4d4";
const BACKGROUND: &str = "#16181c";
/// The 8 colours and their bright ones.
const PALETTE: [&str; 16] = [
    "#2e3436", "#e06c75", "#8fc379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#d4d4d4", "#7f848e", "#ff7b86", "#a5e075",
    "#ffd580", "#7cc4ff", "#dd8cff", "#6fd6e3", "#ffffff",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/demo.svg");
    let frames = record(&bench::hardline()?)?;
    std::fs::write(&path, draw(&frames))?;
    println!("{} screens in {}", frames.len(), path.display());
    Ok(())
}

/// A screen, and when it was seen.
type Frame = (f64, Screen);

/// Runs the demonstration to its end.
fn record(hardline: &Path) -> Result<Vec<Frame>, Box<dyn std::error::Error>> {
    let pty = openpty(&Winsize { ws_row: ROWS, ws_col: COLUMNS, ws_xpixel: 0, ws_ypixel: 0 }, None)?;
    let end = || -> std::io::Result<Stdio> { Ok(Stdio::from(pty.slave.try_clone()?)) };
    let mut command = Command::new(hardline);
    command.arg("demo").env("TERM", "xterm-256color").env_remove("NO_COLOR").stdin(end()?).stdout(end()?).stderr(end()?);
    let mut child = command.spawn()?;
    // the master reads its end once nobody else has the other side
    drop((command, pty.slave));
    let mut parser = Parser::new(SIZE[0], SIZE[1], 0);
    parser.process(b"\x1b[1;32m$\x1b[0;1m hardline demo\x1b[0m\r\n");
    let (began, mut frames, mut bytes) = (Instant::now(), vec![(0.0, parser.screen().clone())], [0; 4096]);
    let (mut master, mut kept) = (File::from(pty.master), Instant::now());
    while let Ok(n) = master.read(&mut bytes)
        && n > 0
    {
        parser.process(&bytes[..n]);
        if kept.elapsed() >= FRAME {
            kept = Instant::now();
            keep(&mut frames, began, parser.screen());
        }
    }
    keep(&mut frames, began, parser.screen());
    match child.wait()? {
        status if status.success() => Ok(frames),
        status => Err(format!("hardline demo ended with {status}:\n{}", parser.screen().contents()).into()),
    }
}

fn keep(frames: &mut Vec<Frame>, began: Instant, screen: &Screen) {
    if frames.last().is_none_or(|last| last.1.contents() != screen.contents()) {
        frames.push((began.elapsed().as_secs_f64(), screen.clone()));
    }
}

fn draw(frames: &[Frame]) -> String {
    let (width, height) = (f64::from(COLUMNS) * CELL.0 + 2.0 * EDGE, f64::from(ROWS) * CELL.1 + 2.0 * EDGE);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" font-family=\"ui-monospace, \
         'DejaVu Sans Mono', Menlo, Consolas, monospace\" font-size=\"{FONT}\">\n<title>hardline demo</title>\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{BACKGROUND}\"/>\n"
    );
    let last = frames.last().map_or(0.0, |frame| frame.0);
    // the clock of all screens
    let _ = writeln!(
        svg,
        "<rect width=\"0\" height=\"0\"><animate id=\"t\" attributeName=\"x\" begin=\"0s;t.end\" dur=\"{:.2}s\"/></rect>",
        last + HOLD
    );
    for (i, (at, screen)) in frames.iter().enumerate() {
        // a program that does not know animations draws the last screen alone
        let (visibility, to, from, until) = match frames.get(i + 1) {
            Some(next) => ("hidden", "visible", *at, next.0),
            None => ("visible", "hidden", 0.0, *at),
        };
        let (begin, length) = (format!("t.begin+{from:.2}s"), until - from);
        let _ = write!(
            svg,
            "<g visibility=\"{visibility}\"><set attributeName=\"visibility\" to=\"{to}\" begin=\"{begin}\" dur=\"{length:.2}s\"/>"
        );
        rows(&mut svg, screen);
        svg.push_str("</g>\n");
    }
    svg.push_str("</svg>\n");
    svg
}

/// What is on a screen, a piece of text for each run of cells that look alike.
fn rows(svg: &mut String, screen: &Screen) {
    for row in 0..ROWS {
        let cells: Vec<&Cell> = (0..COLUMNS).filter_map(|column| screen.cell(row, column)).collect();
        let mut from = 0;
        for run in cells.chunk_by(|a, b| look(a) == look(b)) {
            let text: String = run.iter().map(|cell| if cell.has_contents() { cell.contents() } else { " " }).collect();
            if !text.trim().is_empty() {
                let (x, y) = (EDGE + f64::from(from) * CELL.0, EDGE + f64::from(row) * CELL.1 + FONT);
                let (length, style, text) = (run.len() as f64 * CELL.0, look(run[0]), escaped(&text));
                let _ = write!(
                    svg,
                    "<text x=\"{x:.1}\" y=\"{y:.1}\" textLength=\"{length:.1}\" lengthAdjust=\"spacingAndGlyphs\" xml:space=\"preserve\"{style}>{text}</text>"
                );
            }
            from += run.len() as u16;
        }
    }
}

/// The attributes of a cell.
fn look(cell: &Cell) -> String {
    let mut style = format!(" fill=\"{}\"", colour(cell.fgcolor()));
    style.push_str(if cell.bold() { " font-weight=\"bold\"" } else { "" });
    style.push_str(if cell.dim() { " opacity=\"0.6\"" } else { "" });
    style
}

fn colour(colour: Color) -> String {
    match colour {
        Color::Default => FOREGROUND.into(),
        Color::Idx(n) if n < 16 => PALETTE[usize::from(n)].into(),
        // the cube of 6 x 6 x 6, and the greys
        Color::Idx(n) if n < 232 => {
            let level = |part: u8| if part == 0 { 0 } else { 55 + 40 * part };
            let n = n - 16;
            format!("#{:02x}{:02x}{:02x}", level(n / 36), level(n / 6 % 6), level(n % 6))
        }
        Color::Idx(n) => format!("#{0:02x}{0:02x}{0:02x}", 8 + 10 * (n - 232)),
        Color::Rgb(r, g, b) => format!("#{r:02x}{g:02x}{b:02x}"),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
