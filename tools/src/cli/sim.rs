//! What can be typed to simulate a wire.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::{chance, duration, number};

/// Headings in the help.
const RATE: &str = "Rate and delay";
const NOISE: &str = "Noise";
const TIME: &str = "Outages, echoes and loops";
const SECOND: &str = "A second wire";

/// `hardline sim`
#[derive(Args, Clone, Debug)]
#[command(after_help = concat!(
    "Any program can use its ends, as it would a serial adapter. S:D is START:LENGTH in seconds, or with units (500ms:2s); ",
    "each such flag may be given several times. With --a2 and --b2 there is a second wire, to which all other flags apply ",
    "as well.\n",
    "\n",
    "Examples:\n",
    "  hardline sim -a ./a -b ./b --baud 2000000 --ber 1e-5 --outage 5:2\n",
    "\n",
    "Start and stop bits are hit, too:\n",
    "  hardline sim -a ./a -b ./b --framing --ber 1e-4\n",
    "\n",
    "RS-485 whose receiver stays on, at a:\n",
    "  hardline sim -a ./a -b ./b --echo=a\n",
    "\n",
    "Both ends hear themselves, then b alone:\n",
    "  hardline sim -a ./a -b ./b --loop 4:1 --loop 10:3:b\n",
    "\n",
    "A terminal server in telnet mode, and one that does XON/XOFF:\n",
    "  hardline sim -a ./a -b ./b --double ff\n",
    "  hardline sim -a ./a -b ./b --eat 11,13\n",
    "\n",
    "From 3 s to 8 s a leads to d, and c to b:\n",
    "  hardline sim -a ./a -b ./b --a2 ./c --b2 ./d --swap 3:5",
))]
pub struct SimArgs {
    /// One end: a link to a pseudo-terminal is made here
    #[arg(short, value_name = "PATH")]
    pub a: PathBuf,
    /// The other end
    #[arg(short, value_name = "PATH")]
    pub b: PathBuf,
    /// Bits per second on the wire, 10 per byte
    #[arg(long, default_value_t = 115_200, value_parser = clap::value_parser!(u32).range(50..=100_000_000), help_heading = RATE)]
    pub baud: u32,
    /// Each way at the rate that the program at its end sets on the port (a virtual machine, say); ends with
    /// different rates hear garbage
    #[arg(long, help_heading = RATE)]
    pub follow_baud: bool,
    /// Above this rate bits turn, the more the further above; with :TIME from then on; may be given several times
    #[arg(long, value_name = "N[:TIME]", value_parser = max_baud, help_heading = RATE)]
    pub max_baud: Vec<MaxBaud>,
    /// One end of a second wire
    #[arg(long, value_name = "PATH", requires = "b2", help_heading = SECOND)]
    pub a2: Option<PathBuf>,
    /// The other end of it
    #[arg(long, value_name = "PATH", requires = "a2", help_heading = SECOND)]
    pub b2: Option<PathBuf>,
    /// Chance of each data bit to be flipped
    #[arg(long, default_value_t = 0.0, value_parser = chance, help_heading = NOISE)]
    pub ber: f64,
    /// Start and stop bits are flipped like data bits, and the receiver loses its place as a UART (16550) does: bytes come wrong,
    /// are lost and appear
    #[arg(long, help_heading = NOISE)]
    pub framing: bool,
    /// Bursts: chance per byte that one begins, mean length in bytes, bit error rate inside
    /// (Gilbert-Elliott)
    #[arg(long, value_name = "P:LEN:BER", value_parser = burst, help_heading = NOISE)]
    pub burst: Option<Burst>,
    /// Chance per byte that LEN bytes (1 unless said) are lost
    #[arg(long, value_name = "P[:LEN]", value_parser = drop_, help_heading = NOISE)]
    pub drop: Option<(f64, u32)>,
    /// Chance per byte that a random byte is put in
    #[arg(long, value_name = "P", default_value_t = 0.0, value_parser = chance, help_heading = NOISE)]
    pub insert: f64,
    /// These bytes, in hex, arrive twice
    #[arg(long, value_name = "HEX,..", value_delimiter = ',', value_parser = byte, help_heading = NOISE)]
    pub double: Vec<u8>,
    /// These bytes, in hex, never arrive
    #[arg(long, value_name = "HEX,..", value_delimiter = ',', value_parser = byte, help_heading = NOISE)]
    pub eat: Vec<u8>,
    /// Time each byte takes beside its own length
    #[arg(long, value_name = "TIME", default_value = "0ms", value_parser = duration, help_heading = RATE)]
    pub latency: Duration,
    /// USB adapter: full packets of 62 bytes arrive at once, the rest when this timer ends
    #[arg(long, value_name = "TIME", default_value = "0ms", value_parser = duration, help_heading = RATE)]
    pub timer: Duration,
    /// Only from a to b
    #[arg(long, help_heading = TIME)]
    pub one_way: bool,
    /// START:LENGTH in seconds: nothing passes; may be given several times
    #[arg(long, value_name = "S:D", value_parser = span, help_heading = TIME)]
    pub outage: Vec<Span>,
    /// START:LENGTH in seconds: the adapters vanish and come back; may be given several times
    #[arg(long, value_name = "S:D", value_parser = span, help_heading = TIME)]
    pub unplug: Vec<Span>,
    /// What this end sends comes back to it as well
    #[arg(long, value_name = "END", num_args = 0..=1, require_equals = true, default_missing_value = "both", help_heading = TIME)]
    pub echo: Option<SimEnd>,
    /// Each end hears nothing but itself; with :END (a or b) that one does, and the other hears nothing
    #[arg(long = "loop", value_name = "S:D[:END]", value_parser = turn, help_heading = TIME)]
    pub turn: Vec<Turn>,
    /// The far ends of both wires are exchanged
    #[arg(long, value_name = "S:D", value_parser = span, requires = "a2", help_heading = SECOND)]
    pub swap: Vec<Span>,
    /// Seed of all noise
    #[arg(long, default_value_t = 0, help_heading = NOISE)]
    pub seed: u64,
}

