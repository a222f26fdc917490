//! Lock files of serial ports, as UUCP began them and cu, minicom, pppd, kermit and ser2net have them: `LCK..ttyS0` in the lock
//! folder names the process that uses the port (FHS 3.0, 5.9: its number in ten characters and an end of line). They are a
//! courtesy: what keeps others out for sure are the locks of the kernel. So nothing of this ever fails a command, but for the
//! port that another program has.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Where they are, below the root; most systems have one of these as a link to the other.
const FOLDERS: [&str; 2] = ["var/lock", "run/lock"];
/// More than any program writes into one.
const LENGTH_MAX: u64 = 256;
/// A process that began later than its lock file, by more than what clocks of files differ, is another one with its number.
const LATER: Duration = Duration::from_secs(2);
/// Processes above ours that are looked at: whoever has locked the port and started us from there did so for us.
const ANCESTORS: usize = 32;

/// A lock file of ours, removed with this.
#[derive(Debug)]
pub(crate) struct LockFile(PathBuf);

impl Drop for LockFile {
    fn drop(&mut self) {
        if read(&self.0).is_some_and(|(pid, _)| pid == std::process::id()) {
            let _ = fs::remove_file(&self.0);
        }
    }
}

/// Processes that run and have a lock file for the device.
pub(crate) fn live(root: &Path, device: &Path) -> Vec<u32> {
    let places = names(device).into_iter().flat_map(|name| FOLDERS.map(|folder| root.join(folder).join(&name)));
    places.filter_map(|path| owner(root, &path)).collect()
}

/// The process that has a lock file for the device, if it is neither this one nor one above it.
pub(crate) fn holder(root: &Path, device: &Path) -> Option<u32> {
    live(root, device).into_iter().find(|&pid| !is_ours(root, pid))
}

/// Makes one for the device, where there is a folder for them that may be written; one that a process left behind is
/// replaced.
///
/// # Errors
/// The process that has one.
pub(crate) fn take(root: &Path, device: &Path) -> Result<Option<LockFile>, u32> {
    let Some(name) = own_name(device) else { return Ok(None) };
    for folder in FOLDERS.map(|folder| root.join(folder)).into_iter().filter(|folder| folder.is_dir()) {
        match make(root, &folder, &name) {
            Ok(made) => return made,
            Err(e) => tracing::debug!("no lock file in {}: {e}", folder.display()),
        }
    }
    Ok(None)
}

/// The name of ours: by the path below `/dev`. What is not there is no port to other programs.
fn own_name(device: &Path) -> Option<String> {
    let below = device.strip_prefix("/dev").ok()?.to_str()?;
    Some(format!("LCK..{}", below.replace('/', "_")))
}

/// Names that others may give theirs: some take the last name of the path alone, which for all but pseudo-terminals is the same.
fn names(device: &Path) -> Vec<String> {
    let last = device.file_name().and_then(|name| name.to_str()).map(|name| format!("LCK..{name}"));
    let mut names: Vec<String> = own_name(device).into_iter().chain(last).collect();
    names.dedup();
    names
}

/// An error where it cannot be made here; else what came of it.
fn make(root: &Path, folder: &Path, name: &str) -> io::Result<Result<Option<LockFile>, u32>> {
    let (path, own) = (folder.join(name), folder.join(format!("LTMP.{}.{name}", std::process::id())));
    // whole before it has its name, so that nobody reads half of it
    let written = write(&own);
    let linked = written.and_then(|()| match fs::hard_link(&own, &path) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => match owner(root, &path) {
            Some(pid) if pid == std::process::id() => Ok(Ok(Some(LockFile(path)))),
            // it was taken for us
            Some(pid) if is_ours(root, pid) => Ok(Ok(None)),
            Some(pid) => Ok(Err(pid)),
            None => {
                fs::remove_file(&path)?;
                fs::hard_link(&own, &path).map(|()| Ok(Some(LockFile(path))))
            }
        },
        linked => linked.map(|()| Ok(Some(LockFile(path)))),
    });
    let _ = fs::remove_file(&own);
    linked
}

fn write(path: &Path) -> io::Result<()> {
    let _ = fs::remove_file(path);
    let mut file = File::options().write(true).create_new(true).open(path)?;
    file.set_permissions(Permissions::from_mode(0o644))?;
    writeln!(file, "{:>10}", std::process::id())
}

