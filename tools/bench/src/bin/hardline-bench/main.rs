//! The promises, measured with real processes: `hardline pipe` over `hardline sim`.
//!
//! ```text
//! hardline-bench [goodput] [BAUD [ROUNDS]]   share of the line and CPU per condition (2000000, 1)
//! hardline-bench echo [BAUD [COUNT]]         one-byte echoes, on a quiet wire and under bulk (2000000, 500)
//! hardline-bench bond [BAUD [ROUNDS]]        four wires as one beside one of them (2000000, 3)
//! hardline-bench channels [BAUD [COUNT]]     many channels at once beside one alone (2000000, 256)
//! hardline-bench sealed [BAUD [ROUNDS]]      what sealing costs on a wire, and on a Unix socket (2000000, 3)
//! hardline-bench unpaced                     a Unix socket as the wire
//! hardline-bench udp                         the one-way mode over UDP with 1 % loss
//! ```
//!
//! The share is user bytes over baud / 10, from the first to the last instant of the sending process;
//! CPU is that of both pipes together.

mod bond;
mod channels;
mod goodput;
mod sealed;
mod udp;
mod unpaced;

use bench::echo::{self, Echo};
use bench::hardline;

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Fallible<()> {
    let mut args = std::env::args().skip(1).peekable();
    let what = args.next_if(|word| word.parse::<u32>().is_err()).unwrap_or_else(|| "goodput".into());
    let number = |text: Option<String>, default: usize| text.map_or(Ok(default), |n| n.parse());
    let (first, second) = (args.next(), args.next());
    match what.as_str() {
        "goodput" => goodput::table(number(first, 2_000_000)? as u32, number(second, 1)?),
        "echo" => {
            let (baud, count) = (number(first, 2_000_000)? as u32, number(second, 500)?);
            let echo = echo::idle(&hardline()?, &[], baud, count)?;
            println!("{count} echoes of one byte at {baud} baud, idle: median {} us, p99 {} us", echo.median, echo.p99);
            for (both, words) in [(false, "one way"), (true, "both ways")] {
                let loaded = echo::loaded(&hardline()?, &[], baud, count, both)?;
                let Echo { median, p99 } = loaded.echo;
                println!("under bulk {words}: median {median} us, p99 {p99} us; bulk has {:.3} of the line", loaded.bulk);
            }
            Ok(())
        }
        "bond" => bond::run(number(first, 2_000_000)? as u32, number(second, 3)?),
        "channels" => channels::run(number(first, 2_000_000)? as u32, number(second, 256)?),
        "sealed" => sealed::run(number(first, 2_000_000)? as u32, number(second, 3)?),
        "unpaced" => unpaced::run(&[]),
        "udp" => udp::run(),
        other => Err(format!("'{other}' is not goodput, echo, bond, channels, sealed, unpaced or udp").into()),
    }
}
