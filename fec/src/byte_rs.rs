//! Byte-level Reed-Solomon: repairs up to `parity / 2` wrong bytes of a codeword of at most 255.
//!
//! Field GF(2^8) with the polynomial x^8+x^4+x^3+x^2+1 (0x11D), generator α = 2, and a generator
//! polynomial with the roots α^0 .. α^(parity-1); shortened codes are the systematic code with
//! leading zeros left out (PROTOCOL 6.1). It notices nothing beyond its reach with certainty: a
//! frame check must follow.

/// Most bytes a codeword can have, parity included.
pub const CODEWORD_MAX: usize = 255;
/// Most parity bytes of a codeword ([`Parity::P32`]).
pub const PARITY_MAX: usize = 32;

const fn tables() -> ([u8; 512], [u8; 256]) {
    let (mut exp, mut log) = ([0u8; 512], [0u8; 256]);
    let (mut i, mut x) = (0, 1u16);
    while i < 255 {
        exp[i] = x as u8;
        exp[i + 255] = x as u8;
        log[x as usize] = i as u8;
        x <<= 1;
        if x & 0x100 != 0 {
            x ^= 0x11D;
        }
        i += 1;
    }
    (exp, log)
}

const TABLES: ([u8; 512], [u8; 256]) = tables();
static EXP: [u8; 512] = TABLES.0;
static LOG: [u8; 256] = TABLES.1;

const fn mul_const(a: u8, b: u8) -> u8 {
    if a == 0 || b == 0 { 0 } else { TABLES.0[TABLES.1[a as usize] as usize + TABLES.1[b as usize] as usize] }
}

fn mul(a: u8, b: u8) -> u8 {
    if a == 0 || b == 0 { 0 } else { EXP[usize::from(LOG[usize::from(a)]) + usize::from(LOG[usize::from(b)])] }
}

/// α^-x for the element with logarithm `x`.
fn inverse_power(x: usize) -> u8 {
    EXP[(255 - x % 255) % 255]
}

/// `rows[f]` = f times the generator polynomial without its leading 1, highest power first.
const fn rows<const P: usize>() -> [[u8; P]; 256] {
    let mut generator = [0u8; PARITY_MAX + 1];
    generator[0] = 1;
    let mut degree = 0;
    while degree < P {
        // times (x + α^degree)
        let root = TABLES.0[degree];
        let mut i = degree + 1;
        while i > 0 {
            generator[i] ^= mul_const(generator[i - 1], root);
            i -= 1;
        }
        degree += 1;
    }
    let mut out = [[0u8; P]; 256];
    let mut f = 0;
    while f < 256 {
        let mut i = 0;
        while i < P {
            out[f][i] = mul_const(f as u8, generator[i + 1]);
            i += 1;
        }
        f += 1;
    }
    out
}

static ROWS_2: [[u8; 2]; 256] = rows();
static ROWS_4: [[u8; 4]; 256] = rows();
static ROWS_8: [[u8; 8]; 256] = rows();
static ROWS_16: [[u8; 16]; 256] = rows();
static ROWS_32: [[u8; 32]; 256] = rows();

/// How many parity bytes a codeword carries; it repairs half as many wrong bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Parity {
    /// 2 parity bytes, repairs 1.
    P2,
    /// 4 parity bytes, repairs 2.
    P4,
    /// 8 parity bytes, repairs 4.
    P8,
    /// 16 parity bytes, repairs 8.
    P16,
    /// 32 parity bytes, repairs 16.
    P32,
}

impl Parity {
    /// Parity bytes per codeword.
    pub const fn bytes(self) -> usize {
        match self {
            Parity::P2 => 2,
            Parity::P4 => 4,
            Parity::P8 => 8,
            Parity::P16 => 16,
            Parity::P32 => 32,
        }
    }
    /// Wrong bytes a codeword can be repaired of.
    pub const fn repairs(self) -> usize {
        self.bytes() / 2
    }
}

