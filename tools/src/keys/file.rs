//! Key files: one line with a key; blank lines and lines that begin with `#` may stand around it.
//!
//! What is secret may be read by its owner alone. `credential:NAME` is `$CREDENTIALS_DIRECTORY/NAME`, where
//! systemd puts what a unit has by `LoadCredential=`.

use std::fs::{DirBuilder, File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;
use zeroize::Zeroizing;

use super::{Key, text};
use crate::disk;
use crate::error::{Doing, Failure, kinds};
use crate::names;
use crate::stdio;

/// Largest key file, in bytes: far more than a key and its comments need.
const SIZE_MAX: usize = 64 << 10;
/// What the name of a credential follows.
const CREDENTIAL: &str = "credential:";
/// Permission bits a file with a secret must not have.
const NOT_OURS: u32 = 0o077;
/// The same for what systemd made: where it lets a service's user read by an access list, that list's limit
/// shows as the bit for the group.
const NOT_SYSTEMD: u32 = 0o037;

/// What a key file holds.
#[derive(Debug)]
pub struct KeyFile {
    /// The key.
    pub key: Key,
    /// What follows it on its line, or nothing; as it is, with any control characters.
    pub comment: String,
}

/// Whether a key is named as a credential.
pub fn is_credential(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().starts_with(CREDENTIAL.as_bytes())
}

/// The credential of this name, if the service manager has handed it over: by its name, and not by its path, since what systemd
/// lets a service's user read has another mode than key files have.
pub fn credential(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(std::env::var_os("CREDENTIALS_DIRECTORY")?).join(name);
    path.exists().then(|| format!("{CREDENTIAL}{name}").into())
}

/// Reads a key of any kind from a file of at most 64 KiB, or from `credential:NAME`.
///
/// # Errors
/// All with exit code 1, the file and what to do: it cannot be read, is no regular file (a link to one is
/// fine), or holds no key, more than one or a damaged one; it holds a secret and belongs to somebody else
/// than this user or root, or others have any rights to it.
pub fn read(path: &Path) -> Result<KeyFile, Failure> {
    let (path, denied) = locate(path)?;
    let doing = || format!("read the key {}", names::shown(&path));
    let file = open(&path).doing(kinds::KEY_UNREADABLE, doing)?;
    let meta = file.metadata().doing(kinds::KEY_UNREADABLE, doing)?;
    let bytes = slurp(file, SIZE_MAX).doing(kinds::KEY_UNREADABLE, doing)?;
    let (key, comment) = parse(&bytes).doing(kinds::KEY_UNREADABLE, doing)?;
    if !matches!(key, Key::Public(_)) {
        guard(&meta, denied, "600", &path).doing(kinds::KEY_EXPOSED, || format!("use the key {}", names::shown(&path)))?;
    }
    Ok(KeyFile { key, comment: comment.to_owned() })
}

/// Makes a key file of mode 0600, and its folder (0700) if there is none, and puts it on disk; what is there is
/// never overwritten.
///
/// # Errors
/// It is there already, or cannot be written (1); then nothing is left of it.
pub fn create(path: &Path, key: &Key, comment: &str) -> Result<(), Failure> {
    let doing = || format!("make the key {}", names::shown(path));
    if path.as_os_str().as_bytes().starts_with(CREDENTIAL.as_bytes()) {
        return Err("credentials are only read: make a file and name it in LoadCredential=").doing(kinds::KEY_UNWRITABLE, doing);
    }
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).doing(kinds::KEY_UNWRITABLE, doing)?;
    }
    let made = File::options().write(true).create_new(true).mode(0o600).open(path);
    let mut file = match made {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            let why = "it is there already, and keys are never overwritten; take another name, or move it away";
            return Err(why).doing(kinds::KEY_EXISTS, doing);
        }
        made => made.doing(kinds::KEY_UNWRITABLE, doing)?,
    };
    let mut line = text::line(key, comment);
    line.push('\n');
    let written = file.write_all(line.as_bytes()).and_then(|()| file.sync_all()).and_then(|()| disk::sync_folder(path));
    if written.is_err() {
        let _ = std::fs::remove_file(path);
    }
    written.doing(kinds::KEY_UNWRITABLE, doing)
}

/// The line that would be in the file.
pub fn line(key: &Key, comment: &str) -> Zeroizing<String> {
    text::line(key, comment)
}

