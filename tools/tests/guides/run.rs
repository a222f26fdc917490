//! Runs the steps of a chapter, one after the other.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, killpg};

use crate::common::{HARDLINE, Running, until};
use crate::page::{self, Commands, Place, Runs, Step};
use crate::terminal::Terminal;
use crate::world::World;

/// Between what two commands print; no command prints it.
const MARK: char = '\u{1e}';

/// Something that runs beside the text.
struct Beside {
    running: Running,
    commands: Commands,
    at: String,
}

struct Chapter {
    name: &'static str,
    /// Dropped first: their folders are in the world.
    beside: Vec<Beside>,
    /// What has ended, and may have left something that still says goodbye: ssh does not wait for its proxy.
    past: Vec<Running>,
    wires: Vec<Option<Running>>,
    world: World,
    types: Option<String>,
    count: usize,
}

/// All of a chapter.
pub(crate) fn chapter(name: &'static str) {
    let mut chapter =
        Chapter { name, beside: Vec::new(), past: Vec::new(), wires: Vec::new(), world: World::new(), types: None, count: 0 };
    for (line, step) in page::read(&crate::book().join(name)) {
        let at = format!("docs/src/{name}:{line}");
        match step {
            Step::Wires(count, args) => chapter.wires(&at, count, &args),
            Step::Unplug(which) => chapter.unplug(&at, which),
            Step::File(place, path, text) => chapter.file(&at, place, &path, &text),
            Step::Until(place, script) => chapter.until(&at, place, &script),
            Step::Types(script) => chapter.types = Some(script),
            Step::Commands(commands) => chapter.commands(at, commands),
            Step::NotRun(..) => {}
        }
    }
    chapter.end_beside();
}

impl Chapter {
    // ---- the wire -------------------------------------------------------------------------------

    fn wires(&mut self, at: &str, count: usize, args: &str) {
        self.end_beside();
        self.wires.clear();
        self.world.next_wires();
        for which in 0..count {
            let wire = self.wire(at, which, args);
            self.wires.push(Some(wire));
        }
    }
    fn wire(&mut self, at: &str, which: usize, args: &str) -> Running {
        let ends = [Place::Near, Place::Far].map(|place| self.world.end(place, which));
        let mut command = Command::new(HARDLINE);
        command.arg("sim").arg("-a").arg(&ends[0]).arg("-b").arg(&ends[1]).args(args.split_whitespace());
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let (wire, _) = self.start("wire", &mut command);
        until(&format!("{at}: the wire is there"), || {
            assert!(wire.ended().is_none(), "{at}: hardline sim has ended");
            ends.iter().all(|end| end.exists()).then_some(())
        });
        wire
    }
    /// Its ends go as well: nobody else's terminal may be taken for them.
    fn unplug(&mut self, at: &str, which: usize) {
        let wire = self.wires[which].take().unwrap_or_else(|| panic!("{at}: there is no wire {which}"));
        let _ = killpg(wire.id(), Signal::SIGTERM);
        until(&format!("{at}: the wire is gone"), || wire.ended());
    }
    /// What runs beside the text ends: by itself, or because it is told to.
    fn end_beside(&mut self) {
        for Beside { running, commands, at } in std::mem::take(&mut self.beside) {
            if commands.runs == Runs::Stays {
                if let Some(code) = running.ended() {
                    panic!("{at}: ended by itself, with {code}, and should stay");
                }
                let _ = killpg(running.id(), Signal::SIGTERM);
                until(&format!("{at} ends when told to"), || running.ended());
            } else {
                let code = until(&format!("{at} ends by itself"), || running.ended());
                assert_eq!(code, commands.exit, "{at}: exit code");
            }
        }
        self.past.clear();
    }

    // ---- files ----------------------------------------------------------------------------------

    fn file(&self, at: &str, place: Place, path: &str, text: &str) {
        let path = match path.strip_prefix("~/") {
            Some(path) => self.world.home(place).join(path),
            None => PathBuf::from(self.world.here(place, path)),
        };
        assert!(path.starts_with(self.world.dir()), "{at}: {} is not ours", path.display());
        fs::create_dir_all(path.parent().expect("a file in a folder")).unwrap();
        fs::write(&path, self.world.here(place, text)).unwrap_or_else(|e| panic!("{at}: {}: {e}", path.display()));
        if text.starts_with("#!") {
            fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        }
        if path.extension().is_some_and(|e| e == "service") {
            verify(at, &path, text);
        }
    }