fn encode_with<const P: usize>(rows: &[[u8; P]; 256], data: impl Iterator<Item = u8>, parity: &mut [u8]) {
    let mut register = [0u8; P];
    for byte in data {
        let row = &rows[usize::from(byte ^ register[0])];
        register.copy_within(1.., 0);
        register[P - 1] = 0;
        for (r, x) in register.iter_mut().zip(row) {
            *r ^= x;
        }
    }
    parity[..P].copy_from_slice(&register);
}

/// Computes the parity of `data` (at most 255 - parity bytes) into the first bytes of `parity`.
///
/// # Panics
/// When `parity` is shorter than `code.bytes()`.
pub fn encode(code: Parity, data: impl Iterator<Item = u8>, parity: &mut [u8]) {
    match code {
        Parity::P2 => encode_with(&ROWS_2, data, parity),
        Parity::P4 => encode_with(&ROWS_4, data, parity),
        Parity::P8 => encode_with(&ROWS_8, data, parity),
        Parity::P16 => encode_with(&ROWS_16, data, parity),
        Parity::P32 => encode_with(&ROWS_32, data, parity),
    }
}

/// The codeword has more wrong bytes than the code can repair; it was left as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany;

/// Repairs `word` (data, then parity) in place and returns how many bytes were wrong.
///
/// Beyond the reach of the code it usually says [`TooMany`] and may, rarely, "repair" to another
/// codeword: check the data.
pub fn correct(code: Parity, word: &mut [u8]) -> Result<usize, TooMany> {
    let (parity, n) = (code.bytes(), word.len());
    if n > CODEWORD_MAX || n <= parity {
        return Err(TooMany);
    }
    let mut syndromes = [0u8; PARITY_MAX];
    for (i, s) in syndromes[..parity].iter_mut().enumerate() {
        *s = word.iter().fold(0, |acc, &byte| mul(acc, EXP[i]) ^ byte);
    }
    if syndromes.iter().all(|&s| s == 0) {
        return Ok(0);
    }
    let (locator, errors) = berlekamp_massey(&syndromes[..parity]);
    if errors == 0 || errors > code.repairs() {
        return Err(TooMany);
    }
    let mut places = [0usize; PARITY_MAX / 2];
    if chien(&locator[..=errors], n, &mut places) != errors {
        return Err(TooMany);
    }
    let mut fixed = [0u8; PARITY_MAX / 2];
    forney(&syndromes[..parity], &locator[..=errors], &places[..errors], &mut fixed)?;
    for (&place, &value) in places.iter().zip(&fixed).take(errors) {
        word[n - 1 - place] ^= value;
    }
    Ok(errors)
}

/// The shortest polynomial (lowest power first) that generates the syndromes, and its degree.
fn berlekamp_massey(syndromes: &[u8]) -> ([u8; PARITY_MAX + 1], usize) {
    let (mut current, mut previous) = ([0u8; PARITY_MAX + 1], [0u8; PARITY_MAX + 1]);
    current[0] = 1;
    previous[0] = 1;
    let (mut length, mut shift, mut last) = (0usize, 1usize, 1u8);
    for n in 0..syndromes.len() {
        let delta = (1..=length).fold(syndromes[n], |acc, i| acc ^ mul(current[i], syndromes[n - i]));
        if delta == 0 {
            shift += 1;
            continue;
        }
        let scale = mul(delta, inverse_power(usize::from(LOG[usize::from(last)])));
        let before = current;
        for i in shift..=PARITY_MAX {
            current[i] ^= mul(scale, previous[i - shift]);
        }
        if 2 * length <= n {
            length = n + 1 - length;
            previous = before;
            last = delta;
            shift = 1;
        } else {
            shift += 1;
        }
    }
    (current, length)
}

fn evaluate(polynomial: &[u8], at: u8) -> u8 {
    polynomial.iter().rev().fold(0, |acc, &c| mul(acc, at) ^ c)
}

