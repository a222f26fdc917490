//! Other programs, run at the root of the sources.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Why a command of ours ends: in one line.
#[derive(Debug)]
pub(crate) struct Failed(pub(crate) String);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

pub(crate) type Done<T = ()> = Result<T, Failed>;

/// Runs programs at the root of the sources.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shell {
    root: PathBuf,
    variables: Vec<(&'static str, String)>,
}

/// The cargo that runs this program.
pub(crate) fn cargo() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".into())
}

impl Shell {
    /// A shell at the root of the sources this program was built from.
    ///
    /// # Errors
    /// They are no longer there.
    pub(crate) fn at_the_root() -> Done<Shell> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default();
        if !root.join("Cargo.lock").exists() {
            return Err(Failed(format!("{} is not there any more: build this program again", root.display())));
        }
        Ok(Shell { root, variables: Vec::new() })
    }
    /// A shell whose programs have this variable, too.
    pub(crate) fn with(&self, name: &'static str, value: impl Into<String>) -> Shell {
        let mut shell = self.clone();
        shell.variables.push((name, value.into()));
        shell
    }
    /// A path below the root, or an absolute one.
    pub(crate) fn path(&self, below: impl AsRef<Path>) -> PathBuf {
        self.root.join(below)
    }
    /// Where cargo builds.
    pub(crate) fn target(&self) -> PathBuf {
        self.path(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
    }
    fn command(&self, program: &str, words: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(words).current_dir(&self.root).envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null());
        command
    }
    /// Runs a program.
    ///
    /// # Errors
    /// It is not there, or failed.
    pub(crate) fn run(&self, program: &str, words: &[&str]) -> Done {
        let line = || [&[program], words].concat().join(" ");
        match self.command(program, words).status() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(Failed(format!("`{}` ended with {status}", line()))),
            Err(why) => Err(Failed(format!("cannot run `{}`: {why}", line()))),
        }
    }
    /// Runs the cargo that runs this program.
    ///
    /// # Errors
    /// It failed.
    pub(crate) fn cargo(&self, words: &[&str]) -> Done {
        self.run(&cargo(), words)
    }
    /// What a program prints, if it is there and succeeds.
    pub(crate) fn output(&self, program: &str, words: &[&str]) -> Option<String> {
        let output = self.command(program, words).stderr(Stdio::null()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }
    /// Whether a program is there, and succeeds with these words.
    pub(crate) fn can(&self, program: &str, words: &[&str]) -> bool {
        self.output(program, words).is_some()
    }
    /// Whether a program is in the path.
    pub(crate) fn has(program: &str) -> bool {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    }
}
