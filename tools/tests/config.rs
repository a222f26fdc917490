//! Configuration files: what they say, what wins, and where what is wrong stands.
#![allow(missing_docs)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use link::sim::Random;
use tempfile::TempDir;
use tools::config::{self, File};

const HARDLINE: &str = env!("CARGO_BIN_EXE_hardline");

const LINK: &str = "# the radio\ncommand = \"link\"\nport = \"usb:FT123\"\nbaud = 2_000_000\ngrace = \"5m\"\nplain = true\nwait = false\n\
service = [\"ssh=tcp:127.0.0.1:22\", \"tar=exec:tar c 'a b'\"]\nforward = \"unix:/run/x=nncp\"\nlog = \"json\"\nverbose = 2\n";

const VALID: [&str; 5] = [
    LINK,
    "command = \"pipe\"\nport = \"tcp:h:1\"\ncmd = [\"/usr/sbin/sshd\", \"-i\"]\nkey = \"/k\"\naccept-new = true\n",
    "command = \"diode send\"\nport = 'udp:h:1'\nrate = \"20M\"\nfile = [\"a\", \"b\"]\nrounds = \"forever\"\narmour = 0x10\n",
    "command = \"sim\"\na = \"./a\"\nb = \"./b\"\nber = 1e-5\noutage = [\"1:2\", \"3:0.5\"]\n",
    "command = \"console\"\nport = \"./a\"\nname = \"rescue\"\nlog = \"\"\"x\"\"\"\n",
];

/// The words a text stands for, or what is wrong with it.
fn words(text: &str) -> Result<String, String> {
    let file = File::parse("f.toml", text.to_owned()).map_err(|e| e.message)?;
    let (_, words) = config::alone(&file).map_err(|e| e.message)?;
    Ok(words[1..].iter().map(|w| w.to_str().unwrap()).collect::<Vec<_>>().join("|"))
}

#[track_caller]
fn assert_wrong(text: &str, said: &str) {
    assert_eq!(words(text), Err(format!("f.toml:{said}")), "{text}");
}

#[test]
fn files_stand_for_command_lines() {
    let link = "link|--baud=2000000|--grace=5m|--plain|--service=ssh=tcp:127.0.0.1:22|--service=tar=exec:tar c 'a b'|\
                --forward=unix:/run/x=nncp|--log=json|--verbose|--verbose|usb:FT123";
    let pipe = "pipe|--key=/k|--accept-new|tcp:h:1|--|/usr/sbin/sshd|-i";
    let send = "diode|send|--rate=20M|--rounds=forever|--armour=16|udp:h:1|a|b";
    let sim = "sim|-a|./a|-b|./b|--ber=1e-5|--outage=1:2|--outage=3:0.5";
    let console = "console|--log=x|./a|rescue";
    for (text, meant) in VALID.into_iter().zip([link, pipe, send, sim, console]) {
        assert_eq!(words(text).as_deref(), Ok(meant));
    }
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    assert_wrong("command = \"link\"\nport = \"./a\"\nbauds = 1\n", "3:1: unknown key 'bauds'; did you mean 'baud'?");
    assert_wrong(
        "command = \"pipe\"\nport = \"./a\"\naccept_new = true",
        "3:1: unknown key 'accept_new'; did you mean 'accept-new'?",
    );
    assert_wrong("command = \"lnik\"\n", "1:11: there is no command 'lnik'; did you mean 'link'?");
    assert_wrong("command = \"guard\"\n", "1:11: there is no command 'guard'");
    assert_wrong("command = \"diode\"\n", "1:11: there is no command 'diode'; did you mean 'diode send'?");
    assert_wrong("port = \"./a\"\n", "1:1: 'command' is missing: write which one this is for, such as command = \"link\"");
    assert_wrong("command = \"link\"\n", "1:11: 'hardline link' wants 'port', which is not here");
    let link = |line: &str| format!("command = \"link\"\nport = \"./a\"\n{line}\n");
    assert_wrong(&link("baud = -1"), "3:8: '-1' is no 'baud': write bits per second, such as 2000000, or auto");
    assert_wrong(&link("baud = true"), "3:8: 'baud' wants a value, not true or false");
    assert_wrong(&link("wait = 'yes'"), "3:8: 'wait' is true or false");
    assert_wrong(&link("flow = 'xon'"), "3:8: 'xon' is no 'flow': it is one of none, rtscts");
    assert_wrong(&link("verbose = 10"), "3:11: 'verbose' is a number from 0 to 9");
    assert_wrong(&link("grace = ['1s', '2s']"), "3:9: 'grace' takes one value");
    assert_wrong(&link("key = 'k'\npsk = 'p'"), "4:1: 'psk' cannot be used with 'key'");
    assert_wrong(&link("[link]\nbaud = 1"), "3:2: no tables here: a file is one wire, its keys are flags of one command");
    assert_wrong(&link("baud = 1979-05-27"), "3:8: write a text in quotes or a number here");
    assert_wrong(&link("baud = 99999999999999999999"), "3:8: this number is too large");
    let second = words(&link("# \u{fc}\nservice = ['a=exec:\u{fc}', 'x']")).unwrap_err();
    assert!(second.starts_with("f.toml:4:24: 'x' is no 'service': "), "{second}");
    for broken in ["command = ", "a = 1\na = 2", "x", "command = \"\x1b\""] {
        let said = words(broken).unwrap_err();
        assert!(said.starts_with("f.toml:") && !said.contains(char::is_control), "{said:?}");
    }
}

