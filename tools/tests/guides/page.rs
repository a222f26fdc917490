//! A chapter as steps.

use std::path::Path;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// A machine at one end of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Near,
    Far,
}

/// How a block of commands runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runs {
    /// To its end, before the next.
    First,
    /// Beside the next; it ends by itself.
    Meanwhile,
    /// Beside the next; it is ended.
    Stays,
    /// At a terminal.
    Terminal,
}

/// Commands.
#[derive(Clone, Debug)]
pub(crate) struct Commands {
    pub(crate) place: Place,
    pub(crate) runs: Runs,
    pub(crate) exit: i32,
    /// Each with what it prints, if that is shown.
    pub(crate) list: Vec<(String, Option<String>)>,
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// So many new wires, with these arguments of `hardline sim`.
    Wires(usize, String),
    /// This one is gone.
    Unplug(usize),
    /// A file to be there.
    File(Place, String, String),
    Commands(Commands),
    /// To be repeated until it succeeds.
    Until(Place, String),
    /// What is typed at the next terminal.
    Types(String),
    /// Reason, text.
    NotRun(String, String),
}

/// Languages of blocks that hold no commands.
const OTHER: &[&str] = &["text", "rust", "toml"];

/// Steps with the line each stands on.
pub(crate) fn read(path: &Path) -> Vec<(usize, Step)> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut steps = Vec::new();
    let mut open: Option<(usize, Option<String>, String)> = None;
    let mut comment = String::new();
    for (event, range) in Parser::new_ext(&text, Options::ENABLE_TABLES).into_offset_iter() {
        let line = text[..range.start].lines().count() + 1;
        match event {
            Event::Start(Tag::CodeBlock(kind)) => {
                let info = match kind {
                    CodeBlockKind::Fenced(info) => Some(info.into_string()),
                    CodeBlockKind::Indented => None,
                };
                open = Some((line, info, String::new()));
            }
            Event::Text(part) if open.is_some() => open.as_mut().expect("it is").2.push_str(&part),
            Event::End(TagEnd::CodeBlock) => {
                let (line, info, body) = open.take().expect("it began");
                let at = format!("{}:{line}", path.display());
                let info = info.unwrap_or_else(|| panic!("{at}: an indented block: nobody would run it"));
                steps.extend(block(&at, &info, body).map(|step| (line, step)));
            }
            Event::Html(part) => comment.push_str(&part),
            Event::End(TagEnd::HtmlBlock) => {
                let at = format!("{}:{line}", path.display());
                steps.extend(hidden(&at, &std::mem::take(&mut comment)).map(|step| (line, step)));
            }
            _ => {}
        }
    }
    steps
}

/// A fenced block.
fn block(at: &str, info: &str, body: String) -> Option<Step> {
    let (language, words) = info.split_once(' ').unwrap_or((info, ""));
    if let Some((_, reason)) = words.split_once("not-run: ") {
        return Some(Step::NotRun(reason.to_owned(), body));
    }
    let (mut place, mut runs, mut exit) = (Place::Near, Runs::First, 0);
    for word in words.split_whitespace() {
        match word.split_once('=').unwrap_or((word, "")) {
            ("near", "") => place = Place::Near,
            ("far", "") => place = Place::Far,
            ("meanwhile", "") => runs = Runs::Meanwhile,
            ("stays", "") => runs = Runs::Stays,
            ("terminal", "") => runs = Runs::Terminal,
            ("exit", code) => exit = code.parse().unwrap_or_else(|e| panic!("{at}: {word}: {e}")),
            ("file", path) => return Some(Step::File(place, path.to_owned(), body)),
            _ => panic!("{at}: '{word}' says nothing about a block"),
        }
    }
    let list = match language {
        "sh" => vec![(body, None)],
        "console" => typed(at, &body),
        other if OTHER.contains(&other) => {
            let command = body.lines().find(|line| ["$ ", "hardline "].iter().any(|begin| line.trim_start().starts_with(begin)));
            assert!(command.is_none() || other == "rust", "{at}: commands in a block of {other}: {command:?}");
            return None;
        }
        other => panic!("{at}: what is '{other}'?"),
    };
    Some(Step::Commands(Commands { place, runs, exit, list }))
}