    // ---- commands -------------------------------------------------------------------------------

    /// Starts it as a group of its own; what it says goes to a file, which is returned.
    fn start(&mut self, what: &str, command: &mut Command) -> (Running, PathBuf) {
        self.count += 1;
        let log = self.world.dir().join(format!("{:02}-{what}.log", self.count));
        command.stderr(File::options().create(true).append(true).open(&log).unwrap()).process_group(0);
        let child = command.spawn().unwrap_or_else(|e| panic!("{what} does not start: {e}"));
        (Running { name: what.to_owned(), child }, log)
    }
    fn until(&mut self, at: &str, place: Place, script: &str) {
        let script = self.world.here(place, script);
        until(&format!("{at}: {script}"), || {
            let mut shell = self.world.shell(place, &script);
            let output = shell.stdin(Stdio::null()).output().unwrap();
            output.status.success().then_some(())
        });
    }
    fn commands(&mut self, at: String, commands: Commands) {
        let shown = commands.list.iter().all(|(_, printed)| printed.is_some());
        let mut script = String::from(if shown { "exec 2>&1\n" } else { "set -e\n" });
        for (command, _) in &commands.list {
            let command = self.world.here(commands.place, command);
            if let Some(stray) = self.world.stray(&command) {
                panic!("{at}: {stray} is of this machine: name it in FOLDERS or REAL of world.rs\n{command}");
            }
            script.push_str(&command);
            if shown {
                // $? is there for the next command
                script.push_str(&format!("__code=$?; printf '{MARK}%s{MARK}' $__code; (exit $__code)\n"));
            }
        }
        let mut shell = self.world.shell(commands.place, &script);
        if commands.runs == Runs::Terminal {
            return self.at_terminal(&at, shell, &commands);
        }
        let printed = self.world.dir().join(format!("{:02}-printed.log", self.count + 1));
        shell.stdin(Stdio::null()).stdout(File::options().create(true).append(true).open(&printed).unwrap());
        let (running, log) = self.start("said", &mut shell);
        if commands.runs != Runs::First {
            assert!(!shown, "{at}: what runs beside the text cannot show what it prints");
            // one way nothing that comes too early is asked for again
            let port = self.world.here(commands.place, "/dev/ttyUSB0");
            if script.contains(&port) {
                let port = fs::canonicalize(&port).unwrap_or_else(|e| panic!("{at}: {port}: {e}"));
                until(&format!("{at} has opened its port"), || {
                    (running.ended().is_some() || rests_on(&running, &port)).then_some(())
                });
            }
            return self.beside.push(Beside { running, commands, at });
        }
        let code = until(&format!("{at} ends"), || running.ended());
        let text = fs::read_to_string(&printed).unwrap();
        if shown {
            self.compare(&at, &commands, &text);
        } else {
            assert_eq!(code, commands.exit, "{at}: exit code\n{script}\n{text}\n{}", fs::read_to_string(log).unwrap());
        }
        self.past.push(running);
    }
    /// What each command printed, and its exit code.
    fn compare(&self, at: &str, commands: &Commands, text: &str) {
        let mut parts = text.split(MARK);
        for (i, (command, shown)) in commands.list.iter().enumerate() {
            let (printed, code) = (parts.next().unwrap_or_default(), parts.next().unwrap_or("none"));
            let printed = self.world.there(commands.place, printed);
            let next = commands.list.get(i + 1).map_or("", |(next, _)| next);
            let last = i + 1 == commands.list.len() && code == commands.exit.to_string();
            assert!(code == "0" || last || next.starts_with("echo $?"), "{at}: exit code {code} of {command}{printed}");
            let shown = shown.as_deref().unwrap_or_default();
            assert!(matches(shown, &printed), "{at}: {command}--- prints\n{printed}--- and the guide shows\n{shown}---");
        }
    }