/// A folder with a file in it.
fn scratch(text: &str) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f.toml");
    fs::write(&path, text).unwrap();
    (dir, path)
}

fn run(dir: &Path, line: &str) -> (Option<i32>, String, String) {
    let words = line.split_whitespace();
    let output = Command::new(HARDLINE).args(words).current_dir(dir).stdin(Stdio::null()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn what_is_typed_wins() {
    let (dir, _) =
        scratch("command = \"link\"\nport = \"./file\"\nbaud = 1\npsk = \"none.psk\"\nservice = \"a=exec:b\"\ncontrol = \"c\"\n");
    let says = |line: &str, code: i32, word: &str| {
        let (exit, _, said) = run(dir.path(), line);
        assert!(exit == Some(code) && said.contains(word), "{line}: {exit:?} {said}");
    };
    // the key of the file is read, or not, by who needs it
    says("--config f.toml", 1, "none.psk");
    says("-q --stats s link --config ./f.toml", 1, "none.psk");
    says("link --config=f.toml --plain --baud 0", 2, "cannot open ./file: a baud rate of 0");
    says("link --plain --config f.toml ./typed -b 0", 2, "cannot open ./typed: a baud rate of 0");
    says("pipe --config f.toml --plain", 6, "cannot open ./file: there is no such device");
    says("open --config f.toml --plain ssh", 6, "cannot open ./file: there is neither");
    says("open --config f.toml --plain ./typed ssh", 6, "cannot open ./typed: there is neither");
    says("send --config f.toml --plain f.toml", 6, "cannot open ./file: there is neither");
    says("pipe --config f.toml --key k.key", 1, "cannot read the key k.key");
    says("pipe --config none.toml", 1, "cannot read the configuration none.toml");
    says("pipe --config f.toml --nonsense", 2, "unexpected argument '--nonsense'");
    says("key --config f.toml", 2, "'hardline key' requires a subcommand");
    says("pipe --config", 2, "a value is required for '--config <FILE>'");
    assert!(run(dir.path(), "pipe --config f.toml --help").1.contains("Usage: hardline pipe"));
}

#[test]
fn files_are_checked() {
    let (dir, path) = scratch(LINK);
    let check = |text: &str| {
        fs::write(&path, text).unwrap();
        run(dir.path(), "check f.toml")
    };
    let (code, line, said) = check(LINK);
    assert_eq!((code, said.as_str()), (Some(0), ""));
    assert!(
        line.starts_with("hardline link --baud=2000000 ") && line.contains(" '--service=tar=exec:tar c '\\''a b'\\'''"),
        "{line}"
    );
    let wrong = |text: &str, place: &str| {
        let (code, out, said) = check(text);
        assert!(said.starts_with(&format!("hardline: f.toml:{place}")), "{text}: {said}");
        assert_eq!((code, out.as_str(), said.lines().count()), (Some(2), "", 1), "{said}");
    };
    wrong("bauds = 1\ncommand = \"link\"", "1:1: unknown key 'bauds'; did you mean 'baud'?");
    let link = |line: &str| format!("command = \"link\"\nport = \"./a\"\n{line}\n");
    wrong(&link("psk = \"none\""), "3:7: ");
    wrong(&link("service = \"a=exec:b\""), "3:11: services need");
    wrong(&link("service = [\"a=exec:b\", \"a=exec:c\"]\nplain = true"), "3:11: two services are called 'a'");
    wrong(&link("forward = [\"unix:u=a\", \"unix:u=b\"]"), "3:11: --forward");
    wrong(&link("baud = 0"), "3:8: ");
    wrong("command = \"link\"\nport = \"udp:h:1\"", "2:8: udp:h:1 is for hardline diode only");
    let diode = |command: &str, line: &str| format!("command = \"diode {command}\"\nport = \"./a\"\n{line}\n");
    wrong(&diode("send", "file = \"f\"\npsk = \"nokey\""), "4:7: cannot read the key nokey");
    wrong(&diode("recv", "out = \"o\"\npsk = [\"nokey\"]"), "4:7: cannot read the key nokey");
    wrong(&diode("recv", "lines = true\nkey = \"nokey\"\npeer = \"nopeer\""), "4:7: cannot read the key nokey");
    wrong(
        &diode("send", "lines = true\npeer = \"hardline-pub-1 x\"\nkey = \"credential:k\""),
        "4:8: cannot use the key of --peer",
    );
    wrong(&diode("recv", "lines = true\nbaud = 0"), "4:8: cannot open ./a: a baud rate of 0");
    wrong(&diode("recv", "baud = 115200"), "1:11: 'hardline diode recv' wants 'out'");
    wrong(&diode("recv", "lines = true\nbaud = \"2M\""), "4:8: '2M' is no 'baud': write bits per second, such as 2000000 [");
    wrong(
        &diode("recv", "lines = true\nzzzzzzzz = 1"),
        "4:1: unknown key 'zzzzzzzz'; keys are the flags of 'hardline diode recv --help'",
    );
    let (code, out, _) = check(&diode("recv", "out = \"o\"\nkey = \"credential:hardline.key\"\npeer = \"credential:peer.pub\""));
    assert!(code == Some(0) && out.contains("--peer=credential:peer.pub"), "{out}");
    // a flag that may be given bare
    for (value, word) in [("true", Some(" --one-way ")), ("\"send\"", Some(" --one-way=send ")), ("false", None)] {
        let (code, out, said) = check(&format!("command = \"test\"\nport = \"./a\"\none-way = {value}\n"));
        assert!(code == Some(0) && out.contains(word.unwrap_or("hardline test ./a")), "{out} {said}");
    }
    // the service manager hands the key over, and only to the service
    let (code, out, _) = check(&link("service = \"a=exec:b\"\nkey = \"credential:hardline.key\""));
    assert!(code == Some(0) && out.contains("--key=credential:hardline.key"), "{out}");
    let (code, _, said) = run(dir.path(), "check no-such-wire");
    assert!(code == Some(1) && said.contains("/etc/hardline/no-such-wire.toml"), "{said}");
}

/// Whatever is in a file, it is right, or one line that can be printed says where it is wrong.
#[test]
fn mutations_never_panic() {
    let mut random = Random::new(7);
    let mut below = |n: usize| random.below(n as u64) as usize;
    for round in 0..3000 {
        let mut text = VALID[round % VALID.len()].as_bytes().to_vec();
        let other = VALID[below(VALID.len())].as_bytes();
        for _ in 0..=below(4) {
            let at = below(text.len());
            match below(5) {
                0 => text[at] = b"\"'[]{}=.,#-\n 0x\\"[below(16)],
                1 => drop(text.remove(at)),
                2 => text.insert(at, below(256) as u8),
                3 => text.truncate(at + 1),
                _ => drop(text.splice(at..at, other[below(other.len())..].iter().copied())),
            }
        }
        let text = String::from_utf8_lossy(&text).into_owned();
        if let Err(said) = words(&text) {
            assert!(said.starts_with("f.toml:") && !said.contains(char::is_control), "{said:?} of {text:?}");
        }
    }
}
