//! The rate of a port: a number, or found out by both ends.

use std::str::FromStr;

use link::LADDER;

/// What can be given as `--baud`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Baud {
    /// Bits per second, at both ends.
    Fixed(u32),
    /// `auto`: the ends begin at 115200 and climb as far as both ports and the wire can.
    Auto,
}

impl Baud {
    /// Bits per second to begin with.
    pub fn first(self) -> u32 {
        match self {
            Baud::Fixed(baud) => baud,
            Baud::Auto => LADDER[0],
        }
    }
}

impl FromStr for Baud {
    type Err = String;

    fn from_str(text: &str) -> Result<Baud, String> {
        match text {
            "auto" => Ok(Baud::Auto),
            number => number.parse().map(Baud::Fixed).map_err(|_| "write bits per second, such as 2000000, or auto".into()),
        }
    }
}

impl std::fmt::Display for Baud {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Baud::Fixed(baud) => baud.fmt(f),
            Baud::Auto => f.write_str("auto"),
        }
    }
}

/// The rate of a wire without a way back.
pub fn one_way(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(Baud::Fixed(baud)) => Ok(baud),
        Err(_) => Err("write bits per second, such as 2000000".into()),
        Ok(Baud::Auto) => {
            Err("two ends agree on a rate by talking, and this wire has no way back: give both the same number".into())
        }
    }
}
