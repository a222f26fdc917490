//! What must hold, a step each.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::packages::{self, have_component, have_target, is_ci};
use crate::shell::{self, Done, Failed, Shell};

/// The crates that others build on: no port, no clock.
const LIBRARIES: [&str; 6] = ["-p", "link", "-p", "fec", "-p", "diode"];
/// Time for the emulated machines.
const MACHINES: &str = "1200";

/// A step of `test`, and what it does.
type Step = (&'static str, fn(&Shell) -> Done);

const STEPS: [Step; 14] = [
    ("packages", packages::install),
    ("format", format),
    ("licences", licences),
    ("docs", docs),
    ("lint", lint),
    ("book", book),
    ("vectors", vectors),
    ("processors", processors),
    ("microcontroller", microcontroller),
    ("tests", tests),
    ("units", units),
    ("package", package),
    ("services", services),
    ("hardware", hardware),
];

/// Runs the steps that are named, all of them if none is, and says how long each took.
///
/// # Errors
/// The first that fails, or a name that is none.
pub(crate) fn test(shell: &Shell, names: &[String]) -> Done {
    if let Some(name) = names.iter().find(|name| !STEPS.iter().any(|(step, _)| step == name)) {
        let steps = STEPS.map(|(step, _)| step).join(", ");
        return Err(Failed(format!("'{name}' is no step; the steps are {steps}")));
    }
    let all = Instant::now();
    for (name, step) in STEPS.iter().filter(|(step, _)| names.is_empty() || names.iter().any(|name| name == step)) {
        println!("== {name}");
        let began = Instant::now();
        let result = step(shell);
        println!("== {name} took {} s", whole(began.elapsed()));
        result.map_err(|why| Failed(format!("{name}: {why}")))?;
    }
    println!("== all took {} s", whole(all.elapsed()));
    Ok(())
}

/// Format, lints, unit and vector tests of the libraries.
///
/// # Errors
/// What does not hold.
pub(crate) fn quick(shell: &Shell) -> Done {
    format(shell)?;
    if have_component(shell, "clippy", "clippy")? {
        shell.cargo(&[&["clippy", "--quiet"], &LIBRARIES[..], &["--all-targets", "--", "-D", "warnings"]].concat())?;
    }
    shell.cargo(&[&["test", "--quiet"], &LIBRARIES[..], &["--lib", "--test", "vectors"]].concat())?;
    vectors(shell)
}

/// Writes anew what tests compare with.
///
/// # Errors
/// A test fails for another reason.
pub(crate) fn bless(shell: &Shell) -> Done {
    let blessing = shell.with("HARDLINE_BLESS", "1");
    blessing.cargo(&[&["test", "--quiet"], &LIBRARIES[..], &["--test", "vectors"]].concat())?;
    let tools = ["test", "--quiet", "-p", "tools", "--test", "file_vectors", "--test", "measure", "--test", "explain"];
    blessing.cargo(&tools)?;
    shell.run("git", &["status", "--short", "fixtures", "docs"])?;
    vectors(shell)
}

/// Runs each fuzz target for so many seconds.
///
/// # Errors
/// One found something, or cargo-fuzz is not there.
pub(crate) fn fuzz(shell: &Shell, seconds: u32) -> Done {
    if !shell.can("cargo", &["+nightly", "fuzz", "--version"]) {
        return Err(Failed("no nightly Rust with cargo-fuzz here: `cargo install cargo-fuzz`".into()));
    }
    for home in ["link", "diode", "tools"] {
        for target in targets_in(&shell.path(home).join("fuzz/fuzz_targets"))? {
            println!("== {home}: {target}");
            let (folder, time) = (format!("{home}/fuzz"), format!("-max_total_time={seconds}"));
            shell.run("cargo", &["+nightly", "fuzz", "run", "--fuzz-dir", &folder, &target, "--", &time])?;
        }
    }
    Ok(())
}

/// The names of the programs in a folder, sorted.
fn targets_in(folder: &Path) -> Done<Vec<String>> {
    let entries = fs::read_dir(folder).map_err(|why| Failed(format!("cannot read {}: {why}", folder.display())))?;
    let name = |path: PathBuf| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let mut names: Vec<String> = entries.flatten().filter_map(|entry| name(entry.path())).collect();
    names.sort();
    Ok(names)
}

fn whole(time: Duration) -> u64 {
    (time + Duration::from_millis(500)).as_secs()
}

fn format(shell: &Shell) -> Done {
    if have_component(shell, "fmt", "rustfmt")? {
        shell.cargo(&["fmt", "--all", "--check"])?;
    }
    Ok(())
}

/// Where cargo keeps what it fetches, unless this program says otherwise.
fn cargo_home() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cargo");
    std::env::var_os("CARGO_HOME").map_or_else(home, PathBuf::from)
}

/// A cargo home without a crate, and a target folder of its own (a source in another folder is compiled anew): nothing
/// holds because of what was fetched before. The step `docs` goes on with the home of `licences`, and takes it away.
fn bare(shell: &Shell) -> Done<Shell> {
    let bare = shell.target().join("bare");
    let home = bare.join("home");
    if !home.exists() {
        let cannot = |why: std::io::Error| Failed(format!("cannot make {}: {why}", home.display()));
        fs::create_dir_all(&home).map_err(cannot)?;
        // where crates come from
        let config = cargo_home().join("config.toml");
        if config.exists() {
            symlink(config, home.join("config.toml")).map_err(cannot)?;
        }
    }
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    Ok(shell.with("CARGO_HOME", text(home)).with("CARGO_TARGET_DIR", text(bare.join("target"))))
}

