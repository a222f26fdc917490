//! What did not hold.

use std::fmt;

use super::flow::Carried;

/// How a process or a user of a connection ended.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// Who.
    pub name: String,
    /// Its exit code; of a user 0 for a clean end and 3 for another. None: it did not end.
    pub code: Option<i32>,
    /// The flows (counted) that its 0 vouches for.
    pub vouches: Vec<usize>,
    /// What it said; none of a user.
    pub said: Option<String>,
    /// Whether it could be expected to end.
    pub must_end: bool,
    /// The most it ran while nothing was to be done, of the time others left it, 0..=1.
    pub busy: f64,
}

/// A kind of thing that did not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Exit 0, and not all of it is there.
    Lost,
    /// Something came that was not sent.
    Wrong,
    /// It does not end, on a good wire or after its peer is gone.
    Hangs,
    /// It works hard at doing nothing.
    Spins,
    /// It failed and does not say why.
    Unnamed,
    /// It panicked.
    Panics,
}

/// One thing that did not hold.
#[derive(Clone, Debug)]
pub struct Violation {
    /// Which kind.
    pub kind: Kind,
    /// Who, and what.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.text)
    }
}

/// More than this part of the time, while there is nothing to do, is a spin.
const SPIN: f64 = 0.3;

/// What did not hold, of flows by name and of who was there.
pub fn judge(flows: &[(String, Carried)], all: &[Evidence]) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut add = |kind, text: String| found.push(Violation { kind, text });
    for (name, carried) in flows {
        if let Carried::Wrong(what) = carried {
            add(Kind::Wrong, format!("{name}: {what}"));
        }
    }
    for who in all {
        let name = &who.name;
        let said = who.said.as_deref().unwrap_or_default();
        if who.code == Some(0) {
            let lost = who.vouches.iter().filter_map(|&flow| flows.get(flow)).filter(|flow| flow.1 != Carried::Whole);
            lost.for_each(|(flow, carried)| add(Kind::Lost, format!("{name} ended with 0; {flow}: {carried:?}")));
        }
        if who.code == Some(101) || said.contains("panicked at") {
            add(Kind::Panics, format!("{name}: {}", said.lines().find(|l| l.contains("panicked at")).unwrap_or_default()));
        }
        if who.code.is_some_and(|code| (1..=6).contains(&code)) && who.said.is_some() && !is_named(said) {
            add(Kind::Unnamed, format!("{name} ended with {} without a word", who.code.unwrap_or_default()));
        }
        if who.code.is_none() && who.must_end {
            add(Kind::Hangs, format!("{name} does not end"));
        }
        if who.busy > SPIN {
            add(Kind::Spins, format!("{name} ran {:.0} % of the time while nothing was to be done", who.busy * 100.0));
        }
    }
    found
}

/// A failure is told in a line that ends with its kind in brackets.
fn is_named(said: &str) -> bool {
    said.lines().any(|line| line.trim_end().ends_with(']') && line.contains('['))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(carried: Carried, who: Evidence) -> Vec<Kind> {
        judge(&[("there".into(), carried)], &[who]).iter().map(|v| v.kind).collect()
    }
    fn ended(code: i32) -> Evidence {
        Evidence { code: Some(code), vouches: vec![0], said: Some("error: so [session-lost]".into()), ..Evidence::default() }
    }

    #[test]
    fn nothing_may_be_lost_in_silence() {
        let part = || Carried::Part("1 of 2".into());
        assert_eq!(kinds(Carried::Whole, ended(0)), []);
        assert_eq!(kinds(part(), ended(0)), [Kind::Lost]);
        assert_eq!(kinds(part(), ended(3)), []);
        assert_eq!(kinds(part(), Evidence { vouches: vec![], ..ended(0) }), []);
        assert_eq!(kinds(part(), Evidence { said: Some("error: so".into()), ..ended(3) }), [Kind::Unnamed]);
        assert_eq!(kinds(part(), Evidence { said: None, ..ended(3) }), [], "a user says nothing");
        assert_eq!(kinds(part(), Evidence { said: Some(String::new()), ..ended(137) }), [], "who is killed can say nothing");
    }

    #[test]
    fn wrong_bytes_hangs_spins_and_panics_are_found() {
        assert_eq!(kinds(Carried::Wrong("byte 1".into()), ended(3)), [Kind::Wrong]);
        let hangs = Evidence { code: None, must_end: true, ..ended(0) };
        assert_eq!(kinds(Carried::Whole, hangs.clone()), [Kind::Hangs]);
        assert_eq!(kinds(Carried::Whole, Evidence { must_end: false, ..hangs }), []);
        assert_eq!(kinds(Carried::Whole, Evidence { busy: 0.9, ..ended(0) }), [Kind::Spins]);
        assert_eq!(
            kinds(Carried::Whole, Evidence { said: Some("thread panicked at x [1]".into()), ..ended(101) }),
            [Kind::Panics]
        );
    }
}
