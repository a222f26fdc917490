//! A file and what was typed, as one command line.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory};

use super::file::{Entry, File, Value};
use crate::cli::Cli;
use crate::error::Failure;

/// What was typed, as far as it can be known without the file.
pub(super) struct Typed {
    /// The file.
    pub(super) config: PathBuf,
    /// The command and the command under it, if any.
    path: Vec<String>,
    /// Of the last of them.
    matches: ArgMatches,
}

impl Typed {
    /// None when there is no `--config`, or when clap has to speak first (`--help`).
    pub(super) fn find(words: &[OsString]) -> Option<Typed> {
        let own = words.iter().take_while(|w| *w != "--");
        if !own.map(|w| w.as_encoded_bytes()).any(|w| w.starts_with(b"--config")) {
            return None;
        }
        let matches = lenient(Cli::command()).ignore_errors(true).try_get_matches_from(words).ok()?;
        let config = PathBuf::from(matches.get_one::<OsString>("config")?);
        let (mut path, mut matches) = (Vec::new(), matches);
        while let Some((name, sub)) = matches.remove_subcommand() {
            path.push(name);
            matches = sub;
        }
        // a command that does not exist, or wants another one after it: clap says so
        let is_whole = path.is_empty() || find(&Cli::command(), &path).is_some();
        is_whole.then_some(Typed { config, path, matches })
    }
    /// No word but the program's name.
    pub(super) fn nothing() -> Typed {
        Typed { config: PathBuf::new(), path: Vec::new(), matches: ArgMatches::default() }
    }
    fn has(&self, arg: &Arg) -> bool {
        let known = self.matches.try_contains_id(arg.get_id().as_str()).unwrap_or(false);
        known && self.matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine)
    }
    fn count(&self, arg: &Arg) -> usize {
        if self.has(arg) { self.matches.get_raw(arg.get_id().as_str()).map_or(0, Iterator::count) } else { 0 }
    }
}

/// Every value is taken and nothing is required: the file may have what is missing.
fn lenient(command: Command) -> Command {
    let any = |arg: Arg| {
        let arg = arg.required(false);
        if arg.get_action().takes_values() { arg.value_parser(clap::value_parser!(OsString)) } else { arg }
    };
    let names: Vec<String> = command.get_subcommands().map(|c| c.get_name().to_owned()).collect();
    names.into_iter().fold(command.mut_args(any), |command, name| command.mut_subcommand(name, lenient))
}

/// A whole command line.
pub(super) struct Joined<'a> {
    pub(super) words: Vec<OsString>,
    /// The command that is run.
    pub(super) leaf: &'a Command,
    /// Keys of the file that are in it.
    pub(super) used: Vec<String>,
}

/// Puts the words of the file behind the command and in front of the user's own, which win.
pub(super) fn join<'a>(root: &'a Command, file: &File, words: &[OsString], typed: &Typed) -> Result<Joined<'a>, Failure> {
    let own: Option<Vec<String>> = file.command().map(|(name, _)| name.split_whitespace().map(str::to_owned).collect());
    let path = match &own {
        Some(own) if typed.path.is_empty() => own,
        _ => &typed.path,
    };
    let leaf = find(root, path).ok_or_else(|| no_command(file, root))?;
    let home = match &own {
        Some(own) => find(root, own).ok_or_else(|| no_command(file, root))?,
        None => leaf,
    };
    let (mut used, mut flags) = (Vec::new(), Vec::<OsString>::new());
    let kept = kept(file, leaf, typed);
    for entry in file.entries.iter().filter(|e| e.key != "command") {
        let Some(arg) = arg_of(leaf, &entry.key) else {
            // a key of the command the file is for, and another one was typed
            arg_of(home, &entry.key).ok_or_else(|| unknown(file, entry, home))?;
            continue;
        };
        let values = values(file, entry, arg)?;
        if arg.is_positional() {
            if kept.contains(&entry.key) {
                used.push(entry.key.clone());
            }
        } else if !typed.has(arg) && !leaf.get_arguments().any(|other| typed.has(other) && conflict(leaf, arg, other)) {
            used.push(entry.key.clone());
            flags.extend(values.into_iter().flat_map(|value| flag(arg, &value)));
        }
    }
    let words = assemble(file, leaf, words, typed, path, flags, &used)?;
    Ok(Joined { words, leaf, used })
}

