//! Keys: their files, known peers, and who is at the other end.

use super::{Area, Entry, Exit, Kind, area};

area! {
    "Keys"

    failures {
        PEER_UNTRUSTED = "peer-untrusted", Exit::Refused;
            says ["{port}: the peer's key {fingerprint} was not trusted"];
            cause "Asked at the terminal, somebody answered other than y, or the terminal went away.";
            remedy "If it was the right peer after all, run it again and answer y.";
        KEY_NEEDED = "key-needed", Exit::Refused;
            says ["the peer talks to known keys only: give this end --key FILE or --psk FILE too, see 'hardline keygen --help'"];
            cause "The other end was started with --key or --psk, this one without.";
            remedy "'hardline keygen FILE', then --key FILE here and 'hardline key trust PORT KEY' there; or the same --psk FILE at both ends.";
        KNOWN_PEERS = "known-peers", Exit::Failed;
            says ["cannot {do} the known peers: {why}", "cannot {do} the known peers {file}: {why}"];
            cause "The file of known peers cannot be read or written, others may write to it, or one of its lines is wrong; the reason is at the end.";
            remedy "Mend the line it names, or the mode ('chmod go-w FILE'); --known-peers FILE names another one.";
        KEY_KNOWN_OTHER = "key-known-other", Exit::Failed;
            says ["cannot trust a key for {port} in the known peers {file}: it has {fingerprint}, not {fingerprint}; if the peer has a new key, give --replace"];
            cause "'key trust' was to note a key for a port that has another one already.";
            remedy "See at the other end that the new key is right, then add --replace.";
        KEY_NOT_KNOWN = "key-not-known", Exit::Failed;
            says ["cannot forget the key of {port}: there is none in {file}: see 'hardline key list'"];
            cause "'key forget' names a port that has no line in the known peers.";
            remedy "'hardline key list' has the ports as they are written there; a key of * is forgotten as '*'.";
        KEY_UNREADABLE = "key-unreadable", Exit::Failed;
            says ["cannot read the key {file}: {why}"];
            cause "The file is not there, may not be read, is no regular file, or holds no key, a damaged one or more than one; the reason says which.";
            remedy "Compare the path; 'hardline key show FILE' tries a key file alone. A new one is made by 'hardline keygen FILE'.";
        KEY_EXPOSED = "key-exposed", Exit::Failed;
            says ["cannot use the key {file}: its mode is {mode}, which lets others at it: chmod {mode} {file}", "cannot use the key {file}: it belongs to user {n}, neither to you nor to root: chown {user} {file}"];
            cause "A secret key that others can read or replace is no secret.";
            remedy "Do what the end of the line says; if others could read it before, make a new one.";
        KEY_WRONG_KIND = "key-wrong-kind", Exit::Failed;
            says ["cannot use the key {file}: it is {what}; {need}"];
            cause "The file holds another kind of key than the flag needs: a public one where a secret one is needed, or a shared secret (--psk) for --key.";
            remedy "'hardline key show FILE' says what it is; 'hardline keygen' makes either kind.";
        KEY_EXISTS = "key-exists", Exit::Failed;
            says ["cannot make the key {file}: it is there already, and keys are never overwritten; take another name, or move it away"];
            cause "'keygen' was to write to a file that is there.";
            remedy "Take another name. Before the old one is moved away: peers know its public key.";
        KEY_UNWRITABLE = "key-unwritable", Exit::Failed;
            says ["cannot make the key {file}: {why}"];
            cause "The folder may not be written, the disk is full, or credential:NAME was given, which systemd only reads.";
            remedy "Write it where you may, and see that there is room.";
        KEY_MALFORMED = "key-malformed", Exit::Usage;
            says ["cannot use the key of --peer: {why}", "cannot trust this key: {why}", "cannot trust a key: {why}"];
            cause "A public key that was typed is cut off, has a wrong letter, or is a secret one; or the PORT of 'key trust' is no port.";
            remedy "Copy the whole line that 'hardline key show FILE' prints at the other end: hardline-pub-1 and what follows.";
    }

    notices {
        KEY_MISMATCH = "key-mismatch";
            says ["{port}: the peer has the key {fingerprint}, not the known {fingerprint}: somebody else, or 'hardline key forget {port}' if it was replaced; calling on"];
            cause "The key that answered is not the one that 'hardline key list' has for the port: another machine is at the other end, its key was made anew, or the wires of two ports were exchanged.";
            remedy "Ask at the other end: 'hardline key show FILE' there prints its fingerprint. If it changed on purpose: 'hardline key trust PORT KEY --replace'.";
        PEER_UNKNOWN = "peer-unknown";
            says ["{port}: the peer {fingerprint} is not known: 'hardline key trust {port} {key}' if it is the right one, or --accept-new; calling on"];
            cause "A first contact: no key is known for the port, and there is no terminal to ask at. This end goes on waiting: trust the key meanwhile, and the next call is taken.";
            remedy "Compare the fingerprint with 'hardline key show FILE' at the other end, then trust it as the line says; --accept-new takes whoever comes first.";
        PEER_UNAWARE = "peer-unaware";
            says ["{port}: somebody calls who does not know our key {fingerprint}, or is not the known peer; calling on"];
            cause "The other end expects another key of this one, or is another machine than the known peer. Which, only it can say.";
            remedy "Read the far end's stderr, and compare: 'hardline key show FILE' here with 'hardline key list' there, and the other way round.";
        SECRET_MISMATCH = "secret-mismatch";
            says ["{port}: somebody calls who does not have our secret (is --psk the same at both ends?); calling on"];
            cause "The other end has another file for --psk, or a --key where this one has --psk; or somebody else writes to the wire. Who proves nothing ends nothing: this end waits for its peer.";
            remedy "'hardline key show FILE' prints the same fingerprint for the same secret; copy the file by a safe way.";
        PEER_PLAIN = "peer-plain";
            says ["{port}: the peer talks plain, this end has a key: give it one too; calling on"];
            cause "This end was started with --key or --psk, the other one without.";
            remedy "Start the far end with its --key, or the same --psk; a mixture is never taken, or anybody could take the seal off.";
        NOT_SEALED = "not-sealed";
            says ["{port}: plain: whoever has the wire can read and alter it; --key or --psk seals it, --plain says that this is known", "plain: {who}; seal it with --psk, or --key and --peer"];
            cause "The session is neither encrypted nor authenticated: neither end has a key.";
            remedy "'hardline keygen --help' shows how both ends get keys. On a cable that nobody else can reach, --plain silences this.";
        KEY_UNUSED = "key-unused";
            says ["{flag} does nothing here: {socket} is held by 'hardline link', which has a key of its own, or none"];
            cause "PORT is the control socket of a running 'hardline link'. What is sealed on the wire, and by what, was settled when that was started.";
            remedy "Give the key to 'hardline link', and see 'hardline status SOCKET' for whether it is sealed.";
        PEER_TRUSTED = "peer-trusted";
            says ["{port}: from now on the peer must be {fingerprint} ({file})"];
            cause "The key of a first contact was noted, by your consent or --accept-new.";
            remedy "If it was the wrong one: 'hardline key forget PORT'.";
    }
}
