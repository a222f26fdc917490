//! What can be typed.

mod host;
mod keys;
mod seal;
mod sim;
mod test;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use self::host::{CheckArgs, ExplainArgs, PortsArgs};
pub use self::keys::{ForgetArgs, KeyCommand, KeygenArgs, ListArgs, PeersFile, ShowArgs, TrustArgs};
pub use self::seal::{DiodeRecvKeys, DiodeSendKeys};
pub use self::sim::{Burst, MaxBaud, SimArgs, SimEnd, Span, Turn};
pub use self::test::{OneWay, TestArgs};
use crate::port::{Baud, Flow, Options, Spec, one_way};

/// A bare serial wire, made trustworthy.
#[derive(Debug, Parser)]
#[command(name = "hardline", version, max_term_width = 80)]
#[command(after_help = "Exit: 0 all delivered and acknowledged, 1 failed, 2 usage, 3 session lost or data undelivered, \
4 something is missing (diode), 5 peer refused or no hardline, 6 port unavailable or busy, 128+N by signal N.")]
pub struct Cli {
    /// What every command understands.
    #[command(flatten)]
    pub common: Common,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Headings in the help; each argument names its own, for one of a struct would go on behind it.
const EVERY: &str = "Every command";
const WIRE: &str = "Wire";
const SENT: &str = "What is sent, and how safely";
const KEPT: &str = "What is kept and told";
const KEYS: &str = "Keys";

/// Flags of every command.
#[derive(Args, Clone, Debug)]
pub struct Common {
    /// Say more; twice for everything
    #[arg(short, long, global = true, help_heading = EVERY, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Say errors only
    #[arg(short, long, global = true, help_heading = EVERY)]
    pub quiet: bool,
    /// How to write logs
    #[arg(long, global = true, help_heading = EVERY, value_name = "FORMAT", default_value = "text")]
    pub log: LogFormat,
    /// Write one JSON object of statistics at the end and on SIGUSR1
    #[arg(long, global = true, help_heading = EVERY, value_name = "FILE")]
    pub stats: Option<PathBuf>,
    /// Take flags and arguments from this file (TOML), or NAME for /etc/hardline/NAME.toml; what is typed wins ('hardline check --help')
    #[arg(long, global = true, help_heading = EVERY, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// How logs look.
#[derive(Clone, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object per line.
    Json,
    /// Of `console`, where `--log` is about what is shown: append that to this file.
    #[value(skip)]
    Shown(PathBuf),
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// No hardware: simulate a noisy wire, carry a file each way and one through a diode, verify
    Demo(DemoArgs),
    /// Two pseudo-terminals joined by a modelled wire
    Sim(SimArgs),
    /// stdin and stdout (or a command's) to the peer's, over a port
    Pipe(PipeArgs),
    /// Hold a wire: offer services to the peer, forward local listeners to the peer's
    Link(LinkArgs),
    /// stdin and stdout to a service of the peer's
    Open(OpenArgs),
    /// Send files and folders to `recv` at the other end
    Send(SendArgs),
    /// Take files and folders from `send` at the other end
    Recv(RecvArgs),
    /// A terminal at a service of the peer's
    Console(ConsoleArgs),
    /// How a held wire is doing
    Status(StatusArgs),
    /// What a wire does to bytes, at which rate, and the flags to use: start it at both ends
    Test(TestArgs),
    /// The serial adapters of this machine: names that stay, driver, latency timer, who holds them
    Ports(PortsArgs),
    /// Whether a configuration file is right
    Check(CheckArgs),
    /// What a message or an exit code means, and what to do
    Explain(ExplainArgs),
    /// Not for users: ends the commands of another hardline, should that be killed
    #[command(hide = true)]
    Guard,
    /// One way: TX and GND, one fibre, an acoustic modem
    #[command(subcommand)]
    Diode(DiodeCommand),
    /// Make a key, for this end or for both
    Keygen(KeygenArgs),
    /// Keys and fingerprints, and which key must answer on which port
    #[command(subcommand)]
    Key(KeyCommand),
}

impl Command {
    /// Whether the port is our own stdin and stdout, as far as it is used, and a terminal.
    pub fn uses_our_terminal(&self) -> bool {
        let port = match self {
            Command::Pipe(args) => &args.port.port,
            Command::Link(args) => &args.port.port,
            Command::Send(args) => &args.port.port,
            Command::Recv(args) => &args.port.port,
            Command::Test(args) => &args.port,
            Command::Diode(DiodeCommand::Send(args)) => return args.port.port.is_lent_out(),
            Command::Diode(DiodeCommand::Recv(args)) => return args.port.port.is_lent_in(),
            _ => return false,
        };
        port.is_lent()
    }
}

/// `hardline diode`
#[derive(Debug, Subcommand)]
pub enum DiodeCommand {
    /// Send files, a stream or lines; never reads the line
    Send(DiodeSendArgs),
    /// Receive them; never writes to the line
    Recv(DiodeRecvArgs),
}

/// A one-way port.
#[derive(Args, Clone, Debug)]
pub struct OneWayPort {
    /// /dev/ttyUSB0, usb:SERIAL-NUMBER, udp:HOST:PORT (send), udp-listen:ADDR:PORT (recv),
    /// exec:COMMAND LINE, stdio:
    #[arg(value_name = "PORT")]
    pub port: Spec,
    /// Baud rate of a serial port (8N1)
    #[arg(short, long, default_value = "115200", value_parser = one_way, help_heading = WIRE)]
    pub baud: u32,
    /// Only `none`: flow control would be a way back
    #[arg(long, default_value = "none", hide = true, help_heading = WIRE)]
    pub flow: Flow,
    /// Wait for the port to appear, and for one that was unplugged to come back
    #[arg(long, help_heading = WIRE)]
    pub wait: bool,
}

/// Names of the profiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProfileName {
    /// A short, quiet cable: BER to 1e-6, outages to 50 ms
    Cable,
    /// BER to 1e-5, outages to 2 s
    Industrial,
    /// BER to 1e-4, outages to 10 s
    Harsh,
}

