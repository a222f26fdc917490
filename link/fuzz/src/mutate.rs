//! A fuzz corpus as a plain test: every file of it, and thousands of random mutations.
#![allow(missing_docs)]

use std::path::Path;

use link::sim::Random;

/// Of the crate that includes this file.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 5, "the corpus of {target} is there");
    files.iter().map(|f| std::fs::read(f).unwrap()).collect()
}

/// Runs a target on its corpus, and on mutations of it.
pub fn run(target: &str, one: fn(&[u8])) {
    let corpus = corpus(target);
    for data in &corpus {
        one(data);
    }
    for seed in 0..3000 {
        let mut random = Random::new(seed);
        let mut data = corpus[random.below(corpus.len() as u64) as usize].clone();
        for _ in 0..random.below(20) {
            let at = random.below(data.len() as u64 + 1) as usize;
            match random.below(4) {
                0 if at < data.len() => data[at] = random.bits() as u8,
                1 => data.insert(at, random.bits() as u8),
                2 if at < data.len() => drop(data.drain(at..(at + 3).min(data.len()))),
                _ => {
                    let other = &corpus[random.below(corpus.len() as u64) as usize];
                    let from = random.below(other.len() as u64 + 1) as usize;
                    let to = (from + 40).min(other.len());
                    data.splice(at..at, other[from..to].iter().copied());
                }
            }
        }
        let ran = std::panic::catch_unwind(|| one(&data));
        assert!(ran.is_ok(), "{target}: seed {seed}, input {data:02x?}");
    }
}