fn assemble(
    file: &File,
    leaf: &Command,
    words: &[OsString],
    typed: &Typed,
    path: &[String],
    flags: Vec<OsString>,
    used: &[String],
) -> Result<Vec<OsString>, Failure> {
    let split = if typed.path.is_empty() { 1 } else { behind(words, &typed.path) };
    let mut all: Vec<OsString> = words[..split].to_vec();
    if typed.path.is_empty() {
        all.extend(path.iter().map(OsString::from));
    }
    all.extend(flags);
    let rest = &words[split..];
    let end = rest.iter().position(|w| w == "--").unwrap_or(rest.len());
    let (mut typed_words, mut command) = (Some(&rest[..end]), rest[end..].to_vec());
    for arg in leaf.get_positionals() {
        let entry = file.entries.iter().find(|e| key_of(arg) == e.key && used.contains(&e.key));
        let values = entry.map(|e| values(file, e, arg)).transpose()?;
        match values {
            Some(values) if arg.is_last_set() => command = std::iter::once("--".into()).chain(values).collect(),
            Some(values) => all.extend(values),
            // from the first place that the file leaves on
            None => all.extend(typed_words.take().unwrap_or_default().iter().cloned()),
        }
    }
    all.extend(typed_words.unwrap_or_default().iter().cloned());
    all.extend(command);
    Ok(all)
}

/// Arguments without a flag that are taken from the file: typed words fill the places it leaves, and when there are more
/// than those, its last ones.
fn kept(file: &File, leaf: &Command, typed: &Typed) -> Vec<String> {
    let slots: Vec<&Arg> = leaf.get_positionals().filter(|a| !a.is_last_set()).collect();
    let many = slots.last().is_some_and(|a| takes_many(a));
    let words: usize = slots.iter().map(|a| typed.count(a)).sum();
    let words = if many { words.min(1) } else { words };
    let mut kept: Vec<String> = slots.iter().map(|a| key_of(a)).filter(|k| file.entries.iter().any(|e| e.key == *k)).collect();
    kept.truncate(slots.len().saturating_sub(words));
    let last = leaf.get_positionals().filter(|a| a.is_last_set() && !typed.has(a));
    kept.extend(last.map(key_of));
    kept
}

fn takes_many(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Append) || arg.get_num_args().is_some_and(|n| n.max_values() > 1)
}

fn conflict(leaf: &Command, a: &Arg, b: &Arg) -> bool {
    let one_way = |a: &Arg, b: &Arg| leaf.get_arg_conflicts_with(a).iter().any(|c| c.get_id() == b.get_id());
    one_way(a, b) || one_way(b, a)
}

/// What a key is called: the flag's long name, its letter, or the argument's name in small letters.
pub(super) fn key_of(arg: &Arg) -> String {
    let name = || arg.get_value_names().and_then(|n| n.first()).map_or(arg.get_id().as_str(), |n| n.as_str()).to_lowercase();
    arg.get_long().map(str::to_owned).or_else(|| arg.get_short().map(String::from)).unwrap_or_else(name)
}

fn args(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|a| !a.is_hide_set() && !["help", "version", "config"].contains(&a.get_id().as_str()))
}

pub(super) fn arg_of<'a>(command: &'a Command, key: &str) -> Option<&'a Arg> {
    args(command).find(|a| key_of(a) == key)
}

fn find<'a>(root: &'a Command, path: &[String]) -> Option<&'a Command> {
    let below =
        |command: &'a Command, name: &String| command.get_subcommands().find(|c| c.get_name() == name && !c.is_hide_set());
    let leaf = path.iter().try_fold(root, below)?;
    (!path.is_empty() && !leaf.has_subcommands()).then_some(leaf)
}

fn no_command(file: &File, root: &Command) -> Failure {
    let Some((name, at)) = file.command() else { return no_key(file) };
    let mut known = leaves(root).into_iter();
    // of a family of commands one has to be named
    let family = known.clone().find(|leaf| leaf.split(' ').next() == Some(name));
    let meant = family.map_or_else(|| meant(name, &mut known), |leaf| format!("; did you mean '{leaf}'?"));
    file.fail(at, &format!("there is no command '{name}'{meant}"))
}

/// The file does not say which command it is for.
pub(super) fn no_key(file: &File) -> Failure {
    file.fail(0, "'command' is missing: write which one this is for, such as command = \"link\"")
}