fn end_bare(shell: &Shell) -> Done {
    let home = shell.target().join("bare/home");
    match fs::remove_dir_all(&home) {
        Err(why) if home.exists() => Err(Failed(format!("cannot remove {}: {why}", home.display()))),
        _ => Ok(()),
    }
}

fn licences(shell: &Shell) -> Done {
    end_bare(shell)?;
    let bare = bare(shell)?;
    if !Shell::has("cargo-deny") {
        return bare.run("python3", &[".ci/licences"]);
    }
    bare.cargo(&["fetch", "--locked", "--quiet"])?;
    bare.cargo(&["deny", "--offline", "--locked", "check", "licenses", "bans", "sources"])?;
    // known holes, where somebody has fetched the list
    if cargo_home().join("advisory-dbs").exists() {
        shell.cargo(&["fetch", "--locked", "--quiet"])?;
        shell.cargo(&["deny", "--offline", "--locked", "check", "advisories"])?;
    }
    Ok(())
}

fn docs(shell: &Shell) -> Done {
    let bare = bare(shell)?.with("RUSTDOCFLAGS", "-D warnings");
    bare.cargo(&["doc", "--workspace", "--no-deps", "--locked", "--all-features", "--quiet"])?;
    end_bare(shell)
}

fn lint(shell: &Shell) -> Done {
    if have_component(shell, "clippy", "clippy")? {
        shell.cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"])?;
    }
    Ok(())
}

fn book(shell: &Shell) -> Done {
    if Shell::has("mdbook") {
        return shell.run("mdbook", &["build", "docs"]);
    }
    println!("== NOT BUILT: there is no mdbook here; the tests read the book, its links and its commands");
    Ok(())
}

fn vectors(shell: &Shell) -> Done {
    shell.run("python3", &["fixtures/check.py"])
}

fn processors(shell: &Shell) -> Done {
    shell.run("bash", &[".ci/targets"])
}

fn microcontroller(shell: &Shell) -> Done {
    const TARGET: &str = "thumbv7m-none-eabi";
    if have_target(shell, TARGET).is_err() {
        println!("== NOT BUILT for {TARGET}: its library cannot be had here");
        return Ok(());
    }
    let crates = ["-p", "link", "-p", "diode", "-p", "firmware", "--target", TARGET, "--locked"];
    if have_component(shell, "clippy", "clippy")? {
        return shell.cargo(&[&["clippy"], &crates[..], &["--", "-D", "warnings"]].concat());
    }
    shell.cargo(&[&["check"], &crates[..]].concat())
}

fn tests(shell: &Shell) -> Done {
    if Shell::has("cargo-nextest") && !is_ci() {
        shell.cargo(&["nextest", "run", "--workspace", "--locked", "--no-fail-fast"])?;
        return shell.cargo(&["test", "--workspace", "--locked", "--doc"]);
    }
    // all that fails is to be seen at once; what is started here hears of terminals that hang up, also where nohup began it
    shell.run("env", &["--default-signal=HUP", &shell::cargo(), "test", "--workspace", "--locked", "--no-fail-fast"])
}

/// The program that the tests have built.
fn hardline(shell: &Shell) -> String {
    shell.target().join("debug/hardline").to_string_lossy().into_owned()
}

fn units(shell: &Shell) -> Done {
    shell.run("bash", &[".ci/units", &hardline(shell)])
}

/// Where the package is built.
fn built(shell: &Shell) -> PathBuf {
    shell.target().join("package")
}

fn package(shell: &Shell) -> Done {
    let folder = built(shell);
    let cannot = |why: std::io::Error| Failed(format!("cannot make {}: {why}", folder.display()));
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(cannot)?;
    }
    fs::create_dir_all(&folder).map_err(cannot)?;
    shell.run("bash", &["contrib/deb/build", "-o", &folder.to_string_lossy(), &hardline(shell)])?;
    shell.run("bash", &["contrib/deb/test", &deb(shell)?])
}

fn deb(shell: &Shell) -> Done<String> {
    let files = fs::read_dir(built(shell)).into_iter().flatten().flatten().map(|entry| entry.path());
    let deb = files.filter(|path| path.extension().is_some_and(|end| end == "deb")).max();
    deb.map(|path| path.to_string_lossy().into_owned()).ok_or_else(|| Failed("the step `package` comes first".into()))
}

fn services(shell: &Shell) -> Done {
    shell.run("bash", &["contrib/systemd/test", &deb(shell)?])
}

fn hardware(shell: &Shell) -> Done {
    if std::env::var_os("HIL_SKIP").is_some_and(|skip| skip == "1") {
        println!("== NOT RUN: HIL_SKIP=1 leaves the emulated rigs out");
    } else if cfg!(target_arch = "x86_64") {
        return shell.run("timeout", &["-k", "10", MACHINES, "hil-tests/run"]);
    } else {
        println!("== NOT RUN: the emulated machine is an x86-64, whose programs are not built here");
    }
    Ok(())
}