/// Reads a key from stdin, as [`read`] does from a file.
///
/// # Errors
/// It cannot be read, or holds no key, more than one or a damaged one (1).
pub fn read_stdin() -> Result<KeyFile, Failure> {
    let doing = || "read the key -".to_owned();
    let bytes = slurp(stdio::input()?.into(), SIZE_MAX).doing(kinds::KEY_UNREADABLE, doing)?;
    let (key, comment) = parse(&bytes).doing(kinds::KEY_UNREADABLE, doing)?;
    Ok(KeyFile { key, comment: comment.to_owned() })
}

/// A file that holds another kind of key than the one that is needed.
pub(super) fn wrong_kind(path: &Path, key: &Key, need: &str) -> Failure {
    Failure::new(kinds::KEY_WRONG_KIND, format!("cannot use the key {}: it is {}; {need}", names::shown(path), key.noun()))
}

/// Opens a regular file; a pipe without a writer would hold us up.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("it is no regular file")),
    }
}

/// Everything in a file of at most `limit` bytes.
pub(super) fn slurp(mut file: File, limit: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    // as long as it may become: growing would leave a copy behind
    let mut bytes = Zeroizing::new(vec![0; limit + 1]);
    let mut len = 0;
    loop {
        match file.read(&mut bytes[len..]) {
            Ok(0) => break,
            Ok(n) => len += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    if len > limit {
        return Err(io::Error::other(format!("it is larger than {} KiB, so it is something else", limit >> 10)));
    }
    bytes.truncate(len);
    Ok(bytes)
}

/// Whether an open file is safe from others; `remedy` is the mode that would do.
pub(super) fn guard(meta: &Metadata, denied: u32, remedy: &str, path: &Path) -> Result<(), String> {
    let (mode, owner, shown) = (meta.mode() & 0o7777, meta.uid(), names::shown(path));
    if owner != 0 && owner != geteuid().as_raw() {
        return Err(format!("it belongs to user {owner}, neither to you nor to root: chown {} {shown}", geteuid()));
    }
    match mode & denied {
        0 => Ok(()),
        _ => Err(format!("its mode is {mode:04o}, which lets others at it: chmod {remedy} {shown}")),
    }
}

/// Where a key is, and which permission bits it must not have if it is secret.
fn locate(path: &Path) -> Result<(PathBuf, u32), Failure> {
    locate_in(path, std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from))
        .doing(kinds::KEY_UNREADABLE, || format!("read the key {}", names::shown(path)))
}

fn locate_in(path: &Path, folder: Option<PathBuf>) -> Result<(PathBuf, u32), &'static str> {
    let Some(name) = path.as_os_str().as_bytes().strip_prefix(CREDENTIAL.as_bytes()) else {
        return Ok((path.to_owned(), NOT_OURS));
    };
    if matches!(name, b"" | b"." | b"..") || name.contains(&b'/') {
        return Err("write it as credential:NAME, NAME that of LoadCredential=NAME:FILE in the unit");
    }
    let folder = folder.filter(|f| f.is_absolute());
    let folder =
        folder.ok_or("CREDENTIALS_DIRECTORY is not set: start it by a systemd unit that has LoadCredential=, or name a file")?;
    Ok((folder.join(std::ffi::OsStr::from_bytes(name)), NOT_SYSTEMD))
}

