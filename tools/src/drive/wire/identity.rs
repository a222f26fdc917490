//! Who may be at the other end of a wire: keys, known peers, and what is said of those who are not.

use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::{Duration, Instant};

use link::{Event, Noise, State};
use nix::sys::termios::{FlushArg, tcflush};

use super::Wire;
use crate::cli::SealArgs;
use crate::error::kinds::Entry;
use crate::error::{Failure, kinds};
use crate::keys::file::credential;
use crate::keys::peers::KnownPeers;
use crate::keys::{Psk, PublicKey, Secret};
use crate::limit;
use crate::port::Spec;

/// Different complaints that are said, until a session is open; and each is said again so late.
const COMPLAINTS: usize = 8;
const AGAIN: Duration = Duration::from_secs(60);
/// Credentials that are taken without being named (systemd's LoadCredential).
const CREDENTIALS: [&str; 2] = ["hardline.key", "hardline.psk"];

/// How an end proves who it is.
pub enum Identity {
    /// It does not; `said`: the user knows.
    Plain {
        /// By `--plain`.
        said: bool,
    },
    /// By a secret both ends have.
    Psk(Psk),
    /// By its key; the peer by the one that is known for the port.
    Pair {
        /// Our key.
        secret: Secret,
        /// The keys of peers.
        known: KnownPeers,
        /// Take the key of a peer that is not known yet, and remember it.
        accept_new: bool,
    },
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Identity::Plain { .. } => "Plain",
            Identity::Psk(_) => "Psk",
            Identity::Pair { .. } => "Pair",
        })
    }
}

impl Identity {
    /// What the flags say. Of a plain session stderr is told once, unless `--plain` says that this is known.
    ///
    /// # Errors
    /// A key file that cannot be used (1), or two keys that were handed over where one can be used (2).
    pub fn new(args: &SealArgs) -> Result<Arc<Identity>, Failure> {
        let [credential_key, credential_psk] = CREDENTIALS.map(credential);
        let none = args.key.is_none() && args.psk.is_none() && !args.plain;
        if none && credential_key.is_some() && credential_psk.is_some() {
            let why = "the credentials hardline.key and hardline.psk are both there: take one away, or name the one to use (--key, --psk)";
            return Err(Failure::new(kinds::USAGE, why));
        }
        let key = args.key.clone().or(credential_key.filter(|_| none));
        let psk = args.psk.clone().or(credential_psk.filter(|_| none && key.is_none()));
        if key.is_some() || psk.is_some() {
            // no core file, and no other process of the same user, gets to see them
            let _ = nix::sys::prctl::set_dumpable(false);
        }
        Ok(Arc::new(match (key, psk) {
            (Some(key), _) => Identity::Pair {
                secret: Secret::load(&key)?,
                known: KnownPeers::find(args.peers.known_peers.as_deref())?,
                accept_new: args.accept_new,
            },
            (None, Some(psk)) => Identity::Psk(Psk::load(&psk)?),
            (None, None) => Identity::Plain { said: args.plain },
        }))
    }
    /// Whether nothing is proved.
    pub fn is_plain(&self) -> bool {
        matches!(self, Identity::Plain { .. })
    }

    pub(super) fn handshake(&self, port: &Spec) -> Result<Option<Noise>, Failure> {
        Ok(match self {
            Identity::Plain { .. } => None,
            Identity::Psk(psk) => Some(Noise::psk(*psk.bytes())),
            Identity::Pair { secret, known, accept_new } => {
                let peer = known.lookup(&port.to_string())?;
                Some(Noise::pair(*secret.bytes(), peer.map(|key| *key.bytes()), *accept_new))
            }
        })
    }
}

/// What has come of those who asked to be let in.
#[derive(Debug, Default)]
pub(super) struct Callers {
    /// Complaints, and when each was said.
    told: Vec<(String, Instant)>,
    /// The last of them, while no session is open.
    pub(super) last: Option<String>,
    /// Somebody at the terminal was asked about this key.
    asked: Option<(PublicKey, Receiver<bool>)>,
}

impl Callers {
    /// Whether a complaint is news; it is not the next time, for a minute. With too many different ones nothing is.
    fn is_news(&mut self, complaint: &str) -> bool {
        let (now, full) = (Instant::now(), self.told.len() >= COMPLAINTS);
        match self.told.iter_mut().find(|(told, _)| told == complaint) {
            Some((_, at)) if now.saturating_duration_since(*at) < AGAIN => return false,
            Some((_, at)) => *at = now,
            None if full => return false,
            None => self.told.push((complaint.to_owned(), now)),
        }
        true
    }
}

impl<const C: usize> Wire<C> {
    /// A session was lost for a reason that stays until somebody mends it: whether that is news.
    pub(crate) fn is_news(&mut self, why: &str) -> bool {
        self.callers.last = Some(why.to_owned());
        self.callers.is_news(why)
    }

    /// A session is open, or somebody was refused.
    pub(crate) fn handle_proof(&mut self, event: &Event) {
        match event {
            Event::Opened { .. } => self.peer_proved(),
            Event::Refused => self.peer_refused(),
            Event::Version(version) => self.complain(
                &kinds::VERSION_MISMATCH,
                format!(
                    "{}: somebody calls in version {version} of the protocol, this is version {}; update the older",
                    self.spec(),
                    link::VERSION
                ),
            ),
            Event::Plain => self.complain(
                kinds::PEER_PLAIN,
                format!("{}: the peer talks plain, this end has a key: give it one too", self.spec()),
            ),
            _ => {}
        }
    }

