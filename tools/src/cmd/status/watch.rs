//! `--watch`: asks again and again and draws, until q or Ctrl-C.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::screen::Screen;
use crate::cli::StatusArgs;
use crate::drive::client::Client;
use crate::error::{Doing, Failure, kinds};
use crate::say;
use crate::signal::{Signal, Signals};

/// How often to ask, unless said otherwise.
const INTERVAL: Duration = Duration::from_secs(1);
/// Longest time a signal waits.
const LOOK: Duration = Duration::from_millis(100);

/// Runs until the user ends it; the terminal is as it was, however that comes.
pub(super) fn run(args: &StatusArgs) -> Result<(), Failure> {
    if !io::stdout().is_terminal() {
        let message = "--watch draws on a terminal, and stdout is none; use --json or --metrics FILE";
        return Err(Failure::new(kinds::NO_TERMINAL, message));
    }
    if say::is_dumb() {
        let message = "--watch draws on a terminal, and this one is dumb (TERM); use --json or --metrics FILE";
        return Err(Failure::new(kinds::NO_TERMINAL, message));
    }
    // whoever names a wrong socket is told at once
    let client = Client::connect(&args.socket)?;
    let signals = Signals::new().doing(kinds::SYSTEM, || "listen to signals".into())?;
    let terminal = ratatui::try_init();
    let result =
        terminal.doing(kinds::TERMINAL_FAILED, || "use the terminal".into()).and_then(|t| watch(args, client, &signals, t));
    let restored = ratatui::try_restore().doing(kinds::TERMINAL_FAILED, || "restore the terminal".into());
    result.and(restored)
}

fn watch(args: &StatusArgs, client: Client, signals: &Signals, mut terminal: DefaultTerminal) -> Result<(), Failure> {
    let interval = args.interval.unwrap_or(INTERVAL);
    let mut screen = Screen::new(&args.socket.display().to_string());
    let mut client = Some(client);
    let mut due = Instant::now();
    loop {
        if Instant::now() >= due {
            ask(args, &mut client, &mut screen);
            due = Instant::now() + interval;
        }
        terminal.draw(|frame| screen.draw(frame)).doing(kinds::TERMINAL_FAILED, || "draw".into())?;
        if let Some(Signal::End(number)) = signals.take() {
            return Err(Failure::signal(number, ""));
        }
        let wait = due.saturating_duration_since(Instant::now()).min(LOOK);
        let ends = || -> io::Result<bool> { Ok(event::poll(wait)? && is_end(&event::read()?)) };
        match ends() {
            Ok(true) => return Ok(()),
            Err(e) if e.kind() != io::ErrorKind::Interrupted => {
                return Err(Failure::new(kinds::INPUT_FAILED, format!("cannot read the keyboard: {e}")));
            }
            Ok(false) | Err(_) => {}
        }
    }
}

/// Asks; a link that has gone away is looked for again the next time.
fn ask(args: &StatusArgs, client: &mut Option<Client>, screen: &mut Screen) {
    let connected = client.take().map_or_else(|| Client::connect(&args.socket), Ok);
    let answer = connected.and_then(|mut c| c.status().map(|status| (c, status)));
    match answer {
        Ok((answered, status)) => {
            screen.update(status, Instant::now());
            *client = Some(answered);
        }
        Err(failure) => screen.lost(&failure.message),
    }
}

fn is_end(event: &Event) -> bool {
    let Event::Key(KeyEvent { code, modifiers, kind: KeyEventKind::Press, .. }) = event else { return false };
    matches!(code, KeyCode::Char('q') | KeyCode::Esc)
        || (*code == KeyCode::Char('c') && modifiers.contains(KeyModifiers::CONTROL))
}