/// An end of a simulated wire, or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SimEnd {
    /// The end of `-a` (and `--a2`).
    A,
    /// The end of `-b` (and `--b2`).
    B,
    /// Both.
    Both,
}

impl SimEnd {
    /// Whether a is one of them, and b.
    pub fn sides(self) -> [bool; 2] {
        [self != SimEnd::B, self != SimEnd::A]
    }
}

/// A line that is turned round for a while.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Turn {
    /// For how long.
    pub span: Span,
    /// Who hears itself.
    pub end: SimEnd,
}

/// A stretch of time since the start of the simulation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    /// When it begins.
    pub start: Duration,
    /// How long it lasts.
    pub length: Duration,
}

/// The highest rate a wire can do, from some moment on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MaxBaud {
    /// Bits per second.
    pub baud: u32,
    /// Since the start of the simulation.
    pub from: Duration,
}

/// Gilbert-Elliott bursts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Burst {
    /// Chance per byte that a burst begins.
    pub begin: f64,
    /// Mean length in bytes.
    pub length: f64,
    /// Bit error rate inside.
    pub ber: f64,
}

fn burst(text: &str) -> Result<Burst, String> {
    match text.split(':').collect::<Vec<_>>()[..] {
        [begin, length, ber] => Ok(Burst { begin: chance(begin)?, length: number(length)?, ber: chance(ber)? }),
        _ => Err("write it as P:LEN:BER, such as 1e-4:20:0.3".into()),
    }
}

fn drop_(text: &str) -> Result<(f64, u32), String> {
    match text.split_once(':') {
        None => Ok((chance(text)?, 1)),
        Some((p, len)) => Ok((chance(p)?, len.parse().map_err(|_| format!("'{len}' is not a number of bytes"))?)),
    }
}

fn max_baud(text: &str) -> Result<MaxBaud, String> {
    let (baud, from) = text.split_once(':').unwrap_or((text, "0"));
    let baud = baud.parse().map_err(|_| format!("'{baud}' is not a number of bits per second"))?;
    Ok(MaxBaud { baud, from: duration(from)? })
}

fn span(text: &str) -> Result<Span, String> {
    let (start, length) = text.split_once(':').ok_or("write it as START:LENGTH in seconds, such as 2:0.5")?;
    Ok(Span { start: duration(start)?, length: duration(length)? })
}

fn turn(text: &str) -> Result<Turn, String> {
    let (times, end) = match text.rsplit_once(':') {
        Some((times, "a")) => (times, SimEnd::A),
        Some((times, "b")) => (times, SimEnd::B),
        Some((times, "both")) => (times, SimEnd::Both),
        _ => (text, SimEnd::Both),
    };
    Ok(Turn { span: span(times)?, end })
}

fn byte(text: &str) -> Result<u8, String> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let byte = u8::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'));
    byte.ok_or_else(|| format!("'{text}' is not a byte in hex, such as ff"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_names_an_end_or_none() {
        let span = Span { start: Duration::from_secs(4), length: Duration::from_millis(1500) };
        for (text, end) in
            [("4:1.5", SimEnd::Both), ("4:1500ms:a", SimEnd::A), ("4s:1.5:b", SimEnd::B), ("4:1.5:both", SimEnd::Both)]
        {
            assert_eq!(turn(text), Ok(Turn { span, end }), "{text}");
        }
        assert!(turn("4").is_err() && turn("4:1:c").is_err());
    }

    #[test]
    fn bytes_are_in_hex() {
        assert_eq!(["ff", "0x11", "7"].map(byte), [Ok(0xFF), Ok(0x11), Ok(7)]);
        assert!(["", "100", "+1", "-1", "xyz"].iter().all(|text| byte(text).is_err()));
    }
}