/// The powers (0 = last byte of the word) at which the locator says a byte is wrong.
fn chien(locator: &[u8], n: usize, places: &mut [usize]) -> usize {
    let mut found = 0;
    for power in 0..n {
        if evaluate(locator, inverse_power(power)) == 0 {
            if found == places.len() {
                return found + 1;
            }
            places[found] = power;
            found += 1;
        }
    }
    found
}

/// The value to add at each place.
fn forney(syndromes: &[u8], locator: &[u8], places: &[usize], out: &mut [u8]) -> Result<(), TooMany> {
    // omega = syndromes * locator mod x^parity
    let mut omega = [0u8; PARITY_MAX];
    for (i, o) in omega[..syndromes.len()].iter_mut().enumerate() {
        *o = (0..=i.min(locator.len() - 1)).fold(0, |acc, j| acc ^ mul(locator[j], syndromes[i - j]));
    }
    for (&place, value) in places.iter().zip(out) {
        let x_inverse = inverse_power(place);
        // formal derivative: the odd coefficients, in powers of x^2
        let square = mul(x_inverse, x_inverse);
        let slope = locator.iter().skip(1).step_by(2).rev().fold(0, |acc, &c| mul(acc, square) ^ c);
        if slope == 0 {
            return Err(TooMany);
        }
        let top = mul(EXP[place % 255], evaluate(&omega[..syndromes.len()], x_inverse));
        *value = mul(top, inverse_power(usize::from(LOG[usize::from(slope)])));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Parity; 5] = [Parity::P2, Parity::P4, Parity::P8, Parity::P16, Parity::P32];

    fn random(state: &mut u64) -> u64 {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state
    }

    /// Known answer: the "hello world" example every Reed-Solomon text with roots from α^0 uses.
    #[test]
    fn known_answer() {
        let mut parity = [0u8; 8];
        encode(Parity::P8, b"hardline".iter().copied(), &mut parity);
        let mut word = *b"hardline\0\0\0\0\0\0\0\0";
        word[8..].copy_from_slice(&parity);
        // every root of the generator is a root of the codeword
        for root in &EXP[..8] {
            assert_eq!(word.iter().fold(0, |acc, &b| mul(acc, *root) ^ b), 0);
        }
    }

    #[test]
    fn repairs_all_it_promises_for_every_length() {
        let mut state = 0x1234_5678_9abc_def1;
        for code in ALL {
            for n in (code.bytes() + 1..=CODEWORD_MAX).step_by(7).chain([CODEWORD_MAX]) {
                for errors in 0..=code.repairs() {
                    let k = n - code.bytes();
                    let mut word = [0u8; 255];
                    for b in &mut word[..k] {
                        *b = random(&mut state) as u8;
                    }
                    let (data, parity) = word.split_at_mut(k);
                    encode(code, data.iter().copied(), parity);
                    let good = word;
                    let mut hit = [false; 255];
                    let mut left = errors;
                    while left > 0 {
                        let at = random(&mut state) as usize % n;
                        if !hit[at] {
                            hit[at] = true;
                            word[at] ^= (random(&mut state) % 255 + 1) as u8;
                            left -= 1;
                        }
                    }
                    assert_eq!(correct(code, &mut word[..n]), Ok(errors), "{code:?} n={n}");
                    assert_eq!(word, good);
                }
            }
        }
    }

    #[test]
    fn never_panics_and_leaves_what_it_cannot_repair() {
        let mut state = 77;
        for round in 0..20_000 {
            let mut word = [0u8; 255];
            for b in &mut word {
                *b = random(&mut state) as u8;
            }
            let n = random(&mut state) as usize % 256;
            let before = word;
            if correct(ALL[round % 5], &mut word[..n.min(255)]).is_err() {
                assert_eq!(word, before);
            }
        }
    }
}
