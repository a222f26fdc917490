//! `hardline keygen` and `hardline key` as shipped: what they print where, how they end, and what they refuse.
#![allow(missing_docs)]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use tools::keys::peers::KnownPeers;
use tools::keys::{Psk, PublicKey, Secret};

const HARDLINE: &str = env!("CARGO_BIN_EXE_hardline");

/// A folder that is the home and the working directory of what runs in it.
struct Home(TempDir);

impl Home {
    fn new() -> Home {
        Home(tempfile::tempdir().unwrap())
    }
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(HARDLINE);
        command.args(args).current_dir(self.0.path()).stdin(Stdio::null()).env("HOME", self.0.path());
        for name in ["XDG_CONFIG_HOME", "CREDENTIALS_DIRECTORY"] {
            command.env_remove(name);
        }
        command
    }
    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("hardline starts")
    }
    /// What it prints and what it says, when it ends well.
    #[track_caller]
    fn does(&self, args: &[&str]) -> (String, String) {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", said(&output));
        (String::from_utf8(output.stdout.clone()).unwrap(), said(&output))
    }
    /// Ends with this code, prints nothing and says this in one line.
    #[track_caller]
    fn fails(&self, code: i32, says: &str, args: &[&str]) {
        let output = self.run(args);
        let text = said(&output);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
        assert!(text.contains(says), "{args:?}: {text}");
        assert!(output.stdout.is_empty() && (code == 2 || text.lines().count() == 1), "{args:?}: {text}");
    }
    fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), Permissions::from_mode(mode)).unwrap();
    }
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// The secret in a key file, as base64.
fn base64(path: &Path) -> String {
    fs::read_to_string(path).unwrap().split_whitespace().nth(1).unwrap().to_owned()
}

#[test]
fn a_new_key_prints_its_public_half_alone() {
    let home = Home::new();
    let (printed, said) = home.does(&["keygen", "key", "--comment", "root@box"]);
    let public = Secret::load(&home.path("key")).unwrap().public();
    assert_eq!(printed, format!("{public} root@box\n"));
    assert!(said.starts_with(&public.fingerprint()), "{said}");
    assert!(!said.contains(&base64(&home.path("key"))) && mode(&home.path("key")) == 0o600);

    assert_eq!(home.does(&["key", "show", "key"]).0, printed);
    fs::write(home.path("key.pub"), &printed).unwrap();
    assert_eq!(home.does(&["key", "show", "key.pub"]), (printed, format!("{}\n", public.fingerprint())));
    let json: Value = serde_json::from_str(&home.does(&["key", "show", "key", "--json"]).0).unwrap();
    let (key, fingerprint) = (public.to_string(), public.fingerprint());
    assert_eq!(json, serde_json::json!({ "kind": "secret", "key": key, "fingerprint": fingerprint, "comment": "root@box" }));
    assert_eq!(home.does(&["-q", "keygen", "other"]).1, "");
    assert_ne!(base64(&home.path("other")), base64(&home.path("key")));
}

#[test]
fn a_shared_key_prints_nothing_secret() {
    let home = Home::new();
    let (printed, said) = home.does(&["keygen", "--psk", "wire.psk"]);
    let fingerprint = Psk::load(&home.path("wire.psk")).unwrap().fingerprint();
    assert!(printed.is_empty() && said.contains(&fingerprint) && said.contains("by a safe way"), "{said}");
    assert_eq!(home.does(&["key", "show", "wire.psk"]), (format!("{fingerprint}\n"), String::new()));
    let json = home.does(&["key", "show", "wire.psk", "--json"]).0;
    let secret = base64(&home.path("wire.psk"));
    assert!(!said.contains(&secret) && !json.contains(&secret) && json.contains("null"), "{json}");
}

