//! What `--watch` draws: the wire, the history of its rate, its channels.

use std::collections::VecDeque;
use std::time::Instant;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Cell, Paragraph, Row, Sparkline, Table};
use serde_json::Value;

use super::{is_well, path_words, paths, state_words};
use crate::names::printable;

/// Rates kept; wider terminals show no more.
const HISTORY: usize = 400;

/// What is known of the wire.
#[derive(Debug)]
pub(super) struct Screen {
    socket: String,
    status: Value,
    /// When `status` was asked for.
    asked: Option<Instant>,
    /// Why there is none at present.
    trouble: Option<String>,
    /// User bytes per second, in and out, of the last interval.
    rate: (f64, f64),
    history: VecDeque<u64>,
}

impl Screen {
    pub(super) fn new(socket: &str) -> Screen {
        let history = VecDeque::with_capacity(HISTORY);
        Screen { socket: socket.into(), status: Value::Null, asked: None, trouble: None, rate: (0.0, 0.0), history }
    }

    /// Takes a new status.
    pub(super) fn update(&mut self, status: Value, now: Instant) {
        if let Some(before) = self.asked.replace(now) {
            let seconds = now.duration_since(before).as_secs_f64().max(1e-3);
            // a new session counts from 0
            let grown = |name: &str| (number(&status, name) - number(&self.status, name)).max(0.0) / seconds;
            self.push((grown("bytes_in"), grown("bytes_out")));
        }
        (self.status, self.trouble) = (status, None);
    }
    /// Nobody answers.
    pub(super) fn lost(&mut self, why: &str) {
        (self.asked, self.trouble) = (None, Some(why.into()));
        self.push((0.0, 0.0));
    }
    fn push(&mut self, rate: (f64, f64)) {
        self.rate = rate;
        self.history.truncate(HISTORY - 1);
        self.history.push_front((rate.0 + rate.1) as u64);
    }

    /// Draws everything.
    pub(super) fn draw(&self, frame: &mut Frame<'_>) {
        let facts = self.facts();
        let parts = [
            Constraint::Length(1),
            Constraint::Length(facts.len() as u16),
            Constraint::Length(7),
            Constraint::Min(3),
            Constraint::Length(1),
        ];
        let [title, wire, history, channels, foot] = Layout::vertical(parts).areas(frame.area());
        frame.render_widget(self.title(), title);
        frame.render_widget(Paragraph::new(facts), wire);
        self.draw_history(frame, history);
        self.draw_channels(frame, channels);
        frame.render_widget(Line::from("q ends").style(Style::new().add_modifier(Modifier::DIM)), foot);
    }

