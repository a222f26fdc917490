//! What a user types to hardline itself: a tilde at the start of a line, and a letter.

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Escape {
    /// `~.`
    End,
    /// `~B`
    Break,
    /// `~?`
    Help,
}

/// Where in a line the user is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Escapes {
    #[default]
    LineStart,
    Tilde,
    InLine,
}

impl Escapes {
    /// Takes what was typed up to the first escape; adds what is for the far end to `out`. Returns
    /// how much was taken, and the escape.
    pub(super) fn take(&mut self, typed: &[u8], out: &mut Vec<u8>) -> (usize, Option<Escape>) {
        for (i, &byte) in typed.iter().enumerate() {
            let escape = match (*self, byte) {
                (Escapes::LineStart, b'~') => {
                    *self = Escapes::Tilde;
                    continue;
                }
                (Escapes::Tilde, b'.') => Some(Escape::End),
                (Escapes::Tilde, b'B') => Some(Escape::Break),
                (Escapes::Tilde, b'?') => Some(Escape::Help),
                (Escapes::Tilde, b'~') => None,
                (Escapes::Tilde, _) => {
                    out.push(b'~');
                    None
                }
                _ => None,
            };
            if escape.is_some() {
                *self = Escapes::LineStart;
                return (i + 1, escape);
            }
            out.push(byte);
            *self = if matches!(byte, b'\r' | b'\n') { Escapes::LineStart } else { Escapes::InLine };
        }
        (typed.len(), None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(text: &str) -> (String, Vec<Escape>) {
        let (mut escapes, mut out, mut found, mut rest) = (Escapes::default(), Vec::new(), Vec::new(), text.as_bytes());
        while !rest.is_empty() {
            let (n, escape) = escapes.take(rest, &mut out);
            found.extend(escape);
            rest = &rest[n..];
        }
        (String::from_utf8(out).unwrap(), found)
    }

    #[test]
    fn tildes_at_the_start_of_a_line_are_ours() {
        assert_eq!(typed("~."), (String::new(), vec![Escape::End]));
        assert_eq!(typed("ls ~.\r~B~?x~."), ("ls ~.\rx~.".into(), vec![Escape::Break, Escape::Help]));
        assert_eq!(typed("~~.\r~/bin\n~\r~."), ("~.\r~/bin\n~\r".into(), vec![Escape::End]));
    }
}