#[test]
fn a_dash_is_stdin_and_stdout() {
    use std::io::Write;
    let home = Home::new();
    for psk in [&[][..], &["--psk"]] {
        let (printed, said) = home.does(&[&["keygen", "-", "--comment", "root@box"], psk].concat());
        fs::write(home.path("key"), &printed).unwrap();
        home.mode("key", 0o600);
        assert!(printed.lines().count() == 1 && !home.path("-").exists(), "{printed}");
        assert!(!said.contains(&base64(&home.path("key"))), "{said}");
        let (shown, fingerprint) = home.does(&["key", "show", "key"]);
        let expected = if psk.is_empty() { shown + &fingerprint } else { shown };
        assert_eq!(said, expected, "what is public of it is on stderr");
    }
    home.fails(2, "writes the key itself to stdout", &["keygen", "-", "--json"]);

    let public = home.does(&["keygen", "pair", "--comment", "box"]).0;
    let trust = |text: &str| {
        let mut trust = home.command(&["key", "trust", "./a", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        trust.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        trust.wait_with_output().unwrap()
    };
    assert!(trust(&public).status.success());
    let fingerprint = Secret::load(&home.path("pair")).unwrap().public().fingerprint();
    assert_eq!(home.does(&["key", "list"]).0, format!("./a {fingerprint} box\n"));
    for (text, says) in
        [("", "there is no key in it"), (&*fs::read_to_string(home.path("pair")).unwrap(), "a public key is needed")]
    {
        let output = trust(text);
        let said = said(&output);
        assert!(output.status.code() == Some(1) && said.contains(says) && said.contains("key -: "), "{said}");
    }
}

#[test]
fn no_key_is_overwritten_or_left_half() {
    let home = Home::new();
    home.does(&["keygen", "key"]);
    let before = fs::read(home.path("key")).unwrap();
    home.fails(1, "it is there already", &["keygen", "key"]);
    home.fails(1, "it is there already", &["keygen", "--psk", "key"]);
    assert_eq!(fs::read(home.path("key")).unwrap(), before);
    home.fails(1, "cannot make the key key/in", &["keygen", "key/in"]);
    home.does(&["keygen", ".config/hardline/key"]);
    assert_eq!(mode(&home.path(".config/hardline")), 0o700);
    home.fails(1, "only read", &["keygen", "credential:key"]);
    home.fails(2, "one line", &["keygen", "new", "--comment", "a\nb"]);
    assert!(!home.path("new").exists());
}

#[test]
fn a_secret_others_can_read_is_refused_with_the_remedy() {
    let home = Home::new();
    home.does(&["keygen", "key"]);
    home.does(&["keygen", "--psk", "psk"]);
    for name in ["key", "psk"] {
        home.mode(name, 0o644);
        home.fails(1, &format!("its mode is 0644, which lets others at it: chmod 600 {name}"), &["key", "show", name]);
        home.mode(name, 0o600);
        home.does(&["key", "show", name]);
    }
    nix::unistd::mkfifo(&home.path("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    home.fails(1, "no regular file", &["key", "show", "fifo"]);
    fs::write(home.path("huge"), vec![b'\n'; 65_537]).unwrap();
    home.fails(1, "larger than 64 KiB", &["key", "show", "huge"]);
}

#[test]
fn systemd_hands_keys_over() {
    let home = Home::new();
    home.does(&["keygen", "wire.key"]);
    home.mode("wire.key", 0o440);
    home.fails(1, "LoadCredential=", &["key", "show", "credential:wire.key"]);
    let show = |name| home.command(&["key", "show", name]).env("CREDENTIALS_DIRECTORY", home.0.path()).output().unwrap();
    let output = show("credential:wire.key");
    assert!(output.status.success() && output.stdout.starts_with(b"hardline-pub-1 "), "{}", said(&output));
    assert_eq!(show("credential:../wire.key").status.code(), Some(1));
    home.mode("wire.key", 0o444);
    assert!(said(&show("credential:wire.key")).contains("mode is 0444"));
}

#[test]
fn peers_are_trusted_listed_and_forgotten() {
    let home = Home::new();
    let public = home.does(&["keygen", "a", "--comment", "the box"]).0;
    fs::write(home.path("a.pub"), &public).unwrap();
    let (key, comment) = PublicKey::load(&home.path("a.pub")).unwrap();
    assert!(home.does(&["key", "list"]).1.contains("nobody is known"));
    assert_eq!(home.does(&["key", "list", "--json"]).0, "[]\n");

    home.does(&["key", "trust", "/dev/ttyUSB0", "a.pub"]);
    let file = home.path(".config/hardline/known-peers");
    assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
    home.does(&["key", "trust", "*", public.trim()]);
    let words: Vec<&str> = public.split_whitespace().take(2).collect();
    home.does(&["key", "trust", "exec:ssh box wire", words[0], words[1]]);
    let shown = home.does(&["key", "list"]).0;
    assert_eq!(shown.lines().next(), Some(format!("/dev/ttyUSB0      {} {comment}", key.fingerprint()).as_str()), "{shown}");
    let json: Value = serde_json::from_str(&home.does(&["key", "list", "--json"]).0).unwrap();
    assert_eq!(json[1]["port"], "*");
    assert_eq!(json[1]["comment"], "the box");
    assert_eq!(json[2]["key"], key.to_string());
    assert_eq!(KnownPeers::at(&file).lookup("usb:new").unwrap(), Some(key));

    home.does(&["key", "forget", "serial:/dev/ttyUSB0"]);
    home.fails(1, "there is none in", &["key", "forget", "/dev/ttyUSB0"]);
    home.mode(".config/hardline/known-peers", 0o622);
    home.fails(1, "chmod go-w", &["key", "list"]);
    home.does(&["key", "trust", "usb:A", "a.pub", "--known-peers", "beside"]);
    assert_eq!(KnownPeers::at(home.path("beside")).lookup("usb:A").unwrap(), Some(key));
}

#[test]
fn only_a_peers_public_key_is_trusted_and_another_takes_a_word() {
    let home = Home::new();
    let publics = ["a", "b"].map(|name| home.does(&["keygen", name]).0.trim().to_owned());
    let secret = format!("hardline-key-1 {}", base64(&home.path("a")));
    home.fails(1, "it is a secret key; a public key is needed", &["key", "trust", "usb:A", "a"]);
    home.fails(2, "it is a secret key", &["key", "trust", "usb:A", &secret]);
    assert!(!said(&home.run(&["key", "trust", "usb:A", &secret])).contains(&base64(&home.path("a"))));
    let zero = format!("hardline-pub-1 {}=", "A".repeat(43));
    home.fails(2, "all its bytes are zero", &["key", "trust", "usb:A", &zero]);
    home.fails(2, "neither a path", &["key", "trust", "ttyUSB0", &publics[0]]);
    home.fails(2, "KEY is one file", &["key", "trust", "usb:A", "a", "b"]);
    home.does(&["key", "trust", "usb:A", &publics[0]]);
    home.does(&["key", "trust", "usb:A", &publics[0]]);
    home.fails(1, "--replace", &["key", "trust", "usb:A", &publics[1]]);
    assert!(home.does(&["key", "trust", "usb:A", &publics[1], "--replace"]).1.contains("no longer SHA256:"));
    assert_eq!(home.does(&["key", "list"]).0.lines().count(), 1);
}

#[test]
fn many_at_once_lose_nobody() {
    let home = Home::new();
    let public = home.does(&["keygen", "key"]).0;
    let trust = |n: usize| {
        let port = format!("usb:{n}");
        home.command(&["-q", "key", "trust", &port, public.trim()]).spawn().unwrap()
    };
    let mut all: Vec<_> = (0..8).map(trust).collect();
    for one in &mut all {
        assert!(one.wait().unwrap().success());
    }
    let peers = KnownPeers::at(home.path(".config/hardline/known-peers")).list().unwrap();
    let mut ports: Vec<_> = peers.into_iter().map(|p| p.port).collect();
    ports.sort();
    assert_eq!(ports, (0..8).map(|n| format!("usb:{n}")).collect::<Vec<_>>());
}