    // ---- a terminal -----------------------------------------------------------------------------

    fn at_terminal(&mut self, at: &str, mut shell: Command, commands: &Commands) {
        let script = self.types.take().unwrap_or_else(|| panic!("{at}: nobody says what is typed"));
        let mut terminal = Terminal::start(&mut shell);
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
            match line.split_once(' ') {
                Some(("types", text)) => terminal.types(&format!("{text}\r")),
                Some(("keys", text)) => terminal.types(text),
                Some(("sees", text)) => terminal.sees(text),
                _ => panic!("{at}: '{line}' is nothing one does at a terminal"),
            }
        }
        terminal.ends(commands.exit);
    }
}

impl Drop for Chapter {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- what was said in {}", self.name);
            let mut logs: Vec<_> = fs::read_dir(self.world.dir()).unwrap().flatten().map(|entry| entry.path()).collect();
            logs.sort();
            for log in logs.iter().filter(|path| path.extension().is_some_and(|e| e == "log")) {
                eprintln!("---- {}\n{}", log.display(), String::from_utf8_lossy(&fs::read(log).unwrap_or_default()));
            }
        }
    }
}

/// Whether a process of this group has the file open and waits.
fn rests_on(running: &Running, file: &Path) -> bool {
    let processes = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let rests = |process: &PathBuf| {
        let stat = fs::read_to_string(process.join("stat")).unwrap_or_default();
        let mut words = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
        let (state, group) = (words.next(), words.nth(1).and_then(|id| id.parse().ok()));
        state == Some("S") && group == Some(running.id().as_raw())
    };
    let descriptors = |process: PathBuf| fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
    processes.filter(rests).flat_map(descriptors).any(|fd| fs::read_link(fd.path()).is_ok_and(|target| target == file))
}

/// Is it what the guide shows? `…` is anything in a line, alone any number of lines.
pub(crate) fn matches(shown: &str, printed: &str) -> bool {
    let shown: Vec<&str> = shown.trim_end().lines().map(str::trim_end).collect();
    let printed: Vec<&str> = printed.trim_end().lines().map(str::trim_end).collect();
    lines_match(&shown, &printed)
}

fn lines_match(shown: &[&str], printed: &[&str]) -> bool {
    match shown.split_first() {
        None => printed.is_empty(),
        Some((&"…", rest)) => (0..=printed.len()).any(|skipped| lines_match(rest, &printed[skipped..])),
        Some((line, rest)) => {
            printed.split_first().is_some_and(|(first, others)| line_matches(line, first) && lines_match(rest, others))
        }
    }
}

fn line_matches(shown: &str, printed: &str) -> bool {
    let mut parts = shown.split('…');
    let Some(mut rest) = printed.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut last = None;
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        // the last part has to stand at the end
        last = Some(part);
        rest = &rest[at + part.len()..];
    }
    rest.is_empty() || last.is_some_and(|part| part.is_empty() || printed.ends_with(part))
}

#[test]
fn what_is_shown_is_compared() {
    for (shown, printed) in [("a\n", "a\n"), ("a…c", "abc"), ("…\nz", "x\ny\nz"), ("a …", "a b c"), ("", ""), ("a…b", "a b b")]
    {
        assert!(matches(shown, printed), "{shown} {printed}");
    }
    for (shown, printed) in [("a", "b"), ("a", ""), ("", "a"), ("a…c", "ab"), ("…\nz", "x\ny"), ("a\nb", "a"), ("a…b", "a b c")]
    {
        assert!(!matches(shown, printed), "{shown} {printed}");
    }
}

/// Units are read by systemd, with a program that exists.
fn verify(at: &str, path: &Path, text: &str) {
    let dir = tempfile::tempdir().unwrap();
    let unit = dir.path().join(path.file_name().expect("a file"));
    fs::write(&unit, text.replace("/usr/bin/hardline", "/bin/true")).unwrap();
    let Ok(output) = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&unit).output() else {
        return eprintln!("{at}: NOT CHECKED: there is no systemd-analyze here");
    };
    assert!(output.status.success(), "{at}: {}", String::from_utf8_lossy(&output.stderr));
}