/// The commands of a `console` block and what they print.
fn typed(at: &str, body: &str) -> Vec<(String, Option<String>)> {
    let mut list: Vec<(String, Option<String>)> = Vec::new();
    let mut goes_on = false;
    for line in body.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            list.push((format!("{command}\n"), Some(String::new())));
            goes_on = command.ends_with('\\');
            continue;
        }
        let (command, printed) = list.last_mut().unwrap_or_else(|| panic!("{at}: no command before '{line}'"));
        if goes_on {
            command.push_str(&format!("{line}\n"));
            goes_on = line.ends_with('\\');
        } else {
            printed.as_mut().expect("it is shown").push_str(&format!("{line}\n"));
        }
    }
    list
}

/// A comment that is for the test.
fn hidden(at: &str, html: &str) -> Option<Step> {
    let text = html.trim().strip_prefix("<!--")?.strip_suffix("-->").unwrap_or_else(|| panic!("{at}: one comment a block"));
    let commands = |place, text: &str| Commands { place, runs: Runs::First, exit: 0, list: vec![(text.to_owned(), None)] };
    let text = text.trim();
    if text.starts_with("HERE: ") {
        return None;
    }
    let (head, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    Some(match (head, rest) {
        ("wire", args) => Step::Wires(1, args.to_owned()),
        ("wires", rest) => {
            let (count, args) = rest.split_once(' ').unwrap_or((rest, ""));
            Step::Wires(number(at, count), args.to_owned())
        }
        ("unplug", which) => Step::Unplug(number(at, which)),
        ("near:", script) => Step::Commands(commands(Place::Near, script)),
        ("far:", script) => Step::Commands(commands(Place::Far, script)),
        ("near", rest) | ("far", rest) if rest.starts_with("stays: ") => {
            let place = if head == "near" { Place::Near } else { Place::Far };
            Step::Commands(Commands { runs: Runs::Stays, ..commands(place, &rest["stays: ".len()..]) })
        }
        ("types", script) => Step::Types(script.to_owned()),
        ("until", rest) => match rest.split_once(": ") {
            Some(("near", script)) => Step::Until(Place::Near, script.to_owned()),
            Some(("far", script)) => Step::Until(Place::Far, script.to_owned()),
            _ => panic!("{at}: until which machine?"),
        },
        _ => panic!("{at}: '{text}' says nothing to the test"),
    })
}

fn number(at: &str, word: &str) -> usize {
    word.parse().unwrap_or_else(|e| panic!("{at}: '{word}': {e}"))
}

#[test]
fn what_nobody_would_run_is_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let reads = |text: &str| {
        std::fs::write(file.path(), text).unwrap();
        std::panic::catch_unwind(|| read(file.path())).ok().map(|steps| steps.len())
    };
    for good in [
        "```sh near\ntrue\n```\n",
        "<!-- near: true -->\n",
        "- a\n\n  ```sh far stays\n  true\n  ```\n",
        "```console\n$ true\n```\n",
    ] {
        assert_eq!(reads(good), Some(1), "{good}");
    }
    let wrong =
        ["    hardline pipe\n", "```\nls\n```\n", "```bash\nls\n```\n", "```text\nhardline pipe\n```\n", "```text\n$ ls\n```\n"];
    let unclear = [
        "```sh here\nls\n```\n",
        "```sh exit=x\nls\n```\n",
        "<!-- nearby: ls -->\n",
        "<!-- wires four -->\n",
        "```console\nls\n```\n",
    ];
    for bad in wrong.iter().chain(&unclear) {
        assert_eq!(reads(bad), None, "{bad}");
    }
}