/// The one key in a file.
fn parse(bytes: &[u8]) -> Result<(Key, &str), String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is no text, so it is something else than a key")?;
    let lines = text.lines().enumerate().map(|(i, line)| (i + 1, line.trim()));
    let mut lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let Some((number, line)) = lines.next() else {
        return Err("there is no key in it: make one with 'hardline keygen' and another name".into());
    };
    let found = text::parse(line).map_err(|e| format!("line {number}: {e}"))?;
    match lines.next() {
        None => Ok(found),
        Some((number, _)) => Err(format!("line {number}: only one key may be in a file: give each a file of its own")),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::error::Exit;
    use crate::keys::{Psk, PublicKey, Secret};

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Folder {
            Folder(tempfile::tempdir().unwrap())
        }
        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }
        fn put(&self, name: &str, text: impl AsRef<[u8]>, mode: u32) -> PathBuf {
            let path = self.path(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            path
        }
        fn secret(&self, name: &str, mode: u32) -> PathBuf {
            let line = text::line(&Key::Secret(Secret::generate().unwrap()), "");
            self.put(name, format!("# ours\n\n{}\r\n\n#end", *line), mode)
        }
    }

    #[track_caller]
    fn refused<T: std::fmt::Debug>(result: Result<T, Failure>, says: &str) {
        let failure = result.unwrap_err();
        assert!(failure.message.contains(says) && !failure.message.contains('\n'), "{failure}");
        assert_eq!(failure.exit, Exit::Failed);
    }

    #[test]
    fn what_was_made_is_read_and_never_overwritten() {
        let folder = Folder::new();
        let (path, secret) = (folder.path("key"), Key::Secret(Secret::generate().unwrap()));
        create(&path, &secret, "the left one").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        let read = read(&path).unwrap();
        assert_eq!((read.key.fingerprint(), read.comment.as_str()), (secret.fingerprint(), "the left one"));
        refused(create(&path, &secret, ""), "never overwritten");
        refused(Psk::load(&path), "it is a secret key; a pre-shared key is needed");
        refused(PublicKey::load(&path), "it is a secret key; a public key is needed");
        symlink(folder.path("nowhere"), folder.path("link")).unwrap();
        refused(create(&folder.path("link"), &secret, ""), "never overwritten");
        refused(create(Path::new("credential:x"), &secret, ""), "only read");
    }

    #[test]
    fn others_may_not_read_a_secret() {
        let folder = Folder::new();
        for mode in [0o600, 0o400, 0o700] {
            Secret::load(&folder.secret("good", mode)).unwrap();
            fs::remove_file(folder.path("good")).unwrap();
        }
        for mode in [0o640, 0o604, 0o660, 0o601, 0o440] {
            let path = folder.secret("bad", mode);
            refused(
                Secret::load(&path),
                &format!("its mode is {mode:04o}, which lets others at it: chmod 600 {}", path.display()),
            );
        }
        let psk = text::line(&Key::Psk(Psk::generate().unwrap()), "");
        refused(Psk::load(&folder.put("psk", psk.as_bytes(), 0o644)), "chmod 600");
        let public = Secret::generate().unwrap().public();
        assert_eq!(PublicKey::load(&folder.put("pub", format!("{public} x"), 0o644)).unwrap(), (public, "x".into()));
        if geteuid().is_root() {
            let path = folder.secret("theirs", 0o600);
            std::os::unix::fs::chown(&path, Some(4711), None).unwrap();
            refused(Secret::load(&path), "belongs to user 4711");
        }
    }

    #[test]
    fn only_regular_files_are_read() {
        let folder = Folder::new();
        let path = folder.secret("key", 0o600);
        symlink(&path, folder.path("link")).unwrap();
        Secret::load(&folder.path("link")).unwrap();
        nix::unistd::mkfifo(&folder.path("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        refused(Secret::load(&folder.path("fifo")), "no regular file");
        refused(Secret::load(Path::new("/dev/null")), "no regular file");
        refused(Secret::load(folder.0.path()), "no regular file");
        refused(Secret::load(&folder.path("none")), "No such file");
    }

    #[test]
    fn what_is_no_key_file_is_told_apart() {
        let folder = Folder::new();
        let line = text::line(&Key::Psk(Psk::generate().unwrap()), "");
        let at_most = format!("{}\n#{}", *line, "x".repeat(SIZE_MAX - line.len() - 2));
        Psk::load(&folder.put("at-most", &at_most, 0o600)).unwrap();
        for (text, says) in [
            (format!("{at_most}x").into_bytes(), "larger than 64 KiB"),
            (vec![0xff; 100], "it is no text"),
            (Vec::new(), "there is no key in it"),
            (b"# empty\n\n".to_vec(), "there is no key in it"),
            (format!("# two\n{}\n\n{}\n", *line, *line).into_bytes(), "line 4: only one key"),
            (format!("\n\n{}", &line[..50]).into_bytes(), "line 3: the base64 has 35 characters"),
        ] {
            refused(Psk::load(&folder.put("bad", text, 0o600)), says);
        }
    }

    #[test]
    fn credentials_are_where_systemd_puts_them() {
        let folder = Folder::new();
        let find = |name: &str| locate_in(Path::new(name), Some(folder.0.path().to_owned()));
        let (path, denied) = find("credential:wire.key").unwrap();
        assert_eq!(path, folder.path("wire.key"));
        for (mode, fine) in [(0o400, true), (0o440, true), (0o600, true), (0o444, false), (0o460, false)] {
            let meta = fs::metadata(folder.secret("wire.key", mode)).unwrap();
            assert_eq!(guard(&meta, denied, "600", &path).is_ok(), fine, "{mode:o}");
            fs::remove_file(&path).unwrap();
        }
        assert!(find("credential:").is_err() && find("credential:../x").is_err() && find("credential:..").is_err());
        assert!(locate_in(Path::new("credential:x"), None).unwrap_err().contains("systemd"));
        assert!(locate_in(Path::new("credential:x"), Some("run".into())).is_err());
        assert_eq!(locate_in(Path::new("./credential:x"), None).unwrap(), ("./credential:x".into(), NOT_OURS));
    }
}
