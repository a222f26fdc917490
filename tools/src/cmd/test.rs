//! `hardline test`: what a wire does to bytes, at which rate, and the flags to use.

use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::{Common, OneWay, TestArgs};
use crate::clock::random_id;
use crate::diode::port::{Input, Output};
use crate::error::{Doing, Exit, Failure, kinds};
use crate::measure::message::Introduction;
use crate::measure::one_way::{Listener, Sender};
use crate::measure::pair::{Pair, Setup};
use crate::measure::plot;
use crate::measure::report::{Report, Row};
use crate::measure::run::{Both, Line, RATES, run as drive};
use crate::measure::solo::Solo;
use crate::measure::{Alone, Ending, News};
use crate::port::{Flow, Kind, Opener, fits};
use crate::say::{answer, aside};
use crate::signal::{Signal, Signals};
use crate::{adapters, stats};

/// How often a port that is waited for is tried.
const LOOK: Duration = Duration::from_millis(100);

/// Runs the command to its end.
///
/// # Errors
/// No rate at which the wire can be used (1), a port that cannot be a wire or a rate it cannot do (2), no peer (3), another
/// command of hardline's at the other end (5), no port (6), a signal (128 + N).
pub fn run(common: &Common, args: &TestArgs) -> Result<(), Failure> {
    let signals = Signals::new().doing(kinds::SYSTEM, || "listen to signals".into())?;
    stats::check(common.stats.as_deref())?;
    if matches!(args.port.kind(), Kind::Udp | Kind::UdpListen) {
        let why = "datagrams arrive whole or not at all, so there are no bits to measure";
        return Err(Failure::new(kinds::PORT_MISUSED, format!("cannot measure {}: {why}", args.port)));
    }
    let mut line = open(args, &signals)?;
    let mut wanted = match &args.rates[..] {
        [] => RATES.into_iter().filter(|&r| r > args.baud).chain([args.baud]).collect(),
        rates => rates.to_vec(),
    };
    wanted.sort_unstable();
    wanted.dedup();
    let rates = line.rates(&wanted, args.baud)?;
    let mut screen = Screen::new(common, args, rates.len());
    let ending = measure(args, &mut line, rates, &signals, &mut screen);
    screen.finish(common, ending)
}

fn open(args: &TestArgs, signals: &Signals) -> Result<Line, Failure> {
    let once = |opener: &mut Option<Opener>| match args.one_way {
        Some(OneWay::Send) => Output::open(&args.port, args.options()).map(|o| Some(Line::Out(o))),
        Some(OneWay::Recv) => Input::open(&args.port, args.options()).map(|i| Some(Line::In(i))),
        None => {
            let mut ours = match opener.take() {
                Some(opener) => opener,
                None => Opener::new(args.port.clone(), args.options())?,
            };
            match ours.open() {
                Ok(Some(port)) => Ok(Some(Line::Both(Both::new(port, ours)))),
                other => {
                    // it listens from now on
                    *opener = Some(ours);
                    other.map(|_| None)
                }
            }
        }
    };
    if args.one_way.is_none() {
        fits(&args.port, args.options())?;
    }
    let mut opener = None;
    loop {
        match once(&mut opener) {
            Ok(Some(line)) => return Ok(line),
            Ok(None) => {}
            Err(failure) if args.wait && failure.exit == Exit::Port => {}
            Err(failure) => return Err(failure),
        }
        if let Some(Signal::End(number)) = signals.take() {
            return Err(Failure::signal(number, format!("interrupted; {} could not be opened yet", args.port)));
        }
        std::thread::sleep(LOOK);
    }
}

