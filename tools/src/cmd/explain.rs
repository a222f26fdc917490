//! `hardline explain`: what an exit code, the code behind a message or the message itself means, and what to do.

use std::fmt::Write;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::cli::ExplainArgs;
use crate::error::kinds::{self, AREAS, Entry};
use crate::error::{EXPLANATIONS, Exit, Explanation, Failure};
use crate::names::printable;
use crate::say::answer;

/// The row of the signals, and their numbers.
const SIGNALS: u8 = 128;
/// A word that is at most so many letters from a code may be meant.
const NEAR: usize = 3;
/// Most codes that are offered instead of a wrong one, and most messages that have the words asked for.
const OFFERED: usize = 3;
const ALIKE: usize = 8;
/// What a message is told by has so many letters at least.
const TELLING: usize = 20;

/// Prints one code, those whose messages have these words, or the list of all.
///
/// # Errors
/// A number that is no exit code of hardline's, or words that no message has (2).
pub fn run(args: &ExplainArgs) -> Result<(), Failure> {
    let found = (!args.what.is_empty()).then(|| find(&args.what.join(" "))).transpose()?;
    match (found, args.json) {
        (Some(found), true) => answer(found.json()),
        (Some(found), false) => answer(found.text()),
        (None, true) => answer(table()),
        (None, false) => answer(list()),
    }
}

/// What the words are found to be.
#[derive(Clone, Debug)]
enum Found {
    /// An exit code, and its row.
    Exit(u8, &'static Explanation),
    /// What stands behind a message.
    Entry(&'static Entry),
    /// Several messages have them, the likeliest first.
    Entries(Vec<&'static Entry>),
}

/// # Errors
/// As `run`.
fn find(words: &str) -> Result<Found, Failure> {
    // as it stands behind a message, or that with it
    let word = words.trim().rsplit_once('[').map_or(words, |(_, code)| code).trim_end().trim_end_matches(']').to_lowercase();
    if let Ok(number) = word.parse::<u64>() {
        let exit = Exit::of(number).map(Exit::code);
        let row = EXPLANATIONS.iter().find(|e| exit.is_some_and(|code| e.code == code.min(SIGNALS)));
        let message = format!(
            "{number} is no exit code of hardline's, which are 0 to 6 and 128 + the number of a signal; the command after -- may have its own"
        );
        return row.map(|row| Found::Exit(number as u8, row)).ok_or_else(|| Failure::new(kinds::NO_SUCH_CODE, message));
    }
    let by_code = || kinds::all().find(|entry| entry.code == word).map(Found::Entry);
    // one word with dashes was meant as a code
    let is_code = !words.trim().contains(' ') && word.contains('-');
    let found = by_code().or_else(|| if is_code { None } else { told_by(words).map(Found::Entry).or_else(|| with_words(words)) });
    found.ok_or_else(|| {
        let near = nearest(&word).join("', '");
        let hint = if near.is_empty() { "'hardline explain' lists all".into() } else { format!("did you mean '{near}'?") };
        Failure::new(kinds::NO_SUCH_CODE, format!("there is no code '{}'; {hint}", printable(word.as_bytes())))
    })
}

/// The message this is, whatever differs in it: of several that it may be, the one with most words of its own.
fn told_by(line: &str) -> Option<&'static Entry> {
    let telling = |entry: &&Entry| entry.told_by(line).filter(|letters| *letters >= TELLING);
    kinds::all().filter(|entry| telling(entry).is_some()).max_by_key(|entry| telling(entry))
}

/// Messages with most of these words, in what they say before what is said about them.
fn with_words(line: &str) -> Option<Found> {
    let line = line.to_lowercase();
    // paths are the user's
    let asked: Vec<&str> = line.split_whitespace().filter(|word| !word.contains('/')).flat_map(words).collect();
    let has = |text: &str, word: &str| words(&text.to_lowercase()).any(|other| other == word);
    let score = |entry: &Entry| -> (usize, usize) {
        let said = |word: &&&str| has(entry.code, word) || entry.says.iter().any(|says| has(says, word));
        let about = |word: &&&str| has(entry.cause, word) || has(entry.remedy, word);
        let (said, all) = (asked.iter().filter(said).count(), asked.iter().filter(|word| said(word) || about(word)).count());
        (all, 2 * said + all)
    };
    let scores: Vec<_> = kinds::all().map(|entry| (score(entry), entry)).filter(|((all, _), _)| 2 * all > asked.len()).collect();
    let best = scores.iter().map(|((_, score), _)| *score).max()?;
    let mut found: Vec<_> = scores.iter().filter(|((_, score), _)| *score == best).map(|(_, entry)| *entry).collect();
    // the fewer words it has, the more it is about these
    found.sort_by_key(|entry| entry.says.iter().map(|says| words(says).count()).min());
    found.truncate(ALIKE);
    Some(if found.len() == 1 { Found::Entry(found[0]) } else { Found::Entries(found) })
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty())
}

/// Codes that look like this word or have it in them, the likeliest first.
fn nearest(word: &str) -> Vec<&'static str> {
    let distance = |code: &str| match !word.is_empty() && (code.contains(word) || word.contains(code)) {
        true => 0,
        false => strsim::damerau_levenshtein(word, code),
    };
    let mut near: Vec<_> = kinds::all().map(|e| (distance(e.code), e.code)).filter(|(far, _)| *far <= NEAR).collect();
    near.sort_unstable();
    near.into_iter().take(OFFERED).map(|(_, code)| code).collect()
}

