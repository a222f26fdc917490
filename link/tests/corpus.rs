//! The fuzz corpus as plain tests, and beside it thousands of random mutations of it.
#![allow(missing_docs)]

#[allow(unreachable_pub)]
#[path = "../fuzz/src/lib.rs"]
mod targets;

#[allow(unreachable_pub)]
#[path = "../fuzz/src/mutate.rs"]
mod mutate;

use mutate::run;

#[test]
fn deframe() {
    run("deframe", targets::deframe);
}

#[test]
fn endpoint() {
    run("endpoint", targets::endpoint);
}

#[test]
fn channels() {
    run("channels", targets::channels);
}

#[test]
fn sealed() {
    run("sealed", targets::sealed);
}

#[test]
fn bond() {
    run("bond", targets::bond);
}

#[test]
fn rates() {
    run("rates", targets::rates);
}
