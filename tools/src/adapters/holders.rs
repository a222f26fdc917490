//! Who holds a device: open descriptors, locks of the kernel, lock files.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::port::lock_file;

/// A process that has a device open or locked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its number.
    pub pid: u32,
    /// Its name, as it gave it to itself; empty where it may not be read.
    pub name: String,
    /// By what it was found.
    pub by: Mark,
}

/// What shows that a device is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// The process has it open.
    Open,
    /// The kernel lists a lock (flock, fcntl) of the process; its descriptors may not be read.
    Lock,
    /// A lock file `LCK..NAME` (UUCP, minicom, pppd) names the process, which is running.
    LockFile,
}

/// Everybody found, each process once. Of processes of other users only locks and lock files show.
pub(crate) fn of(root: &Path, device: &Path) -> Vec<Holder> {
    let mut found: Vec<Holder> = Vec::new();
    let mut add = |pid: u32, by: Mark| {
        if !found.iter().any(|h| h.pid == pid) {
            found.push(Holder { pid, name: name(root, pid), by });
        }
    };
    opened(root, device).for_each(|pid| add(pid, Mark::Open));
    locked(root, device).into_iter().for_each(|pid| add(pid, Mark::Lock));
    lock_file::live(root, device).into_iter().for_each(|pid| add(pid, Mark::LockFile));
    found
}

/// Those beside this process that have it open, and so take bytes of it. Not the program at the other side of a
/// pseudo-terminal, which may hold this side as well.
pub(crate) fn beside(root: &Path, device: &Path) -> Vec<Holder> {
    let is_beside = |pid: &u32| *pid != std::process::id() && !has_master(root, *pid, device);
    let pids = opened(root, device).filter(is_beside);
    pids.map(|pid| Holder { pid, name: name(root, pid), by: Mark::Open }).collect()
}

/// Whether a process has the other side of this pseudo-terminal.
fn has_master(root: &Path, pid: u32, device: &Path) -> bool {
    let Some(number) = device.strip_prefix("/dev/pts").ok().and_then(|number| number.to_str()) else { return false };
    let fds = fs::read_dir(process(root, pid).join("fd")).into_iter().flatten().flatten();
    let mut masters = fds.filter(|fd| fs::read_link(fd.path()).is_ok_and(|to| to.ends_with("ptmx")));
    masters.any(|fd| {
        let info = fs::read_to_string(process(root, pid).join("fdinfo").join(fd.file_name())).unwrap_or_default();
        info.lines().any(|line| line.strip_prefix("tty-index:").is_some_and(|index| index.trim() == number))
    })
}

/// The name of a process, as it gave it to itself; empty where it may not be read.
pub(crate) fn name(root: &Path, pid: u32) -> String {
    let name = fs::read(process(root, pid).join("comm")).unwrap_or_default();
    String::from_utf8_lossy(&name).trim().to_owned()
}

fn process(root: &Path, pid: u32) -> PathBuf {
    root.join("proc").join(pid.to_string())
}

fn opened(root: &Path, device: &Path) -> impl Iterator<Item = u32> {
    let processes = fs::read_dir(root.join("proc")).into_iter().flatten().flatten();
    let pids = processes.filter_map(|p| p.file_name().to_str()?.parse().ok());
    pids.filter(move |&pid| {
        let mut fds = fs::read_dir(process(root, pid).join("fd")).into_iter().flatten().flatten();
        fds.any(|fd| fs::read_link(fd.path()).is_ok_and(|to| to == device) && may_be(root, device, &fd.path()))
    })
}

/// Whether a descriptor that leads to a path of this name leads to the device: a container may have pseudo-terminals of its own,
/// with the same names.
fn may_be(root: &Path, device: &Path, fd: &Path) -> bool {
    let device = fs::metadata(root.join(device.strip_prefix("/").unwrap_or(device)));
    match (device, fs::metadata(fd)) {
        (Ok(device), Ok(opened)) if device.file_type().is_char_device() => {
            let is_pseudo = (136..=143).contains(&nix::sys::stat::major(device.rdev()));
            let same_file = (device.dev(), device.ino()) == (opened.dev(), opened.ino());
            device.rdev() == opened.rdev() && (same_file || !is_pseudo)
        }
        _ => true,
    }
}

/// `/proc/locks`: `1: FLOCK  ADVISORY  WRITE PID MAJOR:MINOR:INODE START END`, the numbers of the device in hexadecimal.
fn locked(root: &Path, device: &Path) -> Vec<u32> {
    let Ok(meta) = fs::metadata(root.join(device.strip_prefix("/").unwrap_or(device))) else { return Vec::new() };
    let place = format!("{:02x}:{:02x}:{}", nix::sys::stat::major(meta.dev()), nix::sys::stat::minor(meta.dev()), meta.ino());
    let list = fs::read_to_string(root.join("proc/locks")).unwrap_or_default();
    let of = |line: &str| {
        // one that waits for a lock has an arrow before its words
        let words: Vec<&str> = line.split_whitespace().collect();
        let at = words.iter().position(|word| *word == place)?;
        (!words.contains(&"->")).then(|| words.get(at.checked_sub(1)?)?.parse().ok())?
    };
    list.lines().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    /// In a container, `/dev/pts/1` is another terminal than here.
    #[test]
    fn a_name_alone_is_no_device() {
        let [one, other] = [(); 2].map(|()| nix::pty::openpty(None, None).unwrap());
        let fd = |fd: &dyn AsRawFd| PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()));
        let path = nix::unistd::ttyname(&one.slave).unwrap();
        let root = Path::new("/");
        assert!(may_be(root, &path, &fd(&one.slave)) && !may_be(root, &path, &fd(&other.slave)));
        assert!(may_be(root, Path::new("/dev/null"), Path::new("/dev/null")));
        assert!(!may_be(root, Path::new("/dev/null"), Path::new("/dev/zero")));
        // this process has both sides
        assert!(has_master(root, std::process::id(), &path));
        drop(one.master);
        assert!(!has_master(root, std::process::id(), &path));
    }
}