/// `hardline diode send`
#[derive(Args, Clone, Debug)]
#[command(after_help = concat!(
    "Examples:\n",
    "  hardline diode send /dev/ttyUSB0 -b 2000000 backup.tar\n",
    "  sensor | hardline diode send /dev/ttyUSB0 --lines\n",
    "  hardline diode send udp:10.0.0.2:4000 --rate 20M --watch /var/spool/out",
))]
pub struct DiodeSendArgs {
    /// The port.
    #[command(flatten)]
    pub port: OneWayPort,
    /// Files to send; - is stdin as one message. Where that is a pipe it is copied to TMPDIR first, to its end
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// What - is called at the other end [default: it is a message, which is called message-NUMBER there]
    #[arg(long, value_name = "NAME", requires = "files", value_parser = crate::diode::files::name_for_stdin)]
    pub name: Option<String>,
    /// Send what is put into this folder; what was sent moves to DIR/sent. A file is taken when nobody writes it any more as far
    /// as can be known: rename it into the folder when it is whole, which is safe. Each is a transfer of its own, however often the
    /// same is put there
    #[arg(long, value_name = "DIR", conflicts_with_all = ["files", "stream", "lines"])]
    pub watch: Option<PathBuf>,
    /// stdin to the far stdout
    #[arg(long, conflicts_with_all = ["files", "lines"])]
    pub stream: bool,
    /// Each line of stdin as a datagram of up to 2048 bytes; one may overtake another
    #[arg(long, conflicts_with = "files")]
    pub lines: bool,
    /// How much noise and how long an outage to expect
    #[arg(long, default_value = "industrial", help_heading = SENT)]
    pub profile: ProfileName,
    /// Longest outage to survive, up to 1h: what is sent takes at least so long [default: of the profile]
    #[arg(long, value_name = "TIME", value_parser = survive, help_heading = SENT)]
    pub survive: Option<Duration>,
    /// Repair symbols beside those for an outage, per round, up to 1000% [default: of the profile]
    #[arg(long, value_name = "PERCENT", value_parser = overhead, help_heading = SENT)]
    pub overhead: Option<u32>,
    /// Rounds in which files are sent; each adds new symbols; `forever` until stopped
    #[arg(long, value_name = "N", default_value = "1", value_parser = rounds, help_heading = SENT)]
    pub rounds: u32,
    /// Reed-Solomon inside each frame: repairs 1, 2, 4, 8 or 16 wrong bytes in 255; for media that keep
    /// their byte positions (sound, optics)
    #[arg(long, value_name = "BYTES", default_value = "0", value_parser = armour, help_heading = SENT)]
    pub armour: link::wire::Level,
    /// Bytes per second at most (k, M) [default: of the baud rate]
    #[arg(long, value_name = "BYTES", value_parser = rate, help_heading = WIRE)]
    pub rate: Option<u32>,
    /// Its keys.
    #[command(flatten)]
    pub keys: DiodeSendKeys,
}