fn measure(args: &TestArgs, line: &mut Line, rates: Vec<u32>, signals: &Signals, screen: &mut Screen) -> Result<Ending, Failure> {
    let me = plain_id(random_id().doing(kinds::SYSTEM, || "draw a random number".into())?);
    let (base, ms) = (args.baud, args.time.as_millis() as u32);
    let patience_us = args.grace.as_micros().try_into().unwrap_or(u64::MAX);
    let lines = args.flow == Flow::None && line.has_lines();
    let timer_ms = screen.report.timers_ms[0];
    let tell = &mut |news: &News| screen.tell(news);
    match args.one_way {
        Some(OneWay::Send) => {
            let rounds = (args.rounds > 0).then_some(args.rounds);
            drive(line, base, |now| Sender::new(me, base, rates, ms, rounds, now), signals, tell)
        }
        Some(OneWay::Recv) => drive(line, base, |now| Listener::new(base, patience_us, now), signals, tell),
        None if args.loopback => drive(line, base, |_| Solo::new(me, base, &rates, ms, lines), signals, tell),
        None => {
            let what = Introduction { rates, timer_ms, lines };
            drive(line, base, |now| Pair::new(Setup { me, base, what, ms, patience_us }, now), signals, tell)
        }
    }
}

/// An id of bytes that every wire carries which carries text: each message has it, and one that does not get through would
/// keep the ends from meeting.
fn plain_id(random: u64) -> u64 {
    u64::from_le_bytes(random.to_le_bytes().map(|byte| b'0' + byte % 64))
}

/// The latency timer of the adapter at this port.
fn timer_ms(args: &TestArgs) -> Option<u32> {
    let path = match args.port.kind() {
        Kind::Usb => crate::port::usb_path(&args.port).ok()?.into(),
        _ => std::fs::canonicalize(args.port.path()?).ok()?,
    };
    adapters::list(Path::new("/")).into_iter().find(|a| a.path == path)?.latency_timer_ms
}

/// What the user sees, and what has been measured so far.
struct Screen<'a> {
    args: &'a TestArgs,
    quiet: bool,
    bar: ProgressBar,
    report: Report,
    rates: usize,
}