impl Found {
    /// Meaning, cause and remedy, a paragraph each.
    fn text(self) -> String {
        match self {
            Found::Entries(entries) => {
                let lines: Vec<_> = entries.iter().map(|entry| summary(entry)).collect();
                format!("Several messages have these words; 'hardline explain CODE' has the rest:\n\n{}", lines.join("\n"))
            }
            Found::Exit(number, row) => {
                let mut text = format!("{number}: {}\n\nCause: {}\n\nRemedy: {}", meaning(number, row), row.cause, row.remedy);
                let mut with = entries_of(row).peekable();
                if with.peek().is_some() {
                    text.push_str("\n\nMessages:");
                    with.for_each(|entry| text.push_str(&format!("\n  {}", summary(entry))));
                }
                text
            }
            Found::Entry(entry) => {
                let said = entry.shown().collect::<Vec<_>>().join("\n  ");
                let ends =
                    entry.exit.map_or("the command goes on".into(), |exit| format!("the exit code is {}", name(exit.code())));
                format!("{}: {ends}\n  {said}\n\nCause: {}\n\nRemedy: {}", entry.code, entry.cause, entry.remedy)
            }
        }
    }
    fn json(self) -> Value {
        match self {
            Found::Exit(number, row) => {
                let messages: Vec<_> = entries_of(row).map(|entry| entry.code).collect();
                json!({ "exit": number, "meaning": meaning(number, row), "cause": row.cause, "remedy": row.remedy, "messages": messages })
            }
            Found::Entry(entry) => as_json(entry),
            Found::Entries(entries) => entries.into_iter().map(as_json).collect(),
        }
    }
}

fn meaning(number: u8, row: &Explanation) -> String {
    match Signal::try_from(i32::from(number) - i32::from(SIGNALS)) {
        Ok(signal) => format!("ended by signal {} ({signal})", number - SIGNALS),
        Err(_) => row.meaning.to_owned(),
    }
}

fn entries_of(row: &Explanation) -> impl Iterator<Item = &'static Entry> {
    kinds::all().filter(move |entry| entry.exit.is_some_and(|exit| exit.code() == row.code))
}

/// Everything, a line each: first the exit codes.
fn list() -> String {
    let exits = EXPLANATIONS.iter().map(|e| format!("{:5}  {}", name(e.code), e.meaning));
    exits
        .chain(AREAS.into_iter().flat_map(|area| [format!("\n{}", area.title)].into_iter().chain(area.entries().map(summary))))
        .fold(String::new(), |text, line| if text.is_empty() { line } else { text + "\n" + &line })
}

/// The code and the first of its lines.
fn summary(entry: &Entry) -> String {
    format!("{:20}  {}", entry.code, entry.shown().next().unwrap_or_default())
}

/// Everything, for programs.
fn table() -> Value {
    let exits: Vec<_> = EXPLANATIONS
        .iter()
        .map(|e| json!({ "exit": e.code, "meaning": e.meaning, "cause": e.cause, "remedy": e.remedy }))
        .collect();
    json!({ "exits": exits, "messages": kinds::all().map(as_json).collect::<Vec<_>>() })
}

fn as_json(entry: &Entry) -> Value {
    let says: Vec<_> = entry.shown().collect();
    let exit = entry.exit.map(Exit::code);
    json!({ "code": entry.code, "exit": exit, "says": says, "cause": entry.cause, "remedy": entry.remedy })
}

/// `docs/errors.md`.
pub fn document() -> String {
    let mut text = String::from(
        "# Errors\n\nErrors and warnings on stderr end with a code in brackets (with `--log json` it is the field `code`); the exit code says in one \
         number how a command ended. `hardline explain CODE` prints what stands here, `hardline explain --json` all of it. Written by \
         `HARDLINE_BLESS=1 cargo test -p tools --test explain`.\n\n## Exit codes\n\n| exit | meaning | cause | remedy |\n|---|---|---|---|\n",
    );
    for e in &EXPLANATIONS {
        let _ = writeln!(text, "| {} | {} | {} | {} |", name(e.code), cell(e.meaning), cell(e.cause), cell(e.remedy));
    }
    for area in AREAS {
        let _ = write!(text, "\n## {}\n\n| code | exit | message | cause | remedy |\n|---|---|---|---|---|\n", area.title);
        for entry in area.entries() {
            let exit = entry.exit.map_or("goes on".into(), |exit| name(exit.code()));
            let said: Vec<_> = entry.shown().map(|line| format!("`{}`", line.replace('|', "\\|"))).collect();
            let _ = writeln!(
                text,
                "| `{}` | {exit} | {} | {} | {} |",
                entry.code,
                said.join("<br>"),
                cell(entry.cause),
                cell(entry.remedy)
            );
        }
    }
    text
}

/// What would be read as Markdown, as it is.
fn cell(text: &str) -> String {
    ['\\', '|', '*', '<', '_'].into_iter().fold(text.to_owned(), |text, c| text.replace(c, &format!("\\{c}")))
}

fn name(code: u8) -> String {
    if code == SIGNALS { "128+N".into() } else { code.to_string() }
}
