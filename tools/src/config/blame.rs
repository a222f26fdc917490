//! What clap says of a command line, told at the place in the file that the word came from.

use std::error::Error as _;

use clap::Command;
use clap::error::{ContextKind, ContextValue, Error, ErrorKind};

use super::file::{Entry, File, Value};
use super::words::{self, key_of};
use crate::error::Failure;

/// None when it is about what was typed; `used` are the keys of the file that were not overridden.
pub(super) fn place(file: &File, leaf: &Command, used: &[String], error: &Error) -> Option<Failure> {
    let key = |shown: &String| leaf.get_arguments().find(|a| a.to_string() == *shown).map(key_of);
    let entry = |shown: &String| key(shown).and_then(|k| file.entries.iter().find(|e| e.key == k && used.contains(&k)));
    let named = texts(error.get(ContextKind::InvalidArg));
    match error.kind() {
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let entry = named.iter().find_map(entry)?;
            let value = texts(error.get(ContextKind::InvalidValue)).concat();
            let at = value_at(entry, &value)?;
            Some(file.fail(at, &format!("'{value}' is no '{}': {}", entry.key, why(error))))
        }
        ErrorKind::ArgumentConflict => {
            let prior = texts(error.get(ContextKind::PriorArg));
            let all: Vec<&String> = named.iter().chain(&prior).collect();
            let entry = all.iter().filter_map(|shown| entry(shown)).max_by_key(|e| e.at)?;
            let other = all.iter().filter_map(|shown| key(shown)).find(|k| *k != entry.key)?;
            Some(file.fail(entry.at, &format!("'{}' cannot be used with '{other}'", entry.key)))
        }
        ErrorKind::MissingRequiredArgument => {
            let keys: Vec<String> = named.iter().map(|shown| key(shown).unwrap_or_else(|| shown.clone())).collect();
            let keys = keys.join("', '");
            Some(file.fail_at(&[], &format!("'{}' wants '{keys}', which is not here", words::called(leaf))))
        }
        _ => None,
    }
}

fn value_at(entry: &Entry, value: &str) -> Option<usize> {
    match &entry.value {
        Value::Many(all) => all.iter().find(|(text, _)| text == value).map(|(_, at)| *at),
        Value::One(text) => (text == value).then_some(entry.value_at),
        Value::Switch(_) => None,
    }
}

fn why(error: &Error) -> String {
    if let Some(source) = error.source() {
        return source.to_string();
    }
    match texts(error.get(ContextKind::ValidValue)) {
        known if known.is_empty() => "it must not be empty".into(),
        known => format!("it is one of {}", known.join(", ")),
    }
}

fn texts(value: Option<&ContextValue>) -> Vec<String> {
    match value {
        Some(ContextValue::String(text)) => vec![text.clone()],
        Some(ContextValue::Strings(texts)) => texts.clone(),
        _ => Vec::new(),
    }
}