    /// The key the peer has proved to have.
    pub(crate) fn peer(&self) -> Option<PublicKey> {
        self.link.peer_key().and_then(PublicKey::new)
    }

    fn peer_proved(&mut self) {
        self.tell_open();
        self.callers = Callers::default();
        let identity = self.settings.identity.clone();
        if let Identity::Plain { said: false } = *identity
            && !std::mem::replace(&mut self.said_plain, true)
        {
            tracing::warn!(
                code = %kinds::NOT_SEALED,
                "{}: plain: whoever has the wire can read and alter it; --key or --psk seals it, --plain says that this is known",
                self.spec()
            );
        }
        let (Identity::Pair { known, .. }, Some(key)) = (&*identity, self.peer()) else {
            return;
        };
        let port = self.spec().to_string();
        match known.lookup(&port) {
            Ok(Some(_)) => tracing::info!("{port}: the peer is {}", key.fingerprint()),
            Ok(None) => match known.trust(&port, key, "", false) {
                Ok(_) => {
                    // on every port
                    self.trust(key);
                    let file = known.path().display();
                    let words = format!("{port}: from now on the peer must be {} ({file})", key.fingerprint());
                    limit::warn(kinds::PEER_TRUSTED, words);
                }
                // who comes next would be taken as well
                Err(failure) if !self.settings.hold => self.end(failure),
                Err(failure) => limit::warn(&failure.kind, format!("{failure}; another peer will be taken as new, too")),
            },
            Err(failure) => limit::warn(&failure.kind, &failure),
        }
    }

    fn peer_refused(&mut self) {
        let identity = self.settings.identity.clone();
        let port = self.spec().to_string();
        let stranger = (0..self.count()).find_map(|at| self.link.handshake_of(at).as_mut().and_then(Noise::stranger));
        let Identity::Pair { secret, known, .. } = &*identity else {
            let why = format!("{port}: somebody calls who does not have our secret (is --psk the same at both ends?)");
            return self.complain(kinds::SECRET_MISMATCH, why);
        };
        let Some(stranger) = stranger.and_then(PublicKey::new) else {
            let own = secret.public().fingerprint();
            let why = format!("{port}: somebody calls who does not know our key {own}, or is not the known peer");
            return self.complain(kinds::PEER_UNAWARE, why);
        };
        match known.lookup(&port) {
            Ok(Some(key)) if key == stranger => self.trust(key),
            Ok(Some(key)) => self.complain(kinds::KEY_MISMATCH, format!(
                "{port}: the peer has the key {}, not the known {}: somebody else, or 'hardline key forget {port}' if it was replaced",
                stranger.fingerprint(),
                key.fingerprint()
            )),
            Ok(None) => self.ask(&port, stranger, &secret.public()),
            Err(failure) => self.complain(&failure.kind, failure.message),
        }
    }

    fn trust(&mut self, key: PublicKey) {
        for at in 0..self.count() {
            if let Some(noise) = self.link.handshake_of(at) {
                noise.trust(*key.bytes());
            }
        }
    }

    /// A first contact: asks whoever is at the terminal, or says how to trust this key.
    fn ask(&mut self, port: &str, stranger: PublicKey, own: &PublicKey) {
        let question = format!(
            "{port}: the peer is not known yet.\n  its fingerprint  {}\n  our fingerprint  {}\nCompare them at the other end. Trust it from now on? [y/N] ",
            stranger.fingerprint(),
            own.fingerprint()
        );
        match &self.callers.asked {
            Some((key, answer)) => {
                let (key, said) = (*key, answer.try_recv());
                match said {
                    Ok(true) => {
                        self.callers.asked = None;
                        self.trust(key);
                    }
                    Err(TryRecvError::Empty) => {}
                    _ => self.fail(kinds::PEER_UNTRUSTED, format!("{port}: the peer's key {} was not trusted", key.fingerprint())),
                }
            }
            None => match if self.settings.ask { ask_terminal(question) } else { None } {
                Some(answer) => self.callers.asked = Some((stranger, answer)),
                None => self.complain(kinds::PEER_UNKNOWN, format!(
                    "{port}: the peer {} is not known: 'hardline key trust {port} {stranger}' if it is the right one, or --accept-new",
                    stranger.fingerprint()
                )),
            },
        }
    }

    /// Says it, and goes on calling: whoever it is has proved nothing, and so ends nothing.
    fn complain(&mut self, kind: &Entry, complaint: String) {
        let open = self.link.state() == State::Open;
        let callers = &mut self.callers;
        let new = callers.is_news(&complaint);
        if open {
            // somebody else, or copies of what was said before: neither can touch the session
            if new {
                tracing::info!(code = %kind, "{complaint}");
            }
            return;
        }
        let told = new && callers.asked.is_none();
        callers.last = Some(complaint.clone());
        if told {
            self.told = true;
            self.say(kind, &format!("{complaint}; calling on"));
        }
    }
}

/// Asks at the terminal, if there is one, without keeping the wire waiting.
fn ask_terminal(question: String) -> Option<Receiver<bool>> {
    // a program in the background must not be stopped for it
    if !std::io::stderr().is_terminal() {
        return None;
    }
    let mut terminal = File::options().read(true).write(true).open("/dev/tty").ok()?;
    // what was typed before is no answer
    let _ = tcflush(&terminal, FlushArg::TCIFLUSH);
    let (said, answer) = channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let asked = terminal.write_all(question.as_bytes()).and_then(|()| BufReader::new(terminal).read_line(&mut line));
        let yes = asked.is_ok() && matches!(line.trim(), "y" | "Y" | "yes");
        let _ = said.send(yes);
    });
    Some(answer)
}