/// `hardline diode recv`
#[derive(Args, Clone, Debug)]
#[command(after_help = concat!(
    "Ends with the sender's session: 0 when everything is there, 1 when a command of --exec failed, 4 when something is ",
    "missing (it is named, on stderr and in the report), 5 when frames came and none could be read or believed. It waits ",
    "for a session without limit. One whose end was not heard, because the line went away or was silent for --grace, ",
    "counts as incomplete (4) unless all that its sender had announced is there. With --wait or --forever a serial port ",
    "that goes away is waited for, and the session goes on.\n",
    "\n",
    "Examples:\n",
    "  hardline diode recv /dev/ttyUSB0 -b 2000000 --out /srv/in\n",
    "  hardline diode recv /dev/ttyUSB0 --out /srv/in --state state --forever\n",
    "  hardline diode recv /dev/ttyUSB0 --lines --report report.json >> readings.log",
))]
pub struct DiodeRecvArgs {
    /// The port.
    #[command(flatten)]
    pub port: OneWayPort,
    /// Where files go; one of the same name is replaced. A message without a name (sent as '-') is message-NUMBER, another for
    /// each sending
    #[arg(long, value_name = "DIR", required_unless_present_any = ["stream", "lines"], conflicts_with_all = ["stream", "lines"])]
    pub out: Option<PathBuf>,
    /// The stream to stdout
    #[arg(long, conflicts_with = "lines")]
    pub stream: bool,
    /// Lines to stdout
    #[arg(long)]
    pub lines: bool,
    /// What becomes of a gap in a stream
    #[arg(long, default_value = "fail")]
    pub on_gap: crate::diode::receive::OnGap,
    /// Keep what is not whole here, over restarts; and which sealed sessions were received [default: the latter in
    /// $XDG_STATE_HOME/hardline or ~/.local/state/hardline]
    #[arg(long, value_name = "DIR", help_heading = KEPT)]
    pub state: Option<PathBuf>,
    /// Most memory for what comes, at least 16M (k, M, G): blocks to decode, notes of what came, groups of a stream. What needs
    /// more is refused, and named
    #[arg(long, value_name = "SIZE", default_value = "256M", value_parser = memory, help_heading = KEPT)]
    pub memory: u64,
    /// Most disk for what is not whole (k, M, G): what needs more is refused, and named; files of earlier sessions give way
    /// [default: as much as there is]
    #[arg(long, value_name = "SIZE", requires = "out", value_parser = size, help_heading = KEPT)]
    pub quota: Option<u64>,
    /// Append JSON lines: what came, what is missing and why, how the line is. As a service (without a terminal) it is opened
    /// anew on SIGHUP
    #[arg(long, value_name = "FILE", help_heading = KEPT)]
    pub report: Option<PathBuf>,
    /// Run this for every finished file, with its path as the first argument; one at a time, beside the receiver. One that fails
    /// is run again after 1 s and 5 s; then it is named, the exit code is 1, and with --state it is run at the next start
    #[arg(long, value_name = "CMD", requires = "out")]
    pub exec: Option<String>,
    /// Go on when a session ends, or breaks off
    #[arg(long)]
    pub forever: bool,
    /// How long a session may be silent, or frames come that cannot be read, before it is over (us, ms, s, m, h, d); at least
    /// five beacons and the outage its sender means to survive
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration, help_heading = WIRE)]
    pub grace: Duration,
    /// Its keys.
    #[command(flatten)]
    pub keys: DiodeRecvKeys,
}