impl Screen<'_> {
    fn new<'a>(common: &Common, args: &'a TestArgs, rates: usize) -> Screen<'a> {
        let is_seen = !common.quiet && std::io::stderr().is_terminal() && !crate::say::is_dumb();
        let bar = if is_seen { ProgressBar::with_draw_target(None, crate::stderr::canvas()) } else { ProgressBar::hidden() };
        bar.set_style(ProgressStyle::with_template("{spinner} {wide_msg}").unwrap_or_else(|_| ProgressStyle::default_spinner()));
        bar.enable_steady_tick(Duration::from_millis(200));
        bar.set_message(format!("{}: waiting for the peer at {} baud", args.port, args.baud));
        let mode = match (args.one_way, args.loopback) {
            (Some(_), _) => "one-way",
            (None, true) => "loopback",
            (None, false) => "two-way",
        };
        let timers_ms = [timer_ms(args), None];
        let report = Report { port: args.port.to_string(), mode, rows: Vec::new(), wiring: None, timers_ms };
        Screen { args, quiet: common.quiet, bar, report, rates }
    }
    fn aside(&self, text: &str) {
        if !self.quiet {
            self.bar.suspend(|| aside(format_args!("{}: {text}", self.args.port)));
        }
    }
    fn tell(&mut self, news: &News) {
        match news {
            News::Met => self.aside("the peer is there"),
            News::Alone(alone) => self.aside(&self.words(*alone)),
            News::Again => {
                self.report.rows.clear();
                self.aside("the other end was started anew; beginning again");
            }
            News::Trying(baud, ms) => {
                let n = self.report.rows.len() + 1;
                let message =
                    format!("{}: {baud} baud for {:.1} s ({n} of {} at most)", self.args.port, f64::from(*ms) / 1e3, self.rates);
                self.bar.set_message(message);
            }
            News::Tried(row) => {
                self.report.rows.retain(|r: &Row| r.baud != row.baud);
                self.report.rows.push((**row).clone());
                tracing::info!(baud = row.baud, "tried");
            }
        }
    }
    /// What is heard while nobody answers, and what that means.
    fn words(&self, alone: Alone) -> String {
        let base = self.args.baud;
        match (alone, self.args.one_way, self.args.loopback) {
            (Alone::Silence, _, true) => "nothing comes back: are TX and RX joined?".into(),
            (_, _, true) => "what comes back is not what was sent: is something else on the wire?".into(),
            (Alone::Silence, Some(_), _) => {
                format!("nothing is heard at {base} baud: run 'hardline test PORT --one-way=send' at the other end; is its TX joined to our RX, and GND?")
            }
            (Alone::Silence, None, _) => {
                format!("nothing is heard at {base} baud: run 'hardline test' at the other end too; are TX and RX crossed, and GND joined?")
            }
            (Alone::SevenBits, ..) => {
                "the other end tests, but bit 8 of every byte is lost on the way: 7 data bits, or parity, at one of the ports; set all to 8N1".into()
            }
            (Alone::Altered, ..) => {
                "the other end tests, but nothing of what it says arrives whole: bytes are lost, doubled or changed on the way (flow control, telnet mode, a terminal that is not raw)".into()
            }
            (Alone::Noise, ..) => {
                format!("bytes come at {base} baud, but no test: does the other end use another --baud, or is something else talking there?")
            }
            (Alone::Ourselves, ..) => "what is sent comes back: a loopback plug (use --loopback), or TX joined to RX at the far end".into(),
            (Alone::Foreign, ..) => "another command of hardline's runs at the other end; run 'hardline test' there".into(),
            (Alone::Unheard, ..) => {
                "the peer is heard, but it does not hear this end: our TX does not reach its RX (is that wire broken, or on another pin?)".into()
            }
        }
    }

    /// Prints what was measured, and says how it ended.
    fn finish(mut self, common: &Common, ending: Result<Ending, Failure>) -> Result<(), Failure> {
        self.bar.finish_and_clear();
        let is_sender = self.args.one_way == Some(OneWay::Send);
        let altered = self
            .report
            .altered()
            .map(|what| Failure::new(kinds::WIRE_ALTERS, format!("{}: not every byte gets through: {what}", self.report.port)));
        let result = match ending {
            Ok(Ending::Whole { wiring, peer_timer_ms }) => {
                (self.report.wiring, self.report.timers_ms[1]) = (wiring, peer_timer_ms);
                let usable = is_sender || self.report.advice().is_some();
                let why = || {
                    Failure::new(
                        kinds::RATE_UNUSABLE,
                        format!("{}: at no rate a usable share of the bytes came through", self.report.port),
                    )
                };
                usable.then_some(()).ok_or_else(|| altered.unwrap_or_else(why))
            }
            Ok(Ending::Alone(alone)) => {
                let kind = match alone {
                    Alone::Foreign => kinds::MODE_MISMATCH,
                    Alone::Silence => kinds::WIRE_SILENT,
                    _ if self.args.loopback => kinds::WIRE_NOISY,
                    Alone::Noise | Alone::Altered | Alone::SevenBits => kinds::WIRE_NOISY,
                    Alone::Ourselves => kinds::WIRE_LOOPED,
                    Alone::Unheard => kinds::WIRE_HALF,
                };
                Err(Failure::new(kind, format!("{}: {}", self.report.port, self.words(alone))))
            }
            Ok(Ending::Lost) => Err(altered.unwrap_or_else(|| {
                Failure::new(
                    kinds::PEER_SILENT,
                    format!("{}: the peer fell silent; what was measured until then is above", self.report.port),
                )
            })),
            Err(failure) => Err(failure),
        };
        if is_sender || (self.report.rows.is_empty() && result.is_err()) {
            return result;
        }
        answer(if self.args.json { self.report.to_json().to_string() } else { self.report.to_text() })?;
        if let Some(path) = &self.args.plot {
            let drawing = plot::svg(&self.report.port, &self.report.rows);
            std::fs::write(path, drawing).doing(kinds::REPORT_UNWRITABLE, || format!("write {}", path.display()))?;
        }
        if let Some(path) = &common.stats {
            stats::write_json(path, &self.report.to_json())?;
        }
        result
    }
}