/// The process a lock file names, and what is known of the file; whatever stands there, nobody is waited for.
fn read(path: &Path) -> Option<(u32, fs::Metadata)> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = File::options().read(true).custom_flags(flags).open(path).ok()?;
    let meta = file.metadata().ok().filter(fs::Metadata::is_file)?;
    let mut bytes = Vec::new();
    file.take(LENGTH_MAX).read_to_end(&mut bytes).ok()?;
    let text = std::str::from_utf8(&bytes).ok().and_then(|text| text.split_whitespace().next()?.parse().ok());
    // as the oldest programs have it
    let binary = || bytes.as_slice().try_into().ok().map(u32::from_ne_bytes);
    text.or_else(binary).filter(|&pid| pid > 0).map(|pid| (pid, meta))
}

/// The process a lock file names, if it runs, and the file can be of it.
fn owner(root: &Path, path: &Path) -> Option<u32> {
    let (pid, meta) = read(path)?;
    let process = process(root, pid);
    if !process.exists() {
        return None;
    }
    let written = meta.modified().unwrap_or(UNIX_EPOCH);
    let is_another = began(root, pid).is_some_and(|began| began > written + LATER);
    // anybody may write there, and who may not use the port must not keep others from it by naming them
    let is_its_own = meta.uid() == 0 || uids(&process).is_none_or(|uids| uids.contains(&meta.uid()));
    (is_its_own && !is_another && !is_ended(root, pid)).then_some(pid)
}

fn process(root: &Path, pid: u32) -> PathBuf {
    root.join("proc").join(pid.to_string())
}

