//! What a command gets of us that serves the peer, or is run for what came over the wire: a few variables and three descriptors.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Variables that are handed on. No credentials, sockets of the service manager or agents, and nothing that loads code.
const KEPT: [&str; 7] = ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ"];
/// And those that begin so: the language, part by part.
const LANGUAGE: &[u8] = b"LC_";
/// Where commands are looked for when nobody says.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The first descriptor that is not for commands.
const FIRST: libc::c_uint = 3;
/// Where the kernel cannot do it at once (before Linux 5.11): descriptors that are looked at, one by one.
const LOOKED_AT: libc::c_uint = 65_536;

/// A command line of the operator's (never a word of the peer's) in a clean environment, without descriptors but 0, 1 and 2.
pub(crate) fn shell(line: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(line).env_clear().envs(variables(std::env::vars_os()));
    let last = limit();
    close_at_exec(&mut command, last);
    command
}

fn variables(all: impl Iterator<Item = (OsString, OsString)>) -> Vec<(OsString, OsString)> {
    let kept = |name: &OsStr| KEPT.iter().any(|k| name == *k) || name.as_bytes().starts_with(LANGUAGE);
    let mut variables: Vec<_> = all.filter(|(name, _)| kept(name)).collect();
    if !variables.iter().any(|(name, _)| name == "PATH") {
        variables.push(("PATH".into(), PATH.into()));
    }
    variables
}

/// One past the highest descriptor that may be open.
fn limit() -> libc::c_uint {
    let limit = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE);
    limit.ok().and_then(|(_, hard)| libc::c_uint::try_from(hard).ok()).map_or(LOOKED_AT, |hard| hard.min(LOOKED_AT))
}

/// Ours close by themselves; what we were started with (a socket of the service manager, a shell's) would stay.
#[allow(unsafe_code)]
fn close_at_exec(command: &mut Command, last: libc::c_uint) {
    // SAFETY: system calls alone between fork and exec. Descriptors close at exec and not at once: the way on which a failed exec
    // is told must stay until then
    unsafe {
        command.pre_exec(move || {
            if libc::syscall(libc::SYS_close_range, FIRST, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) != 0 {
                for fd in FIRST..last {
                    libc::fcntl(fd as libc::c_int, libc::F_SETFD, libc::FD_CLOEXEC);
                }
            }
            Ok(())
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_variables_are_handed_on() {
        let all = ["HOME", "LC_ALL", "LD_PRELOAD", "NOTIFY_SOCKET", "PATHS", "TERM"].map(|n| (n.into(), "x".into()));
        let names: Vec<_> = variables(all.into_iter()).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["HOME", "LC_ALL", "PATH"]);
    }
}