    fn title(&self) -> Line<'_> {
        if let Some(why) = &self.trouble {
            return Line::from(printable(why.as_bytes())).style(Style::new().fg(Color::Red));
        }
        let (state, colour) = (state_words(&self.status), if is_well(&self.status) { Color::Green } else { Color::Yellow });
        let port = printable(self.status["port"].as_str().unwrap_or(&self.socket).as_bytes());
        let line = format!("{port} at {:.0} baud: {state}", number(&self.status, "baud"));
        Line::from(line).style(Style::new().fg(colour).add_modifier(Modifier::BOLD))
    }

    fn facts(&self) -> Vec<Line<'_>> {
        let number = |name: &str| number(&self.status, name);
        let mut facts = vec![
            Line::from(format!("rate        {:>12} in {:>12} out", rate(self.rate.0), rate(self.rate.1))),
            Line::from(format!(
                "round trip  {:>9.1} ms   bit error rate {:.1e}   frame size {:.0} bytes",
                number("rtt_us") / 1000.0,
                number("ber"),
                number("frame_payload"),
            )),
            Line::from(format!(
                "resends     {:>12}   bad frames {:.0}   repaired bytes {:.0}   junk bytes {:.0}",
                number("resends"),
                number("frames_bad"),
                number("corrected"),
                number("junk"),
            )),
        ];
        facts.extend(paths(&self.status).iter().map(|path| {
            let colour = if path["up"] == true { Color::Reset } else { Color::Yellow };
            Line::from(path_words(path)).style(Style::new().fg(colour))
        }));
        facts
    }

    /// The newest at the right edge.
    fn draw_history(&self, frame: &mut Frame<'_>, area: Rect) {
        let shown = self.history.iter().take(usize::from(area.width.saturating_sub(2)));
        let most = shown.clone().copied().max().unwrap_or(0);
        let data: Vec<u64> = shown.copied().collect();
        let block = Block::bordered().title(format!(" rate, at most {} ", rate(most as f64)));
        let line = Sparkline::default().block(block).style(Style::new().fg(Color::Cyan)).max(most.max(1));
        frame.render_widget(line.direction(ratatui::widgets::RenderDirection::RightToLeft).data(data), area);
    }

    fn draw_channels(&self, frame: &mut Frame<'_>, area: Rect) {
        let channels = self.status["channels"].as_array().map_or(&[][..], Vec::as_slice);
        let rows = channels.iter().map(|channel| {
            let text = |name: &str| printable(channel[name].as_str().unwrap_or("?").as_bytes());
            let count = |name: &str| Cell::from(Line::from(format!("{:.0}", number(channel, name))).right_aligned());
            Row::new([
                count("id"),
                Cell::from(text("service")),
                Cell::from(if channel["closing"] == true { "closing".into() } else { text("user") }),
                count("bytes_in"),
                count("bytes_out"),
                count("queued"),
            ])
        });
        let widths = [
            Constraint::Length(5),
            Constraint::Min(10),
            Constraint::Length(18),
            Constraint::Length(13),
            Constraint::Length(13),
            Constraint::Length(9),
        ];
        let right = |name: &'static str| Cell::from(Line::from(name).right_aligned());
        let head = Row::new([right("id"), Cell::from("service"), Cell::from("user"), right("in"), right("out"), right("queued")]);
        let head = head.style(Style::new().add_modifier(Modifier::BOLD));
        let block = Block::bordered().title(format!(" {} channels ", channels.len()));
        frame.render_widget(Table::new(rows, widths).header(head).block(block), area);
    }
}

fn number(value: &Value, name: &str) -> f64 {
    value[name].as_f64().unwrap_or(0.0)
}

/// Bytes per second for people.
fn rate(bytes: f64) -> String {
    match bytes {
        n if n >= 1e6 => format!("{:.2} MB/s", n / 1e6),
        n if n >= 1e3 => format!("{:.1} kB/s", n / 1e3),
        n => format!("{n:.0} B/s"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use serde_json::json;

    use super::*;

    fn drawn(screen: &Screen) -> String {
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        terminal.draw(|frame| screen.draw(frame)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn rates_channels_and_trouble_are_drawn() {
        let mut screen = Screen::new("/run/wire");
        let channel = json!({ "id": 5, "service": "ssh", "user": "client", "bytes_in": 1, "bytes_out": 2, "queued": 3 });
        let status = |bytes: u64| json!({ "port": "/dev/ttyUSB0", "baud": 2_000_000, "state": "open", "bytes_in": bytes, "channels": [channel] });
        let began = Instant::now();
        screen.update(status(0), began);
        screen.update(status(300_000), began + Duration::from_secs(2));
        let text = drawn(&screen);
        for part in ["/dev/ttyUSB0 at 2000000 baud: open", "150.0 kB/s in", "1 channels", "ssh", "client", "█"] {
            assert!(text.contains(part), "'{part}' is not in:\n{text}");
        }
        assert_eq!(screen.title().style.fg, Some(Color::Green));
        let silent = json!({ "port": "p", "state": "open", "silent": true, "silent_seconds": 7.2, "port_open": true });
        screen.update(silent, began + Duration::from_secs(3));
        assert!(drawn(&screen).contains("baud: open, plain, silent for 7 s"), "{}", drawn(&screen));
        assert_eq!(screen.title().style.fg, Some(Color::Yellow));
        screen.lost("cannot reach the wire");
        assert!(drawn(&screen).contains("cannot reach the wire"));
        // small terminals are no reason to panic
        for (width, height) in [(1, 1), (20, 3), (200, 5)] {
            let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
            terminal.draw(|frame| screen.draw(frame)).unwrap();
        }
    }
}