/// What follows the name in `/proc/PID/stat`: the state is its first word.
fn stat(root: &Path, pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(process(root, pid).join("stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

/// Whether it has ended, and its parent has not looked yet.
fn is_ended(root: &Path, pid: u32) -> bool {
    stat(root, pid).is_some_and(|words| matches!(words.first().map(String::as_str), Some("Z" | "X")))
}

/// When it began.
fn began(root: &Path, pid: u32) -> Option<SystemTime> {
    let ticks: u64 = stat(root, pid)?.get(19)?.parse().ok()?;
    let list = fs::read_to_string(root.join("proc/stat")).ok()?;
    let boot: u64 = list.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    let per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok().flatten().filter(|&n| n > 0)? as u64;
    Some(UNIX_EPOCH + Duration::from_secs(boot) + Duration::from_millis(1000 * ticks / per_second))
}

/// Real, effective, saved: one that belongs to another user's program has several.
fn uids(process: &Path) -> Option<Vec<u32>> {
    let status = fs::read_to_string(process.join("status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    Some(line.split_whitespace().filter_map(|uid| uid.parse().ok()).collect())
}

fn is_ours(root: &Path, pid: u32) -> bool {
    let mut at = std::process::id();
    for _ in 0..ANCESTORS {
        if at == pid {
            return true;
        }
        match stat(root, at).and_then(|words| words.get(1)?.parse().ok()) {
            Some(parent) if parent > 1 => at = parent,
            _ => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use tempfile::TempDir;

    use super::*;

    /// A machine with lock folders of its own and the processes of this one.
    struct Machine(TempDir);

    impl Machine {
        fn new() -> Machine {
            let root = tempfile::tempdir().unwrap();
            fs::create_dir_all(root.path().join("run/lock")).unwrap();
            fs::create_dir(root.path().join("var")).unwrap();
            std::os::unix::fs::symlink("../run/lock", root.path().join("var/lock")).unwrap();
            std::os::unix::fs::symlink("/proc", root.path().join("proc")).unwrap();
            Machine(root)
        }
        fn root(&self) -> &Path {
            self.0.path()
        }
        fn file(&self, name: &str) -> PathBuf {
            self.root().join("run/lock").join(name)
        }
        fn files(&self) -> usize {
            fs::read_dir(self.root().join("run/lock")).unwrap().count()
        }
    }

    fn device() -> &'static Path {
        Path::new("/dev/ttyS0")
    }

    #[test]
    fn ours_is_there_while_we_are() {
        let machine = Machine::new();
        let lock = take(machine.root(), device()).unwrap().expect("the folder is there");
        let text = fs::read_to_string(machine.file("LCK..ttyS0")).unwrap();
        assert_eq!(text, format!("{:>10}\n", std::process::id()), "ten characters and an end of line");
        assert_eq!(fs::metadata(machine.file("LCK..ttyS0")).unwrap().mode() & 0o777, 0o644);
        assert_eq!((live(machine.root(), device()), machine.files()), (vec![std::process::id(); 2], 1));
        assert_eq!(holder(machine.root(), device()), None, "it is our own");
        drop(lock);
        assert_eq!(machine.files(), 0);
        let lock = take(machine.root(), Path::new("/dev/pts/7")).unwrap();
        assert!(machine.file("LCK..pts_7").exists() && lock.is_some());
        assert!(take(machine.root(), Path::new("/tmp/port")).unwrap().is_none(), "it is no device to others");
    }

    #[test]
    fn a_process_that_runs_keeps_others_out() {
        let machine = Machine::new();
        let mut child = Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap();
        for text in [
            format!("{:>10}\n", child.id()).into_bytes(),
            format!("{} minicom root\n", child.id()).into_bytes(),
            child.id().to_ne_bytes().to_vec(),
        ] {
            fs::write(machine.file("LCK..ttyS0"), text).unwrap();
            assert_eq!(holder(machine.root(), device()), Some(child.id()));
            assert_eq!(take(machine.root(), device()).unwrap_err(), child.id());
            assert_eq!(machine.files(), 1);
        }
        fs::rename(machine.file("LCK..ttyS0"), machine.file("LCK..7")).unwrap();
        assert_eq!(holder(machine.root(), Path::new("/dev/pts/7")), Some(child.id()), "by its last name, too");
        fs::rename(machine.file("LCK..7"), machine.file("LCK..ttyS0")).unwrap();
        // one that nobody has looked after yet is no process any more
        child.kill().unwrap();
        while !is_ended(machine.root(), child.id()) {
            std::thread::yield_now();
        }
        let lock = take(machine.root(), device()).unwrap();
        assert_eq!(owner(machine.root(), &machine.file("LCK..ttyS0")), Some(std::process::id()), "what was left is replaced");
        drop(lock);
        child.wait().unwrap();
        assert_eq!(machine.files(), 0);
    }

    #[test]
    fn what_locked_the_port_for_us_does_not_keep_us_out() {
        let machine = Machine::new();
        let parent = nix::unistd::getppid().as_raw();
        fs::write(machine.file("LCK..ttyS0"), format!("{parent:>10}\n")).unwrap();
        assert_eq!(holder(machine.root(), device()), None);
        assert!(take(machine.root(), device()).unwrap().is_none(), "it is not ours to remove");
        assert!(machine.file("LCK..ttyS0").exists());
    }

    #[test]
    fn another_process_of_the_same_number_is_none() {
        let machine = Machine::new();
        let mut child = Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap();
        fs::write(machine.file("LCK..ttyS0"), format!("{:>10}\n", child.id())).unwrap();
        let file = File::options().write(true).open(machine.file("LCK..ttyS0")).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(3600)).unwrap();
        assert_eq!(holder(machine.root(), device()), None, "it began after the file was written");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn where_none_can_be_made_none_is() {
        let machine = Machine::new();
        fs::remove_dir(machine.root().join("run/lock")).unwrap();
        assert!(take(machine.root(), device()).unwrap().is_none(), "there is no such folder");
        fs::write(machine.root().join("run/lock"), b"").unwrap();
        assert!(take(machine.root(), device()).unwrap().is_none(), "it is no folder");
        // what is no lock file holds nothing and blocks nobody
        let machine = Machine::new();
        nix::unistd::mkfifo(&machine.file("LCK..ttyS0"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(holder(machine.root(), device()), None);
        fs::remove_file(machine.file("LCK..ttyS0")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", machine.file("LCK..ttyS0")).unwrap();
        assert_eq!(holder(machine.root(), device()), None);
        for rubbish in ["", "\n", "0\n", "-1", "minicom", "99999999999999"] {
            fs::remove_file(machine.file("LCK..ttyS0")).unwrap();
            fs::write(machine.file("LCK..ttyS0"), rubbish).unwrap();
            assert_eq!(holder(machine.root(), device()), None, "{rubbish}");
        }
    }
}
