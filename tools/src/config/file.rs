//! A file of keys and values, and where each of them stands.

use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::error::{Doing, Failure, kinds};
use crate::names;

/// Largest file, in bytes; no wire has as many services.
const SIZE_MAX: u64 = 1 << 20;

/// A configuration file that is TOML; whether its keys mean anything is not known yet.
#[derive(Debug)]
pub struct File {
    shown: String,
    text: String,
    pub(super) entries: Vec<Entry>,
}

/// A key with its value. Places are bytes from the start of the text.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) at: usize,
    pub(super) value: Value,
    pub(super) value_at: usize,
}

#[derive(Debug)]
pub(super) enum Value {
    Switch(bool),
    One(String),
    Many(Vec<(String, usize)>),
}

impl File {
    /// Reads a file of 1 MB at most.
    ///
    /// # Errors
    /// One that cannot be read (1), or is no TOML of keys with texts, numbers, true or false, or lists of these (2).
    pub fn load(path: &Path) -> Result<File, Failure> {
        let doing = || format!("read the configuration {}", names::shown(path));
        let size = std::fs::metadata(path).doing(kinds::CONFIG_UNREADABLE, doing)?.len();
        if size > SIZE_MAX {
            return Err(Failure::new(
                kinds::CONFIG_WRONG,
                format!("cannot {}: it is larger than 1 MB; is it the right file?", doing()),
            ));
        }
        let text = std::fs::read_to_string(path).doing(kinds::CONFIG_UNREADABLE, doing)?;
        File::parse(&names::shown(path), text)
    }

    /// The same of a text; `shown` is what errors call it.
    ///
    /// # Errors
    /// As `load`.
    pub fn parse(shown: &str, text: String) -> Result<File, Failure> {
        let mut file = File { shown: shown.to_owned(), text, entries: Vec::new() };
        let table =
            DeTable::parse(&file.text).map_err(|e| file.fail(e.span().map_or(0, |s: Range<usize>| s.start), e.message()))?;
        let mut entries = Vec::new();
        for (key, value) in table.get_ref() {
            let (at, value_at) = (key.span().start, value.span().start);
            entries.push(Entry { key: key.get_ref().to_string(), at, value: file.value(value, at)?, value_at });
        }
        // the table is in the order of the alphabet; what is told first is what comes first
        entries.sort_by_key(|e| e.at);
        file.entries = entries;
        Ok(file)
    }

    fn value(&self, value: &Spanned<DeValue<'_>>, key_at: usize) -> Result<Value, Failure> {
        match value.get_ref() {
            DeValue::Boolean(on) => Ok(Value::Switch(*on)),
            DeValue::Array(items) => {
                let one = |item: &Spanned<DeValue<'_>>| Ok((self.scalar(item)?, item.span().start));
                Ok(Value::Many(items.iter().map(one).collect::<Result<_, Failure>>()?))
            }
            // a header in brackets: its own place is told
            DeValue::Table(_) => Err(self.fail(key_at, "no tables here: a file is one wire, its keys are flags of one command")),
            _ => self.scalar(value).map(Value::One),
        }
    }

    fn scalar(&self, value: &Spanned<DeValue<'_>>) -> Result<String, Failure> {
        let fail = |why: &str| Err(self.fail(value.span().start, why));
        match value.get_ref() {
            DeValue::String(text) if text.contains('\0') => fail("a value cannot have a NUL in it"),
            DeValue::String(text) => Ok(text.to_string()),
            DeValue::Integer(n) => match i64::from_str_radix(n.as_str(), n.radix()) {
                Ok(n) => Ok(n.to_string()),
                Err(_) => fail("this number is too large"),
            },
            DeValue::Float(n) => Ok(n.as_str().to_owned()),
            _ => fail("write a text in quotes or a number here"),
        }
    }

    /// The command it is for, such as `link` or `diode recv`, and where that stands.
    pub fn command(&self) -> Option<(&str, usize)> {
        let entry = self.entries.iter().find(|e| e.key == "command")?;
        match &entry.value {
            Value::One(name) => Some((name, entry.value_at)),
            _ => Some(("", entry.value_at)),
        }
    }

    /// What is wrong at a place (bytes from the start): `FILE:LINE:COLUMN: WHY`, exit code 2.
    pub(crate) fn fail(&self, at: usize, why: &str) -> Failure {
        let (line, column) = self.line_and_column(at);
        Failure::new(kinds::CONFIG_WRONG, format!("{}:{line}:{column}: {}", self.shown, one_line(why)))
    }

    /// The same at the value of the first of these keys that is there, else at `command`.
    pub(crate) fn fail_at(&self, keys: &[&str], why: &str) -> Failure {
        let find = |key: &&str| self.entries.iter().find(|e| e.key == *key).map(|e| e.value_at);
        self.fail(keys.iter().chain(&["command"]).find_map(find).unwrap_or(0), why)
    }

    /// Both from 1, the column in characters.
    fn line_and_column(&self, at: usize) -> (usize, usize) {
        let before = &self.text.as_bytes()[..at.min(self.text.len())];
        let start = before.iter().rposition(|&b| b == b'\n').map_or(0, |n| n + 1);
        // bytes inside a character do not count
        let column = before[start..].iter().filter(|&&b| b & 0xc0 != 0x80).count();
        (before.iter().filter(|&&b| b == b'\n').count() + 1, column + 1)
    }
}

/// In one line that can be printed.
pub(super) fn one_line(text: &str) -> String {
    names::printable(text.trim().replace('\n', "; ").as_bytes())
}