/// A port and how to open it.
#[derive(Args, Clone, Debug)]
pub struct PortArgs {
    /// /dev/ttyUSB0, usb:SERIAL-NUMBER, tcp:HOST:PORT, tcp-listen:ADDR:PORT, unix:PATH,
    /// unix-listen:PATH, exec:COMMAND LINE, stdio:
    #[arg(value_name = "PORT")]
    pub port: Spec,
    /// Another port to the same peer: all of them make one faster link, and it goes on while one is left; up to 7 times,
    /// at both ends as often
    #[arg(long, value_name = "PORT", help_heading = WIRE)]
    pub also: Vec<Spec>,
    /// Baud rate of a serial port (8N1); auto: the ends begin at 115200 and climb as far as ports and wire can
    #[arg(short, long, value_name = "BAUD", default_value_t = Baud::Fixed(115_200), help_heading = WIRE)]
    pub baud: Baud,
    /// Flow control of a serial port
    #[arg(long, default_value = "none", help_heading = WIRE)]
    pub flow: Flow,
    /// Wait for the port to appear
    #[arg(long, help_heading = WIRE)]
    pub wait: bool,
    /// How long a lost port or a peer that fell silent is waited for (us, ms, s, m, h, d)
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration, help_heading = WIRE)]
    pub grace: Duration,
    /// Who may be at the other end.
    #[command(flatten)]
    pub seal: SealArgs,
}

/// How the ends prove who they are.
#[derive(Args, Clone, Debug)]
pub struct SealArgs {
    /// Seal the wire by this key ('hardline keygen'), for the peer that is known on PORT; credential:NAME under systemd
    #[arg(long, value_name = "FILE", help_heading = KEYS)]
    pub key: Option<PathBuf>,
    /// Seal the wire by a key both ends have ('hardline keygen --psk')
    #[arg(long, value_name = "FILE", conflicts_with = "key", help_heading = KEYS)]
    pub psk: Option<PathBuf>,
    /// Take the key of a peer that is not known yet, and ask for it from then on
    #[arg(long, requires = "key", conflicts_with = "psk", help_heading = KEYS)]
    pub accept_new: bool,
    /// The known peers.
    #[command(flatten)]
    pub peers: PeersFile,
    /// Do not seal the wire, and say nothing of it
    #[arg(long, conflicts_with_all = ["key", "psk"], help_heading = KEYS)]
    pub plain: bool,
}

impl PortArgs {
    /// How to open the port.
    pub fn options(&self) -> Options {
        Options { baud: self.baud.first(), auto: self.baud == Baud::Auto, flow: self.flow }
    }
}

/// `hardline pipe`
#[derive(Args, Clone, Debug)]
#[command(after_help = concat!(
    "Start it on both ends, in any order. The end of input passes to the other side; the command ends when both directions ",
    "have ended and everything is acknowledged. At a terminal Ctrl-D ends the input.\n",
    "\n",
    "Examples, one of each pair at either end:\n",
    "  tar c dir | hardline pipe /dev/ttyUSB0 -b 2000000\n",
    "  hardline pipe /dev/ttyUSB0 -b 2000000 </dev/null | tar x\n",
    "\n",
    "  ssh -o ProxyCommand='hardline pipe /dev/ttyUSB0' box\n",
    "  hardline pipe /dev/ttyUSB0 -- /usr/sbin/sshd -i\n",
    "\n",
    "From within a login on that line (the terminal is the wire):\n",
    "  hardline pipe stdio: -- tar c dir",
))]
pub struct PipeArgs {
    /// The port.
    #[command(flatten)]
    pub port: PortArgs,
    /// Show progress on a terminal also where neither stdin nor stdout is a file
    #[arg(long)]
    pub progress: bool,
    /// Command whose stdin and stdout take the place of our own
    #[arg(last = true, value_name = "CMD")]
    pub command: Vec<String>,
}