/// Commands without commands under them, by all their words.
fn leaves(command: &Command) -> Vec<String> {
    let below = command.get_subcommands().filter(|c| !c.is_hide_set() && c.get_name() != "help");
    let words = |c: &Command| match leaves(c) {
        none if none.is_empty() => vec![c.get_name().to_owned()],
        some => some.into_iter().map(|leaf| format!("{} {leaf}", c.get_name())).collect(),
    };
    below.flat_map(words).collect()
}

fn unknown(file: &File, entry: &Entry, command: &Command) -> Failure {
    let keys = args(command).map(key_of).chain(["command".to_owned()]);
    let meant = meant(&entry.key, keys);
    let hint = if meant.is_empty() { format!("; keys are the flags of '{} --help'", called(command)) } else { meant };
    file.fail(entry.at, &format!("unknown key '{}'{hint}", entry.key))
}

/// With all its words, from the name of the program on.
pub(super) fn called(command: &Command) -> &str {
    command.get_bin_name().unwrap_or_else(|| command.get_name())
}

fn meant(word: &str, known: impl Iterator<Item = String>) -> String {
    let word = word.replace('_', "-");
    let near = known.map(|k| (strsim::damerau_levenshtein(&k, &word), k)).min();
    near.filter(|(far, k)| *far <= 1 + k.len() / 4).map_or(String::new(), |(_, k)| format!("; did you mean '{k}'?"))
}

/// The words of a value, without the flag; an empty one for each time a switch is given.
fn values(file: &File, entry: &Entry, arg: &Arg) -> Result<Vec<OsString>, Failure> {
    let fail = |why: &str| Err(file.fail(entry.value_at, &format!("'{}' {why}", entry.key)));
    let dash = |text: &str| arg.is_positional() && !arg.is_last_set() && text.len() > 1 && text.starts_with('-');
    match (arg.get_action(), &entry.value) {
        (ArgAction::Count, Value::One(n)) => match n.parse::<u8>() {
            Ok(n) if n < 10 => Ok(vec![OsString::new(); n.into()]),
            _ => fail("is a number from 0 to 9"),
        },
        (action, Value::Switch(on)) if !action.takes_values() => Ok(vec![OsString::new(); usize::from(*on)]),
        (action, _) if !action.takes_values() => fail("is true or false"),
        // a flag whose value may be left out
        (_, Value::Switch(true)) if arg.get_num_args().is_some_and(|n| n.min_values() == 0) => Ok(vec![OsString::new()]),
        (_, Value::Switch(false)) if arg.get_num_args().is_some_and(|n| n.min_values() == 0) => Ok(Vec::new()),
        (_, Value::Switch(_)) => fail("wants a value, not true or false"),
        (_, Value::One(text)) if dash(text) => fail("cannot begin with '-': write it as ./-.."),
        (_, Value::Many(all)) if all.iter().any(|(text, _)| dash(text)) => fail("cannot begin with '-': write it as ./-.."),
        (_, Value::One(text)) => Ok(vec![text.into()]),
        (_, Value::Many(all)) if all.len() > 1 && !takes_many(arg) => fail("takes one value"),
        (_, Value::Many(all)) => Ok(all.iter().map(|(text, _)| text.into()).collect()),
    }
}

/// One word, so that a value may begin with `-`.
fn flag(arg: &Arg, value: &OsStr) -> Vec<OsString> {
    let mut word = OsString::from(match (arg.get_long(), arg.get_short()) {
        (Some(long), _) => format!("--{long}"),
        (None, short) => return vec![format!("-{}", short.unwrap_or_default()).into(), value.into()],
    });
    let bare = value.is_empty() && arg.get_num_args().is_some_and(|n| n.min_values() == 0);
    if arg.get_action().takes_values() && !bare {
        word.push("=");
        word.push(value);
    }
    vec![word]
}

/// Where the words behind the command begin: flags of every command, some with a value, may stand in front of it.
fn behind(words: &[OsString], path: &[String]) -> usize {
    let root = Cli::command();
    let with_value = |word: &OsString| {
        let long = word.to_str().and_then(|w| w.strip_prefix("--"));
        root.get_arguments().any(|a| a.get_long().is_some() && a.get_long() == long && a.get_action().takes_values())
    };
    let (mut at, mut found) = (1, 0);
    while at < words.len() && found < path.len() {
        if with_value(&words[at]) {
            at += 1;
        } else if words[at] == *path[found] {
            found += 1;
        }
        at += 1;
    }
    at.min(words.len())
}
