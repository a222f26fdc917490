//! The line a key is written as: `TAG BASE64 [comment]`. What is wrong with one is said without a word of it:
//! it may be a secret.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::{Hidden, Key, LEN, Psk, PublicKey, Secret};

pub(super) const SECRET: &str = "hardline-key-1";
pub(super) const PSK: &str = "hardline-psk-1";
pub(super) const PUBLIC: &str = "hardline-pub-1";

/// Characters of a key as padded base64.
const CHARS: usize = LEN.div_ceil(3) * 4;

/// The key and the comment of one line.
pub(super) fn parse(line: &str) -> Result<(Key, &str), String> {
    let (tag, rest) = word(line);
    if ![SECRET, PSK, PUBLIC].contains(&tag) {
        return Err(no_tag(line, tag).into());
    }
    let (base64, comment) = word(rest);
    let hidden = decode(tag, base64)?;
    let key = match tag {
        SECRET => Key::Secret(Secret(hidden)),
        PSK => Key::Psk(Psk(hidden)),
        _ => Key::Public(PublicKey::new(*hidden.0).ok_or("nobody can have this public key: get the peer's again")?),
    };
    Ok((key, comment))
}

/// The line of a key, without its end.
pub(super) fn line(key: &Key, comment: &str) -> Zeroizing<String> {
    let (tag, bytes) = match key {
        Key::Secret(secret) => (SECRET, secret.bytes()),
        Key::Psk(psk) => (PSK, psk.bytes()),
        Key::Public(public) => (PUBLIC, public.bytes()),
    };
    // as long as it will be: growing would leave a copy behind
    let mut text = Zeroizing::new(String::with_capacity(tag.len() + CHARS + comment.len() + 2));
    text.push_str(tag);
    text.push(' ');
    let mut base64 = Zeroizing::new([0; CHARS]);
    let written = STANDARD.encode_slice(bytes, &mut base64[..]);
    text.extend(base64[..written.unwrap_or(0)].iter().copied().map(char::from));
    if !comment.is_empty() {
        text.push(' ');
        text.push_str(comment);
    }
    text
}

/// The line of a public key, without a comment.
pub(super) fn public_line(key: &PublicKey) -> String {
    line(&Key::Public(*key), "").to_string()
}

/// The first word, and what follows it.
pub(super) fn word(text: &str) -> (&str, &str) {
    let text = text.trim();
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word, rest.trim_start())
}

fn no_tag(line: &str, tag: &str) -> &'static str {
    if ["hardline-key-", "hardline-psk-", "hardline-pub-"].iter().any(|known| tag.starts_with(known)) {
        "this kind of key is newer than this hardline: upgrade it"
    } else if line.starts_with("-----BEGIN") || tag.starts_with("ssh-") {
        "this is no key of hardline's, whose keys are not those of ssh or TLS: make one with 'hardline keygen FILE'"
    } else {
        "this is no key: its line begins with hardline-key-1, hardline-psk-1 or hardline-pub-1"
    }
}

fn decode(tag: &str, base64: &str) -> Result<Hidden, String> {
    match base64.len() {
        CHARS => {}
        0 => return Err(format!("there is no key after {tag}: copy the whole line again")),
        n => return Err(format!("the base64 has {n} characters, a key has {CHARS}: copy the whole line again")),
    }
    // room for what the decoder takes the padding for
    let mut bytes = Zeroizing::new([0; CHARS]);
    let decoded = STANDARD.decode_slice(base64, &mut bytes[..]);
    if !matches!(decoded, Ok(LEN)) {
        return Err("the base64 is damaged: copy the whole line again".into());
    }
    let mut hidden = Hidden(Box::new([0; LEN]));
    hidden.0.copy_from_slice(&bytes[..LEN]);
    if hidden.0.iter().all(|&b| b == 0) {
        return Err("all its bytes are zero: make a key with 'hardline keygen FILE'".into());
    }
    Ok(hidden)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_goes_round() {
        let secret = Secret::generate().unwrap();
        let public = secret.public();
        for key in [Key::Secret(secret), Key::Psk(Psk::generate().unwrap()), Key::Public(public)] {
            let text = line(&key, "root@box, the left one");
            let (again, comment) = parse(&text).unwrap();
            assert_eq!((again.fingerprint(), comment), (key.fingerprint(), "root@box, the left one"));
            assert_eq!(again.noun(), key.noun());
            assert_eq!(parse(&line(&key, "")).unwrap().1, "");
            let odd = format!(" \t{}\t \r\n", text.replace(' ', "  "));
            assert_eq!(parse(&odd).unwrap().0.fingerprint(), key.fingerprint());
        }
        assert_eq!(public.to_string().parse::<PublicKey>().unwrap(), public);
    }

    #[test]
    fn what_is_wrong_is_said_and_the_key_is_not() {
        let good = line(&Key::Secret(Secret::generate().unwrap()), "");
        let base64 = good.split_once(' ').unwrap().1;
        let zeros = "A".repeat(43) + "=";
        for (bad, says) in [
            (String::new(), "this is no key"),
            (base64.to_owned(), "this is no key"),
            (format!("hardline-pub {base64}"), "this is no key"),
            (format!("HARDLINE-KEY-1 {base64}"), "this is no key"),
            (format!("hardline-key-2 {base64}"), "newer than this hardline"),
            ("-----BEGIN OPENSSH PRIVATE KEY-----".into(), "no key of hardline's"),
            (format!("ssh-ed25519 {base64}"), "no key of hardline's"),
            ("hardline-key-1".into(), "no key after hardline-key-1"),
            (good[..good.len() - 1].into(), "has 43 characters"),
            (format!("{}==", &*good), "has 46 characters"),
            (format!("hardline-key-1 {}\u{e9}", &base64[..42]), "damaged"),
            (format!("hardline-key-1 {}*=", &base64[..42]), "damaged"),
            // bits behind the last byte
            (format!("hardline-key-1 {}B=", &zeros[..42]), "damaged"),
            (format!("hardline-key-1 {}", base64.replace('=', "A")), "damaged"),
            (format!("hardline-key-1 {zeros}"), "zero"),
            (format!("hardline-psk-1 {zeros}"), "zero"),
            (format!("hardline-pub-1 {zeros}"), "zero"),
            (format!("hardline-pub-1 AQ{}", &zeros[2..]), "nobody can have"),
        ] {
            let said = parse(&bad).unwrap_err();
            assert!(said.contains(says), "{bad}: {said}");
            assert!(!said.contains(&base64[..42]), "{said}");
        }
        let said = good.parse::<PublicKey>().unwrap_err();
        assert!(said.contains("it is a secret key") && !said.contains(base64), "{said}");
    }
}