/// `hardline link`
#[derive(Args, Clone, Debug)]
#[command(after_help = concat!(
    "Start it on both ends, in any order; it waits for the port and for the peer, and goes on when either goes away.\n",
    "\n",
    "Examples:\n",
    "  hardline link /dev/ttyUSB0 --psk wire.psk --service ssh=tcp:127.0.0.1:22\n",
    "  hardline link /dev/ttyUSB0 --psk wire.psk --service console=pty:login\n",
    "  hardline link /dev/ttyUSB0 --psk wire.psk --forward tcp:127.0.0.1:2222=ssh\n",
    "  hardline link /dev/ttyUSB0 --psk wire.psk --control /run/hardline/wire",
))]
pub struct LinkArgs {
    /// The port.
    #[command(flatten)]
    pub port: PortArgs,
    /// Offer a service under this name: tcp:HOST:PORT, unix:PATH, exec:COMMAND or pty:COMMAND; may be given several times.
    /// A lost session resets tcp:, and signals commands; unix: cannot tell it from an end
    #[arg(long, value_name = "NAME=TARGET")]
    pub service: Vec<crate::drive::hub::Service>,
    /// Listen on tcp:ADDR:PORT or unix:PATH for connections to a service of the peer's; may be given several times. A lost
    /// session resets tcp:; unix: cannot tell it from an end
    #[arg(long, value_name = "LISTEN=NAME")]
    pub forward: Vec<crate::drive::hub::Forward>,
    /// Socket where `open` and `status` ask: for this account alone, unless one of the next two says otherwise
    #[arg(long, value_name = "SOCKET")]
    pub control: Option<PathBuf>,
    /// Group whose members may use the wire by way of the control socket
    #[arg(long, value_name = "GROUP", requires = "control")]
    pub control_group: Option<String>,
    /// Permissions of the control socket, in octal: whoever may write to it may use the wire [default: 600, with --control-group 660]
    #[arg(long, value_name = "MODE", requires = "control", value_parser = mode)]
    pub control_mode: Option<u32>,
}

/// `hardline open`
#[derive(Args, Clone, Debug)]
#[command(after_help = concat!(
    "PORT may be the control socket of a running 'hardline link --control SOCKET', which then holds the wire. Ends when ",
    "both directions have ended and everything was delivered: 0; 5 when the peer does not offer the service.\n",
    "\n",
    "Examples:\n",
    "  ssh -o ProxyCommand='hardline open /run/hardline/wire ssh' box\n",
    "  echo uptime | hardline open /dev/ttyUSB0 shell",
))]
pub struct OpenArgs {
    /// A port as for `link` (which this then holds), or the control socket of a running `link`.
    #[command(flatten)]
    pub port: PortArgs,
    /// Name of the service
    #[arg(value_name = "NAME", value_parser = crate::drive::hub::service::name_of)]
    pub name: String,
}

/// `hardline send`
#[derive(Args, Clone, Debug)]
#[command(after_help = concat!(
    "PORT may be the control socket of a running 'hardline link --control SOCKET', which then holds the wire; start ",
    "'hardline recv' first there. Ends with 0 when every file and folder is verified and on the far disk; what was broken ",
    "off goes on where it was when it is run again. A link that is named is what it leads to; inside of folders links and ",
    "special files are named and left out. Holes of sparse files are not sent, and are holes there. Modes travel without ",
    "setuid, setgid and sticky bits; owners do not travel.\n",
    "\n",
    "Examples:\n",
    "  hardline send /dev/ttyUSB0 -b 2000000 backup.tar photos/\n",
    "  hardline send /run/hardline/wire backup.tar",
))]
pub struct SendArgs {
    /// A port as for `link` (which this then holds), or the control socket of a running `link`.
    #[command(flatten)]
    pub port: PortArgs,
    /// Files, and folders with everything in them
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// On stdout a JSON object for each file (file, result: delivered, there, failed or skipped, why), and one for all at the end
    #[arg(long)]
    pub json: bool,
}

