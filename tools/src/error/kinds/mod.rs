//! Everything that is said on stderr and that somebody may look up: a code, what it looks like, cause and remedy.
//!
//! A failure cannot be made without its kind, and the kind has the exit code. `docs/errors.md` and
//! `hardline explain` are made of these tables.

mod diode;
mod files;
mod keys;
mod local;
mod measure;
mod port;
mod service;
mod session;
mod usage;

use std::fmt;
use std::io;
use std::ops::Deref;

pub use self::{diode::*, files::*, keys::*, local::*, measure::*, port::*, service::*, session::*, usage::*};
use super::Exit;

/// What there is to know of a line on stderr.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    /// What stands in brackets behind the line: small letters and dashes.
    pub code: &'static str,
    /// How the command ends; none of what is said by the way.
    pub exit: Option<Exit>,
    /// The lines it is said with; `{what}` stands for what differs.
    pub says: &'static [&'static str],
    /// How it comes about.
    pub cause: &'static str,
    /// What to do.
    pub remedy: &'static str,
}

/// A kind of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// How the command ends; of [`INTERRUPTED`] the number of the signal is missing.
    pub exit: Exit,
    entry: &'static Entry,
}

/// Entries that belong together.
#[derive(Debug)]
pub struct Area {
    /// A heading.
    pub title: &'static str,
    /// Those that end a command, by the names they have in the code.
    pub failures: &'static [(&'static str, Kind)],
    /// Those that are said by the way.
    pub notices: &'static [(&'static str, &'static Entry)],
}

/// All there are.
pub const AREAS: [&Area; 9] = [
    &usage::AREA,
    &port::AREA,
    &session::AREA,
    &keys::AREA,
    &service::AREA,
    &files::AREA,
    &diode::AREA,
    &measure::AREA,
    &local::AREA,
];

/// All entries, area by area.
pub fn all() -> impl Iterator<Item = &'static Entry> {
    AREAS.into_iter().flat_map(|area| area.entries())
}

/// The kind of failure with this code.
pub fn failure(code: &str) -> Option<Kind> {
    AREAS.into_iter().flat_map(|area| area.failures).map(|f| f.1).find(|kind| kind.code == code)
}

/// The kind of failure of a port that could not be opened for this reason.
pub fn unopened(e: &io::Error) -> Kind {
    match e.kind() {
        io::ErrorKind::NotFound => PORT_ABSENT,
        io::ErrorKind::PermissionDenied => PORT_DENIED,
        io::ErrorKind::ResourceBusy | io::ErrorKind::WouldBlock => PORT_BUSY,
        _ => PORT_FAILED,
    }
}

impl Area {
    /// Its entries: those that end a command first.
    pub fn entries(&self) -> impl Iterator<Item = &'static Entry> {
        let failures = self.failures.iter().map(|f| f.1.entry);
        failures.chain(self.notices.iter().map(|n| n.1))
    }
}

impl Entry {
    /// Whether this line is one of those it is said with, whatever stands before or behind.
    pub fn fits(&self, line: &str) -> bool {
        self.says.iter().any(|says| is_said_with(line, says))
    }
    /// How many letters of this line are those that it is always said with; none where it is not said so.
    pub fn told_by(&self, line: &str) -> Option<usize> {
        let letters = |says: &str| literals(says).flat_map(str::chars).filter(|c| c.is_alphabetic()).count();
        self.says.iter().filter(|says| is_said_with(line, says)).map(|says| letters(says)).max()
    }
    /// The lines it is said with, what differs in capitals.
    pub fn shown(&self) -> impl Iterator<Item = String> {
        self.says.iter().map(|says| {
            let parts = says.split('{').enumerate().map(|(i, part)| match part.split_once('}') {
                Some((name, rest)) if i > 0 => name.to_uppercase() + rest,
                _ => part.to_owned(),
            });
            parts.collect()
        })
    }
}

/// Whether what stands between the places that differ is in the line, in this order.
fn is_said_with(line: &str, says: &str) -> bool {
    let mut rest = line;
    literals(says).all(|literal| match rest.find(literal) {
        Some(at) => {
            rest = &rest[at + literal.len()..];
            true
        }
        None => false,
    })
}

/// What stands between the places that differ.
fn literals(says: &str) -> impl Iterator<Item = &str> {
    let parts = says.split('{').enumerate();
    parts.map(|(i, part)| if i == 0 { part } else { part.split_once('}').map_or("", |(_, rest)| rest) })
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.entry.fmt(f)
    }
}

impl Deref for Kind {
    type Target = Entry;

    fn deref(&self) -> &Entry {
        self.entry
    }
}

/// A constant for each entry, and the area of them all.
macro_rules! area {
    (
        $title:literal
        failures { $($name:ident = $code:literal, $exit:expr; says $says:expr; cause $cause:literal; remedy $remedy:literal;)* }
        notices { $($note:ident = $note_code:literal; says $note_says:expr; cause $note_cause:literal; remedy $note_remedy:literal;)* }
    ) => {
        $(
            #[doc = concat!("`", $code, "`: ", $cause)]
            pub const $name: Kind = Kind {
                exit: $exit,
                entry: &Entry { code: $code, exit: Some($exit), says: &$says, cause: $cause, remedy: $remedy },
            };
        )*
        $(
            #[doc = concat!("`", $note_code, "`: ", $note_cause)]
            pub const $note: &Entry =
                &Entry { code: $note_code, exit: None, says: &$note_says, cause: $note_cause, remedy: $note_remedy };
        )*
        pub(super) static AREA: Area = Area {
            title: $title,
            failures: &[$((stringify!($name), $name)),*],
            notices: &[$((stringify!($note), $note)),*],
        };
    };
}
use area;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_fits_its_shape_whatever_stands_around() {
        assert!(PORT_BUSY.fits("cannot open /dev/x: busy, in use by minicom (process 4); waiting for it"));
        assert!(!PORT_BUSY.fits("cannot open /dev/x: there is no such device"));
        let shown: Vec<String> = PORT_BUSY.shown().collect();
        assert_eq!(shown[0], "cannot open PORT: busy, in use by PROGRAM");
    }

    #[test]
    fn codes_are_the_names_and_no_two_are_alike() {
        let mut seen = std::collections::HashSet::new();
        let failures = AREAS.into_iter().flat_map(|a| a.failures).map(|(name, kind)| (*name, kind.entry));
        for (name, entry) in failures.chain(AREAS.into_iter().flat_map(|a| a.notices).copied()) {
            assert_eq!(entry.code, name.to_lowercase().replace('_', "-"));
            assert!(seen.insert(entry.code), "{name}");
            assert!(!entry.says.is_empty() && entry.cause.ends_with('.') && entry.remedy.ends_with('.'), "{name}");
            let fits_anything =
                entry.exit.is_some() && entry.says.iter().any(|says| literals(says).map(str::len).sum::<usize>() < 4);
            assert!(!fits_anything, "{name}");
        }
    }
}
