//! What the tests need beside Rust.

use crate::shell::{Done, Failed, Shell};

/// Debian's packages of the programs that the tests run, real peers among them.
const PACKAGES: [&str; 18] = [
    "borgbackup",
    "gensio-bin",
    "git",
    "minimodem",
    "mmdebstrap",
    "mosquitto",
    "mosquitto-clients",
    "nncp",
    "openssh-client",
    "openssh-server",
    "procps",
    "python3",
    "qemu-utils",
    "rsync",
    "strace",
    "systemd-container",
    "tmux",
    "uucp",
];

/// Whether this is CI, where what cannot be checked is a failure.
pub(crate) fn is_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| value == "true")
}

/// Installs the packages that are missing, as root or with sudo.
///
/// # Errors
/// No C compiler, no Debian packages, no right to install them; Python is too old.
pub(crate) fn install(shell: &Shell) -> Done {
    if !Shell::has("cc") {
        return Err(Failed("there is no C compiler here (cc), which Rust links with".into()));
    }
    if !Shell::has("dpkg-query") || !Shell::has("apt-get") {
        let names = PACKAGES.join(" ");
        return Err(Failed(format!("no Debian packages here; `cargo test --workspace` needs what they call: {names}")));
    }
    let installed = |package: &str| {
        let status = shell.output("dpkg-query", &["-W", "-f=${Status}", package]);
        status.is_some_and(|status| status.contains("ok installed"))
    };
    let missing: Vec<&str> = PACKAGES.into_iter().filter(|package| !installed(package)).collect();
    if !missing.is_empty() {
        apt_get(shell, &["update", "-qq"], &missing)?;
        let words = [&["install", "-y", "-qq", "--no-install-recommends"], &missing[..]].concat();
        apt_get(shell, &words, &missing)?;
    }
    if !shell.can("python3", &["-c", "import tomllib"]) {
        return Err(Failed("python3 is older than 3.11 here".into()));
    }
    Ok(())
}

fn apt_get(shell: &Shell, words: &[&str], missing: &[&str]) -> Done {
    let root = shell.output("id", &["-u"]).is_some_and(|id| id.trim() == "0");
    let shell = shell.with("DEBIAN_FRONTEND", "noninteractive");
    match (root, Shell::has("sudo")) {
        (true, _) => shell.run("apt-get", words),
        (false, true) => shell.run("sudo", &[&["--preserve-env=DEBIAN_FRONTEND", "apt-get"], words].concat()),
        (false, false) => {
            let missing = missing.join(" ");
            Err(Failed(format!("no root and no sudo here; as root: apt-get install --no-install-recommends {missing}")))
        }
    }
}

/// Whether Rust has a component; rustup is asked for one that is missing.
///
/// # Errors
/// It is missing, and this is CI.
pub(crate) fn have_component(shell: &Shell, command: &str, component: &str) -> Done<bool> {
    let has = || shell.can("cargo", &[command, "--version"]);
    if has() || (Shell::has("rustup") && shell.run("rustup", &["component", "add", component]).is_ok() && has()) {
        return Ok(true);
    }
    if is_ci() {
        return Err(Failed(format!("this Rust has no {component}")));
    }
    println!("== NOT CHECKED: this Rust has no {component}");
    Ok(false)
}

/// Whether Rust can build for a target; rustup is asked for its library.
///
/// # Errors
/// Why not.
pub(crate) fn have_target(shell: &Shell, target: &str) -> Done {
    shell.run("bash", &[".ci/have-target", target])
}