/// `hardline recv`
#[derive(Args, Clone, Debug)]
#[command(after_help = concat!(
    "PORT may be the control socket of a running 'hardline link --control SOCKET', which then holds the wire; only one ",
    "recv at a time can take files there. Ends with the transfer of one sender: 0 when everything it had is verified and ",
    "on disk.\n",
    "\n",
    "Examples:\n",
    "  hardline recv /dev/ttyUSB0 -b 2000000 --out /srv/in\n",
    "  hardline recv /run/hardline/wire --out /srv/in --forever\n",
    "\n",
    "From within a login on that line (the terminal is the wire):\n",
    "  hardline recv stdio: --out in",
))]
pub struct RecvArgs {
    /// A port as for `link` (which this then holds), or the control socket of a running `link`.
    #[command(flatten)]
    pub port: PortArgs,
    /// Where files go; made if it is not there
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Go on when a transfer is over or was broken off
    #[arg(long)]
    pub forever: bool,
    /// On stdout a JSON object for each file (file, result: delivered, there or failed, why), and one for each transfer at its end
    #[arg(long)]
    pub json: bool,
}

/// `hardline console`
#[derive(Args, Clone, Debug)]
#[command(after_help = concat!(
    "PORT may be the control socket of a running 'hardline link --control SOCKET', which then holds the wire: there ",
    "several may look at the same console, and one of them writes. At the start of a line: ~. ends, ~B is a break, ~? ",
    "helps, ~~ is a tilde. Ends with 0 when the far shell did, or when you left; with 1 when it ended otherwise.\n",
    "\n",
    "Examples:\n",
    "  hardline console /run/hardline/wire --log console.log\n",
    "  hardline console /dev/ttyUSB0 -b 2000000 rescue",
))]
pub struct ConsoleArgs {
    /// A port as for `link` (which this then holds), or the control socket of a running `link`.
    #[command(flatten)]
    pub port: PortArgs,
    /// Name of the service
    #[arg(value_name = "NAME", default_value = "console", value_parser = crate::drive::hub::service::name_of)]
    pub name: String,
    /// Look only
    #[arg(long)]
    pub read_only: bool,
    /// Take the writing over from whoever has it
    #[arg(long, conflicts_with = "read_only")]
    pub force: bool,
    /// Append everything shown to this file, each line with the time (mode 0600). On SIGHUP it is opened anew, unless the terminal
    /// hung up
    // takes the place of the global flag of this name, and so has its type
    #[arg(long, value_name = "FILE", value_parser = shown)]
    pub log: Option<LogFormat>,
}

fn shown(path: &str) -> Result<LogFormat, std::convert::Infallible> {
    Ok(LogFormat::Shown(path.into()))
}

/// `hardline status`
#[derive(Args, Clone, Debug)]
#[command(after_help = concat!(
    "Examples:\n",
    "  hardline status /run/hardline/wire --watch\n",
    "  hardline status /run/hardline/wire --json\n",
    "  hardline status /run/hardline/wire --metrics hardline.prom --interval 10s",
))]
pub struct StatusArgs {
    /// Control socket of a running `link`
    #[arg(value_name = "SOCKET")]
    pub socket: PathBuf,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
    /// A live screen; q or Ctrl-C ends it
    #[arg(long, conflicts_with = "json")]
    pub watch: bool,
    /// Write a file for the textfile collector of Prometheus' node_exporter, in one step; its name should end in .prom
    #[arg(long, value_name = "FILE", conflicts_with_all = ["json", "watch"])]
    pub metrics: Option<PathBuf>,
    /// How often to ask, with --watch or --metrics (which asks once unless this is given) [default: 1s]
    #[arg(long, value_name = "TIME", value_parser = interval)]
    pub interval: Option<Duration>,
}

