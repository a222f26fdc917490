//! The error rate over time: as characters in a line, and as a drawing (SVG).

use std::fmt::Write;

use super::report::{Row, Way};

/// From rare to hopeless, for error rates from 1e-7 up.
const STEPS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// One character for each part of the time: a dot without errors, a blank where nothing was read.
pub fn cells(series: &[[u64; 2]]) -> String {
    let cell = |&[bits, wrong]: &[u64; 2]| match (bits, wrong) {
        (0, _) => ' ',
        (_, 0) => '·',
        (bits, wrong) => {
            let decade = (wrong as f64 / bits as f64).log10() + 7.0;
            STEPS[(decade.clamp(0.0, 6.0) / 6.0 * 7.0).round() as usize]
        }
    };
    series.iter().take(super::trial::PARTS).map(cell).collect()
}

const WIDTH: f64 = 960.0;
const TOP: f64 = 40.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 60.0;
/// Error rates shown: 1e-7 at the bottom, 1 at the top.
const DECADES: f64 = 7.0;
/// Colours of the two ways.
const COLOURS: [(&str, &str); 2] = [("#0b6e4f", "to the peer"), ("#c0392b", "from the peer")];

fn height_of(ber: f64) -> f64 {
    TOP + HEIGHT * (1.0 - ((ber.log10() + DECADES) / DECADES).clamp(0.0, 1.0))
}

/// A drawing of all rates, one behind the other; where a part of the time had no error there is a dot on the floor.
pub fn svg(port: &str, rows: &[Row]) -> String {
    let mut out = String::new();
    let bottom = TOP + HEIGHT;
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#333333\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n<text x=\"{LEFT}\" y=\"18\">bit error rate over time, {}</text>",
        LEFT + WIDTH + 20.0,
        bottom + 60.0,
        escape(port)
    );
    for decade in 0..=DECADES as i32 {
        let y = height_of(10f64.powi(-decade));
        let name = if decade == DECADES as i32 { "none".to_owned() } else { format!("1e-{decade}") };
        let _ = writeln!(
            out,
            "<path d=\"M{LEFT} {y:.1}h{WIDTH}\" stroke=\"#dddddd\"/>\n<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{name}</text>",
            LEFT - 8.0,
            y + 4.0
        );
    }
    let width = WIDTH / rows.len().max(1) as f64;
    for (i, row) in rows.iter().enumerate() {
        let x = LEFT + width * i as f64;
        let _ = writeln!(
            out,
            "<path d=\"M{x:.1} {TOP}v{HEIGHT}\" stroke=\"#cccccc\"/>\n<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            x + width / 2.0,
            bottom + 18.0,
            row.baud
        );
        for (way, (colour, _)) in [&row.to_peer, &row.from_peer].into_iter().zip(COLOURS) {
            if let Some(way) = way {
                draw(&mut out, way, colour, x + 4.0, width - 8.0);
            }
        }
    }
    for (i, (colour, name)) in COLOURS.into_iter().enumerate() {
        let x = LEFT + 200.0 * i as f64;
        let y = bottom + 44.0;
        let _ = writeln!(
            out,
            "<circle cx=\"{x:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"/>\n<text x=\"{:.1}\" y=\"{y:.1}\">{name}</text>",
            y - 4.0,
            x + 10.0
        );
    }
    out.push_str("</svg>\n");
    out
}

fn draw(out: &mut String, way: &Way, colour: &str, left: f64, width: f64) {
    let series = &way.reading.series;
    let step = width / series.len().max(1) as f64;
    let place = |i: usize, [bits, wrong]: [u64; 2]| {
        let ber = if wrong == 0 { 10f64.powf(-DECADES) } else { wrong as f64 / bits as f64 };
        (left + step * (i as f64 + 0.5), height_of(ber))
    };
    let read: Vec<(f64, f64)> = series.iter().enumerate().filter(|(_, s)| s[0] > 0).map(|(i, s)| place(i, *s)).collect();
    let line: Vec<String> = read.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let _ = writeln!(out, "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>", line.join(" "));
    for (x, y) in &read {
        let _ = writeln!(out, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2\" fill=\"{colour}\"/>");
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::super::trial::Reading;
    use super::*;

    #[test]
    fn each_part_of_the_time_has_its_character() {
        let series = [[0, 0], [1_000_000, 0], [10_000_000, 1], [1_000_000, 1000], [100, 50]];
        assert_eq!(cells(&series), " ·▁▆█");
    }

    #[test]
    fn the_drawing_has_every_rate_and_way() {
        let read = |baud| Reading { baud, series: vec![[1000, 1]; 20], ..Reading::default() };
        let rows = [Row::of_two(read(115_200), read(115_200)), Row::of_two(read(2_000_000), read(2_000_000))];
        let svg = svg("/dev/<x>", &rows);
        assert_eq!(svg.matches("<polyline").count(), 4);
        assert!(svg.contains("2000000") && svg.contains("/dev/&lt;x&gt;") && svg.ends_with("</svg>\n"));
    }
}