/// `hardline demo`
#[derive(Args, Clone, Debug)]
#[command(after_help = concat!(
    "Examples:\n",
    "  hardline demo\n",
    "  hardline demo --baud 115200 --ber 1e-4 --size 100",
))]
pub struct DemoArgs {
    /// Baud rate of the simulated wire
    #[arg(short, long, default_value_t = 2_000_000, value_parser = clap::value_parser!(u32).range(1200..=100_000_000))]
    pub baud: u32,
    /// Bit error rate of the simulated wire
    #[arg(long, default_value_t = 1e-5, value_parser = chance)]
    pub ber: f64,
    /// Kilobytes to carry each way
    #[arg(long, default_value_t = 1000, value_name = "KB")]
    pub size: usize,
    /// Seed of the noise
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// One JSON object on stdout: what was carried, how fast, through which noise
    #[arg(long)]
    pub json: bool,
}

/// `600`, `0660`: permissions of a file in octal, without bits that lend rights.
fn mode(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mode @ 0..=0o777) => Ok(mode),
        _ => Err("write permissions in octal, such as 600 or 660".into()),
    }
}

/// `60s`, `16ms`, `2m`, `500us`, `1d`; a bare number is seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let scale = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return Err(format!("unknown unit '{unit}'; use us, ms, s, m, h or d")),
    };
    let number: f64 = number.trim().parse().map_err(|_| "write a number and a unit, such as 16ms or 60s".to_owned())?;
    Duration::try_from_secs_f64(number * scale).map_err(|e| e.to_string())
}

fn interval(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        time if time >= Duration::from_millis(50) => Ok(time),
        _ => Err("the shortest is 50ms".into()),
    }
}

fn survive(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        time if time <= Duration::from_secs(3600) => Ok(time),
        _ => Err("the longest is 1h".into()),
    }
}

fn overhead(text: &str) -> Result<u32, String> {
    match text.trim_end_matches('%').parse().map_err(|_| format!("'{text}' is not a percentage"))? {
        percent @ 0..=1000 => Ok(percent),
        _ => Err("the most is 1000%; --rounds sends all of it more often".into()),
    }
}

fn armour(text: &str) -> Result<link::wire::Level, String> {
    let repairs = |level: &link::wire::Level| level.parity().map_or(0, |p| p.repairs());
    let wanted: usize = text.parse().map_err(|_| "write 0, 1, 2, 4, 8 or 16".to_owned())?;
    link::wire::Level::ALL.into_iter().find(|l| repairs(l) == wanted).ok_or_else(|| "write 0, 1, 2, 4, 8 or 16".into())
}

fn rounds(text: &str) -> Result<u32, String> {
    match text {
        "forever" => Ok(0),
        "0" => Err("write a number from 1, or forever".into()),
        n => n.parse().map_err(|_| "write a number from 1, or forever".into()),
    }
}

fn rate(text: &str) -> Result<u32, String> {
    let (digits, scale) = match text.char_indices().last() {
        Some((at, 'k')) => (&text[..at], 1e3),
        Some((at, 'M')) => (&text[..at], 1e6),
        _ => (text, 1.0),
    };
    match number(digits)? * scale {
        n if (1.0..=4e9).contains(&n) => Ok(n as u32),
        _ => Err("the rate is between 1 and 4000M bytes per second".into()),
    }
}

fn size(text: &str) -> Result<u64, String> {
    let (digits, scale) = match text.char_indices().last() {
        Some((at, 'k')) => (&text[..at], 1u64 << 10),
        Some((at, 'M')) => (&text[..at], 1 << 20),
        Some((at, 'G')) => (&text[..at], 1 << 30),
        _ => (text, 1),
    };
    let number: u64 = digits.parse().map_err(|_| format!("'{text}' is no size such as 64M or 2G"))?;
    number.checked_mul(scale).filter(|size| *size > 0).ok_or_else(|| format!("'{text}' is no size such as 64M or 2G"))
}

fn memory(text: &str) -> Result<u64, String> {
    match size(text)? {
        size if size >= crate::diode::spool::MEMORY_MIN => Ok(size),
        _ => Err("the least is 16M".into()),
    }
}

fn number(text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| format!("'{text}' is not a number"))
}

fn chance(text: &str) -> Result<f64, String> {
    match number(text)? {
        p if (0.0..=1.0).contains(&p) => Ok(p),
        p => Err(format!("{p} is not between 0 and 1")),
    }
}
